"""A tree as instructions for threads that step through a text side by side, and the characters that they tell apart.

Nothing here knows bytes: program.py writes them. tables.py makes a table of states from the same instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple

from .sets import ASCII_WORD, LAST, NEWLINE, NOTHING, RETURN, CodeSet, without
from .tree import Beside, Chars, Choice, Look, Node, Repeat, Sequence, UnsupportedPattern

MOST_INSTRUCTIONS: Final = 4096
MOST_CLASSES: Final = 2048
_MOST_RANGES: Final = 16384

END, LAST_NEWLINE = 0, 1
"""The classes of no character: the end of the text, and the newline that it ends with."""


class Kind(IntEnum):
    STEP = 0  # takes up a character of set `b`, goes on at `a`
    FORK = 1  # goes on at both
    LOOK = 2  # goes on at `a` if assertion `b` holds
    MATCH = 3


class Instruction(NamedTuple):
    kind: Kind
    a: int = 0
    b: int = 0


@dataclass(slots=True)
class Threads:
    """`code` begins at 0. `sets` are classes as bits; `looks` are as in tree.Look, over the `beside` of classes."""

    code: list[Instruction]
    sets: list[int]
    looks: list[int]
    classes: int
    ascii: bytes
    ranges: list[tuple[int, int]]  # first code point, class
    beside: list[int]


@dataclass(slots=True)
class _Builder:
    code: list[Instruction] = field(default_factory=list)
    sets: dict[CodeSet, int] = field(default_factory=dict)
    looks: dict[int, int] = field(default_factory=dict)

    def add(self, kind: Kind, a: int = 0, b: int = 0) -> int:
        if len(self.code) >= MOST_INSTRUCTIONS:
            raise UnsupportedPattern(f"the pattern needs more than {MOST_INSTRUCTIONS} instructions")
        self.code.append(Instruction(kind, a, b))
        return len(self.code) - 1

    def enter(self, node: Node, after: int) -> int:
        """The instruction with which the node begins, if `after` is where it goes on."""
        match node:
            case Chars(members):
                return self.add(Kind.STEP, after, self.sets.setdefault(members, len(self.sets)))
            case Look(holds):
                return self.add(Kind.LOOK, after, self.looks.setdefault(holds, len(self.looks)))
            case Sequence(items):
                for item in reversed(items):
                    after = self.enter(item, after)
                return after
            case Choice(items):
                entries = list(dict.fromkeys([self.enter(item, after) for item in items]))
                return self._fork(entries)
            case Repeat(item, low, None):
                loop = self.add(Kind.FORK)
                entry = self.enter(item, loop)
                self.code[loop] = Instruction(Kind.FORK, entry, after)
                if low == 0:
                    return loop
                for _ in range(low - 1):
                    entry = self.enter(item, entry)
                return entry
            case Repeat(item, low, high):
                end = after
                for _ in range((high or 0) - low):
                    after = self._fork([self.enter(item, after), end])
                for _ in range(low):
                    after = self.enter(item, after)
                return after

    def _fork(self, entries: list[int]) -> int:
        entry = entries[-1]
        for other in reversed(entries[:-1]):
            entry = self.add(Kind.FORK, other, entry)
        return entry


def build(node: Node, word: Callable[[], CodeSet]) -> Threads:
    r"""`word` is what \w contains in the dialect. Raises UnsupportedPattern if it becomes too large."""
    builder = _Builder(sets={NOTHING: 0})  # a program without sets would be read as a table
    entry = builder.enter(node, builder.add(Kind.MATCH))
    code = _ordered(builder.code, entry)
    kinds = _kinds(list(builder.looks), word)
    looks = [_reduced(holds, kinds) for holds in builder.looks]
    parts = _partition([*builder.sets, *(members for kind, members in kinds.members.items() if kind != kinds.other)])
    return _classified(code, list(builder.sets), looks, kinds, parts)


def _ordered(code: list[Instruction], entry: int) -> list[Instruction]:
    """What can be reached, from the entry on."""
    order = {entry: 0}
    rest = [entry]
    while rest:
        kind, a, b = code[rest.pop()]
        for target in () if kind is Kind.MATCH else (a, b) if kind is Kind.FORK else (a,):
            if target not in order:
                order[target] = len(order)
                rest.append(target)
    moved = []
    for old in order:
        kind, a, b = code[old]
        moved.append(Instruction(kind, order.get(a, 0), order.get(b, 0) if kind is Kind.FORK else b))
    return moved


# ------------------------------------------------------------ what stands beside a position


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Numbers from 1 on for those `Beside` that the assertions tell apart, and the characters of each."""

    number: dict[Beside, int]
    members: dict[int, CodeSet]

    @property
    def other(self) -> int:
        return self.number[Beside.OTHER]


