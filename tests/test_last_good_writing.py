"""Writers of a last-known-good file: older ones, many at once, ones that fail and ones that are killed.

PYFLAGWASM_KILLS=1000 makes the last a longer run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyflagwasm.last_good import LastGood, Record, replace_file

ROOT = Path(__file__).parent.parent
KILLS = int(os.environ.get("PYFLAGWASM_KILLS", "100"))
RECORD = Record(b"{}", "https://flags.example/", "auto", "v=1; ...", 42, 1_700_000_000.25)

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have owners and modes on POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.good"


def version(number: int | None, data: bytes = b"d") -> Record:
    return Record(data, "o", "flagd", None, number, 1.0)


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("present", "new", "written"),
    [(42, 41, False), (42, 42, True), (42, 43, True), (42, None, True), (None, 1, True), (None, None, True)],
)
def test_an_older_version_does_not_replace_a_newer_one(
    path: Path, present: int | None, new: int | None, written: bool
) -> None:
    file = LastGood(path)
    first, second = version(present, b"first"), version(new, b"second")
    assert file.save(first)
    assert file.save(second) is written
    assert file.load() == (second if written else first)


def test_what_cannot_be_loaded_is_replaced(path: Path) -> None:
    file = LastGood(path)
    file.save(version(42))
    path.write_bytes(path.read_bytes() + b"!")
    assert file.save(version(1))
    assert file.load() == version(1)


@posix
def test_a_link_is_replaced_and_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    path.symlink_to(target)
    assert LastGood(path).save(RECORD)
    assert target.read_bytes() == b"precious"
    assert LastGood(path).load() == RECORD


# ---------------------------------------------------------------- writing


def calls(monkeypatch: pytest.MonkeyPatch, fail: str = "") -> list[str]:
    """What is done to disks from now on, in order; `fail` raises."""
    done: list[str] = []

    def record(name: str) -> None:
        original: Callable[..., Any] = getattr(os, name)

        def recorded(*arguments: Any, **named: Any) -> Any:
            done.append(name)
            if name == fail:
                raise OSError(28, "No space left on device")
            return original(*arguments, **named)

        monkeypatch.setattr(os, name, recorded)

    for name in ("fsync", "replace", "unlink"):
        record(name)
    return done


def test_the_content_is_on_disk_before_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = calls(monkeypatch)
    LastGood(path).save(RECORD)
    assert done == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("fail", ["fsync", "replace"])
def test_a_failure_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch, fail: str) -> None:
    file = LastGood(path)
    file.save(version(1))
    with monkeypatch.context() as patched:
        done = calls(patched, fail)
        with pytest.raises(OSError, match="No space left on device"):
            file.save(version(2))
        assert done[-1] == "unlink"
    assert os.listdir(path.parent) == [path.name]
    assert file.load() == version(1)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    file = LastGood(tmp_path / "none" / "f")
    assert file.load() is None
    with pytest.raises(FileNotFoundError):
        file.save(RECORD)


@posix
def test_only_own_old_leftovers_are_removed(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = [f".{path.name}.abcd_123.tmp"]
    kept = [
        f".{path.name}.abcd_12.tmp",
        f".{path.name}.ABCD_123.tmp",
        f".{path.name}.abcd_123.tmp2",
        f"{path.name}.abcd_123.tmp",
        ".flagsXgood.abcd_123.tmp",
        ".another.abcd_123.tmp",
    ]
    young = f".{path.name}.young_12.tmp"
    for name in (*old, *kept, young):
        (tmp_path / name).write_bytes(b"")
    for name in (*old, *kept):
        os.utime(tmp_path / name, (0, 0))
    folder, link = f".{path.name}.folder_1.tmp", f".{path.name}.link_123.tmp"
    (tmp_path / folder).mkdir()
    os.utime(tmp_path / folder, (0, 0))
    (tmp_path / link).symlink_to(path)
    os.utime(tmp_path / link, (0, 0), follow_symlinks=False)
    everything = {*kept, young, folder, link, path.name}

    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: os.getuid() + 1)
        replace_file(str(path), b"")
    assert set(os.listdir(tmp_path)) == everything | set(old)
    LastGood(path).save(RECORD)
    assert set(os.listdir(tmp_path)) == everything


WRITER = """
import sys
from pyflagwasm.last_good import LastGood, Record
file = LastGood(sys.argv[1])
for i in range(60):
    file.save(Record(sys.argv[2].encode() * (50_000 + i), sys.argv[2], "auto", None, None, 1.0))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_many_processes_write_one_file(path: Path, tmp_path: Path) -> None:
    file = LastGood(path)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], env=environment()) for name in ("a", "b", "c")
    ]
    seen = set()
    try:
        while any(writer.poll() is None for writer in writers):
            record = file.load()
            if record is not None:
                assert set(record.data) == {ord(record.origin)}
                seen.add(record.origin)
        assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(60)
    assert seen
    assert os.listdir(tmp_path) == [path.name]


# Forks are made in a process of its own, which has no threads and none of the test's open files.
KILLER = """
import os, random, signal, sys, time
from pyflagwasm.last_good import LastGood, Record
path, kills = sys.argv[1], int(sys.argv[2])
file, folder = LastGood(path), os.path.dirname(path)
records = [Record(letter * size, "o", "auto", None, None, 1.0) for letter, size in ((b"a", 300_000), (b"b", 200_001))]
begun = time.monotonic()
for record in records:
    file.save(record)
pace = time.monotonic() - begun  # of both; a kill falls into the first three rounds, however slow the machine is
torn, seen = 0, set()
for _ in range(kills):
    child = os.fork()
    if not child:
        while True:
            for record in reversed(records):
                file.save(record)
    time.sleep(random.uniform(0, 3 * pace))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seen.add(records.index(file.load()))
    for name in os.listdir(folder):
        if name != os.path.basename(path):
            torn += 1
            os.unlink(os.path.join(folder, name))
print(torn, *sorted(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_a_writer_that_is_killed(path: Path) -> None:
    command = [sys.executable, "-c", KILLER, str(path), str(KILLS)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    torn, *seen = done.stdout.split()
    assert int(torn) >= KILLS // 10, "the kills must hit writers at work"
    assert seen == ["0", "1"]
