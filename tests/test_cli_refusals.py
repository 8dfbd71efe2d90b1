"""The command line with input that cannot be used: exit code 2, nothing on stdout and one line on stderr, whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from evaluators import FLAGD, Capture, run, written

from pyflagwasm.cli import check, main


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return written(tmp_path, "shop.json", json.dumps(FLAGD).encode())


def test_configurations_that_cannot_be_used(capsys: Capture, tmp_path: Path) -> None:
    cases = {
        "none.json": (None, "cannot be read: No such file or directory"),
        "text.json": (b"flags", "$: not valid JSON: Expecting value at line 1, column 1"),
        "list.json": (b"[]", "$: a configuration must be an object, not an array"),
        "state.json": (b'{"flags":{"f\\n":{}}}', 'flags["f\\n"].state: the flag\'s state is missing'),
    }
    for name, (data, reason) in cases.items():
        path = str(tmp_path / name) if data is None else written(tmp_path, name, data)
        for command in (("check",), ("evaluate",), ("explain", "--flag", "f", "--context", "{}")):
            assert run(capsys, command[0], path, *command[1:]) == (2, "", f"pyflagwasm: {path}: {reason}\n")
    folder = str(tmp_path)
    assert run(capsys, "check", folder) == (2, "", f"pyflagwasm: {folder}: cannot be read: Is a directory\n")


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("check", "example:nope"), "example:nope: there is no example 'nope'; there are devcycle, flagd"),
    (("check", "example:../flagd"), "example:../flagd: there is no example '../flagd'; there are devcycle, flagd"),
    (
        ("check", "example:flagd", "--format", "yaml"),
        "example:flagd: $: there is no format 'yaml'; "
        "there are auto, flagd, devcycle, eppo, datadog, growthbook, unleash",
    ),
    (
        ("check", "example:flagd", "--format", "devcycle"),
        "example:flagd: project: the project is missing",
    ),
    (("check", "example:flagd", "--options", "[1]"), "--options: must be an object, not an array"),
    (
        ("check", "example:flagd", "--options", '{"speed": 1}'),
        "example:flagd: options.speed: no such option; there are fractional, validation",
    ),
    (
        ("evaluate", "example:flagd", "--context", "{'a': 1}"),
        "--context: not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2",
    ),
    (
        ("evaluate", "example:flagd", "--context", '{"a": -' + "9" * 641 + "}"),
        "--context: an integer of 641 digits, which is beyond the range of a double",
    ),
    (("evaluate", "example:flagd", "--context", "null"), "--context: must be an object, not null"),
    (
        ("evaluate", "example:flagd", "--contexts", "/nowhere/c"),
        "/nowhere/c: cannot be read: No such file or directory",
    ),
    (("evaluate", "example:flagd", "--contexts", "/"), "/: cannot be read: Is a directory"),
    (
        ("evaluate", "example:flagd", "--now", "tomorrow"),
        "--now: 'tomorrow' is not a time of RFC 3339 such as 2030-01-31T12:00:00Z",
    ),
    (
        ("evaluate", "example:flagd", "--now", "2030-01-31"),
        "--now: '2030-01-31' is not a time of RFC 3339 such as 2030-01-31T12:00:00Z",
    ),
    (
        ("explain", "example:flagd", "--flag", "f", "--context", "{}", "--now", "2030-02-30T12:00:00Z"),
        "--now: '2030-02-30T12:00:00Z' is not a time: day is out of range for month",
    ),
    (
        ("evaluate", "example:flagd", "--context", "{}", "-"),
        "only one of --context, --contexts and - can be given; see pyflagwasm --help",
    ),
    (
        ("evaluate", "example:flagd", "--context", "{}", "--contexts", "f"),
        "only one of --context, --contexts and - can be given; see pyflagwasm --help",
    ),
    (("check", "example:flagd", "-"), "unrecognized arguments: -; see pyflagwasm --help"),
    (("evaluate", "example:flagd", "a", "b\n"), "unrecognized arguments: a b\\n; see pyflagwasm --help"),
    (
        ("evaluate", "example:flagd", "--context"),
        "argument --context: expected one argument; see pyflagwasm evaluate --help",
    ),
    (
        ("explain", "example:flagd", "--flag", "f"),
        "the following arguments are required: --context; see pyflagwasm explain --help",
    ),
    (("check",), "the following arguments are required: CONFIG; see pyflagwasm check --help"),
    ((), "the following arguments are required: COMMAND; see pyflagwasm --help"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda each: " ".join(each)[:50] if each else "")
def test_refusals(capsys: Capture, arguments: tuple[str, ...], message: str) -> None:
    assert run(capsys, *arguments) == (2, "", f"pyflagwasm: {message}\n")


def test_an_unknown_host(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYFLAGWASM_HOST", "smoke-signals")
    code, out, err = run(capsys, "evaluate", "example:flagd")
    assert (code, out) == (2, "")
    assert err.startswith("pyflagwasm: PYFLAGWASM_HOST=smoke-signals: use one of ")


def test_streams_that_are_not_there(
    capsys: Capture, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(capsys, "evaluate", shop, "-") == (2, "", "pyflagwasm: there is no stdin\n")
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["check", shop]) == 2
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["check", shop]) == 2


def test_an_interrupt_is_quiet(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "run", interrupt)
    assert run(capsys, "check", "example:flagd") == (130, "", "")
