"""Models for tests of the compiler: small ones by hand, random ones of every kind of condition, value and action."""

from __future__ import annotations

from random import Random
from typing import Any

from pyflagwasm._abi import Encoding, ErrorCode, HashAlgorithm, LoopKind, Op, Order, Reason, TimeUnit
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import CompiledConfig, compile_model

SLOTS = (
    m.Slot("path", ("email",)),
    m.Slot("path", ("country",), "DE"),
    m.Slot("path", ("plan",), True),
    m.Slot("path", ("plan",), 1),
    m.Slot("path", ("scores",), [1, "two", None]),
    m.Slot("targeting_key"),
)
CONSTANTS: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    1.0,
    -0.0,
    -(2**63),
    "",
    "a",
    "b",
    "\u00e9",
    [],
    [1, [2]],
    {"k": "v"},
)
TEXTS = (*"zyxwvutsrqponmlkjihgfedcba", "\uffff", "\U00010000", "\u00e9")
NAMES = ("on", "off", "third")
REASONS = (Reason.STATIC, Reason.DEFAULT, Reason.TARGETING_MATCH, Reason.SPLIT)
TEXT_OPS = (Op.TEXT_PREFIX, Op.TEXT_SUFFIX, Op.TEXT_CONTAINS)
FIXED = ((Op.EQUAL, 2), (Op.LOOKUP, 2), (Op.IN, 2), (Op.TRUTH, 1), (Op.COMPARE, 2), (Op.COMPARE, 3), (Op.COALESCE, 2))
COUNTED = (Op.ADD, Op.CONCAT, Op.MAKE_LIST, Op.MINIMUM)


EMAIL, COUNTRY, KEY = m.Slot("path", ("email",)), m.Slot("path", ("country",)), m.Slot("targeting_key")
VARIANTS = (m.Variant("on", True), m.Variant("off", False))
ON, OFF = m.Serve(0, Reason.TARGETING_MATCH), m.Serve(1, Reason.DEFAULT)


def model_of(*programs: m.Action, **shared: m.Condition) -> m.Model:
    flags = tuple(m.Flag(f"flag-{i}", VARIANTS, i) for i in range(len(programs)))
    return m.Model("test", flags, programs, shared)


def compiled(*programs: m.Action, **shared: m.Condition) -> CompiledConfig:
    return compile_model(model_of(*programs, **shared))


def when(condition: m.Condition) -> m.Action:
    return m.When(condition, ON, OFF)


def text_in(slot: m.Slot, *texts: str, unknown: bool | None = False) -> m.Test:
    return m.Test(Op.TEXT_IN, slot, texts, unknown=unknown)


