"""Evaluators across os.fork: the child answers at once and follows its source, the parent notices nothing."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import anyio
import children
import pytest
from children import (
    CHILDREN,
    ME,
    SOURCES,
    Child,
    answer,
    busy,
    follows,
    in_thread,
    joined,
    on,
    put,
    swap,
    uniform,
)
from evaluators import closed, opened
from loops import LOOPS, every_loop

import pyflagwasm
from pyflagwasm import ErrorCode, FlagEvaluator
from pyflagwasm.loading import compile_source
from pyflagwasm.sources.given import CallableSource

pytestmark = children.forks

every_source = pytest.mark.parametrize("kind", ["file", "function"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    put(path, "a")
    return path


def quick(flags: FlagEvaluator, variant: str = "a") -> None:
    """The first thing in a child: an answer within a second."""
    started = time.monotonic()
    assert (answer(flags), answer(flags, "flag-0")) == (variant, variant)
    assert flags.bind(ME).value("flag-1", "") == variant
    assert time.monotonic() - started < 1


def revived(flags: FlagEvaluator, loop: str, path: Path, before: str = "a", after: str = "b") -> None:
    """In a child: it answers, and on a loop of its own follows what its own source delivers."""
    quick(flags, before)

    async def main() -> None:
        assert await flags.value("flag-1", ME, "") == before
        put(path, after)
        await follows(flags, after)
        source = flags.statistics().source
        assert source is None or source.healthy
        assert flags.statistics().pool.missing == 0
        await flags.aclose()
        assert flags.details_nowait("flag-1", ME).error_code is ErrorCode.PROVIDER_NOT_READY

    on(loop, main)


# ---------------------------------------------------------------- one child after the other


@every_loop
def test_before_it_is_entered(loop: str, path: Path) -> None:
    """Constructed in the parent, entered in the child. Nothing has been compiled yet, or the parent has done so."""

    async def main(flags: FlagEvaluator) -> None:
        async with flags:
            assert await flags.value("flag-1", ME, "") == "a"
            put(path, "b")
            await follows(flags, "b")

    for _ in range(CHILDREN):
        put(path, "a")
        flags = pyflagwasm.open(SOURCES["function"](path))
        Child(on, loop, main, flags).join()
        assert flags.details_nowait("flag-1", ME).error_code is ErrorCode.PROVIDER_NOT_READY


@every_loop
@every_source
def test_while_running(loop: str, kind: str, path: Path) -> None:
    """From inside of a coroutine, at a moment in which the source runs."""

    async def main() -> None:
        async with pyflagwasm.open(SOURCES[kind](path)) as flags:
            for _ in range(CHILDREN):
                put(path, "a")
                await follows(flags, "a", 10)
                # in a thread: trio believes that its run goes on in the child, in this one
                await joined(Child(in_thread, revived, flags, loop, path))
                await follows(flags, "b", 10)  # what the child has written is news for the parent, too
            assert flags.statistics().pool.discarded == 0

    on(loop, main)


@every_loop
@every_source
def test_outside_of_a_loop(loop: str, kind: str, path: Path) -> None:
    """Opened in a loop that has ended, as a server does before it forks its workers."""
    flags = opened(SOURCES[kind](path))
    for _ in range(CHILDREN):
        put(path, "a")
        on(loop, follows, flags, "a", 10)
        Child(revived, flags, loop, path).join()
        on(loop, follows, flags, "b", 10)
    closed(flags)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_new_loop_in_the_thread_that_forked_inside_of_one(loop: str, path: Path) -> None:
    async def main() -> None:
        async with pyflagwasm.open(SOURCES["function"](path)) as flags:
            for _ in range(CHILDREN):
                put(path, "a")
                await follows(flags, "a", 10)
                await joined(Child(revived, flags, loop, path))

    on(loop, main)


@every_loop
def test_from_another_thread(loop: str, path: Path) -> None:
    """The loop that the parent's source runs on is that of a thread which does not exist in the child."""

    def work(flags: FlagEvaluator) -> None:
        Child(revived, flags, loop, path).join()

    async def main() -> None:
        async with pyflagwasm.open(SOURCES["function"](path)) as flags:
            for _ in range(CHILDREN):
                put(path, "a")
                await follows(flags, "a", 10)
                await anyio.to_thread.run_sync(work, flags)
                await follows(flags, "b", 10)

    on(loop, main)


