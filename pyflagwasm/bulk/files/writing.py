"""Tables to files, batch by batch, and whole or not at all: a file appears under its name when it is finished.

Until then it lies beside it, as `.NAME.xxxxxxxx.tmp`. Whatever is not a regular file - a pipe, a device - is written
as it goes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable
from typing import IO, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv as arrow_csv

from ...last_good import remove_leftovers, sync_folder
from .lines import JSON_TEXT
from .reading import ARROW, ARROWS, CSV, NDJSON, PARQUET, STREAM, FileError, format_of, is_tsv

_GROUP_ROWS: Final = 1 << 20
_GROUP_BYTES: Final = 64 << 20
_CELLS: Final = 1 << 19  # of NDJSON, that are made text at a time
_ESCAPED: Final = r'["\\\x00-\x1f]'


class Output:
    """A file that is being written. Leave it without `commit`, and there is none, or the one that was there before.

    write: what takes the bytes of stdout. Raises FileError.
    """

    def __init__(
        self,
        path: str,
        format: str | None,
        schema: pa.Schema,
        write: Callable[[bytes], None],
    ) -> None:
        self.format, self.compression = format_of(path, format, "--out-format")
        if path == STREAM and format == PARQUET:
            raise FileError("stdout: Parquet is for files: name one, or say --out-format arrows")
        if self.format == ARROW and (path == STREAM or self.compression):
            self.format = ARROWS
        if self.format == PARQUET and self.compression:
            raise FileError(f"{path}: Parquet compresses by itself: leave {os.path.splitext(path)[1]} out of the name")
        self.name = "stdout" if path == STREAM else path
        self.rows = 0
        self._temporary: str | None = None
        self._file: IO[bytes] | None = None
        self._bytes: _Bytes | None = None
        self._writer: _Writer | None = None
        try:
            if path == STREAM:
                self._bytes = _Bytes(_all_of(write))
            else:
                self._bytes = _Bytes(self._opened(path).write)
            self._sink: Any = pa.PythonFile(self._bytes, mode="w")
            if self.compression:
                self._sink = pa.CompressedOutputStream(self._sink, self.compression)
            if self.format == CSV and is_tsv(path):
                self._writer = _Csv(self._sink, schema, "\t")
            else:
                self._writer = _WRITERS[self.format](self._sink, schema)
        except BaseException as error:
            self.close()
            raise self._explained(error) from None

    def _opened(self, path: str) -> IO[bytes]:
        self._target = os.path.realpath(path)
        try:
            status = os.stat(self._target)
        except FileNotFoundError:
            mode, regular = 0o666 & ~_umask(), True
        else:
            mode, regular = stat.S_IMODE(status.st_mode), stat.S_ISREG(status.st_mode)
            if os.path.isdir(self._target):
                raise FileError(f"{path}: is a directory: name a file in it")
        if not regular:
            self._file = open(self._target, "wb", buffering=0)
        else:
            folder, name = os.path.split(self._target)
            descriptor, self._temporary = tempfile.mkstemp(".tmp", f".{name}.", folder)
            self._file = open(descriptor, "wb", buffering=0)
            os.chmod(self._temporary, mode)
        return self._file

    def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, OSError) and not isinstance(error, FileError):
            return FileError(f"{self.name}: cannot be written: {error.strerror or error}")
        if isinstance(error, (pa.ArrowException, ValueError)) and not isinstance(error, FileError):
            return FileError(f"{self.name}: cannot be written: {' '.join(str(error).split())}")
        return error

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds rows."""
        assert self._writer is not None
        try:
            self._writer.write(batch)
        except Exception as error:
            raise self._explained(error) from None
        self.rows += batch.num_rows

    def commit(self) -> None:
        """The file is complete: it takes its name, and is on the disk."""
        assert self._writer is not None
        try:
            self._writer.close()
            self._writer = None
            self._sink.close()
            if self._file is not None and self._temporary is not None:
                os.fsync(self._file.fileno())
                now = os.fstat(self._file.fileno()).st_mtime
                self._file.close()
                os.replace(self._temporary, self._target)
                self._temporary = None
                folder, name = os.path.split(self._target)
                with contextlib.suppress(OSError):
                    sync_folder(folder)
                with contextlib.suppress(OSError):
                    remove_leftovers(folder, name, now)
        except Exception as error:
            raise self._explained(error) from None
        finally:
            self.close()

    def close(self) -> None:
        """Ends it; what is not committed is removed."""
        if self._bytes is not None:
            self._bytes.abandon()
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(Exception):  # whatever it still wanted to write
                writer.close()
        if self._temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = None
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _all_of(write: Callable[[bytes], None]) -> Callable[[Any], int]:
    def written(data: Any) -> int:
        write(bytes(data))
        return len(data)

    return written


class _Bytes:
    """What Arrow writes to: all of it is written, until it is abandoned; then nothing is."""

    closed = False

    def __init__(self, write: Callable[[bytes], int | None]) -> None:
        self._write: Callable[[Any], int | None] | None = write

    def write(self, data: Any) -> int:
        left = whole = memoryview(data).cast("B")
        while left and self._write is not None:
            left = left[self._write(left) or 0 :]  # a raw file may write less than all
        return len(whole)

    def abandon(self) -> None:
        self._write = None

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass  # the file is still to be synchronised


