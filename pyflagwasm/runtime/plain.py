"""Python objects as the JSON values that a request can carry, and the error for those that cannot be one.

Here live the conversions of single values and nothing else: no bytes (encode.py), no attribute names (views.py).

    Python                                  becomes
    None, bool, str, float                  itself; NaN, infinities and -0.0 are kept
    int                                     itself; encode.py sends one beyond 64 bits as the nearest double
    enum.Enum                               its value, converted in turn
    subclass of str, int, float             the base value, without calling an overridden method
    Decimal, Fraction                       the nearest double
    datetime                                RFC 3339 text with its UTC offset; a naive one has none
    date                                    ISO text, 2031-12-24
    UUID                                    text, 8-4-4-4-12
    numpy scalar                            what its .item() gives, converted in turn
    Mapping                                 an object; keys must be text
    list, tuple and their subclasses        a list

Everything else - bytes, sets, arrays, arbitrary objects - is refused, and so are text with a lone surrogate and a
number that is finite here but infinite as a double. A refusal names the attribute and the type, never the value.
"""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from ..types import ErrorCode

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_UNWRAP_LIMIT = 8  # an enum of enums of numpy scalars is a joke, a cycle of them is an attack
_SHOWN_KEY = 40


class EncodeError(Exception):
    """A context that cannot be sent. It ends as the error of an EvaluationDetails, not as an exception for callers.

    code: the error code to report. attribute: the attribute as an explanation calls it, with the way into it
    (`user.tags[3]`); "context" for the context itself. message: what is wrong, without the value.
    """

    def __init__(self, code: ErrorCode, attribute: str, message: str) -> None:
        self.code, self.attribute, self.message = code, attribute, message
        super().__init__(code, attribute, message)

    def __str__(self) -> str:
        return f"attribute {self.attribute}: {self.message}" if self.attribute else self.message

    def within(self, owner: str) -> EncodeError:
        """The same error, seen from the attribute that holds the refused value."""
        joint = "" if not self.attribute or self.attribute.startswith("[") else "."
        return EncodeError(self.code, f"{owner}{joint}{self.attribute}", self.message)


def refused(message: str, attribute: str = "") -> EncodeError:
    return EncodeError(ErrorCode.INVALID_CONTEXT, attribute, message)


def shown(key: str) -> str:
    """A key of the caller's, short and printable."""
    text = key if len(key) <= _SHOWN_KEY else key[:_SHOWN_KEY] + "..."
    return text if text.isprintable() else ascii(text)


def double(value: int) -> float:
    """The nearest double of an integer; refuses one whose double would be infinite."""
    try:
        return float(value)
    except OverflowError:
        raise refused("the integer is beyond the range of a double") from None


def _decimal(value: Decimal) -> float:
    if Decimal.is_snan(value):
        raise refused("a signalling NaN is not a number")
    number = Decimal.__float__(value)
    if math.isinf(number) and Decimal.is_finite(value):
        raise refused("the Decimal is beyond the range of a double")
    return number


def _fraction(value: Fraction) -> float:
    try:
        return float(Fraction.__float__(value))
    except OverflowError:
        raise refused("the Fraction is beyond the range of a double") from None


def plain(value: Any) -> Any:
    """`value` as exactly None, bool, int, float, str, or as it is if it is a list, tuple or Mapping.

    Containers keep their members as they are. Raises EncodeError; whatever an object's own code raises passes through.
    """
    for _ in range(_UNWRAP_LIMIT):
        kind = type(value)
        # A class decides, not __class__, which an object may lie about.
        if kind in (str, bool, int, float, dict, list, tuple) or value is None:
            return value
        if issubclass(kind, enum.Enum):
            value = value._value_
        elif issubclass(kind, str):
            return str.__str__(value)
        elif issubclass(kind, int):
            return int.__int__(value)
        elif issubclass(kind, float):
            return float.__float__(value)
        elif issubclass(kind, (list, tuple, Mapping)):
            return value
        elif issubclass(kind, Decimal):
            return _decimal(value)
        elif issubclass(kind, Fraction):
            return _fraction(value)
        elif issubclass(kind, datetime.datetime):
            return datetime.datetime.isoformat(value)
        elif issubclass(kind, datetime.date):
            return datetime.date.isoformat(value)
        elif issubclass(kind, UUID):
            return UUID.__str__(value)
        elif kind.__module__ == "numpy" and getattr(value, "ndim", None) == 0 and hasattr(kind, "item"):
            value = value.item()
        else:
            raise refused(f"a value of type {shown(kind.__qualname__)} cannot be used")
    raise refused(f"a value of type {shown(type(value).__qualname__)} does not unwrap to a plain one")


def is_text(value: Any) -> bool:
    return type(value) is str


def is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float