@every_loop
def test_a_fork_of_a_fork(loop: str, path: Path) -> None:
    flags = opened(SOURCES["file"](path))

    def work() -> None:
        quick(flags)
        on(loop, follows, flags, "a")
        Child(revived, flags, loop, path).join()
        on(loop, follows, flags, "b", 10)

    for _ in range(CHILDREN):
        put(path, "a")
        on(loop, follows, flags, "a", 10)
        Child(work).join()
    closed(flags)


# ---------------------------------------------------------------- in the middle of something


BIG = {variant: compile_source(uniform(1_000, variant)) for variant in "abc"}


def swap_beside_a_pin(flags: FlagEvaluator) -> None:
    """An instance is made for the pin."""
    for variant in "ab":
        with flags.pin() as pinned:
            swap(flags, BIG[variant])
            assert pinned.value_nowait("flag-1", ME, "") in ("a", "b")


def consistent(flags: FlagEvaluator, variants: str = "ab") -> None:
    assert set(flags.bind(ME).all().values()) in [{variant} for variant in variants]


def test_in_the_middle_of_swaps_and_evaluations() -> None:
    """Whatever the other threads are doing, with the core, with locks, with the pool: the child does without them."""
    flags = opened(uniform(4, "a"), size=3)
    swap(flags, BIG["a"])

    def work() -> None:
        started = time.monotonic()
        assert answer(flags) in ("a", "b")
        assert time.monotonic() - started < 1
        consistent(flags)
        swap(flags, BIG["c"])
        consistent(flags, "c")
        with flags.pin() as pinned:
            on("asyncio", flags.reload, uniform(4, "d"))
            assert set(pinned.bind(ME).all().values()) == {"c"}
        consistent(flags, "d")
        pool = flags.statistics().pool
        assert (pool.idle, pool.in_use, pool.missing) == (3, 0, 0)
        closed(flags)

    with busy(lambda: swap_beside_a_pin(flags)), busy(lambda: consistent(flags), 2):
        for _ in range(CHILDREN * 4):
            swaps, deadline = flags.statistics().swaps, time.monotonic() + 10
            Child(work).join()
            while flags.statistics().swaps == swaps:
                assert time.monotonic() < deadline
                time.sleep(1 / 100)
    pool = flags.statistics().pool
    assert (pool.idle, pool.in_use, pool.missing, pool.discarded) == (3, 0, 0, 0)
    closed(flags)


@every_loop
def test_inside_of_a_lease(loop: str) -> None:
    """The child's lease answers on, and gives its instance to nobody else."""

    async def main() -> None:
        async with pyflagwasm.open(uniform(4, "a"), size=1) as flags, flags.lease() as leased:
            for _ in range(CHILDREN):
                await joined(Child(in_thread, work, flags, leased))
            assert await leased.value("flag-1", ME, "") == "a"
            pool = flags.statistics().pool
            assert (pool.in_use, pool.missing) == (1, 0)

    def work(flags: FlagEvaluator, leased: pyflagwasm.Lease) -> None:
        quick(flags)
        assert leased.value_nowait("flag-1", ME, "") == "a"
        leased.release()
        quick(flags)
        on(loop, flags.reload, uniform(4, "b"))
        quick(flags, "b")
        pool = flags.statistics().pool
        assert (pool.idle, pool.in_use, pool.missing) == (1, 0, 0)

    on(loop, main)


