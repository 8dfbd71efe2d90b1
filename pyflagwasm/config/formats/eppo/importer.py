"""Universal flag configurations to the model: Eppo's, and Datadog's dialect of them.

Here live the document's shape, flags, variations and allocations. Conditions are in conditions.py, shards in
splits.py, the decoder's ways in wire.py.

The subject is the targeting key; a flag that comes to a shard without one answers TARGETING_KEY_MISSING. The attribute
`id` is the subject, unless the context has one. A rule is an allocation. Reasons are those that Datadog publishes, for
both: TARGETING_MATCH with rules, SPLIT with shards, DEFAULT for a value within a time window alone, STATIC for others;
DEFAULT, too, if no allocation takes the subject. Metadata are `variationType`, and of the allocation that decided
`allocationKey`, `doLog`, and as `extraLogging.<name>` what all its splits say.

What is different in Datadog's dialect: shards count for themselves (`totalShards`), a JSON value is no text, versions
are not compared, and a flag of which anything cannot be used, be it needed or not, answers the default with the reason
DEFAULT. Eppo's answers with PARSE_ERROR if its shape is wrong, and with GENERAL where it serves a variation that does
not exist or has another type; a condition that cannot be used never holds.

Answers are those of the vendors' Rust evaluator but for these: numbers of the document are read exactly; an attribute
that this evaluator would raise for is none that a condition holds for; `targetingKey` as an attribute is the subject.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ...._abi import ErrorCode, Reason
from ....errors import ConfigError
from ...document import ROOT, at, expect
from ...model import (
    JSON,
    Action,
    All,
    Always,
    AnyOf,
    Condition,
    Fail,
    Flag,
    Model,
    Not,
    NowAtLeast,
    Rule,
    Serve,
    Steps,
    Variant,
    When,
)  # fmt: skip
from .conditions import Unsupported, condition
from .splits import Shard, Split, split_action
from .wire import REQUIRED, Instant, i64, instant, integer, json_text, json_value, record, u32, word

EPPO: Final = "eppo"
DATADOG: Final = "datadog"
_DIALECTS: Final = (EPPO, DATADOG)
_FORMATS: Final = ("SERVER", "CLIENT", "PRECOMPUTED")
_TYPES: Final = {
    "BOOLEAN": "boolean", "STRING": "string", "INTEGER": "number", "NUMERIC": "number", "JSON": "object",
}  # fmt: skip

_FLAG: Final = dict.fromkeys(("key", "enabled", "variationType", "variations", "allocations"), REQUIRED)
_ALLOCATION: Final = {"key": REQUIRED, "rules": [], "startAt": None, "endAt": None, "splits": REQUIRED, "doLog": True}
_SPLIT: Final = {"shards": REQUIRED, "variationKey": REQUIRED, "extraLogging": {}}
_BANDIT: Final = dict.fromkeys(("key", "flagKey", "variationKey", "variationValue"), REQUIRED)


def load(document: object, options: Mapping[str, Any], default: str | None = None) -> Model:
    """The model of a parsed document.

    options, optional:
      dialect: "eppo" or "datadog". Without it, a document is Datadog's if a shard in it has `totalShards`, or if it has
        flags and none of them has.
    Raises ConfigError, naming the place, for options or a document that cannot be used.
    """
    for key in options:
        if key != "dialect":
            raise ConfigError(at("options", str(key)), "no such option; there is dialect")
    body: dict[str, JSON] = expect(document, dict, ROOT, "the document")
    dialect = options.get("dialect", default or _told(body))
    if dialect not in _DIALECTS:
        raise ConfigError(at("options", "dialect"), f"must be one of {', '.join(_DIALECTS)}, not {dialect!r}")
    return _Importer(body, dialect == DATADOG).model()


def load_datadog(document: object, options: Mapping[str, Any]) -> Model:
    """As `load`, of Datadog's dialect unless the options say something else."""
    return load(document, options, DATADOG)


def _told(document: Mapping[str, JSON]) -> str:
    """The dialect of a document: whose shards count for themselves, or whose flags count theirs."""
    flags = _objects(document.get("flags"))
    allocations = [each for flag in flags for each in _objects(flag.get("allocations"))]
    splits = [each for allocation in allocations for each in _objects(allocation.get("splits"))]
    shards = [each for split in splits for each in _objects(split.get("shards"))]
    own, common = (any("totalShards" in each for each in all_of) for all_of in (shards, flags))
    return DATADOG if own or (flags and not common) else EPPO


def _objects(value: JSON) -> list[dict[str, JSON]]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for each in items if isinstance(each, dict)]


@dataclass(frozen=True, slots=True)
class _Allocation:
    """flaws: why conditions in it never hold, in words."""

    key: str
    when: Condition
    splits: tuple[_Split, ...]
    metadata: Mapping[str, JSON]
    flaws: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Split:
    variation: str
    path: str
    shards: tuple[Shard, ...]
    reason: Reason
    extra: Mapping[str, str]


