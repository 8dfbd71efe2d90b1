"""Pages of the documentation as something that runs: their blocks of code, in order, in a folder of their own.

    python           run as the page's program, block by block in one namespace; a `text` block behind is what it prints
    python PACKAGE   the same, a program of its own, for what needs a package that is too large to be here: not run by
                     test_docs.py but by the test that ELSEWHERE names, where the package is
    python NAME      a file; if docs/examples has one of that name, it must be the same
    json NAME        a file; without a name it must be JSON
    csv NAME         a file
    toml, ini        must be that
    shell            `$ command` lines are run; lines behind one are what it prints, `...` standing for any lines
    shell server     the same; the first command is a server, which runs until the end of the block

`pip install` is not run, but the extras that it names must exist. Ports are replaced by free ones.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

ELSEWHERE = {
    "spark": "test_spark.py",
    "ray": "test_bulk_clusters.py",
    "dask": "test_bulk_clusters.py",
}
"""Packages that need not be installed, and the test that runs their blocks, or is skipped and says so."""

_BLOCK = re.compile(r"^```([a-z]*)(?: +([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"[\s>*+-]*(?:\d+[.)]\s*)?(?:`{3}|~{3})")
_PORT = re.compile(r"\b(80\d\d|9464)\b")
_CHILD = """
import contextlib, io, json, sys, traceback
space, printed = {"__name__": "__main__"}, []
for place, code in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, place, "exec"), space)
    printed.append(out.getvalue())
sys.stdout.write(json.dumps(printed))
"""


@dataclass(frozen=True)
class Block:
    """A block of code. place: page and line of its first line."""

    kind: str
    name: str | None
    text: str
    place: str


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in order. Raises for a fence that is in none: what is in it would not run."""
    text = page.read_text()
    for number, line in enumerate(_BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text).split("\n"), 1):
        assert not _FENCE.match(line), (
            f"{page.name}:{number}: a block begins at the margin, with ```kind or ```kind NAME"
        )
    return [
        Block(match[1], match[2], match[3], f"{page.name}:{text.count(chr(10), 0, match.start(3)) + 1}")
        for match in _BLOCK.finditer(text)
    ]


def written(found: list[Block], folder: Path) -> None:
    """Writes the page's files."""
    for block in found:
        if block.name is None or block.kind == "shell" or block.name in ELSEWHERE:
            continue
        example = DOCS / "examples" / block.name
        if example.exists():
            assert block.text == example.read_text(), f"{block.place}: is not what docs/examples/{block.name} is"
        (folder / block.name).write_text(block.text)


def check_data(block: Block) -> None:
    """Raises if the block is not what it says it is."""
    if block.kind == "python" and block.name is not None:
        compile(block.text, block.place, "exec")  # what runs it, if something does, is another block
    elif block.kind == "json":
        json.loads(block.text)
    elif block.kind == "toml":
        tomllib.loads(block.text)
    elif block.kind == "ini":
        configparser.ConfigParser().read_string(block.text)


def run_program(found: list[Block], folder: Path, package: str | None = None, python: str = sys.executable) -> None:
    """Runs the page's program, or that for a package, and compares what it prints with the `text` blocks."""
    program = [block for block in found if block.kind == "python" and block.name == package]
    told = json.dumps([(block.place, "\n" * (int(block.place.split(":")[1]) - 1) + block.text) for block in program])
    done = subprocess.run(
        [python, "-c", _CHILD], input=told, capture_output=True, text=True, timeout=100, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr
    for block, printed in zip(program, json.loads(done.stdout.splitlines()[-1]), strict=True):
        check_printed(found, block, printed)


def check_printed(found: list[Block], block: Block, printed: str) -> None:
    """Raises if a block prints something else than the `text` block behind it, or something without one."""
    behind = found[found.index(block) + 1 :]
    if behind and behind[0].kind == "text":
        assert printed == behind[0].text, f"{block.place}: prints something else:\n{printed}"
    else:
        assert printed == "", f"{block.place}: prints what the page does not show:\n{printed}"


def run_shell(block: Block, folder: Path) -> None:
    """Runs the commands of a block."""
    text = block.text
    for port in set(_PORT.findall(text)):
        text = text.replace(port, str(_free_port()))
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE)
    assert commands, f"{block.place}: no line begins with $"
    if block.name == "server":
        with _served(commands.pop(0)[0], text, folder):
            _run_all(block, commands, folder)
    else:
        _run_all(block, commands, folder)


def _run_all(block: Block, commands: list[tuple[str, str]], folder: Path) -> None:
    for command, wanted in commands:
        words = shlex.split(command.replace("\\\n", ""), comments=True)
        if words[:2] == ["pip", "install"]:
            for extra in re.findall(r"pyflagwasm\[([a-z,]+)\]", command):
                assert set(extra.split(",")) <= set(EXTRAS), f"{block.place}: {command}"
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=folder,
            check=False,
            env=_environment(),
        )
        assert done.returncode == 0, f"{block.place}: {command}: {done.stdout}{done.stderr}"
        if wanted.strip():
            pattern = "".join(".*" if line.strip() == "..." else re.escape(f"{line}\n") for line in wanted.splitlines())
            printed = f"{done.stdout.removesuffix(chr(10))}\n"
            assert re.fullmatch(pattern, printed, re.DOTALL), f"{block.place}: {command} printed\n{printed}"


def _environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@contextmanager
def _served(command: str, text: str, folder: Path) -> Iterator[None]:
    port = int(re.findall(r"(?:localhost|127\.0\.0\.1):(\d+)", text)[0])
    log = folder / "server.log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            ["bash", "-c", f"exec env {command}"], stdout=said, stderr=said, cwd=folder, env=_environment()
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 30
            while not _answers(port):
                assert server.poll() is None, log.read_text()
                assert time.monotonic() < deadline, f"{command} does not listen on {port}: {log.read_text()}"
            yield
        finally:
            server.terminate()
            server.wait(20)


def _answers(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(0.5)
        return one.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
