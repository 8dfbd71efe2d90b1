"""A run beside a recorded one: ratios only, since the machine's speed is in everything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import figures
from .measure import NO_OP
from .record import Record

HOW = (
    f"noise: a change counts if the medians of the rounds' ratios differ by more than {figures.LEAST:.0%} and by more "
    "than three standard errors of the difference, from the quartiles of the rounds of both runs"
)


@dataclass(frozen=True)
class Change:
    """A row or a peer in both runs. factor: now to then; limit: from which change on it is not noise."""

    name: str
    host: str
    then: float
    now: float
    factor: float
    limit: float

    @property
    def verdict(self) -> str:
        return figures.verdict(self.factor, self.limit)


def changes(now: Record, then: Record) -> list[Change]:
    """What both runs have measured."""
    found = []
    earlier = dict(_rounds(then))
    for (name, host), rounds in _rounds(now):
        if (name, host) in earlier:
            factor, limit = figures.change(rounds, earlier[name, host])
            medians = figures.median(earlier[name, host]), figures.median(rounds)
            found.append(Change(name, host, *medians, factor, limit))
    return found


def _rounds(record: Record) -> Iterator[tuple[tuple[str, str], list[float]]]:
    for row in record.rows:
        if row.name != NO_OP:
            yield (row.name, row.host), row.rounds
    for peer in record.peers:
        for case, found in peer.cases.items():
            yield (f"peer/{peer.peer}/{case}", "closures"), found["to_reference"]


def table(now: Record, then: Record) -> tuple[list[str], int]:
    """The lines, and how many rows got slower."""
    found = changes(now, then)
    lines = [
        f"compared with the run of {then.date}"
        + "".join(f"; {key} {then.machine[key]} -> {now.machine.get(key)}" for key in _different(now, then)),
        f"{'row':30} {'host':9} {'then':>9} {'now':>9} {'now/then':>9} {'noise':>7}",
    ]
    for one in found:
        mark = "" if one.verdict == "same" else f"  {one.verdict}"
        lines.append(
            f"{one.name:30} {one.host:9} {one.then:9.2f} {one.now:9.2f} {one.factor:9.2f} {one.limit:7.0%}{mark}"
        )
    slower = [one for one in found if one.verdict == "slower"]
    lost = sorted({key for key, _ in _rounds(then)} - {key for key, _ in _rounds(now)})
    if lost:
        names = ", ".join(sorted({name for name, _ in lost})[:5])
        lines.append(f"only in the recorded run: {len(lost)} rows, {names}{', ...' if len(lost) > 5 else ''}")
    lines.append(f"{len(slower)} of {len(found)} rows are slower beyond the noise; {HOW}")
    return lines, len(slower)


def _different(now: Record, then: Record) -> list[str]:
    return [key for key, value in then.machine.items() if now.machine.get(key) != value]
