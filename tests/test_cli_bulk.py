"""`pyflagwasm bulk` in process: the same answers as `evaluate`, from every format to every format, and the summary.

Processes, signals, pipes and memory are in test_cli_bulk_process.py.
"""

from __future__ import annotations

import io
import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluators import FLAGD, ON_OFF, Capture, flag, run, written

pa = pytest.importorskip("pyarrow")
import pyarrow.csv as arrow_csv  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

NOW = "1970-01-01T00:20:00Z"
DOCUMENT: dict[str, Any] = {
    "flags": {
        **FLAGD["flags"],
        "big": flag(ON_OFF, "off", {"if": [{">": [{"var": "n"}, 2**60]}, "on"]}),
        "nested": flag(ON_OFF, "off", {"if": [{"sem_ver": [{"var": "app.version"}, ">=", "4.2.0"]}, "on"]}),
        "list": flag(ON_OFF, "off", {"if": [{"in": ["staff", {"var": "roles"}]}, "on"]}),
        "whole": flag(ON_OFF, "off", {"if": [{"==": [{"var": "$flagd.flagKey"}, "whole"]}, "on"]}),
        "text": flag(ON_OFF, "off", {"if": [{"===": [{"var": "n"}, "5"]}, "on"]}),
        "cat": flag(ON_OFF, "off", {"fractional": [{"cat": [{"var": "n"}, "x"]}, ["on", 50], ["off", 50]]}),
    }
}
FIELDS = ("value", "variant", "reason", "error_code")
KEYS = [f"k-{i}" for i in range(60)]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return written(tmp_path, "shop.json", json.dumps(DOCUMENT).encode())


def contexts(count: int, seed: int) -> list[dict[str, Any]]:
    """Of all that JSON can say, but for null, which is an absent attribute in a table."""
    draw = random.Random(seed)
    values: dict[str, list[Any]] = {
        "targetingKey": [*KEYS, *KEYS, "", 5, True],
        "plan": ["pro", "free", "", "日本", "\ud800", 5, 5.5, False, ["pro"], {"pro": 1}],
        "city": ["Ghent", "Namur", "Gh", 2.5],
        "n": [5, "5", 5.0, 2**61, 2**63, -(2**70), 1e300, "x", True, [5], {}],
        "app": [{"version": "4.3.0"}, {"version": "4.1.0", "os": "x"}, {}, {"version": 4}, "4.3.0", 7],
        "roles": [["staff"], [], ["a", 1, {"b": None}], "staff member", 3],
        "more": ["x" * 5000, 1, None],
    }
    return [
        {name: draw.choice(some) for name, some in values.items() if draw.random() < 0.8 and (name != "more" or some)}
        for _ in range(count)
    ]


def evaluated(capsys: Capture, config: str, path: str, *arguments: str) -> list[dict[str, Any]]:
    code, out, _ = run(capsys, "evaluate", config, "--contexts", path, "--now", NOW, *arguments)
    assert code in (0, 1)
    return [json.loads(line) for line in out.splitlines()]


def answers(rows: list[dict[str, Any]], keys: list[str]) -> list[dict[str, Any]]:
    """Rows of a bulk output as `evaluate` prints them."""
    return [
        {"context": number, "flag": key, **{field: row[f"{key}.{field}"] for field in FIELDS}}
        for number, row in enumerate(rows)
        for key in keys
    ]


