"""How far a job is, in one line on a terminal that is written over and over: rows, rows a second, what is left."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Final, TextIO

_EVERY: Final = 0.1  # seconds between two drawings
_BAR: Final = 24
_ERASE: Final = "\r\x1b[K"


class Progress:
    """A line on a terminal; nothing where it is none, or if it is to be quiet.

    share: how much of the job is done, 0 to 1, None if that is not known. clock: seconds.
    """

    def __init__(
        self,
        stream: TextIO | None,
        share: Callable[[int], float | None],
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        shows = stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"
        self._stream = stream if shows and not quiet else None
        self._share, self._clock = share, clock
        self.rows = 0
        self._began = self._drawn = clock()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._began

    def add(self, rows: int) -> None:
        """So many more rows are done."""
        self.rows += rows
        if self._stream is None:
            return
        now = self._clock()
        if now - self._drawn < _EVERY:
            return
        self._drawn = now
        self._write(_ERASE + self.line(now - self._began)[: shutil.get_terminal_size().columns - 1])

    def line(self, seconds: float) -> str:
        """What is shown after so many seconds."""
        text = f"{self.rows:,} rows, {rate(self.rows, seconds)}"
        share = self._share(self.rows)
        if share is None:
            return f"{text}, {duration(seconds)}"
        share = min(share, 1.0)
        done = round(share * _BAR)
        left = f", {duration(seconds * (1 - share) / share)} left" if share > 0 else ""
        return f"[{'#' * done}{'.' * (_BAR - done)}] {share:4.0%}  {text}{left}"

    def end(self) -> None:
        """Takes the line away; there is none from here on."""
        if self._stream is not None:
            self._write(_ERASE)
            self._stream = None

    def _write(self, text: str) -> None:
        assert self._stream is not None
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone; the job is not about it
            self._stream = None


def rate(rows: int, seconds: float) -> str:
    """Rows a second, in words: `4.2 M rows/s`."""
    each = rows / seconds if seconds > 0 else 0.0
    for unit, size in (("M ", 1e6), ("k ", 1e3)):
        if each >= size:
            return f"{each / size:.1f} {unit}rows/s"
    return f"{each:.0f} rows/s"


def duration(seconds: float) -> str:
    """`0:07`, `12:30`, `3:00:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(seconds: float) -> str:
    """As `duration`; `1.4 s` for what was short."""
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)
