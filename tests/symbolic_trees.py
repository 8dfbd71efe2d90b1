"""An evaluator of the model's trees that knows nothing of predicates, numbers or texts; symbolic_nodes.py is its twin.

What a predicate or an operation yields is a made-up answer that depends on its operands alone, the same for both. So
they agree if the compiler kept order, targets, policies, rules and operands. A value is a nested tuple that says how it
came about.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

from pyflagwasm._abi import LoopKind, Op
from pyflagwasm.config import model as m
from pyflagwasm.config.constants import truthy

NO_RULE = None
Symbol = tuple[Any, ...]


class Answers:
    """The made-up answers; another `seed`, other answers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def below(self, limit: int, *question: object) -> int:
        return zlib.crc32(repr((self._seed, question)).encode()) % limit

    def outcome(self, *question: object) -> bool | None:
        return (False, True, None)[self.below(3, *question)]

    def bucket(self, *question: Any) -> int | None:
        (*_, modulus) = question[0]
        return None if self.below(4, question) == 0 else self.below(modulus or 2**32, *question)

    def truthy(self, value: Symbol) -> bool:
        match value:
            case ("constant", constant):
                return truthy(constant)
            case ("bool", holds):
                return bool(holds)
            case ("list", members):
                return bool(members)
            case _:
                return bool(self.below(2, "truthy", value))

    def blank(self, slot: str) -> bool:
        return bool(self.below(2, "blank", slot))

    def applied(self, op: Op, flags: int, args: tuple[Symbol, ...]) -> Symbol:
        if op is Op.TRUTH:
            return "bool", self.truthy(args[0]) != bool(flags & 1)
        return op.name, flags, args

    def count(self, items: Symbol) -> int:
        return self.below(3, "count", items)


def nothing_of(kind: LoopKind, initial: Symbol | None) -> Symbol:
    return ("nothing", kind.name) if initial is None else initial


def looped(kind: LoopKind, results: list[Symbol]) -> Symbol:
    return results[-1] if kind is LoopKind.REDUCE else ("loop", kind.name, tuple(results))


def slot_name(slot: m.Slot) -> str:
    return f"{slot.view} {slot.args} {slot.default!r}"


def test_question(op: Op, slot: str, constants: Iterable[Any], flags: int, mask: int, extra: int) -> Symbol:
    texts = sorted(set(map(repr, constants))) if op is Op.TEXT_IN else list(map(repr, constants))
    return op.name, slot, texts, 0 if op is Op.TEXT_IN else int(flags), mask, extra


class Failed(Exception):
    """Evaluation ends with an error: code, rule."""


