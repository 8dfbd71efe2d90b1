"""GrowthBook's conditions to conditions of the model.

What is common becomes predicates and loops of the core. What is not - conditions on the items of a list, equality
with lists and objects, 0, 1, true and false among the values that a list is searched for - comes as a verdict of
runtime/views/growthbook.py: the list [true] or the empty one. A malformed condition - false in whole as soon as the
evaluation meets the malformed part, also below $not - is a view's in whole, and so is one that saved groups blow up.
What everything means is in semantics.py.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ...._abi import Kind, LoopKind, Op, Order
from ...model import (
    JSON,
    All,
    Always,
    AnyOf,
    Apply,
    Condition,
    Constant,
    Item,
    Loop,
    Not,
    Path,
    Slot,
    SlotValue,
    Test,
    Truth,
    Value,
)
from ...pace import breathe
from ...regex import PatternError, UnsupportedPattern, compile_pattern
from . import semantics

MAX_LEAVES: Final = 50_000
"""How many predicates and values the conditions of a document may become with saved groups in their places."""
MAX_SCANNED: Final = 200
"""Among how many values the core looks for each item of a list."""

_NOTHING: Final = 1 << Kind.MISSING | 1 << Kind.NULL
_NUMBER: Final = 1 << Kind.INT | 1 << Kind.FLOAT
_KINDS: Final[Mapping[str, int]] = {
    "null": _NOTHING,
    "boolean": 1 << Kind.BOOL,
    "number": _NUMBER,
    "string": 1 << Kind.TEXT,
    "array": 1 << Kind.LIST,
    "object": 1 << Kind.OBJECT,
}
_EXACT: Final = 2**53  # below this a number is compared as a double without loss
_STRICT: Final = 1  # of EqualConst
_NEVER: Final = Always(False)
_INDEX: Final = re.compile(r"length\Z|0\Z|[1-9][0-9]*\Z")


class _TooMuch(Exception):
    """The saved groups of a condition are not to be put in their places."""


class Conditions:
    """Lowers the conditions of one document; `groups` are its saved groups."""

    def __init__(self, groups: Mapping[str, JSON] | None) -> None:
        self._groups = groups
        self._left = MAX_LEAVES
        self._counted: set[int] = set()  # lists of values by id, which the document keeps: they are stored once

    def condition(self, condition: JSON) -> Condition:
        """True exactly if the vendor's evaluation gives true. Never Unknown, never raises because of data."""
        if not isinstance(condition, dict):
            return _NEVER
        before = self._left
        try:
            if self._sound(condition, set()):
                return self._condition(condition, frozenset())
        except _TooMuch:
            self._left = before
            self._counted.clear()
        return Test(Op.TRUTHY, Slot("growthbook_condition", (_text(condition), self._used(condition))))

    # ------------------------------------------------------------ whether anything can go wrong

    def _sound(self, condition: JSON, seen: set[str]) -> bool:
        """Whether no evaluation of it can meet something malformed. `seen` are groups that were looked at."""
        return isinstance(condition, dict) and all(self._sound_part(*part, seen) for part in condition.items())

    def _sound_part(self, key: str, operand: JSON, seen: set[str]) -> bool:
        breathe()
        if key in ("$or", "$nor", "$and"):
            return isinstance(operand, list) and all(self._sound(each, seen) for each in operand)
        if key == "$not":
            return self._sound(operand, seen)
        if key == "$savedGroup":
            found = semantics.saved_group(operand, self._groups)
            if found is None or isinstance(found[1], tuple) or found[0] in seen:
                return True
            seen.add(found[0])
            return self._sound(found[1], seen)
        return key == "$savedGroups" or self._sound_value(operand, seen)

    def _sound_value(self, operand: JSON, seen: set[str]) -> bool:
        if not semantics.is_operators(operand):
            return True
        for name, argument in operand.items():
            if name == "$elemMatch":
                sound = self._sound_value if semantics.is_operators(argument) else self._sound
                if not sound(argument, seen):
                    return False
            elif name in ("$size", "$not"):
                if not self._sound_value(argument, seen):
                    return False
            elif name in ("$all", "$alli") and isinstance(argument, list):
                if not all(self._sound_value(each, seen) for each in argument):
                    return False
        return True

    def _used(self, operand: JSON) -> str:
        """The saved groups that a part of a condition names, and those that they name, as JSON."""
        found: dict[str, JSON] = {}
        left = [operand]
        while left:
            value = left.pop()
            breathe()
            if isinstance(value, list):
                left += value
            elif isinstance(value, dict):
                reference = value.get("$savedGroup")
                names = [value.get("$inGroup"), value.get("$notInGroup")]
                names.append(reference.get("id") if isinstance(reference, dict) else None)
                for name in names:
                    if isinstance(name, str) and name not in found and name in (self._groups or {}):
                        found[name] = entry = (self._groups or {})[name]
                        left += [entry] if isinstance(entry, dict) else []
                left += value.values()
        return _text(found) if found else ""

    # ------------------------------------------------------------ conditions

    def _condition(self, condition: Mapping[str, JSON], visited: frozenset[str]) -> Condition:
        return _all(self._part(key, operand, visited) for key, operand in condition.items())

    def _part(self, key: str, operand: JSON, visited: frozenset[str]) -> Condition:
        match key:
            case "$or" | "$nor":
                found = AnyOf(tuple(self._condition(each, visited) for each in operand)) if operand else Always()
                return found if key == "$or" else Not(found)
            case "$and":
                return _all(self._condition(each, visited) for each in operand)
            case "$not":
                return Not(self._condition(operand, visited))
            case "$savedGroup":
                return self._saved_group(operand, visited)
            case "$savedGroups":
                return _NEVER
            case _:
                return self._value(key, operand)

    def _saved_group(self, reference: JSON, visited: frozenset[str]) -> Condition:
        self._count()
        found = semantics.saved_group(reference, self._groups)
        if found is None or found[0] in visited:
            return _NEVER
        if isinstance(found[1], tuple):
            return self._member(*found[1])
        return self._condition(found[1], visited | {found[0]})

    def _count(self, leaves: int = 1) -> None:
        breathe()
        self._left -= leaves
        if self._left < 0:
            raise _TooMuch

    # ------------------------------------------------------------ values

    def _value(self, path: str, operand: JSON) -> Condition:
        if semantics.is_operators(operand):
            return _all(self._operator(path, name, argument) for name, argument in operand.items())
        return self._equal(path, operand)

    def _equal(self, path: str, operand: JSON) -> Condition:
        self._count()
        if isinstance(operand, (list, dict)):
            return self._judged(path, operand)
        if isinstance(operand, str):
            return Test(Op.TEXT_IN, attribute(path), (operand,))
        if operand is None:
            return _kind_in(path, _NOTHING)
        return Test(Op.EQUAL_CONST, attribute(path), (operand,), flags=_STRICT)

    def _operator(self, path: str, name: str, operand: JSON) -> Condition:
        self._count()
        if name in semantics.ORDERS:
            return self._ordered(path, name, operand)
        if name in semantics.VERSIONS:
            version, constant = Slot("growthbook_version", (path,)), semantics.padded(operand)
            if name in ("$veq", "$vne"):
                return _unless(name == "$vne", Test(Op.TEXT_IN, version, (constant,)))
            return Test(Op.COMPARE_CONST, version, (constant,), flags=semantics.VERSIONS[name])
        match name:
            case "$eq" | "$ne":
                return _unless(name == "$ne", _same(path, operand))
            case "$in" | "$nin" | "$ini" | "$nini":
                if not isinstance(operand, list):
                    return _NEVER
                return _unless(name.startswith("$ni"), self._member(path, operand, folded=name.endswith("ini")))
            case "$inGroup" | "$notInGroup":
                values = semantics.group_values(operand, self._groups)
                return _NEVER if values is None else _unless(name == "$notInGroup", self._member(path, values))
            case "$regex" | "$regexi" | "$notRegex" | "$notRegexi":
                return _unless(name.startswith("$not"), self._regex(path, operand, name.endswith("i")))
            case "$elemMatch":
                return self._some_item(path, operand)
            case "$size":
                return self._size(path, operand)
            case "$all" | "$alli":
                return self._every(path, operand, folded=name == "$alli")
            case "$exists":
                return _unless(bool(operand), _kind_in(path, _NOTHING))
            case "$type":
                return _kind_in(path, _KINDS[operand]) if isinstance(operand, str) and operand in _KINDS else _NEVER
            case "$not":
                return Not(self._value(path, operand))
        return _NEVER

    def _ordered(self, path: str, name: str, operand: JSON) -> Condition:
        order = semantics.ORDERS[name]
        if isinstance(operand, dict):
            return _NEVER
        beside = _read_as_number(operand)
        if isinstance(operand, list) or (beside is not None and abs(beside) >= _EXACT):
            return self._judged(path, {name: operand}, scalars=True)
        plain = isinstance(operand, (int, float)) and not isinstance(operand, bool)
        slot = Slot("growthbook_number", (path,)) if plain else attribute(path)
        tests: list[Condition] = []
        if isinstance(operand, str):
            text = Test(Op.KIND_IN, slot, mask=1 << Kind.TEXT)
            tests.append(All((text, Test(Op.COMPARE_CONST, slot, (operand,), flags=order))))
        if beside is not None and not math.isnan(beside):
            tests.append(Test(Op.NUMBER_COMPARE, slot, (operand if plain else beside,), flags=order))
        elif beside is not None and order & Order.EQUAL:  # no number is less or greater, so all are equal
            tests.append(Test(Op.NUMBER_COMPARE, slot, (0,), flags=Order.LESS | Order.EQUAL | Order.GREATER))
        if plain and order & Order.EQUAL:  # a text that reads as NaN
            tests.append(Test(Op.KIND_IN, slot, mask=1 << Kind.LIST))
        if semantics.ordered(None, operand, order):
            tests.append(Test(Op.KIND_IN, slot, mask=_NOTHING))
        truths = sum(1 << value for value in (False, True) if semantics.ordered(value, operand, order))
        if truths:
            tests.append(Test(Op.BOOL_IN, slot, mask=truths))
        return AnyOf(tuple(tests))

    def _member(self, path: str, values: list[JSON], *, folded: bool = False) -> Condition:
        """Whether the attribute, or a member of it, is one of the values."""
        if id(values) not in self._counted:
            self._counted.add(id(values))
            self._count(1 + len(values))
        slot = Slot("growthbook_folded", (path,)) if folded else attribute(path)
        if folded:
            values = [semantics.fold(value) for value in values]
        texts = tuple(value for value in values if isinstance(value, str))
        numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
        near = tuple(value for value in numbers if abs(value) < _EXACT)
        far = tuple(value for value in numbers if not abs(value) < _EXACT)
        truths = sum({1 << value for value in values if isinstance(value, bool)})
        tests: list[Condition] = []
        if texts:
            tests.append(Test(Op.TEXT_IN, slot, texts))
        if near:
            tests.append(Test(Op.NUMBER_COMPARE, slot, near, flags=Order.EQUAL))
        if far:
            tests.append(All((Test(Op.KIND_IN, slot, mask=_NUMBER), Test(Op.IN_CONST, slot, far))))
        if truths:
            tests.append(Test(Op.BOOL_IN, slot, mask=truths))
        if None in values:
            tests.append(Test(Op.KIND_IN, slot, mask=_NOTHING))
        containers = any(isinstance(value, (list, dict)) for value in values)
        if containers or 0 in values or 1 in values or len(values) > MAX_SCANNED:
            tests.append(self._judged(path, {"$ini" if folded else "$in": values}))
        elif values:
            tests.append(_some(slot, Apply(Op.IN, (Item(), Constant(values)))))
        return AnyOf(tuple(tests))

    def _every(self, path: str, operands: JSON, folded: bool) -> Condition:
        """`$all`."""
        if not isinstance(operands, list):
            return _NEVER
        if any(isinstance(each, (list, dict)) for each in operands):
            return self._judged(path, {"$alli" if folded else "$all": operands})
        self._count(1 + len(operands))
        slot = Slot("growthbook_folded", (path,)) if folded else attribute(path)
        wanted = (semantics.fold(each) if folded else each for each in operands)
        items = (_some(slot, Apply(Op.EQUAL, (Item(), Constant(each)), flags=_STRICT)) for each in wanted)
        return All((Test(Op.KIND_IN, slot, mask=1 << Kind.LIST), *items))

    def _some_item(self, path: str, operand: JSON) -> Condition:
        """`$elemMatch`."""
        wanted = operand.get("$eq") if isinstance(operand, dict) and len(operand) == 1 else None
        if isinstance(wanted, str) or (isinstance(wanted, (int, float)) and wanted not in (0, 1)):
            return _some(attribute(path), Apply(Op.EQUAL, (Item(), Constant(wanted)), flags=_STRICT))
        return self._judged(path, {"$elemMatch": operand})

    def _size(self, path: str, operand: JSON) -> Condition:
        """`$size`."""
        slot = attribute(path)
        length = Path(SlotValue(slot), ("length",))
        name, number = next(iter(operand.items())) if isinstance(operand, dict) and len(operand) == 1 else ("", operand)
        if not isinstance(number, int) or isinstance(number, bool) or abs(number) >= _EXACT:
            return self._judged(path, {"$size": operand})
        if name in ("", "$eq"):
            test = Apply(Op.EQUAL, (length, Constant(number)), flags=_STRICT)
        elif name in semantics.ORDERS:
            test = Apply(Op.COMPARE, (length, Constant(number)), flags=semantics.ORDERS[name])
        else:
            return self._judged(path, {"$size": operand})
        return All((Test(Op.KIND_IN, slot, mask=1 << Kind.LIST), Truth(test)))

    def _regex(self, path: str, pattern: JSON, ignore_case: bool) -> Condition:
        if not isinstance(pattern, str):
            return _NEVER
        try:
            return compile_pattern(pattern, "python", ignore_case=ignore_case).condition(attribute(path), unknown=False)
        except PatternError:
            return _NEVER
        except UnsupportedPattern:
            return self._judged(path, {"$regexi" if ignore_case else "$regex": pattern}, scalars=True)

    def _judged(self, path: str, operand: JSON, *, scalars: bool = False) -> Condition:
        """The verdict of the view about lists and objects, with `scalars` about every attribute; false for others."""
        view = "growthbook_verdict" if scalars else "growthbook_judged"
        slot = Slot(view, (path, _text(operand), self._used(operand)))
        return All((Test(Op.KIND_IN, slot, mask=1 << Kind.LIST), Test(Op.TRUTHY, slot)))


