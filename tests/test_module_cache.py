"""The file of machine code: used if it is ours and whole, passed over in silence if not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pyflagwasm
from pyflagwasm.runtime import guest, module_cache

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners of files here: nothing is kept")

WASM = b"\0asm and so on"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(module_cache.VARIABLE, str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache"


def ask(built_for: str = "here", wasm: bytes = WASM) -> str:
    """Where what is used comes from."""

    def load(code: bytes) -> str:
        assert code == b"code of " + wasm
        return "file"

    return module_cache.cached(wasm, built_for, lambda: "made", load, lambda made: b"code of " + wasm)


def the_file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_made_once_and_then_loaded(folder: Path) -> None:
    assert [ask() for _ in range(3)] == ["made", "file", "file"]
    assert the_file(folder).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_another_core_or_machine_has_another_file(folder: Path) -> None:
    assert [ask(), ask("elsewhere"), ask(wasm=b"other"), ask(), ask("elsewhere"), ask(wasm=b"other")] == (
        ["made"] * 3 + ["file"] * 3
    )
    assert len(list(folder.iterdir())) == 3


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def replaced_by_a_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


@pytest.mark.parametrize(
    "change",
    [
        flipped,
        replaced_by_a_link,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.chmod(0o620),
        lambda path: path.chmod(0o602),
        lambda path: path.parent.chmod(0o770),
        lambda path: path.parent.chmod(0o703),
    ],
)
def test_what_is_not_whole_or_not_ours_alone_is_not_believed(folder: Path, change: Callable[[Path], object]) -> None:
    ask()
    change(the_file(folder))
    assert ask() == "made"


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can give a file away")
def test_what_belongs_to_somebody_else_is_not_believed(folder: Path) -> None:
    ask()
    os.chown(the_file(folder), 12345, -1)
    assert ask() == "made"
    ask()
    os.chown(folder, 12345, -1)
    assert ask() == "made"


def test_a_file_that_cannot_be_loaded_is_replaced(folder: Path) -> None:
    def refuse(code: bytes) -> str:
        raise RuntimeError("of another version")

    ask()
    the_file(folder).write_bytes(b"older")
    assert module_cache.cached(WASM, "here", lambda: "made", refuse, lambda made: b"code of " + WASM) == "made"
    assert ask() == "file"


def test_off_and_places_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for value in ("off", "/proc/nowhere", str(tmp_path / "file" / "below")):
        (tmp_path / "file").write_text("not a folder")
        monkeypatch.setenv(module_cache.VARIABLE, value)
        assert [ask(), ask()] == ["made", "made"]
    monkeypatch.delenv(module_cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert [ask(), ask()] == ["made", "made"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [ask(), ask()] == ["made", "file"]
    assert the_file(tmp_path / "pyflagwasm").name.startswith("core-")


def test_what_fails_while_making_is_told(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        module_cache.cached(WASM, "here", lambda: 1 // 0, len, bytes)
    assert not folder.exists()


def test_the_core_comes_from_the_file_and_answers(folder: Path) -> None:
    program = (
        "import asyncio, pyflagwasm\n"
        "async def main():\n"
        "    async with pyflagwasm.open('example:flagd') as flags:\n"
        "        print(flags.value_nowait('pre-orders', {'city': 'Ghent'}, None))\n"
        "asyncio.run(main())"
    )
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            timeout=60,
            check=True,
            cwd=Path(pyflagwasm.__file__).parents[1],
        )
        said.append((done.stdout, done.stderr))
        assert the_file(folder).stat().st_size > 100_000
    assert said[0] == said[1]
    compiled = guest.Core(Path(pyflagwasm.__file__).with_name("core.wasm").read_bytes(), keep=True)
    assert compiled.scratch_base == guest.core().scratch_base
