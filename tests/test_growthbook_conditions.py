"""GrowthBook's conditions: what holds for what, through the core, and which slots they read."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from growthbook_answers import holds

from pyflagwasm._abi import Op
from pyflagwasm.config import model
from pyflagwasm.config.formats.growthbook import conditions as growthbook_conditions
from pyflagwasm.config.formats.growthbook.conditions import Conditions

NAN = math.nan


def slots_of(condition: Any, groups: Any = None) -> set[str]:
    """The views of the slots that a condition reads."""
    found: set[str] = set()
    left: list[Any] = [Conditions(groups).condition(condition)]
    while left:
        part = left.pop()
        if isinstance(part, model.Slot):
            found.add(part.view)
        elif isinstance(part, tuple):
            left += part
        elif hasattr(part, "__slots__"):
            left += [getattr(part, name) for name in part.__slots__]
    return found


# ---------------------------------------------------------------- operators


@pytest.mark.parametrize(
    ("operand", "yes", "no"),
    [
        ("x", ["x"], ["X", "", None, 1, ["x"], {}]),
        (1, [1, 1.0, True], ["1", 2, None, [1]]),
        (None, [None], [0, "", False, []]),
        (True, [True, 1], ["True", 0, None]),
        ([1, "a"], [[1, "a"], [True, "a"]], [["a", 1], [1], "a", None]),
        ({"k": 1}, [{"k": 1}, {"k": True}], [{"k": 1, "z": 2}, {}, "k", None]),
        ({}, [{}], [None, [], {"k": 1}]),
        ({"$eq": 1, "k": 2}, [{"$eq": 1, "k": 2}], [1, 2, {"k": 2}]),
        ({"$eq": 1}, [1, 1.0], [True, "1", None]),
        ({"$eq": True}, [True], [1, "true"]),
        ({"$eq": None}, [None], [0, ""]),
        ({"$eq": [1]}, [], [[1], 1]),
        ({"$eq": 2**53 + 1}, [2**53 + 1], [2**53, float(2**53), "x"]),
        ({"$ne": "x"}, ["y", None, 1, ["x"]], ["x"]),
        ({"$ne": {"k": 1}}, [{"k": 1}, None], []),
        ({"$gt": 5}, [6, 5.1, "6", " 6 ", "inf", math.inf, 2**60], [5, "5", None, True, "x", NAN, "nan", [6], {}]),
        ({"$gt": -1}, [0, None, False, True, "0"], ["x", -1, [0]]),
        ({"$gte": 5}, [5, "5", "nan", " NaN "], [4, NAN, None, "", "x", []]),
        ({"$lt": 1}, [None, False, 0, "0", "-inf"], [True, 1, "nan", NAN]),
        ({"$gt": "5"}, [6, "6", "a"], [5, "10", "", None, True, ["6"]]),
        ({"$lte": "nan"}, [0, 7, 1e300, "a", "nan"], [NAN, "nao", None, True]),
        ({"$gt": "x"}, ["y", "😀"], [1, "x", None]),
        ({"$gte": True}, [1, True, 2], [0, False, None, "1"]),
        ({"$lt": None}, [-1, -0.5], [0, None, False, "a"]),
        ({"$gt": {"k": 1}}, [], [1, "z", {"k": 2}, None]),
        ({"$gt": [1, 2]}, [[1, 3], [2]], [[1, 2], 5, "z", None]),
        ({"$gt": 2**53}, [2**53 + 1, "1e300"], [2**53, None, 1]),
        ({"$gt": str(2**53)}, [2**53 + 1, "a"], [2**53, None]),
        ({"$type": "number"}, [1, 0.5], [True, "1", None]),
        ({"$type": "array"}, [[], [1]], ["x", {}, None]),
        ({"$type": "null"}, [None], [0]),
        ({"$type": 5}, [], [5, None]),
        ({"$exists": True}, [0, "", False, []], [None]),
        ({"$exists": 0}, [None], [0]),
        ({"$nothing": 1}, [], [1, None]),
        ({"$not": {"$gt": 5}}, [5, None, "x", NAN], [6]),
        ({"$not": "x"}, ["y", None], ["x"]),
    ],
)
def test_values(operand: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not holds({"a": operand}, {"a": value})] == []
    assert [value for value in no if holds({"a": operand}, {"a": value})] == []
    assert holds({"a": operand}, {}) is holds({"a": operand}, {"a": None})


@pytest.mark.parametrize(
    ("operand", "yes", "no"),
    [
        ({"$in": ["a", "b"]}, ["a", ["x", "b"]], ["c", None, [], ["ab"], {"a": 1}, [["a"]]]),
        ({"$in": [1, "1"]}, [1, 1.0, "1", ["1"], [1]], [True, [True], 0]),
        ({"$in": [True, None]}, [True, None, [None], [True]], [1, [1], False, []]),
        ({"$in": [7, 2**53 + 1]}, [7, 2**53 + 1, [7.0]], [2**53, [2**53]]),
        ({"$in": [[1], {"k": 1}]}, [{"k": 1}], [[[1]], [{"k": 1}], [1], "k"]),
        ({"$in": []}, [], ["a", None, []]),
        ({"$in": "a"}, [], ["a", ["a"]]),
        ({"$nin": ["a"]}, ["b", None, []], ["a", ["b", "a"]]),
        ({"$nin": "a"}, [], ["a", "b"]),
        ({"$ini": ["Ab", 7]}, ["aB", "AB", ["x", "ab"], 7], ["a", None, [8]]),
        ({"$ini": ["İ", 1]}, ["İ", "i̇", 1], ["i", True, [True]]),
        ({"$ini": [["A"]]}, [[["A"]]], [["A"], "a"]),
        ({"$nini": ["Ab"]}, ["a", None], ["aB", ["AB"]]),
        ({"$all": ["a", 7]}, [["a", 7, "b"], [7.0, "a"]], [["a"], "a", None, []]),
        ({"$all": [1]}, [[1], [True]], [[0], 1]),
        ({"$all": []}, [[], ["a"]], ["a", None]),
        ({"$all": [{"$gt": 5}, {"$lt": 2}]}, [[6, 1]], [[6], [1, 2]]),
        ({"$all": "a"}, [], [["a"], "a"]),
        ({"$alli": ["A", "b"]}, [["a", "B"]], [["a"], "ab"]),
        ({"$size": 2}, [["a", "b"]], [[], ["a"], "ab", 2, None]),
        ({"$size": 2.0}, [["a", "b"]], [["a"]]),
        ({"$size": {"$gte": 2}}, [["a", "b"], [1, 2, 3]], [["a"], "abc"]),
        ({"$size": {"$in": [0, 2]}}, [[], [1, 2]], [[1], None]),
        ({"$size": "2"}, [], [[1, 2]]),
        ({"$elemMatch": {"$eq": "a"}}, [["b", "a"]], [["b"], "a", [], None]),
        ({"$elemMatch": {"$eq": 1}}, [[1]], [[True], [0]]),
        ({"$elemMatch": {"$gt": 5, "$lt": 7}}, [[1, 6]], [[5, 7], 6]),
        ({"$elemMatch": {"k": {"z": 1}}}, [[{"k": {"z": 1}}]], [[{"k": 1}, 5], {"k": {"z": 1}}]),
        ({"$elemMatch": {"k.z": 1}}, [[{}, {"k": {"z": 1}}]], [[{"k.z": 1}]]),
        ({"$elemMatch": {}}, [[1], [{}]], [[], None]),
        ({"$elemMatch": {"$in": ["a"]}}, [["a"], [["a"]]], [["b"]]),
    ],
)
def test_lists(operand: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not holds({"a": operand}, {"a": value})] == []
    assert [value for value in no if holds({"a": operand}, {"a": value})] == []


@pytest.mark.parametrize(
    ("operand", "yes", "no"),
    [
        ({"$veq": "1.2.3"}, ["1.2.3", "v1.2.3", "1-2-3", "1.2.3+x"], ["1.2.3-a", "1.2", None, 5]),
        ({"$vne": "1.2.3"}, ["1.2.4", None, []], ["1.2.3"]),
        ({"$vgt": "1.2.3"}, ["1.2.10", "2", "a"], ["1.2.3-rc", "1.2.3", None, "1"]),
        ({"$vlte": "1.2.3"}, ["1.2.3", "1.2.3-a", None, 1.2, True], ["1.10.0", "1.3"]),
        ({"$vgte": 0}, [0, "", None, False, [1], "0"], []),
        ({"$vlt": "²"}, [""], ["²"]),
    ],
)
def test_versions(operand: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not holds({"a": operand}, {"a": value})] == []
    assert [value for value in no if holds({"a": operand}, {"a": value})] == []


@pytest.mark.parametrize(
    ("operand", "yes", "no"),
    [
        ({"$regex": "^a.c$"}, ["abc", "abc\n"], ["ABC", "xabc", 5, None, ["abc"]]),
        ({"$regexi": "^A.c$"}, ["abc"], ["ab"]),
        ({"$notRegex": "^a"}, ["b", None, 5, ["a"]], ["ab"]),
        ({"$notRegexi": "^A"}, ["b", None], ["ab", "AB"]),
        ({"$regex": "("}, [], ["(", ""]),
        ({"$notRegex": "("}, ["(", None], []),
        ({"$regex": 5}, [], ["5", 5]),
        ({"$notRegex": None}, ["a", None], []),
        ({"$regex": "(?=ab)a"}, ["xab"], ["a"]),
        ({"$regex": r"(\w)\1"}, ["xaab"], ["ab"]),
        ({"$regexi": "(?m)^B"}, ["a\nb"], ["ab"]),
    ],
)
def test_patterns(operand: Any, yes: list[Any], no: list[Any]) -> None:
    assert [value for value in yes if not holds({"a": operand}, {"a": value})] == []
    assert [value for value in no if holds({"a": operand}, {"a": value})] == []


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    ("path", "context", "wanted"),
    [
        ("a.b", {"a": {"b": "x"}}, True),
        ("a.b", {"a.b": "x"}, False),
        ("a.b", {"a": MappingProxyType({"b": "x"})}, True),
        ("a.0", {"a": ["x"]}, False),
        ("a.0", {"a": {"0": "x"}}, True),
        ("", {"": "x"}, True),
        ("$groups", {"$groups": "x"}, True),
        ("id", {"targetingKey": "x"}, True),
        ("id", {"id": None, "targetingKey": "x"}, False),
        ("id.k", {"id": {"k": "x"}}, True),
        ("targetingKey", {"targetingKey": "x"}, True),
    ],
)
def test_paths(path: str, context: Any, wanted: bool) -> None:
    assert holds({path: "x"}, context) is wanted


def test_a_length_is_no_attribute() -> None:
    assert holds({"a.length": 1}, {"a": ["x"]}) is False
    assert holds({"a.length": 1}, {"a": {"length": 1}}) is True


# ---------------------------------------------------------------- whole conditions


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ({}, True),
        ({"$or": []}, True),
        ({"$nor": []}, False),
        ({"$and": []}, True),
        ({"$or": [{"a": 2}, {"b": 1}]}, False),
        ({"$or": [{"a": 2}, {"a": 1}], "b": None}, True),
        ({"$nor": [{"a": 2}, {"b": 1}]}, True),
        ({"$not": {"a": 2}}, True),
        ({"$savedGroups": ["x"]}, False),
        ({"$not": {"$savedGroups": ["x"]}}, True),
        (5, False),
        ("x", False),
        ({"$not": 5}, False),
        ({"$not": {"$or": 5}}, False),
        ({"$not": {"$or": ""}}, False),
        ({"$and": {}}, True),
        ({"$or": [{"a": 1}, 5]}, True),
        ({"$or": [{"a": 2}, 5]}, False),
        ({"$nor": [{"a": 2}, 5]}, False),
        ({"$not": {"$and": [{"a": 2}, 5]}}, True),
        ({"$not": {"$and": [{"a": 1}, 5]}}, False),
        ({"$not": {"l": {"$elemMatch": 5}}}, False),
        ({"$not": {"a": {"$elemMatch": 5}}}, True),
        ({"$not": {"l": {"$not": {"$all": [{"$elemMatch": None}]}}}}, False),
    ],
)
def test_conditions(condition: Any, wanted: bool) -> None:
    """What is malformed makes all of it false, once the evaluation meets it."""
    assert holds(condition, {"a": 1, "l": [[1]]}) is wanted


GROUPS = {
    "list": ["a", 7],
    "typed": {"type": "list", "attributeKey": "a", "values": ["a"]},
    "us": {"type": "condition", "condition": {"country": "US"}},
    "either": {
        "type": "condition",
        "condition": {"$or": [{"$savedGroup": {"id": "us"}}, {"$savedGroup": {"id": "typed"}}]},
    },
    "self": {"type": "condition", "condition": {"$not": {"$savedGroup": {"id": "self"}}}},
    "bad": {"type": "condition", "condition": {"$or": 5}},
    "odd": 5,
}


@pytest.mark.parametrize(
    ("condition", "context", "wanted"),
    [
        ({"a": {"$inGroup": "list"}}, {"a": "a"}, True),
        ({"a": {"$inGroup": "typed"}}, {"a": "a"}, True),
        ({"a": {"$notInGroup": "list"}}, {"a": 7.0}, False),
        ({"a": {"$inGroup": "gone"}}, {"a": "a"}, False),
        ({"a": {"$notInGroup": "gone"}}, {"a": "a"}, True),
        ({"a": {"$notInGroup": "odd"}}, {"a": "a"}, False),
        ({"a": {"$notInGroup": "us"}}, {"a": "a"}, False),
        ({"a": {"$notInGroup": ["list"]}}, {"a": "x"}, False),
        ({"$savedGroup": {"id": "typed"}}, {"a": "a"}, True),
        ({"$savedGroup": {"id": "typed", "attributeKey": "b"}}, {"b": ["a"]}, True),
        ({"$savedGroup": {"id": "typed", "attributeKey": 5}}, {"a": "a"}, False),
        ({"$savedGroup": {"id": "us"}}, {"country": "US"}, True),
        ({"$savedGroup": {"id": "either"}}, {"a": "a"}, True),
        ({"$savedGroup": {"id": "either"}}, {"a": "b"}, False),
        ({"$savedGroup": {"id": "list"}}, {"a": "a"}, False),
        ({"$savedGroup": {"id": "self"}}, {}, True),
        ({"$savedGroup": "us"}, {"country": "US"}, False),
        ({"$not": {"$savedGroup": {"id": "bad"}}}, {}, False),
        ({"$not": {"$savedGroup": {"id": "odd"}}}, {}, True),
        ({"l": {"$elemMatch": {"$savedGroup": {"id": "us"}, "a": None}}}, {"l": [{"country": "US"}]}, True),
        ({"l": {"$elemMatch": {"$savedGroup": {"id": "us"}}}}, {"l": [{"country": "US"}]}, False),
        ({"l": {"$elemMatch": {"$inGroup": "list"}}}, {"l": ["a"]}, True),
    ],
)
def test_saved_groups(condition: Any, context: Any, wanted: bool) -> None:
    assert holds(condition, context, GROUPS) is wanted


def test_groups_that_double_are_left_to_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: dict[str, Any] = {"g0": {"type": "condition", "condition": {"a": 1}}}
    for i in range(1, 12):
        twice = [{"$savedGroup": {"id": f"g{i - 1}"}}] * 2
        groups[f"g{i}"] = {"type": "condition", "condition": {"$and": twice}}
    condition = {"$savedGroup": {"id": "g11"}}
    assert slots_of(condition, groups) == {"path"}
    monkeypatch.setattr(growthbook_conditions, "MAX_LEAVES", 1000)
    assert slots_of(condition, groups) == {"growthbook_condition"}
    assert holds(condition, {"a": 1}, groups)
    assert not holds(condition, {"a": 2}, groups)


@pytest.mark.parametrize("count", [200, 201, 3000, 60_000])
def test_large_groups(count: int) -> None:
    """In the core as far as there is room for the values, and each of them once."""
    groups = {"large": [f"user {i}" for i in range(count)]}
    condition = {"a": {"$inGroup": "large"}}
    verdict = {"growthbook_judged"} if count > 200 else set()
    assert slots_of(condition, groups) == ({"growthbook_condition"} if count > 50_000 else {"path", *verdict})
    for value, wanted in ((f"user {count - 1}", True), ("user", False), (["x", "user 7"], True), (["x"] * 50, False)):
        assert holds(condition, {"a": value}, groups) is wanted
    lowered = Conditions(groups)
    assert len({repr(lowered.condition(condition)) for _ in range(20)}) == 1


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ({"a": "x", "b": {"$in": ["x"]}, "c": {"$gt": "x"}, "d": {"$exists": True}}, {"path"}),
        ({"a": {"$in": [7, "x"]}, "b.c": {"$all": ["x"]}, "d": {"$size": {"$gt": 2}}}, {"path"}),
        ({"a": {"$elemMatch": {"$eq": "x"}}}, {"path"}),
        ({"a": {"$in": [1]}}, {"path", "growthbook_judged"}),
        ({"a": {"$gt": 5}}, {"growthbook_number"}),
        ({"a": {"$vgt": "1"}}, {"growthbook_version"}),
        ({"a": {"$ini": ["x"]}}, {"growthbook_folded"}),
        ({"id": "x"}, {"growthbook_attribute"}),
        ({"$or": [{"a": 1}, 5]}, {"growthbook_condition"}),
        ({"a": {"$regex": "(?=x)"}}, {"growthbook_verdict"}),
        ({}, set()),
    ],
)
def test_common_conditions_are_the_cores(condition: Any, wanted: set[str]) -> None:
    assert slots_of(condition) == wanted


def test_a_text_is_one_predicate() -> None:
    wanted = model.Test(Op.TEXT_IN, model.Slot("path", ("a",)), ("x",))
    assert Conditions(None).condition({"a": "x"}) == Conditions(None).condition({"a": {"$eq": "x"}}) == wanted
