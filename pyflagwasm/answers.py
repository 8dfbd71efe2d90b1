"""What an evaluation gives when it does not come to a decision, and errors as exceptions for strict callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .errors import (
    EvaluationError,
    FlagError,
    FlagNotFoundError,
    InvalidContextError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from .generation import Flag, Generation, Outcome, failure
from .types import ErrorCode, EvaluationDetails

NOT_READY: Final = "no configuration is loaded: the evaluator is not open, or no source has delivered one yet"
_ERRORS: Final[Mapping[ErrorCode, type[EvaluationError]]] = {
    ErrorCode.FLAG_NOT_FOUND: FlagNotFoundError,
    ErrorCode.TYPE_MISMATCH: TypeMismatchError,
    ErrorCode.TARGETING_KEY_MISSING: TargetingKeyMissingError,
    ErrorCode.INVALID_CONTEXT: InvalidContextError,
}


def found(generation: Generation | None, flag_key: str) -> Flag | Outcome:
    """The flag, or the outcome of there being none."""
    if generation is None:
        return failure(flag_key, ErrorCode.PROVIDER_NOT_READY, NOT_READY, 0)
    return generation.flag(flag_key) or generation.not_found(flag_key)


def checked(details: EvaluationDetails, strict: bool) -> EvaluationDetails:
    """The details; for strict callers an exception in place of an error."""
    if strict and details.error_code is not None:
        raise exception(details)
    return details


def exception(details: EvaluationDetails) -> EvaluationError:
    """The error of the details as an exception."""
    kind = _ERRORS.get(details.error_code or ErrorCode.GENERAL, FlagError)
    return kind(details.flag_key, details.error_message or "no message")
