"""The flags of a request without any framework: what pins, when the context is made, and what answers afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from children import in_thread
from evaluators import closed, opened
from loops import every_loop, run_on
from pools import ME, versioned

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.integrations.pinning import RequestInstances
from pyflagwasm.integrations.requests import RequestFlags, current
from pyflagwasm.pool.swap import Swaps
from pyflagwasm.runtime import extension


def answers(flags: Any) -> set[Any]:
    """Everything that can be asked for flag-1, which reads the context, and flag-0, which does not."""
    values = {flags.value("flag-1", ""), flags.details("flag-1", "").value, flags.all().get("flag-1")}
    return values | {
        flags.many(["flag-1"]).get("flag-1"),
        flags.value("flag-0", "").replace("-0", "-1"),
        flags.value("flag-1", "", strict=True),
    }


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(versioned(1))
    yield evaluator
    pool = evaluator.statistics().pool
    closed(evaluator)
    assert (pool.retired, pool.idle, pool.in_use) == (0, 2, 0)


# ---------------------------------------------------------------- the configuration


@every_loop
def test_one_configuration_from_the_first_evaluation_to_the_end(loop: str) -> None:
    async def main() -> None:
        async with pyflagwasm.open(versioned(1)) as flags:
            with RequestFlags(flags, ME) as idle, RequestFlags(flags, ME) as early:
                assert answers(early) == {"v1-1"}
                await flags.reload(versioned(2))
                with RequestFlags(flags, ME) as late:
                    assert answers(late) == {"v2-1"}
                    for version in range(3, 30):
                        await flags.reload(versioned(version))
                        assert (answers(early), answers(late)) == ({"v1-1"}, {"v2-1"})
                    assert (early.generation, late.generation, flags.generation) == (1, 2, 29)
                    assert flags.statistics().pool.retired == 2
                assert flags.statistics().pool.retired == 1
                assert answers(idle) == {"v29-1"}  # nothing was pinned until it was asked
            assert flags.statistics().pool.retired == 0

    run_on(loop, main)


@pytest.mark.parametrize("asked_before", [True, False])
@every_loop
def test_after_its_end_the_live_configuration_answers(loop: str, asked_before: bool) -> None:
    async def main() -> None:
        ended = anyio.Event()
        seen: list[set[Any]] = []

        async def left_behind(own: RequestFlags) -> None:
            await ended.wait()
            for version in (3, 4):
                assert current.get() is own
                seen.append(answers(own))
                await flags.reload(versioned(version))
                seen.append(answers(own))

        async with pyflagwasm.open(versioned(1)) as flags, anyio.create_task_group() as group:
            with RequestFlags(flags, lambda: ME) as own:
                if asked_before:
                    assert answers(own) == {"v1-1"}
                group.start_soon(left_behind, own)
                await anyio.lowlevel.checkpoint()
                await flags.reload(versioned(2))
            assert flags.statistics().pool.retired == 0
            ended.set()
        assert seen == [{"v2-1"}, {"v3-1"}, {"v3-1"}, {"v4-1"}]
        own.refresh()
        own.leave()  # a second time
        assert own.value("flag-1", "closed") == "closed"
        assert own.all() == {}
        assert own.generation == 0

    run_on(loop, main)


def test_one_that_is_not_entered_follows_the_live_configuration(flags: FlagEvaluator) -> None:
    own = RequestFlags(flags, ME)
    assert answers(own) == {"v1-1"}
    asyncio.run(flags.reload(versioned(2)))
    assert answers(own) == {"v2-1"}
    own.refresh()
    asyncio.run(flags.reload(versioned(3)))
    assert answers(own) == answers(own.with_context({})) == {"v3-1"}
    assert current.get(None) is None


@pytest.mark.parametrize("who", ["own", "beside"])
def test_refresh_is_heard_by_what_is_answered_in_c(flags: FlagEvaluator, who: str) -> None:
    own = RequestFlags(flags, ME).enter(pin=False)
    asking = own if who == "own" else own.with_context({"plan": "pro"})
    assert [asking.value("flag-1", "") for _ in range(3)] == ["v1-1"] * 3
    own.refresh()
    assert asking.value("flag-1", "") == "v1-1"
    asyncio.run(flags.reload(versioned(2)))
    assert asking.value("flag-1", "") == "v1-1"
    own.leave()


@pytest.mark.parametrize("pin", [True, False])
def test_refresh(flags: FlagEvaluator, pin: bool) -> None:
    """A websocket's follow the live configuration until they are refreshed first."""
    own = RequestFlags(flags, ME).enter(pin=pin)
    beside = own.with_context({"who": "me"})
    assert answers(own) == answers(beside) == {"v1-1"}
    asyncio.run(flags.reload(versioned(2)))
    assert answers(own) == answers(beside) == ({"v1-1"} if pin else {"v2-1"})
    own.refresh()
    assert answers(own) == answers(beside) == {"v2-1"}
    asyncio.run(flags.reload(versioned(3)))
    assert answers(own) == answers(beside) == {"v2-1"}
    own.refresh()
    assert answers(own) == answers(beside) == {"v3-1"}
    own.leave()
    asyncio.run(flags.reload(versioned(4)))
    own.refresh()
    assert answers(own) == answers(beside) == {"v4-1"}
    asyncio.run(flags.reload(versioned(5)))
    assert answers(own) == answers(beside) == {"v5-1"}


