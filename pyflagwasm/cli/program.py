"""The program: which command runs, and what comes of what it raises. Each command has a module of its own here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from .. import __version__
from ..errors import ConfigError, GuestError
from .arguments import Parser, adder
from .input import STDIN
from .output import EXITS, INTERRUPTED, REFUSED, SOUND, BadInput, ReaderGone, tell

_COMMANDS: Final = {
    "bulk": "bulk",
    "check": "check",
    "codegen": "codegen",
    "evaluate": "evaluate",
    "explain": "explain",
    "serve": "serve",
    "sign": "signing",
    "simulate": "simulate",
    "verify": "signing",
}
"""The module of each command. It has `add_commands` and `run`, and imports what is heavy when it runs."""


_LAST: Final = {"bulk": "output", "simulate": "input"}
"""The last positional argument of commands that can be without it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    try:
        arguments = _arguments(sys.argv[1:] if argv is None else argv)
        code: int = _module(_COMMANDS[arguments.command]).run(arguments)
        return code
    except SystemExit as end:  # --help and --version
        return end.code if isinstance(end.code, int) else SOUND
    except ReaderGone:
        # What is left in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOUND
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BadInput, ConfigError, GuestError) as error:
        tell(str(error))
        return REFUSED


def _module(name: str) -> Any:
    return import_module(f".{name}", __package__)


def _parser() -> Parser:
    parser = Parser(prog="pyflagwasm", allow_abbrev=False, epilog=EXITS, description="Feature flags, evaluated here.")
    parser.add_argument("--version", action="version", version=f"pyflagwasm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name in dict.fromkeys(_COMMANDS.values()):
        _module(name).add_commands(adder(commands))
    return parser


def _is_positional(text: str) -> bool:
    return text == STDIN or not text.startswith("-")


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    evaluating = arguments.command == "evaluate"
    given = None
    last = _LAST.get(arguments.command)
    # argparse takes no optional positional behind options
    if evaluating and rest == [STDIN]:
        rest, given = [], STDIN
    elif last is not None and getattr(arguments, last) is None and len(rest) == 1 and _is_positional(rest[0]):
        setattr(arguments, last, rest.pop())
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if evaluating:
        inputs = [each for each in (arguments.context, arguments.contexts, given) if each is not None]
        if len(inputs) > 1:
            parser.error("only one of --context, --contexts and - can be given")
        arguments.contexts = arguments.contexts or given
    return arguments
