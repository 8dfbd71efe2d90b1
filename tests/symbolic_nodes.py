"""An evaluator of compiled nodes, read back by the readers that flatc generated; the twin of symbolic_trees.py."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from fbs_generated.Config import Config
from symbolic_trees import Answers, Symbol, looped, nothing_of, slot_name, test_question

from pyflagwasm._abi import DECISION_NONE, Kind, LoopKind, Op, Outcome, PartKind
from pyflagwasm.config.compile import CompiledConfig


class Node(NamedTuple):
    op: Op
    flags: int
    slot: int
    a: int
    b: int
    yes: int
    no: int
    unknown: int


class Compiled:
    """A compiled configuration as flatc's own readers see it."""

    def __init__(self, compiled: CompiledConfig) -> None:
        self.config = config = Config.GetRootAs(compiled.ir)
        self.slots = [slot_name(slot) for slot in compiled.slots]
        self.heap = bytes(config.Heap(i) for i in range(config.HeapLength()))
        self.nodes = [read_node(config.Nodes(i)) for i in range(config.NodesLength())]
        self.values = [self.read(config.Values(i)) for i in range(config.ValuesLength())]
        self.bounds = [(bound.Upper(), bound.Node()) for bound in map(config.Bounds, range(config.BoundsLength()))]
        self.buckets = [self.read_bucket(i) for i in range(config.BucketsLength())]

    def read(self, value: Any) -> Any:
        return self.unpack(value.Kind(), value.Len(), value.Bits())

    def unpack(self, kind: int, length: int, bits: int) -> Any:
        match kind:
            case Kind.NULL:
                return None
            case Kind.BOOL:
                return bool(bits)
            case Kind.INT:
                return bits - (bits >> 63 << 64)
            case Kind.FLOAT:
                return struct.unpack("<d", struct.pack("<Q", bits))[0]
            case Kind.TEXT:
                data = self.heap[bits : bits + length]
                assert len(data) == length
                return data.decode() if data != b"\xff\x00" else data
            case Kind.LIST:
                return self.members(bits, length)
            case Kind.OBJECT:
                members = self.members(bits, 2 * length)
                return dict(zip(members[::2], members[1::2], strict=True))
        raise AssertionError(kind)

    def members(self, at: int, count: int) -> list[Any]:
        assert at % 8 == 0
        records = (struct.unpack_from("<BBHIQ", self.heap, at + 16 * i) for i in range(count))
        return [self.unpack(kind, length, bits) for kind, _, _, length, bits in records]

    def read_bucket(self, index: int) -> Symbol:
        bucket = self.config.Buckets(index)
        parts: list[Any] = []
        for number in range(bucket.FirstPart(), bucket.FirstPart() + bucket.PartCount()):
            part = self.config.Parts(number)
            if part.Kind() == PartKind.SLOT:
                parts.append(self.slots[part.Arg()])
            else:
                literal = self.values[part.Arg()]
                parts.append(literal.encode() if isinstance(literal, str) else literal)
        return parts, bucket.Seed(), bucket.Encoding(), bucket.Flags(), bucket.Algorithm(), bucket.Modulus()

    def run(self, node: Node) -> list[Any]:
        count = node.b & 0xFFFF if node.op is Op.VERSION else node.b
        assert node.a + count <= len(self.values)
        return self.values[node.a : node.a + count]


def read_node(node: Any) -> Node:
    fields = node.Slot(), node.A(), node.B(), node.Yes(), node.No(), node.Unknown()
    return Node(Op(node.Op()), node.Flags(), *fields)


