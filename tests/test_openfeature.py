"""The OpenFeature provider: types, contexts, reasons, metadata; the same awaited or not. Its life is elsewhere."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

import anyio
import pytest
from evaluators import FLAGD, ON_OFF, VARIANTS, flag
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm.exposures.counting import Batch

api = pytest.importorskip("openfeature.api")

from openfeature.evaluation_context import EvaluationContext  # noqa: E402
from openfeature.exception import ErrorCode  # noqa: E402
from openfeature.flag_evaluation import FlagEvaluationDetails, Reason  # noqa: E402
from openfeature.hook import Hook, HookContext  # noqa: E402
from openfeature.track import TrackingEventDetails  # noqa: E402

from pyflagwasm.integrations.openfeature import FlagwasmProvider, _metadata  # noqa: E402


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    api.shutdown()


def asked(check: Callable[[Any], Any], source: Any = FLAGD, **options: Any) -> None:
    """Runs a check with a client of a ready provider."""

    async def main() -> None:
        async with pyflagwasm.open(source) as flags:
            api.set_provider_and_wait(FlagwasmProvider(flags, **options))
            found = check(api.get_client())
            if found is not None:
                await found

    run_on("asyncio", main)


GETTERS = ("boolean", "string", "integer", "float", "object")
DEFAULTS: dict[str, Any] = {"boolean": True, "string": "?", "integer": 7, "float": 0.25, "object": {"?": 1}}


async def both(client: Any, getter: str, key: str, default: Any, context: Any = None) -> FlagEvaluationDetails[Any]:
    """The details, which are the same awaited, and of which the value is that of the other getters."""
    details: FlagEvaluationDetails[Any] = getattr(client, f"get_{getter}_details")(key, default, context)
    assert await getattr(client, f"get_{getter}_details_async")(key, default, context) == details
    for value in (
        getattr(client, f"get_{getter}_value")(key, default, context),
        await getattr(client, f"get_{getter}_value_async")(key, default, context),
    ):
        assert (value, type(value)) == (details.value, type(details.value))
    return details


# ---------------------------------------------------------------- types

SUITS: dict[tuple[str, str], Any] = {
    ("boolean", "bool"): True,
    ("string", "text"): "A",
    ("integer", "int"): 3,
    ("integer", "huge"): 10**300,
    ("float", "float"): 0.5,
    ("float", "int"): 3.0,
    ("float", "huge"): 1e300,
    ("object", "object"): {"k": [1, 2]},
}


@pytest.mark.parametrize("getter", GETTERS)
@pytest.mark.parametrize("key", VARIANTS)
def test_every_getter_of_every_flag(getter: str, key: str) -> None:
    async def check(client: Any) -> None:
        details = await both(client, getter, key, DEFAULTS[getter])
        wanted = SUITS.get((getter, key))
        if wanted is not None:
            assert (details.value, type(details.value)) == (wanted, type(wanted))
            assert (details.reason, details.error_code) == (Reason.STATIC, None)
            assert details.variant is not None
        else:
            assert details.value == DEFAULTS[getter]
            assert (details.reason, details.error_code) == (Reason.ERROR, ErrorCode.TYPE_MISMATCH)
            assert details.variant is None
            assert str(details.error_message).startswith("the value is ")

    asked(check)


@pytest.mark.parametrize(
    ("getter", "key", "default", "wanted"),
    [
        ("float", "float", 1, 0.5),
        ("integer", "int", True, 3),
        ("string", "text", None, "A"),
        ("object", "object", None, {"k": [1, 2]}),
        ("object", "object", [], {"k": [1, 2]}),
        ("boolean", "bool", None, True),
    ],
)
def test_the_getter_decides_and_not_the_default(getter: str, key: str, default: Any, wanted: Any) -> None:
    async def check(client: Any) -> None:
        assert (await both(client, getter, key, default)).value == wanted

    asked(check)


@pytest.mark.parametrize("key", ["disabled", "none"])
def test_an_integer_as_the_default_of_a_float_is_no_mismatch(key: str) -> None:
    async def check(client: Any) -> None:
        details = await both(client, "float", key, 2)
        assert (details.value, type(details.value), details.error_code) == (2.0, float, None)
        assert (await both(client, "float", key, 10**400)).error_code is ErrorCode.TYPE_MISMATCH

    asked(check)


def test_lists_are_objects_too() -> None:
    async def check(client: Any) -> None:
        assert (await both(client, "object", "list", {})).value == [1, {"a": 2}]
        mismatch = await both(client, "object", "text", {"?": 1})
        assert (mismatch.value, mismatch.error_code) == ({"?": 1}, ErrorCode.TYPE_MISMATCH)
        assert mismatch.error_message == "the value is a text, neither an object nor a list"

    asked(check, {"features": {"list": {"defaultValue": [1, {"a": 2}]}, "text": {"defaultValue": "x"}}})


# ---------------------------------------------------------------- reasons and errors


@pytest.mark.parametrize(
    ("key", "context", "value", "variant", "reason"),
    [
        ("bool", None, True, "on", Reason.STATIC),
        ("plan", {"plan": "pro"}, True, "on", Reason.TARGETING_MATCH),
        ("plan", {"plan": "free"}, False, "off", Reason.DEFAULT),
        ("none", None, True, None, Reason.DEFAULT),
        ("disabled", None, True, None, Reason.DISABLED),
        ("disabled", {"plan": "pro"}, True, None, Reason.DISABLED),
    ],
)
def test_reasons(key: str, context: Any, value: bool, variant: str | None, reason: Reason) -> None:
    async def check(client: Any) -> None:
        details = await both(client, "boolean", key, True, context and EvaluationContext(attributes=context))
        assert (details.value, details.variant, details.error_code) == (value, variant, None)
        assert details.reason is reason

    asked(check)


def test_errors() -> None:
    async def check(client: Any) -> None:
        missing = await both(client, "boolean", "nowhere", True)
        assert (missing.value, missing.error_code) == (True, ErrorCode.FLAG_NOT_FOUND)
        assert missing.error_message == "the configuration has no such flag"
        hostile = await both(client, "boolean", "plan", True, EvaluationContext(attributes={"plan": object()}))
        assert (hostile.value, hostile.error_code) == (True, ErrorCode.INVALID_CONTEXT)
        assert "plan" in str(hostile.error_message)

    asked(check)


class Hostile(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise ZeroDivisionError("mine")

    def __iter__(self) -> Iterator[str]:
        raise ZeroDivisionError("mine")

    def __len__(self) -> int:
        return 1


def test_what_the_callers_objects_raise_is_an_error_of_the_evaluation(caplog: pytest.LogCaptureFixture) -> None:
    async def check(client: Any) -> None:
        details = await both(client, "boolean", "plan", True, EvaluationContext(attributes={"a": Hostile()}))
        assert (details.value, details.error_code) == (True, ErrorCode.GENERAL)
        assert details.error_message == "ZeroDivisionError: mine"

    asked(check)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]  # nor a traceback for each


# ---------------------------------------------------------------- contexts


MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=timezone(timedelta(hours=2)))


def test_rules_read_moments() -> None:
    targeting = {"if": [{"==": [{"var": "at"}, "2026-05-04T10:30:00Z"]}, "on"]}

    async def check(client: Any) -> None:
        assert (await both(client, "boolean", "f", False, EvaluationContext(None, {"at": MOMENT}))).value is True

    asked(check, {"flags": {"f": flag(ON_OFF, "off", targeting)}})


def test_nested_attributes() -> None:
    targeting = {"if": [{"==": [{"var": "user.plan"}, "pro"]}, "on"]}

    async def check(client: Any) -> None:
        context = EvaluationContext("u-1", {"user": {"plan": "pro"}})
        assert (await both(client, "boolean", "f", False, context)).value is True

    asked(check, {"flags": {"f": flag(ON_OFF, "off", targeting)}})


def test_contexts_are_merged() -> None:
    async def check(client: Any) -> None:
        api.set_evaluation_context(EvaluationContext(attributes={"plan": "free", "city": "Ghent"}))
        assert client.get_boolean_value("city", False) is True
        assert client.get_boolean_value("plan", False) is False
        assert client.get_boolean_value("plan", False, EvaluationContext(attributes={"plan": "pro"})) is True

    asked(check)


# ---------------------------------------------------------------- metadata, hooks, tracking


def test_metadata() -> None:
    given = {"t": "x", "i": 1, "f": 0.5, "b": False}
    source = {"flags": {"f": flag(ON_OFF, "on", metadata=given)}, "metadata": {"flagSetId": "shop"}}

    async def check(client: Any) -> None:
        assert client.provider.get_metadata().name == "pyflagwasm"
        assert (await both(client, "boolean", "f", False)).flag_metadata == {"flagSetId": "shop", **given}
        assert (await both(client, "boolean", "nowhere", False)).flag_metadata == {"flagSetId": "shop"}

    asked(check, source)


def test_metadata_that_openfeature_cannot_have_is_left_out() -> None:
    given: dict[str, Any] = {"t": "x", "i": 1, "f": 0.5, "b": False, "none": None, "list": [1], "object": {"a": 1}}
    assert _metadata(given) == {"t": "x", "i": 1, "f": 0.5, "b": False}


class Adding(Hook):
    def __init__(self) -> None:
        self.stages: list[str] = []

    def before(self, hook_context: HookContext, hints: Any) -> EvaluationContext:
        self.stages.append("before")
        return EvaluationContext(attributes={"plan": "pro"})

    def after(self, hook_context: HookContext, details: Any, hints: Any) -> None:
        self.stages.append(f"after {details.variant}")

    def error(self, hook_context: HookContext, exception: Exception, hints: Any) -> None:
        self.stages.append(f"error {type(exception).__name__}")

    def finally_after(self, hook_context: HookContext, details: Any, hints: Any) -> None:
        self.stages.append("finally")


def test_the_providers_hooks() -> None:
    hook = Adding()

    def check(client: Any) -> None:
        assert client.get_boolean_value("plan", False) is True
        assert client.get_boolean_value("nowhere", False) is False
        assert hook.stages == ["before", "after on", "finally", "before", "error FlagNotFoundError", "finally"]

    asked(check, hooks=[hook])


def test_tracking(caplog: pytest.LogCaptureFixture) -> None:
    tracked: list[Any] = []

    def track(name: str, context: EvaluationContext | None, details: TrackingEventDetails | None) -> None:
        tracked.append((name, context and context.targeting_key, details and details.value))
        if name == "bad":
            raise ZeroDivisionError

    def check(client: Any) -> None:
        assert client.track("visited", EvaluationContext("u-1"), TrackingEventDetails(99.5, {"a": 1})) is None
        assert client.track("bad") is None
        assert client.track("bad") is None

    asked(check, track=track)
    assert tracked == [("visited", "u-1", 99.5), ("bad", None, None), ("bad", None, None)]
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == [
        "tracking bad failed; further failures are not logged"
    ]


def test_tracking_without_a_callback() -> None:
    asked(lambda client: client.track("visited"))


# ---------------------------------------------------------------- awaited


@every_loop
def test_a_cancelled_task_is_cancelled(loop: str) -> None:
    """The client loses a cancellation that comes while the provider is awaited: so it must not be able to come."""

    async def main() -> None:
        async with pyflagwasm.open(FLAGD) as flags:
            provider = FlagwasmProvider(flags)
            for getter in GETTERS:
                coroutine = getattr(provider, f"resolve_{getter}_details_async")("plan", DEFAULTS[getter], None)
                with pytest.raises(StopIteration):  # at the first step, without having been suspended
                    coroutine.send(None)
            api.set_provider_and_wait(provider)
            client = api.get_client()
            with anyio.CancelScope() as scope:
                scope.cancel()
                assert await client.get_boolean_value_async("bool", False) is True  # no place to be cancelled in
                await anyio.lowlevel.checkpoint()
            assert scope.cancelled_caught

    run_on(loop, main)


def test_evaluations_are_counted_once() -> None:
    batches: list[Batch] = []

    class Sink:
        async def send(self, batch: Batch) -> None:
            batches.append(batch)

    async def main() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[Sink()]) as flags:
            provider = FlagwasmProvider(flags)
            provider.resolve_boolean_details("plan", False, EvaluationContext(None, {"plan": "pro", "at": MOMENT}))
            await provider.resolve_float_details_async("int", 0, None)

    run_on("asyncio", main)
    assert {(each.flag_key, each.variant, each.count) for batch in batches for each in batch.exposures} == {
        ("plan", "on", 1),
        ("int", "few", 1),
    }


def test_what_is_missing_is_said() -> None:
    code = "import sys; sys.modules['openfeature'] = None; import pyflagwasm.integrations.openfeature"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.splitlines()[-1] == (
        "ImportError: the OpenFeature provider needs the package openfeature-sdk: pip install 'pyflagwasm[openfeature]'"
    )
