"""Values that nobody puts into a context on purpose, and some that somebody does, with what becomes of each.

For every host of the core: whatever encodes must give the same outcomes.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import math
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyflagwasm import _abi

DEPTH = _abi.LIMITS_VALUE_DEPTH

# ---------------------------------------------------------------- what is converted


class Hostile:
    """What overriding can do to a subclass of a value."""

    def _no(self, *args: object) -> Any:
        raise RuntimeError("an overridden method was called")

    __str__ = __repr__ = __len__ = __iter__ = __getitem__ = __int__ = __float__ = __index__ = __bool__ = _no
    __contains__ = __ge__ = __le__ = __gt__ = __lt__ = __format__ = _no
    encode = isascii = _no


class Str(Hostile, str):
    def __eq__(self, other: object) -> bool:
        return bool(self._no())

    def __hash__(self) -> int:
        return int(self._no())


class Int(Hostile, int):
    __eq__ = Hostile._no
    __hash__ = Hostile._no  # type: ignore[assignment]


class Float(Hostile, float):
    __eq__ = Hostile._no
    __hash__ = Hostile._no  # type: ignore[assignment]


class List(Hostile, list):
    __eq__ = Hostile._no
    __hash__ = Hostile._no  # type: ignore[assignment]


class Tuple(Hostile, tuple):
    __eq__ = Hostile._no
    __hash__ = Hostile._no  # type: ignore[assignment]


class Plan(enum.Enum):
    PRO = "pro"
    NESTED = collections.namedtuple("Pair", "x y")(1, None)


class Level(enum.IntEnum):
    HIGH = 3


class Name(str, enum.Enum):  # noqa: UP042 - StrEnum would be another case
    ADA = "ada"

    def __str__(self) -> str:
        return "not this"


class Outer(enum.Enum):
    INNER = Plan.PRO


class Scalar:
    """Like a NumPy scalar."""

    ndim = 0

    def __init__(self, value: Any) -> None:
        self.value = value

    def item(self) -> Any:
        return self.value


Scalar.__module__ = "numpy"
EAST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))

CONVERTED: dict[str, tuple[Any, Any]] = {
    "empty text": ("", ""),
    "NUL inside": ("a\0b", "a\0b"),
    "NUL only": ("\0", "\0"),
    "surrogate pair": ("\U0001f600", "\U0001f600"),
    "highest code point": ("\U0010ffff", "\U0010ffff"),
    "-0.0": (-0.0, -0.0),
    "infinity": (math.inf, math.inf),
    "-infinity": (-math.inf, -math.inf),
    "2^31": (2**31, 2**31),
    "2^53 + 1": (2**53 + 1, 2**53 + 1),
    "2^63 - 1": (2**63 - 1, 2**63 - 1),
    "-2^63": (-(2**63), -(2**63)),
    "2^63": (2**63, 2.0**63),
    "-2^63 - 1": (-(2**63) - 1, -(2.0**63)),
    "2^64": (2**64, 2.0**64),
    "2^64 + 1, nearest": (2**64 + 1, 2.0**64),
    "10^300": (10**300, 1e300),
    "True is no 1": (True, True),
    "1 is no True": (1, 1),
    "1.0 is no 1": (1.0, 1.0),
    "Decimal": (decimal.Decimal("0.1"), 0.1),
    "Decimal infinity": (decimal.Decimal("-Infinity"), -math.inf),
    "tiny Decimal": (decimal.Decimal("1e-5000"), 0.0),
    "Fraction": (fractions.Fraction(1, 3), 1 / 3),
    "Fraction of large integers": (fractions.Fraction(10**400, 10**399), 10.0),
    "naive datetime": (datetime.datetime(2031, 12, 24, 18, 30), "2031-12-24T18:30:00"),
    "datetime in UTC": (
        datetime.datetime(2031, 12, 24, 18, 30, 0, 5, datetime.UTC),
        "2031-12-24T18:30:00.000005+00:00",
    ),
    "datetime in the east": (datetime.datetime(2031, 12, 24, tzinfo=EAST), "2031-12-24T00:00:00+05:30"),
    "date": (datetime.date(2031, 12, 24), "2031-12-24"),
    "UUID": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "Enum": (Plan.PRO, "pro"),
    "Enum of a tuple": (Plan.NESTED, [1, None]),
    "Enum of an Enum": (Outer.INNER, "pro"),
    "IntEnum": (Level.HIGH, 3),
    "text Enum with another __str__": (Name.ADA, "ada"),
    "hostile str": (Str("x"), "x"),
    "hostile int": (Int(5), 5),
    "hostile large int": (Int(2**70), 2.0**70),
    "hostile float": (Float(0.5), 0.5),
    "hostile list": (List([1, "x"]), [1, "x"]),
    "hostile tuple": (Tuple((1, "x")), [1, "x"]),
    "tuple": ((1, (2,)), [1, [2]]),
    "numpy-like": (Scalar(7), 7),
    "numpy-like of numpy-like": (Scalar(Scalar(True)), True),
    "mapping proxy": (types.MappingProxyType({"k": 1}), {"k": 1}),
    "chain map": (collections.ChainMap({"k": 1}, {"k": 2, "l": 3}), {"k": 1, "l": 3}),
    "keys of a subclass": ({Name.ADA: Name.ADA}, {"ada": "ada"}),
    "empty key": ({"": ""}, {"": ""}),
    "key with NUL": ({"a\0": 1}, {"a\0": 1}),
}


# ---------------------------------------------------------------- what is refused


class Raising(Mapping):  # type: ignore[type-arg]
    """A mapping whose every method raises."""

    def __init__(self, error: type[BaseException] = RuntimeError) -> None:
        self.error = error

    def __getitem__(self, key: object) -> Any:
        raise self.error("no")

    def __iter__(self) -> Iterator[Any]:
        raise self.error("no")

    def __len__(self) -> int:
        raise self.error("no")


class Mutating(Mapping):  # type: ignore[type-arg]
    """Grows while it is read."""

    def __init__(self) -> None:
        self.data = {"k": 1, "l": 2}

    def __getitem__(self, key: str) -> Any:
        self.data[key * 2] = 1
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class Endless(Mutating):
    def __iter__(self) -> Iterator[str]:
        number = 0
        while True:
            number += 1
            yield str(number)

    def __getitem__(self, key: str) -> Any:
        return 1


class Imposter:
    """Says it is text."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        return str


