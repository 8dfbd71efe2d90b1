"""Tables from files: what columns are, what is damaged, what comes along."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
import pyarrow.parquet as pq  # noqa: E402

from pyflagwasm.bulk import files  # noqa: E402
from pyflagwasm.bulk.files import KEPT, FileError, Reading, reading  # noqa: E402
from pyflagwasm.bulk.files.writing import Output  # noqa: E402

FORMATS = ["t.parquet", "t.arrow", "t.arrows", "t.csv", "t.ndjson", "t.arrows.gz", "t.csv.zst", "t.ndjson.gz", "t.tsv"]
ROWS = [
    {"targetingKey": "007", "age": 7, "note": 'a "quoted", thing'},
    {"targetingKey": "line\nbreak", "age": None, "note": ""},
    {"targetingKey": "日本", "age": -(2**40), "note": None},
] * 40
TABLE = pa.Table.from_pylist(ROWS)


def write(path: Path, table: Any = TABLE, rows: int = 50) -> str:
    with Output(str(path), None, table.schema, lambda data: None) as out:
        for batch in table.to_batches(rows):
            out.write(batch)
        out.commit()
    return str(path)


def read(path: str | Path, format: str | None = None, **how: Any) -> tuple[list[dict[str, Any]], Any]:
    with files.read(str(path), format, Reading(**how)) as found:
        return [row for batch in found.batches for row in batch.to_pylist()], found


def outcome(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """The rows, or why there are none."""
    try:
        with files.read(str(path), None, Reading()) as found:
            batches = list(found.batches)
    except FileError as error:
        return [], str(error)
    try:
        return [row for batch in batches for row in batch.to_pylist()], None
    except UnicodeDecodeError:  # of this look at a text, which is no UTF-8; the row is an error of its own
        return [], None


def carried(rows: list[dict[str, Any]], found: Any) -> list[dict[str, Any]]:
    return [{field.name: row[name] for name, field in found.kept.items()} for row in rows]


# ---------------------------------------------------------------- all formats


@pytest.mark.parametrize("name", FORMATS)
def test_what_was_written_is_read(name: str, tmp_path: Path) -> None:
    rows, found = read(write(tmp_path / name))
    assert rows == ROWS
    assert found.kept == {}
    assert found.notes == {}
    assert found.rows in (None, len(ROWS))
    assert (found.rows or found.size) is not None  # something to tell the progress by


@pytest.mark.parametrize("name", FORMATS)
def test_only_what_is_wanted_is_read_and_kept(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    rows, found = read(path, wants=lambda each: each == "age", keep=("note",), limit=70)
    assert [row["age"] for row in rows] == [row["age"] for row in ROWS[:70]]
    assert "targetingKey" not in rows[0]
    assert carried(rows, found) == [{"note": row["note"]} for row in ROWS[:70]]
    rows, found = read(path, wants=lambda each: False, keep=None)
    as_is = carried(rows, found)
    if ".csv" in name or ".tsv" in name:
        as_is = [{**row, "age": None if row["age"] is None else int(row["age"])} for row in as_is]
    assert as_is == ROWS
    rows, found = read(path, wants=lambda each: False)
    assert len(rows) == len(ROWS)
    assert read(path, limit=0)[0] == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_column_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name)
    for how in ({"keep": ("plan",)}, {"needs": ("plan",)}):
        with pytest.raises(FileError) as caught:
            read(path, **how)
        assert str(caught.value) == f"{path}: there is no column 'plan'; there are targetingKey, age, note"


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_without_rows(name: str, tmp_path: Path) -> None:
    assert read(write(tmp_path / name, TABLE.slice(0, 0)))[0] == []


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_cut_off_is_an_error_and_never_less_rows(name: str, tmp_path: Path) -> None:
    """CSV and NDJSON without compression can only be told to be cut off within a row."""
    data = Path(write(tmp_path / name)).read_bytes()
    plain = name in ("t.csv", "t.ndjson", "t.tsv")
    cuts = {*range(0, len(data), max(1, len(data) // 60)), len(data) - 1, len(data) - 4, len(data) - 8}
    refused = 0
    for cut in sorted(cuts):
        path = tmp_path / f"cut.{name}"
        path.write_bytes(data[:cut])
        rows, error = outcome(path)
        if error is None:
            assert plain, f"{cut} of {len(data)} bytes"
            assert name != "t.ndjson" or rows == ROWS[: len(rows)]
        else:
            refused += 1
            assert error.startswith(f"{path}: ")
            assert "\n" not in error
    assert refused == len(cuts) if not plain else refused >= len(cuts) // 4


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.arrows", "t.csv.zst", "t.ndjson.gz"])
def test_damage_in_the_middle_raises_nothing_but_a_file_error(name: str, tmp_path: Path) -> None:
    data = Path(write(tmp_path / name)).read_bytes()
    for at in range(0, len(data), max(1, len(data) // 80)):
        path = tmp_path / f"bad.{name}"
        path.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        _, error = outcome(path)
        assert error is None or "\n" not in error


def test_a_stream_that_ends_between_two_messages(tmp_path: Path) -> None:
    data = Path(write(tmp_path / "t.arrows")).read_bytes()
    (tmp_path / "t.arrows").write_bytes(data[:-8])
    with pytest.raises(FileError, match=r"t\.arrows: ends without the mark of its end: it is cut off"):
        read(tmp_path / "t.arrows")


def test_formats_are_told_by_names(tmp_path: Path) -> None:
    stream = Path(write(tmp_path / "t.arrows")).rename(tmp_path / "t.arrow")
    assert read(stream)[0] == ROWS  # a stream in a file that is called otherwise
    odd = Path(write(tmp_path / "t.ndjson")).rename(tmp_path / "t.json")
    with pytest.raises(FileError, match=r"does not say what format it has .*: say it, --in-format"):
        read(odd)
    assert read(odd, "ndjson")[0] == ROWS
    with pytest.raises(FileError, match="cannot be read: No such file or directory"):
        read(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FileError, match="is a directory: name a file in it"):
        read(tmp_path / "folder.csv")
    with pytest.raises(FileError, match="Parquet is read from its end"):
        read("-", "parquet")
    with pytest.raises(FileError, match=r"cannot be read: .*null"):
        read("a\0.csv")


def test_streams_come_from_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for format in ("ndjson", "csv", "arrows"):
        data = Path(write(tmp_path / f"t.{format}")).read_bytes()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        assert read("-", format)[0] == ROWS
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(write(tmp_path / "t.arrow")).read_bytes())))
    with pytest.raises(FileError, match="stdin: an Arrow IPC file is read from its end"):
        read("-", "arrow")


def test_two_gzips_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n'))
    assert read(path)[0] == [{"a": 1}, {"a": 2}]


def test_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    pq.write_table(table, tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    for name in ("t.parquet", "t.csv"):
        with pytest.raises(FileError, match="the column 'a' is there more than once"):
            read(tmp_path / name)


# ---------------------------------------------------------------- CSV


def csv(tmp_path: Path, text: str | bytes, **how: Any) -> tuple[list[dict[str, Any]], Any]:
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, **how)


@pytest.mark.parametrize(
    ("cells", "type", "values"),
    [
        (["1", "-2", "0"], "integer", [1, -2, 0]),
        (["1", "2.5", "1.0e+3"], "number", [1.0, 2.5, 1000.0]),
        (["true", "False", "TRUE"], "boolean", [True, False, True]),
        (["1", "007"], "text", ["1", "007"]),
        (["1", "+2"], "text", ["1", "+2"]),
        (["1e5", "2e7"], "text", ["1e5", "2e7"]),  # as ids in hexadecimal can look
        (["1", "1234567890123456789012"], "text", ["1", "1234567890123456789012"]),
        (["2031-01-01", "2031-01-02"], "text", ["2031-01-01", "2031-01-02"]),
        (["1", "NA"], "text", ["1", "NA"]),
        (["NaN", "1.5"], "text", ["NaN", "1.5"]),
        (["0", "1"], "integer", [0, 1]),
        ([" 1", "2"], "text", [" 1", "2"]),
        (["", ""], "text", [None, None]),
    ],
)
def test_what_a_column_is(cells: list[str], type: str, values: list[Any], tmp_path: Path) -> None:
    text = "x,other\n" + "".join(f"{cell},o\n" for cell in cells)
    rows, found = csv(tmp_path, text)
    assert [row["x"] for row in rows] == values
    assert [*map(repr, (row["x"] for row in rows))] == [*map(repr, values)]
    assert found.types["x"] == type
    rows, found = csv(tmp_path, text, infer=False)
    assert [row["x"] for row in rows] == [cell or None for cell in cells]
    # What is carried is what the file says.
    rows, found = csv(tmp_path, text, keep=("x",))
    assert carried(rows, found) == [{"x": cell or None} for cell in cells]


def test_what_identifies_is_text(tmp_path: Path) -> None:
    names = ["id", "user_id", "userId", "account.ID", "order-key", "deviceUuid", "zip", "paid", "monkey", "valid"]
    rows, found = csv(tmp_path, f"{','.join(names)}\n" + ",".join("5" for _ in names) + "\n")
    assert [name for name in names if found.types[name] == "text"] == names[:7]
    assert rows[0]["user_id"] == "5"
    rows, found = csv(tmp_path, "id,who\n5,6\n", types={"id": "integer"}, texts=frozenset({"who"}))
    assert rows == [{"id": 5, "who": "6"}]
    rows, found = csv(tmp_path, "id,who\n5,6\n", types={"id": "integer"}, keep=("id", "who"))
    assert carried(rows, found) == [{"id": 5, "who": "6"}]


def test_a_cell_that_does_not_fit_is_the_text_that_it_is(tmp_path: Path) -> None:
    first = "age,n\n" + "30,1\n" * 900_000  # more than the first block, which decides
    rows, found = csv(tmp_path, first + "unknown,2\n,3\n007,4\n31,5\n")
    assert rows[-5:] == [
        {"age": 30, "n": 1},
        {"age": "unknown", "n": 2},
        {"age": None, "n": 3},
        {"age": "007", "n": 4},
        {"age": 31, "n": 5},
    ]
    assert found.notes == {"column age: evaluated as the text that it is where it is no integer": 2}


def test_empty_cells_and_empty_texts(tmp_path: Path) -> None:
    rows, _ = csv(tmp_path, 'a,b\n,""\nNULL,"x\ny"\n')
    assert rows == [{"a": None, "b": ""}, {"a": "NULL", "b": "x\ny"}]


def test_rows_of_csv_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Row #3: Expected 2 columns, got 1"):
        csv(tmp_path, "a,b\n1,2\n3\n")
    with pytest.raises(FileError, match="ends within quotes: it is cut off, or a quote is missing"):
        csv(tmp_path, 'a,b\n1,2\n3,"4\n5,6\n')
    with pytest.raises(FileError, match="is empty: its first line must name the columns"):
        csv(tmp_path, "")
    with pytest.raises(FileError, match="the names of the columns are not UTF-8"):
        csv(tmp_path, b"a,\xff\n1,2\n")


def test_text_that_is_not_utf8_is_a_matter_of_its_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,n\nx,1\n\xff,2\n,3\n")
    with files.read(str(tmp_path / "t.csv"), None, Reading(keep=None)) as found:
        (batch,) = found.batches
    assert batch.column("a").cast(pa.binary()).to_pylist() == [b"x", b"\xff", None]
    assert batch.column(KEPT + "a").to_pylist() == ["x", "\ufffd", None]
    _, found = csv(tmp_path, b"n,b\n" + b"1,1\n" * 3 + b"2,1\n")
    assert found.types == {"n": "integer", "b": "integer"}


def test_delimiters_and_marks(tmp_path: Path) -> None:
    assert csv(tmp_path, "\ufeffa;b\n1;2,5\n", delimiter=";")[0] == [{"a": 1, "b": "2,5"}]
    (tmp_path / "t.tsv").write_text("a\tb\n1\tx,y\n")
    assert read(tmp_path / "t.tsv")[0] == [{"a": 1, "b": "x,y"}]


# ---------------------------------------------------------------- NDJSON


def ndjson(tmp_path: Path, *lines: Any, **how: Any) -> tuple[list[dict[str, Any]], Any]:
    path = tmp_path / "t.ndjson"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return read(path, **how)


def test_values_are_what_the_lines_say(tmp_path: Path) -> None:
    lines = [
        {"a": 1, "b": {"x": [1, "t", None], "y": {"z": True}}, "at": "2031-01-01T00:00:00Z"},
        {"a": "t", "b": 5},
        {"a": 1.0, "b": {"y": {"w": 1}}},
        {"a": 2**63, "c": []},
        {"a": False, "c": [[1], {"k": "v"}]},
        {},
    ]
    rows, _ = ndjson(tmp_path, *lines)
    assert [row["a"] for row in rows] == [1, "t", 1.0, float(2**63), False, None]
    assert [type(row["a"]) for row in rows] == [int, str, float, float, bool, type(None)]
    assert rows[0]["b"] == {"x": [1, "t", None], "y": {"z": True, "w": None}}
    assert rows[1]["b"] == 5
    assert [row["c"] for row in rows] == [None, None, None, [], [[1], {"k": "v"}], None]
    assert rows[0]["at"] == "2031-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON: Expecting property name enclosed in double quotes at column 2"),
        ("5", "must be an object, not an integer"),
        ('{"a":1} {"b":2}', "not valid JSON: Extra data at column 8"),
        ('{"a": NaN}', "not valid JSON: NaN is not a number of JSON"),
        ('{"a": ' + "9" * 400 + "}", "an integer of 400 digits, which is beyond the range of a double"),
        ('{"a":' + "[" * 100_000, "nested too deep"),
    ],
)
def test_lines_that_are_no_context(line: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(FileError) as caught:
        ndjson(tmp_path, {"a": 1}, "", line, {"a": 2})
    assert str(caught.value) == f"{tmp_path / 't.ndjson'}: line 3: {reason}"


def test_a_line_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "t.ndjson").write_bytes(b'{"a":1}\n{"a":"\xff"}\n')
    with pytest.raises(FileError, match="line 2: not UTF-8: byte 7 of the line"):
        read(tmp_path / "t.ndjson")


def test_what_lines_carry(tmp_path: Path) -> None:
    lines = [{"n": 1, "s": "t", "o": {"a": [1]}, "m": 1, "f": 1}, {"n": 2, "m": "t", "f": 1.5}]
    rows, found = ndjson(tmp_path, *lines, keep=None)
    assert carried(rows, found) == [
        {"n": 1, "s": "t", "o": '{"a":[1]}', "m": "1", "f": 1.0},
        {"n": 2, "s": None, "o": None, "m": '"t"', "f": 1.5},
    ]


def test_what_later_lines_carry_fits_the_first_ones(tmp_path: Path) -> None:
    first = [{"n": 1, "s": "t"}] * reading.BATCH_ROWS
    later = [{"n": "x", "s": 5}, {"n": 2**70, "s": {"a": 1}}, {"new": 1}, {"n": 3, "s": "\ud800"}]
    rows, found = ndjson(tmp_path, *first, *later, keep=None, wants=lambda name: False)
    assert carried(rows, found)[-4:] == [
        {"n": None, "s": "5"},
        {"n": None, "s": '{"a":1}'},
        {"n": None, "s": None},
        {"n": 3, "s": "?"},
    ]
    assert found.notes == {
        "column n: carried as int64, and null where it is none": 2,
        "column new: not carried, as the first lines do not have it": 1,
    }


def test_lines_longer_than_a_block(tmp_path: Path) -> None:
    long = "x" * (9 << 20)
    rows, _ = ndjson(tmp_path, {"a": long}, {"a": "y"})
    assert [len(row["a"]) for row in rows] == [len(long), 1]
