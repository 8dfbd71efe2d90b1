"""Cancelled at every suspension point of every public coroutine, one point a run, until it finishes before the point.

After each: no instance is lost, nobody waits, no pin is kept, the cancellation was not swallowed, and no task is left.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from loops import LOOPS, run_on
from pools import ME, versioned

import pyflagwasm
from pyflagwasm import CallableSource, FileSource, FlagEvaluator

SMALL, LARGE = versioned(1), versioned(2, count=60)
Scenario = Callable[[FlagEvaluator], Awaitable[object]]


@types.coroutine
def _stepped(awaitable: Any, point: int, cancel: Callable[[], object], points: list[int]) -> Generator[Any, Any, Any]:
    """Runs a coroutine and calls `cancel` when it suspends for the `point`-th time."""
    coroutine, send, argument = awaitable, None, None
    while True:
        try:
            yielded = coroutine.send(argument) if send is None else coroutine.throw(send)
        except StopIteration as end:
            return end.value
        points.append(1)
        if len(points) == point:
            cancel()
        send = argument = None
        try:
            argument = yield yielded
        except BaseException as error:
            send = error


async def _cancelled_at(point: int, coroutine: Any, native: bool) -> tuple[int, bool]:
    """How many points there were, and whether the cancellation came out of the coroutine or is still to come."""
    points: list[int] = []
    if native:
        task: asyncio.Task[object] | None = None

        async def run() -> None:
            assert task is not None
            await _stepped(coroutine, point, task.cancel, points)
            await asyncio.sleep(0)

        task = asyncio.ensure_future(run())
        await asyncio.wait([task])
        return len(points), task.cancelled()
    with anyio.CancelScope() as scope:
        await _stepped(coroutine, point, scope.cancel, points)
        await checkpoint()
    return len(points), scope.cancelled_caught


# ---------------------------------------------------------------- what is cancelled


async def value(flags: FlagEvaluator) -> None:
    await flags.value("flag-1", ME, default="")


async def details(flags: FlagEvaluator) -> None:
    await flags.details("flag-3", ME, default="", strict=True)


async def lease(flags: FlagEvaluator) -> None:
    async with flags.lease() as leased:
        await checkpoint()
        assert await leased.value("flag-1", ME, default="")
        await checkpoint()


async def pin(flags: FlagEvaluator) -> None:
    async with flags.pin() as pinned:
        await checkpoint()
        await flags.reload(versioned(3))
        assert pinned.value_nowait("flag-1", ME, default="") == "v1-1"
        await pinned.value("flag-1", ME, default="")


async def reload_small(flags: FlagEvaluator) -> None:
    await flags.reload(versioned(3))


async def reload_large(flags: FlagEvaluator) -> None:
    await flags.reload(LARGE)


async def ready(flags: FlagEvaluator) -> None:
    await flags.ready()
    await checkpoint()


SCENARIOS: list[Scenario] = [value, details, lease, pin, reload_small, reload_large, ready]
PRESSURE = ("free", "contended", "swapped")


@asynccontextmanager
async def _under(pressure: str, flags: FlagEvaluator, lag: int) -> AsyncIterator[None]:
    """Others use the only instance, and give it back some turns of the loop later; or swap as well."""
    async with anyio.create_task_group() as group:
        if pressure != "free":
            held = anyio.Event()

            async def hold() -> None:
                async with flags.lease():
                    held.set()
                    for _ in range(lag):
                        await checkpoint()
                    if pressure == "swapped":
                        await flags.reload(versioned(1))

            group.start_soon(hold)
            await held.wait()
        yield


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("loop", LOOPS)
def test_every_point_of_what_callers_await(loop: str, scenario: Scenario) -> None:
    count = 0

    async def main() -> None:
        nonlocal count
        for native in (False, True) if loop != "trio" else (False,):
            for pressure in PRESSURE:
                for lag in (0, 1, 2) if pressure != "free" else (0,):
                    count += await every_point(native, pressure, lag)

    async def every_point(native: bool, pressure: str, lag: int) -> int:
        point = 0
        async with pyflagwasm.open(SMALL, size=1) as flags:
            while True:
                point += 1
                await flags.reload(SMALL)
                async with _under(pressure, flags, lag):
                    points, cancelled = await _cancelled_at(point, scenario(flags), native)
                statistics = flags.statistics().pool
                where = f"{pressure} lag {lag} point {point}"
                assert (statistics.idle, statistics.in_use, statistics.waiting) == (1, 0, 0), where
                assert statistics.retired == 0, where
                assert flags.value_nowait("flag-1", ME, default="").endswith("-1"), where
                if points < point:
                    return point
                assert cancelled, f"swallowed: {where}"

    run_on(loop, main)
    assert count >= 7  # one for each pressure and lag, where nothing suspends
    _counted(loop, count)


async def from_callable(path: Path) -> None:
    async with pyflagwasm.open(CallableSource(lambda: SMALL, interval=0.01)) as flags:
        await checkpoint()
        assert await flags.value("flag-1", ME, default="") == "v1-1"


async def from_async_callable(path: Path) -> None:
    async def fetch() -> bytes:
        await checkpoint()
        return LARGE

    async with pyflagwasm.open(CallableSource(fetch)) as flags:
        await flags.ready()


async def from_iterator(path: Path) -> None:
    async def documents() -> AsyncIterator[bytes]:
        for number in range(3):
            await checkpoint()
            yield versioned(number)

    async with pyflagwasm.open(documents(), last_known_good=path / "last") as flags:
        await checkpoint()
        await flags.aclose()


async def from_file(path: Path) -> None:
    (path / "flags.json").write_bytes(SMALL)
    async with pyflagwasm.open(FileSource(path / "flags.json")) as flags:
        assert await flags.value("flag-1", ME, default="") == "v1-1"


async def counting(path: Path) -> None:
    sink = pyflagwasm.JsonLinesSink(path / "exposures")
    async with pyflagwasm.open(SMALL, exposures=[sink], exposure_interval=0.001) as flags:
        await flags.value("flag-1", ME, default="")
        await checkpoint()
        await flags.value("flag-1", ME, default="")


LIVES = [from_callable, from_async_callable, from_iterator, from_file, counting]


@pytest.mark.parametrize("life", LIVES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("loop", LOOPS)
def test_every_point_of_a_whole_life(loop: str, life: Callable[[Path], Awaitable[object]], tmp_path: Path) -> None:
    async def main() -> int:
        point = 0
        while True:
            point += 1
            points, cancelled = await _cancelled_at(point, life(tmp_path), native=False)
            if loop != "trio":
                left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                assert left == [], f"point {point}"
            if points < point:
                return point
            assert cancelled, f"swallowed at point {point}"

    count = run_on(loop, main)
    assert count >= 3
    _counted(loop, count)


COUNTS: dict[str, int] = dict.fromkeys(LOOPS, 0)


def _counted(loop: str, count: int) -> None:
    COUNTS[loop] += count


def test_that_there_were_many_points() -> None:
    """Of the tests above in this process; says so if they were deselected."""
    if not all(COUNTS.values()):
        pytest.skip("needs the tests before it")
    assert sum(COUNTS.values()) >= 300, COUNTS
