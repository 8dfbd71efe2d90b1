"""Blocks of lines by Arrow's reader: it gives what Python's json gives, or leaves the block to it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow")

from pyflagwasm.bulk import files  # noqa: E402
from pyflagwasm.bulk.files import (  # noqa: E402
    FileError,
    Reading,
    lines,
)
from pyflagwasm.bulk.files.lines import column  # noqa: E402
from pyflagwasm.bulk.files.quick_lines import Quick  # noqa: E402

ROWS: list[dict[str, Any]] = [
    {"key": "a", "n": 1, "f": 0.5, "b": True, "o": {"x": 1, "y": {"z": "t"}}},
    {"key": 'é\u2028"\\', "n": -(2**63), "f": 1e-300, "o": {"y": {}}},
    {},
    {"key": "2031-01-01", "n": None, "other": [1], "o": None},
]


def block(*rows: Any) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def batch(rows: list[dict[str, Any]]) -> Any:
    names = list(dict.fromkeys(name for row in rows for name in row if name != "other"))
    return pa.RecordBatch.from_arrays([column([row.get(name) for row in rows]) for name in names], names)


def learned(*, wants: Any = lambda name: name != "other", kept: Any = ()) -> Quick:
    quick = Quick([*kept], wants)
    quick.learn(batch(ROWS))
    return quick


def test_ordinary_blocks_are_read() -> None:
    for rows in (ROWS, ROWS * 1000, ROWS[::-1], [{"o": {"x": 5}}]):
        found = learned().read(block(*rows))
        assert found is not None
        assert found.schema.equals(batch(ROWS).schema)
        expected = batch(ROWS + rows).slice(len(ROWS))
        assert found.to_pylist() == expected.to_pylist()
    assert learned().read(block(*ROWS)[:-1]) is not None  # without a new line at the end


ODD = [
    b'{"n": 1.0}',
    b'{"n": 1e2}',
    b'{"n": 9223372036854775808}',
    b'{"f": 1}',
    b'{"f": 2.0}',
    b'{"f": NaN}',
    b'{"f": Infinity}',
    b'{"key": 5}',
    b'{"b": "true"}',
    b'{"key": "\\ud800"}',
    b'{"key": "\xff"}',
    b'{"key": "a", "key": "b"}',
    b'{"new": 1}',
    b'{"o": {"new": 1}}',
    b'{"o": {"x": 1.5}}',
    b'{"o": 5}',
    b"",
    b" ",
    b'{"n": 1} {"n": 2}',
    b'{"n":\n1}',
    b'{"n": 1}\r',
    b'{"n": 1',
    b"5",
    b"[]",
    b'{"n": 01}',
]


@pytest.mark.parametrize("line", ODD, ids=repr)
def test_what_is_out_of_the_ordinary_is_left_alone(line: bytes) -> None:
    quick = learned()
    assert quick.read(block(*ROWS, line, *ROWS)) is None
    assert quick.read(block(*ROWS)) is not None


def test_two_objects_on_a_line_do_not_make_up_for_an_empty_one() -> None:
    assert learned().read(block(b'{"n": 1} {"n": 2}', b"", b'{"n": 3}')) is None
    assert learned().read(block(b'{"n": 1}{"n": 2}', b'{"o": {"x":', b"1}}")) is None


def test_what_nobody_wants_may_be_anything() -> None:
    quick = learned(wants=lambda name: name in ("key", "n", "f", "b", "o"))
    found = quick.read(block({"new": [1], "n": 1}, {"new": {"x": 5}}))
    assert found is None  # Arrow cannot have both
    found = quick.read(block({"new": [1], "n": 1}, {"new": [2]}))
    assert found is not None
    assert found.column("n").to_pylist() == [1, None]


def test_it_gives_up_where_it_is_of_no_use() -> None:
    quick = learned()
    for _ in range(3):
        assert quick.read(block(b'{"f": 1}')) is None
        quick.learn(batch(ROWS))
    assert quick.read(block(*ROWS)) is None


def test_files_are_the_same_either_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BLOCK", 1 << 16)
    monkeypatch.setattr(lines, "_FIRST", 1 << 14)
    draw = random.Random(3)
    rows = [
        {
            "key": f"user-{number}",
            "n": draw.randrange(100),
            "f": draw.random() if number % 977 else 1,
            "app": {"version": draw.choice(["4.1.0", "4.2.0"])},
            **({"late": draw.choice([True, "x"])} if number > 15_000 else {}),
        }
        for number in range(30_000)
    ]
    path = tmp_path / "t.ndjson"
    path.write_bytes(block(*rows))

    def read() -> tuple[list[dict[str, Any]], int]:
        quick = 0
        original = Quick.read

        def counted(self: Quick, data: bytes) -> Any:
            nonlocal quick
            found = original(self, data)
            quick += 0 if found is None else found.num_rows
            return found

        with monkeypatch.context() as patch:
            patch.setattr(Quick, "read", counted)
            with files.read(str(path), None, Reading(wants=lambda name: name != "f", keep=("key", "n"))) as found:
                table = [row for each in found.batches for row in each.to_pylist()]
        return table, quick

    found, quick = read()
    assert quick > 10_000
    with monkeypatch.context() as patch:
        patch.setattr(Quick, "read", lambda self, data: None)
        slow, none = read()
    assert none == 0

    def said(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if value is not None} for row in rows]

    assert said(found) == said(slow)


def test_lines_are_counted_through_all_blocks(tmp_path: Path) -> None:
    path = tmp_path / "t.ndjson"
    path.write_bytes(block(*[{"key": "x" * 50}] * 200_000, b"{", {}))
    with (
        pytest.raises(FileError, match="line 200001: not valid JSON"),
        files.read(str(path), None, Reading()) as found,
    ):
        list(found.batches)
