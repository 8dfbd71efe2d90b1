"""Random configurations and requests through the core and through the reference: both must answer alike.

A case is one configuration, one request, one flag. test_agreement.py runs a bounded number of them,
differential/agreement.py as many as one likes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fbs_generated.Kind import Kind
from generator import some_case
from reference import Event, Reference
from reference_input import OP_NAMES
from reference_values import LAYOUT, LIMITS, Unspecified

from pyflagwasm.errors import ConfigError
from pyflagwasm.runtime.instance import Instance

MOST_MADE = LIMITS["arena"] // 4
"""An evaluation that handles more bytes of values than this may meet the arena's limit, which the reference lacks."""
REQUESTS = 6


@dataclass
class Tally:
    cases: int = 0
    skipped: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)


@dataclass
class Disagreement:
    """`index` numbers the configuration; `what` is "decision" or "trace"."""

    index: int
    flag: int
    what: str
    ours: Any
    cores: Any
    program: str

    def __str__(self) -> str:
        return (
            f"configuration {self.index}, flag {self.flag}: the {self.what} differs\n"
            f"  reference: {self.ours}\n  core:      {self.cores}\n{self.program}"
        )


class Skipped(Exception):
    """Not to be compared: beyond the limits, or nothing that the contract gives a meaning to. The core did answer."""


def compare(reference: Reference, instance: Instance, flag: int, request: bytes) -> tuple[str, Any, Any] | None:
    """What differs, what the reference says, what the core says; None if they agree. Raises Skipped."""
    instance.scratch[: len(request)] = request
    packed = instance.evaluate(flag)
    explained, raw = instance.explain(flag)
    trace = [one_nan(*event) for event in raw]
    try:
        decision, events = reference.explain(flag, request)
    except Unspecified:
        raise Skipped from None
    if reference.made > MOST_MADE or len(events) > LAYOUT["trace"]["max_events"]:
        raise Skipped
    for ours, cores in zip([*events, None], [*trace, None], strict=False):
        if ours != cores:
            return "trace", ours, Event(*cores) if cores else None
    if (packed, explained) != (decision.pack(), decision.pack()):
        return "decision", f"{decision.pack():#x} {decision}", f"{packed:#x}, explained {explained:#x}"
    return None


def one_nan(node: int, outcome: int, kind: int, bits: int) -> Event:
    """NaN is one value: its sign and payload mean nothing."""
    nan = kind == Kind.Float and bits & 2**63 - 1 > 0x7FF << 52
    return Event(node, outcome, kind, 0x7FF8 << 48 if nan else bits)


def listing(reference: Reference, events: list[Event]) -> str:
    """The way that the reference took, node by node."""
    lines = []
    for event in events:
        node = reference.nodes[event.node]
        constant = ""
        if node.name == "PushConst":
            value = reference.constant(node.a)
            constant = f" {getattr(value, 'items', value)!r}"
        fields = " ".join(f"{k}={v}" for k, v in node._asdict().items() if v and k != "op")
        lines.append(
            f"    {event.node:3} {node.name}{constant} {fields} -> {event.outcome} {event.kind} {event.bits:#x}"
        )
    return "\n".join(lines)


def disagreements(
    instance: Instance, configurations: int, seed: int, tally: Tally, first: int = 0
) -> Iterator[Disagreement]:
    """At most one for each flag of each configuration."""
    for index in range(first, first + configurations):
        rng = Random(f"{seed}/{index}")
        case = some_case(rng)
        reference = Reference(case.ir)
        try:
            instance.load(case.ir)
        except ConfigError as error:
            yield Disagreement(index, 0, "verification", "accepts", error, "-")
            continue
        for flag in range(case.flag_count):
            for _ in range(REQUESTS):
                request = case.request(rng)
                tally.cases += 1
                try:
                    difference = compare(reference, instance, flag, request)
                except Skipped:
                    tally.skipped += 1
                    continue
                _, events = reference.explain(flag, request)
                tally.operations.update(OP_NAMES[reference.nodes[event.node].op] for event in events)
                if difference:
                    yield Disagreement(index, flag, *difference, listing(reference, events))
                    break
