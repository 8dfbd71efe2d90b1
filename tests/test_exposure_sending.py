"""Sending what was counted: what becomes of batches whose sinks fail, reject, hang or are cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from loops import every_loop, run_on

from pyflagwasm.exposures.counting import Batch, Counter, Rejected
from pyflagwasm.exposures.tally import Tally


class Recorder:
    """A sink that records, and does first what the test says: raise it, await it, or nothing."""

    def __init__(self, *first: Any) -> None:
        self.first = list(first)
        self.batches: list[Batch] = []
        self.tried: list[Batch] = []

    async def send(self, batch: Batch) -> None:
        self.tried.append(batch)
        if self.first:
            what = self.first.pop(0)
            if isinstance(what, Exception):
                raise what
            if what:
                await what()
        self.batches.append(batch)

    @property
    def count(self) -> int:
        return sum(batch.count for batch in self.batches)


def counted(counter: Counter, n: int, flag_key: str = "flag") -> None:
    tally = Tally("evaluated", flag_key, "on", "SPLIT")
    for _ in range(n):
        counter.add(tally)


@asynccontextmanager
async def running(counter: Counter) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(counter.run)
        yield
        tasks.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.lowlevel.checkpoint()


@every_loop
def test_every_interval(loop: str) -> None:
    sinks = Recorder(), Recorder()
    counter = Counter(sinks, interval=0.01)

    async def main() -> None:
        async with running(counter):
            for n in (1, 2, 3):
                counted(counter, n)
                before = len(sinks[0].batches)
                await until(lambda before=before: all(len(sink.batches) > before for sink in sinks))  # type: ignore[misc]

    run_on(loop, main)
    run_on(loop, main)
    assert [sink.count for sink in sinks] == [12, 12]
    assert all(batch.exposures for batch in sinks[0].batches)  # of nothing, nothing is sent
    statistics = counter.statistics()
    assert (statistics.recorded, statistics.sent, statistics.dropped, statistics.pending) == (12, 24, 0, 0)


@every_loop
def test_a_sink_that_fails_and_heals_gets_everything(loop: str) -> None:
    async def main() -> None:
        failing, good = Recorder(OSError("out of\norder"), ValueError(), OSError()), Recorder()
        counter = Counter([failing, good])
        for n in (1, 2, 3):
            counted(counter, n)
            assert not await counter.flush()
        assert good.count == 6
        statistics = counter.statistics()
        assert (statistics.sent, statistics.pending, statistics.failures) == (6, 6, 3)
        assert statistics.last_error == "Recorder: OSError"
        counted(counter, 4)
        assert await counter.flush()
        assert [batch.count for batch in failing.batches] == [1, 2, 3, 4]
        assert len({batch.id for batch in failing.tried}) == 4  # the same id each time
        assert counter.statistics().sent == 20

    run_on(loop, main)


@every_loop
def test_pauses_grow_and_the_others_are_not_held_up(loop: str) -> None:
    async def main() -> None:
        failing, good = Recorder(*[OSError("no luck")] * 1000), Recorder()
        counter = Counter([failing, good], interval=0.002)
        async with running(counter):
            while good.count < 40:
                counted(counter, 1)
                await until(lambda count=good.count: good.count > count)  # type: ignore[misc]
        assert 2 <= len(failing.tried) <= 10
        assert counter.statistics().last_error == "Recorder: OSError: no luck"

    run_on(loop, main)


@every_loop
def test_what_does_not_fit_is_counted(loop: str) -> None:
    async def main() -> None:
        sink = Recorder(*[OSError()] * 5)
        counter = Counter([sink], max_pending=2, max_unknown=0)
        for n in (1, 2, 4, 8, 16):
            counted(counter, n)
            counter.unknown("unknown", "ERROR")
            await counter.flush()
        counted(counter, 32)
        assert await counter.flush()
        # 1, 2, 4 and 8 did not fit, nor did word of the unknown ones of those batches
        assert [batch.count for batch in sink.batches] == [16, 32]
        assert sum(batch.count + batch.dropped for batch in sink.batches) == 63 + 5
        statistics = counter.statistics()
        assert (statistics.recorded, statistics.sent, statistics.dropped, statistics.pending) == (68, 48, 20, 0)

    run_on(loop, main)


@every_loop
def test_what_is_rejected_is_dropped(loop: str) -> None:
    async def main() -> None:
        sink = Recorder(Rejected("all"), Rejected("some", 3))
        counter = Counter([sink])
        for n in (5, 7, 9):
            counted(counter, n)
            assert await counter.flush()
        assert [(batch.count, batch.dropped) for batch in sink.tried] == [(5, 0), (7, 5), (9, 3)]
        statistics = counter.statistics()
        assert (statistics.recorded, statistics.sent, statistics.dropped, statistics.failures) == (21, 13, 8, 2)

    run_on(loop, main)


@every_loop
def test_a_sink_that_hangs_holds_up_nobody(loop: str) -> None:
    async def main() -> None:
        hanging, good = Recorder(anyio.sleep_forever), Recorder()
        counter = Counter([hanging, good], interval=0.002, deadline=0.1)
        async with running(counter):
            counted(counter, 1)
            await until(lambda: good.count == 1)
            counted(counter, 1)
            await until(lambda: good.count == 2)
            assert hanging.count == 0
            await until(lambda: hanging.count == 2)  # it was cancelled and tried again
        assert len(hanging.tried) == 3

    run_on(loop, main)


@every_loop
def test_flushing_is_bounded(loop: str) -> None:
    async def main() -> None:
        hanging, good = Recorder(anyio.sleep_forever), Recorder()
        counter = Counter([hanging, good])
        counted(counter, 3)
        assert not await counter.flush(0.02)
        assert (hanging.count, good.count) == (0, 3)
        assert counter.statistics().pending == 3
        assert await counter.flush()
        assert hanging.count == 3
        counted(counter, 1)
        await counter.flush(0)
        assert await counter.flush()
        assert (hanging.count, good.count) == (4, 4)

    run_on(loop, main)


@every_loop
def test_cancelled_in_the_middle_nothing_is_lost(loop: str) -> None:
    async def main() -> None:
        hanging = Recorder(anyio.sleep_forever)
        counter = Counter([hanging], interval=0.001)
        async with running(counter):
            counted(counter, 3)
            await until(lambda: len(hanging.tried) == 1)
            counted(counter, 4)
        counted(counter, 5)
        assert await counter.flush()
        assert hanging.count == 12
        assert hanging.tried[0].id == hanging.tried[1].id

    run_on(loop, main)


@every_loop
def test_cancelled_while_draining_nothing_is_lost(loop: str) -> None:
    async def main() -> None:
        for turns in range(20):
            sink = Recorder()
            counter = Counter([sink])
            for n in range(1000):
                counted(counter, 2, f"flag {n}")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(counter.flush)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert await counter.flush()
            assert sink.count == 2000

    run_on(loop, main)


@every_loop
def test_flushing_beside_a_run_sends_nothing_twice(loop: str) -> None:
    async def main() -> None:
        go = anyio.Event()
        sink = Recorder(go.wait)
        counter = Counter([sink], interval=0.001)
        async with running(counter):
            counted(counter, 3)
            await until(lambda: len(sink.tried) == 1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(counter.flush)
                tasks.start_soon(counter.flush)
                await anyio.wait_all_tasks_blocked()
                counted(counter, 4)
                go.set()
        assert await counter.flush()
        assert sink.count == 7
        assert len({batch.id for batch in sink.tried}) == len(sink.tried)

    run_on(loop, main)


@every_loop
def test_the_batch_that_is_being_sent_is_not_dropped(loop: str) -> None:
    async def main() -> None:
        go = anyio.Event()
        sink = Recorder(go.wait)
        counter = Counter([sink], interval=0.001, max_pending=1)

        def arrived() -> int:
            return counter.statistics().pending + counter.statistics().dropped

        async with running(counter):
            for n in (1, 2, 4):
                counted(counter, n)
                await until(lambda n=n: bool(sink.tried) and arrived() == 2 * n - 1)  # type: ignore[misc]
            go.set()
            await until(lambda: counter.statistics().pending == 0)
        assert [(batch.count, batch.dropped) for batch in sink.batches] == [(1, 0), (4, 2)]

    run_on(loop, main)


@every_loop
def test_a_forked_child_forgets(loop: str) -> None:
    async def main() -> None:
        sink = Recorder(OSError())
        counter = Counter([sink])
        counted(counter, 3)
        await counter.flush()
        tally = Tally("evaluated", "flag", "on", "SPLIT")
        counter.add(tally)
        counter.unknown("unknown", "ERROR")
        counter.forget()
        assert counter.statistics() == Counter([]).statistics()
        assert await counter.flush()
        assert sink.count == 0
        counter.add(tally)  # is counted from here
        counter.unknown("unknown", "ERROR")
        assert await counter.flush()
        assert [exposure.count for exposure in sink.batches[0].exposures] == [1, 1]

    run_on(loop, main)


def test_wrong_arguments() -> None:
    for wrong in ({"interval": 0}, {"deadline": -1}, {"max_pending": 0}, {"max_unknown": -1}):
        with pytest.raises(ValueError, match="must be"):
            Counter([], **wrong)  # type: ignore[arg-type]
