"""The sinks that call a function and that write a file that is shared, or whose disk is full or hangs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import pytest
from loops import every_loop, run_on

from pyflagwasm.exposures.counting import Batch, Counter, Exposure, Rejected, Tally
from pyflagwasm.exposures.sinks import CallbackSink, JsonLinesSink


def batch(n: int = 1, *, dropped: int = 0, metadata: Any = MappingProxyType({"feature": "f"})) -> Batch:
    exposures = [Exposure("evaluated", f"flag-{i}", "on", "SPLIT", i + 1, 3, metadata) for i in range(n)]
    return Batch(10.0, 20.0, tuple(exposures), dropped)


# ---------------------------------------------------------------- functions


class Called:
    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def __call__(self, batch: Batch) -> None:
        self.batches.append(batch)


@every_loop
def test_functions(loop: str) -> None:
    async def main() -> None:
        called, sent = Called(), batch()
        threads = []

        def sync(batch: Batch) -> None:
            called.batches.append(batch)
            threads.append(threading.current_thread())

        for function in (called, called.__call__, sync, lambda batch: called(batch)):
            await CallbackSink(function).send(sent)
        assert called.batches == [sent] * 4
        assert threads != [threading.current_thread()]

        def failing(batch: Batch) -> None:
            raise OSError("no luck")

        with pytest.raises(OSError, match="no luck"):
            await CallbackSink(failing).send(sent)

    run_on(loop, main)


@every_loop
def test_a_function_that_hangs_is_left_behind(loop: str) -> None:
    release = threading.Event()

    async def main() -> None:
        counter = Counter([CallbackSink(lambda batch: release.wait(30))], deadline=0.05)
        counter.unknown("flag", "ERROR")
        assert not await counter.flush()
        assert counter.statistics().last_error == "CallbackSink: TimeoutError"
        release.set()
        assert await counter.flush()

    run_on(loop, main)


# ---------------------------------------------------------------- files


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@every_loop
@pytest.mark.parametrize("fsync", [False, True])
def test_lines(loop: str, fsync: bool, tmp_path: Path) -> None:
    path = tmp_path / "exposures.jsonl"
    sink = JsonLinesSink(path, fsync=fsync)

    async def main() -> None:
        first, second = batch(2), batch(1, dropped=7, metadata={"nested": MappingProxyType({"é": 1.5})})
        await sink.send(first)
        path.rename(tmp_path / "rotated")
        await sink.send(second)
        await sink.send(Batch(20, 30, ()))
        every = {"since": 10.0, "until": 20.0, "batch": first.id}
        outcome = {"kind": "evaluated", "variant": "on", "reason": "SPLIT", "generation": 3}
        assert lines(tmp_path / "rotated") == [
            {"flag_key": "flag-0", "count": 1, "metadata": {"feature": "f"}} | outcome | every,
            {"flag_key": "flag-1", "count": 2, "metadata": {"feature": "f"}} | outcome | every,
        ]
        assert lines(path)[0]["metadata"] == {"nested": {"é": 1.5}}
        assert lines(path)[1:] == [{"kind": "dropped", "count": 7} | every | {"batch": second.id}]
        path.unlink()
        path.write_text("half a li")  # of a process that was killed
        await sink.send(first)
        assert path.read_text().startswith('half a li\n{"kind"')
        for metadata in ({"a": object()}, {"a": float("nan")}, {1: {(): 1}}):
            with pytest.raises(Rejected, match="no JSON"):
                await sink.send(batch(metadata=metadata))
        assert len(path.read_text().splitlines()) == 3
        with pytest.raises(FileNotFoundError):
            await JsonLinesSink(tmp_path / "none" / "file").send(first)

    run_on(loop, main)


WRITES = """
import sys, anyio
sys.path.insert(0, sys.argv[2])
from pyflagwasm.exposures.counting import Batch, Exposure
from pyflagwasm.exposures.sinks import JsonLinesSink

async def main():
    sink = JsonLinesSink(sys.argv[1])
    text = "x" * 100
    for n in range(50):
        await sink.send(Batch(n, n, tuple(Exposure("evaluated", text, str(i), "SPLIT", 1) for i in range(100))))
    sys.stdout.write("done")

anyio.run(main)
"""
ROOT = str(Path(__file__).parent.parent)


def test_processes_that_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "exposures.jsonl"
    command = [sys.executable, "-c", WRITES, str(path), ROOT]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == [b"done"] * 4
    found = lines(path)
    assert len(found) == 4 * 50 * 100
    batches = [found[i : i + 100] for i in range(0, len(found), 100)]
    assert all(len({line["batch"] for line in batch}) == 1 for batch in batches)  # not even between each other


FULL = """
import resource, sys, anyio
sys.path.insert(0, sys.argv[2])
from pyflagwasm.exposures.counting import Batch, Exposure
from pyflagwasm.exposures.sinks import JsonLinesSink

async def main():
    sink = JsonLinesSink(sys.argv[1])
    batch = Batch(1, 2, tuple(Exposure("evaluated", "flag", str(i), "SPLIT", 1) for i in range(10)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
    sent = 0
    for _ in range(5):
        try:
            await sink.send(batch)
            sent += 1
        except OSError as error:
            sys.stdout.write(f"{error}\\n")
    sys.stdout.write(str(sent))

anyio.run(main)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no limits of file sizes")
def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "exposures.jsonl"
    process = subprocess.run([sys.executable, "-c", FULL, path, ROOT], capture_output=True, timeout=60, check=True)
    *errors, sent = process.stdout.decode().splitlines()
    assert len(lines(path)) == 10 * int(sent)
    assert len(errors) == 5 - int(sent) > 0
    assert "bytes could be written" in errors[0]


@every_loop
def test_what_is_being_written_when_it_is_cancelled_is_written_once(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "exposures.jsonl"

    async def main() -> None:
        started = anyio.Event()
        release = threading.Event()

        class Slow(JsonLinesSink):
            def _append(self, batch: Batch) -> None:
                anyio.from_thread.run_sync(started.set)
                release.wait(30)
                super()._append(batch)

        counter = Counter([Slow(path)], interval=0.001)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(counter.run)
            counter.add(Tally("evaluated", "flag", "on", "SPLIT"))
            await started.wait()
            tasks.cancel_scope.cancel()
            release.set()
        assert counter.statistics().pending == 0
        assert await counter.flush()
        assert len(lines(path)) == 1

    run_on(loop, main)


@every_loop
def test_a_disk_that_hangs_is_given_up(loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.exposures.sinks.GRACE", 0.05)
    release = threading.Event()

    async def main() -> None:
        class Hanging(JsonLinesSink):
            def _append(self, batch: Batch) -> None:
                release.wait(30)

        with pytest.raises(TimeoutError):
            await Hanging(tmp_path / "x").send(batch())
        release.set()

    run_on(loop, main)
