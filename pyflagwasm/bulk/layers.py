"""What the rows of a column are to the core: by kind, as single evaluation takes the value that Arrow gives Python.

A `Layers` has an array for each kind of value that occurs, of the types that columns.py writes; the rows that cannot be
sent (INVALID_CONTEXT, as `runtime/plain.py` refuses them); and the rows whose value is a list or an object, which only
a single evaluation can take. Whatever is neither is nothing: null.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._abi import Kind
from ..config.model import MISSING
from ..config.pace import breathe
from ..runtime.plain import INT_MAX, INT_MIN, double, plain
from . import columns

Rows = np.ndarray[Any, np.dtype[np.bool_]]
"""A truth value for each row."""

_LARGEST_DICTIONARY: Final = 1 << 19
"""Bytes of a dictionary that is worth writing for each piece of the rows."""
_AT_ONCE: Final = 256
"""Values that are converted to Python's between two pauses for other threads."""


class Unreadable:
    """Stands for a value that Arrow has and Python cannot have, as text that is not UTF-8."""

    def __str__(self) -> str:
        raise ValueError("a value that cannot be read has no text")


UNREADABLE: Final = Unreadable()


@dataclass(frozen=True)
class Layers:
    """arrays: a later one over earlier ones, where it has a value. null: where the value is null, which is something.

    refused: the rows that cannot be sent. single: those that only a single evaluation can take. None for none.
    """

    arrays: tuple[pa.Array, ...] = ()
    null: pa.Array | None = None
    refused: Rows | None = None
    single: Rows | None = None

    def over(self, other: Layers) -> Layers:
        """These layers over others: where these have a value, or cannot, the others do not count."""
        if self.empty or other.empty:
            return other if self.empty else self
        if other.null is not None:
            raise ValueError("what may be null has nothing over it")
        refused, single = other.refused, other.single
        for rows in (refused, single):
            if rows is not None:
                covered = self.covered(len(rows))
                refused, single = _but(refused, covered), _but(single, covered)
                break
        return Layers(other.arrays + self.arrays, self.null, joined(refused, self.refused), joined(single, self.single))

    @property
    def empty(self) -> bool:
        """Whether there is nothing in any row."""
        return not self.arrays and self.null is None and self.refused is None and self.single is None

    def covered(self, length: int) -> Rows:
        """The rows for which there is something here."""
        found = np.zeros(length, np.bool_)
        for array in (*self.arrays, *(() if self.null is None else (self.null,))):
            found |= valid(array)
        for rows in (self.refused, self.single):
            if rows is not None:
                found |= rows
        return found


def _but(rows: Rows | None, without: Rows) -> Rows | None:
    return None if rows is None else some(rows & ~without)


def some(rows: Rows) -> Rows | None:
    """None for no rows."""
    return rows if rows.any() else None


def joined(one: Rows | None, other: Rows | None) -> Rows | None:
    """The rows of either."""
    return one if other is None else other if one is None else one | other


def valid(array: pa.Array) -> Rows:
    """The rows in which an array has a value."""
    if not array.null_count:
        return np.ones(len(array), np.bool_)
    return np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False))


# ---------------------------------------------------------------- by type


def is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_nested(kind: pa.DataType) -> bool:
    """Whether values of the type are lists or objects."""
    if isinstance(kind, pa.BaseExtensionType):
        return False
    return bool(pa.types.is_nested(kind))


def is_scalar(kind: pa.DataType) -> bool:
    """Whether values of the type are of one kind, or cannot be sent."""
    return not is_nested(kind) and not (pa.types.is_dictionary(kind) and is_nested(kind.value_type))


def kinds_of(kind: pa.DataType) -> int | None:
    """Of which kinds (a bit each) Python's values of the type are at once; None where they are converted before."""
    if isinstance(kind, pa.BaseExtensionType):
        return None
    if pa.types.is_dictionary(kind):
        return kinds_of(kind.value_type)
    if is_text(kind) or _is(kind, "is_string_view"):
        return 1 << Kind.TEXT
    if pa.types.is_boolean(kind):
        return 1 << Kind.BOOL
    if gives_number(kind):
        return 1 << Kind.INT | 1 << Kind.FLOAT
    if is_nested(kind):
        return 1 << Kind.LIST | 1 << Kind.OBJECT
    return 0 if pa.types.is_null(kind) else None


