"""The file source: what it sees of a file that is replaced, written, removed and linked, and what a run leaves."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from loops import RecordingSink, every_loop, run_on

from pyflagwasm.sources.base import Document
from pyflagwasm.sources.file import FileSource, _Delivery, _trail_of


def document(n: int, size: int = 0) -> bytes:
    return json.dumps({"n": n, "pad": "x" * size}).encode()


def is_json(given: Document) -> bool:
    try:
        json.loads(given.data)
    except ValueError:
        return False
    return True


@asynccontextmanager
async def running(source: FileSource, sink: RecordingSink) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.run, sink)
        yield
        tasks.cancel_scope.cancel()


async def serves(sink: RecordingSink, data: bytes, seconds: float = 2) -> None:
    await sink.until(lambda: sink.accepted[-1:] == [data], seconds)


def replace(path: Path, data: bytes) -> None:
    new = path.with_name("new")
    new.write_bytes(data)
    new.rename(path)


@every_loop
def test_renaming_writing_in_place_and_running_again(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(document(0))
    source = FileSource(path)  # the floor is too slow for this test: it is the events that are seen

    async def main() -> None:
        sink = RecordingSink(is_json)
        async with running(source, sink):
            await serves(sink, document(0))
            await sink.until(lambda: sink.confirmed > 0)  # read again at rest
            for n in (1, 2, 3):
                replace(path, document(n))
                await serves(sink, document(n))
            path.write_bytes(document(4))
            await serves(sink, document(4))
            data = document(5, 5000)
            with path.open("wb", buffering=0) as file:
                for start in range(0, len(data), 100):
                    file.write(data[start : start + 100])
                    await anyio.lowlevel.checkpoint()
            await serves(sink, data)
        assert sink.accepted == [document(n) for n in range(5)] + [data]
        assert sink.failures == []

    run_on(loop, main)
    path.write_bytes(document(0))
    run_on(loop, main)


@every_loop
def test_what_was_refused_is_offered_again_once_touched(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(b"{")
    looks = 0
    source = FileSource(path, poll=0.02)
    look = source._look

    def counted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        return look(*arguments)

    source._look = counted  # type: ignore[method-assign]

    async def main() -> None:
        sink = RecordingSink(is_json)
        async with running(source, sink):
            while looks < 10:
                await anyio.lowlevel.checkpoint()
            assert [given.data for given in sink.offered] == [b"{"]
            os.utime(path, ns=(1, 1))
            await sink.until(lambda: len(sink.offered) == 2)
            replace(path, document(1))
            await serves(sink, document(1))
            await sink.until(lambda: sink.confirmed > 2)  # reached, with nothing new
            os.utime(path, ns=(2, 2))
            confirmed = sink.confirmed
            await sink.until(lambda: sink.confirmed > confirmed + 2)
        assert len(sink.offered) == 3

    run_on(loop, main)


@every_loop
def test_removing_and_returning(loop: str, tmp_path: Path) -> None:
    folder = tmp_path / "etc" / "flags"
    path = folder / "flags.json"
    source = FileSource(path)

    async def main() -> None:
        sink = RecordingSink(is_json)

        async def fails(cause: str) -> None:
            sink.failures.clear()
            await sink.until(lambda: any(cause in failure for failure in sink.failures), 3)

        async with running(source, sink):
            await sink.until(lambda: len(sink.failures) > 1)  # before and after the watch began
            assert set(sink.failures) == {"cannot be read: No such file or directory"}
            folder.mkdir(parents=True)
            path.write_bytes(document(1))
            await serves(sink, document(1))
            path.unlink()
            await fails("No such file")
            path.mkdir()
            await fails("Is a directory")
            path.rmdir()
            os.mkfifo(path)
            await fails("not a regular file")
            path.unlink()
            path.write_bytes(document(2))
            await serves(sink, document(2))
            path.unlink()
            folder.rmdir()  # and made anew at once, with the same number of its inode on many file systems
            folder.mkdir()
            path.write_bytes(document(3))
            await serves(sink, document(3))
            replace(path, document(33))
            await serves(sink, document(33))
            folder.rename(tmp_path / "old")
            await fails("No such file")
            folder.mkdir()
            replace(path, document(4))
            await serves(sink, document(4))
            replace(path, document(5))
            await serves(sink, document(5))

    run_on(loop, main)


@every_loop
def test_a_config_map(loop: str, tmp_path: Path) -> None:
    mount = tmp_path / "mount"

    def publish(n: int) -> None:
        folder = mount / f"..2024_{n}"
        folder.mkdir(parents=True)
        (folder / "flags.json").write_bytes(document(n))
        (mount / "..data_tmp").symlink_to(folder.name)
        (mount / "..data_tmp").rename(mount / "..data")
        if n > 1:  # the first swap is told by nothing but the link
            (mount / f"..2024_{n - 1}" / "flags.json").unlink()
            (mount / f"..2024_{n - 1}").rmdir()

    publish(0)
    (mount / "flags.json").symlink_to("..data/flags.json")
    link = tmp_path / "link"  # and the mount itself behind a link
    link.symlink_to(mount)

    async def main() -> None:
        sink = RecordingSink(is_json)
        async with running(FileSource(link / "flags.json"), sink):
            for n in range(4):
                if n:
                    publish(n)
                await serves(sink, document(n))
            (mount / "..2024_3" / "flags.json").write_bytes(document(33))  # where the links lead now
            await serves(sink, document(33))
            assert sink.failures == []
            link.unlink()
            (tmp_path / "flags.json").write_bytes(document(4))
            link.symlink_to(".")
            await serves(sink, document(4))

    run_on(loop, main)


@every_loop
@pytest.mark.parametrize("write", [Path.write_bytes, replace])
def test_a_thousand_writes(loop: str, write: Callable[[Path, bytes], object], tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(document(0))
    last = document(1000, 20_000)

    def write_all() -> None:
        for n in range(1, 1001):
            write(path, document(n, 20_000))

    async def main() -> None:
        sink = RecordingSink(is_json)
        async with running(FileSource(path), sink):
            await sink.until(lambda: sink.confirmed > 0)
            await anyio.to_thread.run_sync(write_all)
            await serves(sink, last)
        whole = {len(document(0))} | {len(document(n, 20_000)) for n in (1, 10, 100, 1000)}
        assert {len(data) for data in sink.accepted} <= whole
        assert len(sink.accepted) < 100

    run_on(loop, main)


@every_loop
@pytest.mark.parametrize("unrest", [10, 0])
def test_only_what_is_at_rest_is_offered(loop: str, unrest: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.sources.file.QUIET", 0.001)
    monkeypatch.setattr("pyflagwasm.sources.file.UNREST", unrest)
    first, partial, whole = (Document(data, "x") for data in (b"first", b"par", b"whole"))
    seen: list[tuple[Any, Any]] = [((1,), first), ((2,), "cannot be read"), ((3,), partial), ((4,), whole)]

    async def main() -> None:
        left = iter(seen)

        def read(known: Any) -> Any:
            identity, found = next(left, seen[-1])
            return (identity, None) if identity == known else (identity, found)

        sink = RecordingSink()
        delivery = _Delivery(read, sink)
        for _ in range(4):
            await delivery.look()
        if unrest:
            assert (sink.offered, sink.failures, sink.confirmed) == ([first, whole], [], 2)
        else:  # a file that never rests is taken as it is
            assert (sink.offered, sink.failures) == ([first, partial, whole], ["cannot be read"])

    run_on(loop, main)


@every_loop
def test_signatures(loop: str, tmp_path: Path) -> None:
    path, sidecar = tmp_path / "flags.json", tmp_path / "flags.json.sig"
    path.write_bytes(document(0))

    async def main() -> None:
        sink = RecordingSink()
        async with running(FileSource(path, signature_path=True), sink):
            await sink.until(lambda: sink.confirmed > 0)
            assert sink.offered == [Document(document(0), str(path), None)]
            sidecar.write_text("signed")
            await sink.until(lambda: sink.offered[-1].signature == "signed", 2)
            assert sink.offered[-1].data == document(0)
            replace(path, document(1))
            await serves(sink, document(1))
            sidecar.write_bytes(bytes([255]))
            await sink.until(lambda: bool(sink.failures), 2)
            assert str(sidecar) in sink.failures[0]
            sidecar.unlink()
            await sink.until(lambda: sink.offered[-1].signature is None, 2)
        async with running(FileSource(path, signature_path=tmp_path / "other"), sink):
            (tmp_path / "other").write_text("other")
            await sink.until(lambda: sink.offered[-1].signature == "other", 2)

    run_on(loop, main)


def test_the_folders_that_are_watched(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "link").symlink_to("mount")
    (tmp_path / "mount" / "flags.json").symlink_to("../none/flags.json")
    trail = [os.path.relpath(os.path.join(*step), tmp_path) for step in _trail_of(str(tmp_path / "link/flags.json"))]
    assert trail == ["link", "mount/flags.json", "none"]


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.sources.file.MOST", 1 << 20)
    path = tmp_path / "flags.json"
    path.write_bytes(bytes((1 << 20) + 1))

    async def main() -> None:
        sink = RecordingSink()
        async with running(FileSource(path), sink):
            await sink.until(lambda: bool(sink.failures))
            path.write_bytes(bytes(1 << 20))
            await serves(sink, bytes(1 << 20))
        assert set(sink.failures) == {"cannot be read: more than 1 MiB"}

    run_on("asyncio", main)


def watching() -> int:
    """How many descriptors of this process watch folders."""
    found = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            found += "inotify" in os.readlink(f"/proc/self/fd/{descriptor}")
    return found


@every_loop
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks at the process's descriptors")
def test_a_cancelled_run_leaves_nothing_behind(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(document(0))
    threads = threading.active_count()
    while watching():  # of tests before
        time.sleep(0)

    async def main() -> None:
        sink = RecordingSink()
        async with running(FileSource(path), sink):
            await sink.until(lambda: sink.confirmed > 0)
            assert watching() > 0
            start = time.monotonic()
        assert time.monotonic() - start < 2  # the thread that watches was told, and did not wait for its timeout
        while watching():  # the last of the library's threads ends by itself
            await anyio.lowlevel.checkpoint()

    for _ in range(3):
        run_on(loop, main)
    if loop != "trio":  # which keeps idle threads for ten seconds
        for thread in threading.enumerate():
            if thread.name.startswith("AnyIO"):
                thread.join(5)
        assert threading.active_count() <= threads


@every_loop
def test_without_events_it_is_looked_at_all_the_same(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network mount, and when the system has no watches left."""
    path = tmp_path / "flags.json"
    path.write_bytes(document(0))

    def broken(*folders: str, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.awatch", broken)

    async def main() -> None:
        sink = RecordingSink()
        async with running(FileSource(path, floor=0.05), sink):
            await serves(sink, document(0))
            replace(path, document(1))
            await serves(sink, document(1))
        assert "cannot be watched, looked at every 0.05 s: No space left on device" in sink.failures

    run_on(loop, main)


def test_what_is_no_path(tmp_path: Path) -> None:
    for wrong in (1, b"flags.json"):
        with pytest.raises(TypeError):
            FileSource(wrong)  # type: ignore[arg-type]
    for seconds in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            FileSource("x", poll=seconds)

    async def main() -> None:
        for path, cause in (
            ("\0", "embedded null byte"),
            (str(tmp_path / "loop"), "Too many levels of symbolic links"),
        ):
            sink = RecordingSink()
            async with running(FileSource(path), sink):
                await sink.until(lambda sink=sink: len(sink.failures) > 1)  # type: ignore[misc]
            assert set(sink.failures) == {f"cannot be read: {cause}"}

    (tmp_path / "loop").symlink_to("loop")
    run_on("asyncio", main)
