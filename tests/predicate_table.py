"""Expectations of predicates on a slot, worked out by hand from schema/README.md, one line for each fact.

PREDICATES: operation, the slot, its constants, the way it goes. `predicate_program` turns a line into a configuration
and a request. Operations on the value stack are in operation_table.py.
"""

from __future__ import annotations

import math
import struct
from typing import Any, NamedTuple

from fbs_generated.Kind import Kind
from fbs_generated.Op import Op
from fbs_generated.Order import Order
from fbs_generated.Reason import Reason
from programs import Assembler, Label
from reference_input import MISSING
from samples import request_of

NAN = math.nan
LT, EQ, GT = Order.Less, Order.Equal, Order.Greater
LE = LT | EQ


class P(NamedTuple):
    op: int
    slot: Any
    constants: list[Any]
    expected: str
    flags: int = 0
    mask: int | None = None
    extra: int = 0


QUIRK, CLEAN, RAW, STRICT, BUILD = 2 << 4, 1 << 4, 3 << 4, 4 << 4, 5 << 4
TEN = b"\4\x08\n\0\0\0"
TEXTS = (Op.TextIn, Op.TextPrefix, Op.TextSuffix, Op.TextContains)


def program(rows: list[tuple[int, ...]], sets: bytes = b"") -> bytes:
    """Class 0 is the end, 1 the last newline, 2 a bar, 3 U+00E9 to U+4DFF, 4 all else; to their neighbours 1 to 5."""
    characters = bytes(2 if chr(code) == "|" else 4 for code in range(128))
    ranges = [128 << 11 | 4, 0xE9 << 11 | 3, 0x4E00 << 11 | 4]
    head = struct.pack("<4H128s3I", 5, len(ranges), len(rows), len(sets) // 8, characters, *ranges)
    return head + b"".join(struct.pack(f"<{len(row)}H", *row) for row in rows) + bytes(range(9, 14)) + sets


# A bar before the end, the last newline, another bar, or something of class 3.
BAR_TABLE = program([(0, 2, 3, 2, 2), (1, 1, 1, 1, 2)])
# A bar before the end or something of class 3; or a last newline that is all there is.
BAR_THREADS = program(
    [(3, 4), (5, 6), (1, 7), (1, 8)], struct.pack("<3Q", 1 << 2, 1 | 1 << 8 + 2, 1 | 1 << 8 * 3 + 1 | 1 << 8 * 3 + 4)
)

PREDICATES = [
    *(P(Op.KindIn, v, [], "yes", mask=1 << k) for k, v in enumerate([MISSING, None, True, 1, 1.0, "", [], {}])),
    P(Op.KindIn, "a", [], "no", mask=0xFF ^ 1 << Kind.Text),
    P(Op.Truthy, MISSING, [], "no"),
    P(Op.Truthy, {}, [], "yes"),
    *(P(op, v, ["a"], "unknown") for op in TEXTS for v in (MISSING, None, 1, ["a"])),
    *(P(op, "ab", [], "no") for op in TEXTS),
    *(P(op, "ab", ["x", "ab"], "yes") for op in TEXTS),
    P(Op.TextIn, "é", ["a", "b", "é"], "yes", flags=1),
    P(Op.TextIn, "c", ["a", "b", "d"], "no", flags=1),
    P(Op.TextIn, "a", [""], "no"),
    *(P(op, "ab", [""], "yes") for op in TEXTS[1:]),
    P(Op.TextPrefix, "abc", ["bc", "ab"], "yes"),
    P(Op.TextPrefix, "abc", ["bc", "abcd"], "no"),
    P(Op.TextSuffix, "abc", ["bc"], "yes"),
    P(Op.TextContains, "abc", ["b"], "yes"),
    *(P(Op.NumberCompare, v, [1], "unknown", LE) for v in (MISSING, None, True, "1", [1])),
    P(Op.NumberCompare, 2**53 + 1, [2.0**53], "yes", EQ),
    P(Op.NumberCompare, 2, [5, 1], "yes", GT),
    P(Op.NumberCompare, NAN, [NAN, 1], "no", 7),
    P(Op.BoolIn, False, [], "yes", mask=1),
    P(Op.BoolIn, True, [], "no", mask=1),
    P(Op.BoolIn, 1, [], "unknown", mask=3),
    P(Op.EqualConst, "1", [1], "yes"),
    P(Op.EqualConst, "1", [1], "no", flags=1),
    P(Op.EqualConst, MISSING, [None], "yes", flags=1),
    P(Op.CompareConst, 1, [2], "yes", LT),
    P(Op.CompareConst, MISSING, [0], "yes", EQ),
    P(Op.CompareConst, "b", ["a"], "yes", GT),
    P(Op.InConst, 1.0, ["1", True], "yes"),
    P(Op.InConst, MISSING, [None], "yes"),
    P(Op.InConst, "1", [1], "no"),
    P(Op.ContainsConst, "a1b", [1], "yes"),
    P(Op.ContainsConst, [1.0], [True], "yes"),
    P(Op.ContainsConst, {"a": 1}, ["a"], "no"),
    P(Op.ContainsConst, MISSING, [None], "no"),
    P(Op.Version, "1.2.3", ["2.0.0", "1.2.3"], "yes", EQ),
    P(Op.Version, "1.2.3-rc", ["1.2.3"], "yes", LT),
    P(Op.Version, 1, ["1.0.0"], "yes", EQ),
    *(P(Op.Version, v, ["1.0.0"], "unknown", 7) for v in (MISSING, None, True, "x", "", [1])),
    P(Op.Version, "1.2.3", ["1.9.9"], "yes", 7, extra=1),
    P(Op.Version, "1.2.3", ["1.9.9"], "no", 7, extra=2),
    P(Op.Version, "1.2.3", ["1.2.9"], "yes", 7, extra=2),
    *(P(Op.Version, v, ["1.0.0"], "unknown", dialect | 7) for v in (MISSING, 1, "") for dialect in (RAW, CLEAN, QUIRK)),
    P(Op.Version, "1.2", ["1.2.0"], "yes", RAW | EQ),
    P(Op.Version, "1..3", ["1.0.3"], "yes", RAW | EQ),
    P(Op.Version, "1.2.3", ["1..3"], "no", RAW | 7),
    P(Op.Version, "1.2.3", ["", "1.2"], "yes", RAW | GT),
    P(Op.Version, "1.10", ["1.9"], "yes", RAW | GT),
    P(Op.Version, "1.2a", ["1.2"], "no", RAW | 7),
    P(Op.Version, "1.2.0.1", ["1.2"], "yes", RAW | GT),
    P(Op.Version, "v1.2a-beta.3", ["x1.2"], "yes", CLEAN | EQ),
    P(Op.Version, "abc", ["0"], "yes", CLEAN | EQ),
    P(Op.Version, "1(2)", ["12"], "no", CLEAN | 7),
    # the quirk drops only one unit of the attribute: v1.2a -> 1.2a
    P(Op.Version, "v1.2a", ["1.2"], "no", QUIRK | 7),
    # ... and looks behind the place where it found it in the text before: p1 = 1, so v of the constant stays
    P(Op.Version, "v1.2", ["v1.2"], "no", QUIRK | 7),
    P(Op.Version, "v1.2", ["v1.2", "v1.2"], "yes", QUIRK | EQ),
    P(Op.Version, "1.2-3", ["1.2"], "yes", QUIRK | EQ),
    P(Op.Version, "1.2-3", ["1.2-4"], "no", QUIRK | 7),
    P(Op.Version, "1.2-3", ["1.2-4", "1.2-4"], "yes", QUIRK | EQ),
    *(P(Op.Version, v, ["1.0.0"], "unknown", STRICT | 7) for v in (MISSING, 1, "", "1.0", "v1.0.0", "1.0.0-01")),
    P(Op.Version, "18446744073709551615.0.0", ["1.0.0"], "yes", STRICT | GT),
    P(Op.Version, "18446744073709551616.0.0", ["1.0.0"], "unknown", STRICT | GT),
    P(Op.Version, "1.2.3", ["1.2", "v1.2.3"], "no", STRICT | 7),
    P(Op.Version, "1.2.3-rc.10", ["1.2.3-rc.9"], "yes", STRICT | GT),
    P(Op.Version, "1.2.3+b", ["1.2.3"], "yes", STRICT | EQ),
    P(Op.Version, "1.2.3+b", ["1.2.3"], "yes", BUILD | GT),
    P(Op.Version, "1.2.3+01", ["1.2.3+1"], "yes", BUILD | GT),
    P(Op.Version, "1.2.3+1", ["1.2.3+b"], "yes", BUILD | LT),
    *(P(Op.TextMatch, v, [p], "unknown") for v in (MISSING, None, 1, ["|"]) for p in (BAR_TABLE, BAR_THREADS)),
    *(P(Op.TextMatch, v, [BAR_TABLE], "yes") for v in ("|", "a||b", "|\n", "\U0001f600|\u00e9", "|\u4dff")),
    *(P(Op.TextMatch, v, [BAR_TABLE], "no") for v in ("", "a", "|\n\n", "|\u00e8", "|\u4e00", "|\x80", "|\U0001f600")),
    *(P(Op.TextMatch, v, [BAR_THREADS], "yes") for v in ("|", "a|", "||", "|\u00e9a", "\n", "|a|\u4dff")),
    *(P(Op.TextMatch, v, [BAR_THREADS], "no") for v in ("", "|a", "|\n", "\n\n", "a\n", "|\u4e00")),
    *(
        P(Op.InNetwork, v, [TEN], "unknown")
        for v in (MISSING, 10, "", "10.0.0", "010.0.0.1", "1::2::3", "1:2:3:4:5:6:7")
    ),
    P(Op.InNetwork, "10.1.2.3", [TEN], "yes"),
    P(Op.InNetwork, "11.1.2.3", [TEN], "no"),
    P(Op.InNetwork, "::ffff:10.1.2.3", [TEN], "no"),
    P(Op.InNetwork, "2001:db8::1", [TEN + b"\6\x20\x20\x01\x0d\xb8" + bytes(12)], "yes"),
    P(Op.InNetwork, "10.1.2.3", [b""], "no"),
    *(
        P(Op.TimeCompare, v, [0, 0], "unknown", 7)
        for v in (MISSING, 0, "", "2023-02-29T00:00:00Z", "2023-01-01T00:00:00")
    ),
    P(Op.TimeCompare, "1970-01-01T00:00:00Z", [0, 0], "yes", EQ),
    P(Op.TimeCompare, "1970-01-01t02:30:00.0000000019+02:30", [0, 1], "yes", EQ),
    P(Op.TimeCompare, "1969-12-31 23:59:60z", [0, 0], "yes", LT),
    P(Op.TimeCompare, "1969-12-31T23:59:60Z", [-1, 999_999_999], "yes", GT),
]


def predicate_program(row: P) -> tuple[bytes, bytes]:
    """Variant 0 is no, 1 yes, 2 unknown."""
    out = Assembler(slot_count=1)
    out.flags.append((0, 3))
    ways = {name: Label() for name in ("no", "yes", "unknown")}
    first = out.constants(*row.constants)
    a = first if row.mask is None else row.mask
    out.emit(row.op, row.flags, 0, a, len(row.constants) | row.extra << 16, **ways)
    for variant, label in enumerate(ways.values()):
        out.place(label)
        out.emit(Op.Decide, Reason.TargetingMatch, a=variant, b=65535)
    return out.serialise(), request_of([row.slot])
