"""The arguments that all commands about a configuration have, and how a command adds itself."""

from __future__ import annotations

import argparse
from typing import Any, Final, NoReturn, Protocol

from ..config.formats import AUTO, FORMATS
from .output import EXITS, BadInput

CONFIG: Final = "a file, or a bundled one: example:flagd, example:devcycle"


class Parser(argparse.ArgumentParser):
    """One whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


class Add(Protocol):
    """Adds a command that is about a configuration: its name, what it does, and its arguments beyond the common ones.

    common: whether it takes `--format` and `--options`. notes: what `--help` ends with, before the exit codes.
    config: what CONFIG may be.
    """

    def __call__(
        self, name: str, says: str, usage: str, *, common: bool = True, notes: str = "", config: str = CONFIG
    ) -> argparse.ArgumentParser: ...


def adder(commands: Any) -> Add:
    """commands: what `add_subparsers` gave."""

    def add(
        name: str, says: str, usage: str, *, common: bool = True, notes: str = "", config: str = CONFIG
    ) -> argparse.ArgumentParser:
        new: argparse.ArgumentParser = commands.add_parser(
            name,
            help=says,
            description=says,
            usage=" ".join(
                each
                for each in (f"pyflagwasm {name} CONFIG", usage, common * "[--format FORMAT] [--options JSON]")
                if each
            ),
            allow_abbrev=False,
            epilog=notes + EXITS,
            formatter_class=argparse.RawDescriptionHelpFormatter if notes else argparse.HelpFormatter,
        )
        new.add_argument("config", metavar="CONFIG", help=config)
        if common:
            new.add_argument("--format", default=AUTO, help=f"one of {', '.join((AUTO, *FORMATS))}")
            new.add_argument("--options", metavar="JSON", help="the importer's options, an object")
        return new

    return add


def add_now(command: argparse.ArgumentParser) -> None:
    """Adds `--now`."""
    command.add_argument("--now", metavar="RFC3339", help="the time for rules that read it: 2030-01-31T12:00:00Z")
