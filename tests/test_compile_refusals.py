"""What the compiler refuses and where it says so, whatever the depth and size."""

from __future__ import annotations

from typing import Any

import pytest
from models import EMAIL, KEY, OFF, ON, VARIANTS, compiled, model_of, text_in, when

from pyflagwasm import _abi
from pyflagwasm._abi import ErrorCode, HashAlgorithm, LoopKind, Op, Reason
from pyflagwasm.config import graph
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.lower_values import MAX_NESTING
from pyflagwasm.errors import ConfigError


def nested(depth: int) -> m.Condition:
    condition: m.Condition = text_in(EMAIL, "a")
    for _ in range(depth):
        condition = m.Not(condition)
    return condition


def nested_value(depth: int) -> m.Value:
    value: m.Value = m.SlotValue(EMAIL)
    for _ in range(depth):
        value = m.Choose(m.Truth(m.Apply(Op.ADD, (value,))), m.Constant(1), m.Constant(2))
    return value


def nested_constant(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


TOO_DEEP = f"rules nest deeper than {MAX_NESTING} levels"
SURROGATE = "the text '\\ud800' has a lone surrogate, which UTF-8 cannot express"
LATE_FIRST = (m.Segment(2, 0.0, 1.0, 1.0, 1.0), m.Segment(1, 0.0, 1.0, 1.0, 1.0))
FALLS = "rules can end without a decision"


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        (m.FallThrough(), FALLS),
        (m.Steps(()), FALLS),
        (m.When(text_in(EMAIL, "a"), ON), FALLS),
        (m.Rule(0, "rule", m.When(text_in(EMAIL, "a"), ON)), FALLS),
        (m.SplitBy(m.Bucket((KEY,)), ((5, m.FallThrough()),), ON, ON), FALLS),
        (m.Serve(2, Reason.STATIC), "rules serve variant 2, but there are 2 variants"),
        (m.Serve(-1, Reason.STATIC), "variant -1 has a number outside of 0 .. 65534"),
        (
            m.ServeNamed(m.Constant("x"), ("a", "b", "c"), Reason.STATIC, ON, ON),
            "rules serve variant 2, but there are 2 variants",
        ),
        (m.Rule(65535, "last", ON), "rule 65535 ('last') has a number outside of 0 .. 65534"),
        (when(m.Shared("nobody")), "refers to the shared condition 'nobody', which does not exist"),
        (when(text_in(EMAIL, "\ud800")), SURROGATE),
        (when(text_in(m.Slot("path", ("a",), "\ud800"), "a")), SURROGATE),
        (when(m.InRollout(m.Bucket(("\ud800",)), ())), SURROGATE),
        (m.ServeNamed(m.Constant("x"), ("\ud800",), Reason.STATIC, ON, ON), SURROGATE),
        (when(m.Test(Op.IN_CONST, EMAIL, (10**400,))), "an integer is too large for a double"),
        (when(m.Test(Op.IN_CONST, EMAIL, (object,))), "type is not a JSON value"),
        (when(m.Test(Op.IN_CONST, EMAIL, ({1: 2},))), "1 is not a text and cannot be the key of an object"),
        (when(m.Test(Op.IN_CONST, EMAIL, (nested_constant(17),))), "a constant nests deeper than 16 lists and objects"),
        (when(m.Test(Op.IN_CONST, EMAIL, (m.MISSING,))), "Missing is not a JSON value"),
        (when(m.Test(Op.NUMBER_COMPARE, EMAIL, (1,))), "NUMBER_COMPARE does not take the flags 0x0"),
        (when(m.Test(Op.EQUAL_CONST, EMAIL, (1,), flags=2)), "EQUAL_CONST does not take the flags 0x2"),
        (when(m.Test(Op.VERSION, EMAIL, ("1",))), "VERSION does not take the flags 0x0"),
        (when(m.Test(Op.VERSION, EMAIL, ("1",), flags=0x62)), "VERSION does not take the flags 0x62"),
        (when(m.Test(Op.VERSION, EMAIL, ("1",), flags=0x12, extra=1)), "VERSION does not take the flags 0x12"),
        (when(m.Test(Op.IN_NETWORK, EMAIL, ("10.0.0.0/8",))), "IN_NETWORK takes bytes"),
        (
            when(m.Test(Op.IN_NETWORK, EMAIL, (b"\4\10\n",))),
            "IN_NETWORK takes version, length of the prefix and address of networks",
        ),
        (when(m.Test(Op.TIME_COMPARE, EMAIL, (1,), flags=1)), "TIME_COMPARE takes seconds and nanoseconds"),
        (when(m.InRanges(m.Bucket((KEY,), modulus=0), ())), "a bucket has the modulus 0, outside of 1 .. 2**32 - 1"),
        (
            when(m.InRanges(m.Bucket((KEY,), algorithm=HashAlgorithm.FNV1A), ())),
            "FNV1A does not hash UTF8",
        ),
        (when(m.Serves(7, frozenset({0}))), "refers to program 7, which does not exist"),
        (when(m.Serves(1, frozenset({0}))), "flags that require each other form a circle"),
        (when(m.Test(Op.VERSION, EMAIL, (1,), flags=2)), "VERSION compares with texts only"),
        (when(m.Truth(m.Apply(Op.COMPARE, (m.Constant(1),) * 2))), "COMPARE does not take the flags 0x0"),
        (when(m.InRollout(m.Bucket((KEY,)), LATE_FIRST)), "the percentages of a rollout are not in the order of time"),
        (m.Serve(0, Reason.ERROR), "a variant is served with the reason ERROR, which belongs to failures"),
        (m.Fail(ErrorCode.NONE), "a failure needs an error code"),
        (when(m.Test(Op.ADD, EMAIL)), "ADD is not a predicate on a slot"),
        (when(m.Test(Op.EQUAL_CONST, EMAIL, (1, 2))), "EQUAL_CONST compares with one constant, not with 2"),
        (when(m.Truth(m.Apply(Op.DIVIDE, (m.Constant(1),)))), "DIVIDE cannot be applied to 1 values"),
        (when(m.Truth(m.Apply(Op.PUSH_CONST, ()))), "PUSH_CONST cannot be applied to 0 values"),
        (when(m.Truth(m.FirstTruthy(()))), "the first of no values"),
        (
            when(m.Truth(m.Loop(LoopKind.REDUCE, m.SlotValue(EMAIL), m.Item()))),
            "reduce needs an initial value, and no other loop has one",
        ),
        (
            m.SplitBy(m.Bucket((KEY,)), ((2**32 + 1, ON),), ON, ON),
            "a split ends a cut at 4294967297, outside of 0 .. 4294967296",
        ),
        (
            when(m.Test(Op.NUMBER_COMPARE, EMAIL, (1,) * 65536, flags=1)),
            "a condition or split has 65536 constants or parts, 65535 are allowed",
        ),
        (when(nested(MAX_NESTING)), TOO_DEEP),
        (when(m.Truth(nested_value(MAX_NESTING))), TOO_DEEP),
    ],
)  # fmt: skip
def test_a_refusal_names_the_flag(program: m.Action, detail: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(ON, program)
    assert (caught.value.path, caught.value.detail) == ("flag-1", detail)


def test_limits_can_be_reached() -> None:
    assert compiled(when(nested(MAX_NESTING - 3)))
    assert compiled(when(m.Test(Op.IN_CONST, EMAIL, (nested_constant(16),))))
    assert compiled(m.Rule(65534, "last", ON))


@pytest.mark.parametrize("depth", [5_000, 50_000])
def test_no_depth_is_a_recursion_error(depth: int) -> None:
    labelled: m.Condition = text_in(EMAIL, "a", unknown=None)
    for i in range(depth):
        labelled = m.All((m.Labelled(i, labelled),))
    for condition in (nested(depth), labelled):
        with pytest.raises(ConfigError) as caught:
            compiled(when(condition))
        assert caught.value.path == "flag-0"
    with pytest.raises(ConfigError) as caught:
        compiled(ON, deep=nested(depth))
    assert caught.value.path == "$"


@pytest.mark.parametrize(
    ("shared", "detail"),
    [
        ({"a": m.Shared("a")}, "shared conditions refer to each other in a circle: 'a' -> 'a'"),
        (
            {"a": m.Truth(m.Choose(m.Shared("b"), m.Constant(1), m.Constant(2))), "b": m.Not(m.Shared("a"))},
            "shared conditions refer to each other in a circle: 'a' -> 'b' -> 'a'",
        ),
        ({"a": m.All((m.Shared("c"),))}, "the shared condition 'a' refers to 'c', which does not exist"),
    ],
)
def test_shared_conditions_must_be_a_tree(shared: dict[str, m.Condition], detail: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compiled(ON, **shared)
    assert caught.value.path == "$"
    assert caught.value.detail in (detail, detail.replace("'a'", "x").replace("'b'", "'a'").replace("x", "'b'"))


def refused(model: m.Model) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        compile_model(model)
    return caught.value.path, caught.value.detail


def test_limits_of_the_layout() -> None:
    slots = [when(text_in(m.Slot("path", (str(i),)), "a")) for i in range(_abi.LIMITS_MAX_SLOTS + 1)]
    assert refused(model_of(*slots)) == ("$", "2049 attributes that rules read; 2048 are allowed")
    assert compiled(*slots[:-1])
    flag = m.Flag("many", (VARIANTS[0],) * 65536, 0)
    assert refused(m.Model("test", (flag,), (ON,))) == ("many", "65536 variants; 65535 are allowed")
    flags = tuple(m.Flag(str(i), VARIANTS, 0) for i in range(65536))
    assert refused(m.Model("test", flags, (ON,))) == ("$", "65536 flags; 65535 are allowed")
    assert len(compile_model(m.Model("test", flags[:-1], (ON,))).flags) == 65535
    path, detail = refused(model_of(when(text_in(EMAIL, "x" * _abi.LIMITS_MAX_CONFIG))))
    assert path == "$"
    assert detail.endswith("bytes of compiled configuration; 5242880 are allowed")


def test_flags_must_be_sound() -> None:
    assert refused(m.Model("test", (m.Flag("a", VARIANTS, 1),), (ON,))) == ("a", "program 1 does not exist")
    twice = (m.Flag("a", VARIANTS, 0), m.Flag("a", VARIANTS, 0))
    assert refused(m.Model("test", twice, (ON,))) == ("a", "there are two flags of this key")
    few = (m.Flag("a", VARIANTS, 0), m.Flag("b", VARIANTS[:1], 0))
    assert refused(m.Model("test", few, (OFF,))) == ("b", "rules serve variant 1, but there are 1 variants")


def test_a_tree_that_doubles_with_each_level_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rollouts may be Unknown and may not be left out: alternating, nested ones need two chains at each level."""
    monkeypatch.setattr(graph, "_MAX_WORK", 10_000)

    def rollout(number: int) -> m.Condition:
        return m.InRollout(m.Bucket((KEY, str(number))), (), None)

    condition = rollout(0)
    for level in range(100):
        items = (rollout(2 * level), condition, rollout(2 * level + 1))
        condition = m.All(items) if level % 2 else m.AnyOf(items)
    assert refused(model_of(when(condition))) == ("flag-0", "the rules need more than 10000 nodes")
    assert compiled(*[when(text_in(EMAIL, str(i))) for i in range(10_001)])  # the limit is one of a single program


def test_falling_through_is_not_failing() -> None:
    failing = m.Fail(ErrorCode.GENERAL)
    assert refused(model_of(failing, m.FallThrough())) == ("flag-1", FALLS)
    assert compiled(m.When(m.Always(), ON), failing)
