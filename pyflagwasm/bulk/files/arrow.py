"""Parquet and Arrow IPC: files that say themselves what type a column has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from .reading import BATCH_ROWS, KEPT, FileError, Input, Reading, Source, checked

_MAGIC: Final = b"ARROW1"
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\0\0\0\0"


def _chosen(schema: pa.Schema, name: str, how: Reading) -> tuple[list[str], dict[str, pa.Field]]:
    """The columns to read, and those of them that are carried to the output."""
    names = list(dict.fromkeys(schema.names))
    if len(names) < len(schema.names):
        twice = next(each for each in names if schema.names.count(each) > 1)
        raise FileError(f"{name}: the column {twice!r} is there more than once: rename one of them")
    kept = checked(names, name, how)
    wanted = [each for each in names if each in kept or each in how.needs or how.wants(each)]
    return wanted, {each: schema.field(each) for each in kept}


def read_parquet(source: Source, how: Reading) -> Input:
    """A Parquet file."""
    file = pq.ParquetFile(source.path, page_checksum_verification=True)
    columns, kept = _chosen(file.schema_arrow, source.name, how)
    rows = file.metadata.num_rows
    batches = file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False) if columns else _nothing(rows)
    found = Input(source.name, (batch.select(columns) for batch in batches), kept, rows=rows)
    found.stack.callback(file.close)
    return found


def _nothing(rows: int) -> Iterator[pa.RecordBatch]:
    """Rows of which nothing is read."""
    for first in range(0, rows, BATCH_ROWS):
        yield pa.RecordBatch.from_arrays([pa.nulls(min(BATCH_ROWS, rows - first))], [KEPT]).select([])


def read_arrow(source: Source, how: Reading) -> Input:
    """An IPC file, or a stream."""
    if source.peek(len(_MAGIC)) == _MAGIC:
        if not source.seekable_file:
            what = "is read from its end: give a file, uncompressed, or an IPC stream"
            raise FileError(f"{source.name}: an Arrow IPC file {what}")
        reader = pa.ipc.open_file(pa.OSFile(source.path))
        columns, kept = _chosen(reader.schema, source.name, how)
        batches: Iterator[pa.RecordBatch] = (reader.get_batch(at) for at in range(reader.num_record_batches))
        return Input(source.name, _validated(batches, columns), kept, rows=_count(reader))
    stream = pa.ipc.open_stream(pa.PythonFile(source, mode="r"))
    columns, kept = _chosen(stream.schema, source.name, how)
    batches = _validated(_to_the_end(stream, source), columns)
    return Input(source.name, batches, kept, size=source.size, position=source.position)


def _count(reader: Any) -> int | None:
    """The rows of an IPC file, where they can be counted without reading it."""
    try:
        return int(reader.count_rows()) if hasattr(reader, "count_rows") else None
    except pa.ArrowException:
        return None


def _validated(batches: Iterator[pa.RecordBatch], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns of batches that came as they lie in a file: offsets that lead elsewhere must not be followed."""
    for batch in batches:
        chosen = batch.select(columns)
        for column in chosen.columns:
            if not pa.types.is_union(column.type):
                _validate(column)
        for first in range(0, batch.num_rows, BATCH_ROWS):
            yield chosen.slice(first, BATCH_ROWS)


def _validate(column: pa.Array) -> None:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):  # a text that is none is an error of its row
            raise


def _to_the_end(reader: Any, source: Source) -> Iterator[pa.RecordBatch]:
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        yield batch
    # A stream that was cut between two messages is like one that has ended, but for this.
    if source.last != _END_OF_STREAM:
        raise FileError(f"{source.name}: ends without the mark of its end: it is cut off")
    while source.read(BATCH_ROWS):  # what is compressed has an end of its own
        pass
