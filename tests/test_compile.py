"""The compiler: what trees become, read back through flatc's own readers, and that random trees keep their meaning.

What it refuses is in test_compile_refusals.py.
"""

from __future__ import annotations

import hashlib
import math
import struct
import subprocess
import sys
import time
from random import Random
from typing import Any

import pytest
from fbs_generated.Config import Config
from graph_checks import check_heights, slots_below, targets
from hypothesis import given, settings
from hypothesis import strategies as st
from models import COUNTRY, EMAIL, KEY, OFF, ON, Models, compiled, model_of, text_in, when
from symbolic_nodes import Compiled, Node, Walk
from symbolic_trees import Answers, Trees

from pyflagwasm import _abi
from pyflagwasm._abi import ErrorCode, Kind, Op, Reason, Space
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import compile_model
from pyflagwasm.errors import ConfigError


def nodes(*programs: m.Action, **shared: m.Condition) -> list[Node]:
    return Compiled(compiled(*programs, **shared)).nodes


def ops(found: list[Node]) -> list[str]:
    return [node.op.name for node in found]


# ---------------------------------------------------------------- the FlatBuffer


def test_the_root_table_reads_back() -> None:
    config = compiled(when(text_in(EMAIL, "a")))
    assert Config.ConfigBufferHasIdentifier(config.ir, 0)
    root = Config.GetRootAs(config.ir)
    assert root.Fingerprint() == _abi.FINGERPRINT
    assert root.SlotCount() == 1
    assert (root.FlagsLength(), root.Flags(0).VariantCount()) == (1, 2)
    assert config.digest == hashlib.sha256(config.ir).hexdigest()


def test_an_empty_model_compiles() -> None:
    config = compiled()
    root = Config.GetRootAs(config.ir)
    assert (root.FlagsLength(), root.NodesLength(), root.SlotCount(), config.template) == (0, 0, 0, b"")
    assert not any(field(root) for field in (Config.ValuesIsNone, Config.HeapIsNone, Config.SegmentsIsNone))


@pytest.mark.parametrize("count", range(1, 5))
def test_vectors_begin_at_multiples_of_eight(count: int) -> None:
    texts = tuple("x" * i for i in range(count))
    split = m.SplitBy(m.Bucket(("salt", KEY)), ((2**31, ON),), OFF, OFF)
    rollout = m.InRollout(m.Bucket((KEY,)), (m.Segment(0, 0.0, 1.0, 0.5, 0.5),) * count)
    root = Config.GetRootAs(compiled(m.When(m.AnyOf((text_in(EMAIL, *texts), rollout)), ON, split)).ir)
    for field in range(2, len(_abi.CONFIG_FIELDS)):
        offset = root._tab.Offset(4 + 2 * field)
        assert root._tab.Vector(offset) % 8 == 0, _abi.CONFIG_FIELDS[field]


def test_compiling_the_same_model_twice_gives_the_same_bytes() -> None:
    first, second = (compile_model(Models(Random(5)).model()) for _ in range(2))
    assert first.ir == second.ir
    assert first.digest == second.digest


def test_importing_the_compiler_does_not_import_flatbuffers() -> None:
    program = "import sys, pyflagwasm.config.compile; sys.exit('flatbuffers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ---------------------------------------------------------------- constants


def test_constants_keep_their_types() -> None:
    values: tuple[Any, ...] = (
        True,
        1,
        1.0,
        0.0,
        -0.0,
        None,
        math.nan,
        2**63,
        -(2**63),
        "",
        "text",
        [1, ["a", {}]],
        {"k": {"l": []}},
    )
    read = Compiled(compiled(when(m.Test(Op.IN_CONST, EMAIL, values))))
    assert repr(read.values) == repr([*values[:7], float(2**63), *values[8:]])


def test_equal_constants_and_texts_are_stored_once() -> None:
    first, second = m.AnyOf((text_in(EMAIL, "a", "b"), text_in(COUNTRY, "a", "b"))), text_in(COUNTRY, "b")
    read = Compiled(compiled(when(first), when(second)))
    assert read.values == ["a", "b", "b"]
    assert sorted(read.heap) == sorted(b"ab")


