"""How slots find their values: paths, flagd's whole context, DevCycle's users."""

from __future__ import annotations

import collections
import decimal
import enum
import math
import types
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import pytest
import support
from hypothesis import given
from hypothesis import strategies as st

from pyflagwasm.config.model import MISSING, Slot
from pyflagwasm.runtime import views
from pyflagwasm.runtime.plain import EncodeError
from pyflagwasm.types import ErrorCode

NOW = 1_700_000_000_999_999


def read(view: str, context: Any, *args: str) -> Any:
    """Through the registry and through bind, which must agree."""
    value = views.VIEWS[view](context, args, NOW)
    bound = views.bind(Slot(view, args))(context, NOW)
    assert repr(bound) == repr(value)
    return value


# ---------------------------------------------------------------- path

USER = {
    "user": {"email": "a@b", "tags": ["x", {"deep": 1}], "pair": (7, 8), "none": None, "0": "zero"},
    "n": 5,
    "t": "añ",
}


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("n",), 5),
        (("user", "email"), "a@b"),
        (("user", "none"), None),
        (("user", "0"), "zero"),
        (("user", "tags", "0"), "x"),
        (("user", "tags", "1", "deep"), 1),
        (("user", "tags", "length"), 2),
        (("user", "tags", "length", "not", "read"), 2),
        (("user", "pair", "1"), 8),
        (("t", "1"), "ñ"),
        (("t", "length"), 2),
        (("t", "1", "0", "length"), 1),
    ],
)
def test_path_finds(keys: tuple[str, ...], value: Any) -> None:
    assert read("path", USER, *keys) == value


@pytest.mark.parametrize(
    "keys",
    [
        ("gone",), ("user", "gone"), ("user", "tags", "2"), ("user", "tags", "-1"), ("user", "tags", "01"),
        ("user", "tags", "+1"), ("user", "tags", ""), ("user", "tags", "١"), ("user", "tags", "9" * 5000),
        ("t", "2"), ("n", "0"), ("n", "length"), ("user", "none", "x"), ("user", "email", "x"),
    ],
)  # fmt: skip
def test_path_finds_nothing(keys: tuple[str, ...]) -> None:
    assert read("path", USER, *keys) is MISSING


def test_path_without_keys_is_the_whole_context() -> None:
    assert read("path", USER) == USER


def test_path_goes_through_what_converts() -> None:
    class Plan(enum.Enum):
        PRO = {"seats": 5}  # noqa: RUF012

    context = {"plan": Plan.PRO, "proxy": types.MappingProxyType({"a": "b"}), "chain": collections.ChainMap({"k": [1]})}
    assert read("path", context, "plan", "seats") == 5
    assert read("path", context, "proxy", "a") == "b"
    assert read("path", context, "chain", "k", "0") == 1


def test_path_through_an_object_is_refused() -> None:
    with pytest.raises(EncodeError, match="type object cannot be used"):
        read("path", {"user": object()}, "user", "email")


class Liar(list):
    """A list that lies about itself."""

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: Any) -> Any:
        raise RuntimeError("no")


def test_path_asks_the_base_class_of_a_list() -> None:
    context = {"l": Liar(["a"])}
    assert (read("path", context, "l", "0"), read("path", context, "l", "length")) == ("a", 1)
    assert read("path", context, "l", "1") is MISSING


# ---------------------------------------------------------------- targeting key, flagd


@pytest.mark.parametrize("view", [("targeting_key",), ("path", "targetingKey")])
@pytest.mark.parametrize(
    ("context", "value"),
    [
        ({"targetingKey": "a", "targeting_key": "b"}, "a"), ({"targeting_key": "b"}, "b"),
        ({"targetingKey": None, "targeting_key": "b"}, None), ({"targetingKey": ""}, ""), ({}, MISSING),
    ],
)  # fmt: skip
def test_targeting_key(view: tuple[str, ...], context: dict[str, Any], value: Any) -> None:
    assert read(view[0], context, *view[1:]) == value


def test_targeting_key_in_a_path() -> None:
    assert read("path", {"targeting_key": "user-7"}, "targetingKey", "0") == "u"
    assert read("path", {"targetingKey": "u"}, "targeting_key") is MISSING
    assert read("path", {"a": {"targeting_key": "u"}}, "a", "targetingKey") is MISSING


