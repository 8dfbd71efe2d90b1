"""JSON values as schema/README.md section 5 defines them, in plain Python, slowly.

Here live the kinds, conversions, equalities, orders, look-ups, hashes and CBOR. Versions are in reference_slot.py, the
operations in reference.py. Python's own float(), repr(), % and comparison are the definition, so they are used as they
are. A Text is bytes, which may be no UTF-8 at all. A List or Object knows where it lies, for "the very same value".
"""

from __future__ import annotations

import itertools
import math
import re
import struct
import tomllib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.Kind import Kind
from fbs_generated.Order import Order

LAYOUT = tomllib.loads((Path(__file__).parent.parent / "schema" / "layout.toml").read_text("utf-8"))
LIMITS: dict[str, int] = LAYOUT["limits"]
I64_MIN, I64_MAX = -(2**63), 2**63 - 1
NAN = math.nan

Value = Any
"""None, bool, int, float, bytes (a Text), Composite."""


class Failure(Exception):
    """The evaluation ends with this error and no rule."""

    def __init__(self, error: int) -> None:
        super().__init__(error)
        self.error = error


class Unspecified(Exception):
    """The program does what the contract gives no meaning to; the core must still answer."""


class Composite:
    """A List or an Object. `identity` is (space, offset, length); `items` are the members, or (key, member) pairs."""

    def __init__(self, kind: int, identity: tuple[Any, ...], load: Callable[[], Sequence[Any]]) -> None:
        self.kind, self.identity, self._load = kind, identity, load

    @cached_property
    def items(self) -> tuple[Any, ...]:
        return tuple(self._load())

    def __len__(self) -> int:
        return self.identity[-1]

    def members(self) -> dict[bytes, Value]:
        """Of an Object: the last one counts if a key is repeated."""
        return dict(self.items)


_fresh = itertools.count()


def new_list(items: Iterable[Value]) -> Composite:
    found = tuple(items)
    return Composite(Kind.List, ("made", next(_fresh), len(found)), lambda: found)


def new_object(*pairs: tuple[bytes, Value]) -> Composite:
    return Composite(Kind.Object, ("made", next(_fresh), len(pairs)), lambda: pairs)


def kind_of(value: Value) -> int:
    if value is None:
        return Kind.Null
    if isinstance(value, Composite):
        return value.kind
    return {bool: Kind.Bool, int: Kind.Int, float: Kind.Float, bytes: Kind.Text}[type(value)]


def is_list(value: Value) -> bool:
    return kind_of(value) == Kind.List


def in_64_bits(operation: Callable[[Any, Any], int | float], x: int | float, y: int | float) -> int | float:
    """The result, computed in doubles if it is an integer beyond 64 bits."""
    result = operation(x, y)
    return operation(float(x), float(y)) if isinstance(result, int) and not I64_MIN <= result <= I64_MAX else result


def deeper(depth: int) -> int:
    if depth >= LIMITS["value_depth"]:
        raise Failure(ErrorCode.LimitExceeded)
    return depth + 1


# ---------------------------------------------------------------- conversions


def truthy(value: Value) -> bool:
    kind = kind_of(value)
    if kind == Kind.Object:
        return True
    if kind == Kind.Float:
        return value != 0 and not math.isnan(value)
    return value is not None and (len(value) > 0 if kind in (Kind.Text, Kind.List) else value != 0)


def number_of(value: Value, depth: int = 0) -> int | float:
    kind = kind_of(value)
    if kind == Kind.Null:
        return 0
    if kind in (Kind.Bool, Kind.Int):
        return int(value)
    if kind == Kind.Float:
        return value
    if kind == Kind.Text:
        text = value.decode("utf-8", "surrogateescape")
        try:
            if text.strip().lower() in ("inf", "+inf", "-inf") or any(c.isdigit() and not c.isascii() for c in text):
                return NAN
            return float(text)
        except ValueError:
            return NAN
    if kind == Kind.List and len(value) < 2:
        return number_of(value.items[0], deeper(depth)) if len(value) else 0
    return NAN


def text_of(value: Value, depth: int = 0) -> bytes:
    kind = kind_of(value)
    if kind == Kind.Text:
        return value
    if kind == Kind.Float:
        return b"%.15g" % value
    if kind == Kind.List:
        return b",".join(text_of(member, deeper(depth)) for member in value.items)
    if kind == Kind.Object:
        return b"[object Object]"
    return b"null" if value is None else str(value).encode()


def exact_text(value: Value) -> bytes | None:
    """The text of a value as versions read it: no List or Object, floats as repr."""
    kind = kind_of(value)
    if kind == Kind.Text:
        return value
    return repr(value).encode() if kind in (Kind.Int, Kind.Float) else None


def characters(text: bytes) -> list[bytes]:
    return [c.encode("utf-8", "surrogateescape") for c in text.decode("utf-8", "surrogateescape")]


def utf16_units(text: bytes) -> list[int]:
    encoded = text.decode("utf-8", "replace").encode("utf-16-le", "surrogatepass")
    return [unit for (unit,) in struct.iter_unpack("<H", encoded)]


# ---------------------------------------------------------------- equality and order

NUMBERS = (Kind.Bool, Kind.Int, Kind.Float)


