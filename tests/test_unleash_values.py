"""Texts as the crates of Unleash's engine read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflagwasm.config.formats.unleash.values import (
    INSTANTS_A_SECOND,
    WHITE_SPACE,
    equal_bounds,
    instant,
    network,
    number,
    number_text,
    unsigned,
)


def test_white_space_is_that_of_unicode() -> None:
    assert {c for c in map(chr, range(0x11_0000)) if c.isspace()} - set(WHITE_SPACE) == set("\x1c\x1d\x1e\x1f")


@pytest.mark.parametrize("text", ["1", "+1", "-1.", ".5", "1e5", "1E-5", "inf", "-Infinity", "NaN", "1e999"])
def test_numbers(text: str) -> None:
    assert repr(number(text)) == repr(float(text))


@pytest.mark.parametrize("text", ["", "+", ".", "1_0", " 1", "1\n", "0x1", "1e", "e1", "١", "infinite", "1.5.5"])
def test_what_is_no_number(text: str) -> None:
    assert number(text) is None


def test_unsigned() -> None:
    assert [unsigned(text, 300) for text in ("+7", "007", "300", "301", "-1", "", "7 ", "9" * 5000)] == [
        7, 7, 300, None, None, None, None, None,
    ]  # fmt: skip
    assert unsigned("0" * 5000 + "1", 300) == 1


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (2**64 - 1, "18446744073709551615"), (2**64, "1.8446744073709552e+19"),
        (-(2**63), "-9223372036854775808"),
        (-(2**63) - 1, "-9.223372036854776e+18"), (1.0, "1.0"), (-0.0, "-0.0"), (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1e-4, "0.0001"), (1.5e-5, "0.000015"), (-1e-5, "-0.00001"), (1e-6, "1e-6"), (5e-324, "5e-324"),
        (-507073348.62769395, "-507073348.6276939"),
    ],
)  # fmt: skip
def test_numbers_as_the_engine_writes_them(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_what_the_engine_writes_is_near(value: float) -> None:
    written = number(number_text(value))
    assert written is not None
    assert abs(written - value) <= 4 * math.ulp(value)


@pytest.mark.parametrize(
    ("text", "second", "rest"),
    [
        ("1970-01-01T00:00:00Z", 0, 0),
        ("1970-01-01T00:00:00.001Z", 0, 2),
        ("1970-01-01T00:00:00.0010000009Z", 0, 2),
        ("1970-01-01T00:00:00.001000001Z", 0, 3),
        ("1969-12-31T23:59:59.5Z", -1, 1000),
        ("1970-1-1 0:0:1utc", 1, 0),
        ("1970-01-01T01:00:00+01:00", 0, 0),
        ("1970-01-01T01:00:00\u22120100", 7200, 0),
        ("\u30001970 -01- 01t00 :00: 00 z ", 0, 0),
        ("2016-12-31T23:59:60.5Z", 1483228799, 3000),
        ("2000-02-29T00:00:00Z", 951782400, 0),
        ("-0001-01-01T00:00:00Z", -62198755200, 0),
        ("+10000-01-01T00:00:00Z", 253402300800, 0),
    ],
)
def test_instants(text: str, second: int, rest: int) -> None:
    assert instant(text) == second * INSTANTS_A_SECOND + rest


@pytest.mark.parametrize(
    "text",
    [
        "", "1970-01-01", "1970-01-01T00:00:00", "1970-01-01T00:00Z", "10000-01-01T00:00:00Z", "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z", "2021-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z", "1970-01-01T00:00:61Z", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+01",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+01:60", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx", "+262143-01-01T00:00:00Z",
        "-262144-01-01T00:00:00Z",
        "+99999999999999999999999-01-01T00:00:00Z", "١970-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_instant(text: str) -> None:
    assert instant(text) is None


@pytest.mark.parametrize(
    ("text", "version", "length", "address"),
    [
        ("10.1.2.3", 4, 32, "0a010203"),
        ("10.1.2.3/8", 4, 8, "0a000000"),
        ("10.1.2.3/+08", 4, 8, "0a000000"),
        ("10.1.2.3/255.255.0.0", 4, 16, "0a010000"),
        ("10.1.2.3/0.0.0.0", 4, 0, "00000000"),
        ("::1", 6, 128, "0" * 31 + "1"),
        ("2001:DB8::1/32", 6, 32, "20010db8" + "0" * 24),
    ],
)
def test_networks(text: str, version: int, length: int, address: str) -> None:
    assert network(text) == bytes([version, length]) + bytes.fromhex(address)


@pytest.mark.parametrize(
    "text",
    ["", "10.1", "10.01.2.3", "10.1.2.3/", "10.1.2.3/33", "10.1.2.3/8/8", "10.1.2.3/255.0.255.0",
     "::1/129", "::1%a", " ::1"]
)  # fmt: skip
def test_what_is_no_network(text: str) -> None:
    assert network(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_bounds_of_what_is_nearly_equal(value: float) -> None:
    bounds = equal_bounds(value)
    assert bounds is not None
    for bound, away in zip(bounds, (-math.inf, math.inf), strict=True):
        assert abs(bound - value) < math.ulp(1.0)
        assert not abs(math.nextafter(bound, away) - value) < math.ulp(1.0)


def test_nothing_is_nearly_infinite() -> None:
    assert equal_bounds(math.inf) is None
