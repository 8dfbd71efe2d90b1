"""Conditions of universal flag configurations: each operator on each kind of attribute, and `id`.

The numbers here are those that Eppo's own SDK gives; differential/eppo.py finds more of them.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from eppo_answers import allocation, answers, rules

import pyflagwasm.config.formats.eppo.conditions as conditions
from pyflagwasm._abi import Op
from pyflagwasm.config.decimals import decimal_text, decimal_value
from pyflagwasm.config.formats.eppo.conditions import is_version, rust_float
from pyflagwasm.config.model import All, Condition, Not, Slot
from pyflagwasm.config.model import Test as Predicate
from pyflagwasm.config.regex import PatternError, UnsupportedPattern
from pyflagwasm.runtime.views import VIEWS

NAN, INF = math.nan, math.inf
MISSING = ...


def holds(
    operator: str, value: Any, attribute: Any, *, name: str = "q", subject: Any = "u", dialect: str = "eppo"
) -> bool:
    context = {"targetingKey": subject, name: attribute}
    ask = answers(allocation(rules=rules((name, operator, value))), dialect=dialect)
    found = ask("f", {key: each for key, each in context.items() if each is not MISSING})
    assert found.error_code is None
    assert ask.model.flags[0].problem is None
    return found.variant is not None


# ---------------------------------------------------------------- membership


@pytest.mark.parametrize(
    ("member", "yes", "no"),
    [
        ("a", ["a"], ["b", "A", "", 5, True, None, MISSING, ["a"], {"a": 1}]),
        ("", [""], [MISSING, None, [], {}]),
        ("1", ["1", 1, 1.0, Decimal(1)], [True, "1.0", 2, -1]),
        ("1.0", ["1.0"], [1, 1.0]),
        ("01", ["01"], [1]),
        ("1e3", ["1e3"], [1000]),
        ("1000", ["1000", 1000], []),
        ("0.1", [0.1], [0.10000000000000002]),
        ("0", [0, 0.0, "0"], [-0.0, False, "-0"]),
        ("-0", [-0.0, "-0"], [0, 0.0]),
        ("9007199254740992", [2**53, 2**53 + 1], [2**53 + 2]),
        ("9007199254740993", ["9007199254740993"], [2**53, 2**53 + 1]),
        ("18446744073709552000", [2**64, float(2**64)], []),
        ("1000000000000000000000", [1e21, 10**21], []),
        ("0.0000001", [1e-7], ["1e-7"]),
        ("NaN", [NAN, "NaN"], [0, INF, "nan", None, MISSING, True]),
        ("inf", [INF, "inf"], [1.7976931348623157e308, NAN]),
        ("-inf", [-INF], [-1.7976931348623157e308, INF]),
        ("nan", ["nan"], [NAN]),
        ("true", [True, "true"], [False, 1, "True"]),
        ("false", [False, "false"], [True, 0, None]),
        ("null", ["null"], [None, MISSING]),
    ],
)
def test_one_of(member: str, yes: list[Any], no: list[Any]) -> None:
    for value in yes:
        assert holds("ONE_OF", ["other", member], value)
        assert not holds("NOT_ONE_OF", [member, "other"], value)
    for value in no:
        assert not holds("ONE_OF", [member], value)
        scalar = value is not None and value is not MISSING and not isinstance(value, (list, dict))
        assert holds("NOT_ONE_OF", [member], value) is scalar


def test_one_of_nothing() -> None:
    assert not holds("ONE_OF", [], "a")
    assert holds("NOT_ONE_OF", [], "a")
    assert not holds("NOT_ONE_OF", [], None)


def test_one_of_very_many() -> None:
    members = [str(i) for i in range(70_000)]
    ask = answers(allocation(rules=rules(("q", "ONE_OF", members))))
    values = ["0", "69999", "70000", 0, 1, 69_999, 70_000, True]
    assert [ask("f", {"q": value}).variant is not None for value in values] == [True, True, False] + [True] * 3 + [
        False
    ] * 2


def test_both_zeros() -> None:
    assert [holds("ONE_OF", ["0", "-0"], value) for value in (0, 0.0, -0.0, 1)] == [True, True, True, False]


# ---------------------------------------------------------------- order


@pytest.mark.parametrize(
    ("operator", "value", "yes", "no"),
    [
        (
            "GTE",
            18,
            [18, 18.0, 19, INF, "18", "+18", "18.", "1.8e1", "inf", "+iNf", "Infinity"],
            [17, NAN, True, None, MISSING],
        ),
        (
            "GT",
            18,
            [19, "18.1", "1e400"],
            [18, "18", "-inf", "nan", "", "x", "1_9", " 19", "19 ", "19\u2003", "\u0663\u0663"],
        ),
        ("LTE", 0.5, [0.5, -1, ".5", "-.5", "-inf", "-INFINITY", "0x10"[:1]], [0.6, "inf", "0x0", "5e-1x", [], {}]),
        ("LT", "1", [0, "0"], [1, "1", "1.0", "-"]),
        ("GT", "1e3", [1001], [1000]),
        ("GT", "inf", [], [INF, "inf"]),
        ("GTE", "inf", [INF, "inf", "1e999"], [1e308]),
        ("LTE", "-inf", [-INF, "-inf"], [-1e308, "inf"]),
        ("GTE", "nan", [], [0, NAN, "nan"]),
        ("GTE", 2**53 + 1, [2**53], [2**53 - 1]),
        ("GT", 2**63, [2**64], [2**63, 2**63 - 1]),
    ],
)
def test_numbers(operator: str, value: Any, yes: list[Any], no: list[Any]) -> None:
    assert [each for each in yes if not holds(operator, value, each)] == []
    assert [each for each in no if holds(operator, value, each)] == []


def test_infinite_texts_are_numbers_in_any_case() -> None:
    for text in ("inf", "INF", "InF", "+inf", "infinity", "INFinity"):
        assert holds("GT", 5, text)
        assert not holds("LT", 5, text)
        assert holds("LT", 5, f"-{text.removeprefix('+')}")


@pytest.mark.parametrize(
    ("operator", "value", "yes", "no"),
    [
        (
            "GTE",
            "1.2.3",
            ["1.2.3", "1.10.0", "1.2.3+b"],
            ["1.2.3-rc", "1.2.2", "1.2", "v1.2.3", "01.2.3", 5, True, None, ""],
        ),
        ("GT", "1.2.3", ["1.2.3+a", "1.2.4-rc"], ["1.2.3"]),
        ("LT", "1.2.3+2", ["1.2.3+1", "1.2.3"], ["1.2.3+10", "1.2.3+2"]),
        ("LTE", "1.2.3-rc.10", ["1.2.3-rc.2", "1.2.3-rc.10"], ["1.2.3-rc.x", "1.2.3-rc.10+b", "1.2.3"]),
        ("LT", "18446744073709551615.0.0", ["18446744073709551614.0.0"], ["18446744073709551616.0.0"]),
    ],
)
def test_versions(operator: str, value: str, yes: list[Any], no: list[Any]) -> None:
    assert [each for each in yes if not holds(operator, value, each)] == []
    assert [each for each in no if holds(operator, value, each)] == []


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("1.2.3", True), ("0.0.0-0", True), ("1.2.3-0a.b-+01.-", True), ("1.2.3-a+b", True), ("1.2", False),
        ("1.2.3-01", False), ("1.2.3-", False), ("1.2.3+", False), ("1.2.3-a..b", False), ("1.2.3\n", False),
        ("18446744073709551615.0.0", True), ("18446744073709551616.0.0", False), ("9" * 5000 + ".0.0", False),
    ],
)  # fmt: skip
def test_is_version(text: str, valid: bool) -> None:
    assert is_version(text) is valid


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+5", 5.0), (".5", 0.5), ("5.", 5.0), ("1E+3", 1000.0), ("-iNf", -INF), ("infinity", INF), ("1e999", INF),
        (" 5", None), ("5\n", None), ("1_0", None), ("\u0663", None), (".", None), ("e5", None), ("0x1", None),
        ("", None),
    ],
)  # fmt: skip
def test_rust_float(text: str, number: float | None) -> None:
    assert rust_float(text) == number


def test_a_nan_is_read() -> None:
    assert all(math.isnan(rust_float(text) or 0) for text in ("nan", "NaN", "-NAN"))


# ---------------------------------------------------------------- null, and id


@pytest.mark.parametrize("value", [MISSING, None, "", 0, False, [], {}])
def test_is_null(value: Any) -> None:
    null = value is MISSING or value is None
    assert holds("IS_NULL", True, value) is null
    assert holds("IS_NULL", False, value) is not null


def test_id_is_the_subject_unless_it_is_there() -> None:
    assert holds("ONE_OF", ["u"], MISSING, name="id")
    assert not holds("ONE_OF", ["u"], "v", name="id")
    assert holds("ONE_OF", ["5"], 5, name="id")
    assert not holds("ONE_OF", ["u"], None, name="id")
    assert not holds("NOT_ONE_OF", ["v"], None, name="id")
    assert holds("NOT_ONE_OF", ["v"], MISSING, name="id")
    assert holds("GT", "1.2.3", MISSING, name="id", subject="1.2.4")
    assert holds("GT", 5, MISSING, name="id", subject="6")
    assert [holds("IS_NULL", True, each, name="id") for each in (MISSING, None, "x")] == [False, True, False]
    assert [holds("IS_NULL", False, each, name="id") for each in (MISSING, None, "x")] == [True, False, True]


@pytest.mark.parametrize("subject", [MISSING, None, 5])
def test_what_is_no_subject_is_no_id(subject: Any) -> None:
    assert not holds("ONE_OF", ["5"], MISSING, name="id", subject=subject)
    assert not holds("NOT_ONE_OF", ["v"], MISSING, name="id", subject=subject)
    assert holds("IS_NULL", True, MISSING, name="id", subject=subject)
    assert not holds("IS_NULL", False, MISSING, name="id", subject=subject)


# ---------------------------------------------------------------- regular expressions


class Literal:
    """In place of a compiled pattern."""

    def __init__(self, op: Op, *texts: str) -> None:
        self.op, self.texts = op, texts

    def condition(self, slot: Slot, unknown: bool | None) -> Condition:
        return Predicate(self.op, slot, self.texts, unknown=unknown)


def patterns(monkeypatch: pytest.MonkeyPatch, pattern: Any) -> None:
    def compiled(text: str, dialect: str) -> Any:
        if isinstance(pattern, Exception):
            raise pattern
        return pattern

    monkeypatch.setattr(conditions, "compile_pattern", compiled)


@pytest.mark.parametrize(
    ("pattern", "yes", "no", "viewed"),
    [
        (Literal(Op.TEXT_CONTAINS, "@x."), ["a@x.com"], ["a", 5, True, None, MISSING, NAN], False),
        (Literal(Op.TEXT_CONTAINS, "ru"), ["true", True, "ru"], [False, 5, INF], False),
        (Literal(Op.TEXT_CONTAINS, ""), ["", 5, False, NAN], [None, MISSING, []], False),
        (Literal(Op.TEXT_IN, ""), [""], [5, False], False),
        (Literal(Op.TEXT_PREFIX, "1"), ["1x", 1, 12.5], [-1, True, 21], True),
        (Literal(Op.TEXT_SUFFIX, "5"), [5, 0.5, "5"], [5e-7 / 5, True], True),
        (Literal(Op.TEXT_CONTAINS, "n"), ["n", INF, -INF], [5, NAN, True], True),
        (Literal(Op.TEXT_CONTAINS, "000"), [1e21, 1000, "000"], [5, 1e-2], True),
    ],
)
def test_matches(monkeypatch: pytest.MonkeyPatch, pattern: Any, yes: list[Any], no: list[Any], viewed: bool) -> None:
    patterns(monkeypatch, pattern)
    for name in ("q", "id"):
        assert [each for each in yes if not holds("MATCHES", "x", each, name=name)] == []
        assert [each for each in yes if holds("NOT_MATCHES", "x", each, name=name)] == []
        assert [each for each in no if holds("MATCHES", "x", each, name=name, subject=MISSING)] == []
        scalars = [each for each in no if each is not None and each is not MISSING and each != []]
        assert [each for each in scalars if not holds("NOT_MATCHES", "x", each, name=name)] == []
    assert not holds("NOT_MATCHES", "x", None)
    assert (
        "eppo_text" in str(conditions.condition(rules(("q", "MATCHES", "x"))[0]["conditions"][0], "", False))
    ) is viewed


def test_matches_of_id(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns(monkeypatch, Literal(Op.TEXT_PREFIX, "1"))
    assert holds("MATCHES", "x", MISSING, name="id", subject="1x")
    assert not holds("MATCHES", "x", MISSING, name="id", subject="x")
    assert holds("NOT_MATCHES", "x", MISSING, name="id", subject="x")
    assert not holds("NOT_MATCHES", "x", MISSING, name="id", subject=1)


def test_what_other_conditions_say_of_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Both(Literal):
        def condition(self, slot: Slot, unknown: bool | None) -> Condition:
            return Not(All((super().condition(slot, unknown), Predicate(Op.TEXT_CONTAINS, slot, ("@",)))))

    patterns(monkeypatch, Both(Op.TEXT_PREFIX, "1"))  # no number has both
    assert [holds("MATCHES", "x", each) for each in (1, True, "1@", "1")] == [True, True, False, True]


def test_patterns_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = allocation(rules=rules(("q", "MATCHES", "x")))
    patterns(monkeypatch, PatternError("is odd"))
    for dialect, reason in (("eppo", "DEFAULT"), ("datadog", "DEFAULT")):
        ask = answers(rule, dialect=dialect)
        problem = ask.model.flags[0].problem or ""
        place = "flags.f.allocations[0].rules[0].conditions[0].value"
        assert problem.startswith(f"{place}: the regular expression is invalid: is odd")
        assert ask("f").reason == reason
    patterns(monkeypatch, UnsupportedPattern("is too large"))
    for dialect in ("eppo", "datadog"):
        ask = answers(rule, allocation(), dialect=dialect)
        assert ask.model.flags[0].problem == f"{place}: is too large"
        assert ask("f").error_code == "PARSE_ERROR"


def test_datadog_takes_a_pattern_in_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns(monkeypatch, Literal(Op.TEXT_IN, "x"))
    assert holds("MATCHES", ["x"], "x", dialect="datadog")
    for dialect, value in (("eppo", ["x"]), ("datadog", ["x", "x"])):
        assert (
            answers(allocation(rules=rules(("q", "MATCHES", value))), dialect=dialect)("f", {"q": "x"}).variant is None
        )


# ---------------------------------------------------------------- numbers as texts

TEXTS = [
    (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (-1.5, "-1.5"), (1e21, "1" + "0" * 21), (1e-7, "0.0000001"), (NAN, "NaN"),
    (INF, "inf"), (-INF, "-inf"), (0.1 + 0.2, "0.30000000000000004"), (5e-324, "0." + "0" * 323 + "5"),
    (float(2**64), "18446744073709552000"), (123456789.5, "123456789.5"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "text"), TEXTS)
def test_decimal_text(number: float, text: str) -> None:
    assert decimal_text(number) == text
    assert repr(decimal_value(text)) == repr(number)
    assert VIEWS["eppo_text"]({"q": number}, ("q",), 0) == text


@pytest.mark.parametrize(
    "text", ["", "1.0", "01", "+1", "1e3", "-", ".5", "1.", "0.10", "9007199254740993", "9" * 2000, "nan", "1\n"]
)
def test_what_is_no_decimal_text(text: str) -> None:
    assert decimal_value(text) is None


@pytest.mark.parametrize(
    ("value", "text"), [("x", "x"), (True, "true"), (5, "5"), (2**53 + 1, "9007199254740992"), (Decimal("0.5"), "0.5")]
)
def test_the_view(value: Any, text: str) -> None:
    assert VIEWS["eppo_text"]({"q": value}, ("q",), 0) == text


@pytest.mark.parametrize("context", [{}, {"q": None}, {"q": []}, {"q": {}}])
def test_of_anything_else_the_view_gives_nothing(context: dict[str, Any]) -> None:
    assert repr(VIEWS["eppo_text"](context, ("q",), 0)) == "MISSING"
