"""The goals, each as a figure of one run beside its limit. Those that a run cannot tell say why.

A ratio is to an awaited no-op unless it says otherwise. Where a goal is given in microseconds, the machine's speed is
in it; then the same goal as a ratio, on the machine where a no-op takes 0.089 us, stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .measure import Row
from .peers.run import Standing, ours
from .record import Record

NO_OP_US: Final = 0.089
REFERENCE: Final = "closures + mmh3"


@dataclass(frozen=True)
class Goal:
    """figure: None if it was not measured, and then `why`. at_most: whether a smaller figure is a better one."""

    what: str
    figure: float | None
    limit: float
    unit: str
    at_most: bool = True
    why: str = ""

    @property
    def met(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit


def goals(record: Record) -> list[Goal]:
    """All of them, in the order of the table."""
    best = next((host for host in ("native", "portable") if host in record.hosts()), "portable")
    other = "native" if best == "native" else f"{best}, for want of native"
    return [
        *_evaluations(record, best, other),
        *_peers(record),
        *_portable(record),
        Goal("bulk, Arrow in and out", None, 20e6, "rows/s", False, "there is no bulk interface"),
        *_swaps(record, best, other),
        *_sizes(record, best, other),
    ]


def _ratio(what: str, row: Row | None, limit: float, unit: str = "x no-op") -> Goal:
    return Goal(what, row.ratio if row else None, limit, unit, why="" if row else "not among the chosen scenarios")


def _less_context(what: str, record: Record, name: str, host: str, limit: float) -> Goal:
    """A row whose call makes its context, less what making that costs in the same run."""
    row, context = record.row(name, host), record.row("baseline/context", host)
    net = row.ratio - context.ratio if row and context else None
    why = "" if net else "not among the chosen scenarios"
    return Goal(f"{what}, less making the context ({host})", net, limit, "x no-op", why=why)


def _evaluations(record: Record, host: str, named: str) -> list[Goal]:
    w1 = record.row("evaluate/W1-awaited-reused", host)
    tail = w1.p99 / w1.p50 if w1 and w1.p99 and w1.p50 else None
    return [
        _less_context("W1 awaited, fresh context", record, "evaluate/W1-awaited", host, 4.5),
        Goal(f"W1 awaited, p99 to p50 ({named})", tail, 2.0, "x", why="" if tail else "too few single calls"),
        _ratio(f"W1 sync, same dict ({named})", record.row("evaluate/W1", host), 2.5),
        _ratio(f"bound context, one flag, sync ({named})", record.row("evaluate/bound", host), 1.5),
        _less_context("all() of 50 flags, 4 us", record, "evaluate/all-50", host, 4 / NO_OP_US),
    ]


def _portable(record: Record) -> list[Goal]:
    return [_less_context("W1 awaited, 5 us", record, "evaluate/W1-awaited", "portable", 5 / NO_OP_US)]


def _peers(record: Record) -> list[Goal]:
    unit = ours(record.peers)
    base = unit.to_reference("fresh") if unit else None
    named = unit.peer if unit else "our W1"

    def against(what: str, limit: float, chosen: Callable[[Standing], bool], case: str = "fresh") -> Goal:
        mine = (unit.to_reference(case) if unit else None) if case != "fresh" else base
        found = {one.peer: one.to_reference(case) for one in record.peers if not one.ours and chosen(one)}
        known = {name: ratio for name, ratio in found.items() if ratio}
        if not mine or not known:
            why = "--peers was not given" if not record.peers else "none of them was measured"
            return Goal(what, None, limit, "x", False, why)
        fastest = min(known, key=lambda name: known[name])
        return Goal(f"{what}: {fastest}", known[fastest] / mine, limit, "x", False)

    return [
        against(f"fastest peer to {named}", 5, lambda one: True),
        against(f"DevCycle's Python SDK to {named}", 750, lambda one: one.peer == "DevCycle"),
        against("all 50 flags: fastest peer with such a call to ours", 40, lambda one: "all" in one.cases, "all"),
        Goal("DevCycle's native Go SDK to our W1", None, 1, "x", False, go_absent()),
    ]


def go_absent() -> str:
    """Why the Go SDK is not measured: this bench has no program for it, its module could not be had."""
    from shutil import which

    if which("go") is None:
        return "there is no Go toolchain"
    return "Go is here, but not the SDK's module"


def _swaps(record: Record, host: str, named: str) -> list[Goal]:
    stage = record.row("swap/instance-1000", host)
    p99, turn = record.fact("swap/p99-ratio", host), record.fact("swap/turn-most-swaps", host)
    quiet = record.fact("swap/turn-most-quiet", host)
    why = "" if p99 else "not among the chosen scenarios"
    beside = f", the longest without swaps {quiet.value / 1000:.1f}" if quiet else ""
    return [
        _ratio(f"swap of 1,000 flags, per instance ({named}); 100 us", stage, 100 / NO_OP_US),
        Goal(f"p99 during swaps to p99 without ({named})", p99.value if p99 else None, 1.5, "x", why=why),
        Goal(f"longest turn of a busy loop during swaps ({named}{beside})", turn.value / 1000 if turn else None, 1.0,
             "ms", why=why),
    ]  # fmt: skip


def _sizes(record: Record, host: str, named: str) -> list[Goal]:
    many, few = record.row("flags/10000/W1", host), record.row("flags/50/W1", host)
    rows = [
        Goal(f"W1 among 10,000 flags to among 50 ({named})", many.ratio / few.ratio if many and few else None, 1.1, "x",
             why="not among the chosen scenarios"),
    ]  # fmt: skip
    facts = (
        ("core.wasm", "memory/core.wasm", 48, "KiB"),
        ("linear memory changed by evaluations", "memory/changed", 0, "bytes"),
        ("import, open, first value to import wasmtime", "start/first-value-ratio", 1.5, "x"),
    )
    for what, name, limit, unit in facts:
        fact = record.fact(name, host)
        why = "" if fact else "not among the chosen scenarios"
        rows.append(Goal(f"{what} ({named})", fact.value if fact else None, limit, unit, why=why))
    return rows


def table(record: Record) -> list[str]:
    lines = [f"{'goal':78} {'figure':>9} {'limit':>10}"]
    for goal in goals(record):
        sign = "<=" if goal.at_most else ">="
        limit = f"{sign} {goal.limit:.3g}" if goal.limit < 1e6 else f"{sign} {goal.limit / 1e6:.0f}M"
        if goal.figure is None:
            lines.append(f"{goal.what:78} {'-':>9} {limit:>10} {goal.unit}; not measured: {goal.why}")
        else:
            met = "met" if goal.met else "not met"
            lines.append(f"{goal.what:78} {goal.figure:9.3g} {limit:>10} {goal.unit}; {met}")
    return lines