def test_lists_that_look_alike_are_two() -> None:
    def test(value: Any) -> m.Condition:
        return m.Test(Op.EQUAL_CONST, EMAIL, (value,))

    empty: list[Any] = []
    root = Config.GetRootAs(compiled(when(m.AnyOf((test(empty), test([]), m.Not(test(empty)))))).ir)
    places = [root.Values(i).Bits() for i in range(root.ValuesLength())]
    assert len(places) == len(set(places)) == 2


def test_texts_are_sorted_only_if_there_are_many() -> None:
    few, many = tuple("hgfedcba"), ("\U00010000", "\uffff", *"gfedcbaa", "\u00e9")
    first, second = nodes(when(m.All((text_in(EMAIL, *few), text_in(COUNTRY, *many)))))[:2]
    assert (first.flags, first.b) == (0, 8)
    read = Compiled(compiled(when(text_in(COUNTRY, *many))))
    assert read.values == ["a", "b", "c", "d", "e", "f", "g", "\u00e9", "\uffff", "\U00010000"]
    assert (second.flags, second.b) == (1, 10)


def test_constants_that_can_never_match_are_left_out() -> None:
    mixed = ("b", "a", 1, 2.5, True, None, 4, 5, 6)
    for op, expected in (
        (Op.TEXT_IN, ["b", "a"]),
        (Op.TEXT_PREFIX, ["b", "a"]),
        (Op.NUMBER_COMPARE, [1, 2.5, 4, 5, 6]),
    ):
        read = Compiled(compiled(when(m.Test(op, EMAIL, mixed, flags=1))))
        assert (read.values, read.nodes[0].b) == (expected, len(expected))


def test_a_rollout_with_segments_that_begin_together_has_the_last_one() -> None:
    segments = tuple(m.Segment(start, 0.0, 1.0, p, p) for start, p in ((0, 0.1), (5, 0.2), (5, 0.3), (7, 0.4)))
    root = Config.GetRootAs(compiled(when(m.InRollout(m.Bucket((KEY,)), segments))).ir)
    assert root.Nodes(0).Slot() == root.SegmentsLength() == 3
    assert [(root.Segments(i).FromMs(), root.Segments(i).P0()) for i in range(3)] == [(0, 0.1), (5, 0.3), (7, 0.4)]


def test_a_bucket_of_nothing_hashes_the_empty_text() -> None:
    assert Compiled(compiled(when(m.InRollout(m.Bucket(()), ())))).buckets[0][0] == [b""]


# ---------------------------------------------------------------- slots


def test_the_template_has_the_defaults() -> None:
    slots = (EMAIL, m.Slot("path", ("a",), "default"), m.Slot("path", ("a",), 7), m.Slot("path", ("a",), None))
    config = compiled(when(m.AnyOf(tuple(text_in(slot, "x") for slot in slots))))
    found = [struct.unpack_from("<BBHIQ", config.template, 16 * i) for i in range(4)]
    by_slot = dict(zip((slot.default for slot in config.slots), found, strict=True))
    assert len(config.template) == 64
    assert by_slot[m.MISSING] == (0, 0, 0, 0, 0)
    assert by_slot[7] == (Kind.INT, 0, 0, 0, 7)
    assert by_slot[None] == (Kind.NULL, 0, 0, 0, 0)
    kind, space, _, length, at = by_slot["default"]
    assert (kind, space) == (Kind.TEXT, Space.CONFIG)
    assert Compiled(config).heap[at : at + length] == b"default"


def test_defaults_of_different_types_are_different_slots() -> None:
    defaults = (True, 1, 1.0, "1", m.MISSING, None, 0.0, -0.0)
    slots = tuple(m.Slot("path", ("a",), default) for default in (*defaults, *defaults))
    assert len(compiled(when(m.All(tuple(text_in(slot, "x") for slot in slots)))).slots) == len(defaults)


