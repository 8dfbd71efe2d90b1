"""Unleash's operators and strategies: what holds, what never does, what turns a feature off."""

from __future__ import annotations

from typing import Any

import pytest
from unleash_answers import NOW, Answers, constrained, constraint, feature, strategy

SECOND = "2023-11-14T22:13:20"  # of NOW


def with_x(value: Any) -> dict[str, Any]:
    return {"properties": {"x": value}}


@pytest.mark.parametrize(
    ("operator", "given", "yes", "no"),
    [
        ("IN", ["a", "B"], ["a", "B"], ["b", "", "c"]),
        ("IN", ["1", "true", "1.5"], [1, True, 1.5], [1.0, False, "1.50"]),
        ("IN", [], [], ["", "a"]),
        ("NOT_IN", ["a"], ["b", ""], ["a"]),
        ("NOT_IN", [], ["", "a"], []),
        ("STR_STARTS_WITH", ["a", "é"], ["ab", "éa"], ["ba", "Ab", "e\u0301"]),
        ("STR_ENDS_WITH", ["a"], ["ba", "a"], ["ab", "bA"]),
        ("STR_CONTAINS", ["a", 'q"'], ["bab", 'q"q'], ["b"]),
        ("NUM_EQ", "5", [5, "5", "5.0", "+5", "5e0", "5.0000000000000000001"], ["5 ", "", "x", 5.1, "NaN", True]),
        ("NUM_EQ", "1", ["0.9999999999999999"], ["0.9999999999999997", "1.0000000000000002"]),
        ("NUM_EQ", "0", ["2e-16", "-2e-16"], ["2.220446049250313e-16"]),
        ("NUM_GT", " 5\t", [5.5, "inf", "1e400"], [5, "-inf", "nan"]),
        ("NUM_GTE", "5.", [5], [4.9]),
        ("NUM_LT", "-1e1", [-11], [-10]),
        ("NUM_LTE", "5", [5, "-infinity"], [6]),
        ("NUM_LT", "1e999", [1, "1e308"], ["inf", "x"]),
        ("NUM_EQ", "1e999", [], ["inf", 1]),
        ("NUM_EQ", "1.2.3", ["1.2.3", "1.2.3+b"], ["1.2.4", "1.2", 1.2]),
        ("NUM_GT", "2022-01-29T13:00:00Z", ["2022-01-29T13:00:00.001Z"], ["2022-01-29T13:00:00Z", 1e300]),
        ("SEMVER_EQ", "5", ["5"], ["5.0.0"]),
        ("SEMVER_GT", "1.2.3-beta.2", ["1.2.3", "1.2.3-beta.11"], ["1.2.3-beta.1", "v1.2.4", "1.3"]),
        ("SEMVER_EQ", "v1.2.3", [], ["1.2.3", "v1.2.3"]),
        ("DATE_AFTER", "2022-01-29T13:00:00.000Z", ["2022-01-29T14:00:00.1+01:00"], ["2022-01-29T14:00:00+01:00", ""]),
        ("DATE_BEFORE", "2022-01-29T13:00:00+01:00", ["2022-01-29 11:59:59UTC"], ["2022-01-29T12:00:00Z", "2021"]),
        ("IN_CIDR", ["10.0.0.0/8", "x", "::1"], ["10.1.2.3", "::1"], ["11.0.0.1", "10.01.2.3", "::ffff:10.1.1.1"]),
        ("IN_CIDR", ["x"], [], ["x", "10.0.0.1"]),
        ("REGEX", "^a+$", ["aa"], ["ab", "A"]),
        ("REGEX", "[", [], ["["]),
    ],
)  # fmt: skip
def test_operators(operator: str, given: Any, yes: list[Any], no: list[Any]) -> None:
    plain = Answers(constrained(operator, given), constrained(operator, given, inverted=True) | {"name": "not"})
    turned = not (operator.startswith("SEMVER") and given.startswith("v"))  # that one is false, inverted or not
    for value, holds in [*((v, True) for v in yes), *((v, False) for v in no)]:
        assert plain("f", with_x(value)) is holds, value
        assert plain("not", with_x(value)) is (not holds and turned), value
    assert plain("f") is (operator == "NOT_IN")
    assert plain.config.flags["f"].problem is None


