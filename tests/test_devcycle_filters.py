"""The DevCycle importer: what filters and audiences answer, and the vendor's words for it; both semantics."""

from __future__ import annotations

from typing import Any

import pytest
from devcycle_answers import Answers
from devcycle_documents import (
    EVERYONE,
    JSON,
    audience_filter,
    custom_filter,
    document,
    either,
    every,
    feature,
    target,
    user_filter,
)
from hypothesis import given
from hypothesis import strategies as st

from pyflagwasm.config.formats.devcycle.compare import COMPARATORS
from pyflagwasm.config.formats.devcycle.rollout import date_ms
from pyflagwasm.config.formats.devcycle.semantics import VENDOR

VENDOR_OPTIONS: JSON = {"semantics": "vendor"}
CORRECTED_OPTIONS: JSON = {"semantics": "corrected"}


def answers_to(operator: JSON, **options: Any) -> Answers:
    return Answers(document(feature(target(operator)), audiences=options.pop("audiences", {})), options)


def holds(item: JSON, user: JSON, **options: Any) -> bool:
    answer = answers_to(every(item), **options)("flag-v", {"user_id": "u", **user})
    assert answer.error is None
    return answer.variant is not None


# ---------------------------------------------------------------- texts, numbers, bools

# comparator, values; then for: no text, "", "abc"
TEXT_TABLE = [
    ("=", ["abc", "x"], False, False, True),
    ("=", [""], False, True, False),
    ("=", [], False, False, False),
    ("!=", ["abc"], False, True, False),
    ("!=", [], False, True, True),
    ("exist", [], False, False, True),
    ("!exist", [], True, True, False),
    ("contain", ["bc"], False, False, True),
    ("contain", [""], False, False, True),
    ("!contain", ["bc"], True, True, False),
    ("!contain", [], True, True, True),
    ("startWith", ["ab", "x"], False, False, True),
    ("startWith", [""], False, False, False),
    ("!startWith", [""], True, True, True),
    ("endWith", ["bc"], False, False, True),
    ("!endWith", ["bc"], True, True, False),
    ("like", ["abc"], False, False, False),
    ("=", [5, "abc"], False, False, False),
    ("=", ["abc", 5, None], False, False, True),
]


@pytest.mark.parametrize(("comparator", "values", "missing", "empty", "text"), TEXT_TABLE)
@pytest.mark.parametrize("semantics", ["vendor", "corrected"])
def test_profile_texts(
    comparator: str, values: list[Any], missing: bool, empty: bool, text: bool, semantics: str
) -> None:
    item = user_filter("email", comparator, *values)
    users: list[JSON] = [{}, {"email": ""}, {"email": "abc"}, {"email": 5}]
    assert [holds(item, user, semantics=semantics) for user in users] == [missing, empty, text, missing]


@pytest.mark.parametrize(("comparator", "values", "missing", "empty", "text"), TEXT_TABLE)
def test_custom_texts(comparator: str, values: list[Any], missing: bool, empty: bool, text: bool) -> None:
    item = custom_filter("k", "String", comparator, *values)
    # a null is a text that is missing; without an entry only != and !exist hold; numbers do not hold, but exist
    absent = comparator in ("!=", "!exist")
    users: list[JSON] = [{"k": None}, {"k": ""}, {"k": "abc"}, {}, {"k": 5}]
    expected = [missing, empty, text, absent, comparator == "exist"]
    assert [holds(item, {"customData": user}) for user in users] == expected


@pytest.mark.parametrize("comparator", [">", ">=", "<", "<="])
def test_texts_have_no_order(comparator: str) -> None:
    profile, custom = user_filter("country", comparator, "b"), custom_filter("k", "String", comparator, "b")
    for user in ({}, {"country": "a"}):
        assert holds(profile, user)
        assert not holds(profile, user, **CORRECTED_OPTIONS)
    data: list[JSON] = [{"k": "a"}, {"k": None}, {}, {"k": 1}]
    assert [holds(custom, {"customData": d}) for d in data] == [True, True, False, False]
    assert not any(holds(custom, {"customData": d}, **CORRECTED_OPTIONS) for d in data)


