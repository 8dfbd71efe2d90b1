"""NDJSON, one evaluation context on a line: what `pyflagwasm evaluate --contexts` reads, as columns.

Arrow's own reader takes texts that look like times for times and ends at the first line whose types differ. Here a
line is what Python's json says it is, and a batch has the columns that its lines have. Where Arrow's says the same,
quick_lines.py uses it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from ...config.document import UnusableNumber, kind, read_int, refuse_constant
from .quick_lines import Quick
from .reading import BATCH_ROWS, KEPT, FileError, Input, Reading, Source, checked

JSON_TEXT: Final = {b"pyflagwasm.json": b"1"}
"""The metadata of a field whose texts are JSON."""

_BLOCK: Final = 4 << 20
_FIRST: Final = 1 << 20
_LONGEST: Final = 64 << 20
_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_BLANKS: Final = " \t\r\n"
_STRICT: Final = json.JSONDecoder(parse_constant=refuse_constant, parse_int=read_int)
_decode: Final = _STRICT.raw_decode
_KEPT_TYPES: Final = {bool: pa.bool_(), str: pa.string(), int: pa.int64(), float: pa.float64()}


def read_lines(source: Source, how: Reading) -> Input:
    """Lines as batches, each with a schema of its own. Raises FileError with the number of a line that is none."""
    blocks = _blocks(source)
    objects = _Objects(source.name)
    first = next(blocks, b"")
    rows = objects.read(first)
    kept = _kept_fields(rows, source.name, how)
    notes: Counter[str] = Counter()
    batches = _batches(rows, blocks, objects, kept, how, notes)
    carried = {KEPT + each.name: each for each in kept}
    return Input(source.name, batches, carried, size=source.size, position=source.position, notes=notes)


def _batches(
    rows: list[dict[str, Any]],
    blocks: Iterator[bytes],
    objects: _Objects,
    kept: list[pa.Field],
    how: Reading,
    notes: Counter[str],
) -> Iterator[pa.RecordBatch]:
    quick = Quick(kept, lambda name: name in how.needs or how.wants(name) or (how.keep is None))
    yield from _pieces(rows, kept, how, notes, quick)
    for block in blocks:
        batch = quick.read(block)
        if batch is None:
            yield from _pieces(objects.read(block), kept, how, notes, quick)
            continue
        objects.skip(batch.num_rows)
        for first in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(first, BATCH_ROWS)


def _pieces(
    rows: list[dict[str, Any]], kept: list[pa.Field], how: Reading, notes: Counter[str], quick: Quick
) -> Iterator[pa.RecordBatch]:
    for first in range(0, len(rows), BATCH_ROWS):
        batch = _batch(rows[first : first + BATCH_ROWS], kept, how, notes)
        quick.learn(batch)
        yield batch


def _batch(rows: list[dict[str, Any]], kept: list[pa.Field], how: Reading, notes: Counter[str]) -> pa.RecordBatch:
    names = list(dict.fromkeys(name for row in rows for name in row))
    wanted = [*how.needs, *(name for name in names if name not in how.needs and how.wants(name))]
    arrays = [column([row.get(name) for row in rows]) for name in wanted]
    fields = [pa.field(name, array.type) for name, array in zip(wanted, arrays, strict=True)]
    for each in kept:
        arrays.append(_kept_column(each, rows, notes))
        fields.append(each.with_name(KEPT + each.name))
    if not fields:  # rows without anything
        arrays, fields = [pa.nulls(len(rows))], [pa.field(KEPT, pa.null())]
    if how.keep is None:
        known = {each.name for each in kept}
        for name in names:
            if name not in known:
                missed = sum(name in row for row in rows)
                notes[f"column {name}: not carried, as the first lines do not have it"] += missed
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


# ---------------------------------------------------------------- lines


class _Objects:
    """Lines as objects; knows how many lines there were."""

    def __init__(self, name: str) -> None:
        self._name, self._lines = name, 0

    def skip(self, lines: int) -> None:
        self._lines += lines

    def read(self, block: bytes) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        lines = block.split(b"\n")
        if not lines[-1]:
            lines.pop()
        for number, line in enumerate(lines, self._lines + 1):
            try:
                text = line.decode().strip(_BLANKS)
                if not text:
                    continue
                value, end = _decode(text)
            except (UnicodeDecodeError, ValueError, RecursionError) as error:
                raise FileError(f"{self._name}: line {number}: {_reason(error)}") from None
            if end != len(text):
                raise FileError(f"{self._name}: line {number}: not valid JSON: Extra data at column {end + 1}")
            if type(value) is not dict:
                raise FileError(f"{self._name}: line {number}: must be an object, not {kind(value)}")
            rows.append(value)
        self._lines += len(lines)
        return rows


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start + 1} of the line"
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg} at column {error.colno}"
    if isinstance(error, UnusableNumber):
        return str(error).rstrip(",")
    return "nested too deep" if isinstance(error, RecursionError) else str(error)


def _blocks(source: Source) -> Iterator[bytes]:
    """Whole lines, some at a time; the first block is a short one."""
    left, size = b"", _FIRST
    while data := source.read(size):
        end = data.rfind(b"\n") + 1
        if end:
            yield left + data[:end]
            left, size = data[end:], _BLOCK
        else:
            left += data
        if len(left) > _LONGEST:
            most = f"{_LONGEST >> 20} MiB"
            raise FileError(f"{source.name}: a line has more than {most}: is it NDJSON, one object a line?")
    if left:
        yield left


# ---------------------------------------------------------------- columns


def column(values: list[Any]) -> pa.Array:
    """Values of JSON as a column; one of several types as a union of them, objects as a struct."""
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if len(kinds) > 1:
        return _mixed(values)
    if not kinds:
        return pa.nulls(len(values))
    return _plain(values, kinds.pop())


def _plain(values: list[Any], kind: type) -> pa.Array:
    if kind is str:
        try:
            return pa.array(values, pa.string())
        except UnicodeEncodeError:  # lone surrogates: bytes that are no UTF-8, which are an error of their row
            raw = [None if value is None else value.encode("utf-8", "surrogatepass") for value in values]
            return unchecked_text(pa.array(raw, pa.binary()))
    if kind is int:
        try:
            return pa.array(values, pa.int64())
        except (OverflowError, pa.ArrowInvalid):  # beyond 64 bits, an integer is the nearest double
            return _mixed([float(value) if _is_large(value) else value for value in values])
    if kind is dict:
        names = list(dict.fromkeys(name for value in values if value is not None for name in value))
        members = [column([None if value is None else value.get(name) for value in values]) for name in names]
        fields = [pa.field(name, member.type) for name, member in zip(names, members, strict=True)]
        mask = pa.array([value is None for value in values])
        if not fields:
            return pa.array(values, pa.struct([]))
        return pa.StructArray.from_arrays(members, fields=fields, mask=mask)
    if kind is list:
        offsets, items = [0], list[Any]()
        for value in values:
            items.extend(value or ())
            offsets.append(len(items))
        mask = pa.array([value is None for value in values])
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), column(items), mask=mask)
    return pa.array(values, _KEPT_TYPES[kind])


def _is_large(value: Any) -> bool:
    return value is not None and not _INT_MIN <= value <= _INT_MAX


def _mixed(values: list[Any]) -> pa.Array:
    """A dense union: each type's values, and for each row which type it is."""
    order: dict[type, int] = {}
    children: list[list[Any]] = []
    kinds, offsets = [], []
    for value in values:
        at = order.setdefault(type(value), len(order))
        if at == len(children):
            children.append([])
        kinds.append(at)
        offsets.append(len(children[at]))
        children[at].append(value)
    arrays = [column(child) for child in children]
    return pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()), pa.array(offsets, pa.int32()), arrays, [str(at) for at in range(len(arrays))]
    )


