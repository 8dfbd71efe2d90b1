"""The command line: `check`, `evaluate` and `explain`; `sign` and `verify` are in cli_signing.py.

Here live arguments, what is printed where, and exit codes: 0; 1 if something was evaluated to an error or a flag has a
problem; 2 for input that cannot be used, with one line on stderr. stdout is data, in UTF-8 whatever the locale is.

A value that JSON cannot write - a configuration can say 1e999 - is printed as null.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn

from . import __version__
from .config.document import UnusableNumber, kind, read_int, refuse_constant, repeated_members
from .config.formats import AUTO, FORMATS
from .errors import ConfigError, GuestError

if TYPE_CHECKING:
    from .config.compile import CompiledConfig
    from .generation import Outcome
    from .pool.pool import Pool
    from .sources.base import Document

SOUND, FLAWED, REFUSED, INTERRUPTED = 0, 1, 2, 130
STDIN: Final = "-"

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXITS = "exit codes: 0; 1 if there are errors in the answers; 2 if the input cannot be used"


class BadInput(Exception):
    """What the caller gave cannot be used; the text says what and why, in one line."""


class _ReaderGone(Exception):
    """Whoever read stdout has closed it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    try:
        arguments = _arguments(sys.argv[1:] if argv is None else argv)
        return _COMMANDS[arguments.command](arguments)
    except SystemExit as end:  # --help and --version
        return end.code if isinstance(end.code, int) else SOUND
    except _ReaderGone:
        # What is left in the buffer must not be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOUND
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BadInput, ConfigError, GuestError) as error:
        _tell(str(error))
        return REFUSED