# comparator, values; then for: nothing, null, "7", true, 7, 7.5
@pytest.mark.parametrize(
    ("comparator", "values", "expected"),
    [
        ("=", [7, 8], [0, 0, 0, 0, 1, 0]),
        ("!=", [7], [1, 0, 0, 0, 0, 1]),
        ("!=", [], [1, 0, 0, 0, 1, 1]),
        (">", [100, 7], [0, 0, 0, 0, 0, 1]),
        (">=", [7.5, 7], [0, 0, 0, 0, 1, 1]),
        ("<", [7.5], [0, 0, 0, 0, 1, 0]),
        ("<=", [], [0, 0, 0, 0, 0, 0]),
        ("contain", [7], [0, 0, 0, 0, 0, 0]),
        ("exist", [], [0, 0, 1, 1, 1, 1]),
        ("!exist", ["x"], [1, 1, 0, 0, 0, 0]),
        ("=", ["7", 7], [0, 0, 0, 0, 0, 0]),
    ],
)
def test_custom_numbers(comparator: str, values: list[Any], expected: list[int]) -> None:
    item = custom_filter("k", "Number", comparator, *values)
    data: list[JSON] = [{}, *({"k": v} for v in (None, "7", True, 7, 7.5))]
    assert [holds(item, {"customData": d}) for d in data] == list(map(bool, expected))


@pytest.mark.parametrize(
    ("comparator", "values", "expected"),
    [
        ("=", [True], [0, 0, 0, 0, 1]),
        ("contain", [True, False], [0, 0, 0, 1, 1]),
        ("!=", [True], [1, 0, 0, 1, 0]),
        ("!contain", [True], [0, 0, 0, 1, 0]),
        ("!=", [True, False], [1, 0, 0, 0, 0]),
        ("!=", [], [1, 0, 0, 1, 1]),
        (">", [False], [0, 0, 0, 0, 0]),
    ],
)
def test_custom_bools(comparator: str, values: list[Any], expected: list[int]) -> None:
    item = custom_filter("k", "Boolean", comparator, *values)
    data: list[JSON] = [{}, *({"k": v} for v in (None, 1, False, True))]
    assert [holds(item, {"customData": d}) for d in data] == list(map(bool, expected))


def test_a_nan_does_not_exist_and_is_unlike_all_numbers() -> None:
    nan = {"customData": {"k": float("nan")}}
    assert not holds(custom_filter("k", "Number", "exist"), nan)
    assert holds(custom_filter("k", "Number", "!exist"), nan)
    assert holds(custom_filter("k", "Number", "!=", 1), nan)
    assert not holds(custom_filter("k", "Number", ">=", 1), nan)


def test_private_data_is_in_front() -> None:
    item = custom_filter("k", "Number", "=", 2)
    assert holds(item, {"customData": {"k": 1}, "privateCustomData": {"k": 2}})
    assert not holds(item, {"customData": {"k": 2}, "privateCustomData": {"k": None}})


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize(
    ("version", "comparator", "values", "vendor", "corrected"),
    [
        ("1.1", "=", ["1.1.0"], False, False),
        ("1.1", ">=", ["1.1.0"], True, True),
        ("1.10.0", ">", ["1.9"], True, True),
        ("1.1.1-beta", ">", ["1.1.0"], True, True),
        ("1.1.1-beta", "!=", ["1.1.1"], True, True),
        ("v1.0.1", ">", ["v1.0.0"], False, True),  # one foreign character in all is dropped
        ("v1.0.1", ">", ["1.0.0"], True, True),
        ("", "!=", ["1"], False, False),
        ("abc", "!=", ["1"], True, True),
        ("1", "<", ["0", "2"], True, True),
        ("1..2", "<=", ["1.0.2"], True, True),
        ("1", "exist", [], False, False),
        ("1", ">", [], False, False),
    ],
)
def test_versions(version: str, comparator: str, values: list[str], vendor: bool, corrected: bool) -> None:
    item = user_filter("appVersion", comparator, *values)
    assert holds(item, {"appVersion": version}) is vendor
    assert holds(item, {"appVersion": version}, **CORRECTED_OPTIONS) is corrected
    assert not holds(item, {})


WORDS = st.sampled_from(
    ["", "a", "ab", "aé", "é", "😀", "1", "v1.0", "vv1.0", "1.0.0-a-b", "1-", "-", "1..2", "1.é0", "x😀1"]
)


