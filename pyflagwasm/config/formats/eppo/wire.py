"""The members of a universal flag configuration, read as the vendors' decoder reads them.

An object may be an array of its members in their order, too; an enumeration's word may be an object of this word and
null; an integer is an integer literal. What the members mean is the matter of importer.py and conditions.py.

Every failure is a ConfigError.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ....errors import ConfigError
from ...document import at, expect, kind, refuse_constant
from ...model import JSON
from ...pieces import Pieces

REQUIRED: Final = object()
"""In place of a default: the member must be there."""

U32_MAX: Final = 2**32 - 1
_I64_MIN, _I64_MAX, _U64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
_MAX_JSON_DEPTH = 127

# Unicode's White_Space, of which Python's \s has more
_SPACE = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_TIMESTAMP = re.compile(
    r"_*([+-][0-9]+|[0-9]{1,4})_*-_*([0-9]{1,2})_*-_*([0-9]{1,2})[tT ]"
    r"_*([0-9]{1,2})_*:_*([0-9]{1,2})_*:_*([0-9]{1,2})(?:\.([0-9]{1,9})[0-9]*)?_*"
    r"(?:[zZ]|[uU][tT][cC]|([+\-\u2212])([0-9]{2})(?:_|:)*([0-9]{2}))_*\Z".replace("_", _SPACE)
)
_YEARS = -262143, 262142
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146097
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DAY = 86400


# ---------------------------------------------------------------- shapes


def record(value: JSON, path: str, what: str, fields: Mapping[str, Any]) -> dict[str, JSON]:
    """The named members of an object, with their defaults where they are missing. Others are left out."""
    found = expect(value, (dict, list), path, what)
    if isinstance(found, list):
        if len(found) > len(fields):
            raise ConfigError(path, f"{what} as an array has {len(fields)} members at most, not {len(found)}")
        found = dict(zip(fields, found, strict=False))
    members = {name: found.get(name, default) for name, default in fields.items()}
    for name, member in members.items():
        if member is REQUIRED:
            raise ConfigError(at(path, name), f"{what} has no `{name}`")
    return members


def word(value: JSON, words: Iterable[str], path: str, what: str) -> str:
    """One of the words of an enumeration."""
    if isinstance(value, dict) and len(value) == 1 and None in value.values():
        (value,) = value
    found: str = expect(value, str, path, what)
    if found not in words:
        raise ConfigError(path, f"{what} must be one of {', '.join(words)}, not {found!r}")
    return found


def u32(value: JSON, path: str, what: str) -> int:
    found = expect(value, int, path, what)
    if not 0 <= found <= U32_MAX:
        raise ConfigError(path, f"{what} must be within 0 .. {U32_MAX}, not {found}")
    return found


# ---------------------------------------------------------------- values


def integer(value: JSON, path: str) -> int:
    """A number without a fraction, as the 64-bit integer next to its double. 2^63 becomes the greatest of them."""
    found = float(expect(value, (int, float), path, "the value"))
    if not found.is_integer() or not _I64_MIN <= found <= _I64_MAX + 1:
        raise ConfigError(path, f"the value of an INTEGER must be an integer of 64 bits, not {value!r}")
    return min(int(found), _I64_MAX)


def i64(value: JSON, path: str) -> int:
    """An integer literal of 64 bits."""
    found = expect(value, int, path, "the value")
    if not _I64_MIN <= found <= _I64_MAX:
        raise ConfigError(path, f"the value of an INTEGER must be an integer of 64 bits, not {value!r}")
    return found


def json_text(value: JSON, path: str) -> JSON:
    """The value that a JSON text stands for."""
    text = expect(value, str, path, "the value of a JSON flag")
    try:
        found = Pieces(parse_int=_json_int, parse_float=_json_float, parse_constant=refuse_constant).decode(text)
        text_of = json.dumps(found, ensure_ascii=False)
        text_of.encode()
    except (ValueError, RecursionError) as error:
        raise ConfigError(path, f"the value of a JSON flag must be the text of a JSON value: {error}") from None
    if _depth(found) > _MAX_JSON_DEPTH:
        raise ConfigError(path, f"the value of a JSON flag nests more than {_MAX_JSON_DEPTH} deep")
    return found


def json_value(value: JSON) -> JSON:
    """The value with its integers beyond 64 bits as doubles."""
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, list):
        return [json_value(each) for each in value]
    return float(value) if isinstance(value, int) and not _I64_MIN <= value <= _U64_MAX else value


def _json_int(literal: str) -> int | float:
    number = _json_float(literal)
    if len(literal) < 21 and _I64_MIN <= int(literal) <= _U64_MAX and literal != "-0":  # 2^64 has 20 digits
        return int(literal)
    return number


def _json_float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise ValueError("a number beyond the range of a double")
    return number


def _depth(value: JSON) -> int:
    depth, level = 0, [value]
    while level := [each for each in level if isinstance(each, (dict, list))]:
        depth += 1
        level = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
    return depth


# ---------------------------------------------------------------- time


class Instant(NamedTuple):
    """A timestamp with nanoseconds, between two microseconds of the clock.

    reached_us: the first microsecond since 1970 at which the clock is not before it. passed_us: at which it is after.
    """

    reached_us: int
    passed_us: int


def instant(value: JSON, path: str, what: str) -> Instant:
    """An RFC 3339 timestamp, in which there may be spaces, `UTC` for `Z`, and no colon in the offset.

    A leap second lies behind the last nanosecond of the second before it, and before all of the next one.
    """
    text = expect(value, str, path, what)
    found = _TIMESTAMP.match(text)
    if not found:
        raise ConfigError(path, f"{what} must be a timestamp like 2031-12-24T18:00:00Z, not {text!r}")
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    fraction, sign, hours, minutes = found.group(7, 8, 9, 10)
    seconds = _seconds(year, month, day)
    offset = 0 if sign is None else int(hours) * 3600 + int(minutes) * 60
    if seconds is None or hour > 23 or minute > 59 or second > 60 or offset >= _DAY or int(minutes or 0) > 59:
        raise ConfigError(path, f"{what} is no moment in time: {text!r}")
    seconds += hour * 3600 + minute * 60 + min(second, 59) - (offset if sign == "+" else -offset)
    if not _FIRST <= seconds < _END:
        raise ConfigError(path, f"{what} is beyond the range of dates: {text!r}")
    nanoseconds = 999_999_999 if second == 60 else int((fraction or "0").ljust(9, "0"))
    us = seconds * 1_000_000
    return Instant(us + -(-nanoseconds // 1000), us + nanoseconds // 1000 + 1)


def _seconds(year: int, month: int, day: int) -> int | None:
    """Since 1970, of a date of the proleptic Gregorian calendar; None for one that does not exist."""
    if not _YEARS[0] <= year <= _YEARS[1]:
        return None
    cycles, within = divmod(year - _CYCLE_YEARS, _CYCLE_YEARS)
    try:
        days = datetime.date(within + _CYCLE_YEARS, month, day).toordinal()
    except ValueError:
        return None
    return (days + cycles * _CYCLE_DAYS - _EPOCH) * _DAY


_FIRST, _END = _seconds(_YEARS[0], 1, 1) or 0, (_seconds(_YEARS[1], 12, 31) or 0) + _DAY


def shown(value: JSON) -> str:
    """A value for a message, short."""
    return repr(value) if isinstance(value, (str, int, float)) and len(repr(value)) < 80 else kind(value)
