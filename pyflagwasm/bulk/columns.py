"""Arrow arrays as columns of a batch of the core (schema/README.md 3.4), written into its region.

Here are bytes only. Which arrays there are for a slot is layers.py's and slots.py's business; each array here is of one
kind: bool, an integer or a float of any width, or UTF-8 text, plain or in a dictionary. Null is nothing at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from .. import _abi

DICTIONARY: Final = 0x40
FURTHER: Final = 0x80
_LOW: Final = 0xFFFFFFFF

Region = np.ndarray[Any, np.dtype[np.uint8]]
Record = tuple[int, int, int, int, int, int]
"""kind, how, data, offsets, validity, indices"""


class Column(Protocol):
    """The values of one slot, or of the part of its rows that have this kind."""

    def size(self, start: int, stop: int) -> int:
        """An upper bound of the bytes that the rows need in the region."""

    def longest(self) -> int:
        """The bytes of the longest text, or an upper bound."""

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[Record, int]:
        """Write the rows at an offset that is a multiple of 8; the record, and where the next column may begin."""


def _aligned(at: int) -> int:
    return at + 7 & ~7


class _Bits:
    """A bit for each row: from a buffer, of which the first row's bit is number `first`."""

    __slots__ = ("data", "first")

    def __init__(self, buffer: Any, first: int) -> None:
        self.data, self.first = np.frombuffer(buffer, np.uint8), first

    def size(self, start: int, stop: int) -> int:
        return (stop - start) // 8 + 16

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[int, int]:
        """At which bit the rows begin there, and where the next may be written."""
        first, last = self.first + start, self.first + stop
        piece = self.data[first // 8 : (last + 7) // 8]
        region[at : at + len(piece)] = piece
        return first % 8, _aligned(at + len(piece))


class _Masked:
    """What all columns have: which rows have a value."""

    __slots__ = ("validity",)

    def __init__(self, array: pa.Array) -> None:
        buffer = array.buffers()[0] if array.null_count else None
        self.validity = None if buffer is None else _Bits(buffer, array.offset)

    def longest(self) -> int:
        return 0

    def masked(self, region: Region, at: int, start: int, stop: int) -> tuple[int, int, int]:
        """The bits of `how`, the offset of the validity, where the next may be written."""
        if self.validity is None:
            return 0, 0, at
        shift, end = self.validity.write(region, at, start, stop)
        return shift, at, end


class Null(_Masked):
    """Null wherever the array has a value, whatever that is: kind Null is not the absence of a value."""

    __slots__ = ()

    def size(self, start: int, stop: int) -> int:
        return (stop - start) // 8 + 16

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[Record, int]:
        how, validity, end = self.masked(region, at, start, stop)
        return (int(_abi.Kind.NULL), how, 0, 0, validity, 0), end


class Bool(_Masked):
    __slots__ = ("bits",)

    def __init__(self, array: pa.Array) -> None:
        super().__init__(array)
        self.bits = _Bits(_buffer(array, 1), array.offset)

    def size(self, start: int, stop: int) -> int:
        return 2 * self.bits.size(start, stop)

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[Record, int]:
        shift, after = self.bits.write(region, at, start, stop)
        how, validity, end = self.masked(region, after, start, stop)
        return (int(_abi.Kind.BOOL), how | shift << 3, at, 0, validity, 0), end


class Number(_Masked):
    """Integers of any width that fit 64 bits with a sign, or floats of any width."""

    __slots__ = ("kind", "values", "wide")

    def __init__(self, array: pa.Array) -> None:
        super().__init__(array)
        floating = pa.types.is_floating(array.type)
        self.kind = _abi.Kind.FLOAT if floating else _abi.Kind.INT
        self.wide: np.dtype[Any] = np.dtype("<f8" if floating else "<i8")
        self.values = fixed(array)

    def size(self, start: int, stop: int) -> int:
        return 8 * (stop - start) + (stop - start) // 8 + 24

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[Record, int]:
        after = at + 8 * (stop - start)
        region[at:after].view(self.wide)[:] = self.values[start:stop]
        how, validity, end = self.masked(region, after, start, stop)
        return (int(self.kind), how, at, 0, validity, 0), end


class Text(_Masked):
    """Text with offsets of 32 or 64 bits."""

    __slots__ = ("data", "offsets")

    def __init__(self, array: pa.Array) -> None:
        super().__init__(array)
        self.offsets, self.data = _texts(array)

    def longest(self) -> int:
        return _longest(self.offsets)

    def size(self, start: int, stop: int) -> int:
        texts = int(self.offsets[stop]) - int(self.offsets[start])
        return texts + 4 * (stop - start) + (stop - start) // 8 + 48

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[Record, int]:
        data, place, end = _put_texts(region, at, self.data, self.offsets[start : stop + 1])
        how, validity, end = self.masked(region, end, start, stop)
        return (int(_abi.Kind.TEXT), how, data, place, validity, 0), end


class DictionaryText(_Masked):
    """Text in a dictionary, which is written once for each piece of the rows. The dictionary has no nulls."""

    __slots__ = ("data", "indices", "offsets")

    def __init__(self, array: pa.DictionaryArray) -> None:
        super().__init__(array)
        dictionary = array.dictionary
        self.indices = fixed(array.indices)
        self.offsets, self.data = _texts(dictionary)

    def longest(self) -> int:
        return _longest(self.offsets)

    def size(self, start: int, stop: int) -> int:
        words = int(self.offsets[-1]) - int(self.offsets[0]) + 4 * len(self.offsets)
        return words + 4 * (stop - start) + (stop - start) // 8 + 64

    def write(self, region: Region, at: int, start: int, stop: int) -> tuple[Record, int]:
        data, place, indices = _put_texts(region, at, self.data, self.offsets)
        after = indices + 4 * (stop - start)
        np.copyto(region[indices:after].view("<u4"), self.indices[start:stop], casting="unsafe")
        how, validity, end = self.masked(region, _aligned(after), start, stop)
        return (int(_abi.Kind.TEXT), how | DICTIONARY, data, place, validity, indices), end


def _longest(ends: np.ndarray[Any, Any]) -> int:
    return int((ends[1:] - ends[:-1]).max(initial=0))


def _put_texts(region: Region, at: int, data: Region, ends: np.ndarray[Any, Any]) -> tuple[int, int, int]:
    """The texts, then their offsets. The record's `data` and `offsets`, and where the next may be written."""
    first, last = int(ends[0]), int(ends[-1])
    region[at : at + last - first] = data[first:last]
    place = _aligned(at + last - first)
    after = place + 4 * len(ends)
    target = region[place:after].view("<u4")
    if ends.dtype.itemsize == 4:  # the core counts from `data` on in 32 bits, and wraps
        target[:] = ends.view("<u4")
        return at - first & _LOW, place, _aligned(after)
    np.subtract(ends, first, out=target, casting="unsafe")
    return at, place, _aligned(after)


def _buffer(array: pa.Array, number: int) -> Any:
    buffer = array.buffers()[number]
    return b"" if buffer is None else buffer


def _texts(array: pa.Array) -> tuple[np.ndarray[Any, Any], Region]:
    """Offsets and bytes of an array of texts. Raises ArrowInvalid where they do not go together."""
    ends, data = offsets(array), np.frombuffer(_buffer(array, 2), np.uint8)
    if ends[0] < 0 or ends[-1] > len(data) or (ends[1:] < ends[:-1]).any():
        raise pa.ArrowInvalid("the input is corrupt: the offsets of a column of texts lie outside of its bytes")
    return ends, data


def fixed(array: pa.Array) -> np.ndarray[Any, Any]:
    """The values of an array of numbers, without a copy; anything where it is null."""
    dtype, buffer = np.dtype(array.type.to_pandas_dtype()), array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), dtype)
    return np.frombuffer(buffer, dtype, len(array), array.offset * dtype.itemsize)


