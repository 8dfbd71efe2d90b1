"""Conditions of a universal flag configuration: one comparison of one attribute, as conditions of the model.

An attribute is a text, a number (a double) or a boolean; a list, an object, null and no attribute at all fail every
comparison, also the negated ones, but for IS_NULL. Texts that look like numbers are compared as numbers by GTE, GT, LTE
and LT; numbers and booleans are compared as texts by ONE_OF and MATCHES, in the form of decimals.py. Wherever the
constants allow it that is turned around here: "1" in ONE_OF is the text "1" or the number 1. Only a regular expression
that may match a number needs the text of an attribute, which is a view (runtime/views/eppo.py).

What the vendor calls a condition that cannot be used is a ConfigError.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import product
from typing import Final

from ...._abi import Kind, Op, Order, VersionDialect
from ....errors import ConfigError
from ...decimals import decimal_value
from ...document import at, expect
from ...model import JSON, All, Always, AnyOf, Apply, Condition, Constant, Not, Slot, SlotValue, Test, Truth
from ...regex import PatternError, UnsupportedPattern, compile_pattern
from .wire import REQUIRED, record, word

SUBJECT: Final = Slot("targeting_key")
_ID = "id"

_ORDERS: Final = {
    "GTE": Order.GREATER | Order.EQUAL,
    "GT": Order.GREATER,
    "LTE": Order.LESS | Order.EQUAL,
    "LT": Order.LESS,
}
_OPERATORS: Final = (*_ORDERS, "MATCHES", "NOT_MATCHES", "ONE_OF", "NOT_ONE_OF", "IS_NULL")
_ANY_ORDER = Order.LESS | Order.EQUAL | Order.GREATER
_ABSENT: Final = (Kind.MISSING, Kind.NULL)
_NUMBER: Final = (Kind.INT, Kind.FLOAT)
_SCALAR: Final = (Kind.TEXT, Kind.BOOL, *_NUMBER)
_MOST: Final = math.nextafter(math.inf, 0)
_MOST_CONSTANTS: Final = 65535

# What the core reads as a number (schema/README.md 5, "number of") and Rust does not, and the other way round.
_ONLY_OURS: Final = ("_", *(chr(code) for code in range(0x3001) if chr(code).isspace()))
_INF: Final = tuple(map("".join, product("iI", "nN", "fF")))
_INFINITE: Final = {math.inf: (*_INF, *(f"+{each}" for each in _INF)), -math.inf: tuple(f"-{each}" for each in _INF)}

_NUMBER_CHARACTERS: Final = frozenset("0123456789.-")
_UNUSUAL_NUMBERS: Final = ("NaN", "inf", "-inf")
_LITERAL: Final[dict[Op, Callable[[str, str], bool]]] = {
    Op.TEXT_IN: str.__eq__,
    Op.TEXT_PREFIX: str.startswith,
    Op.TEXT_SUFFIX: str.endswith,
    Op.TEXT_CONTAINS: str.__contains__,
}

_NUMERAL = r"(0|[1-9][0-9]*)"
_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD = r"[0-9A-Za-z-]+"
_VERSION: Final = re.compile(
    rf"{_NUMERAL}\.{_NUMERAL}\.{_NUMERAL}(?:-{_PRE}(?:\.{_PRE})*)?(?:\+{_BUILD}(?:\.{_BUILD})*)?\Z"
)
_FLOAT: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])\Z"
)


class Unsupported(Exception):
    """A condition that the vendor can use and this package cannot."""


def condition(value: JSON, path: str, datadog: bool) -> Condition:
    """The condition of a rule. Raises ConfigError for one that the vendor cannot use, Unsupported."""
    found = record(value, path, "a condition", {"attribute": REQUIRED, "operator": REQUIRED, "value": REQUIRED})
    attribute = expect(found["attribute"], str, at(path, "attribute"), "the attribute")
    operator = word(found["operator"], _OPERATORS, at(path, "operator"), "the operator")
    check = _Check(operator, found["value"], at(path, "value"), datadog)
    slot = Slot("path", (attribute,))
    if attribute != _ID:
        return check.on(slot)
    subject = All((_is(slot, Kind.MISSING), _is(SUBJECT, Kind.TEXT), check.on(SUBJECT)))
    if not check.absent:
        return AnyOf((check.on(slot), subject))
    null = All((_is(slot, *_ABSENT), Not(All((_is(slot, Kind.MISSING), _is(SUBJECT, Kind.TEXT))))))
    return AnyOf((null, subject))


class _Check:
    """An operator with its value.

    absent: whether it holds for an attribute that is not there.
    """

    def __init__(self, operator: str, value: JSON, path: str, datadog: bool) -> None:
        self.operator, self.value, self.path, self.datadog = operator, value, path, datadog
        self.absent = False
        if operator == "IS_NULL":
            self.absent = expect(value, bool, path, "the value of IS_NULL")

    def on(self, slot: Slot) -> Condition:
        if self.operator == "IS_NULL":
            null = _is(slot, *_ABSENT)
            return null if self.absent else Not(null)
        if self.operator in _ORDERS:
            return self._compared(slot, _ORDERS[self.operator])
        if self.operator in ("ONE_OF", "NOT_ONE_OF"):
            return self._expected(slot, _one_of(slot, self._members()))
        return self._matches(slot)

    def _expected(self, slot: Slot, holds: Condition) -> Condition:
        return All((_is(slot, *_SCALAR), Not(holds))) if self.operator.startswith("NOT_") else holds

    def _members(self) -> list[str]:
        found: list[str] = expect(self.value, list, self.path, f"the value of {self.operator}")
        for i, each in enumerate(found):
            expect(each, str, at(self.path, i), f"a value of {self.operator}")
        return found

    def _compared(self, slot: Slot, order: Order) -> Condition:
        value = self.value
        if isinstance(value, str) and not self.datadog:
            if is_version(value):
                flags = order | VersionDialect.STRICT_SEM_VER_BUILD << 4
                return Test(Op.VERSION, slot, (value,), flags=flags)
            number = rust_float(value)
            if number is None:
                raise ConfigError(self.path, f"the value of {self.operator} must be a version or a number")
        else:
            number = float(expect(value, (int, float), self.path, f"the value of {self.operator}"))
        if number != number:
            return Always(False)
        infinite = tuple(t for end, texts in _INFINITE.items() if _ordered(end, number, order) for t in texts)
        as_number = All((Test(Op.COMPARE_CONST, slot, (number,), flags=order), _without(slot, _ONLY_OURS)))
        text = All((_is(slot, Kind.TEXT), AnyOf((*_among(Op.TEXT_IN, slot, infinite), as_number))))
        return AnyOf((Test(Op.NUMBER_COMPARE, slot, (number,), flags=order), text))

    def _matches(self, slot: Slot) -> Condition:
        value = self.value
        if self.datadog and isinstance(value, list) and len(value) == 1:
            (value,) = value
        text = expect(value, str, self.path, f"the value of {self.operator}")
        try:
            pattern = compile_pattern(text, "rust")
            found = pattern.condition(slot, False)
            matches = found if slot == SUBJECT else _also_others(found, slot)
            if matches is None:
                slot = Slot("eppo_text", slot.args)
                matches = pattern.condition(slot, False)
        except PatternError as error:
            raise ConfigError(self.path, f"the regular expression is invalid: {error}") from None
        except UnsupportedPattern as error:
            raise Unsupported(f"{self.path}: {error}") from None
        return self._expected(slot, matches)


# ---------------------------------------------------------------- small conditions


def _is(slot: Slot, *kinds: Kind) -> Condition:
    return Test(Op.KIND_IN, slot, mask=sum(1 << kind for kind in kinds))


def _without(slot: Slot, parts: tuple[str, ...]) -> Condition:
    return Not(Test(Op.TEXT_CONTAINS, slot, parts))


def _among(op: Op, slot: Slot, constants: Sequence[JSON], flags: int = 0) -> list[Condition]:
    """One of them has to hold: the constants, as many at once as a node takes."""
    starts = range(0, len(constants), _MOST_CONSTANTS)
    return [Test(op, slot, tuple(constants[i : i + _MOST_CONSTANTS]), flags=flags) for i in starts]


def _ordered(a: float, b: float, order: Order) -> bool:
    return bool(order & (Order.LESS if a < b else Order.GREATER if a > b else Order.EQUAL))


def _one_of(slot: Slot, members: list[str]) -> Condition:
    """The attribute is one of the texts, or the number or boolean that is written so."""
    items = _among(Op.TEXT_IN, slot, members)
    values = {each: value for each in members if (value := decimal_value(each)) is not None}
    finite = [value for value in values.values() if value and math.isfinite(value)]
    items += _among(Op.NUMBER_COMPARE, slot, finite, Order.EQUAL)
    items += [_number(slot, text) for text, value in values.items() if not (value and math.isfinite(value))]
    mask = ("false" in members) | ("true" in members) << 1
    if mask:
        items.append(Test(Op.BOOL_IN, slot, mask=mask))
    return AnyOf(tuple(items))


def _number(slot: Slot, text: str) -> Condition:
    """The number that is written so, for those of which the double does not tell everything."""
    if text == "NaN":
        return All((_is(slot, *_NUMBER), Not(Test(Op.NUMBER_COMPARE, slot, (0.0,), flags=_ANY_ORDER))))
    if text == "inf":
        return Test(Op.NUMBER_COMPARE, slot, (_MOST,), flags=Order.GREATER)
    if text == "-inf":
        return Test(Op.NUMBER_COMPARE, slot, (-_MOST,), flags=Order.LESS)
    written = Apply(Op.EQUAL, (Apply(Op.CONCAT, (SlotValue(slot),)), Constant(text)), flags=1)  # tells 0 from -0
    return All((Test(Op.NUMBER_COMPARE, slot, (0.0,), flags=Order.EQUAL), Truth(written)))


# ---------------------------------------------------------------- regular expressions on what is no text


def _also_others(matches: Condition, slot: Slot) -> Condition | None:
    """The same condition for numbers and booleans, too; None if it depends on the number."""
    numbers = {_known(matches, slot, text) for text in (None, *_UNUSUAL_NUMBERS)}
    booleans = [_known(matches, slot, text) for text in ("false", "true")]
    if len(numbers) > 1 or None in numbers or None in booleans:
        return None
    items = [matches]
    if True in numbers:
        items.append(_is(slot, *_NUMBER))
    if any(booleans):
        items.append(Test(Op.BOOL_IN, slot, mask=bool(booleans[0]) | bool(booleans[1]) << 1))
    return AnyOf(tuple(items)) if len(items) > 1 else matches


def _known(found: Condition, slot: Slot, text: str | None) -> bool | None:
    """Whether the condition holds for the text, or for each finite number's text alike; None if that is not known."""
    match found:
        case Always():
            return found.holds
        case Not():
            inner = _known(found.item, slot, text)
            return None if inner is None else not inner
        case All() | AnyOf():
            ends = isinstance(found, AnyOf)
            inners = [_known(item, slot, text) for item in found.items]
            return ends if ends in inners else None if None in inners else not ends
        case Test(op=Op.KIND_IN):
            return bool(found.mask & 1 << Kind.TEXT)
        case Test() if found.slot == slot and found.op in _LITERAL:
            outcomes = {_compares(found.op, text, each) for each in found.constants}
            return True if True in outcomes else None if None in outcomes else False
        case _:
            return None


def _compares(op: Op, text: str | None, constant: str) -> bool | None:
    if text is not None:
        return _LITERAL[op](text, constant)
    if not constant:
        return op is not Op.TEXT_IN
    return None if _NUMBER_CHARACTERS.issuperset(constant) else False


# ---------------------------------------------------------------- versions and numbers as Rust reads them


def is_version(text: str) -> bool:
    """Whether it is a version of semver.org whose three numbers fit 64 bits."""
    found = _VERSION.match(text)
    return found is not None and all(len(part) <= 20 and int(part) < 2**64 for part in found.groups())


def rust_float(text: str) -> float | None:
    """The double that Rust reads from a text: no spaces, no underscores, ASCII digits, `inf`, `infinity`, `nan`."""
    return float(text) if _FLOAT.match(text) else None
