"""DevCycle's server configuration (`config/v2/server/<sdk key>.json`) to the model.

A flag is a variable. The feature that owns it - the first one with a variation that mentions it - is its program,
shared by all variables of that feature; its targets are the rules, its variations the variants.

Here live the document's outer shape, features, targets and options. Filters are read by audience.py, dates and
percentages by rollout.py, the vendor's words for a decision are put together by details.py.

A document that is not such a configuration is a ConfigError. A feature that cannot be read keeps its flags: they
answer their default with PARSE_ERROR, and `Flag.problem` names the place. The rest of the document is not affected.
"""

from __future__ import annotations

import platform as host_platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...._abi import Encoding, ErrorCode, Kind, Op, Reason
from ....errors import ConfigError
from ... import murmur
from ...document import ROOT, at, expect, member
from ...model import (
    Action,
    All,
    Bucket,
    Fail,
    FallThrough,
    Flag,
    InRollout,
    Model,
    Rule,
    Serve,
    Slot,
    SplitBy,
    Steps,
    Test,
    Variant,
    When,
)
from .audience import USER_ID, Audiences
from .details import DevCycleDetails, TargetOutline
from .rollout import HASHES, cut_points, segments
from .semantics import CORRECTED, VENDOR, Semantics, number, value

FORMAT = "devcycle"

USER_VALID = Slot("devcycle_user_valid")

NOT_TARGETED = Serve(None, Reason.DEFAULT)

_TYPES = {"Boolean": "boolean", "String": "string", "Number": "number", "JSON": "object"}
_SEMANTICS = {"vendor": VENDOR, "corrected": CORRECTED}


def load(document: object, options: Mapping[str, Any]) -> Model:
    """The model of a parsed document.

    options, all of them optional:
      platform: {"platform": str, "platformVersion": str}, what platform filters see; default Python and its version.
      client_custom_data: {name: text, number, bool or None}, used where a user has no custom data of that name.
      semantics: "vendor" (default) answers as the vendor's own module does, quirks included; "corrected" without them.
    Raises ConfigError for options or a document of another shape.
    """
    return _Importer(document, _options(options)).model()


# ---------------------------------------------------------------- options


@dataclass(frozen=True, slots=True)
class _Options:
    semantics: Semantics
    platform: Mapping[str, str]
    client_data: Mapping[str, Any]


def _options(given: Mapping[str, Any]) -> _Options:
    place = "options"
    _known(given, ("platform", "client_custom_data", "semantics"), place)
    word = given.get("semantics", "vendor")
    if not isinstance(word, str) or word not in _SEMANTICS:
        raise ConfigError(at(place, "semantics"), f"must be one of {', '.join(_SEMANTICS)}, not {word!r}")
    platform = {"platform": "Python", "platformVersion": host_platform.python_version()}
    here = at(place, "platform")
    said = expect(given.get("platform", {}), dict, here, "the platform")
    _known(said, tuple(platform), here)
    for key in said:
        platform[key] = member(said, key, str, here, "a platform's text")
    here = at(place, "client_custom_data")
    data = expect(given.get("client_custom_data", {}), dict, here, "the client custom data")
    for key, item in data.items():
        expect(item, (str, bool, int, float, type(None)), at(here, str(key)), "custom data")
    return _Options(_SEMANTICS[word], platform, data)


def _known(given: Mapping[str, Any], keys: tuple[str, ...], path: str) -> None:
    for key in given:
        if key not in keys:
            raise ConfigError(at(path, str(key)), f"no such option; there are {', '.join(keys)}")


# ---------------------------------------------------------------- features


@dataclass(frozen=True, slots=True)
class _Variation:
    id: str
    key: str
    values: Mapping[str, Any]


@dataclass(slots=True)
class _Feature:
    """One feature as far as it could be read. `owned`: the ids of the variables that any variation mentions."""

    id: str
    key: str
    owned: list[str]
    variations: list[_Variation] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    outlines: list[TargetOutline] = field(default_factory=list)
    target_ids: list[str] = field(default_factory=list)
    uses: set[str] = field(default_factory=set)
    trouble: tuple[ErrorCode, str] | None = None

    def variants(self, variable: str) -> tuple[Variant, ...]:
        """What the variable is in each variation."""
        return tuple(
            Variant(v.key, v.values[variable])
            if variable in v.values
            else Variant(v.key, None, f"variation {v.key!r} of feature {self.key!r} has no value for this variable")
            for v in self.variations
        )


