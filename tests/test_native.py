"""The C extension: what it answers and what it declines, at odd moments too, with nothing lost or leaked.

The bytes that it writes are in test_native_encode.py. That it answers as the other hosts do in general is what the
whole suite shows, which runs on each of them (PYFLAGWASM_HOST); here is what only the extension can get wrong.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from itertools import count
from types import MappingProxyType
from typing import Any

import pytest
import support
from evaluators import FLAGD, ON_OFF, closed, document, flag, opened

import pyflagwasm
from pyflagwasm import ErrorCode, FlagEvaluator, Hook
from pyflagwasm.runtime import extension
from pyflagwasm.shortcuts import declined

pytestmark = pytest.mark.skipif(extension.FOUND is None, reason=f"no native host here: {extension.MISSING_BECAUSE}")

PRO = {"targetingKey": "u-1", "plan": "pro", "city": "Ghent", "n": 1}


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)


@pytest.fixture
def flags() -> Any:
    evaluator = opened(FLAGD)
    for key in evaluator.flag_keys:
        for context in (PRO, {}, {"targetingKey": "u-2"}, {"targetingKey": "u-3"}, {"targetingKey": "u-5"}):
            evaluator.value_nowait(key, context)
    evaluator.bind(PRO).all()
    yield evaluator
    closed(evaluator)


class Quickly:
    """The shortcut of an evaluator, a pin or a lease alone."""

    def __init__(self, of: Any) -> None:
        self.shortcut = of._shortcut
        assert self.shortcut is not None
        self.many = self.shortcut.many

    def value(self, key: Any, context: Any, default: Any) -> Any:
        return self.shortcut.answer(key, context, None, default, False)

    def details(self, key: Any, context: Any, default: Any) -> Any:
        return self.shortcut.answer(key, context, None, default, True)

    def bound_value(self, key: Any, encoded: Any, default: Any) -> Any:
        return self.shortcut.answer(key, None, encoded, default, False)

    def bound_details(self, key: Any, encoded: Any, default: Any) -> Any:
        return self.shortcut.answer(key, None, encoded, default, True)


# ---------------------------------------------------------------- what is answered, what is declined


def test_what_was_answered_before_is_answered_without_python(flags: FlagEvaluator) -> None:
    quick = Quickly(flags)
    for key in ("bool", "text", "int", "float", "plan", "city", "split", "later"):
        details = flags.details_nowait(key, PRO)
        assert quick.value(key, PRO, None) == details.value
        assert quick.details(key, PRO, None) is quick.details(key, PRO, details.value)
        bound = flags.bind(PRO)
        assert quick.bound_value(key, bound._encoded, None) == details.value
        assert quick.bound_details(key, bound._encoded, None) == details
    generation = flags._instances.generation
    assert generation is not None
    found = quick.many(generation, generation.everything.learned, flags.bind(PRO)._encoded)
    assert found == {key: flags.value_nowait(key, PRO) for key in found}
    assert list(found) == [key for key in flags.flag_keys if key not in ("none", "disabled")]


@pytest.mark.parametrize(
    ("key", "context", "default"),
    [
        ("plan", PRO, "text"), ("plan", PRO, 0), ("int", PRO, 1.0), ("int", PRO, True), ("object", PRO, []),
        ("absent", PRO, None), (["plan"], PRO, None), (None, PRO, None), ("none", PRO, None), ("disabled", PRO, False),
        ("plan", MappingProxyType(PRO), None), ("plan", {"plan": {1}}, None), ("plan", 5, None), ("plan", [], False),
    ],
)  # fmt: skip
def test_the_rest_is_declined(flags: FlagEvaluator, key: Any, context: Any, default: Any) -> None:
    before = flags.statistics()
    assert Quickly(flags).value(key, context, default) is declined
    assert Quickly(flags).details(key, context, default) is declined
    assert flags.statistics() == before


def test_a_decision_is_learned_once_it_was_met() -> None:
    flags = opened(FLAGD)
    assert Quickly(flags).value("plan", PRO, False) is declined
    assert flags.value_nowait("plan", PRO, False) is True
    assert Quickly(flags).value("plan", PRO, False) is True
    assert Quickly(flags).value("plan", {}, False) is declined  # another decision of the same flag
    asyncio.run(flags.reload(FLAGD))
    assert Quickly(flags).value("plan", PRO, False) is declined  # another generation
    closed(flags)
    assert Quickly(flags).value("plan", PRO, False) is declined


def test_many_decisions_of_one_flag_are_told_apart() -> None:
    names = [f"v{number}" for number in range(300)]
    branches = [part for name in names for part in ({"==": [{"var": "n"}, name]}, name)]
    flags = opened(document(f=flag({name: name.upper() for name in names}, "v0", {"if": branches})))
    for _ in range(2):
        for name in names:
            assert flags.value_nowait("f", {"n": name}, "") == name.upper()
    assert Quickly(flags).value("f", {"n": "v299"}, "") == "V299"
    closed(flags)


def test_hooks_see_everything(flags: FlagEvaluator) -> None:
    seen: list[str] = []

    class Watching(Hook):
        def after(self, hook_context: Any, details: Any, hints: Any) -> None:
            seen.append(hook_context.flag_key)

    flags.add_hook(Watching())
    assert Quickly(flags).value("plan", PRO, False) is declined
    assert flags.value_nowait("plan", PRO, False) is True
    assert flags.bind(PRO).value("plan", False) is True
    assert seen == ["plan", "plan"]


def test_pins_and_leases_have_their_own(flags: FlagEvaluator) -> None:
    async def scenario() -> None:
        async with flags.pin() as pinned, flags.lease() as leased:
            for place in (pinned, leased):
                place.value_nowait("plan", PRO, False)
                assert Quickly(place).value("plan", PRO, False) is True
            await flags.reload(document(plan=flag(ON_OFF, "off")))
            assert pinned.value_nowait("plan", PRO, False) is True
            assert leased.value_nowait("plan", PRO, False) is True
            assert flags.value_nowait("plan", PRO, True) is False
            leased.release()
            assert Quickly(leased).value("plan", PRO, False) is declined
        assert Quickly(pinned).value("plan", PRO, False) is declined

    asyncio.run(scenario())
    statistics = flags.statistics().pool
    assert (statistics.idle, statistics.in_use, statistics.retired) == (2, 0, 0)


# ---------------------------------------------------------------- odd moments


class Meddling(str):
    """A key that meets the attribute "plan" in a dict, and runs something when they are compared."""

    act: Callable[[], Any] = staticmethod(lambda: None)

    def __hash__(self) -> int:
        return hash("plan")

    def __eq__(self, other: object) -> bool:
        type(self).act()
        return False


_turns = count(3)


def meddling(act: Callable[[], Any]) -> dict[str, Any]:
    """A context in which "plan" has to be looked for: it is never where it was in the one before."""
    Meddling.act = staticmethod(lambda: None)  # type: ignore[method-assign]
    context: dict[str, Any] = {Meddling("x"): 1, **{f"pad {i}": i for i in range(next(_turns))}, "plan": "pro"}
    Meddling.act = staticmethod(act)  # type: ignore[method-assign]
    return context


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


# ---------------------------------------------------------------- nothing leaks


def test_nothing_is_leaked(flags: FlagEvaluator) -> None:
    """Blocks of memory and references of what takes part, over every way to end."""
    bound, default, quick = flags.bind(PRO), False, Quickly(flags)
    generation = flags._instances.generation
    assert generation is not None
    contexts: list[Any] = [
        PRO,
        {},
        {"plan": {1}},
        MappingProxyType(PRO),
        None,
        {"plan": "é"},
        {"plan": [1, {"k": "v"}]},
    ]

    def act() -> None:
        raise KeyError("k")

    contexts.append(meddling(act))

    def every_way() -> None:
        for context in contexts:
            for key in ("plan", "split", "later", "bool", "absent", "none"):
                flags.value_nowait(key, context, default)
                flags.details_nowait(key, context)
                quick.value(key, context, "another type")
                bound.value(key, default)
        bound.all()
        bound.many(["plan", "absent"])
        flags.bind(PRO).details("split")

    def blocks() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    for _ in range(30):
        every_way()
    watched = [PRO, flags._pool.idle[0], flags._pool.idle[1], generation, *generation.flags.values()]
    watched += [each.learned for each in generation.flags.values()]
    counts, before = [sys.getrefcount(each) for each in watched], blocks()
    for _ in range(300):
        every_way()
    assert blocks() - before < 100
    moved = [
        (each, now - then)
        for each, then, now in zip(watched, counts, map(sys.getrefcount, watched), strict=True)
        if abs(now - then) > 50
    ]
    assert moved == []


def test_an_evaluator_in_a_cycle_is_collected() -> None:
    gc.collect()
    frames = len(pyflagwasm.runtime.guest._frames)

    class Service:
        def __init__(self) -> None:
            self.flags = opened(FLAGD)
            self.flags._hooks.append(self)  # the shortcut knows the hooks, and they know the evaluator

    for _ in range(5):
        service = Service()
        service.flags._hooks.clear()
        assert service.flags.value_nowait("plan", PRO, False) is True
        service.flags._hooks.append(service)
        del service
    gc.collect()
    assert len(pyflagwasm.runtime.guest._frames) == frames


def test_threads_do_not_mix(flags: FlagEvaluator) -> None:
    wrong: list[Any] = []
    done = threading.Event()

    def ask(plan: str, expected: bool) -> None:
        context = {"plan": plan}
        while not done.is_set():
            answers = {flags.value_nowait("plan", context, None) for _ in range(200)}
            if answers != {expected}:
                wrong.append(answers)

    threads = [threading.Thread(target=ask, args=pair) for pair in (("pro", True), ("free", False)) * 2]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(20):
            asyncio.run(flags.reload(FLAGD))
    finally:
        done.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
    assert wrong == []
    assert (flags.statistics().pool.idle, flags.statistics().pool.in_use) == (2, 0)
