"""The value stack of the reference: schema/README.md 5.5, 5.8 and 5.9.

`value_X` gets the node and the values it pops, first pushed first, and returns what it pushes. Operations that choose
their way (branches, loops) are in reference.py.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import reference_values as rv
from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.Kind import Kind
from reference_input import Node
from reference_slot import semver
from reference_values import (
    NAN,
    Failure,
    Unspecified,
    Value,
    bool_or_number,
    in_64_bits,
    is_list,
    kind_of,
    new_list,
    number_of,
    text_of,
    truthy,
)

ARGUMENTS: dict[str, int | None] = {
    **dict.fromkeys("PushConst PushSlot PushNow PushItem".split(), 0),
    **dict.fromkeys("Path Truth".split(), 1),
    **dict.fromkeys("Lookup Coalesce Equal In Divide Modulo Missing TextStarts TextEnds".split(), 2),
    **dict.fromkeys("Substring MissingSome SemVer".split(), 3),
    **dict.fromkeys("Compare Add Multiply Subtract Minimum Maximum Concat Merge MakeList Fractional".split(), None),
}
"""How many values an operation pops; None for the number in `a`."""


class StackOperations:
    """Mixed into the run of the reference, which has the clock, the slots and the loops."""

    def value_PushConst(self: Any, node: Node) -> Value:
        return self.constant(node.a)

    def value_PushSlot(self: Any, node: Node) -> Value:
        return self.slots[node.slot]

    def value_PushNow(self: Any, node: Node) -> Value:
        return self.now // (1, 1000, 1000000)[node.flags]

    def value_Path(self: Any, node: Node, base: Value) -> Value:
        return rv.follow(base, self.constants(node.a, node.b))

    def value_Lookup(self, node: Node, base: Value, key: Value) -> Value:
        return rv.look_up(base, key)

    def value_Coalesce(self, node: Node, value: Value, default: Value) -> Value:
        return default if value is None else value

    def value_Truth(self, node: Node, value: Value) -> Value:
        return truthy(value) != bool(node.flags & 1)

    def value_Equal(self, node: Node, x: Value, y: Value) -> Value:
        equal = rv.strictly_equal(x, y) if node.flags & 1 else rv.loosely_equal(x, y)
        return equal != bool(node.flags & 2)

    def value_Compare(self, node: Node, x: Value, y: Value, z: Value = None) -> Value:
        first = bool(rv.ordered(x, y) & node.flags)
        return first if z is None else first and bool(rv.ordered(y, z) & node.flags)

    def value_In(self, node: Node, needle: Value, haystack: Value) -> Value:
        return rv.contains(haystack, needle)

    # ------------------------------------------------------------ arithmetic

    def value_Add(self, node: Node, *terms: Value) -> Value:
        total: int | float = 0
        for term in terms:
            total = in_64_bits(operator.add, total, number_of(term))
        return total

    def value_Multiply(self, node: Node, *factors: Value) -> Value:
        product: int | float = 1
        for factor in factors:
            product = in_64_bits(operator.mul, product, number_of(factor))
        return product

    def value_Subtract(self, node: Node, x: Value, y: Value = None) -> Value:
        if y is not None:
            return in_64_bits(operator.sub, number_of(x), number_of(y))
        return in_64_bits(operator.mul, number_of(x), -1)

    def value_Divide(self, node: Node, x: Value, y: Value) -> Value:
        a, b = number_of(x), number_of(y)
        if b == 0:
            raise Failure(ErrorCode.General)
        return float(a) / float(b)

    def value_Modulo(self, node: Node, x: Value, y: Value) -> Value:
        a, b = number_of(x), number_of(y)
        if b == 0:
            raise Failure(ErrorCode.General)
        return a % b

    def value_Minimum(self, node: Node, *values: Value) -> Value:
        return min(map(bool_or_number, values), default=NAN)

    def value_Maximum(self, node: Node, *values: Value) -> Value:
        return max(map(bool_or_number, values), default=NAN)

    # ------------------------------------------------------------ text and lists

    def value_Concat(self, node: Node, *values: Value) -> Value:
        return b"".join(map(text_of, values))

    def value_Substring(self, node: Node, text: Value, index: Value, length: Value) -> Value:
        return rv.substring(text, index, length)

    def value_MakeList(self, node: Node, *values: Value) -> Value:
        return new_list(values)

    def value_Merge(self, node: Node, *values: Value) -> Value:
        return new_list(member for value in values for member in (value.items if is_list(value) else [value]))

    def value_Missing(self, node: Node, base: Value, keys: Value) -> Value:
        if not is_list(keys):
            raise Unspecified
        wanted = keys.items
        if wanted and is_list(wanted[0]):
            wanted = wanted[0].items
        return new_list(key for key in wanted if rv.blank(rv.look_up(base, key)))

    def value_MissingSome(self, node: Node, missing: Value, total: Value, need: Value) -> Value:
        if not is_list(missing) or kind_of(total) != Kind.Int:
            raise Unspecified
        return new_list([]) if total - len(missing) >= number_of(need) else missing

    def value_TextStarts(self, node: Node, x: Value, y: Value) -> Value:
        return x.startswith(y) if isinstance(x, bytes) and isinstance(y, bytes) else None

    def value_TextEnds(self, node: Node, x: Value, y: Value) -> Value:
        return x.endswith(y) if isinstance(x, bytes) and isinstance(y, bytes) else None

    def value_SemVer(self, node: Node, x: Value, op: Value, y: Value) -> Value:
        mine, theirs = semver(rv.exact_text(x)), semver(rv.exact_text(y))
        if mine is None or theirs is None:
            return None
        if op in (b"^", b"~"):
            same = 1 if op == b"^" else 2
            return mine[0][:same] == theirs[0][:same]
        orders = {b"=": 2, b"!=": 5, b"<": 1, b"<=": 3, b">": 4, b">=": 6}
        return bool(rv.three_way(mine, theirs) & orders[op]) if isinstance(op, bytes) and op in orders else None

    # ------------------------------------------------------------ 5.9

    def value_Fractional(self: Any, node: Node, *arguments: Value) -> Value:
        flag_key, targeting_key = self.constant(node.b), self.slots[node.slot]
        identified = isinstance(targeting_key, bytes) and targeting_key != b""
        entries = list(arguments)
        if not entries:
            return None
        if node.flags == 0:
            if not is_list(entries[0]):
                by = entries.pop(0)
            else:
                by = new_list([flag_key, targeting_key]) if identified else None
            if by is None:
                return None
            self.hash = rv.murmur3(rv.cbor(by))
        else:
            if kind_of(entries[0]) == Kind.Text:
                by = entries.pop(0)
            else:
                by = flag_key + targeting_key if identified else b""
            if by == b"":
                return None
            self.hash = rv.murmur3(by)
        return self.variant_of(self.hash, entries)

    def variant_of(self, hashed: int, entries: list[Value]) -> Value:
        weights = []
        for entry in entries:
            if not is_list(entry) or not 1 <= len(entry) <= 2:
                return None
            weight = entry.items[1] if len(entry) == 2 else 1
            if kind_of(weight) != Kind.Int:
                return None
            weights.append(max(weight, 0))
        total, running = sum(weights), 0
        if not 0 < total <= 2147483647:
            return None
        bucket = hashed * total >> 32
        for entry, weight in zip(entries, weights, strict=True):
            running += weight
            if bucket < running:
                return entry.items[0]
        raise AssertionError("a bucket is below the total")


def percentage(segments: list[Any], now_ms: int) -> float:
    """5.4 Rollout: the last segment that has begun, computed in doubles as config.fbs writes it."""
    begun = [segment for segment in segments if segment.FromMs() <= now_ms]
    if not begun:
        return 0.0
    s = begun[-1]
    return s.P0() + (s.P1() - s.P0()) * ieee_divide(float(now_ms) - s.T0(), s.T1() - s.T0())


def ieee_divide(x: float, y: float) -> float:
    """Python refuses a division by zero; IEEE does not."""
    if y == 0:
        return NAN if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)
    return x / y
