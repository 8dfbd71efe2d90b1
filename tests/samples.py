"""Random JSON values and requests, written with the bytes of schema/README.md section 4.

Here live the alphabets, which are small so that equal values meet, and the writer of values into a heap. Programs
are in generator.py; strategies.py drives both from Hypothesis. Everything draws from a `random.Random`.
"""

from __future__ import annotations

import ipaddress
import math
import struct
from random import Random
from typing import Any

from fbs_generated.Kind import Kind
from fbs_generated.Space import Space
from reference_input import MISSING

I64_MIN, I64_MAX = -(2**63), 2**63 - 1

WORDS = ["", "a", "b", "ab", "ba", "abc", "A", "key", "on", "off", "accumulator", "current", "length", "a.b", "a,b"]
WORDS += [
    "True",
    "true",
    "False",
    "null",
    "None",
    "[object Object]",
    " ",
    "é",
    "aé",
    "日本",
    "😀",
    "a😀b",
    "e\u0301",
    "\0",
]
NUMERALS = [
    "0",
    "1",
    "01",
    "-1",
    "+2",
    "1.5",
    ".5",
    "5.",
    "-0",
    " 7 ",
    "\t3\n",
    "1_0",
    "1__0",
    "_1",
    "1_",
    "1e3",
    "1E-2",
]
NUMERALS += ["1e400", "-1e400", "1e-400", "nan", "NaN", "-nan", "inf", "+INF", "-inf", "Infinity", "-infinity", " inf "]
NUMERALS += ["0x10", "1e", "e1", "1.2.3", "--1", "9007199254740993", "9223372036854775808", "\u00a05", "\u2003" + "6"]
NUMERALS += ["0.1", "2.2250738585072012e-308", "4.9e-324", "2.4703282292062327e-324", "1.7976931348623159e308", "1e22"]
ADDRESSES = [
    "10.1.2.3",
    "10.1.2.255",
    "192.168.0.1",
    "0.0.0.0",
    "::",
    "::1",
    "2001:db8::ff00:42:8329",
    "1:2:3:4:5:6:7:8",
]
ADDRESSES += ["1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "::ffff:10.1.2.3", "1:2:3:4:5:6:1.2.3.4", "FE80::A", "256.1.1.1"]
ADDRESSES += ["", "1.2.3", "01.2.3.4", "1:2:3:4::5:6:7:8", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%1", "12345::", "1.2.3.4::"]
TIMES = ["2000-02-29T00:00:00Z", "2023-11-14T22:13:20.5Z", "2023-11-14T22:13:20z", "9999-12-31T23:59:60.999999999Z"]
TIMES += [
    "1970-01-01 00:00:00-00:00",
    "1970-01-01t02:30:00.0000000001+02:30",
    "0000-01-01T00:00:00Z",
    "1900-02-29T00:00:00Z",
]
TIMES += [
    "2023-02-30T00:00:00Z",
    "2023-11-14T24:00:00Z",
    "2023-11-14",
    "2023-11-14T22:13:20",
    "",
    "2023-11-14T22:13:20.Z",
]
VERSIONS = [
    "1.0.0",
    "1.0",
    "1",
    "v1.2",
    "V2",
    "2.0.0",
    "1.2.3",
    "1.10.0",
    "1.9.0",
    "01.2.3",
    "1.2.3.4",
    "1..2",
    "1.2.x",
]
VERSIONS += ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1-a"]
VERSIONS += ["1.0.0+b1", "1.0.0-rc.1+b-1", "1+b", "1.0.0-01", "1.0.0-", "1.0.0+", "vv1", "99999999999999999999.0.0"]
VERSIONS += [
    "1.2-3-4",
    "1a2b.3",
    "(1).2|3",
    "1.2.3 beta",
    "1é2",
    "x",
    "-1",
    "😀1.2",
    "1.2-1.2-",
    ".",
    "1.",
    "..",
    "a-b-1",
]
INTS = [0, 0, 1, 1, 2, 3, 5, -1, -2, 10, 23, 24, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 10**15]
INTS += [2**53, 2**53 + 1, -(2**53) - 1, I64_MAX, I64_MIN, I64_MAX - 1, I64_MIN + 1, 10**18, -(2**31), 3037000500]
FLOATS = [
    0.0,
    -0.0,
    1.0,
    2.0,
    -1.0,
    0.5,
    2.5,
    -2.5,
    0.1,
    0.30000000000000004,
    1 / 3,
    1e15,
    1e16,
    1e17,
    1e22,
    1e-4,
    1e-5,
]
FLOATS += [
    math.nan,
    math.inf,
    -math.inf,
    2.0**53,
    2.0**63,
    -(2.0**63),
    2.0**64,
    1.8e19,
    65504.0,
    65505.5,
    1e300,
    5e-324,
]
FLOATS += [0.099976, 5.960464477539063e-08, 1.401298464324817e-45, 3.4028234663852886e38, 123456.5, 999999999999999.9]


class Pairs(list[tuple[str, Any]]):
    """An Object that may repeat keys."""


def some_float(rng: Random) -> float:
    if rng.random() < 0.8:
        return rng.choice(FLOATS)
    if rng.random() < 0.5:
        return round(rng.uniform(-1000, 1000), rng.randrange(0, 17))
    (number,) = struct.unpack("<d", rng.getrandbits(64).to_bytes(8, "little"))
    return math.nan if math.isnan(number) else number


def some_int(rng: Random) -> int:
    return rng.choice(INTS) if rng.random() < 0.9 else rng.getrandbits(rng.choice((4, 16, 63))) * rng.choice((1, -1))


def some_text(rng: Random, hint: str = "text") -> str:
    roll = rng.random()
    if hint == "version" or (hint != "number" and roll < 0.12):
        chosen = rng.choice(VERSIONS)
        return chosen if rng.random() < 0.9 else f"{rng.randrange(3)}.{rng.randrange(3)}.{rng.randrange(12)}"
    if hint == "number" or roll < 0.3:
        return (
            rng.choice(NUMERALS)
            if rng.random() < 0.7
            else repr(some_float(rng)) + rng.choice(("", "", "0", "e3", "_1"))
        )
    chosen = rng.choice(WORDS)
    return chosen if rng.random() < 0.9 else chosen + rng.choice(WORDS)


def some_value(rng: Random, hint: str = "any", depth: int = 2) -> Any:
    """A JSON value: None, bool, int, float, str, list, dict or Pairs; mostly of the kind of the hint."""
    if hint == "any" or rng.random() < 0.08:
        hint = rng.choice(("null", "bool", "int", "float", "text", "text", "version", "list", "object"))
    if hint == "number":
        hint = rng.choice(("int", "int", "float", "float", "bool", "numeral", "null"))
    if hint == "entry":
        weight = rng.choice((0, 1, 1, 2, 50, 50, 100, -1, 2**31 - 1, 2**31, I64_MAX, 1.0, True, "1", None))
        return rng.choice((["a", weight], ["b", weight], ["on", weight], [some_value(rng, "any", 0)], ["a", 1, 2]))
    if hint == "null":
        return None
    if hint == "bool":
        return rng.random() < 0.5
    if hint in ("int", "float"):
        return some_int(rng) if hint == "int" else some_float(rng)
    if hint == "numeral":
        return some_text(rng, "number")
    if hint in ("text", "version"):
        return some_text(rng, hint)
    if hint in ("address", "time"):
        return some_change(rng, rng.choice(ADDRESSES if hint == "address" else TIMES))
    members = 0 if depth == 0 else rng.choice((0, 1, 1, 2, 3, 4))
    inner = rng.choice(("any", "any", "int", "text", "number", "entry"))
    if hint == "list":
        return [some_value(rng, inner, depth - 1) for _ in range(members)]
    pairs = [(rng.choice(("a", "b", "key", "", "0", "length", "é")), some_value(rng, inner, depth - 1))]
    pairs += [(some_text(rng), some_value(rng, inner, depth - 1)) for _ in range(members)]
    return dict(pairs)


def some_change(rng: Random, text: str) -> str:
    """The text, or one that is hardly another."""
    if rng.random() < 0.7:
        return text
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(("", "0", "1", "9", ":", ".", "-", "a", " ", "é")) + text[at + rng.randrange(2) :]


def some_network(rng: Random) -> bytes:
    """Version, length of the prefix, address."""
    chosen = ipaddress.ip_address(rng.choice(ADDRESSES[:8]))
    length = rng.choice((0, 8, 24, 25, 31, 32, 64, 127, 128, 255))
    return bytes([rng.choice((chosen.version,) * 9 + (0,)), length]) + chosen.packed


class HeapWriter:
    """Appends values to a heap. `write` returns (kind, length, bits); lists and objects begin at multiples of 8."""

    def __init__(self, rng: Random | None = None) -> None:
        self.heap, self.rng = bytearray(), rng

    def write(self, value: Any) -> tuple[int, int, int]:
        if value is MISSING:
            return Kind.Missing, 0, 0
        if value is None:
            return Kind.Null, 0, 0
        if isinstance(value, bool):
            return Kind.Bool, 0, int(value)
        if isinstance(value, int):
            return Kind.Int, 0, value & 2**64 - 1
        if isinstance(value, float):
            return Kind.Float, 0, struct.unpack("<Q", struct.pack("<d", value))[0]
        if isinstance(value, str | bytes):
            text = value if isinstance(value, bytes) else value.encode()
            self.heap += text
            return Kind.Text, len(text), len(self.heap) - len(text)
        if isinstance(value, dict):
            value = Pairs(value.items())
        kind = Kind.Object if isinstance(value, Pairs) else Kind.List
        flat = [member for pair in value for member in pair] if kind == Kind.Object else value
        written = [self.write(member) for member in flat]
        self.heap += bytes(-len(self.heap) % 8)
        at = len(self.heap)
        for member in written:
            self.heap += packed(*member, space=self.rng.randrange(4) if self.rng else 0)
        return kind, len(value), at


def packed(kind: int, length: int, bits: int, space: int = Space.Request) -> bytes:
    return struct.pack("<BBHIQ", kind, space, 0, length, bits)


def encode_request(slots: list[bytes], heap: bytes, now_us: int = 0) -> bytes:
    """The canonical form: section 4, byte by byte."""
    n = len(slots)
    head = struct.pack("<I4s5H6xi", 24, b"PFRQ", 10, 24, 4, 8, 16, 16)
    table = struct.pack("<IqIIII", 24, now_us, 56 + 16 * n - 40, 0, 0, n)
    return head + table + b"".join(slots) + struct.pack("<I", len(heap)) + heap


def request_of(values: list[Any], now_us: int = 0) -> bytes:
    """A request whose slots have these values, MISSING included."""
    writer = HeapWriter()
    return encode_request([packed(*writer.write(value)) for value in values], bytes(writer.heap), now_us)


def some_request(rng: Random, hints: list[str], constants: list[tuple[int, int, int]], now_us: int) -> bytes:
    """A request with one slot for each hint; some refer to constants of the configuration, some to one another."""
    writer, slots = HeapWriter(rng), list[bytes]()
    for hint in hints:
        roll = rng.random()
        if roll < 0.08:
            slots.append(packed(Kind.Missing, 0, 0, rng.randrange(4)))
        elif roll < 0.14 and slots:
            slots.append(rng.choice(slots))
        elif roll < 0.2 and constants:
            slots.append(packed(*rng.choice(constants), space=Space.Config))
        elif roll < 0.21:
            slots.append(packed(rng.choice((Kind.Text, Kind.List, Kind.Object, 8, 255)), 3, 1 << 40))
        else:
            slots.append(packed(*writer.write(some_value(rng, hint)), space=rng.choice((0, 0, 2, 3))))
    return encode_request(slots, bytes(writer.heap), now_us)
