"""The type of a value follows the default: what fits, what is converted, what is a mismatch."""

from __future__ import annotations

import copy
import enum
import pickle
from collections.abc import Iterator
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from evaluators import FLAGD, VARIANTS, closed, devcycle, opened

from pyflagwasm import ErrorCode, EvaluationDetails, FlagEvaluator, Reason, errors
from pyflagwasm.generation import Outcome

BIG = 10**300


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(FLAGD)
    yield evaluator
    closed(evaluator)


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


GIVEN: list[tuple[str, Any, Any]] = [
    ("bool", False, True),
    ("text", "x", "A"),
    ("text", Colour.RED, "A"),
    ("int", 0, 3),
    ("int", Level.LOW, 3),
    ("huge", 0, BIG),
    ("float", 1.0, 0.5),
    ("int", 1.0, 3.0),
    ("huge", 1.0, 1e300),
    ("object", {}, {"k": [1, 2]}),
    ("object", MappingProxyType({"a": 1}), {"k": [1, 2]}),
    ("none", False, False),
    ("disabled", False, False),
    *((name, None, given[0][given[1]]) for name, given in VARIANTS.items()),
]


@pytest.mark.parametrize(("key", "default", "expected"), GIVEN, ids=lambda each: str(each)[:20])
def test_values_follow_the_default(flags: FlagEvaluator, key: str, default: Any, expected: Any) -> None:
    value = flags.value_nowait(key, default=default)
    assert value == expected
    assert type(value) is type(expected)
    assert flags.details_nowait(key, default=default).error_code is None


MISMATCHES: list[tuple[str, Any, str]] = [
    ("bool", 0, "the value is true or false, the default is an integer"),
    ("bool", 1.0, "the value is true or false, the default is a number"),
    ("int", False, "the value is an integer, the default is true or false"),
    ("int", "3", "the value is an integer, the default is a text"),
    ("float", 1, "the value is a number, the default is an integer"),
    ("float", True, "the value is a number, the default is true or false"),
    ("text", {}, "the value is a text, the default is an object"),
    ("text", ["a"], "the value is a text, the default is an array"),
    ("object", [], "the value is an object, the default is an array"),
    ("object", (), "the value is an object, the default is an array"),
    ("object", "", "the value is an object, the default is a text"),
    ("text", b"", "the value is a text, the default is of type bytes, which no flag can have"),
    ("int", Decimal(1), "the value is an integer, the default is of type Decimal, which no flag can have"),
]


@pytest.mark.parametrize(("key", "default", "message"), MISMATCHES, ids=lambda each: str(each)[:20])
def test_another_type_gives_the_default(flags: FlagEvaluator, key: str, default: Any, message: str) -> None:
    details = flags.details_nowait(key, default=default)
    assert details.value is default
    assert (details.reason, details.error_code) == (Reason.ERROR, ErrorCode.TYPE_MISMATCH)
    assert (details.variant, details.error_message) == (None, message)
    with pytest.raises(errors.TypeMismatchError) as raised:
        flags.value_nowait(key, default=default, strict=True)
    assert str(raised.value) == f"{key}: {message}"


DECLARED: list[tuple[str, Any, Any, bool]] = [
    ("Boolean", True, False, True),
    ("Boolean", True, 1, False),
    ("String", "s", "", True),
    ("String", True, True, False),  # what the variant says does not count
    ("Number", 2, 0, True),
    ("Number", 2, 0.5, True),
    ("Number", 2.5, 0.5, True),
    ("Number", 2, True, False),
    ("Number", "2", "", False),
    ("JSON", {"a": 1}, {}, True),
    ("JSON", [1], [], True),
    ("JSON", "s", "", False),
    ("JSON", {"a": 1}, b"", False),
]


@pytest.mark.parametrize(("kind", "value", "default", "fits"), DECLARED, ids=lambda each: str(each)[:20])
def test_declared_types(kind: str, value: Any, default: Any, fits: bool) -> None:
    flags = opened(devcycle(kind, value))
    details = flags.details_nowait("v", {"user_id": "u"}, default=default)
    assert details.error_code is (None if fits else ErrorCode.TYPE_MISMATCH)
    assert details.value == (value if fits else default)
    if not fits and kind == "String":
        assert details.error_message == "the flag is declared as string, the default is true or false"
    assert flags.value_nowait("v", {"user_id": "u"}) == value
    closed(flags)


def test_a_declared_type_counts_without_a_variant_too() -> None:
    parsed = devcycle("Boolean", True)
    parsed["features"][0]["configuration"]["targets"].pop()
    flags = opened(parsed)
    assert flags.details_nowait("v", {"user_id": "u"}, default=False).reason is Reason.DEFAULT
    assert flags.details_nowait("v", {"user_id": "u"}, default="").error_code is ErrorCode.TYPE_MISMATCH
    assert flags.details_nowait("v", {}, default="").error_code is ErrorCode.TARGETING_KEY_MISSING
    closed(flags)


def test_a_value_beyond_the_range_of_a_float() -> None:
    details = Outcome(EvaluationDetails("huge", 10**400), served=True).for_default(1.5)
    assert (details.value, details.error_code) == (1.5, ErrorCode.TYPE_MISMATCH)
    assert details.error_message == "the value is beyond the range of a float, the default is a number"


# ---------------------------------------------------------------- details


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
@pytest.mark.parametrize("key", ["plan", "object", "nope"])
def test_details_can_be_copied_and_pickled(flags: FlagEvaluator, key: str, again: Any) -> None:
    details = flags.details_nowait(key, {"plan": "pro"}, default=None)
    same = again(details)
    assert type(same) is EvaluationDetails
    assert same == details
    assert (same.reason is details.reason, same.error_code is details.error_code) == (True, True)
    assert same.metadata["flagSetId"] == "shop"
    with pytest.raises(TypeError, match="does not support item assignment"):
        same.metadata["flagSetId"] = "other"


def test_details_are_not_hashable(flags: FlagEvaluator) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(flags.details_nowait("bool", default=False))
