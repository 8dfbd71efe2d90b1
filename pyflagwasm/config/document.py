"""A configuration document on its way in: text to plain Python data, and the words for what is wrong with it.

Here live reading JSON strictly and naming places in it. What the members mean is the importers' matter (formats/).

Every failure is one ConfigError. A place is written as the keys that lead to it, `features[2].variations[0]._id`;
`$` is the whole document, and a key that is not a plain word is quoted, `flags["new checkout"]`.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar, overload

from ..errors import ConfigError
from .pace import breathe
from .pieces import Pieces

ROOT = "$"

MAX_DEPTH = 128
"""How deep lists and objects may nest. No real configuration comes near; far below Python's recursion limit."""

T = TypeVar("T")
U = TypeVar("U")

_PLAIN_KEY = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_$-]*\Z")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_TEXT_OR_NUMBER = re.compile(r'"(?:\\.|[^"\\])*"|-?Infinity|NaN|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?', re.DOTALL)
_SAFE_DIGITS = 308  # no integer of so many is beyond the doubles, and int() reads them whatever its own limit is
_MOST_INT = int(sys.float_info.max)
_SHOWN = 80
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
    if len(key) > _SHOWN:  # or the paths of a few thousand values below a key of megabytes would fill the memory
        key = f"{key[:_SHOWN]}..."
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
    breathe()  # importers check every member that they read
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

    Repeated members: the last one wins. Numbers: an integer literal is an int, another one a float, which may be
    infinite; an integer beyond the range of a float is refused.
    The result shares nothing with a mapping passed in. Raises ConfigError, with line and column where there is one.
    """
    if isinstance(data, Mapping):
        try:
            return _copy(data, ROOT, 0)
        except RecursionError:  # within the depth that is allowed, but the caller's own stack was deep already
            raise ConfigError(ROOT, "the document nests too deep") from None
    if isinstance(data, (bytes, bytearray)):
        text = _decode(bytes(data))
    elif isinstance(data, str):
        text = data
    else:
        raise ConfigError(ROOT, f"the document must be bytes, text or a mapping, not {type(data).__name__}")
    if text.startswith("\ufeff"):
        raise ConfigError(ROOT, "the document begins with a byte order mark: save it as UTF-8 without one")
    try:
        document = Pieces(parse_constant=refuse_constant, parse_int=read_int).decode(text)
    except json.JSONDecodeError as e:
        raise ConfigError(ROOT, f"not valid JSON: {e.msg} at line {e.lineno}, column {e.colno}") from None
    except UnusableNumber as e:
        found = next(m for m in _TEXT_OR_NUMBER.finditer(text) if m[0] == e.literal)
        place = json.JSONDecodeError("", text, found.start())
        raise ConfigError(ROOT, f"{e} at line {place.lineno}, column {place.colno}") from None
    except RecursionError:
        raise ConfigError(ROOT, f"nested more than {MAX_DEPTH} deep") from None
    _check_depth(document)
    if ("\\u" in text and _SURROGATE_ESCAPE.search(text)) or not _encodable(text):
        _check_texts(document, ROOT)
    return document


def repeated_members(data: bytes) -> list[str]:
    """The places of members that an object gives more than once, in a document that `parse` takes.

    What stands in an object that is itself replaced by a later one is not looked at.
    """
    found: dict[int, tuple[dict[str, object], list[str]]] = {}  # the object is kept, so that its id is

    def read(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            found[id(made)] = made, [key for key, count in counts.items() if count > 1]
        return made

    document = json.loads(data, object_pairs_hook=read, parse_int=float)
    places: list[str] = []
    left: list[tuple[object, str]] = [(document, ROOT)] if found else []
    while left:
        value, path = left.pop()
        if isinstance(value, dict):
            places += [at(path, key) for key in found.get(id(value), (value, []))[1]]
            left += [(item, at(path, key)) for key, item in reversed(value.items())]
        elif isinstance(value, list):
            left += [(item, at(path, i)) for i, item in reversed(list(enumerate(value)))]
    return places


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(ROOT, "the document is UTF-16: save it as UTF-8")
    if b"\0" in data[:4]:  # in UTF-8 no JSON has any; in UTF-16 a brace has one
        raise ConfigError(ROOT, "the document is not UTF-8 (it looks like UTF-16): save it as UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        before = data[: e.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise ConfigError(ROOT, f"not UTF-8: byte 0x{data[e.start]:02x} at line {line}, column {column}") from None


class UnusableNumber(ValueError):
    """json.loads met a number that it would take or choke on; it does not say where. The text says what is wrong."""

    def __init__(self, literal: str, message: str) -> None:
        self.literal = literal
        super().__init__(message)


def refuse_constant(literal: str) -> NoReturn:
    """For json's parse_constant: NaN and Infinity are no JSON. Raises UnusableNumber."""
    raise UnusableNumber(literal, f"not valid JSON: {literal} is not a number of JSON")


def read_int(literal: str) -> int:
    """For json's parse_int. Raises UnusableNumber for an integer that no double can hold."""
    digits = len(literal.removeprefix("-"))
    if digits > _SAFE_DIGITS and (digits > _SAFE_DIGITS + 1 or math.isinf(float(literal))):
        raise UnusableNumber(literal, f"an integer of {digits} digits, which is beyond the range of a double,")
    return int(literal)


STRICT: Final = json.JSONDecoder(parse_constant=refuse_constant, parse_int=read_int)
"""Decodes JSON that is no configuration as strictly, but for its depth and texts. Raises JSONDecodeError,
UnusableNumber or RecursionError."""


def _check_depth(document: object) -> None:
    # level by level, so that no nesting can exhaust Python's stack
    level: list[object] = [document]
    for _ in range(MAX_DEPTH):
        inner: list[object] = []
        for value in level:
            breathe()
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
    breathe()
    if depth >= MAX_DEPTH and isinstance(value, (Mapping, list, tuple)):
        start = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}..."
        raise ConfigError(start, f"nested more than {MAX_DEPTH} deep")
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
    if isinstance(value, int) and abs(value) > _MOST_INT:
        raise ConfigError(path, "an integer beyond the range of a double")
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ConfigError(path, f"{value!r} is not a JSON number")
        return value
    raise ConfigError(path, f"{type(value).__name__} is not a JSON value")
