"""Shapes: of which type the values of a flag are, told by the values themselves.

How they are written in Python is in module.py, how in a manifest in manifest.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..config.model import JSON

MOST_TEXTS: Final = 50
"""So many texts can be written out as what a flag can be; one with more is any text."""

_DEEPEST: Final = 4
_MOST_MEMBERS: Final = 64


@dataclass(frozen=True, slots=True)
class Simple:
    """name: as Python writes it, `bool`; `Any` for what can be anything, `Mapping[str, Any]` for any object."""

    name: str


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of items of one shape."""

    item: Shape


@dataclass(frozen=True, slots=True)
class Record:
    """An object of known members: key, shape, whether it is always there. closed: whether there can be no others."""

    members: tuple[tuple[str, Shape, bool], ...]
    closed: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several shapes, none of which is a OneOf."""

    shapes: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Texts:
    """One of these texts."""

    texts: tuple[str, ...]


Shape: TypeAlias = Simple | ListOf | Record | OneOf | Texts

BOOL, INT, FLOAT, STR, NONE, ANY, OBJECT = map(
    Simple, ("bool", "int", "float", "str", "None", "Any", "Mapping[str, Any]")
)


@dataclass(frozen=True, slots=True)
class Described:
    """A flag as code declares it. default: of the shape. description: what the flag is about, if anybody wrote it."""

    key: str
    shape: Shape
    default: JSON
    description: str | None = None


def shape_of(values: Sequence[JSON], *, texts: bool = False, depth: int = 0) -> Shape:
    """The shape that all of the values have; ANY if there are none.

    texts: whether texts are written out. Objects are records if they have the same members.
    """
    booleans = [each for each in values if isinstance(each, bool)]
    numbers = [each for each in values if isinstance(each, (int, float)) and not isinstance(each, bool)]
    strings = [each for each in values if isinstance(each, str)]
    lists = [each for each in values if isinstance(each, list)]
    objects = [each for each in values if isinstance(each, Mapping)]
    found: list[Shape] = []
    if booleans:
        found.append(BOOL)
    if numbers:
        found.append(INT if all(isinstance(each, int) for each in numbers) else FLOAT)
    if strings:
        different = tuple(sorted(set(strings)))
        found.append(Texts(different) if texts and len(different) <= MOST_TEXTS else STR)
    if lists:
        items = [item for each in lists for item in each]
        found.append(ListOf(shape_of(items, depth=depth + 1) if depth < _DEEPEST else ANY))
    if objects:
        found.append(_record(objects, depth))
    if not found:
        return ANY
    if any(each is None for each in values):
        found.append(NONE)
    return found[0] if len(found) == 1 else OneOf(tuple(found))


def _record(objects: Sequence[Mapping[str, JSON]], depth: int) -> Shape:
    keys = objects[0].keys()
    if not keys or len(keys) > _MOST_MEMBERS or depth >= _DEEPEST or any(each.keys() != keys for each in objects):
        return OBJECT
    return Record(tuple((key, shape_of([each[key] for each in objects], depth=depth + 1), True) for key in keys))
