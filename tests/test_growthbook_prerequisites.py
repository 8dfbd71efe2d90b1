"""Prerequisites of GrowthBook's features: outcomes, gates, cycles, and limits."""

from __future__ import annotations

from typing import Any

import pytest
from growthbook_answers import details, feature, problem

from pyflagwasm.config.formats import load


def parent(key: str, condition: Any, gate: bool = False) -> dict[str, Any]:
    return {
        "parentConditions": [{"id": key, "condition": condition, **({"gate": True} if gate else {})}],
        "force": "on",
    }


P = {"defaultValue": "off", "rules": [{"condition": {"a": 1}, "force": "on"}]}


@pytest.mark.parametrize(
    ("rule", "context", "wanted"),
    [
        (parent("p", {"value": "on"}), {"a": 1}, ("on", "force:0", "TARGETING_MATCH")),
        (parent("p", {"value": "on"}), {"a": 2}, ("none", "default", "DEFAULT")),
        (parent("p", {"value": "on"}, gate=True), {"a": 2}, (None, None, "DEFAULT")),
        (parent("p", {"value": {"$not": {"$eq": "on"}}}), {"a": 2}, ("on", "force:0", "TARGETING_MATCH")),
        (parent("gone", {"value": None}), {}, ("on", "force:0", "TARGETING_MATCH")),
        (parent("gone", {"value": {"$exists": True}}), {}, ("none", "default", "DEFAULT")),
        (parent("p", None), {}, ("on", "force:0", "TARGETING_MATCH")),
        (parent("p", 5), {}, ("none", "default", "DEFAULT")),
        (parent("f", None), {}, (None, None, "DEFAULT")),
        (parent("loop", None), {"b": 1}, (None, None, "DEFAULT")),
        (parent("loop", None), {"b": 2}, ("on", "force:0", "TARGETING_MATCH")),
        (parent("loop", {"value": 0}), {"b": 2}, ("on", "force:0", "TARGETING_MATCH")),
    ],
)
def test_prerequisites(rule: Any, context: Any, wanted: Any) -> None:
    """`loop` asks for `again`, which asks for `loop` where it is come upon: if b is 1."""
    features = {
        "f": {"defaultValue": "none", "rules": [rule]},
        "p": P,
        "loop": {"defaultValue": 0, "rules": [parent("again", {"value": True})]},
        "again": {"defaultValue": False, "rules": [{"condition": {"b": 2}, "force": False}, parent("loop", None)]},
    }
    found = details({"features": features}, context)
    assert (found.value, found.variant, found.reason) == wanted


def test_a_prerequisite_that_may_fail_fails_for_who_comes_upon_it() -> None:
    broken = {"defaultValue": 0, "rules": [{"condition": {"a": 1}, "variations": 5}]}
    document = {
        **feature(parent("p", {"value": 0})),
        "features": {**feature(parent("p", {"value": 0}))["features"], "p": broken},
    }
    assert details(document, {"a": 2}).value == "on"
    found = details(document, {"a": 1})
    assert (found.reason, found.error_code) == ("ERROR", "GENERAL")
    assert "features.p.rules[0]: the variations must be an array" in str(found.error_message)


def chain(length: int) -> dict[str, Any]:
    """`f0` is on if a is 1, each further one if the one before is on; the last one comes first."""
    features = {f"f{i}": {"rules": [parent(f"f{i - 1}", {"value": "on"})]} for i in range(length - 1, 0, -1)}
    return {"features": {**features, "f0": P}}


def test_prerequisites_in_a_row() -> None:
    assert details(chain(32), {"a": 1}, "f31").value == "on"
    assert details(chain(32), {"a": 2}, "f31").value is None
    assert all(flag.problem is None for flag in load(chain(32)).flags)


@pytest.mark.parametrize("length", [33, 100, 1000])
def test_too_many_in_a_row_are_a_problem_of_those_that_have_them(length: int) -> None:
    flags = load(chain(length)).flags
    assert [flag.key for flag in flags if flag.problem is None] == [f"f{i}" for i in range(31, -1, -1)]
    assert "prerequisites nest deeper than 32 features" in str(flags[0].problem)
    assert details(chain(length), {"a": 1}, f"f{length - 1}").error_code == "PARSE_ERROR"
    assert details(chain(length), {"a": 1}, "f31").value == "on"


def test_cycles_that_are_too_many_are_a_problem_of_their_features() -> None:
    """Each of them asks for all others: there would be a program for every set of them."""
    keys = [f"f{i}" for i in range(14)]
    features: dict[str, Any] = {key: {"rules": [parent(other, None) for other in keys if other != key]} for key in keys}
    document = {
        "features": {**features, "alone": {"defaultValue": 1}, "asks": {"rules": [parent("alone", {"value": 1})]}}
    }
    assert "the prerequisites form too many cycles" in str(problem(document, "f0"))
    assert details(document, {}, "f0").error_code == "PARSE_ERROR"
    assert problem(document, "asks") is None
    assert details(document, {}, "asks").value == "on"


def test_what_is_said_of_parents_that_fail_does_not_grow() -> None:
    broken = {"rules": [{"variations": 5}, {"variations": 6}]}
    features: dict[str, Any] = {"f0": broken}
    for i in range(1, 25):
        features[f"f{i}"] = {"rules": [parent(f"f{i - 1}", {"value": i}) for _ in range(12)]}
    assert len(str(problem({"features": features}, "f24"))) < 6000
    assert details({"features": features}, {}, "f24").error_code == "GENERAL"
