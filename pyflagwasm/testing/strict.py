"""What a strict test does not let pass: a flag that there is not, and a default that was used because nothing decided.

Here lives what is noted and how it is said. Who notes it is answering.py; when it fails a test is pytest_plugin.py's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..pool.remarks import did_you_mean
from ..types import ErrorCode, EvaluationDetails

if TYPE_CHECKING:
    from ..evaluations import Evaluations

_PACKAGE: Final = str(Path(__file__).parent.parent)
_INSTALLED: Final = (str(Path(os.__file__).parent), "site-packages", "dist-packages")


class Findings:
    """What was found, from any thread. allowed: keys of flags that may be missing, or give the default."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)
        self._found: dict[str, int] = {}
        self._asked: set[str] = set()
        self._overridden: dict[str, str] = {}  # keys, and where the override was written
        self._known: set[str] = set()  # the keys of the configurations that were asked, in memory or not
        self._seen: set[tuple[int, int]] = set()  # which those are
        self._certain = False  # whether one of them is not in memory, and so says which flags there are

    def begun(self, flag_keys: Iterable[str]) -> None:
        """Note that these flags are overridden from here on."""
        for key in flag_keys:
            self._overridden.setdefault(key, _place(installed=False))

    def asked(self, of: Evaluations, flag_keys: Iterable[str]) -> None:
        """Note that these flags are asked for, of whichever configuration answers there."""
        self._asked.update(str(key) for key in flag_keys)
        generation = of._instances.generation
        if generation is not None and (which := (id(generation), generation.number)) not in self._seen:
            self._seen.add(which)
            self._known.update(generation.flags)
            self._certain = self._certain or not _is_in_memory(of)

    def given(self, of: Evaluations, details: EvaluationDetails) -> None:
        """Note an evaluation, or what was in its place, if it gave the default."""
        overridden = "overridden" in details.metadata
        if overridden and details.error_code is not ErrorCode.TYPE_MISMATCH:
            if _lacks(of, details.flag_key):
                self._note(of, details.flag_key, "overridden, but the configuration has no such flag")
        elif details.error_code is ErrorCode.FLAG_NOT_FOUND:
            self._note(
                of, details.flag_key, f"there is no such flag{did_you_mean(str(details.flag_key), of.flag_keys)}"
            )
        elif details.error_code is not None:
            self._note(of, details.flag_key, f"gave the default: {details.error_code}: {details.error_message}")
        elif details.variant is None:
            self._note(of, details.flag_key, f"gave the default, with the reason {details.reason}")

    def selected(
        self, of: Evaluations, flag_keys: Iterable[str], found: Mapping[str, Any], overridden: Mapping[str, Any]
    ) -> None:
        """Note the flags that `many` was to give, and did not."""
        generation = of._instances.generation
        for key in flag_keys:
            if key in overridden:
                if _lacks(of, key):
                    self._note(of, key, "overridden, but the configuration has no such flag")
            elif generation is not None and generation.flag(key) is None:
                self._note(of, key, f"there is no such flag{did_you_mean(str(key), of.flag_keys)}")
            elif key not in found:
                self._note(of, key, "left out by many(), as it would give the default")

    def _note(self, of: Evaluations, flag_key: str, what: str) -> None:
        if str(flag_key) not in self._allowed:  # whatever the caller took for a key
            line = f"{flag_key!r}: {what}{_place()}"
            self._found[line] = self._found.get(line, 0) + 1

    def _note_unasked(self) -> None:
        """Note the overrides that nobody asked for, of flags that none of the configurations has that were asked."""
        overridden, self._overridden = self._overridden, {}
        if self._certain:
            for key in sorted(overridden.keys() - self._asked - self._known - self._allowed):
                words = "overridden and not asked for, and the configuration has no such flag"
                self._found[f"{key!r}: {words}{did_you_mean(key, self._known)}{overridden[key]}"] = 1

    def taken(self) -> str | None:
        """What was found since the last time, for people; None if nothing was."""
        self._note_unasked()
        found, self._found = self._found, {}
        if not found:
            return None
        lines = [line if times == 1 else f"{line} {times} times" for line, times in found.items()]
        return "\n  ".join(["flags that no configuration decided:", *lines])


def _lacks(of: Evaluations, flag_key: str) -> bool:
    """Whether there is a configuration that has no such flag. One in memory is whatever a test says."""
    generation = of._instances.generation
    if generation is None or generation.flag(flag_key) is not None:
        return False
    return not _is_in_memory(of)


def _is_in_memory(of: Evaluations) -> bool:
    memory = sys.modules.get(f"{__package__}.memory")
    return memory is not None and memory.is_in_memory(of)


def _place(*, installed: bool = True) -> str:
    """Where the flag was asked for: the innermost line that is not of this package, and, if there is one, that nobody
    has installed. installed: whether it may be one that somebody has; else nothing, of what such a line calls."""
    found, frame = "", sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE):
            place = f" ({_relative(file)}:{frame.f_lineno})"
            if not any(part in file for part in _INSTALLED):
                return place
            if not installed:
                return ""
            found = found or place
        frame = frame.f_back  # type: ignore[assignment]
    return found


def _relative(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
