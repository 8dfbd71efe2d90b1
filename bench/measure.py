"""How things are timed: batches in turn for the median, single calls for the tail, and the garbage collector off.

The machine's speed drifts by a factor of two, so every subject of a run is measured in rounds, one after the other,
and compared as a ratio with the awaited no-op of the same round.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Subject:
    """Something to time. `call` is called `number` times in a batch; `check` says whether its answer is right."""

    name: str
    call: Callable[[], Any]
    check: Callable[[Any], bool]
    awaited: bool = False
    number: int = 2000
    note: str = ""
    batches: list[float] = field(default_factory=list)
    singles: list[int] = field(default_factory=list)

    async def verify(self) -> None:
        answer = await self.call() if self.awaited else self.call()
        if not self.check(answer):
            raise SystemExit(f"bench: {self.name} gives the wrong answer: {answer!r}")


@dataclass(frozen=True)
class Row:
    """Medians in microseconds; `ratio` is to the awaited no-op of the same rounds."""

    name: str
    median_us: float
    p99_us: float
    ratio: float
    note: str


async def no_op() -> None:
    """What an await costs at the least."""


async def _batch(subject: Subject) -> float:
    call, count = subject.call, range(subject.number)
    if subject.awaited:
        awaited: Callable[[], Awaitable[Any]] = call
        start = time.perf_counter()
        for _ in count:
            await awaited()
    else:
        start = time.perf_counter()
        for _ in count:
            call()
    return (time.perf_counter() - start) / subject.number


async def _singles(subject: Subject) -> list[int]:
    clock, found = time.perf_counter_ns, []
    for _ in range(min(subject.number, 1000)):
        if subject.awaited:
            start = clock()
            await subject.call()
        else:
            start = clock()
            subject.call()
        found.append(clock() - start)
    return found


async def _measure(subjects: list[Subject], rounds: int) -> None:
    gc.collect()
    gc.disable()
    try:
        for subject in subjects:
            await subject.verify()
        for number in range(rounds + 1):
            for subject in subjects:
                batch, singles = await _batch(subject), await _singles(subject)
                if number:  # the first round warms up
                    subject.batches.append(batch)
                    subject.singles += singles
    finally:
        gc.enable()


def run(subjects: list[Subject], rounds: int) -> list[Row]:
    """Time all subjects in turn. The first must be the awaited no-op, the unit of the ratios."""
    asyncio.run(_measure(subjects, rounds))
    unit = subjects[0].batches
    return [
        Row(
            subject.name,
            statistics.median(subject.batches) * 1e6,
            statistics.quantiles(subject.singles, n=100)[98] / 1e3,
            statistics.median(a / b for a, b in zip(subject.batches, unit, strict=True)),
            subject.note,
        )
        for subject in subjects
    ]


async def _verify_all(subjects: list[Subject]) -> None:
    for subject in subjects:
        await subject.verify()


def check(subjects: list[Subject]) -> None:
    """Call each subject once; exits with a message if an answer is wrong."""
    asyncio.run(_verify_all(subjects))


def machine() -> dict[str, str]:
    """What the figures depend on."""
    from importlib.metadata import version

    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.machine()}",
        "wasmtime": version("wasmtime"),
        "date": time.strftime("%Y-%m-%d"),
    }
