"""The configurations of schema/golden and the contexts that they are asked with: small, by hand, every operation.

make_golden.py turns them into files. A value is made visible by `shows`: its text chooses among the names given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pyflagwasm._abi import Encoding, ErrorCode, HashAlgorithm, LoopKind, Op, Order, Reason, TimeUnit, VersionDialect
from pyflagwasm.config import model as m
from pyflagwasm.config.formats import load
from pyflagwasm.config.regex import Dialect, compile_pattern

EXAMPLES = Path(__file__).parents[1] / "pyflagwasm" / "examples"
NOW_US = 1_700_000_000_123_456
Context = Mapping[str, Any]
Rules = tuple[tuple[m.Variant, ...], m.Action]


@dataclass(frozen=True)
class Golden:
    """`asked` are contexts with the clock in microseconds."""

    what: str
    model: m.Model
    asked: tuple[tuple[Context, int], ...]


def at(name: str, default: Any = m.MISSING) -> m.Slot:
    return m.Slot("path", (name,), default)


KEY = m.Slot("targeting_key")
OFF = m.Serve(None, Reason.DEFAULT)
SIDES = (m.Variant("yes", True), m.Variant("no", False), m.Variant("unknown", None))
LESS, EQUAL, GREATER = Order.LESS, Order.EQUAL, Order.GREATER


def asks(condition: m.Condition) -> Rules:
    """Variant 0 is yes, 1 no, 2 unknown."""
    yes, no, unknown = (m.Serve(variant, Reason.TARGETING_MATCH) for variant in range(3))
    return SIDES, m.When(condition, yes, no, unknown)


def shows(value: m.Value, *texts: str) -> Rules:
    """The variant whose name is the text of the value."""
    named = m.ServeNamed(apply(Op.CONCAT, value), texts, Reason.TARGETING_MATCH, m.Fail(ErrorCode.PARSE_ERROR), OFF)
    return tuple(m.Variant(text, text) for text in texts), named


def flags(
    shared: Mapping[str, m.Condition] | None = None, /, **made: tuple[tuple[m.Variant, ...], m.Action]
) -> m.Model:
    programs = tuple(program for _, program in made.values())
    keys = tuple(m.Flag(key, variants, number) for number, (key, (variants, _)) in enumerate(made.items()))
    return m.Model("golden", keys, programs, shared or {})


def checks(op: Op, name: str, *constants: Any, **operands: int) -> m.Test:
    return m.Test(op, at(name), constants, unknown=None, **operands)


def apply(op: Op, *args: Any, flags: int = 0) -> m.Apply:
    """Arguments that are no parts of a model are constants."""
    made = tuple(arg if isinstance(arg, get_args(m.Value)) else m.Constant(arg) for arg in args)
    return m.Apply(op, made, flags)


def slot(name: str) -> m.SlotValue:
    return m.SlotValue(at(name))


A, B, ITEMS = slot("a"), slot("b"), slot("items")
ITEM, ACCUMULATOR, BOTH = m.Item(0), m.Item(1), m.Item(2)
MANY = (*"zyxwvutsrqponmlkjihg", "é", "日本", "😀", "\uffff")

# ---------------------------------------------------------------- predicates

PREDICATES = flags(
    truthy=asks(checks(Op.TRUTHY, "a")),
    kind=asks(checks(Op.KIND_IN, "a", mask=1 << 5 | 1 << 6)),
    text=asks(checks(Op.TEXT_IN, "a", "x", "", "日本")),
    text_of_many=asks(checks(Op.TEXT_IN, "a", *MANY)),
    prefix=asks(checks(Op.TEXT_PREFIX, "a", "日", "ab")),
    suffix=asks(checks(Op.TEXT_SUFFIX, "a", "本", "😀")),
    contains=asks(checks(Op.TEXT_CONTAINS, "a", "é")),
    number=asks(checks(Op.NUMBER_COMPARE, "a", 2, 1.5, flags=LESS | EQUAL)),
    flagged=asks(checks(Op.BOOL_IN, "a", mask=2)),
    equal=asks(checks(Op.EQUAL_CONST, "a", 1)),
    identical=asks(checks(Op.EQUAL_CONST, "a", [1, {"k": "日"}], flags=1)),
    ordered=asks(checks(Op.COMPARE_CONST, "a", "b", flags=GREATER)),
    member=asks(checks(Op.IN_CONST, "a", None, "x", 2**53 + 1)),
    holds=asks(checks(Op.CONTAINS_CONST, "a", "x")),
    network=asks(checks(Op.IN_NETWORK, "a", b"\4\x08\n\0\0\0", b"\6\x60" + bytes(10) + b"\xff\xff" + bytes(4))),
    time=asks(checks(Op.TIME_COMPARE, "a", 1_700_000_000, 500_000_000, flags=LESS | EQUAL)),
    kleene=asks(
        m.All((m.AnyOf((checks(Op.TEXT_IN, "a", "x"), checks(Op.BOOL_IN, "b", mask=1))), m.Not(checks(Op.TRUTHY, "c"))))
    ),
)
OPERANDS: tuple[Any, ...] = (
    None, False, True, 1, 1.5, 2**53 + 1, -(2**63), float("inf"), "", "x", "日本", "aé😀", "\uffff", "1", [],
    ["x", 1.0], [1, {"k": "日"}], {}, {"x": {"y": [None]}}, "10.9.8.7", "::ffff:1.2.3.4", "2023-11-14T22:13:20.5Z",
    "2023-11-14t23:13:20.50001+01:00",
)  # fmt: skip


def matches(pattern: str, dialect: Dialect) -> Rules:
    return asks(compile_pattern(pattern, dialect).condition(at("a"), None))


REGEX = flags(  # without what depends on a version of Unicode
    table=matches("[a-z\u00e9\u65e5-\u6708]+:x$", "python"),
    anchored=matches(r"^(?:[ab]|\U0001f600)+\z", "rust"),
    lines=matches(r"(?m)^a+$|(?a:\b)x\d?y\b", "python"),
    threads=matches("(?:a|b)*a(?:a|b){14}", "rust"),
    looking=matches(r"(?m)^(?:a|b)*a(?:a|b){14}$|(?-u:\b)\x{1F600}\n", "rust"),
    literal=matches("^(?:x|y)z?$", "python"),
    suffix=matches(r".*\.org$|^c{2}", "rust"),
    never=matches("a^", "python"),
)
SPELLED = (
    "", "a", "b\n", "\u00e9\u65e5:x", "a:x\n", "a:x\n\n", "a\U0001f600b", "aac\naa\n", "-x1y", "xy\u00e9", "ab" * 12,
    "a" + "b" * 14, "\U0001f600a" + "b" * 14, "b\naa" + "ab" * 7 + "\nc", "a\U0001f600\n", "x", "xz\n", "yz\n\n", "cc",
    "\n.org",
)  # fmt: skip

VERSIONS = flags(
    at_least=asks(checks(Op.VERSION, "v", "1.2.3-rc.1", flags=GREATER | EQUAL)),
    same_major=asks(checks(Op.VERSION, "v", "1.9.0", flags=7, extra=1)),
    same_minor=asks(checks(Op.VERSION, "v", "1.2.9", flags=7, extra=2)),
    clean=asks(checks(Op.VERSION, "v", "1.2.3", flags=VersionDialect.NUMERIC_CLEAN << 4 | EQUAL)),
    quirk=asks(checks(Op.VERSION, "v", "v1.2", "v1.2", flags=VersionDialect.NUMERIC_CLEAN_QUIRK << 4 | EQUAL)),
    raw=asks(checks(Op.VERSION, "v", "", "1.10", flags=VersionDialect.NUMERIC_RAW << 4 | LESS)),
    strict=asks(checks(Op.VERSION, "v", "1.2.3", flags=VersionDialect.STRICT_SEM_VER << 4 | EQUAL)),
    build=asks(checks(Op.VERSION, "v", "1.2.3-rc.1+a", flags=VersionDialect.STRICT_SEM_VER_BUILD << 4 | GREATER)),
    computed=asks(m.Truth(apply(Op.SEM_VER, slot("v"), "^", "1.0.0"))),
)

# ---------------------------------------------------------------- clock and buckets

START = 1_700_000_000_000
RAMP = (m.Segment(START, float(START), START + 60_000.0, 0.0, 1.0), m.Segment(START + 60_000, 0.0, 1.0, 0.5, 0.5))
TEXT_BUCKET = m.Bucket(("checkout:", KEY), seed=7)
BYTES_BUCKET = m.Bucket(("é", KEY, at("a", "none")), encoding=Encoding.BACKSLASH, require_text=True)
CBOR_BUCKET = m.Bucket((b"\x82", "checkout", KEY, at("a")), encoding=Encoding.CBOR)


MD5_BUCKET = m.Bucket(("salt-", KEY), algorithm=HashAlgorithm.MD5, modulus=10_000)
FNV_BUCKET = m.Bucket((KEY, "__spring"), encoding=Encoding.CODE_POINTS, algorithm=HashAlgorithm.FNV1A, modulus=1000)
TWICE_BUCKET = m.Bucket(("é", KEY), encoding=Encoding.CODE_POINTS, algorithm=HashAlgorithm.FNV1A_TWICE)


def split(bucket: m.Bucket) -> Rules:
    cuts = tuple((bucket.size * part // 4, m.Rule(part, "quarter", m.Serve(part, Reason.SPLIT))) for part in range(3))
    variants = tuple(m.Variant(name, name) for name in ("none", "first", "second", "rest"))
    return variants, m.SplitBy(bucket, cuts, m.Serve(3, Reason.SPLIT), m.Fail(ErrorCode.TARGETING_KEY_MISSING))


BUCKETS = flags(
    started=asks(m.NowAtLeast(NOW_US)),
    ramp=asks(m.InRollout(TEXT_BUCKET, RAMP, None)),
    nobody=asks(m.InRollout(TEXT_BUCKET, ())),
    by_text=split(TEXT_BUCKET),
    by_bytes=split(BYTES_BUCKET),
    by_items=split(CBOR_BUCKET),
    by_md5=split(MD5_BUCKET),
    by_fnv=split(FNV_BUCKET),
    by_fnv_twice=split(TWICE_BUCKET),
    ranges=asks(m.InRanges(FNV_BUCKET, ((900, 1000), (100, 300), (250, 400)), None)),
    required=asks(m.Serves(3, frozenset({1, 2}))),
)


def shares(generation: int, *args: Any) -> Rules:
    value = m.Fractional(
        tuple(arg if isinstance(arg, m.SlotValue) else m.Constant(arg) for arg in args), "flag", KEY, generation
    )
    variants = tuple(m.Variant(name, name) for name in ("red", "green", "blue"))
    named = m.ServeNamed(value, ("red", "green", "blue"), Reason.TARGETING_MATCH, m.Serve(None, Reason.DEFAULT), OFF)
    return variants, named


COLOURS = (["red", 25], ["green", 25], ["blue", 50])
FRACTIONAL = flags(
    present=shares(0, *COLOURS),
    present_by=shares(0, slot("a"), *COLOURS),
    before=shares(1, *COLOURS),
    before_by=shares(1, slot("a"), *COLOURS),
    equal_weights=shares(0, ["red"], ["green"], ["blue", 1]),
    refused=shares(0, ["red", 1.0]),
)

# ---------------------------------------------------------------- values

ARITHMETIC = flags(
    add=shows(apply(Op.ADD, A, B, True), "4", "6.5", "9.22337203685478e+18"),
    multiply=shows(apply(Op.MULTIPLY, A, B), "2", "7", "9.22337203685478e+18"),
    subtract=shows(apply(Op.SUBTRACT, A, B), "-1", "1.5"),
    negate=shows(apply(Op.SUBTRACT, A), "-1", "-3.5"),
    divide=shows(apply(Op.DIVIDE, A, B), "0.5", "1.75"),
    modulo=shows(apply(Op.MODULO, A, B), "1", "1.5"),
    least=shows(apply(Op.MINIMUM, A, B, "9"), "1", "2", "nan"),
    most=shows(apply(Op.MAXIMUM, A, B), "2", "3.5", "nan"),
    equal=asks(m.Truth(apply(Op.EQUAL, A, B))),
    not_identical=asks(m.Truth(apply(Op.EQUAL, A, B, flags=3))),
    between=asks(m.Truth(apply(Op.COMPARE, A, B, 9, flags=LESS))),
    not_truthy=asks(m.Truth(apply(Op.TRUTH, apply(Op.ADD, A, B), flags=1))),
    truth=shows(apply(Op.TRUTH, A), "True", "False"),
    nothing=shows(apply(Op.MINIMUM), "nan"),
    clock=shows(
        apply(
            Op.MAKE_LIST, m.Now(TimeUnit.SECOND), m.Now(TimeUnit.MILLISECOND), m.Now(TimeUnit.MICROSECOND)
        ),
        "1700000000,1700000000123,1700000000123456",
        "-1,-1,-1",
    ),
)  # fmt: skip

TEXTS = flags(
    concat=shows(apply(Op.CONCAT, A, "-", B), "日本語😀-2", "x-1,", "nullx-null"),
    substring=shows(apply(Op.SUBSTRING, A, 1, 2), "本語", "", "ul"),
    from_the_end=shows(apply(Op.SUBSTRING, A, -2, None), "語😀", "x", "ll"),
    starts=asks(m.Truth(apply(Op.TEXT_STARTS, A, "日"))),
    ends=asks(m.Truth(apply(Op.TEXT_ENDS, A, "😀"))),
    inside=asks(m.Truth(apply(Op.IN, "本", A))),
    in_list=asks(m.Truth(apply(Op.IN, A, ["x", "日本語😀"]))),
    merge=shows(apply(Op.MERGE, A, ITEMS, [None, "z"]), "日本語😀,null,z", "x,1,2,null,z"),
    missing=shows(apply(Op.MISSING, ITEMS, ["0", "k", "k.l"]), "0,k,k.l", "k,k.l", "0"),
    missing_some=shows(apply(Op.MISSING_SOME, ["k"], 2, 2), "k"),
    blank=shows(m.BlankSlots((("a", at("a")), ("b", at("b")), ("c", at("c", "set")))), "", "b", "a,b"),
    lookup=shows(apply(Op.LOOKUP, ITEMS, "k.l.1"), "日", "null"),
    by_index=shows(apply(Op.LOOKUP, A, 3), "😀", "null"),
    path=shows(m.Path(ITEMS, ("k", "l", "length")), "2", "null"),
    coalesce=shows(apply(Op.COALESCE, B, "nothing"), "2", "1,", "nothing"),
    default=shows(m.SlotValue(at("plan", {"name": ["free", 0.5]})), "[object Object]", "pro"),
)

STAFF = checks(Op.TEXT_SUFFIX, "a", "@b")
LOGIC = flags(
    {"staff": STAFF, "known": m.AnyOf((m.Shared("staff"), checks(Op.BOOL_IN, "b", mask=1)))},
    either=shows(m.FirstTruthy((A, B, m.Constant("neither"))), "x@b", "True", "neither"),
    both=shows(m.FirstFalsy((A, B, m.Constant("both"))), "x@b", "both", "False", "null"),
    chosen=shows(m.Choose(m.Shared("known"), A, m.Constant(1.0)), "x@b", "1", "null"),
    shared=asks(m.All((m.Shared("known"), m.Not(m.Shared("staff"))))),
    labelled=asks(m.Labelled(1, m.All((m.Labelled(2, m.Always()), m.Labelled(3, m.Shared("staff")))))),
    ruled=(
        SIDES,
        m.Steps((
            m.Rule(0, "staff", m.When(m.Shared("staff"), m.Serve(0, Reason.TARGETING_MATCH))),
            m.Rule(1, "rest", m.When(checks(Op.BOOL_IN, "b", mask=2), m.Serve(1, Reason.SPLIT))),
            m.Serve(None, Reason.DISABLED),
        )),
    ),
)  # fmt: skip

# ---------------------------------------------------------------- loops, errors, nesting


def loop(kind: LoopKind, body: m.Value, initial: m.Value | None = None, items: m.Value = ITEMS) -> m.Loop:
    return m.Loop(kind, items, body, initial)


def nested(levels: int) -> m.Value:
    return loop(LoopKind.MAP, nested(levels - 1)) if levels else m.Constant(1)


LOOPS = flags(
    map=shows(loop(LoopKind.MAP, apply(Op.MULTIPLY, ITEM, 2)), "2,4,6", ""),
    filter=shows(loop(LoopKind.FILTER, apply(Op.COMPARE, ITEM, 1, flags=GREATER)), "2,3", "日"),
    all=asks(m.Truth(loop(LoopKind.ALL, apply(Op.COMPARE, ITEM, 0, flags=GREATER)))),
    some=asks(m.Truth(loop(LoopKind.SOME, apply(Op.EQUAL, ITEM, 2)))),
    none=asks(m.Truth(loop(LoopKind.NONE, apply(Op.EQUAL, ITEM, 2)))),
    reduce=shows(loop(LoopKind.REDUCE, apply(Op.ADD, ACCUMULATOR, ITEM), m.Constant(10)), "16", "10"),
    reduce_objects=shows(
        loop(LoopKind.REDUCE, apply(Op.CONCAT, m.Path(BOTH, ("accumulator",)), m.Path(BOTH, ("current",))), A),
        "null123", "null", "x",
    ),
    squares=shows(loop(LoopKind.MAP, loop(LoopKind.REDUCE, apply(Op.ADD, ITEM, ACCUMULATOR), ITEM)), "7,8,9", ""),
)  # fmt: skip

ERRORS = flags(
    divided_by_zero=asks(m.Truth(apply(Op.DIVIDE, 1, A))),
    modulo_zero=asks(m.Truth(apply(Op.MODULO, 1, A))),
    cut_at_infinity=shows(apply(Op.SUBSTRING, "abc", B, None), "abc"),
    raised=shows(m.Raise(ErrorCode.INVALID_CONTEXT, (apply(Op.ADD, A),)), "x"),
    failed=((), m.Rule(3, "broken", m.Fail(ErrorCode.PARSE_ERROR))),
    no_name=shows(apply(Op.CONCAT), "x"),
)
LIMITS = flags(
    too_many_loops=asks(m.Truth(nested(33))),
    too_many_values=asks(m.Truth(apply(Op.ADD, *(ITEM,) * 257))),
)

DEEP: Any = 1
for _ in range(16):
    DEEP = [DEEP]
NESTING = flags(
    identical=asks(m.Truth(apply(Op.EQUAL, A, DEEP, flags=1))),
    joined=shows(apply(Op.CONCAT, A), "1", "日,1.5,null,[object Object]"),
    deep=shows(m.Path(A, ("3", "k", "1", "é")), "0", "null"),
    wrapped=asks(m.Truth(apply(Op.MAKE_LIST, A))),
    by_whole=shares(0, A, *COLOURS),
)


def example(name: str) -> m.Model:
    return load((EXAMPLES / name).read_bytes())


def at_now(*contexts: Context) -> tuple[tuple[Context, int], ...]:
    return tuple((context, NOW_US) for context in contexts)


BAKERY: tuple[Context, ...] = (
    {},
    {"targetingKey": "u1", "city": "Ghent", "app": {"version": "4.10.0"}, "cart": {"total": 45.5}},
    {"targetingKey": "日本😀", "email": "x@bakery.example", "member": True, "orders": [{"total": 9}, {"total": 26}]},
)
GARDEN: tuple[Context, ...] = (
    {},
    {"user_id": "tester-1", "email": "ada@garden.example"},
    {"user_id": "u1", "appVersion": "4.2.0", "country": "US", "customData": {"orders": 12, "household": "日本😀"}},
    {"user_id": "u2", "country": "CA", "customData": {"orders": 10.5, "household": 7, "plan": "gold"}},
)
NUMBERS: tuple[Context, ...] = (
    {"a": 1, "b": 2},
    {"a": 3.5, "b": "2"},
    {"a": 2**63 - 1, "b": 1},
    {"a": float("nan"), "b": 2},
    {"b": [2]},
)

GOLDEN: dict[str, Golden] = {
    "predicates": Golden(
        "Each predicate on a slot, with operands of every kind; values of several shapes in the request's heap.",
        PREDICATES, at_now({}, *({"a": operand, "b": False, "c": 0} for operand in OPERANDS)),
    ),
    "regex": Golden(
        "Regular expressions of both dialects: tables, threads, what is beside a position, literals.",
        REGEX, at_now({}, {"a": 1}, *({"a": text} for text in SPELLED)),
    ),
    "versions": Golden(
        "Semantic versions, strict ones, and the three dialects of dotted numbers.",
        VERSIONS,
        at_now({}, *({"v": v} for v in ("1.2.3", "v1.2.3-rc.1+b", "1.2.3-rc.1+b", "1.10", "v1.2", 1, 1.5, "1é2.3"))),
    ),
    "buckets": Golden(
        "The clock, a ramp over time, splits over all hashes and encodings, keys outside of the basic plane, none.",
        BUCKETS,
        (({}, NOW_US), *(
            ({"targetingKey": key, "a": extra}, now)
            for key, extra, now in (
                ("u1", "x", NOW_US), ("u2", 7, NOW_US + 45_000_000), ("日本😀", "é", NOW_US - 1), ("", 0.5, 0),
                ("u3", True, -1_500), ("u1", 2**63, NOW_US + 90_000_000),
            )
        )),
    ),
    "fractional": Golden(
        "Shares of both generations, by the targeting key and by a computed value.",
        FRACTIONAL, at_now({}, *({"targetingKey": "u1", "a": a} for a in ("x", "", "😀", 1.0, 0.1, [1, {"é": None}]))),
    ),
    "arithmetic": Golden(
        "Numbers, their overflow to doubles, not-a-number, order, and the clock.",
        ARITHMETIC, (*at_now(*NUMBERS), ({"a": 1, "b": 2}, -1)),
    ),
    "texts": Golden(
        "Text by code points, lists, look-up, what is missing, and a default that stays in the configuration.",
        TEXTS,
        at_now(
            {"a": "日本語😀", "b": 2, "items": {"k": {"l": ["x", "日"]}}, "plan": "pro"},
            {"a": "x", "b": [1, ""], "items": [1, 2]}, {}, {"a": "日本語😀", "b": "", "items": None},
        ),
    ),
    "logic": Golden(
        "Values chosen by truth, shared conditions as subroutines, labels, rules in steps.",
        LOGIC, at_now({}, {"a": "x@b"}, {"a": "", "b": True}, {"a": "x@b", "b": False}, {"b": False}),
    ),
    "loops": Golden(
        "Every kind of loop, over numbers, nothing, and what is no list; one inside of another.",
        LOOPS, at_now({"items": [1, 2, 3]}, {"items": []}, {"items": [0, "日", None], "a": "x"}, {"items": "x"}),
    ),
    "errors": Golden(
        "Failures of the data and of the rules.", ERRORS, at_now({}, {"a": 0, "b": float("inf")}, {"a": 1, "b": 1}),
    ),
    "limits": Golden("The limits of frames and of the stack.", LIMITS, at_now({"items": [1]})),
    "nesting": Golden(
        "Lists and objects up to the deepest that crosses.",
        NESTING, at_now({}, {"a": DEEP}, {"a": ["日", 1.5, None, {"k": [[], {"é": 0}], "": ""}]}, {"a": {"b": {}}}),
    ),
    "example-flagd": Golden("The bundled example of flagd's format.", example("flagd.json"), at_now(*BAKERY)),
    "example-devcycle": Golden("The bundled example of DevCycle's format.", example("devcycle.json"), at_now(*GARDEN)),
}  # fmt: skip
