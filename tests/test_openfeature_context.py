"""OpenFeature's evaluation context as the evaluator is given it: the targeting key, moments, and what is not copied."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from evaluators import FLAGD
from loops import run_on

import pyflagwasm

pytest.importorskip("openfeature.api")

from openfeature.evaluation_context import EvaluationContext

from pyflagwasm.integrations.openfeature import FlagwasmProvider


def echo(*path: str, context: EvaluationContext | None) -> Any:
    """The context, or a part of it, as the evaluator is given it."""
    seen: list[Any] = []

    class Recorder(pyflagwasm.Hook):
        def before(self, hook_context: Any, hints: Any) -> None:
            seen.append(hook_context.context)

    async def main() -> None:
        async with pyflagwasm.open(FLAGD, hooks=[Recorder()]) as flags:
            FlagwasmProvider(flags).resolve_boolean_details("plan", False, context)

    run_on("asyncio", main)
    (value,) = seen
    for name in path:
        value = value[name]
    return value


def test_the_targeting_key_is_an_attribute() -> None:
    assert echo(context=EvaluationContext("u-1", {"a": 1})) == {"targetingKey": "u-1", "a": 1}
    assert echo(context=EvaluationContext("u-1", {"targetingKey": "other"})) == {"targetingKey": "u-1"}
    assert echo(context=EvaluationContext(None, {"targetingKey": "other"})) == {"targetingKey": "other"}
    assert echo(context=EvaluationContext("")) == {"targetingKey": ""}
    assert echo(context=None) == {}


def test_nothing_is_copied_without_need() -> None:
    attributes = {"plan": "pro", "tags": ["a", {"b": None}], "n": 1.5, "on": True}
    assert echo(context=EvaluationContext(None, attributes)) is attributes
    assert echo("tags", context=EvaluationContext("u-1", attributes)) is attributes["tags"]


MOMENT = datetime(2026, 5, 4, 12, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT, "2026-05-04T10:30:00Z"),
        (MOMENT.astimezone(UTC), "2026-05-04T10:30:00Z"),
        (MOMENT.replace(tzinfo=None), "2026-05-04T12:30:00Z"),
        (MOMENT.replace(microsecond=500), "2026-05-04T10:30:00.000500Z"),
    ],
)
def test_moments(moment: datetime, text: str) -> None:
    attributes = {"at": moment, "in": {"a": [1, (moment, "x")]}, "other": {"a": [1]}}
    seen = echo(context=EvaluationContext(None, attributes))
    assert seen == {"at": text, "in": {"a": [1, [text, "x"]]}, "other": {"a": [1]}}
    assert seen["other"] is attributes["other"]
    assert attributes["at"] is moment
