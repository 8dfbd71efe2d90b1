"""What `bulk` and `simulate` have in common: arguments about tables, the evaluators, what is shown meanwhile."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

from .input import STDIN, json_object, now_us
from .output import BadInput, counted

if TYPE_CHECKING:
    from ..bulk import BulkEvaluator
    from ..bulk.files import Input, Reading
    from ..bulk.progress import Progress

FORMATS: Final = ("parquet", "csv", "ndjson", "arrow", "arrows")
TYPES: Final = ("text", "integer", "number", "boolean")
KEY: Final = "targetingKey"
ALL: Final = "*"
NOTES: Final = """\
Formats are parquet, csv, ndjson, arrow (IPC file) and arrows (IPC stream), by the name of the file, which may end in
.gz or .zst but for Parquet. A column is the attribute of its name; a struct, or a name with dots, is a nested one.
A null is an attribute that is absent. In a CSV, columns that identify something (id, user_id, key) are texts, and so is
the targeting key; others are what all of their first cells are.

"""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds what both commands take."""
    command.add_argument("--flag", metavar="KEY", action="append", help="a flag; without any all, in the file's order")
    command.add_argument("--in-format", choices=FORMATS, help="of IN; default: by its name, NDJSON for stdin")
    command.add_argument("--out-format", choices=FORMATS, help="of the output; default: by its name, NDJSON for stdout")
    command.add_argument(
        "--targeting-key", metavar="COLUMN", help=f"the column that is the targeting key; default: {KEY}"
    )
    command.add_argument(
        "--column", metavar="ATTRIBUTE=COLUMN", action="append", default=[], help="an attribute from another column"
    )
    command.add_argument(
        "--keep", metavar="COLUMN", action="append", default=[], help="a column to carry to the output; '*' for all"
    )
    command.add_argument(
        "--type",
        metavar=f"COLUMN={'|'.join(TYPES)}",
        action="append",
        default=[],
        help="what the cells of a CSV's column are",
    )
    command.add_argument(
        "--csv-types", choices=("infer", "text"), default="infer", help="whether cells are texts only; default: infer"
    )
    command.add_argument("--delimiter", metavar="CHARACTER", help="between cells of a CSV; default: a comma")
    command.add_argument("--limit", metavar="N", type=_count, help="only so many rows")
    command.add_argument("--threads", metavar="N", type=_threads, default=1, help="default: 1")
    command.add_argument("--json", action="store_true", help="the summary as JSON, on stdout unless the rows go there")
    command.add_argument("--plot", metavar="FILE.svg", help="a picture")
    command.add_argument("--quiet", action="store_true", help="no progress and no summary")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)


def _threads(text: str) -> int:
    count = _count(text)
    if not 1 <= count <= 256:
        raise argparse.ArgumentTypeError(f"must be from 1 to 256, not {count}")
    return count


# ---------------------------------------------------------------- what is evaluated


def columns(arguments: argparse.Namespace) -> dict[str, str]:
    """The column of each attribute that is said to have one."""
    found = {}
    for text in arguments.column:
        attribute, equals, column = text.partition("=")
        if not (attribute and equals and column):
            raise BadInput(f"--column: {text!r} is not ATTRIBUTE=COLUMN")
        found[attribute] = column
    if arguments.targeting_key is not None:
        found[KEY] = arguments.targeting_key
    return found


def evaluator(
    stack: ExitStack, arguments: argparse.Namespace, config: str, *, outputs: tuple[str, ...], **more: Any
) -> BulkEvaluator:
    """The evaluator of a configuration."""
    from ..bulk import BulkEvaluator

    options = None if arguments.options is None else json_object(arguments.options, "--options")
    given_us = now_us(arguments.now)
    settings: dict[str, Any] = {
        "flags": arguments.flag,
        "format": arguments.format,
        "options": options,
        "columns": columns(arguments) or None,
        "now": None if given_us is None else given_us / 1e6,
        "outputs": outputs,
        **more,
    }
    try:
        return stack.enter_context(BulkEvaluator(config, **settings))
    except ValueError as error:  # a flag that is not there, or PYFLAGWASM_HOST
        raise BadInput(str(error)) from None


def reading(arguments: argparse.Namespace, wants: Callable[[str], bool]) -> Reading:
    """How IN is to be read."""
    from ..bulk.files import Reading

    types = {}
    for text in arguments.type:
        column, equals, type_ = text.rpartition("=")
        if not (column and equals) or type_ not in TYPES:
            raise BadInput(f"--type: {text!r} is not COLUMN={'|'.join(TYPES)}")
        types[column] = type_
    if arguments.delimiter is not None and len(arguments.delimiter.encode()) != 1:
        raise BadInput(f"--delimiter: must be one character of ASCII, not {arguments.delimiter!r}")
    mapped = columns(arguments)
    keys = {KEY, "targeting_key", mapped.get(KEY, KEY)}
    return Reading(
        wants=wants,
        needs=tuple(dict.fromkeys(mapped.values())),
        keep=None if ALL in arguments.keep else tuple(arguments.keep),
        limit=arguments.limit,
        texts=frozenset(keys),
        types=types,
        infer=arguments.csv_types == "infer",
        delimiter=arguments.delimiter,
    )


# ---------------------------------------------------------------- while it runs


@contextmanager
def working(found: Input, quiet: bool) -> Iterator[Progress]:
    """Shows how far it is while rows are read from `found`."""
    from ..bulk.progress import Progress

    def share(rows: int) -> float | None:
        if found.rows is not None:
            return rows / found.rows if found.rows else 1.0
        return found.position() / found.size if found.size else None

    progress = Progress(sys.stderr, share, quiet=quiet)
    try:
        yield progress
    finally:
        progress.end()


@contextmanager
def terminable() -> Iterator[None]:
    """Being told to end is an exception here, so that what is half written goes away."""
    names = ("SIGTERM", "SIGHUP")
    before: dict[int, Any] = {}

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    try:
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup
                before[number] = signal.signal(number, end)
    except ValueError:  # not the main thread: signals are not for this one
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def needed() -> Iterator[None]:
    """What is wrong with files, or missing on this machine, as the program tells it."""
    try:
        from ..bulk.files import FileError
    except ImportError as error:
        raise BadInput(str(error)) from None
    try:
        yield
    except FileError as error:
        raise BadInput(str(error)) from None


def save_picture(path: str, text: str) -> None:
    """Writes an SVG, whole."""
    from ..last_good import replace_file

    try:
        replace_file(os.path.realpath(path), text.encode(), 0o644)
    except OSError as error:
        raise BadInput(f"--plot: {path}: cannot be written: {error.strerror or error}") from None


def checked_plot(arguments: argparse.Namespace) -> None:
    """Whether there can be a picture of this name."""
    path = arguments.plot
    if path is not None and not path.lower().endswith(".svg"):
        raise BadInput(f"--plot: pictures are SVG, which every browser shows and prints: name it FILE.svg, not {path}")
    if path is not None and not os.path.isdir(os.path.dirname(path) or "."):
        raise BadInput(f"--plot: {path}: there is no such folder")


def same_file(one: str | None, other: str) -> bool:
    """Whether two paths lead to one file that is there."""
    if one is None or STDIN in (one, other):
        return False
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def input_notes(found: Input) -> list[str]:
    """What there is to say of the input, a line each."""
    lines = []
    for type_ in TYPES[1:]:
        names = [name for name, each in found.types.items() if each == type_]
        if names:
            lines.append(f"read as {type_}: {', '.join(names)}")
    return lines + [f"{what}: {counted(count, 'row')}" for what, count in found.notes.items()]