class _Importer:
    def __init__(self, document: object, options: _Options) -> None:
        self.options = options
        self.semantics = options.semantics
        self.document = expect(document, dict, ROOT, "a DevCycle configuration")
        self.project = member(self.document, "project", dict, ROOT, "the project")
        self.environment = member(self.document, "environment", dict, ROOT, "the environment")
        settings = member(self.project, "settings", dict, "project", "the object of settings")
        self.passthrough = True
        if "disablePassthroughRollouts" in settings:
            self.passthrough = not member(
                settings, "disablePassthroughRollouts", bool, "project.settings", "disablePassthroughRollouts"
            )
        declared = self.document.get("audiences")
        self.audiences = Audiences(
            declared if isinstance(declared, dict) else {}, options.platform, options.client_data, self.semantics
        )

    def model(self) -> Model:
        declared = member(self.document, "features", list, ROOT, "the list of features")
        features = [self._feature(json, at("features", i)) for i, json in enumerate(declared)]
        self.audiences.finish()
        programs: list[Action] = []
        for feature in features:
            feature.trouble = feature.trouble or self.audiences.trouble(feature.uses)
            programs.append(_program(feature))
        flags = self._flags(features, programs)
        outlines = tuple(() if f.trouble else tuple(f.outlines) for f in features)
        about = {"project": self.project.get("key"), "environment": self.environment.get("key")}
        return Model(
            format=FORMAT,
            flags=flags,
            programs=tuple(programs),
            shared=self.audiences.conditions,
            metadata={key: text for key, text in about.items() if isinstance(text, str)},
            details=DevCycleDetails(outlines, self.audiences.outlines),
            events_url=_events_url(self.document.get("sse")),
        )

    # ------------------------------------------------------------ variables

    def _flags(self, features: list[_Feature], programs: list[Action]) -> tuple[Flag, ...]:
        """One flag for each variable; adds the programs that no feature has."""
        owners: dict[str, int] = {}
        for i, feature in enumerate(features):
            for variable in feature.owned:
                owners.setdefault(variable, i)
        unowned = len(programs)
        programs.extend((NOT_TARGETED, Fail(ErrorCode.PARSE_ERROR)))
        flags: dict[str, Flag] = {}
        for i, json in enumerate(member(self.document, "variables", list, ROOT, "the list of variables")):
            path = at("variables", i)
            body = expect(json, dict, path, "a variable")
            name = member(body, "_id", str, path, "the variable's _id")
            key = member(body, "key", str, path, "the variable's key")
            flag = Flag(key, (), unowned, metadata={"variable": name})
            if name in owners:
                flag = _owned_flag(key, name, features[owners[name]], owners[name])
            said = body.get("type")
            if isinstance(said, str) and said in _TYPES:
                flag = replace(flag, type=_TYPES[said])
            else:
                problem = f"{at(path, 'type')}: the variable's type must be one of {', '.join(_TYPES)}"
                flag = Flag(key, (), unowned + 1, metadata=flag.metadata, problem=problem)
            flags[key] = flag  # of two variables with one key the vendor knows the last
        return tuple(flags.values())

    # ------------------------------------------------------------ features

    def _feature(self, json: object, path: str) -> _Feature:
        body = expect(json, dict, path, "a feature")
        feature = _Feature(
            member(body, "_id", str, path, "the feature's _id"),
            member(body, "key", str, path, "the feature's key"),
            _mentioned(member(body, "variations", list, path, "the list of variations")),
        )
        try:
            for i, item in enumerate(body["variations"]):
                feature.variations.append(self._variation(item, at(at(path, "variations"), i)))
            configuration = member(body, "configuration", dict, path, "the feature's configuration")
            here = at(path, "configuration")
            for i, item in enumerate(member(configuration, "targets", list, here, "the list of targets")):
                self._target(item, at(at(here, "targets"), i), i, feature)
        except ConfigError as e:
            feature.trouble = ErrorCode.PARSE_ERROR, str(e)
        return feature

    def _variation(self, json: object, path: str) -> _Variation:
        body = expect(json, dict, path, "a variation")
        values: dict[str, Any] = {}
        for i, item in enumerate(member(body, "variables", list, path, "the list of variables")):
            here = at(at(path, "variables"), i)
            entry = expect(item, dict, here, "a variable of a variation")
            name = member(entry, "_var", str, here, "the variable's _var")
            if "value" not in entry:
                raise ConfigError(at(here, "value"), "the variable's value is missing")
            values[name] = value(entry["value"], self.semantics)
        return _Variation(
            member(body, "_id", str, path, "the variation's _id"),
            member(body, "key", str, path, "the variation's key"),
            values,
        )

    def _target(self, json: object, path: str, index: int, feature: _Feature) -> None:
        body = expect(json, dict, path, "a target")
        name = member(body, "_id", str, path, "the target's _id")
        audience = member(body, "_audience", dict, path, "the target's audience")
        here = at(path, "_audience")
        operator = member(audience, "filters", dict, here, "the audience's operator")
        condition, outline, uses = self.audiences.operator(operator, at(here, "filters"))
        feature.uses |= uses
        bucket = self._bucket(name, body.get("bucketingKey"))
        shares = self._distribution(body, path)
        rollout = body.get("rollout")
        rolled = isinstance(rollout, dict)
        words = [word for word, said in (("Random Distribution", len(shares) != 1), ("Rollout", rolled)) if said]
        reason = Reason.SPLIT if words else Reason.TARGETING_MATCH
        action = _distribute(bucket, shares, feature.variations, reason, self.semantics)
        inside_label = None
        if isinstance(rollout, dict):
            key = Bucket((*bucket.parts, "_rollout"), bucket.seed, bucket.encoding)
            inside = self.audiences.label(InRollout(key, segments(rollout, at(path, "rollout"), self.semantics)))
            if self.passthrough:
                condition = All((inside, condition))
            else:
                # the first target whose audience holds is the user's, whether the rollout has reached them or not
                action = When(inside, action, NOT_TARGETED)
                inside_label = inside.label
        title = audience.get("name")
        title = title if isinstance(title, str) and title else name
        feature.rules.append(Rule(index, title, When(condition, action)))
        feature.outlines.append(TargetOutline(tuple(words), outline, inside_label))
        feature.target_ids.append(name)

    def _distribution(self, target: Mapping[str, Any], path: str) -> list[tuple[str, float]]:
        shares: list[tuple[str, float]] = []
        for i, item in enumerate(member(target, "distribution", list, path, "the target's distribution")):
            here = at(at(path, "distribution"), i)
            entry = expect(item, dict, here, "an entry of the distribution")
            share = member(entry, "percentage", (int, float), here, "the percentage")
            name = member(entry, "_variation", str, here, "the variation's id")
            shares.append((name, number(share, self.semantics)))
        return shares

    def _bucket(self, target: str, key: object) -> Bucket:
        """What a target hashes: its id is the seed, so that each target deals out users anew."""
        encoding = self.semantics.encoding
        raw = murmur.backslashed(target) if encoding is Encoding.BACKSLASH else target.encode()
        by_user = not isinstance(key, str) or key == "user_id" or (not key and not self.semantics.empty_bucketing_key)
        slot = USER_ID if by_user else Slot(self.semantics.bucket_view, (str(key),))
        return Bucket((slot,), murmur.murmur3(raw, 1), encoding)


