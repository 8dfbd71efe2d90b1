"""Dates, percentages over time and the cut points of a distribution: numbers of a DevCycle target, worked out once.

What is hashed, and what happens to those inside, is the business of devcycle.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ....errors import ConfigError
from ...document import at, expect, member
from ...model import Segment
from .semantics import Semantics, number

HASHES = 2**32
_DAY_MS = 86_400_000
_LARGEST_DATE_MS = 8_640_000_000_000_000  # 100 million days, ECMAScript's bound
_INTEGER = re.compile(r"\s*([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]([0-7]+)|0[bB]([01]+)|([0-9]+))")


# ---------------------------------------------------------------- dates


def date_ms(json: object, path: str, semantics: Semantics) -> int:
    """A date of the document in milliseconds since 1970. Raises ConfigError."""
    text = expect(json, str, path, "a date")
    return _rfc3339_ms(text, path) if semantics.utc_offsets else _fields_ms(text, path)


def _rfc3339_ms(text: str, path: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(path, f"{text!r} is not a date like 2025-01-31T09:30:00.000Z") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000


def _fields_ms(text: str, path: str) -> int:
    """The vendor's reading: fields between `-`, `:` and `.`, the leading integer of each, 0 if there is none.

    An offset is never looked at; a fraction is a count of milliseconds; months and days may overflow.
    """
    if not text:
        raise ConfigError(path, "a date must not be empty")
    day_text, clock, clock_text = text.partition("T")
    hours = minutes = seconds = millis = 0
    if clock:
        fields = clock_text.split(":")
        if len(fields) < 2:
            raise ConfigError(path, f"{text!r} is not a date: a time needs hours and minutes")
        hours, minutes = _leading_integer(fields[0]), _leading_integer(fields[1])
        if len(fields) > 2:
            whole, _, fraction = fields[2].partition(".")
            seconds, millis = _leading_integer(whole), _leading_integer(fraction)
    year, month, day = (*map(_leading_integer, day_text.split("-")[:3]), 1, 1)[:3]
    ms = _days(year, month, day) * _DAY_MS + hours * 3_600_000 + minutes * 60_000 + seconds * 1000 + millis
    if abs(ms) > _LARGEST_DATE_MS:
        raise ConfigError(path, f"{text!r} is too far from now to be a date")
    return ms


def _leading_integer(text: str) -> int:
    found = _INTEGER.match(text)
    if not found:
        return 0
    sign, *digits = found.groups()
    base, figure = next((base, figure) for base, figure in zip((16, 8, 2, 10), digits, strict=True) if figure)
    return int(figure, base) * (-1 if sign == "-" else 1)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a Gregorian date. Years begin in March here, so that February is the last month."""
    year -= month <= 2
    month += 9 if month <= 2 else -3
    era, of_era = divmod(year, 400)
    of_year = _toward_zero(153 * month + 2, 5) + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _toward_zero(a: int, b: int) -> int:
    return a // b if a >= 0 else -(-a // b)


# ---------------------------------------------------------------- rollouts


def segments(rollout: Mapping[str, Any], path: str, semantics: Semantics) -> tuple[Segment, ...]:
    """The percentage of a rollout object over time, exact for every millisecond. Raises ConfigError."""
    kind = _one_of(rollout, "type", ("schedule", "gradual", "stepped"), path, "the kind of a rollout")
    start = date_ms(member(rollout, "startDate", str, path, "the start date"), at(path, "startDate"), semantics)
    first = 1.0
    if "startPercentage" in rollout:
        first = _share(rollout, "startPercentage", path, "the start percentage", semantics)
    stages = _stages(rollout.get("stages"), at(path, "stages"), semantics)
    if kind == "schedule":
        return (_level(start, 1.0),)
    found: list[Segment] = []
    # a stage counts from its date on, the start only after its own
    for moment in sorted({start + 1, *(date for _, date, _ in stages)}):
        segment = _segment(moment, start, first, stages)
        if not found or (segment.t0, segment.t1, segment.p0, segment.p1) != (
            found[-1].t0,
            found[-1].t1,
            found[-1].p0,
            found[-1].p1,
        ):
            found.append(segment)
    return tuple(found)


_Stage = tuple[str, int, float]


def _segment(now: int, start: int, first: float, stages: list[_Stage]) -> Segment:
    # in the order of the document, which need not be the order of time
    past = [stage for stage in stages if stage[1] <= now]
    future = [stage for stage in stages if stage[1] > now]
    if not past and start >= now:
        return _level(now, 0.0)
    _, since, share = past[-1] if past else ("", start, first)
    if not future or future[0][0] == "discrete":
        return _level(now, share)
    _, until, aim = future[0]
    return Segment(now, float(since), float(until), share, aim)


def _level(from_ms: int, share: float) -> Segment:
    # beyond 0 .. 1 it makes no difference, and infinity could not be computed with
    share = max(-1.0, min(2.0, share))
    return Segment(from_ms, 0.0, 1.0, share, share)


def _stages(json: object, path: str, semantics: Semantics) -> list[_Stage]:
    if not isinstance(json, list):
        return []
    found: list[_Stage] = []
    for i, item in enumerate(json):
        here = at(path, i)
        stage = expect(item, dict, here, "a stage")
        kind = _one_of(stage, "type", ("linear", "discrete"), here, "the kind of a stage")
        share = _share(stage, "percentage", here, "the percentage of a stage", semantics)
        date = date_ms(member(stage, "date", str, here, "the date of a stage"), at(here, "date"), semantics)
        found.append((kind, date, share))
    return found


def _one_of(parent: Mapping[str, Any], key: str, words: tuple[str, ...], path: str, what: str) -> str:
    word = member(parent, key, str, path, what)
    if word not in words:
        raise ConfigError(at(path, key), f"{what} must be one of {', '.join(words)}, not {word!r}")
    return word


def _share(parent: Mapping[str, Any], key: str, path: str, what: str, semantics: Semantics) -> float:
    return number(member(parent, key, (int, float), path, what), semantics)


# ---------------------------------------------------------------- distributions


def upper_bound(share: float) -> int:
    """The first 32-bit hash that is not inside a running sum of `share`: the vendor compares hash / (2**32 - 1).

    The highest hash, which is 1.0, is inside a sum of exactly 1 as well.
    """
    low, high = 0, HASHES  # `low` hashes are inside, `high` may be the first that is not
    while low < high:
        middle = (low + high) // 2
        position = middle / (HASHES - 1)
        if position < share or (share == 1.0 and position == 1.0):
            low = middle + 1
        else:
            high = middle
    return low


def cut_points(distribution: Iterable[tuple[str, float]], semantics: Semantics) -> list[tuple[int, str]]:
    """Ascending (upper bound, variation id) of the entries (variation id, percentage) that can be met at all.

    The vendor walks them by id, descending by UTF-16 units, and adds up doubles on the way. Its sort never calls two
    ids equal, which turns the entries of one id round.
    """
    entries = list(distribution)
    if semantics.repeated_reversed:
        entries.reverse()
    found: list[tuple[int, str]] = []
    reached, total = 0, 0.0
    for name, share in sorted(entries, key=lambda entry: entry[0].encode("utf-16-be"), reverse=True):
        total += share
        bound = upper_bound(total)
        if bound > reached:
            found.append((bound, name))
            reached = bound
    return found
