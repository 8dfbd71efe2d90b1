"""The C extension while Python code runs in the middle of it: keys, clocks, traps, interrupts, other threads."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import support
from evaluators import FLAGD, ON_OFF, closed, document, flag, opened
from quickly import PRO, Meddling, Quickly, learned_flags, meddling, needs_extension

import pyflagwasm
from pyflagwasm import ErrorCode, FlagEvaluator
from pyflagwasm.pool import waiting
from pyflagwasm.runtime import extension

pytestmark = needs_extension


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    yield from learned_flags()


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)


# ---------------------------------------------------------------- odd moments


def test_a_key_may_evaluate_meanwhile(flags: FlagEvaluator) -> None:
    inner: list[Any] = []

    def act() -> None:
        if len(inner) < 5:
            inner.append(None)
            inner[-1] = flags.value_nowait("city", PRO, False)
            inner.append(flags.value_nowait("plan", {"plan": "free"}, True))

    assert flags.value_nowait("plan", meddling(act), False) is True
    assert inner
    assert set(inner) <= {True, False}
    assert (flags.statistics().pool.idle, flags.statistics().pool.in_use) == (2, 0)


def test_a_key_may_bind_meanwhile(flags: FlagEvaluator) -> None:
    inner: list[Any] = []

    def act() -> None:
        if len(inner) < 3:
            inner.append(None)
            inner[-1] = flags.bind({"plan": "x" * 50, "city": "Ghent", "targetingKey": "u-9"}).value("city", False)

    bound = flags.bind(meddling(act))
    assert inner
    assert set(inner) == {True}
    assert [bound.value(key, None) for key in ("plan", "city")] == [True, False]


def test_a_key_may_reload_and_close_meanwhile() -> None:
    for act in ("reload", "close"):
        flags = opened(FLAGD)
        flags.value_nowait("plan", PRO)

        def do(act: str = act, flags: FlagEvaluator = flags) -> None:
            Meddling.act = staticmethod(lambda: None)  # type: ignore[method-assign]
            coroutine = flags.reload(document(plan=flag(ON_OFF, "off"))) if act == "reload" else flags.aclose()
            thread = threading.Thread(target=lambda: asyncio.run(coroutine))
            thread.start()
            thread.join()

        details = flags.details_nowait("plan", meddling(do), False)
        assert details.value in (True, False)
        if act == "reload":
            assert flags.details_nowait("plan", PRO).generation == 2
            pool = flags.statistics().pool
            assert (pool.idle, pool.in_use) == (2, 0)
            closed(flags)
        else:
            assert flags.details_nowait("plan", PRO).error_code is ErrorCode.PROVIDER_NOT_READY
            assert flags.statistics().pool.in_use == 0


@pytest.mark.parametrize("raised", [KeyError("k"), KeyboardInterrupt(), SystemExit(3)])
def test_what_a_key_raises_costs_no_instance(flags: FlagEvaluator, raised: BaseException) -> None:
    def act() -> None:
        raise raised

    context = meddling(act)
    if isinstance(raised, Exception):
        assert flags.details_nowait("plan", context, False).error_code is ErrorCode.INVALID_CONTEXT
    else:
        with pytest.raises(type(raised)):
            flags.value_nowait("plan", context, False)
    pool = flags.statistics().pool
    assert (pool.idle, pool.in_use, pool.discarded) == (2, 0, 0)
    assert flags.value_nowait("plan", PRO, False) is True


@pytest.mark.parametrize("clock", [lambda: "late", lambda: 1e30, lambda: float("nan"), lambda: 1 // 0])
def test_a_clock_that_fails_is_told_as_ever(clock: Callable[[], Any]) -> None:
    times: list[Callable[[], Any]] = [lambda: 3_000.0]
    flags = pyflagwasm.open(FLAGD, clock=lambda: times[-1]())
    asyncio.run(flags.__aenter__())
    assert flags.value_nowait("later", {}, False) is True
    assert flags.value_nowait("later", {}, False) is True
    times.append(clock)
    details = flags.details_nowait("later", {}, False)
    assert (details.error_code, details.value) == (ErrorCode.GENERAL, False)
    times.append(lambda: 3_000)  # an integer will do
    assert flags.value_nowait("later", {}, False) is True
    closed(flags)


def test_microseconds_are_rounded_as_in_python() -> None:
    """Half a microsecond goes to the even one; the flag compares with exactly one of them."""
    edge = 2_000
    flags = pyflagwasm.open(FLAGD, clock=lambda: seconds)
    seconds = edge - 1.0
    asyncio.run(flags.__aenter__())
    for seconds in (edge - 1.0, edge + 1.0, edge - 1e-6, edge - 0.5e-6, edge - 0.4e-6, float(edge), edge - 0.6e-6):
        expected = round(seconds * 1_000_000) // 1_000_000 >= edge
        assert [flags.value_nowait("later", {}, False) for _ in range(2)] == [expected] * 2, seconds
    closed(flags)


def test_a_trap_is_told_and_the_instance_replaced(flags: FlagEvaluator) -> None:
    member = flags._pool.idle[-1]
    real = member.evaluate
    trapping = support.core(support.TRAPS["UNREACHABLE"])
    broken = pyflagwasm.runtime.instance.Instance(trapping, "native")
    member.evaluate = broken.evaluate
    details = flags.details_nowait("plan", PRO, False)
    assert (details.error_code, details.value) == (ErrorCode.GENERAL, False)
    assert details.error_message is not None
    assert "evaluate trapped: UNREACHABLE" in details.error_message
    pool = flags.statistics().pool
    assert (pool.idle, pool.discarded, pool.built) == (2, 1, 3)
    assert flags.value_nowait("plan", PRO, False) is True
    del real
    broken.close()


def test_an_interrupt_while_an_instance_goes_back_is_raised(
    flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes back by Python code if something has changed meanwhile: there a signal handler may run."""
    interrupted: list[Any] = []
    queue = flags._pool.queue

    def give_back(member: Any) -> None:
        interrupted.append(member)
        raise KeyboardInterrupt

    of = Quickly(flags)
    native = extension.FOUND
    shortcut = native.Shortcut(
        flags._pool, "generation", flags._pool.idle, queue, give_back, flags._pool.discard, [], flags._clock, None, len
    )
    of.shortcut = shortcut

    def act() -> None:
        queue._waiters.append(waiting.Waiter(lambda: None))

    with pytest.raises(KeyboardInterrupt):
        of.value("plan", meddling(act), None)
    assert len(interrupted) == 1
    queue._waiters.clear()
    flags._pool.give_back(interrupted.pop())
    assert flags.value_nowait("plan", PRO, False) is True
    assert (flags.statistics().pool.idle, flags.statistics().pool.in_use) == (2, 0)


