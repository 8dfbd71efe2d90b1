"""`pyflagwasm serve` as a process: what it prints, what it follows, how it ends, and what it refuses."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from evaluators import ON_OFF, Capture, document, flag, run
from served import FLAGS, JSON

import pyflagwasm.cli.serve as command
from pyflagwasm.cli import serve
from pyflagwasm.cli.output import BadInput

ROOT = Path(__file__).parent.parent
ON, OFF = (document(f=flag(ON_OFF, each)) for each in ("on", "off"))
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


class Process:
    def __init__(self, process: subprocess.Popen[str], lines: list[str]) -> None:
        self.process, self.lines, self.line = process, lines, lines[-1]
        found = re.search(r"OFREP at http://[^ ]+?:(\d+)", self.line)
        assert found is not None
        self.port = int(found[1])

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, "{}" if method == "POST" else None, {**JSON, **headers})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def value(self) -> Any:
        return self.ask("POST", f"{FLAGS}/f")[1].get("value")

    def end(self, with_signal: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(with_signal)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


@contextmanager
def started(*arguments: str, **more: str) -> Iterator[Process]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pyflagwasm", "serve", *arguments, "--port", "0"],
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while lines[-1] and "OFREP at" not in lines[-1]:
            lines.append(process.stderr.readline())
        assert lines[-1], lines
        yield Process(process, lines)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)


# ---------------------------------------------------------------- a process


@posix
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_it_serves_and_ends(ending: signal.Signals) -> None:
    with started("example:flagd", "--no-inspector") as served:
        assert served.line == f"pyflagwasm: example:flagd: OFREP at http://127.0.0.1:{served.port}\n"
        status, answer = served.ask("POST", f"{FLAGS}/opening-hours")
        assert (status, answer["value"]) == (200, "7:30-18:30")
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        connection.request("GET", "/ofrep/v1/events")  # keeps nothing from ending
        assert connection.getresponse().readline()
        assert served.end(ending) == (0, "")
        connection.close()
        assert served.process.stdout is not None
        assert served.process.stdout.closed or served.process.stdout.read() == ""


@posix
def test_it_follows_the_file(tmp_path: Path) -> None:
    path, new = tmp_path / "flags.json", tmp_path / "new"
    path.write_bytes(ON)
    with started(str(path)) as served:
        assert served.value() is True
        for written, expected in ((OFF, False), (b"{", False), (ON, True)):
            new.write_bytes(written)
            new.replace(path)
            for _ in range(2_000):
                if served.ask("GET", "/healthz")[1]["state"] == ("STALE" if written == b"{" else "READY"):
                    if served.value() is expected:
                        break
            assert served.value() is expected
        code, err = served.end()
    assert code == 0
    second, trouble, third, well = err.splitlines()
    assert [second, third] == [f"pyflagwasm: generation {number} of {path} is live" for number in (2, 3)]
    assert trouble.startswith(f"pyflagwasm: the source {path}: $: not valid JSON")
    assert well == f"pyflagwasm: the source {path} is well again"
    assert "Traceback" not in err


@posix
def test_it_asks_for_the_token(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(ON)
    with started(str(path), "--no-watch", "--public", "--host", "127.0.0.1", PYFLAGWASM_TOKEN="hush hush") as served:
        assert "everybody" not in served.line
        assert served.ask("POST", f"{FLAGS}/f")[0] == 401
        assert served.ask("POST", f"{FLAGS}/f", Host="x.example", Authorization="Bearer hush hush")[0] == 200
        assert served.ask("GET", "/healthz")[0] == 200
        code, err = served.end()
    assert (code, "hush" in served.line + err) == (0, False)


@posix
def test_a_url_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://me:secret@127.0.0.1:{nobody.getsockname()[1]}/flags?key=secret"
        nobody.close()
        with started(url) as served:
            assert served.ask("GET", "/healthz") == (503, {"state": "NOT_READY", "generation": 0})
            code, err = served.end()
    told = "".join(served.lines) + err
    assert (code, "secret" in told, "Traceback" in told) == (0, False, False)
    assert told.count("there is no configuration yet") == 1


# ---------------------------------------------------------------- what it refuses


def refused(capsys: Capture, *arguments: str) -> str:
    code, out, err = run(capsys, "serve", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("pyflagwasm: ")
    assert err.count("\n") == 1
    return err


def test_a_port_in_use(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        err = refused(capsys, "example:flagd", "--port", str(port))
        assert err == f"pyflagwasm: cannot listen on 127.0.0.1, port {port}: Address already in use\n"


def test_a_port_that_is_not_allowed(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_server(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(serve.socket, "create_server", create_server)
    err = refused(capsys, "example:flagd", "--port", "80")
    assert err == "pyflagwasm: cannot listen on 127.0.0.1, port 80: Permission denied\n"


@pytest.mark.parametrize("both", [True, False])
def test_public_is_all_addresses(capsys: Capture, monkeypatch: pytest.MonkeyPatch, both: bool) -> None:
    asked: list[Any] = []

    def create_server(address: Any, **how: Any) -> Any:
        asked.append((address[:2], how))
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(serve.socket, "has_dualstack_ipv6", lambda: both)
    monkeypatch.setattr(serve.socket, "create_server", create_server)
    err = refused(capsys, "example:flagd", "--public", "--port", "99")
    assert err == "pyflagwasm: cannot listen on all addresses, port 99: Permission denied\n"
    family = socket.AF_INET6 if both else socket.AF_INET
    assert asked == [(("::" if both else "0.0.0.0", 99), {"family": family, "dualstack_ipv6": both})]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["example:nope"], "there is no example 'nope'"),
        (["nowhere.json"], "nowhere.json: cannot be read: No such file or directory"),
        (["example:flagd", "--format", "nope"], "nope"),
        (["example:flagd", "--options", "[]"], "--options: must be an object"),
        (["example:flagd", "--options", '{"nope": 1}'], "nope"),
        (["example:flagd", "--port", "65536"], "--port: must be from 0 to 65535"),
        (["example:flagd", "--port", "x"], "--port"),
        (["example:flagd", "--host", "0.0.0.0"], "--host: other machines reach 0.0.0.0: say --public"),
        (["example:flagd", "--host", "no-such-host.invalid"], "--host: 'no-such-host.invalid' cannot be found"),
        (["example:flagd", "--cors", "shop.example"], "--cors: 'shop.example' is not an origin such as"),
        (["example:flagd", "--cors", "https://shop.example/x"], "without a path"),
        (
            ["example:flagd", "--cors", "https://shop.example/"],
            "is an origin but for the slash at its end: write 'https://shop.example'",
        ),
        (["http://"], "CONFIG: url must be a URL"),
        (["example:flagd", "--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_what_cannot_be_used(capsys: Capture, arguments: list[str], words: str) -> None:
    assert words in refused(capsys, *(["--port", "0"] if "--port" not in arguments else []), *arguments)


def test_a_configuration_that_is_bad(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(b'{"flags": {"f": 1}}')
    for more in ([], ["--no-watch"]):
        assert f"{path}: flags.f" in refused(capsys, str(path), "--port", "0", *more)


def test_an_empty_token(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(command.TOKEN, "")
    assert "PYFLAGWASM_TOKEN is empty" in refused(capsys, "example:flagd")


@posix
def test_a_token_that_is_no_text(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(command.TOKEN, os.fsdecode(b"\xff"))
    assert "PYFLAGWASM_TOKEN is not UTF-8" in refused(capsys, "example:flagd")


def test_origins_are_as_browsers_send_them() -> None:
    assert [command._origin(each) for each in ("HTTPS://Shop.example:8443", "*")] == ["https://shop.example:8443", "*"]
    for each in ("http://", "http://:80", "http://[", "https://shop.example:x"):
        with pytest.raises(BadInput, match="is not an origin such as"):
            command._origin(each)


@pytest.mark.parametrize(("package", "extra"), [("uvicorn", "serve"), ("starlette", "serve"), ("httpx2", "http")])
def test_a_package_that_is_missing(capsys: Capture, package: str, extra: str) -> None:
    """In a process of its own, in which the package cannot be imported."""
    program = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from pyflagwasm.cli import main\n"
        "sys.exit(main(['serve', 'http://127.0.0.1:1/', '--port', '0']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"the package {package}: pip install 'pyflagwasm[{extra}]'" in done.stderr
