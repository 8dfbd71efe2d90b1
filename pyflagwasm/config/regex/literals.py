"""What need not be a program: patterns that come down to comparing a text, its beginning, its end or any part of it.

Also drops from a tree what cannot make a difference at the outer ends of an unanchored search.
"""

from __future__ import annotations

from itertools import product
from typing import Final, TypeAlias

from ..._abi import Op
from .sets import EVERYTHING, points, size
from .tree import (
    EMPTY,
    LAST_LINE_END,
    NEVER,
    TEXT_END,
    TEXT_START,
    Chars,
    Choice,
    Look,
    Node,
    Repeat,
    Sequence,
    choice,
    repeat,
    sequence,
)

Tests: TypeAlias = dict[Op, list[str]]

_MOST: Final = {Op.TEXT_IN: 32, Op.TEXT_PREFIX: 8, Op.TEXT_SUFFIX: 8, Op.TEXT_CONTAINS: 4}
"""Constants of each test; more than that a program finds faster."""
_MOST_TEXTS: Final = _MOST[Op.TEXT_IN]
_MOST_TIMES: Final = 64
_MOST_CHARACTERS: Final = 4096
_ANY: Final = Repeat(Chars(EVERYTHING), 0, None)


def trimmed(node: Node) -> Node:
    """The tree without what an unanchored search may leave out at its ends: `a+b*` is found where `a` is."""
    return _trimmed(_trimmed(node, 0), -1)


def _trimmed(node: Node, side: int) -> Node:
    """`side` is 0 for the beginning, -1 for the end."""
    match node:
        case Repeat(item, low, _):
            return _trimmed(item, side) if low == 1 else repeat(item, low, low)
        case Choice(items):
            return choice([_trimmed(item, side) for item in items])
        case Sequence(items):
            rest = list(items)
            while rest:
                if _is_any_from_edge(rest, side):
                    del rest[side], rest[side]
                    continue
                outer = _trimmed(rest[side], side)
                if outer != EMPTY:
                    rest[side] = outer
                    break
                del rest[side]
            return sequence(rest)
        case _:
            return node


def _is_any_from_edge(items: list[Node], side: int) -> bool:
    r"""Whether the outermost two are \A.* or .*\z where the dot is every character."""
    edges = (TEXT_START,) if side == 0 else (TEXT_END, LAST_LINE_END)
    return len(items) > 1 and items[side] in edges and items[1 if side == 0 else -2] == _ANY


def tests(node: Node) -> Tests | None:
    """The constants of the tests of which one has to hold; None if it takes a program."""
    found: Tests = {}
    for branch in node.items if isinstance(node, Choice) else (node,):
        if branch == NEVER:
            continue
        items = list(branch.items) if isinstance(branch, Sequence) else [branch]
        begins, ends = False, set[Node]()
        while items and items[0] == TEXT_START:
            begins = True
            del items[0]
        while items and items[-1] in (TEXT_END, LAST_LINE_END):
            ends.add(items.pop())
        texts = _texts(sequence(items))
        if texts is None:
            return None
        if ends == {LAST_LINE_END}:
            texts += [text + "\n" for text in texts]
        op = {
            (True, True): Op.TEXT_IN,
            (True, False): Op.TEXT_PREFIX,
            (False, True): Op.TEXT_SUFFIX,
            (False, False): Op.TEXT_CONTAINS,
        }[begins, bool(ends)]
        found[op] = list(dict.fromkeys(found.get(op, []) + texts))
    good = all(len(texts) <= _MOST[op] and sum(map(len, texts)) <= _MOST_CHARACTERS for op, texts in found.items())
    return (found or {Op.TEXT_IN: []}) if good else None


def _texts(node: Node) -> list[str] | None:
    """All texts that the node matches; None if there are many, or if it asserts something."""
    match node:
        case Chars(members):
            if size(members) > _MOST_TEXTS:
                return None
            return [chr(point) for point in points(members) if not 0xD800 <= point <= 0xDFFF]
        case Look():
            return None
        case Choice(items):
            each = [_texts(item) for item in items]
            return None if None in each else _bounded([text for some in each for text in some or ()])
        case Sequence(items):
            found: list[str] | None = [""]
            for item in items:
                found = _joined(found, _texts(item))
            return found
        case Repeat(item, low, high):
            some, found = _texts(item), [""]
            if high is None or high > _MOST_TIMES:
                return None
            texts: list[str] = []
            for times in range(high + 1):
                if found is None or len(texts) > _MOST_TEXTS:
                    return None
                texts += found if times >= low else ()
                found = _joined(found, some) if times < high else found
            return _bounded(texts)


def _joined(left: list[str] | None, right: list[str] | None) -> list[str] | None:
    if left is None or right is None or len(left) * len(right) > _MOST_TEXTS:
        return None
    return _bounded([one + other for one, other in product(left, right)])


def _bounded(texts: list[str]) -> list[str] | None:
    few = len(texts) <= _MOST_TEXTS and sum(map(len, texts)) <= _MOST_CHARACTERS
    return texts if few else None
