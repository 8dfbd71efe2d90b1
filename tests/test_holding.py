"""Pins as callers have them: one generation for a block, and what it leaves. Leases: test_evaluator_leases."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from evaluators import closed, document, flag, opened
from loops import every_loop, run_on
from pools import ME, versioned

import pyflagwasm
from pyflagwasm import ErrorCode, FlagEvaluator
from pyflagwasm.bound import BoundContext
from pyflagwasm.errors import LeaseError
from pyflagwasm.holding import Lease, Pin

WHO = document(
    f=flag({"me": "me", "you": "you"}, "you", {"if": [{"==": [{"var": "who"}, "me"]}, "me"]}),
    g=flag({"me": "me", "you": "you"}, "you", {"if": [{"==": [{"var": "who"}, "me"]}, "me"]}),
)


class Asking(Mapping[str, Any]):
    """A context that evaluates while it is read."""

    def __init__(self, asked: Pin | Lease | FlagEvaluator, depth: int = 1) -> None:
        self.asked, self.depth = asked, depth
        self.inner: list[str] = []

    def __getitem__(self, key: str) -> Any:
        if key != "who":
            raise KeyError(key)
        context = Asking(self.asked, self.depth - 1) if self.depth > 1 else {"who": "nobody"}
        self.inner.append(self.asked.value_nowait("g", context, default="default"))
        return "me"

    def __iter__(self) -> Iterator[str]:
        return iter(("who",))

    def __len__(self) -> int:
        return 1


def everything(asked: Pin | Lease) -> set[Any]:
    bound = asked.bind(ME)
    values = {asked.value_nowait("flag-1", ME, default=""), bound.value("flag-1", "")}
    return values | {bound.all().get("flag-1"), asked.details_nowait("flag-1", ME, "").value}


# ---------------------------------------------------------------- pins


@every_loop
def test_a_pin_answers_over_a_thousand_swaps(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1)) as flags:
            async with flags.pin() as pinned, flags.pin() as late, flags.pin() as same:
                bound = pinned.bind(ME)
                assert await pinned.value("flag-1", ME, default="") == "v1-1"
                for version in range(2, 1_002):
                    await flags.reload(versioned(version))
                    if version % 100 == 2:
                        assert await pinned.value("flag-1", ME, default="") == "v1-1"
                        assert flags.value_nowait("flag-1", ME, default="") == f"v{version}-1"
                assert everything(pinned) == everything(late) == everything(same) == {"v1-1"}
                assert bound.value("flag-1", "") == "v1-1"
                assert (pinned.generation, late.generation, flags.generation) == (1, 1, 1_001)
                assert len(pinned.flag_keys) == 4
                assert flags.statistics().pool.retired == 1  # one serves all of them
            statistics = flags.statistics().pool
            assert (statistics.retired, statistics.idle, statistics.missing) == (0, 2, 0)

    run_on(loop, scenario)


@every_loop
def test_what_a_pin_keeps_is_freed_by_the_last_one(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1)) as flags:
            first, second, other = flags.pin(), flags.pin(), flags.pin()
            await first.__aenter__()
            await second.__aenter__()
            await flags.reload(versioned(2))
            async with other:
                await flags.reload(versioned(3))
                assert (everything(first), everything(other)) == ({"v1-1"}, {"v2-1"})
                assert flags.statistics().pool.retired == 2
            assert flags.statistics().pool.retired == 1
            await first.__aexit__(None, None, None)
            assert (flags.statistics().pool.retired, everything(second)) == (1, {"v1-1"})
            await second.__aexit__(None, None, None)
            assert flags.statistics().pool.retired == 0

    run_on(loop, scenario)


def test_a_pin_that_is_never_superseded_costs_nothing() -> None:
    flags = opened(versioned(1))
    built = flags.statistics().pool.built
    with flags.pin() as pinned:
        assert everything(pinned) == {"v1-1"}
    assert (flags.statistics().pool.built, flags.statistics().pool.retired) == (built, 0)
    closed(flags)


def test_a_pin_is_for_its_block_only() -> None:
    flags = opened(versioned(1))
    pin = flags.pin()
    words = "the pin is not in its block: evaluate inside of `async with flags.pin\\(\\) as pinned`"
    for _ in range(2):  # it may be used again, one block after the other
        with pytest.raises(LeaseError, match=words):
            pin.value_nowait("flag-1", ME, default="")
        with pin as pinned:
            bound: BoundContext = pinned.bind(ME)
            assert bound.value("flag-1", "") == "v1-1"
            with pytest.raises(LeaseError, match="the pin is in use already"):
                pin.__enter__()
            assert everything(pinned) == {"v1-1"}
        for use in (
            partial(bound.value, "flag-1", ""),
            bound.all,
            lambda: pin.flag_keys,
            lambda: pin.generation,
        ):
            with pytest.raises(LeaseError, match=words):
                use()
    closed(flags)


def test_a_pin_before_opening_and_after_closing() -> None:
    async def scenario() -> None:
        flags = pyflagwasm.open(versioned(1))
        with flags.pin() as early:
            assert early.details_nowait("flag-1", ME, "mine").error_code is ErrorCode.PROVIDER_NOT_READY
            async with flags:
                assert (early.generation, early.value_nowait("flag-1", ME, default="mine")) == (0, "mine")
                pin = flags.pin().__enter__()
                await flags.reload(versioned(2))
                assert everything(pin) == {"v1-1"}
        assert pin.details_nowait("flag-1", ME, "mine").error_code is ErrorCode.PROVIDER_NOT_READY
        assert flags.statistics().pool.retired == 0
        pin.__exit__(None, None, None)
        with flags.pin() as late:
            assert await late.value("flag-1", ME, default="mine") == "mine"

    run_on("asyncio", scenario)


@every_loop
def test_a_pin_whose_task_is_cancelled_frees_its_generation(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1)) as flags:
            pinned_now = anyio.Event()

            async def hold() -> None:
                async with flags.pin() as pinned:
                    assert everything(pinned) == {"v1-1"}
                    pinned_now.set()
                    await anyio.sleep_forever()

            async with anyio.create_task_group() as group:
                group.start_soon(hold)
                await pinned_now.wait()
                await flags.reload(versioned(2))
                assert flags.statistics().pool.retired == 1
                group.cancel_scope.cancel()
            assert flags.statistics().pool.retired == 0

    run_on(loop, scenario)


@pytest.mark.parametrize("size", [1, 2])
def test_pins_in_threads_over_swaps(size: int) -> None:
    flags = opened(versioned(1), size=size)
    wrong: list[Any] = []
    stop = threading.Event()

    def request() -> None:
        try:
            while not stop.is_set():
                with flags.pin() as pinned:
                    expected = f"v{pinned.generation}-1"
                    answers = [everything(pinned) for _ in range(5)]
                    if answers != [{expected}] * 5:
                        wrong.append((expected, answers))
        except BaseException as error:
            wrong.append(error)

    async def reload() -> None:
        for version in range(2, 60):
            await flags.reload(versioned(version))

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        run_on("asyncio", reload)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert flags.statistics().pool.retired == 0
    closed(flags)
