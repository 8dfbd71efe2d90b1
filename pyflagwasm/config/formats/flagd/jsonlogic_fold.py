"""What JsonLogic's operations mean, on plain Python values: the importer folds constant expressions with them.

Here live the conversions, comparisons and operations of schema/README.md section 5 as flagd's Python evaluator has
them. Nothing here knows the evaluation context or the model (jsonlogic.py). Every function takes JSON values and
returns one; `Raises` is an operation without a result, which ends an evaluation with GENERAL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from ...._abi import Order
from ...model import JSON

NAN: Final = math.nan
INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_NOT_INFINITE = frozenset({"inf", "+inf", "-inf"})
_NUMERIC = (bool, int, float)


class Raises(Exception):
    """The operation has no result for these operands; the evaluation fails."""


# ---------------------------------------------------------------- conversions


def fit(value: JSON) -> JSON:
    """Integers beyond 64 bits become doubles, as everywhere behind the boundary; inside lists and objects, too."""
    if type(value) is int and not INT_MIN <= value <= INT_MAX:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    if type(value) is list:
        return [fit(item) for item in value]
    if type(value) is dict:
        return {key: fit(item) for key, item in value.items()}
    return value


def truthy(value: JSON) -> bool:
    """Objects are truthy even when empty; NaN is not."""
    if isinstance(value, dict):
        return True
    return bool(value) and value == value


def to_number(value: JSON) -> float | int:
    """The number of a value: NaN for what has none. The texts `inf` have none, but `infinity` does."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if value is None:
        return 0
    if isinstance(value, list):
        return 0 if not value else to_number(value[0]) if len(value) == 1 else NAN
    if not isinstance(value, str) or value.strip().lower() in _NOT_INFINITE:
        return NAN
    try:
        return float(value)
    except ValueError:
        return NAN


def to_text(value: JSON) -> str:
    """The text of a value. Booleans are `True` and `False`: to Python they are integers, and this is their str()."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.15g}"
    if value is None:
        return "null"
    if isinstance(value, list):
        return ",".join(map(to_text, value))
    return "[object Object]" if isinstance(value, dict) else str(value)


def variant_name(value: JSON) -> str:
    """The variant that a targeting's constant result names; null names none and does not come here."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# ---------------------------------------------------------------- comparisons


def loose_equal(x: JSON, y: JSON) -> bool:
    """`==`. Two lists or objects are equal only if they are one and the same; two constants never are."""
    x_numeric, y_numeric = isinstance(x, _NUMERIC), isinstance(y, _NUMERIC)
    if x_numeric or y_numeric:
        return to_number(x) == to_number(y)
    if type(x) is type(y):
        return not isinstance(x, (list, dict)) and bool(x == y)
    if x is None or y is None or not (isinstance(x, str) or isinstance(y, str)):
        return False
    return to_text(x) == to_text(y)


def ordered(order: int, x: JSON, y: JSON) -> bool:
    """Whether x stands in one of the orders of the bits to y. By number, unless there is a text and no number."""
    left: Any
    right: Any
    if not (isinstance(x, _NUMERIC) or isinstance(y, _NUMERIC)) and (isinstance(x, str) or isinstance(y, str)):
        left, right = to_text(x), to_text(y)
    else:
        left, right = to_number(x), to_number(y)
    found = Order.LESS if left < right else Order.GREATER if left > right else Order.EQUAL if left == right else 0
    return bool(order & found)


def contains(needle: JSON, haystack: JSON) -> bool:
    """`in`: a member of a list (strictly equal), or the needle's text in a text."""
    if isinstance(haystack, list):
        return needle in haystack
    return isinstance(haystack, str) and to_text(needle) in haystack


# ---------------------------------------------------------------- versions

_NUMBER = "(0|[1-9][0-9]*)"
_PRERELEASE = "(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD = "[0-9A-Za-z-]+"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PRERELEASE}(?:\.{_PRERELEASE})*))?(?:\+{_BUILD}(?:\.{_BUILD})*)?"
)

ORDERS: Final[dict[str, int]] = {
    "=": Order.EQUAL,
    "!=": Order.LESS | Order.GREATER,
    "<": Order.LESS,
    "<=": Order.LESS | Order.EQUAL,
    ">": Order.GREATER,
    ">=": Order.GREATER | Order.EQUAL,
}
SAME_PARTS: Final[dict[str, int]] = {"^": 1, "~": 2}
"""How many of major and minor must be the same."""


def is_version(text: str) -> bool:
    """Whether the text is a complete version of semver.org."""
    return _VERSION.fullmatch(text) is not None


def version_text(value: JSON) -> str | None:
    """The version that a value means, padded to three parts and without a leading v; None if it means none."""
    text = str(value)
    if text[:1] in ("v", "V"):
        text = text[1:]
    head = text.split("-")[0].split("+")[0]
    padded = head + ".0" * (2 - head.count(".")) + text[len(head) :]
    return padded if is_version(padded) else None


