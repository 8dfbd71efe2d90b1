"""Counting and draining: exact totals while threads count, what is merged, and bounds."""

from __future__ import annotations

import dis
import sys
import threading
from typing import Any

import anyio
import pytest
from loops import every_loop, run_on

from pyflagwasm.exposures.counting import LONGEST_KEY, Batch, Counter, Exposure
from pyflagwasm.exposures.sinks import CallbackSink
from pyflagwasm.exposures.tally import Tally


def test_draining() -> None:
    now = 10.0
    counter = Counter([], clock=lambda: now)
    a = Tally("evaluated", "a", "on", "SPLIT", {"feature": "f"}, 3)
    same = Tally("evaluated", "a", "on", "SPLIT", {"feature": "f"}, 3)
    others = [
        Tally("evaluated", "a", "on", "SPLIT", {"feature": "g"}, 3),
        Tally("evaluated", "a", "on", "SPLIT", {"feature": "f"}, 4),
        Tally("evaluated", "a", "off", "SPLIT", {"feature": "f"}, 3),
        Tally("defaulted", "a", None, "DEFAULT", {"feature": "f"}, 3),
    ]
    for tally in (a, a, same, *others, a):
        counter.add(tally)
    assert len(counter.touched) == 6
    now = 20.0
    batch = counter.drain()
    assert (batch.since, batch.until, batch.dropped, batch.count) == (10, 20, 0, 8)
    assert batch.exposures[0] == Exposure("evaluated", "a", "on", "SPLIT", 4, 3, {"feature": "f"})
    assert [exposure.count for exposure in batch.exposures] == [4, 1, 1, 1, 1]
    assert not counter.touched
    assert (counter.drain().exposures, counter.drain().since) == ((), 20)
    counter.add(a)
    assert counter.drain().count == 1
    assert counter.statistics().recorded == 9
    assert batch.id != counter.drain().id


def test_unknown_flags_are_bounded() -> None:
    counter = Counter([], max_unknown=3)
    for n in range(5):
        for _ in range(n + 1):
            counter.unknown(f"flag {n}", "ERROR")
    counter.unknown("flag 0", "DEFAULT")  # one more outcome
    counter.unknown("x" * (LONGEST_KEY + 1), "ERROR")
    batch = counter.drain()
    assert {exposure.flag_key: exposure.count for exposure in batch.exposures} == {
        "flag 0": 1,
        "flag 1": 2,
        "flag 2": 3,
    }
    assert batch.exposures[0] == Exposure("defaulted", "flag 0", None, "ERROR", 1)
    assert batch.dropped == 4 + 5 + 1 + 1
    counter.unknown("flag 4", "ERROR")  # the room is there again
    batch = counter.drain()
    assert (batch.count, batch.dropped) == (1, 0)
    assert counter.statistics().recorded == 1 + 2 + 3 + 11 + 1
    assert counter.statistics().dropped == 11


@pytest.fixture
def hasty() -> Any:
    """Threads switch as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_count_while_it_is_drained() -> None:
    counter = Counter([], max_unknown=10)
    tallies = [Tally("evaluated", f"flag {n}", "on", "SPLIT") for n in range(3)]
    threads, rounds = 4, 10_000
    drained: list[Batch] = []
    done = threading.Event()

    def count() -> None:
        for n in range(rounds):
            counter.add(tallies[n % 3])
            counter.unknown(f"unknown {n % 20}", "ERROR")

    def drain() -> None:
        while not done.is_set():
            drained.append(counter.drain())

    counting = [threading.Thread(target=count) for _ in range(threads)]
    draining = [threading.Thread(target=drain) for _ in range(2)]
    for thread in (*counting, *draining):
        thread.start()
    for thread in counting:
        thread.join()
    done.set()
    for thread in draining:
        thread.join()
    drained.append(counter.drain())
    assert all(exposure.count > 0 for batch in drained for exposure in batch.exposures)
    known = [exposure for batch in drained for exposure in batch.exposures if exposure.kind == "evaluated"]
    assert sum(exposure.count for exposure in known) == threads * rounds
    assert sum(batch.count + batch.dropped for batch in drained) == 2 * threads * rounds
    assert counter.statistics().recorded == 2 * threads * rounds
    assert not counter.touched


@pytest.mark.parametrize("between", ["lines of a drain, a count", "lines of a count, a drain"])
def test_between_any_two_lines(between: str) -> None:
    """As if threads switched there: more often than they can, but for tracing and debuggers."""
    counter = Counter([])
    tally = Tally("evaluated", "flag", "on", "SPLIT")
    counted = drained = 0

    def count(_frame: Any = None, event: str = "line", _argument: Any = None) -> Any:
        nonlocal counted
        if event == "line" and counted < 10_000:
            counter.add(tally)
            counted += 1
        return count

    def drain(_frame: Any = None, event: str = "line", _argument: Any = None) -> Any:
        nonlocal drained
        if event == "line":
            drained += counter.drain().count
        return drain

    inside, hook = (Counter._take, count) if between.startswith("lines of a drain") else (Counter.add, drain)
    before = sys.gettrace()
    sys.settrace(lambda frame, *_: hook if frame.f_code is inside.__code__ else None)
    try:
        for _ in range(10):
            counter.add(tally)
            counted += 1
            drained += counter.drain().count
    finally:
        sys.settrace(before)
    while counter.touched:
        drained += counter.drain().count
    assert drained == counted >= 10
    assert tally.count == 0


def test_nothing_is_called_between_reading_and_storing_a_count() -> None:
    """At calls and jumps backwards CPython switches threads: see Tally."""
    names = [instruction.opname for instruction in dis.get_instructions(Counter.add)]
    stored = names.index("STORE_ATTR")
    assert "BINARY_OP" in names[:stored]
    assert not [name for name in names[1:stored] if "CALL" in name or "JUMP" in name or name == "RESUME"]


@every_loop
def test_draining_much_lets_the_loop_have_its_turn(loop: str) -> None:
    async def main() -> None:
        batches: list[Batch] = []
        counter = Counter([CallbackSink(batches.append)])
        for n in range(5000):
            counter.add(Tally("evaluated", f"flag {n}", "on", "SPLIT"))
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn)
            await counter.flush()
            tasks.cancel_scope.cancel()
        assert turns >= 2 * 5000 // 250
        assert [len(batch.exposures) for batch in batches] == [5000]

    run_on(loop, main)
