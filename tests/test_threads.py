"""One evaluator in many threads, with small stacks and with event loops of their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import anyio
import pytest
from children import ME, answer, busy, on, swap, uniform
from evaluators import closed, opened
from loops import LOOPS, every_loop

from pyflagwasm import ErrorCode, FlagEvaluator, PoolClosedError
from pyflagwasm.loading import compile_source

RUNS = int(os.environ.get("PYFLAGWASM_RUNS", "10"))
NAMES = tuple(LOOPS)
COMPILED = {variant: compile_source(uniform(200, variant)) for variant in "ab"}


@pytest.fixture(params=[0, 256 << 10], ids=["default stack", "small stack"])
def stack(request: pytest.FixtureRequest) -> Iterator[None]:
    before = threading.stack_size(request.param)
    yield
    threading.stack_size(before)


def pinned(flags: FlagEvaluator) -> set[str]:
    with flags.pin() as pin:
        return {pin.value_nowait(f"flag-{number}", ME, "") for number in (0, 1, 3)}


WAYS: list[Callable[[FlagEvaluator], set[str]]] = [
    lambda flags: {answer(flags)},
    lambda flags: {flags.details_nowait("flag-1", ME, "").value},
    lambda flags: set(flags.bind(ME).all().values()) or {""},
    pinned,
]


@pytest.mark.usefixtures("stack")
def test_eight_threads_evaluate_while_others_reload_ask_and_close() -> None:
    """Nothing but right answers until it is closed, nothing but defaults afterwards."""
    for run in range(RUNS):
        flags = opened(uniform(4, "a"), size=1 + run % 3, timeout=30)
        swap(flags, COMPILED["a"])
        closing, enough = threading.Event(), threading.Barrier(9)
        wrong: list[object] = []

        def evaluate(
            way: Callable[[FlagEvaluator], set[str]],
            flags: FlagEvaluator = flags,
            closing: threading.Event = closing,
            enough: threading.Barrier = enough,
            wrong: list[object] = wrong,
        ) -> None:
            for number in range(1_000_000):
                seen = way(flags)
                if closing.is_set():
                    break
                if seen not in ({"a"}, {"b"}):
                    wrong.append(seen)
                if number == 20:
                    enough.wait()
            seen = set()
            while seen != {""}:
                seen = way(flags)
            assert flags.details_nowait("flag-1", ME).error_code is ErrorCode.PROVIDER_NOT_READY

        threads = [threading.Thread(target=evaluate, args=(way,)) for way in WAYS * 2]
        for thread in threads:
            thread.start()
        with busy(flags.statistics), busy(lambda flags=flags: reload(flags)):  # type: ignore[misc]
            enough.wait()
            closing.set()
            closed(flags)
            for thread in threads:
                thread.join()
        assert wrong == []


def reload(flags: FlagEvaluator) -> None:
    for variant in "ab":
        try:
            swap(flags, COMPILED[variant])
        except PoolClosedError:
            return


@pytest.mark.parametrize("size", [1, 2])
def test_loops_in_several_threads_share_one_evaluator(size: int) -> None:
    """With a lease here and there, so that there is somebody to wait for: every waiter has its turn."""
    flags = opened(uniform(10, "a"), size=size, timeout=30)
    seen: list[str] = []

    async def task(number: int) -> None:
        for each in range(10):
            if (number + each) % 5 == 0:
                async with flags.lease() as leased:
                    await anyio.lowlevel.checkpoint()
                    seen.append(await leased.value("flag-1", ME, ""))
            seen.append(await flags.value("flag-1", ME, ""))
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(task, number)

    threads = [threading.Thread(target=on, args=(name, main)) for name in NAMES * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 6 * 120
    assert set(seen) == {"a"}
    pool = flags.statistics().pool
    assert (pool.idle, pool.in_use, pool.missing, pool.waiting, pool.timed_out) == (size, 0, 0, 0, 0)
    closed(flags)


@every_loop
def test_those_who_wait_in_other_loops_are_told_of_the_end(loop: str) -> None:
    flags = opened(uniform(2, "a"), size=1, timeout=60)
    seen: list[object] = []

    async def wait() -> None:
        seen.append((await flags.details("flag-1", ME, "mine")).error_code)

    async def hold() -> None:
        async with flags.lease():
            for thread in threads:
                thread.start()
            with anyio.fail_after(20):
                while flags.statistics().pool.waiting < len(threads):  # noqa: ASYNC110
                    await anyio.sleep(1 / 100)
            await flags.aclose()

    threads = [threading.Thread(target=on, args=(name, wait)) for name in NAMES]
    on(loop, hold)
    for thread in threads:
        thread.join()
    assert seen == [ErrorCode.PROVIDER_NOT_READY] * 3
