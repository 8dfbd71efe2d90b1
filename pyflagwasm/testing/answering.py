"""What an overridden flag answers, and which evaluations strict tests are told of: the hook behind both.

An override stands in for the configuration, so what follows is as for any flag: a value of another type than the
default is a TYPE_MISMATCH, hooks hear of it, strict callers get exceptions. It is no evaluation: nothing is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ..hooks import HookContext, Override
from ..types import EMPTY, ErrorCode, EvaluationDetails, Reason

if TYPE_CHECKING:
    from ..evaluations import Evaluations
    from ..generation import Generation
    from .layers import Layer
    from .strict import Findings

VARIANT: Final = "override"
METADATA: Final[Mapping[str, Any]] = MappingProxyType({"overridden": True})
_KINDS: Final = (bool, str, int, float, Mapping, list, tuple)
_LOG: Final = logging.getLogger("pyflagwasm")


def fit(flag_key: object, value: object) -> None:
    """Raises TypeError for what no flag can be."""
    if not isinstance(flag_key, str):
        raise TypeError(f"the key of a flag is a str, not {type(flag_key).__name__}: {flag_key!r}")
    if not isinstance(value, _KINDS) and not callable(value):
        raise TypeError(
            f"the flag {flag_key!r} cannot be {value!r}: give true or false, a str, a number, a list, a mapping, "
            "a function of the context, or a pyflagwasm.ErrorCode for it to fail with"
        )


class Answering(Override):
    """layers: those that hold here, the newest first. watching: who is told of every evaluation."""

    def __init__(self, layers: Callable[[], Iterator[Layer]], watching: Callable[[], Iterable[Findings]]) -> None:
        self._layers, self._watching = layers, watching

    def answer(self, of: Evaluations, about: HookContext) -> EvaluationDetails | None:
        if not isinstance(about.flag_key, str):
            return None
        generation = of._instances.generation  # raises, as the evaluation would, where there is none to be made
        for layer in self._layers():
            if about.flag_key in layer.values:
                return _details(generation, about, layer.values[about.flag_key])
            _look_for_mistake(layer, about.flag_key, generation)
        return None

    def given(self, of: Evaluations, about: HookContext, details: EvaluationDetails, strict: bool) -> None:
        for findings in self._watching():
            findings.asked(of, (about.flag_key,))
            if not strict or details.error_code is None:  # else it raises, which is not silent
                findings.given(of, details)

    def selected(
        self, of: Evaluations, context: Mapping[str, Any] | None, flag_keys: Sequence[str] | None, found: dict[str, Any]
    ) -> dict[str, Any]:
        generation = of._instances.generation
        keys = None if flag_keys is None else [key for key in flag_keys if isinstance(key, str)]
        values = self._values()
        for layer in self._layers():
            for key in keys or ():
                _look_for_mistake(layer, key, generation)
        made = found
        if values:
            made = {}
            known = () if generation is None else generation.flags
            for key in dict.fromkeys((*known, *found, *values)) if keys is None else keys:
                if key in values:
                    details = _details(generation, HookContext(key, None, context), values[key])
                    if details.error_code is None:
                        made[key] = details.value
                elif key in found:
                    made[key] = found[key]
        for findings in self._watching():
            findings.asked(of, keys or ())
            findings.selected(of, keys or (), made, values)
        return made

    def detailed(
        self, of: Evaluations, context: Mapping[str, Any] | None, found: dict[str, EvaluationDetails]
    ) -> dict[str, EvaluationDetails]:
        generation = of._instances.generation
        values = self._values().items()
        for findings in self._watching():
            findings.asked(of, ())
        return found | {key: _details(generation, HookContext(key, None, context), value) for key, value in values}

    def _values(self) -> dict[str, Any]:
        """What is overridden here, by key."""
        values: dict[str, Any] = {}
        for layer in self._layers():
            values = {**layer.values, **values}
        return values


def _details(generation: Generation | None, about: HookContext, value: Any) -> EvaluationDetails:
    from ..generation import Outcome, failure

    key, number = about.flag_key, 0 if generation is None else generation.number
    flag = None if generation is None else generation.flag(key)
    reason = Reason.STATIC
    if callable(value):
        reason, function = Reason.TARGETING_MATCH, value
        try:
            value = function(about.context or EMPTY)
            fit(key, value)
            if callable(value):
                raise TypeError("it gave a function")
        except Exception as error:
            _LOG.exception("the function that overrides the flag %r failed", key)
            message = f"the function that overrides the flag failed: {type(error).__name__}: {error}"
            return failure(key, ErrorCode.GENERAL, message, number, METADATA).for_default(about.default)
    if isinstance(value, ErrorCode):
        return failure(key, value, "a test has the flag fail", number, METADATA).for_default(about.default)
    details = EvaluationDetails(key, value, VARIANT, reason, generation=number, metadata=METADATA)
    return Outcome(details, served=True).for_default(about.default, None if flag is None else flag.entry.type)


def _look_for_mistake(layer: Layer, flag_key: str, generation: Generation | None) -> None:
    """Whether `new_checkout=True` was written for the flag "new-checkout"."""
    if layer.keywords and generation is not None and "-" in flag_key:
        name = flag_key.replace("-", "_")
        if name in layer.keywords and name not in generation.flags:
            layer.mistaken[name] = flag_key
