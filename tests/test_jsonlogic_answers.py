"""What targetings answer, in the plain-Python reference."""

from __future__ import annotations

from typing import Any

import pytest
from flagd_answers import NOW, Answers
from jsonlogic_trees import VAR


def decide(targeting: Any, **options: str) -> Answers:
    variants = dict.fromkeys(("default", "on", "off", "true", "false", "0", "1.0", "f", "a,b"), "value")
    flag = {"state": "ENABLED", "variants": variants, "defaultVariant": "default", "targeting": targeting}
    return Answers({"flags": {"f": flag}}, {"validation": "lenient", **options})


@pytest.mark.parametrize(
    ("targeting", "context", "expected"),
    [
        ({"==": {"var": "b"}}, {}, "true"),
        ({"==": [VAR, 0]}, {}, "true"),
        ({"==": [VAR, "1"]}, {"a": True}, "true"),
        ({"===": [VAR, 1]}, {"a": True}, "true"),
        ({"<": [VAR, "b"]}, {"a": None}, "false"),
        ({"in": ["x", VAR]}, {"a": ["y", "x"]}, "true"),
        ({"starts_with": [VAR, "x"]}, {"a": 5}, None),
        ({"if": [{"starts_with": [VAR, "x"]}, "on"]}, {"a": 5}, None),
        ({"sem_ver": [VAR, "<", "2.0.0"]}, {"a": 1.5}, "true"),
        ({"sem_ver": [VAR, "<", "2.0.0"]}, {"a": "x"}, None),
        ({"cat": [{"var": "list"}]}, {"list": ["a", "b"]}, "a,b"),
        ({"reduce": [{"var": "list"}, {"+": [{"var": "accumulator"}, {"var": "current"}]}, 0]}, {"list": []}, "0"),
        ({"reduce": [{"var": "list"}, {"+": [{"var": "accumulator"}, {"var": "current"}]}, 0]}, {"list": ["1"]}, "1.0"),
        ({"var": {"cat": ["$flagd.", "flagKey"]}}, {}, "f"),
        ({"all": [{"var": "list"}, {"var": ""}]}, {"list": []}, "false"),
        ({"missing_some": [1, VAR]}, {"a": ["b"]}, "GENERAL"),
        ({"if": [{"missing_some": [1, {"var": "keys"}]}, "on", "off"]}, {"keys": ["a", "b"], "a": 1}, "off"),
        ({"if": [{"missing": {"var": "keys"}}, "on", "off"]}, {"keys": ["a", "c"], "a": 1}, "on"),
        ({"if": [{"==": [{"var": "$flagd.timestamp"}, NOW]}, "on"]}, {}, "on"),
        ({"nope": [1]}, {}, "PARSE_ERROR"),
        ({"nope": {"/": [1, VAR]}}, {"a": 0}, "GENERAL"),
        ({"nope": {"/": [1, VAR]}}, {"a": 1}, "PARSE_ERROR"),
        ({"!": [VAR, {"/": [1, VAR]}]}, {"a": 0}, "GENERAL"),
        ({"!": [VAR, {"/": [1, VAR]}]}, {"a": 5}, "false"),
        ({"substr": ["on", {"var": "i"}]}, {"i": "infinity"}, "GENERAL"),
        ({"fractional": [["on"]]}, {}, None),
        ({"fractional": [["on"]]}, {"targetingKey": ""}, None),
        ({"fractional": [["on"]]}, {"targetingKey": 5}, None),
        ({"fractional": [["on"]]}, {"targetingKey": "u"}, "on"),
        ({"fractional": [["on", {"var": "n"}]]}, {"targetingKey": 5, "n": 1}, None),
        ({"fractional": [["on", {"var": "n"}]]}, {"targetingKey": "u", "n": 1}, "on"),
        ({"fractional": [VAR, ["on"]]}, {"a": {"x": [1.5, None]}}, "on"),
        ({"fractional": [VAR, ["on"]]}, {"a": ["off", 1]}, None),
        ({"fractional": [VAR, ["on"]]}, {"a": ["off", 1], "targetingKey": "u"}, "off"),
    ],
)
def test_answers(targeting: Any, context: dict[str, Any], expected: str | None) -> None:
    answer = decide(targeting)("f", context)
    if answer.error is not None:
        assert answer.error == expected
    elif expected is None:
        assert (answer.variant, answer.reason) == ("default", "DEFAULT")
    else:
        assert (answer.variant, answer.reason) == (expected, "TARGETING_MATCH")


def share(*, users: int = 3000, **options: str) -> dict[str, list[int]]:
    """Which users get which variant of a split of four."""
    answers = decide({"fractional": [["on", 1], ["off", 1], ["true", 2]]}, **options)
    found: dict[str, list[int]] = {}
    for user in range(users):
        found.setdefault(answers("f", {"targetingKey": f"user-{user}"}).variant or "", []).append(user)
    return found


def test_splits_are_even_and_differ_between_generations() -> None:
    cbor, text = share(fractional="cbor"), share(fractional="text")
    for found in (cbor, text):
        assert {name: round(len(users) / 750) for name, users in found.items()} == {"on": 1, "off": 1, "true": 2}
    assert cbor != text


def test_a_split_and_the_operation_agree() -> None:
    split = decide({"fractional": [VAR, ["on", 3], ["off", 5]]})
    general = decide({"fractional": [VAR, ["on", {"+": [{"var": "three"}]}], ["off", 5]]})
    for a in (*range(200), 0.5, 1.0, -0.0, 1e300, True, False, "", "é", [1], {"k": None}, None):
        context = {"a": a, "three": 3, "targetingKey": "u"}
        assert split("f", context) == general("f", context)


def test_the_targetings_own_chain_has_no_limit() -> None:
    branches: list[Any] = []
    for i in range(2000):
        branches += [{"==": [VAR, i]}, "on"]
    answers = decide({"if": [*branches, "off"]})
    assert answers("f", {"a": 1999}).variant == "on"
    assert answers("f", {"a": 2000}).variant == "off"
