"""Doubles as decimal text in the way of Rust, which never writes an exponent, and which texts are such.

`1.0` is "1", `1e21` is "1" and 21 zeros, `-0.0` is "-0". Reading numbers of documents is document.py's.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

_FORM: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?\Z")
_NAMED: Final = {"NaN": math.nan, "inf": math.inf, "-inf": -math.inf}
_LONGEST: Final = 1100  # the smallest double has 1077 characters


def decimal_text(number: float) -> str:
    """The text of a double: the fewest digits that tell it from its neighbours, without exponent."""
    if not math.isfinite(number):
        return "NaN" if number != number else "inf" if number > 0 else "-inf"
    return format(Decimal(repr(number)), "f").removesuffix(".0")


def decimal_value(text: str) -> float | None:
    """The double that has this very text, or None: "1.0", "01" and "1e3" are the text of none."""
    if text in _NAMED:
        return _NAMED[text]
    if len(text) > _LONGEST or not _FORM.match(text):
        return None
    number = float(text)
    return number if decimal_text(number) == text else None
