"""What the values of JsonLogic become where they decide: conditions, actions and splits."""

from __future__ import annotations

from typing import Any

import pytest
from jsonlogic_trees import DEFAULT, GENERAL, PARSE_ERROR, VAR, A, B, act, computed, read, serve, truth_of

from pyflagwasm._abi import Encoding, Kind, Op, Order
from pyflagwasm.config.formats.flagd.jsonlogic import Targeting
from pyflagwasm.config.formats.flagd.jsonlogic_lower import Outcomes
from pyflagwasm.config.model import (
    Action,
    All,
    Always,
    AnyOf,
    Apply,
    Bucket,
    Choose,
    Condition,
    Constant,
    FallThrough,
    FirstTruthy,
    Fractional,
    Not,
    Rule,
    Slot,
    SlotValue,
    SplitBy,
    Steps,
    Truth,
    When,
)
from pyflagwasm.config.model import Test as Predicate

KEY = Slot("targeting_key")
LESS, EQUAL, GREATER = Order.LESS, Order.EQUAL, Order.GREATER


# ---------------------------------------------------------------- conditions


@pytest.mark.parametrize(
    ("logic", "expected"),
    [
        (VAR, Predicate(Op.TRUTHY, A)),
        ({"!": VAR}, Not(Predicate(Op.TRUTHY, A))),
        ({"!": {"!": VAR}}, Predicate(Op.TRUTHY, A)),
        ({"!!": [VAR]}, Predicate(Op.TRUTHY, A)),
        ({"==": [VAR, "x"]}, Predicate(Op.EQUAL_CONST, A, ("x",))),
        ({"==": [1, VAR]}, Predicate(Op.EQUAL_CONST, A, (1,))),
        ({"!=": [VAR, None]}, Not(Predicate(Op.EQUAL_CONST, A, (None,)))),
        ({"===": [VAR, "x"]}, Predicate(Op.TEXT_IN, A, ("x",), flags=1)),
        ({"!==": [VAR, 1]}, Not(Predicate(Op.EQUAL_CONST, A, (1,), flags=1))),
        ({"<": [VAR, 3]}, Predicate(Op.COMPARE_CONST, A, (3,), flags=LESS)),
        ({"<=": [3, VAR]}, Predicate(Op.COMPARE_CONST, A, (3,), flags=GREATER | EQUAL)),
        ({">": ["x", VAR]}, Predicate(Op.COMPARE_CONST, A, ("x",), flags=LESS)),
        (
            {"<": [1, VAR, 9]},
            All(
                (Predicate(Op.COMPARE_CONST, A, (1,), flags=GREATER), Predicate(Op.COMPARE_CONST, A, (9,), flags=LESS))
            ),
        ),
        ({"in": [VAR, ["b", "é", "a", "b"]]}, Predicate(Op.TEXT_IN, A, ("a", "b", "é"), flags=1)),
        ({"in": [VAR, ["a", 1]]}, Predicate(Op.IN_CONST, A, ("a", 1))),
        ({"in": [VAR, []]}, Always(False)),
        ({"in": ["x", VAR]}, Predicate(Op.CONTAINS_CONST, A, ("x",))),
        ({"in": [VAR, "abc"]}, Truth(Apply(Op.IN, (SlotValue(A), Constant("abc"))))),
        ({"starts_with": [VAR, "x"]}, Predicate(Op.TEXT_PREFIX, A, ("x",))),
        ({"ends_with": [VAR, "x"]}, Predicate(Op.TEXT_SUFFIX, A, ("x",))),
        ({"ends_with": [VAR, 1]}, Always(False)),
        ({"starts_with": ["x", VAR]}, Truth(Apply(Op.TEXT_STARTS, (Constant("x"), SlotValue(A))))),
        ({"sem_ver": [VAR, ">=", "v1.2"]}, Predicate(Op.VERSION, A, ("1.2.0",), flags=GREATER | EQUAL)),
        ({"sem_ver": [2, "<", VAR]}, Predicate(Op.VERSION, A, ("2.0.0",), flags=GREATER)),
        ({"sem_ver": [VAR, "~", "1.2.3"]}, Predicate(Op.VERSION, A, ("1.2.3",), flags=7, extra=2)),
        ({"sem_ver": ["1.2.3", "^", VAR]}, Predicate(Op.VERSION, A, ("1.2.3",), flags=7, extra=1)),
        ({"sem_ver": [VAR, "=", "1.2.x"]}, Always(False)),
        ({"sem_ver": [VAR, "?", "1.2.3"]}, Always(False)),
        ({"and": [VAR, {"var": "b"}]}, All((Predicate(Op.TRUTHY, A), Predicate(Op.TRUTHY, B)))),
        ({"or": [VAR, {"!": {"var": "b"}}]}, AnyOf((Predicate(Op.TRUTHY, A), Not(Predicate(Op.TRUTHY, B))))),
        ({"if": [VAR, {"var": "b"}]}, All((Predicate(Op.TRUTHY, A), Predicate(Op.TRUTHY, B)))),
        ({"if": [VAR, True, False]}, Predicate(Op.TRUTHY, A)),
        ({"if": [VAR, {"var": "b"}, 1]}, AnyOf((Not(Predicate(Op.TRUTHY, A)), Predicate(Op.TRUTHY, B)))),
        ({"if": [VAR, 1, {"var": "b"}]}, AnyOf((Predicate(Op.TRUTHY, A), Predicate(Op.TRUTHY, B)))),
        ({"if": [VAR, "", {"var": "b"}]}, All((Not(Predicate(Op.TRUTHY, A)), Predicate(Op.TRUTHY, B)))),
        (
            {"if": [VAR, {"var": "b"}, {"var": "a"}]},
            Truth(Choose(Predicate(Op.TRUTHY, A), SlotValue(B), SlotValue(A))),
        ),
        ({"cat": [VAR]}, Truth(Apply(Op.CONCAT, (SlotValue(A),)))),
        ({"==": [VAR, {"var": "b"}]}, Truth(Apply(Op.EQUAL, (SlotValue(A), SlotValue(B))))),
    ],
)
def test_conditions(logic: Any, expected: Condition) -> None:
    assert truth_of(logic) == expected


