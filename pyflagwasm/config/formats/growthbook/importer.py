"""GrowthBook's payload to the model: its features, and the experiments that stand on their own.

Here live the document's shape, the options and the flags. Rules are rules.py, experiments
experiments.py, prerequisites prerequisites.py, targeting conditions.py, hashing
buckets.py; semantics.py says what conditions mean. Answers are those of GrowthBook's Python SDK.

A feature is a flag. Its value is that of `eval_feature`, null being the caller's default; the variant is `default`, the
id of a forcing rule or `force:` and its number, or the key of an experiment's variation (its number without one).
Reasons: DEFAULT for the default value, a shut gate and a cycle of prerequisites; TARGETING_MATCH for what is forced;
SPLIT for a variation by hash or by a stored assignment. Metadata name the rule and the experiment for who records
exposures. A leaf of a contextual bandit is a rule numbered after the feature's own, with `ruleIndex` in its metadata.

An entry of `experiments` becomes a flag by its key, unless a feature has that key or an earlier entry: its value is
that of `run`, its variant the variation's key, its reason DEFAULT for who is not in the experiment.

The context is the attributes, `id` being the targeting key where there is no `id`. With the option sticky_buckets it
may carry `stickyBucketAssignmentDocs` as the SDK keeps them, by "attribute||value"; nothing is ever saved there.
A flag of which the SDK cannot evaluate a part has a problem, and fails for who comes upon that part.

Answers are those of the SDK but for the limits of the core (schema/README.md 9) and these: an integer attribute beyond
64 bits is the nearest double; more than 32 features that ask for each other in a row, or hundreds in cycles, are a
problem of those flags; a malformed filter or range is one for all who come upon it, not in some buckets only; what the
SDK would have stored earlier in the same evaluation is not seen. `tracks` and `urlPatterns` are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlparse

from ...._abi import ErrorCode, Reason
from ....errors import ConfigError
from ...document import ROOT, at, expect
from ...model import JSON, NO_METADATA, Action, Fail, Flag, Model, Rule, Serve
from ...pace import breathe
from .conditions import Conditions
from .experiments import Experiment, Outcomes, Settings
from .prerequisites import Programs, TooMuch
from .rules import Feature, Lowered, experiment_facts

FORMAT: Final = "growthbook"

_ENCRYPTED: Final = ("encryptedFeatures", "encryptedSavedGroups", "encryptedExperiments")


def load(document: object, options: Mapping[str, Any]) -> Model:
    """The model of a parsed document: a payload with `features`, or a bare mapping of features.

    options, all of them optional; they are what the SDK is given when it is set up:
      enabled: false puts nobody into an experiment.
      qa_mode: true puts nobody into an experiment who is not forced into it.
      forced_variations: an object, experiment keys to the number of a variation.
      sticky_buckets: true reads stored assignments from the context, and honours fallback attributes.
      url: the address of the page; its query may force variations, experiments may ask for it.
      groups: an object, names of groups to whether the user is in it, for experiments that ask for groups.
    Raises ConfigError, naming the place, for options or a document that cannot be used.
    """
    settings = _settings(options)
    whole: dict[str, JSON] = expect(document, dict, ROOT, "the document")
    for name in _ENCRYPTED:
        if whole.get(name):
            raise ConfigError(at(ROOT, name), "the payload is encrypted: decrypt it first")
    payload = whole if "features" in whole or "experiments" in whole else {"features": whole}
    features: dict[str, JSON] = expect(payload.get("features") or {}, dict, "features", "the features")
    groups = expect(payload.get("savedGroups"), (dict, type(None)), "savedGroups", "the saved groups")
    bandits = expect(payload.get("contextualBandits") or {}, dict, "contextualBandits", "the contextual bandits")
    experiments = expect(payload.get("experiments") or [], list, "experiments", "the experiments")

    conditions = Conditions(groups)
    found = {
        key: Feature(key, body, at("features", key), settings, conditions, bandits) for key, body in features.items()
    }
    programs = Programs(found, groups)
    flags = {key: _feature_flag(feature, programs) for key, feature in found.items()}
    for i, body in enumerate(experiments):
        breathe()
        flag = _experiment_flag(body, at("experiments", i), settings, conditions, programs)
        flags.setdefault(flag.key, flag)
    return Model(FORMAT, tuple(flags.values()), tuple(programs.actions))


def _settings(options: Mapping[str, Any]) -> Settings:
    kinds: dict[str, type] = {
        "enabled": bool, "qa_mode": bool, "sticky_buckets": bool, "url": str,
        "forced_variations": Mapping, "groups": Mapping,
    }  # fmt: skip
    for name, value in options.items():
        place = at("options", str(name))
        if name not in kinds:
            raise ConfigError(place, f"no such option; there are {', '.join(kinds)}")
        if not isinstance(value, kinds[name]):
            words = {bool: "true or false", str: "a text"}.get(kinds[name], "an object")
            raise ConfigError(place, f"must be {words}, not {value!r}")
    for key, index in options.get("forced_variations", {}).items():
        if isinstance(index, bool) or not isinstance(index, int):
            raise ConfigError(at("options.forced_variations", str(key)), f"must be an integer, not {index!r}")
    try:
        urlparse(options.get("url", ""))
    except ValueError as error:
        raise ConfigError("options.url", f"no address: {error}") from None
    return Settings(**options)


# ---------------------------------------------------------------- flags


def _feature_flag(feature: Feature, programs: Programs) -> Flag:
    breathe()
    try:
        number = programs.of(feature.key)
    except (TooMuch, RecursionError) as error:
        programs.actions.append(Fail(ErrorCode.PARSE_ERROR))
        return Flag(feature.key, (), len(programs.actions) - 1, problem=_too_much(error, feature.path))
    return _flag(feature.key, feature.lowered, number)


def _experiment_flag(body: JSON, path: str, settings: Settings, conditions: Conditions, programs: Programs) -> Flag:
    lowered = Lowered()
    key = body.get("key") if isinstance(body, dict) else None
    lowered.facts = [{}]

    def build() -> Action:
        given: dict[str, JSON] = expect(body, dict, path, "an experiment")
        expect(key, str, at(path, "key"), "the experiment's key")
        experiment = Experiment(
            given,
            path,
            key,
            given.get("variations"),
            settings,
            lowered.guarded,
            conditions.condition,
            lambda wanted, place, then, out: programs.wanted(lowered, wanted, place, frozenset(), then, out, out, out),
        )

        def variant(index: int, reason: Reason) -> Action:
            return Serve(lowered.variant(experiment.variant_key(index), experiment.variations[index]), reason)

        lowered.facts = [experiment_facts(experiment, given)]
        none = variant(0, Reason.DEFAULT) if experiment.variations else Serve(None, Reason.DEFAULT)
        return experiment.action(Outcomes(variant, none))

    try:
        action = lowered.guarded(build)
    except (TooMuch, RecursionError) as error:
        lowered.problems.append(_too_much(error, path))
        action = Fail(ErrorCode.PARSE_ERROR)
    programs.actions.append(Rule(0, "the experiment", action))
    return _flag(key if isinstance(key, str) else path, lowered, len(programs.actions) - 1)


def _too_much(error: Exception, path: str) -> str:
    return str(error) if isinstance(error, TooMuch) else f"{path}: it nests too deep"


def _flag(key: str, lowered: Lowered, program: int) -> Flag:
    facts = tuple(MappingProxyType(each) if each else NO_METADATA for each in lowered.facts)
    return Flag(
        key,
        tuple(lowered.variants),
        program,
        rule_metadata=facts,
        problem="; ".join(lowered.problems) or None,
    )
