"""DevCycle's audiences: trees of operators and filters to conditions, and to the outlines of what they say.

Here live the shape of a filter and what it looks at. What a comparator answers is in compare.py.

Audiences that others refer to become `Model.shared`. A tree that cannot be read, refers to itself or nests too deep
spoils the features that use it and nothing else: `Audiences.trouble` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...._abi import LIMITS_FRAMES, ErrorCode
from ....errors import ConfigError
from ...document import at, expect, member
from ...model import MISSING, All, Always, AnyOf, Condition, Labelled, Not, Shared, Slot
from . import compare
from .details import NOTHING, Every, First, InAudience, Leaf, Outline
from .semantics import Semantics, value

USER_ID = Slot("devcycle_user_id")

_PROFILE = {
    "user_id": "User ID",
    "email": "Email",
    "country": "Country",
    "appVersion": "App Version",
    "deviceModel": "Device Model",
    "platform": "Platform",
    "platformVersion": "Platform Version",
}
_DATA_KINDS = ("String", "Boolean", "Number")

DEEPEST = LIMITS_FRAMES - 2
"""How long a chain of audiences referring to audiences may be: each is a call in the core."""


class Audiences:
    """Reads operators, and remembers which audiences they refer to.

    declared: the document's `audiences`. platform: `platform` and `platformVersion` of the process.
    client_data: custom data of the process, used where the user has none of that name.
    Call `operator` for every target, then `finish`, then `trouble`.
    """

    def __init__(
        self,
        declared: Mapping[str, Any],
        platform: Mapping[str, str],
        client_data: Mapping[str, Any],
        semantics: Semantics,
    ) -> None:
        self._declared = declared
        self._platform = platform
        self._client_data = value(dict(client_data), semantics)
        self._semantics = semantics
        self._next_label = 0
        self._broken: dict[str, str] = {}
        self._refers: dict[str, set[str]] = {}
        self._heights: dict[str, int] = {}
        self._sound: set[str] = set()
        self._wanted: set[str] = set()
        self.conditions: dict[str, Condition] = {}
        self.outlines: dict[str, Outline] = {}

    # ------------------------------------------------------------ reading

    def label(self, condition: Condition) -> Labelled:
        """The condition under a label that no other has."""
        self._next_label += 1
        return Labelled(self._next_label, condition)

    def operator(self, json: object, path: str) -> tuple[Condition, Outline, set[str]]:
        """The condition of an operator object, its outline, and the audiences that it calls. Raises ConfigError."""
        uses: set[str] = set()
        condition, outline = self._operator(expect(json, dict, path, "an operator"), path, uses)
        self._wanted |= uses
        return condition, outline, uses

    def _operator(self, json: Mapping[str, Any], path: str, uses: set[str]) -> tuple[Condition, Outline]:
        word = member(json, "operator", str, path, "the operator")
        filters = member(json, "filters", list, path, "the list of filters")
        conditions: list[Condition] = []
        outlines: list[Outline] = []
        ended = False
        for i, item in enumerate(filters):
            here = at(at(path, "filters"), i)
            entry = expect(item, dict, here, "a filter")
            nested = isinstance(entry.get("operator"), str)
            # what lies behind the end must still be readable, but calls nothing
            seen: set[str] = set()
            condition, outline = self._operator(entry, here, seen) if nested else self._filter(entry, here, seen)
            if not ended:
                uses |= seen
                conditions.append(condition)
                outlines.append(outline)
            ended = ended or (nested and word == "and" and self._semantics.and_ends_at_nested)
        if not conditions or word not in ("and", "or"):
            return Always(False), NOTHING
        if word == "or":
            return AnyOf(tuple(conditions)), First(tuple(outlines))
        return All(tuple(conditions)), Every(tuple(outlines), last_only=ended)

    def _filter(self, json: Mapping[str, Any], path: str, uses: set[str]) -> tuple[Condition, Outline]:
        match member(json, "type", str, path, "the filter's type"):
            case "all":
                return self._leaf(Always(True), "All Users")
            case "user":
                return self._leaf(*self._user_filter(json, path))
            case "audienceMatch":
                return self._audience_match(json, path, uses)
        return self._leaf(Always(False), "")  # opting in is not for servers; what we do not know never holds

    def _leaf(self, condition: Condition, text: str) -> tuple[Condition, Outline]:
        labelled = self.label(condition)
        return labelled, Leaf(labelled.label, text)

    def _audience_match(self, json: Mapping[str, Any], path: str, uses: set[str]) -> tuple[Condition, Outline]:
        comparator = member(json, "comparator", str, path, "the filter's comparator")
        listed = member(json, "_audiences", list, path, "the list of audiences")
        names = [name for name in listed if isinstance(name, str)]
        # an id that no audience has ends the filter as false, whatever the comparator
        known = next((i for i, name in enumerate(names) if name not in self._declared), len(names))
        if comparator not in ("=", "!=") or (comparator == "!=" and known < len(names)):
            return self._leaf(Always(False), "")
        called = tuple(dict.fromkeys(names[:known]))
        uses.update(called)
        within = AnyOf(tuple(Shared(name) for name in called)) if called else Always(False)
        if comparator == "!=":
            return self._leaf(Not(within) if called else Always(True), "Not in Audience")
        labelled = self.label(within)
        return labelled, InAudience(labelled.label, called)

    def _user_filter(self, json: Mapping[str, Any], path: str) -> tuple[Condition, str]:
        subject = member(json, "subType", str, path, "the filter's subType")
        comparator = member(json, "comparator", str, path, "the filter's comparator")
        values = member(json, "values", list, path, "the list of values")
        if values and not isinstance(values[0], (str, bool, int, float)):
            raise ConfigError(at(at(path, "values"), 0), "the first value must be a text, a number, true or false")
        if subject == "customData":
            return self._custom_filter(json, path, comparator, values)
        text = _PROFILE.get(subject)
        if text is None or comparator not in compare.COMPARATORS:
            return Always(False), ""
        is_version = subject in ("appVersion", "platformVersion")
        if subject not in self._platform:
            slot = USER_ID if subject == "user_id" else Slot("devcycle_field", (subject,))
        elif self._semantics.platform_from_context:
            slot = Slot("devcycle_field", (subject,), self._platform[subject])
        else:
            holds = compare.version_holds if is_version else compare.text_holds
            return Always(holds(self._platform[subject], comparator, values, self._semantics)), text
        condition = compare.profile_version if is_version else compare.profile_text
        return condition(slot, comparator, values, self._semantics), text

    def _custom_filter(
        self, json: Mapping[str, Any], path: str, comparator: str, values: list[Any]
    ) -> tuple[Condition, str]:
        key = member(json, "dataKey", str, path, "the filter's dataKey")
        kind = member(json, "dataKeyType", str, path, "the filter's dataKeyType")
        if kind not in _DATA_KINDS:
            raise ConfigError(at(path, "dataKeyType"), f"must be one of {', '.join(_DATA_KINDS)}, not {kind!r}")
        if comparator not in compare.COMPARATORS:
            return Always(False), ""
        slot = Slot("devcycle_custom", (key,), self._client_data.get(key, MISSING))
        text = f"Custom Data -> {key}"
        if comparator in ("exist", "!exist"):
            exists = compare.custom_exists(slot)
            return exists if comparator == "exist" else Not(exists), text
        by_kind = {"String": compare.custom_text, "Number": compare.custom_number, "Boolean": compare.custom_bool}
        return by_kind[kind](slot, comparator, values, self._semantics), text

    # ------------------------------------------------------------ references

    def finish(self) -> None:
        """Reads the audiences that were referred to, and those that they refer to, and measures the chains."""
        waiting = sorted(self._wanted)
        while waiting:
            name = waiting.pop()
            if name in self._refers:
                continue
            self._refers[name] = uses = set()
            path = at("audiences", name)
            try:
                declared = expect(self._declared[name], dict, path, "an audience")
                json = member(declared, "filters", dict, path, "the audience's operator")
                self.conditions[name], self.outlines[name], found = self.operator(json, at(path, "filters"))
            except ConfigError as e:
                self._broken[name] = str(e)
            else:
                uses |= found
                waiting.extend(sorted(found))
        self._measure()
        for name in self.conditions.keys() - self._sound:
            del self.conditions[name], self.outlines[name]

    def _measure(self) -> None:
        # an audience has a height when all that it calls have one; what is left calls itself in the end
        waits = {name: len(uses) for name, uses in self._refers.items()}
        callers: dict[str, list[str]] = {name: [] for name in self._refers}
        for name, uses in self._refers.items():
            for used in uses:
                callers[used].append(name)
        ready = [name for name, count in waits.items() if count == 0]
        while ready:
            name = ready.pop()
            uses = self._refers[name]
            self._heights[name] = 1 + max((self._heights[used] for used in uses), default=0)
            if name not in self._broken and uses <= self._sound and self._heights[name] <= DEEPEST:
                self._sound.add(name)
            for caller in callers[name]:
                waits[caller] -= 1
                if waits[caller] == 0:
                    ready.append(caller)

    def trouble(self, uses: Iterable[str]) -> tuple[ErrorCode, str] | None:
        """Why a condition that calls these audiences cannot be used, or None. After `finish`."""
        uses = set(uses)
        if uses <= self._sound:
            return None
        reached: set[str] = set()
        waiting = sorted(uses, reverse=True)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting.extend(sorted(self._refers[name], reverse=True))
        for name in sorted(reached):
            if name in self._broken:
                return ErrorCode.PARSE_ERROR, self._broken[name]
        turning = min((name for name in reached if name not in self._heights), default=None)
        if turning is not None:
            circle = self._circle(turning)
            way = " -> ".join([*circle, circle[0]])
            return ErrorCode.GENERAL, f"{at('audiences', circle[0])}: the audience refers to itself: {way}"
        highest = at("audiences", max(sorted(reached), key=lambda name: self._heights[name]))
        return ErrorCode.GENERAL, f"{highest}: a chain of more than {DEEPEST} audiences that refer to each other"

    def _circle(self, name: str) -> list[str]:
        """A circle that the audience, which has no height, gets into; the smallest name first."""
        way: dict[str, None] = {}
        while name not in way:
            way[name] = None
            name = min(used for used in self._refers[name] if used not in self._heights)
        circle = list(way)
        circle = circle[circle.index(name) :]
        first = circle.index(min(circle))
        return circle[first:] + circle[:first]