class Trees:
    """Evaluates programs of a model. `labels` has what labelled conditions evaluated to."""

    def __init__(self, model: m.Model, answers: Answers) -> None:
        self.model, self.answers = model, answers
        self.labels: dict[int, bool] = {}
        self.items: list[tuple[Symbol, Symbol | None]] = []
        self.rule: int | None = NO_RULE
        self.asked = 0

    def decide(self, program: int) -> Symbol:
        try:
            decision = self.action(self.model.programs[program])
        except Failed as failed:
            return "fail", *failed.args
        assert decision is not None
        return decision

    def action(self, action: m.Action) -> Symbol | None:
        match action:
            case m.Serve():
                return "decide", action.variant, self.rule, action.reason
            case m.Fail() if self.asked:
                return "fail", None
            case m.Fail():
                raise Failed(action.error, self.rule)
            case m.FallThrough():
                return None
            case m.When():
                holds = self.condition(action.condition)
                if holds is None and action.unknown is not None:
                    return self.action(action.unknown)
                return self.action(action.then if holds else action.otherwise)
            case m.SplitBy():
                hashed = self.bucket(action.bucket)
                if hashed is None:
                    return self.action(action.unknown)
                return self.action(next((then for upper, then in action.cuts if hashed < upper), action.miss))
            case m.ServeNamed():
                value = self.value(action.value)
                answer = self.answers.below(2 + len(action.names), "named", value)
                if answer < 2:
                    return self.action(action.on_other if answer else action.on_null)
                return "decide", answer - 2, None, action.reason
            case m.Steps():
                return next((found for step in action.items if (found := self.action(step)) is not None), None)
            case m.Rule():
                outer, self.rule = self.rule, action.index
                decision = self.action(action.action)
                self.rule = outer
                return decision
        raise AssertionError(action)

    def condition(self, condition: m.Condition) -> bool | None:
        match condition:
            case m.Always():
                return condition.holds
            case m.All() | m.AnyOf():
                stop = isinstance(condition, m.AnyOf)
                unknown = False
                for item in condition.items:
                    holds = self.condition(item)
                    if holds is stop:
                        return stop
                    unknown = unknown or holds is None
                return None if unknown else not stop
            case m.Not():
                holds = self.condition(condition.item)
                return None if holds is None else not holds
            case m.Test():
                return self.test(condition)
            case m.NowAtLeast():
                return bool(self.answers.below(2, "now", min(condition.now_us, 2**63 - 1)))
            case m.InRollout():
                holds = self.answers.outcome("rollout", bucket_question(condition.bucket), len(condition.segments))
                return condition.unknown if holds is None else holds
            case m.InRanges():
                hashed = self.bucket(condition.bucket)
                if hashed is None:
                    return condition.unknown
                return any(first <= hashed < behind for first, behind in condition.ranges)
            case m.Serves():
                outer, self.rule = self.rule, NO_RULE
                self.asked += 1
                found = self.action(self.model.programs[condition.program])
                self.asked -= 1
                self.rule = outer
                return found is not None and found[0] == "decide" and found[1] in condition.variants
            case m.Truth():
                return self.answers.truthy(self.value(condition.value))
            case m.Shared():
                outer, self.rule = self.rule, NO_RULE
                holds = self.condition(self.model.shared[condition.name])
                self.rule = outer
                return holds
            case m.Labelled():
                holds = self.condition(condition.condition)
                self.labels[condition.label] = holds is True
                return holds
        raise AssertionError(condition)

    def test(self, test: m.Test) -> bool | None:
        slot = slot_name(test.slot)
        if test.op is Op.TRUTHY:
            return self.answers.truthy(("slot", slot))
        question = test_question(test.op, slot, test.constants, test.flags, test.mask, test.extra)
        holds = self.answers.outcome(*question)
        if test.op in (Op.KIND_IN, Op.EQUAL_CONST, Op.CONTAINS_CONST):
            return bool(holds)
        return test.unknown if holds is None else holds

    def bucket(self, bucket: m.Bucket) -> int | None:
        return self.answers.bucket(bucket_question(bucket))

    def value(self, value: m.Value) -> Symbol:
        answers = self.answers
        match value:
            case m.Constant():
                return "constant", value.value
            case m.SlotValue():
                return "slot", slot_name(value.slot)
            case m.Now():
                return "now", int(value.unit)
            case m.Item():
                return ("item", value.what, *self.items[-1][value.what : value.what + 1])
            case m.Apply():
                return answers.applied(value.op, value.flags, tuple(map(self.value, value.args)))
            case m.Path():
                return "path", self.value(value.base), list(value.keys)
            case m.Fractional():
                args = tuple(map(self.value, value.args))
                return "fractional", value.generation, value.flag_key, slot_name(value.targeting_key), args
            case m.Choose():
                return self.value(value.then if self.condition(value.condition) else value.otherwise)
            case m.FirstTruthy() | m.FirstFalsy():
                for arg in value.args[:-1]:
                    found = self.value(arg)
                    if answers.truthy(found) == isinstance(value, m.FirstTruthy):
                        return found
                return self.value(value.args[-1])
            case m.Loop():
                return self.loop(value)
            case m.BlankSlots():
                blank = [key for key, slot in value.keys if answers.blank(slot_name(slot))]
                return "list", tuple(("constant", key) for key in blank)
            case m.Raise():
                for arg in value.args:
                    self.value(arg)
                raise Failed(value.error, self.rule)
        raise AssertionError(value)

    def loop(self, loop: m.Loop) -> Symbol:
        items = self.value(loop.items)
        accumulator = None if loop.initial is None else self.value(loop.initial)
        results: list[Symbol] = []
        for number in range(self.answers.count(items)):
            self.items.append((("member", items, number), accumulator))
            results.append(self.value(loop.body))
            accumulator = None if accumulator is None else results[-1]
            self.items.pop()
        return looped(loop.kind, results) if results else nothing_of(loop.kind, accumulator)


def bucket_question(bucket: m.Bucket) -> Symbol:
    parts = [
        slot_name(part) if isinstance(part, m.Slot) else (part.encode() if isinstance(part, str) else part)
        for part in bucket.parts
    ]
    how = int(bucket.encoding), int(bucket.require_text), int(bucket.algorithm), bucket.modulus or 0
    return parts, bucket.seed, *how
