"""Unleash's client features: flags, variants, dependencies, reasons, deltas, options, refusals."""

from __future__ import annotations

from typing import Any

import pytest
from unleash_answers import NOW, Answers, constrained, constraint, feature, strategy, variant

from pyflagwasm.config.formats import load
from pyflagwasm.config.formats.unleash import constraints as unleash_constraints
from pyflagwasm.config.regex import UnsupportedPattern
from pyflagwasm.errors import ConfigError
from pyflagwasm.runtime.views import unleash as views_unleash

U = {"userId": "7"}
OFF = {"name": "disabled", "enabled": False, "feature_enabled": False}
PAYLOAD = {"type": "json", "value": "{}"}


# ---------------------------------------------------------------- flags


def test_a_feature_is_a_flag_and_one_with_variants_is_two() -> None:
    answers = Answers(
        feature(strategy(), project="p", type="release", impressionData=True, stale=False),
        feature(strategy(), name="v", variants=[variant("a", payload=PAYLOAD)]),
        feature(strategy() | {"variants": [variant("b")]}, name="s"),
    )
    assert list(answers.config.flags) == ["f", "v", "v/variant", "s", "s/variant"]
    assert answers.config.flags["f"].metadata == {
        "project": "p", "type": "release", "impressionData": True, "stale": False,
    }  # fmt: skip
    assert answers.details("f") == {"value": True, "variant": "disabled", "reason": "STATIC", "rule": 0}
    assert answers.details("v") == {"value": True, "variant": "a", "reason": "STATIC", "rule": 0}
    assert answers("v/variant") == {"name": "a", "payload": PAYLOAD, "enabled": True, "feature_enabled": True}
    assert answers("s/variant") == {"name": "b", "enabled": True, "feature_enabled": True}
    assert answers.config.flags["v"].program == answers.config.flags["v/variant"].program
    assert [answers.config.flags[key].type for key in ("v", "v/variant")] == ["boolean", "object"]


def test_a_feature_keeps_its_name_from_the_variant_of_another() -> None:
    answers = Answers(feature(variants=[variant("a")]), feature(name="f/variant"))
    assert answers("f/variant") is True


def test_a_feature_that_is_off() -> None:
    answers = Answers(feature(strategy(), enabled=False, variants=[variant("a")]))
    assert answers.details("f") == {"value": False, "variant": "disabled", "reason": "DISABLED", "rule": None}
    assert answers("f/variant") == OFF


def test_without_strategies_a_feature_is_on() -> None:
    answers = Answers(feature(), {"name": "g", "enabled": True})
    assert answers("f") is answers("g") is True


def test_the_last_of_features_with_one_name_counts() -> None:
    assert Answers(feature(), feature(enabled=False))("f") is False


IDS = strategy("userWithId", userIds="7, 8 ,9")
MOST = strategy("flexibleRollout", rollout="99", stickiness="userId", groupId="g")


@pytest.mark.parametrize(
    ("strategies", "context", "reason", "rule"),
    [
        ([IDS], U, "TARGETING_MATCH", 0),
        ([IDS], {"userId": "1"}, "DEFAULT", None),
        ([IDS, strategy()], {"userId": "1"}, "TARGETING_MATCH", 1),
        ([MOST], {"userId": "7"}, "SPLIT", 0),
        ([strategy("flexibleRollout", rollout="100")], {}, "STATIC", 0),
        ([strategy("flexibleRollout", rollout="0")], {}, "DEFAULT", None),
        ([strategy("custom"), strategy()], {}, "STATIC", 1),
    ],
)
def test_reasons_and_rules(strategies: list[Any], context: Any, reason: str, rule: int | None) -> None:
    details = Answers(feature(*strategies)).details("f", context)
    assert (details["reason"], details["rule"]) == (reason, rule)


def test_a_weighted_variant_is_a_split_and_an_override_a_match() -> None:
    override = variant("b", overrides=[{"contextName": "userId", "values": ["8"]}])
    answers = Answers(feature(strategy(), variants=[variant("a", 1000), override]))
    assert answers.details("f", U)["reason"] == "SPLIT"
    assert answers.details("f", {"userId": "8"}) == {
        "value": True, "variant": "b", "reason": "TARGETING_MATCH", "rule": 0,
    }  # fmt: skip


# ---------------------------------------------------------------- variants


def test_the_variants_of_the_strategy_that_holds_come_before_those_of_the_feature() -> None:
    own = IDS | {"variants": [variant("own")]}
    answers = Answers(feature(own, strategy(), variants=[variant("common")]))
    assert answers("f/variant", U)["name"] == "own"
    assert answers("f/variant", {"userId": "1"})["name"] == "common"


def test_zero_weights_are_never_chosen_and_without_any_the_engine_fails() -> None:
    answers = Answers(feature(variants=[variant("zero", 0), variant("a", 2), variant("z", 0)]))
    assert {answers("f/variant", {"userId": str(i)})["name"] for i in range(50)} == {"a"}
    answers = Answers(feature(variants=[variant("zero", 0)]))
    assert answers("f") is True
    assert answers("f/variant") == OFF


