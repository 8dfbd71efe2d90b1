"""How long to wait before trying again: pauses that double, spread by chance. No clock and no waiting lives here."""

from __future__ import annotations

import math
import random
from collections.abc import Callable


class Backoff:
    """Pauses that grow from `initial` to `maximum` seconds, each times a random factor of 1 - jitter to 1 + jitter.

    No pause exceeds `maximum`. random: numbers of [0, 1); Python's own are seeded anew in a forked child.
    Raises ValueError unless 0 < initial <= maximum < infinity and 0 <= jitter <= 1.
    """

    __slots__ = ("_initial", "_jitter", "_maximum", "_random", "_step")

    def __init__(
        self,
        initial: float = 1.0,
        maximum: float = 30.0,
        jitter: float = 0.5,
        random: Callable[[], float] = random.random,
    ) -> None:
        if not 0 < initial <= maximum < math.inf or not 0 <= jitter <= 1:
            raise ValueError("0 < initial <= maximum < infinity and 0 <= jitter <= 1 must hold")
        self._initial = self._step = float(initial)
        self._maximum = float(maximum)
        self._jitter = jitter
        self._random = random

    def next(self) -> float:
        """The next pause, in seconds."""
        step = self._step
        self._step = min(step * 2, self._maximum)  # capped at once, so that no number of failures overflows it
        return min(step * (1 + self._jitter * (2 * self._random() - 1)), self._maximum)

    def reset(self) -> None:
        """Begin at `initial` again: what was tried works."""
        self._step = self._initial