# ---------------------------------------------------------------- arguments


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def _parser() -> _Parser:
    parser = _Parser(prog="pyflagwasm", allow_abbrev=False, epilog=_EXITS, description="Feature flags, evaluated here.")
    parser.add_argument("--version", action="version", version=f"pyflagwasm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, says: str, usage: str) -> argparse.ArgumentParser:
        usage = f"pyflagwasm {name} CONFIG {usage} [--format FORMAT] [--options JSON]"
        new = commands.add_parser(name, help=says, description=says, usage=usage, allow_abbrev=False, epilog=_EXITS)
        new.add_argument("config", metavar="CONFIG", help="a file, or a bundled one: example:flagd, example:devcycle")
        new.add_argument("--format", default="auto", help=f"one of {', '.join((AUTO, *FORMATS))}")
        new.add_argument("--options", metavar="JSON", help="the importer's options, an object")
        return new

    command("check", "say whether a configuration can be used, and which flags have problems", "")
    evaluate = command(
        "evaluate",
        "evaluate flags; one line of JSON for each context and flag",
        "[--context JSON | --contexts FILE.ndjson | -] [--flag KEY]... [--now RFC3339]",
    )
    evaluate.add_argument("--context", metavar="JSON", help="one evaluation context; without any an empty one")
    evaluate.add_argument("--contexts", metavar="FILE", help="contexts, one on a line; - for stdin")
    evaluate.add_argument("--flag", metavar="KEY", action="append", help="a flag; without any all, in the file's order")
    explain = command("explain", "say why a flag has its value", "--flag KEY --context JSON [--now RFC3339] [--json]")
    explain.add_argument("--flag", metavar="KEY", required=True, help="the flag")
    explain.add_argument("--context", metavar="JSON", required=True, help="the evaluation context")
    explain.add_argument("--json", action="store_true", help="as JSON")
    for each in (evaluate, explain):
        each.add_argument("--now", metavar="RFC3339", help="the time for rules that read it: 2030-01-31T12:00:00Z")

    from .cli_signing import add_commands

    add_commands(commands.add_parser, _EXITS)
    return parser


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    evaluating = arguments.command == "evaluate"
    if evaluating and rest == [STDIN]:  # argparse takes no optional positional behind options
        rest, given = [], STDIN
    else:
        given = None
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if evaluating:
        inputs = [each for each in (arguments.context, arguments.contexts, given) if each is not None]
        if len(inputs) > 1:
            parser.error("only one of --context, --contexts and - can be given")
        arguments.contexts = arguments.contexts or given
    return arguments


def _now_us(text: str | None) -> int | None:
    """Microseconds since 1970. Digits behind the sixth are dropped."""
    if text is None:
        return None
    match = _RFC3339.fullmatch(text.upper())
    if match is None:
        raise BadInput(f"--now: {text!r} is not a time of RFC 3339 such as 2030-01-31T12:00:00Z")
    day, clock, fraction, offset = match.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6].ljust(6, '0')}{offset}")
        return (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise BadInput(f"--now: {text!r} is not a time: {error}") from None


# ---------------------------------------------------------------- input


def _compiled(arguments: argparse.Namespace, document: Document | None = None) -> CompiledConfig:
    from .loading import compile_source

    options = None if arguments.options is None else _object(arguments.options, "--options")
    return compile_source(document or arguments.config, arguments.format, options)


def _loaded(arguments: argparse.Namespace) -> Pool:
    """The core with the configuration live."""
    compiled = _compiled(arguments)
    from .generation import Generation
    from .pool.pool import Pool
    from .pool.swap import Swaps

    pool = Pool(size=1)
    try:
        Swaps(pool).swap(Generation(compiled), 1)
    except ValueError as error:  # PYFLAGWASM_HOST
        raise BadInput(str(error)) from None
    return pool


_DECODER = json.JSONDecoder(parse_constant=refuse_constant, parse_int=read_int)


def _object(text: str, where: str, line: int | None = None) -> dict[str, Any]:
    """A JSON object from an argument, or from a line of a file."""
    if line is not None:
        where = f"{where}: line {line}"
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"column {error.colno}" if line is not None else f"line {error.lineno}, column {error.colno}"
        raise BadInput(f"{where}: not valid JSON: {error.msg} at {place}") from None
    except UnusableNumber as error:
        raise BadInput(f"{where}: {str(error).rstrip(',')}") from None
    except RecursionError:
        raise BadInput(f"{where}: nested too deep") from None
    if not isinstance(value, dict):
        raise BadInput(f"{where}: must be an object, not {kind(value)}")
    return value


def _contexts(arguments: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    if arguments.contexts is None:
        yield {} if arguments.context is None else _object(arguments.context, "--context")
        return
    name = "stdin" if arguments.contexts == STDIN else arguments.contexts
    for number, raw in enumerate(_lines(arguments.contexts, name), 1):
        try:
            text = raw.decode().strip(" \t\r\n")
        except UnicodeDecodeError as error:
            raise BadInput(f"{name}: line {number}: not UTF-8: byte {error.start + 1} of the line") from None
        if text:
            yield _object(text, name, number)


def _lines(path: str, name: str) -> Iterator[bytes]:
    try:
        if path != STDIN:
            with open(path, "rb") as file:
                yield from file
        elif sys.stdin is None:
            raise BadInput("there is no stdin")
        else:
            yield from sys.stdin.buffer
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise BadInput(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


# ---------------------------------------------------------------- output


def _write(data: bytes) -> None:
    if sys.stdout is None:
        raise BadInput("there is no stdout")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise _ReaderGone from None
    except OSError as error:
        raise BadInput(f"stdout: cannot be written: {error.strerror}") from None


def _print(text: str) -> None:
    # What has no UTF-8 - an argument with stray bytes - is written as JSON and Python escape it.
    _write(f"{text}\n".encode(errors="backslashreplace"))


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _tell(message: str) -> None:
    if sys.stderr is not None:
        print(f"pyflagwasm: {_printable(message)}", file=sys.stderr)


def _json(value: Any, indent: int | None = None) -> str:
    separators = (",", ":") if indent is None else None
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=separators, indent=indent)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, separators=separators, indent=indent)


def _finite(value: Any) -> Any:
    """The value with null in place of numbers that JSON cannot write."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---------------------------------------------------------------- commands


def _check(arguments: argparse.Namespace) -> int:
    from .loading import read

    document = read(arguments.config)
    assert not isinstance(document, Mapping)
    compiled = _compiled(arguments, document)
    repeated = repeated_members(document.data)
    for place in repeated:
        _print(_printable(f"{place}: given more than once; the last one counts"))
    flawed = 0
    for key, entry in compiled.flags.items():
        problems = [] if entry.problem is None else [entry.problem]
        problems += [f"variant {each.key}: {each.error}" for each in entry.variants if each.error is not None]
        flawed += bool(problems)
        for problem in problems:
            _print(_printable(f"{key}: {problem}"))
    faults = [f"{_counted(flawed, 'flag')} with problems"] if flawed else []
    faults += [f"{_counted(len(repeated), 'member')} repeated"] if repeated else []
    verdict = ", ".join(faults) or "all sound"
    counts = f"{_counted(len(compiled.flags), 'flag')}, {_counted(len(compiled.slots), 'slot')}"
    _print(_printable(f"{arguments.config}: {compiled.format}, {counts}, {len(compiled.ir)} bytes of IR; {verdict}"))
    return FLAWED if flawed or repeated else SOUND


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _evaluate(arguments: argparse.Namespace) -> int:
    from .generation import Encoded, Selection
    from .pool.asking import decide

    now_us = _now_us(arguments.now)
    printer = _Printer()
    with closing(_loaded(arguments)) as pool:
        generation = pool.generation
        assert generation is not None
        keys = arguments.flag or list(generation.flags)
        selection = Selection(generation, [generation.flag(key) for key in keys])
        for number, context in enumerate(_contexts(arguments)):
            now = time.time_ns() // 1000 if now_us is None else now_us
            outcomes = decide(pool, selection, Encoded(selection, context, now), now)
            printer.print(
                number,
                (outcome or generation.not_found(key) for key, outcome in zip(keys, outcomes, strict=True)),
            )
    return printer.end()


class _Printer:
    """The lines of `evaluate`: those of one context are written together, at once."""

    def __init__(self) -> None:
        self._tails: dict[Outcome, bytes] = {}
        self._count = self._errors = 0
        self._first = ""

    def print(self, context: int, outcomes: Iterable[Outcome]) -> None:
        head = b'{"context":%d,' % context
        lines = []
        for outcome in outcomes:
            lines.append(head)
            tail = self._tails.get(outcome)
            lines.append(self._tail(outcome) if tail is None else tail)
            self._count += 1
            details = outcome.details
            if details.error_code is not None:
                self._errors += 1
                self._first = self._first or (
                    f"context {context}, flag {details.flag_key}: {details.error_code}: {details.error_message}"
                )
        _write(b"".join(lines))

    def _tail(self, outcome: Outcome) -> bytes:
        details = outcome.details
        line = _json(
            {
                "flag": details.flag_key,
                "value": details.value,
                "variant": details.variant,
                "reason": details.reason.value,
                "error_code": None if details.error_code is None else details.error_code.value,
            }
        )
        tail = f"{line[1:]}\n".encode(errors="backslashreplace")
        if details.error_code is None:  # of those there are as many as the flags have ways to end
            self._tails[outcome] = tail
        return tail

    def end(self) -> int:
        if not self._errors:
            return SOUND
        _tell(f"{self._errors} of {_counted(self._count, 'answer')} are errors; the first: {self._first}")
        return FLAWED


def _explain(arguments: argparse.Namespace) -> int:
    from .evaluations import explain
    from .explain import explain_json, explain_text

    now_us = _now_us(arguments.now)
    context = _object(arguments.context, "--context")
    with closing(_loaded(arguments)) as pool:
        now = time.time_ns() // 1000 if now_us is None else now_us
        explanation = explain(pool, arguments.flag, context, now)
    _print(_json(explain_json(explanation), indent=2) if arguments.json else explain_text(explanation))
    return SOUND if explanation.decision.error_code is None else FLAWED


def _signing(arguments: argparse.Namespace) -> int:
    from .cli_signing import run

    return run(arguments)


_COMMANDS: Final = {
    "check": _check,
    "evaluate": _evaluate,
    "explain": _explain,
    "sign": _signing,
    "verify": _signing,
}
