"""`--plot DIR`: the distributions of single calls, and the cost against the number of flags, as two PNGs.

Each line has its name beside it, in its own colour; there is no legend. Needs matplotlib, of the extra [bench].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from .measure import NO_OP
from .record import Record

PERCENTILES: Final = (0.5, 0.9, 0.99, 0.999)
LATENCY: Final = (
    (NO_OP, "awaited no-op"),
    ("baseline/py-compiled-fresh", "closures + mmh3, by hand"),
    ("evaluate/W1-awaited", "one flag awaited"),
    ("evaluate/bound", "one flag, bound context"),
    ("evaluate/all-50", "all 50 flags"),
)
SIZES: Final = (
    ("W1", "sync, reused context"),
    ("W1-fresh", "awaited, fresh context"),
    ("all", "all flags at once"),
)
COLOURS: Final = ("#1b6ca8", "#c44e1c", "#2d7f4f", "#8a3b8f", "#8c6d1f", "#4a4a4a", "#b3243c", "#0f8b8d")
STYLES: Final = ("-", "--", ":")
"""Of the hosts, in the order of the run."""


@dataclass
class Line:
    """A line to be drawn, with what is written at its end."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    style: str


def tail(q: float) -> float:
    """Where a quantile is drawn: each further nine takes as much room as the one before."""
    return -math.log10(1 - q)


def apart(places: Sequence[float], least: float) -> list[float]:
    """These places moved as little as need be so that each two are `least` from each other; in the given order."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(places[index])
        while (
            len(groups) > 1 and _first(centres[-1], groups[-1], least) < _last(centres[-2], groups[-2], least) + least
        ):
            joined = groups[-2] + groups[-1]
            centres[-2:] = [sum(places[one] for one in joined) / len(joined)]
            groups[-2:] = [joined]
    moved = [0.0] * len(places)
    for centre, group in zip(centres, groups, strict=True):
        for number, index in enumerate(group):
            moved[index] = _first(centre, group, least) + number * least
    return moved


def _overlap(centres: list[float], groups: list[list[int]], least: float) -> bool:
    return _first(centres[-1], groups[-1], least) < _last(centres[-2], groups[-2], least) + least


def _first(centre: float, group: list[int], least: float) -> float:
    return centre - (len(group) - 1) * least / 2


def _last(centre: float, group: list[int], least: float) -> float:
    return centre + (len(group) - 1) * least / 2


def pyplot() -> Any:
    """Raises ImportError, in words for people."""
    try:
        matplotlib = import_module("matplotlib")
    except ImportError:
        raise ImportError("drawing needs matplotlib: install the extra [bench]") from None
    matplotlib.use("Agg")
    return import_module("matplotlib.pyplot")


def latency_lines(record: Record) -> list[Line]:
    """Distributions: the tail's place against time in us."""
    found = []
    for number, (name, title) in enumerate(LATENCY):
        for host, style in zip(record.hosts(), STYLES, strict=False):
            row = record.row(name, host)
            shared = name.startswith("baseline/")
            if row is None or not row.curve or (shared and host != record.hosts()[0]):
                continue
            points = [(tail(q), max(value, 0.01)) for q, value in row.curve]
            label = title if shared else f"{title}, {host}"
            found.append(Line(label, *_columns(points), COLOURS[number], style))
    return found


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def flags_lines(record: Record) -> list[Line]:
    """Cost: how many flags against microseconds per call."""
    found = []
    for number, (kind, title) in enumerate(SIZES):
        for host, style in zip(record.hosts(), STYLES, strict=False):
            points = []
            for row in record.rows:
                parts = row.name.split("/")
                if row.host == host and parts[0] == "flags" and parts[2] == kind:
                    points.append((float(parts[1]), row.us))
            if points:
                xs, ys = _columns(sorted(points))
                found.append(Line(f"{title}, {host}", xs, ys, COLOURS[number], style))
    return found


def _subtitle(record: Record) -> str:
    number = record.versions
    parts = [record.machine["python"], f"wasmtime {number.get('wasmtime', '?')}", record.machine["processor"]]
    return f"{record.date[:10]}, {', '.join(parts)}"


def _frame(plt: Any, record: Record, title: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(11, 6.2), dpi=120)
    figure.subplots_adjust(left=0.09, right=0.715, top=0.86, bottom=0.11)
    figure.text(0.09, 0.945, title, fontsize=15, weight="bold")
    figure.text(0.09, 0.9, _subtitle(record), fontsize=9.5, color="#555555")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _label_right(axes: Any, lines: Sequence[Line], heights: Sequence[float]) -> None:
    """Names right of the axes, each as near to the height of its line's end as there is room, and tied to it."""
    right = axes.get_xlim()[1]
    for line, place in zip(lines, apart(heights, 0.045), strict=True):
        end = (min(line.x[-1], right), line.y[-1])
        axes.annotate(
            line.label, xy=end, xytext=(1.03, place), textcoords="axes fraction", fontsize=10, color=line.colour,
            va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": line.colour, "linewidth": 0.7, "alpha": 0.6, "shrinkA": 1,
                        "shrinkB": 1},
        )  # fmt: skip


def _latency(plt: Any, record: Record, path: Path) -> None:
    lines = latency_lines(record)
    figure, axes = _frame(plt, record, "Latency of single calls, up to the tail")
    axes.set_yscale("log")
    for line in lines:
        axes.plot(line.x, line.y, color=line.colour, linestyle=line.style, linewidth=2)
    most = max(line.x[-1] for line in lines)
    shown = [q for q in PERCENTILES if tail(q) <= most + 0.01]
    axes.set_xticks([tail(q) for q in shown], [f"{q * 100:g} %" for q in shown])
    axes.set_xlim(0, most)
    axes.set_xlabel("share of the calls that take no longer; each further nine has the same width")
    _finish(plt, figure, axes, lines, path, "microseconds, logarithmic")


def _flags(plt: Any, record: Record, path: Path) -> None:
    lines = flags_lines(record)
    figure, axes = _frame(plt, record, "Cost of a call against the number of flags in the configuration")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for line in lines:
        axes.plot(line.x, line.y, color=line.colour, linestyle=line.style, linewidth=2, marker="o", markersize=5)
    axes.set_xticks([1, 50, 1000, 10_000], ["1", "50", "1,000", "10,000"])
    axes.minorticks_off()
    axes.set_xlim(0.8, 12_000)
    axes.set_xlabel("flags in the configuration")
    _finish(plt, figure, axes, lines, path, "microseconds per call, logarithmic")


def _finish(plt: Any, figure: Any, axes: Any, lines: Sequence[Line], path: Path, ylabel: str) -> None:
    """The logarithmic axis of times, the names at the right, and the file."""
    axes.set_ylabel(ylabel)
    axes.yaxis.set_major_formatter(lambda value, place: f"{value:,g}")
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    _label_right(axes, lines, [(math.log10(line.y[-1]) - low) / (high - low) for line in lines])
    figure.savefig(path)
    plt.close(figure)


def draw(record: Record, folder: Path) -> list[Path]:
    """The files that were written. Raises ImportError without matplotlib, ValueError if there is nothing to draw."""
    plt = pyplot()
    jobs = (("latency.png", latency_lines, _latency), ("flags.png", flags_lines, _flags))
    drawn = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines, job in jobs:
        if lines(record):
            job(plt, record, folder / name)
            drawn.append(folder / name)
    if not drawn:
        raise ValueError("nothing to draw: the run has no rows of evaluate/ or flags/")
    return drawn
