"""NDJSON by Arrow's reader, several times as fast, for blocks in which it sees exactly what Python's json would see.

That is so for objects one on a line whose members are each of one type, the type that they had before. Whatever else
there is - lists, a number that is 1 here and 1.5 there, two types, a line that is none - is left to lines.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from .reading import KEPT

_PATIENCE: Final = 3
"""Blocks in a row that are not for this reader, after which it is not tried any more."""


class Quick:
    """Reads blocks for as long as they are like the one that `learn` was shown last.

    kept: the fields that are carried to the output. wants: whether a column may be read by rules.
    """

    def __init__(self, kept: list[pa.Field], wants: Callable[[str], bool]) -> None:
        self._kept, self._wants = kept, wants
        self._schema: pa.Schema | None = None
        self._columns: list[str] = []
        self._failed = 0

    def learn(self, batch: pa.RecordBatch) -> None:
        """Takes the types of a batch of lines.py for those of what follows."""
        self._schema = None
        if self._failed >= _PATIENCE:
            return
        own = {name: batch.schema.field(name).type for name in batch.schema.names if not name.startswith(KEPT)}
        types = {name: type_ for name, type_ in own.items() if not pa.types.is_null(type_)}
        for field in self._kept:
            if field.metadata or types.setdefault(field.name, field.type) != field.type:
                return
        if types and all(map(_is_plain, types.values())):
            self._columns = [name for name in own if name in types]
            self._schema = pa.schema(list(types.items()))

    def read(self, block: bytes) -> pa.RecordBatch | None:
        """The batch of a block of whole lines; None if they are not for this reader."""
        if self._schema is None:
            return None
        found = self._read(block, self._schema)
        self._failed = 0 if found is not None else self._failed + 1
        return found

    def _read(self, block: bytes, schema: pa.Schema) -> pa.RecordBatch | None:
        # An object on each line: between } and { there is nothing but a new line, which no object has inside.
        lines = block.count(b"}\n") + block.endswith(b"}")
        if not block.startswith(b"{") or block.count(b"\n") not in (lines, lines - 1):
            return None
        if block.count(b"\n{") + 1 != lines:
            return None
        try:
            block.decode()
            table = arrow_json.read_json(
                pa.BufferReader(block),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="infer"
                ),
            )
        except (pa.ArrowException, UnicodeDecodeError):
            return None
        if table.num_rows != lines or any(self._wants(name) for name in table.schema.names[len(schema) :]):
            return None
        (batch,) = table.combine_chunks().to_batches() or [None]
        if batch is None:
            return None
        arrays: list[pa.Array] = []
        for name in self._columns:
            array = batch.column(batch.schema.get_field_index(name))
            if array.type != schema.field(name).type or not _is_exact(array):
                return None
            arrays.append(array)
        names = list(self._columns)
        for field in self._kept:
            arrays.append(batch.column(batch.schema.get_field_index(field.name)))
            names.append(KEPT + field.name)
        return pa.RecordBatch.from_arrays(arrays, names)


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.num_fields > 0 and all(_is_plain(member.type) for member in kind)
    return kind in (pa.string(), pa.int64(), pa.float64(), pa.bool_())


def _is_exact(array: pa.Array) -> bool:
    """Whether no float may have been written as an integer, or is none of JSON."""
    kind: Any = array.type
    if pa.types.is_struct(kind):
        return all(_is_exact(array.field(number)) for number in range(kind.num_fields))
    if not pa.types.is_floating(kind):
        return True
    whole = pc.or_(pc.equal(pc.floor(array), array), pc.invert(pc.is_finite(array)))
    return not pc.any(whole).as_py()
