"""Lowers values to nodes that compute them on the value stack (schema/README.md 5.5), or only their truth.

Conditions and actions are in lower.py. A condition leaves the stack as it was, a value leaves one Value more on it: so
the sides of a join agree on the height.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final

from .._abi import DECISION_NONE, ErrorCode, LoopKind, Op
from .constants import Refused, truthy
from .graph import CLOCK, Graph, Target
from .model import (
    Apply,
    BlankSlots,
    Choose,
    Condition,
    Constant,
    Fail,
    FirstFalsy,
    FirstTruthy,
    Fractional,
    Item,
    Loop,
    Now,
    Path,
    Raise,
    Slot,
    SlotValue,
    Value,
)

MAX_NESTING: Final = 128
"""Trees may nest so deep. A level takes up to four frames of Python, of the thousand that it allows by default."""

_MAX_COUNT: Final = 0xFFFF

# How many arguments the stack operations take; those in _COUNTED are told so in `a`.
_ANY_NUMBER: Final = range(_MAX_COUNT + 1)
_COUNTED: Final = {
    Op.ADD: _ANY_NUMBER,
    Op.MULTIPLY: _ANY_NUMBER,
    Op.SUBTRACT: range(1, 3),
    Op.MINIMUM: _ANY_NUMBER,
    Op.MAXIMUM: _ANY_NUMBER,
    Op.CONCAT: _ANY_NUMBER,
    Op.MERGE: _ANY_NUMBER,
    Op.MAKE_LIST: _ANY_NUMBER,
    Op.COMPARE: range(2, 4),
}
_ARITY: Final = _COUNTED | {
    Op.LOOKUP: range(2, 3),
    Op.COALESCE: range(2, 3),
    Op.TRUTH: range(1, 2),
    Op.EQUAL: range(2, 3),
    Op.IN: range(2, 3),
    Op.DIVIDE: range(2, 3),
    Op.MODULO: range(2, 3),
    Op.SUBSTRING: range(3, 4),
    Op.MISSING: range(2, 3),
    Op.MISSING_SOME: range(3, 4),
    Op.TEXT_STARTS: range(2, 3),
    Op.TEXT_ENDS: range(2, 3),
    Op.SEM_VER: range(3, 4),
}

_ANY_FLAGS: Final = range(256)
_FLAGS: Final = {Op.COMPARE: range(1, 8), Op.EQUAL: range(4), Op.TRUTH: range(2)}


class ValueLowering(ABC):
    """The half of lower.Lowering that knows values; it needs the other half for the conditions inside of them."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._depth = 0
        self._rule = DECISION_NONE
        # By exact type: this is asked for each part of each tree.
        self._values: dict[type, Callable[[Any, Target], Target]] = {
            Constant: self._constant,
            SlotValue: lambda value, then: self._push_slot(value.slot, then),
            Now: lambda now, then: graph.add(Op.PUSH_NOW, flags=now.unit, yes=then, reads=CLOCK),
            Item: lambda item, then: graph.add(Op.PUSH_ITEM, flags=item.what, yes=then),
            Apply: self._apply,
            Path: self._path,
            Fractional: self._fractional,
            Choose: lambda value, then: self._choose(value, lambda part: self.value(part, then)),
            FirstTruthy: lambda value, then: self._first(value.args, 0, then),
            FirstFalsy: lambda value, then: self._first(value.args, 1, then),
            Loop: self._loop,
            BlankSlots: self._blank_slots,
            Raise: lambda value, then: self._raise(value),
        }

    @abstractmethod
    def condition(self, condition: Condition, yes: Target, no: Target, unknown: Target) -> Target:
        """Nodes that go to one of the three targets; unknown must be a node even if it is never taken."""

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise Refused(f"rules nest deeper than {MAX_NESTING} levels")

    # ------------------------------------------------------------ truth of values

    def _truth(self, value: Value, yes: Target, no: Target) -> Target:
        """Goes by the truthiness of a value; without the stack where the value's shape allows it."""
        self._descend()
        entry = self._truth_by_shape(value, yes, no)
        self._depth -= 1
        return entry

    def _truth_by_shape(self, value: Value, yes: Target, no: Target) -> Target:
        match value:
            case Constant():
                return yes if truthy(value.value) else no
            case SlotValue():
                slot, reads = self._graph.slot(value.slot)
                return self._graph.add(Op.TRUTHY, slot=slot, yes=yes, no=no, reads=reads, source=value)
            case Apply(Op.TRUTH, (arg,)):
                return self._truth(arg, no, yes) if value.flags & 1 else self._truth(arg, yes, no)
            case Choose():
                return self._choose(value, lambda part: self._truth(part, yes, no))
            case FirstTruthy(args) if args:
                for arg in reversed(args):
                    no = self._truth(arg, yes, no)
                return no
            case FirstFalsy(args) if args:
                for arg in reversed(args):
                    yes = self._truth(arg, yes, no)
                return yes
            case BlankSlots():
                for _, blank in reversed(value.keys):
                    no = self._branch_blank(blank, yes, no)
                return no
            case _:
                return self.value(value, self._graph.add(Op.BRANCH_TRUTHY, yes=yes, no=no, source=value))

    # ------------------------------------------------------------ values

    def value(self, value: Value, then: Target) -> Target:
        """Nodes that push the value and go on at `then`."""
        self._descend()
        entry = self._values[type(value)](value, then)
        self._depth -= 1
        return entry

    def _in_order(self, args: tuple[Value, ...], then: Target) -> Target:
        for arg in reversed(args):
            then = self.value(arg, then)
        return then

    def _constant(self, constant: Constant, then: Target) -> Target:
        return self._graph.add(Op.PUSH_CONST, a=self._graph.constants.run((constant.value,)), yes=then)

    def _push_slot(self, slot: Slot, then: Target) -> Target:
        number, reads = self._graph.slot(slot)
        return self._graph.add(Op.PUSH_SLOT, slot=number, yes=then, reads=reads)

    def _apply(self, apply: Apply, then: Target) -> Target:
        op, number = apply.op, len(apply.args)
        if number not in _ARITY.get(op, ()):
            raise Refused(f"{op.name} cannot be applied to {number} values")
        if apply.flags not in _FLAGS.get(op, _ANY_FLAGS):
            raise Refused(f"{op.name} does not take the flags {apply.flags:#x}")
        node = self._graph.add(op, flags=apply.flags, a=number if op in _COUNTED else 0, yes=then)
        return self._in_order(apply.args, node)

    def _path(self, path: Path, then: Target) -> Target:
        keys = self._graph.constants.run(path.keys)
        return self.value(path.base, self._graph.add(Op.PATH, a=keys, b=len(path.keys), yes=then))

    def _fractional(self, value: Fractional, then: Target) -> Target:
        slot, reads = self._graph.slot(value.targeting_key)
        key = self._graph.constants.run((value.flag_key,))
        node = self._graph.add(
            Op.FRACTIONAL, flags=value.generation, slot=slot, a=counted(len(value.args)), b=key, yes=then, reads=reads
        )
        return self._in_order(value.args, node)

    def _choose(self, value: Value, lower: Callable[[Value], Target]) -> Target:
        """A chain of else-ifs is no nesting: it is walked, not descended into."""
        branches = []
        while isinstance(value, Choose):
            branches.append(value)
            value = value.otherwise
        entry = lower(value)
        for branch in reversed(branches):
            entry = self.condition(branch.condition, lower(branch.then), entry, entry)
        return entry

    def _first(self, args: tuple[Value, ...], flags: int, then: Target) -> Target:
        if not args:
            raise Refused("the first of no values")
        entry = self.value(args[-1], then)
        for arg in reversed(args[:-1]):
            entry = self.value(arg, self._graph.add(Op.BRANCH_KEEP, flags=flags, yes=then, no=entry))
        return entry

    def _loop(self, loop: Loop, then: Target) -> Target:
        if (loop.initial is None) == (loop.kind is LoopKind.REDUCE):
            raise Refused("reduce needs an initial value, and no other loop has one")
        add = self._graph.add
        body = self.value(loop.body, add(Op.ITERATE_NEXT, flags=loop.kind, yes=then))
        begin = add(Op.ITERATE_BEGIN, flags=loop.kind, yes=body, no=then)
        return self._in_order((loop.items,) if loop.initial is None else (loop.items, loop.initial), begin)

    def _blank_slots(self, blank: BlankSlots, then: Target) -> Target:
        entry = self._graph.add(Op.COLLECT, yes=then)
        for key, slot in reversed(blank.keys):
            entry = self._branch_blank(slot, self._constant(Constant(key), entry), entry)
        return self._graph.add(Op.MARK, yes=entry)

    def _branch_blank(self, slot: Slot, yes: Target, no: Target) -> Target:
        return self._push_slot(slot, self._graph.add(Op.BRANCH_BLANK, yes=yes, no=no, source=slot))

    def _raise(self, value: Raise) -> Target:
        entry = self._fail(value.error, value)
        for arg in reversed(value.args):
            entry = self.value(arg, self._graph.add(Op.DROP, yes=entry))
        return entry

    def _fail(self, error: ErrorCode, source: Fail | Raise) -> Target:
        if error == ErrorCode.NONE:
            raise Refused("a failure needs an error code")
        return self._graph.add(Op.FAIL, a=error, b=self._rule, source=source)


def counted(number: int) -> int:
    """A number of constants or parts, which the guest keeps in 16 bits."""
    if number > _MAX_COUNT:
        raise Refused(f"a condition or split has {number} constants or parts, {_MAX_COUNT} are allowed")
    return number
