"""`pyflagwasm explain` in process: whole texts and data, and what cannot be explained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from evaluators import FLAGD, ON_OFF, Capture, document, flag, run, written

from pyflagwasm.pool import member
from pyflagwasm.pool.member import Member


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return written(tmp_path, "shop.json", json.dumps(FLAGD).encode())


def test_explain(capsys: Capture, shop: str) -> None:
    given = ("explain", shop, "--flag", "plan", "--context", '{"plan": "free"}')
    code, out, err = run(capsys, *given)
    assert (code, err) == (0, "")
    assert (
        out
        == """\
plan is false (variant "off")
reason: DEFAULT

rule 0, if branch 0: does not decide
> no      plan loosely equals "pro"
          plan is "free"

after the rules: decides
"""
    )
    code, out, err = run(capsys, *given, "--json")
    assert (code, err) == (0, "")
    data = json.loads(out)
    assert (data["flag"], data["value"], data["variant"], data["truncated"]) == ("plan", False, "off", False)
    check = {
        "text": 'plan loosely equals "pro"',
        "outcome": "no",
        "attributes": [{"name": "plan", "value": "free"}],
        "depth": 0,
    }
    assert data["rules"] == [
        {"rule": 0, "title": "if branch 0", "decides": False, "checks": [check]},
        {"rule": None, "title": None, "decides": True, "checks": []},
    ]


def test_explain_a_split(capsys: Capture) -> None:
    """The bytes that flagd hashes read as the flag key."""
    context = '{"targetingKey": "u", "app": {"version": "4.3.0"}}'
    given = ("explain", "example:flagd", "--flag", "checkout-button", "--context", context)
    assert run(capsys, *given) == (
        0,
        """\
checkout-button is "Bring me my bread" (variant "warm")
reason: TARGETING_MATCH

rule 0, if branch 0: does not decide
> yes     app.version as a version is at least "4.2.0"
          app.version is "4.3.0"

after the rules: decides
  yes     targetingKey is a text
          targetingKey is "u"
> yes     split by "checkout-button" + targetingKey
          targetingKey is "u"
          bucket 2707304676, position 63034 of 100000
          cut 2 of 3, from 50% to 80%: variant "warm"
""",
        "",
    )


def test_explain_a_rollout_of_now(capsys: Capture) -> None:
    context = '{"user_id": "u-1", "country": "CA", "appVersion": "5.0.0"}'
    given = ("explain", "example:devcycle", "--flag", "one-page-checkout", "--context", context)
    for now, percentage in (("2025-03-05T08:00:00Z", "32.857%"), ("2025-03-15T08:00:00Z", "100%")):
        assert run(capsys, *given, "--now", now) == (
            0,
            f"""\
one-page-checkout is true (variant "on")
reason: SPLIT
details: Rollout | App Version AND Country

before the rules: does not decide
  no      user_id is missing
          user_id is "u-1"
> yes     valid user record is true
          valid user record is true

rule 0, Our own people: does not decide
    unknown email ends with "@garden.example"
            email is missing
    no      user_id is one of "tester-1", "tester-2"
            user_id is "u-1"
> no      shared condition 65f0000000000000000000a1

rule 1, Recent apps: decides
  yes     the bucket of user_id + "_rollout" is inside the percentage
          user_id is "u-1"
          bucket 1061828332, position 24722 of 100000
          the percentage is {percentage}
  yes     appVersion as a version is at least "4.2.0"
          appVersion is "5.0.0"
> no      country is "DE"
          country is "CA"
""",
            "",
        )


def test_explain_a_rule_that_reads_everything(capsys: Capture, tmp_path: Path) -> None:
    targeting = {"if": [{"in": ["x", {"var": ""}]}, "on"]}
    path = written(tmp_path, "f.json", document(f=flag(ON_OFF, "off", targeting)))
    code, out, _ = run(capsys, "explain", path, "--flag", "f", "--context", "{}", "--now", "2030-01-31T12:00:00Z")
    assert (code, out) == (
        0,
        """\
f is false (variant "off")
reason: DEFAULT

rule 0, if branch 0: does not decide
> no      the context contains "x"
          the context is {"$flagd": {"flagKey": "f", "timestamp": 1896091200}, "ta...

after the rules: decides
""",
    )


@pytest.mark.parametrize(
    ("key", "context", "error"),
    [
        ("nope", "{}", "FLAG_NOT_FOUND: the configuration has no such flag, did you mean 'none'?"),
        ("plan", '{"plan": "\\ud800"}', "INVALID_CONTEXT: attribute plan: text with a lone surrogate has no UTF-8"),
    ],
)
def test_explain_what_was_not_evaluated(capsys: Capture, shop: str, key: str, context: str, error: str) -> None:
    code, out, err = run(capsys, "explain", shop, "--flag", key, "--context", context)
    assert (code, err) == (1, "")
    assert out == f"{key}: the caller's default\nreason: ERROR\nerror: {error}\n"


def test_explain_says_what_crossed(capsys: Capture, tmp_path: Path) -> None:
    path = written(
        tmp_path, "f.json", document(f=flag(ON_OFF, "on", {"if": [{"==": [{"var": "n"}, {"var": "m"}]}, "on"]}))
    )
    given = ("--flag", "f", "--context", f'{{"n": {2**63}, "m": {2**62}}}', "--json")
    code, out, _ = run(capsys, "explain", path, *given)
    shown = {
        each["name"]: each["value"]
        for rule in json.loads(out)["rules"]
        for check in rule["checks"]
        for each in check["attributes"]
    }
    assert (code, shown) == (0, {"n": float(2**63), "m": 2**62})
    assert type(shown["n"]) is float


def test_an_explanation_that_traps(capsys: Capture, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_evaluator_reload import Cores

    monkeypatch.setattr(member, "Member", Cores())
    assert run(capsys, "explain", shop, "--flag", "plan", "--context", "{}") == (
        2,
        "",
        "pyflagwasm: explain trapped: UNREACHABLE; the instance must not be called again\n",
    )
    monkeypatch.setattr(member, "Member", Member)