def test_weights_are_shares() -> None:
    answers = Answers(feature(variants=[variant("a", 1), variant("b", 3)]))
    names = [answers("f/variant", {"userId": str(i)})["name"] for i in range(2000)]
    assert 400 < names.count("a") < 600


# ---------------------------------------------------------------- dependencies


def child(parent: str = "p", **members: Any) -> dict[str, Any]:
    return feature(strategy(), dependencies=[{"feature": parent, **members}])


@pytest.mark.parametrize(
    ("dependency", "on_for_7", "on_for_1"),
    [
        (child(), True, False),
        (child(enabled=True), True, False),
        (child(enabled=False), False, True),
        (child(variants=[]), True, False),
        (child(variants=["own"]), True, False),
        (child(variants=["common"]), False, False),
        (child(enabled=False, variants=["common"]), False, True),
        (child(enabled=False, variants=["own"]), False, False),
        (child("gone"), False, False),
        (child("gone", enabled=False), False, False),
        (child("f"), False, False),
    ],
)
def test_dependencies(dependency: Any, on_for_7: bool, on_for_1: bool) -> None:
    own = IDS | {"variants": [variant("own")]}
    answers = Answers(dependency, feature(own, name="p", variants=[variant("common")]))
    assert answers("f", U) is on_for_7
    assert answers("f", {"userId": "1"}) is on_for_1


def test_a_parent_with_a_dependency_of_its_own_is_none() -> None:
    middle = feature(name="p", dependencies=[{"feature": "top"}])
    assert Answers(child(), middle, feature(name="top"))("f") is False
    assert Answers(child(enabled=False), middle, feature(name="top", enabled=False))("f") is False


def test_a_parent_that_is_off_has_still_a_variant() -> None:
    parent = feature(name="p", enabled=False, variants=[variant("v")])
    assert Answers(child(enabled=False, variants=["v"]), parent)("f") is True
    assert Answers(child(enabled=False, variants=["w"]), parent)("f") is False
    assert Answers(child(), parent)("f") is False


def test_a_missing_group_id_is_the_name_of_the_child() -> None:
    rollout = strategy("flexibleRollout", rollout="50", stickiness="userId")
    answers = Answers(child(), feature(rollout, name="p"), feature(rollout, name="f2"), feature(rollout, name="f3"))
    alone = Answers(feature(rollout))
    contexts = [{"userId": str(i)} for i in range(60)]
    assert [answers("f", c) for c in contexts] == [alone("f", c) for c in contexts]
    assert [answers("f", c) for c in contexts] != [answers("p", c) for c in contexts]


# ---------------------------------------------------------------- draws


def test_what_is_drawn_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers(
        feature(strategy("gradualRolloutRandom", percentage="50")),
        feature(strategy("flexibleRollout", rollout="50", groupId="g"), name="g"),
        feature(strategy("flexibleRollout", rollout="50", groupId="g", stickiness="userId"), name="user"),
    )
    found = []
    for number in (1, 49, 50, 99):
        monkeypatch.setattr(views_unleash, "draw", lambda limit, number=number: number)
        found.append(answers("f"))
        assert answers("g") is answers("user", {"userId": str(number)})
    assert found == [True, True, False, False]


def test_nothing_is_drawn_for_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(views_unleash, "draw")
    answers = Answers(feature(strategy("flexibleRollout", rollout="50"), variants=[variant("a"), variant("b")]))
    for context in (U, {"sessionId": "s"}, {"targetingKey": "7"}, {"targeting_key": "7"}):
        answers("f/variant", context)
    assert answers.details("f", U) == answers.details("f", {"targetingKey": "7"})


# ---------------------------------------------------------------- documents


def events(*given: dict[str, Any]) -> dict[str, Any]:
    return {"events": [{"eventId": i, **each} for i, each in enumerate(given)]}


def test_a_delta_is_the_state_after_its_events() -> None:
    segment = {"id": 1, "constraints": [constraint("IN", ["a"])]}
    inside = feature(strategy() | {"segments": [1]}, name="inside")
    document = events(
        {"type": "feature-updated", "feature": feature(name="forgotten")},
        {"type": "hydration", "features": [feature(), feature(name="g")], "segments": []},
        {"type": "feature-updated", "feature": feature(enabled=False)},
        {"type": "feature-removed", "featureName": "g", "project": "p"},
        {"type": "segment-updated", "segment": segment},
        {"type": "feature-updated", "feature": inside},
        {"type": "segment-updated", "segment": {"id": 2, "constraints": []}},
        {"type": "segment-removed", "segmentId": 2},
    )
    answers = Answers(document=document)
    assert list(answers.config.flags) == ["f", "inside"]
    assert answers("f") is False
    assert answers("inside", {"x": "a"}) is True
    assert answers("inside", {"x": "b"}) is False


