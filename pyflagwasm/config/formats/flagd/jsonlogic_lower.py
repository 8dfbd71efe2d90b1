"""Values of the model as conditions and actions: what a targeting computes becomes tests, jumps and splits.

Here lives the rewriting of value trees (jsonlogic.py makes them) and nothing that reads JSON. Every shortcut answers as
the general path would, whatever the operands are: a shortcut that cannot is not taken. Conditions made here are never
Unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from ...._abi import Encoding, ErrorCode, Kind, LoopKind, Op, Order, Reason
from ...model import (
    JSON,
    Action,
    All,
    Always,
    AnyOf,
    Apply,
    Bucket,
    Choose,
    Condition,
    Constant,
    Fail,
    FallThrough,
    FirstFalsy,
    FirstTruthy,
    Fractional,
    Loop,
    Not,
    Raise,
    Rule,
    Serve,
    ServeNamed,
    Slot,
    SlotValue,
    SplitBy,
    Steps,
    Test,
    Truth,
    Value,
    When,
)
from .jsonlogic_fold import ORDERS, SAME_PARTS, to_number, to_text, truthy, variant_name, version_text

STRICT: Final = 1
NEGATED: Final = 2
"""Flags of Op.EQUAL."""

MAX_WEIGHT: Final = 2**31 - 1
HASHES: Final = 2**32

_ANY_ORDER = Order.LESS | Order.EQUAL | Order.GREATER
_MIRRORED = {Order.LESS: Order.GREATER, Order.GREATER: Order.LESS, Order.EQUAL: Order.EQUAL}
_PREDICATES = frozenset({Op.TRUTH, Op.EQUAL, Op.COMPARE, Op.IN})
_PREDICATE_LOOPS = frozenset({LoopKind.ALL, LoopKind.SOME, LoopKind.NONE})
_TEXT_TESTS = {Op.TEXT_STARTS: Op.TEXT_PREFIX, Op.TEXT_ENDS: Op.TEXT_SUFFIX}


# ---------------------------------------------------------------- what is known about a value


def _parts(node: object) -> Iterator[Any]:
    """All values and conditions inside a value, itself included."""
    left: list[Any] = [node]
    while left:
        found = left.pop()
        if isinstance(found, tuple):
            left.extend(found)
        elif is_dataclass(found) and not isinstance(found, (Constant, Slot)):
            yield found
            left.extend(getattr(found, f.name) for f in fields(found))


def may_fail(value: Value) -> bool:
    """Whether evaluating it can end the evaluation with an error (other than a limit's)."""
    for part in _parts(value):
        if isinstance(part, Raise):
            return True
        if isinstance(part, Apply):
            if part.op in (Op.DIVIDE, Op.MODULO):
                divisor = part.args[1]
                if not (isinstance(divisor, Constant) and to_number(divisor.value) != 0):
                    return True
            elif part.op is Op.SUBSTRING and not all(_is_finite(place) for place in part.args[1:]):
                return True
    return False


def _is_finite(value: Value) -> bool:
    return isinstance(value, Constant) and not math.isinf(to_number(value.value))


def is_predicate(value: Value) -> bool:
    """Whether it is always true or false."""
    if isinstance(value, Constant):
        return isinstance(value.value, bool)
    if isinstance(value, Apply):
        return value.op in _PREDICATES
    if isinstance(value, Loop):
        return value.kind in _PREDICATE_LOOPS
    return isinstance(value, (FirstTruthy, FirstFalsy)) and all(map(is_predicate, value.args))


def _mirror(order: int) -> int:
    return sum(mirrored for bit, mirrored in _MIRRORED.items() if order & bit)


# ---------------------------------------------------------------- conditions


def condition(value: Value) -> Condition:
    """Whether the value is truthy."""
    if isinstance(value, Constant):
        return Always(truthy(value.value))
    if isinstance(value, SlotValue):
        return Test(Op.TRUTHY, value.slot)
    if isinstance(value, FirstTruthy):
        return AnyOf(tuple(map(condition, value.args)))
    if isinstance(value, FirstFalsy):
        return All(tuple(map(condition, value.args)))
    if isinstance(value, Choose):
        return _choice(value)
    if isinstance(value, Apply):
        if value.op is Op.TRUTH:
            return negate(condition(value.args[0])) if value.flags else condition(value.args[0])
        test = nullable_test(value)
        if test is not None:
            return test if isinstance(test, Always) else replace(test, unknown=False)
        return _comparison(value) or Truth(value)
    return Truth(value)


def negate(item: Condition) -> Condition:
    if isinstance(item, Not):
        return item.item
    return Always(not item.holds) if isinstance(item, Always) else Not(item)


def _choice(value: Choose) -> Condition:
    # one side constant: and, or; otherwise the condition would have to be evaluated twice
    if isinstance(value.otherwise, Constant):
        first, rest = value.condition, condition(value.then)
        if truthy(value.otherwise.value):
            return AnyOf((negate(first), rest))
        return first if rest == Always() else All((first, rest))
    if isinstance(value.then, Constant):
        first, rest = value.condition, condition(value.otherwise)
        return AnyOf((first, rest)) if truthy(value.then.value) else All((negate(first), rest))
    return Truth(value)


def _comparison(value: Apply) -> Condition | None:
    """The tests of a slot against a constant that have no null among their results."""
    args = value.args
    if value.op is Op.COMPARE and len(args) == 3 and isinstance(args[2], Constant):
        lower, upper = _ordered(value.flags, args[0], args[1]), _ordered(value.flags, args[1], args[2])
        return All((lower, upper)) if lower is not None and upper is not None else None
    if len(args) != 2:
        return None
    if value.op is Op.COMPARE:
        return _ordered(value.flags, *args)
    if value.op is Op.EQUAL:
        left, right = args if isinstance(args[0], SlotValue) else args[::-1]
        if isinstance(left, SlotValue) and isinstance(right, Constant):
            test = _equal(left.slot, right.value, strictly=bool(value.flags & STRICT))
            return Not(test) if value.flags & NEGATED else test
    if value.op is Op.IN:
        needle, haystack = args
        if isinstance(needle, SlotValue) and isinstance(haystack, Constant) and isinstance(haystack.value, list):
            return _one_of(needle.slot, haystack.value)
        if isinstance(needle, Constant) and isinstance(haystack, SlotValue):
            return Test(Op.CONTAINS_CONST, haystack.slot, (needle.value,))
    return None


def _ordered(order: int, left: Value, right: Value) -> Condition | None:
    if isinstance(left, SlotValue) and isinstance(right, Constant):
        return Test(Op.COMPARE_CONST, left.slot, (right.value,), flags=order)
    if isinstance(left, Constant) and isinstance(right, SlotValue):
        return Test(Op.COMPARE_CONST, right.slot, (left.value,), flags=_mirror(order))
    return None


def _equal(slot: Slot, constant: JSON, *, strictly: bool) -> Test:
    if strictly and isinstance(constant, str):
        return Test(Op.TEXT_IN, slot, (constant,), flags=1)
    return Test(Op.EQUAL_CONST, slot, (constant,), flags=int(strictly))


def _one_of(slot: Slot, constants: Sequence[JSON]) -> Condition:
    if not constants:
        return Always(False)
    if all(isinstance(constant, str) for constant in constants):
        return Test(Op.TEXT_IN, slot, tuple(sorted(set(constants), key=str.encode)), flags=1)
    return Test(Op.IN_CONST, slot, tuple(constants))


def nullable_test(value: Value) -> Test | Always | None:
    """starts_with, ends_with or sem_ver of a slot and constants as a test that is Unknown where they are null;
    Always(False) where they are always null."""
    if not isinstance(value, Apply):
        return None
    args = value.args
    if value.op in _TEXT_TESTS:
        whole, part = args
        if not isinstance(whole, SlotValue) or not isinstance(part, Constant):
            return None
        if not isinstance(part.value, str):
            return Always(False)
        return Test(_TEXT_TESTS[value.op], whole.slot, (part.value,), unknown=None)
    if value.op is not Op.SEM_VER or not isinstance(args[1], Constant):
        return None
    left, op, right = args[0], args[1].value, args[2]
    swapped = isinstance(left, Constant)
    if swapped:
        left, right = right, left
    if not isinstance(left, SlotValue) or not isinstance(right, Constant):
        return None
    version = version_text(right.value)
    if version is None or not isinstance(op, str) or not (op in ORDERS or op in SAME_PARTS):
        return Always(False)
    order = ORDERS.get(op, _ANY_ORDER)
    return Test(
        Op.VERSION,
        left.slot,
        (version,),
        flags=_mirror(order) if swapped else order,
        extra=SAME_PARTS.get(op, 0),
        unknown=None,
    )


# ---------------------------------------------------------------- actions


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the results of a targeting mean for one flag.

    names: those variants that can be served by name, in the order of the flag's variants; others come after them.
    on_null: what a targeting without result leads to.
    """

    names: Mapping[str, int]
    on_null: Action

    def named(self, value: JSON) -> Action:
        """The action of a constant result."""
        if value is None:
            return self.on_null
        index = self.names.get(variant_name(value))
        return Fail(ErrorCode.GENERAL) if index is None else Serve(index, Reason.TARGETING_MATCH)

    def computed(self, value: Value) -> Action:
        """The action of a result that is computed."""
        return ServeNamed(value, tuple(self.names), Reason.TARGETING_MATCH, self.on_null, Fail(ErrorCode.GENERAL))

    def action(self, value: Value, *, rules: bool = False) -> Action:
        """What the value leads to as a result. With `rules` the branches of an outermost `if` are numbered as rules."""
        if isinstance(value, Constant):
            return self.named(value.value)
        if isinstance(value, Choose):
            return self._branches(value, rules)
        if isinstance(value, Fractional):
            return self._split(value) or self.computed(value)
        if isinstance(value, Raise) and not any(map(may_fail, value.args)):
            return Fail(value.error)
        test = nullable_test(value)
        if test is not None:
            if isinstance(test, Always):
                return self.on_null
            return When(test, self.named(True), self.named(False), unknown=self.on_null)
        if is_predicate(value):
            return When(condition(value), self.named(True), self.named(False))
        if isinstance(value, (FirstTruthy, FirstFalsy)) and all(map(is_predicate, value.args[:-1])):
            return self._first(value)
        return self.computed(value)

    def _branches(self, value: Value, rules: bool) -> Action:
        # a flat chain stays flat: a list of steps, however many branches there are
        steps: list[Action] = []
        while isinstance(value, Choose):
            step = When(value.condition, self.action(value.then))
            steps.append(Rule(len(steps), f"if branch {len(steps)}", step) if rules else step)
            value = value.otherwise
        last = self.action(value)
        if len(steps) == 1 and isinstance(steps[0], When):
            return replace(steps[0], otherwise=last)
        return Steps((*steps, last))

    def _first(self, value: FirstTruthy | FirstFalsy) -> Action:
        wanted = isinstance(value, FirstTruthy)
        steps: list[Action] = []
        for arg in value.args[:-1]:
            test = condition(arg)
            steps.append(When(test if wanted else negate(test), self.named(wanted), FallThrough()))
        steps.append(self.action(value.args[-1]))
        return Steps(tuple(steps))

    # ------------------------------------------------------------ fractional

    def _split(self, value: Fractional) -> Action | None:
        """A fractional with constant weights as exact bounds on the hash; None where only that itself will do."""
        found = _bucket(value)
        if found is None or any(map(may_fail, value.args)):
            return None
        bucket, entries, shorthand = found
        weighed = [_entry(entry) for entry in entries]
        cuts: list[tuple[int, Action]] = []
        total, end = 0, 0
        for entry in weighed:
            if entry is None:
                return None
            total += entry[1]
        if not 0 < total <= MAX_WEIGHT:
            return None
        for entry in weighed:
            if entry is not None and entry[1]:
                end += entry[1]
                # (h * total) >> 32 < end, solved for h
                cuts.append((-(-end * HASHES // total), self.action(entry[0])))
        if not shorthand:
            return SplitBy(bucket, tuple(cuts), self.on_null, self.computed(value))
        split = SplitBy(bucket, tuple(cuts), self.on_null, self.on_null)
        if bucket.encoding is Encoding.UTF8:
            return split
        # CBOR has numbers, too, but a targeting key is a text or none
        return When(Test(Op.KIND_IN, value.targeting_key, mask=1 << Kind.TEXT), split, self.on_null)


def _entry(value: Value) -> tuple[Value, int] | None:
    """Variant and weight of an entry whose weight is known."""
    parts: Sequence[Value]
    if isinstance(value, Constant) and isinstance(value.value, list):
        parts = [Constant(item) for item in value.value]
    elif isinstance(value, Apply) and value.op is Op.MAKE_LIST:
        parts = value.args
    else:
        return None
    if len(parts) == 1:
        return parts[0], 1
    if len(parts) != 2 or not isinstance(parts[1], Constant) or type(parts[1].value) is not int:
        return None
    return parts[0], max(0, parts[1].value)


def _bucket(value: Fractional) -> tuple[Bucket, Sequence[Value], bool] | None:
    """What is hashed, the entries, and whether it is the flag key with the targeting key (the shorthand)."""
    first, text = value.args[0], value.generation == 1
    encoding = Encoding.UTF8 if text else Encoding.CBOR
    if _entry(first) is not None:
        own: str | bytes = value.flag_key if text else b"\x82" + _cbor_text(value.flag_key)
        return Bucket((own, value.targeting_key), encoding=encoding, require_text=True), value.args, True
    if isinstance(first, SlotValue):
        return Bucket((first.slot,), encoding=encoding, require_text=text), value.args[1:], False
    if text and isinstance(first, Apply) and first.op is Op.CONCAT:
        parts: list[str | bytes | Slot] = []
        for arg in first.args:
            if isinstance(arg, SlotValue):
                parts.append(arg.slot)
            elif isinstance(arg, Constant):
                parts.append(to_text(arg.value))
            else:
                return None
        return Bucket(tuple(parts), encoding=encoding, require_text=True), value.args[1:], False
    return None


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    size = len(data)
    if size < 24:
        return bytes((0x60 + size,)) + data
    width = 1 if size < 1 << 8 else 2 if size < 1 << 16 else 4
    return bytes((0x78 + width.bit_length() - 1,)) + size.to_bytes(width, "big") + data