# ---------------------------------------------------------------- actions


@pytest.mark.parametrize(
    ("logic", "expected"),
    [
        ("on", serve("on")),
        ("gone", GENERAL),
        (None, DEFAULT),
        (True, serve("true")),
        (1, serve("1")),
        (1.5, serve("1.5")),
        ([], GENERAL),
        (VAR, computed(SlotValue(A))),
        ({"nope": VAR}, PARSE_ERROR),
        ({"/": [1, 0]}, GENERAL),
        ({"nope": {"/": [1, VAR]}}, computed(read({"nope": {"/": [1, VAR]}}))),
        ({"!": VAR}, When(Not(Predicate(Op.TRUTHY, A)), serve("true"), serve("false"))),
        ({"==": [VAR, {"var": "b"}]}, When(truth_of({"==": [VAR, {"var": "b"}]}), serve("true"), serve("false"))),
        (
            {"starts_with": [VAR, "x"]},
            When(Predicate(Op.TEXT_PREFIX, A, ("x",), unknown=None), serve("true"), serve("false"), unknown=DEFAULT),
        ),
        ({"ends_with": [VAR, 5]}, DEFAULT),
        ({"if": [VAR, "on", "off"]}, When(Predicate(Op.TRUTHY, A), serve("on"), serve("off"))),
        (
            {"if": [VAR, "on", {"if": [{"var": "b"}, "off"]}]},
            Steps((When(Predicate(Op.TRUTHY, A), serve("on")), When(Predicate(Op.TRUTHY, B), serve("off")), DEFAULT)),
        ),
        (
            {"and": [{"!": VAR}, "on"]},
            Steps((When(Predicate(Op.TRUTHY, A), serve("false"), FallThrough()), serve("on"))),
        ),
        (
            {"or": [{"!": VAR}, "on"]},
            Steps((When(Not(Predicate(Op.TRUTHY, A)), serve("true"), FallThrough()), serve("on"))),
        ),
        ({"or": [VAR, "on"]}, computed(FirstTruthy((SlotValue(A), Constant("on"))))),
        ({"cat": ["o", "n"]}, serve("on")),
        ({"cat": ["o", VAR]}, computed(Apply(Op.CONCAT, (Constant("o"), SlotValue(A))))),
    ],
)
def test_actions(logic: Any, expected: Action) -> None:
    assert act(logic) == expected


