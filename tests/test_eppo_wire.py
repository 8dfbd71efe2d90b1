"""How members of a universal flag configuration are read: shapes, numbers, JSON texts, timestamps."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyflagwasm.config.formats.eppo.wire import REQUIRED, Instant, instant, integer, json_text, record, u32, word
from pyflagwasm.errors import ConfigError

FIELDS = {"a": REQUIRED, "b": 7}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "c": 3}, {"a": 1, "b": 7}),
        ({"a": None, "b": None}, {"a": None, "b": None}),
        ([1], {"a": 1, "b": 7}),
        ([1, 2], {"a": 1, "b": 2}),
    ],
)
def test_record(value: Any, expected: Any) -> None:
    assert record(value, "place", "a thing", FIELDS) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"b": 1}, "place.a: a thing has no `a`"),
        ([], "place.a: a thing has no `a`"),
        ([1, 2, 3], "place: a thing as an array has 2 members at most, not 3"),
        ("x", "place: a thing must be an object or an array, not a text"),
    ],
)
def test_what_is_no_record(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        record(value, "place", "a thing", FIELDS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("X", "X"), ({"X": None}, "X"), ({"X": {}}, None), ({"X": None, "Y": None}, None), (["X"], None), ("x", None)],
)
def test_word(value: Any, expected: str | None) -> None:
    try:
        assert word(value, ("X", "Y"), "place", "it") == expected
    except ConfigError:
        assert expected is None


@pytest.mark.parametrize(
    ("value", "fits"), [(0, True), (2**32 - 1, True), (2**32, False), (-1, False), (1.0, False), (True, False)]
)
def test_u32(value: Any, fits: bool) -> None:
    try:
        assert u32(value, "place", "it") == value
        assert fits
    except ConfigError:
        assert not fits


@pytest.mark.parametrize("value", [1.5, 1e300, 2**63 + 2**12, -(2**63) - 2**12, "1", True, None])
def test_what_is_no_integer(value: Any) -> None:
    with pytest.raises(ConfigError):
        integer(value, "place")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", float(-(2**63))),
        ("-0", -0.0),
        ("1e2", 100.0),
        ('{"a": 1, "a": 2}', {"a": 2}),
        (r'"\ud83e\udd17"', "\U0001f917"),
        ("[" * 127 + "]" * 127, json.loads("[" * 127 + "]" * 127)),
    ],
)
def test_json_text(text: str, expected: Any) -> None:
    assert repr(json_text(text, "place")) == repr(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1,]",
        "NaN",
        "1e400",
        "9" * 400,
        r'"\ud800"',
        "\ufeff{}",
        '"\n"',
        "[" * 128 + "]" * 128,
        "[" * 5000,
        5,
        None,
    ],
)
def test_what_is_no_json_text(text: Any) -> None:
    with pytest.raises(ConfigError, match=r"^place: the value of a JSON flag "):
        json_text(text, "place")


@pytest.mark.parametrize(
    ("text", "reached_us", "passed_us"),
    [
        ("1970-01-01T00:00:00Z", 0, 1),
        ("1970-01-01T00:00:00.000001Z", 1, 2),
        ("1970-01-01T00:00:00.0000010000000009Z", 1, 2),
        ("1970-01-01T00:00:00.000001001Z", 2, 2),
        ("1969-12-31T23:59:59.999999999Z", 0, 0),
        ("1970-01-01T00:00:60Z", 60_000_000, 60_000_000),
        ("1970-01-01T01:00:00+01:00", 0, 1),
        ("1969-12-31T22:30:00-0130", 0, 1),
        ("1970 - 1 - 1t0 : 0 : 0 utc ", 0, 1),
        ("\u20031970-01-01 00:00:00\u221200: 00", 0, 1),
        ("+2000-03-01T00:00:00Z", 951_868_800_000_000, 951_868_800_000_001),
        ("0000-02-29T00:00:00Z", -62_162_121_600_000_000, -62_162_121_599_999_999),
        ("-400-02-29T00:00:00Z", -74_784_902_400_000_000 - 0, -74_784_902_399_999_999),
    ],
)
def test_instant(text: str, reached_us: int, passed_us: int) -> None:
    assert instant(text, "place", "the time") == Instant(reached_us, passed_us)


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-01", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2023-02-29T00:00:00Z",
        "2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:61Z", "2024-01-01T00:00:00+24:00",
        "2024-01-01T00:00:00+01", "2024-01-01T00:00:00+01:60", "2024-01-01T00:00:00.Z", "2024-01-01T00:00:00,5Z",
        "02024-01-01T00:00:00Z", "2024-001-01T00:00:00Z", "+262143-01-01T00:00:00Z", "-262144-01-01T00:00:00Z",
        "-262143-01-01T00:00:00+00:01", "+262142-12-31T23:59:59-00:01", "2024-01-01T00:00:00Zz", "", 5, None,
        "2024-01-01T00:00:00\x1cZ", "\u0662024-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_instant(text: Any) -> None:
    with pytest.raises(ConfigError, match=r"^place: the time "):
        instant(text, "place", "the time")
