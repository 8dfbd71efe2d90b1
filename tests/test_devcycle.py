"""The DevCycle importer: documents and options that are refused, and features that degrade.

What the rest means: test_devcycle_model.py, _filters.py, _rollout.py and, with recorded answers, _suites.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from devcycle_answers import Answer, Answers
from devcycle_documents import (
    EVERYONE,
    audience_filter,
    custom_filter,
    document,
    either,
    every,
    feature,
    target,
    user_filter,
    variation,
)

from pyflagwasm.config.formats.devcycle.audience import DEEPEST
from pyflagwasm.config.formats.devcycle.importer import load
from pyflagwasm.errors import ConfigError

STAGE = {"type": "linear", "date": "2025-01-01T00:00:00.000Z", "percentage": 1}
ROLLOUT = {"type": "gradual", "startDate": "2025-01-01T00:00:00.000Z"}


def changed(path: str, value: Any = ...) -> dict[str, Any]:
    """A sound document whose member at `path` is `value`, or is missing."""
    whole = document(feature(target()))
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = whole
    for part in parents:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return whole


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("project", ..., "project: the project is missing"),
        ("project", [], "project: the project must be an object, not an array"),
        ("project.settings", ..., "project.settings: the object of settings is missing"),
        (
            "project.settings",
            {"disablePassthroughRollouts": None},
            "project.settings.disablePassthroughRollouts: disablePassthroughRollouts must be true or false, not null",
        ),
        ("environment", ..., "environment: the environment is missing"),
        ("features", ..., "features: the list of features is missing"),
        ("features", {}, "features: the list of features must be an array, not an object"),
        ("features.0", "f", "features[0]: a feature must be an object, not a text"),
        ("features.0._id", ..., "features[0]._id: the feature's _id is missing"),
        ("features.0.key", 5, "features[0].key: the feature's key must be a text, not an integer"),
        ("features.0.variations", None, "features[0].variations: the list of variations must be an array, not null"),
        ("variables", ..., "variables: the list of variables is missing"),
        ("variables.0", None, "variables[0]: a variable must be an object, not null"),
        ("variables.0._id", ..., "variables[0]._id: the variable's _id is missing"),
        ("variables.0.key", True, "variables[0].key: the variable's key must be a text, not true or false"),
    ],
)
def test_a_document_of_another_shape_is_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(changed(path, value), {})
    assert str(refused.value) == message


def test_a_list_is_no_configuration() -> None:
    with pytest.raises(ConfigError) as refused:
        load([], {})
    assert str(refused.value) == "$: a DevCycle configuration must be an object, not an array"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"plattform": {}}, "options.plattform: no such option; there are platform, client_custom_data, semantics"),
        ({"semantics": "right"}, "options.semantics: must be one of vendor, corrected, not 'right'"),
        ({"semantics": []}, "options.semantics: must be one of vendor, corrected, not []"),
        ({"platform": "iOS"}, "options.platform: the platform must be an object, not a text"),
        ({"platform": {"sdk": "1"}}, "options.platform.sdk: no such option; there are platform, platformVersion"),
        (
            {"platform": {"platformVersion": 3}},
            "options.platform.platformVersion: a platform's text must be a text, not an integer",
        ),
        (
            {"client_custom_data": []},
            "options.client_custom_data: the client custom data must be an object, not an array",
        ),
        (
            {"client_custom_data": {"a": {}}},
            "options.client_custom_data.a: custom data must be a text, true or false, a number or null, not an object",
        ),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(document(), options)
    assert str(refused.value) == message


# ---------------------------------------------------------------- degraded

T0 = "features[0].configuration.targets[0]"


def spoil(spoiled: Any, semantics: str) -> str | None:
    """The problem of a feature with that target; asserts that it has one, and that another feature has not."""
    other = feature(target(), name="g", variations=[variation("on", w="sound")])
    both = document(feature(spoiled), other, variables={"v": "Boolean", "w": "String"})
    answers = Answers(both, {"semantics": semantics})
    assert answers("flag-v", {"user_id": "u"}) == Answer(error="PARSE_ERROR")
    assert answers.config.flags["flag-w"].problem is None
    assert answers("flag-w", {"user_id": "u"}).value == "sound"
    return answers.config.flags["flag-v"].problem


@pytest.mark.parametrize(
    ("spoiled", "place", "detail"),
    [
        (5, "", "a target must be an object, not an integer"),
        (target(_id=None), "_id", "the target's _id must be a text, not null"),
        (target(_audience=None), "_audience", "the target's audience must be an object, not null"),
        (target(_audience={}), "_audience.filters", "the audience's operator is missing"),
        (target({"operator": "and"}), "_audience.filters.filters", "the list of filters is missing"),
        (
            target({"operator": 1, "filters": []}),
            "_audience.filters.operator",
            "the operator must be a text, not an integer",
        ),
        (
            target({"operator": "and", "filters": ["all"]}),
            "_audience.filters.filters[0]",
            "a filter must be an object, not a text",
        ),
        (target(every({})), "_audience.filters.filters[0].type", "the filter's type is missing"),
        (target(every({"type": "user"})), "_audience.filters.filters[0].subType", "the filter's subType is missing"),
        (
            target(every(user_filter("email", "=") | {"values": "a"})),
            "_audience.filters.filters[0].values",
            "the list of values must be an array, not a text",
        ),
        (
            target(every(user_filter("ip", "=", None))),
            "_audience.filters.filters[0].values[0]",
            "the first value must be a text, a number, true or false",
        ),
        (
            target(every(custom_filter("a", "Semver", "="))),
            "_audience.filters.filters[0].dataKeyType",
            "must be one of String, Boolean, Number, not 'Semver'",
        ),
        (
            target(every({"type": "audienceMatch", "comparator": "="})),
            "_audience.filters.filters[0]._audiences",
            "the list of audiences is missing",
        ),
        (
            target(either(every(EVERYONE), {"type": None})),
            "_audience.filters.filters[1].type",
            "the filter's type must be a text, not null",
        ),
        (
            target(every(every(EVERYONE), {"type": 1})),
            "_audience.filters.filters[1].type",
            "the filter's type must be a text, not an integer",
        ),
        (target(distribution=None), "distribution", "the target's distribution must be an array, not null"),
        (
            target(distribution=[{"_variation": "on", "percentage": "1"}]),
            "distribution[0].percentage",
            "the percentage must be a number, not a text",
        ),
        (target(distribution=[{"percentage": 1}]), "distribution[0]._variation", "the variation's id is missing"),
        (target(rollout={}), "rollout.type", "the kind of a rollout is missing"),
        (
            target(rollout=ROLLOUT | {"type": "often"}),
            "rollout.type",
            "the kind of a rollout must be one of schedule, gradual, stepped, not 'often'",
        ),
        (
            target(rollout=ROLLOUT | {"startPercentage": None}),
            "rollout.startPercentage",
            "the start percentage must be a number, not null",
        ),
        (
            target(rollout=ROLLOUT | {"stages": [STAGE, STAGE | {"type": "curved"}]}),
            "rollout.stages[1].type",
            "the kind of a stage must be one of linear, discrete, not 'curved'",
        ),
        (
            target(rollout=ROLLOUT | {"stages": [STAGE | {"percentage": True}]}),
            "rollout.stages[0].percentage",
            "the percentage of a stage must be a number, not true or false",
        ),
    ],
)
@pytest.mark.parametrize("semantics", ["vendor", "corrected"])
def test_a_broken_target_spoils_its_feature_only(spoiled: Any, place: str, detail: str, semantics: str) -> None:
    assert spoil(spoiled, semantics) == f"{T0}{'.' * bool(place)}{place}: {detail}"


@pytest.mark.parametrize(
    ("date", "semantics", "detail"),
    [
        ("", "vendor", "a date must not be empty"),
        ("2025-01-01T12", "vendor", "'2025-01-01T12' is not a date: a time needs hours and minutes"),
        ("999999", "vendor", "'999999' is too far from now to be a date"),
        ("", "corrected", "'' is not a date like 2025-01-31T09:30:00.000Z"),
        ("2025-02-30T00:00:00Z", "corrected", "'2025-02-30T00:00:00Z' is not a date like 2025-01-31T09:30:00.000Z"),
    ],
)
def test_dates_that_cannot_be_read(date: str, semantics: str, detail: str) -> None:
    assert spoil(target(rollout=ROLLOUT | {"startDate": date}), semantics) == f"{T0}.rollout.startDate: {detail}"
    stages = [STAGE | {"date": date}]
    assert spoil(target(rollout=ROLLOUT | {"stages": stages}), semantics) == f"{T0}.rollout.stages[0].date: {detail}"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("features.0.configuration", ..., "features[0].configuration: the feature's configuration is missing"),
        (
            "features.0.configuration.targets",
            None,
            "features[0].configuration.targets: the list of targets must be an array, not null",
        ),
        ("features.0.variations.1", 5, "features[0].variations[1]: a variation must be an object, not an integer"),
        ("features.0.variations.1.key", ..., "features[0].variations[1].key: the variation's key is missing"),
        (
            "features.0.variations.1.variables.0.value",
            ...,
            "features[0].variations[1].variables[0].value: the variable's value is missing",
        ),
        (
            "variables.0.type",
            "Date",
            "variables[0].type: the variable's type must be one of Boolean, String, Number, JSON",
        ),
        (
            "variables.0.type",
            ...,
            "variables[0].type: the variable's type must be one of Boolean, String, Number, JSON",
        ),
    ],
)
def test_a_broken_feature_or_variable_keeps_its_flag(path: str, value: Any, problem: str) -> None:
    answers = Answers(changed(path, value))
    assert answers.config.flags["flag-v"].problem == problem
    assert answers("flag-v", {"user_id": "u"}) == Answer(error="PARSE_ERROR")


@pytest.mark.parametrize("word", ["audiences", "targets"])
def test_a_broken_audience_spoils_the_features_that_use_it(word: str) -> None:
    uses = every(audience_filter("=", "outer"))
    sound = feature(target(), name="g", variations=[variation("on", w=1)])
    audiences = {"outer": {"filters": every(audience_filter("!=", "inner"))}, "inner": {"filters": every({"type": 3})}}
    answers = Answers(
        document(feature(target(uses)), sound, variables={"v": "Boolean", "w": "Number"}, audiences=audiences)
    )
    problem = "audiences.inner.filters.filters[0].type: the filter's type must be a text, not an integer"
    assert answers.config.flags["flag-v"].problem == problem
    assert answers("flag-v", {"user_id": "u"}) == Answer(error="PARSE_ERROR")
    assert answers("flag-w", {"user_id": "u"}).value == 1


@pytest.mark.parametrize(
    ("audiences", "problem"),
    [
        ({"a": "a"}, "audiences.a: the audience refers to itself: a -> a"),
        ({"a": "b", "b": "c", "c": "b"}, "audiences.b: the audience refers to itself: b -> c -> b"),
    ],
)
def test_audiences_in_a_circle_are_an_error_of_those_who_use_them(audiences: dict[str, str], problem: str) -> None:
    declared = {name: {"filters": every(audience_filter("=", used))} for name, used in audiences.items()}
    answers = Answers(document(feature(target(every(audience_filter("=", "a")))), audiences=declared))
    assert answers.config.flags["flag-v"].problem == problem
    assert answers("flag-v", {"user_id": "u"}) == Answer(error="GENERAL")


def test_a_circle_that_nobody_uses_does_no_harm() -> None:
    declared = {"a": {"filters": every(audience_filter("=", "a"))}}
    assert Answers(document(feature(target()), audiences=declared))("flag-v", {"user_id": "u"}).value is True


@pytest.mark.parametrize("length", [DEEPEST, DEEPEST + 1, 2000])
def test_a_chain_of_audiences_is_as_long_as_the_core_can_call(length: int) -> None:
    declared = {f"a{i}": {"filters": every(audience_filter("=", f"a{i + 1}"))} for i in range(1, length)}
    declared[f"a{length}"] = {"filters": every(EVERYONE)}
    answers = Answers(document(feature(target(every(audience_filter("=", "a1")))), audiences=declared))
    if length <= DEEPEST:
        assert answers("flag-v", {"user_id": "u"}).details == "Audience Match -> " * length + "All Users"
    else:
        problem = f"audiences.a1: a chain of more than {DEEPEST} audiences that refer to each other"
        assert answers.config.flags["flag-v"].problem == problem
        assert answers("flag-v", {"user_id": "u"}) == Answer(error="GENERAL")