def _digits(text: str) -> tuple[int, str]:
    # numbers without leading zeros, of any length: the longer is the larger
    return len(text), text


def _precedence(text: str) -> tuple[list[tuple[int, str]], bool, list[tuple[bool, int, str]]]:
    match = _VERSION.fullmatch(text)
    assert match is not None
    release = [_digits(part) for part in match.groups()[:3]]
    fields = match.group(4).split(".") if match.group(4) else []
    return release, not fields, [(False, *_digits(f)) if f.isdigit() else (True, 0, f) for f in fields]


def versions_compare(x: JSON, op: JSON, y: JSON) -> bool | None:
    """`sem_ver`: null for an unreadable version or an unknown operator."""
    left, right = version_text(x), version_text(y)
    if left is None or right is None or not isinstance(op, str):
        return None
    a, b = _precedence(left), _precedence(right)
    if op in SAME_PARTS:
        same = SAME_PARTS[op]
        return a[0][:same] == b[0][:same]
    if op not in ORDERS:
        return None
    return bool(ORDERS[op] & (Order.LESS if a < b else Order.GREATER if a > b else Order.EQUAL))


# ---------------------------------------------------------------- operations


def look_up(base: JSON, keys: tuple[str, ...]) -> JSON:
    """Follows text keys into a value; null where they lead nowhere."""
    for key in keys:
        if isinstance(base, (list, str)):
            if key == "length":
                return len(base)
            if not (key.isascii() and key.isdigit() and len(key) < 19) or str(int(key)) != key or int(key) >= len(base):
                return None
            base = base[int(key)]
        elif isinstance(base, dict):
            base = base.get(key)
        else:
            return None
    return base


def _compare(order: int) -> Callable[..., bool]:
    def compare(x: JSON = None, y: JSON = None, z: JSON = None) -> bool:
        return ordered(order, x, y) and (z is None or ordered(order, y, z))

    return compare


def _add(*args: JSON) -> JSON:
    total: JSON = 0
    for arg in args:
        total = fit(total + to_number(arg))
    return total


def _multiply(*args: JSON) -> JSON:
    product: JSON = 1
    for arg in args:
        product = fit(product * to_number(arg))
    return product


def _subtract(x: JSON = None, y: JSON = None) -> JSON:
    return -to_number(x) if y is None else to_number(x) - to_number(y)


def _divide(x: JSON = None, y: JSON = None) -> JSON:
    try:
        return to_number(x) / to_number(y)
    except ZeroDivisionError:
        raise Raises("division by zero") from None


def _modulo(x: JSON = None, y: JSON = None) -> JSON:
    try:
        return to_number(x) % to_number(y)
    except ZeroDivisionError:
        raise Raises("modulo by zero") from None


def _bool_or_number(value: JSON) -> JSON:
    """min and max hand out the value itself, and a boolean is a number to Python."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, bool) else to_number(value)


def _substring(text: JSON = None, index: JSON = None, length: JSON = None) -> str:
    whole, start, count = to_text(text), to_number(index), to_number(length)
    size = len(whole)
    if start == math.inf or math.isinf(count):
        raise Raises("an infinite index or length")
    if math.isnan(start):
        begin = 0
    elif start < 0:
        begin = 0 if -start >= size else size - int(-start)
    else:
        begin = min(int(start), size)
    if length is None:
        return whole[begin:]
    if math.isnan(count):
        return ""
    return whole[begin : begin + int(count) if int(count) >= 0 else max(size + int(count), begin)]


def _merge(*args: JSON) -> list[JSON]:
    merged: list[JSON] = []
    for arg in args:
        merged.extend(arg if isinstance(arg, list) else [arg])
    return merged


def _both_text(test: Callable[[str, str], bool]) -> Callable[[JSON, JSON], bool | None]:
    return lambda x, y: test(x, y) if isinstance(x, str) and isinstance(y, str) else None


OPERATIONS: Final[dict[str, Callable[..., JSON]]] = {
    "==": loose_equal,
    "!=": lambda x, y: not loose_equal(x, y),
    "===": lambda x, y: x == y,
    "!==": lambda x, y: x != y,
    "<": _compare(Order.LESS),
    "<=": _compare(Order.LESS | Order.EQUAL),
    ">": _compare(Order.GREATER),
    ">=": _compare(Order.GREATER | Order.EQUAL),
    "!": lambda x: not truthy(x),
    "!!": truthy,
    "+": _add,
    "*": _multiply,
    "-": _subtract,
    "/": _divide,
    "%": _modulo,
    "in": contains,
    "min": lambda *args: min(map(_bool_or_number, args), default=NAN),
    "max": lambda *args: max(map(_bool_or_number, args), default=NAN),
    "cat": lambda *args: "".join(map(to_text, args)),
    "substr": _substring,
    "merge": _merge,
    "starts_with": _both_text(str.startswith),
    "ends_with": _both_text(str.endswith),
    "sem_ver": versions_compare,
}
"""The operations whose result depends on nothing but their operands, with as many operands as they use."""
