"""json.loads in pieces: the C scanner reads a document in one go and keeps every other thread waiting meanwhile.

Here the outer levels are read by the Python twin of that scanner, which json brings along, and what is inside of them
by the C scanner, piece by piece. Results and errors are those of json.loads.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from .pace import breathe

OUTER: Final = 2
"""Levels that are read piece by piece: flags in `flags`, features in `features`."""

Scan = Callable[[str, int], tuple[Any, int]]


class Pieces(json.JSONDecoder):
    """A JSONDecoder that breathes between the members of the outer levels. Takes the arguments of JSONDecoder."""

    def __init__(self, **hooks: Any) -> None:
        super().__init__(**hooks)
        whole: Scan = self.scan_once
        self.scan_once: Scan = self._level(OUTER, whole)

    def _level(self, depth: int, whole: Scan) -> Scan:
        inner = self._level(depth - 1, whole) if depth else whole
        decoder: Any = self

        def scan(text: str, at: int) -> tuple[Any, int]:
            breathe()
            start = text[at : at + 1] if depth else ""
            if start == "{":
                found: tuple[Any, int] = decoder.parse_object((text, at + 1), self.strict, inner, None, None, {})
                return found
            if start == "[":
                found = decoder.parse_array((text, at + 1), inner)
                return found
            return whole(text, at)

        return scan
