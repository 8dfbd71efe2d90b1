"""GrowthBook's published cases (spec 0.8.0), each as a configuration that is opened and evaluated as users do it.

A case of a helper - hashing, ranges, namespaces, weights, addresses - becomes an experiment whose result shows what the
helper must have given.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyflagwasm
from pyflagwasm import EvaluationDetails

LEFT_OUT: dict[str, str] = {
    "urlRedirect": "redirecting a browser is not an evaluation: the matching of addresses by patterns is the page's",
    "decrypt": "a payload is decrypted before it is given to an evaluator",
    "getEqualWeights: -1": "nobody is ever assigned one of less than two variations",
    "getEqualWeights: 0": "nobody is ever assigned one of less than two variations",
    "getEqualWeights: 1": "nobody is ever assigned one of less than two variations",
}

JSON = Any
REASONS = {
    "force": "TARGETING_MATCH",
    "experiment": "SPLIT",
    "defaultValue": "DEFAULT",
    "prerequisite": "DEFAULT",
    "cyclicPrerequisite": "DEFAULT",
}
OPTIONS = {"enabled": "enabled", "qaMode": "qa_mode", "url": "url", "forcedVariations": "forced_variations"}
SIZES = {1: 1000, 2: 10_000}


def cases(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every published case, those of LEFT_OUT too: its name, and what fails with AssertionError if it fails."""
    suite = json.loads((root / "growthbook" / "cases.json").read_text("utf-8"))
    for section, cases_of_it in suite.items():
        if section == "specVersion":
            continue
        check, seen = CHECKS.get(section, unchecked), Counter[str]()
        for case in cases_of_it:
            name = f"{section}: {case if section == 'hash' else case[0]}"
            seen[name] += 1
            yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), partial(check, *case)


# ---------------------------------------------------------------- how they are evaluated


def evaluate(
    document: Mapping[str, JSON], contexts: list[JSON], *keys: str, options: JSON = None
) -> list[list[EvaluationDetails]]:
    """For each context the details of the flags."""

    async def run() -> list[list[EvaluationDetails]]:
        async with pyflagwasm.open(document, format="growthbook", options=options or {}) as flags:
            return [[await flags.details(key, context) for key in keys] for context in contexts]

    return asyncio.run(run())


def one(document: Mapping[str, JSON], context: JSON, key: str, options: JSON = None) -> EvaluationDetails:
    return evaluate(document, [context], key, options=options)[0][0]


def payload(context: Mapping[str, JSON]) -> dict[str, JSON]:
    names = ("features", "savedGroups", "contextualBandits", "experiments")
    return {"features": {}, **{name: context[name] for name in names if name in context}}


def options(context: Mapping[str, JSON]) -> dict[str, JSON]:
    return {ours: context[theirs] for theirs, ours in OPTIONS.items() if theirs in context}


def shares(version: int) -> dict[str, JSON]:
    """An experiment's part that has a variation for each bucket, which is the quotient itself."""
    size = SIZES.get(version, 1000)
    return {
        "hashVersion": version,
        "variations": [k / size for k in range(size)],
        "ranges": [[k / size, (k + 1) / size] for k in range(size)],
    }


def assigned(rule: Mapping[str, JSON], ranges: list[list[float]]) -> None:
    """That the rule splits a few hundred users as the ranges say."""
    variations = list(range(len(ranges)))
    document = {
        "features": {
            "n": {"rules": [{"key": "same", **shares(1)}]},
            "tested": {"defaultValue": -1, "rules": [{"key": "same", "variations": variations, **rule}]},
        }
    }
    seen = set()
    for n, found in evaluate(document, [{"id": f"user {i}"} for i in range(600)], "n", "tested"):
        wanted = next((i for i, (low, high) in enumerate(ranges) if low <= n.value < high), -1)
        assert found.value == wanted, (n.value, found.value, wanted)
        seen.add(wanted)
    assert {i for i, (low, high) in enumerate(ranges) if high > low} <= seen


def fnv(text: str) -> int:
    value = 0x811C9DC5
    for letter in text:
        value = (value ^ ord(letter)) * 0x01000193 & 0xFFFFFFFF
    return value


# ---------------------------------------------------------------- one function for each section


def unchecked(*case: JSON) -> None:
    raise AssertionError("nobody looks at this section")


def eval_condition(name: str, condition: JSON, attributes: JSON, wanted: bool, groups: JSON = None) -> None:
    document = {"features": {"f": {"defaultValue": False, "rules": [{"condition": condition, "force": True}]}}}
    details = one(document if groups is None else {**document, "savedGroups": groups}, attributes, "f")
    assert details.value is wanted


