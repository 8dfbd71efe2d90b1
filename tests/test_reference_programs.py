"""The reference on small programs written by hand: ends, calls, buckets, branches, loops, refusals."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import reference_values as rv
import strategies
from fbs_generated.Encoding import Encoding
from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.Kind import Kind
from fbs_generated.LoopKind import LoopKind
from fbs_generated.Op import Op
from fbs_generated.Outcome import Outcome
from fbs_generated.PartKind import PartKind
from fbs_generated.Reason import Reason
from fbs_generated.Status import Status
from hypothesis import HealthCheck, given, settings
from operation_table import loaded, plain
from programs import Assembler, Label
from reference import Decision, Reference, Run
from reference_input import MISSING, Refused, read_request
from reference_values import Unspecified, kind_of
from samples import request_of


def evaluated(out: Assembler, values: list[Any] | None = None, now_us: int = 0) -> tuple[Decision, list[Any]]:
    out.slot_count = len(values or [])
    out.flags = out.flags or [(0, 9)]
    return Reference(out.serialise()).explain(0, request_of(values or [], now_us))


def decides(out: Assembler, *labels: Label) -> Assembler:
    """Ends: the first label gives variant 0, and so on."""
    for variant, label in enumerate(labels):
        out.place(label)
        out.emit(Op.Decide, Reason.TargetingMatch, a=variant, b=3)
    return out


def test_decide_and_pack() -> None:
    out = Assembler()
    out.emit(Op.Decide, Reason.Static, a=2, b=65535)
    decision, events = evaluated(out)
    assert decision == Decision(2, None, Reason.Static)
    assert decision.pack() == 1 << 32 | 0xFFFF << 16 | 2
    assert events == [(0, Outcome.Decided, Kind.Int, decision.pack())]
    assert Decision(1, 2, 3, 4, True, 99999).pack() == 99999 << 44 | 1 << 40 | 4 << 36 | 3 << 32 | 2 << 16 | 1


def test_fail() -> None:
    out = Assembler()
    out.emit(Op.Fail, a=ErrorCode.ParseError, b=4)
    assert evaluated(out)[0] == Decision(None, 4, Reason.Error, ErrorCode.ParseError)


@pytest.mark.parametrize(
    ("value", "variant"),
    [("x", 0), (True, 1), (5, 2), (1.5, 3), (1e16, 4), (False, 5), (None, 7), ("y", 8), ([], 8), ({}, 8), (0, 8)],
)
def test_decide_text(value: Any, variant: int) -> None:
    out, no, unknown = Assembler(), Label(), Label()
    first = out.constants("x", "true", "5", "1.5", "1e+16", "false")
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.DecideText, Reason.Split, a=first, b=6, no=no, unknown=unknown)
    for label, index in ((no, 7), (unknown, 8)):
        out.place(label)
        out.emit(Op.Decide, Reason.Default, a=index, b=0)
    assert evaluated(out, [value])[0].variant == variant


@pytest.mark.parametrize("outcome", [0, 1, 2])
def test_call_and_return(outcome: int) -> None:
    out, sub, ways = Assembler(), Label(), [Label(), Label(), Label()]
    out.emit(Op.Call, a=sub, no=ways[0], yes=ways[1], unknown=ways[2])
    decides(out, *ways)
    out.place(sub)
    out.emit(Op.Return, outcome)
    decision, events = evaluated(out)
    assert decision.variant == outcome
    assert [(event.node, event.outcome) for event in events[:2]] == [(0, Outcome.Next), (4, outcome)]


def test_underflow_and_overflow_of_the_stack() -> None:
    out = Assembler()
    out.emit(Op.Drop)
    assert evaluated(decides(out, Label()))[0] == Decision(reason=Reason.Error, error=ErrorCode.LimitExceeded)
    for count, error in ((256, 0), (257, ErrorCode.LimitExceeded)):
        out = Assembler()
        for _ in range(count):
            out.emit(Op.PushNow)
        assert evaluated(decides(out, Label()))[0].error == error


@pytest.mark.parametrize(("unit", "expected"), [(0, -1), (1, -1), (2, -1)])
def test_now_is_floored(unit: int, expected: int) -> None:
    out, no, yes = Assembler(), Label(), Label()
    out.emit(Op.PushNow, unit)
    out.emit(Op.PushConst, a=out.constant(expected))
    out.emit(Op.Equal, 1)
    out.emit(Op.BranchTruthy, no=no, yes=yes)
    assert evaluated(decides(out, no, yes), now_us=-1)[0].variant == 1


@pytest.mark.parametrize(("now", "variant"), [(99, 0), (100, 1), (101, 1)])
def test_now_at_least(now: int, variant: int) -> None:
    out, no, yes = Assembler(), Label(), Label()
    out.emit(Op.NowAtLeast, a=out.constant(100), no=no, yes=yes)
    assert evaluated(decides(out, no, yes), now_us=now)[0].variant == variant


# murmur3 of these keys: "test" 0xBA6BD213, "" 0
SEGMENTS = [(100, 100.0, 200.0, 0.0, 1.0), (200, 200.0, 300.0, 1.0, 1.0)]


@pytest.mark.parametrize(
    ("now_ms", "key", "variant"),
    [(99, "", 0), (100, "", 0), (101, "", 1), (172, "test", 0), (173, "test", 1), (250, "test", 1), (250, 1, 2)],
)
def test_rollout(now_ms: int, key: Any, variant: int) -> None:
    out, no, yes, unknown = Assembler(segments=list(SEGMENTS)), Label(), Label(), Label()
    out.emit(Op.Rollout, slot=2, a=out.bucket([(PartKind.Slot, 0)]), no=no, yes=yes, unknown=unknown)
    decision = evaluated(decides(out, no, yes, unknown), [key], now_ms * 1000 + 999)[0]
    assert decision.variant == variant
    assert decision.bucketed == (variant != 2)
    assert decision.bucket == (72820 if key == "test" else 0)


@pytest.mark.parametrize(("upper", "variant"), [(0xBA6BD213, 0), (0xBA6BD214, 2)])
def test_split_trace_has_the_bucket(upper: int, variant: int) -> None:
    out, no, unknown, low, high = Assembler(), Label(), Label(), Label(), Label()
    out.bounds += [(1, low), (upper, high)]
    literal = (PartKind.Literal, out.constant("te"))
    out.emit(Op.Split, slot=2, a=out.bucket([literal, (PartKind.Slot, 0)]), no=no, unknown=unknown)
    decision, events = evaluated(decides(out, no, low, high, unknown), ["st"])
    assert decision.variant == variant
    assert events[0].bits == 0xBA6BD213


@pytest.mark.parametrize(
    ("encoding", "literal", "slot", "key"),
    [
        (Encoding.Utf8, "é", "é", "éé".encode()),
        (Encoding.Utf8, "", 1, None),
        (Encoding.Backslash, "é😀\x7f", "aé", b"\\\\\\\x7fa\\"),
        (Encoding.Cbor, b"\x82", "a", b"\x82\x61a"),
        (Encoding.Cbor, b"", 2.0, b"\x02"),
        (Encoding.Cbor, b"", True, b"\xf5"),
        (Encoding.Cbor, b"", None, None),
        (Encoding.Cbor, b"", MISSING, None),
        (Encoding.Cbor, b"", [1], None),
        (Encoding.Cbor, b"", "", None),
    ],
)
def test_bucketing_key(encoding: int, literal: Any, slot: Any, key: bytes | None) -> None:
    out, no, unknown = Assembler(), Label(), Label()
    parts = [(PartKind.Literal, out.constant(literal)), (PartKind.Slot, 0)]
    out.emit(Op.Split, a=out.bucket(parts, encoding, flags=1, seed=7), no=no, unknown=unknown)
    decision, events = evaluated(decides(out, no, unknown), [slot])
    assert decision.variant == (1 if key is None else 0)
    assert events[0].bits == (0 if key is None else rv.murmur3(key, 7))


@pytest.mark.parametrize(
    ("flags", "value", "variant", "height"), [(0, 1, 1, 1), (0, "", 0, 0), (1, "", 1, 1), (1, 1, 0, 0)]
)
def test_branch_keep(flags: int, value: Any, variant: int, height: int) -> None:
    out, no, yes = Assembler(), Label(), Label()
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.BranchKeep, flags, no=no, yes=yes)
    decision, events = evaluated(decides(out, no, yes), [value])
    assert (decision.variant, events[1].kind) == (variant, kind_of(loaded(value)) if height else 0)


@pytest.mark.parametrize(("value", "variant"), [(None, 1), (MISSING, 1), ("", 1), (0, 0), ([], 0), (False, 0)])
def test_branch_blank(value: Any, variant: int) -> None:
    out, no, yes = Assembler(), Label(), Label()
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.BranchBlank, no=no, yes=yes)
    assert evaluated(decides(out, no, yes), [value])[0].variant == variant


def final_stack(out: Assembler, values: list[Any]) -> list[Any]:
    out.slot_count, out.flags = len(values), [(0, 1)]
    reference = Reference(decides(out, Label()).serialise())
    run = Run(reference, read_request(request_of(values), len(values)))
    assert run.decide(0).error == 0
    return [plain(value) for value in run.stack]


def test_mark_and_collect() -> None:
    out = Assembler()
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.Mark)
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.Mark)
    out.emit(Op.Collect)
    out.emit(Op.Collect)
    assert final_stack(out, [7]) == [7, [7, []]]


LOOPS = [
    (LoopKind.Map, [1, 2], [False, True]),
    (LoopKind.Filter, [1, 2, 3], [2, 3]),
    (LoopKind.All, [2, 3], True),
    (LoopKind.All, [2, 1, 3], False),
    (LoopKind.Some, [1, 2], True),
    (LoopKind.Some, [1, 1], False),
    (LoopKind.None_, [1, 1], True),
    (LoopKind.None_, [1, 2], False),
    *((kind, empty, []) for kind in (LoopKind.Map, LoopKind.Filter) for empty in ([], None, "ab", {"a": 1})),
    *((kind, [], result) for kind, result in ((LoopKind.All, False), (LoopKind.Some, False), (LoopKind.None_, True))),
]


@pytest.mark.parametrize(("kind", "items", "expected"), LOOPS)
def test_loop(kind: int, items: Any, expected: Any) -> None:
    """The body: is the item greater than 1?"""
    out, body, end = Assembler(), Label(), Label()
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.IterateBegin, kind, yes=body, no=end)
    out.place(body)
    out.emit(Op.PushItem)
    out.emit(Op.PushConst, a=out.constant(1))
    out.emit(Op.Compare, 4, a=2)
    out.emit(Op.IterateNext, yes=end)
    out.place(end)
    assert final_stack(out, [items]) == [expected]


@pytest.mark.parametrize(("items", "expected"), [([1, 2, 3], 16), ([], 10), (None, 10)])
def test_reduce(items: Any, expected: Any) -> None:
    out, body, end = Assembler(), Label(), Label()
    out.emit(Op.PushSlot, slot=0)
    out.emit(Op.PushConst, a=out.constant(10))
    out.emit(Op.IterateBegin, LoopKind.Reduce, yes=body, no=end)
    out.place(body)
    out.emit(Op.PushItem, 1)
    out.emit(Op.PushItem, 2)
    out.emit(Op.Path, a=out.constants("current"), b=1)
    out.emit(Op.Add, a=2)
    out.emit(Op.IterateNext, yes=end)
    out.place(end)
    assert final_stack(out, [items]) == [expected]


def test_two_lists_that_were_made_are_two_even_if_empty() -> None:
    for count in (0, 1):
        out = Assembler()
        for _ in range(2):
            for _ in range(count):
                out.emit(Op.PushSlot, slot=0)
            out.emit(Op.MakeList, a=count)
        out.emit(Op.Equal)
        assert final_stack(out, [1]) == [False]


def test_the_very_same_list() -> None:
    """Loosely equal: a list equals itself, found twice, and no other one."""
    for other, expected in ((0, True), (1, False)):
        out = Assembler()
        out.emit(Op.PushSlot, slot=0)
        out.emit(Op.PushSlot, slot=other)
        out.emit(Op.Equal)
        assert final_stack(out, [[1], [1]]) == [expected]


# ---------------------------------------------------------------- requests and refusals


def test_flag_and_request_that_do_not_exist() -> None:
    reference = Reference(decides(Assembler(flags=[(0, 1)]), Label()).serialise())
    assert reference.evaluate(1, request_of([])).error == ErrorCode.FlagNotFound
    for bad in (request_of([1]), request_of([])[:-1], b"\0" * 60, request_of([]).replace(b"PFRQ", b"PFRX")):
        assert reference.evaluate(0, bad).error == ErrorCode.BadRequest


def broken(**fields: Any) -> Assembler:
    out = Assembler(flags=[(0, 1)], slot_count=1)
    out.emit(Op.Jump, yes=1)
    return dataclasses.replace(decides(out, Label()), **fields)


@pytest.mark.parametrize(
    ("fields", "status", "index"),
    [
        ({"fingerprint": 1}, Status.BadFingerprint, 0),
        ({"flags": [(0, 1), (2, 1)]}, Status.BadFlag, 1),
        ({"nodes": [[Op.Jump, 0, 0, 0, 0, 0, 0, 0]]}, Status.BadNode, 0),
        ({"nodes": [[Op.Jump, 0, 0, 0, 0, 1, 0, 0], [200, 0, 0, 0, 0, 0, 0, 0]]}, Status.BadNode, 1),
        ({"values": [(1, 0, 0), (5, 1, 0)]}, Status.BadValue, 1),
        ({"buckets": [(0, 0, 0, 0, 0, 0, 1, 0)]}, Status.BadBucket, 0),
    ],
)
def test_refused(fields: dict[str, Any], status: int, index: int) -> None:
    with pytest.raises(Refused) as caught:
        Reference(broken(**fields).serialise())
    assert (caught.value.status, caught.value.index) == (status, index)
    assert Reference(broken().serialise()).evaluate(0, request_of([1])).variant == 0


@given(strategies.cases, strategies.randoms)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_random_program_ends_in_a_decision(case: Any, rng: Any) -> None:
    reference = Reference(case.ir)
    for flag in range(case.flag_count):
        try:
            decision, events = reference.explain(flag, case.request(rng))
        except Unspecified:
            assert case.damaged
            continue
        if decision.error == ErrorCode.LimitExceeded and decision.rule is None:
            continue
        assert events[-1].outcome == Outcome.Decided
        assert decision.pack() == events[-1].bits
        assert (decision.reason == Reason.Error) or decision.error == 0
