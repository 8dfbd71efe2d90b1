"""How calls are timed: batches in turn for the cost, single calls for the tail, and what a call allocates.

The machine's speed drifts by a factor of two within seconds, so every subject of a run is measured in rounds, one after
the other, and each batch is compared as a ratio with awaited no-ops that are timed right before and right after it. The
loop around a call costs something, too: an empty one is timed beside those no-ops and subtracted from everything, the
no-op included. What is timed is source text, put into the loop as a caller would write it, so no wrapper is measured
with it.

Nothing here knows flags; it imports the standard library only, so that it runs in any peer's environment.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from . import figures

People = Sequence[tuple[str, str]]
EMPTY: Final = "baseline/empty-loop"
NO_OP: Final = "baseline/no-op-awaited"
BATCH_SECONDS: Final = 0.008
UNIT_SHARE: Final = 0.25
"""How long the no-ops and the empty loop beside a batch take, as a share of it."""

MOST_CALLS: Final = 20_000
FEW_CALLS: Final = 30
FEW_SECONDS: Final = 0.1
MOST_SINGLES: Final = 2000
SINGLES: Final = 3
"""How many single calls there are for each of a batch."""

PEAK_CALLS: Final = 50
TRIES: Final = 3
FINE: Final = time.get_clock_info("thread_time").resolution < 1e-4
"""Whether a thread's own clock is fine enough to tell whether it was interrupted."""

ALONE: Final = 0.97
"""A batch during which the thread had less of a core than this was interrupted by others, and is tried again."""

_SOURCE: Final = """
{prefix}def batch(clock, people{names}):
    started = clock()
    for key, email in people:
        {call}
    return clock() - started

{prefix}def singles(clock, people, found{names}):
    for key, email in people:
        started = clock()
        {call}
        found.append(clock() - started)

{prefix}def peaks(reset, traced, people, found{names}):
    for key, email in people:
        before = traced()[0]
        reset()
        {call}
        found.append(traced()[1] - before)

{prefix}def once(key, email{names}):
    return {call}
"""


class WrongAnswer(Exception):
    """A subject does not answer as it must, so it is not timed."""


@dataclass
class Subject:
    """Something to time.

    call: a Python expression of `key`, `email` (of another person each time) and of `names`; put `await` in it if it
        is awaited. check: whether its answer is right. note: for the table. samples: whether single calls are timed.
    """

    name: str
    call: str
    check: Callable[[Any], bool] = lambda answer: True
    names: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    samples: bool = True
    number: int = 0
    batches: list[float] = field(default_factory=list)
    beside: list[tuple[float, float]] = field(default_factory=list)
    singles: list[int] = field(default_factory=list)
    peak: float = 0.0
    kept: float = 0.0

    def __post_init__(self) -> None:
        self.awaited = "await " in self.call
        names = "".join(f", {name}" for name in self.names)
        source = _SOURCE.format(prefix="async " if self.awaited else "", names=names, call=self.call)
        made: dict[str, Any] = {}
        exec(compile(source, f"<bench {self.name}>", "exec"), {}, made)
        self._made = made

    async def run(self, what: str, *arguments: Any) -> Any:
        """One of the four functions of this subject. The await around it is not within what is timed."""
        result = self._made[what](*arguments, **self.names)
        return await result if self.awaited else result

    async def verify(self, person: tuple[str, str]) -> None:
        answer = await self.run("once", *person)
        if not self.check(answer):
            raise WrongAnswer(f"{self.name} gives the wrong answer: {answer!r:.300}")


@dataclass(frozen=True)
class Row:
    """A measured subject. Times are in microseconds, net of the empty loop and of the clock.

    us: the median of the batches, per call. ratio: the median of `rounds`, each of which is a batch to the awaited
    no-ops beside it. p50, p99, p999: of single calls, with the garbage collector on; None if there are too few.
    curve: the distribution of single calls. peak: bytes that a call has allocated at once, at the most, as tracemalloc
    sees it; kept: memory blocks that are still there after a call, with the garbage collector off.
    """

    name: str
    host: str
    us: float
    ratio: float
    rounds: list[float]
    p50: float | None
    p99: float | None
    p999: float | None
    singles: int
    curve: list[tuple[float, float]]
    peak: float
    kept: float
    note: str


async def no_op() -> None:
    """What an await costs at the least."""


def units() -> list[Subject]:
    """What every run begins with: the loop around everything, and the unit of the ratios."""
    return [
        Subject(EMPTY, "None", lambda answer: answer is None),
        Subject(NO_OP, "await no_op()", lambda answer: answer is None, {"no_op": no_op}),
    ]


