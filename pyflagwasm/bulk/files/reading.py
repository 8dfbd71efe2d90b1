"""What reading a file of any format takes: which format it has, how it is to be read, its bytes, and what is wrong."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import IO, Any, Final

import pyarrow as pa

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


def explained(name: str, error: Exception) -> Exception:
    """The error in one line with the name of the file; what is no error of a file as it is."""
    if isinstance(error, FileError) or not isinstance(error, (OSError, pa.ArrowException, EOFError, UnicodeError)):
        return error
    if isinstance(error, OSError) and error.errno and error.filename is not None:
        return FileError(f"{name}: cannot be read: {error.strerror}")
    text = " ".join(str(error).split()).removesuffix(".") or type(error).__name__
    return FileError(f"{name}: damaged, cut off or not of this format: {text}")


def checked(names: list[str], name: str, how: Reading) -> list[str]:
    """The names of the columns to carry. Raises FileError if one of those, or one that is needed, is not there."""
    for each in (*how.needs, *(how.keep or ()), *how.types):
        if each not in names:
            raise FileError(f"{name}: there is no column {each!r}; there are {listed(names)}")
    return names if how.keep is None else list(dict.fromkeys(how.keep))


def listed(names: list[str], most: int = 12) -> str:
    """Names for a message."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "") or "none"


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
