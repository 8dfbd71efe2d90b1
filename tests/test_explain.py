"""Explanations: what a trace becomes, with traces written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from traces import COUNTRY, EMAIL, GERMAN, KEY, STAFF, config_of, trace

from pyflagwasm._abi import Encoding, ErrorCode, Op, Outcome
from pyflagwasm._abi import Reason as Why
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import CompiledConfig
from pyflagwasm.explain import Event, Explanation, explain, explain_json, explain_text
from pyflagwasm.types import ErrorCode as Code
from pyflagwasm.types import EvaluationDetails, Reason

SPLIT = m.SplitBy(
    m.Bucket(("salt", KEY)),
    ((2**30, m.Serve(0, Why.SPLIT)), (2**32, m.Serve(1, Why.SPLIT))),
    m.Serve(1, Why.DEFAULT),
    m.Serve(1, Why.DEFAULT),
)
PROGRAM = m.Steps(
    (
        m.Rule(0, "staff", m.When(STAFF, m.Serve(0, Why.TARGETING_MATCH))),
        m.Rule(1, "a quarter of the rest", m.When(m.Shared("german"), SPLIT)),
        m.Serve(1, Why.DEFAULT),
    )
)


class Joined(m.DetailsTree):
    def text(self, program: int, rule: int | None, outcomes: Mapping[int, bool]) -> str | None:
        return f"program {program}, rule {rule}, {sorted(outcomes.items())}"


def explained(config: CompiledConfig, events: list[Event], sent: Mapping[m.Slot, Any], **extra: Any) -> Explanation:
    decision = extra.pop("decision", EvaluationDetails("checkout", True, "on", Reason.SPLIT, rule_index=1))
    values = [sent.get(slot, m.MISSING) for slot in config.slots]
    return explain(config, config.flags["checkout"], events, decision, values, **extra)


def test_rule_by_rule() -> None:
    config = config_of(PROGRAM, german=GERMAN)
    events = trace(config, Outcome.NO, Outcome.YES, hashed=123_456_789)
    explanation = explained(config, events, {EMAIL: "jo@example.com", COUNTRY: "DE", KEY: "u-1"})
    assert (
        explain_text(explanation)
        == """\
checkout is true (variant "on")
reason: SPLIT

rule 0, staff: does not decide
> no      user.email ends with "@corp.com"
          user.email is "jo@example.com"

rule 1, a quarter of the rest: decides
    yes     country is one of "DE", "AT"
            country is "DE"
  yes     shared condition german
> yes     split by "salt" + targetingKey
          targetingKey is "u-1"
          bucket 123456789, position 2874 of 100000
          cut 1 of 2, from 0% to 25%: variant "on\""""
    )


def test_as_data() -> None:
    config = config_of(PROGRAM, german=GERMAN)
    events = trace(config, Outcome.NO, Outcome.NO)
    decision = EvaluationDetails("checkout", False, "off", Reason.DEFAULT)
    data = explain_json(explained(config, events, {COUNTRY: "FR"}, decision=decision))
    assert data == json.loads(json.dumps(data)) == {
        "flag": "checkout",
        "value": False,
        "variant": "off",
        "reason": "DEFAULT",
        "rule": None,
        "error_code": None,
        "error_message": None,
        "details": None,
        "rules": [
            {
                "rule": 0,
                "title": "staff",
                "decides": False,
                "checks": [
                    {
                        "text": 'user.email ends with "@corp.com"',
                        "outcome": "no",
                        "attributes": [{"name": "user.email"}],
                        "depth": 0,
                    }
                ],
            },
            {
                "rule": 1,
                "title": "a quarter of the rest",
                "decides": False,
                "checks": [
                    {
                        "text": 'country is one of "DE", "AT"',
                        "outcome": "no",
                        "attributes": [{"name": "country", "value": "FR"}],
                        "depth": 1,
                    },
                    {"text": "shared condition german", "outcome": "no", "attributes": [], "depth": 0},
                ],
            },
            {"rule": None, "title": None, "decides": True, "checks": []},
        ],
        "truncated": False,
    }  # fmt: skip


