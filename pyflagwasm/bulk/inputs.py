"""Whatever speaks Arrow as record batches: a schema, and batches one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

ArrowInput: TypeAlias = Any
"""An object with `__arrow_c_stream__` or `__arrow_c_array__` (pyarrow, Polars, pandas, DuckDB, ...), a LazyFrame, or a
list of record batches."""

_LITTLE: Final = 4
"""A table in memory whose batches have less than this part of a chunk's rows is put together first."""


def opened(data: ArrowInput, chunk_rows: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema and the batches, of at most `chunk_rows` rows each. Raises TypeError for what is not Arrow."""
    if isinstance(data, pa.RecordBatch):
        return data.schema, sliced(iter([data]), chunk_rows)
    if isinstance(data, pa.Table):
        return data.schema, sliced(iter(_whole(data, chunk_rows)), chunk_rows)
    if isinstance(data, (list, tuple)) and data and all(isinstance(each, pa.RecordBatch) for each in data):
        return opened(pa.Table.from_batches(data), chunk_rows)
    if not hasattr(data, "__arrow_c_stream__") and callable(getattr(data, "collect", None)):
        data = data.collect()  # a LazyFrame
    if hasattr(data, "__arrow_c_stream__"):
        reader = data if isinstance(data, pa.RecordBatchReader) else pa.RecordBatchReader.from_stream(data)
        return reader.schema, sliced(reader, chunk_rows)
    if hasattr(data, "__arrow_c_array__"):
        return opened(pa.record_batch(data), chunk_rows)
    raise TypeError(
        f"a table of Arrow is wanted, not {type(data).__qualname__}: pass a pyarrow Table, RecordBatch or "
        "RecordBatchReader, a DataFrame of Polars or pandas, a relation of DuckDB, or a list of RecordBatches"
    )


def sliced(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of at most so many."""
    for batch in batches:
        if batch.num_rows <= rows:
            yield batch
        else:
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def _whole(table: pa.Table, rows: int) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = table.to_batches()
    if len(batches) > 1 and table.num_rows < len(batches) * rows // _LITTLE:
        batches = table.combine_chunks().to_batches()
    return batches


# ---------------------------------------------------------------- types that Arrow can compute with


def readable_schema(schema: pa.Schema) -> pa.Schema:
    """The schema of what `readable` gives for all columns."""
    return pa.schema([field.with_type(_readable(field.type)) for field in schema])


def readable(batch: pa.RecordBatch, columns: Sequence[int]) -> pa.RecordBatch:
    """The batch with these columns in types of which Arrow can pick and compare values: it often knows no views."""
    arrays = batch.columns
    for column in columns:
        array, kind = arrays[column], _readable(batch.schema.field(column).type)
        if kind == array.type:
            continue
        if pa.types.is_dictionary(kind):
            arrays[column] = pa.DictionaryArray.from_arrays(array.indices, _cast(array.dictionary, kind.value_type))
        else:
            arrays[column] = pc.run_end_decode(array) if _is_encoded(array.type) else _cast(array, kind)
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)


def _cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return array.cast(kind)
    except pa.ArrowNotImplementedError:  # by an older pyarrow
        return pa.array(array.to_pylist(), kind)


def _readable(kind: pa.DataType) -> pa.DataType:
    if isinstance(kind, pa.BaseExtensionType):
        return kind
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _readable(kind.value_type), kind.ordered)
    if _is_encoded(kind):
        return kind.value_type
    return {"string_view": pa.large_string(), "binary_view": pa.large_binary()}.get(str(kind), kind)


def _is_encoded(kind: pa.DataType) -> bool:
    return bool(getattr(pa.types, "is_run_end_encoded", lambda of: False)(kind))