@pytest.mark.parametrize(
    ("operator", "given", "yes", "no"),
    [
        ("STR_STARTS_WITH", ["STRASSE"], ["strasse 1", "STRASSE"], ["straße"]),
        ("STR_CONTAINS", ["ΟΔΟΣ"], ["ΟΔΟΣ", "οδος"], ["οδοσ"]),
        ("STR_ENDS_WITH", ["İ"], ["i̇", "İ"], ["i"]),
        ("REGEX", "^É", ["éa"], ["ea"]),
        ("IN", ["a"], ["a"], ["A"]),
    ],
)
def test_the_case_of_letters(operator: str, given: Any, yes: list[str], no: list[str]) -> None:
    answers = Answers(constrained(operator, given, caseInsensitive=True))
    assert [answers("f", with_x(value)) for value in (*yes, *no)] == [True] * len(yes) + [False] * len(no)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (constraint("EQUALS", ["a"]), "there is no operator 'EQUALS'"),
        (constraint("STR_CONTAINS", []), "STR_CONTAINS has no values"),
        (constraint("IN_CIDR", []), "IN_CIDR has no values"),
        (constraint("NUM_GT", None), "NUM_GT has no value"),
        (constraint("NUM_GT", "1,5"), "'1,5' is neither"),
        (constraint("SEMVER_GT", "1.2.03"), "'1.2.03' is no version"),
        (constraint("SEMVER_GT", "18446744073709551616.0.0"), "is no version"),
        (constraint("SEMVER_GT", "1.2.3-01"), "is no version"),
        (constraint("DATE_AFTER", "2022-02-30T00:00:00Z"), "there is no 2022-02-30T00:00:00Z"),
        (constraint("DATE_AFTER", "2022-01-29T13:00:00.1Z"), "is neither"),
        (constraint("IN", ["a\\"]), "a backslash at the end"),
        (constraint("IN", ["a"], 'x"y'), "a quotation mark"),
    ],
)
def test_what_does_not_compile_turns_the_whole_feature_off(broken: Any, why: str) -> None:
    answers = Answers(feature(strategy("default", broken), strategy()))
    assert answers("f", with_x("a")) is False
    assert why in (answers.config.flags["f"].problem or "")


def test_an_escaped_quotation_mark_is_one_of_the_name() -> None:
    assert Answers(constrained("IN", ["a"], 'x\\"y'))("f", {"properties": {'x\\"y': "a"}}) is True


@pytest.mark.parametrize(
    ("date", "after", "before"),
    [
        (f"{SECOND}.000Z", False, False),
        (f"{SECOND}.001Z", False, True),
        ("2023-11-14T22:13:19.999Z", True, False),
        ("2023-11-14T22:13:21Z", False, True),
    ],
)
def test_the_clock_of_the_engine_has_whole_seconds(date: str, after: bool, before: bool) -> None:
    features = constrained("DATE_AFTER", date, "currentTime"), constrained("DATE_BEFORE", date, "currentTime")
    answers = Answers(features[0], features[1] | {"name": "g"}, now=NOW + 0.9)
    assert (answers("f"), answers("g")) == (after, before)


def test_the_clock_of_the_client_goes_on_within_the_second() -> None:
    answers = Answers(
        constrained("DATE_AFTER", f"{SECOND}.899Z", "currentTime"), now=NOW + 0.9, context_values="client"
    )
    assert answers("f") is True


def test_the_clock_is_text_for_other_operators() -> None:
    texts = Answers(constrained("IN", [f"{SECOND}Z"], "currentTime"))
    assert texts("f") is True
    lower = Answers(constrained("STR_ENDS_WITH", ["Z"], "currentTime", caseInsensitive=True))
    assert lower("f") is True
    assert lower.config.flags["f"].slots


@pytest.mark.parametrize(
    ("given", "context", "holds"),
    [
        (strategy("userWithId", userIds=" 7 ,a b"), {"userId": "7"}, True),
        (strategy("userWithId", userIds=" 7 ,a b"), {"userId": 7}, True),
        (strategy("userWithId", userIds=" 7 ,a b"), {"userId": "a b"}, True),
        (strategy("userWithId", userIds="7\x1f"), {"userId": "7"}, False),
        (strategy("userWithId"), {"userId": ""}, False),
        (strategy("userWithId", userIds=""), {"userId": ""}, True),
        (strategy("remoteAddress", IPs="x, 10.0.0.0/8"), {"remoteAddress": "10.9.9.9"}, True),
        (strategy("remoteAddress"), {"remoteAddress": "10.9.9.9"}, False),
        (strategy("flexibleRollout", rollout="100", stickiness="x"), with_x(""), True),
        (strategy("flexibleRollout", rollout="100", stickiness="x"), {"userId": "7"}, False),
        (strategy("flexibleRollout", rollout=" 100"), {}, False),
        (strategy("flexibleRollout", rollout="+100"), {}, True),
        (strategy("flexibleRollout", rollout="101"), {}, False),
        (strategy("gradualRolloutUserId", percentage="100", groupId="g"), {"userId": "7"}, True),
        (strategy("gradualRolloutUserId", percentage="100"), {"userId": "7"}, False),
        (strategy("gradualRolloutSessionId", percentage="100", groupId="g"), {"userId": "7"}, False),
        (strategy("gradualRolloutRandom", percentage="100"), {}, True),
        (strategy("gradualRolloutRandom", percentage="1"), {}, False),
        (strategy("applicationHostname", hostNames=""), {}, False),
        (strategy("Default"), {}, False),
        (strategy() | {"segments": [1]}, with_x("a"), True),
        (strategy() | {"segments": [1]}, {}, False),
        (strategy() | {"segments": [1, 9]}, with_x("a"), False),
    ],
)
def test_strategies(given: Any, context: Any, holds: bool) -> None:
    segments = [{"id": 1, "constraints": [constraint("IN", ["a"])]}]
    assert Answers(feature(given), segments=segments)("f", context) is holds


def test_a_rollout_hashes_group_and_identifier() -> None:
    """Published: in the group AB12A the user 122 has the normalized value 23."""
    answers = Answers(
        *(
            feature(strategy("flexibleRollout", rollout=share, stickiness="userId", groupId="AB12A"), name=share)
            for share in ("22", "23")
        )
    )
    assert [answers(share, {"userId": "122"}) for share in ("22", "23")] == [False, True]
