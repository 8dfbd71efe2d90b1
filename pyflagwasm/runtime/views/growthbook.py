"""How GrowthBook's slots find their values. Each view is made once for a slot and then reads contexts.

    view                    arguments                       gives
    growthbook_attribute    path                            the attribute, followed through objects only
    growthbook_hash         attribute, fallback?            the text that is hashed; nothing for what is not hashed
    growthbook_number       path                            what a number is compared with; see below
    growthbook_version      path                            the padded text by which versions are compared
    growthbook_folded       path                            the attribute, texts of it and of its list in lower case
    growthbook_judged       path, operand, groups           of a list or an object the verdict, all else as it is
    growthbook_verdict      path, operand, groups           the verdict, whatever the attribute is
    growthbook_condition    condition, groups               whether the condition holds, true or false
    growthbook_sticky       experiment...                   the stored variation's index, -1 if blocked, else nothing

A path is dotted; operands, conditions and groups are JSON ("" for no groups). `id` is the targeting key where the
context has no `id`. A verdict is the list [true] or the empty list, which no scalar is. growthbook_number gives
numbers, truth values and null as they are, a text as the number that it reads as - an empty list if that is NaN - and
an empty text for whatever has no number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

from ..._abi import SCRATCH_REQUEST_SIZE, VALUE_SIZE, Kind
from ...config.formats.growthbook import semantics
from ...config.model import MISSING
from ...types import TARGETING_KEYS
from ..plain import plain

Context: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[Context, int], Any]

_ID: Final = "id"
_MOST_DIGITS: Final = 18  # of a bucket version that anybody has
_DOCS: Final = "stickyBucketAssignmentDocs"
_MOST_MEMBERS: Final = SCRATCH_REQUEST_SIZE // (2 * VALUE_SIZE) + 1  # of a mapping that may be endless
_VERDICTS: Final[tuple[list[bool], list[bool]]] = ([], [True])


def _top(context: Context, name: str) -> Any:
    value = context.get(name, MISSING)
    if value is MISSING and name == _ID:
        for key in TARGETING_KEYS:
            value = context.get(key, MISSING)
            if value is not MISSING:
                break
    return value


def _whole(value: Any) -> Any:
    """A value as plain JSON, all through."""
    value = plain(value)
    kind = type(value)
    if value is None or kind in (str, bool, int, float):
        return value
    if issubclass(kind, (list, tuple)):
        return [_whole(item) for item in value]
    return {key: _whole(value[key]) for key in _keys(value)}


def _keys(mapping: Mapping[str, Any]) -> Iterable[str]:
    return mapping if type(mapping) is dict else islice(mapping, _MOST_MEMBERS)


def _reader(path: str) -> Callable[[Context], Any]:
    """The attribute at a dotted path, MISSING if there is none; objects inside of it are as they came."""
    first, *rest = path.split(".")

    def read(context: Context) -> Any:
        value = _top(context, first)
        for key in rest:
            value = MISSING if value is MISSING else plain(value)
            if not issubclass(type(value), Mapping):
                return MISSING
            value = value.get(key, MISSING)
        return value

    return read


def _read_whole(path: str) -> Callable[[Context], Any]:
    """The same as plain JSON."""
    read = _reader(path)

    def whole(context: Context) -> Any:
        found = read(context)
        return found if found is MISSING else _whole(found)

    return whole


def attribute(path: str) -> Reader:
    read = _reader(path)
    return lambda context, now_us: read(context)


def hash_text(name: str, fallback: str | None = None) -> Reader:
    def read(context: Context, now_us: int) -> Any:
        return _hashed(context, name, fallback)

    return read


def _hashed(context: Context, name: str, fallback: str | None = None) -> Any:
    """Python's text of the value, MISSING if that is empty. What is falsy gives way to a fallback that is there."""
    value = _top(context, name)
    value = "" if value is MISSING or value is None else _whole(value)
    if not value and fallback is not None:
        other = _top(context, fallback)
        if other is not MISSING:
            value = "" if other is None else _whole(other)
    return str(value) or MISSING


def number(path: str) -> Reader:
    value = _reader(path)

    def read(context: Context, now_us: int) -> Any:
        found = value(context)
        found = found if found is MISSING else plain(found)
        if type(found) is not str:
            return found if found is MISSING or found is None or type(found) in (bool, int, float) else ""
        try:
            parsed = float(found)
        except ValueError:
            return ""
        return [] if math.isnan(parsed) else parsed

    return read


