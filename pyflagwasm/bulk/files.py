"""Tables in files, to be read batch by batch: which format a file has, what has been read of it, what is wrong with it.

Here live Parquet and Arrow IPC, which say themselves what type a column has. CSV is in delimited.py, NDJSON in
lines.py; writing is in writing.py.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

STREAM: Final = "-"
PARQUET, CSV, NDJSON, ARROW, ARROWS = FORMATS = ("parquet", "csv", "ndjson", "arrow", "arrows")
"""What files can be: `arrow` is IPC with random access, `arrows` the stream of it; reading tells them apart."""

BATCH_ROWS: Final = 65_536
KEPT: Final = "\0kept "
"""What a column's name begins with that is carried to the output and is no attribute."""

_EXTENSIONS: Final = {
    ".parquet": PARQUET,
    ".pq": PARQUET,
    ".csv": CSV,
    ".tsv": CSV,
    ".ndjson": NDJSON,
    ".jsonl": NDJSON,
    ".arrow": ARROW,
    ".feather": ARROW,
    ".ipc": ARROW,
    ".arrows": ARROWS,
}
_COMPRESSED: Final = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
_MAGIC: Final = b"ARROW1"
_END_OF_STREAM: Final = b"\xff\xff\xff\xff\0\0\0\0"


class FileError(ValueError):
    """A file cannot be read, written or used; the text names it and says what to do, in one line."""


@dataclass(frozen=True)
class Reading:
    """How to read a file.

    wants: whether rules could read the column of a name. needs: the columns that must be there. keep: those that are
    carried to the output; None for all. limit: the most rows. Of a CSV: texts are columns that are texts whatever they
    look like, types are those of columns, infer is whether others are anything but texts.
    """

    wants: Callable[[str], bool] = lambda name: True
    needs: tuple[str, ...] = ()
    keep: tuple[str, ...] | None = ()
    limit: int | None = None
    texts: frozenset[str] = frozenset()
    types: Mapping[str, str] = field(default_factory=dict)
    infer: bool = True
    delimiter: str | None = None


@dataclass
class Input:
    """A table that is read batch by batch, in bounded memory.

    kept: what is carried to the output, by its column's name here. But for that, each batch has a schema of its own.
    rows, size: how many rows or bytes there are, where that is known. position: how many of the bytes are read.
    types: what columns of a CSV were taken for. notes: what did not go quite as the file said: how often.
    """

    name: str
    batches: Iterator[pa.RecordBatch]
    kept: dict[str, pa.Field]
    rows: int | None = None
    size: int | None = None
    position: Callable[[], int] = lambda: 0
    types: dict[str, str] = field(default_factory=dict)
    notes: Counter[str] = field(default_factory=Counter)
    stack: ExitStack = field(default_factory=ExitStack)

    def close(self) -> None:
        """Closes the file."""
        self.stack.close()

    def __enter__(self) -> Input:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def format_of(path: str, given: str | None, what: str) -> tuple[str, str | None]:
    """The format of a file and its compression, by its name unless it is given. what: the option to say it with."""
    if path == STREAM:
        return given or NDJSON, None
    stem, extension = os.path.splitext(path.lower())
    compression = _COMPRESSED.get(extension)
    if compression is not None:
        extension = os.path.splitext(stem)[1]
    format = given or _EXTENSIONS.get(extension)
    if format is None:
        names = ", ".join(sorted(_EXTENSIONS))
        raise FileError(f"{path}: the name does not say what format it has ({names}): say it, {what} parquet")
    return format, compression


def is_tsv(path: str) -> bool:
    """Whether the cells of a file of this name are between tabs."""
    stem, extension = os.path.splitext(path.lower())
    return (stem if extension in _COMPRESSED else path.lower()).endswith(".tsv")


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
                from .delimited import read_csv

                found = read_csv(source, how)
            elif format == NDJSON:
                from .lines import read_lines

                found = read_lines(source, how)
            elif format == PARQUET:
                found = _parquet(source, how)
            else:
                found = _arrow(source, how)
        except Exception as error:
            raise explained(name, error) from None
        found.stack = stack.pop_all()
    found.batches = _limited(_told(found.name, found.batches), how.limit)
    if found.rows is not None and how.limit is not None:
        found.rows = min(found.rows, how.limit)
    return found


