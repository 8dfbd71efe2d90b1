"""Values and texts as Python source: printable, one way each, and as formatters leave them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from ..config.model import JSON

WIDTH = 88
"""Columns of a line, if what stands in it can be parted."""


def text(value: str) -> str:
    """A text in the quotes that need fewer escapes."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return f"{quote}{''.join(_character(each, quote) for each in value)}{quote}"


def _character(character: str, quote: str) -> str:
    if character in ("\\", quote):
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def value(given: JSON, indent: int, before: int) -> str:
    """A JSON value, on one line if it fits. indent: of the line it begins on; before: what else that line has."""
    one = _one_line(given)
    if before + len(one) <= WIDTH or not isinstance(given, (list, Mapping)) or not given:
        return one
    inner = " " * (indent + 4)
    lines = []
    if isinstance(given, Mapping):
        for key, item in given.items():
            head = f"{inner}{text(key)}: "
            lines.append(f"{head}{value(item, indent + 4, len(head) + 1)},\n")
        return f"{{\n{''.join(lines)}{' ' * indent}}}"
    lines = [f"{inner}{value(item, indent + 4, indent + 5)},\n" for item in given]
    return f"[\n{''.join(lines)}{' ' * indent}]"


def _one_line(given: JSON) -> str:
    if isinstance(given, str):
        return text(given)
    if isinstance(given, float):
        return repr(given).replace("e+", "e") if math.isfinite(given) else f'float("{given}")'
    if isinstance(given, list):
        return f"[{', '.join(map(_one_line, given))}]"
    if isinstance(given, Mapping):
        return f"{{{', '.join(f'{text(key)}: {_one_line(item)}' for key, item in given.items())}}}"
    return repr(given)


def docstring(words: str, indent: int) -> str:
    """A text as a docstring with its lines broken anew; paragraphs stay. Empty if there is nothing in it."""
    paragraphs = [" ".join(each.split()) for each in words.replace("\r\n", "\n").split("\n\n")]
    # What cannot be read as it is, or would end the docstring, is escaped.
    escaped = ["".join(_character(each, '"') for each in part) for part in paragraphs if part]
    wrapped = [textwrap.wrap(part, WIDTH - indent - 3, break_long_words=False) for part in escaped]
    lines = [line for part in wrapped for line in ("", *part)][1:]
    if not lines:
        return ""
    margin = " " * indent
    if len(lines) == 1 and len(lines[0]) <= WIDTH - indent - 6:
        return f'{margin}"""{lines[0]}"""\n'
    first, *rest = lines
    body = "".join(f"{margin}{line}\n" if line else "\n" for line in rest)
    return f'{margin}"""{first}\n{body}{margin}"""\n'