def test_an_entry_knows_what_its_program_reads() -> None:
    split = m.SplitBy(m.Bucket((KEY, "x")), ((5, when(text_in(COUNTRY, "DE"))),), OFF, OFF)
    named = m.ServeNamed(m.Fractional((), "flag", EMAIL), ("on",), Reason.SPLIT, OFF, OFF)
    rollout = m.InRollout(m.Bucket((KEY,)), (m.Segment(0, 0.0, 1.0, 1.0, 1.0),))
    config = compiled(
        ON,
        split,
        when(m.Shared("eu")),
        named,
        when(m.NowAtLeast(5)),
        when(rollout),
        when(m.Truth(m.Now(_abi.TimeUnit.SECOND))),
        eu=text_in(COUNTRY, "FR"),
    )
    read = [{config.slots[i] for i in entry.slots} for entry in config.flags.values()]
    assert read == [set(), {KEY, COUNTRY}, {COUNTRY}, {EMAIL}, set(), {KEY}, set()]
    assert [entry.reads_now for entry in config.flags.values()] == [False, False, False, False, True, True, True]
    assert [entry.constant for entry in config.flags.values()] == [True, *[False] * 6]
    assert config.reads_now
    assert not compiled(ON).reads_now
    assert [entry.index for entry in config.flags.values()] == list(range(7))


# ---------------------------------------------------------------- lowering


def test_two_valued_conditions_stay_linear() -> None:
    tests = tuple(text_in(EMAIL, str(i)) for i in range(20))
    assert ops(nodes(when(m.All(tests)))) == ["TEXT_IN"] * 20 + ["DECIDE"] * 2


def test_an_item_after_an_unknown_one_may_still_be_false() -> None:
    items = (text_in(EMAIL, "a", unknown=None), text_in(COUNTRY, "b"))
    found = nodes(m.When(m.All(items), ON, OFF, m.Serve(None, Reason.UNKNOWN)))
    assert ops(found) == ["TEXT_IN"] * 3 + ["DECIDE"] * 3
    sure = found[found[0].yes]
    doubtful = found[found[0].unknown]
    assert found[sure.no] == found[doubtful.no] == found[found[0].no]
    assert found[sure.yes].flags == Reason.TARGETING_MATCH
    assert found[doubtful.yes].flags == Reason.UNKNOWN


def test_unknown_that_counts_as_false_costs_nothing() -> None:
    tests = tuple(text_in(EMAIL, str(i), unknown=None) for i in range(20))
    assert len(nodes(when(m.All(tests)))) == 22


def test_equal_nodes_are_one() -> None:
    once, twice = nodes(when(text_in(EMAIL, "a"))), nodes(when(text_in(EMAIL, "a")), when(text_in(EMAIL, "a")))
    assert once == twice


def test_rules_are_kept_apart() -> None:
    config = compiled(m.Rule(0, "beta", ON), m.Rule(0, "staff", ON), m.Rule(1, "beta", ON))
    read = Compiled(config)
    assert [node.b for node in read.nodes] == [1, 0, 0]
    assert [config.origins.titles[rule] for rule in config.origins.rules] == [(1, "beta"), (0, "staff"), (0, "beta")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (m.SlotValue(EMAIL), ["TRUTHY"]),
        (m.Constant({}), []),
        (m.Apply(Op.TRUTH, (m.SlotValue(EMAIL),), 1), ["TRUTHY"]),
        (m.FirstTruthy((m.SlotValue(EMAIL), m.SlotValue(COUNTRY))), ["TRUTHY"] * 2),
        (m.FirstFalsy((m.SlotValue(EMAIL), m.SlotValue(COUNTRY))), ["TRUTHY"] * 2),
        (m.Choose(text_in(EMAIL, "a"), m.SlotValue(EMAIL), m.Constant(0)), ["TEXT_IN", "TRUTHY"]),
        (m.BlankSlots((("email", EMAIL),)), ["PUSH_SLOT", "BRANCH_BLANK"]),
        (m.Apply(Op.ADD, (m.SlotValue(EMAIL), m.Constant(1))), ["PUSH_SLOT", "PUSH_CONST", "ADD", "BRANCH_TRUTHY"]),
    ],
)  # fmt: skip
def test_truth_needs_the_stack_only_for_what_is_computed(value: m.Value, expected: list[str]) -> None:
    found = nodes(when(m.Truth(value)))
    entry = Config.GetRootAs(compiled(when(m.Truth(value))).ir).Flags(0).Entry()
    assert ops(found[entry:])[: len(expected)] == expected
    assert set(ops(found[entry + len(expected) :])) == {"DECIDE"}