@every_loop
def test_inside_of_a_pin(loop: str) -> None:
    async def main() -> None:
        async with pyflagwasm.open(uniform(4, "a")) as flags:
            async with flags.pin() as early, flags.pin() as late:
                for _ in range(CHILDREN):
                    await joined(Child(in_thread, work, flags, early))
                await flags.reload(uniform(4, "b"))
                for _ in range(CHILDREN):
                    await joined(Child(in_thread, retired, flags, late))
                assert (answer(early), answer(flags)) == ("a", "b")  # type: ignore[arg-type]
            assert flags.statistics().pool.retired == 0

    def work(flags: FlagEvaluator, pinned: pyflagwasm.Pin) -> None:
        on(loop, flags.reload, uniform(4, "c"))
        assert pinned.value_nowait("flag-1", ME, "") == "a"
        quick(flags, "c")

    def retired(flags: FlagEvaluator, pinned: pyflagwasm.Pin) -> None:
        assert pinned.value_nowait("flag-1", ME, "") == "a"
        quick(flags, "b")

    on(loop, main)


@every_loop
def test_those_who_wait_in_the_parent_have_their_turn(loop: str) -> None:
    """A child forgets who was waiting for an instance; the parent does not."""

    async def main() -> None:
        got: list[str] = []
        async with pyflagwasm.open(uniform(4, "a"), size=1, timeout=30) as flags:

            async def wait() -> None:
                got.append(await flags.value("flag-1", ME, ""))

            async with anyio.create_task_group() as tasks:
                async with flags.lease():
                    for _ in range(3):
                        tasks.start_soon(wait)
                    while flags.statistics().pool.waiting < 3:
                        await anyio.lowlevel.checkpoint()
                    for _ in range(CHILDREN):
                        await joined(Child(in_thread, alone, flags))
        assert got == ["a", "a", "a"]

    def alone(flags: FlagEvaluator) -> None:
        assert flags.statistics().pool.waiting == 0
        quick(flags)

    on(loop, main)


@every_loop
def test_in_the_middle_of_a_fetch(loop: str, path: Path) -> None:
    """The parent's function is being asked, in a thread that the child has not; the child asks its own."""
    asked, answered = threading.Event(), threading.Event()
    parent = os.getpid()

    def fetch() -> bytes:
        if os.getpid() == parent and asked.is_set():
            answered.wait(30)
        asked.set()
        return path.read_bytes()

    async def main() -> None:
        source = CallableSource(fetch, interval=1 / 100)
        async with pyflagwasm.open(source) as flags:
            await anyio.to_thread.run_sync(asked.wait)
            for _ in range(CHILDREN):
                put(path, "a")
                await joined(Child(in_thread, revived, flags, loop, path))
            answered.set()
            await follows(flags, "b", 10)

    on(loop, main)


# ---------------------------------------------------------------- what the child is told


def test_a_child_without_a_loop_is_warned_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = opened(SOURCES["function"](path))

    def work() -> None:
        caplog.clear()
        for _ in range(3):
            quick(flags)
        assert [each for each in caplog.messages if "without an event loop" in each] == caplog.messages
        assert len(caplog.messages) == 1

    Child(work).join()
    for _ in range(3):
        quick(flags)
    assert caplog.messages == []
    closed(flags)


@pytest.mark.parametrize("loop", LOOPS)
def test_evaluating_in_a_child_of_a_coroutine_before_its_new_loop(loop: str, path: Path) -> None:
    """The loop that the child inherits is none: no source is started on it, and no evaluation fails because of it."""

    def work(flags: FlagEvaluator) -> None:
        quick(flags)
        in_thread(revived, flags, loop, path)

    async def main() -> None:
        async with pyflagwasm.open(SOURCES["function"](path)) as flags:
            for _ in range(CHILDREN):
                put(path, "a")
                await follows(flags, "a", 10)
                await joined(Child(work, flags))

    on(loop, main)
