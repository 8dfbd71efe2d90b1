"""Regular expressions that are matched in linear time: patterns of two dialects become conditions on a slot.

`compile_pattern` is all that importers need. How a dialect is read, what a program looks like and how it is made are
the business of the modules here; the core runs the program (schema/README.md 5.10).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..model import Condition, Slot

__all__ = ["Dialect", "Pattern", "PatternError", "UnsupportedPattern", "compile_pattern"]

Dialect: TypeAlias = Literal["rust", "python"]


class PatternError(ValueError):
    """The pattern is invalid in its dialect."""


class UnsupportedPattern(ValueError):
    """The pattern is valid, but cannot be matched here: look-around, back-references, too large..."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern: asks whether a text contains a match."""

    def condition(self, slot: Slot, unknown: bool | None) -> Condition:
        """The condition that the text in `slot` contains a match; `unknown` is what another kind of value counts as."""
        raise NotImplementedError


def compile_pattern(pattern: str, dialect: Dialect, *, ignore_case: bool = False) -> Pattern:
    """Compile a pattern as crate regex 1.x (`is_match`) or Python's `re.search` would understand it.

    Raises PatternError if it is invalid there, UnsupportedPattern if it cannot be matched in linear time or is too large.
    """
    raise UnsupportedPattern("regular expressions cannot be compiled yet")
