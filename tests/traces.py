"""Traces written by hand, for tests of explanations: one flag, a few conditions, and what the guest would report."""

from __future__ import annotations

from symbolic_nodes import Compiled

from pyflagwasm._abi import Op, Outcome
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.explain import Event

EMAIL, COUNTRY, KEY = m.Slot("path", ("user", "email")), m.Slot("path", ("country",)), m.Slot("targeting_key")
VARIANTS = (m.Variant("on", True), m.Variant("off", False))
STAFF = m.Test(Op.TEXT_SUFFIX, EMAIL, ("@corp.com",))
GERMAN = m.Test(Op.TEXT_IN, COUNTRY, ("DE", "AT"))


def config_of(program: m.Action, details: m.DetailsTree | None = None, **shared: m.Condition) -> CompiledConfig:
    return compile_model(m.Model("test", (m.Flag("checkout", VARIANTS, 0),), (program,), shared, details=details))


def trace(config: CompiledConfig, *outcomes: int, hashed: int = 0) -> list[Event]:
    """The trace of the first flag if its predicates come out as `outcomes`; a Split goes by `hashed`."""
    read, answers = Compiled(config), list(outcomes)
    at, calls = read.config.Flags(0).Entry(), []
    events: list[Event] = []
    while True:
        node, outcome, bits = read.nodes[at], Outcome.NEXT, 0
        following = node.yes
        if node.op is Op.CALL:
            calls.append(node)
            following = node.a
        elif node.op is Op.RETURN:
            call = calls.pop()
            following = (call.no, call.yes, call.unknown)[node.flags]
        elif node.op is Op.SPLIT and answers[:1] != [Outcome.UNKNOWN]:
            bounds = read.bounds[node.b : node.b + node.slot]
            following = next((target for upper, target in bounds if hashed < upper), node.no)
            outcome, bits = (Outcome.NO if following == node.no else Outcome.YES), hashed
        elif node.op in (Op.DECIDE, Op.FAIL):
            outcome = Outcome.DECIDED
        elif node.no:
            outcome = Outcome(answers.pop(0))
            following, bits = (node.no, node.yes, node.unknown)[outcome], hashed
        events.append((at, outcome, 0, bits))
        if outcome == Outcome.DECIDED:
            return events
        at = following