def unchecked_text(raw: pa.Array) -> pa.Array:
    """Bytes as text, whether they are UTF-8 or not."""
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers(), offset=raw.offset)


# ---------------------------------------------------------------- what is carried


def _kept_fields(rows: list[dict[str, Any]], name: str, how: Reading) -> list[pa.Field]:
    names = list(dict.fromkeys(key for row in rows for key in row))
    fields = []
    for each in checked(names, name, how) if rows else []:
        kinds = {type(row[each]) for row in rows if row.get(each) is not None}
        if kinds == {int, float}:
            kinds = {float}
        type_ = _KEPT_TYPES.get(next(iter(kinds))) if len(kinds) == 1 else None
        fields.append(pa.field(each, pa.string(), metadata=JSON_TEXT) if type_ is None else pa.field(each, type_))
    return fields


def _kept_column(field: pa.Field, rows: list[dict[str, Any]], notes: Counter[str]) -> pa.Array:
    values = [row.get(field.name) for row in rows]
    if field.metadata:
        return pa.array([None if each is None else _text(each) for each in values], field.type)
    try:
        if {type(each) for each in values} <= _ALLOWED[field.type]:
            return pa.array(values, field.type)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    fitting = [_fitted(each, field.type) for each in values]
    misfits = sum(new is None and old is not None for new, old in zip(fitting, values, strict=True))
    if misfits:
        notes[f"column {field.name}: carried as {field.type}, and null where it is none"] += misfits
    return pa.array(fitting, field.type)


_ALLOWED: Final[dict[pa.DataType, set[type]]] = {
    pa.bool_(): {bool, type(None)},
    pa.string(): {str, type(None)},
    pa.int64(): {int, type(None)},
    pa.float64(): {int, float, type(None)},
}


def _fitted(value: Any, wanted: pa.DataType) -> Any:
    if wanted == pa.string():
        text = value if value is None or isinstance(value, str) else _text(value)
        return None if text is None else text.encode("utf-8", "replace").decode()
    if value is None or type(value) not in _ALLOWED[wanted]:
        return None
    if wanted == pa.float64():
        return float(value)
    return None if wanted == pa.int64() and _is_large(value) else value


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace").decode()
