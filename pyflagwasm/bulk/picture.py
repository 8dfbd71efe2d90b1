"""Pictures of how a population is split, as SVG that stands for itself: no scripts, no fonts, nothing to be fetched."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 960
_MARGIN: Final = 28
_INNER: Final = _WIDTH - 2 * _MARGIN
_BAR: Final = 20
_FLOW: Final = 64
_LINE: Final = 19
_GAP: Final = 24
_SIZE: Final = 12
_MOST: Final = 12
"""How many parts a bar has, beyond which the smallest are one."""

_COLOURS: Final = (
    "#3b76af", "#e08a3c", "#5a9e57", "#8c6bb1", "#c9a227", "#3fa3a3", "#a85d7c", "#7a7f3f", "#5d7fd6", "#b0724a",
)  # fmt: skip
_NONE: Final = "#c3c9d1"
_ERROR: Final = "#c2304a"
_INK, _FAINT, _PAPER = "#1f2630", "#5d6673", "#ffffff"


@dataclass(frozen=True)
class Part:
    """A share of the rows. kind: `variant`, `none` - the caller's default is served - or `error`."""

    label: str
    count: int
    kind: str = "variant"


@dataclass(frozen=True)
class Bar:
    """A flag: what its rows were given."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Flow:
    """A flag before and after: how many went from one part to another, by their positions in the two."""

    title: str
    before: Sequence[Part]
    after: Sequence[Part]
    moves: Sequence[tuple[int, int, int]]
    moved: int


def percent(count: int, total: int) -> str:
    """A share in words; one that is not all and not nothing is never rounded to it."""
    if not total:
        return "0%"
    share = 100 * count / total
    text = f"{share:.1f}%"
    if 0 < count < total and text in ("0.0%", "100.0%"):
        return "<0.1%" if text == "0.0%" else ">99.9%"
    return text


def split(heading: str, notes: Sequence[str], bars: Sequence[Bar]) -> str:
    """The picture of a split, a bar for each flag. notes: lines below the heading."""
    page = _Page(heading, notes)
    for bar in bars:
        total = sum(part.count for part in bar.parts)
        parts = _few(bar.parts)
        colours = _coloured([part for part in parts])
        page.title(bar.title, f"{total:,} rows")
        page.bar(parts, colours, total)
        page.y += _BAR + 6
        page.legend(parts, colours, total)
        page.y += _GAP
    return page.end()


def flows(heading: str, notes: Sequence[str], shown: Sequence[Flow]) -> str:
    """The picture of what changes: for each flag a bar before, one after, and between them who goes where."""
    page = _Page(heading, notes)
    for flow in shown:
        total = sum(part.count for part in flow.before)
        colours = _coloured([*flow.before, *flow.after])
        page.title(flow.title, f"{percent(flow.moved, total)} of {total:,} rows change")
        page.caption("before")
        page.bar(flow.before, colours, total)
        page.y += _BAR
        page.ribbons(flow, colours, total)
        page.y += _FLOW
        page.bar(flow.after, colours, total)
        page.y += _BAR
        page.caption("after", below=True)
        page.legend(_both(flow), colours, None)
        page.y += _GAP
    return page.end()


def _both(flow: Flow) -> list[Part]:
    """The parts of both bars, each once."""
    found = {(part.kind, part.label): part for part in (*flow.before, *flow.after)}
    return list(found.values())


def _few(parts: Sequence[Part]) -> list[Part]:
    """The parts in their order, without empty ones, and the smallest of many as one."""
    there = [part for part in parts if part.count]
    if len(there) <= _MOST:
        return there
    large = sorted(there, key=lambda part: part.count, reverse=True)[: _MOST - 1]
    rest = [part for part in there if part not in large]
    return [part for part in there if part in large] + [
        Part(f"{len(rest)} more", sum(part.count for part in rest), "none")
    ]


def _coloured(parts: Sequence[Part]) -> dict[tuple[str, str], str]:
    """The colour of each part, the same for the same label."""
    found: dict[tuple[str, str], str] = {}
    variants = 0
    for part in parts:
        key = part.kind, part.label
        if key in found:
            continue
        if part.kind == "variant":
            found[key] = _COLOURS[variants % len(_COLOURS)]
            variants += 1
        else:
            found[key] = _ERROR if part.kind == "error" else _NONE
    return found


def width(text: str, size: float = _SIZE) -> float:
    """About how wide a text is, in pixels; rather too wide."""
    wide = sum(1.0 if unicodedata.east_asian_width(each) in "WF" else 0.6 for each in text)
    return wide * size


def fitted(text: str, room: float, size: float = _SIZE) -> str:
    """The text, or what of its beginning and end fits, with an ellipsis between."""
    if width(text, size) <= room:
        return text
    for length in range(len(text) - 1, 1, -1):
        head = length * 2 // 3
        short = f"{text[:head]}\u2026{text[len(text) - (length - head) :]}"
        if width(short, size) <= room:
            return short
    return "\u2026"


class _Page:
    """What is drawn, from the top down: `y` is how far it has come."""

    def __init__(self, heading: str, notes: Sequence[str]) -> None:
        self.parts: list[str] = []
        self.y: float = _MARGIN + 16
        self._text(_MARGIN, self.y, fitted(heading, _INNER, 18), size=18, weight=600, title=heading)
        for note in notes:
            self.y += _LINE
            self._text(_MARGIN, self.y, fitted(note, _INNER), fill=_FAINT, title=note)
        self.y += _GAP + 4

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = _SIZE,
        weight: int = 400,
        fill: str = _INK,
        anchor: str = "start",
        title: str = "",
    ) -> None:
        tip = f"<title>{_clean(title)}</title>" if title and title != text else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" fill="{fill}"'
            f' text-anchor="{anchor}">{tip}{_clean(text)}</text>'
        )

    def title(self, key: str, right: str) -> None:
        self.y += 12
        room = _INNER - width(right) - 24
        self._text(_MARGIN, self.y, fitted(key, room, 14), size=14, weight=600, title=key)
        self._text(_WIDTH - _MARGIN, self.y, right, fill=_FAINT, anchor="end")
        self.y += 8

    def caption(self, text: str, *, below: bool = False) -> None:
        self.y += 13
        self._text(_MARGIN, self.y, text, size=11, fill=_FAINT)
        self.y += 5 if not below else 8

    def bar(self, parts: Sequence[Part], colours: dict[tuple[str, str], str], total: int) -> None:
        x = float(_MARGIN)
        if not total:
            self.parts.append(f'<rect x="{x}" y="{self.y:.1f}" width="{_INNER}" height="{_BAR}" fill="#eef0f3"/>')
        for part in parts:
            if not part.count:
                continue
            wide = _INNER * part.count / total
            share = percent(part.count, total)
            fill = colours[part.kind, part.label]
            tip = f"<title>{_clean(f'{part.label}: {part.count:,} ({share})')}</title>"
            # Whoever is there is seen, if only as a line.
            self.parts.append(
                f'<rect x="{x:.2f}" y="{self.y:.1f}" width="{max(wide, 1):.2f}" height="{_BAR}" fill="{fill}"'
                f' stroke="{_PAPER}" stroke-width="{1 if wide > 4 else 0}">{tip}</rect>'
            )
            inside = f"{part.label} {share}"
            if width(inside, 11) > wide - 10:
                inside = share if width(share, 11) <= wide - 8 else ""
            if inside:
                ink = _INK if part.kind == "none" else _PAPER
                self._text(x + 6, self.y + 14, inside, size=11, fill=ink)
            x += wide

    def ribbons(self, flow: Flow, colours: dict[tuple[str, str], str], total: int) -> None:
        tops, bottoms = _edges(flow.before), _edges(flow.after)
        scale = _INNER / total if total else 0
        drawn: list[tuple[bool, str]] = []
        for source, target, count in sorted(flow.moves):
            start, end = tops[source], bottoms[target]
            tops[source] += count
            bottoms[target] += count
            before, after = flow.before[source], flow.after[target]
            stays = (before.kind, before.label) == (after.kind, after.label)
            x0, x1 = _MARGIN + start * scale, _MARGIN + (start + count) * scale
            x2, x3 = _MARGIN + end * scale, _MARGIN + (end + count) * scale
            if x1 - x0 < 1:
                x1, x3 = x0 + 1, x2 + 1
            y0, y1 = self.y, self.y + _FLOW
            middle = (y0 + y1) / 2
            shape = (
                f"M{x0:.1f},{y0:.1f} C{x0:.1f},{middle:.1f} {x2:.1f},{middle:.1f} {x2:.1f},{y1:.1f} "
                f"L{x3:.1f},{y1:.1f} C{x3:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y0:.1f} Z"
            )
            named = before if before.kind == "variant" else after
            fill = "#e3e7ec" if stays else colours[named.kind, named.label]
            says = f"{before.label} \u2192 {after.label}: {count:,} ({percent(count, total)})"
            opacity = 0.7 if stays else 0.55
            drawn.append(
                (not stays, f'<path d="{shape}" fill="{fill}" opacity="{opacity}"><title>{_clean(says)}</title></path>')
            )
        # Those who go lie over those who stay.
        self.parts += [text for _, text in sorted(drawn, key=lambda each: each[0])]

    def legend(self, parts: Sequence[Part], colours: dict[tuple[str, str], str], total: int | None) -> None:
        x = float(_MARGIN)
        self.y += 12
        for part in parts:
            share = "" if total is None else f"  {percent(part.count, total)}"
            says = fitted(part.label, 320) + share
            wide = 18 + width(says) + 14
            if x > _MARGIN and x + wide > _WIDTH - _MARGIN:
                x = _MARGIN
                self.y += _LINE
            fill = colours[part.kind, part.label]
            self.parts.append(f'<rect x="{x:.1f}" y="{self.y - 10:.1f}" width="11" height="11" rx="2" fill="{fill}"/>')
            self._text(x + 17, self.y, says, title=part.label + share)
            x += wide

    def end(self) -> str:
        height = round(self.y + _MARGIN - _GAP)
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
            f'viewBox="0 0 {_WIDTH} {height}" font-family="system-ui, -apple-system, Segoe UI, Roboto, '
            f'Helvetica Neue, Arial, sans-serif">\n<rect width="100%" height="100%" fill="{_PAPER}"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


def _edges(parts: Sequence[Part]) -> list[int]:
    found, at = [], 0
    for part in parts:
        found.append(at)
        at += part.count
    return found


def _clean(text: str) -> str:
    """Text for XML, which has no room for control characters and lone surrogates."""
    return escape("".join(each if each.isprintable() else "\ufffd" for each in text))
