"""What the core answered, in the words of OpenFeature. No values: those are the configuration's (config/compile.py)."""

from __future__ import annotations

from typing import Final, NamedTuple

from .. import _abi
from ..types import ErrorCode, Reason

REASONS: Final[tuple[Reason, ...]] = tuple(Reason[member.name] for member in _abi.Reason)

_BUDGET = f"the rules took more than {_abi.LIMITS_MAX_STEPS} steps"
_LIMIT = (
    f"the rules ran into a limit of the core: {_abi.LIMITS_VALUE_STACK} values on the stack, {_abi.LIMITS_FRAMES} "
    f"nested calls and loops, {_abi.LIMITS_VALUE_DEPTH} levels in one value or {_abi.LIMITS_ARENA} bytes of temporaries"
)

ERRORS: Final[dict[int, tuple[ErrorCode, str]]] = {
    _abi.ErrorCode.FLAG_NOT_FOUND: (ErrorCode.FLAG_NOT_FOUND, "the configuration has no such flag"),
    _abi.ErrorCode.PARSE_ERROR: (ErrorCode.PARSE_ERROR, "the flag's rules cannot be used"),
    _abi.ErrorCode.TYPE_MISMATCH: (ErrorCode.TYPE_MISMATCH, "the flag's value has another type"),
    _abi.ErrorCode.TARGETING_KEY_MISSING: (ErrorCode.TARGETING_KEY_MISSING, "the context has no targeting key"),
    _abi.ErrorCode.INVALID_CONTEXT: (ErrorCode.INVALID_CONTEXT, "the rules cannot use the evaluation context"),
    _abi.ErrorCode.GENERAL: (ErrorCode.GENERAL, "the rules failed for this context"),
    _abi.ErrorCode.PROVIDER_NOT_READY: (ErrorCode.PROVIDER_NOT_READY, "no configuration is loaded yet"),
    _abi.ErrorCode.PROVIDER_FATAL: (ErrorCode.PROVIDER_FATAL, "the configuration cannot be used"),
    _abi.ErrorCode.BUDGET_EXCEEDED: (ErrorCode.GENERAL, _BUDGET),
    _abi.ErrorCode.LIMIT_EXCEEDED: (ErrorCode.GENERAL, _LIMIT),
    _abi.ErrorCode.BAD_REQUEST: (ErrorCode.GENERAL, "the core refused the encoded request: a bug of this package"),
    _abi.ErrorCode.NO_CONFIG: (ErrorCode.GENERAL, "the core has no configuration yet"),
}
"""Error code of the core -> error code and message to report. Those of the core alone are GENERAL."""

_FIELD = (1 << _abi.DECISION_VARIANT_BITS) - 1
_REASON = (1 << _abi.DECISION_REASON_BITS) - 1
_ERROR = (1 << _abi.DECISION_ERROR_BITS) - 1
_BUCKET = (1 << _abi.DECISION_BUCKET_BITS) - 1


class Decision(NamedTuple):
    """One packed decision, unpacked.

    variant, rule: indexes into the flag's tables, None for none. bucket: the last bucket's position in its range,
    parts of `_abi.DECISION_BUCKET_SCALE`; None unless `bucketed`. error, message: set exactly if reason is ERROR.
    """

    variant: int | None
    rule: int | None
    reason: Reason
    error: ErrorCode | None
    bucketed: bool
    bucket: int | None
    message: str | None = None


def unpack(packed: int) -> Decision:
    """The decision in the integer that `evaluate`, `evaluate_many` and `explain` return. Never raises.

    A number that this package has no word for - the core is another version's - reads as UNKNOWN, as GENERAL.
    """
    variant = packed >> _abi.DECISION_VARIANT_SHIFT & _FIELD
    rule = packed >> _abi.DECISION_RULE_SHIFT & _FIELD
    reason = packed >> _abi.DECISION_REASON_SHIFT & _REASON
    error = packed >> _abi.DECISION_ERROR_SHIFT & _ERROR
    bucketed = bool(packed >> _abi.DECISION_BUCKETED_SHIFT & 1)
    code, message = None, None
    if error or reason == _abi.Reason.ERROR:
        code, message = ERRORS.get(error) or (ErrorCode.GENERAL, f"the core reports the unknown error {error}")
    return Decision(
        variant=None if code or variant == _abi.DECISION_NONE else variant,
        rule=None if rule == _abi.DECISION_NONE else rule,
        reason=Reason.ERROR if code else REASONS[reason] if reason < len(REASONS) else Reason.UNKNOWN,
        error=code,
        bucketed=bucketed,
        bucket=packed >> _abi.DECISION_BUCKET_SHIFT & _BUCKET if bucketed else None,
        message=message,
    )
