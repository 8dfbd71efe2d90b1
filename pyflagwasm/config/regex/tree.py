"""What a pattern means, in no dialect: a tree over sets of code points.

The functions build nodes and keep them small: what cannot make a difference to whether a text contains a match is not
in the tree. Programs are made from it in threads.py and tables.py, plain text tests in literals.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from .sets import CodeSet, united


class PatternError(ValueError):
    """The pattern is invalid in its dialect."""


class UnsupportedPattern(ValueError):
    """The pattern is valid, but cannot be matched here: look-around, back-references, too large..."""


class Beside(IntEnum):
    """What can stand beside a position, as far as an assertion wants to know."""

    EDGE = 0  # the text begins or ends
    NEWLINE = 1
    LAST_NEWLINE = 2  # with which the text ends
    RETURN = 3
    ASCII_WORD = 4
    OTHER_WORD = 5  # a letter, digit... that is not ASCII
    OTHER = 6


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of the set."""

    members: CodeSet


@dataclass(frozen=True, slots=True)
class Look:
    """An assertion: bit 8 * before + after is set if it holds between these two `Beside`."""

    holds: int


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of at least two."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """At least `low` times, at most `high` times (None: any number). The item can take up characters."""

    item: Node
    low: int
    high: int | None


Node: TypeAlias = Chars | Look | Sequence | Choice | Repeat

EMPTY: Final = Sequence(())
NEVER: Final = Chars(())


def sequence(items: Iterable[Node]) -> Node:
    flat: list[Node] = []
    for item in items:
        flat.extend(item.items if isinstance(item, Sequence) else (item,))
    if NEVER in flat:
        return NEVER
    return flat[0] if len(flat) == 1 else Sequence(tuple(flat))


def choice(items: Iterable[Node]) -> Node:
    flat: dict[Node, None] = {}
    for item in items:
        flat.update(dict.fromkeys(item.items) if isinstance(item, Choice) else {item: None})
    characters = [item.members for item in flat if isinstance(item, Chars)]
    if characters:
        others = [item for item in flat if not isinstance(item, Chars)]
        members = united(*characters)
        flat = dict.fromkeys([Chars(members), *others] if members else others)
    if not flat:
        return NEVER
    return next(iter(flat)) if len(flat) == 1 else Choice(tuple(flat))


def repeat(item: Node, low: int, high: int | None) -> Node:
    if high == 0 or item == EMPTY or (low == 0 and item == NEVER):
        return EMPTY
    if item == NEVER:
        return NEVER
    if not takes(item):  # once more does not change what it asserts
        if low == 0:
            return EMPTY
        return item
    if low == 1 == high:
        return item
    if isinstance(item, Repeat) and item.low <= 1 and item.high is None and low <= 1:
        return Repeat(item.item, low * item.low, None)
    return Repeat(item, low, high)


def takes(node: Node) -> bool:
    """Whether a match of the node can take up characters."""
    match node:
        case Chars():
            return True
        case Look():
            return False
        case Repeat():
            return True  # see there
        case _:
            return any(map(takes, node.items))


def look(holds: Callable[[Beside, Beside], bool]) -> Look:
    """The assertion that holds where the function of what is before and after says so."""
    return Look(sum(1 << 8 * before + after for before in Beside for after in Beside if holds(before, after)))


_NEWLINES: Final = (Beside.NEWLINE, Beside.LAST_NEWLINE)


def _word(at: Beside, unicode: bool) -> bool:
    return at is Beside.ASCII_WORD or (unicode and at is Beside.OTHER_WORD)


TEXT_START: Final = look(lambda before, after: before is Beside.EDGE)
TEXT_END: Final = look(lambda before, after: after is Beside.EDGE)
LAST_LINE_END: Final = look(lambda before, after: after in (Beside.EDGE, Beside.LAST_NEWLINE))
LINE_START: Final = look(lambda before, after: before is Beside.EDGE or before in _NEWLINES)
LINE_END: Final = look(lambda before, after: after is Beside.EDGE or after in _NEWLINES)
CRLF_START: Final = look(
    lambda before, after: (
        before is Beside.EDGE or before in _NEWLINES or (before is Beside.RETURN and after not in _NEWLINES)
    )
)
CRLF_END: Final = look(
    lambda before, after: after in (Beside.EDGE, Beside.RETURN) or (after in _NEWLINES and before is not Beside.RETURN)
)


def word_boundary(unicode: bool) -> Look:
    return look(lambda before, after: _word(before, unicode) is not _word(after, unicode))


def no_boundary(unicode: bool, empty: bool = True) -> Look:
    """`empty`: whether it holds in an empty text."""
    return look(
        lambda before, after: (
            _word(before, unicode) is _word(after, unicode)
            and (empty or before is not after or after is not Beside.EDGE)
        )
    )


def word_start(unicode: bool, half: bool = False) -> Look:
    """`half`: whatever comes after."""
    return look(lambda before, after: not _word(before, unicode) and (half or _word(after, unicode)))


def word_end(unicode: bool, half: bool = False) -> Look:
    """`half`: whatever comes before."""
    return look(lambda before, after: not _word(after, unicode) and (half or _word(before, unicode)))
