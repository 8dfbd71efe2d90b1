"""Where the two readings of a DevCycle configuration differ: as the vendor's own module answers, or corrected.

Only the differences live here, as plain data; the rules that both share are in the modules that apply them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...._abi import Encoding, VersionDialect

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
EXACT_INTEGERS = 2**53
"""Integers up to here are doubles as they are."""


@dataclass(frozen=True, slots=True)
class Semantics:
    """One reading.

    and_ends_at_nested: the first nested operator of an "and" is its result; entries behind it do not count.
    encoding: how ids are hashed.
    clean: how versions are cleaned before they are compared by order.
    text_order_holds: `>`, `>=`, `<`, `<=` on texts are true; otherwise false.
    empty_bucketing_key: `bucketingKey: ""` names the custom data "" instead of the user id.
    bucket_view: the view that makes the bucketing text of custom data.
    inexact_integers: long integer literals are added up in doubles, digit by digit, and cut to 64 bits.
    utc_offsets: dates are read by RFC 3339; otherwise field by field, ignoring the offset.
    platform_from_context: the context may say another platform than the process.
    repeated_reversed: of entries of a distribution that name one variation the last is walked first.
    """

    and_ends_at_nested: bool
    encoding: Encoding
    clean: VersionDialect
    text_order_holds: bool
    empty_bucketing_key: bool
    bucket_view: str
    inexact_integers: bool
    utc_offsets: bool
    platform_from_context: bool
    repeated_reversed: bool


VENDOR = Semantics(
    and_ends_at_nested=True,
    encoding=Encoding.BACKSLASH,
    clean=VersionDialect.NUMERIC_CLEAN_QUIRK,
    text_order_holds=True,
    empty_bucketing_key=True,
    bucket_view="devcycle_bucket_vendor",
    inexact_integers=True,
    utc_offsets=False,
    platform_from_context=False,
    repeated_reversed=True,
)

CORRECTED = Semantics(
    and_ends_at_nested=False,
    encoding=Encoding.UTF8,
    clean=VersionDialect.NUMERIC_CLEAN,
    text_order_holds=False,
    empty_bucketing_key=False,
    bucket_view="devcycle_bucket_corrected",
    inexact_integers=False,
    utc_offsets=True,
    platform_from_context=True,
    repeated_reversed=False,
)


def value(json: Any, semantics: Semantics) -> Any:
    """A JSON value of the document as this reading understands its numbers."""
    if not semantics.inexact_integers:
        return json
    if isinstance(json, dict):
        return {key: value(item, semantics) for key, item in json.items()}
    if isinstance(json, list):
        return [value(item, semantics) for item in json]
    return _inexact(json) if type(json) is int and abs(json) > EXACT_INTEGERS else json


def _inexact(literal: int) -> int:
    if abs(literal) > 10 * INT64_MAX:
        return INT64_MAX if literal > 0 else INT64_MIN
    total = 0.0
    for digit in str(abs(literal)):
        total = total * 10.0 + int(digit)
        if total > INT64_MAX:
            return INT64_MAX if literal > 0 else INT64_MIN
    return int(total) if literal > 0 else -int(total)


def number(json: int | float, semantics: Semantics) -> float:
    """A number of the document as the double that comparisons use."""
    try:
        return float(value(json, semantics))
    except OverflowError:
        return float("inf") if json > 0 else float("-inf")