def version(path: str) -> Reader:
    value = _reader(path)

    def read(context: Context, now_us: int) -> Any:
        found = value(context)
        return semantics.padded(None if found is MISSING else plain(found))

    return read


def folded(path: str) -> Reader:
    value = _read_whole(path)

    def read(context: Context, now_us: int) -> Any:
        found = value(context)
        return [semantics.fold(item) for item in found] if isinstance(found, list) else semantics.fold(found)

    return read


def _judging(path: str, operand: str, groups: str, scalars: bool) -> Reader:
    value, wanted, known = _read_whole(path), json.loads(operand), json.loads(groups or "{}")

    def read(context: Context, now_us: int) -> Any:
        found = value(context)
        if scalars or isinstance(found, (list, dict)):
            return _VERDICTS[semantics.value_holds(wanted, None if found is MISSING else found, known)]
        return found

    return read


def judged(path: str, operand: str, groups: str) -> Reader:
    return _judging(path, operand, groups, scalars=False)


def verdict(path: str, operand: str, groups: str) -> Reader:
    return _judging(path, operand, groups, scalars=True)


def condition(text: str, groups: str) -> Reader:
    wanted, known = json.loads(text), json.loads(groups or "{}")

    def read(context: Context, now_us: int) -> Any:
        def attribute(path: str) -> Any:
            found = _read_whole(path)(context)
            return None if found is MISSING else found

        return semantics.holds(wanted, attribute, known)

    return read


def sticky(experiment: str, wanted: str, least: str, keys: str, name: str, fallback: str = "") -> Reader:
    """`wanted` is the bucket version, those below `least` are blocked, `keys` the variations' keys as a JSON list."""
    place, variations, start, below = f"{experiment}__{wanted}", json.loads(keys), f"{experiment}__", int(least)

    def blocked(key: object) -> bool:
        version = key.removeprefix(start) if isinstance(key, str) and key.startswith(start) else ""
        number = int(version) if version.isascii() and version.isdigit() and len(version) < _MOST_DIGITS else below
        return number < below and str(number) == version

    def assignments(docs: Mapping[str, Any], context: Context, attribute: str) -> Mapping[str, Any]:
        text = _hashed(context, attribute)
        doc = docs.get(f"{attribute}||{text}") if text is not MISSING else None
        found = doc.get("assignments") if isinstance(doc, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    def read(context: Context, now_us: int) -> Any:
        docs = context.get(_DOCS)
        if not isinstance(docs, Mapping):
            return MISSING
        own = assignments(docs, context, name)
        other = assignments(docs, context, fallback) if fallback else {}
        if below > 0 and any(map(blocked, (*_keys(own), *_keys(other)))):
            return -1
        key = own[place] if place in own else other.get(place)
        return variations.index(key) if key and key in variations else MISSING

    return read


FACTORIES: Final[Mapping[str, Callable[..., Reader]]] = {
    "growthbook_attribute": attribute,
    "growthbook_hash": hash_text,
    "growthbook_number": number,
    "growthbook_version": version,
    "growthbook_folded": folded,
    "growthbook_judged": judged,
    "growthbook_verdict": verdict,
    "growthbook_condition": condition,
    "growthbook_sticky": sticky,
}
"""What makes the reader of a slot from its arguments, by view."""

_SCALARS: Final = sum(1 << kind for kind in (Kind.MISSING, Kind.NULL, Kind.BOOL, Kind.INT, Kind.FLOAT))
TAKEN: Final[Mapping[str, int]] = {
    "growthbook_attribute": (1 << len(Kind)) - 1 - (1 << Kind.MISSING),
    "growthbook_hash": 1 << Kind.TEXT,
    "growthbook_number": _SCALARS,
    "growthbook_folded": _SCALARS,
    "growthbook_judged": _SCALARS | 1 << Kind.TEXT,
}
"""Of which kinds (a bit each) a view gives the attribute as it is, so that nobody needs to call it."""


def lookup(view: str, args: tuple[str, ...]) -> tuple[str, tuple[str, ...], int] | None:
    """First attribute, keys to follow from there, and the kinds that are taken as they are; None if it must be called.

    Without `id` the view must be called, so a missing one is never taken as it is.
    """
    taken = TAKEN.get(view, 0)
    if not taken or (view == "growthbook_hash" and len(args) > 1):
        return None
    first, *rest = (args[0],) if view == "growthbook_hash" else args[0].split(".")
    if first == _ID:
        taken &= ~(1 << Kind.MISSING)
    return first, tuple(rest), taken
