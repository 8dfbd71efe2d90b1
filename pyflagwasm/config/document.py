"""A configuration document on its way in: text to plain Python data, and the words for what is wrong with it.

Here live reading JSON strictly and naming places in it. What the members mean is the importers' matter (formats/).

Every failure is one ConfigError. A place is written as the keys that lead to it, `features[2].variations[0]._id`;
`$` is the whole document, and a key that is not a plain word is quoted, `flags["new checkout"]`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar, overload

from ..errors import ConfigError

ROOT = "$"

MAX_DEPTH = 128
"""How deep lists and objects may nest. No real configuration comes near; far below Python's recursion limit."""

T = TypeVar("T")
U = TypeVar("U")

_PLAIN_KEY = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_$-]*\Z")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_TEXT_OR_CONSTANT = re.compile(r'"(?:\\.|[^"\\])*"|-?Infinity|NaN', re.DOTALL)
_NAMES: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a text",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


# ---------------------------------------------------------------- places


def at(path: str, key: str | int) -> str:
    """The place of a member (str) or an item (int) of what lies at `path`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if not _PLAIN_KEY.match(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return key if path == ROOT else f"{path}.{key}"


def kind(value: object) -> str:
    """What a JSON value is, in words for a message: `an object`, `true or false`."""
    return _NAMES.get(type(value), type(value).__name__)


# ---------------------------------------------------------------- typed access


@overload
def expect(value: object, types: type[T], path: str, what: str) -> T: ...
@overload
def expect(value: object, types: tuple[type[T], type[U]], path: str, what: str) -> T | U: ...
@overload
def expect(value: object, types: tuple[type, ...], path: str, what: str) -> Any: ...


def expect(value: object, types: Any, path: str, what: str) -> Any:
    """`value`, if it is of one of `types`; bool is not an int here. `what` names it in the message: `the flag's state`.

    Raises ConfigError with `path`.
    """
    wanted: tuple[type, ...] = types if isinstance(types, tuple) else (types,)
    if isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted):
        return value
    if float in wanted and int in wanted:
        wanted = tuple(t for t in wanted if t is not int)  # "a number" says both
    *names, last = [_NAMES.get(t, t.__name__) for t in wanted]
    words = f"{', '.join(names)} or {last}" if names else last
    raise ConfigError(path, f"{what} must be {words}, not {kind(value)}")


@overload
def member(parent: Mapping[str, Any], key: str, types: type[T], path: str, what: str) -> T: ...
@overload
def member(parent: Mapping[str, Any], key: str, types: tuple[type[T], type[U]], path: str, what: str) -> T | U: ...
@overload
def member(parent: Mapping[str, Any], key: str, types: tuple[type, ...], path: str, what: str) -> Any: ...


def member(parent: Mapping[str, Any], key: str, types: Any, path: str, what: str) -> Any:
    """The required member `key` of the object at `path`, checked as by `expect`.

    Raises ConfigError with the member's own path, whether it is missing or of another type.
    """
    if key not in parent:
        raise ConfigError(at(path, key), f"{what} is missing")
    return expect(parent[key], types, at(path, key), what)


# ---------------------------------------------------------------- reading


def parse(data: bytes | bytearray | str | Mapping[str, Any]) -> object:
    """The document as Python data: JSON as bytes (UTF-8) or text, or a mapping that somebody has parsed already.

    Repeated members: the last one wins. Numbers: an integer literal is an int of any length, another one a float.
    The result shares nothing with a mapping passed in. Raises ConfigError, with line and column where there is one.
    """
    if isinstance(data, Mapping):
        return _copy(data, ROOT, 0)
    if isinstance(data, (bytes, bytearray)):
        text = _decode(bytes(data))
    elif isinstance(data, str):
        text = data
    else:
        raise ConfigError(ROOT, f"the document must be bytes, text or a mapping, not {type(data).__name__}")
    if text.startswith("\ufeff"):
        raise ConfigError(ROOT, "the document begins with a byte order mark: save it as UTF-8 without one")
    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_int=_read_int)
    except json.JSONDecodeError as e:
        raise ConfigError(ROOT, f"not valid JSON: {e.msg} at line {e.lineno}, column {e.colno}") from None
    except _NotANumber:
        found = next(m for m in _TEXT_OR_CONSTANT.finditer(text) if m[0][0] != '"')
        place = json.JSONDecodeError("", text, found.start())
        detail = f"not valid JSON: {found[0]} is not a number of JSON at line {place.lineno}, column {place.colno}"
        raise ConfigError(ROOT, detail) from None
    except RecursionError:
        raise ConfigError(ROOT, f"nested more than {MAX_DEPTH} deep") from None
    _check_depth(document)
    if _SURROGATE_ESCAPE.search(text) or not _encodable(text):
        _check_texts(document, ROOT)
    return document


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(ROOT, "the document is UTF-16: save it as UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        before = data[: e.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise ConfigError(ROOT, f"not UTF-8: byte 0x{data[e.start]:02x} at line {line}, column {column}") from None


class _NotANumber(ValueError):
    """json.loads met NaN or Infinity, which it would take for numbers; it does not say where."""


def _refuse_constant(literal: str) -> NoReturn:
    raise _NotANumber(literal)


def _read_int(literal: str) -> int | float:
    # int() refuses thousands of digits; such a number is no integer for any of the formats
    return int(literal) if len(literal) <= 4000 else float(literal)


def _check_depth(document: object) -> None:
    # level by level, so that no nesting can exhaust Python's stack
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(item for item in value.values() if isinstance(item, (dict, list)))
            elif isinstance(value, list):
                inner.extend(item for item in value if isinstance(item, (dict, list)))
        if not inner:
            return
        level = inner
    raise ConfigError(ROOT, f"nested more than {MAX_DEPTH} deep")


def _check_texts(value: object, path: str) -> None:
    """Refuses half surrogate pairs, which JSON's escapes can write: they have no UTF-8."""
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, path)
            _check_texts(item, at(path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_texts(item, at(path, i))


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_text(text: str, path: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as e:
        unit = ord(text[e.start])
        raise ConfigError(path, f"half a surrogate pair (U+{unit:04X}) in a text: it has no UTF-8") from None


def _copy(value: object, path: str, depth: int) -> object:
    if depth >= MAX_DEPTH and isinstance(value, (Mapping, list, tuple)):
        raise ConfigError(ROOT, f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        copied: dict[str, object] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ConfigError(path, f"the key {key!r} must be a text, not {type(key).__name__}")
            _check_text(key, path)
            copied[key] = _copy(item, at(path, key), depth + 1)
        return copied
    if isinstance(value, (list, tuple)):
        return [_copy(item, at(path, i), depth + 1) for i, item in enumerate(value)]
    if isinstance(value, str):
        _check_text(value, path)
        return value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ConfigError(path, f"{value!r} is not a JSON number")
        return value
    raise ConfigError(path, f"{type(value).__name__} is not a JSON value")
