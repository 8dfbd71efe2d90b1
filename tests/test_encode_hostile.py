"""Hostile contexts through the encoder: each has one documented outcome, and none of them is a traceback."""

from __future__ import annotations

import collections
import decimal
import math
import struct
import types
from typing import Any

import pytest
import support
from hostile import (
    CONVERTED,
    DEEP,
    DEPTH,
    INSIDE,
    REFUSED,
    Endless,
    Int,
    Level,
    Mutating,
    Plan,
    Raising,
    Scalar,
    Str,
    nested,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflagwasm import _abi
from pyflagwasm.config.model import MISSING, Slot
from pyflagwasm.runtime.encode import EncodeError, Encoder
from pyflagwasm.types import ErrorCode

A = support.attributes("a")
ROOM = _abi.SCRATCH_REQUEST_SIZE - 56 - 16 - 4


def arrives(value: Any) -> Any:
    return support.encoded(A, {"a": value})[0]


def refusal(context: Any, config: support.Compiled = A) -> tuple[str, str]:
    with pytest.raises(EncodeError) as refused:
        support.encoded(config, context)
    assert refused.value.code is ErrorCode.INVALID_CONTEXT
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    return refused.value.attribute, refused.value.message


# ---------------------------------------------------------------- conversions


@pytest.mark.parametrize("name", CONVERTED)
def test_converted(name: str) -> None:
    value, expected = CONVERTED[name]
    for got, wrapped in (
        (arrives(value), expected),
        (arrives([value]), [expected]),
        (arrives({"k": value}), {"k": expected}),
    ):
        assert repr(got) == repr(wrapped) or got == wrapped
        assert type(got) is type(wrapped)
    assert repr(arrives([value])[0]) in (repr(expected), str(expected)) or arrives([value])[0] == expected


@pytest.mark.parametrize("value", [math.nan, -math.nan, decimal.Decimal("NaN"), Scalar(math.nan)])
def test_nan_stays_nan(value: Any) -> None:
    assert math.isnan(arrives(value))


def test_negative_zero_keeps_its_sign() -> None:
    assert struct.pack("<d", arrives(-0.0)) == struct.pack("<d", -0.0)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    value, message = REFUSED[name]
    assert refusal({"a": value}) == ("a", message)


@pytest.mark.parametrize("name", INSIDE)
def test_refused_inside(name: str) -> None:
    value, attribute, message = INSIDE[name]
    assert refusal({"a": value}) == (attribute, message)


def test_the_message_names_the_attribute_and_not_the_value() -> None:
    with pytest.raises(EncodeError) as refused:
        support.encoded(A, {"a": {"secret": 10**400 + 7}})
    assert str(refused.value) == "attribute a.secret: the integer is beyond the range of a double"


def test_cyclic_mapping() -> None:
    cycle: dict[str, Any] = {}
    cycle["me"] = cycle
    assert refusal({"a": cycle}) == ("a" + ".me" * DEPTH, DEEP)


def test_the_deepest_that_is_allowed() -> None:
    for wrap in (lambda v: [v], lambda v: {"k": v}):
        value = nested(DEPTH, wrap)
        assert arrives(value) == value


def test_a_list_of_itself_many_times_ends_soon() -> None:
    """16 levels of 100 members each would be 10^32 values: size ends it, long before depth would."""
    value: Any = 1
    for _ in range(DEPTH):
        value = [value] * 100
    attribute, message = refusal({"a": value})
    assert attribute.startswith("a[0]")
    assert message.startswith("too large")


# ---------------------------------------------------------------- the context itself


@pytest.mark.parametrize("context", [[("a", 1)], "a", 5, object(), {"a"}, dict, b"a", True])
def test_a_context_that_is_no_mapping(context: Any) -> None:
    attribute, message = refusal(context)
    assert attribute == "context"
    assert message == f"the evaluation context is of type {type(context).__qualname__}, not a mapping"


def test_contexts_that_are_other_mappings() -> None:
    class Default(collections.defaultdict):  # type: ignore[type-arg]
        pass

    default = Default(lambda: "made up")
    default["a"] = 1
    for context in (
        types.MappingProxyType({"a": 1}),
        collections.ChainMap({"a": 1}),
        collections.OrderedDict(a=1),
        default,
    ):
        assert support.encoded(support.attributes("a", "b"), context) == [1, MISSING]
    assert "b" not in default


def test_a_context_that_raises() -> None:
    assert refusal(Raising()) == ("a", "reading it raised RuntimeError")


def test_a_keyboard_interrupt_is_no_data() -> None:
    with pytest.raises(KeyboardInterrupt):
        support.encoded(A, Raising(KeyboardInterrupt))


class BadKey:
    """A key with the hash of "a" that cannot be compared."""

    def __hash__(self) -> int:
        return hash("a")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")


def test_keys_of_the_context_that_cannot_be_compared() -> None:
    context: dict[Any, Any] = {BadKey(): 1}
    assert refusal(context) == ("a", "reading it raised RuntimeError")


def test_garbage_elsewhere_is_not_looked_at() -> None:
    context: dict[Any, Any] = {
        "a": 1, 5: 6, None: 7, "b": b"", "c": Raising(), "d": "\ud800", "e": 10**5000, "f": object(), (1, 2): 3,
        "g": "x" * 1_000_000, "h": nested(1000, lambda v: [v]),
    }  # fmt: skip
    assert support.encoded(A, context) == [1]


def test_100_000_attributes() -> None:
    context = {f"k{number}": "v" * 10 for number in range(100_000)} | {"a": "found"}
    assert support.encoded(A, context) == ["found"]


@pytest.mark.parametrize("context", [{f"k{number}": 1 for number in range(100_000)}, Endless(), Raising()])
def test_a_whole_context_of_any_size_ends(context: Any) -> None:
    attribute, message = refusal(context, support.compiled(Slot("flagd_context", ("flag",))))
    assert attribute == "context"
    assert message.startswith(("too large", "reading it raised"))


# ---------------------------------------------------------------- size


@pytest.mark.parametrize("text", ["x" * ROOM, "é" * (ROOM // 2), "\0" * ROOM])
def test_a_text_that_just_fits(text: str) -> None:
    area = support.scratch()
    size = Encoder(A).encode({"a": text}, (0,), area, 0)
    assert size <= _abi.SCRATCH_REQUEST_SIZE
    assert support.read_request(area[:size])[0] == [text]
    assert set(area[_abi.SCRATCH_OUTPUT_OFFSET :]) == {0xDD}


def test_one_byte_too_large() -> None:
    expected = ("a", "too large: the request needs at least 131073 bytes, 131072 are available")
    assert refusal({"a": "x" * (ROOM + 1)}) == expected
    assert refusal({"a": Str("x" * (ROOM + 1))}) == expected


def test_the_attribute_that_does_not_fit_is_named() -> None:
    config = support.attributes("a", "b", "c")
    room = ROOM - 32
    assert support.encoded(config, {"a": "x", "b": "y" * (room - 2), "c": "z"})[2] == "z"
    assert refusal({"a": "x", "b": "y" * (room - 1), "c": "z"}, config)[0] == "c"


def test_a_list_that_just_fits_and_one_that_does_not() -> None:
    members = ROOM // 16
    assert arrives([None] * members) == [None] * members
    assert refusal({"a": [None] * (members + 1)})[1].startswith("too large: the request needs at least")
    assert refusal({"a": [None] * 5_000_000})[0] == "a"
    assert refusal({"a": {str(number): 1 for number in range(members)}})[0] == "a"
    assert refusal({"a": Endless()})[1].startswith("too large")


def test_texts_inside_that_do_not_fit() -> None:
    attribute, message = refusal({"a": ["x" * 1000] * 200})
    assert attribute == "a[127]"
    assert message.startswith("too large")
    assert refusal({"a": {"x" * ROOM: 1}})[1].startswith("too large")


# ---------------------------------------------------------------- anything

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=3) | st.decimals()
    | st.fractions() | st.datetimes() | st.dates() | st.uuids() | st.sampled_from([Plan.PRO, Level.HIGH])
    | st.builds(Str, st.text()) | st.builds(Int, st.integers())
    | st.builds(Raising) | st.builds(Mutating) | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    | st.tuples(inner, inner),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_anything_is_sent_or_refused(value: Any) -> None:
    area = support.scratch()
    try:
        size = Encoder(A).encode({"a": value}, (0,), area, 0)
    except EncodeError as error:
        attribute, message = error.attribute, error.message
        assert attribute.startswith("a")
        assert message
    else:
        assert support.read_request(area[:size])[0] != [MISSING]
