"""From a flagd document to answers, through the compiler and an evaluator.

For tests and the differential harness: the evaluator is the plain-Python reference or an instance of the core. The
evaluator that users call is tested elsewhere; here a type is checked as flagd's own evaluator checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reference import Reference

from pyflagwasm import _abi
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.decode import unpack
from pyflagwasm.runtime.encode import EncodeError, Encoder

NOW = 1_750_000_000
"""The clock of all evaluations, seconds since 1970."""

DEFAULTS: dict[str, Any] = {"boolean": False, "string": "caller's", "integer": 7, "float": 7.5, "object": {"caller": 1}}
TYPES: dict[str, Any] = {"boolean": bool, "string": str, "integer": int, "float": (int, float), "object": (dict, list)}
CORES_OWN = range(_abi.ErrorCode.BUDGET_EXCEEDED, _abi.ErrorCode.NO_CONFIG + 1)

Evaluate = Callable[[int, Encoder, Mapping[str, Any]], int]
Engine = Callable[[CompiledConfig], Evaluate]


def reference() -> Engine:
    """Evaluates in plain Python."""
    area = memoryview(bytearray(_abi.SCRATCH_SIZE))

    def prepare(config: CompiledConfig) -> Evaluate:
        evaluator, slots = Reference(config.ir), tuple(range(len(config.slots)))

        def evaluate(flag: int, encoder: Encoder, context: Mapping[str, Any]) -> int:
            size = encoder.encode(context, slots, area, NOW * 1_000_000)
            return evaluator.evaluate(flag, bytes(area[:size])).pack()

        return evaluate

    return prepare


def core() -> Engine:
    """Evaluates in core.wasm, always in the same instance."""
    from pyflagwasm.runtime.instance import Instance

    instance = Instance()

    def prepare(config: CompiledConfig) -> Evaluate:
        slots = tuple(range(len(config.slots)))
        instance.load(config.ir)

        def evaluate(flag: int, encoder: Encoder, context: Mapping[str, Any]) -> int:
            encoder.encode(context, slots, instance.scratch, NOW * 1_000_000)
            return instance.evaluate(flag)

        return evaluate

    return prepare


LENIENT = {"validation": "lenient"}


@dataclass(frozen=True)
class Answer:
    """What a flag answers. Without variant the value is the caller's default. limit: the core's own, if one was hit."""

    value: Any
    variant: str | None = None
    reason: str = "ERROR"
    error: str | None = None
    limit: str | None = None


class Answers:
    """Evaluates one document. Raises ConfigError for one that is refused."""

    def __init__(self, document: Any, options: Mapping[str, Any] | None = None, engine: Engine | None = None) -> None:
        self.model = load(document, "flagd", options)
        self.config = compile_model(self.model)
        self._encoder = Encoder(self.config)
        self._evaluate = (engine or reference())(self.config)

    def __call__(self, key: str, context: Mapping[str, Any] | None = None, kind: str = "string") -> Answer:
        """`kind` is the type that the caller asks for, a key of DEFAULTS."""
        default, entry = DEFAULTS[kind], self.config.flags.get(key)
        if entry is None:
            return Answer(default, error="FLAG_NOT_FOUND")
        try:
            packed = self._evaluate(entry.index, self._encoder, context or {})
        except EncodeError as error:
            return Answer(default, error=str(error.code), limit=str(error))
        decision = unpack(packed)
        if decision.error is not None:
            own = packed >> _abi.DECISION_ERROR_SHIFT & (1 << _abi.DECISION_ERROR_BITS) - 1 in CORES_OWN
            return Answer(default, error=str(decision.error), limit=decision.message if own else None)
        if decision.variant is None:
            return Answer(default, reason=str(decision.reason))
        variant = entry.variants[decision.variant]
        value = variant.value
        if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind == "integer"):
            return Answer(default, error="TYPE_MISMATCH")
        if kind == "float" and isinstance(value, int):
            value = float(value)
        return Answer(value, variant.key, str(decision.reason))


def flag(**members: Any) -> dict[str, Any]:
    """A sound flag with some members replaced; those given as ... are left out."""
    body = {"state": "ENABLED", "variants": {"on": "yes", "off": "no"}, "defaultVariant": "off", **members}
    return {name: member for name, member in body.items() if member is not ...}


def document(*, evaluators: Any = None, **members: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {"flags": {"f": flag(**members)}}
    return whole if evaluators is None else whole | {"$evaluators": evaluators}
