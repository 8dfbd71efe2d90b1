"""Constants as bytes: 16-byte Values, their heap, and runs of fixed-size records, each stored once.

What the records mean to a node is graph.py's and lower.py's business.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from .._abi import LIMITS_VALUE_DEPTH, VALUE, VALUE_SIZE, Kind, Space
from .model import JSON

_INT: Final = struct.Struct("<BBHIq")
_FLOAT: Final = struct.Struct("<BBHId")
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1

NOTHING: Final = bytes(VALUE_SIZE)
"""The Value of kind Missing."""


class Refused(Exception):
    """Something that cannot be compiled, in words. compile.py turns it into a ConfigError that says where."""


def clamp(number: int) -> int:
    """The nearest integer of 64 bits: times beyond that are beyond every clock."""
    return min(max(number, _INT_MIN), _INT_MAX)


def truthy(value: JSON) -> bool:
    """Whether a constant is truthy as schema/README.md 5 has it; unlike Python, every object is, and NaN is not."""
    if isinstance(value, Mapping):
        return True
    return bool(value) and value == value


class Runs:
    """Records of one size in one block; a run of them that was added before is not added again."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {b"": 0}

    def add(self, run: bytes, size: int) -> int:
        """The number of the run's first record; `size` is that of a record, in bytes."""
        first = self._known.get(run)
        if first is None:
            first = self._known[run] = len(self.data) // size
            self.data += run
        return first


class Constants:
    """The constants of one configuration: `values`, and the `heap` with their texts and members.

    Scalars and texts are stored once per type and value: true, 1 and 1.0 are three. Lists and objects are stored once
    per object of the model, because two lists that look alike are not loosely equal.
    """

    def __init__(self) -> None:
        self.heap = bytearray()
        self.values = Runs()
        self._places: dict[bytes, int] = {b"": 0}
        self._texts: dict[str, bytes] = {}
        self._containers: dict[int, tuple[bytes, JSON]] = {}  # by id; the object is kept so that its id stays its own

    def run(self, values: Iterable[JSON]) -> int:
        """The number of the first of `values`, which lie side by side."""
        return self.values.add(b"".join(map(self.value, values)), VALUE_SIZE)

    def raw(self, data: bytes) -> bytes:
        """A Text of any bytes."""
        place = self._places.get(data)
        if place is None:
            place = self._places[data] = len(self.heap)
            self.heap += data
        return VALUE.pack(Kind.TEXT, Space.CONFIG, 0, len(data), place)

    def value(self, value: JSON, depth: int = 0) -> bytes:
        """The 16 bytes of a Value; what it refers to is put in the heap. Raises Refused."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes):
            return self.raw(value)
        if value is None:
            return VALUE.pack(Kind.NULL, 0, 0, 0, 0)
        if isinstance(value, bool):
            return VALUE.pack(Kind.BOOL, 0, 0, 0, value)
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            return _FLOAT.pack(Kind.FLOAT, 0, 0, 0, value)
        if isinstance(value, (list, tuple, Mapping)):
            return self._container(value, depth + 1)
        raise Refused(f"{type(value).__name__} is not a JSON value")

    def _text(self, text: str) -> bytes:
        packed = self._texts.get(text)
        if packed is None:
            try:
                data = text.encode()
            except UnicodeEncodeError:
                raise Refused(f"the text {text!a} has a lone surrogate, which UTF-8 cannot express") from None
            packed = self._texts[text] = self.raw(data)
        return packed

    def _integer(self, number: int) -> bytes:
        if _INT_MIN <= number <= _INT_MAX:
            return _INT.pack(Kind.INT, 0, 0, 0, number)
        try:
            return _FLOAT.pack(Kind.FLOAT, 0, 0, 0, float(number))
        except OverflowError:
            raise Refused("an integer is too large for a double") from None

    def _container(self, value: Sequence[JSON] | Mapping[str, JSON], depth: int) -> bytes:
        if depth > LIMITS_VALUE_DEPTH:
            raise Refused(f"a constant nests deeper than {LIMITS_VALUE_DEPTH} lists and objects")
        known = self._containers.get(id(value))
        if known is not None:
            return known[0]
        if isinstance(value, Mapping):
            kind = Kind.OBJECT
            members = b"".join(self._key(key) + self.value(member, depth) for key, member in value.items())
        else:
            kind = Kind.LIST
            members = b"".join(self.value(member, depth) for member in value)
        self.heap += bytes(-len(self.heap) % 8)
        packed = VALUE.pack(kind, Space.CONFIG, 0, len(value), len(self.heap))
        self.heap += members or bytes(8)  # an empty list, too, has a place of its own
        self._containers[id(value)] = packed, value
        return packed

    def _key(self, key: JSON) -> bytes:
        if not isinstance(key, str):
            raise Refused(f"{key!a} is not a text and cannot be the key of an object")
        return self._text(key)