def test_the_branches_of_the_outermost_if_are_rules() -> None:
    assert act({"if": [VAR, "on", {"var": "b"}, {"if": [VAR, "off"]}, "off"]}, rules=True) == Steps(
        (
            Rule(0, "if branch 0", When(Predicate(Op.TRUTHY, A), serve("on"))),
            Rule(
                1,
                "if branch 1",
                When(Predicate(Op.TRUTHY, B), When(Predicate(Op.TRUTHY, A), serve("off"), DEFAULT)),
            ),
            serve("off"),
        )
    )


def test_a_single_branch_is_a_rule_too() -> None:
    only = Rule(0, "if branch 0", When(Predicate(Op.TRUTHY, A), serve("on")))
    assert act({"if": [VAR, "on"]}, rules=True) == Steps((only, DEFAULT))
    assert act({"if": [VAR, "on", "off"]}, rules=True) == Steps((only, serve("off")))


THIRD = 2**32 // 3 + 1
"""The first hash whose bucket of three is not the first one: the bounds are rounded up."""


def test_a_split_has_exact_bounds() -> None:
    split = SplitBy(
        Bucket((b"\x82\x61f", KEY), encoding=Encoding.CBOR, require_text=True),
        ((THIRD, serve("on")), (2**32, serve("true"))),
        DEFAULT,
        DEFAULT,
    )
    is_text = Predicate(Op.KIND_IN, KEY, mask=1 << Kind.TEXT)
    assert act({"fractional": [["on", 1], ["off", 0], ["true", 2]]}) == When(is_text, split, DEFAULT)
    assert (THIRD - 1) * 3 >> 32 == 0
    assert THIRD * 3 >> 32 == 1


def test_a_split_by_an_attribute_falls_back_to_the_operation() -> None:
    logic = {"fractional": [VAR, ["on"], [None, -3], [{"var": "b"}, 1]]}
    assert act(logic) == SplitBy(
        Bucket((A,), encoding=Encoding.CBOR),
        ((2**31, serve("on")), (2**32, computed(SlotValue(B)))),
        DEFAULT,
        computed(read(logic)),
    )


@pytest.mark.parametrize(
    ("first", "bucket"),
    [
        (None, Bucket(("f", KEY), require_text=True)),
        (VAR, Bucket((A,), require_text=True)),
        ({"cat": [{"var": "$flagd.flagKey"}, VAR, 1]}, Bucket(("f", A, "1"), require_text=True)),
    ],
)
def test_the_former_generation_hashes_text(first: Any, bucket: Bucket) -> None:
    shares: list[Any] = [["on", 1], ["off", 1]]
    split = act({"fractional": shares if first is None else [first, *shares]}, generation=1)
    assert isinstance(split, SplitBy)
    assert split.bucket == bucket


@pytest.mark.parametrize(
    "logic",
    [
        {"fractional": [VAR, ["on", 1.0]]},
        {"fractional": [VAR, ["on", True]]},
        {"fractional": [VAR, ["on", 2**31]]},
        {"fractional": [VAR, ["on", 0]]},
        {"fractional": [VAR, ["on", 1, 1]]},
        {"fractional": [VAR, ["on", {"var": "b"}]]},
        {"fractional": [VAR, "on"]},
        {"fractional": [VAR]},
        {"fractional": VAR},
        {"fractional": [VAR, ["on"], [{"nope": 1}]]},
        {"fractional": [{"cat": [VAR, "x"]}, ["on"]]},
        {"fractional": ["constant", ["on"]]},
    ],
)
def test_other_fractionals_stay_operations(logic: Any) -> None:
    value = read(logic)
    assert isinstance(value, Fractional)
    assert act(logic) == computed(value)


def test_a_long_flag_key_is_hashed_as_cbor_has_it() -> None:
    for length, head in ((23, b"\x77"), (24, b"\x78\x18"), (256, b"\x79\x01\x00"), (65536, b"\x7a\x00\x01\x00\x00")):
        value = Targeting("k" * length, 0).value({"fractional": [["on"]]}, "here", result=True)
        split = Outcomes({"on": 0}, DEFAULT).action(value)
        assert isinstance(split, When)
        assert isinstance(split.then, SplitBy)
        assert split.then.bucket.parts[0] == b"\x82" + head + b"k" * length