def lines(path: Path | str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


# ---------------------------------------------------------------- equal to `evaluate`


@pytest.mark.parametrize("threads", ["1", "2"])
def test_lines_are_answered_as_evaluate_does(threads: str, capsys: Capture, shop: str, tmp_path: Path) -> None:
    given = contexts(3_000, seed=7)
    path = written(tmp_path, "c.ndjson", "".join(f"{json.dumps(each)}\n" for each in given).encode())
    expected = evaluated(capsys, shop, path)
    out = tmp_path / "o.ndjson"
    code, _, err = run(capsys, "bulk", shop, path, str(out), "--now", NOW, "--threads", threads)
    assert code == 1
    assert "TARGETING_KEY_MISSING" not in err
    assert "ERROR INVALID_CONTEXT" in err
    keys = list(DOCUMENT["flags"])
    found = answers(lines(out), keys)
    for each in expected:  # an integer beyond 64 bits makes the column one of doubles
        if each["flag"] == "huge":
            each["value"] = 1e300
    assert len(found) == len(expected) == 3_000 * len(keys)
    assert [pair for pair in zip(found, expected, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.parametrize("config", ["example:flagd", "example:devcycle"])
def test_examples_are_answered_as_evaluate_does(config: str, capsys: Capture, tmp_path: Path) -> None:
    given = [{"targetingKey": key, "user_id": key, "country": "BE", "appVersion": "1.2.3"} for key in KEYS]
    path = written(tmp_path, "c.ndjson", "".join(f"{json.dumps(each)}\n" for each in given).encode())
    expected = evaluated(capsys, config, path)
    out = tmp_path / "o.ndjson"
    code, _, _ = run(capsys, "bulk", config, path, str(out), "--now", NOW)
    keys = list(dict.fromkeys(each["flag"] for each in expected))
    assert code == 0
    assert answers(lines(out), keys) == expected


# ---------------------------------------------------------------- every format


TABLE = pa.table(
    {
        "targetingKey": [*KEYS, None],
        "plan": ["pro" if i % 3 else "free" for i in range(61)],
        "n": [2**61 if i % 2 else i for i in range(61)],
        "app.version": [None if i % 5 else "4.3.0" for i in range(61)],
    }
)
FORMATS = ["parquet", "csv", "ndjson", "arrow", "arrows", "csv.gz", "ndjson.zst"]


def read_back(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    if path.suffix == ".arrow":
        return list(pa.ipc.open_file(path).read_all().to_pylist())
    if path.suffix == ".arrows":
        return list(pa.ipc.open_stream(path).read_all().to_pylist())
    data = pa.input_stream(str(path)).read()
    if ".ndjson" in path.name:
        return [json.loads(line) for line in data.splitlines()]
    options = arrow_csv.ConvertOptions(strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""])
    return list(arrow_csv.read_csv(io.BytesIO(data), convert_options=options).to_pylist())


def table(folder: Path, format: str) -> str:
    from pyflagwasm.bulk.files.writing import Output

    path = folder / f"in.{format}"
    with Output(str(path), None, TABLE.schema, lambda data: None) as out:
        for batch in TABLE.to_batches(20):
            out.write(batch)
        out.commit()
    return str(path)


@pytest.mark.parametrize("into", FORMATS)
@pytest.mark.parametrize("format", FORMATS)
def test_formats(format: str, into: str, capsys: Capture, shop: str, tmp_path: Path) -> None:
    keys = ["plan", "split", "nested", "big"]
    chosen = [word for key in keys for word in ("--flag", key)]
    # A column with dots is a nested attribute; `evaluate` is told so.
    given = [
        {name: value for name, value in row.items() if value is not None}
        | ({"app": {"version": row["app.version"]}} if row["app.version"] else {})
        for row in TABLE.to_pylist()
    ]
    path = written(tmp_path, "c.ndjson", "".join(f"{json.dumps(each)}\n" for each in given).encode())
    expected = evaluated(capsys, shop, path, *chosen)
    out = tmp_path / f"out.{into}"
    code, stdout, err = run(
        capsys, "bulk", shop, table(tmp_path, format), str(out), *chosen, "--now", NOW, "--keep", "targetingKey"
    )
    errors = sum(each["error_code"] is not None for each in expected)
    assert (code, stdout) == (int(errors > 0), "")
    assert err.startswith("61 rows in ")
    rows = read_back(out)
    assert [row["targetingKey"] for row in rows] == TABLE.column("targetingKey").to_pylist()
    assert answers(rows, keys) == expected


def test_metadata(capsys: Capture, shop: str, tmp_path: Path) -> None:
    out = tmp_path / "o.parquet"
    code, text, _ = run(capsys, "bulk", shop, table(tmp_path, "csv"), str(out), "--flag", "plan", "--json")
    assert code == 0
    metadata = pq.read_schema(out).metadata
    told = json.loads(text)["metadata"]
    assert told["config_digest"] == metadata[b"pyflagwasm.config_digest"].decode()
    assert len(told["core_digest"]) == 64
    assert told["generation"] == "1"


# ---------------------------------------------------------------- what is asked for


def test_columns_and_buckets(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = written(tmp_path, "u.csv", b"who,tariff\n007,pro\n7,free\n,pro\n")
    out = tmp_path / "o.ndjson"
    given = ("--flag", "plan", "--flag", "split", "--targeting-key", "who", "--column", "plan=tariff", "--bucket")
    code, _, err = run(capsys, "bulk", shop, source, str(out), *given, "--keep", "*")
    found = lines(out)
    assert [row["plan.value"] for row in found] == [True, False, True]
    assert [(row["who"], row["tariff"]) for row in found] == [("007", "pro"), ("7", "free"), (None, "pro")]
    assert found[0]["split.bucket"] != found[1]["split.bucket"]  # 007 is not 7
    assert 0 <= found[0]["split.bucket"] < 100_000
    assert (code, found[2]["split.bucket"]) == (0, None)
    assert "read as" not in err


def test_limit(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = table(tmp_path, "parquet")
    for limit, rows in ((0, 0), (5, 5), (1000, 61)):
        code, text, _ = run(capsys, "bulk", shop, source, str(tmp_path / "o.csv"), "--limit", str(limit), "--json")
        assert (code, json.loads(text)["rows"]) == (0, rows)


def test_without_out_there_is_the_summary(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = table(tmp_path, "parquet")
    code, out, err = run(capsys, "bulk", shop, source, "--flag", "plan")
    assert (code, out) == (0, "")
    first, *rest = err.splitlines()
    assert first.startswith("61 rows in ")
    assert rest == ["plan", "  on   TARGETING_MATCH  40   65.6%", "  off  DEFAULT          21   34.4%"]
    code, out, err = run(capsys, "bulk", shop, source, "--flag", "plan", "--json")
    told = json.loads(out)
    assert (code, err) == (0, "")
    assert told["flags"] == {
        "plan": {
            "rows": 61,
            "split": [
                {"variant": "on", "reason": "TARGETING_MATCH", "rows": 40, "share": 40 / 61},
                {"variant": "off", "reason": "DEFAULT", "rows": 21, "share": 21 / 61},
            ],
            "errors": {},
        }
    }
    assert run(capsys, "bulk", shop, source, "--flag", "plan", "--quiet") == (0, "", "")


@pytest.mark.parametrize("where", [1, 2, 3, 4])
def test_options_may_stand_anywhere(where: int, capsys: Capture, shop: str, tmp_path: Path) -> None:
    words = ["bulk", shop, table(tmp_path, "csv"), str(tmp_path / "o.csv")]
    given = [*words[:where], "--flag", "plan", *words[where:]]
    assert run(capsys, *given, "--quiet") == (0, "", "")
    assert (tmp_path / "o.csv").exists()


def test_streams(capsys: Capture, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"plan":"pro"}\n{}\n')))
    code, out, err = run(capsys, "bulk", shop, "-", "-", "--flag", "plan", "--json")
    assert code == 0
    assert [json.loads(line)["plan.value"] for line in out.splitlines()] == [True, False]
    assert json.loads(err)["rows"] == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"plan\npro\n")))
    code, out, _ = run(capsys, "bulk", shop, "--flag", "plan", "--in-format", "csv", "--out-format", "csv", "-", "-")
    assert (code, out.splitlines()[1]) == (0, 'true,"on","TARGETING_MATCH",')


@pytest.mark.parametrize("into", ["arrow", "arrows", "parquet", "csv", "ndjson"])
def test_dictionaries_that_change(into: str, capsys: Capture, shop: str, tmp_path: Path) -> None:
    """A column of categories, whose batches have dictionaries of their own."""
    plans = [["pro", "free"], ["free", "other", None]]
    with pa.ipc.new_stream(tmp_path / "u.arrows", pa.schema({"plan": pa.dictionary(pa.int8(), pa.string())})) as out:
        for each in plans:
            out.write_batch(
                pa.RecordBatch.from_arrays(
                    [pa.array(each).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string()))], ["plan"]
                )
            )
    path = tmp_path / f"o.{into}"
    given = ("--flag", "plan", "--keep", "plan")
    assert run(capsys, "bulk", shop, str(tmp_path / "u.arrows"), str(path), *given, "--quiet") == (0, "", "")
    rows = read_back(path)
    assert [row["plan"] for row in rows] == [*plans[0], *plans[1]]
    assert [row["plan.value"] for row in rows] == [plan == "pro" for plan in [*plans[0], *plans[1]]]


def test_objects_are_json(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = written(tmp_path, "u.ndjson", b"{}\n")
    for name in ("o.ndjson", "o.parquet"):
        run(capsys, "bulk", shop, source, str(tmp_path / name), "--flag", "object", "--quiet")
    assert lines(tmp_path / "o.ndjson")[0]["object.value"] == {"k": [1, 2]}
    assert pq.read_table(tmp_path / "o.parquet").column("object.value").to_pylist() == ['{"k":[1,2]}']


# ---------------------------------------------------------------- bad rows, bad input


def test_bad_rows_are_errors_in_their_rows(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = written(tmp_path, "u.csv", b"targetingKey,plan\na,pro\nb,\xff\nc,pro\n")
    out = tmp_path / "o.ndjson"
    code, _, err = run(capsys, "bulk", shop, source, str(out), "--flag", "plan", "--flag", "bool")
    assert code == 1
    assert [row["plan.error_code"] for row in lines(out)] == [None, "INVALID_CONTEXT", None]
    assert [row["bool.error_code"] for row in lines(out)] == [None, None, None]
    first, *rest = err.splitlines()
    assert first.endswith(", 1 error")
    assert "  (default)  ERROR INVALID_CONTEXT  1   33.3%" in rest


def test_cells_that_do_not_fit_are_counted(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = written(tmp_path, "u.csv", b"n,m\n1,1\nx,2\n")
    out = tmp_path / "o.ndjson"
    given = ("--flag", "text", "--flag", "big", "--type", "n=integer", "--keep", "n", "--keep", "m")
    code, _, err = run(capsys, "bulk", shop, source, str(out), *given)
    assert code == 1
    assert "read as integer: n" in err
    assert "column n: evaluated as the text that it is where it is no integer: 1 row" in err
    assert "column n: carried as null where it is no integer: 1 row" in err
    assert [(row["n"], row["m"]) for row in lines(out)] == [(1, "1"), (None, "2")]


def test_a_missing_targeting_key_is_pointed_out(capsys: Capture, tmp_path: Path) -> None:
    source = written(tmp_path, "u.csv", b"customer\na\n7\n")
    code, _, err = run(capsys, "bulk", "example:devcycle", source)
    assert code == 1
    assert "is it in another column than targetingKey? Say --targeting-key COLUMN" in err
    code, _, err = run(capsys, "bulk", "example:devcycle", source, "--targeting-key", "customer")
    assert (code, "Say --targeting-key" in err) == (0, False)


REFUSED = [
    (("--flag", "nope"), "there is no flag 'nope'"),
    (("--column", "plan"), "--column: 'plan' is not ATTRIBUTE=COLUMN"),
    (("--column", "plan=nope"), "there is no column 'nope'; there are targetingKey, plan, n, app.version"),
    (("--targeting-key", "nope"), "there is no column 'nope'"),
    (("--keep", "nope"), "there is no column 'nope'"),
    (("--type", "n=date"), "--type: 'n=date' is not COLUMN=text|integer|number|boolean"),
    (("--type", "nope=text"), "there is no column 'nope'"),
    (("--delimiter", ";;"), "--delimiter: must be one character"),
    (("--threads", "0"), "argument --threads: must be from 1 to 256, not 0"),
    (("--limit", "-1"), "argument --limit: "),
    (("--plot", "x.png"), "--plot: pictures are SVG"),
    (("--plot", "nowhere/x.svg"), "--plot: nowhere/x.svg: there is no such folder"),
    (("--now", "today"), "--now: 'today' is not a time"),
    (("--options", "{}x"), "--options: not valid JSON"),
    (("--in-format", "parquet"), "damaged, cut off or not of this format"),
    (("--out-format", "xlsx"), "argument --out-format: invalid choice"),
    (("more",), "unrecognized arguments: more"),
]


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=[" ".join(each[0]) for each in REFUSED])
def test_refusals(words: tuple[str, ...], says: str, capsys: Capture, shop: str, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    code, text, err = run(capsys, "bulk", shop, table(tmp_path, "csv"), str(out), *words)
    assert (code, text) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not out.exists()


def test_in_is_not_out(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = table(tmp_path, "csv")
    before = Path(source).read_bytes()
    code, _, err = run(capsys, "bulk", shop, source, source)
    assert (code, err) == (2, f"pyflagwasm: {source}: is IN: name another file\n")
    assert Path(source).read_bytes() == before


def test_a_kept_column_with_the_name_of_an_answer(capsys: Capture, shop: str, tmp_path: Path) -> None:
    source = written(tmp_path, "u.csv", b"plan.value\n1\n")
    code, _, err = run(capsys, "bulk", shop, source, str(tmp_path / "o.csv"), "--keep", "*", "--flag", "plan")
    assert code == 2
    assert "the column 'plan.value' cannot be kept: the answers have one of that name" in err


@pytest.mark.parametrize("format", ["parquet", "arrow", "arrows", "csv.gz", "ndjson"])
def test_a_file_that_is_cut_off_gives_no_output(format: str, capsys: Capture, shop: str, tmp_path: Path) -> None:
    path = Path(table(tmp_path, format))
    path.write_bytes(path.read_bytes()[:-9])
    out = tmp_path / "o.parquet"
    out.write_text("what was there")
    code, _, err = run(capsys, "bulk", shop, str(path), str(out), "--flag", "plan")
    assert code == 2
    assert err.startswith(f"pyflagwasm: {path}: ")
    assert err.count("\n") == 1
    assert out.read_text() == "what was there"
    assert sorted(each.suffix for each in tmp_path.iterdir()) == sorted([".json", ".parquet", path.suffix])


def test_without_pyarrow(capsys: Capture, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("pyflagwasm.bulk")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, out, err = run(capsys, "bulk", shop, "u.csv")
    assert (code, out) == (2, "")
    assert "pip install 'pyflagwasm[bulk]'" in err
    assert err.count("\n") == 1


def test_a_picture(capsys: Capture, shop: str, tmp_path: Path) -> None:
    import xml.etree.ElementTree as xml

    plot = tmp_path / "split.svg"
    assert run(capsys, "bulk", shop, table(tmp_path, "csv"), "--plot", str(plot), "--quiet")[0] == 0
    texts = [each.text or "" for each in xml.fromstring(plot.read_text()).iter("{http://www.w3.org/2000/svg}text")]
    assert set(DOCUMENT["flags"]) <= set(texts)
    assert "on 65.6%" in texts
