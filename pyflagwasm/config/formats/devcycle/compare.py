"""DevCycle's comparators: on slots as conditions, and on the platform's constant texts as answers known at import.

Here a filter has been taken apart already (audience.py): a comparator, its values, what it looks at.

The tables of the vendor are per kind of operand, and a missing operand is not simply false: `!contain` of a missing
profile text is true, `!=` is not; for custom data it is the other way round. Each function says its own policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...._abi import Kind, Op, Order, VersionDialect
from ...model import All, Always, AnyOf, Condition, Not, Slot, Test
from .semantics import EXACT_INTEGERS, Semantics, number

NEGATIONS = {"!contain": "contain", "!startWith": "startWith", "!endWith": "endWith"}
ORDERS = {
    "=": Order.EQUAL,
    ">": Order.GREATER,
    ">=": Order.GREATER | Order.EQUAL,
    "<": Order.LESS,
    "<=": Order.LESS | Order.EQUAL,
}
COMPARATORS = frozenset(
    {"=", "!=", ">", ">=", "<", "<=", "exist", "!exist", "contain", "startWith", "endWith", *NEGATIONS}
)

_PARTS = {"contain": Op.TEXT_CONTAINS, "startWith": Op.TEXT_PREFIX, "endWith": Op.TEXT_SUFFIX}


def compiled(values: Sequence[Any], kind: type, semantics: Semantics) -> list[Any]:
    """The values that a comparison of texts (str), numbers (float) or bools sees: the first value says the kind of
    all; a list of another kind is empty for it, and later values of another kind are dropped.

    A number is the double that is compared, or the integer that it equals: an explanation shows it as it was written.
    """
    if not values or _kind(values[0]) is not kind:
        return []
    same = [v for v in values if _kind(v) is kind]
    if kind is not float:
        return same
    return [v if type(v) is int and abs(v) <= EXACT_INTEGERS else number(v, semantics) for v in same]


def _kind(json: Any) -> type:
    return float if type(json) is int else type(json)


# ---------------------------------------------------------------- texts


def profile_text(slot: Slot, comparator: str, values: Sequence[Any], semantics: Semantics) -> Condition:
    """On a slot that is a Text or missing. Missing: `!exist` and the negations of NEGATIONS are true, others false."""
    texts = compiled(values, str, semantics)
    if comparator == "exist":
        return _has_text(slot)
    if comparator == "!exist":
        return Not(_has_text(slot))
    if comparator == "!=":
        return _not_in(slot, texts)
    if comparator in NEGATIONS:
        return _not(_text_part(slot, NEGATIONS[comparator], texts))
    if comparator in _PARTS or comparator == "=":
        return _text_part(slot, comparator, texts)
    return Always(semantics.text_order_holds)


def custom_text(slot: Slot, comparator: str, values: Sequence[Any], semantics: Semantics) -> Condition:
    """On custom data of any kind. Null is a text that is not there, other kinds are false, missing is true for `!=`."""
    texts = compiled(values, str, semantics)
    if comparator == "!=":
        return AnyOf((_kind_in(slot, Kind.MISSING), _not_in(slot, texts)))
    if comparator in NEGATIONS:
        readable = _kind_in(slot, Kind.NULL, Kind.TEXT)
        part = _text_part(slot, NEGATIONS[comparator], texts)
        return readable if part == Always(False) else All((readable, Not(part)))
    if comparator in _PARTS or comparator == "=":
        return _text_part(slot, comparator, texts)
    return _kind_in(slot, Kind.NULL, Kind.TEXT) if semantics.text_order_holds else Always(False)


def _text_part(slot: Slot, comparator: str, texts: list[str]) -> Condition:
    """Equal to, containing, beginning or ending with one of `texts`; false for what is not a Text."""
    if comparator == "=":
        return _text_in(slot, texts)
    if comparator == "contain" and "" in texts:
        return _has_text(slot)  # the vendor finds "" in every text but the empty one
    pieces = tuple(dict.fromkeys(t for t in texts if t))
    return Test(_PARTS[comparator], slot, pieces) if pieces else Always(False)


def _text_in(slot: Slot, texts: list[str], unknown: bool = False) -> Condition:
    if not texts:
        return Always(False)
    return Test(Op.TEXT_IN, slot, tuple(dict.fromkeys(texts)), unknown=unknown)


def _not_in(slot: Slot, texts: list[str]) -> Condition:
    """A Text, and none of `texts`."""
    return Not(_text_in(slot, texts, unknown=True)) if texts else _kind_in(slot, Kind.TEXT)


def _has_text(slot: Slot) -> Condition:
    return Not(Test(Op.TEXT_IN, slot, ("",), unknown=True))


def _kind_in(slot: Slot, *kinds: Kind) -> Condition:
    return Test(Op.KIND_IN, slot, mask=sum(1 << kind for kind in kinds))


def _not(condition: Condition) -> Condition:
    return Always(not condition.holds) if isinstance(condition, Always) else Not(condition)


# ---------------------------------------------------------------- versions


def profile_version(slot: Slot, comparator: str, values: Sequence[Any], semantics: Semantics) -> Condition:
    """`=` compares the texts; the others compare dotted numbers and are false without a version."""
    if comparator == "=":
        return profile_text(slot, comparator, values, semantics)
    versions = compiled(values, str, semantics)
    if comparator == "!=":
        if not versions:
            return _has_text(slot)
        equal = Order.EQUAL | VersionDialect.NUMERIC_RAW << 4
        return Not(Test(Op.VERSION, slot, tuple(versions), flags=equal, unknown=True))
    if comparator not in ORDERS or not versions:
        return Always(False)
    # neither sorted nor without repetitions: the quirk's clean-up depends on what it cleaned before
    return Test(Op.VERSION, slot, tuple(versions), flags=ORDERS[comparator] | semantics.clean << 4)


# ---------------------------------------------------------------- custom data


def custom_exists(slot: Slot) -> Condition:
    """A text that is not empty, a number that is not NaN, true or false."""
    return All(
        (
            Not(_kind_in(slot, Kind.MISSING, Kind.NULL)),
            Not(Test(Op.TEXT_IN, slot, ("",), unknown=False)),
            Test(Op.NUMBER_COMPARE, slot, (0.0,), flags=Order.LESS | Order.EQUAL | Order.GREATER, unknown=True),
        )
    )


def custom_number(slot: Slot, comparator: str, values: Sequence[Any], semantics: Semantics) -> Condition:
    """On custom data of any kind: false for what is not a number, but `!=` is true if there is nothing."""
    numbers = tuple(compiled(values, float, semantics))
    if comparator == "!=":
        if not numbers:
            return _kind_in(slot, Kind.MISSING, Kind.INT, Kind.FLOAT)
        unlike = Not(Test(Op.NUMBER_COMPARE, slot, numbers, flags=Order.EQUAL, unknown=True))
        return AnyOf((_kind_in(slot, Kind.MISSING), unlike))
    if comparator not in ORDERS or not numbers:
        return Always(False)
    return Test(Op.NUMBER_COMPARE, slot, numbers, flags=ORDERS[comparator])


def custom_bool(slot: Slot, comparator: str, values: Sequence[Any], semantics: Semantics) -> Condition:
    """On custom data of any kind: false for what is not true or false, but `!=` is true if there is nothing."""
    listed = sum({1 << int(v) for v in compiled(values, bool, semantics)})
    if comparator in ("=", "contain"):
        return Test(Op.BOOL_IN, slot, mask=listed)
    if comparator not in ("!=", "!contain"):
        return Always(False)
    unlisted = Test(Op.BOOL_IN, slot, mask=3 & ~listed)
    return unlisted if comparator == "!contain" else AnyOf((_kind_in(slot, Kind.MISSING), unlisted))


# ---------------------------------------------------------------- constants


def text_holds(text: str, comparator: str, values: Sequence[Any], semantics: Semantics) -> bool:
    """What `profile_text` answers for a slot that always holds `text`."""
    texts = compiled(values, str, semantics)
    if comparator in ("exist", "!exist"):
        return (text != "") is (comparator == "exist")
    if comparator in ("=", "!="):
        return (text in texts) is (comparator == "=")
    wanted = comparator not in NEGATIONS
    match NEGATIONS.get(comparator, comparator):
        case "contain":
            return any(t in text if t else text != "" for t in texts) is wanted
        case "startWith":
            return any(text.startswith(t) for t in texts if t) is wanted
        case "endWith":
            return any(text.endswith(t) for t in texts if t) is wanted
    return semantics.text_order_holds


def version_holds(version: str, comparator: str, values: Sequence[Any], semantics: Semantics) -> bool:
    """What `profile_version` answers for a slot that always holds `version`."""
    if comparator == "=":
        return text_holds(version, comparator, values, semantics)
    if not version or (comparator != "!=" and comparator not in ORDERS):
        return False
    cleaner = _Cleaner(VersionDialect.NUMERIC_RAW if comparator == "!=" else semantics.clean)
    parts = cleaner.clean(version).split(".")
    mine = _numbers([part or "0" for part in [*parts, "0", "0"][: max(3, len(parts))]])
    orders = ORDERS["=" if comparator == "!=" else comparator]
    matches = False
    for text in compiled(values, str, semantics):
        theirs = _numbers(cleaner.clean(text).split("."))
        if mine is not None and theirs is not None:
            matches = matches or bool(_order(mine, theirs) & orders)
    return matches is not (comparator == "!=")


def _numbers(parts: list[str]) -> list[float] | None:
    return [float(part) for part in parts] if all(p.isascii() and p.isdigit() for p in parts) else None


def _order(a: list[float], b: list[float]) -> Order:
    length = max(len(a), len(b))
    x, y = ([*numbers, *[0.0] * (length - len(numbers))] for numbers in (a, b))
    return Order.EQUAL if x == y else Order.LESS if x < y else Order.GREATER


class _Cleaner:
    """The clean-up of versions (schema/README.md 5.6) for one comparison: the quirk remembers where it was."""

    def __init__(self, dialect: VersionDialect) -> None:
        self.dialect = dialect
        self._foreign_from = self._dash_from = 0

    def clean(self, text: str) -> str:
        if self.dialect is VersionDialect.NUMERIC_RAW:
            return text
        if self.dialect is VersionDialect.NUMERIC_CLEAN:
            return "".join(c for c in text if _kept(c)).partition("-")[0]
        # positions count UTF-16 units
        units = _units(text)
        if units:
            found = next((i for i in range(self._foreign_from, len(units)) if not _kept(units[i])), -1)
            self._foreign_from = found + 1
            if found >= 0:
                units.remove(units[found])
        if units:
            found = next((i for i in range(self._dash_from, len(units)) if units[i] == "-"), -1)
            self._dash_from = len(units) if found >= 0 else 0
            if found >= 0:
                tail = units[found:]
                first = next(i for i in range(found + 1) if units[i : i + len(tail)] == tail)
                del units[first : first + len(tail)]
        return "".join(units)


def _kept(unit: str) -> bool:
    return unit in "0123456789.-()|"


def _units(text: str) -> list[str]:
    raw = text.encode("utf-16-le")
    return [chr(raw[i] | raw[i + 1] << 8) for i in range(0, len(raw), 2)]
