"""What JsonLogic's operators are as values, and what is folded. What values become: test_jsonlogic_lower.py."""

from __future__ import annotations

from typing import Any

import pytest
from jsonlogic_trees import NULL, VAR, WHOLE, A, B, read

from pyflagwasm._abi import ErrorCode, LoopKind, Op, Order, TimeUnit
from pyflagwasm.config.formats.flagd.jsonlogic import MAX_CHAIN
from pyflagwasm.config.formats.flagd.jsonlogic_lower import may_fail
from pyflagwasm.config.model import (
    Apply,
    BlankSlots,
    Choose,
    Constant,
    FirstFalsy,
    FirstTruthy,
    Item,
    Loop,
    Now,
    Path,
    Raise,
    Slot,
    SlotValue,
    Value,
)
from pyflagwasm.config.model import Test as Predicate
from pyflagwasm.errors import ConfigError

LESS = Order.LESS


@pytest.mark.parametrize(
    ("logic", "value"),
    [
        (VAR, SlotValue(A)),
        ({"var": ["a"]}, SlotValue(A)),
        ({"var": "a.b.0"}, SlotValue(Slot("path", ("a", "b", "0")))),
        ({"var": "targetingKey"}, SlotValue(Slot("path", ("targetingKey",)))),
        ({"var": ["a", None]}, SlotValue(A)),
        ({"var": ["a", 3]}, Apply(Op.COALESCE, (SlotValue(A), Constant(3)))),
        ({"var": ["a", {"var": "b"}]}, Apply(Op.COALESCE, (SlotValue(A), SlotValue(B)))),
        ({"var": 1}, NULL),
        ({"var": [1, "x"]}, Constant("x")),
        ({"var": [["a"]]}, SlotValue(A)),
        ({"var": ""}, WHOLE),
        ({"var": []}, WHOLE),
        ({"var": ["", 5]}, WHOLE),
        ({"var": {"var": "b"}}, Apply(Op.LOOKUP, (WHOLE, SlotValue(B)))),
        ({"var": "$flagd.flagKey"}, Constant("f")),
        ({"var": "$flagd.flagKey.length"}, Constant(1)),
        ({"var": "$flagd.flagKey.1"}, NULL),
        ({"var": "$flagd.timestamp"}, Now(TimeUnit.SECOND)),
        ({"var": "$flagd.timestamp.x"}, NULL),
        ({"var": ["$flagd.other", 1]}, Constant(1)),
        ({"var": "$flagd"}, Path(WHOLE, ("$flagd",))),
        ({"var": ["a", 1, 2]}, Raise(ErrorCode.GENERAL, (Constant("a"), Constant(1), Constant(2)))),
        ([1, VAR], Apply(Op.MAKE_LIST, (Constant(1), SlotValue(A)))),
        ([1, {"+": [1, 1]}], Constant([1, 2])),
        ({}, Constant({})),
        ({"a": {"var": "a"}, "b": 1}, Constant({"a": {"var": "a"}, "b": 1})),
        ({"missing": ["a", "b"]}, BlankSlots((("a", A), ("b", B)))),
        ({"missing": "a"}, BlankSlots((("a", A),))),
        ({"missing": [["a"], "b"]}, BlankSlots((("a", A),))),
        ({"missing": ["", "$flagd.flagKey", "$flagd.timestamp", None]}, Constant([])),
        ({"missing": []}, Constant([])),
        ({"missing": ["a", "$flagd.x"]}, Apply(Op.MISSING, (WHOLE, Constant([["a", "$flagd.x"]])))),
        ({"missing": VAR}, Apply(Op.MISSING, (WHOLE, Apply(Op.MAKE_LIST, (SlotValue(A),))))),
        ({"missing_some": [1, ["a"]]}, Apply(Op.MISSING_SOME, (BlankSlots((("a", A),)), Constant(1), Constant(1)))),
        ({"missing_some": [1, "a"]}, Constant([])),
        ({"or": [VAR, {"var": "b"}]}, FirstTruthy((SlotValue(A), SlotValue(B)))),
        ({"or": [0, VAR, 7, {"var": "b"}]}, FirstTruthy((SlotValue(A), Constant(7)))),
        ({"and": [1, VAR, 0, {"nope": 1}]}, FirstFalsy((SlotValue(A), Constant(0)))),
        ({"and": [VAR]}, SlotValue(A)),
        ({"and": []}, NULL),
        ({"or": []}, NULL),
        ({"if": []}, NULL),
        ({"if": [VAR]}, SlotValue(A)),
        ({"if": [VAR, 1]}, Choose(Predicate(Op.TRUTHY, A), Constant(1), NULL)),
        ({"?:": [VAR, 1, 2]}, Choose(Predicate(Op.TRUTHY, A), Constant(1), Constant(2))),
        ({"if": [[], 1, VAR, 2, True, 3, {"nope": 1}]}, Choose(Predicate(Op.TRUTHY, A), Constant(2), Constant(3))),
        ({"log": [VAR, 1]}, SlotValue(A)),
        ({"map": [VAR, {"var": ""}]}, Loop(LoopKind.MAP, SlotValue(A), Item())),
        ({"map": [VAR]}, Loop(LoopKind.MAP, SlotValue(A), NULL)),
        ({"filter": [VAR, {"var": "x.y"}]}, Loop(LoopKind.FILTER, SlotValue(A), Path(Item(), ("x", "y")))),
        ({"all": [VAR, {"var": 0}]}, Loop(LoopKind.ALL, SlotValue(A), Apply(Op.LOOKUP, (Item(), Constant(0))))),
        ({"filter": [{"nope": 1}]}, Constant([])),
        ({"some": []}, Constant(False)),
        ({"none": [VAR]}, Constant(True)),
        ({"map": []}, Constant([])),
        ({"reduce": []}, NULL),
        (
            {"reduce": [VAR, {"+": [{"var": "accumulator.n"}, {"var": "current"}, {"var": "b"}]}, {"var": "b"}]},
            Loop(
                LoopKind.REDUCE,
                SlotValue(A),
                Apply(Op.ADD, (Path(Item(1), ("n",)), Item(0), NULL)),
                Constant({"var": "b"}),
            ),
        ),
        (
            {"reduce": [VAR, {"var": ""}]},
            Loop(LoopKind.REDUCE, SlotValue(A), Item(2), NULL),
        ),
        ({"fractional": []}, NULL),
        ({"nope": [VAR]}, Raise(ErrorCode.PARSE_ERROR, (SlotValue(A),))),
        ({"nope.x": 1}, Raise(ErrorCode.PARSE_ERROR, (Constant(1),))),
        ({"cat.x": 1}, Raise(ErrorCode.GENERAL, (Constant(1),))),
        ({"-": [VAR]}, Apply(Op.SUBTRACT, (SlotValue(A),))),
        ({"<": [1, VAR, None]}, Apply(Op.COMPARE, (Constant(1), SlotValue(A)), LESS)),
        ({"substr": [VAR, 1]}, Apply(Op.SUBSTRING, (SlotValue(A), Constant(1), NULL))),
        ({"==": [VAR]}, Apply(Op.EQUAL, (SlotValue(A), NULL))),
        ({"==": [VAR, 1, {"var": "b"}]}, Apply(Op.EQUAL, (SlotValue(A), Constant(1)))),
        ({"starts_with": [VAR]}, NULL),
        ({"sem_ver": [VAR, "="]}, NULL),
        ({"/": [1, 0]}, Raise(ErrorCode.GENERAL)),
        ({"substr": ["abc", "infinity"]}, Raise(ErrorCode.GENERAL)),
        ({"substr": ["abc", 0, "infinity"]}, Raise(ErrorCode.GENERAL)),
    ],
)
def test_values(logic: Any, value: Value) -> None:
    found = read(logic)
    assert found == value
    assert repr(found) == repr(value)  # true, 1 and 1.0 are equal, but not the same


