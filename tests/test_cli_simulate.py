"""`pyflagwasm simulate`: who moves from which variant to which, in words, as JSON, as a table and as a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as xml
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from evaluators import ON_OFF, Capture, document, flag, run, written

pa = pytest.importorskip("pyarrow")

from pyflagwasm.bulk import transitions  # noqa: E402


def split(*parts: tuple[str, int], variants: dict[str, Any] | None = None) -> dict[str, Any]:
    return flag(variants or {"a": 1, "b": 2, "c": 3}, "a", {"fractional": [list(part) for part in parts]})


PRO = {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]}
OLD = {
    "ramp": split(("a", 90), ("b", 10)),
    "same": split(("a", 50), ("b", 50)),
    "price": flag({"low": 3.5, "high": 9}, "low"),
    "gone": flag(ON_OFF, "on"),
    "rule": flag(ON_OFF, "off", PRO),
    "renamed": flag({"x": "v"}, "x"),
    "disabled": flag(ON_OFF, "on"),
    "broken": flag(ON_OFF, "off", PRO),
}
NEW = {
    "ramp": split(("a", 70), ("b", 30)),
    "same": split(("a", 50), ("b", 50)),
    "price": flag({"low": 4.5, "high": 9}, "low"),
    "rule": flag(ON_OFF, "off", {"if": [{"==": [{"var": "plan"}, "free"]}, "on"]}),
    "renamed": flag({"y": "v"}, "y"),
    "disabled": {**flag(ON_OFF, "on"), "state": "DISABLED"},
    "broken": flag(ON_OFF, "off", {"if": [{"in": ["x", {"var": "bad"}]}, "on"]}),
    "added": flag({"o": {"k": [1]}}, "o"),
}
USERS = [{"targetingKey": f"u-{i}", "plan": "pro" if i % 4 else "free", "bad": "\ud800"} for i in range(2_000)]


@pytest.fixture
def old(tmp_path: Path) -> str:
    return written(tmp_path, "old.json", document(**OLD))


@pytest.fixture
def new(tmp_path: Path) -> str:
    return written(tmp_path, "new.json", document(**NEW))


@pytest.fixture
def users(tmp_path: Path) -> str:
    return written(tmp_path, "users.ndjson", "".join(f"{json.dumps(user)}\n" for user in USERS).encode())


def evaluated(capsys: Capture, config: str, users: str) -> dict[str, list[tuple[Any, Any, Any]]]:
    """By flag, what `evaluate` says of each user."""
    _, out, _ = run(capsys, "evaluate", config, "--contexts", users)
    found: dict[str, list[tuple[Any, Any, Any]]] = {}
    for line in map(json.loads, out.splitlines()):
        answer = (line["variant"], json.dumps(line["value"]), line["error_code"])
        found.setdefault(line["flag"], []).append(answer)
    return found


def told(capsys: Capture, *arguments: str) -> dict[str, Any]:
    code, out, err = run(capsys, "simulate", *arguments, "--json")
    assert (code in (0, 1), err) == (True, "")
    return dict(json.loads(out))


@pytest.mark.parametrize(("threads", "table"), [("1", 1 << 20), ("3", 1)])
def test_counts_are_those_of_evaluating_twice(
    threads: str, table: int, capsys: Capture, old: str, new: str, users: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "_LARGEST_TABLE", table)
    before, after = evaluated(capsys, old, users), evaluated(capsys, new, users)
    result = told(capsys, old, new, users, "--all", "--threads", threads)
    assert result["rows"] == 2_000
    assert (result["flags_added"], result["flags_removed"]) == (["added"], ["gone"])
    anywhere = [False] * 2_000
    for key in OLD.keys() & NEW.keys():
        pairs = list(zip(before[key], after[key], strict=True))
        expected = Counter(pairs)
        found = {}
        for each in result["flags"][key]["transitions"]:
            sides = [each[side] for side in ("from", "to")]
            answers = tuple((side["variant"], json.dumps(side["value"]), side["error_code"]) for side in sides)
            found[answers] = each["rows"]
            assert each["moves"] == (answers[0] != answers[1])
        assert found == expected
        assert result["flags"][key]["moved"] == sum(one != other for one, other in pairs)
        assert result["flags"][key]["value_changed"] == sum(one[1] != other[1] for one, other in pairs)
        anywhere = [known or one != other for known, (one, other) in zip(anywhere, pairs, strict=True)]
    assert result["rows_moved"] == sum(anywhere) == 2_000
    assert result["flags"]["broken"]["errors"] == {"old": 0, "new": 2_000, "appeared": 2_000}


def test_only_what_changes_is_told(capsys: Capture, old: str, new: str, users: str) -> None:
    result = told(capsys, old, new, users)
    assert "same" not in result["flags"]
    assert all(each["moves"] for each in result["flags"]["ramp"]["transitions"])
    assert result["flags"]["renamed"]["moved"] == 2_000
    assert result["flags"]["renamed"]["value_changed"] == 0
    assert told(capsys, old, new, users, "--flag", "same")["flags"] == {}
    result = told(capsys, old, new, users, "--flag", "ramp", "--flag", "added")
    assert list(result["flags"]) == ["ramp", "added"]
    assert result["rows_moved"] == result["flags"]["ramp"]["moved"]
    assert 0 < result["rows_moved"] < 1_000


def test_in_words(capsys: Capture, old: str, new: str, users: str) -> None:
    code, out, err = run(capsys, "simulate", old, new, users)
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0] == ("2,000 rows; 2,000 of them (100.0%) are given something else, 2 flags that only one has aside")
    for block in (
        ["price: 2,000 (100.0%) move", "  low=3.5 -> low=4.5  2,000  100.0%"],
        ["gone: removed", "  on -> (no flag)  2,000  100.0%"],
        ["rule: 2,000 (100.0%) move", "  on -> off  1,500   75.0%", "  off -> on    500   25.0%"],
        ["renamed: 2,000 (100.0%) move, 0 to another value", "  x -> y  2,000  100.0%"],
        ["disabled: 2,000 (100.0%) move", "  on -> (default) DISABLED  2,000  100.0%"],
        ["added: added", "  (no flag) -> o  2,000  100.0%"],
    ):
        at = lines.index(block[0])
        assert lines[at : at + len(block)] == block
    assert any(line.endswith("2,000 to an error that was none") for line in lines)
    assert lines[-1] == "1 flag without a change"


def test_nothing_changes(capsys: Capture, old: str, users: str) -> None:
    code, out, err = run(capsys, "simulate", old, old, users, "--flag", "ramp")
    assert (code, out) == (0, "")
    assert err == "2,000 rows; 0 of them (0.0%) are given something else\n1 flag without a change\n"


def test_those_who_move_as_a_table(capsys: Capture, old: str, new: str, users: str, tmp_path: Path) -> None:
    before, after = evaluated(capsys, old, users), evaluated(capsys, new, users)
    out = tmp_path / "moved.ndjson"
    chosen = ("--flag", "ramp", "--flag", "rule", "--flag", "price", "--flag", "gone", "--flag", "same")
    code, _, _ = run(capsys, "simulate", old, new, users, "--out", str(out), "--keep", "targetingKey", *chosen)
    assert code == 0
    expected = [
        {
            "targetingKey": USERS[row]["targetingKey"],
            "row": row,
            "flag": key,
            "from": before[key][row][0],
            "to": after[key][row][0],
            "from_value": json.loads(before[key][row][1]),
            "to_value": json.loads(after[key][row][1]),
            "from_error": None,
            "to_error": None,
        }
        for row in range(2_000)
        for key in ("ramp", "price", "rule")
        if before[key][row] != after[key][row]
    ]
    found = [json.loads(line) for line in out.read_text().splitlines()]
    by_row = sorted(found, key=lambda each: (each["row"], each["flag"]))
    assert [each["row"] for each in found] == sorted(each["row"] for each in found)
    assert by_row == sorted(expected, key=lambda each: (each["row"], each["flag"]))
    code, _, err = run(capsys, "simulate", old, new, users, "--out", users)
    assert (code, "is IN: name another file" in err) == (2, True)


def test_the_table_says_which_configurations(capsys: Capture, old: str, new: str, tmp_path: Path) -> None:
    out = tmp_path / "moved.arrow"
    run(capsys, "simulate", old, new, "--population", "100", "--out", str(out))
    metadata = pa.ipc.open_file(out).schema.metadata
    assert metadata[b"pyflagwasm.old.config_digest"] != metadata[b"pyflagwasm.new.config_digest"]
    assert metadata[b"pyflagwasm.old.now"] == metadata[b"pyflagwasm.new.now"]


def test_a_population_that_is_made_up(capsys: Capture, old: str, new: str, tmp_path: Path) -> None:
    given = [{"targetingKey": f"id-{i}", "plan": "pro"} for i in range(70_000)]
    path = written(tmp_path, "u.ndjson", "".join(f"{json.dumps(each)}\n" for each in given).encode())
    expected = told(capsys, old, new, path)
    words = ("--population", "70000", "--key-prefix", "id-", "--context", '{"plan": "pro"}')
    found = told(capsys, old, new, *words)
    assert found["input"] == "the population"
    assert found["flags"] == {**expected["flags"], "broken": found["flags"]["broken"]}
    assert found["rows_moved"] == expected["rows_moved"]
    assert told(capsys, old, new, *words, "--limit", "10")["rows"] == 10


def test_two_formats_and_another_key(capsys: Capture, old: str) -> None:
    features = {"ramp": {"defaultValue": 1, "rules": [{"force": 2, "coverage": 0.5, "hashAttribute": "id"}]}}
    growthbook = json.dumps({"features": features})
    path = written(Path(old).parent, "growthbook.json", growthbook.encode())
    words = (old, path, "--population", "1000", "--flag", "ramp", "--format", "flagd", "--new-format", "growthbook")
    result = told(capsys, *words)
    assert result["flags"]["ramp"]["errors"]["new"] == 0
    code, _, err = run(capsys, "simulate", *words[:-2])
    assert (code, "growthbook.json" in err) == (2, True)


REFUSED = [
    ((), "a population is needed: IN, a file of evaluation contexts, or --population N"),
    (("USERS", "--population", "5"), "a population is needed"),
    (("USERS", "--context", "{}"), "--context and --key-prefix go with --population"),
    (("--population", "0"), "--population: must be at least 1, not 0"),
    (("USERS", "--flag", "nope"), "--flag: neither configuration has the flag 'nope'"),
    (("USERS", "--out", "x.xlsx"), "does not say what format it has"),
    (("USERS", "--plot", "x.pdf"), "pictures are SVG"),
    (("nope.csv",), "nope.csv: cannot be read: No such file or directory"),
    (("--population", "5", "--context", "5"), "--context: must be an object, not an integer"),
]


@pytest.mark.parametrize(("words", "says"), REFUSED, ids=[" ".join(each[0]) for each in REFUSED])
def test_refusals(words: tuple[str, ...], says: str, capsys: Capture, old: str, new: str, users: str) -> None:
    code, out, err = run(capsys, "simulate", old, new, *(users if word == "USERS" else word for word in words))
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_picture_of_who_moves(capsys: Capture, old: str, new: str, users: str, tmp_path: Path) -> None:
    plot = tmp_path / "moves.svg"
    code, _, _ = run(capsys, "simulate", old, new, users, "--plot", str(plot), "--quiet")
    assert code == 1
    root = xml.fromstring(plot.read_text())
    titles = [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}title")]
    assert "on \u2192 off: 1,500 (75.0%)" in titles
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "price" in texts
    assert "same" not in texts