# ---------------------------------------------------------------- formats


class _Writer(Protocol):
    """Writes batches of one schema to a sink of Arrow's."""

    def write(self, batch: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class _Parquet(_Writer):
    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(sink, schema, compression="zstd", compression_level=1, write_page_checksum=True)
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._group()

    def _group(self) -> None:
        table = pa.Table.from_batches(self._batches, self._schema)
        self._batches, self._rows, self._bytes = [], 0, 0
        self._writer.write_table(table, max(table.num_rows, 1))

    def close(self) -> None:
        if self._batches:
            self._group()
        self._writer.close()


class _Arrow(_Writer):
    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        options = pa.ipc.IpcWriteOptions(unify_dictionaries=False, emit_dictionary_deltas=True)
        self._writer = self._new(sink, schema, options)

    def _new(self, sink: Any, schema: pa.Schema, options: Any) -> Any:
        return pa.ipc.new_file(sink, schema, options=options)

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)

    def close(self) -> None:
        self._writer.close()


class _Arrows(_Arrow):
    def _new(self, sink: Any, schema: pa.Schema, options: Any) -> Any:
        return pa.ipc.new_stream(sink, schema, options=options)


class _Csv(_Writer):
    def __init__(self, sink: Any, schema: pa.Schema, delimiter: str = ",") -> None:
        self._schema = pa.schema([pa.field(each.name, _flat(each.type)) for each in schema])
        self._writer = arrow_csv.CSVWriter(
            sink, self._schema, write_options=arrow_csv.WriteOptions(delimiter=delimiter)
        )

    def write(self, batch: pa.RecordBatch) -> None:
        columns = [_flattened(each, field.type) for each, field in zip(batch.columns, self._schema, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _flat(type_: pa.DataType) -> pa.DataType:
    """What a column of this type is in a CSV."""
    if pa.types.is_dictionary(type_):
        return _flat(type_.value_type)
    plain = pa.types.is_primitive(type_) or pa.types.is_string(type_) or pa.types.is_large_string(type_)
    return type_ if plain else pa.string()


def _flattened(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == wanted:
        return column
    texts = [None if each is None else each if isinstance(each, str) else _text(each) for each in column.to_pylist()]
    return pa.array(texts, wanted)


class _Ndjson(_Writer):
    def __init__(self, sink: Any, schema: pa.Schema) -> None:
        self._sink = sink
        self._heads = [f"{',' if at else '{'}{_text(name)}:" for at, name in enumerate(schema.names)]
        self._raw = [bool(field.metadata and set(JSON_TEXT) & set(field.metadata)) for field in schema]
        self._step = max(1, _CELLS // max(1, len(schema)))

    def write(self, batch: pa.RecordBatch) -> None:
        for first in range(0, batch.num_rows, self._step):
            part = batch.slice(first, self._step)
            if not part.num_columns:
                self._sink.write(b"{}\n" * part.num_rows)
                continue
            parts: list[Any] = []
            for head, raw, column in zip(self._heads, self._raw, part.columns, strict=True):
                parts += [head, json_texts(column, raw)]
            texts = pc.binary_join_element_wise(*parts, "}\n", "")
            offsets = memoryview(texts.buffers()[1]).cast("i")
            data = texts.buffers()[2]
            if data is not None:
                start, end = offsets[texts.offset], offsets[texts.offset + len(texts)]
                self._sink.write(data.slice(start, end - start))

    def close(self) -> None:
        pass


def json_texts(column: pa.Array, raw: bool = False) -> pa.Array:
    """Each value as JSON, null as `null`. raw: whether texts are JSON already. Each value is written once."""
    type_ = column.type
    if pa.types.is_dictionary(type_):
        words = json_texts(column.dictionary, raw)
        return pc.fill_null(words.take(column.indices), "null")
    if pa.types.is_null(type_):
        return pa.repeat("null", len(column))
    if pa.types.is_boolean(type_) or pa.types.is_integer(type_) or (raw and pa.types.is_string(type_)):
        return pc.fill_null(column.cast(pa.string()), "null")
    if pa.types.is_string(type_) and not pc.any(pc.match_substring_regex(column, _ESCAPED)).as_py():
        return pc.fill_null(pc.binary_join_element_wise('"', column, '"', ""), "null")
    try:
        encoded = column.dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = ["null" if each is None else _text(each) for each in column.to_pylist()]
        return pa.array(texts, pa.string())
    words = pa.array([_text(each) for each in encoded.dictionary.to_pylist()], pa.string())
    return pc.fill_null(words.take(encoded.indices), "null")


def _text(value: Any) -> str:
    return json.dumps(_sendable(value), ensure_ascii=False, separators=(",", ":"), default=_other)


def _sendable(value: Any) -> Any:
    """The value with null in place of numbers that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _sendable(each) for key, each in value.items()}
    return [_sendable(each) for each in value] if isinstance(value, list) else value


def _other(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    isoformat = getattr(value, "isoformat", None)
    return str(value) if isoformat is None else isoformat()


_WRITERS: Final[dict[str, Callable[[Any, pa.Schema], _Writer]]] = {
    PARQUET: _Parquet,
    ARROW: _Arrow,
    ARROWS: _Arrows,
    CSV: _Csv,
    NDJSON: _Ndjson,
}
