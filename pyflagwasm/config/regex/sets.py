"""Sets of code points as ascending ranges that neither touch nor overlap. Nothing here knows a dialect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

CodeSet: TypeAlias = tuple[tuple[int, int], ...]
"""(first, last) of each range."""

LAST: Final = 0x10FFFF
NOTHING: Final[CodeSet] = ()
EVERYTHING: Final[CodeSet] = ((0, LAST),)
NEWLINE: Final[CodeSet] = ((10, 10),)
RETURN: Final[CodeSet] = ((13, 13),)
ASCII: Final[CodeSet] = ((0, 127),)
ASCII_WORD: Final[CodeSet] = ((48, 57), (65, 90), (95, 95), (97, 122))


def united(*sets: Iterable[tuple[int, int]]) -> CodeSet:
    """All that is in one of the sets; their ranges may come in any order."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(pair for one in sets for pair in one):
        if found and first <= found[-1][1] + 1:
            if last > found[-1][1]:
                found[-1] = found[-1][0], last
        else:
            found.append((first, last))
    return tuple(found)


def inverted(one: CodeSet) -> CodeSet:
    """All code points that are not in the set."""
    found, at = [], 0
    for first, last in one:
        if first > at:
            found.append((at, first - 1))
        at = last + 1
    if at <= LAST:
        found.append((at, LAST))
    return tuple(found)


def common(one: CodeSet, other: CodeSet) -> CodeSet:
    """All that is in both sets."""
    found, i, j = [], 0, 0
    while i < len(one) and j < len(other):
        first, last = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if first <= last:
            found.append((first, last))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def without(one: CodeSet, other: CodeSet) -> CodeSet:
    """All of the first set that is not in the second."""
    return common(one, inverted(other))


def of_points(points: Iterable[int]) -> CodeSet:
    """The set of these code points."""
    return united((point, point) for point in points)


def size(one: CodeSet) -> int:
    """How many code points the set has."""
    return sum(last - first + 1 for first, last in one)


def points(one: CodeSet) -> Iterable[int]:
    """The code points, ascending."""
    return (point for first, last in one for point in range(first, last + 1))
