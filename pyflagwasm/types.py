"""The plain data that callers see. No behaviour beyond guards against misreading it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, ClassVar, Final, NoReturn

EMPTY: Mapping[str, Any] = MappingProxyType({})

TARGETING_KEYS: Final = ("targetingKey", "targeting_key")
"""The attributes that are the targeting key: the second one counts where a context has no first."""


class Reason(enum.StrEnum):
    """OpenFeature's reasons; compares equal to its text."""

    UNKNOWN = "UNKNOWN"
    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    CACHED = "CACHED"
    STALE = "STALE"
    ERROR = "ERROR"


class ErrorCode(enum.StrEnum):
    """OpenFeature's error codes; compares equal to its text."""

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    TYPE_MISMATCH = "TYPE_MISMATCH"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    GENERAL = "GENERAL"
    PROVIDER_NOT_READY = "PROVIDER_NOT_READY"
    PROVIDER_FATAL = "PROVIDER_FATAL"


class State(enum.StrEnum):
    """How an evaluator is. STALE: it answers, but its source fails or delivers what cannot be used."""

    NOT_READY = "NOT_READY"
    READY = "READY"
    STALE = "STALE"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class EvaluationDetails:
    """The value of a flag and why it has it.

    value: the variant's value, or the caller's default.
    variant: the name of the variant, None if the default was served.
    error_code, error_message: set exactly if reason is ERROR.
    rule_index: which rule decided, counted from 0; None if none did.
    generation: the number of the configuration that answered; rises with each reload.

    Can be pickled and copied. Not hashable: a value may be a list or an object.
    """

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    flag_key: str
    value: Any
    variant: str | None = None
    reason: Reason = Reason.UNKNOWN
    error_code: ErrorCode | None = None
    error_message: str | None = None
    rule_index: int | None = None
    generation: int = 0
    metadata: Mapping[str, Any] = field(default_factory=lambda: EMPTY)

    def __reduce__(self) -> tuple[Any, ...]:
        # pickle and copy cannot do a mapping proxy
        fields = (self.flag_key, self.value, self.variant, self.reason, self.error_code, self.error_message)
        return _restored, (dict(self.metadata), *fields, self.rule_index, self.generation)

    def __bool__(self) -> NoReturn:
        raise TypeError("EvaluationDetails has no truth value; read .value")


def _restored(metadata: dict[str, Any], *fields: Any) -> EvaluationDetails:
    return replace(EvaluationDetails(*fields), metadata=MappingProxyType(metadata))
