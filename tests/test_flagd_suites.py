"""The samples that flagd publishes beside its schemas, from the folder that PYFLAGWASM_SUITES names."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.errors import ConfigError

SUITES = os.environ.get("PYFLAGWASM_SUITES")
if not SUITES:
    pytest.skip("PYFLAGWASM_SUITES names no folder with flagd-schemas", allow_module_level=True)

ROOT = Path(SUITES) / "flagd-schemas"
SAMPLES = sorted(ROOT.glob("test/*/*/*.json"))


def read(path: Path) -> Any:
    """The document of a sample; a targeting is put into a flag."""
    found = json.loads(path.read_text("utf-8"))
    if path.parts[-3] != "targeting":
        return found
    return {"flags": {"f": {"state": "ENABLED", "variants": {"on": True}, "targeting": found}}}


def test_the_samples_are_there() -> None:
    assert len(SAMPLES) >= 30


@pytest.mark.parametrize("path", [p for p in SAMPLES if p.parent.name == "positive"], ids=lambda p: p.stem)
def test_positive(path: Path) -> None:
    assert compile_model(load(read(path))).flags


PLACES = {
    "empty-variants": "flags.myBoolFlag.variants",
    "malformed-flag": "flags.not-a-flag.state",
    "missing-variants": "flags.myBoolFlag.variants",
    "mixed-variant-types.ffconfig": "flags.myBoolFlag.variants.off",
    "state-set-incorrectly": "flags.myBoolFlag.state",
    "with-array-flags": "flags",
    "with-invalid-flag-metadata": "flags.myBoolFlag.metadata.invalid",
    "with-invalid-flag-set-metadata": "metadata.invalid",
    "with-invalid-targeting": "flags.targetedFlag.targeting",
    "fractional-decimal-weighting": "flags.f.targeting.fractional[1][1]",
    "fractional-invalid-bucketing": "flags.f.targeting.fractional[0]",
    "fractional-invalid-weighting": "flags.f.targeting.fractional[1][1]",
    "fractional-negative-weighting": "flags.f.targeting.fractional[1][1]",
    "invalid-ends-with-param": "flags.f.targeting.if[0].ends_with[1]",
    "invalid-flagd-props": 'flags.f.targeting.if[0]["=="][0].var',
    "invalid-starts-with-param": "flags.f.targeting.if[0].starts_with[1]",
    "sem-ver-invalid-range-specifier": "flags.f.targeting.if[0].sem_ver[1]",
    "sem-ver-invalid-ver-expression": "flags.f.targeting.if[0].sem_ver[2]",
}


@pytest.mark.parametrize("path", [p for p in SAMPLES if p.parent.name == "negative"], ids=lambda p: p.stem)
def test_negative(path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(read(path))
    assert caught.value.path == PLACES[path.stem]


@pytest.mark.parametrize("name", ["full", "minimal"])
def test_examples(name: str) -> None:
    """The full one shows mistakes as well, which the schema does not let pass."""
    document = json.loads((ROOT / "examples" / f"{name}.json").read_text("utf-8"))
    if name == "full":
        with pytest.raises(ConfigError, match=r"^flags\.starts-ends-flag\.targeting"):
            load(document)
    assert compile_model(load(document, options={"validation": "lenient"})).flags