@given(subject=st.sampled_from(["", "Version"]), text=WORDS, comparator=st.sampled_from(sorted(COMPARATORS)),
       values=st.lists(WORDS, max_size=4), semantics=st.sampled_from(["vendor", "corrected"]))  # fmt: skip
def test_a_constant_platform_is_compared_like_an_attribute(
    subject: str, text: str, comparator: str, values: list[str], semantics: str
) -> None:
    attribute = {"": "country", "Version": "appVersion"}[subject]
    constant = answers_to(
        every(user_filter(f"platform{subject}", comparator, *values)),
        semantics=semantics,
        platform={f"platform{subject}": text},
    )
    asked = holds(user_filter(attribute, comparator, *values), {attribute: text}, semantics=semantics)
    assert (constant("flag-v", {"user_id": "u"}).variant is not None) is asked


# ---------------------------------------------------------------- trees and words


def test_the_vendors_and_ends_at_the_first_nested_operator() -> None:
    nobody = user_filter("email", "=", "x")
    tree = every(EVERYONE, either(EVERYONE), nobody)
    assert answers_to(tree)("flag-v", {"user_id": "u"}).details == "All Users"
    assert answers_to(tree, **CORRECTED_OPTIONS)("flag-v", {"user_id": "u"}).defaulted
    assert answers_to(every(nobody, either(EVERYONE)))("flag-v", {"user_id": "u"}).defaulted


def test_empty_and_unknown_operators_never_hold() -> None:
    for tree in (every(), either(), {"operator": "nor", "filters": [EVERYONE]}):
        assert answers_to(tree)("flag-v", {"user_id": "u"}).defaulted


AUDIENCES: JSON = {
    "canada": {"filters": every(user_filter("country", "=", "CA"), user_filter("email", "exist"))},
    "gold": {"filters": either(custom_filter("plan", "String", "=", "gold"), audience_filter("=", "canada"))},
    "nobody": {"filters": every()},
    "somebody": {"filters": every(audience_filter("!=", "nobody"))},
}


@pytest.mark.parametrize(
    ("item", "details"),
    [
        (audience_filter("=", "canada"), "Audience Match -> Country AND Email"),
        (audience_filter("=", "nobody", "gold"), "Audience Match -> Audience Match -> Country AND Email"),
        (audience_filter("=", "nobody"), None),
        (audience_filter("=", "unknown", "canada"), None),
        (audience_filter("=", "canada", "unknown"), "Audience Match -> Country AND Email"),
        (audience_filter("!=", "nobody"), "Not in Audience"),
        (audience_filter("!="), "Not in Audience"),
        (audience_filter("=", "somebody"), "Audience Match -> Not in Audience"),
        (audience_filter("="), None),
        (audience_filter("!=", "nobody", "canada"), None),
        (audience_filter("!=", "unknown"), None),
        (audience_filter("contain", "canada"), None),
        ({"type": "optIn"}, None),
        ({"type": "new"}, None),
        (user_filter("ip", "=", "::1"), None),
    ],
)
def test_audiences(item: JSON, details: str | None) -> None:
    user = {"user_id": "u", "country": "CA", "email": "a@b"}
    assert answers_to(every(item), audiences=AUDIENCES)("flag-v", user).details == details


def test_details_say_what_held() -> None:
    two = [{"_variation": "on", "percentage": 0.5}, {"_variation": "off", "percentage": 0.5}]
    rollout = {"type": "schedule", "startDate": "2020-01-01T00:00:00.000Z"}
    tree = either(user_filter("email", "=", "x"), every(user_filter("user_id", "=", "u"), EVERYONE))
    now = date_ms("2021-01-01T00:00:00.000Z", "", VENDOR)

    def said(**more: Any) -> tuple[str, str | None]:
        answer = Answers(document(feature(target(tree, **more))))("flag-v", {"user_id": "u"}, now)
        return answer.reason, answer.details

    assert said() == ("TARGETING_MATCH", "User ID AND All Users")
    assert said(rollout=rollout) == ("SPLIT", "Rollout | User ID AND All Users")
    assert said(distribution=two) == ("SPLIT", "Random Distribution | User ID AND All Users")
    assert said(distribution=two, rollout=rollout) == (
        "SPLIT",
        "Random Distribution | Rollout | User ID AND All Users",
    )
