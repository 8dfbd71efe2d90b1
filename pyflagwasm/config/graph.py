"""The graph of nodes while it is built, and its bytes: numbering, sharing of equal nodes, slots, buckets, bounds.

What a tree becomes in nodes is lower.py's business; the FlatBuffer around the bytes is compile.py's.

Nodes are added in reverse: a target exists before the node that goes there. `place` turns the order around, so that in
the configuration every target is greater than its source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from .._abi import (
    BOUND,
    BOUND_SIZE,
    BUCKET,
    BUCKET_SIZE,
    LIMITS_MAX_CONFIG,
    NODE,
    NODE_SIZE,
    PART,
    PART_SIZE,
    SEGMENT,
    SEGMENT_SIZE,
    Encoding,
    HashAlgorithm,
    Op,
    PartKind,
    Reduce,
)
from .constants import NOTHING, Constants, Refused, Runs, clamp
from .model import MISSING, Bucket, Segment, Slot
from .pace import breathe, let_go

Target: TypeAlias = int
"""A node by the order in which it was added, counted from 1; 0 is nowhere."""

NOWHERE: Final = 0
CLOCK: Final = 1
FALLS: Final = 2
_FIRST_SLOT_BIT: Final = 2
_MAX_WORK: Final = LIMITS_MAX_CONFIG // NODE_SIZE

_BY_CODE_POINTS: Final = frozenset({HashAlgorithm.FNV1A, HashAlgorithm.FNV1A_TWICE})
# These look at what was pushed before: an explanation needs to know by whom, so equal ones are not shared.
_SPEAKING: Final = frozenset({Op.BRANCH_TRUTHY, Op.BRANCH_BLANK, Op.DECIDE_TEXT})


@dataclass(frozen=True, slots=True)
class Label:
    """A labelled condition in the graph: a trace that enters it has the outcome whose exit comes first."""

    label: int
    yes: int
    no: int
    unknown: int


def slots_in(reads: int) -> tuple[int, ...]:
    """The slot numbers in a set of bits as `Graph.reads` holds them, ascending."""
    bits = reads >> _FIRST_SLOT_BIT
    return tuple(number for number in range(bits.bit_length()) if bits >> number & 1)


def slot_key(slot: Slot) -> object:
    """Equal for slots that are one. `==` of the slots themselves is not that: True == 1 == 1.0 are three defaults."""
    if slot.default is MISSING:
        return slot.view, slot.args
    return slot.view, slot.args, type(slot.default), repr(slot.default)


class Graph:
    """All nodes of one configuration and all that they refer to.

    `rule` and `label` are what nodes added now belong to: nodes are shared within one rule and one label only, so that
    an explanation can tell them apart. 0 is none.
    """

    def __init__(self) -> None:
        self.constants = Constants()
        self.slots: list[Slot] = []
        self.template = bytearray()
        self.parts, self.buckets, self.bounds, self.segments = Runs(), Runs(), Runs(), Runs()
        self.reads: list[int] = [0]
        """By target, what is reachable from it: CLOCK, FALLS (an end without decision), one bit for each slot."""
        self.sources: list[object] = [None]
        """By target: the part of the model that an explanation shows for it, or None."""
        self.titles: list[tuple[int, str] | None] = [None]
        self.labels: list[tuple[Target, Label]] = []
        self.rule = 0
        self.label = 0
        self._nodes: list[tuple[int, ...]] = [()]
        self._known: dict[tuple[int, ...], Target] = {}
        self._slots: dict[object, int] = {}
        self._titles: dict[tuple[int, str], int] = {}
        self._label_ids: dict[tuple[int, int], int] = {}
        self._unit = self._units = 0
        self._work = 0

    # ------------------------------------------------------------ nodes

    def begin(self) -> None:
        """A new program or subroutine: with labels of its own, and a bounded amount of work."""
        self._units += 1
        self._unit = self._units
        self._work = 0
        self.rule = self.label = 0

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is added in here belongs to a subroutine that a program under way is the first to call."""
        outer = self._unit, self._work, self.rule, self.label
        self.begin()
        yield
        self._unit, self._work, self.rule, self.label = outer

    def add(
        self,
        op: Op,
        *,
        flags: int = 0,
        slot: int = 0,
        a: int = 0,
        b: int = 0,
        yes: Target = NOWHERE,
        no: Target = NOWHERE,
        unknown: Target = NOWHERE,
        reads: int = 0,
        source: object = None,
    ) -> Target:
        """A node, or the equal one that exists. `reads` is what the node itself reads; of a Call, `a` is a Target."""
        self._work += 1
        if self._work > _MAX_WORK:
            raise Refused(f"the rules need more than {_MAX_WORK} nodes")
        speaker = id(source) if op in _SPEAKING else 0
        key = (op, flags, slot, a, b, yes, no, unknown, self.rule, self.label, speaker)
        known = self._known.get(key)
        if known is not None:
            return known
        target = self._known[key] = len(self._nodes)
        self._nodes.append(key)
        self.sources.append(source)
        self.reads.append(reads | self.reads[yes] | self.reads[no] | self.reads[unknown])
        return target

    def set_rule(self, index: int, title: str) -> None:
        """Nodes added from now on belong to this rule."""
        number = self._titles.setdefault((index, title), len(self.titles))
        if number == len(self.titles):
            self.titles.append((index, title))
        self.rule = number

    def set_label(self, label: int) -> None:
        """Nodes added from now on belong to this label of the program or subroutine under way."""
        self.label = self._label_ids.setdefault((self._unit, label), len(self._label_ids) + 1)

    # ------------------------------------------------------------ what nodes refer to

    def slot(self, slot: Slot) -> tuple[int, int]:
        """The number of a slot, and its bit in `reads`."""
        key = slot_key(slot)
        number = self._slots.get(key)
        if number is None:
            self.template += NOTHING if slot.default is MISSING else self.constants.value(slot.default)
            number = self._slots[key] = len(self.slots)
            self.slots.append(slot)
        return number, 1 << number + _FIRST_SLOT_BIT

    def bucket(self, bucket: Bucket) -> tuple[int, int]:
        """The number of a bucket, and what hashing it reads."""
        if bucket.modulus is not None and not 1 <= bucket.modulus < 2**32:
            raise Refused(f"a bucket has the modulus {bucket.modulus}, outside of 1 .. 2**32 - 1")
        if (bucket.algorithm in _BY_CODE_POINTS) != (bucket.encoding is Encoding.CODE_POINTS):
            raise Refused(f"{bucket.algorithm.name} does not hash {bucket.encoding.name}")
        reads, parts = 0, []
        for part in bucket.parts or ("",):
            if isinstance(part, Slot):
                number, bit = self.slot(part)
                reads |= bit
                parts.append(PART.pack(PartKind.SLOT, 0, 0, number))
            else:
                literal = self.constants.raw(part) if isinstance(part, bytes) else self.constants.value(part)
                parts.append(PART.pack(PartKind.LITERAL, 0, 0, self.constants.values.add(literal, len(literal))))
        packed = BUCKET.pack(
            bucket.algorithm,
            bucket.encoding,
            Reduce.FULL32 if bucket.modulus is None else Reduce.MODULO,
            bucket.require_text,
            bucket.seed & 0xFFFFFFFF,
            self.parts.add(b"".join(parts), PART_SIZE),
            len(parts),
            bucket.modulus or 0,
        )
        return self.buckets.add(packed, BUCKET_SIZE), reads

    def bounds_run(self, bounds: Iterable[tuple[int, Target]]) -> int:
        """The number of the first bound; a bound is where its hashes end, and where they go."""
        return self.bounds.add(b"".join(BOUND.pack(upper, node, 0) for upper, node in bounds), BOUND_SIZE)

    def segments_run(self, segments: Sequence[Segment]) -> tuple[int, int]:
        """The number of the first segment, and how many there are. Of those that begin together the last one counts."""
        by_start = {clamp(s.from_ms): (s.t0, s.t1, s.p0, s.p1) for s in segments}
        if list(by_start) != sorted(by_start):
            raise Refused("the percentages of a rollout are not in the order of time")
        packed = (SEGMENT.pack(start, *rest) for start, rest in by_start.items())
        return self.segments.add(b"".join(packed), SEGMENT_SIZE), len(by_start)

    # ------------------------------------------------------------ bytes

    def __len__(self) -> int:
        return len(self._nodes) - 1

    def free(self) -> None:
        """Give up the nodes, piece by piece. The graph is of no use after that."""
        for table in (self._known, self._slots, self._titles, self._label_ids):
            while table:
                table.popitem()
                breathe()
        for each in (self._nodes, self.sources, self.labels, self.reads):
            let_go(each)

    def place(self, target: Target) -> int:
        """The number of a node in the configuration; 0 for nowhere."""
        return len(self) - target if target else 0

    def node_bytes(self) -> bytes:
        packed = bytearray(len(self) * NODE_SIZE)
        places = [0, *range(len(self) - 1, -1, -1)]
        offset = len(packed)
        for op, flags, slot, a, b, yes, no, unknown, *_ in self._nodes[1:]:
            breathe()
            offset -= NODE_SIZE
            if op == Op.CALL:
                a = places[a]
            NODE.pack_into(packed, offset, op, flags, slot, a, b, places[yes], places[no], places[unknown])
        return bytes(packed)

    def bound_bytes(self) -> bytes:
        return b"".join(
            BOUND.pack(upper, self.place(node), 0) for upper, node, _ in BOUND.iter_unpack(self.bounds.data)
        )

    def ops(self) -> bytes:
        """The operation of each node, in the order of the configuration."""
        return bytes(node[0] for node in self._nodes[:0:-1])

    def rule_numbers(self) -> list[int]:
        """The rule of each node as an index of `titles`, in the order of the configuration."""
        return [node[8] for node in self._nodes[:0:-1]]
