"""What commands are given: arguments that are JSON or a time, contexts from a file or stdin, and the configuration."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ..config.document import STRICT, UnusableNumber, kind
from .output import BadInput

if TYPE_CHECKING:
    from ..config.compile import CompiledConfig
    from ..pool.pool import Pool
    from ..sources.base import Document

STDIN: Final = "-"

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def now_us(text: str | None) -> int | None:
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


def compiled(arguments: argparse.Namespace, document: Document | None = None) -> CompiledConfig:
    from ..loading import compile_source

    options = None if arguments.options is None else json_object(arguments.options, "--options")
    return compile_source(document or arguments.config, arguments.format, options)


def loaded(arguments: argparse.Namespace) -> Pool:
    """The core with the configuration live."""
    config = compiled(arguments)
    from ..generation import Generation
    from ..pool.pool import Pool
    from ..pool.swap import Swaps

    pool = Pool(size=1)
    try:
        Swaps(pool).swap(Generation(config), 1)
    except ValueError as error:  # PYFLAGWASM_HOST
        raise BadInput(str(error)) from None
    return pool


def json_object(text: str, where: str, line: int | None = None) -> dict[str, Any]:
    """A JSON object from an argument, or from a line of a file."""
    if line is not None:
        where = f"{where}: line {line}"
    try:
        value = STRICT.decode(text)
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


def contexts(arguments: argparse.Namespace) -> Iterator[Mapping[str, Any]]:
    if arguments.contexts is None:
        yield {} if arguments.context is None else json_object(arguments.context, "--context")
        return
    name = "stdin" if arguments.contexts == STDIN else arguments.contexts
    for number, raw in enumerate(_lines(arguments.contexts, name), 1):
        try:
            text = raw.decode().strip(" \t\r\n")
        except UnicodeDecodeError as error:
            raise BadInput(f"{name}: line {number}: not UTF-8: byte {error.start + 1} of the line") from None
        if text:
            yield json_object(text, name, number)


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