def test_flagd_context() -> None:
    context = {"targetingKey": "u", "plan": "pro", "$flagd": "of the caller"}
    whole = read("flagd_context", context, "flag-1")
    assert whole == {"plan": "pro", "$flagd": {"flagKey": "flag-1", "timestamp": 1_700_000_000}, "targetingKey": "u"}
    assert context == {"targetingKey": "u", "plan": "pro", "$flagd": "of the caller"}
    assert read("flagd_context", {}, "f")["targetingKey"] is None
    assert read("flagd_context", {"targeting_key": "x"}, "f")["targetingKey"] == "x"


def test_flagd_context_arrives_whole() -> None:
    config = support.compiled(Slot("flagd_context", ("flag-1",)))
    assert support.encoded(config, {"plan": "pro", "user": {"tags": [1]}}, NOW) == [
        {"plan": "pro", "user": {"tags": [1]}, "$flagd": {"flagKey": "flag-1", "timestamp": 1_700_000_000},
         "targetingKey": None}
    ]  # fmt: skip


# ---------------------------------------------------------------- DevCycle


class Text(str, enum.Enum):  # noqa: UP042
    PRO = "pro"


@pytest.mark.parametrize(
    ("context", "value"),
    [
        ({"user_id": "u", "targetingKey": "t"}, "u"), ({"user_id": "", "targetingKey": "t"}, ""),
        ({"user_id": 5, "targetingKey": "t"}, "t"), ({"user_id": None, "targeting_key": "t"}, "t"),
        ({"targetingKey": 5}, MISSING), ({}, MISSING), ({"user_id": Text.PRO}, "pro"), ({"user_id": []}, MISSING),
    ],
)  # fmt: skip
def test_devcycle_user_id(context: dict[str, Any], value: Any) -> None:
    assert read("devcycle_user_id", context) == value


@pytest.mark.parametrize("value", [5, True, None, 1.5, [], {}, ["x"]])
def test_devcycle_field_is_text_or_missing(value: Any) -> None:
    assert read("devcycle_field", {"email": value}, "email") is MISSING
    assert read("devcycle_field", {"email": ""}, "email") == ""
    assert read("devcycle_field", {}, "email") is MISSING


@pytest.mark.parametrize(
    ("context", "value"),
    [
        ({"user_id": "u", "customData": {"k": 1}, "privateCustomData": {"k": 2}}, 2),
        ({"user_id": "u", "customData": {"k": 1}, "privateCustomData": {"k": None}}, None),
        ({"user_id": "u", "customData": {"k": 1}, "privateCustomData": {}}, 1),
        ({"user_id": "u", "customData": "text", "k": 9}, MISSING),
        ({"user_id": None, "k": 9}, MISSING),
        ({"targetingKey": "u", "k": 9}, 9),
        ({"targetingKey": "u", "customData": {"k": 1}, "k": 9}, 1),
        ({"targetingKey": "u", "customData": [1], "privateCustomData": 5}, MISSING),
    ],
)
def test_devcycle_custom(context: dict[str, Any], value: Any) -> None:
    found = read("devcycle_custom", context, "k")
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("value", "vendor", "corrected"),
    [
        ("text", "text", "text"), ("", "", ""), (True, "true", "true"), (False, "false", "false"),
        (None, "null", "null"),
        (610, "610", "610"), (610.0, "610.0", "610"), (-0.0, "0.0", "0"), (0, "0", "0"), (1.5, "1.5", "1.5"),
        (2**63, "9223372036854775807", "9223372036854775808"), (-(2**63) - 1, str(-(2**63)), str(-(2**63) - 1)),
        (2**53 + 1, "9007199254740993", "9007199254740993"), (1e20, "100000000000000000000.0", "100000000000000000000"),
        (1e21, "1e+21", "1e+21"), (-1.5e300, "-1.5e+300", "-1.5e+300"), (1e-6, "0.000001", "0.000001"),
        (1.25e-7, "1.25e-7", "1.25e-7"), (5e-324, "5e-324", "5e-324"), (0.1, "0.1", "0.1"),
        (123.456, "123.456", "123.456"),
        (1.2345678901234567e20, "123456789012345670000.0", "123456789012345670000"),
        (math.nan, "NaN", "NaN"), (math.inf, "Infinity", "Infinity"), (-math.inf, "-Infinity", "-Infinity"),
        (decimal.Decimal("1.5"), "1.5", "1.5"), ([1], "null", "null"), ({"a": 1}, "null", "null"),
    ],
)  # fmt: skip
def test_devcycle_bucket_texts(value: Any, vendor: str, corrected: str) -> None:
    context = {"user_id": "u", "customData": {"k": value}}
    assert read("devcycle_bucket_vendor", context, "k") == vendor
    assert read("devcycle_bucket_corrected", context, "k") == corrected


