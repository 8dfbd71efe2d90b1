"""The registry of formats: names, and telling a format by the document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pyflagwasm.config.formats as formats
from pyflagwasm.config.formats import FORMATS, detect, load
from pyflagwasm.errors import ConfigError

EXAMPLES = Path(formats.__file__).parents[2] / "examples"
FLAG = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on"}


@pytest.mark.parametrize("name", ["flagd", "devcycle"])
def test_an_example_is_recognised_by_auto(name: str) -> None:
    data = (EXAMPLES / f"{name}.json").read_bytes()
    model = load(data)
    assert model.format == name
    assert [flag.key for flag in model.flags] == [flag.key for flag in load(data, name).flags]
    assert all(flag.problem is None for flag in model.flags)


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({"flags": {}}, "flagd"),
        ({"flags": []}, "flagd"),
        ({"project": {}, "features": [], "variables": []}, "devcycle"),
        ({"flags": {}, "project": {}, "features": [], "variables": []}, "flagd"),
        ({"flags": {}, "createdAt": "", "environment": {}}, "eppo"),
        ({"features": {}}, "growthbook"),
        ({"status": 200, "features": {"f": {}}, "experiments": []}, "growthbook"),
        ({"encryptedFeatures": "x.y", "features": {}}, "growthbook"),
        ({"f": {"defaultValue": 1}, "g": {"rules": []}}, "growthbook"),
        ({"version": 2, "features": []}, "unleash"),
        ({"events": []}, "unleash"),
    ],
)
def test_detect(document: dict[str, Any], name: str) -> None:
    assert detect(document) == name


@pytest.mark.parametrize(
    "document",
    [{}, {"flags": None}, {"flags": "x"}, {"project": {}, "features": []}, {"features": [], "variables": []}],
)
def test_what_is_no_format_is_refused_with_what_was_looked_for(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document)
    assert caught.value.path == "$"
    for word in ("`flags`", "`project`", "`features`", "`variables`", *FORMATS):
        assert word in caught.value.detail


@pytest.mark.parametrize("data", ["[]", "1", "null", '"flags"'])
def test_a_configuration_is_an_object(data: str) -> None:
    with pytest.raises(ConfigError, match="must be an object"):
        load(data)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match="no format 'yaml'; there are auto, flagd, devcycle"):
        load("{}", "yaml")


def test_the_name_is_checked_before_the_document_is_read() -> None:
    with pytest.raises(ConfigError, match="no format"):
        load("{not JSON", "openflag")


@pytest.mark.parametrize(
    "form", [json.dumps, lambda d: json.dumps(d).encode(), lambda d: bytearray(json.dumps(d), "utf-8"), dict]
)
def test_text_bytes_and_mappings_are_read(form: Any) -> None:
    assert [flag.key for flag in load(form({"flags": {"f": FLAG}})).flags] == ["f"]


def test_yaml_is_not_read() -> None:
    with pytest.raises(ConfigError, match="not valid JSON"):
        load("flags:\n  f:\n    state: ENABLED\n")


def test_options_reach_the_importer() -> None:
    with pytest.raises(ConfigError, match=r"^options\.fractional: must be one of cbor, text, not 'sha1'$"):
        load({"flags": {}}, options={"fractional": "sha1"})
    with pytest.raises(ConfigError, match=r"^options\.validate: no such option; there are fractional, validation$"):
        load({"flags": {}}, "flagd", {"validate": True})


def test_the_document_given_is_not_changed() -> None:
    document = {"flags": {"f": {**FLAG, "targeting": {"$ref": "e"}}}, "$evaluators": {"e": {"!": [True]}}}
    before = json.dumps(document)
    load(document, options={"validation": "lenient"})
    assert json.dumps(document) == before


def test_importers_are_imported_when_they_are_used() -> None:
    code = (
        "import sys, pyflagwasm.config.formats as f\n"
        "assert not any(m.startswith(f.__name__ + '.') for m in sys.modules), 'too early'\n"
        "f.load({'flags': {}})\n"
        "assert f.__name__ + '.flagd' in sys.modules and f.__name__ + '.devcycle' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(formats.__file__).parents[3], timeout=60)
