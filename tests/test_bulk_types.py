"""What the values of each type of Arrow are to rules: what single evaluation makes of the value in a context."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import Any

import pyarrow as pa
import pytest
from bulk_tables import answers_of, contexts

from pyflagwasm.bulk import BulkEvaluator

UUID = uuid.UUID(int=1).bytes
DAY = datetime.date(2024, 5, 6)
MOMENT = datetime.datetime(2024, 5, 6, 7, 8, 9, 123456)


def flag(targeting: Any) -> dict[str, Any]:
    return {
        "state": "ENABLED",
        "variants": {"yes": True, "no": False, "maybe": False},
        "defaultVariant": "maybe",
        "targeting": targeting,
    }


def document(path: str = "x") -> dict[str, Any]:
    """What a value is, seen from several sides."""
    var = {"var": path}
    return {
        "flags": {
            "truthy": flag({"if": [var, "yes", "no"]}),
            "is-2024-05-06": flag({"if": [{"==": [var, "2024-05-06"]}, "yes", "no"]}),
            "large": flag({"if": [{">": [var, 1.25]}, "yes", "no"]}),
            "in": flag({"if": [{"in": ["a", var]}, "yes", "no"]}),
            "text": flag({"if": [{"starts_with": [{"cat": [var]}, "2024-05-06T07:08:09"]}, "yes", "no"]}),
            "split": flag({"fractional": [{"cat": ["k", var]}, ["yes", 50], ["no", 50]]}),
            "unaffected": flag({"if": [{"var": "y"}, "yes", "no"]}),
        }
    }


COLUMNS = {
    "null": pa.nulls(3),
    "bool": pa.array([True, False, None]),
    **{str(kind): pa.array([0, 5, None], kind) for kind in (pa.int8(), pa.uint8(), pa.int16(), pa.uint32())},
    "int64": pa.array([2**63 - 1, -(2**63), 2**53 + 1]),
    "uint64": pa.array([2**64 - 1, 2**63, 2**63 - 1], pa.uint64()),
    "float16": pa.array([0.5, 2.0, None], pa.float16()),
    "float32": pa.array([0.1, float("nan"), float("inf")], pa.float32()),
    "double": pa.array([0.1, -0.0, None]),
    "string": pa.array(["a", "", None]),
    "long": pa.array(["a" * 200_000, "b" * 131_000, "a" * 300]),
    "large_string": pa.array(["a", "éa", None], pa.large_string()),
    "string_view": pa.array(["a", "a text beyond twelve bytes", None], pa.string_view()),
    "dictionary": pa.array(["a", "b", None]).dictionary_encode(),
    "dictionary of nulls": pa.DictionaryArray.from_arrays([0, 1, None], ["a", None]),
    "dictionary of numbers": pa.array([5, 0, None]).dictionary_encode(),
    "dictionary of dates": pa.array([DAY, None, DAY]).dictionary_encode(),
    "dictionary of views": pa.array(["a", "b", None], pa.string_view()).cast(pa.string()).dictionary_encode(),
    "date32": pa.array([DAY, datetime.date(1, 1, 1), None]),
    "date64": pa.array([DAY, datetime.date(1969, 1, 1), None], pa.date64()),
    "timestamp s": pa.array([MOMENT.replace(microsecond=0), None, datetime.datetime(1, 1, 1)], pa.timestamp("s")),
    "timestamp us": pa.array([MOMENT, None, datetime.datetime(1969, 1, 1)]),
    "timestamp ns": pa.array([1_714_979_289_123_456_789, -1, None], pa.timestamp("ns")),
    "timestamp with zone": pa.array([MOMENT, None, MOMENT], pa.timestamp("ms", "Europe/Brussels")),
    "timestamp beyond": pa.array([2**62, None, 5], pa.timestamp("s")),
    "time": pa.array([MOMENT.time(), None, MOMENT.time()]),
    "duration": pa.array([datetime.timedelta(1), None, None]),
    "decimal": pa.array([decimal.Decimal("1.50"), decimal.Decimal("0.00"), None]),
    "decimal256": pa.array([decimal.Decimal("9" * 60), None, None], pa.decimal256(60, 0)),
    "binary": pa.array([b"a", b"\xff", None]),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([UUID, None, UUID], pa.binary(16))),
    "list": pa.array([["a"], [], None]),
    "list of views": pa.array([["a"], [], None], pa.list_(pa.string_view())),
    "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"a": 1, "b": None}, {"a": None, "b": None}, None]),
    "encoded": pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None])),
}  # fmt: skip


IN_PYTHON = {  # where to_pylist cannot say, or not without pandas
    "timestamp ns": [MOMENT, datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), None],
    "timestamp beyond": [object(), None, datetime.datetime(1970, 1, 1, 0, 0, 5)],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_values_are_what_they_are_in_a_context(name: str) -> None:
    column = COLUMNS[name]
    shown = IN_PYTHON.get(name)
    if shown is None:
        expected = contexts(pa.table({"x": column}))
    else:
        expected = [{} if value is None else {"x": value} for value in shown]
    for chunk_rows in (100, 2):
        with BulkEvaluator(document(), outputs=["variant", "error_code"], chunk_rows=chunk_rows) as bulk:
            found = bulk.table(pa.table({"x": column})).to_pylist()
        pairs = [row.items() for row in answers_of(document(), expected)]
        assert [[row[f"{key}.variant"] for key, _ in pair] for row, pair in zip(found, pairs, strict=True)] == [
            [variant for _, (variant, _) in pair] for pair in pairs
        ]
        assert [[row[f"{key}.error_code"] for key, _ in pair] for row, pair in zip(found, pairs, strict=True)] == [
            [error for _, (_, error) in pair] for pair in pairs
        ]
    assert {row["unaffected.error_code"] for row in found} == {None}


NOT_NESTED = {"string_view", "encoded", "list of views"}
"""What this version of Arrow cannot make fields of a struct of, or give back as Python objects from there."""


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in NOT_NESTED])
def test_the_same_inside_of_an_object(name: str) -> None:
    """As a field of a struct, and as a column with the way to it for a name."""
    column = COLUMNS[name]
    struct = pa.StructArray.from_arrays([column, pa.array([1, 2, 3])], ["x", "other"])
    tables = [pa.table({"o": struct}), pa.table({"o.x": column}), pa.table({"o": pa.nulls(3), "o.x": column})]
    with BulkEvaluator(document("o.x"), outputs=["variant", "error_code"]) as bulk:
        found = [bulk.table(table).to_pylist() for table in tables]
        assert found[0] == found[1] == found[2]
    with BulkEvaluator(document(), outputs=["variant", "error_code"]) as bulk:
        assert bulk.table(pa.table({"x": column})).column("truthy.variant").to_pylist() == [
            row["truthy.variant"] for row in found[0]
        ]


def test_text_that_is_not_utf8_is_an_error_of_its_row() -> None:
    wrong = pa.array([b"a", b"\xff", None, b"a\xc3"]).cast(pa.binary())
    column = pa.StringArray.from_buffers(4, wrong.buffers()[1], wrong.buffers()[2], wrong.buffers()[0])
    for array in (column, column.slice(1), column.dictionary_encode()):
        with BulkEvaluator(document(), flags=["in", "unaffected"], outputs=["error_code"]) as bulk:
            found = bulk.table(pa.table({"x": array}))
            bad = [None, "INVALID_CONTEXT", None, "INVALID_CONTEXT"][-len(array) :]
            assert found["in.error_code"].to_pylist() == bad
            assert found["unaffected.error_code"].null_count == len(array)
            assert bulk.summary.flags["in"].errors == {"INVALID_CONTEXT": 2}


def test_a_null_and_a_column_that_is_not_there_are_the_same() -> None:
    with BulkEvaluator(document()) as bulk:
        found = bulk.table(pa.table({"x": pa.array([None], pa.string())}))
        assert found.equals(bulk.table(pa.table({"z": [1]})))


def test_more_attributes_than_a_batch_has_columns() -> None:
    names = [f"a{i}" for i in range(150)]
    some = {
        f"f{i}": flag({"if": [{"and": [{"var": name} for name in names[i : i + 20]]}, "yes", "no"]})
        for i in range(0, 130, 5)
    }
    whole = flag({"if": [{"and": [{"var": name} for name in names]}, "yes", "no"]})
    source = {"flags": {**some, "all": whole}}
    table = pa.table({name: [True, i % 7 == 3, None if i == 140 else True] for i, name in enumerate(names)})
    with BulkEvaluator(source, outputs=["variant"]) as bulk:
        found = bulk.table(table).to_pylist()
    wanted = answers_of(source, contexts(table))
    assert found == [{f"{key}.variant": variant for key, (variant, _) in row.items()} for row in wanted]
    assert [row["all.variant"] for row in found] == ["yes", "no", "no"]


@pytest.mark.parametrize(
    ("variants", "kind", "cells"),
    [
        ({"a": True, "b": False}, pa.bool_(), [True, False]),
        ({"a": 1, "b": 2}, pa.int64(), [1, 2]),
        ({"a": 1, "b": 2.5}, pa.float64(), [1.0, 2.5]),
        ({"a": 2**63, "b": 1}, pa.float64(), [2.0**63, 1.0]),
        ({"a": "é", "b": ""}, pa.utf8(), ["é", ""]),
        ({"a": {"k": [1, None]}, "b": {}}, pa.utf8(), ['{"k":[1,null]}', "{}"]),
    ],
)
def test_types_of_values(variants: dict[str, Any], kind: pa.DataType, cells: list[Any]) -> None:
    source = {
        "flags": {
            "f": {
                "state": "ENABLED",
                "variants": variants,
                "defaultVariant": None,
                "targeting": {"if": [{"var": "x"}, {"var": "x"}, None]},
            }
        }
    }
    with BulkEvaluator(json.dumps(source).encode()) as bulk:
        found = bulk.table(pa.table({"x": ["a", "b", None]}))
    assert found.schema.field("f.value").type == kind
    assert found["f.value"].to_pylist() == [*cells, None]
    assert found["f.variant"].to_pylist() == ["a", "b", None]


PLACES = {
    "a struct alone": {"o": [{"x": {"y": 1}}, {"x": None}, None]},
    "a way over a struct": {"o": [{"x": {"y": 1}}, {"x": {"y": 2}}, None], "o.x.y": [None, 7, 8]},
    "a struct over a struct": {"o": [{"x": {"y": 1}}] * 3, "o.x": [None, {"y": 5}, {"y": None, "z": 1}]},
    "three of them": {"o": [{"x": {"y": 1}}] * 3, "o.x": [{"y": 2}, {"z": 1}, None], "o.x.y": [None, 3, None]},
    "a way over a number": {"o": [1, 2, None], "o.x.y": [None, 7, 8]},
    "a way over a text": {"o": ["x", "length", None], "o.x.y": [None, 7, 8]},
    "two ways": {"o.x": [{"y": 1}, None, None], "o.x.y": [None, 7, None]},
    "no way": {".x": [1, 2, 3], "o.": [1, 2, 3], "o..x": [1, 2, 3]},
}


@pytest.mark.parametrize("name", PLACES)
def test_where_a_nested_attribute_comes_from(name: str) -> None:
    table = pa.table({column: pa.array(values) for column, values in PLACES[name].items()})
    paths = ["o", "o.x", "o.x.y", "o.x.z", "o.length", "o.x.length", ".x", "o."]
    source = {
        "flags": {
            path: flag({"if": [{"==": [{"var": path}, number]}, "yes", "no"]}) for path in paths for number in [7]
        }
        | {f"{path}!": flag({"if": [{"var": path}, "yes", "no"]}) for path in paths}
    }
    for wanted in (None, [f"{path}!" for path in paths], ["o.x.y", "o.x.z"]):
        with BulkEvaluator(source, flags=wanted, outputs=["variant"]) as bulk:
            found = bulk.table(table).to_pylist()
        for row, answers in zip(found, answers_of(source, contexts(table)), strict=True):
            assert row == {f"{key}.variant": answers[key][0] for key in wanted or source["flags"]}
