"""Methods that try a shortcut first behave as the ones whose place they take, the async ones to the last `await`."""

from __future__ import annotations

import asyncio
import collections.abc
import gc
import inspect
import sys
import types
import warnings
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

import anyio
import pytest
from evaluators import FLAGD, closed, opened
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.bound import BoundContext
from pyflagwasm.evaluations import Evaluations
from pyflagwasm.runtime import extension

pytestmark = pytest.mark.skipif(extension.FOUND is None, reason=f"no native host here: {extension.MISSING_BECAUSE}")
PRO = {"plan": "pro"}


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)


@pytest.fixture
def flags(native: None) -> Any:
    evaluator = opened(FLAGD)
    for context in (PRO, {}):
        evaluator.value_nowait("plan", context)
    yield evaluator
    closed(evaluator)


def quick(flags: FlagEvaluator) -> Any:
    coroutine = flags.value("plan", PRO, False)
    assert type(coroutine) is not types.CoroutineType, "the shortcut was not taken"
    return coroutine


# ---------------------------------------------------------------- arguments

CALLS: list[Callable[[Any], Any]] = [
    lambda of: of("plan", PRO, False), lambda of: of("plan", PRO, default=False), lambda of: of("plan", context=PRO),
    lambda of: of("plan", default=False, context=PRO), lambda of: of(flag_key="plan", context=PRO, default=False),
    lambda of: of("plan", PRO), lambda of: of("plan"), lambda of: of("plan", None), lambda of: of(*("plan", PRO)),
    lambda of: of("plan", PRO, False, strict=True), lambda of: of("plan", PRO, strict=False),
    lambda of: of("".join(["pl", "an"]), PRO, **{"".join(["def", "ault"]): False}),
]  # fmt: skip
WRONG: list[Callable[[Any], Any]] = [
    lambda of: of(), lambda of: of("plan", PRO, False, True), lambda of: of("plan", PRO, False, default=True),
    lambda of: of("plan", PRO, context=PRO), lambda of: of("plan", nonsense=1), lambda of: of("plan", flag_key="plan"),
    lambda of: of(context=PRO),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_arguments_are_understood_as_ever(flags: FlagEvaluator, call: Callable[[Any], Any]) -> None:
    slow = Evaluations.value_nowait.__wrapped__  # type: ignore[attr-defined]
    assert call(flags.value_nowait) is call(lambda *a, **k: slow(flags, *a, **k))
    assert call(flags.details_nowait).value is call(flags.value_nowait)
    assert asyncio.run(_awaited(lambda: call(flags.value))) is call(flags.value_nowait)
    assert asyncio.run(_awaited(lambda: call(flags.details))) == call(flags.details_nowait)


async def _awaited(make: Callable[[], Any]) -> Any:
    return await make()


@pytest.mark.parametrize("call", WRONG)
def test_wrong_arguments_are_refused_as_ever(flags: FlagEvaluator, call: Callable[[Any], Any]) -> None:
    slow = Evaluations.value_nowait.__wrapped__  # type: ignore[attr-defined]
    with pytest.raises(TypeError) as expected:
        call(lambda *a, **k: slow(flags, *a, **k))
    with pytest.raises(TypeError) as found:
        call(flags.value_nowait)
    assert str(found.value) == str(expected.value)


def test_bound_contexts_take_no_context(flags: FlagEvaluator) -> None:
    user = flags.bind(PRO)
    user.all()
    for call in (
        lambda: user.value("plan", False),
        lambda: user.value("plan", default=False),
        lambda: user.value("plan"),
    ):
        assert call() is True
    with pytest.raises(TypeError, match="context"):
        user.value("plan", context=PRO)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="positional"):
        user.value("plan", False, False)  # type: ignore[call-overload]
    assert user.details("plan", False).variant == "on"


def test_the_first_argument_has_to_be_one_of_ours(flags: FlagEvaluator) -> None:
    for other in (None, 5, object(), PRO, flags.bind(PRO)):
        with pytest.raises((AttributeError, TypeError)):
            Evaluations.value_nowait(other, "plan", PRO, False)  # type: ignore[call-overload]
    assert FlagEvaluator.value_nowait(flags, "plan", PRO, False) is True


# ---------------------------------------------------------------- looks


def test_they_look_as_what_they_stand_for() -> None:
    for of, names in (
        (Evaluations, ("value", "details", "value_nowait", "details_nowait")),
        (BoundContext, ("value",)),
    ):
        for name in names:
            method = getattr(of, name)
            assert (method.__name__, method.__qualname__) == (name, f"{of.__name__}.{name}")
            assert method.__doc__
            assert list(inspect.signature(method).parameters)[:2] == ["self", "flag_key"]
            assert asyncio.iscoroutinefunction(method) == (name in ("value", "details") and of is Evaluations)
            assert inspect.iscoroutinefunction(method) == (name in ("value", "details") and of is Evaluations)
            assert name in repr(method)


def test_stand_ins_of_unittest_see_coroutine_functions() -> None:
    flags = mock.create_autospec(FlagEvaluator, instance=True)
    flags.value.return_value = 3
    assert asyncio.run(_awaited(lambda: flags.value("plan", PRO, 0))) == 3
    assert isinstance(flags.value_nowait, mock.MagicMock)


