"""CSV: cells are texts, and what else a column is is decided once, by its first cells, or said by the caller.

A column is taken for integers, numbers or booleans only if all of its first cells are written as JSON writes those
(`007`, `+1` and `1e5` stay what they are), and never if its name says that it identifies something. A later cell that
does not fit is the text that it is, and counted. An empty cell is an absent attribute, a quoted one an empty text.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from .lines import unchecked_text
from .reading import BATCH_ROWS, KEPT, FileError, Input, Reading, Source, checked

TYPES: Final = ("text", "integer", "number", "boolean")
TEXT, INTEGER, NUMBER, BOOLEAN = TYPES

_BLOCK: Final = 4 << 20
_HEADER: Final = 1 << 20
_LAST: Final = b"\0the last row\0"
_PATTERNS: Final = {  # of what is a text otherwise; an integer of 18 digits has 64 bits
    INTEGER: r"^-?(0|[1-9][0-9]{0,17})$",
    NUMBER: r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][+-][0-9]{1,3})?$",
    BOOLEAN: r"^([Tt]rue|[Ff]alse|TRUE|FALSE)$",
}
_ARROW: Final = {TEXT: pa.string(), INTEGER: pa.int64(), NUMBER: pa.float64(), BOOLEAN: pa.bool_()}
_IDENTIFIES: Final = re.compile(
    r"(?:^|[_.\s-])(?i:id|key|uuid|zip|phone)$|(?<=[a-z])(?:Id|ID|Key|Uuid|UUID|Zip|Phone)$"
)


def read_csv(source: Source, how: Reading) -> Input:
    """Cells as batches of columns. Raises FileError, also for a row that has another number of cells."""
    delimiter = how.delimiter or ","
    names = _header(source, delimiter)
    kept = checked(names, source.name, how)
    wanted = [each for each in names if each in how.needs or how.wants(each)]
    read = [each for each in names if each in kept or each in wanted]
    batches = _cells(source, names, read, delimiter)
    first = next(batches, None)
    types = {each: _type(each, first, how) for each in wanted}
    notes: Counter[str] = Counter()
    kept_types = {each: how.types.get(each, TEXT) for each in kept}
    rows = iter(()) if first is None else _typed(first, batches, types, kept_types, notes)
    carried = {KEPT + each: pa.field(each, _ARROW[type_]) for each, type_ in kept_types.items()}
    return Input(source.name, rows, carried, size=source.size, position=source.position, types=types, notes=notes)


def _header(source: Source, delimiter: str) -> list[str]:
    head = source.peek(_HEADER)
    try:
        text = head.decode("utf-8-sig", "surrogateescape")
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
    except csv.Error as error:
        raise FileError(f"{source.name}: line 1: {error}") from None
    if not names:
        raise FileError(f"{source.name}: is empty: its first line must name the columns")
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        raise FileError(f"{source.name}: line 1: the names of the columns are not UTF-8") from None
    twice = [each for each, count in Counter(names).items() if count > 1]
    if twice:
        raise FileError(f"{source.name}: line 1: the column {twice[0]!r} is there more than once")
    return names


def _cells(source: Source, names: list[str], read: list[str], delimiter: str) -> Iterator[pa.RecordBatch]:
    """Batches of bytes, null where a cell is empty and not quoted."""
    # Arrow takes a file that ends within quotes for a whole one. A last row of ours then never comes.
    source.after = b"\n%b%b\n" % (_LAST, delimiter.encode() * (len(names) - 1))
    reader = arrow_csv.open_csv(
        pa.PythonFile(source, mode="r"),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=list(dict.fromkeys((names[0], *read))),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    ended = False
    for batch in reader:
        ended = bool(batch.num_rows) and batch.column(0)[batch.num_rows - 1].as_py() == _LAST
        rows = batch.num_rows - ended
        for first in range(0, rows, BATCH_ROWS):
            yield batch.slice(first, min(BATCH_ROWS, rows - first)).select(read)
    if not ended:
        raise FileError(f"{source.name}: ends within quotes: it is cut off, or a quote is missing")


def _typed(
    first: pa.RecordBatch,
    batches: Iterator[pa.RecordBatch],
    types: dict[str, str],
    kept: dict[str, str],
    notes: Counter[str],
) -> Iterator[pa.RecordBatch]:
    batch: pa.RecordBatch | None = first
    while batch is not None:
        texts = {name: _text(batch.column(name)) for name in batch.schema.names}
        arrays, names = [], []
        for name, type_ in types.items():
            names.append(name)
            arrays.append(_column(texts[name], type_, name, notes))
        for name, type_ in kept.items():
            names.append(KEPT + name)
            arrays.append(_carried(texts[name], type_, name, notes))
        if not names:
            names, arrays = [KEPT], [pa.nulls(batch.num_rows)]
        yield pa.RecordBatch.from_arrays(arrays, names)
        batch = next(batches, None)


# ---------------------------------------------------------------- cells


def _text(raw: pa.Array) -> pa.Array:
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:  # some are no UTF-8: they are errors of their rows
        return unchecked_text(raw)


def _is_utf8(texts: pa.Array) -> bool:
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _type(name: str, batch: pa.RecordBatch | None, how: Reading) -> str:
    if name in how.types:
        return how.types[name]
    if batch is None or not how.infer or name in how.texts or _IDENTIFIES.search(name):
        return TEXT
    texts = _text(batch.column(name)).drop_null()
    if not len(texts) or not _is_utf8(texts):
        return TEXT
    return next((each for each in (INTEGER, NUMBER, BOOLEAN) if pc.all(_fits(texts, each)).as_py()), TEXT)


def _fits(texts: pa.Array, type_: str) -> pa.Array:
    return pc.match_substring_regex(texts, _PATTERNS[type_])


def _converted(texts: pa.Array, type_: str) -> pa.Array:
    return (pc.utf8_lower(texts) if type_ == BOOLEAN else texts).cast(_ARROW[type_])


def _split(texts: pa.Array, type_: str) -> tuple[pa.Array, pa.Array | None]:
    """The cells that fit, converted, null where they do not; and which do not, None if all do."""
    if not _is_utf8(texts):
        # Only some of the cells are no UTF-8; Arrow's functions may be given the others.
        sound = pa.array([_decoded(each) for each in texts.cast(pa.binary()).to_pylist()], pa.string())
        fits = pc.fill_null(_fits(sound, type_), False)
        odd = pc.and_(pc.is_valid(texts), pc.invert(fits))
        return _converted(pc.if_else(fits, sound, None), type_), odd
    fits = _fits(texts, type_)
    if pc.all(fits).as_py() is not False:
        return _converted(texts, type_), None
    return _converted(pc.if_else(fits, texts, None), type_), pc.fill_null(pc.invert(fits), False)


def _decoded(raw: bytes | None) -> str | None:
    try:
        return None if raw is None else raw.decode()
    except UnicodeDecodeError:
        return None


def _column(texts: pa.Array, type_: str, name: str, notes: Counter[str]) -> pa.Array:
    if type_ == TEXT:
        return texts
    values, odd = _split(texts, type_)
    if odd is None:
        return values
    notes[f"column {name}: evaluated as the text that it is where it is no {type_}"] += pc.sum(odd).as_py()
    # A dense union whose children are as long as itself.
    kinds = odd.cast(pa.int8())
    offsets = pa.array(range(len(texts)), pa.int32())
    return pa.UnionArray.from_dense(kinds, offsets, [values, texts], ["typed", "text"])


def _carried(texts: pa.Array, type_: str, name: str, notes: Counter[str]) -> pa.Array:
    if type_ != TEXT:
        values, odd = _split(texts, type_)
        if odd is not None:
            notes[f"column {name}: carried as null where it is no {type_}"] += pc.sum(odd).as_py()
        return values
    if _is_utf8(texts):
        return texts
    raw: list[Any] = texts.cast(pa.binary()).to_pylist()
    return pa.array([None if each is None else each.decode("utf-8", "replace") for each in raw], pa.string())
