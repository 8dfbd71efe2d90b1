"""From a GrowthBook payload to details, by the evaluator that users open. For tests and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pyflagwasm
from pyflagwasm import EvaluationDetails
from pyflagwasm.config.formats import load

JSON = Any


def details(
    document: Mapping[str, JSON], context: JSON = None, key: str = "f", options: JSON = None, default: JSON = None
) -> EvaluationDetails:
    """Of one flag."""

    async def run() -> EvaluationDetails:
        async with pyflagwasm.open(document, format="growthbook", options=options or {}) as flags:
            return await flags.details(key, context, default)

    return asyncio.run(run())


def feature(*rules: JSON, default: JSON = "none", **more: JSON) -> dict[str, JSON]:
    """A payload whose feature `f` has these rules."""
    return {"features": {"f": {"defaultValue": default, "rules": list(rules)}}, **more}


def answer(*rules: JSON, context: JSON = None, options: JSON = None, **more: JSON) -> tuple[JSON, str | None, str]:
    """Value, variant and reason of a feature with these rules."""
    found = details(feature(*rules, **more), context, options=options)
    return found.value, found.variant, str(found.reason)


def holds(condition: JSON, context: Mapping[str, JSON], groups: JSON = None) -> bool:
    """Whether a condition lets the context into a forcing rule."""
    document = feature({"condition": condition, "force": True}, default=False, savedGroups=groups)
    found = details(document, context)
    assert found.error_code is None, found.error_message
    return bool(found.value)


def problem(document: Mapping[str, JSON], key: str = "f", options: JSON = None) -> str | None:
    """What is wrong with a flag."""
    return next(flag.problem for flag in load(document, "growthbook", options).flags if flag.key == key)
