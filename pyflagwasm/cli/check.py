"""`pyflagwasm check`: whether a configuration can be used, and which flags have problems."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from ..config.document import repeated_members
from .arguments import Add
from .input import compiled
from .output import FLAWED, SOUND, counted, printable, say


def add_commands(add: Add) -> None:
    """Adds the command."""
    add("check", "say whether a configuration can be used, and which flags have problems", "")


def run(arguments: argparse.Namespace) -> int:
    """Runs it; the exit code."""
    from ..loading import read

    document = read(arguments.config)
    assert not isinstance(document, Mapping)
    config = compiled(arguments, document)
    repeated = repeated_members(document.data)
    for place in repeated:
        say(printable(f"{place}: given more than once; the last one counts"))
    flawed = 0
    for key, entry in config.flags.items():
        problems = [] if entry.problem is None else [entry.problem]
        problems += [f"variant {each.key}: {each.error}" for each in entry.variants if each.error is not None]
        flawed += bool(problems)
        for problem in problems:
            say(printable(f"{key}: {problem}"))
    faults = [f"{counted(flawed, 'flag')} with problems"] if flawed else []
    faults += [f"{counted(len(repeated), 'member')} repeated"] if repeated else []
    verdict = ", ".join(faults) or "all sound"
    counts = f"{counted(len(config.flags), 'flag')}, {counted(len(config.slots), 'slot')}"
    say(printable(f"{arguments.config}: {config.format}, {counts}, {len(config.ir)} bytes of IR; {verdict}"))
    return FLAWED if flawed or repeated else SOUND
