"""Regular expressions that are matched in linear time: patterns of two dialects become conditions on a slot.

`compile_pattern` is all that importers need. A dialect (python.py, rust.py) reads a pattern as a tree (tree.py), and
the tree becomes tests of texts (literals.py) or a program (program.py) that the core runs (schema/README.md 5.10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from ..._abi import Op
from ..model import JSON, AnyOf, Condition, Slot, Test
from . import characters, python, rust
from .literals import tests, trimmed
from .program import Program
from .sets import CodeSet
from .tree import Node, PatternError, UnsupportedPattern

__all__ = ["Dialect", "Pattern", "PatternError", "UnsupportedPattern", "compile_pattern"]

Dialect: TypeAlias = Literal["rust", "python"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Whether a text contains a match. `tests` are operations and their constants; one of them has to hold."""

    tests: tuple[tuple[Op, tuple[JSON, ...]], ...]

    def condition(self, slot: Slot, unknown: bool | None) -> Condition:
        """The condition that the text in `slot` contains a match; `unknown` is what another kind of value counts as."""
        items = tuple(Test(op, slot, constants, unknown=unknown) for op, constants in self.tests)
        return items[0] if len(items) == 1 else AnyOf(items)


_DIALECTS: Final[dict[str, tuple[Callable[[str, bool], Node], Callable[[], CodeSet]]]] = {
    "rust": (rust.parse, characters.word),
    "python": (python.parse, python.word),
}


@lru_cache(maxsize=128)
def compile_pattern(pattern: str, dialect: Dialect, *, ignore_case: bool = False) -> Pattern:
    """Compile a pattern as crate regex 1.x (`is_match`) or Python's `re.search` would understand it.

    Takes microseconds for literals, some milliseconds for others and some 200 ms at most; the first one of a process
    that asks for letters or case some 100 ms more. Raises PatternError if it is invalid there, UnsupportedPattern if
    it cannot be matched in linear time or is too large.
    """
    parse, word = _DIALECTS[dialect]
    try:
        tree = trimmed(parse(pattern, ignore_case))
        plain = tests(tree)
        if plain is not None:
            return Pattern(tuple((op, tuple(constants)) for op, constants in plain.items()))
        return Pattern(((Op.TEXT_MATCH, (Program.of(pattern, tree, word),)),))
    except RecursionError:
        raise UnsupportedPattern("the pattern nests too deep") from None
