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
from .generation import Flag, Outcome, failure
from .pool.asking import Instances
from .types import ErrorCode, EvaluationDetails

_ERRORS: Final[Mapping[ErrorCode, type[EvaluationError]]] = {
    ErrorCode.FLAG_NOT_FOUND: FlagNotFoundError,
    ErrorCode.TYPE_MISMATCH: TypeMismatchError,
    ErrorCode.TARGETING_KEY_MISSING: TargetingKeyMissingError,
    ErrorCode.INVALID_CONTEXT: InvalidContextError,
}


def found(instances: Instances, flag_key: str) -> Flag | Outcome:
    """The flag, or the outcome of there being none, which is logged once."""
    generation = instances.generation
    if generation is None:
        return failure(flag_key, ErrorCode.PROVIDER_NOT_READY, instances.remarks.not_ready(), 0)
    flag = generation.flag(flag_key)
    if flag is None:
        instances.remarks.unknown(generation, flag_key)
        return generation.not_found(flag_key)
    return flag


def checked(details: EvaluationDetails, strict: bool, instances: Instances) -> EvaluationDetails:
    """The details; for strict callers an exception in place of an error."""
    if strict and details.error_code is not None:
        raise exception(details, instances)
    return details


def exception(details: EvaluationDetails, instances: Instances | None = None) -> EvaluationError:
    """The error of the details as an exception. instances: whose configuration knows which flag may have been meant."""
    kind = _ERRORS.get(details.error_code or ErrorCode.GENERAL, FlagError)
    message = details.error_message or "no message"
    if instances is not None and kind is FlagNotFoundError and "overridden" not in details.metadata:
        generation = instances.generation
        message += "" if generation is None else instances.remarks.meant(generation, details.flag_key)
    return kind(details.flag_key, message)
