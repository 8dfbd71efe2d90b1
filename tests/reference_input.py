"""Reading for the reference: what a configuration and a request hold, and which of them are refused.

Here live the shape of a node, the structural checks of a configuration, the canonical form of a request and the
heaps. What they mean is in reference.py.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import reference_regex
from fbs_generated.Config import Config
from fbs_generated.Encoding import Encoding
from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.HashAlgorithm import HashAlgorithm
from fbs_generated.Kind import Kind
from fbs_generated.LoopKind import LoopKind
from fbs_generated.Op import Op
from fbs_generated.PartKind import PartKind
from fbs_generated.Reason import Reason
from fbs_generated.Reduce import Reduce
from fbs_generated.Request import Request
from fbs_generated.Space import Space
from fbs_generated.Status import Status
from fbs_generated.TimeUnit import TimeUnit
from fbs_generated.VersionDialect import VersionDialect
from reference_values import LAYOUT, LIMITS, Composite, Value

from pyflagwasm._abi import FINGERPRINT

OP_NAMES = {number: name for name, number in vars(Op).items() if not name.startswith("_")}
NONE: int = LAYOUT["decision"]["none"]
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()
"""A slot without a value."""


class Refused(Exception):
    """A configuration that must not be evaluated: `status` and the index of the first bad element."""

    def __init__(self, status: int, index: int = 0) -> None:
        super().__init__(status, index)
        self.status, self.index = status, index


class BadRequest(Exception):
    """A request that is not in canonical form."""


class Node(NamedTuple):
    op: int
    flags: int
    slot: int
    a: int
    b: int
    yes: int
    no: int
    unknown: int

    @property
    def name(self) -> str:
        return OP_NAMES[self.op]


def null_if_missing(value: Value) -> Value:
    return None if value is MISSING else value


class Memory:
    """The heaps that a Value can refer to."""

    def __init__(self, config: bytes, request: bytes) -> None:
        self.heaps = {Space.Config: config, Space.Request: request}

    def read(self, kind: int, space: int, length: int, bits: int) -> Value:
        """A value, or MISSING for one that lies outside."""
        if space != Space.Config:
            space = Space.Request
        heap = self.heaps[space]
        if kind == Kind.Text:
            return heap[bits : bits + length] if bits + length <= len(heap) else MISSING
        if kind in (Kind.List, Kind.Object):
            size = 16 * length * (1 if kind == Kind.List else 2)
            if bits + size > len(heap):
                return MISSING

            def load() -> list[Any]:
                flat = [self._member(heap, space, at) for at in range(bits, bits + size, 16)]
                return flat if kind == Kind.List else list(zip(flat[::2], flat[1::2], strict=True))

            return Composite(kind, (space, bits, length), load)
        if kind == Kind.Float:
            return struct.unpack("<d", struct.pack("<Q", bits))[0]
        if kind == Kind.Int:
            return bits - (bits >> 63 << 64)
        return {Kind.Null: None, Kind.Bool: bits != 0}.get(kind, MISSING)

    def _member(self, heap: bytes, space: int, at: int) -> Value:
        kind, _, _, length, bits = struct.unpack_from("<BBHIQ", heap, at)
        return null_if_missing(self.read(kind, space, length, bits))

    def constants(self, config: Any, first: int, count: int) -> list[Value]:
        stored = [config.Values(i) for i in range(first, first + count)]
        return [null_if_missing(self.read(v.Kind(), Space.Config, v.Len(), v.Bits())) for v in stored]


# ---------------------------------------------------------------- requests


def read_request(data: bytes, slot_count: int) -> Any:
    """Section 4: the canonical form and nothing else."""
    n = slot_count
    fixed = struct.pack("<I4s5H6xi", 24, b"PFRQ", 10, 24, 4, 8, 16, 16)
    good = len(data) >= 60 + 16 * n and data[:28] == fixed and struct.unpack_from("<I", data, 28) == (24,)
    good = good and struct.unpack_from("<I8xI", data, 40) == (56 + 16 * n - 40, n)  # what is between is not read
    if not good:
        raise BadRequest
    end = 60 + 16 * n + struct.unpack_from("<I", data, 56 + 16 * n)[0]
    if end > min(len(data), LAYOUT["scratch"]["request_size"]):
        raise BadRequest
    return Request.GetRootAs(data)


# ---------------------------------------------------------------- configurations

TARGETS = {
    **dict.fromkeys(("Decide", "Fail", "Return"), ()),
    "Call": ("a", "yes", "no", "unknown"),
    **dict.fromkeys(("DecideText", "Split"), ("no", "unknown")),
    **dict.fromkeys("KindIn Truthy EqualConst CompareConst InConst ContainsConst NowAtLeast".split(), ("yes", "no")),
    **dict.fromkeys(("BranchTruthy", "BranchKeep", "BranchBlank", "IterateBegin"), ("yes", "no")),
    **dict.fromkeys("TextIn TextPrefix TextSuffix TextContains".split(), ("yes", "no", "unknown")),
    **dict.fromkeys(
        "NumberCompare BoolIn Version TextMatch InNetwork TimeCompare Rollout".split(), ("yes", "no", "unknown")
    ),
}
"""The targets that an operation uses; ("yes",) for those that are not here."""

CONSTANT_AT_A = "EqualConst CompareConst ContainsConst TextMatch InNetwork NowAtLeast PushConst".split()
CONSTANTS_FROM_A = (
    "DecideText TextIn TextPrefix TextSuffix TextContains NumberCompare Version InConst TimeCompare Path".split()
)


MOST_FLAGS = {
    **dict.fromkeys(("Decide", "DecideText"), Reason.Error - 1),
    **dict.fromkeys(("NumberCompare", "CompareConst", "Compare", "TimeCompare"), 7),
    **dict.fromkeys(("TextIn", "EqualConst", "Truth", "BranchKeep", "Fractional"), 1),
    **{"Equal": 3, "IterateBegin": LoopKind.Reduce, "PushNow": TimeUnit.Second, "Return": 2, "PushItem": 2},
}
"""The flags of operations that have some; Version apart."""

ANYTHING = tuple(range(Kind.Null, Kind.Object + 1))
KINDS = {
    **dict.fromkeys(
        "DecideText TextIn TextPrefix TextSuffix TextContains Version TextMatch InNetwork Path Fractional".split(),
        (Kind.Text,),
    ),
    **{"NumberCompare": (Kind.Int, Kind.Float), **dict.fromkeys(("NowAtLeast", "TimeCompare"), (Kind.Int,))},
}
"""The kinds of the constants of operations that want certain ones."""


def verify(ir: bytes) -> Any:
    """The configuration, or Refused. Sections 1, 5 and the comments of config.fbs."""
    if len(ir) > LIMITS["max_config"]:
        raise Refused(Status.TooLarge)
    if len(ir) < 8 or not Config.ConfigBufferHasIdentifier(ir, 0):
        raise Refused(Status.BadRoot)
    config = Config.GetRootAs(ir)
    if config.Fingerprint() != FINGERPRINT:
        raise Refused(Status.BadFingerprint)
    if config.SlotCount() > LIMITS["max_slots"] or config.FlagsLength() > LIMITS["max_flags"]:
        raise Refused(Status.TooLarge)
    _all(config.FlagsLength(), Status.BadFlag, lambda i: config.Flags(i).Entry() < config.NodesLength())
    _all(config.NodesLength(), Status.BadNode, lambda i: _good_node(config, i))
    _all(config.ValuesLength(), Status.BadValue, lambda i: _good_value(config, config.Values(i)))
    _all(config.BucketsLength(), Status.BadBucket, lambda i: _good_bucket(config, config.Buckets(i)))
    return config


def _all(count: int, status: int, good: Any) -> None:
    for i in range(count):
        if not good(i):
            raise Refused(status, i)


def read_node(config: Any, i: int) -> Node:
    n = config.Nodes(i)
    return Node(n.Op(), n.Flags(), n.Slot(), n.A(), n.B(), n.Yes(), n.No(), n.Unknown())


def _inside(first: int, count: int, length: int) -> bool:
    return first + count <= length


def _good_node(config: Any, i: int) -> bool:
    node, values = read_node(config, i), config.ValuesLength()
    if node.op not in OP_NAMES:
        return False
    name = node.name
    if not all(i < getattr(node, target) < config.NodesLength() for target in TARGETS.get(name, ("yes",))):
        return False
    if Op.KindIn <= node.op <= Op.TimeCompare or name in ("PushSlot", "Fractional"):
        if node.slot >= config.SlotCount():
            return False
    if (name in CONSTANT_AT_A and node.a >= values) or (name == "Fractional" and node.b >= values):
        return False
    if name in CONSTANTS_FROM_A and not _inside(node.a, node.b & 0xFFFF if name == "Version" else node.b, values):
        return False
    if name in ("Rollout", "Split") and node.a >= config.BucketsLength():
        return False
    if name == "Rollout":
        if not _inside(node.b, node.slot, config.SegmentsLength()):
            return False
        begins = [config.Segments(j).FromMs() for j in range(node.b, node.b + node.slot)]
        return begins == sorted(set(begins))
    if name == "Split":
        bounds = range(node.b, node.b + node.slot)
        return _inside(node.b, node.slot, config.BoundsLength()) and all(
            i < config.Bounds(j).Node() < config.NodesLength() for j in bounds
        )
    if name in ("Decide", "Fail") and max(node.a, node.b) > NONE:
        return False
    if name == "Fail" and not 0 < node.a <= ErrorCode.NoConfig:
        return False
    if name in ("Subtract", "Compare") and node.a not in ((1, 2) if name == "Subtract" else (2, 3)):
        return False
    if name in ("Compare", "CompareConst", "NumberCompare", "TimeCompare", "Version") and not node.flags & 7:
        return False
    if name == "TimeCompare" and node.b != 2:
        return False
    if name == "Version":
        most = 2 if node.flags >> 4 == VersionDialect.SemVer else 0
        good = node.flags >> 4 <= VersionDialect.StrictSemVerBuild and not node.flags & 8 and node.b >> 16 <= most
        return good and _good_constants(config, node)
    return node.flags <= MOST_FLAGS.get(name, 255) and _good_constants(config, node)


def _good_constants(config: Any, node: Node) -> bool:
    count = 1 if node.name in CONSTANT_AT_A else node.b & 0xFFFF if node.name in CONSTANTS_FROM_A else 0
    stored = [config.Values(i) for i in range(node.a, node.a + count)]
    if node.name == "Fractional":
        stored = [config.Values(node.b)]
    if node.name == "TextMatch" and stored[0].Kind() == Kind.Text:
        begins = stored[0].Bits()
        heap = bytes(config.Heap(i) for i in range(begins, min(begins + stored[0].Len(), config.HeapLength())))
        return reference_regex.is_program(heap)
    if node.name == "TextIn" and node.flags:
        heap = bytes(config.Heap(i) for i in range(config.HeapLength()))
        texts = [heap[value.Bits() : value.Bits() + value.Len()] for value in stored]
        if texts != sorted(set(texts)):
            return False
    return all(value.Kind() in KINDS.get(node.name, ANYTHING) for value in stored)


def _good_value(config: Any, value: Any) -> bool:
    size = {Kind.Text: 1, Kind.List: 16, Kind.Object: 32}.get(value.Kind(), 0) * value.Len()
    aligned = value.Kind() < Kind.List or value.Bits() % 8 == 0
    return value.Kind() in ANYTHING and (not size or _inside(value.Bits(), size, config.HeapLength())) and aligned


ENCODINGS = {
    HashAlgorithm.Murmur3x86: (Encoding.Utf8, Encoding.Backslash, Encoding.Cbor),
    HashAlgorithm.Md5: (Encoding.Utf8,),
    HashAlgorithm.Fnv1a: (Encoding.CodePoints,),
    HashAlgorithm.Fnv1aTwice: (Encoding.CodePoints,),
}


def _good_bucket(config: Any, bucket: Any) -> bool:
    if bucket.PartCount() == 0 or bucket.Encoding() not in ENCODINGS.get(bucket.Algorithm(), ()) or bucket.Flags() > 1:
        return False
    modulo = bucket.Reduce() == Reduce.Modulo
    if bucket.Reduce() > Reduce.Modulo or not (1 if modulo else 0) <= bucket.Modulus() <= (2**32 - 1 if modulo else 0):
        return False
    if not _inside(bucket.FirstPart(), bucket.PartCount(), config.PartsLength()):
        return False
    for i in range(bucket.FirstPart(), bucket.FirstPart() + bucket.PartCount()):
        part = config.Parts(i)
        literal = part.Kind() == PartKind.Literal
        if part.Arg() >= (config.ValuesLength() if literal else config.SlotCount()):
            return False
        if literal and config.Values(part.Arg()).Kind() != Kind.Text:
            return False
    return True