def gives_number(kind: pa.DataType) -> bool:
    """Whether each value of the type is a number to single evaluation."""
    if pa.types.is_dictionary(kind):
        return gives_number(kind.value_type)
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is(kind: pa.DataType, test: str) -> bool:
    return bool(getattr(pa.types, test, lambda of: False)(kind))  # not every pyarrow knows every type


def layers_of(array: pa.Array) -> Layers:
    """What the values of an array of any type are."""
    kind = array.type
    if pa.types.is_null(kind):
        return Layers()
    if pa.types.is_boolean(kind) or pa.types.is_floating(kind):
        return Layers((array,))
    if pa.types.is_uint64(kind):
        return _unsigned(array)
    if pa.types.is_integer(kind):
        return Layers((array,))
    if is_text(kind):
        return _text(array)
    if _is(kind, "is_string_view"):
        return _text(array.cast(pa.large_string()))
    if pa.types.is_dictionary(kind):
        return _dictionary(array)
    if _is(kind, "is_run_end_encoded"):
        return layers_of(pc.run_end_decode(array))
    if is_nested(kind):
        return Layers(single=some(valid(array)))
    return _by_value(array)


def _unsigned(array: pa.Array) -> Layers:
    """An integer beyond 64 bits with a sign is the nearest double, as everywhere."""
    values = columns.fixed(array)
    beyond = values > INT_MAX
    if array.null_count:
        beyond &= valid(array)
    if not beyond.any():
        return Layers((array,))
    floats = pa.array(values.astype(np.float64), mask=~beyond)
    return Layers((pa.array(values.view(np.int64), mask=beyond | ~valid(array)), floats))


def _text(array: pa.Array) -> Layers:
    """Text that is not UTF-8 cannot be sent. Looked at only where there is something beyond ASCII."""
    ends, buffer = columns.offsets(array), array.buffers()[2]
    if buffer is None or not len(array):
        return Layers((array,))
    data = np.frombuffer(buffer, np.uint8)[int(ends[0]) : int(ends[-1])]
    if not len(data) or data.max() < 0x80:
        return Layers((array,))
    try:
        array.validate(full=True)
        return Layers((array,))
    except pa.ArrowInvalid:
        pass
    wrong = np.fromiter(map(_is_wrong, array.cast(_binary(array.type)).to_pylist()), np.bool_, len(array))
    if not wrong.any():
        return Layers((array,))
    return Layers((pc.if_else(pa.array(wrong), pa.scalar(None, array.type), array),), refused=wrong)


def _binary(kind: pa.DataType) -> pa.DataType:
    return pa.large_binary() if pa.types.is_large_string(kind) else pa.binary()


def _is_wrong(data: bytes | None) -> bool:
    try:
        (data or b"").decode()
        return False
    except UnicodeDecodeError:
        return True


def _dictionary(array: pa.DictionaryArray) -> Layers:
    words = array.dictionary
    if _is(words.type, "is_string_view"):
        words = words.cast(pa.large_string())
    found = layers_of(words)
    if found.single is not None:
        return layers_of(array.dictionary_decode())
    if is_text(words.type) and found.refused is None and not words.null_count:
        ends = columns.offsets(words)
        if int(ends[-1]) - int(ends[0]) + 4 * len(words) <= _LARGEST_DICTIONARY:
            if words is not array.dictionary:
                array = pa.DictionaryArray.from_arrays(array.indices, words)
            return Layers((array,))
    refused = None if found.refused is None else _taken(found.refused, array.indices)
    return Layers(tuple(each.take(array.indices) for each in found.arrays), refused=refused)


def _taken(rows: Rows, indices: pa.Array) -> Rows | None:
    """The rows whose index names one of `rows`."""
    return some(np.asarray(pc.fill_null(pa.array(rows).take(indices), False).to_numpy(zero_copy_only=False)))