def test_methods_can_be_patched_and_overridden(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FlagEvaluator, "value_nowait", lambda self, key, *rest, **more: f"patched {key}")
    assert flags.value_nowait("plan", PRO) == "patched plan"
    monkeypatch.undo()
    assert flags.value_nowait("plan", PRO) is True


# ---------------------------------------------------------------- coroutines


def test_a_coroutine_is_one_to_everybody(flags: FlagEvaluator) -> None:
    coroutine = quick(flags)
    assert isinstance(coroutine, types.CoroutineType)
    assert isinstance(coroutine, collections.abc.Coroutine)
    assert inspect.iscoroutine(coroutine)
    assert inspect.isawaitable(coroutine)
    assert asyncio.iscoroutine(coroutine)
    assert (coroutine.__name__, coroutine.cr_running, coroutine.cr_await) == ("evaluation", False, None)
    with pytest.raises(TypeError):
        iter(coroutine)
    coroutine.close()


def test_it_is_awaited_once(flags: FlagEvaluator) -> None:
    async def twice() -> None:
        coroutine = quick(flags)
        assert await coroutine is True
        with pytest.raises(RuntimeError, match="already awaited"):
            await coroutine

    asyncio.run(twice())
    closed_one = quick(flags)
    closed_one.close()
    closed_one.close()
    for attempt in (
        lambda: closed_one.send(None),
        lambda: next(closed_one.__await__()),
        lambda: closed_one.throw(KeyError),
    ):
        with pytest.raises(RuntimeError, match="already awaited"):
            attempt()


def test_a_condition_that_forgets_to_await_raises(flags: FlagEvaluator) -> None:
    coroutine = quick(flags)
    for condition in (bool, lambda of: not of, lambda of: 1 if of else 2, lambda of: of and 1):
        with pytest.raises(TypeError, match="has no truth value: await it, or use value_nowait"):
            condition(coroutine)
    assert asyncio.run(_awaited(lambda: coroutine)) is True  # it was not used up
    for debug in (False, True):
        assert asyncio.run(quick(flags), debug=debug) is True


def test_send_and_throw(flags: FlagEvaluator) -> None:
    coroutine = quick(flags)
    with pytest.raises(TypeError, match="just-started"):
        coroutine.send(1)
    with pytest.raises(StopIteration) as stop:
        coroutine.send(None)
    assert stop.value.value is True
    for arguments in ((KeyError,), (KeyError("k"),), (KeyError, "k"), (KeyError, KeyError("k"), None)):
        with pytest.raises(KeyError):
            quick(flags).throw(*arguments)
    with pytest.raises(TypeError, match="exceptions must be"):
        quick(flags).throw("text")


def test_values_that_are_lists_come_whole() -> None:
    flags = opened({"flags": {"f": {"state": "ENABLED", "variants": {"a": {"k": [1]}}, "defaultVariant": "a"}}})
    assert flags.value_nowait("f", {}) == {"k": [1]}
    with pytest.raises(StopIteration) as stop:
        flags.value("f", {}).send(None)
    assert stop.value.value == {"k": [1]}
    closed(flags)


def test_one_that_nobody_awaits_warns(flags: FlagEvaluator) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick(flags)
        gc.collect()
    assert [str(each.message) for each in caught] == ["coroutine of an evaluation was never awaited"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick(flags).close()
        asyncio.run(_awaited(lambda: flags.value("plan", PRO, False)))
    assert caught == []


@every_loop
def test_tasks_groups_and_timeouts_take_it(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD) as flags:
            await flags.value("plan", PRO, False)
            assert await quick(flags) is True
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(flags.value, "plan", PRO, False)
            with anyio.fail_after(5):
                assert await flags.value("plan", PRO, False) is True
            if loop != "trio":
                assert await asyncio.create_task(quick(flags)) is True
                assert await asyncio.wait_for(quick(flags), 5) is True
                assert await asyncio.gather(*(quick(flags) for _ in range(3))) == [True] * 3
                assert await asyncio.shield(quick(flags)) is True
                assert [await each for each in asyncio.as_completed([quick(flags)])] == [True]
                async with asyncio.TaskGroup() as tasks:
                    made = tasks.create_task(quick(flags))
                assert made.result() is True
                task = asyncio.ensure_future(quick(flags))
                assert "evaluation" in repr(task)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    run_on(loop, scenario)


def test_one_that_is_kept_while_it_warns_lives_on(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: kept.append(unraisable.object))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(100):
            quick(flags)
    gc.collect()
    assert len({id(each) for each in kept}) == 100
    for each in kept:
        with pytest.raises(RuntimeError, match="already awaited"):
            each.send(None)


def test_more_of_what_coroutines_have(flags: FlagEvaluator) -> None:
    coroutine = quick(flags)
    reference = weakref.ref(coroutine)
    assert reference() is coroutine
    assert coroutine.cr_suspended is False
    with pytest.raises(RuntimeError, match="StopIteration"):
        coroutine.throw(StopIteration)
    del coroutine
    assert reference() is None


def test_asyncio_in_debug_mode_takes_it(flags: FlagEvaluator) -> None:
    async def scenario() -> Any:
        return await asyncio.create_task(quick(flags))

    assert asyncio.run(scenario(), debug=True) is True
