"""Programs of regular expressions in the reference: schema/README.md 5.10, step by step and with sets of targets."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

FOUND, FIRST = 1, 2


@dataclass(frozen=True)
class Program:
    ascii: bytes
    ranges: list[tuple[int, int]]
    rows: list[tuple[int, ...]]
    neighbours: bytes
    sets: list[int]


def read(data: bytes) -> Program:
    """Raises ValueError if it is none."""
    try:
        classes, range_count, row_count, set_count = struct.unpack_from("<4H", data)
        ascii = data[8:136]
        words = struct.unpack_from(f"<{range_count}I", data, 136)
        at, width = 136 + 4 * range_count, 2 if set_count else classes
        rows = [struct.unpack_from(f"<{width}H", data, at + 2 * width * i) for i in range(row_count)]
    except struct.error as error:
        raise ValueError(str(error)) from None
    at += 2 * width * row_count
    neighbours, rest, size = data[at : at + classes], data[at + classes :], max(8, -(-classes // 8))
    ranges = [(word >> 11, word & 0x7FF) for word in words]
    begins = [first for first, _ in ranges]
    most = [FIRST + row_count + (set_count if i % 2 else 0) for i in range(width)]
    sound = (
        range_count >= 1 <= row_count
        and classes <= 1 << 11
        and begins == sorted(set(begins))
        and begins[0] == 128
        and max(*ascii, *(number for _, number in ranges)) < classes
        and len(neighbours) == classes
        and len(rest) == size * set_count
        and all(target < limit for row in rows for target, limit in zip(row, most, strict=True))
    )
    if not sound:
        raise ValueError
    sets = [int.from_bytes(rest[i : i + size], "little") for i in range(0, len(rest), size)]
    return Program(ascii, ranges, rows, bytes(byte & 7 for byte in neighbours), sets)


def is_program(data: bytes) -> bool:
    try:
        read(data)
    except ValueError:
        return False
    return True


def classes(program: Program, text: str) -> Iterator[int]:
    for at, character in enumerate(text):
        if character == "\n" and at == len(text) - 1:
            yield 1
        elif character < "\x80":
            yield program.ascii[ord(character)]
        else:
            yield program.ranges[bisect_right(program.ranges, (ord(character), 1 << 11)) - 1][1]
    yield 0


def finds(data: bytes, text: str) -> bool:
    program = read(data)
    return threads(program, text) if program.sets else table(program, text)


def table(program: Program, text: str) -> bool:
    state = FIRST
    for number in classes(program, text):
        state = program.rows[state - FIRST][number]
        if state < FIRST:
            break
    return state == FOUND


def threads(program: Program, text: str) -> bool:
    waiting: set[int] = set()
    before = program.neighbours[0]
    for number in classes(program, text):
        after = program.neighbours[number]
        active, waiting = waiting | {FIRST}, set()
        rest = list(active)
        while rest:
            target = rest.pop()
            if target == 0:
                continue
            if target == FOUND:
                return True
            one, other = program.rows[target - FIRST]
            following: tuple[int, ...] = ()
            if other < FIRST + len(program.rows):
                following = one, other
            else:
                members = program.sets[other - FIRST - len(program.rows)]
                if not members & 1:
                    waiting |= {one} if members >> number & 1 else set()
                elif members >> 8 * before + after & 1:
                    following = (one,)
            rest += set(following) - active
            active.update(following)
        before = after
    return False
