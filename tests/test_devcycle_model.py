"""The DevCycle importer: what becomes of a sound document - flags, variants, rules, metadata - and of a context."""

from __future__ import annotations

import json
import platform
from importlib import resources
from typing import Any

import pytest
from devcycle_answers import Answer, Answers
from devcycle_documents import custom_filter, document, every, feature, target, user_filter, variation

from pyflagwasm.config.formats.devcycle.importer import load


def test_a_flag_is_a_variable_of_the_first_feature_that_mentions_it() -> None:
    first = feature(name="one", variations=[variation("a"), variation("b", v=1, w="x")])
    second = feature(target(), name="two", variations=[variation("on", v=2, u=3)])
    types = {"v": "Number", "w": "String", "u": "JSON", "z": "Boolean"}
    model = load(document(first, second, variables=types), {})
    flags = {flag.key: flag for flag in model.flags}
    assert list(flags) == ["flag-v", "flag-w", "flag-u", "flag-z"]
    assert [flag.type for flag in model.flags] == ["number", "string", "object", "boolean"]
    assert flags["flag-v"].program == flags["flag-w"].program != flags["flag-u"].program
    assert flags["flag-v"].metadata == {"feature": "one", "feature_key": "feature-one", "variable": "v"}
    assert flags["flag-z"].metadata == {"variable": "z"}
    assert [variant.key for variant in flags["flag-v"].variants] == ["key-a", "key-b"]
    assert (
        flags["flag-v"].variants[0].error == "variation 'key-a' of feature 'feature-one' has no value for this variable"
    )
    assert flags["flag-u"].rule_metadata == ({"target": "t"},)
    assert model.metadata == {"project": "shop", "environment": "test"}


def test_answers_name_variation_feature_and_target() -> None:
    answers = Answers(document(feature(target(_id="t1"))))
    assert answers("flag-v", {"user_id": "u"}) == Answer(True, "key-on", "TARGETING_MATCH", "All Users", "f", "t1")


def test_without_a_feature_or_a_matching_target_the_default_is_served() -> None:
    nobody = every(user_filter("email", "=", "nobody"))
    answers = Answers(document(feature(target(nobody)), variables={"v": "Boolean", "z": "String"}))
    assert answers("flag-v", {"user_id": "u"}) == Answer(reason="DEFAULT")
    assert answers("flag-z", {}) == Answer(reason="DEFAULT")


def test_of_two_definitions_the_last_counts() -> None:
    twice = document(
        feature(target(), variations=[variation("on", v="old", w="new")]), variables={"v": "String", "w": "String"}
    )
    twice["variables"][1]["key"] = "flag-v"
    assert Answers(twice)("flag-v", {"user_id": "u"}).value == "new"
    again = [variation("on", v=1), variation("on", v=2) | {"key": "second"}]
    answer = Answers(document(feature(target(), variations=again), variables={"v": "Number"}))(
        "flag-v", {"user_id": "u"}
    )
    assert (answer.variant, answer.value) == ("second", 2)


def test_a_served_variation_without_the_variable_is_an_error() -> None:
    answers = Answers(document(feature(target(), variations=[variation("on"), variation("off", v=1)])))
    assert (
        answers("flag-v", {"user_id": "u"}).error
        == "variation 'key-on' of feature 'feature-f' has no value for this variable"
    )


@pytest.mark.parametrize(
    "distribution", [[], [{"_variation": "nowhere", "percentage": 1}], [{"_variation": "on", "percentage": 0}]]
)
def test_a_distribution_that_leads_nowhere_is_an_error(distribution: list[Any]) -> None:
    assert Answers(document(feature(target(distribution=distribution))))("flag-v", {"user_id": "u"}) == Answer(
        error="GENERAL"
    )


@pytest.mark.parametrize(
    ("context", "answer"),
    [
        ({}, Answer(error="TARGETING_KEY_MISSING")),
        ({"user_id": 5}, Answer(error="TARGETING_KEY_MISSING")),
        ({"user_id": "u", "appBuild": "7"}, Answer(error="INVALID_CONTEXT")),
        ({"user_id": "u", "customData": {"a": []}}, Answer(error="INVALID_CONTEXT")),
    ],
)
def test_users_that_the_vendor_rejects(context: dict[str, Any], answer: Answer) -> None:
    assert Answers(document(feature(target())))("flag-v", context) == answer


def test_a_flat_context_serves_as_a_user() -> None:
    filters = every(user_filter("user_id", "=", "u"), custom_filter("plan", "String", "=", "gold"))
    answers = Answers(document(feature(target(filters))))
    for key in ("user_id", "targetingKey", "targeting_key"):
        assert answers("flag-v", {key: "u", "customData": {"plan": "gold"}}).value is True
    assert answers("flag-v", {"targetingKey": "u", "plan": "gold"}).value is True
    assert answers("flag-v", {"user_id": "u", "plan": "gold"}).defaulted


def test_client_custom_data_fills_what_the_user_does_not_say() -> None:
    answers = Answers(
        document(feature(target(every(custom_filter("plan", "String", "=", "gold"))))),
        {"client_custom_data": {"plan": "gold"}},
    )
    assert answers("flag-v", {"user_id": "u"}).value is True
    assert answers("flag-v", {"user_id": "u", "customData": {"plan": None}}).defaulted


def test_the_platform_is_that_of_the_process() -> None:
    wanted = every(
        user_filter("platform", "=", "Python"), user_filter("platformVersion", "=", platform.python_version())
    )
    config = document(feature(target(wanted)))
    user = {"user_id": "u", "platform": "iOS"}
    assert Answers(config)("flag-v", user).details == "Platform AND Platform Version"
    assert Answers(config, {"platform": {"platform": "iOS"}})("flag-v", {"user_id": "u"}).defaulted
    assert Answers(config, {"semantics": "corrected"})("flag-v", {"user_id": "u"}).value is True
    assert Answers(config, {"semantics": "corrected"})("flag-v", user).defaulted


def test_rules_are_called_by_their_audience() -> None:
    named = target(_id="t1")
    named["_audience"]["name"] = "Everybody"
    program = load(document(feature(named, target(_id="t2"))), {}).programs[0]
    titles = [step.title for step in program.items if hasattr(step, "title")]  # type: ignore[union-attr]
    assert titles == ["Everybody", "t2"]


def test_the_example_is_sound() -> None:
    text = resources.files("pyflagwasm").joinpath("examples/devcycle.json").read_bytes()
    answers = Answers(json.loads(text))
    assert [flag.problem for flag in answers.model.flags] == [None] * 5
    now_ms = 1_740_988_800_000  # two days and 16 hours after the rollout began
    own = {"user_id": "u1", "email": "ann@garden.example"}
    assert answers("one-page-checkout", own, now_ms).details == "Audience Match -> Email"
    share = sum(
        answers("checkout-button", {"user_id": f"u{i}", "appVersion": "4.10", "country": "FR"}, now_ms).value
        == "Buy now"
        for i in range(500)
    )
    assert 0.2 < share / 500 < 0.3  # 0.1 + 0.4 * 64 hours / 168 hours = 0.252
    regular = {"user_id": "u2", "country": "CA", "customData": {"orders": 12, "household": "h-7"}}
    answer = answers("free-delivery-from", regular, now_ms)
    assert (answer.value, answer.reason) == (50, "SPLIT")
    assert answer.details == "Random Distribution | Audience Match -> Country AND Custom Data -> orders"
    assert answers("search-results-per-page", {"user_id": "u3"}, now_ms).variant == "strict"
