"""What commands print and where: stdout is data, in UTF-8 whatever the locale is; stderr is for people. And exit codes.

A value that JSON cannot write - a configuration can say 1e999 - is printed as null.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from typing import Any, Final

SOUND, FLAWED, REFUSED, INTERRUPTED = 0, 1, 2, 130
EXITS: Final = "exit codes: 0; 1 if there are errors in the answers; 2 if the input cannot be used"


class BadInput(Exception):
    """What the caller gave cannot be used; the text says what and why, in one line."""


class ReaderGone(Exception):
    """Whoever read stdout has closed it."""


def write(data: bytes) -> None:
    if sys.stdout is None:
        raise BadInput("there is no stdout")
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        raise BadInput(f"stdout: cannot be written: {error.strerror}") from None


def say(text: str) -> None:
    # What has no UTF-8 - an argument with stray bytes - is written as JSON and Python escape it.
    write(f"{text}\n".encode(errors="backslashreplace"))


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def tell(message: str) -> None:
    if sys.stderr is not None:
        print(f"pyflagwasm: {printable(message)}", file=sys.stderr)


def report(lines: Iterable[str]) -> None:
    """Lines for people."""
    if sys.stderr is not None:
        print("\n".join(map(printable, lines)), file=sys.stderr)


def to_json(value: Any, indent: int | None = None) -> str:
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


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