@pytest.mark.parametrize("constant", [None, False, 0, -0.0, math.nan, "", []])
def test_falsy_constants(constant: Any) -> None:
    config = compiled(when(m.Truth(m.Constant(constant))))
    assert Walk(Compiled(config), Answers(0)).decide(0) == ("decide", 1, None, Reason.DEFAULT)


def test_a_labelled_constant_is_a_jump_of_its_own() -> None:
    config = compiled(when(m.Labelled(7, m.Always())))
    assert ops(Compiled(config).nodes) == ["JUMP", "DECIDE", "DECIDE"]
    assert [label.label for label in config.origins.labels[0]] == [7]


def test_subroutines_lie_behind_their_callers() -> None:
    shared = {"outer": m.Not(m.Shared("inner")), "inner": text_in(EMAIL, "a", unknown=None)}
    found = nodes(when(m.Shared("outer")), **shared)
    assert ops(found) == ["CALL", "DECIDE", "DECIDE", "CALL", "TEXT_IN", "RETURN", "RETURN", "RETURN"]
    calls = [node for node in found if node.op is Op.CALL]
    assert [found[call.a].op for call in calls] == [Op.CALL, Op.TEXT_IN]


def test_a_shared_condition_that_is_never_unknown_does_not_lead_there() -> None:
    program = m.When(m.Shared("german"), ON, OFF, unknown=m.FallThrough())
    assert compiled(program, german=text_in(COUNTRY, "DE"))
    with pytest.raises(ConfigError):
        compiled(program, german=text_in(COUNTRY, "DE", unknown=None))


def test_long_chains_of_else_if_do_not_nest() -> None:
    action: m.Action = OFF
    value: m.Value = m.Constant("off")
    for i in range(3000):
        action = m.When(text_in(EMAIL, str(i)), ON, action)
        value = m.Choose(text_in(EMAIL, str(i)), m.Constant("on"), value)
    assert len(nodes(action)) == 3002
    assert len(nodes(m.ServeNamed(value, ("on", "off"), Reason.TARGETING_MATCH, OFF, OFF))) == 3004


def test_unreachable_ends_are_no_falling_through() -> None:
    config = compiled(m.When(m.Always(), ON))
    assert Walk(Compiled(config), Answers(0)).decide(0) == ("decide", 0, None, Reason.TARGETING_MATCH)


# ---------------------------------------------------------------- random models


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_random_models_mean_the_same_compiled(seed: int) -> None:
    model = Models(Random(seed)).model()
    read = Compiled(compile_model(model))
    for flag in range(len(model.flags)):
        for world in range(8):
            trees, walk = Trees(model, Answers(world)), Walk(read, Answers(world))
            assert walk.decide(flag) == trees.decide(flag)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_random_models_have_sound_graphs(seed: int) -> None:
    config = compile_model(Models(Random(seed)).model())
    read = Compiled(config)
    for number, node in enumerate(read.nodes):
        assert all(number < target < len(read.nodes) for target in targets(node, read)), (number, node)
    for entry in config.flags.values():
        start = read.config.Flags(entry.index).Entry()
        assert slots_below(start, read) <= set(entry.slots)
        check_heights(start, read)
    for node in read.nodes:
        if node.op is Op.CALL:
            check_heights(node.a, read)


@pytest.mark.parametrize("count", [1_000])
def test_a_thousand_flags_compile_quickly(count: int) -> None:
    def program(number: int) -> m.Action:
        tests = m.All((text_in(EMAIL, "a", str(number)), m.Test(Op.NUMBER_COMPARE, COUNTRY, (number,), flags=4)))
        return m.Steps((m.Rule(0, "first", m.When(tests, ON)), m.Rule(1, "second", m.Fail(ErrorCode.GENERAL))))

    model = model_of(*map(program, range(count)))
    best = min(timed(model) for _ in range(3))
    assert best < 0.5  # some ten times what it takes on a quiet machine


def timed(model: m.Model) -> float:
    started = time.perf_counter()
    compile_model(model)
    return time.perf_counter() - started
