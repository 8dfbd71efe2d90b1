"""The fast lane of the core answers as its machine does, whatever it is given, and is entered where it should be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

import lanes
import pytest
from fbs_generated.Encoding import Encoding
from fbs_generated.HashAlgorithm import HashAlgorithm
from fbs_generated.Kind import Kind
from fbs_generated.Op import Op
from fbs_generated.PartKind import PartKind
from fbs_generated.Reason import Reason
from fbs_generated.Space import Space
from fbs_generated.VersionDialect import VersionDialect
from generator import some_case
from golden_models import GOLDEN
from lanes import HASHES, NO, ODD, OTHER, PLAIN, SHAPES, SHORT, YES, Pair, predicate
from programs import Assembler, Label
from reference_input import MISSING
from samples import VERSIONS, encode_request, packed, request_of

from pyflagwasm import _abi
from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import room

NOW_US = 1_700_000_000_123_456
LENGTHS = (0, 1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 15, 16, 17, 23, 24, 25, 31, 32, 33, 64, 255, 256, 300)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def texts(length: int) -> list[str]:
    """Texts of `length` bytes that differ in one place: at the start, in the middle, at the end; NULs; not ASCII."""
    base = ("abcdefghijklmnopqrstuvwxyz" * 12)[:length]
    found = {base, "\0" * length, "\u00e9" * (length // 2) + "x" * (length % 2)}
    for at in {0, length // 2, length - 1, 7, 8}:
        if 0 <= at < length:
            found.add(base[:at] + "#" + base[at + 1 :])
            found.add(base[:at] + "\0" + base[at + 1 :])
    return sorted(found)


ALL_TEXTS = [text for length in LENGTHS for text in texts(length)]
FEW_TEXTS = [text for length in (0, 3, 7, 8, 9, 16, 17, 255, 256) for text in texts(length)[:3]]


def short(text: str) -> bool:
    return len(text.encode()) <= 255


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(("op", "flags"), [(Op.TextIn, 0), (Op.TextIn, 1), (Op.EqualConst, 0), (Op.EqualConst, 1)])
def test_one_text(pair: Pair, op: int, flags: int) -> None:
    for constant in FEW_TEXTS:
        pair.load(predicate(op, (constant,), flags))
        for text in ALL_TEXTS:
            answer = pair.ask(request_of([text, "behind"]))
            assert answer.variant == (YES if text == constant else NO)
            assert answer.entered == (short(text) and short(constant))


@pytest.mark.parametrize("op", [Op.TextPrefix, Op.TextSuffix])
def test_ends_of_texts(pair: Pair, op: int) -> None:
    words = [text for length in range(18) for text in texts(length)[:3]]
    for constant in words:
        pair.load(predicate(op, (constant,)))
        for text in [*ALL_TEXTS[::3], constant, constant + "x", "x" + constant, constant * 3]:
            answer = pair.ask(request_of([text, "behind"]))
            held = text.startswith(constant) if op == Op.TextPrefix else text.endswith(constant)
            assert answer.variant == (YES if held else NO)
            assert answer.entered == (short(text) and 1 <= len(constant.encode()) <= 16)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 10, 64, 65, 1000])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("form", ["{}", "user-{:06}", "user-{:06}@mail.example.com", "{0:07}-{0:040}"])
def test_lists(pair: Pair, size: int, ordered: bool, form: str) -> None:
    rng = Random(size)
    members = list(dict.fromkeys(form.format(rng.randrange(10 * size)) for _ in range(size)))
    members = sorted(members) if ordered else [*members, *members[:2]]
    pair.load(predicate(Op.TextIn, tuple(members), int(ordered)))
    others = [form.format(10 * size + n) for n in range(40)] + ALL_TEXTS[::9]
    for text in rng.sample(members, min(len(members), 60)) + others:
        answer = pair.ask(request_of([text, ""]))
        assert answer.variant == (YES if text in members else NO)
        assert answer.entered == (short(text) and size > 0 and (ordered or len(members) <= 64))


@pytest.mark.parametrize("ordered", [False, True])
def test_lists_of_texts_of_all_lengths(pair: Pair, ordered: bool) -> None:
    members = [text for length in LENGTHS for text in texts(length)[:2]]
    pair.load(predicate(Op.TextIn, tuple(sorted(set(members), key=str.encode) if ordered else members), int(ordered)))
    for text in ALL_TEXTS:
        answer = pair.ask(request_of([text, "behind"]))
        assert (answer.variant, answer.entered) == (YES if text in members else NO, short(text))


def test_texts_with_the_same_key_are_told_apart(pair: Pair) -> None:
    seen: dict[int, str] = {}
    for number in itertools.count():
        text = f"name-{number * 7919:09}"
        other = seen.setdefault(lanes.long_key(text.encode()), text)
        if other != text:
            break
    pair.load(predicate(Op.TextIn, (text, "another one"), 0))
    for asked, variant in ((text, YES), (other, NO), ("another one", YES)):
        answer = pair.ask(request_of([asked, ""]))
        assert (answer.variant, answer.entered) == (variant, True)
    pair.load(predicate(Op.TextIn, tuple(sorted((text, other))), 1))
    assert all(pair.ask(request_of([asked, ""])) == (pair.ask(request_of([text, ""])).packed, True)
               for asked in (text, other))  # fmt: skip


@pytest.mark.parametrize("many", [64, 65])
def test_texts_that_all_begin_at_one_place_of_the_table(pair: Pair, many: int) -> None:
    bits = (2 * many - 1).bit_length()
    candidates = (str(number) for number in itertools.count())
    same = list(itertools.islice((t for t in candidates if lanes.place(lanes.short_key(t.encode()), bits) == 5), 80))
    pair.load(predicate(Op.TextIn, tuple(sorted(same[:many])), 1))
    for text in same:
        answer = pair.ask(request_of([text, ""]))
        assert answer.variant == (YES if text in same[:many] else NO)
        assert answer.entered == (many <= 64)


# ---------------------------------------------------------------- versions


@pytest.mark.parametrize("dialect", range(6))
@pytest.mark.parametrize("orders", [1, 2, 3, 4, 6])
def test_versions(pair: Pair, dialect: int, orders: int) -> None:
    for constant in ODD + VERSIONS[::5]:
        pair.load(predicate(Op.Version, (constant,), dialect << 4 | orders))
        for text in ODD + VERSIONS[::3]:
            answer = pair.ask(request_of([text, ".9.9.9"]))
            plain = SHORT if dialect > VersionDialect.NumericRaw else PLAIN
            assert answer.entered or constant not in plain or text not in plain


@pytest.mark.parametrize("same", [1, 2])
def test_versions_of_the_same_line(pair: Pair, same: int) -> None:
    for constant in ODD:
        pair.load(predicate(Op.Version, (constant,), 7, 1 | same << 16))
        for text in ODD:
            answer = pair.ask(request_of([text, ""]))
            if constant in PLAIN and text in PLAIN:
                mine, its = ((version + ".0.0").split(".")[:same] for version in (text, constant))
                assert answer == (answer.packed, True)
                assert answer.variant == (YES if mine == its else NO)


def test_several_versions(pair: Pair) -> None:
    pair.load(predicate(Op.Version, ("1.2.3", "2.7.1"), 2))
    assert pair.ask(request_of(["2.7.1", ""])).variant == YES


# ---------------------------------------------------------------- values of every kind

VALUES: list[Any] = [
    MISSING, None, False, True, 0, 1, -1, 18, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 0.0, -0.0, 1.0, 18.0,
0.5, 1e300, float("inf"), float("nan"), "", "a", "text", "1", [], [1], ["a"],
]  # fmt: skip
HOSTILE = [
    packed(kind, length, bits, space)
    for kind in (Kind.Text, Kind.List, Kind.Object, Kind.Int, Kind.Missing, 8, 9, 255)
    for length in (0, 3, 4, 5, 255, 256, 2**32 - 1)
    for bits in (0, 1, 4, 5, 65535, 65536, 2**32, 2**63, 2**64 - 1, 2**64 - 3)
    for space in (Space.Request, Space.Config, Space.Arena, 255)
]
EDGES = (1, 18, 2**53, 2**53 + 1, 0.5, float("nan"))
ON_VALUES: list[tuple[int, tuple[Any, ...], int, int | None]] = [
    (Op.Truthy, (), 0, 0), (Op.TextIn, ("text",), 0, None), (Op.TextIn, ("a", "text"), 1, None),
    (Op.TextPrefix, ("t",), 0, None), (Op.TextSuffix, ("t",), 0, None),
    (Op.Version, ("1.0.0",), 3, None), (Op.Version, ("1.0.0",), 0x13, None),
    *((Op.NumberCompare, (c,), o, None) for c in (*EDGES, -0.0) for o in (1, 2, 6)),
    *((Op.CompareConst, (c,), o, None) for c in (*EDGES, True, "a", None) for o in (1, 2, 6)),
    *((Op.EqualConst, (c,), o, None) for c in (1, 0, True, False, 2**63 - 1, 0.0, "", "text", None) for o in (0, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("op", "constants", "flags", "b"), ON_VALUES)
def test_values(pair: Pair, op: int, constants: tuple[Any, ...], flags: int, b: int | None) -> None:
    pair.load(predicate(op, constants, flags, b))
    entered = [pair.ask(request_of([value, "behind"])).entered for value in VALUES]
    assert any(entered) or isinstance(constants[0], (float, bool, type(None), str)) or constants[0] == 2**53 + 1
    for value in Random(op).sample(HOSTILE, 150):
        pair.ask(encode_request([value, packed(Kind.Text, 4, 0)], b"text"))


@pytest.mark.parametrize("mask", [0, 1, 0x20, 0xFF, 0x1E, 0xC0])
@pytest.mark.parametrize("op", [Op.KindIn, Op.BoolIn])
def test_kinds(pair: Pair, op: int, mask: int) -> None:
    out = Assembler(slot_count=2, flags=[(0, 3)])
    to = lanes.ends(out)
    out.emit(op, 0, 0, mask, **to)
    pair.load(lanes.finish(out, to))
    for value in VALUES:
        assert pair.ask(request_of([value, "behind"])).entered == (op == Op.BoolIn or not isinstance(value, list))
    for value in HOSTILE[::7]:
        pair.ask(encode_request([value, packed(Kind.Text, 4, 0)], b"text"))


@pytest.mark.parametrize("instant", [NOW_US - 1, NOW_US, NOW_US + 1, -(2**63), 2**63 - 1])
def test_clock(pair: Pair, instant: int) -> None:
    pair.load(predicate(Op.NowAtLeast, (instant,), 0, 0))
    answer = pair.ask(request_of([None, None], NOW_US))
    assert (answer.variant, answer.entered) == (YES if instant <= NOW_US else NO, True)


# ---------------------------------------------------------------- buckets


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("algorithm", "encoding", "modulus"), HASHES)
def test_buckets(pair: Pair, shape: str, algorithm: int, encoding: int, modulus: int) -> None:
    whole = modulus or 2**32
    known = shape in ("S", "LS", "LLS", "SL", "LSL", "LLLS")
    for literal, not_empty, ask_first in itertools.product((0, 1, 3, 4, 8, 9, 11, 300), (0, 1), (False, True)):
        out = Assembler(slot_count=2, flags=[(0, 3)])
        to, other = lanes.ends(out), Label()
        text = ("flag-\u00e9-key" * 40)[:literal]
        bucket = out.bucket(
            [(PartKind.Slot, 0) if part == "S" else (PartKind.Literal, out.constant(text)) for part in shape],
            encoding, not_empty, 0x1234567 * literal % 2**32, algorithm, modulus,
        )  # fmt: skip
        if ask_first:
            out.emit(Op.KindIn, a=1 << Kind.Text, yes=Label(1), no=to["no"] if not_empty else to["unknown"])
        out.bounds = [(whole // 2, to["yes"]), (whole - whole // 8, other)]
        out.emit(Op.Split, slot=2, a=bucket, b=0, no=to["no"], unknown=to["unknown"])
        out.place(other)
        out.emit(Op.Decide, Reason.Split, a=OTHER, b=65535)
        pair.load(lanes.finish(out, to))
        size = len(text.encode())
        most = 8 if "SL" in shape else 255
        prepared = known and size <= most and not ("SL" in shape and encoding == 1 and size > 5)
        if algorithm != HashAlgorithm.Murmur3x86 or modulus:
            prepared = False  # what is called for these leaves marks on the stack, too
        for value in [*ALL_TEXTS[:: 5 if literal else 2], *VALUES]:
            answer = pair.ask(request_of([value, "behind"]))
            if prepared and isinstance(value, str) and short(value) and (encoding != 1 or value.isascii()):
                assert answer.entered, (literal, value)


def test_rollouts(pair: Pair) -> None:
    now = NOW_US // 1000
    for count, (p0, p1) in itertools.product(
        (0, 1, 2, 16, 17), ((0.0, 0.0), (0.0, 1.0), (0.5, 0.5), (1.0, float("nan")))
    ):
        out = Assembler(slot_count=2, flags=[(0, 3)])
        to = lanes.ends(out)
        out.segments = [(now - 500 + 100 * n, float(now - 500), float(now + 500), p0, p1) for n in range(count)]
        bucket = out.bucket([(PartKind.Slot, 0), (PartKind.Literal, out.constant("_rollout"))], Encoding.Backslash)
        out.emit(Op.Rollout, slot=count, a=bucket, b=0, **to)
        pair.load(lanes.finish(out, to))
        for number in range(30):
            assert pair.ask(request_of([f"user-{number}", ""], NOW_US)).entered == (count <= 16)


# ---------------------------------------------------------------- flow


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("stack", [False, True])
def test_calls(pair: Pair, depth: int, stack: bool) -> None:
    """A split, then calls in each other; in the innermost an operation that only the machine knows."""
    out = Assembler(slot_count=2, flags=[(0, 3)])
    to, bodies = lanes.ends(out), [Label() for _ in range(depth)]
    out.bounds = [(2**32, Label(1))]
    out.emit(Op.Split, slot=1, a=out.bucket([(PartKind.Slot, 1)]), b=0, no=to["no"], unknown=to["unknown"])
    out.emit(Op.Call, a=bodies[0], **to)
    for level, body in enumerate(bodies):
        out.place(body)
        ways = {name: Label() for name in ("yes", "no", "unknown")}
        if level + 1 < depth:
            out.emit(Op.Call, a=bodies[level + 1], **ways)
        else:
            if stack:
                out.emit(Op.PushSlot, slot=0)
                out.emit(Op.Drop)
            out.emit(Op.TextIn, 0, 0, out.constants("in"), 1, **ways)
        # Each level turns the outcomes by one: what comes out shows that all of them returned.
        for outcome, name in ((1, "no"), (2, "yes"), (0, "unknown")):
            out.place(ways[name])
            out.emit(Op.Return, outcome)
    pair.load(lanes.finish(out, to))
    seen = {pair.ask(request_of([value, "key"])) for value in ("in", "out", 7)}
    assert len(seen) == 3
    assert {answer.entered for answer in seen} == {depth < 3 and not stack}


def test_a_return_without_a_call(pair: Pair) -> None:
    out = Assembler(flags=[(0, 3)])
    out.emit(Op.Return, 1)
    pair.load(out.serialise())
    assert pair.ask(request_of([])).packed >> 36 & 15 == 10


@pytest.mark.parametrize("nodes", [255, 256, 300, 5000])
def test_long_ways_are_left_to_the_machine(pair: Pair, nodes: int) -> None:
    out = Assembler(slot_count=1, flags=[(0, 3)])
    for _ in range(nodes):
        out.emit(Op.Truthy, yes=Label(len(out.nodes) + 1), no=Label(len(out.nodes) + 1))
    out.emit(Op.Decide, Reason.Static, a=1)
    pair.load(out.serialise())
    assert pair.ask(request_of([1])).variant == 1


def test_what_the_lane_does_costs_too_little_for_the_budget(pair: Pair) -> None:
    """A list in any order costs the machine a step for each member: 200 lists of 6,000 are beyond its budget."""
    out = Assembler(slot_count=1, flags=[(0, 3), (200, 3)])
    first = out.constants(*(f"m{number}" for number in range(6000)))
    for at in range(200):
        out.emit(Op.TextIn, 0, 0, first, 6000, **dict.fromkeys(("yes", "no", "unknown"), Label(at + 1)))
    out.emit(Op.Decide, Reason.Static, a=1)
    pair.load(out.serialise())
    assert pair.ask(request_of(["none"])).packed >> 36 & 15 == 9
    assert pair.ask(request_of(["none"]), 1).variant == 1


# ---------------------------------------------------------------- whole configurations


ON_THE_STACK = {"arithmetic", "fractional", "limits", "loops", "nesting", "texts"}
"""Golden cases whose every flag computes with values."""


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_models(pair: Pair, name: str) -> None:
    golden = GOLDEN[name]
    compiled = compile_model(golden.model)
    pair.load(compiled.ir)
    rng, entered = Random(name), 0
    encoder, scratch = Encoder(compiled), memoryview(bytearray(lanes.REQUEST_SIZE))
    names = [slot.args[-1] if slot.args else "targetingKey" for slot in compiled.slots]
    for context in [{}, *({name: rng.choice(VALUES[1:]) for name in names} for _ in range(40))]:
        for entry in compiled.flags.values():
            size = encoder.encode(context, entry.slots, scratch, NOW_US)
            entered += pair.ask(bytes(scratch[:size]), entry.index).entered
    assert (entered > 0) == (name not in ON_THE_STACK)


@pytest.mark.parametrize("room", [None, 0, 8, 31, 32, 100, 500, 1000, 3000])
def test_random_configurations_with_any_room(pair: Pair, room: int | None) -> None:
    entered = 0
    for index in range(40):
        rng = Random(f"{room}/{index}")
        case = some_case(rng)
        pair.load(case.ir, room)
        for flag in range(case.flag_count + 1):
            for _ in range(4):
                entered += pair.ask(case.request(rng), flag).entered
    assert (entered > 0) == (room is None or room >= 32)


def test_the_flags_that_are_meant(pair: Pair) -> None:
    from bench.scenarios import SIMPLE, TARGET, document, user

    compiled = compile_model(load(document(20)))
    pair.load(compiled.ir)
    encoder, scratch = Encoder(compiled), memoryview(bytearray(lanes.REQUEST_SIZE))
    for changes in ({}, {"country": "NL"}, {"plan": "enterprise"}, {"appVersion": "10.0.12"}, {"email": "x"}):
        for key in (TARGET, SIMPLE):
            size = encoder.encode(user(**changes), compiled.flags[key].slots, scratch, NOW_US)
            assert pair.ask(bytes(scratch[:size]), compiled.flags[key].index).entered


@pytest.mark.parametrize(
    ("size", "behind"), [(1000, 2256), (_abi.LIMITS_MAX_CONFIG - 100, 100), (_abi.LIMITS_MAX_CONFIG + 1, 0)]
)
def test_a_region_is_never_larger_than_the_largest_configuration(size: int, behind: int) -> None:
    assert room(size) == behind


@pytest.mark.parametrize("members", [20_000, 60_000])
def test_there_is_room_for_long_lists(pair: Pair, members: int) -> None:
    texts = [f"{number:08}" for number in range(members)]
    pair.load(predicate(Op.TextIn, tuple(texts), 1))
    for text in (texts[0], texts[-1], texts[777], "x", "99999999"):
        assert pair.ask(request_of([text, ""])).entered