def strictly_equal(x: Value, y: Value, depth: int = 0) -> bool:
    kinds = (kind_of(x), kind_of(y))
    if kinds[0] in NUMBERS and kinds[1] in NUMBERS:
        return bool(x == y)
    if kinds[0] != kinds[1]:
        return False
    if kinds[0] == Kind.List:
        return len(x) == len(y) and all(
            strictly_equal(a, b, deeper(depth)) for a, b in zip(x.items, y.items, strict=True)
        )
    if kinds[0] == Kind.Object:
        a, b = x.members(), y.members()
        return a.keys() == b.keys() and all(strictly_equal(a[key], b[key], deeper(depth)) for key in a)
    return bool(x == y)


def loosely_equal(x: Value, y: Value) -> bool:
    kinds = {kind_of(x), kind_of(y)}
    if len(kinds) == 1:
        return x.identity == y.identity if isinstance(x, Composite) else strictly_equal(x, y)
    if kinds & set(NUMBERS):
        return number_of(x) == number_of(y)
    return Kind.Null not in kinds and Kind.Text in kinds and text_of(x) == text_of(y)


def three_way(x: Any, y: Any) -> int:
    """The bit of `Order`, 0 if neither."""
    return Order.Less if x < y else Order.Equal if x == y else Order.Greater if x > y else 0


def ordered(x: Value, y: Value) -> int:
    kinds = {kind_of(x), kind_of(y)}
    if Kind.Text in kinds and not kinds & set(NUMBERS):
        return three_way(text_of(x), text_of(y))
    return three_way(number_of(x), number_of(y))


def contains(haystack: Value, needle: Value) -> bool:
    if is_list(haystack):
        return any(strictly_equal(member, needle) for member in haystack.items)
    return kind_of(haystack) == Kind.Text and text_of(needle) in haystack


# ---------------------------------------------------------------- look-up and substring


def look_up(base: Value, key: Value) -> Value:
    if key is None or key == b"":
        return base
    if kind_of(key) in NUMBERS:
        if key >= 0 and key == key // 1:
            return item_at(base, int(key))
        return None
    return follow(base, text_of(key).split(b"."))


def follow(base: Value, parts: Sequence[bytes]) -> Value:
    for part in parts:
        kind = kind_of(base)
        if kind == Kind.Object:
            base = base.members().get(part)
        elif kind in (Kind.List, Kind.Text):
            if part == b"length":
                return len(base.items) if kind == Kind.List else len(characters(base))
            base = item_at(base, int(part)) if re.fullmatch(rb"0|[1-9][0-9]{0,18}", part) else None
        else:
            return None
    return base


def item_at(base: Value, index: int) -> Value:
    kind = kind_of(base)
    if kind not in (Kind.List, Kind.Text):
        return None
    items = base.items if kind == Kind.List else characters(base)
    return items[index] if index < len(items) else None


def blank(value: Value) -> bool:
    return value is None or value == b""


def bool_or_number(value: Value) -> bool | int | float:
    """What min and max compare, and hand out: a Bool stays one."""
    while is_list(value) and len(value) == 1:
        value = value.items[0]
    return value if isinstance(value, bool) else number_of(value)


def substring(text: Value, index: Value, length: Value) -> bytes:
    units = characters(text_of(text))
    i, n = number_of(index), number_of(length)
    if i == math.inf or math.isinf(n):
        raise Failure(ErrorCode.General)
    if math.isnan(i):
        start = 0
    elif i < 0:
        start = 0 if -i >= len(units) else len(units) - math.trunc(-i)
    else:
        start = min(math.trunc(i), len(units))
    if length is None:
        return b"".join(units[start:])
    if math.isnan(n):
        return b""
    whole = math.trunc(n)
    return b"".join(units[start : max(len(units) + whole, start) if whole < 0 else start + whole])


# ---------------------------------------------------------------- hashes


def murmur3(data: bytes, seed: int = 0) -> int:
    """MurmurHash3 x86 32."""

    def rotate(x: int, by: int) -> int:
        return (x << by | x >> (32 - by)) & 0xFFFFFFFF

    def scramble(k: int) -> int:
        return rotate(k * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF

    h, whole = seed, len(data) // 4 * 4
    for at in range(0, whole, 4):
        h = rotate(h ^ scramble(int.from_bytes(data[at : at + 4], "little")), 13) * 5 + 0xE6546B64 & 0xFFFFFFFF
    h ^= scramble(int.from_bytes(data[whole:], "little")) ^ len(data)
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def cbor(value: Value, depth: int = 0) -> bytes:
    """The canonical item."""
    kind = kind_of(value)
    if kind == Kind.Text:
        return _head(3, len(value)) + value
    if kind == Kind.Float:
        if math.isfinite(value) and value == int(value) and -(2**63) <= value < 2**64:
            return cbor(int(value))
        return _cbor_float(value)
    if kind == Kind.Int:
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if kind == Kind.List:
        return _head(4, len(value)) + b"".join(cbor(member, deeper(depth)) for member in value.items)
    if kind == Kind.Object:
        pairs = [(cbor(key), cbor(member, deeper(depth))) for key, member in value.members().items()]
        pairs.sort(key=lambda pair: (len(pair[0]), pair[0]))
        return _head(5, len(pairs)) + b"".join(key + member for key, member in pairs)
    return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    size = next(size for size in (0, 1, 2, 3) if argument < 1 << (8 << size))
    return bytes([major << 5 | 24 + size]) + argument.to_bytes(1 << size, "big")


def _cbor_float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for first, form in ((0xF9, ">e"), (0xFA, ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            return bytes([first]) + packed
    return b"\xfb" + struct.pack(">d", value)