def test_an_operand_that_is_not_used_is_evaluated_only_for_its_error() -> None:
    assert read({"!": [VAR, {"/": [1, {"var": "b"}]}]}) == Apply(
        Op.TRUTH,
        (
            Path(
                Apply(Op.MAKE_LIST, (SlotValue(A), Apply(Op.DIVIDE, (Constant(1), SlotValue(B))))),
                ("0",),
            ),
        ),
        1,
    )


@pytest.mark.parametrize(
    ("logic", "expected"),
    [
        ({"/": [VAR, 2]}, False),
        ({"/": [VAR, 0]}, True),
        ({"%": [1, VAR]}, True),
        ({"substr": [VAR, 1, 2]}, False),
        ({"substr": [VAR, "infinity"]}, True),
        ({"substr": [VAR, {"var": "b"}]}, True),
        ({"map": [VAR, {"nope": 1}]}, True),
        ({"if": [{"nope": 1}, 1, VAR]}, True),
        ({"cat": [VAR, "x"]}, False),
    ],
)
def test_what_may_fail(logic: Any, expected: bool) -> None:
    assert may_fail(read(logic)) is expected


@pytest.mark.parametrize(
    ("logic", "value"),
    [
        ({"==": [1, "1"]}, True),
        ({"==": [True, "1"]}, True),
        ({"==": [None, 0]}, True),
        ({"==": [None, False]}, True),
        ({"==": [None, ""]}, False),
        ({"==": [[1, 2], "1,2"]}, True),
        ({"==": [[], []]}, False),
        ({"===": [1, 1.0]}, True),
        ({"===": [True, 1]}, True),
        ({"===": [[1], [1]]}, True),
        ({"!==": ["1", 1]}, True),
        ({"!=": [[2], 2]}, False),
        ({"<": ["10", "9"]}, True),
        ({"<": ["10", 9]}, False),
        ({"<": [1, 2, 3]}, True),
        ({"<": [1, 4, 3]}, False),
        ({">=": ["x", None]}, True),
        ({"<=": [None, []]}, True),
        ({"<": ["x", 1]}, False),
        ({"!": [[]]}, True),
        ({"!": []}, True),
        ({"!!": [{}]}, True),
        ({"!!": "0"}, True),
        ({"+": []}, 0),
        ({"+": ["1", True, 2.5]}, 4.5),
        ({"+": [" 1_0 "]}, 10.0),
        ({"-": [3]}, -3),
        ({"-": [5, "2"]}, 3.0),
        ({"*": [2, 3]}, 6),
        ({"*": []}, 1),
        ({"/": [4, 2]}, 2.0),
        ({"%": [-7, 3]}, 2),
        ({"min": [3, "2", True]}, True),
        ({"max": [2, 2.0]}, 2),
        ({"cat": ["a", 1, 1.0, 0.1, True, None, [1, [2]], {}]}, "a110.1Truenull1,2[object Object]"),
        ({"substr": ["jsonlogic", -5]}, "logic"),
        ({"substr": ["jsonlogic", 1, -5]}, "son"),
        ({"substr": ["jsonlogic", 4, 2]}, "lo"),
        ({"substr": ["abc", "x"]}, "abc"),
        ({"substr": ["abc", 0, "x"]}, ""),
        ({"merge": [1, [2, [3]], []]}, [1, 2, [3]]),
        ({"in": ["b", "abc"]}, True),
        ({"in": [1, [True]]}, True),
        ({"in": ["a", {}]}, False),
        ({"starts_with": ["abc", "ab"]}, True),
        ({"ends_with": ["abc", 3]}, None),
        ({"sem_ver": ["v1.2", "=", "1.2.0"]}, True),
        ({"sem_ver": [1, "<", 1.1]}, True),
        ({"sem_ver": ["1.0.0-rc.2", "<", "1.0.0-rc.10"]}, True),
        ({"sem_ver": ["1.0.0-rc", ">", "1.0.0-1"]}, True),
        ({"sem_ver": ["1.2.3+a", "!=", "1.2.3+b"]}, False),
        ({"sem_ver": ["1.9.9", "^", "1.0.0"]}, True),
        ({"sem_ver": ["1.9.9", "~", "1.0.0"]}, False),
        ({"sem_ver": ["01.0.0", "=", "1.0.0"]}, None),
        ({"sem_ver": [True, "=", "1.0.0"]}, None),
        ({"sem_ver": ["1.0.0", "=>", "1.0.0"]}, None),
        ({"*": [2**62, 4]}, float(2**64)),
        (2**70, float(2**70)),
    ],
)
def test_constants_are_folded(logic: Any, value: Any) -> None:
    found = read(logic)
    assert repr(found) == repr(Constant(value))


def test_nan_is_folded() -> None:
    assert repr(read({"min": []})) == "Constant(value=nan)"
    assert read({"!!": {"+": ["x"]}}) == Constant(False)


def test_an_operands_chain_has_one() -> None:
    branches: list[Any] = []
    for _ in range(MAX_CHAIN + 1):
        branches += [VAR, {"var": "b"}]
    assert isinstance(read({"!": [{"if": branches[2:]}]}), Apply)
    with pytest.raises(ConfigError, match=r"^here\[\"!\"\]\[0\]\.if: an operand with more than 64 branches"):
        read({"!": [{"if": branches}]})


def test_a_constant_that_nests_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    assert isinstance(read({"in": [VAR, deep[0]]}), Apply)
    with pytest.raises(ConfigError, match=r"^here\.in\[1\]: .*nests deeper than 16"):
        read({"in": [VAR, {"k": deep, "l": 1}]})
