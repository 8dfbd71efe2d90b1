"""Reading a configuration document: what is refused, and how a place in it is called."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import Any

import pytest

from pyflagwasm.config.document import MAX_DEPTH, at, expect, member, parse, repeated_members
from pyflagwasm.errors import ConfigError

DIGITS = "an integer of {} digits, which is beyond the range of a double,"


def nested(depth: int) -> list[Any]:
    """Lists in a list, `depth` of them."""
    return [] if depth == 1 else [nested(depth - 1)]


@pytest.mark.parametrize(
    ("data", "document"),
    [
        (b'{"a": [1, 2.5, null, "\xc3\xa9"]}', {"a": [1, 2.5, None, "é"]}),
        (bytearray(b" [] "), []),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ('"NaN"', "NaN"),
        ('"\\ud83d\\ude00"', "😀"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("9" * 308, 10**308 - 1),
        ("[1e999, " + "9" * 400 + ".5]", [float("inf"), float("inf")]),
    ],
)
def test_json_is_read(data: Any, document: object) -> None:
    assert parse(data) == document


def test_a_mapping_is_copied() -> None:
    inner = {"items": (1, 2)}
    document = parse(MappingProxyType({"a": inner}))
    inner["items"] = ()
    assert document == {"a": {"items": [1, 2]}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "$: not valid JSON: Expecting value at line 1, column 1"),
        ('{"a": 1,\n "b": tru}', "$: not valid JSON: Expecting value at line 2, column 7"),
        ("{} x", "$: not valid JSON: Extra data at line 1, column 4"),
        ('{"NaN": 1,\n "a": -Infinity}', "$: not valid JSON: -Infinity is not a number of JSON at line 2, column 7"),
        ('["\\"NaN", NaN]', "$: not valid JSON: NaN is not a number of JSON at line 1, column 11"),
        ("\ufeff{}", "$: the document begins with a byte order mark: save it as UTF-8 without one"),
        (b"\xef\xbb\xbf{}", "$: the document begins with a byte order mark: save it as UTF-8 without one"),
        (b"\xff\xfe{\x00}\x00", "$: the document is UTF-16: save it as UTF-8"),
        ("{}".encode("utf-16-le"), "$: the document is not UTF-8 (it looks like UTF-16): save it as UTF-8"),
        ("{}".encode("utf-16-be"), "$: the document is not UTF-8 (it looks like UTF-16): save it as UTF-8"),
        ("[1e5,\n 1" + "0" * 309 + "]", f"$: {DIGITS.format(310)} at line 2, column 2"),
        ('["' + "9" * 400 + '", -' + "9" * 400 + "]", f"$: {DIGITS.format(400)} at line 1, column 406"),
        ({"a": [-(10**309)]}, "a[0]: an integer beyond the range of a double"),
        (b'{\n "\xc3\xa9\xe9": 1}', "$: not UTF-8: byte 0xe9 at line 2, column 4"),
        ('{"a": {"b c": ["\\ud800"]}}', 'a["b c"][0]: half a surrogate pair (U+D800) in a text: it has no UTF-8'),
        ('["\udfff"]', "$[0]: half a surrogate pair (U+DFFF) in a text: it has no UTF-8"),
        ('{"\\udc00": 1}', "$: half a surrogate pair (U+DC00) in a text: it has no UTF-8"),
        ("[" * 200_000, "$: nested more than 128 deep"),
        ("[" * 129 + "]" * 129, "$: nested more than 128 deep"),
        ({"a": nested(128)}, "a" + "[0]" * 26 + "[...: nested more than 128 deep"),
        ({"a": {1: 2}}, "a: the key 1 must be a text, not int"),
        ({"a": [1.0, float("nan")]}, "a[1]: nan is not a JSON number"),
        ({"a": {"b": {3}}}, "a.b: set is not a JSON value"),
        ({"a": "\ud800"}, "a: half a surrogate pair (U+D800) in a text: it has no UTF-8"),
        (7, "$: the document must be bytes, text or a mapping, not int"),
    ],
)
def test_what_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(data)
    assert str(refused.value) == message


def test_nesting_up_to_the_limit_is_read() -> None:
    document: Any = parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert document == nested(MAX_DEPTH)
    assert parse({"a": nested(MAX_DEPTH - 1)}) == {"a": nested(MAX_DEPTH - 1)}


def test_a_mapping_that_contains_itself_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    with pytest.raises(ConfigError, match="nested more than 128 deep"):
        parse(circle)


@pytest.mark.parametrize("most", [0, 640, 4300])
def test_the_interpreter_s_limit_of_digits_does_not_matter(most: int) -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(most)
    try:
        for digits in (309, 639, 641, 4_301, 100_000):
            with pytest.raises(ConfigError) as refused:
                parse('{"a": ' + "9" * digits + "}")
            assert str(refused.value) == f"$: {DIGITS.format(digits)} at line 1, column 7"
        assert parse("1" + "0" * 308) == 10**308
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('{"a": {"b": 1}, "c": [{"b": 1}]}', []),
        ('{"a": 1, "b": {"a": 1}, "a": 2}', ["a"]),
        ('{"a": [0, {"b c": 1, "d": 2, "b c": 3, "d": 2, "d": 4}], "e": {"f": 1, "f": 1}}',
         ['a[1]["b c"]', "a[1].d", "e.f"]),
    ],
)  # fmt: skip
def test_repeated_members(text: str, places: list[str]) -> None:
    assert repeated_members(text.encode()) == places


def test_a_deep_stack_of_the_caller_is_no_recursion_error() -> None:
    parsed = {"a": nested(100)}

    def descend(levels: int) -> str:
        if levels:
            return descend(levels - 1)
        try:
            parse(parsed)
        except ConfigError as error:
            return str(error)
        return "read"

    told = [descend(levels) for levels in range(0, sys.getrecursionlimit() - 150, 50)]
    assert told[0] == "read"
    assert set(told) <= {"read", "$: the document nests too deep"}  # later Pythons have room for all of it


def test_places() -> None:
    assert at("a", "k" * 1_000_000) == at("a", "k" * 80 + "...")
    assert at("$", "flags") == "flags"
    assert at("flags", "new-checkout") == "flags.new-checkout"
    assert at("flags", "new checkout") == 'flags["new checkout"]'
    assert at("flags", "a.b") == 'flags["a.b"]'
    assert at("flags", "größe") == 'flags["größe"]'
    assert at("$", "$evaluators") == "$evaluators"
    assert at("$", "$") == '$["$"]'
    assert at(at("features", 2), "_id") == "features[2]._id"
    assert at("$", 0) == "$[0]"


@pytest.mark.parametrize(
    ("value", "types", "message"),
    [
        (1, str, "a.b: the state must be a text, not an integer"),
        (True, int, "a.b: the state must be an integer, not true or false"),
        (True, (int, float), "a.b: the state must be a number, not true or false"),
        (None, (dict, list), "a.b: the state must be an object or an array, not null"),
        (1.5, bool, "a.b: the state must be true or false, not a number"),
        ({}, list, "a.b: the state must be an array, not an object"),
        ([], type(None), "a.b: the state must be null, not an array"),
    ],
)
def test_a_value_of_another_type(value: Any, types: Any, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        expect(value, types, "a.b", "the state")
    assert str(refused.value) == message


def test_members() -> None:
    parent = {"n": 1, "flag": True}
    assert member(parent, "n", (int, float), "a", "the number") == 1
    assert member(parent, "flag", (bool, int), "a", "the flag") is True
    with pytest.raises(ConfigError) as missing:
        member(parent, "state", str, "a", "the state")
    assert str(missing.value) == "a.state: the state is missing"
    with pytest.raises(ConfigError) as mistyped:
        member(parent, "flag", int, "$", "the number")
    assert str(mistyped.value) == "flag: the number must be an integer, not true or false"
