"""The tables of the hosts' rows and facts, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from .figures import spread
from .measure import Row
from .record import Record


def heading(record: Record) -> list[str]:
    return [
        f"{record.date}, " + ", ".join(record.machine.values()),
        ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        *record.absent,
    ]


def _order(record: Record) -> Iterator[tuple[str, Row]]:
    """Both hosts' rows of the same name together."""
    for name in dict.fromkeys(row.name for row in record.rows):
        for row in record.rows:
            if row.name == name:
                yield name, row


def _cell(value: float | None, width: int, digits: int) -> str:
    return f" {'-':>{width}}" if value is None else f" {value:{width}.{digits}f}"


def rows(record: Record) -> list[str]:
    lines = [
        f"{'row':26} {'host':9} {'us':>9} {'ratio':>8} {'+-':>5} {'p50':>8} {'p99':>9} {'p99.9':>9} {'bytes':>7} "
        f"{'kept':>5}  note"
    ]
    for name, row in _order(record):
        digits = 3 if row.us < 100 else 1
        cells = _cell(row.us, 9, digits) + f" {row.ratio:8.2f} {spread(row.rounds):5.0%}"
        cells += _cell(row.p50, 8, 2) + _cell(row.p99, 9, 2) + _cell(row.p999, 9, 2)
        lines.append(f"{name:26} {row.host:9}{cells} {row.peak:7.0f} {row.kept:5.1f}  {row.note}")
    clocks = ", ".join(f"{clock:.0f} ns ({host})" for host, clock in record.clock_ns.items())
    lines += [
        "us: median of batches, per call, net of the empty loop. ratio: to awaited no-ops right beside it; +-: half",
        "of what lies between its quartiles. p50, p99, p99.9: single calls in us, the garbage collector on, less what",
        f"the clock itself takes: {clocks}. bytes: the most that a call has allocated at once, by tracemalloc;",
        "kept: blocks left behind by a call.",
    ]
    return lines


def facts(record: Record) -> list[str]:
    lines = [f"{'observed':26} {'host':9} {'value':>10}"]
    for fact in record.facts:
        digits = 0 if fact.unit == "bytes" else 2 if fact.value < 100 else 1
        lines.append(f"{fact.name:26} {fact.host:9} {fact.value:10,.{digits}f} {fact.unit:5}  {fact.note}")
    return lines
