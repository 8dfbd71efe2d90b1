"""From a DevCycle document to answers, through the compiler and an evaluator, in the vendor's words.

For tests and the differential harness: the evaluator is the plain-Python reference or an instance of the core. The
evaluator that users call, with its types and errors, is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reference import Reference

from pyflagwasm import _abi
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.config.document import parse
from pyflagwasm.config.formats.devcycle import importer as devcycle
from pyflagwasm.config.model import Model
from pyflagwasm.explain import label_outcomes
from pyflagwasm.runtime.decode import unpack
from pyflagwasm.runtime.encode import EncodeError, Encoder

Trace = list[tuple[int, int, int, int]]


@dataclass(frozen=True)
class Answer:
    """What a flag answers. `error`: an OpenFeature code, or what the variant says; then `value` means nothing.
    Served the caller's default: no variant and no error."""

    value: Any = None
    variant: str | None = None
    reason: str = ""
    details: str | None = None
    feature: str | None = None
    target: str | None = None
    error: str | None = None

    @property
    def defaulted(self) -> bool:
        return self.variant is None and self.error is None


class Answers:
    """Evaluates one document. engine: "reference" or "core"."""

    def __init__(self, document: Any, options: Mapping[str, Any] | None = None, engine: str = "reference") -> None:
        self.model: Model = devcycle.load(parse(document), options or {})
        self.config: CompiledConfig = compile_model(self.model)
        self._encoder = Encoder(self.config)
        self._evaluate = on_core(self.config) if engine == "core" else on_reference(self.config)
        self._scratch = memoryview(bytearray(_abi.SCRATCH_REQUEST_SIZE))

    def __call__(self, key: str, context: Mapping[str, Any], now_ms: int = 0) -> Answer:
        entry = self.config.flags[key]
        try:
            size = self._encoder.encode(context, entry.slots, self._scratch, now_ms * 1000)
        except EncodeError:
            return Answer(error="INVALID_CONTEXT")
        packed, trace = self._evaluate(entry.index, bytes(self._scratch[:size]))
        decision = unpack(packed)
        if decision.error is not None:
            return Answer(error=str(decision.error))
        if decision.variant is None:
            return Answer(reason=str(decision.reason))
        variant = entry.variants[decision.variant]
        if variant.error is not None:
            return Answer(error=variant.error)
        assert decision.rule is not None
        assert self.config.details is not None
        outcomes = label_outcomes(self.config, trace)
        about = {**entry.metadata, **entry.rule_metadata[decision.rule]}
        return Answer(
            variant.value,
            variant.key,
            str(decision.reason),
            self.config.details.text(entry.program, decision.rule, outcomes),
            about["feature"],
            about["target"],
        )


Evaluate = Callable[[int, bytes], tuple[int, Trace]]


def on_reference(config: CompiledConfig) -> Evaluate:
    reference = Reference(config.ir)

    def evaluate(flag: int, request: bytes) -> tuple[int, Trace]:
        decision, events = reference.explain(flag, request)
        return decision.pack(), [(event.node, event.outcome, event.kind, event.bits) for event in events]

    return evaluate


_instances: list[Any] = []


def on_core(config: CompiledConfig) -> Evaluate:
    """All configurations of a process in one instance, each loaded when its turn comes."""
    from pyflagwasm.runtime.instance import Instance

    if not _instances:
        _instances.append(Instance())
    instance = _instances[0]

    def evaluate(flag: int, request: bytes) -> tuple[int, Trace]:
        if instance.live != config.digest:
            instance.load(config.ir, config.digest)
        instance.scratch[: len(request)] = request
        packed, events = instance.explain(flag)
        quick = instance.evaluate(flag)
        assert quick == packed, (quick, packed)
        return packed, events

    return evaluate
