"""Texts as the crates of Unleash's engine read them: numbers, instants, networks; and numbers as it writes them.

Here live single values. What is done with them is the matter of constraints.py while a document is read, and of
runtime/views/unleash.py while a context is.
"""

from __future__ import annotations

import ipaddress
import math
import re
import struct
from typing import Final

WHITE_SPACE: Final = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""What Unicode calls white space. Python's strip() takes four control characters more."""

INSTANTS_A_SECOND: Final = 4000
"""How many values `instant` has for a second: two for each millisecond, and as many for a leap second."""

_NUMBER = re.compile(
    r"[+-]?(?:inf|infinity|nan|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?)", re.IGNORECASE | re.ASCII
)
_UNSIGNED = re.compile(r"\+?[0-9]+")
_W = f"[{WHITE_SPACE}]*"
_INSTANT = re.compile(
    rf"{_W}(-[0-9]+|\+[0-9]+|[0-9]{{1,4}}){_W}-{_W}([0-9]{{1,2}}){_W}-{_W}([0-9]{{1,2}})[Tt ]"
    rf"{_W}([0-9]{{1,2}}){_W}:{_W}([0-9]{{1,2}}){_W}:{_W}([0-9]{{1,2}})(?:\.([0-9]+))?{_W}"
    rf"(?:[Uu][Tt][Cc]|[Zz]|([+\-\u2212])([0-9]{{2}})[:{WHITE_SPACE}]*([0-5][0-9])){_W}"
)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_YEARS = range(-262_143, 262_143)
_DAY = 86_400
_MOST_DIGITS = 20  # of a number that may fit 64 bits, and of a year that may be one
_U64 = 2**64 - 1
_MOST_POWER = 308


def number(text: str) -> float | None:
    """Rust's `parse::<f64>`; None for what it refuses."""
    return float(text) if _NUMBER.fullmatch(text) else None


def unsigned(text: str, most: int) -> int | None:
    """Rust's `parse` for an unsigned integer up to `most`; None for what it refuses."""
    if not _UNSIGNED.fullmatch(text):
        return None
    digits = text.lstrip("+").lstrip("0")
    if len(digits) > _MOST_DIGITS or int(digits or 0) > most:
        return None
    return int(digits or 0)


def number_text(value: int | float) -> str:
    """How the engine writes a JSON number that it was given: integers of 64 bits in decimal, all others as doubles.

    A double that Python writes with many digits, or far from 1, may be read as one of its neighbours.
    """
    if isinstance(value, int) and -(2**63) <= value <= _U64:
        return str(value)
    written = repr(_read(repr(value)))
    mantissa, mark, exponent = written.partition("e")
    if not mark:
        return written
    power = int(exponent)
    if power == -5:  # Python has an exponent one digit earlier
        sign = "-" if mantissa.startswith("-") else ""
        return f"{sign}0.0000{mantissa.lstrip('-').replace('.', '')}"
    return f"{mantissa}e{power:+d}"


def _read(text: str) -> float:
    """Crate serde_json's reading of a number, which rounds twice: 64 bits of digits, then a power of ten."""
    mantissa, _, exponent = text.partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    power = int(exponent or 0) - len(fraction)
    digits = whole + fraction
    while int(digits) > _U64:  # of an integer
        digits, power = digits[:-1], power + 1
    value = float(int(digits))
    while value and power < -_MOST_POWER:
        value, power = value / 1e308, power + _MOST_POWER
    value = value * float(f"1e{power}") if power >= 0 else value / float(f"1e{-power}")
    return -value if mantissa.startswith("-") else value


def instant(text: str) -> int | None:
    """An instant as chrono reads a date with a time and an offset, as a number in the order of instants; or None.

    It is INSTANTS_A_SECOND for each second since 1970, and within one twice the milliseconds, plus one if there is a
    rest: so it tells an instant from any that is given in whole milliseconds.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    year_text, *rest, fraction, sign, hours, minutes = found.groups()
    if len(year_text.lstrip("+-").lstrip("0")) > _MOST_DIGITS:
        return None
    year, (month, day, hour, minute, second) = int(year_text), map(int, rest)
    offset = 0 if sign is None else (int(hours) * 3600 + int(minutes) * 60) * (1 if sign == "+" else -1)
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not (year in _YEARS and 1 <= month <= 12 and 1 <= day <= _MONTH_DAYS[month - 1] + leap):
        return None
    if hour > 23 or minute > 59 or second > 60 or abs(offset) >= _DAY:
        return None
    nanoseconds = int((fraction or "")[:9].ljust(9, "0")) + (10**9 if second == 60 else 0)
    clock = hour * 3600 + minute * 60 + min(second, 59)
    seconds = _days(year, month, day) * _DAY + clock - offset
    milliseconds, left = divmod(nanoseconds, 10**6)
    return seconds * INSTANTS_A_SECOND + 2 * milliseconds + (left > 0)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 in the proleptic Gregorian calendar, whose years Python's own ends too early for."""
    if month <= 2:
        year, month = year - 1, month + 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - 719_468


def network(text: str) -> bytes | None:
    """A network for Op.IN_NETWORK, as crate ipnetwork reads it; None for what it refuses."""
    written, slash, length = text.partition("/")
    address = _address(written)
    if address is None:
        return None
    bits = address.max_prefixlen
    prefix: int | None = bits
    if slash:
        mask = _address(length) if address.version == 4 else None
        prefix = _mask_length(int(mask)) if isinstance(mask, ipaddress.IPv4Address) else unsigned(length, bits)
    if prefix is None:
        return None
    first = int(address) >> (bits - prefix) << (bits - prefix)
    return bytes([address.version, prefix]) + first.to_bytes(bits // 8, "big")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if "%" in text:  # Rust knows no zones here
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _mask_length(mask: int) -> int | None:
    length = mask.bit_count()
    return length if mask == (2**32 - 1) >> (32 - length) << (32 - length) else None


def equal_bounds(value: float) -> tuple[float, float] | None:
    """The least and the greatest double that is less than the machine epsilon away from `value`; None if none is."""
    if not math.isfinite(value):
        return None
    return _outermost(value, -1.0), _outermost(value, 1.0)


def _outermost(value: float, sign: float) -> float:
    epsilon = math.ulp(1.0)
    near, far = _rank(value), _rank(value + sign * 2 * epsilon)
    while abs(far - near) > 1:  # the difference is rounded, and the doubles around 0 are many
        middle = (near + far) // 2
        near, far = (middle, far) if abs(_ranked(middle) - value) < epsilon else (near, middle)
    return _ranked(near)


def _rank(value: float) -> int:
    """Doubles numbered in their order."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else -(bits & 2**63 - 1)


def _ranked(rank: int) -> float:
    value: float = struct.unpack("<d", struct.pack("<q", abs(rank)))[0]
    return value if rank >= 0 else -value