def test_a_bound_request_is_kept_while_the_clock_runs(native: None) -> None:
    """Another thread may have encoded it anew meanwhile, and freed what was there."""
    during: list[Callable[[], Any]] = [lambda: None]

    def clock() -> float:
        during[-1]()
        return 3_000.0

    flags = pyflagwasm.open(FLAGD, clock=clock)
    asyncio.run(flags.__aenter__())
    for _ in range(2):
        flags.value_nowait("later", {}, False)
    bound = flags.bind({**PRO, "pad": "x" * 3_000})
    assert bound.value("later", False) is True

    def replaced() -> None:
        during.append(lambda: None)
        bound._encoded = None
        gc.collect()
        during.append([bytes(range(256)) * 20 for _ in range(200)].clear)  # over what was freed

    for _ in range(20):
        during.append(replaced)
        assert bound.value("later", False) is True
        during.append(lambda: None)
        assert bound.value("later", False) is True
    closed(flags)


def test_a_key_may_take_away_what_is_looked_through(native: None) -> None:
    flags = opened(document(f=flag(ON_OFF, "off", {"if": [{"==": [{"var": "user.plan"}, "pro"]}, "on"]})))
    for plan in ("pro", "free"):
        flags.value_nowait("f", {"user": {"plan": plan}}, False)
    context: dict[str, Any] = {}

    def act() -> None:
        context.clear()
        [{f"k{i}": i} for i in range(500)]

    for _ in range(20):
        context["user"] = meddling(act)
        assert flags.value_nowait("f", context, False) in (True, False)
    closed(flags)


def test_a_pin_of_a_closed_evaluator_answers_nothing(native: None) -> None:
    flags = opened(FLAGD)

    async def scenario() -> None:
        async with flags.pin() as pinned:
            assert pinned.value_nowait("bool", {}, False) is True
            await flags.aclose()
            details = pinned.details_nowait("bool", {}, False)
            assert (details.value, details.error_code) == (False, ErrorCode.PROVIDER_NOT_READY)

    asyncio.run(scenario())


def test_what_a_signal_handler_raises_is_no_trap(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """An Exception of somebody else's, while an instance goes back, is theirs."""

    def act() -> None:
        flags._pool.queue._waiters.append(waiting.Waiter(lambda: None))
        monkeypatch.setattr(type(flags._pool.queue), "give", lambda self, item: 1 // 0)

    flags._pool.queue._waiters.clear()
    with pytest.raises(ZeroDivisionError):
        flags.value_nowait("plan", meddling(act), False)
    monkeypatch.undo()
    flags._pool.queue._waiters.clear()


def test_a_clock_of_whole_seconds_is_read_once(native: None) -> None:
    read: list[int] = []

    def clock() -> int:
        read.append(1)
        return 3_000

    flags = pyflagwasm.open(FLAGD, clock=clock)
    asyncio.run(flags.__aenter__())
    flags.value_nowait("later", {}, False)
    read.clear()
    assert [flags.value_nowait("later", {}, False) for _ in range(5)] == [True] * 5
    assert len(read) == 5
    closed(flags)
