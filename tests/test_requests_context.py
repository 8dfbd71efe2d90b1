"""The evaluation context of a request: made when it is needed, changed meanwhile, and functions that fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, FlagEvaluator, Hook, Reason
from pyflagwasm.errors import InvalidContextError, TypeMismatchError
from pyflagwasm.exposures.counting import Batch
from pyflagwasm.exposures.sinks import CallbackSink
from pyflagwasm.hooks import HookContext
from pyflagwasm.integrations.contexts import plain_function
from pyflagwasm.integrations.requests import RequestFlags

PRO = {"targetingKey": "user-7", "plan": "pro"}


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(FLAGD)
    yield evaluator
    closed(evaluator)


class Making:
    """A context function that counts its calls."""

    def __init__(self, gives: Any) -> None:
        self.gives, self.calls = gives, 0

    def __call__(self) -> Any:
        self.calls += 1
        if isinstance(self.gives, BaseException):
            raise self.gives
        return self.gives


def test_it_is_made_once_at_the_first_evaluation(flags: FlagEvaluator) -> None:
    making = Making(PRO)
    with RequestFlags(flags, making) as own:
        assert making.calls == 0
        assert own.value("plan", False) is True
        assert own.details("plan", False).variant == "on"
        assert own.all()["plan"] is True
        assert own.context == PRO
    assert own.value("plan", False) is True
    assert making.calls == 1


def test_a_request_without_evaluations_never_makes_it(flags: FlagEvaluator) -> None:
    making = Making(PRO)
    with RequestFlags(flags, making) as own:
        pass
    assert making.calls == 0
    assert own.value("plan", False) is True  # it is still known who it was


@pytest.mark.parametrize("nothing", [None, Making(None), {}, Making({})])
def test_an_empty_one(flags: FlagEvaluator, nothing: Any) -> None:
    with RequestFlags(flags, nothing) as own:
        assert own.value("plan", True) is False
        assert own.context == {}


# ---------------------------------------------------------------- changed meanwhile


def test_identify(flags: FlagEvaluator) -> None:
    with RequestFlags(flags, Making({"city": "Ghent"})) as own:
        assert own.many(["plan", "city"]) == {"plan": False, "city": True}
        own.identify({"plan": "pro"})
        assert own.many(["plan", "city"]) == {"plan": True, "city": True}
        assert (own.value("plan", False), own.value("city", False)) == (True, True)
        own.identify({"plan": "pro"}, replace=True)
        assert own.many(["plan", "city"]) == {"plan": True, "city": False}
        assert own.context == {"plan": "pro"}
        assert own.generation == 1
    with RequestFlags(flags, Making({"city": "Ghent"})) as own:  # before anything was asked
        own.identify({"plan": "pro"})
        assert own.many(["plan", "city"]) == {"plan": True, "city": True}


def test_with_context_leaves_the_request_as_it_is(flags: FlagEvaluator) -> None:
    with RequestFlags(flags, {"city": "Ghent"}) as own:
        other = own.with_context({"plan": "pro"})
        assert other.many(["plan", "city"]) == {"plan": True, "city": True}
        assert own.with_context({"plan": "pro"}, replace=True).context == {"plan": "pro"}
        assert own.many(["plan", "city"]) == {"plan": False, "city": True}


@pytest.mark.parametrize(("before", "after"), [("targetingKey", "targeting_key"), ("targeting_key", "targetingKey")])
def test_who_it_is_has_two_names_and_the_later_one_counts(flags: FlagEvaluator, before: str, after: str) -> None:
    with RequestFlags(flags, {before: "visitor", "city": "Ghent"}) as own:
        own.identify({after: "user-7"})
        assert own.context == {after: "user-7", "city": "Ghent"}
        own.identify({"city": "Namur"})
        assert own.context == {after: "user-7", "city": "Namur"}


@pytest.mark.parametrize("wrong", [None, "user-7", [("plan", "pro")]])
def test_attributes_are_a_mapping(flags: FlagEvaluator, wrong: Any) -> None:
    with RequestFlags(flags, PRO) as own:
        with pytest.raises(TypeError, match="the attributes of a context are a mapping, not "):
            own.identify(wrong)
        with pytest.raises(TypeError, match="the attributes of a context are a mapping, not "):
            own.with_context(wrong)
        assert own.value("plan", False) is True


def test_what_the_caller_does_to_the_mapping_afterwards_changes_nothing(flags: FlagEvaluator) -> None:
    given, more = {"city": "Ghent"}, {"plan": "pro"}
    with RequestFlags(flags, given) as own:
        own.identify(more)
        given.clear()
        more.clear()
        assert own.many(["plan", "city"]) == {"plan": True, "city": True}


# ---------------------------------------------------------------- functions that fail


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_one_that_raises_fails_the_flags_that_read_it_and_no_other(
    flags: FlagEvaluator, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Mapping[str, Any]:
        raise KeyError("a secret of the user")

    for _ in range(3):
        with RequestFlags(flags, broken) as own:
            failed = own.details("plan", True)
            assert (failed.value, failed.reason, failed.error_code) == (True, Reason.ERROR, ErrorCode.INVALID_CONTEXT)
            assert failed.error_message == "attribute plan: the context function raised KeyError"
            assert own.value("plan", True) is True
            assert own.value("text", "") == "A"  # reads nothing
            assert own.all().keys() == {"bool", "text", "int", "huge", "float", "object", "later"}
            assert own.context == {}
            with pytest.raises(InvalidContextError):
                own.value("plan", True, strict=True)
            own.identify({"plan": "pro"})  # what else there would be is not known
            assert own.value("plan", False) is False
            own.identify({"plan": "pro"}, replace=True)
            assert own.value("plan", False) is True
    name = f"{__name__}.test_one_that_raises_fails_the_flags_that_read_it_and_no_other.<locals>.broken"
    assert logged(caplog) == [f"the context function {name} raised; further ones are not logged"]
    assert caplog.records[0].exc_info is not None


def test_each_function_and_type_is_logged(flags: FlagEvaluator, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [KeyError("a"), ValueError("b"), KeyError("c")]

    def first() -> Mapping[str, Any]:
        raise errors.pop()

    def second() -> Mapping[str, Any]:
        raise KeyError("d")

    for function in (first, first, first, second):
        assert RequestFlags(flags, function).value("plan", True) is True
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [KeyError, ValueError, KeyError]


def test_what_ends_the_task_is_not_caught(flags: FlagEvaluator) -> None:
    with pytest.raises(asyncio.CancelledError), RequestFlags(flags, Making(asyncio.CancelledError())) as own:
        own.value("plan", True)
    assert flags.statistics().pool.retired == 0


@pytest.mark.parametrize("wrong", [3, "user-7", ["plan"], object()])
def test_one_that_gives_no_mapping(flags: FlagEvaluator, wrong: Any) -> None:
    with RequestFlags(flags, Making(wrong)) as own:
        assert own.details("plan", True).error_code is ErrorCode.INVALID_CONTEXT
        assert own.value("text", "") == "A"
        own.identify({"plan": "pro"})
        assert own.value("plan", True) is True
        assert own.context == {}


def test_functions_that_cannot_be_one_are_refused() -> None:
    async def later(request: object) -> dict[str, Any]:
        return {}

    class Later:
        async def __call__(self, request: object) -> dict[str, Any]:
            return {}

    for wrong in (later, Later()):
        with pytest.raises(TypeError, match=r"the context function must not be async: .* flags\(request\).identify"):
            plain_function(wrong)
    with pytest.raises(TypeError, match="context is a function of the request that gives a mapping, not dict"):
        plain_function({"plan": "pro"})
    for right in (None, Making(PRO), lambda request: PRO):
        plain_function(right)


# ---------------------------------------------------------------- as evaluations of the evaluator


class Noting(Hook):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
        self.seen.append((hook_context.flag_key, hook_context.context))


def test_hooks_are_called_once_for_each_evaluation(flags: FlagEvaluator) -> None:
    hook = Noting()
    flags.add_hook(hook)
    with RequestFlags(flags, PRO) as own:
        for _ in range(2):
            own.value("plan", False)
        own.identify({"plan": "free"})
        own.value("plan", False)
    assert hook.seen == [("plan", PRO), ("plan", PRO), ("plan", {**PRO, "plan": "free"})]


def test_exposures_are_counted_once_for_each_evaluation() -> None:
    counted: dict[tuple[str, str | None], int] = {}

    def note(batch: Batch) -> None:
        for each in batch.exposures:
            counted[each.flag_key, each.variant] = counted.get((each.flag_key, each.variant), 0) + each.count

    async def main() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[CallbackSink(note)], exposure_interval=3600) as flags:
            for _ in range(4):
                with RequestFlags(flags, PRO) as own:
                    for _ in range(3):
                        own.value("plan", False)
                own.value("plan", False)

    asyncio.run(main())
    assert counted == {("plan", "on"): 16}


def test_errors_of_data_are_those_of_every_evaluation(flags: FlagEvaluator) -> None:
    with RequestFlags(flags, PRO) as own:
        assert own.details("missing", 1).error_code is ErrorCode.FLAG_NOT_FOUND
        assert own.value("missing", 1) == 1
        assert own.value("text", 3) == 3
        with pytest.raises(TypeMismatchError):
            own.value("text", 3, strict=True)
        assert own.many(["plan", "missing"]) == {"plan": True}
        assert own.evaluator is flags
        assert repr(own) == f"<RequestFlags of {flags!r}>"
