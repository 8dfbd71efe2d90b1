"""How conditions and values read in English."""

from __future__ import annotations

import pytest

from pyflagwasm._abi import Encoding, ErrorCode, LoopKind, Op, Order, TimeUnit, VersionDialect
from pyflagwasm.config import model as m
from pyflagwasm.config import wording
from pyflagwasm.config.regex import compile_pattern
from pyflagwasm.runtime.views import VIEWS

KEY = m.Slot("targeting_key")
AGE = m.Slot("path", ("age",))
AGE_VALUE = m.SlotValue(AGE)


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (m.Test(Op.TEXT_IN, AGE, ("a",)), 'age is "a"'),
        (m.Test(Op.TEXT_IN, AGE, ()), "age is one of nothing"),
        (m.Test(Op.TEXT_IN, AGE, tuple("abcdefg")), 'age is one of "a", "b", "c", "d", "e" and 2 more'),
        (m.Test(Op.TEXT_PREFIX, AGE, ("a",)), 'age starts with "a"'),
        (m.Test(Op.TEXT_CONTAINS, AGE, ("a", "b")), 'age contains one of "a", "b"'),
        (m.Test(Op.NUMBER_COMPARE, AGE, (1,), flags=Order.LESS), "age is less than 1"),
        (m.Test(Op.NUMBER_COMPARE, AGE, (1, 2.5), flags=5), "age is not equal to one of 1, 2.5"),
        (m.Test(Op.COMPARE_CONST, AGE, (None,), flags=6), "age is at least null"),
        (m.Test(Op.BOOL_IN, AGE, mask=1), "age is false"),
        (m.Test(Op.BOOL_IN, AGE, mask=3), "age is true or false"),
        (m.Test(Op.KIND_IN, AGE, mask=1), "age is missing"),
        (m.Test(Op.KIND_IN, AGE, mask=0xFE), "age is present"),
        (m.Test(Op.KIND_IN, AGE, mask=0xFC), "age is present and not null"),
        (m.Test(Op.KIND_IN, AGE, mask=0x28), "age is an integer or a text"),
        (m.Test(Op.KIND_IN, AGE), "age is of no kind"),
        (m.Test(Op.TRUTHY, AGE), "age is truthy"),
        (m.Test(Op.VERSION, AGE, ("1.2",), flags=6), 'age as a version is at least "1.2"'),
        (m.Test(Op.VERSION, AGE, ("1",), VersionDialect.NUMERIC_RAW << 4 | 1), 'age as a version is less than "1"'),
        (m.Test(Op.VERSION, AGE, ("1.2",), extra=1), 'age has the same major version as "1.2"'),
        (m.Test(Op.TEXT_MATCH, AGE, compile_pattern("[ab]c+d", "rust").tests[0][1]), 'age matches "[ab]c+d"'),
        (m.Test(Op.EQUAL_CONST, AGE, ("x" * 99,)), f'age loosely equals "{"x" * 56}...'),
        (m.Test(Op.EQUAL_CONST, AGE, (True,), flags=1), "age equals true"),
        (m.Test(Op.IN_CONST, AGE, (1, None)), "age is one of 1, null"),
        (m.Test(Op.CONTAINS_CONST, AGE, ("\u00e9",)), 'age contains "\u00e9"'),
    ],
)  # fmt: skip
def test_words_of_tests(test: m.Test, text: str) -> None:
    assert wording.test(test) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (m.Apply(Op.COMPARE, (AGE_VALUE, m.Constant(3)), Order.LESS), "(age < 3)"),
        (m.Apply(Op.EQUAL, (AGE_VALUE, m.Constant("a")), 3), '(age !== "a")'),
        (m.Apply(Op.SUBTRACT, (AGE_VALUE,)), "subtract(age)"),
        (m.Apply(Op.TRUTH, (AGE_VALUE,), 1), "not age"),
        (m.Apply(Op.SUBSTRING, (AGE_VALUE, m.Constant(0), m.Constant(None))), "substring(age, 0, null)"),
        (m.Now(TimeUnit.SECOND), "now in seconds"),
        (m.Path(m.Item(), ("a", "b")), "item.a.b"),
        (m.Fractional((AGE_VALUE,), "flag", KEY), "fractional(age)"),
        (m.Choose(m.Always(), AGE_VALUE, m.Constant(1)), "(if ... then age else 1)"),
        (m.FirstTruthy((AGE_VALUE, m.Constant(1))), "(age or 1)"),
        (m.FirstFalsy((AGE_VALUE, m.Constant(1))), "(age and 1)"),
        (m.Loop(LoopKind.FILTER, AGE_VALUE, m.Item()), "filter(age, item)"),
        (m.BlankSlots((("a", AGE),)), "missing(a)"),
        (m.Raise(ErrorCode.GENERAL), "failure GENERAL"),
    ],
)
def test_words_of_values(value: m.Value, text: str) -> None:
    assert wording.value(value) == text


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        (AGE, "age"),
        (m.Slot("path", ("user", "email")), "user.email"),
        (m.Slot("path"), "the context"),
        (m.Slot("flagd_context", ("checkout",)), "the context"),
        (KEY, "targetingKey"),
        (m.Slot("devcycle_user_id"), "user_id"),
        (m.Slot("devcycle_user_valid"), "valid user record"),
        (m.Slot("devcycle_field", ("country",)), "country"),
        (m.Slot("devcycle_custom", ("plan",)), "customData.plan"),
        (m.Slot("devcycle_bucket_vendor", ("plan",)), "customData.plan"),
        (m.Slot("devcycle_bucket_corrected", ("a.b",)), "customData.a.b"),
    ],
)
def test_names_of_slots(slot: m.Slot, name: str) -> None:
    assert slot.name == name


