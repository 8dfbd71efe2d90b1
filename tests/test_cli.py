"""The command line in process: what is printed where, and with which exit code.

`explain` is in test_cli_explain.py, input that is refused in test_cli_refusals.py, processes and pipes are in
test_cli_process.py.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluators import BROKEN, FLAGD, LENIENT, ON_OFF, Capture, devcycle, document, flag, run, written

LENIENT_OPTION = ("--options", json.dumps(LENIENT))


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.json"
    path.write_text(json.dumps(FLAGD))
    return str(path)


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(BROKEN))
    return str(path)


def lines(out: str) -> list[Any]:
    assert out.endswith("\n")
    return [json.loads(line) for line in out.splitlines()]


def line(context: int, key: str, value: Any, variant: str | None, reason: str, error: str | None = None) -> str:
    fields = [json.dumps(each) for each in (context, key, value, variant, reason, error)]
    names = ("context", "flag", "value", "variant", "reason", "error_code")
    return "{" + ",".join(f'"{name}":{field}' for name, field in zip(names, fields, strict=True)) + "}\n"


# ---------------------------------------------------------------- evaluate


def test_every_flag_in_the_order_of_the_file(capsys: Capture, shop: str) -> None:
    code, out, err = run(capsys, "evaluate", shop, "--context", '{"plan": "pro"}', "--now", "1970-01-01T00:20:00Z")
    assert (code, err) == (0, "")
    assert [each["flag"] for each in lines(out)] == list(FLAGD["flags"])
    for expected in (
        line(0, "bool", True, "on", "STATIC"),
        line(0, "plan", True, "on", "TARGETING_MATCH"),
        line(0, "city", False, "off", "DEFAULT"),
        line(0, "later", False, "off", "DEFAULT"),
        line(0, "none", None, None, "DEFAULT"),
        line(0, "disabled", None, None, "DISABLED"),
        '{"context":0,"flag":"object","value":{"k":[1,2]},"variant":"o","reason":"STATIC","error_code":null}\n',
    ):
        assert expected in out


def test_chosen_flags_and_contexts(capsys: Capture, shop: str, tmp_path: Path) -> None:
    contexts = written(tmp_path, "c.ndjson", b'{"plan":"pro"}\n\n  {"plan":"free"} \r\n{}')
    code, out, err = run(capsys, "evaluate", shop, "--contexts", contexts, "--flag", "plan", "--flag", "bool")
    assert (code, err) == (0, "")
    assert out == (
        line(0, "plan", True, "on", "TARGETING_MATCH")
        + line(0, "bool", True, "on", "STATIC")
        + line(1, "plan", False, "off", "DEFAULT")
        + line(1, "bool", True, "on", "STATIC")
        + line(2, "plan", False, "off", "DEFAULT")
        + line(2, "bool", True, "on", "STATIC")
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "SHOP", "--flag", "plan", "-"),
        ("evaluate", "SHOP", "-", "--flag", "plan"),
        ("evaluate", "SHOP", "--flag", "plan", "--contexts", "-"),
        ("evaluate", "--flag=plan", "SHOP", "-"),
    ],
    ids=" ".join,
)
def test_contexts_from_stdin(
    capsys: Capture, shop: str, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"plan":"pro"}\n')))
    given = [shop if each == "SHOP" else each for each in arguments]
    assert run(capsys, *given) == (0, line(0, "plan", True, "on", "TARGETING_MATCH"), "")


def test_without_a_context_it_is_empty(capsys: Capture, shop: str) -> None:
    assert run(capsys, "evaluate", shop, "--flag", "plan") == (0, line(0, "plan", False, "off", "DEFAULT"), "")


def test_no_contexts_no_lines(capsys: Capture, shop: str, tmp_path: Path) -> None:
    assert run(capsys, "evaluate", shop, "--contexts", written(tmp_path, "none", b"\n")) == (0, "", "")


def test_unknown_flags_and_errors(capsys: Capture, broken: str) -> None:
    given = ("--flag", "sound", "--flag", "nope", "--flag", "divides", "--context", '{"n": 0}')
    code, out, err = run(capsys, "evaluate", broken, *LENIENT_OPTION, *given)
    assert code == 1
    assert out == (
        line(0, "sound", True, "on", "STATIC")
        + line(0, "nope", None, None, "ERROR", "FLAG_NOT_FOUND")
        + line(0, "divides", None, None, "ERROR", "GENERAL")
    )
    assert err == (
        "pyflagwasm: 2 of 3 answers are errors; the first: "
        "context 0, flag nope: FLAG_NOT_FOUND: the configuration has no such flag\n"
    )
    code, out, err = run(capsys, "evaluate", broken, *LENIENT_OPTION, "--flag", "divide")
    assert err == (
        "pyflagwasm: 1 of 1 answer is an error: context 0, flag divide: FLAG_NOT_FOUND: the configuration has no such "
        "flag, did you mean 'divides'?\n"
    )


def test_a_context_that_cannot_be_sent_spoils_only_what_reads_it(capsys: Capture, shop: str, tmp_path: Path) -> None:
    contexts = written(tmp_path, "c.ndjson", b'{"plan":"\\ud800","city":"Ghent"}\n{"city":"Ghent"}\n')
    code, out, err = run(capsys, "evaluate", shop, "--contexts", contexts, "--flag", "plan", "--flag", "city")
    assert code == 1
    assert out == (
        line(0, "plan", None, None, "ERROR", "INVALID_CONTEXT")
        + line(0, "city", True, "on", "TARGETING_MATCH")
        + line(1, "plan", False, "off", "DEFAULT")
        + line(1, "city", True, "on", "TARGETING_MATCH")
    )
    assert err == (
        "pyflagwasm: 1 of 4 answers is an error: context 0, flag plan: INVALID_CONTEXT: "
        "attribute plan: text with a lone surrogate has no UTF-8\n"
    )


def test_values_that_json_cannot_write(capsys: Capture, tmp_path: Path) -> None:
    data = document(f=flag({"v": {"a": ["NUMBER", 1]}}, "v"), g=flag({"v": "é\n"}, "v"))
    path = written(tmp_path, "f.json", data.replace(b'"NUMBER"', b"1e999"))
    code, out, _ = run(capsys, "evaluate", path)
    assert (code, "é\\n" in out) == (0, True)
    assert lines(out)[0]["value"] == {"a": [None, 1]}


@pytest.mark.parametrize("last", [b"{", b"5", b"\xff", b'{"a": NaN}', b"{" + b'"a":{' * 100_000, b"9" * 5_000])
def test_a_bad_line_comes_after_the_good_ones(capsys: Capture, shop: str, tmp_path: Path, last: bytes) -> None:
    path = written(tmp_path, "c.ndjson", b'{"plan":"pro"}\n\n' + last + b"\n{}\n")
    code, out, err = run(capsys, "evaluate", shop, "--flag", "plan", "--contexts", path)
    assert (code, out) == (2, line(0, "plan", True, "on", "TARGETING_MATCH"))
    reason = {
        b"{": "not valid JSON: Expecting property name enclosed in double quotes at column 2",
        b"5": "must be an object, not an integer",
        b"\xff": "not UTF-8: byte 1 of the line",
        b'{"a": NaN}': "not valid JSON: NaN is not a number of JSON",
        b"9" * 5_000: "an integer of 5000 digits, which is beyond the range of a double",
    }.get(last)
    if reason is not None:
        assert err == f"pyflagwasm: {path}: line 3: {reason}\n"
    assert err.startswith(f"pyflagwasm: {path}: line 3: ")
    assert err.count("\n") == 1


NOW = [
    ("1970-01-01T00:33:20Z", True),
    ("1970-01-01T00:33:19.999999999Z", False),
    ("1970-01-01t00:33:20.5z", True),
    ("1970-01-01 01:33:20+01:00", True),
    ("1970-01-01T01:33:19+01:00", False),
    ("9999-12-31T23:59:59-23:59", True),
]


@pytest.mark.parametrize(("now", "on"), NOW)
def test_now(capsys: Capture, shop: str, now: str, on: bool) -> None:
    expected = line(0, "later", *((True, "on", "TARGETING_MATCH") if on else (False, "off", "DEFAULT")))
    assert run(capsys, "evaluate", shop, "--flag", "later", "--now", now) == (0, expected, "")


def test_the_clock_goes_without_now(capsys: Capture, shop: str) -> None:
    assert run(capsys, "evaluate", shop, "--flag", "later")[1] == line(0, "later", True, "on", "TARGETING_MATCH")


@pytest.mark.parametrize("name", ["flagd", "devcycle"])
def test_examples(capsys: Capture, name: str) -> None:
    assert run(capsys, "check", f"example:{name}")[0] == 0
    context = '{"targetingKey": "u", "user_id": "u"}'
    code, out, err = run(capsys, "evaluate", f"example:{name}", "--context", context)
    assert (code, err) == (0, "")
    assert lines(out)


def test_devcycle_options(capsys: Capture, tmp_path: Path) -> None:
    parsed = devcycle("Boolean", False, True)
    audience = parsed["features"][0]["configuration"]["targets"][0]["_audience"]["filters"]["filters"][0]
    audience |= {"subType": "platform", "values": ["Abacus"]}
    path = written(tmp_path, "d.json", json.dumps(parsed).encode())
    options = '{"platform": {"platform": "Abacus"}}'
    context = ("--context", '{"user_id": "u"}')
    assert lines(run(capsys, "evaluate", path, *context)[1])[0]["value"] is False
    assert lines(run(capsys, "evaluate", path, *context, "--options", options)[1])[0]["value"] is True


# ---------------------------------------------------------------- check


def test_check_a_sound_file(capsys: Capture, tmp_path: Path) -> None:
    path = written(tmp_path, "f.json", document(f=flag(ON_OFF, "on", {"var": "x"})))
    code, out, err = run(capsys, "check", path)
    size = out.split(", ")[-1].split()[0]
    assert (code, err) == (0, "")
    assert out == f"{path}: flagd, 1 flag, 1 slot, {size} bytes of IR; all sound\n"
    assert int(size) > 100


def test_check_flags_with_problems(capsys: Capture, broken: str, tmp_path: Path) -> None:
    code, out, err = run(capsys, "check", broken, *LENIENT_OPTION, "--format", "flagd")
    assert (code, err) == (1, "")
    first, second, summary = out.splitlines()
    assert first == "astray: flags.astray.defaultVariant: there is no variant 'nowhere'"
    assert second == "shapeless: flags.shapeless.variants: there must be at least one variant"
    assert summary.startswith(f"{broken}: flagd, 4 flags, 1 slot, ")
    assert summary.endswith(" bytes of IR; 2 flags with problems")

    path = written(tmp_path, "d.json", json.dumps(devcycle("JSON", {}, {}, variables=False)).encode())
    code, out, err = run(capsys, "check", path)
    assert (code, err) == (1, "")
    expected = "v: variant number-1: variation 'number-1' of feature 'feature' has no value for this variable\n"
    assert out.startswith(expected)
    assert out.endswith("; 1 flag with problems\n")


# ---------------------------------------------------------------- help


def test_help_and_version(capsys: Capture) -> None:
    assert run(capsys, "--version") == (0, "pyflagwasm 0.1.0\n", "")
    for arguments in (("--help",), ("check", "--help"), ("evaluate", "--help"), ("explain", "--help")):
        code, out, err = run(capsys, *arguments)
        assert (code, err) == (0, "")
        assert "exit codes: 0; 1 if there are errors in the answers" in " ".join(out.split())


def test_check_names_members_that_are_repeated(capsys: Capture, tmp_path: Path) -> None:
    body = json.dumps(flag(ON_OFF, "on"))
    path = written(tmp_path, "f.json", f'{{"flags":{{"a b":{body},"c":{body},"a b":{body}}}}}'.encode())
    code, out, err = run(capsys, "check", path)
    assert (code, err) == (1, "")
    first, last = out.splitlines()
    assert first == 'flags["a b"]: given more than once; the last one counts'
    assert last.endswith("; 1 member repeated")
