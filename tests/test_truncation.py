"""A document that was cut off, at whichever byte, is one ConfigError: never another exception, never half a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluators import Capture, run

from pyflagwasm.config.formats import FORMATS, load
from pyflagwasm.errors import ConfigError

EXAMPLES = Path(__file__).parents[1] / "pyflagwasm" / "examples"


@pytest.mark.parametrize("name", ["flagd", "devcycle"])
def test_every_truncation_is_one_error(name: str) -> None:
    """Trailing white space excepted, without which the document is whole."""
    document = (EXAMPLES / f"{name}.json").read_bytes()
    assert load(document).format == name
    for size in range(len(document.rstrip())):
        with pytest.raises(ConfigError) as refused:
            load(document[:size])
        assert refused.value.__cause__ is None
        assert refused.value.path == "$"
        assert refused.value.detail.startswith("not valid JSON: ") or size == 0


@pytest.mark.parametrize("name", ["flagd", "devcycle"])
@pytest.mark.parametrize("format", FORMATS)
def test_a_format_given_by_name_changes_nothing(name: str, format: str) -> None:
    document = (EXAMPLES / f"{name}.json").read_bytes()
    for size in range(0, len(document.rstrip()), 97):
        with pytest.raises(ConfigError):
            load(document[:size], format)


def test_a_character_cut_in_two_is_one_error() -> None:
    document = '{"flags": {"\u00e9\u65e5\U0001f600": 1}}'.encode()
    for size in range(len(document)):
        with pytest.raises(ConfigError):
            load(document[:size])


@pytest.mark.parametrize("name", ["flagd", "devcycle"])
def test_the_command_line_refuses_it_in_one_line(capsys: Capture, tmp_path: Path, name: str) -> None:
    document = (EXAMPLES / f"{name}.json").read_bytes().rstrip()
    path = tmp_path / "cut.json"
    for size in (0, 1, 2, len(document) // 3, len(document) // 2, len(document) - 1):
        path.write_bytes(document[:size])
        for command in (("check",), ("evaluate",), ("explain", "--flag", "f", "--context", "{}")):
            code, out, err = run(capsys, command[0], str(path), *command[1:])
            assert (code, out) == (2, "")
            assert err.startswith(f"pyflagwasm: {path}: $: not valid JSON: ")
            assert err.count("\n") == 1
