"""Whether a value of a configuration is of a type as Python's annotations write it.

Here live the types that a flag can have: bool, int, float, str, None, Any, Literal, unions, lists (list, Sequence),
objects (dict, Mapping with str keys, TypedDict) of these. An integer is a float, as type checkers have it; true and
false are no numbers. An object may have more members than its TypedDict: configurations grow. Everything else is made
of a value by the flag's `parse`.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

_SIMPLE: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a text",
    type(None): "null",
}
_LISTS: Final = (list, collections.abc.Sequence)
_OBJECTS: Final = (dict, collections.abc.Mapping)
_QUALIFIERS: Final[Mapping[Any, bool | None]] = {
    getattr(typing, "ReadOnly", typing.Required): None,  # since Python 3.13
    typing.Required: True,
    typing.NotRequired: False,
}
_SHOWN: Final = 60


def shown(value: object) -> str:
    """A value or a type, short, for a message or a repr."""
    if isinstance(value, type) and not isinstance(value, types.GenericAlias):
        return "None" if value is type(None) else value.__name__
    text = repr(value).replace("typing.", "").replace("collections.abc.", "")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def require_known(wanted: Any) -> None:
    """Raises TypeError for a type that no value of a configuration is known to be of."""
    _require(wanted, set())


def _require(wanted: Any, seen: set[int]) -> None:
    wanted = _plain(wanted)
    if wanted in _SIMPLE or wanted is Any or wanted is object or id(wanted) in seen:
        return
    origin, arguments = _parts(wanted)
    if origin is typing.Literal:
        strange = [each for each in arguments if each is not None and type(each) not in (bool, int, str)]
        if strange:
            raise TypeError(f"{shown(wanted)}: a configuration has no {shown(strange[0])}")
    elif origin is typing.Union:
        for each in arguments:
            _require(each, seen)
    elif origin in _LISTS:
        _require(arguments[0], seen)
    elif origin in _OBJECTS:
        if arguments[0] not in (str, Any):
            raise TypeError(f"{shown(wanted)}: the keys of an object are texts: Mapping[str, ...]")
        _require(arguments[1], seen)
    elif typing.is_typeddict(wanted):
        seen.add(id(wanted))
        for each, _ in _members(wanted).values():
            _require(each, seen)
    else:
        raise TypeError(f"no value of a configuration is of the type {shown(wanted)}: say by parse= what makes one")


def misfit(value: object, wanted: Any, place: str = "") -> str | None:
    """What keeps the value from being of the type, in words that name the place in it; None if it is of the type."""
    wanted = _plain(wanted)
    if wanted is Any or wanted is object:
        return None
    if wanted in _SIMPLE:
        return None if _is_simple(value, wanted) else _not(value, _SIMPLE[wanted], place)
    origin, arguments = _parts(wanted)
    if origin is typing.Literal:
        fits = any(type(each) is type(value) and each == value for each in arguments)
        return None if fits else f"{_at(place)} is {shown(value)}, none of {shown(list(arguments))}"
    if origin is typing.Union:
        found = [misfit(value, each, place) for each in arguments]
        return None if None in found else _not(value, shown(wanted), place)
    if origin in _LISTS:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            return _not(value, "an array", place)
        items = (misfit(each, arguments[0], f"{place}[{number}]") for number, each in enumerate(value))
        return next((each for each in items if each is not None), None)
    if not isinstance(value, Mapping):
        return _not(value, "an object", place)
    if origin in _OBJECTS:
        members = (misfit(each, arguments[1], f"{place}.{key}") for key, each in value.items())
        return next((each for each in members if each is not None), None)
    for key, (each, required) in _members(wanted).items():
        if key in value:
            found_here = misfit(value[key], each, f"{place}.{key}")
            if found_here is not None:
                return found_here
        elif required:
            return f"{_at(place)} has no member {shown(key)}"
    return None


def takes_none(wanted: Any) -> bool:
    """Whether null is of the type."""
    return misfit(None, wanted) is None


def _plain(wanted: Any) -> Any:
    """The type without what annotations put around it."""
    while True:
        if typing.get_origin(wanted) is typing.Annotated:
            wanted = wanted.__origin__
        elif type(wanted).__name__ == "TypeAliasType":  # `type X = ...`, since Python 3.12
            wanted = wanted.__value__
        else:
            return type(None) if wanted is None else wanted


def _parts(wanted: Any) -> tuple[Any, tuple[Any, ...]]:
    """The origin of the type, one for each kind of list, object and union, and as many arguments as it takes."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is types.UnionType:
        origin = typing.Union
    if origin is None and (wanted in _LISTS or wanted in _OBJECTS):
        return wanted, (Any, Any)
    return origin, arguments


def _members(wanted: Any) -> dict[str, tuple[Any, bool]]:
    """The members of a TypedDict: type, and whether it is required."""
    try:
        hints = typing.get_type_hints(wanted, include_extras=True)
    except NameError as error:
        raise TypeError(f"the members of {shown(wanted)} cannot be read: {error}") from None
    members = {}
    for key, each in hints.items():
        # __required_keys__ does not see what postponed annotations say
        required = key in wanted.__required_keys__
        while (origin := typing.get_origin(each)) in _QUALIFIERS:
            says = _QUALIFIERS[origin]
            required = required if says is None else says
            each = typing.get_args(each)[0]
        members[key] = each, required
    return members


def _is_simple(value: object, wanted: Any) -> bool:
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


def _not(value: object, what: str, place: str) -> str:
    return f"{_at(place)} is {kind(value)}, not {what}"


def _at(place: str) -> str:
    return f"the value's {place.removeprefix('.')}" if place else "the value"


def kind(value: object) -> str:
    """What a value is, in the words of a configuration."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "an array"
    return next((words for each, words in _SIMPLE.items() if _is_simple(value, each)), type(value).__name__)
