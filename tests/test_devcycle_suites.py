"""Recorded answers of DevCycle's own module, from the folder that PYFLAGWASM_SUITES names.

The files are not part of this repository. Without the variable these tests are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from devcycle_answers import Answers

from pyflagwasm.config.document import parse
from pyflagwasm.config.formats.devcycle.importer import load
from pyflagwasm.config.model import Bucket, SplitBy
from pyflagwasm.config.murmur import backslashed, murmur3

SUITES = os.environ.get("PYFLAGWASM_SUITES")

if SUITES is None:
    pytest.skip("PYFLAGWASM_SUITES names no folder with recorded answers", allow_module_level=True)

FOLDER = Path(SUITES) / "devcycle"
HIGHEST = 2**32 - 1


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def options(platform: dict[str, str], client: dict[str, Any] | None = None) -> dict[str, Any]:
    """Those of our options that the module's own platform data mean."""
    said = {key: platform[key] for key in ("platform", "platformVersion")}
    return {"platform": said, "client_custom_data": client or {}}


def configurations() -> Iterator[Path]:
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_bytes())
        if isinstance(document, dict) and {"project", "features"} <= document.keys():
            yield path


@pytest.mark.parametrize("path", list(configurations()), ids=lambda path: path.name)
@pytest.mark.parametrize("semantics", ["vendor", "corrected"])
def test_every_configuration_loads(path: Path, semantics: str) -> None:
    model = load(parse(path.read_bytes()), {"semantics": semantics})
    assert {flag.key for flag in model.flags} == {variable["key"] for variable in read(path.name)["variables"]}
    assert {flag.problem for flag in model.flags} <= {None}


@pytest.mark.parametrize(
    "case", read("golden_hashes.json")["murmur3"], ids=lambda case: f"{case['key'][:9]}-{case['seed']}"
)
def test_hashes(case: dict[str, Any]) -> None:
    assert murmur3(case["key"].encode(), case["seed"]) == case["hash"]


def test_bucket_seeds_and_encoding() -> None:
    cases = read("golden_hashes.json")["bounded"]
    for case in cases:
        split = [{"_variation": name, "percentage": 0.5} for name in ("a", "b")]
        everyone = {"operator": "and", "filters": [{"type": "all"}]}
        targets = [{"_id": case["target"], "_audience": {"filters": everyone}, "distribution": split}]
        document = {
            "project": {"settings": {}},
            "environment": {},
            "variables": [],
            "features": [{"_id": "f", "key": "f", "variations": [], "configuration": {"targets": targets}}],
        }
        (bucket,) = buckets(load(document, {}).programs[0])
        for suffix, name in (("", "bucketingHash"), ("_rollout", "rolloutHash")):
            assert murmur3(backslashed(case["value"] + suffix), bucket.seed) / HIGHEST == case[name]
    assert len(cases) == 320


def buckets(tree: Any) -> Iterator[Bucket]:
    if isinstance(tree, SplitBy):
        yield tree.bucket
    elif isinstance(tree, tuple):
        for item in tree:
            yield from buckets(item)
    elif hasattr(tree, "__slots__"):
        for name in tree.__slots__:
            yield from buckets(getattr(tree, name))


@pytest.mark.parametrize("number", range(60))
def test_recorded_answers(number: int) -> None:
    golden = read("golden_cases.json")
    case = golden["configs"][number]
    answers = Answers(case["config"], options(case["platform"], case["clientCustomData"]))
    for user in case["users"]:
        for key, recorded in user["variables"].items():
            answer = answers(key, user["user"], golden["now_ms"])
            if "abort" in recorded:
                # a user that cannot be read spoils there what no feature owns, too
                assert answer.error or "feature" not in answers.config.flags[key].metadata
                continue
            expected = recorded["result"]
            if expected is None:
                assert answer.defaulted
                continue
            assert answer.value == expected["value"]
            assert (answer.reason, answer.details, answer.target) == tuple(
                expected["eval"][name] for name in ("reason", "details", "target_id")
            )
            assert answer.feature == expected["_feature"]
            if "result" in user["bucketed"]:
                features = user["bucketed"]["result"]["features"].values()
                keys = {f["_id"]: f["variationKey"] for f in features}
                assert answer.variant == keys[answer.feature]


RECORDED = read("js-bucketing-testdata-config.cases.json")


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_recorded_answers_of_the_vendors_own_configuration(case: dict[str, Any]) -> None:
    document = read("js-bucketing-testdata-config.json")
    answers = Answers(document, options(case["platform"]))
    served = 0
    for feature in document["features"]:
        variations = {variation["_id"]: variation for variation in feature["variations"]}
        variation = variations.get(case["featureVariationMap"].get(feature["_id"]))
        for flag in answers.model.flags:
            # a flag asks the first feature that has it; the recorded values are those of the last
            if flag.metadata.get("feature") != feature["_id"]:
                continue
            answer = answers(flag.key, case["user"], RECORDED["now_ms"])
            if variation is None:
                assert answer.defaulted
            elif flag.metadata["variable"] not in {entry["_var"] for entry in variation["variables"]}:
                assert answer.error
            else:
                assert (answer.variant, answer.details) == (variation["key"], case["details"][feature["key"]])
                served += 1
    assert served