class Walk:
    """Evaluates one flag node by node. `events` is its trace."""

    def __init__(self, compiled: Compiled, answers: Answers) -> None:
        self.compiled, self.answers = compiled, answers
        self.stack: list[Any] = []
        self.calls: list[Node] = []
        self.loops: list[dict[str, Any]] = []
        self.events: list[tuple[int, int, int, int]] = []

    def decide(self, flag: int) -> Symbol:
        at: int | Symbol = self.compiled.config.Flags(flag).Entry()
        while isinstance(at, int):
            number, node = at, self.compiled.nodes[at]
            step: Callable[[Node], int | Symbol] = getattr(self, f"op_{node.op.name.lower()}", self.other)
            at = step(node)
            outcome = Outcome.DECIDED if not isinstance(at, int) else Outcome.YES if at == node.yes else Outcome.NO
            self.events.append((number, outcome, 0, 0))
        assert at[0] == "fail" or not self.stack
        return at

    def pop(self, count: int) -> tuple[Any, ...]:
        assert len(self.stack) >= count
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values

    def push(self, node: Node, value: Any) -> int:
        self.stack.append(value)
        return node.yes

    @staticmethod
    def branch(node: Node, holds: bool | None) -> int:
        return node.unknown if holds is None else node.yes if holds else node.no

    # ends and flow

    def op_decide(self, node: Node) -> Symbol:
        none = DECISION_NONE
        return "decide", None if node.a == none else node.a, None if node.b == none else node.b, node.flags

    def op_fail(self, node: Node) -> Symbol:
        return "fail", node.a, None if node.b == DECISION_NONE else node.b

    def op_decide_text(self, node: Node) -> int | Symbol:
        answer = self.answers.below(2 + node.b, "named", *self.pop(1))
        return (node.no, node.unknown)[answer] if answer < 2 else ("decide", answer - 2, None, node.flags)

    def op_jump(self, node: Node) -> int:
        return node.yes

    def op_call(self, node: Node) -> int:
        self.calls.append(node)
        return node.a

    def op_return(self, node: Node) -> int:
        call = self.calls.pop()
        return (call.no, call.yes, call.unknown)[node.flags]

    # predicates

    def op_truthy(self, node: Node) -> int:
        return self.branch(node, self.answers.truthy(("slot", self.compiled.slots[node.slot])))

    def op_now_at_least(self, node: Node) -> int:
        return self.branch(node, bool(self.answers.below(2, "now", self.compiled.values[node.a])))

    def op_rollout(self, node: Node) -> int:
        return self.branch(node, self.answers.outcome("rollout", self.compiled.buckets[node.a], node.slot))

    def op_split(self, node: Node) -> int:
        hashed = self.answers.bucket(self.compiled.buckets[node.a])
        if hashed is None:
            return node.unknown
        bounds = self.compiled.bounds[node.b : node.b + node.slot]
        assert len(bounds) == node.slot
        return next((target for upper, target in bounds if hashed < upper), node.no)

    def predicate(self, node: Node) -> int:
        mask = node.a if node.op in (Op.KIND_IN, Op.BOOL_IN) else 0
        constants: list[Any] = []
        if node.op in (Op.EQUAL_CONST, Op.CONTAINS_CONST, Op.TEXT_MATCH, Op.IN_NETWORK):
            constants = [self.compiled.values[node.a]]
        elif not mask:
            constants = self.compiled.run(node)
        extra = node.b >> 16 if node.op is Op.VERSION else 0
        slot = self.compiled.slots[node.slot]
        holds = self.answers.outcome(*test_question(node.op, slot, constants, node.flags, mask, extra))
        if node.op in (Op.KIND_IN, Op.EQUAL_CONST, Op.CONTAINS_CONST):
            holds = bool(holds)
        return self.branch(node, holds)

    # the stack

    def op_push_const(self, node: Node) -> int:
        return self.push(node, ("constant", self.compiled.values[node.a]))

    def op_push_slot(self, node: Node) -> int:
        return self.push(node, ("slot", self.compiled.slots[node.slot]))

    def op_push_now(self, node: Node) -> int:
        return self.push(node, ("now", node.flags))

    def op_push_item(self, node: Node) -> int:
        loop = self.loops[-1]
        current = (("member", loop["items"], loop["number"]), loop["accumulator"])
        return self.push(node, ("item", node.flags, *current[node.flags : node.flags + 1]))

    def op_drop(self, node: Node) -> int:
        self.pop(1)
        return node.yes

    def op_branch_truthy(self, node: Node) -> int:
        return self.branch(node, self.answers.truthy(*self.pop(1)))

    def op_branch_keep(self, node: Node) -> int:
        (top,) = self.pop(1)
        return self.push(node, top) if self.answers.truthy(top) != bool(node.flags) else node.no

    def op_branch_blank(self, node: Node) -> int:
        ((kind, slot),) = self.pop(1)
        assert kind == "slot"
        return self.branch(node, self.answers.blank(slot))

    def op_mark(self, node: Node) -> int:
        return self.push(node, Op.MARK)

    def op_collect(self, node: Node) -> int:
        at = len(self.stack) - 1 - self.stack[::-1].index(Op.MARK)
        _, *members = self.pop(len(self.stack) - at)
        return self.push(node, ("list", tuple(members)))

    def op_path(self, node: Node) -> int:
        return self.push(node, ("path", *self.pop(1), self.compiled.run(node)))

    def op_fractional(self, node: Node) -> int:
        key, slot = self.compiled.values[node.b], self.compiled.slots[node.slot]
        return self.push(node, ("fractional", node.flags, key, slot, self.pop(node.a)))

    def other(self, node: Node) -> int:
        if Op.KIND_IN <= node.op <= Op.TIME_COMPARE:
            return self.predicate(node)
        count = {Op.TRUTH: 1, Op.EQUAL: 2, Op.LOOKUP: 2, Op.IN: 2, Op.COALESCE: 2}.get(node.op, node.a)
        return self.push(node, self.answers.applied(node.op, node.flags, self.pop(count)))

    # loops

    def op_iterate_begin(self, node: Node) -> int:
        (accumulator,) = self.pop(1) if node.flags == LoopKind.REDUCE else (None,)
        (items,) = self.pop(1)
        if not self.answers.count(items):
            self.stack.append(nothing_of(LoopKind(node.flags), accumulator))
            return node.no
        loop = {"begin": node, "items": items, "number": 0, "accumulator": accumulator, "results": []}
        self.loops.append(loop)
        return node.yes

    def op_iterate_next(self, node: Node) -> int:
        loop, begin = self.loops[-1], self.loops[-1]["begin"]
        loop["results"] += self.pop(1)
        loop["number"] += 1
        if loop["accumulator"] is not None:
            (loop["accumulator"],) = loop["results"][-1:]
        if loop["number"] < self.answers.count(loop["items"]):
            return int(begin.yes)
        self.loops.pop()
        return self.push(node, looped(LoopKind(begin.flags), loop["results"]))