class _Importer:
    def __init__(self, document: Mapping[str, JSON], datadog: bool) -> None:
        self.document, self.datadog = document, datadog
        self.programs: list[Action] = []

    def model(self) -> Model:
        whole = record(
            self.document,
            ROOT,
            "the document",
            {"createdAt": REQUIRED, "format": None, "environment": REQUIRED, "flags": REQUIRED, "bandits": {}},
        )
        instant(whole["createdAt"], "createdAt", "the time of creation")
        environment = record(whole["environment"], "environment", "the environment", {"name": REQUIRED})
        expect(environment["name"], str, "environment.name", "the environment's name")
        if not self.datadog:
            self._check_eppo(whole)
        flags: dict[str, JSON] = expect(whole["flags"], dict, "flags", "the flags")
        found = tuple(self._flag(key, body, at("flags", key)) for key, body in flags.items())
        return Model(DATADOG if self.datadog else EPPO, found, tuple(self.programs))

    def _check_eppo(self, whole: Mapping[str, JSON]) -> None:
        if whole["format"] is not None:
            form = word(whole["format"], _FORMATS, "format", "the format")
            if form != "SERVER":
                raise ConfigError("format", f"must be SERVER: a configuration of the format {form} is obfuscated")
        for key, bandits in expect(whole["bandits"], dict, "bandits", "the bandits").items():
            path = at("bandits", key)
            for i, bandit in enumerate(expect(bandits, list, path, "a bandit's variations")):
                for name, member in record(bandit, at(path, i), "a bandit's variation", _BANDIT).items():
                    expect(member, str, at(at(path, i), name), f"the {name}")

    # ------------------------------------------------------------ flags

    def _flag(self, key: str, body: JSON, path: str) -> Flag:
        failed: Action = Serve(None, Reason.DEFAULT) if self.datadog else Fail(ErrorCode.PARSE_ERROR)
        try:
            return self._sound_flag(key, body, path)
        except ConfigError as error:
            problem = str(error)
        except Unsupported as error:
            failed, problem = Fail(ErrorCode.PARSE_ERROR), str(error)
        except RecursionError:  # within the depth that is allowed, but the caller's own stack was deep already
            problem = f"{path}: the flag nests too deep"
        return Flag(key, (), self._program(failed), problem=problem)

    def _sound_flag(self, key: str, body: JSON, path: str) -> Flag:
        fields = _FLAG if self.datadog else {**_FLAG, "totalShards": REQUIRED}
        found = record(body, path, "a flag", fields)
        expect(found["key"], str, at(path, "key"), "the flag's key")
        enabled = expect(found["enabled"], bool, at(path, "enabled"), "whether the flag is enabled")
        kind = word(found["variationType"], _TYPES, at(path, "variationType"), "the type of the variations")
        values = self._variations(found["variations"], at(path, "variations"))
        total = None if self.datadog else u32(found["totalShards"], at(path, "totalShards"), "the number of shards")
        here = at(path, "allocations")
        allocations = [
            self._allocation(each, at(here, i), total)
            for i, each in enumerate(expect(found["allocations"], list, here, "the allocations"))
        ]
        if not enabled:
            return Flag(key, (), self._program(Serve(None, Reason.DISABLED)))
        return self._enabled(key, kind, values, allocations)

    def _variations(self, variations: JSON, path: str) -> dict[str, tuple[JSON, str]]:
        """Value and place of each variation, by its key."""
        found: dict[str, tuple[JSON, str]] = {}
        for name, each in expect(variations, dict, path, "the variations").items():
            here = at(path, name)
            variation = record(each, here, "a variation", {"key": REQUIRED, "value": REQUIRED})
            place = at(here, "value")
            if not self.datadog:
                expect(variation["value"], (bool, int, float, str), place, "the value of a variation")
            found[expect(variation["key"], str, at(here, "key"), "the variation's key")] = variation["value"], place
        return found

    def _enabled(
        self, key: str, kind: str, values: Mapping[str, tuple[JSON, str]], allocations: list[_Allocation]
    ) -> Flag:
        problems: dict[str, None] = {}
        indexes: dict[str, int] = {}
        variants: list[Variant] = []
        for name, (value, path) in values.items():
            try:
                variants.append(Variant(name, self._value(kind, value, path)))
            except ConfigError as error:
                if self.datadog:
                    raise
                problems[str(error)] = None
            else:
                indexes[name] = len(variants) - 1
        steps: list[Action] = []
        for i, allocation in enumerate(allocations):
            problems.update(dict.fromkeys(allocation.flaws))
            splits = []
            for split in allocation.splits:
                if split.variation not in values:
                    missing = ConfigError(at(split.path, "variationKey"), f"there is no variation {split.variation!r}")
                    if self.datadog:
                        raise missing
                    problems[str(missing)] = None
                index = indexes.get(split.variation)
                served = Serve(index, split.reason) if index is not None else None
                splits.append(Split(split.shards, served or Fail(ErrorCode.GENERAL)))
            action = split_action(splits)
            if allocation.when != All(()):
                action = When(allocation.when, action)
            steps.append(Rule(i, allocation.key, action))
        steps.append(Serve(None, Reason.DEFAULT))
        return Flag(
            key,
            tuple(variants),
            self._program(Steps(tuple(steps))),
            type=_TYPES[kind],
            metadata=MappingProxyType({"variationType": kind}),
            rule_metadata=tuple(allocation.metadata for allocation in allocations),
            problem="; ".join(problems) or None,
        )

    def _program(self, action: Action) -> int:
        self.programs.append(action)
        return len(self.programs) - 1

    def _value(self, kind: str, value: JSON, path: str) -> JSON:
        if kind == "BOOLEAN":
            return expect(value, bool, path, "the value of a BOOLEAN")
        if kind == "STRING":
            return expect(value, str, path, "the value of a STRING")
        if kind == "NUMERIC":
            return float(expect(value, (int, float), path, "the value of a NUMERIC"))
        if kind == "INTEGER":
            return i64(value, path) if self.datadog else integer(value, path)
        return json_value(value) if self.datadog else json_text(value, path)

    # ------------------------------------------------------------ allocations

    def _allocation(self, body: JSON, path: str, total: int | None) -> _Allocation:
        found = record(body, path, "an allocation", _ALLOCATION)
        key = expect(found["key"], str, at(path, "key"), "the allocation's key")
        window, flaws = self._window(found, path), []
        rules: list[Condition] = []
        here = at(path, "rules")
        given = [] if found["rules"] is None and self.datadog else expect(found["rules"], list, here, "the rules")
        for i, rule in enumerate(given):
            place = at(at(here, i), "conditions")
            conditions = record(rule, at(here, i), "a rule", {"conditions": REQUIRED})["conditions"]
            items = []
            for j, each in enumerate(expect(conditions, list, place, "the conditions")):
                try:
                    items.append(condition(each, at(place, j), self.datadog))
                except ConfigError as error:
                    if self.datadog:
                        raise
                    items.append(Always(False))
                    flaws.append(f"{error} (so that this condition never holds)")
            rules.append(All(tuple(items)))
        when = All((*window, AnyOf(tuple(rules)))) if rules else All(tuple(window))
        here = at(path, "splits")
        bodies = expect(found["splits"], list, here, "the splits")
        plain = Reason.DEFAULT if window and len(bodies) == 1 else Reason.STATIC
        reasons = (Reason.TARGETING_MATCH, Reason.TARGETING_MATCH) if rules else (plain, Reason.SPLIT)
        splits = tuple(self._split(each, at(here, i), total, reasons) for i, each in enumerate(bodies))
        log = expect(found["doLog"], bool, at(path, "doLog"), "doLog")
        metadata: dict[str, JSON] = {"allocationKey": key, "doLog": log}
        common = set(splits[0].extra.items()).intersection(*(each.extra.items() for each in splits)) if splits else ()
        metadata.update((f"extraLogging.{name}", text) for name, text in sorted(common))
        return _Allocation(key, when, splits, MappingProxyType(metadata), tuple(flaws))

    def _window(self, allocation: Mapping[str, JSON], path: str) -> list[Condition]:
        start, end = (_moment(allocation[name], at(path, name)) for name in ("startAt", "endAt"))
        window: list[Condition] = [] if start is None else [NowAtLeast(start.reached_us)]
        return window if end is None else [*window, Not(NowAtLeast(end.passed_us))]

    def _split(self, body: JSON, path: str, total: int | None, reasons: tuple[Reason, Reason]) -> _Split:
        """reasons: without shards, and with some."""
        found = record(body, path, "a split", _SPLIT)
        variation = expect(found["variationKey"], str, at(path, "variationKey"), "the key of the variation")
        here = at(path, "extraLogging")
        extra = {} if found["extraLogging"] is None and self.datadog else found["extraLogging"]
        for name, text in expect(extra, dict, here, "extra logging").items():
            expect(text, str, at(here, name), "a value of extra logging")
        here = at(path, "shards")
        shards = [
            self._shard(each, at(here, i), total)
            for i, each in enumerate(expect(found["shards"], list, here, "the shards"))
        ]
        telling = tuple(shard for shard in shards if not shard.everybody)
        return _Split(variation, path, telling, reasons[bool(shards)], extra)

    def _shard(self, body: JSON, path: str, total: int | None) -> Shard:
        fields = ("salt", "ranges") if total is not None else ("salt", "totalShards", "ranges")
        found = record(body, path, "a shard", dict.fromkeys(fields, REQUIRED))
        salt = expect(found["salt"], str, at(path, "salt"), "the salt")
        if total is None:
            place = at(path, "totalShards")
            total = u32(found["totalShards"], place, "the number of shards")
            if not total:
                raise ConfigError(place, "there must be at least one shard")
        here = at(path, "ranges")
        ranges = []
        for i, each in enumerate(expect(found["ranges"], list, here, "the ranges")):
            bounds = record(each, at(here, i), "a range", {"start": REQUIRED, "end": REQUIRED})
            start, end = (u32(bounds[name], at(at(here, i), name), f"the {name}") for name in ("start", "end"))
            ranges.append((start, end))
        return Shard(salt, total, tuple(ranges))


def _moment(value: JSON, path: str) -> Instant | None:
    return None if value is None else instant(value, path, "the time")
