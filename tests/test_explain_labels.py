"""What labelled conditions came out as, with traces written by hand or walked by the symbolic evaluator."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from models import Models
from symbolic_nodes import Compiled, Walk
from symbolic_trees import Answers, Trees
from traces import GERMAN, KEY, STAFF, VARIANTS, config_of, trace

from pyflagwasm._abi import ErrorCode, Outcome
from pyflagwasm._abi import Reason as Why
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import compile_model
from pyflagwasm.explain import explain, explain_text, label_outcomes
from pyflagwasm.types import EvaluationDetails


def test_labels_of_constants_and_of_outcomes_that_do_not_matter() -> None:
    serve = m.Serve(0, Why.STATIC)
    for condition, outcome, expected in (
        (m.Always(True), None, True),
        (m.Always(False), None, False),
        (m.All(()), None, True),
        (STAFF, Outcome.YES, True),
        (STAFF, Outcome.NO, False),
        (m.Not(STAFF), Outcome.NO, True),
    ):
        for otherwise in (serve, m.Serve(1, Why.STATIC)):
            config = config_of(m.When(m.Labelled(1, m.Labelled(2, condition)), serve, otherwise))
            events = trace(config, *([] if outcome is None else [outcome]))
            assert label_outcomes(config, events) == {1: expected, 2: expected}, (condition, outcome)


def test_labels_in_shared_conditions() -> None:
    config = config_of(
        m.When(m.Labelled(1, m.Not(m.Shared("german"))), m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)),
        german=m.Labelled(2, GERMAN),
    )
    assert label_outcomes(config, trace(config, Outcome.YES)) == {1: False, 2: True}
    assert label_outcomes(config, trace(config, Outcome.NO)) == {1: True, 2: False}


def test_conditions_that_were_not_reached_have_no_outcome() -> None:
    either = m.AnyOf((m.Labelled(1, STAFF), m.Labelled(2, GERMAN)))
    config = config_of(m.When(either, m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)))
    assert label_outcomes(config, trace(config, Outcome.YES)) == {1: True}
    assert label_outcomes(config, trace(config, Outcome.NO, Outcome.NO)) == {1: False, 2: False}


def test_a_label_is_of_its_own_condition_and_flag_only() -> None:
    on, off = m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)
    programs = (
        m.When(m.Labelled(1, STAFF), on, off),
        m.When(m.Labelled(1, m.Not(STAFF)), off, on),
        m.When(STAFF, on, off),
    )
    flags = tuple(m.Flag(f"flag-{i}", VARIANTS, i) for i in range(3))
    config = compile_model(m.Model("test", flags, programs))
    outcomes = []
    for flag in range(3):
        walk = Walk(Compiled(config), Answers(1))
        decision = walk.decide(flag)
        outcomes.append((decision[1], label_outcomes(config, walk.events)))
    assert outcomes in (
        [(0, {1: True}), (0, {1: False}), (0, {})],
        [(1, {1: False}), (1, {1: True}), (1, {})],
    )


def test_a_node_inside_is_no_exit() -> None:
    on, off = m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)
    rollout = m.InRollout(m.Bucket((KEY,)), ())
    useless = m.When(rollout, off, off)
    config = config_of(m.When(m.Labelled(1, m.AnyOf((STAFF, m.All((rollout, m.Always(False)))))), useless, off))
    assert label_outcomes(config, trace(config, Outcome.NO, Outcome.YES)) == {1: False}
    assert label_outcomes(config, trace(config, Outcome.YES, Outcome.YES)) == {1: True}
    failing = config_of(
        m.When(m.Labelled(1, m.Shared("failing")), m.Fail(ErrorCode.GENERAL), on),
        failing=m.Truth(m.Raise(ErrorCode.GENERAL)),
    )
    assert label_outcomes(failing, trace(failing)) == {}


def test_a_label_costs_no_node() -> None:
    on, off = m.Serve(0, Why.STATIC), m.Serve(1, Why.STATIC)
    config = config_of(m.When(m.Labelled(1, STAFF), on, off, unknown=on))
    assert len(config.origins.ops) == 3


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_labels_of_random_models_are_what_the_conditions_came_out_as(seed: int) -> None:
    model = Models(Random(seed)).model()
    config = compile_model(model)
    read = Compiled(config)
    for flag in range(len(model.flags)):
        for world in range(8):
            trees, walk = Trees(model, Answers(world)), Walk(read, Answers(world))
            trees.decide(flag), walk.decide(flag)
            assert label_outcomes(config, walk.events) == trees.labels
            sent = [m.MISSING] * len(config.slots)
            decision = EvaluationDetails("flag", None)
            explanation = explain(config, config.flags[f"flag-{flag}"], walk.events, decision, sent)
            assert [section.decides for section in explanation.sections] == [
                *[False] * (len(explanation.sections) - 1),
                True,
            ]
            assert explain_text(explanation).startswith("flag: the caller's default\nreason: UNKNOWN\n\n")
