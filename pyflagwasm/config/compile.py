"""Model -> CompiledConfig: the FlatBuffer that the guest reads, and the tables that the host keeps beside it.

Trees become nodes in lower.py, nodes become bytes in graph.py; here are the order of things, the limits of
schema/layout.toml, and the root table.
"""

from __future__ import annotations

import graphlib
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, get_args

from .._abi import (
    BOUND_SIZE,
    BUCKET_SIZE,
    CONFIG_FIELDS,
    FINGERPRINT,
    FLAG,
    FLAG_SIZE,
    LIMITS_MAX_CONFIG,
    LIMITS_MAX_FLAGS,
    LIMITS_MAX_SLOTS,
    LIMITS_MAX_VARIANTS,
    NODE_SIZE,
    PART_SIZE,
    SEGMENT_SIZE,
    VALUE_SIZE,
)
from ..errors import ConfigError
from .constants import Refused
from .graph import CLOCK, FALLS, Graph, Label, slots_in
from .lower import Lowering, Program
from .model import JSON, Condition, DetailsTree, Flag, Model, Shared, Slot, Value, Variant
from .pace import breathe

_IDENTIFIER: Final = b"PFCF"
_TREE: Final = frozenset(get_args(Condition)) | frozenset(get_args(Value))


@dataclass(frozen=True, slots=True)
class FlagEntry:
    """What the host knows of a flag.

    index: its position in the configuration's flags, the argument of `evaluate`.
    slots: the numbers of the slots that its program can read, ascending.
    reads_now: whether its program can read the clock.
    constant: the program reads neither slots nor the clock, so one decision is valid for all contexts.
    type, variants, metadata, rule_metadata, problem, program: as in model.Flag.
    """

    key: str
    index: int
    slots: tuple[int, ...]
    reads_now: bool
    constant: bool
    variants: tuple[Variant, ...]
    type: str | None
    metadata: Mapping[str, JSON]
    rule_metadata: tuple[Mapping[str, JSON], ...]
    problem: str | None
    program: int


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the nodes come from, by node number, for explanations.

    ops: the operation of each node.
    sources: the part of the model that the node stands for (Test, SplitBy, the value that a branch looks at...); the
        Outcome for a Return; None where there is nothing to say.
    rules: an index of `titles` for each node.
    titles: rule index and title; None, the first, for what belongs to no rule.
    labels: for each node at which labelled conditions begin, those; outer ones come last.
    """

    ops: bytes
    sources: tuple[object, ...]
    rules: tuple[int, ...]
    titles: tuple[tuple[int, str] | None, ...]
    labels: Mapping[int, tuple[Label, ...]]


@dataclass(frozen=True, slots=True)
class CompiledConfig:
    """A configuration in the guest's form, and what the host needs to ask the guest and to read its answers.

    ir: a FlatBuffer `Config` of schema/config.fbs.
    slots: what the host must send, by slot number.
    template: the Values of all slots when the context has none of them: their defaults, else Missing.
    flags: by key, in the order of the file.
    digest: the SHA-256 of `ir` in hexadecimal.
    reads_now: whether any flag reads the clock.
    events_url: where the vendor tells of changes, if the document says so.
    fingerprints: of the flags, by key (fingerprint.py); empty unless asked for.
    """

    format: str
    ir: bytes
    slots: tuple[Slot, ...]
    template: bytes
    flags: Mapping[str, FlagEntry]
    metadata: Mapping[str, JSON]
    digest: str
    reads_now: bool
    details: DetailsTree | None
    origins: Origins
    events_url: str | None = None
    fingerprints: Mapping[str, bytes] = field(default_factory=dict)

    def for_serving(self, fingerprints: Mapping[str, bytes]) -> CompiledConfig:
        """Without what only explanations need: half of the objects that the garbage collector would look at."""
        return replace(self, origins=Origins(b"", (), (), (), {}), details=None, fingerprints=fingerprints)


def compile_model(model: Model) -> CompiledConfig:
    """Compiles a model. Raises ConfigError, whose path is the key of a flag, or `$` if it concerns no flag alone."""
    _check("$", len(model.flags), LIMITS_MAX_FLAGS, "flags")
    graph = Graph()
    lowering = Lowering(graph, model.programs)
    for name in _in_order(model.shared):
        with _path("$"):
            lowering.subroutine(name, model.shared[name])
    programs: dict[int, Program] = {}
    for flag in model.flags:
        _check(flag.key, len(flag.variants), LIMITS_MAX_VARIANTS, "variants")
        if flag.program not in programs:
            programs[flag.program] = _lower_program(model, flag, graph, lowering)
        needed = programs[flag.program].variants
        if needed > len(flag.variants):
            raise ConfigError(
                flag.key, f"rules serve variant {needed - 1}, but there are {len(flag.variants)} variants"
            )
    lowering.end()
    _check("$", len(graph.slots), LIMITS_MAX_SLOTS, "attributes that rules read")
    _check("$", len(graph) * NODE_SIZE, LIMITS_MAX_CONFIG, "bytes of nodes")

    ir = _flatbuffer(model, graph, programs)
    _check("$", len(ir), LIMITS_MAX_CONFIG, "bytes of compiled configuration")
    flags = _entries(model, graph, programs)
    compiled = CompiledConfig(
        format=model.format,
        ir=ir,
        slots=tuple(graph.slots),
        template=bytes(graph.template),
        flags=flags,
        metadata=model.metadata,
        digest=hashlib.sha256(ir).hexdigest(),
        reads_now=any(entry.reads_now for entry in flags.values()),
        details=model.details,
        origins=_origins(graph),
        events_url=model.events_url,
    )
    graph.free()
    return compiled


# ---------------------------------------------------------------- lowering in order


def _lower_program(model: Model, flag: Flag, graph: Graph, lowering: Lowering) -> Program:
    if not 0 <= flag.program < len(model.programs):
        raise ConfigError(flag.key, f"program {flag.program} does not exist")
    with _path(flag.key):
        program = lowering.program(model.programs[flag.program])
    if graph.reads[program.entry] & FALLS:
        raise ConfigError(flag.key, "rules can end without a decision")
    return program


def _in_order(shared: Mapping[str, Condition]) -> list[str]:
    """The names of shared conditions, each after those that it refers to."""
    references = {name: _references(condition) for name, condition in shared.items()}
    for name, referred in references.items():
        for missing in sorted(referred - shared.keys()):
            raise ConfigError("$", f"the shared condition {name!a} refers to {missing!a}, which does not exist")
    try:
        return list(graphlib.TopologicalSorter(references).static_order())
    except graphlib.CycleError as error:
        circle = " -> ".join(map(ascii, reversed(error.args[1])))
        raise ConfigError("$", f"shared conditions refer to each other in a circle: {circle}") from None


def _references(condition: Condition) -> set[str]:
    found: set[str] = set()
    rest: list[Any] = [condition]
    while rest:
        part = rest.pop()
        if isinstance(part, tuple):
            rest.extend(part)
        elif isinstance(part, Shared):
            found.add(part.name)
        elif type(part) in _TREE:
            rest.extend(getattr(part, name) for name in part.__slots__)
    return found


@contextmanager
def _path(path: str) -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        raise ConfigError(path, str(refused)) from None
    except RecursionError:  # the caller's own stack was deep already, or the tree is deeper than any limit
        raise ConfigError(path, "rules nest too deep") from None


def _check(path: str, count: int, limit: int, what: str) -> None:
    if count > limit:
        raise ConfigError(path, f"{count} {what}; {limit} are allowed")


# ---------------------------------------------------------------- tables of the host


def _entries(model: Model, graph: Graph, programs: Mapping[int, Program]) -> dict[str, FlagEntry]:
    slots: dict[int, tuple[int, ...]] = {}
    for number, program in programs.items():
        breathe()
        slots[number] = slots_in(graph.reads[program.entry])
    flags: dict[str, FlagEntry] = {}
    for index, flag in enumerate(model.flags):
        breathe()
        if flag.key in flags:
            raise ConfigError(flag.key, "there are two flags of this key")
        reads = graph.reads[programs[flag.program].entry]
        flags[flag.key] = FlagEntry(
            key=flag.key,
            index=index,
            slots=slots[flag.program],
            reads_now=bool(reads & CLOCK),
            constant=not reads,
            variants=flag.variants,
            type=flag.type,
            metadata=flag.metadata,
            rule_metadata=flag.rule_metadata,
            problem=flag.problem,
            program=flag.program,
        )
    return flags


def _origins(graph: Graph) -> Origins:
    labels: dict[int, tuple[Label, ...]] = {}
    for target, label in graph.labels:
        breathe()
        place = graph.place
        placed = Label(label.label, place(label.yes), place(label.no), place(label.unknown))
        here = labels.get(place(target), ())
        if placed not in here:
            labels[place(target)] = (*here, placed)
    return Origins(
        ops=graph.ops(),
        sources=tuple(graph.sources[:0:-1]),
        rules=tuple(graph.rule_numbers()),
        titles=tuple(graph.titles),
        labels=labels,
    )


# ---------------------------------------------------------------- the FlatBuffer


def _flatbuffer(model: Model, graph: Graph, programs: Mapping[int, Program]) -> bytes:
    entries = {number: graph.place(program.entry) for number, program in programs.items()}
    flags = b"".join(FLAG.pack(entries[flag.program], len(flag.variants)) for flag in model.flags)
    return _assemble(
        len(graph.slots),
        {
            "flags": (flags, FLAG_SIZE),
            "nodes": (graph.node_bytes(), NODE_SIZE),
            "values": (bytes(graph.constants.values.data), VALUE_SIZE),
            "heap": (bytes(graph.constants.heap), 1),
            "buckets": (bytes(graph.buckets.data), BUCKET_SIZE),
            "parts": (bytes(graph.parts.data), PART_SIZE),
            "bounds": (graph.bound_bytes(), BOUND_SIZE),
            "segments": (bytes(graph.segments.data), SEGMENT_SIZE),
        },
    )


def _assemble(slot_count: int, sections: Mapping[str, tuple[bytes, int]]) -> bytes:
    """The root table with its vectors: ready bytes, and the size of one element."""
    from flatbuffers.builder import (
        Builder,
    )  # here, because importing it takes longer than all the rest of a small compilation

    new: Any = Builder
    builder = new(sum(len(data) + 16 for data, _ in sections.values()) + 256)
    offsets = {name: _vector(builder, data, size) for name, (data, size) in sections.items()}
    builder.StartObject(len(CONFIG_FIELDS))
    builder.PrependUint64Slot(CONFIG_FIELDS.index("fingerprint"), FINGERPRINT, 0)
    builder.PrependUint16Slot(CONFIG_FIELDS.index("slot_count"), slot_count, 0)
    for name, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(CONFIG_FIELDS.index(name), offset, 0)
    builder.Finish(builder.EndObject(), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _vector(builder: Any, data: bytes, size: int) -> Any:
    """A vector whose elements are written in one go: 8-aligned, as structs with members of 8 bytes have to be."""
    builder.StartVector(size, len(data) // size, 8)
    builder.head -= len(data)
    builder.Bytes[builder.head : builder.head + len(data)] = data
    return builder.EndVector()
