"""Patterns as Python's `re` reads them, by the standard library's own parser.

What a set of characters contains is not worked out here either: `re` is asked, so that case folding and categories are
those of the Python that runs.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any, Final

from .characters import blocks, cased
from .sets import EVERYTHING, NEWLINE, CodeSet, inverted, of_points, united, without
from .tree import (
    LAST_LINE_END,
    LINE_END,
    LINE_START,
    NEVER,
    TEXT_END,
    TEXT_START,
    Chars,
    Node,
    PatternError,
    UnsupportedPattern,
    choice,
    no_boundary,
    repeat,
    sequence,
    word_boundary,
)

_parser: Final[Any] = import_module("re._parser")
_compiler: Final[Any] = import_module("re._compiler")
_filters: Final = threading.Lock()  # two threads that put filters of warnings back would put back each other's

_UNSUPPORTED: Final = {
    "ASSERT": "look-around",
    "ASSERT_NOT": "look-around",
    "GROUPREF": "a back-reference",
    "GROUPREF_EXISTS": "a conditional group",
    "ATOMIC_GROUP": "an atomic group",
    "POSSESSIVE_REPEAT": "a possessive quantifier",
}


def parse(pattern: str, ignore_case: bool) -> Node:
    """The tree of a pattern. Raises PatternError, UnsupportedPattern."""
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    try:
        with _filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern, flags)
            parsed = _parser.parse(pattern, flags)
    except (re.error, OverflowError, ValueError) as error:
        raise PatternError(str(error)) from None
    return _read(parsed, compiled.flags)


def word() -> CodeSet:
    r"""What \w contains."""
    return _category("CATEGORY_WORD", False)


def _read(items: Iterable[tuple[Any, Any]], flags: int) -> Node:
    return sequence(_item(item, flags) for item in items)


def _item(item: tuple[Any, Any], flags: int) -> Node:
    op, arg = str(item[0]), item[1]
    match op:
        case "LITERAL" | "NOT_LITERAL" | "IN" | "ANY":
            return Chars(_members(item, flags))
        case "BRANCH":
            return choice(_read(branch, flags) for branch in arg[1])
        case "SUBPATTERN":
            _, add, remove, inner = arg
            if add & (re.ASCII | re.UNICODE):
                flags &= ~(re.ASCII | re.UNICODE)
            return _read(inner, (flags | add) & ~remove)
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high, inner = arg
            return repeat(_read(inner, flags), int(low), None if high == _parser.MAXREPEAT else int(high))
        case "AT":
            return _position(str(arg), flags)
        case "FAILURE":
            return NEVER
        case "ASSERT_NOT" if not arg[1]:
            return NEVER
        case _:
            raise UnsupportedPattern(f"{_UNSUPPORTED.get(op, op)} is not matched in linear time")


def _members(item: tuple[Any, Any], flags: int) -> CodeSet:
    """What a literal or a set contains. Characters without case are the same with and without IGNORECASE."""
    plain = _plain(item, flags)
    if not flags & re.IGNORECASE or str(item[0]) == "ANY":
        return plain
    atom = _parser.SubPattern(_parser.State(), [item])
    kept = flags & (re.IGNORECASE | re.ASCII | re.UNICODE)
    found = _compiler.compile(atom, kept).findall(_cased())
    return united(without(plain, _cased_set()), of_points(map(ord, found)))


def _plain(item: tuple[Any, Any], flags: int) -> CodeSet:
    op, arg = str(item[0]), item[1]
    match op:
        case "LITERAL":
            return ((arg, arg),)
        case "NOT_LITERAL":
            return inverted(((arg, arg),))
        case "ANY":
            return EVERYTHING if flags & re.DOTALL else inverted(NEWLINE)
        case "RANGE":
            return (tuple(arg),)
        case "CATEGORY":
            return _category(str(arg), bool(flags & re.ASCII))
        case _:
            negated = bool(arg) and str(arg[0][0]) == "NEGATE"
            members = united(*(_plain(member, flags) for member in arg[negated:]))
            return inverted(members) if negated else members


@cache
def _category(name: str, ascii: bool) -> CodeSet:
    source = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[name.rpartition("_")[2]]
    find = re.compile(source, re.ASCII if ascii else re.NOFLAG).findall
    found = of_points(ord(character) for some in blocks() for character in find(some))
    return inverted(found) if "NOT" in name else found


@cache
def _cased() -> str:
    """All characters that differ from another one by case alone, and perhaps some more."""
    return "".join(cased())


@cache
def _cased_set() -> CodeSet:
    return of_points(map(ord, _cased()))


def _position(name: str, flags: int) -> Node:
    unicode, lines = not flags & re.ASCII, bool(flags & re.MULTILINE)
    match name:
        case "AT_BEGINNING":
            return LINE_START if lines else TEXT_START
        case "AT_BEGINNING_STRING":
            return TEXT_START
        case "AT_END":
            return LINE_END if lines else LAST_LINE_END
        case "AT_END_STRING":
            return TEXT_END
        case "AT_BOUNDARY":
            return word_boundary(unicode)
        case "AT_NON_BOUNDARY":
            return no_boundary(unicode, empty=_EMPTY_HAS_NO_BOUNDARY)
        case _:
            raise UnsupportedPattern(f"the assertion {name} is not known here")


_EMPTY_HAS_NO_BOUNDARY: Final = re.search(r"\B", "") is not None
