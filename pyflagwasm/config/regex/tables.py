"""Threads as a table of states, if it does not become large: one look per character, whatever the pattern.

A state is what can come next, for each thing that can stand behind the position; so assertions need no place in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..pace import breathe
from .threads import END, LAST_NEWLINE, Kind, Threads

DEAD, MATCHED = 0, 1
"""Targets that end a search: no match can come any more; there is one."""

_MOST_ENTRIES: Final = 65_536
_MOST_WORK: Final = 100_000
"""Sets that are united until we give up: some 50 to 200 ms."""

_State = tuple[int, ...]


def tabulate(threads: Threads) -> list[list[int]] | None:
    """Of each state, from 2 on, its target for each class; None if there are too many."""
    try:
        return _Tabulation(threads).run()
    except _TooMuch:
        return None


class _TooMuch(Exception):
    """The table would be too large, or take too long to make."""


class _Tabulation:
    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._kinds = sorted(set(threads.beside))  # what can be behind a position
        self._match = 1 << len(threads.code)
        self._work = 0
        self._closures = {before: [self._closed(before, after) for after in self._kinds] for before in self._kinds}
        self._place = [self._kinds.index(kind) for kind in threads.beside]
        accepting: dict[int, int] = {}
        for pc, instruction in enumerate(threads.code):
            if instruction.kind is Kind.STEP:
                accepting[instruction.b] = accepting.get(instruction.b, 0) | 1 << pc
        self._hits = [
            sum(steps for number, steps in accepting.items() if threads.sets[number] >> one & 1)
            for one in range(threads.classes)
        ]

    def _closed(self, before: int, after: int) -> list[int]:
        """For each instruction, the steps (and the match) that are reached from it without taking up a character."""
        code = self._threads.code
        look = 8 * before + after
        found = [0] * len(code)
        known = bytearray(len(code))
        for start in reversed(range(len(code))):  # most targets are higher and are known then
            reached, rest, seen = 0, [start], {start}
            while rest:
                pc = rest.pop()
                self._works(1)
                kind, a, b = code[pc]
                if kind is Kind.STEP:
                    reached |= 1 << pc
                    continue
                if kind is Kind.MATCH:
                    reached |= self._match
                    continue
                if kind is Kind.LOOK and not self._threads.looks[b] >> look & 1:
                    continue
                for target in (a, b) if kind is Kind.FORK else (a,):
                    if known[target]:
                        reached |= found[target]
                    elif target not in seen:
                        seen.add(target)
                        rest.append(target)
            found[start] = reached
            known[start] = 1
        return found

    def _works(self, amount: int) -> None:
        self._work += amount
        if self._work > _MOST_WORK:
            raise _TooMuch
        breathe()

    def run(self) -> list[list[int]]:
        threads, match = self._threads, self._match
        numbers: dict[_State, int] = {}
        states: list[_State] = []
        most = _MOST_ENTRIES // threads.classes
        begins_later = any(any(self._begin(kind)) for kind in threads.beside[LAST_NEWLINE:])

        def number(state: _State) -> int:
            if all(reached & match for reached in state):
                return MATCHED
            if not any(state) and not begins_later:
                return DEAD
            if state not in numbers:
                numbers[state] = len(states) + 2
                states.append(state)
            return numbers[state]

        edge = threads.beside[END]
        start = self._begin(edge)
        if number(start) != 2:
            return [[number(start)] * threads.classes]
        after: dict[tuple[int, int], int] = {}
        rows: list[list[int]] = []
        while len(rows) < len(states):
            state = states[len(rows)]
            self._works(threads.classes)
            if len(states) > most:
                raise _TooMuch
            row = []
            for one in range(threads.classes):
                reached = state[self._place[one]]
                if reached & match:
                    row.append(MATCHED)
                elif one == END:
                    row.append(DEAD)
                else:
                    hits, kind = reached & self._hits[one], threads.beside[one]
                    if (hits, kind) not in after:
                        after[hits, kind] = number(self._stepped(hits, kind))
                    row.append(after[hits, kind])
            rows.append(row)
        return rows

    def _begin(self, before: int) -> _State:
        return tuple(closure[0] for closure in self._closures[before])

    def _stepped(self, hits: int, before: int) -> _State:
        """The state behind a character that these steps take up; the search also begins anew there."""
        code, closures = self._threads.code, self._closures[before]
        state = [closure[0] for closure in closures]
        for pc in _bits(hits):
            target = code[pc].a
            self._works(len(closures))
            for index, closure in enumerate(closures):
                state[index] |= closure[target]
        return tuple(state)


def _bits(number: int) -> Sequence[int]:
    """The numbers of the bits that are set."""
    digits = bin(number)[:1:-1]
    found, at = [], digits.find("1")
    while at >= 0:
        found.append(at)
        at = digits.find("1", at + 1)
    return found