def offsets(array: pa.Array) -> np.ndarray[Any, Any]:
    """The offsets of an array of texts, one more than it has, without a copy."""
    dtype = np.dtype("<i8" if pa.types.is_large_string(array.type) else "<i4")
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(1, dtype)
    return np.frombuffer(buffer, dtype, len(array) + 1, array.offset * dtype.itemsize)


def column(array: pa.Array) -> Column:
    """The column of an array of one of the types that this module knows."""
    kind = array.type
    if pa.types.is_boolean(kind):
        return Bool(array)
    if pa.types.is_dictionary(kind):
        return DictionaryText(array)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return Number(array)
    return Text(array)


# ---------------------------------------------------------------- the whole batch


def needed(columns: Sequence[Column], flags: int, start: int, stop: int) -> int:
    """An upper bound of the bytes of a batch of these rows."""
    head = 64 + 8 * flags + 24 * len(columns)
    return head + sum(column.size(start, stop) for column in columns) + 8 * flags * (stop - start)


def write(
    region: Region, flags: Sequence[int], columns: Sequence[tuple[int, bool, Column]], start: int, stop: int
) -> int:
    """Write a batch: the flags' indices and, for each column, its slot and whether it is a further one of the slot.

    The offset of the output.
    """
    at = 16 + 4 * len(flags)
    region[16:at].view("<u4")[:] = flags
    records = _aligned(at)
    at = records + 24 * len(columns)
    table = np.zeros((len(columns), 6), "<u4")
    for number, (slot, further, each) in enumerate(columns):
        (kind, how, data, place, validity, indices), at = each.write(region, at, start, stop)
        how |= FURTHER if further else 0
        table[number] = slot | kind << 16 | how << 24, data, place, validity, indices, 0
    region[records : records + 24 * len(columns)] = table.reshape(-1).view(np.uint8)
    output = _aligned(at + 8)
    region[:16].view("<u4")[:] = len(columns), len(flags), output, 0
    return output