def test_a_delta_without_hydration_begins_with_nothing() -> None:
    assert list(Answers(document=events()).config.flags) == []
    answers = Answers(document=events({"type": "feature-updated", "feature": feature()}))
    assert answers("f") is True


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"features": []}, "version: the version is missing"),
        ({"version": -1, "features": []}, "version: the version must be between 0 and 4294967295"),
        ({"version": 2, "features": {}}, "features: the features must be an array, not an object"),
        ({"version": 2, "features": [1]}, "features[0]: a feature must be an object, not an integer"),
        ({"version": 2, "features": [{"name": "f"}]}, "features[0].enabled: the feature's state is missing"),
        (
            {"version": 2, "features": [feature(strategy("flexibleRollout") | {"parameters": {"rollout": 5}})]},
            "features[0].strategies[0].parameters.rollout: a parameter must be a text, not an integer",
        ),
        (
            {"version": 2, "features": [feature(variants=[variant("a", 2**31)])]},
            "features[0].variants[0].weight: the variant's weight must be between -2147483648 and 2147483647",
        ),
        (
            {"version": 2, "features": [feature(variants=[variant("a", weightType="odd")])]},
            "features[0].variants[0].weightType: must be one of fix, variable, not 'odd'",
        ),
        (
            {"version": 2, "features": [constrained("IN", ["a"], inverted=None)]},
            "features[0].strategies[0].constraints[0].inverted: `inverted` must be true or false, not null",
        ),
        (events({"type": "renamed"}), "events[0].type: there are no events of the type 'renamed'"),
        (
            events({"type": "feature-removed", "featureName": "f"}),
            "events[0].project: the feature's project is missing",
        ),
        (events({"type": "feature-updated"}), "events[0].feature: a feature must be an object, not null"),
    ],
)
def test_what_the_engine_refuses_is_refused(document: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document, "unleash")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"host": "a"}, "options.host: no such option; there are context_values, app_name, environment, hostname"),
        ({"context_values": "node"}, "options.context_values: must be one of engine, client, not 'node'"),
        ({"app_name": 1}, "options.app_name: the text must be a text, not an integer"),
    ],
)
def test_options_are_checked(options: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({"version": 2, "features": []}, "unleash", options)
    assert str(caught.value) == message


def test_options() -> None:
    features = [
        feature(strategy("applicationHostname", hostNames="box, other"), name="host"),
        constrained("IN", ["shop"], "appName"),
        feature(strategy("default", constraint("IN", ["test"], "environment")), name="env"),
        feature(
            strategy("flexibleRollout", rollout="1", stickiness="appName", groupId="g"),
            name="sticky",
            variants=[variant("a", stickiness="appName"), variant("b")],
        ),
    ]
    plain, given = Answers(*features), Answers(*features, hostname="BOX", app_name="shop", environment="test")
    assert [plain(name) for name in ("host", "f", "env")] == [False] * 3
    assert [given(name) for name in ("host", "f", "env")] == [True] * 3
    assert given("f", {"appName": "other"}) is False
    assert given.details("sticky") == plain.details("sticky", {"appName": "shop"})


# ---------------------------------------------------------------- problems


def test_a_feature_that_does_not_compile_is_off_and_says_so() -> None:
    answers = Answers(constrained("NUM_EQ", "abc"), feature(name="g", variants=[variant("a")]))
    assert answers.details("f")["value"] is False
    assert answers("g") is True
    assert answers.config.flags["f"].problem == (
        "features[0]: Unleash's engine cannot compile it, so it is always off: "
        "'abc' is neither a number nor a version nor a date with a time and an offset"
    )


def test_strategies_of_an_application_are_pointed_out() -> None:
    answers = Answers(feature(strategy("mine"), strategy("yours"), strategy("mine")))
    assert answers("f") is False
    expected = "features[0]: strategies that are the code of an application never hold here: mine, yours"
    assert answers.config.flags["f"].problem == expected


def test_a_pattern_that_cannot_be_matched_is_an_error_of_the_feature_and_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: Any, **options: Any) -> None:
        raise UnsupportedPattern("too large")

    monkeypatch.setattr(unleash_constraints, "compile_pattern", refuse)
    pattern = constraint("REGEX", "a+b")
    answers = Answers(
        feature(strategy("default", pattern), name="p", variants=[variant("a")]), child(), feature(name="g")
    )
    for key in ("p", "p/variant", "f"):
        assert answers.details(key) == {"error": "GENERAL"}
        assert "a regular expression that cannot be matched here" in (answers.config.flags[key].problem or "")
    assert answers("g") is True


def test_the_clock_is_the_time_of_a_context_without_one() -> None:
    assert NOW == 1_700_000_000
    answers = Answers(constrained("DATE_AFTER", "2023-11-14T22:13:19Z", "currentTime"))
    assert answers.config.flags["f"].reads_now
    assert answers("f") is True
    assert answers("f", {"currentTime": "2023-11-14T22:13:19Z"}) is False
    assert answers("f", {"properties": {"currentTime": "2023-11-14T22:13:19.5Z"}}) is True
    assert answers("f", {"currentTime": "soon"}) is False
