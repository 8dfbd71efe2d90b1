"""What is read as a configuration, how much of it, and which of it is loaded in a thread."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evaluators import FLAGD

from pyflagwasm.errors import ConfigError
from pyflagwasm.loading import LARGE, compile_source, is_large


def multiplying(folder: Path) -> list[Any]:
    """Documents that say little and may mean much."""
    rules = {"flags": {}, "$evaluators": {"a": {"!": [1]}}}
    text = json.dumps(rules).encode()
    (folder / "rules").write_bytes(text)
    return [rules, text, text.replace(b"$", b"\\u0024"), folder / "rules"]


def test_documents_that_are_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.loading.MOST", 1 << 20)
    for source in (bytes((1 << 20) + 1), "/dev/zero"):
        with pytest.raises(ConfigError) as raised:
            compile_source(source)
        assert (raised.value.path, raised.value.detail) == ("$", "the document has more than 1 MiB")
    assert raised.value.source == "/dev/zero"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "https://me:s3cret@host.example/flags.json?key=s3cret",
            "https://host.example/flags.json: a str is a path, and this is a URL: give pyflagwasm.HttpSource(url)",
        ),
        ('{"flags": {}}', '{"flags": {}}: a str is a path, and this is a document: give bytes, or a mapping'),
        (
            ' [{"flags": "' + "x" * 10_000 + '"}]',
            ' [{"flags": "' + "x" * 27 + "...: a str is a path, and this is a document: give bytes, or a mapping",
        ),
        ("no/such/file{", "no/such/file{: cannot be read: No such file or directory"),
    ],
)
def test_texts_that_are_no_paths(source: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        compile_source(source)
    assert str(raised.value) == message
    assert not is_large(source)


def test_which_sources_are_large(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(LARGE))
    large.write_bytes(bytes(LARGE + 1))
    smaller: list[Any] = [small, bytes(LARGE), FLAGD, tmp_path / "none", "\0", {"a": [1] * 100}]
    larger: list[Any] = [large, bytes(LARGE + 1), tmp_path, {"a": [1] * LARGE}, {"a": {"b": "x" * LARGE}}]
    assert [is_large(source) for source in multiplying(tmp_path)] == [True] * 4
    assert [is_large(source) for source in smaller] == [False] * 6
    assert [is_large(source) for source in larger] == [True] * 5
    circle: dict[str, Any] = {}
    circle["self"] = circle
    assert is_large(circle)