def _by_value(array: pa.Array) -> Layers:
    """What Python's values are: each distinct one is looked at once, where Arrow can tell them apart."""
    array = in_python(array)
    try:
        distinct = array.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError, AttributeError):
        return by_kind(pythonic(array))
    found = by_kind(pythonic(distinct.dictionary))
    refused = None if found.refused is None else _taken(found.refused, distinct.indices)
    return Layers(tuple(each.take(distinct.indices) for each in found.arrays), refused=refused)


# ---------------------------------------------------------------- values of Python


def in_python(array: pa.Array) -> pa.Array:
    """The array with moments of nanoseconds cut to the microseconds that Python's have."""
    if pa.types.is_timestamp(array.type) and array.type.unit == "ns":
        return pc.floor_temporal(array, unit="microsecond").cast(pa.timestamp("us", array.type.tz))
    return array


def pythonic(array: pa.Array) -> list[Any]:
    """As `to_pylist`, MISSING for null, UNREADABLE for what Python cannot have; the same inside of objects."""
    array, values = in_python(array), list[Any]()
    for start in range(0, len(array), _AT_ONCE):
        breathe()
        piece = array.slice(start, _AT_ONCE)
        try:
            values += piece.to_pylist()
        except Exception:  # whatever Arrow raises for a value that it cannot convert
            values += map(_pythonic, piece)
    if not is_nested(array.type):
        return [MISSING if value is None else value for value in values]
    return [MISSING if value is None else without_nulls(value, array.type) for value in values]


def _pythonic(scalar: pa.Scalar) -> Any:
    breathe()
    try:
        return scalar.as_py()
    except Exception:
        return UNREADABLE


def without_nulls(value: Any, kind: pa.DataType) -> Any:
    """A value without the members of objects that are null: they are absent. Entries of maps and lists stay."""
    breathe()
    if value is None or value is UNREADABLE or isinstance(kind, pa.BaseExtensionType):
        return value
    if pa.types.is_struct(kind):
        types = {each.name: each.type for each in kind}
        return {key: without_nulls(member, types[key]) for key, member in value.items() if member is not None}
    if pa.types.is_map(kind):
        return {key: without_nulls(member, kind.item_type) for key, member in value}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [without_nulls(member, kind.value_type) for member in value]
    return value


def by_kind(values: Sequence[Any]) -> Layers:
    """The layers of Python's values, MISSING for nothing; None is null, a value."""
    kinds: dict[type, list[Any]] = {}
    count = len(values)
    refused, single = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    for row, value in enumerate(values):
        breathe()
        if value is MISSING:
            continue
        try:
            value = plain(value)
            if type(value) is int and not INT_MIN <= value <= INT_MAX:
                value = double(value)
            if type(value) is str:
                value.encode()
        except Exception:  # EncodeError, no UTF-8, or whatever the value's own code raises
            refused[row] = True
            continue
        kind: type[Any] = type(value)
        if kind in _TYPES:
            if kind not in kinds:
                kinds[kind] = [None] * count
            kinds[kind][row] = value
        else:
            single[row] = True
    arrays = tuple(pa.array(kinds[kind], _TYPES[kind]) for kind in kinds if kind is not type(None))
    return Layers(arrays, _nulls(values) if type(None) in kinds else None, some(refused), some(single))


_TYPES: Final[dict[type, pa.DataType]] = {
    str: pa.large_string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    type(None): pa.null(),
}


def _nulls(values: Iterable[Any]) -> pa.Array:
    return pa.array([True if value is None else None for value in values], pa.bool_())


def scattered(found: Layers, rows: Rows) -> Layers:
    """Layers that were made for the marked rows alone, in their places among all of them."""
    positions = np.cumsum(rows) - 1
    indices = pa.array(positions, mask=~rows)
    spread: list[Rows | None] = []
    for marked in (found.refused, found.single):
        whole = None
        if marked is not None:
            whole = np.zeros(len(rows), np.bool_)
            whole[rows] = marked
        spread.append(whole)
    null = None if found.null is None else found.null.take(indices)
    return Layers(tuple(each.take(indices) for each in found.arrays), null, *spread)
