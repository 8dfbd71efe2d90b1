"""Random sound configurations at the level of nodes: every operation, mostly well-typed, so that it gets executed.

Here live the assembler, which serialises with the official FlatBuffers builder, and the generator of programs. It does
not go through the compiler. Values and requests are in samples.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
from fbs_generated import Bound, Bucket, Config, Flag, Node, Part, Segment, Value
from fbs_generated.Encoding import Encoding
from fbs_generated.Op import Op
from fbs_generated.Reduce import Reduce
from samples import HeapWriter

from pyflagwasm._abi import FINGERPRINT


@dataclass(eq=False)
class Label:
    at: int | None = None


@dataclass
class Assembler:
    """Collects the arrays of a configuration. Targets are Labels, resolved when it is serialised."""

    slot_count: int = 0
    fingerprint: int = FINGERPRINT
    flags: list[tuple[Any, int]] = field(default_factory=list)
    nodes: list[list[Any]] = field(default_factory=list)
    values: list[tuple[int, int, int]] = field(default_factory=list)
    heap: HeapWriter = field(default_factory=HeapWriter)
    buckets: list[tuple[int, ...]] = field(default_factory=list)
    parts: list[tuple[int, int]] = field(default_factory=list)
    bounds: list[tuple[int, Any]] = field(default_factory=list)
    segments: list[tuple[Any, ...]] = field(default_factory=list)

    def emit(self, op: int, flags: int = 0, slot: int = 0, a: Any = 0, b: int = 0, **targets: Any) -> None:
        """Without targets the operation goes on with the next node."""
        if not targets and op not in (Op.Decide, Op.Fail, Op.Return, Op.Jump):
            targets = {"yes": Label(len(self.nodes) + 1)}
        self.nodes.append(
            [op, flags, slot, a, b, targets.get("yes", 0), targets.get("no", 0), targets.get("unknown", 0)]
        )

    def place(self, label: Label) -> None:
        label.at = len(self.nodes)

    def constants(self, *values: Any) -> int:
        """The index of the first."""
        self.values += [self.heap.write(value) for value in values]
        return len(self.values) - len(values)

    def constant(self, value: Any) -> int:
        written = self.heap.write(value)
        if written in self.values:
            return self.values.index(written)
        self.values.append(written)
        return len(self.values) - 1

    def bucket(
        self,
        parts: list[tuple[int, int]],
        encoding: int = Encoding.Utf8,
        flags: int = 0,
        seed: int = 0,
        algorithm: int = 0,
        modulus: int = 0,
    ) -> int:
        reduce = Reduce.Modulo if modulus else Reduce.Full32
        self.buckets.append((algorithm, encoding, reduce, flags, seed, len(self.parts), len(parts), modulus))
        self.parts += parts
        return len(self.buckets) - 1

    def serialise(self) -> bytes:
        def at(target: Any) -> int:
            return target.at if isinstance(target, Label) else target

        builder = flatbuffers.Builder(4096)

        def vector(start: Any, create: Any, rows: list[Any]) -> int:
            start(builder, len(rows))
            for row in reversed(rows):
                create(builder, *row)
            return builder.EndVector()

        nodes = [[*n[:3], at(n[3]), n[4], *map(at, n[5:])] for n in self.nodes]
        made = {
            "Flags": vector(Config.StartFlagsVector, Flag.CreateFlag, [(at(e), n) for e, n in self.flags]),
            "Nodes": vector(Config.StartNodesVector, Node.CreateNode, nodes),
            "Values": vector(Config.StartValuesVector, Value.CreateValue, [(k, 1, 0, n, b) for k, n, b in self.values]),
            "Buckets": vector(Config.StartBucketsVector, Bucket.CreateBucket, self.buckets),
            "Parts": vector(Config.StartPartsVector, Part.CreatePart, [(kind, 0, 0, arg) for kind, arg in self.parts]),
            "Bounds": vector(Config.StartBoundsVector, Bound.CreateBound, [(u, at(n), 0) for u, n in self.bounds]),
            "Segments": vector(Config.StartSegmentsVector, Segment.CreateSegment, self.segments),
        }
        # lists in the heap are read at multiples of 8 from its first byte
        builder.StartVector(1, len(self.heap.heap), 8)
        builder.head -= len(self.heap.heap)
        builder.Bytes[builder.head : builder.head + len(self.heap.heap)] = self.heap.heap
        made["Heap"] = builder.EndVector()
        Config.Start(builder)
        Config.AddFingerprint(builder, self.fingerprint)
        Config.AddSlotCount(builder, self.slot_count)
        for name, offset in made.items():
            getattr(Config, "Add" + name)(builder, offset)
        builder.Finish(Config.End(builder), file_identifier=b"PFCF")
        return bytes(builder.Output())
