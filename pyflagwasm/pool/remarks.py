"""What is said, once, to who asks an evaluator in vain: that it is not open, that it has no such flag.

Here live the words, and which flag was probably meant. Nothing here is on the way of an evaluation that has an answer;
what callers may make up - keys - costs a bounded number of lines and comparisons.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final

from ..once import MOST, Once

if TYPE_CHECKING:
    from ..generation import Generation

NOT_OPEN: Final = "the evaluator is not open: enter it first, `async with flags:`, or by your framework's integration"
NOT_DELIVERED: Final = "no configuration is loaded: no source has delivered one yet"
CLOSED: Final = "the evaluator is closed: open another one"

_LOG: Final = logging.getLogger("pyflagwasm")
_LONGEST: Final = 100  # characters of a key that is shown and compared
_LIKELY: Final = 100  # keys that are compared letter by letter: ten milliseconds at most
_CLOSE: Final = 0.6


class Remarks:
    """Those of one evaluator. lack: why there is no configuration, if there is none. Safe from any thread."""

    __slots__ = ("_meant", "_of", "_once", "_unready", "lack")

    def __init__(self) -> None:
        self.lack = NOT_OPEN
        self._unready, self._once = Once(), Once()
        self._meant: dict[str, str] = {}
        self._of = 0  # the number of the configuration that these are of

    def not_ready(self) -> str:
        """Why there is no configuration; logged the first time, but for what is asked while everything is closed."""
        lack = self.lack
        if lack is not CLOSED and self._unready(lack):
            _LOG.warning("a flag is asked for and gives its default: %s", lack)
        return lack

    def unknown(self, generation: Generation, flag_key: object) -> None:
        """A flag was asked for that this configuration does not have."""
        if isinstance(flag_key, str) and self._once(flag_key[:_LONGEST]):
            shown = f"{flag_key[:_LONGEST]!r}{'...' if len(flag_key) > _LONGEST else ''}"
            last = "; further unknown flags are not logged" if self._once.full else ""
            _LOG.warning(
                "there is no flag %s%s; callers get their default%s", shown, self.meant(generation, flag_key), last
            )

    def meant(self, generation: Generation, flag_key: object) -> str:
        """`, did you mean 'dark-mode'?`, or nothing. Made for a bounded number of keys of each configuration."""
        if not isinstance(flag_key, str) or len(flag_key) > _LONGEST:
            return ""
        if self._of != generation.number:
            self._meant, self._of = {}, generation.number
        known = self._meant.get(flag_key)
        if known is None:
            if len(self._meant) >= MOST:
                return ""
            known = self._meant[flag_key] = did_you_mean(flag_key, generation.flags)
        return known


def did_you_mean(flag_key: str, flag_keys: Iterable[str]) -> str:
    """`, did you mean 'dark-mode'?`, or nothing if no key is like this one. Takes some milliseconds at most."""
    from difflib import get_close_matches

    size, plain = len(flag_key), _plain(flag_key)
    likely: list[str] = []
    for each in islice(flag_keys, 10_000):
        if _plain(each) == plain:
            return f", did you mean {each!r}?"
        if len(likely) < _LIKELY and 2 * min(size, len(each)) >= _CLOSE * (size + len(each)):
            likely.append(each)
    close = get_close_matches(flag_key, likely, 1, _CLOSE) if size <= _LONGEST else []
    return f", did you mean {close[0]!r}?" if close else ""


def _plain(flag_key: str) -> str:
    return flag_key.casefold().replace("_", "-")
