"""Flag manifests of OpenFeature's command line, version 0 of their schema: reading them strictly, and writing them.

A manifest has a type, a default and a description for each flag; the type of an object can have a schema of its own, a
subset of JSON Schema, which becomes a TypedDict. What the schema does not name is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from ..config.document import at, expect, kind, member, parse
from ..config.model import JSON
from ..errors import ConfigError
from .shapes import ANY, BOOL, FLOAT, INT, NONE, OBJECT, STR, Described, ListOf, OneOf, Record, Shape, Simple, Texts

SCHEMA: Final = "https://raw.githubusercontent.com/open-feature/cli/main/schema/v0/flag-manifest.json"

_Object: TypeAlias = Mapping[str, Any]
_TYPES: Final[Mapping[str, tuple[Simple, tuple[type, ...]]]] = {
    "boolean": (BOOL, (bool,)),
    "string": (STR, (str,)),
    "integer": (INT, (int, float)),
    "float": (FLOAT, (int, float)),
    "object": (OBJECT, ()),
}
_NAMES: Final[Mapping[Shape, str]] = {BOOL: "boolean", STR: "string", INT: "integer", FLOAT: "float"}
_WANTED: Final[Mapping[Shape, tuple[type, ...]]] = {BOOL: (bool,), STR: (str,), INT: (int,), FLOAT: (int, float)}
_SCHEMA_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean")


def is_manifest(document: object) -> bool:
    """Whether a parsed document can only be a manifest: flags, each with a flagType."""
    flags = document.get("flags") if isinstance(document, Mapping) else None
    if not isinstance(flags, Mapping) or not flags:
        return False
    return all(isinstance(each, Mapping) and "flagType" in each for each in flags.values())


def read(data: bytes | str | Mapping[str, Any]) -> list[Described]:
    """The flags of a manifest, in its order. Raises ConfigError, with the place, for what the schema does not allow."""
    document = parse(data)
    if not isinstance(document, dict):
        raise ConfigError("$", f"a manifest must be an object, not {kind(document)}")
    flags = member(document, "flags", dict, "$", "the manifest's flags")
    return [_flag(key, flags[key], at("flags", key)) for key in flags]


def _flag(key: str, given: object, path: str) -> Described:
    _check_key(key, path)
    flag = expect(given, dict, path, "a flag")
    name = member(flag, "flagType", str, path, "the flag's type")
    if name not in _TYPES:
        raise ConfigError(at(path, "flagType"), f"there is no type {name!r}; there are {', '.join(_TYPES)}")
    shape: Shape
    shape, wanted = _TYPES[name]
    place = at(path, "defaultValue")
    if "defaultValue" not in flag:
        raise ConfigError(place, "the default is missing: it is what code gets where no flag gives a value")
    default = flag["defaultValue"]
    if wanted:
        default = expect(default, wanted, place, f"the default of a flag of type {name}")
        default = _number(default, name, place)
    elif "schema" in flag:
        shape = _schema(flag["schema"], at(path, "schema"))
        try:
            _fit(default, shape, place)
        except _More:  # which a TypedDict's literal cannot have
            shape = _loosely(default)
    else:
        shape = _loosely(default)
    about = expect(flag.get("description", ""), str, at(path, "description"), "the description")
    return Described(key, shape, default, about or None)


def _loosely(default: object) -> Shape:
    return OBJECT if isinstance(default, dict) else ListOf(ANY) if isinstance(default, list) else ANY


def _check_key(key: str, path: str) -> None:
    if not key or "\n" in key:
        raise ConfigError(path, "a manifest has no keys that are empty or have line breaks")


def _number(default: Any, name: str, place: str) -> Any:
    if name != "integer" or isinstance(default, int):
        return default
    if not default.is_integer():
        raise ConfigError(place, f"the default of a flag of type integer must be an integer, not {default!r}")
    return int(default)


# ------------------------------------------------------------ schemas of objects


class _More(Exception):
    """The default has members that its schema allows and does not name."""


def _schema(given: object, path: str) -> Shape:
    schema = expect(given, dict, path, "a schema")
    name = member(schema, "type", str, path, "the schema's type")
    if name == "object":
        return _object(schema, path)
    if name == "array":
        return ListOf(_schema(schema["items"], at(path, "items")) if "items" in schema else ANY)
    if name not in _SCHEMA_TYPES:
        raise ConfigError(at(path, "type"), f"there is no type {name!r}; there are {', '.join(_SCHEMA_TYPES)}")
    return FLOAT if name == "number" else _TYPES[name][0]


def _object(schema: _Object, path: str) -> Shape:
    properties = expect(schema.get("properties", {}), dict, at(path, "properties"), "the properties")
    place = at(path, "required")
    required = expect(schema.get("required", []), list, place, "what is required")
    for number, key in enumerate(required):
        expect(key, str, at(place, number), "the name of a member")
        if key not in properties:
            raise ConfigError(at(place, number), f"there is no property {key!r}")
    if not properties:
        return OBJECT
    inner = at(path, "properties")
    place = at(path, "additionalProperties")
    closed = not expect(schema.get("additionalProperties", True), bool, place, "whether there may be more properties")
    members = tuple((key, _schema(each, at(inner, key)), key in required) for key, each in properties.items())
    return Record(members, closed)


def _fit(value: object, shape: Shape, place: str) -> None:
    """Raises ConfigError if the default is not what its schema says."""
    if isinstance(shape, Record):
        members = expect(value, dict, place, "what the schema calls an object")
        for key, inner, required in shape.members:
            if key in members:
                _fit(members[key], inner, at(place, key))
            elif required:
                raise ConfigError(at(place, key), "what the schema requires is missing")
        known = {key for key, _, _ in shape.members}
        for key in members:
            if key not in known and shape.closed:
                raise ConfigError(at(place, key), "the schema has no such property")
        if members.keys() - known:
            raise _More
    elif isinstance(shape, ListOf):
        for number, item in enumerate(expect(value, list, place, "what the schema calls an array")):
            _fit(item, shape.item, at(place, number))
    elif shape == OBJECT:
        expect(value, dict, place, "what the schema calls an object")
    elif shape != ANY:
        expect(value, _WANTED[shape], place, "a value of this schema")


# ------------------------------------------------------------ writing


def write(flags: Sequence[Described]) -> dict[str, JSON]:
    """The manifest of flags. Raises ConfigError for a key that no manifest can have."""
    written: dict[str, JSON] = {}
    for flag in flags:
        _check_key(flag.key, at("flags", flag.key))
        shape = STR if isinstance(flag.shape, Texts) else flag.shape
        members: dict[str, JSON] = {"flagType": _NAMES.get(shape, "object"), "defaultValue": flag.default}
        if flag.description:
            members["description"] = flag.description
        if isinstance(shape, (Record, ListOf)):
            schema = _schema_of(shape)
            if schema is not None:
                members["schema"] = schema
        written[flag.key] = members
    return {"$schema": SCHEMA, "flags": written}


def _schema_of(shape: Shape) -> dict[str, JSON] | None:
    """The schema of a shape; None if schemas cannot say it."""
    if isinstance(shape, ListOf):
        items = None if shape.item == ANY else _schema_of(shape.item)
        if items is None:
            return {"type": "array"} if shape.item == ANY else None
        return {"type": "array", "items": items}
    if isinstance(shape, Record):
        properties: dict[str, JSON] = {}
        for key, inner, _ in shape.members:
            found = _schema_of(inner)
            if found is None:
                return None
            properties[key] = found
        required: list[JSON] = [key for key, _, always in shape.members if always]
        return {"type": "object", "properties": properties, "required": required}
    if isinstance(shape, (OneOf, Texts)) or shape in (ANY, NONE):
        return None
    name = "number" if shape == FLOAT else "object" if shape == OBJECT else _NAMES[shape]
    return {"type": name}
