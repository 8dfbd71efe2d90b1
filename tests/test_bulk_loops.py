"""Tables in event loops and in other processes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import time
from typing import Any

import pyarrow as pa
import pytest
from bulk_people import SOURCE, TABLE, endless, expected
from evaluators import new_loop

from pyflagwasm.bulk import BulkEvaluator

# ---------------------------------------------------------------- event loops


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_in_an_event_loop(loop: str, threads: int) -> None:
    async def run() -> list[pa.RecordBatch]:
        with BulkEvaluator(SOURCE, now=5, threads=threads, chunk_rows=700) as bulk:
            return [batch async for batch in bulk.astream(TABLE)]

    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        assert pa.Table.from_batches(runner.run(run())).equals(expected())


def test_on_trio() -> None:
    trio = pytest.importorskip("trio")

    async def run() -> int:
        with BulkEvaluator(SOURCE, chunk_rows=700) as bulk:
            return sum([batch.num_rows async for batch in bulk.astream(TABLE)])

    assert trio.run(run) == 5000


@pytest.mark.parametrize("threads", [1, 2])
def test_cancelled_between_two_chunks(threads: int) -> None:
    pulled: list[int] = []

    async def run() -> None:
        with BulkEvaluator(SOURCE, threads=threads) as bulk:
            seen, begun = 0, asyncio.Event()

            async def forever() -> None:
                nonlocal seen
                async with contextlib.aclosing(bulk.astream(endless(pulled))) as batches:
                    async for batch in batches:
                        seen += batch.num_rows
                        begun.set()

            task = asyncio.create_task(forever())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            count = len(pulled)
            assert seen >= 500
            assert count <= seen // 500 + threads + 3
            assert bulk.table(TABLE).num_rows == 5000
            assert len(pulled) == count

    asyncio.run(run())


def test_the_loop_goes_on_meanwhile() -> None:
    """What the loop is late by while it has nothing to do but to look at the clock."""
    big = pa.concat_tables([TABLE] * 100)

    async def run() -> tuple[list[float], int]:
        late: list[float] = []
        rows, done = 0, asyncio.Event()

        async def watch() -> None:
            while not done.is_set():
                before = time.perf_counter()
                await asyncio.sleep(0)
                late.append(time.perf_counter() - before)

        watching = asyncio.create_task(watch())
        with BulkEvaluator(SOURCE) as bulk:
            async for batch in bulk.astream(big):
                rows += batch.num_rows
        done.set()
        await watching
        return late, rows

    late, rows = asyncio.run(run())
    assert rows == 500_000
    assert sorted(late)[len(late) * 99 // 100] < 0.02


# ---------------------------------------------------------------- other processes


def _in_child(data: bytes, queue: Any) -> None:
    bulk = pickle.loads(data)
    queue.put(bulk.table(TABLE).to_pydict())


def test_pickled_into_another_process() -> None:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    with BulkEvaluator(SOURCE, now=5, columns={"plan": "plan"}, keep=[], threads=2) as bulk:
        bulk.table(TABLE)
        process = context.Process(target=_in_child, args=(pickle.dumps(bulk), queue))
        process.start()
        assert queue.get(timeout=60) == expected().to_pydict()
        process.join()


def test_another_core_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pickle.dumps(BulkEvaluator(SOURCE))
    monkeypatch.setattr("pyflagwasm.bulk.evaluator._digest", "f" * 64)
    with pytest.raises(Exception, match="install the same version of pyflagwasm in both"):
        pickle.loads(data)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_in_a_forked_child() -> None:
    with BulkEvaluator(SOURCE, now=5, threads=2, chunk_rows=500) as bulk:
        wanted = bulk.table(TABLE)
        fresh = BulkEvaluator(SOURCE, now=5)
        with bulk._lock, fresh._answers[0]._lock:  # of threads that the child does not have
            child = os.fork()
            if not child:
                good = (
                    fresh.table(TABLE).equals(wanted)
                    and bulk.batch(TABLE.combine_chunks().to_batches()[0]).to_pydict() == wanted.to_pydict()
                )
                os._exit(0 if good else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