def test_devcycle_bucket_of_nothing_is_null() -> None:
    assert read("devcycle_bucket_vendor", {"user_id": "u"}, "k") == "null"
    assert read("devcycle_bucket_corrected", {"user_id": "u", "k": 5}, "k") == "null"
    assert read("devcycle_bucket_corrected", {"targetingKey": "u", "k": 5}, "k") == "5"


def test_devcycle_bucket_refuses_what_no_double_holds() -> None:
    with pytest.raises(EncodeError, match="beyond the range"):
        read("devcycle_bucket_corrected", {"customData": {"k": 10**400}}, "k")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_bucket_texts_read_back_as_the_number(number: float) -> None:
    """And have the layout: an exponent from 1e21 up and below 1e-6 only."""
    text = read("devcycle_bucket_corrected", {"customData": {"k": number}}, "k")
    assert float(text) == number
    assert ("e" in text) == (number != 0 and not 1e-6 <= abs(number) < 1e21)
    assert not text.endswith(".0")
    vendor = read("devcycle_bucket_vendor", {"customData": {"k": number}}, "k")
    assert vendor == (text + ".0" if number.is_integer() and "e" not in text else text)


@pytest.mark.parametrize(
    ("context", "valid"),
    [
        ({}, True), ({"appBuild": 5}, True), ({"appBuild": 1.5}, True), ({"appBuild": decimal.Decimal(3)}, True),
        ({"appBuild": None}, False), ({"appBuild": "5"}, False), ({"appBuild": True}, False),
        ({"appBuild": b"5"}, False),
        ({"customData": {"a": 1, "b": None}}, True), ({"customData": {"a": [1]}}, False),
        ({"customData": {"a": {}}}, False), ({"privateCustomData": {"a": (1,)}}, False),
        ({"customData": [1, [2]]}, True), ({"customData": None}, True), ({"customData": {"a": b"ignored"}}, True),
    ],
)  # fmt: skip
def test_devcycle_user_valid(context: dict[str, Any], valid: bool) -> None:
    assert read("devcycle_user_valid", context) is valid


class Endless(Mapping[str, Any]):
    """Whose members never end, all of them with this value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __getitem__(self, key: str) -> Any:
        return self.value

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return map(str, count())


@pytest.mark.parametrize("name", ["customData", "privateCustomData"])
def test_endless_custom_data(name: str) -> None:
    with pytest.raises(EncodeError, match=f"^attribute {name}: a mapping of more than [0-9]+ members$") as refused:
        read("devcycle_user_valid", {name: Endless(1)})
    assert refused.value.code is ErrorCode.INVALID_CONTEXT
    assert read("devcycle_user_valid", {name: Endless([])}) is False
    assert read("devcycle_user_valid", {name: dict.fromkeys(map(str, range(5_000)), 1)}) is True
    assert read("devcycle_custom", {name: Endless(1)}, "k") == 1


# ---------------------------------------------------------------- registry


def test_an_unknown_view_is_an_error() -> None:
    with pytest.raises(KeyError):
        views.bind(Slot("nonsense"))


@pytest.mark.parametrize(
    ("slot", "label"),
    [
        (Slot("path", ("user", "email")), "user.email"), (Slot("path", ()), "context"),
        (Slot("flagd_context", ("flag",)), "context"), (Slot("targeting_key"), "targetingKey"),
        (Slot("devcycle_user_id"), "user_id"), (Slot("devcycle_custom", ("plan",)), "customData.plan"),
        (Slot("devcycle_user_valid"), "user"), (Slot("devcycle_field", ("email",)), "email"),
    ],
)  # fmt: skip
def test_labels(slot: Slot, label: str) -> None:
    assert views.label(slot) == label


def test_only_a_single_key_is_plain() -> None:
    assert views.plain_key(Slot("path", ("plan",))) == "plan"
    for slot in (
        Slot("path", ("a", "b")),
        Slot("path", ("targetingKey",)),
        Slot("path"),
        Slot("devcycle_field", ("a",)),
    ):
        assert views.plain_key(slot) is None
