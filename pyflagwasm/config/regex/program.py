"""Tables and threads as the bytes that the core runs (schema/README.md 5.10)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from .sets import CodeSet
from .tables import MATCHED, tabulate
from .threads import Kind, Threads, build
from .tree import Node

_HEAD: Final = struct.Struct("<4H")
_LOOKS: Final = 1
"""Bit 0 of a set that is one of neighbours: the end of a text is in no set of classes, and nothing is numbered 0."""


class Program(bytes):
    """Remembers the pattern that it was made from, for explanations."""

    pattern: str

    @classmethod
    def of(cls, pattern: str, node: Node, word: Callable[[], CodeSet]) -> Program:
        """The program of a tree. Raises UnsupportedPattern if it is too large for either form."""
        program = cls(_assembled(node, word))
        program.pattern = pattern
        return program


def _assembled(node: Node, word: Callable[[], CodeSet]) -> bytes:
    threads = build(node, word)
    sets: list[int] = []
    table = tabulate(threads)
    rows: Sequence[Sequence[int]] = table or ()
    if table is None:
        sets = [*threads.sets, *(holds | _LOOKS for holds in threads.looks)]
        rows = _instructions(threads)
    width = max(8, -(-threads.classes // 8))
    return b"".join(
        (
            _HEAD.pack(threads.classes, len(threads.ranges), len(rows), len(sets)),
            threads.ascii,
            b"".join(struct.pack("<I", first << 11 | number) for first, number in threads.ranges),
            b"".join(struct.pack(f"<{len(row)}H", *row) for row in rows),
            bytes(threads.beside),
            b"".join(members.to_bytes(width, "little") for members in sets),
        )
    )


def _instructions(threads: Threads) -> list[tuple[int, int]]:
    """Of each instruction its two targets, or its target and its set, which is numbered behind all targets."""
    code = threads.code
    rows = [pc for pc, instruction in enumerate(code) if instruction.kind is not Kind.MATCH]
    number = dict.fromkeys(range(len(code)), MATCHED) | {pc: at + 2 for at, pc in enumerate(rows)}
    sets = len(rows) + 2
    first = {Kind.STEP: sets, Kind.LOOK: sets + len(threads.sets)}
    found = []
    for kind, a, b in map(code.__getitem__, rows):
        found.append((number[a], number[b] if kind is Kind.FORK else first[kind] + b))
    return found or [(MATCHED, MATCHED)]
