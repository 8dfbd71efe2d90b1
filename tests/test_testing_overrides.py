"""`override_flags`: what an overridden flag answers, to whom, in which forms, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from evaluators import FLAGD, closed, devcycle, opened
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, FlagEvaluator, Hook, HookContext, Reason, errors
from pyflagwasm import hooks as module
from pyflagwasm.testing import in_memory, override_flags

PRO = {"plan": "pro"}
WAYS: dict[str, Callable[[Any, str, Any], Any]] = {
    "awaited": lambda flags, key, default: asyncio.run(flags.details(key, PRO, default)),
    "awaited value": lambda flags, key, default: asyncio.run(flags.value(key, PRO, default)),
    "nowait": lambda flags, key, default: flags.details_nowait(key, PRO, default),
    "nowait value": lambda flags, key, default: flags.value_nowait(key, PRO, default),
    "bound": lambda flags, key, default: flags.bind(PRO).details(key, default),
    "bound value": lambda flags, key, default: flags.bind(PRO).value(key, default),
}


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(FLAGD)
    yield evaluator
    closed(evaluator)
    assert evaluator._hooks == []
    assert module.overriding == []


@pytest.mark.parametrize("way", WAYS)
def test_every_way(flags: FlagEvaluator, way: str) -> None:
    def asked(key: str, default: Any) -> Any:
        found = WAYS[way](flags, key, default)
        return found.value if isinstance(found, EvaluationDetails) else found

    assert asked("plan", False) is True
    with override_flags({"plan": False, "absent-one": "text"}, absent=5):
        assert asked("plan", True) is False
        assert asked("absent-one", "") == "text"
        assert asked("absent", 3) == 5
        assert asked("absent", 3.5) == 5.0
        assert type(asked("absent", 3.5)) is float
        assert asked("bool", False) is True  # the others are as they are
        assert asked("nothing", 7) == 7
    assert asked("plan", False) is True
    assert asked("absent", 3) == 3


def test_the_details(flags: FlagEvaluator) -> None:
    expected = EvaluationDetails(
        "plan", False, "override", Reason.STATIC, None, None, None, 1, {"overridden": True}
    )  # fmt: skip
    with override_flags(plan=False):
        found = flags.details_nowait("plan", PRO, True)
        assert found == expected
        assert copy.deepcopy(found) == pickle.loads(pickle.dumps(found)) == expected
        assert json.dumps({"variant": found.variant, "reason": found.reason}) == (
            '{"variant": "override", "reason": "STATIC"}'
        )


@pytest.mark.parametrize(
    ("value", "default"),
    [("text", False), (True, 1), (1, True), (1.5, 1), ([1], {}), ({}, []), (10**400, 0.5)],
    ids=repr,
)
def test_another_type_than_the_default(flags: FlagEvaluator, value: Any, default: Any) -> None:
    with override_flags(plan=value):
        found = flags.details_nowait("plan", PRO, default)
        assert (found.value, found.variant, found.reason) == (default, None, Reason.ERROR)
        assert found.error_code is ErrorCode.TYPE_MISMATCH
        assert found.metadata == {"overridden": True}
        with pytest.raises(errors.TypeMismatchError):
            flags.value_nowait("plan", PRO, default, strict=True)
        assert flags.value_nowait("plan", PRO) == value


def test_the_declared_type_still_counts() -> None:
    evaluator = opened(devcycle("String", "text"))
    with override_flags(v=True):
        found = evaluator.details_nowait("v", {"targetingKey": "u"}, False)
        assert (found.value, found.error_code) == (False, ErrorCode.TYPE_MISMATCH)
        assert found.error_message == "the flag is declared as string, the default is true or false"
    closed(evaluator)


def test_a_function_of_the_context(flags: FlagEvaluator) -> None:
    asked: list[Any] = []

    def decide(context: Mapping[str, Any]) -> bool:
        asked.append(dict(context))
        return context.get("plan") == "free"

    class Adding(Hook):
        def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"more": 1}

    with override_flags(plan=decide):
        assert flags.value_nowait("plan", {"plan": "free"}, default=False) is True
        assert flags.value_nowait("plan", default=False) is False
        assert flags.bind({"plan": "free"}).value("plan", False) is True
        assert flags.bind({"plan": "free"}).many(["plan"]) == {"plan": True}
        assert flags.details_nowait("plan", {"plan": "free"}, False).reason is Reason.TARGETING_MATCH
        assert asked == [{"plan": "free"}, {}, {"plan": "free"}, {"plan": "free"}, {"plan": "free"}]
        asked.clear()
        flags.add_hook(Adding())
        flags.value_nowait("plan", {"plan": "free"}, default=False)
        assert asked == [{"plan": "free", "more": 1}]
        flags._hooks.pop()


@pytest.mark.parametrize("value", [None, {1, 2}, len], ids=["none", "set", "function"])
def test_a_function_that_gives_what_no_flag_can_be(flags: FlagEvaluator, value: Any) -> None:
    with override_flags(plan=lambda context: value):
        found = flags.details_nowait("plan", PRO, False)
        assert (found.value, found.error_code) == (False, ErrorCode.GENERAL)
        assert (found.error_message or "").startswith("the function that overrides the flag failed: TypeError: ")


def test_a_function_that_fails(flags: FlagEvaluator, caplog: pytest.LogCaptureFixture) -> None:
    with override_flags(plan=lambda context: context["nothing"]):
        found = flags.details_nowait("plan", PRO, False)
        assert (found.value, found.error_code) == (False, ErrorCode.GENERAL)
        assert found.error_message == "the function that overrides the flag failed: KeyError: 'nothing'"
        assert flags.bind(PRO).many(["plan", "bool"]) == {"bool": True}
        with pytest.raises(errors.FlagError):
            flags.value_nowait("plan", PRO, False, strict=True)
    assert {each.getMessage() for each in caplog.records} == {"the function that overrides the flag 'plan' failed"}
    assert caplog.records[0].exc_info


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_in_place_of_a_value(flags: FlagEvaluator, code: ErrorCode) -> None:
    for value in (code, lambda context: code):
        with override_flags(plan=value):
            found = flags.details_nowait("plan", PRO, False)
            assert (found.value, found.error_code, found.variant) == (False, code, None)
            assert flags.bind(PRO).many(["plan"]) == {}
            with pytest.raises(errors.EvaluationError, match="a test has the flag fail"):
                flags.value_nowait("plan", PRO, False, strict=True)


@pytest.mark.parametrize("value", [None, object(), {1}, b"bytes"], ids=lambda value: type(value).__name__)
def test_what_no_flag_can_be(value: Any) -> None:
    with pytest.raises(TypeError, match="the flag 'plan' cannot be "):
        override_flags(plan=value)


def test_keys_are_texts() -> None:
    with pytest.raises(TypeError, match="the key of a flag is a str, not int: 5"):
        override_flags({5: True})  # type: ignore[dict-item]


def test_keys_that_are_none(flags: FlagEvaluator) -> None:
    with override_flags(plan=False):
        assert flags.value_nowait([], default=3) == 3  # type: ignore[arg-type]
        assert flags.bind({}).many([[], "plan"]) == {"plan": False}  # type: ignore[list-item]


# ---------------------------------------------------------------- many at once


def test_all_and_many(flags: FlagEvaluator) -> None:
    bound = flags.bind(PRO)
    before, order = bound.all(), [*flags.flag_keys]
    with override_flags({"plan": False, "none": "now", "absent": 5, "int": ErrorCode.GENERAL, "text": "B"}):
        found = bound.all()
        assert found == {
            **{key: value for key, value in before.items() if key != "int"},
            "plan": False, "none": "now", "absent": 5, "text": "B",
        }  # fmt: skip
        assert [*found] == [*(key for key in order if key in found), "absent"]
        assert bound.many(["absent", "bool", "nothing", "plan", "int"]) == {"absent": 5, "bool": True, "plan": False}
        assert [*bound.many(iter(["plan", "bool", "absent"]))] == ["plan", "bool", "absent"]
    assert bound.all() == before


# ---------------------------------------------------------------- evaluators in any state


def test_an_evaluator_that_is_not_open_and_one_that_is_closed() -> None:
    evaluator = pyflagwasm.open(FLAGD)
    with override_flags(plan=False):
        for generation in (0, 1, 0):
            found = evaluator.details_nowait("plan", PRO, True)
            assert (found.value, found.generation) == (False, generation)
            assert evaluator.bind({}).many(["plan", "absent"]) == {"plan": False}
            if evaluator.statistics().state == "NOT_READY":
                asyncio.run(evaluator.__aenter__())
            else:
                closed(evaluator)


@every_loop
def test_pins_leases_and_evaluators_that_are_opened_inside(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD) as flags, flags.pin() as pinned, flags.lease() as leased:
            outside = flags.pin()
            with override_flags(plan=False):
                for asked in (flags, pinned, leased):
                    assert await asked.value("plan", PRO, default=True) is False
                    assert asked.bind(PRO).all()["plan"] is False
                async with pyflagwasm.open(FLAGD) as another:
                    assert await another.value("plan", PRO, default=True) is False
                with pytest.raises(errors.LeaseError):
                    outside.value_nowait("plan", PRO, default=True)
            for asked in (flags, pinned, leased):
                assert await asked.value("plan", PRO, default=False) is True

    run_on(loop, scenario)


def test_a_reload_inside(flags: FlagEvaluator) -> None:
    with override_flags(plan=False):
        asyncio.run(flags.reload({"flags": {}}))
        assert flags.details_nowait("plan", PRO, True).generation == 2
        assert flags.value_nowait("plan", PRO, default=True) is False


# ---------------------------------------------------------------- hooks and counts


def test_hooks_hear_of_it_and_nothing_is_counted() -> None:
    log: list[Any] = []

    class Writing(Hook):
        def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> None:
            log.append("before")

        def after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
            log.append(details.variant)

        def error(self, hook_context: HookContext, exception: Exception, hints: Mapping[str, Any]) -> None:
            log.append(type(exception))

        def finally_after(
            self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]
        ) -> None:
            log.append("finally")

    async def scenario() -> None:
        batches: list[pyflagwasm.Batch] = []
        sink = pyflagwasm.CallbackSink(batches.append)
        async with pyflagwasm.open(FLAGD, hooks=[Writing()], exposures=[sink], exposure_interval=600) as flags:
            with override_flags(plan=False, absent=ErrorCode.GENERAL):
                await flags.value("plan", PRO, default=True)
                flags.bind(PRO).value("plan", True)
                flags.value_nowait("absent", PRO, default=True)
                flags.value_nowait("bool", PRO, default=True)
        counted = {each.flag_key: each.count for batch in batches for each in batch.exposures}
        assert counted == {"bool": 1}

    run_on("asyncio", scenario)
    passed = ["before", "override", "finally"]
    assert log == [*passed, *passed, "before", errors.FlagError, "finally", "before", "on", "finally"]


def test_a_hook_that_fails_before_it_comes_first(flags: FlagEvaluator) -> None:
    class Failing(Hook):
        def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> None:
            raise ZeroDivisionError

    flags.add_hook(Failing())
    with override_flags(plan=True):
        assert flags.details_nowait("plan", PRO, False).error_code is ErrorCode.GENERAL
    flags._hooks.pop()


def test_all_details_know_overrides() -> None:
    with in_memory({"a": False, "b": "text"}) as flags:
        bound = flags.bind({"targetingKey": "u"})
        with override_flags({"a": True}):
            found = bound.all_details()
            assert (found["a"].value, found["a"].variant) == (True, "override")
            assert found["b"].value == "text"
        assert bound.all_details()["a"].value is False


def test_all_details_have_what_all_has() -> None:
    """Overridden flags that no configuration has included, and where there is no configuration at all."""
    with in_memory({"a": False, "b": "text"}) as open_one:
        for flags in (open_one, pyflagwasm.open(FLAGD)):
            bound = flags.bind({"targetingKey": "u"})
            with override_flags(
                {"new": 3, "b": "other", "broken": ErrorCode.GENERAL, "of": lambda context: len(context)}
            ):
                found = bound.all_details()
                assert {key: each.value for key, each in found.items() if each.error_code is None} == bound.all()
                assert (found["new"].value, found["b"].value, found["of"].value) == (3, "other", 1)
                assert (found["broken"].value, found["broken"].error_code) == (None, ErrorCode.GENERAL)
                assert list(found)[:2] == (["a", "b"] if flags is open_one else ["new", "b"])