def cycled(people: People, number: int) -> list[tuple[str, str]]:
    return [*people] * (number // len(people)) + [*people[: number % len(people)]]


class Rounds:
    """Measures subjects in rounds. The first two must be those of `units`."""

    def __init__(self, subjects: list[Subject], people: People, *, seconds: float = BATCH_SECONDS) -> None:
        if [subject.name for subject in subjects[:2]] != [EMPTY, NO_OP]:
            raise ValueError("the first two subjects must be the empty loop and the awaited no-op")
        self._subjects, self._people, self._seconds = subjects, people, seconds
        self._last = (0.0, 0.0)

    async def verify(self) -> None:
        """Call each subject once. Raises WrongAnswer."""
        for subject in self._subjects:
            await subject.verify(self._people[7])

    async def measure(self, rounds: int) -> None:
        """Verify, warm up, measure. Raises WrongAnswer."""
        await self.verify()
        for subject in self._subjects:
            await self._prepare(subject)
        for _ in range(rounds):
            self._last = await self._units()
            for subject in self._subjects:
                await self._round(subject)
        for subject in self._subjects:
            await self._weigh(subject)

    async def _prepare(self, subject: Subject) -> None:
        """Warm up, and find how many calls fill a batch."""
        number, spent = 1, 0.0
        while True:
            spent = await subject.run("batch", time.perf_counter, cycled(self._people, number))
            if spent > self._seconds / 4 or number >= MOST_CALLS:
                break
            number *= 2
        each = max(spent, 1e-9) / number
        least = max(1, min(FEW_CALLS, int(FEW_SECONDS / each)))  # slow calls differ more, so a few are not enough
        subject.number = max(least, min(MOST_CALLS, int(self._seconds / each)))

    async def _round(self, subject: Subject) -> None:
        people = cycled(self._people, subject.number)
        before = self._last
        subject.batches.append(await self._batch(subject, people))
        self._last = await self._units()
        empty, unit = ((a + b) / 2 for a, b in zip(before, self._last, strict=True))
        subject.beside.append((empty, unit))
        if subject.samples:
            people = cycled(self._people, min(MOST_SINGLES, SINGLES * subject.number))
            await subject.run("singles", time.perf_counter_ns, people, subject.singles)
            self._last = await self._units()

    async def _units(self) -> tuple[float, float]:
        """Seconds per turn of the empty loop and per awaited no-op, as they are now."""
        found = [
            await self._batch(subject, cycled(self._people, max(1, int(subject.number * UNIT_SHARE))))
            for subject in self._subjects[:2]
        ]
        return found[0], found[1]

    async def _batch(self, subject: Subject, people: People) -> float:
        """Seconds per call, of a batch that no other thread has interrupted.

        If none of a few was left alone, what the thread itself has used of its core: long batches are interrupted more
        often than short ones, and would seem dearer.
        """
        gc.collect(0)
        gc.disable()
        try:
            for _ in range(TRIES):
                own = time.thread_time()
                spent = await subject.run("batch", time.perf_counter, people)
                own = time.thread_time() - own
                if not FINE or own > ALONE * spent:
                    return float(spent / len(people))
            return float(min(own, spent) / len(people))
        finally:
            gc.enable()

    async def _weigh(self, subject: Subject) -> None:
        found: list[int] = []
        people = cycled(self._people, min(PEAK_CALLS, max(3, subject.number)))
        tracemalloc.start()
        try:
            await subject.run("peaks", tracemalloc.reset_peak, tracemalloc.get_traced_memory, people, found)
        finally:
            tracemalloc.stop()
        subject.peak = figures.median(found)
        people = cycled(self._people, subject.number)
        gc.collect()
        gc.disable()
        try:
            await subject.run("batch", time.perf_counter, people)  # fills the interpreter's free lists
            before = sys.getallocatedblocks()
            await subject.run("batch", time.perf_counter, people)
            subject.kept = (sys.getallocatedblocks() - before) / len(people)
        finally:
            gc.enable()

    def net(self, subject: Subject) -> list[float]:
        """Seconds per call of each round, net of the empty loop beside it."""
        return [max(batch - empty, 1e-12) for batch, (empty, _) in zip(subject.batches, subject.beside, strict=True)]

    def unit(self, subject: Subject) -> list[float]:
        """Seconds per awaited no-op beside each of the subject's batches, net of the empty loop."""
        return [max(unit - empty, 1e-12) for empty, unit in subject.beside]

    def clock_ns(self) -> float:
        """What reading the clock twice costs in itself: it is in every single call, and subtracted from it."""
        return figures.median(self._subjects[0].singles)

    def rows(self, host: str) -> list[Row]:
        """The results, without the empty loop."""
        clock, base = self.clock_ns(), self._subjects[0].peak
        found = []
        for subject in self._subjects[1:]:
            net = self.net(subject)
            rounds = figures.ratios(net, self.unit(subject))
            singles = sorted(max(0.0, one - clock) / 1e3 for one in subject.singles)
            p50, p99, p999 = (figures.quantile(singles, q) if singles else None for q in (0.5, 0.99, 0.999))
            found.append(
                Row(
                    name=subject.name,
                    host=host,
                    us=figures.median(net) * 1e6,
                    ratio=figures.median(rounds),
                    rounds=[round(one, 4) for one in rounds],
                    p50=p50,
                    p99=p99,
                    p999=p999,
                    singles=len(singles),
                    curve=figures.grid(singles) if singles else [],
                    peak=max(0.0, subject.peak - base),
                    kept=round(max(0.0, subject.kept), 3),
                    note=subject.note,
                )
            )
        return found


def run(subjects: list[Subject], people: People, rounds: int, host: str) -> list[Row]:
    """Time all subjects in turn in an event loop of their own."""

    async def main() -> list[Row]:
        timed = Rounds(subjects, people)
        await timed.measure(rounds)
        return timed.rows(host)

    return asyncio.run(main())
