"""GrowthBook's features to programs: rules in order, what they force, their experiments and contextual bandits.

A program belongs to a feature and to those that are being evaluated around it, as far as it can lead back to them:
that decides where a prerequisite is a cycle. Prerequisites are prerequisites.py, single experiments
experiments.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...._abi import ErrorCode, Reason
from ....errors import ConfigError
from ...document import at, expect
from ...model import JSON, Action, All, Condition, Fail, FallThrough, InRanges, Rule, Serve, Steps, Variant, When
from . import buckets
from .conditions import Conditions
from .experiments import Experiment, Outcomes, Settings, fallback_attribute, hash_attribute

MAX_PROBLEMS: Final = 10
"""How many of a flag are told."""

_OF_RULE: Final = (
    "coverage", "weights", "hashAttribute", "fallbackAttribute", "namespace", "hashVersion", "meta", "ranges", "seed",
    "disableStickyBucketing", "bucketVersion", "minBucketVersion",
)  # fmt: skip
_FALL: Final = FallThrough()

Parents = Callable[[JSON, str, Action, Action, Action, Action], Action]
"""(parent conditions, path, where they hold, where a gate is shut, where another fails, in a cycle) -> action."""


@dataclass(slots=True)
class Lowered:
    """What is found while a flag is lowered: its variants, what is told of its rules, what is wrong with it.

    `failing`: some program of it may fail. `facts` has an entry for each rule, and behind those for leaves of bandits.
    """

    variants: list[Variant] = field(default_factory=list)
    facts: list[dict[str, JSON]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failing: bool = False
    _known: dict[tuple[str, int], int] = field(default_factory=dict)

    def variant(self, key: str, value: JSON) -> int | None:
        """The number of a variant; None for null, which is the caller's default."""
        if value is None:
            return None
        known = self._known.setdefault((key, id(value)), len(self.variants))  # the document keeps its values
        if known == len(self.variants):
            self.variants.append(Variant(key, value))
        return known

    def guarded(self, build: Callable[[], Action]) -> Action:
        """The action, or a failing one with a problem where the vendor's evaluation would stumble."""
        try:
            return build()
        except ConfigError as error:
            self.fail(str(error))
            return Fail(ErrorCode.GENERAL)

    def fail(self, problem: str) -> None:
        """Say that and why a program of the flag may fail."""
        self.failing = True
        if problem not in self.problems and len(self.problems) < MAX_PROBLEMS:
            self.problems.append(problem)


