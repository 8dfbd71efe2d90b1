"""The slow, obvious twin of the core: evaluates a configuration exactly as schema/README.md says, in plain Python.

Written from the contract alone and never from the core's source, so that an agreement of the two means something.
It counts no steps and no arena: whoever compares keeps below those limits, for which `Reference.made` tells roughly
how many bytes of values an evaluation handled. Values are in reference_values.py, predicates on a slot in
reference_slot.py, the value stack in reference_stack.py, reading and refusing in reference_input.py.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import reference_texts
import reference_values as rv
from fbs_generated.Encoding import Encoding
from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.HashAlgorithm import HashAlgorithm
from fbs_generated.Kind import Kind
from fbs_generated.LoopKind import LoopKind
from fbs_generated.Op import Op
from fbs_generated.Outcome import Outcome
from fbs_generated.PartKind import PartKind
from fbs_generated.Reason import Reason
from reference_input import NONE, BadRequest, Memory, Node, null_if_missing, read_node, read_request, verify
from reference_input import Refused as Refused
from reference_slot import SlotPredicates
from reference_stack import ARGUMENTS, StackOperations, percentage
from reference_values import LAYOUT, LIMITS, NAN, Failure, Unspecified, Value, is_list, kind_of, truthy

NO_ERROR = 0


@dataclass(frozen=True)
class Decision:
    """What one evaluation answers; `pack` is section 6."""

    variant: int | None = None
    rule: int | None = None
    reason: int = Reason.Unknown
    error: int = NO_ERROR
    bucketed: bool = False
    bucket: int = 0

    def pack(self) -> int:
        at = LAYOUT["decision"]
        word = (NONE if self.variant is None else self.variant) << at["variant_shift"]
        word |= (NONE if self.rule is None else self.rule) << at["rule_shift"]
        word |= self.reason << at["reason_shift"] | self.error << at["error_shift"]
        return word | self.bucketed << at["bucketed_shift"] | self.bucket << at["bucket_shift"]


class Event(NamedTuple):
    """One executed node: section 7."""

    node: int
    outcome: int
    kind: int
    bits: int


class Reference:
    """One configuration. Raises Refused for an unsound one.

    Evaluating raises Unspecified for a program to which the contract gives no meaning.
    """

    def __init__(self, ir: bytes) -> None:
        self.config = verify(ir)
        self.heap = bytes(self.config.Heap(i) for i in range(self.config.HeapLength()))
        self.nodes = [read_node(self.config, i) for i in range(self.config.NodesLength())]
        self.made = 0

    def constant(self, index: int) -> Value:
        return Memory(self.heap, b"").constants(self.config, index, 1)[0]

    def evaluate(self, flag: int, request: bytes) -> Decision:
        return self.explain(flag, request)[0]

    def explain(self, flag: int, request: bytes) -> tuple[Decision, list[Event]]:
        if flag >= self.config.FlagsLength():
            return Decision(reason=Reason.Error, error=ErrorCode.FlagNotFound), []
        try:
            run = Run(self, read_request(request, self.config.SlotCount()))
        except BadRequest:
            return Decision(reason=Reason.Error, error=ErrorCode.BadRequest), []
        decision = run.decide(self.config.Flags(flag).Entry())
        self.made = run.made
        return decision, run.events


class Decided(Exception):
    """An end was reached."""

    def __init__(self, variant: int, rule: int, reason: int, error: int = NO_ERROR) -> None:
        super().__init__()
        self.variant, self.rule, self.reason, self.error = variant, rule, reason, error


@dataclass
class Call:
    node: Node


@dataclass
class Loop:
    begin: Node
    items: tuple[Value, ...]
    accumulator: Value = None
    index: int = 0
    results: list[Value] = field(default_factory=list)


class Run(SlotPredicates, StackOperations):
    """One evaluation. `flow_X` are the operations that choose their way; the others are mixed in."""

    def __init__(self, reference: Reference, request: Any) -> None:
        self.nodes, self.config, self.now = reference.nodes, reference.config, request.NowUs()
        self.memory = Memory(reference.heap, bytes(request.Heap(i) for i in range(request.HeapLength())))
        stored = [request.Slots(i) for i in range(request.SlotsLength())]
        self.slots = [self.memory.read(v.Kind(), v.Space(), v.Len(), v.Bits()) for v in stored]
        self.stack: list[Value] = []
        self.frames: list[Call | Loop] = []
        self.marks: list[int] = []
        self.events: list[Event] = []
        self.hash: int | None = None
        self.made = 0

    def constants(self, first: int, count: int) -> list[Value]:
        return self.memory.constants(self.config, first, count)

    def constant(self, index: int) -> Value:
        return self.constants(index, 1)[0]

    def push(self, value: Value) -> None:
        if len(self.stack) >= LIMITS["value_stack"]:
            raise Failure(ErrorCode.LimitExceeded)
        self.stack.append(null_if_missing(value))
        self.made += 64 if kind_of(self.stack[-1]) < Kind.Text else 64 + 32 * len(value)

    def pop(self, count: int) -> list[Value]:
        """The last `count` values, first pushed first."""
        if count and self.marks and len(self.stack) - count < self.marks[-1]:
            raise Unspecified
        if count > len(self.stack):
            raise Failure(ErrorCode.LimitExceeded)
        split = len(self.stack) - count
        popped, self.stack[split:] = self.stack[split:], []
        return popped

    def enter(self, frame: Call | Loop) -> None:
        if len(self.frames) >= LIMITS["frames"]:
            raise Failure(ErrorCode.LimitExceeded)
        self.frames.append(frame)

    # ------------------------------------------------------------ the way through the nodes

    def decide(self, i: int) -> Decision:
        while True:
            self.noted = (0, 0)
            try:
                outcome, target = self.step(self.nodes[i])
            except (Failure, Decided) as end:
                decision = self.decision(end)
                if decision.error != ErrorCode.LimitExceeded or isinstance(end, Decided):
                    self.events.append(Event(i, Outcome.Decided, Kind.Int, decision.pack()))
                return decision
            self.events.append(Event(i, outcome, *self.noted))
            i = target

    def decision(self, end: Failure | Decided) -> Decision:
        bucketed = self.hash is not None
        position = (self.hash or 0) * LAYOUT["decision"]["bucket_scale"] >> 32
        if isinstance(end, Failure):
            if end.error == ErrorCode.LimitExceeded:
                return Decision(reason=Reason.Error, error=end.error)
            return Decision(None, None, Reason.Error, end.error, bucketed, position)
        variant, rule = (None if index == NONE else index for index in (end.variant, end.rule))
        return Decision(variant, rule, end.reason, end.error, bucketed, position)

    def step(self, node: Node) -> tuple[int, int]:
        """The outcome and the next node."""
        if node.name in ARGUMENTS:
            count = ARGUMENTS[node.name]
            self.push(getattr(self, "value_" + node.name)(node, *self.pop(node.a if count is None else count)))
            self.note_top()
            return Outcome.Next, node.yes
        if hasattr(self, "test_" + node.name):
            return branch(node, getattr(self, "test_" + node.name)(node, self.slots[node.slot]))
        moved: tuple[int, int] = getattr(self, "flow_" + node.name)(node)
        if node.op >= Op.PushConst:
            self.note_top()
        return moved

    def note_top(self) -> None:
        if self.stack:
            kind, top = kind_of(self.stack[-1]), self.stack[-1]
            if kind == Kind.Float:
                self.noted = (kind, struct.unpack("<Q", struct.pack("<d", NAN if math.isnan(top) else top))[0])
            else:
                self.noted = (kind, len(top) if kind >= Kind.Text else (top or 0) & 2**64 - 1)

    # ------------------------------------------------------------ 5.1, 5.2

    def flow_Decide(self, node: Node) -> tuple[int, int]:
        raise Decided(node.a, node.b, node.flags)

    def flow_Fail(self, node: Node) -> tuple[int, int]:
        raise Decided(NONE, node.b, Reason.Error, node.a)

    def flow_DecideText(self, node: Node) -> tuple[int, int]:
        (value,) = self.pop(1)
        if value is None:
            return Outcome.No, node.no
        name = str(value).lower().encode() if isinstance(value, bool) else rv.exact_text(value)
        names = self.constants(node.a, node.b)
        if name in names:
            raise Decided(names.index(name), NONE, node.flags)
        return Outcome.Unknown, node.unknown

    def flow_Jump(self, node: Node) -> tuple[int, int]:
        return Outcome.Next, node.yes

    def flow_Call(self, node: Node) -> tuple[int, int]:
        self.enter(Call(node))
        return Outcome.Next, node.a

    def flow_Return(self, node: Node) -> tuple[int, int]:
        if not self.frames or not isinstance(self.frames[-1], Call):
            raise Failure(ErrorCode.LimitExceeded)
        call = self.frames.pop().node
        return node.flags, (call.no, call.yes, call.unknown)[node.flags]

    # ------------------------------------------------------------ 5.4

    def flow_NowAtLeast(self, node: Node) -> tuple[int, int]:
        return branch(node, self.now >= self.constant(node.a))

    def bucket(self, index: int) -> int | None:
        bucket, key = self.config.Buckets(index), b""
        encode = {Encoding.Backslash: backslash, Encoding.Cbor: rv.cbor}.get(bucket.Encoding(), bytes)
        kinds = (bytes, int, float, bool) if encode is rv.cbor else (bytes,)
        for i in range(bucket.FirstPart(), bucket.FirstPart() + bucket.PartCount()):
            part = self.config.Parts(i)
            if part.Kind() == PartKind.Literal:
                literal = self.constant(part.Arg())
                key += literal if encode is rv.cbor else encode(literal)
                continue
            slot = self.slots[part.Arg()]
            if type(slot) not in kinds or (bucket.Flags() & 1 and slot == b""):
                return None
            key += encode(slot)
        murmur, modulus = bucket.Algorithm() == HashAlgorithm.Murmur3x86, bucket.Modulus()
        hashed = rv.murmur3(key, bucket.Seed()) if murmur else reference_texts.digest(bucket.Algorithm(), key)
        chosen = hashed % modulus if modulus else hashed
        self.hash = math.ceil(chosen * 2.0**32 / modulus) if modulus else hashed
        self.noted = (Kind.Int, self.hash)
        return chosen

    def flow_Rollout(self, node: Node) -> tuple[int, int]:
        h = self.bucket(node.a)
        if h is None:
            return branch(node, None)
        segments = [self.config.Segments(i) for i in range(node.b, node.b + node.slot)]
        p = percentage(segments, self.now // 1000)
        return branch(node, p != 0 and h / 4294967295 <= p)

    def flow_Split(self, node: Node) -> tuple[int, int]:
        h = self.bucket(node.a)
        if h is None:
            return branch(node, None)
        for i in range(node.b, node.b + node.slot):
            if h < self.config.Bounds(i).Upper():
                return Outcome.Yes, self.config.Bounds(i).Node()
        return branch(node, False)

    # ------------------------------------------------------------ 5.5: branches, marks and loops

    def flow_Drop(self, node: Node) -> tuple[int, int]:
        self.pop(1)
        return Outcome.Next, node.yes

    def flow_BranchTruthy(self, node: Node) -> tuple[int, int]:
        return branch(node, truthy(self.pop(1)[0]))

    def flow_BranchBlank(self, node: Node) -> tuple[int, int]:
        return branch(node, rv.blank(self.pop(1)[0]))

    def flow_BranchKeep(self, node: Node) -> tuple[int, int]:
        (value,) = self.pop(1)
        keep = truthy(value) != bool(node.flags & 1)
        if keep:
            self.push(value)
        return branch(node, keep)

    def flow_Mark(self, node: Node) -> tuple[int, int]:
        self.marks.append(len(self.stack))
        return Outcome.Next, node.yes

    def flow_Collect(self, node: Node) -> tuple[int, int]:
        if not self.marks:
            raise Failure(ErrorCode.LimitExceeded)
        self.push(rv.new_list(self.pop(len(self.stack) - self.marks.pop())))
        return Outcome.Next, node.yes

    def innermost(self) -> Loop:
        loop = next((frame for frame in reversed(self.frames) if isinstance(frame, Loop)), None)
        if loop is None:
            raise Failure(ErrorCode.LimitExceeded)
        return loop

    def value_PushItem(self, node: Node) -> Value:
        loop = self.innermost()
        current, accumulator = loop.items[loop.index], loop.accumulator
        pair = (b"accumulator", accumulator), (b"current", current)
        return (current, accumulator, rv.new_object(*pair))[node.flags]

    def flow_IterateBegin(self, node: Node) -> tuple[int, int]:
        accumulator = self.pop(1)[0] if node.flags == LoopKind.Reduce else None
        (items,) = self.pop(1)
        if not is_list(items) or len(items) == 0:
            nothing = {LoopKind.Reduce: accumulator, LoopKind.None_: True, LoopKind.All: False, LoopKind.Some: False}
            self.push(nothing[node.flags] if node.flags in nothing else rv.new_list([]))
            return branch(node, False)
        self.enter(Loop(node, items.items, accumulator))
        return branch(node, True)

    def flow_IterateNext(self, node: Node) -> tuple[int, int]:
        (value,) = self.pop(1)
        if not self.frames or not isinstance(self.frames[-1], Loop):
            raise Failure(ErrorCode.LimitExceeded)
        loop, kind = self.frames[-1], self.frames[-1].begin.flags
        if kind == LoopKind.Map or (kind == LoopKind.Filter and truthy(value)):
            loop.results.append(value if kind == LoopKind.Map else loop.items[loop.index])
        loop.accumulator = value if kind == LoopKind.Reduce else None
        stops = {LoopKind.All: not truthy(value), LoopKind.Some: truthy(value), LoopKind.None_: truthy(value)}
        early = stops.get(kind, False)
        loop.index += 1
        if loop.index < len(loop.items) and not early:
            return Outcome.Next, loop.begin.yes
        self.frames.pop()
        answers = {LoopKind.All: not early, LoopKind.Some: early, LoopKind.None_: not early, LoopKind.Reduce: value}
        self.push(answers[kind] if kind in answers else rv.new_list(loop.results))
        return Outcome.Next, node.yes


def branch(node: Node, holds: bool | None) -> tuple[int, int]:
    if holds is None:
        return Outcome.Unknown, node.unknown
    return (Outcome.Yes, node.yes) if holds else (Outcome.No, node.no)


def backslash(text: bytes) -> bytes:
    return bytes(unit if unit < 128 else 0x5C for unit in rv.utf16_units(text))
