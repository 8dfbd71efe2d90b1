"""Evaluations as OpenTelemetry's events: names, what is told and what is not, and nothing without an SDK."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened

import pyflagwasm

pytest.importorskip("opentelemetry.sdk._logs")

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv._incubating.attributes import feature_flag_attributes as names
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE

from pyflagwasm.integrations import opentelemetry as ours
from pyflagwasm.integrations.opentelemetry import OpenTelemetryHook


class Logs:
    """A logs SDK in memory."""

    def __init__(self) -> None:
        self._exporter = InMemoryLogRecordExporter()
        self.provider = LoggerProvider(shutdown_on_exit=False)
        self.provider.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))

    def taken(self) -> list[Any]:
        found = [each.log_record for each in self._exporter.get_finished_logs()]
        self._exporter.clear()
        return found


@pytest.fixture
def logs() -> Iterator[Logs]:
    made = Logs()
    yield made
    made.provider.shutdown()


def test_names_are_those_of_the_conventions() -> None:
    wanted = {
        "KEY": names.FEATURE_FLAG_KEY,
        "VARIANT": names.FEATURE_FLAG_RESULT_VARIANT,
        "VALUE": names.FEATURE_FLAG_RESULT_VALUE,
        "REASON": names.FEATURE_FLAG_RESULT_REASON,
        "CONTEXT_ID": names.FEATURE_FLAG_CONTEXT_ID,
        "PROVIDER": names.FEATURE_FLAG_PROVIDER_NAME,
        "SET_ID": names.FEATURE_FLAG_SET_ID,
        "VERSION": names.FEATURE_FLAG_VERSION,
        "ERROR_TYPE": ERROR_TYPE,
        "ERROR_MESSAGE": names.FEATURE_FLAG_ERROR_MESSAGE,
    }
    assert {name: getattr(ours, name) for name in wanted} == wanted
    reasons = {each.value for each in names.FeatureFlagResultReasonValues}
    assert {ours._lower(reason) for reason in pyflagwasm.Reason} == reasons


BASE = {"feature_flag.provider.name": "pyflagwasm", "feature_flag.set.id": "shop"}


@pytest.mark.parametrize(
    ("key", "context", "default", "wanted"),
    [
        (
            "plan",
            {"plan": "pro", "targetingKey": "u-1"},
            False,
            {
                "feature_flag.result.variant": "on",
                "feature_flag.result.reason": "targeting_match",
                "feature_flag.context.id": "u-1",
            },
        ),
        ("bool", None, False, {"feature_flag.result.variant": "on", "feature_flag.result.reason": "static"}),
        ("none", {}, False, {"feature_flag.result.reason": "default"}),
        ("disabled", {}, False, {"feature_flag.result.reason": "disabled"}),
        (
            "nowhere",
            {},
            False,
            {
                "feature_flag.result.reason": "error",
                "error.type": "flag_not_found",
                "feature_flag.error.message": "the configuration has no such flag",
            },
        ),
        (
            "bool",
            {"targetingKey": 7},
            "x",
            {
                "feature_flag.result.reason": "error",
                "error.type": "type_mismatch",
                "feature_flag.error.message": "the value is true or false, the default is a text",
                "feature_flag.context.id": "7",
            },
        ),
    ],
)
def test_events(logs: Logs, key: str, context: Any, default: Any, wanted: dict[str, Any]) -> None:
    flags = opened(FLAGD, hooks=[OpenTelemetryHook(logs.provider)])
    for ask in (
        lambda: flags.value_nowait(key, context, default),
        lambda: flags.details_nowait(key, context, default),
        lambda: flags.bind(context).value(key, default),
    ):
        ask()
        (event,) = logs.taken()
        assert event.event_name == "feature_flag.evaluation"
        assert dict(event.attributes) == {"feature_flag.key": key, **BASE, **wanted}
        assert event.body is None
    closed(flags)


def test_the_other_name_of_the_targeting_key(logs: Logs) -> None:
    flags = opened(FLAGD, hooks=[OpenTelemetryHook(logs.provider)])
    for context in ({"targeting_key": "u-1"}, {"targetingKey": "u-1", "targeting_key": "u-2"}):
        flags.value_nowait("float", context, 0.0)
        (event,) = logs.taken()
        assert event.attributes["feature_flag.context.id"] == "u-1"
    closed(flags)


def test_what_is_told_on_demand_only(logs: Logs) -> None:
    flags = opened(FLAGD, hooks=[OpenTelemetryHook(logs.provider, context_id=False, value=True)])
    flags.value_nowait("float", {"targetingKey": "u-1"}, 0.0)
    (event,) = logs.taken()
    assert event.attributes["feature_flag.result.value"] == 0.5
    assert "feature_flag.context.id" not in event.attributes
    closed(flags)


def test_metadata_with_a_meaning(logs: Logs) -> None:
    body = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}
    body["metadata"] = {"contextId": "c-1", "version": 7, "flagSetId": "own", "owner": "billing"}
    flags = opened({"flags": {"f": body}}, hooks=[OpenTelemetryHook(logs.provider)])
    flags.value_nowait("f", {"targetingKey": "u-1"}, False)
    (event,) = logs.taken()
    assert {name: event.attributes[name] for name in (ours.CONTEXT_ID, ours.VERSION, ours.SET_ID)} == {
        "feature_flag.context.id": "c-1",
        "feature_flag.version": "7",
        "feature_flag.set.id": "own",
    }
    assert not [name for name in event.attributes if "owner" in name]
    closed(flags)


def test_within_the_current_span(logs: Logs) -> None:
    flags = opened(FLAGD, hooks=[OpenTelemetryHook(logs.provider)])
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("request") as span:
        flags.value_nowait("bool", None, False)
    (event,) = logs.taken()
    assert (event.trace_id, event.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    closed(flags)


def test_as_a_hook_of_openfeature(logs: Logs) -> None:
    api = pytest.importorskip("openfeature.api")
    from openfeature.evaluation_context import EvaluationContext

    from pyflagwasm.integrations.openfeature import FlagwasmProvider

    flags = opened(FLAGD)
    try:
        api.set_provider_and_wait(FlagwasmProvider(flags))
        api.add_hooks([OpenTelemetryHook(logs.provider)])
        client = api.get_client()
        client.get_boolean_value("plan", False, EvaluationContext("u-1", {"plan": "pro"}))
        client.get_boolean_value("nowhere", False)
    finally:
        api.shutdown()
    found, missing = (dict(event.attributes) for event in logs.taken())
    assert found == {
        "feature_flag.key": "plan",
        "feature_flag.result.variant": "on",
        "feature_flag.result.reason": "targeting_match",
        "feature_flag.context.id": "u-1",
        **BASE,
    }
    assert missing == {
        "feature_flag.key": "nowhere",
        "feature_flag.result.reason": "error",
        "error.type": "flag_not_found",
        "feature_flag.error.message": "the configuration has no such flag",
        **BASE,
    }
    closed(flags)


def test_without_an_sdk_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = opened(FLAGD, hooks=[OpenTelemetryHook()])
    monkeypatch.setattr(ours, "evaluation_attributes", None)  # would fail, and be logged
    assert flags.value_nowait("bool", None, False) is True
    closed(flags)


def test_a_logger_of_an_older_api() -> None:
    emitted: list[dict[str, Any]] = []

    class Older:
        def emit(self, **given: Any) -> None:
            emitted.append(given)

    class Provider:
        def get_logger(self, *given: Any, **more: Any) -> Older:
            return Older()

    flags = opened(FLAGD, hooks=[OpenTelemetryHook(Provider())])  # type: ignore[arg-type]
    flags.value_nowait("bool", None, False)
    assert [each["event_name"] for each in emitted] == ["feature_flag.evaluation"]
    closed(flags)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_what_is_missing_is_said() -> None:
    done = run("import sys; sys.modules['opentelemetry'] = None; import pyflagwasm.integrations.opentelemetry")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: telemetry needs the package opentelemetry-api: pip install 'pyflagwasm[opentelemetry]'"
    )


def test_importing_it_imports_no_sdk_and_no_openfeature() -> None:
    done = run(
        "import sys, pyflagwasm.integrations.opentelemetry\n"
        "print([n for n in sys.modules if n.startswith(('openfeature', 'opentelemetry.sdk', 'opentelemetry.semconv'))])"
    )
    assert done.stdout.strip() == "[]"