# ---------------------------------------------------------------- programs


def _events_url(sse: object) -> str | None:
    """The channel of real-time updates. One that cannot be used is as good as none: polling goes on without it."""
    if not isinstance(sse, dict):
        return None
    hostname, path = sse.get("hostname"), sse.get("path")
    if not isinstance(hostname, str) or not isinstance(path, str) or not hostname.startswith(("https://", "http://")):
        return None
    return hostname.rstrip("/") + "/" + path.lstrip("/")


def _program(feature: _Feature) -> Action:
    if feature.trouble:
        return Fail(feature.trouble[0])
    nobody = Test(Op.KIND_IN, USER_ID, mask=1 << Kind.MISSING)
    valid = Test(Op.BOOL_IN, USER_VALID, mask=1 << 1)
    return Steps(
        (
            When(nobody, Fail(ErrorCode.TARGETING_KEY_MISSING)),
            When(valid, FallThrough(), Fail(ErrorCode.INVALID_CONTEXT)),
            *feature.rules,
            NOT_TARGETED,
        )
    )


def _distribute(
    bucket: Bucket,
    shares: list[tuple[str, float]],
    variations: list[_Variation],
    reason: Reason,
    semantics: Semantics,
) -> Action:
    index = {variation.id: i for i, variation in enumerate(variations)}  # of two with one id the last
    nowhere = Fail(ErrorCode.GENERAL)
    cuts: list[tuple[int, Action]] = [
        (upper, Serve(index[name], reason) if name in index else nowhere)
        for upper, name in cut_points(shares, semantics)
    ]
    if not cuts:
        return nowhere
    if cuts[0][0] == HASHES:  # everybody: nothing to hash
        return cuts[0][1]
    return SplitBy(bucket, tuple(cuts), miss=nowhere, unknown=nowhere)


def _mentioned(variations: list[Any]) -> list[str]:
    """The ids of all variables in variations, as far as they can be read."""
    entries = (v.get("variables") for v in variations if isinstance(v, dict))
    items = (item for entry in entries if isinstance(entry, list) for item in entry if isinstance(item, dict))
    return list(dict.fromkeys(item["_var"] for item in items if isinstance(item.get("_var"), str)))


def _owned_flag(key: str, variable: str, feature: _Feature, program: int) -> Flag:
    metadata = {"feature": feature.id, "feature_key": feature.key, "variable": variable}
    if feature.trouble:
        return Flag(key, (), program, metadata=metadata, problem=feature.trouble[1])
    targets = tuple({"target": name} for name in feature.target_ids)
    return Flag(key, feature.variants(variable), program, metadata=metadata, rule_metadata=targets)
