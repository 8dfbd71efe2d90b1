"""From Unleash's client features to answers, through the compiler and the core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.decode import unpack
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

NOW = 1_700_000_000
"""The clock, seconds since 1970: 2023-11-14T22:13:20Z."""


class Answers:
    """Evaluates one document. Raises ConfigError for one that is refused."""

    _instance: Instance | None = None

    def __init__(self, *features: Any, segments: Any = None, document: Any = None, now: float = NOW, **options: Any):
        document = document or {"version": 2, "features": list(features), "segments": segments or []}
        self.config = compile_model(load(document, "unleash", options))
        self._encoder, self._now_us = Encoder(self.config), round(now * 1_000_000)
        Answers._instance = Answers._instance or Instance()

    def details(self, key: str, context: Mapping[str, Any] | None = None) -> dict[str, Any]:
        instance, entry = Answers._instance, self.config.flags[key]
        assert instance is not None
        instance.load(self.config.ir)
        self._encoder.encode(context or {}, entry.slots, instance.scratch, self._now_us)
        decision = unpack(instance.evaluate(entry.index))
        if decision.error is not None:
            return {"error": str(decision.error)}
        assert decision.variant is not None
        variant = entry.variants[decision.variant]
        return {"value": variant.value, "variant": variant.key, "reason": str(decision.reason), "rule": decision.rule}

    def __call__(self, key: str = "f", context: Mapping[str, Any] | None = None) -> Any:
        return self.details(key, context)["value"]


def feature(*strategies: Any, name: str = "f", **members: Any) -> dict[str, Any]:
    return {"name": name, "enabled": True, "strategies": list(strategies), **members}


def strategy(name: str = "default", *constraints: Any, **parameters: str) -> dict[str, Any]:
    return {"name": name, "parameters": parameters, "constraints": list(constraints)}


def constraint(operator: str, given: Any, name: str = "x", **members: Any) -> dict[str, Any]:
    """`given` is a list of values, or the value."""
    key = "values" if isinstance(given, list) else "value"
    return {"contextName": name, "operator": operator, key: given, **members}


def constrained(operator: str, given: Any, name: str = "x", **members: Any) -> dict[str, Any]:
    """A feature with one constraint."""
    return feature(strategy("default", constraint(operator, given, name, **members)))


def variant(name: str, weight: int = 1, **members: Any) -> dict[str, Any]:
    return {"name": name, "weight": weight, **members}
