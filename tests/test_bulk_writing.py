"""Tables to files: whole or not at all, and what their cells are."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")
import pyarrow.csv as arrow_csv  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from pyflagwasm.bulk.files import FileError  # noqa: E402
from pyflagwasm.bulk.files.lines import JSON_TEXT  # noqa: E402
from pyflagwasm.bulk.files.writing import Output  # noqa: E402

NAMES = ["t.parquet", "t.arrow", "t.arrows", "t.csv", "t.ndjson", "t.ndjson.gz"]
SCHEMA = pa.schema(
    [
        pa.field("n", pa.int64()),
        pa.field("t", pa.string()),
        pa.field("f", pa.float64()),
        pa.field("b", pa.bool_()),
        pa.field("v", pa.dictionary(pa.int8(), pa.string())),
        pa.field("j", pa.string(), metadata=JSON_TEXT),
    ],
    {b"pyflagwasm.config_digest": b"abc"},
)
ROWS: list[dict[str, Any]] = [
    {"n": 1, "t": 'a"b\n', "f": 1.0, "b": True, "v": "on", "j": '{"a":[1]}'},
    {"n": None, "t": "", "f": None, "b": None, "v": None, "j": None},
    {"n": -(2**63), "t": "日本", "f": 1e300, "b": False, "v": 'o"ff', "j": "5"},
]


def batch(rows: list[dict[str, Any]] = ROWS) -> Any:
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def output(path: Path | str, format: str | None = None, write: Any = None) -> Output:
    return Output(str(path), format, SCHEMA, write)


def written(path: Path | str, format: str | None = None) -> None:
    with output(path, format) as out:
        out.write(batch())
        out.commit()


@pytest.mark.parametrize("name", NAMES)
def test_a_file_appears_when_it_is_complete(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with output(path) as out:
        out.write(batch())
        assert not path.exists()
        (temporary,) = tmp_path.iterdir()
        assert temporary.name.startswith(f".{name}.")
        assert temporary.name.endswith(".tmp")
        out.commit()
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_committed_changes_nothing(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    for before in (None, b"what was there"):
        if before is not None:
            path.write_bytes(before)
        with pytest.raises(KeyboardInterrupt):
            interrupted(path)
        assert (path.read_bytes() if path.exists() else None) == before
        assert [each.name for each in tmp_path.iterdir()] == ([] if before is None else [name])


def interrupted(path: Path) -> None:
    with output(path) as out:
        out.write(batch())
        raise KeyboardInterrupt


def test_a_file_that_is_replaced_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    target = tmp_path / "real.ndjson"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link.ndjson").symlink_to(target)
    with output(tmp_path / "link.ndjson") as out:
        out.write(batch())
        out.commit()
    assert (tmp_path / "link.ndjson").is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.read_text().startswith('{"n":1,')


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="cannot be written: No such file or directory"):
        output(tmp_path / "none" / "t.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(FileError, match="is a directory"):
        output(tmp_path / "d.csv")
    with pytest.raises(FileError, match=r"does not say what format it has .* --out-format"):
        output(tmp_path / "t.xlsx")
    with pytest.raises(FileError, match=r"Parquet compresses by itself: leave \.gz out of the name"):
        output(tmp_path / "t.parquet.gz")
    with pytest.raises(FileError, match="stdout: Parquet is for files"):
        output("-", "parquet")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["d.csv"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("format", ["csv", "ndjson", "arrows", "arrow", "parquet"])
def test_a_device_that_is_full(format: str) -> None:
    with pytest.raises(FileError, match="/dev/full: cannot be written: No space left on device"):
        written("/dev/full", format)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.arrows"])
def test_types_and_metadata_come_along(name: str, tmp_path: Path) -> None:
    with output(tmp_path / name) as out:
        for _ in range(3):
            out.write(batch())
        out.commit()
    path = tmp_path / name
    if name == "t.parquet":
        table = pq.read_table(path)
        assert pq.ParquetFile(path).num_row_groups == 1
    elif name == "t.arrow":
        table = pa.ipc.open_file(path).read_all()
    else:
        table = pa.ipc.open_stream(path).read_all()
    assert table.to_pylist() == ROWS * 3
    assert table.schema.metadata[b"pyflagwasm.config_digest"] == b"abc"
    if name != "t.parquet":
        assert table.schema.equals(SCHEMA, check_metadata=True)
    assert table.schema.field("v").type == SCHEMA.field("v").type


def test_csv(tmp_path: Path) -> None:
    with output(tmp_path / "t.csv") as out:
        out.write(batch())
        out.commit()
    text = (tmp_path / "t.csv").read_text()
    assert text.splitlines()[0] == '"n","t","f","b","v","j"'
    options = arrow_csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""])
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    back = arrow_csv.read_csv(tmp_path / "t.csv", convert_options=options, parse_options=parse)
    assert back.to_pylist() == ROWS


def test_ndjson(tmp_path: Path) -> None:
    with output(tmp_path / "t.ndjson") as out:
        out.write(batch())
        out.write(batch([]))
        out.commit()
    text = (tmp_path / "t.ndjson").read_text()
    assert [json.loads(line) for line in text.splitlines()] == [
        {**row, "j": None if row["j"] is None else json.loads(row["j"])} for row in ROWS
    ]
    assert text.splitlines()[0] == '{"n":1,"t":"a\\"b\\n","f":1.0,"b":true,"v":"on","j":{"a":[1]}}'


def test_ndjson_of_every_type(tmp_path: Path) -> None:
    table = pa.table(
        {
            "date": pa.array([0, None], pa.date32()),
            "moment": pa.array([0, None], pa.timestamp("us", "UTC")),
            "list": pa.array([[1.5, float("nan")], None]),
            "struct": pa.array([{"a": "x"}, None]),
            "bytes": pa.array([b"x\xff", None]),
            "nothing": pa.nulls(2),
            "large": pa.array(["é", None], pa.large_string()),
            "unsigned": pa.array([2**64 - 1, None], pa.uint64()),
            "half": pa.array([0.1, float("inf")], pa.float32()),
        }
    )
    with Output(str(tmp_path / "t.ndjson"), None, table.schema, lambda data: None) as out:
        for each in table.to_batches():
            out.write(each)
        out.commit()
    first, second = map(json.loads, (tmp_path / "t.ndjson").read_text().splitlines())
    assert first == {
        "date": "1970-01-01",
        "moment": "1970-01-01T00:00:00+00:00",
        "list": [1.5, None],
        "struct": {"a": "x"},
        "bytes": "x\ufffd",
        "nothing": None,
        "large": "é",
        "unsigned": 2**64 - 1,
        "half": pytest.approx(0.1),
    }
    assert set(second.values()) == {None}


def test_many_rows_are_one_group_of_parquet_a_million(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("n", pa.int64())])
    with Output(str(tmp_path / "t.parquet"), None, schema, lambda data: None) as out:
        for _ in range(33):
            out.write(pa.RecordBatch.from_arrays([pa.nulls(65_536, pa.int64())], schema=schema))
        out.commit()
    file = pq.ParquetFile(tmp_path / "t.parquet")
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [1 << 20, 1 << 20, 65_536]


def test_stdout_gets_what_a_file_would() -> None:
    got: list[bytes] = []
    with output("-", None, got.append) as out:
        out.write(batch())
        out.commit()
    assert b"".join(got).count(b"\n") == 3
    got.clear()
    with output("-", "arrow", got.append) as out:  # the stream of it
        out.write(batch())
        out.commit()
    assert pa.ipc.open_stream(b"".join(got)).read_all().to_pylist() == ROWS
