"""Unleash's client features, full or as a list of events, as plain records.

Here live the document's shape and the types of its members, which are those of the engine: it refuses a whole document
for one member of another type, and so does this. What the members mean is read elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ....errors import ConfigError
from ...document import ROOT, at, expect, member
from ...model import JSON

T = TypeVar("T")

_I32: Final = range(-(2**31), 2**31)
_U32: Final = range(2**32)
_WEIGHT_TYPES = ("fix", "variable")
_METADATA = {"project": str, "type": str, "impressionData": bool, "stale": bool}


@dataclass(frozen=True, slots=True)
class Constraint:
    context_name: str
    operator: str
    ignore_case: bool
    inverted: bool
    values: tuple[str, ...]
    value: str | None


@dataclass(frozen=True, slots=True)
class WeightedVariant:
    """A variant of a feature or, without stickiness and overrides, of a strategy."""

    name: str
    weight: int
    payload: JSON
    stickiness: str | None
    overrides: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Strategy:
    name: str
    parameters: Mapping[str, str]
    constraints: tuple[Constraint, ...]
    segments: tuple[int, ...]
    variants: tuple[WeightedVariant, ...]


@dataclass(frozen=True, slots=True)
class Dependency:
    feature: str
    enabled: bool
    variants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Feature:
    name: str
    path: str
    enabled: bool
    strategies: tuple[Strategy, ...]
    variants: tuple[WeightedVariant, ...]
    dependencies: tuple[Dependency, ...]
    metadata: Mapping[str, JSON]


@dataclass(slots=True)
class State:
    """What a document amounts to. Of several features with one name, or segments with one id, the last one counts."""

    features: dict[str, Feature]
    segments: dict[int, tuple[Constraint, ...]]


def read(document: object) -> State:
    """The state of a document: of client features, or after all events of a delta, which begins with nothing.

    Raises ConfigError for the first member that the engine would refuse the document for.
    """
    body = expect(document, dict, ROOT, "client features")
    if "features" not in body and "events" in body:
        return _after_events(member(body, "events", list, ROOT, "the events"))
    _integer(body, "version", _U32, ROOT, "the version")
    features = _list(body, "features", _feature, ROOT, "the features", required=True)
    segments = _list(body, "segments", _segment, ROOT, "the segments")
    return State({each.name: each for each in features}, dict(segments))


def _after_events(events: list[JSON]) -> State:
    features: list[Feature] = []
    segments: list[tuple[int, tuple[Constraint, ...]]] = []
    for i, given in enumerate(events):
        path = at("events", i)
        event = expect(given, dict, path, "an event")
        _integer(event, "eventId", _U32, path, "the event's id")
        what = member(event, "type", str, path, "the event's type")
        if what == "hydration":
            features = list(_list(event, "features", _feature, path, "the features", required=True))
            segments = list(_list(event, "segments", _segment, path, "the segments", required=True))
        elif what == "feature-updated":
            feature = _feature(event.get("feature"), at(path, "feature"))
            _update(features, feature, lambda each: each.name)
        elif what == "feature-removed":
            gone = member(event, "featureName", str, path, "the feature's name")
            member(event, "project", str, path, "the feature's project")
            features = [each for each in features if each.name != gone]
        elif what == "segment-updated":
            segment = _segment(event.get("segment"), at(path, "segment"))
            _update(segments, segment, lambda each: each[0])
        elif what == "segment-removed":
            number = _integer(event, "segmentId", _I32, path, "the segment's id")
            segments = [each for each in segments if each[0] != number]
        else:
            raise ConfigError(at(path, "type"), f"there are no events of the type {what!r}")
    return State({each.name: each for each in features}, dict(segments))


def _update(items: list[T], item: T, key: Callable[[T], object]) -> None:
    """Puts the item in the place of the first one with its key, or at the end."""
    found = next((i for i, each in enumerate(items) if key(each) == key(item)), None)
    if found is None:
        items.append(item)
    else:
        items[found] = item


# ---------------------------------------------------------------- members


def _integer(parent: Mapping[str, JSON], key: str, within: range, path: str, what: str) -> int:
    value = member(parent, key, int, path, what)
    if value not in within:
        raise ConfigError(at(path, key), f"{what} must be between {within[0]} and {within[-1]}")
    return value


def _optional(parent: Mapping[str, JSON], key: str, types: type[T], path: str, what: str) -> T | None:
    return None if parent.get(key) is None else member(parent, key, types, path, what)


def _flag(parent: Mapping[str, JSON], key: str, path: str) -> bool:
    """A bool that may be missing, but not null."""
    return key in parent and member(parent, key, bool, path, f"`{key}`")


def _list(
    parent: Mapping[str, JSON],
    key: str,
    item: Callable[[object, str], T],
    path: str,
    what: str,
    required: bool = False,
) -> tuple[T, ...]:
    if not required and parent.get(key) is None:
        return ()
    here = at(path, key)
    return tuple(item(each, at(here, i)) for i, each in enumerate(member(parent, key, list, path, what)))


def _text(value: object, path: str) -> str:
    return expect(value, str, path, "a value")


def _id(value: object, path: str) -> int:
    number = expect(value, int, path, "the segment's id")
    if number not in _I32:
        raise ConfigError(path, "the segment's id must have 32 bits")
    return number


# ---------------------------------------------------------------- records


def _feature(json: object, path: str) -> Feature:
    body = expect(json, dict, path, "a feature")
    metadata = {key: _optional(body, key, types, path, f"`{key}`") for key, types in _METADATA.items()}
    return Feature(
        member(body, "name", str, path, "the feature's name"),
        path,
        member(body, "enabled", bool, path, "the feature's state"),
        _list(body, "strategies", _strategy, path, "the strategies"),
        _list(body, "variants", _variant, path, "the variants"),
        _list(body, "dependencies", _dependency, path, "the dependencies"),
        {key: value for key, value in metadata.items() if value is not None},
    )


def _segment(json: object, path: str) -> tuple[int, tuple[Constraint, ...]]:
    body = expect(json, dict, path, "a segment")
    number = _integer(body, "id", _I32, path, "the segment's id")
    return number, _list(body, "constraints", _constraint, path, "the constraints", required=True)


def _strategy(json: object, path: str) -> Strategy:
    body = expect(json, dict, path, "a strategy")
    parameters = _optional(body, "parameters", dict, path, "the parameters") or {}
    for key, value in parameters.items():
        expect(value, str, at(at(path, "parameters"), key), "a parameter")
    if body.get("sortOrder") is not None:
        _integer(body, "sortOrder", _I32, path, "the sort order")
    return Strategy(
        member(body, "name", str, path, "the strategy's name"),
        parameters,
        _list(body, "constraints", _constraint, path, "the constraints"),
        _list(body, "segments", _id, path, "the segments"),
        _list(body, "variants", _variant_of_strategy, path, "the variants"),
    )


def _constraint(json: object, path: str) -> Constraint:
    body = expect(json, dict, path, "a constraint")
    return Constraint(
        member(body, "contextName", str, path, "the context name"),
        member(body, "operator", str, path, "the operator"),
        _flag(body, "caseInsensitive", path),
        _flag(body, "inverted", path),
        _list(body, "values", _text, path, "the values"),
        _optional(body, "value", str, path, "the value"),
    )


def _variant_of_strategy(json: object, path: str) -> WeightedVariant:
    body = expect(json, dict, path, "a variant")
    payload = _optional(body, "payload", dict, path, "the payload")
    if payload is not None:
        here = at(path, "payload")
        payload = {key: member(payload, key, str, here, f"the payload's {key}") for key in ("type", "value")}
    return WeightedVariant(
        member(body, "name", str, path, "the variant's name"),
        _integer(body, "weight", _I32, path, "the variant's weight"),
        payload,
        _optional(body, "stickiness", str, path, "the stickiness"),
        (),
    )


def _variant(json: object, path: str) -> WeightedVariant:
    found = _variant_of_strategy(json, path)
    body: Mapping[str, Any] = json  # type: ignore[assignment]
    said = _optional(body, "weightType", str, path, "the weight type")
    if said is not None and said not in _WEIGHT_TYPES:
        raise ConfigError(at(path, "weightType"), f"must be one of {', '.join(_WEIGHT_TYPES)}, not {said!r}")
    overrides = _list(body, "overrides", _override, path, "the overrides")
    return WeightedVariant(found.name, found.weight, found.payload, found.stickiness, overrides)


def _override(json: object, path: str) -> tuple[str, tuple[str, ...]]:
    body = expect(json, dict, path, "an override")
    name = member(body, "contextName", str, path, "the context name")
    return name, _list(body, "values", _text, path, "the values", required=True)


def _dependency(json: object, path: str) -> Dependency:
    body = expect(json, dict, path, "a dependency")
    enabled = _optional(body, "enabled", bool, path, "the parent's state")
    return Dependency(
        member(body, "feature", str, path, "the parent's name"),
        True if enabled is None else enabled,
        _list(body, "variants", _text, path, "the variants"),
    )