class Models:
    """Draws parts of models from `rng`; each has at most `depth` levels. Labels are unique."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.labels = 0
        self.shared: list[str] = []
        self.named = True
        self.askable: list[int] = []

    def model(self) -> m.Model:
        shared = {}
        for name in ("one", "two", "three")[: self.rng.randrange(4)]:
            shared[name] = self.condition(3)
            self.shared.append(name)
        programs: list[m.Action] = []
        for _ in range(self.rng.randrange(1, 4)):
            self.named = self.rng.random() < 0.5
            programs.append(self.program())
            if not self.named:
                self.askable.append(len(programs) - 1)
        variants = tuple(m.Variant(key, key) for key in NAMES)
        flags = tuple(m.Flag(f"flag-{i}", variants, i) for i in range(len(programs)))
        order = dict(self.rng.sample(list(shared.items()), len(shared)))
        return m.Model("random", flags, tuple(programs), order)

    def program(self) -> m.Action:
        steps = [self.action(3) for _ in range(self.rng.randrange(4))]
        return m.Steps((*steps, self.serve()))

    # ------------------------------------------------------------ actions

    def serve(self) -> m.Action:
        return m.Serve(self.rng.choice((None, 0, 1, 2)), self.rng.choice(REASONS))

    def action(self, depth: int) -> m.Action:
        kinds = ["serve", "fall", "fail"] + ["when", "split", "steps", "rule"] * 2 * (depth > 0)
        kinds += ["named"] * 2 * (depth > 0 and self.named)
        match self.rng.choice(kinds):
            case "fall":
                return m.FallThrough()
            case "fail":
                return m.Fail(self.rng.choice((ErrorCode.GENERAL, ErrorCode.PARSE_ERROR)))
            case "when":
                unknown = self.action(depth - 1) if self.rng.random() < 0.3 else None
                return m.When(self.condition(3), self.action(depth - 1), self.action(depth - 1), unknown)
            case "split":
                bucket = self.bucket()
                uppers = sorted(self.rng.sample((0, 1, bucket.size // 4, bucket.size // 2, bucket.size), 2))
                cuts = tuple((upper, self.action(depth - 1)) for upper in uppers)
                return m.SplitBy(bucket, cuts, self.action(depth - 1), self.action(depth - 1))
            case "named":
                reason = self.rng.choice(REASONS)
                return m.ServeNamed(self.value(2), NAMES, reason, self.action(depth - 1), self.action(depth - 1))
            case "steps":
                return m.Steps(tuple(self.action(depth - 1) for _ in range(self.rng.randrange(3))))
            case "rule":
                index = self.rng.randrange(3)
                return m.Rule(index, self.rng.choice(("beta", "staff")), self.action(depth - 1))
            case _:
                return self.serve()

    # ------------------------------------------------------------ conditions

    def condition(self, depth: int) -> m.Condition:
        kinds = ["always", "test", "test", "now", "rollout", "ranges"] + ["shared"] * bool(self.shared)
        kinds += ["serves"] * bool(self.askable)
        kinds += ["all", "any", "not", "truth", "label"] * 2 * (depth > 0)
        match self.rng.choice(kinds):
            case "always":
                return m.Always(self.rng.random() < 0.5)
            case "now":
                return m.NowAtLeast(self.rng.choice((0, 10**15, 2**70)))
            case "rollout":
                segments = (m.Segment(0, 0.0, 1.0, 0.25, 0.5),) * self.rng.randrange(2)
                return m.InRollout(self.bucket(), segments, self.policy())
            case "ranges":
                bucket = self.bucket()
                ends = (0, 1, bucket.size // 3, bucket.size // 2, bucket.size, bucket.size + 1)
                ranges = tuple((self.rng.choice(ends), self.rng.choice(ends)) for _ in range(self.rng.randrange(4)))
                return m.InRanges(bucket, ranges, self.policy())
            case "serves":
                variants = frozenset(self.rng.choices((None, 0, 1, 2), k=self.rng.randrange(3)))
                return m.Serves(self.rng.choice(self.askable), variants)
            case "shared":
                return m.Shared(self.rng.choice(self.shared))
            case "all":
                return m.All(tuple(self.condition(depth - 1) for _ in range(self.rng.randrange(4))))
            case "any":
                return m.AnyOf(tuple(self.condition(depth - 1) for _ in range(self.rng.randrange(4))))
            case "not":
                return m.Not(self.condition(depth - 1))
            case "truth":
                return m.Truth(self.value(depth - 1))
            case "label":
                condition = self.condition(depth - 1)
                self.labels += 1
                return m.Labelled(self.labels, condition)
            case _:
                return self.test()

    def test(self) -> m.Test:
        slot, rng = self.slot(), self.rng
        match rng.randrange(8):
            case 0:
                return m.Test(
                    Op.TEXT_IN, slot, tuple(rng.choices(TEXTS, k=rng.choice((1, 8, 12)))), unknown=self.policy()
                )
            case 1:
                return m.Test(Op.KIND_IN, slot, mask=rng.randrange(256))
            case 2:
                return m.Test(Op.BOOL_IN, slot, mask=rng.randrange(4), unknown=self.policy())
            case 3:
                return m.Test(Op.NUMBER_COMPARE, slot, (1, 2.5), flags=Order.LESS, unknown=self.policy())
            case 4:
                return m.Test(Op.VERSION, slot, ("1.2.3",), flags=Order.EQUAL, extra=2, unknown=self.policy())
            case 5:
                return m.Test(Op.TRUTHY, slot)
            case 6:
                op = rng.choice((Op.EQUAL_CONST, Op.CONTAINS_CONST))
                return m.Test(op, slot, (rng.choice(CONSTANTS),), flags=rng.randrange(2))
            case _:
                return m.Test(rng.choice(TEXT_OPS), slot, tuple(rng.choices(TEXTS, k=2)), unknown=self.policy())

    def policy(self) -> bool | None:
        return self.rng.choice((True, False, None))

    def slot(self) -> m.Slot:
        return self.rng.choice(SLOTS)

    def bucket(self) -> m.Bucket:
        algorithm = self.rng.choice((HashAlgorithm.MURMUR3X86, *HashAlgorithm))
        encoding = self.rng.choice(tuple(Encoding)[:3])
        if algorithm is not HashAlgorithm.MURMUR3X86:
            encoding = Encoding.UTF8 if algorithm is HashAlgorithm.MD5 else Encoding.CODE_POINTS
        parts = (b"\xff\x00", self.slot(), "x") if encoding is Encoding.CBOR else ("salt", self.slot())
        modulus = self.rng.choice((None, None, 100, 10_000))
        return m.Bucket(parts, self.rng.randrange(3), encoding, self.rng.random() < 0.5, algorithm, modulus)

    # ------------------------------------------------------------ values

    def value(self, depth: int) -> m.Value:
        kinds = ["constant", "slot", "now", "blank", "raise"]
        kinds += ["fixed", "counted", "choose", "or", "and", "loop", "path", "fractional"] * (depth > 0)
        match self.rng.choice(kinds):
            case "slot":
                return m.SlotValue(self.slot())
            case "now":
                return m.Now(TimeUnit.SECOND)
            case "blank":
                return m.BlankSlots(tuple((slot.name, slot) for slot in self.rng.sample(SLOTS, self.rng.randrange(3))))
            case "raise" if self.rng.random() < 0.5:
                return m.Raise(ErrorCode.GENERAL, self.values(depth - 1, self.rng.randrange(2)) if depth > 0 else ())
            case "fixed":
                op, count = self.rng.choice(FIXED)
                return m.Apply(op, self.values(depth - 1, count), 1 if op is Op.COMPARE else self.rng.randrange(2))
            case "counted":
                return m.Apply(self.rng.choice(COUNTED), self.values(depth - 1, self.rng.randrange(4)))
            case "choose":
                return m.Choose(self.condition(depth - 1), self.value(depth - 1), self.value(depth - 1))
            case "or":
                return m.FirstTruthy(self.values(depth - 1, self.rng.randrange(1, 4)))
            case "and":
                return m.FirstFalsy(self.values(depth - 1, self.rng.randrange(1, 4)))
            case "loop":
                kind = self.rng.choice(tuple(LoopKind))
                initial = self.value(depth - 1) if kind is LoopKind.REDUCE else None
                body = m.Apply(Op.ADD, (m.Item(self.rng.randrange(2)), self.value(depth - 1)))
                return m.Loop(kind, self.value(depth - 1), body, initial)
            case "path":
                return m.Path(self.value(depth - 1), ("a", "b"))
            case "fractional":
                return m.Fractional(self.values(depth - 1, 2), "flag", self.slot(), self.rng.randrange(2))
            case _:
                return m.Constant(self.rng.choice(CONSTANTS))

    def values(self, depth: int, count: int) -> tuple[m.Value, ...]:
        return tuple(self.value(depth) for _ in range(count))
