"""Manifests of OpenFeature's command line: what is read of them, what is refused, what is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pyflagwasm.codegen.manifest import SCHEMA, is_manifest, read, write
from pyflagwasm.codegen.shapes import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    NONE,
    OBJECT,
    STR,
    Described,
    ListOf,
    OneOf,
    Record,
    Texts,
)
from pyflagwasm.errors import ConfigError


def manifest(**flags: Any) -> dict[str, Any]:
    return {"$schema": "x", "flags": flags}


BANNER_SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "layout": {"type": "object", "properties": {"columns": {"type": "integer"}}, "required": ["columns"]},
        "widgets": {"type": "array", "items": {"type": "string"}},
        "anything": {"type": "array"},
        "open": {"type": "object"},
        "ratio": {"type": "number"},
        "on": {"type": "boolean"},
    },
    "required": ["title"],
}
BANNER = Record(
    (
        ("title", STR, True),
        ("layout", Record((("columns", INT, True),)), False),
        ("widgets", ListOf(STR), False),
        ("anything", ListOf(ANY), False),
        ("open", OBJECT, False),
        ("ratio", FLOAT, False),
        ("on", BOOL, False),
    )
)


def test_what_is_read() -> None:
    document = manifest(
        b={"flagType": "boolean", "defaultValue": False, "description": "About b.", "owner": "passed over"},
        s={"flagType": "string", "defaultValue": "x"},
        i={"flagType": "integer", "defaultValue": 3},
        whole={"flagType": "integer", "defaultValue": 3.0},
        f={"flagType": "float", "defaultValue": 3},
        o={"flagType": "object", "defaultValue": {"a": 1}},
        l={"flagType": "object", "defaultValue": [1]},
        n={"flagType": "object", "defaultValue": None},
        banner={"flagType": "object", "defaultValue": {"title": "Hi", "ratio": 1}, "schema": BANNER_SCHEMA},
        more={"flagType": "object", "defaultValue": {"title": "Hi", "new": 1}, "schema": BANNER_SCHEMA},
    )
    expected = [
        Described("b", BOOL, False, "About b."),
        Described("s", STR, "x"),
        Described("i", INT, 3),
        Described("whole", INT, 3),
        Described("f", FLOAT, 3),
        Described("o", OBJECT, {"a": 1}),
        Described("l", ListOf(ANY), [1]),
        Described("n", ANY, None),
        Described("banner", BANNER, {"title": "Hi", "ratio": 1}),
        Described("more", OBJECT, {"title": "Hi", "new": 1}),
    ]
    assert read(document) == expected
    assert read(json.dumps(document).encode()) == expected
    assert type(read(document)[3].default) is int


OBJECT_FLAG = {"flagType": "object", "defaultValue": {"a": 1}}
CLOSED = {"type": "object", "properties": {"b": {"type": "integer"}}, "additionalProperties": False}
TYPES = "there are boolean, string, integer, float, object"
REFUSED: list[tuple[Any, str]] = [
    ([], "$: a manifest must be an object, not an array"),
    ({}, "flags: the manifest's flags is missing"),
    ({"flags": []}, "flags: the manifest's flags must be an object, not an array"),
    (manifest(f=3), "flags.f: a flag must be an object, not an integer"),
    (manifest(f={"defaultValue": 1}), "flags.f.flagType: the flag's type is missing"),
    (manifest(f={"flagType": "number", "defaultValue": 1}), f"flags.f.flagType: there is no type 'number'; {TYPES}"),
    (
        manifest(f={"flagType": "boolean"}),
        "flags.f.defaultValue: the default is missing: it is what code gets where no flag gives a value",
    ),
    (
        manifest(**{"a b": {"flagType": "boolean", "defaultValue": "no"}}),
        'flags["a b"].defaultValue: the default of a flag of type boolean must be true or false, not a text',
    ),
    (
        manifest(f={"flagType": "integer", "defaultValue": True}),
        "flags.f.defaultValue: the default of a flag of type integer must be a number, not true or false",
    ),
    (
        manifest(f={"flagType": "integer", "defaultValue": 1.5}),
        "flags.f.defaultValue: the default of a flag of type integer must be an integer, not 1.5",
    ),
    (
        manifest(f={"flagType": "string", "defaultValue": "", "description": 3}),
        "flags.f.description: the description must be a text, not an integer",
    ),
    (manifest(f={**OBJECT_FLAG, "schema": 3}), "flags.f.schema: a schema must be an object, not an integer"),
    (manifest(f={**OBJECT_FLAG, "schema": {}}), "flags.f.schema.type: the schema's type is missing"),
    (
        manifest(f={**OBJECT_FLAG, "schema": {"type": "any"}}),
        "flags.f.schema.type: there is no type 'any'; there are object, array, string, number, integer, boolean",
    ),
    (
        manifest(f={**OBJECT_FLAG, "schema": {"type": "object", "properties": {"a": {}}}}),
        "flags.f.schema.properties.a.type: the schema's type is missing",
    ),
    (
        manifest(f={**OBJECT_FLAG, "schema": {"type": "object", "required": ["a"]}}),
        "flags.f.schema.required[0]: there is no property 'a'",
    ),
    (
        manifest(f={**OBJECT_FLAG, "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}),
        "flags.f.defaultValue.a: a value of this schema must be a text, not an integer",
    ),
    (
        manifest(f={**OBJECT_FLAG, "schema": {**BANNER_SCHEMA}}),
        "flags.f.defaultValue.title: what the schema requires is missing",
    ),
    (manifest(f={**OBJECT_FLAG, "schema": CLOSED}), "flags.f.defaultValue.a: the schema has no such property"),
    (
        manifest(f={**OBJECT_FLAG, "schema": {"type": "array"}}),
        "flags.f.defaultValue: what the schema calls an array must be an array, not an object",
    ),
    (
        {"flags": {"": {"flagType": "boolean", "defaultValue": False}}},
        'flags[""]: a manifest has no keys that are empty or have line breaks',
    ),
]


@pytest.mark.parametrize(("document", "message"), REFUSED, ids=lambda each: each if isinstance(each, str) else "")
def test_what_is_refused(document: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(json.dumps(document).encode())
    assert str(caught.value) == message


def test_what_is_no_json() -> None:
    with pytest.raises(ConfigError, match="not valid JSON"):
        read(b"{")


FLAGS = [
    Described("b", BOOL, False, "About b."),
    Described("s", STR, "x"),
    Described("i", INT, 3),
    Described("f", FLOAT, 0.5),
    Described("o", OBJECT, {"a": 1}),
    Described("banner", BANNER, {"title": "Hi", "layout": {"columns": 3}}),
    Described("l", ListOf(STR), ["a"]),
    Described("any", ListOf(ANY), [1, "a"]),
]


def test_what_is_written_is_read_back() -> None:
    written = write(FLAGS)
    assert written["$schema"] == SCHEMA
    assert written["flags"]["b"] == {"flagType": "boolean", "defaultValue": False, "description": "About b."}  # type: ignore[index, call-overload]
    assert read(json.dumps(written)) == FLAGS


def test_what_a_manifest_cannot_say() -> None:
    written: Any = write(
        [
            Described("t", Texts(("a", "b")), "a"),
            Described("u", OneOf((BOOL, STR)), False),
            Described("r", Record((("a", OneOf((STR, NONE)), True),)), {"a": None}),
            Described("n", ListOf(OneOf((STR, NONE))), [None]),
        ]
    )
    assert written["flags"] == {
        "t": {"flagType": "string", "defaultValue": "a"},
        "u": {"flagType": "object", "defaultValue": False},
        "r": {"flagType": "object", "defaultValue": {"a": None}},
        "n": {"flagType": "object", "defaultValue": [None]},
    }
    for key in ("", "a\nb"):
        with pytest.raises(ConfigError, match="a manifest has no keys that are empty or have line breaks"):
            write([Described(key, BOOL, False)])


def test_told_by_itself() -> None:
    assert is_manifest(manifest(a={"flagType": "boolean"}))
    for each in ([], {}, {"flags": {}}, {"flags": []}, manifest(a={"flagType": "boolean"}, b={"state": "ENABLED"})):
        assert not is_manifest(each)