def test_outside_of_the_rules() -> None:
    """Text tells what came before the rules from what came after them; data has null for both."""
    steps = (
        m.When(STAFF, m.Serve(0, Why.STATIC)),
        m.Rule(0, "germans", m.When(GERMAN, m.Serve(0, Why.TARGETING_MATCH))),
        SPLIT,
    )
    config = config_of(m.Steps(steps))
    events = trace(config, Outcome.NO, Outcome.NO, hashed=2**31)
    decision = EvaluationDetails("checkout", False, "off", Reason.SPLIT)
    explanation = explained(config, events, {EMAIL: "x", KEY: "u"}, decision=decision)
    assert (
        explain_text(explanation)
        == """\
checkout is false (variant "off")
reason: SPLIT

before the rules: does not decide
> no      user.email ends with "@corp.com"
          user.email is "x"

rule 0, germans: does not decide
> no      country is one of "DE", "AT"
          country is missing

after the rules: decides
> yes     split by "salt" + targetingKey
          targetingKey is "u"
          bucket 2147483648, position 50000 of 100000
          cut 2 of 2, from 25% to 100%: variant "off\""""
    )
    sections = explain_json(explanation)["rules"]
    assert [(each["rule"], each["title"], each["decides"]) for each in sections] == [
        (None, None, False),
        (0, "germans", False),
        (None, None, True),
    ]


def test_without_rules() -> None:
    config = config_of(m.Serve(1, Why.STATIC))
    decision = EvaluationDetails("checkout", None, None, Reason.DEFAULT)
    explanation = explained(config, trace(config), {}, decision=decision)
    text = "checkout: the caller's default\nreason: DEFAULT\n\nbefore the rules: decides"
    assert explain_text(explanation) == text
    data = explain_json(explanation)
    assert (data["value"], data["variant"]) == (None, None)
    assert data["rules"] == [{"rule": None, "title": None, "decides": True, "checks": []}]


def test_a_bucket_without_a_key() -> None:
    config = config_of(PROGRAM, german=GERMAN)
    events = trace(config, Outcome.NO, Outcome.YES, Outcome.UNKNOWN)
    (*_, check) = explained(config, events, {COUNTRY: "DE"}).sections[1].checks
    assert (check.hash, check.position) == (None, None)
    assert check.note == "no bucket: a part of the bucketing key is missing or unusable"


@pytest.mark.parametrize(
    ("hashed", "note"),
    [
        (0, 'cut 1 of 2, from 0% to 25%: variant "on"'),
        (2**30 - 1, 'cut 1 of 2, from 0% to 25%: variant "on"'),
        (2**30, "cut 2 of 2, from 25% to 33.333%"),
        (1431655765, "above every cut"),
    ],
)
def test_cuts(hashed: int, note: str) -> None:
    cuts = ((2**30, m.Serve(0, Why.SPLIT)), (1431655765, m.Fail(ErrorCode.GENERAL)))
    config = config_of(m.SplitBy(m.Bucket((KEY,)), cuts, m.Serve(1, Why.DEFAULT), m.Serve(1, Why.DEFAULT)))
    (section,) = explained(config, trace(config, hashed=hashed), {KEY: "u"}).sections
    assert section.checks[0].note == note
    assert section.checks[0].hash == hashed


@pytest.mark.parametrize(
    ("now_us", "note"),
    [
        (None, None),
        (999_999, "the percentage is 0%"),
        (1_000_000, "the percentage is 10%"),
        (1_500_000, "the percentage is 30%"),
        (2_000_000, "the percentage is 75%"),
        (2**62, "the percentage is 75%"),
    ],
)
def test_percentages_over_time(now_us: int | None, note: str | None) -> None:
    segments = (m.Segment(1000, 1000.0, 2000.0, 0.1, 0.5), m.Segment(2000, 0.0, 0.0, 0.75, 0.75))
    config = config_of(m.When(m.InRollout(m.Bucket((KEY,)), segments), m.Serve(0, Why.SPLIT), m.Serve(1, Why.DEFAULT)))
    events = trace(config, Outcome.YES, hashed=42)
    (section,) = explained(config, events, {KEY: "u"}, now_us=now_us).sections
    (check,) = section.checks
    assert (check.text, check.outcome) == ("the bucket of targetingKey is inside the percentage", "yes")
    assert (check.hash, check.position, check.note) == (42, 0, note)