class Feature:
    """One feature, whose programs `program` makes. `body` is the vendor's object, `path` its place."""

    def __init__(
        self,
        key: str,
        body: JSON,
        path: str,
        settings: Settings,
        conditions: Conditions,
        bandits: Mapping[str, JSON],
    ) -> None:
        self.key, self.path, self.settings = key, path, settings
        self.lowered = Lowered()
        self._conditions, self._bandits = conditions, bandits
        self._targets: dict[int, Condition] = {}
        self.rules: list[dict[str, JSON]] = []
        self.default: JSON = None
        try:
            found: dict[str, JSON] = expect(body, dict, path, "a feature")
            place = at(path, "rules")
            rules = expect(found.get("rules") or [], list, place, "the rules")
            self.rules = [expect(rule, dict, at(place, i), "a rule") for i, rule in enumerate(rules)]
            self.default = found.get("defaultValue")
        except ConfigError as error:
            self.lowered.problems.append(str(error))
            self.lowered.failing = True
        self.broken = self.lowered.failing
        self.lowered.facts = [{} for _ in self.rules]

    def program(self, parents: Parents, cyclic: Action) -> Action:
        """The feature as `parents` lowers its prerequisites; `cyclic` is where one of them is a cycle."""
        if self.broken:
            return Fail(ErrorCode.PARSE_ERROR)
        del self.lowered.facts[len(self.rules) :]
        default = Serve(self.lowered.variant("default", self.default), Reason.DEFAULT)
        rules = [self._rule(i, rule, parents, cyclic) for i, rule in enumerate(self.rules)]
        return Steps((*rules, default))

    # ------------------------------------------------------------ rules

    def _rule(self, index: int, rule: Mapping[str, JSON], parents: Parents, cyclic: Action) -> Action:
        path = at(at(self.path, "rules"), index)
        identity = rule.get("id")
        named = identity if isinstance(identity, str) and identity else None
        facts: dict[str, JSON] = {} if named is None else {"ruleId": named}
        guarded = self.lowered.guarded
        if rule.get("force") is not None:
            variant = self.lowered.variant(named or f"force:{index}", rule["force"])
            then = guarded(lambda: self._force(rule, path, Serve(variant, Reason.TARGETING_MATCH)))
        else:
            then = guarded(lambda: self._experiment(index, rule, path, facts))
        self.lowered.facts[index] = facts
        filters, served = rule.get("filters"), then
        if filters:
            then = guarded(lambda: When(buckets.inside_filters(filters, at(path, "filters")), served))
        if rule.get("condition"):
            then = When(self._target(rule["condition"]), then)
        wanted = rule.get("parentConditions")
        if wanted:
            gate = Serve(None, Reason.DEFAULT)
            place, inner = at(path, "parentConditions"), then
            then = guarded(lambda: parents(wanted, place, inner, gate, _FALL, cyclic))
        return Rule(index, named or f"rule {index}", then)

    def _target(self, condition: JSON) -> Condition:
        """A condition, lowered once for all programs of the feature."""
        found = self._targets.get(id(condition))
        if found is None:
            found = self._targets[id(condition)] = self._conditions.condition(condition)
        return found

    def _force(self, rule: Mapping[str, JSON], path: str, serve: Action) -> Action:
        span, coverage = rule.get("range"), rule.get("coverage")
        if span is None and coverage is None:
            return serve
        if span is None and coverage == 0:
            return _FALL
        text = buckets.hash_slot(hash_attribute(rule, path), fallback_attribute(rule, path, self.settings))

        def inside() -> Action:
            bucket = buckets.bucket(rule.get("seed") or self.key, text, rule.get("hashVersion") or 1, at(path, "seed"))
            if bucket is None:
                return _FALL
            if span:
                found = buckets.bounds(bucket.size, *buckets.read_range(span, at(path, "range")))
            elif coverage is not None:
                share = expect(coverage, (int, float, bool), at(path, "coverage"), "the coverage")
                found = buckets.up_to(bucket.size, share)
            else:
                found = 0, bucket.size
            return When(InRanges(bucket, (found,)), serve)

        action = self.lowered.guarded(inside)
        return buckets.for_hashed(text, action, _FALL) if isinstance(action, Fail) else action

    # ------------------------------------------------------------ experiments

    def _experiment(self, index: int, rule: Mapping[str, JSON], path: str, facts: dict[str, JSON]) -> Action:
        variations = rule.get("contextualVariations")
        variations = rule.get("variations") if variations is None else variations
        if variations is None:
            return _FALL
        body = {name: rule[name] for name in _OF_RULE if name in rule}
        if rule.get("filters"):  # looked at already, and the namespace never is
            body.pop("namespace", None)
        key = rule.get("key") or self.key
        experiment = Experiment(
            body, path, key, variations, self.settings, self.lowered.guarded, self._target, _no_parents
        )
        facts.update(experiment_facts(experiment, rule))
        outcomes = Outcomes(lambda i, reason: self._variation(experiment, i, reason), _FALL)
        reference = rule.get("contextualBanditRef")
        if not reference:
            return experiment.action(outcomes)
        return self._bandit(index, experiment, outcomes, reference, facts)

    def _variation(self, experiment: Experiment, index: int, reason: Reason) -> Action:
        if experiment.meta(index).get("passthrough"):
            return _FALL
        return Serve(self.lowered.variant(experiment.variant_key(index), experiment.variations[index]), reason)

    def _bandit(
        self, index: int, experiment: Experiment, outcomes: Outcomes, reference: JSON, facts: dict[str, JSON]
    ) -> Action:
        """The first leaf that matches brings its own weights, and is a rule of its own to tell them."""
        if isinstance(reference, (list, dict)):
            expect(reference, str, at(experiment.path, "contextualBanditRef"), "the reference to a bandit")
        bandit = self._bandits.get(reference) if isinstance(reference, str) else None
        if not isinstance(bandit, dict) and not bandit:
            return experiment.action(outcomes)
        bandit = bandit if isinstance(bandit, dict) else {}
        version = bandit.get("banditVersion")
        told: dict[str, JSON] = {"banditVersion": version} if _is_integer(version) else {}
        told = {} if experiment.body.get("ranges") else told

        def marginal() -> Action:
            facts.update(self._leaf(experiment, -1, experiment.body.get("weights"), told))
            return experiment.action(outcomes)

        steps: list[tuple[Condition, Action]] = []
        contexts = bandit.get("contexts") or []
        for leaf in contexts if isinstance(contexts, list) else []:
            if not isinstance(leaf, dict):
                break
            weights, number = leaf.get("weights"), leaf.get("leafId")
            condition = self._target(leaf["condition"]) if leaf.get("condition") else All(())
            if (
                not isinstance(number, int)
                or isinstance(number, bool)
                or buckets.usable_weights(weights, len(experiment.variations)) is not weights
            ):
                steps.append((condition, marginal()))
                continue
            own = len(self.lowered.facts)
            self.lowered.facts.append({**facts, **self._leaf(experiment, number, weights, told), "ruleIndex": index})
            steps.append((condition, Rule(own, f"leaf {number} of {reference}", experiment.action(outcomes, weights))))
        action = marginal()
        for condition, then in reversed(steps):
            action = When(condition, then, action)
        return action

    def _leaf(self, experiment: Experiment, leaf: int, weights: JSON, told: Mapping[str, JSON]) -> Mapping[str, JSON]:
        count = len(experiment.variations)
        if count < 2 or experiment.body.get("ranges"):
            return {}
        return {"leafId": leaf, "variationWeights": buckets.usable_weights(weights, count), **told}


def experiment_facts(experiment: Experiment, given: Mapping[str, JSON]) -> dict[str, JSON]:
    """What is told of an experiment, for who records who has seen it."""
    facts: dict[str, JSON] = {"experimentKey": experiment.key, "hashAttribute": experiment.name}
    if experiment.fallback is not None:
        facts["fallbackAttribute"] = experiment.fallback
    for name, told in (("name", "experimentName"), ("phase", "phase")):
        if isinstance(given.get(name), str):
            facts[told] = given[name]
    return facts


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _no_parents(wanted: JSON, path: str, then: Action, out: Action) -> Action:
    return then
