"""What is said once: whether a line was logged before for the same thing, for a bounded number of things."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

MOST: Final = 100


class Once:
    """`if once(thing): log it`. True the first time for each of the first `most` things. Safe from any thread."""

    __slots__ = ("_most", "_said")

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._said: set[Hashable] = set()

    def __call__(self, thing: Hashable) -> bool:
        if thing in self._said or len(self._said) >= self._most:
            return False
        self._said.add(thing)
        return True

    @property
    def full(self) -> bool:
        """Whether nothing further is said."""
        return len(self._said) >= self._most