def test_flags_beside_others_share_their_configuration(flags: FlagEvaluator) -> None:
    with RequestFlags(flags, ME) as own:
        other = own.with_context({"who": "you"})
        assert other.value("flag-1", "") == "nobody"  # the one that asks first pins for both
        asyncio.run(flags.reload(versioned(2)))
        with own.with_context({"plan": "pro"}) as third:
            assert current.get() is third
            assert answers(third) == answers(own) == {"v1-1"}
        assert current.get() is own
        assert answers(own) == {"v1-1"}  # not ended by what was beside it
        assert own.beside(None).value("flag-1", "") == "nobody"
    assert (answers(own), answers(third)) == ({"v2-1"}, {"v2-1"})


def test_threads_that_begin_at_once_and_a_request_that_ends_meanwhile(flags: FlagEvaluator) -> None:
    wrong: list[Any] = []
    versions = iter(range(2, 10_000))
    stop = threading.Event()

    def reload() -> None:
        while not stop.is_set():
            asyncio.run(flags.reload(versioned(next(versions))))

    def ask(own: RequestFlags, barrier: threading.Barrier, seen: set[Any]) -> None:
        try:
            barrier.wait()
            for _ in range(20):
                seen |= answers(own)
        except BaseException as error:
            wrong.append(error)

    reloading = threading.Thread(target=reload)
    reloading.start()
    for number in range(40):
        seen: set[Any] = set()
        barrier = threading.Barrier(4)
        own = RequestFlags(flags, lambda: ME).enter()
        threads = [threading.Thread(target=ask, args=(own, barrier, seen)) for _ in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        if number % 2:
            own.leave()
        for thread in threads:
            thread.join()
        own.leave()
        if number % 2 == 0 and len(seen) != 1:
            wrong.append(seen)
    stop.set()
    reloading.join()
    assert wrong == []


@pytest.mark.parametrize("meanwhile", ["another thread pins", "the request ends"])
def test_what_happens_while_a_configuration_is_pinned(
    flags: FlagEvaluator, meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = RequestFlags(flags, ME).enter()
    pinning, depth = Swaps.pin, []

    def interrupted(self: Swaps, token: object) -> Any:
        pinned = pinning(self, token)
        if not depth:
            depth.append("")
            if meanwhile == "the request ends":
                own.leave()
            else:
                in_thread(lambda: asyncio.run(flags.reload(versioned(2))))
                in_thread(lambda: depth.append(own.value("flag-1", "")))
        return pinned

    monkeypatch.setattr(Swaps, "pin", interrupted)
    first = own.value("flag-1", "")
    assert (first, depth[1:]) == (("v1-1", []) if meanwhile == "the request ends" else ("v2-1", ["v2-1"]))
    assert flags.statistics().pool.retired == 0  # nobody needs the first one any more
    asyncio.run(flags.reload(versioned(3)))
    ended = meanwhile == "the request ends"
    assert own.value("flag-1", "") == ("v3-1" if ended else "v2-1")
    assert flags.statistics().pool.retired == (0 if ended else 1)
    own.leave()


def test_an_instance_goes_back_to_the_configuration_that_it_is_of(flags: FlagEvaluator) -> None:
    """It was taken before a refresh."""
    instances = RequestInstances(flags._swaps, True)
    first = instances.generation
    assert first is not None
    asyncio.run(flags.reload(versioned(2)))
    member = instances.take(first)
    instances.renew()
    second = instances.generation
    assert second is not None
    asyncio.run(flags.reload(versioned(3)))
    instances.give_back(member)
    assert [each.generation for each in second.shelf] == [second]
    instances.leave()


# ---------------------------------------------------------------- the life around it


def test_current(flags: FlagEvaluator) -> None:
    assert current.get(None) is None
    with RequestFlags(flags) as outer:
        assert current.get() is outer
        with RequestFlags(flags) as inner:
            assert current.get() is inner
        assert current.get() is outer
    with pytest.raises(LookupError):
        current.get()


def test_an_end_in_another_context_ends_it_all_the_same(flags: FlagEvaluator) -> None:
    """As a coroutine that is thrown away does."""

    async def main() -> None:
        own = await asyncio.create_task(entered())
        assert answers(own) == {"v1-1"}
        await flags.reload(versioned(2))
        assert flags.statistics().pool.retired == 1
        own.leave()
        assert answers(own) == {"v2-1"}

    async def entered() -> RequestFlags:
        return RequestFlags(flags, ME).enter()

    asyncio.run(main())


@pytest.mark.parametrize("evaluates", [True, False])
def test_nothing_is_left_to_the_collector_of_cycles(flags: FlagEvaluator, evaluates: bool) -> None:
    def request() -> None:
        with RequestFlags(flags, partial(dict, who="me")) as own:
            if evaluates:
                assert answers(own) == {"v1-1"}
                own.identify({"plan": "pro"})
                assert answers(own) == {"v1-1"}

    request()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            request()
        kinds = (RequestFlags, RequestInstances)
        left = [
            each
            for each in gc.get_objects()
            if type(each) in kinds and (flags if type(each) is RequestFlags else flags._swaps) in gc.get_referents(each)
        ]
    finally:
        gc.enable()
    assert left == []


def test_an_evaluator_that_is_not_open_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    flags = pyflagwasm.open(versioned(1))
    for _ in range(3):
        with RequestFlags(flags, ME) as own:
            assert own.details("flag-1", "mine").error_code == "PROVIDER_NOT_READY"
            assert own.value("flag-1", "mine") == "mine"
    assert [record.getMessage() for record in caplog.records] == [
        "a flag is asked for and gives its default: the evaluator is not open: enter it first, `async with flags:`, or "
        "by your framework's integration"
    ]

    async def main() -> None:
        with RequestFlags(flags, ME) as own:
            assert own.value("flag-1", "mine") == "mine"
            async with flags:
                assert answers(own) == {"v1-1"}

    asyncio.run(main())


def test_two_event_loops_at_once(flags: FlagEvaluator) -> None:
    barrier = threading.Barrier(2)
    seen: list[Any] = []

    async def main(number: int) -> None:
        with RequestFlags(flags, ME) as own:
            seen.append((number, answers(own)))
            await asyncio.to_thread(barrier.wait)
            if number == 0:
                await flags.reload(versioned(2))
            await asyncio.to_thread(barrier.wait)
            seen.append((number, answers(own)))
        seen.append((number, answers(own)))

    threads = [threading.Thread(target=asyncio.run, args=(main(number),)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen, key=lambda each: each[0]) == [
        (number, {value}) for number in range(2) for value in ("v1-1", "v1-1", "v2-1")
    ]


@pytest.mark.skipif(extension.chosen() is None, reason="the extension is not used here")
def test_all_but_the_first_evaluations_are_answered_in_c(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    slow: list[str] = []
    below = RequestFlags._details

    def noted(self: RequestFlags, flag_key: str, default: Any, strict: bool) -> Any:
        slow.append(flag_key)
        return below(self, flag_key, default, strict)

    monkeypatch.setattr(RequestFlags, "_details", noted)
    answers(RequestFlags(flags, ME))  # by now the flags' outcomes are known
    slow.clear()
    with RequestFlags(flags, lambda: ME) as own:
        for _ in range(50):
            own.value("flag-1", "")
        assert slow == ["flag-1"]
        own.identify({"who": "me"})
        for _ in range(50):
            own.value("flag-3", "")
        assert slow == ["flag-1", "flag-3"]
    for _ in range(50):
        own.value("flag-1", "")
    assert slow == ["flag-1", "flag-3", "flag-1"]
