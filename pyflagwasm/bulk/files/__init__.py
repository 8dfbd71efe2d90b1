"""Tables in files, to be read batch by batch, and written whole or not at all.

`read` opens one: Parquet and Arrow IPC by arrow.py, CSV by delimited.py, NDJSON by lines.py. Writing is in writing.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pyarrow as pa

from .arrow import read_arrow, read_parquet
from .delimited import read_csv
from .lines import read_lines
from .reading import (
    CSV,
    KEPT,
    NDJSON,
    PARQUET,
    STREAM,
    FileError,
    Input,
    Reading,
    Source,
    explained,
    format_of,
    is_tsv,
)

__all__ = ["KEPT", "FileError", "Input", "Reading", "read"]


def read(path: str, format: str | None, how: Reading) -> Input:
    """Opens a table. Raises FileError, here and while it is read."""
    if os.path.isdir(path):
        raise FileError(f"{path}: is a directory: name a file in it")
    format, compression = format_of(path, format, "--in-format")
    name = "stdin" if path == STREAM else path
    if how.delimiter is None and is_tsv(path):
        how = replace(how, delimiter="\t")
    if format == PARQUET and (path == STREAM or compression):
        raise FileError(f"{name}: Parquet is read from its end: give a file, uncompressed (it compresses by itself)")
    with ExitStack() as stack:
        try:
            source = stack.enter_context(Source(path, name, compression))
            if format == CSV:
                found = read_csv(source, how)
            elif format == NDJSON:
                found = read_lines(source, how)
            elif format == PARQUET:
                found = read_parquet(source, how)
            else:
                found = read_arrow(source, how)
        except Exception as error:
            raise explained(name, error) from None
        found.stack = stack.pop_all()
    found.batches = _limited(_told(found.name, found.batches), how.limit)
    if found.rows is not None and how.limit is not None:
        found.rows = min(found.rows, how.limit)
    return found


def _told(name: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except Exception as error:
        raise explained(name, error) from None


def _limited(batches: Iterator[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    if limit is None:
        yield from batches
        return
    for batch in batches if limit else ():
        yield batch.slice(0, limit)
        limit -= batch.num_rows
        if limit <= 0:
            return
