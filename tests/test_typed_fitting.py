"""Which values are of which type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict, Union

import pytest

from pyflagwasm.typed.fitting import kind, misfit, require_known, shown, takes_none


class Point(TypedDict):
    x: int
    y: NotRequired[float]


class Tree(TypedDict):
    children: list[Tree]


VALUES = [None, True, False, 0, 1, 1.5, "", "a", "b", [], [1], ["a"], [1, "a"], {}, {"x": 1}, {"x": True}, {"x": "a"}]
FITTING: list[tuple[Any, list[Any]]] = [
    (bool, [True, False]),
    (int, [0, 1]),
    (float, [0, 1, 1.5]),
    (str, ["", "a", "b"]),
    (None, [None]),
    (Any, VALUES),
    (object, VALUES),
    (Literal["a", 1], [1, "a"]),
    (Literal[True, None], [None, True]),
    (str | None, [None, "", "a", "b"]),
    (Optional[str], [None, "", "a", "b"]),  # noqa: UP045
    (Union[int, str], [0, 1, "", "a", "b"]),  # noqa: UP007
    (Annotated[bool | str, "a flag"], [True, False, "", "a", "b"]),
    (list, [[], [1], ["a"], [1, "a"]]),
    (list[int], [[], [1]]),
    (Sequence[str], [[], ["a"]]),
    (Sequence[int | str], [[], [1], ["a"], [1, "a"]]),
    (dict, [{}, {"x": 1}, {"x": True}, {"x": "a"}]),
    (Mapping[str, Any], [{}, {"x": 1}, {"x": True}, {"x": "a"}]),
    (Mapping[str, int], [{}, {"x": 1}]),
    (dict[str, bool | int], [{}, {"x": 1}, {"x": True}]),
    (Point, [{"x": 1}]),
    (Tree, []),
]


@pytest.mark.parametrize(("wanted", "fitting"), FITTING, ids=lambda each: shown(each))
def test_what_fits(wanted: Any, fitting: list[Any]) -> None:
    require_known(wanted)
    # As text, for 1 == True.
    assert [repr(each) for each in VALUES if misfit(each, wanted) is None] == [repr(each) for each in fitting]
    assert takes_none(wanted) == (None in fitting)


MISFITS: list[tuple[Any, Any, str]] = [
    (3, str, "the value is an integer, not a text"),
    ({"x": 1, "y": "far"}, Point, "the value's y is a text, not a number"),
    ({}, Point, "the value has no member 'x'"),
    ([], Point, "the value is an array, not an object"),
    ("ab", Sequence[str], "the value is a text, not an array"),
    ({"children": [{"children": [{}]}]}, Tree, "the value's children[0].children[0] has no member 'children'"),
    ({"a": {"b": [1, 2.5]}}, Mapping[str, Mapping[str, list[int]]], "the value's a.b[1] is a number, not an integer"),
    (True, int | None, "the value is true or false, not int | None"),
    ("c", Literal["a", "b"], "the value is 'c', none of ['a', 'b']"),
]


@pytest.mark.parametrize(("value", "wanted", "message"), MISFITS)
def test_what_does_not_fit(value: Any, wanted: Any, message: str) -> None:
    assert misfit(value, wanted) == message


def test_more_members_than_are_known_are_no_matter() -> None:
    assert misfit({"x": 1, "z": "new"}, Point) is None
    assert misfit({"children": [{"children": []}]}, Tree) is None


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Decimal, "no value of a configuration is of the type Decimal: say by parse= what makes one"),
        (list[Decimal], "no value of a configuration is of the type Decimal: say by parse= what makes one"),
        (str | bytes, "no value of a configuration is of the type bytes: say by parse= what makes one"),
        (tuple[int, str], "no value of a configuration is of the type tuple[int, str]: say by parse= what makes one"),
        (Literal[b"a"], "Literal[b'a']: a configuration has no b'a'"),
        (Mapping[int, str], "Mapping[int, str]: the keys of an object are texts: Mapping[str, ...]"),
    ],
    ids=str,
)
def test_types_that_no_value_is_of(wanted: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        require_known(wanted)
    assert str(caught.value) == message


def test_a_typed_dict_that_cannot_be_resolved() -> None:
    lost = TypedDict("lost", {"a": "Nowhere"})  # type: ignore[name-defined]  # noqa: F821, UP013
    with pytest.raises(TypeError, match="the members of lost cannot be read: name 'Nowhere' is not defined"):
        require_known(lost)


def test_words() -> None:
    words = [kind(each) for each in (None, True, 1, 1.5, "a", [], (), {}, b"")]
    assert words == [
        "null", "true or false", "an integer", "a number", "a text", "an array", "an array", "an object", "bytes",
    ]  # fmt: skip
    assert len(shown("x" * 1000)) < 70