class BadZone(datetime.tzinfo):
    def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta:
        raise RuntimeError("no")


class Array(Scalar):
    ndim = 1


Array.__module__ = "numpy"


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def _self_numpy() -> Scalar:
    scalar = Scalar(0)
    scalar.value = scalar
    return scalar


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


DEEP = f"lists and objects nest deeper than {DEPTH} levels"

REFUSED: dict[str, tuple[Any, str]] = {
    "lone high surrogate": ("a\ud800", "text with a lone surrogate has no UTF-8"),
    "lone low surrogate": ("\udfff", "text with a lone surrogate has no UTF-8"),
    "pair in two surrogates": ("\ud83d\ude00", "text with a lone surrogate has no UTF-8"),
    "10^400": (10**400, "the integer is beyond the range of a double"),
    "10^5000": (10**5000, "the integer is beyond the range of a double"),
    "-10^400": (-(10**400), "the integer is beyond the range of a double"),
    "huge Decimal": (decimal.Decimal("1e400"), "the Decimal is beyond the range of a double"),
    "signalling NaN": (decimal.Decimal("sNaN"), "a signalling NaN is not a number"),
    "huge Fraction": (fractions.Fraction(10**400), "the Fraction is beyond the range of a double"),
    "bytes": (b"x", "a value of type bytes cannot be used"),
    "bytearray": (bytearray(b"x"), "a value of type bytearray cannot be used"),
    "memoryview": (memoryview(b"x"), "a value of type memoryview cannot be used"),
    "set": ({1}, "a value of type set cannot be used"),
    "frozenset": (frozenset({1}), "a value of type frozenset cannot be used"),
    "range": (range(3), "a value of type range cannot be used"),
    "deque": (collections.deque(), "a value of type deque cannot be used"),
    "generator": ((x for x in "abc"), "a value of type generator cannot be used"),
    "complex": (1j, "a value of type complex cannot be used"),
    "time": (datetime.time(1), "a value of type time cannot be used"),
    "object": (object(), "a value of type object cannot be used"),
    "class": (dict, "a value of type type cannot be used"),
    "function": (len, "a value of type builtin_function_or_method cannot be used"),
    "not implemented": (NotImplemented, "a value of type NotImplementedType cannot be used"),
    "imposter": (Imposter(), "a value of type Imposter cannot be used"),
    "numpy-like array": (Array([1]), "a value of type Array cannot be used"),
    "numpy-like of bytes": (Scalar(b"x"), "a value of type bytes cannot be used"),
    "numpy-like of itself": (_self_numpy(), "a value of type Scalar does not unwrap to a plain one"),
    "datetime with a bad zone": (datetime.datetime(2031, 1, 1, tzinfo=BadZone()), "reading it raised RuntimeError"),
    "raising mapping": (Raising(), "reading it raised RuntimeError"),
    "mapping that recurses": (Raising(RecursionError), "reading it raised RecursionError"),
    "mutating mapping": (Mutating(), "reading it raised RuntimeError"),
    "int keys": ({1: 1}, "a key of type int; the keys of an object are text"),
    "None as key": ({None: 1}, "a key of type NoneType; the keys of an object are text"),
    "bytes as key": ({b"k": 1}, "a key of type bytes; the keys of an object are text"),
}

INSIDE: dict[str, tuple[Any, str, str]] = {
    "in a list": ([1, b"x"], "a[1]", "a value of type bytes cannot be used"),
    "in an object": ({"k": {1}}, "a.k", "a value of type set cannot be used"),
    "far inside": ({"k": [0, {"l": [10**400]}]}, "a.k[1].l[0]", "the integer is beyond the range of a double"),
    "text inside": (["\ud800"], "a[0]", "text with a lone surrogate has no UTF-8"),
    "key with a surrogate": ({"\ud800": 1}, r"a.'\ud800'", "text with a lone surrogate has no UTF-8"),
    "long key": ({"k" * 1000: b""}, "a." + "k" * 40 + "...", "a value of type bytes cannot be used"),
    "cyclic list": (_cycle(), "a" + "[0]" * DEPTH, DEEP),
    "one level too deep": (nested(DEPTH + 1, lambda v: {"k": v}), "a" + ".k" * DEPTH, DEEP),
    "1,000 levels of objects": (nested(1000, lambda v: {"k": v}), "a" + ".k" * DEPTH, DEEP),
    "100,000 levels of lists": (nested(100_000, lambda v: [v]), "a" + "[0]" * DEPTH, DEEP),
}
