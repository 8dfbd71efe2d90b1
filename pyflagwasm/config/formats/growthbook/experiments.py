"""One experiment of GrowthBook's, as a rule of a feature carries it or on its own: an action.

Here live the steps from forced variations to the split, in the vendor's order. Who decides what follows - a variant to
serve, the next rule - is the caller's matter. Ranges and hashes are in buckets.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlparse

from ...._abi import ErrorCode, Kind, Op, Order, Reason
from ....errors import ConfigError
from ...document import at, expect, kind
from ...model import JSON, Action, Bucket, Condition, Fail, Slot, SplitBy, Test, When
from . import buckets

_NOTHING: Final = 1 << Kind.MISSING | 1 << Kind.NULL
_NUMBER: Final = (int, float, bool)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the vendor's SDK is told when it is set up, and here the importer: see growthbook.load."""

    enabled: bool = True
    qa_mode: bool = False
    sticky_buckets: bool = False
    url: str = ""
    forced_variations: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Where an experiment leads. assigned: for the index of a variation that exists. out: not in the experiment."""

    assigned: Callable[[int, Reason], Action]
    out: Action


class Experiment:
    """An experiment to lower. `body` is the vendor's object, `path` its place, `key` and `variations` what it goes by.

    `guarded` makes a failing action of a part that the vendor's evaluation would stumble over. `condition` lowers
    targeting, `parents` adds prerequisites: (parent conditions, path, where they hold, where not) -> action.
    """

    def __init__(
        self,
        body: Mapping[str, JSON],
        path: str,
        key: JSON,
        variations: JSON,
        settings: Settings,
        guarded: Callable[[Callable[[], Action]], Action],
        condition: Callable[[JSON], Condition],
        parents: Callable[[JSON, str, Action, Action], Action],
    ) -> None:
        self.body, self.path, self.key, self.settings = body, path, key, settings
        self.guarded, self.condition, self.parents = guarded, condition, parents
        variations = [] if variations == {} else list(variations) if isinstance(variations, str) else variations
        self.variations: list[JSON] = expect(variations, list, path, "the variations")
        self.name = hash_attribute(body, path)
        self.fallback = fallback_attribute(body, path, settings)
        self.text = buckets.hash_slot(self.name, self.fallback)
        self._failed = False

    def meta(self, index: int) -> Mapping[str, JSON]:
        """What is said of a variation. Raises ConfigError."""
        meta, place = self.body.get("meta"), at(self.path, "meta")
        if not meta or index >= len(expect(meta, list, place, "the meta data")):
            return {}
        found: Mapping[str, JSON] = expect(meta[index] or {}, dict, at(place, index), "a variation's meta data")
        return found

    def variant_key(self, index: int) -> str:
        """What the variation is called: its key, else its number."""
        given = self.meta(index).get("key", index)
        return given if isinstance(given, str) else str(given)

    # ------------------------------------------------------------ the steps

    def action(self, outcomes: Outcomes, weights: JSON = None) -> Action:
        """All of it. `weights` stand in for the experiment's own, unless they are None."""
        settings, out = self.settings, outcomes.out
        if len(self.variations) < 2 or not settings.enabled:
            return out
        forced = self._forced()
        if forced is not None:
            return self._assign(outcomes, forced, Reason.TARGETING_MATCH)
        if self.body.get("status", "running") == "draft" or not self.body.get("active", True):
            return out
        hashed = self._hash(outcomes, weights)
        if not settings.sticky_buckets or self.body.get("disableStickyBucketing"):
            action = self._targeted(hashed, outcomes)
        else:
            new = self._targeted(hashed, outcomes)
            action = self._guarded(lambda: self._sticky(new, outcomes, weights))
        may_fail = self._failed or self.body.get("parentConditions")
        return buckets.for_hashed(self.text, action, out) if may_fail else action

    def _guarded(self, build: Callable[[], Action]) -> Action:
        action = self.guarded(build)
        self._failed = self._failed or isinstance(action, Fail)
        return action

    def _forced(self) -> int | None:
        """The variation that the address or the settings force, before anything is looked at."""
        asked = parse_qs(urlparse(self.settings.url).query).get(self.key) if isinstance(self.key, str) else None
        if asked and asked[0].isdecimal() and int(asked[0]) < len(self.variations):
            return int(asked[0])
        return self.settings.forced_variations.get(self.key) if isinstance(self.key, str) else None

    def _assign(self, outcomes: Outcomes, index: Any, reason: Reason) -> Action:
        if not isinstance(index, int) or not 0 <= index < len(self.variations):
            return outcomes.out
        return self._guarded(lambda: outcomes.assigned(index, reason))

    def _settled(self, outcomes: Outcomes, index: int) -> Action:
        """Once a variation is found, by its bucket or a stored assignment."""
        force = self.body.get("force")
        if force is not None:
            return self._assign(outcomes, force, Reason.TARGETING_MATCH)
        if self.settings.qa_mode or self.body.get("status") == "stopped":
            return outcomes.out
        return self._assign(outcomes, index, Reason.SPLIT)

    def _bucket(self) -> Bucket | None:
        seed = self.body.get("seed") or self.key
        return buckets.bucket(seed, self.text, self.body.get("hashVersion") or 1, at(self.path, "seed"))

    def _hash(self, outcomes: Outcomes, weights: JSON) -> Action:
        def split() -> Action:
            bucket = self._bucket()
            if bucket is None:
                return outcomes.out
            cuts = buckets.cuts(bucket.size, self._ranges(weights))
            found = [(end, outcomes.out if i is None else self._settled(outcomes, i)) for end, i in cuts]
            return SplitBy(bucket, tuple(found), miss=outcomes.out, unknown=outcomes.out)

        return self._guarded(split) if self._here() else outcomes.out

    def _ranges(self, weights: JSON) -> buckets.Ranges:
        ranges = self.body.get("ranges")
        if ranges:
            return buckets.read_ranges(ranges, at(self.path, "ranges"))
        coverage = self.body.get("coverage")
        coverage = 1 if coverage is None else expect(coverage, _NUMBER, at(self.path, "coverage"), "the coverage")
        weights = self.body.get("weights") if weights is None else weights
        return buckets.weighted_ranges(len(self.variations), coverage, weights)

    def _targeted(self, then: Action, outcomes: Outcomes) -> Action:
        """What keeps a user out who has no stored variation, around the rest."""
        body, path, out = self.body, self.path, outcomes.out
        if body.get("groups"):
            member = then
            then = self._guarded(lambda: member if self._in_group() else out)
        if body.get("parentConditions"):
            wanted, within = body["parentConditions"], then
            then = self._guarded(lambda: self.parents(wanted, at(path, "parentConditions"), within, out))
        if body.get("condition"):
            then = When(self.condition(body["condition"]), then, out)
        if body.get("include"):  # a function, which no document can have
            then = out
        if body.get("filters"):
            return self._guarded(lambda: When(buckets.inside_filters(body["filters"], at(path, "filters")), then, out))
        if body.get("namespace"):
            place = at(path, "namespace")
            return self._guarded(lambda: When(buckets.in_namespace(body["namespace"], self.text, place), then, out))
        return then

    def _in_group(self) -> bool:
        groups: list[JSON] = expect(self.body["groups"], list, at(self.path, "groups"), "the groups")
        for group in groups:
            if not isinstance(group, str) or group not in self.settings.groups:
                raise ConfigError(at(self.path, "groups"), f"the option groups says nothing about {group!r}")
        return any(self.settings.groups[group] for group in groups)

    def _here(self) -> bool:
        """Whether the address, if the experiment asks for one, is the right one."""
        pattern, url = self.body.get("url"), self.settings.url
        if not pattern:
            return True
        if not url:
            return False
        try:
            found = re.compile(pattern)
            return bool(found.search(url) or found.search(re.sub(r"^[^/]*/", "/", re.sub(r"^https?://", "", url))))
        except (re.error, TypeError, RecursionError):
            return True

    def _sticky(self, new: Action, outcomes: Outcomes, weights: JSON) -> Action:
        """Around what happens to who has no stored variation; one of a version that is blocked leads out."""
        body, out = self.body, outcomes.out
        versions = []
        for name in ("bucketVersion", "minBucketVersion"):
            version = body.get(name) or 0
            if not isinstance(version, int):
                raise ConfigError(at(self.path, name), f"must be an integer, not {kind(version)}")
            versions.append(str(int(version)))
        meta = expect(body.get("meta") or [], list, at(self.path, "meta"), "the meta data")
        keys = [expect(each, dict, at(self.path, "meta"), "meta data").get("key") for each in meta]
        own = (self.name, self.fallback) if self.fallback else (self.name,)
        stored = Slot("growthbook_sticky", (str(self.key), *versions, json.dumps(keys, ensure_ascii=False), *own))
        action = out
        if self._failed or body.get("parentConditions"):  # nobody who is blocked gets in, but they may fail as others
            nowhere = Outcomes(lambda index, reason: out, out)
            action = self._targeted(self._hash(nowhere, weights), nowhere)
        for i in reversed(range(len(keys))):
            found = Test(Op.NUMBER_COMPARE, stored, (i,), flags=Order.EQUAL)
            action = When(found, self._guarded(partial(self._kept, outcomes, i)), action)
        return When(Test(Op.KIND_IN, stored, mask=_NOTHING), new, action)

    def _kept(self, outcomes: Outcomes, index: int) -> Action:
        """A stored variation still needs the right address and a hash that exists."""
        return self._settled(outcomes, index) if self._here() and self._bucket() is not None else outcomes.out


def hash_attribute(body: Mapping[str, JSON], path: str) -> str:
    """Whose text is hashed. Raises ConfigError."""
    given = expect(body.get("hashAttribute", "id"), (str, type(None)), at(path, "hashAttribute"), "the hash attribute")
    return "id" if given is None else str(given)


def fallback_attribute(body: Mapping[str, JSON], path: str, settings: Settings) -> str | None:
    """Whose text is hashed instead, if anything is. Raises ConfigError."""
    given = body.get("fallbackAttribute")
    if not given or body.get("disableStickyBucketing") or not settings.sticky_buckets:
        return None
    return str(expect(given, str, at(path, "fallbackAttribute"), "the fallback attribute"))


def failure() -> Action:
    """What stands where the vendor's evaluation would raise."""
    return Fail(ErrorCode.GENERAL)
