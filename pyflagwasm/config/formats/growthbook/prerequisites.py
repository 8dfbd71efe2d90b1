"""GrowthBook's prerequisites: which feature asks for which, where that is a cycle, and programs for both.

What a parent can serve is known, so its condition is evaluated here, once for each outcome. A parent that leads back to
a feature that is being evaluated is a cycle only where it is come upon: so within cycles a feature has a program for
each set of features around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import Final

from ...._abi import LIMITS_FRAMES, ErrorCode, Reason
from ...document import at, expect
from ...model import JSON, Action, Fail, Serve, Serves, When
from ...pace import breathe
from . import semantics
from .rules import Feature, Lowered

MAX_PROGRAMS: Final = 1_000
"""How many programs the features of a document may have more, because of cycles."""

MAX_DEPTH: Final = LIMITS_FRAMES
"""How many features may ask for each other in a row: each but the first is a call, and a loop is one, too."""

_LONGEST: Final = 500  # of what is said of a parent that may fail
_CYCLE: Final = -1  # in place of a variant, in programs that no flag has: the feature ran into a cycle


class TooMuch(Exception):
    """The prerequisites of a feature are beyond a limit, in words. No part of a flag can be saved then."""


class Programs:
    """The programs of all features, made when they are asked for."""

    def __init__(self, features: Mapping[str, Feature], groups: Mapping[str, JSON] | None) -> None:
        self._features, self._groups = features, groups
        self.actions: list[Action] = []
        self._numbers: dict[tuple[str, frozenset[str], bool], int] = {}
        self._failing: set[int] = set()
        self._depths: dict[int, int] = {}
        self._nested = self._deepest = self._cyclic = 0
        self._back = _ways_back({key: set(_parents(feature)) & features.keys() for key, feature in features.items()})

    def of(self, key: str) -> int:
        """The number of the program that a feature's flag has. Raises TooMuch."""
        return self._program(key, frozenset(), asked=False)

    def _program(self, key: str, around: frozenset[str], asked: bool) -> int:
        place = key, around & self._back.get(key, frozenset()), asked and key in self._back
        number = self._numbers.get(place)
        if number is None:
            if self._nested == MAX_DEPTH:
                raise TooMuch(f"{self._features[key].path}: prerequisites nest deeper than {MAX_DEPTH} features")
            outer, self._deepest, self._nested = self._deepest, 0, self._nested + 1
            try:
                number = self._build(place)
                self._depths[number] = self._deepest + 1
            finally:
                self._deepest, self._nested = outer, self._nested - 1
        self._deepest = max(self._deepest, self._depths[number])
        if self._nested + self._depths[number] > MAX_DEPTH:
            raise TooMuch(f"{self._features[key].path}: prerequisites nest deeper than {MAX_DEPTH} features")
        return number

    def _build(self, place: tuple[str, frozenset[str], bool]) -> int:
        key, around, asked = place
        if around or asked:
            self._cyclic += 1
            if self._cyclic > MAX_PROGRAMS:
                raise TooMuch(f"{self._features[key].path}: the prerequisites form too many cycles")
        feature = self._features[key]
        failing, feature.lowered.failing = feature.lowered.failing, feature.broken
        action = feature.program(
            lambda wanted, path, then, gate, fail, cycle: self.wanted(
                feature.lowered, wanted, path, around | {key}, then, gate, fail, cycle
            ),
            Serve(_CYCLE if asked else None, Reason.DEFAULT),
        )
        number = self._numbers[place] = len(self.actions)
        self.actions.append(action)
        if feature.lowered.failing:
            self._failing.add(number)
        feature.lowered.failing |= failing
        return number

    def wanted(
        self,
        lowered: Lowered,
        wanted: JSON,
        path: str,
        around: frozenset[str],
        then: Action,
        gate: Action,
        fail: Action,
        cyclic: Action,
    ) -> Action:
        """`then` where all parent conditions hold. `around` are the features that are being evaluated."""
        given = expect(wanted, list, path, "the parent conditions")
        for i, each in reversed(list(enumerate(given))):
            breathe()
            one = partial(self._one, lowered, each, at(path, i), around, then, gate, fail, cyclic)
            then = lowered.guarded(one)
        return then

    def _one(
        self,
        lowered: Lowered,
        wanted: JSON,
        path: str,
        around: frozenset[str],
        then: Action,
        gate: Action,
        fail: Action,
        cyclic: Action,
    ) -> Action:
        parent: dict[str, JSON] = expect(wanted, dict, path, "a parent condition")
        name, condition, shut = parent.get("id"), parent.get("condition"), gate if parent.get("gate") else fail
        if name is None:
            return then
        expect(name, str, at(path, "id"), "the parent's key")
        if name in around:
            return cyclic
        if name not in self._features:
            return then if condition is None or self._holds(condition, None) else shut
        number, other = self._program(name, around, asked=True), self._features[name].lowered
        outcomes: dict[int | None, JSON] = {None: None, **{i: each.value for i, each in enumerate(other.variants)}}
        if condition is not None:
            passing = frozenset(i for i, value in outcomes.items() if self._holds(condition, value))
            then = When(Serves(number, passing), then, shut)
        if name in self._back:
            then = When(Serves(number, frozenset((_CYCLE,))), cyclic, then)
        if number in self._failing:
            lowered.fail(f"{path}: {other.problems[0]}"[:_LONGEST])
            then = When(Serves(number, frozenset((*outcomes, _CYCLE))), then, Fail(ErrorCode.GENERAL))
        return then

    def _holds(self, condition: JSON, value: JSON) -> bool:
        whole = {"value": value}
        return semantics.holds(condition, lambda path: semantics.follow(whole, path), self._groups)


def _parents(feature: Feature) -> Iterator[str]:
    for rule in feature.rules:
        wanted = rule.get("parentConditions")
        for each in wanted if isinstance(wanted, list) else ():
            if isinstance(each, dict) and isinstance(each.get("id"), str):
                yield each["id"]


def _ways_back(parents: Mapping[str, set[str]]) -> dict[str, frozenset[str]]:
    """For each feature from which a cycle can be reached, all that can be reached from it."""
    try:
        TopologicalSorter(parents).prepare()
        return {}
    except CycleError:
        pass
    reached: dict[str, frozenset[str]] = {}
    for key in parents:
        seen: set[str] = set()
        left = list(parents[key])
        while left:
            breathe()
            other = left.pop()
            if other not in seen:
                seen.add(other)
                left += parents[other]
        reached[key] = frozenset(seen)
    return {key: seen for key, seen in reached.items() if any(each in reached[each] for each in (key, *seen))}