def gb_hash(seed: str, value: str, version: int, wanted: float | None) -> None:
    document = {"features": {seed: {"rules": [shares(version)]}}}
    assert one(document, {"id": value}, seed).value == wanted


def bucket_range(name: str, given: list[JSON], wanted: list[list[float]]) -> None:
    count, coverage, weights = given
    assert len(wanted) == count
    assigned({"coverage": coverage, "weights": weights}, wanted)


def equal_weights(count: int, wanted: list[float]) -> None:
    assigned({}, [[sum(wanted[:i]), sum(wanted[: i + 1])] for i in range(count)])


def choose_variation(name: str, n: float, ranges: JSON, wanted: int) -> None:
    user = next(f"{i}" for i in range(1_000_000) if fnv(f"{i}key") % 1000 / 1000 == n)
    rule = {"key": "key", "variations": list(range(max(2, len(ranges)))), "ranges": ranges}
    assert one({"features": {"f": {"defaultValue": -1, "rules": [rule]}}}, {"id": user}, "f").value == wanted


def in_namespace(name: str, user: str, namespace: JSON, wanted: bool) -> None:
    rule = {"variations": [True, True], "namespace": namespace}
    assert one({"features": {"f": {"defaultValue": False, "rules": [rule]}}}, {"id": user}, "f").value is wanted


def query_override(name: str, key: str, url: str, count: int, wanted: int | None) -> None:
    experiment = {"key": key, "variations": list(range(count)), "active": False}
    details = one({"experiments": [experiment]}, {"id": "1"}, key, {"url": url})
    assert (details.value, details.reason) == ((0, "DEFAULT") if wanted is None else (wanted, "TARGETING_MATCH"))


def feature(name: str, context: JSON, key: str, wanted: JSON) -> None:
    details = one(payload(context), context.get("attributes"), key, options(context))
    if wanted["source"] == "unknownFeature":
        assert details.error_code == "FLAG_NOT_FOUND"
        return
    assert details.value == wanted["value"]
    assert details.metadata.get("ruleId", "") == wanted.get("ruleId", "")
    result = wanted.get("experimentResult", {})
    hashed = result.get("hashUsed", True)
    assert details.reason == (REASONS[wanted["source"]] if hashed else "TARGETING_MATCH")
    if wanted["source"] == "experiment":
        experiment = wanted["experiment"]
        assert details.variant == result["key"]
        assert details.metadata["experimentKey"] == experiment["key"]
        assert details.metadata["hashAttribute"] == experiment.get("hashAttribute", result.get("hashAttribute"))
    if hashed:
        for fact in ("leafId", "variationWeights", "banditVersion"):
            assert details.metadata.get(fact) == result.get(fact)


def run_experiment(name: str, context: JSON, experiment: JSON, value: JSON, inside: bool, hashed: bool) -> None:
    document = {**payload(context), "experiments": [experiment]}
    details = one(document, context.get("attributes"), experiment["key"], options(context))
    assert details.value == value
    assert details.reason == ("SPLIT" if hashed else "TARGETING_MATCH" if inside else "DEFAULT")


def sticky_bucket(name: str, context: JSON, docs: JSON, key: str, wanted: JSON, after: JSON) -> None:
    """The stored documents after the evaluation are not looked at: nothing is stored by an evaluator."""
    stored = dict(context.get("stickyBucketAssignmentDocs", {}))
    stored |= {f"{doc['attributeName']}||{doc['attributeValue']}": doc for doc in docs}
    attributes = {**context["attributes"], "stickyBucketAssignmentDocs": stored}
    details = one(payload(context), attributes, key, {**options(context), "sticky_buckets": True})
    if wanted is None:
        assert details.reason == "DEFAULT"
    else:
        assert (details.value, details.variant, details.reason) == (wanted["value"], wanted["key"], "SPLIT")
        assert wanted["hashAttribute"] in (details.metadata["hashAttribute"], details.metadata.get("fallbackAttribute"))


CHECKS: dict[str, Callable[..., None]] = {
    "evalCondition": eval_condition,
    "hash": gb_hash,
    "getBucketRange": bucket_range,
    "feature": feature,
    "run": run_experiment,
    "chooseVariation": choose_variation,
    "getQueryStringOverride": query_override,
    "inNamespace": in_namespace,
    "getEqualWeights": equal_weights,
    "stickyBucket": sticky_bucket,
    "contextualBandit": feature,
}
