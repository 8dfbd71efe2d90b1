"""Described flags as a Python module with a FlagSet, with types for their objects and texts.

The module has what type checkers want in their strictest mode, and is left alone by formatters, whatever their
settings: what `--check` compares must not change by itself.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from typing import Final

from .literals import WIDTH, docstring, text, value
from .names import camel, identifiers, is_plain
from .shapes import BOOL, FLOAT, INT, STR, Described, ListOf, OneOf, Record, Shape, Texts

_HEAD: Final = '''\
"""Flags with their types and defaults. Written by `pyflagwasm codegen`: write it anew rather than change it."""

# fmt: off
# ruff: noqa
'''
MARK: Final = _HEAD.partition(":")[0]
"""What each module begins with."""

_TYPING: Final = ("Any", "Literal", "NotRequired", "TypedDict")
_ABC: Final = ("Mapping", "Sequence")
RESERVED: Final = frozenset({*_TYPING, *_ABC, "Flag", "FlagSet", *dir(builtins)})
"""What the class cannot be called."""


def module(flags: Sequence[Described], class_name: str) -> str:
    """The text of the module. class_name: an identifier that is not RESERVED."""
    types = _Types(class_name)
    names = identifiers(flag.key for flag in flags)
    lines = [_declaration(names[flag.key], flag, types) for flag in flags]
    about = f'    """For one context: `{class_name}(flags.bind(context))`. Each attribute is a flag\'s value."""\n'
    body = f"class {class_name}(FlagSet):\n{about}" + ("\n" + "".join(lines).rstrip("\n") + "\n" if lines else "")
    parts = "".join(f"{each}\n\n" for each in types.written)
    return f"{_HEAD}\n{_imports(parts + body, bool(lines))}\n\n{parts}{body}"


def _imports(code: str, any_flags: bool) -> str:
    def used(names: Sequence[str]) -> str:
        # Outside of texts and comments; a name within a text only makes an import that is not needed.
        return ", ".join(name for name in names if re.search(rf"\b{name}\b", code_only))

    code_only = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', '""', code)
    lines = [f"from {home} import {used(names)}\n" for home, names in _HOMES if used(names)]
    own = "from pyflagwasm.typed import Flag, FlagSet\n" if any_flags else "from pyflagwasm.typed import FlagSet\n"
    return "".join(lines) + ("\n" if lines else "") + own


_HOMES: Final = (("collections.abc", _ABC), ("typing", _TYPING))


def _declaration(name: str, flag: Described, types: _Types) -> str:
    written = types.named(flag.shape, camel(flag.key) + "Value")
    default = float(flag.default) if flag.shape == FLOAT and isinstance(flag.default, int) else flag.default
    made = "Flag" if flag.shape in (BOOL, INT, FLOAT, STR) else f"Flag[{written}]"
    head, key = f"    {name} = {made}(", text(flag.key)
    line = f"{head}{key}, default={value(default, 0, 0) if _is_short(default) else '...' * WIDTH})"
    if len(line) > WIDTH:
        before = "        default="
        line = f"{head}\n        {key},\n{before}{value(default, 8, len(before) + 1)},\n    )"
    about = docstring(flag.description or "", 4)
    return f"{line}\n{about}\n" if about else f"{line}\n"


def _is_short(default: object) -> bool:
    return not isinstance(default, (dict, list)) or len(default) < WIDTH


class _Types:
    """The types that have a name of their own, written as they come up: those of members before what has them."""

    def __init__(self, class_name: str) -> None:
        self.written: list[str] = []
        self._taken = {*RESERVED, class_name}

    def named(self, shape: Shape, name: str) -> str:
        """How a shape is written; what gets a name for that gets this one, or one like it."""
        if isinstance(shape, ListOf):
            return f"Sequence[{self.named(shape.item, f'{name}Item')}]"
        if isinstance(shape, OneOf):
            return " | ".join(self.named(each, name) for each in shape.shapes)
        if isinstance(shape, Texts):
            return self._texts(shape, self._free(name))
        if isinstance(shape, Record):
            return self._record(shape, self._free(name))
        return shape.name

    def _free(self, name: str) -> str:
        found, number = name, 2
        while found in self._taken:
            found, number = f"{name}{number}", number + 1
        self._taken.add(found)
        return found

    def _texts(self, shape: Texts, name: str) -> str:
        items = [text(each) for each in shape.texts]
        line = f"{name} = Literal[{', '.join(items)}]"
        if len(line) > WIDTH:
            comma = "," if len(items) > 1 else ""
            line = f"{name} = Literal[\n    {(',' + chr(10) + '    ').join(items)}{comma}\n]"
        self.written.append(f"{line}\n")
        return name

    def _record(self, shape: Record, name: str) -> str:
        members = []
        for key, inner, required in shape.members:
            written = self.named(inner, f"{name}{camel(key)}")
            members.append((key, written if required else f"NotRequired[{written}]"))
        if all(is_plain(key) for key, _ in members):
            lines = "".join(f"    {key}: {written}\n" for key, written in members)
            self.written.append(f"class {name}(TypedDict):\n{lines}")
        else:
            lines = "".join(f"        {text(key)}: {written},\n" for key, written in members)
            self.written.append(f'{name} = TypedDict(\n    "{name}",\n    {{\n{lines}    }},\n)\n')
        return name
