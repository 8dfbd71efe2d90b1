"""The GrowthBook importer: documents, options, what features and experiments answer, and what is wrong with them.

Conditions are tested in test_growthbook_conditions.py, everything against GrowthBook's own SDK in
differential/growthbook.py, and its published cases are in suite_growthbook.py.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from growthbook_answers import answer, details, feature, problem

from pyflagwasm.config.formats import load
from pyflagwasm.config.formats.growthbook.buckets import bounds, cuts, up_to, weighted_ranges
from pyflagwasm.errors import ConfigError

SPLIT = {"key": "test", "variations": ["x", "y"]}  # "1" is in bucket 0.896, "2" in 0.437
ONE, TWO = {"id": "1"}, {"id": "2"}


# ---------------------------------------------------------------- documents and options


@pytest.mark.parametrize(
    ("document", "keys"),
    [
        ({"features": {"a": {}, "b": {"rules": None}}}, ["a", "b"]),
        ({"a": {"defaultValue": 1}, "b": {"rules": []}}, ["a", "b"]),
        ({"features": {}}, []),
        ({"features": {"a": {}}, "experiments": [{"key": "e", "variations": [1, 2]}]}, ["a", "e"]),
        ({"features": {"a": {}}, "experiments": [{"key": "a", "variations": [1, 2]}]}, ["a"]),
        ({"features": {}, "experiments": [{"key": "e", "variations": [1, 2]}] * 2}, ["e"]),
    ],
)
def test_what_is_a_flag(document: Any, keys: list[str]) -> None:
    model = load(document)
    assert model.format == "growthbook"
    assert [flag.key for flag in model.flags] == keys
    assert all(flag.problem is None for flag in model.flags)


@pytest.mark.parametrize(
    ("document", "path", "word"),
    [
        ({"features": {}, "experiments": {"e": 1}}, "experiments", "must be an array"),
        ({"features": [1]}, "features", "must be an object"),
        ({"features": {}, "savedGroups": []}, "savedGroups", "must be an object or null"),
        ({"features": {}, "contextualBandits": [1]}, "contextualBandits", "must be an object"),
        ({"features": {}, "encryptedFeatures": "a.b"}, "encryptedFeatures", "decrypt it first"),
        ({"features": {}, "encryptedSavedGroups": "a.b"}, "encryptedSavedGroups", "decrypt it first"),
        ([], "$", "must be an object"),
    ],
)
def test_documents_that_are_refused(document: Any, path: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(json.dumps(document), "growthbook")
    assert caught.value.path == path
    assert word in caught.value.detail


@pytest.mark.parametrize(
    ("options", "path", "word"),
    [
        ({"enable": True}, "options.enable", "no such option; there are enabled, qa_mode, sticky_buckets"),
        ({"enabled": 1}, "options.enabled", "must be true or false, not 1"),
        ({"url": None}, "options.url", "must be a text"),
        ({"url": "http://["}, "options.url", "no address"),
        ({"forced_variations": []}, "options.forced_variations", "must be an object"),
        ({"forced_variations": {"e": True}}, "options.forced_variations.e", "must be an integer, not True"),
        ({"groups": "beta"}, "options.groups", "must be an object"),
    ],
)
def test_options_that_are_refused(options: Any, path: str, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"features": {}}, "growthbook", options)
    assert caught.value.path == path
    assert word in caught.value.detail


# ---------------------------------------------------------------- what features answer


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ([], ("none", "default", "DEFAULT")),
        ([{"force": "on"}], ("on", "force:0", "TARGETING_MATCH")),
        ([{"id": "r", "force": "on"}], ("on", "r", "TARGETING_MATCH")),
        ([{"id": "", "force": "on"}], ("on", "force:0", "TARGETING_MATCH")),
        ([{"force": None}], ("none", "default", "DEFAULT")),
        ([{"condition": {"id": "2"}, "force": 1}, {"force": 2}], (2, "force:1", "TARGETING_MATCH")),
        ([{"force": False}], (False, "force:0", "TARGETING_MATCH")),
        ([SPLIT], ("y", "1", "SPLIT")),
        ([{**SPLIT, "meta": [{"key": "c"}, {"key": "t"}]}], ("y", "t", "SPLIT")),
        ([{**SPLIT, "meta": [{"key": "c"}]}], ("y", "1", "SPLIT")),
        ([{**SPLIT, "meta": [{}, {"passthrough": True}]}, {"force": 3}], (3, "force:1", "TARGETING_MATCH")),
        ([{**SPLIT, "variations": ["x"]}], ("none", "default", "DEFAULT")),
        ([{**SPLIT, "variations": ["x", None]}], (None, None, "SPLIT")),
        ([{**SPLIT, "coverage": 0.5}], ("none", "default", "DEFAULT")),
        ([{**SPLIT, "weights": [0.9, 0.1]}], ("x", "0", "SPLIT")),
        ([{**SPLIT, "weights": [0.9, 0.9]}], ("y", "1", "SPLIT")),
        ([{**SPLIT, "ranges": [[0.896, 0.897], [0, 1]]}], ("x", "0", "SPLIT")),
        ([{**SPLIT, "ranges": [[0.897, 1], [0, 0.896]]}], ("none", "default", "DEFAULT")),
        ([{**SPLIT, "ranges": [[0, 0.1], [0, 0.1], [0, 1]]}], ("none", "default", "DEFAULT")),
        ([{**SPLIT, "hashVersion": 3}], ("none", "default", "DEFAULT")),
        ([{**SPLIT, "hashAttribute": "gone"}], ("none", "default", "DEFAULT")),
        ([{"hashAttribute": "id"}], ("none", "default", "DEFAULT")),
    ],
)
def test_rules(rules: list[Any], wanted: Any) -> None:
    assert answer(*rules, context=ONE) == wanted


def test_null_as_the_default_is_the_callers() -> None:
    found = details(feature(default=None), default="caller's")
    assert (found.value, found.variant, found.reason) == ("caller's", None, "DEFAULT")
    found = details(feature({**SPLIT, "variations": [None, None]}), ONE, default="caller's")
    assert (found.value, found.variant, found.reason) == ("caller's", None, "SPLIT")


def test_what_is_told_of_rules() -> None:
    rule = {**SPLIT, "id": "r", "name": "An experiment", "phase": "2", "hashAttribute": "company"}
    found = details(feature({"id": "first", "condition": {"a": 1}, "force": 1}, rule), {"company": "1"})
    told = {"ruleId": "r", "experimentKey": "test", "hashAttribute": "company"}
    assert found.metadata == {**told, "experimentName": "An experiment", "phase": "2"}
    assert found.rule_index == 1


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", "y"), (1, "y"), (2, "x"), (True, "y"), (False, "x"), (2.0, "y"), ([], "y")]
)
def test_everything_is_hashed_as_python_writes_it(value: Any, wanted: str) -> None:
    assert answer(SPLIT, context={"id": value}) == answer(SPLIT, context={"id": str(value)})
    assert answer(SPLIT, context={"id": value})[0] == wanted


@pytest.mark.parametrize("context", [{}, {"id": None}, {"id": ""}, None])
def test_without_anything_to_hash_nobody_is_in(context: Any) -> None:
    assert answer(SPLIT, {"coverage": 1, "force": 1}, {"force": 2}, context=context)[0] == 2


def test_the_targeting_key_stands_for_the_id() -> None:
    assert answer(SPLIT, context={"targetingKey": "2"}) == answer(SPLIT, context=TWO) == ("x", "0", "SPLIT")
    assert answer(SPLIT, context={"targeting_key": "2"}) == ("x", "0", "SPLIT")
    assert answer(SPLIT, context={"targetingKey": "2", "id": "1"}) == ("y", "1", "SPLIT")
    assert answer(SPLIT, context={"targetingKey": "2", "id": None}) == ("none", "default", "DEFAULT")
    assert answer({"condition": {"id": "2"}, "force": 1}, context={"targetingKey": "2"})[0] == 1


def test_filters_and_namespaces() -> None:
    inside, outside = {"ranges": [[0, 1]]}, {"ranges": [[0, 0]]}
    elsewhere = {"ranges": [[0, 0]], "attribute": "gone"}
    for filters, wanted in (([inside], 1), ([outside], "none"), ([inside, outside], "none"), ([elsewhere, outside], 1)):
        assert answer({"filters": filters, "force": 1}, context=ONE)[0] == wanted
        assert answer({**SPLIT, "filters": filters}, context=ONE)[0] == ("y" if wanted == 1 else "none")
    assert answer({"filters": [{**outside, "hashVersion": 3}], "force": 1}, context=ONE)[0] == 1
    assert answer({**SPLIT, "namespace": ["ns", 0, 1]}, context=ONE)[0] == "y"
    assert answer({**SPLIT, "namespace": ["ns", 0, 0]}, context=ONE)[0] == "none"
    assert answer({**SPLIT, "namespace": ["ns", 0, 0], "filters": [inside]}, context=ONE)[0] == "y"


def test_bandits() -> None:
    bandit = {
        "banditVersion": 7,
        "contexts": [
            {"leafId": 1, "condition": {"plan": "pro"}, "weights": [1, 0]},
            {"leafId": 2, "condition": {"plan": "odd"}, "weights": [1]},
        ],
    }
    rule = {**SPLIT, "variations": None, "contextualVariations": ["x", "y"], "contextualBanditRef": "b"}
    document = feature(rule, {"force": 1}, contextualBandits={"b": bandit})
    found = details(document, {"id": "1", "plan": "pro"})
    assert (found.value, found.rule_index) == ("x", 2)
    told = {"leafId": 1, "variationWeights": [1, 0], "banditVersion": 7, "ruleIndex": 0}
    assert found.metadata == {"experimentKey": "test", "hashAttribute": "id", **told}
    for plan in ("odd", "free"):
        found = details(document, {"id": "1", "plan": plan})
        assert (found.value, found.rule_index, found.metadata["leafId"]) == ("y", 0, -1)
    gone = details(feature(rule), {"id": "1", "plan": "pro"})
    assert (gone.value, gone.metadata) == ("y", {"experimentKey": "test", "hashAttribute": "id"})


# ---------------------------------------------------------------- experiments and options


P = {"defaultValue": "off", "rules": [{"condition": {"a": 1}, "force": "on"}]}
EXPERIMENT = {"key": "e", "variations": ["x", "y"], "seed": "test"}


@pytest.mark.parametrize(
    ("body", "options", "wanted"),
    [
        ({}, {}, ("y", "1", "SPLIT")),
        ({"condition": {"id": "2"}}, {}, ("x", "0", "DEFAULT")),
        ({"coverage": 0.1}, {}, ("x", "0", "DEFAULT")),
        ({"active": False}, {}, ("x", "0", "DEFAULT")),
        ({"status": "draft"}, {}, ("x", "0", "DEFAULT")),
        ({"status": "stopped"}, {}, ("x", "0", "DEFAULT")),
        ({"status": "stopped", "force": 1}, {}, ("y", "1", "TARGETING_MATCH")),
        ({"force": 0}, {}, ("x", "0", "TARGETING_MATCH")),
        ({"force": 2}, {}, ("x", "0", "DEFAULT")),
        ({"variations": []}, {}, (None, None, "DEFAULT")),
        ({"parentConditions": [{"id": "p", "condition": {"value": "on"}}]}, {}, ("x", "0", "DEFAULT")),
        ({"parentConditions": [{"id": "p", "condition": {"value": "off"}}]}, {}, ("y", "1", "SPLIT")),
        ({}, {"enabled": False}, ("x", "0", "DEFAULT")),
        ({}, {"qa_mode": True}, ("x", "0", "DEFAULT")),
        ({"force": 1}, {"qa_mode": True}, ("y", "1", "TARGETING_MATCH")),
        ({}, {"forced_variations": {"e": 0}}, ("x", "0", "TARGETING_MATCH")),
        ({"active": False}, {"forced_variations": {"e": 1}}, ("y", "1", "TARGETING_MATCH")),
        ({}, {"forced_variations": {"e": 2}}, ("x", "0", "DEFAULT")),
        ({}, {"url": "http://h/?e=0"}, ("x", "0", "TARGETING_MATCH")),
        ({}, {"url": "http://h/?e=2"}, ("y", "1", "SPLIT")),
        ({"url": "^/x"}, {"url": "http://h/x"}, ("y", "1", "SPLIT")),
        ({"url": "^/x"}, {"url": "http://h/y"}, ("x", "0", "DEFAULT")),
        ({"url": "^/x"}, {}, ("x", "0", "DEFAULT")),
        ({"groups": ["beta"]}, {"groups": {"beta": True}}, ("y", "1", "SPLIT")),
        ({"groups": ["beta"]}, {"groups": {"beta": False}}, ("x", "0", "DEFAULT")),
        ({"meta": [{"key": "c"}, {"key": "t"}]}, {}, ("y", "t", "SPLIT")),
    ],
)
def test_experiments(body: Any, options: Any, wanted: Any) -> None:
    document = {"features": {"p": P}, "experiments": [{**EXPERIMENT, **body}]}
    found = details(document, ONE, "e", options)
    assert (found.value, found.variant, found.reason) == wanted


def test_a_forced_variation_of_a_rule() -> None:
    assert answer(SPLIT, options={"forced_variations": {"test": 0}}) == ("x", "0", "TARGETING_MATCH")
    assert answer(SPLIT, options={"enabled": False}, context=ONE) == ("none", "default", "DEFAULT")


# ---------------------------------------------------------------- sticky buckets


STICKY = {**SPLIT, "meta": [{"key": "c"}, {"key": "t"}], "fallbackAttribute": "device"}


@pytest.mark.parametrize(
    ("rule", "assignments", "wanted"),
    [
        ({}, {}, "y"),
        ({}, {"test__0": "c"}, "x"),
        ({}, {"test__0": "gone"}, "y"),
        ({}, {"test__1": "c"}, "y"),
        ({"bucketVersion": 1}, {"test__1": "c"}, "x"),
        ({"minBucketVersion": 1, "bucketVersion": 1}, {"test__0": "c"}, "none"),
        ({"minBucketVersion": 1, "bucketVersion": 1}, {"test__1": "c"}, "x"),
        ({"coverage": 0}, {"test__0": "t"}, "y"),
        ({"namespace": ["ns", 0, 0]}, {"test__0": "t"}, "y"),
        ({"disableStickyBucketing": True}, {"test__0": "c"}, "y"),
        ({"hashVersion": 3}, {"test__0": "c"}, "none"),
    ],
)
def test_stored_variations(rule: Any, assignments: Any, wanted: str) -> None:
    docs = {"id||1": {"attributeName": "id", "attributeValue": "1", "assignments": assignments}}
    document, context = feature({**STICKY, **rule}), {"id": "1", "stickyBucketAssignmentDocs": docs}
    assert details(document, context, options={"sticky_buckets": True}).value == wanted
    assert details(document, context).value == details(document, ONE).value


def test_the_fallback_is_hashed_and_looked_up_only_with_sticky_buckets() -> None:
    docs = {"device||2": {"assignments": {"test__0": "t"}}}
    for context, wanted in (({"device": "2"}, "x"), ({"device": "2", "stickyBucketAssignmentDocs": docs}, "y")):
        assert details(feature(STICKY), context).value == "none"
        assert details(feature(STICKY), context, options={"sticky_buckets": True}).value == wanted
    for docs in (None, 5, {"id||1": 5}, {"id||1": {"assignments": 5}}):
        context = {"id": "1", "stickyBucketAssignmentDocs": docs}
        assert details(feature(STICKY), context, options={"sticky_buckets": True}).value == "y"


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (5, "features.f: a feature must be an object, not an integer"),
        ({"rules": 5}, "features.f.rules: the rules must be an array, not an integer"),
        ({"rules": [5]}, "features.f.rules[0]: a rule must be an object, not an integer"),
        ({"rules": [{"variations": 5}]}, "features.f.rules[0]: the variations must be an array, not an integer"),
        ({"rules": [{**SPLIT, "coverage": "x"}]}, "features.f.rules[0].coverage: the coverage must be a number or"),
        ({"rules": [{**SPLIT, "ranges": [5]}]}, "features.f.rules[0].ranges[0]: a range must be an array"),
        ({"rules": [{**SPLIT, "ranges": [[5]]}]}, "features.f.rules[0].ranges[0]: a range must have two numbers"),
        ({"rules": [{**SPLIT, "seed": 5}]}, "features.f.rules[0].seed: the seed of a hash must be a text"),
        ({"rules": [{**SPLIT, "namespace": ["n"]}]}, "features.f.rules[0].namespace: a namespace must have a name"),
        ({"rules": [{"filters": [{}], "force": 1}]}, "features.f.rules[0].filters[0].ranges: the ranges must be"),
        ({"rules": [{"force": 1, "coverage": "x"}]}, "features.f.rules[0].coverage: the coverage must be a number"),
        ({"rules": [{"parentConditions": [5], "force": 1}]}, "features.f.rules[0].parentConditions[0]: a parent"),
    ],
)
def test_a_broken_feature_fails_alone(body: Any, wanted: str) -> None:
    document = {"features": {"f": body, "g": {"defaultValue": 1}}}
    assert str(problem(document)).startswith(wanted)
    assert problem(document, "g") is None
    found = details(document, ONE, default="caller's")
    assert (found.value, found.reason) == ("caller's", "ERROR")
    assert str(found.error_message).startswith(wanted)
    assert details(document, ONE, "g").value == 1


def test_who_does_not_come_upon_what_is_broken_is_served() -> None:
    rules = [{"condition": {"a": 1}, "force": 1}, {"variations": 5}]
    assert answer(*rules, context={"a": 1})[0] == 1
    assert answer({**SPLIT, "seed": 5}, context={})[2] == "DEFAULT"


@pytest.mark.parametrize(
    ("body", "key", "wanted"),
    [
        (5, "experiments[0]", "experiments[0]: an experiment must be an object"),
        ({"variations": [1, 2]}, "experiments[0]", "experiments[0].key: the experiment's key must be a text"),
        ({"key": "e"}, "e", "experiments[0]: the variations must be an array, not null"),
        ({**EXPERIMENT, "groups": ["beta"]}, "e", "experiments[0].groups: the option groups says nothing about 'beta'"),
    ],
)
def test_a_broken_experiment_fails_alone(body: Any, key: str, wanted: str) -> None:
    document = {"features": {"f": {"defaultValue": 1}}, "experiments": [body]}
    assert str(problem(document, key)).startswith(wanted)
    assert details(document, ONE, key).reason == "ERROR"
    assert details(document, ONE).value == 1


# ---------------------------------------------------------------- thresholds


def test_bounds_are_those_of_the_comparison_in_doubles() -> None:
    for size in (1000, 10_000):
        for threshold in (0, 0.1, 0.29, 0.3, 1 / 3, 0.57, 0.999, 1, 1.1, -0.1, 0.1 + 0.2, True):
            low, high = bounds(size, threshold, threshold)
            assert low == high == sum(k / size < threshold for k in range(size))
            assert up_to(size, threshold) == (0, sum(k / size <= threshold for k in range(size)))


def test_the_first_of_overlapping_ranges_has_a_bucket() -> None:
    assert cuts(1000, [(0.1, 0.5), (0, 0.2), (0.4, 0.6)]) == [(100, 1), (500, 0), (600, 2), (1000, None)]
    assert cuts(1000, []) == [(1000, None)]


def test_ranges_of_weights() -> None:
    assert weighted_ranges(2, 0.5, [0.2, 0.8]) == [(0, 0.1), (0.2, 0.2 + 0.5 * 0.8)]
    for weights in (None, [1], [0.5, 0.6], [1.2, -0.2], [True, 0], ["x", 1], 5, [10**400, 0]):
        assert weighted_ranges(2, 1, weights) == [(0, 0.5), (0.5, 1.0)]
    assert weighted_ranges(0, 1, None) == []
