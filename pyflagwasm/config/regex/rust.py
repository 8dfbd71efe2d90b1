"""Patterns as crate regex 1.x reads them. Sets in brackets are read in rust_classes.py.

Beside its tree each part carries what it would take of the memory that the crate allows a compiled pattern: one that is
too large there is invalid. The sum is close, not exact: the crate simplifies patterns before it counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from .characters import folded, is_white
from .rust_classes import MEANINGS, Reader, memory
from .sets import EVERYTHING, NEWLINE, RETURN, CodeSet, inverted, united
from .tree import (
    CRLF_END,
    CRLF_START,
    EMPTY,
    LINE_END,
    LINE_START,
    TEXT_END,
    TEXT_START,
    Chars,
    Node,
    UnsupportedPattern,
    choice,
    no_boundary,
    repeat,
    sequence,
    word_boundary,
    word_end,
    word_start,
)

_MOST_MEMORY: Final = 10 * 1024 * 1024
_MOST_GROUPS: Final = 64  # inside of each other; the crate takes some 250
_STATE: Final = 32  # bytes of the crate's automaton
_FLAGS: Final = frozenset("imsUuxR")
_UNBOUNDED: Final = {"*": 0, "+": 1}

_BOUNDARIES: Final[dict[str, Callable[[bool], Node]]] = {
    "start": word_start,
    "end": word_end,
    "start-half": lambda unicode: word_start(unicode, half=True),
    "end-half": lambda unicode: word_end(unicode, half=True),
}


class _Part(NamedTuple):
    node: Node
    memory: int
    repeatable: bool = True


def parse(pattern: str, ignore_case: bool) -> Node:
    """The tree of a pattern. Raises PatternError, UnsupportedPattern."""
    parser = _Parser(pattern)
    part = parser.alternatives(frozenset("ui" if ignore_case else "u"), 0)
    if parser.left():
        parser.fail("a ) without a (")
    if part.memory > _MOST_MEMORY:
        parser.fail("compiled, it is larger than the 10 MiB that crate regex allows")
    return part.node


class _Parser(Reader):
    def __init__(self, pattern: str) -> None:
        super().__init__(pattern)
        self._names: set[str] = set()

    # ------------------------------------------------------------ structure

    def alternatives(self, flags: frozenset[str], depth: int) -> _Part:
        """Everything up to the end of the group."""
        branches: list[Node] = []
        items: list[_Part] = []
        memory = 0
        while True:
            self.blank("x" in flags)
            if not self.left() or self.sees(")"):
                break
            if self.takes("|"):
                branches.append(sequence(item.node for item in items))
                memory += sum(item.memory for item in items) + 4
                items = []
            elif self.sees("*", "+", "?", "{"):
                items.append(self._repeated(items, flags))
            elif self.sees("("):
                part, flags = self._group(flags, depth)
                items.append(part)
            else:
                items.append(self._atom(flags))
        memory += sum(item.memory for item in items)
        last = sequence(item.node for item in items)
        if not branches:
            return _Part(last, memory)
        return _Part(choice((*branches, last)), memory + 2 * _STATE)

    def _repeated(self, items: list[_Part], flags: frozenset[str]) -> _Part:
        if not items or not items[-1].repeatable:
            self.fail("a quantifier with nothing before it")
        part = items.pop()
        if self.sees("{"):
            low, high = self._counts("x" in flags)
        else:
            mark = self.next()
            low, high = (0, 1) if mark == "?" else (_UNBOUNDED[mark], None)
        self.takes("?")
        return _Part(repeat(part.node, low, high), _repeated_memory(part.memory, low, high))

    def _counts(self, extended: bool) -> tuple[int, int | None]:
        self.next()
        self.blank(extended)
        low = self._decimal()
        high: int | None = low
        if self.takes(","):
            self.blank(extended)
            high = None if self.sees("}") else self._decimal()
        if low is None or not self.takes("}"):
            self.fail("a counted repetition that is not {n}, {n,} or {n,m}")
        if high is not None and high < low:
            self.fail("a repetition whose least number is above its greatest")
        self.blank(extended)
        return low, high

    def _decimal(self) -> int:
        self._white()
        digits = self.run(lambda c: "0" <= c <= "9")
        self._white()
        if not digits or len(digits.lstrip("0")) > 10 or int(digits) >= 2**32:
            self.fail("a repetition without a number of 32 bits")
        return int(digits)

    def _white(self) -> None:
        self.run(is_white)

    def _group(self, flags: frozenset[str], depth: int) -> tuple[_Part, frozenset[str]]:
        """The group, or nothing and the flags from here on."""
        self.next()
        self.blank("x" in flags)
        if self.sees("?=", "?!", "?<=", "?<!"):
            self.fail("look-around is not supported")
        inner, memory = flags, 2 * _STATE
        if self.takes("?P<") or self.takes("?<"):
            self._name()
        elif self.takes("?"):
            inner, memory = self._set_flags(flags), 0
            if self.takes(")"):
                return _Part(EMPTY, 0, repeatable=False), inner
            self.next()
        if depth >= _MOST_GROUPS:
            raise UnsupportedPattern(f"groups nest deeper than {_MOST_GROUPS}")
        part = self.alternatives(inner, depth + 1)
        if not self.takes(")"):
            self.fail("a group that does not end")
        return _Part(part.node, part.memory + memory), flags

    def _name(self) -> None:
        name = self.run(lambda c: c != ">")
        good = bool(name) and (name[0] == "_" or name[0].isalpha()) and all(c in "_.[]" or c.isalnum() for c in name)
        if not good or not self.takes(">") or name in self._names:
            self.fail("a group without a good name of its own")
        self._names.add(name)

    def _set_flags(self, flags: frozenset[str]) -> frozenset[str]:
        on: set[str] = set()
        off: set[str] = set()
        to, negated = on, False
        while not self.sees(":", ")"):
            flag = self.next() if self.left() else ""
            if flag == "-" and not negated:
                to, negated = off, True
            elif flag in _FLAGS and flag not in on | off:
                to.add(flag)
            else:
                self.fail("flags that are unknown, repeated or without end")
        if (negated and not off) or (self.sees(")") and not on | off):
            self.fail("flags that say nothing")
        return flags - off | on

    # ------------------------------------------------------------ atoms

    def _atom(self, flags: frozenset[str]) -> _Part:
        if self.sees("["):
            return _set(self.bracket(flags))
        character = self.next()
        match character:
            case ".":
                members = EVERYTHING
                if "s" not in flags:
                    members = inverted(united(NEWLINE, RETURN) if "R" in flags else NEWLINE)
                return _set(self.as_text(members, flags))
            case "^":
                crlf = CRLF_START if "R" in flags else LINE_START
                return _Part(crlf if "m" in flags else TEXT_START, _STATE)
            case "$":
                crlf = CRLF_END if "R" in flags else LINE_END
                return _Part(crlf if "m" in flags else TEXT_END, _STATE)
            case "\\":
                return self._escape(flags)
            case _:
                return self._literal(ord(character), flags)

    def _escape(self, flags: frozenset[str]) -> _Part:
        if not self.left():
            self.fail("a backslash at the end")
        unicode = "u" in flags
        if self.sees(*MEANINGS):
            return _set(self.meaning(flags))
        if self.sees("A", "z", "b", "B", "<", ">"):
            return _Part(self._assertion(self.next(), unicode, "x" in flags), _STATE)
        point, byte = self.escaped("x" in flags)
        if byte and point > 127 and not unicode:
            self.fail("a byte that is not UTF-8")
        return self._literal(point, flags)

    def _assertion(self, letter: str, unicode: bool, extended: bool) -> Node:
        match letter:
            case "A":
                return TEXT_START
            case "z":
                return TEXT_END
            case "B":
                return no_boundary(unicode)
            case "<":
                return word_start(unicode)
            case ">":
                return word_end(unicode)
        before = self.at
        if not self.takes("{"):
            return word_boundary(unicode)
        self.blank(extended)
        name = self.run(lambda c: c == "-" or (c.isascii() and c.isalpha()))
        if not name:
            if not self.left():
                self.fail("a word boundary whose { does not end")
            self.at = before  # it counts repetitions
            return word_boundary(unicode)
        self.blank(extended)
        if name not in _BOUNDARIES or not self.takes("}"):
            self.fail("a word boundary that is not known")
        return _BOUNDARIES[name](unicode)

    def _literal(self, point: int, flags: frozenset[str]) -> _Part:
        members: CodeSet = ((point, point),)
        return _set(folded(members, "u" in flags) if "i" in flags else members)


def _set(members: CodeSet) -> _Part:
    return _Part(Chars(members), memory(members))


def _repeated_memory(memory: int, low: int, high: int | None) -> int:
    if high is None:
        return max(low, 1) * memory + _STATE + 8
    return low * memory + (high - low) * (memory + _STATE + 8) + (_STATE if high > low else 0)