# ---------------------------------------------------------------- pieces


def attribute(path: str) -> Slot:
    """The attribute at a dotted path; members of objects only."""
    keys = path.split(".")
    if keys[0] != "id" and not any(map(_INDEX.match, keys[1:])):
        return Slot("path", tuple(keys))
    return Slot("growthbook_attribute", (path,))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _all(items: Iterable[Condition]) -> Condition:
    found = tuple(items)
    return found[0] if len(found) == 1 else All(found)


def _unless(negated: bool, condition: Condition) -> Condition:
    return Not(condition) if negated else condition


def _kind_in(path: str, mask: int) -> Test:
    return Test(Op.KIND_IN, attribute(path), mask=mask)


def _some(slot: Slot, body: Value) -> Condition:
    """Of a list, some item; false for what is no list."""
    return Truth(Loop(LoopKind.SOME, SlotValue(slot), body))


def _same(path: str, operand: JSON) -> Condition:
    """`$eq`."""
    if isinstance(operand, (list, dict)):
        return _NEVER
    if isinstance(operand, bool):
        return Test(Op.BOOL_IN, attribute(path), mask=1 << operand)
    if operand is None:
        return _kind_in(path, _NOTHING)
    if isinstance(operand, str):
        return Test(Op.TEXT_IN, attribute(path), (operand,))
    if abs(operand) < _EXACT:
        return Test(Op.NUMBER_COMPARE, attribute(path), (operand,), flags=Order.EQUAL)
    return All((_kind_in(path, _NUMBER), Test(Op.EQUAL_CONST, attribute(path), (operand,), flags=_STRICT)))


def _read_as_number(operand: JSON) -> float | None:
    """What a number is compared with, if the operand is no list: NaN for a text that reads so, None for no number."""
    try:
        return 0.0 if operand is None else None if isinstance(operand, list) else float(operand)
    except ValueError:
        return None