def test_no_name_is_that_of_a_view() -> None:
    """Nobody reads the name of a function in an explanation."""
    for view in VIEWS:
        assert view not in m.Slot(view, ("key",)).name


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("salt", '"salt"'),
        ('a"b', r'"a\"b"'),
        (b"\x82\x68checkout", '"checkout"'),
        (b"\x82\x60", '""'),
        (b"\x82\x62\xc3\xa9", '"é"'),
        (b"\x82\x77" + b"k" * 23, f'"{"k" * 23}"'),
        (b"\x82\x78\x18" + b"k" * 24, f'"{"k" * 24}"'),
        (b"\x82\x78\xff" + b"k" * 255, f'"{"k" * 56}...'),
        (b"\x82\x79\x01\x00" + b"k" * 256, f'"{"k" * 56}...'),
        (b"\x82\x7a\x00\x01\x00\x00" + b"k" * 65_536, f'"{"k" * 56}...'),
        (b"", "bytes "),
        (b"\x82", "bytes 82"),
        (b"\x82\x78", "bytes 8278"),
        (b"\x82\x78\x01", "bytes 827801"),
        (b"\x82\x61", "bytes 8261"),
        (b"\x82\x61ab", "bytes 82616162"),
        (b"\x82\x61\xff", "bytes 8261ff"),
        (b"\x82\x41a", "bytes 824161"),
        (b"\x82\x7b" + bytes(27), f"bytes 827b{'00' * 27}"),
        (b"\x83\x61a", "bytes 836161"),
    ],
)
def test_what_a_bucket_is_computed_from(part: str | bytes, text: str) -> None:
    """The flag key is told out of flagd's bytes; bytes that mean something else are shown as they are."""
    assert wording.bucket(m.Bucket((part, KEY), encoding=Encoding.CBOR)) == f"{text} + targetingKey"


def test_a_bucket_of_nothing() -> None:
    assert wording.bucket(m.Bucket(())) == "nothing"


def test_deep_values_are_cut_short() -> None:
    value: m.Value = AGE_VALUE
    for _ in range(50_000):
        value = m.Apply(Op.ADD, (value, m.Constant(1)))
    assert wording.value(value) == "((((((... + ...) + 1) + 1) + 1) + 1) + 1)"
    assert list(wording.slots_of(value)) == [AGE]