def explained(name: str, error: Exception) -> Exception:
    """The error in one line with the name of the file; what is no error of a file as it is."""
    if isinstance(error, FileError) or not isinstance(error, (OSError, pa.ArrowException, EOFError, UnicodeError)):
        return error
    if isinstance(error, OSError) and error.errno and error.filename is not None:
        return FileError(f"{name}: cannot be read: {error.strerror}")
    text = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    return FileError(f"{name}: damaged, cut off or not of this format: {text}")


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


# ---------------------------------------------------------------- bytes


class Source(io.RawIOBase):
    """The bytes of a file or of stdin, decompressed; knows how much of the file is read. One thread's at a time.

    last: the last eight bytes that were read. after: what comes after the end.
    """

    def __init__(self, path: str, name: str, compression: str | None) -> None:
        super().__init__()
        self.path, self.name = path, name
        self.size: int | None = None
        self.last = self.after = self._first = b""
        self._ended = False
        if path == STREAM:
            if sys.stdin is None:
                raise FileError("there is no stdin")
            self.file: IO[bytes] = sys.stdin.buffer
        else:
            try:
                self.file = open(path, "rb", buffering=0)
                status = os.fstat(self.file.fileno())
            except (OSError, ValueError) as error:  # ValueError: a path with a null character
                raise FileError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
            self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
            if compression is not None and self.size == 0:
                raise FileError(f"{name}: is empty, and so not compressed: it is cut off")
        self.seekable_file = self.size is not None and compression is None
        self._stream: Any = self.file
        if compression is not None:
            self._stream = pa.CompressedInputStream(pa.PythonFile(self.file, mode="r"), compression)

    def position(self) -> int:
        """How many bytes of the file are read."""
        return 0 if self.file.closed or self.path == STREAM else self.file.tell()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left if they are fewer."""
        data = self._take(size)
        if data:
            self.last = (self.last + data[-8:])[-8:]
        elif not self._ended:
            self._ended, data = True, self.after
        return data

    def _take(self, size: int) -> bytes:
        parts, self._first = [self._first[:size]], self._first[size:]
        left = size - len(parts[0])
        while left > 0 and (data := self._stream.read(left)):
            parts.append(bytes(data))
            left -= len(data)
        return b"".join(parts)

    def peek(self, size: int) -> bytes:
        """The next bytes, `size` of them if there are so many; they are read again afterwards."""
        self._first = self._take(size) + self._first
        return self._first[:size]

    def close(self) -> None:
        if not self.closed and self.path != STREAM:
            self.file.close()
        super().close()


# ---------------------------------------------------------------- formats that know their types


def _chosen(schema: pa.Schema, name: str, how: Reading) -> tuple[list[str], dict[str, pa.Field]]:
    """The columns to read, and those of them that are carried to the output."""
    names = list(dict.fromkeys(schema.names))
    if len(names) < len(schema.names):
        twice = next(each for each in names if schema.names.count(each) > 1)
        raise FileError(f"{name}: the column {twice!r} is there more than once: rename one of them")
    kept = checked(names, name, how)
    wanted = [each for each in names if each in kept or each in how.needs or how.wants(each)]
    return wanted, {each: schema.field(each) for each in kept}


def checked(names: list[str], name: str, how: Reading) -> list[str]:
    """The names of the columns to carry. Raises FileError if one of those, or one that is needed, is not there."""
    for each in (*how.needs, *(how.keep or ()), *how.types):
        if each not in names:
            raise FileError(f"{name}: there is no column {each!r}; there are {listed(names)}")
    return names if how.keep is None else list(dict.fromkeys(how.keep))


def listed(names: list[str], most: int = 12) -> str:
    """Names for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"


def _parquet(source: Source, how: Reading) -> Input:
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


def _arrow(source: Source, how: Reading) -> Input:
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
