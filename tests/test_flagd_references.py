"""flagd's `$evaluators`: what references stand for, how much that may be, and how deep a targeting may nest."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from flagd_answers import LENIENT, Answers, document

from pyflagwasm.config.formats import load
from pyflagwasm.config.formats.flagd import importer as flagd
from pyflagwasm.config.formats.flagd.importer import MAX_EXPANDED
from pyflagwasm.errors import ConfigError


def referring(evaluators: dict[str, Any], targeting: Any) -> Answers:
    return Answers(document(evaluators=evaluators, targeting=targeting), LENIENT)


def test_an_evaluator_stands_for_its_rule() -> None:
    answers = referring({"vip": {"==": [{"var": "tier"}, "gold"]}}, {"if": [{"$ref": "vip"}, "on"]})
    assert answers("f", {"tier": "gold"}).variant == "on"
    assert answers("f", {"tier": "tin"}).reason == "DEFAULT"


def test_an_evaluator_may_refer_to_a_later_one_only() -> None:
    first, second = {"!": [{"$ref": "b"}]}, {"var": "x"}
    targeting = {"if": [{"$ref": "a"}, "on", "off"]}
    assert referring({"a": first, "b": second}, targeting)("f", {"x": 1}).variant == "off"
    assert referring({"b": second, "a": first}, targeting)("f", {"x": 1}).error == "PARSE_ERROR"


def test_an_evaluator_that_refers_to_itself_is_replaced_once() -> None:
    answers = referring({"a": {"if": [{"var": "x"}, "on", {"$ref": "a"}]}}, {"$ref": "a"})
    assert answers("f", {"x": 1}).variant == "on"
    assert answers("f", {}).error == "PARSE_ERROR"


def test_references_in_values_stay() -> None:
    whole = document(evaluators={"a": {"!": [1]}}, variants={"on": {"$ref": "a"}}, defaultVariant="on")
    assert Answers(whole)("f", kind="object").value == {"$ref": "a"}


def bomb(levels: int) -> dict[str, Any]:
    return {f"e{i}": {"or": [{"$ref": f"e{i + 1}"}, {"$ref": f"e{i + 1}"}]} for i in range(levels)}


def test_references_that_explode_are_refused() -> None:
    whole = document(evaluators=bomb(40), targeting={"if": [{"$ref": "e0"}, "on"]})
    with pytest.raises(ConfigError, match=rf"^flags\.f\.targeting: .*\$evaluators.* more than {MAX_EXPANDED} values"):
        load(whole)
    (found,) = load(whole, options=LENIENT).flags
    assert found.problem is not None
    assert Answers(whole, LENIENT)("f").error == "PARSE_ERROR"


def test_the_references_of_all_flags_share_one_budget() -> None:
    """Or a few kilobytes keep whoever loads them busy for as long as they like."""
    rules = {**bomb(12), "e12": {"==": [{"var": "a"}, 1]}}
    flag = document(targeting={"if": [{"$ref": "e0"}, "on"]})["flags"]["f"]
    flags = {f"f{i}": flag for i in range(40)}
    whole = {"$evaluators": rules, "flags": {**flags, "plain": {**flag, "targeting": {"if": [{"var": "a"}, "on"]}}}}
    too_many = rf"^flags\.f\d+\.targeting: .*\$evaluators.* more than {MAX_EXPANDED} values"
    with pytest.raises(ConfigError, match=too_many):
        load(whole)
    found = [each.problem is None for each in load(whole, options=LENIENT).flags]
    fit = found.index(False)
    assert 1 < fit < 40
    assert found == [True] * fit + [False] * (40 - fit) + [True]


def test_long_texts_count_for_more_than_one_value() -> None:
    """Or references would join a long text to gigabytes."""
    rules = {**{name: {"cat": each["or"]} for name, each in bomb(12).items()}, "e12": "x" * 15_000}
    whole = document(evaluators=rules, targeting={"if": [{"==": [{"$ref": "e0"}, {"var": "a"}]}, "on"]})
    (found,) = load(whole, options=LENIENT).flags
    assert found.problem is not None
    assert found.problem.endswith(f"more than {MAX_EXPANDED} values")


@pytest.mark.parametrize("last", ["on", {"$ref": "gone"}])
def test_references_that_nest_too_deep_are_refused(last: Any) -> None:
    evaluators: dict[str, Any] = {f"e{i}": {"if": [{"var": "x"}, {"$ref": f"e{i + 1}"}]} for i in range(99)}
    evaluators["e99"] = {"if": [last]}
    with pytest.raises(ConfigError, match=r"^flags\.f\.targeting: .* nests more than 128 deep"):
        load(document(evaluators=evaluators, targeting={"if": [{"$ref": "e0"}]}))


@pytest.mark.parametrize("make", [lambda x: {"if": [{"var": "a"}, x]}, lambda x: {"!": x}, lambda x: {"cat": ["a", x]}])
def test_whatever_is_not_refused_for_its_depth_is_compiled(make: Any) -> None:
    targetings: list[Any] = [{"var": "a"}]
    while len(targetings) < 140:
        targetings.append(make(targetings[-1]))
    refused = next(i for i, targeting in enumerate(targetings) if is_too_deep(document(targeting=targeting)))
    assert refused > 60
    assert len(Answers(document(targeting=targetings[refused - 1])).config.flags) == 1


def is_too_deep(whole: dict[str, Any]) -> bool:
    try:
        load(whole)
    except ConfigError as error:
        return error.detail == "nested more than 128 deep"
    return False


@pytest.mark.parametrize("shared", [False, True])
def test_a_deep_stack_of_the_caller_is_no_recursion_error(shared: bool) -> None:
    targeting: Any = {"var": "a"}
    for _ in range(110):
        targeting = {"!": targeting}
    parsed = document(targeting=targeting)
    if shared:
        parsed = document(targeting={"!": [{"$ref": "e"}]}, evaluators={"e": targeting})

    def descend(levels: int) -> str:
        if levels:
            return descend(levels - 1)
        try:
            flagd.load(parsed, {})
        except ConfigError as error:
            return str(error)
        return "loaded"

    told = [descend(levels) for levels in range(0, sys.getrecursionlimit() - 300, 50)]
    assert told[0] == "loaded"
    refusals = {"flags.f: the flag nests too deep", "$evaluators: the evaluators nest too deep"}
    assert set(told) <= {"loaded", *refusals}  # later Pythons have room for all of it