@pytest.mark.parametrize(
    ("value", "encoding", "required", "usable"),
    [
        ("u", Encoding.UTF8, True, True),
        ("", Encoding.UTF8, True, False),
        ("", Encoding.UTF8, False, True),
        (5, Encoding.UTF8, False, False),
        (5, Encoding.CBOR, False, True),
        (True, Encoding.CBOR, False, True),
        (None, Encoding.CBOR, False, False),
        ([], Encoding.CBOR, False, False),
        (m.MISSING, Encoding.CBOR, False, False),
    ],
)
def test_what_can_be_hashed(value: Any, encoding: Encoding, required: bool, usable: bool) -> None:
    bucket = m.Bucket((KEY,), 0, encoding, required)
    config = config_of(m.When(m.InRollout(bucket, ()), m.Serve(0, Why.SPLIT), m.Serve(1, Why.DEFAULT)))
    (section,) = explained(config, trace(config, Outcome.NO, hashed=7), {KEY: value}).sections
    assert section.checks[0].hash == (7 if usable else None)


def test_errors_details_and_truncation() -> None:
    labelled = m.Labelled(3, STAFF)
    config = config_of(
        m.Rule(0, "staff", m.When(labelled, m.Serve(0, Why.STATIC), m.Fail(ErrorCode.GENERAL))), Joined()
    )
    decision = EvaluationDetails("checkout", None, None, Reason.ERROR, Code.GENERAL, "broken\x1b[31m\ud800", 0)
    explanation = explained(config, trace(config, Outcome.NO), {EMAIL: "x"}, decision=decision, truncated=True)
    assert explain_text(explanation).splitlines() == [
        "checkout: the caller's default",
        "reason: ERROR",
        "error: GENERAL: broken\\x1b[31m\\ud800",
        "details: program 0, rule 0, [(3, False)]",
        "",
        "rule 0, staff: decides",
        '> no      user.email ends with "@corp.com"',
        '          user.email is "x"',
        "",
        "The evaluation went on; its trace ends here.",
    ]
    data = explain_json(explanation)
    assert (data["error_code"], data["details"], data["truncated"]) == (
        "GENERAL",
        "program 0, rule 0, [(3, False)]",
        True,
    )


def test_computed_values() -> None:
    total = m.Apply(Op.ADD, (m.SlotValue(EMAIL), m.Constant(1)))
    named = m.ServeNamed(total, ("on", "off"), Why.SPLIT, m.Serve(1, Why.DEFAULT), m.Serve(1, Why.DEFAULT))
    blank = m.Truth(m.BlankSlots((("country", COUNTRY),)))
    config = config_of(m.When(m.AnyOf((m.Truth(total), m.Truth(m.SlotValue(KEY)), blank)), named, named))
    events = trace(config, Outcome.NO, Outcome.NO, Outcome.YES, Outcome.NO)
    (section,) = explained(config, events, {EMAIL: 1, COUNTRY: ""}).sections
    assert [(check.text, check.outcome, check.attributes) for check in section.checks] == [
        ("(user.email + 1) is truthy", "no", (("user.email", 1),)),
        ("targetingKey is truthy", "no", (("targetingKey", m.MISSING),)),
        ("country is blank", "yes", (("country", ""),)),
        ("(user.email + 1) names a variant", "no", (("user.email", 1),)),
    ]
    assert section.settled_by == section.checks[-1]


def test_equal_tails_keep_their_own_words() -> None:
    """Two computed values with the same continuation are told apart."""
    first = m.Apply(Op.EQUAL, (m.SlotValue(EMAIL), m.Constant(1)))
    second = m.Apply(Op.EQUAL, (m.SlotValue(COUNTRY), m.Constant(1)))
    config = config_of(m.When(m.Truth(m.Choose(GERMAN, first, second)), m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)))
    for outcome, text in ((Outcome.YES, "(user.email == 1) is truthy"), (Outcome.NO, "(country == 1) is truthy")):
        (section,) = explained(config, trace(config, outcome, Outcome.YES), {}).sections
        assert section.checks[-1].text == text


def test_the_clock() -> None:
    for now_us, text in (
        (1_700_000_000_500_000, "2023-11-14T22:13:20.500000Z"),
        (2**62, f"{2**62} microseconds after 1970"),
    ):
        config = config_of(m.When(m.NowAtLeast(now_us), m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)))
        (section,) = explained(config, trace(config, Outcome.NO), {}).sections
        assert section.checks[0].text == f"the time is {text} or later"