def _kinds(looks: list[int], word: Callable[[], CodeSet]) -> _Kinds:
    patterns: dict[tuple[tuple[bool, ...], ...], int] = {}
    number = {
        one: patterns.setdefault(
            tuple(
                tuple(bool(holds >> shift & 1) for other in Beside for shift in (8 * one + other, 8 * other + one))
                for holds in looks
            ),
            1 + len(patterns),
        )
        for one in Beside
    }
    plain: dict[Beside, Callable[[], CodeSet]] = {
        Beside.NEWLINE: lambda: NEWLINE,
        Beside.RETURN: lambda: RETURN,
        Beside.ASCII_WORD: lambda: ASCII_WORD,
        Beside.OTHER_WORD: lambda: without(word(), ASCII_WORD),
    }
    members: dict[int, CodeSet] = {}
    for beside, characters in plain.items():
        if number[beside] != number[Beside.OTHER]:
            members[number[beside]] = tuple(sorted((*members.get(number[beside], ()), *characters())))
    return _Kinds(number, members)


def _reduced(holds: int, kinds: _Kinds) -> int:
    found = 0
    for before, i in kinds.number.items():
        for after, j in kinds.number.items():
            found |= (holds >> 8 * before + after & 1) << 8 * i + j
    return found


# ------------------------------------------------------------ classes of characters


def _partition(sets: list[CodeSet]) -> list[tuple[int, int]]:
    """(first code point, bits: which of the sets have those from there on), ascending from 0."""
    changes: dict[int, int] = {0: 0}
    for index, members in enumerate(sets):
        for first, last in members:
            changes[first] = changes.get(first, 0) ^ 1 << index
            changes[last + 1] = changes.get(last + 1, 0) ^ 1 << index
    found: list[tuple[int, int]] = []
    bits = 0
    for point in sorted(changes):
        if changes[point] == 0 and point:
            continue
        bits ^= changes[point]
        if point <= LAST:
            found.append((point, bits))
    if len(found) > _MOST_RANGES:
        raise UnsupportedPattern("the pattern tells too many characters apart")
    return found


def _classified(
    code: list[Instruction], sets: list[CodeSet], looks: list[int], kinds: _Kinds, parts: list[tuple[int, int]]
) -> Threads:
    """Numbers the classes in the order in which their first characters come, behind the two of no character."""
    numbers: dict[int, int] = {}
    by_part = [numbers.setdefault(bits, len(numbers) + 2) for _, bits in parts]
    if len(numbers) + 2 > MOST_CLASSES:
        raise UnsupportedPattern(f"the pattern tells more than {MOST_CLASSES} classes of characters apart")
    ascii = bytearray(128)
    ranges: list[tuple[int, int]] = []
    for index, ((first, _), number) in enumerate(zip(parts, by_part, strict=True)):
        behind = parts[index + 1][0] if index + 1 < len(parts) else LAST + 1
        for point in range(first, min(behind, 128)):
            ascii[point] = number
        if behind > 128:
            ranges.append((max(first, 128), number))
    masks = [0] * len(sets)
    for bits, number in numbers.items():
        for index in range(len(sets)):
            masks[index] |= (bits >> index & 1) << number
    newline = ascii[10]
    for index, mask in enumerate(masks):
        masks[index] |= (mask >> newline & 1) << LAST_NEWLINE
    special = [kind for kind in kinds.members if kind != kinds.other]
    beside = [kinds.number[Beside.EDGE], kinds.number[Beside.LAST_NEWLINE]]
    beside += (
        next((kind for index, kind in enumerate(special) if bits >> len(sets) + index & 1), kinds.other)
        for bits in numbers
    )
    return Threads(code, masks, looks, len(numbers) + 2, bytes(ascii), _merged(ranges), beside)


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without those that go on with the class of the one before."""
    return [one for index, one in enumerate(ranges) if index == 0 or ranges[index - 1][1] != one[1]]
