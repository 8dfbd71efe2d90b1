"""Unleash's weighted variants: what a feature can serve, and how one of its lists of variants is chosen from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from ...._abi import Op, Reason
from ...model import JSON, Action, Bucket, Serve, SplitBy, Steps, Test, Variant, When
from .constraints import Rules
from .document import Feature, WeightedVariant

OFF: Final = 0
"""The feature is not enabled."""
ON: Final = 1
"""The feature is enabled, and has no variant to give."""

DISABLED: Final = "disabled"

_SEED = 86_028_157
_U32 = 2**32


def lists(feature: Feature) -> Iterator[tuple[WeightedVariant, ...]]:
    """The lists of variants that a feature has."""
    for strategy in feature.strategies:
        if strategy.variants:
            yield strategy.variants
    if feature.variants:
        yield feature.variants


def total(variants: tuple[WeightedVariant, ...]) -> int:
    return sum(each.weight for each in variants) % _U32  # as the engine's 32 bits without a sign have it


class Outcomes:
    """The outcomes of a feature, numbered: OFF, ON, its variants, and at the end, if it can be, that choosing fails.

    names: of the variants by number; None for ON.
    """

    def __init__(self, feature: Feature) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._variants: list[WeightedVariant] = []
        for each in (variant for variants in lists(feature) for variant in variants):
            if self._key(each) not in self._numbers:
                self._numbers[self._key(each)] = ON + 1 + len(self._variants)
                self._variants.append(each)
        self.names: dict[int, str | None] = {ON: None}
        self.names |= {number: each.name for number, each in enumerate(self._variants, ON + 1)}
        self.fails = any(total(variants) == 0 for variants in lists(feature))

    @staticmethod
    def _key(variant: WeightedVariant) -> tuple[str, str]:
        return variant.name, json.dumps(variant.payload)

    def number(self, variant: WeightedVariant) -> int:
        return self._numbers[self._key(variant)]

    @property
    def failed(self) -> int:
        """The engine fails to choose from variants without any weight."""
        return ON + 1 + len(self._variants)

    def enabled(self) -> tuple[Variant, ...]:
        """What the feature's flag serves."""
        found = (Variant(DISABLED, False), Variant(DISABLED, True), *(Variant(v.name, True) for v in self._variants))
        return (*found, Variant(DISABLED, True)) if self.fails else found

    def chosen(self) -> tuple[Variant, ...]:
        """What the flag of the feature's variant serves."""
        found = [_chosen(None, False), _chosen(None, True), *(_chosen(v, True) for v in self._variants)]
        return tuple([*found, _chosen(None, False)] if self.fails else found)


def _chosen(variant: WeightedVariant | None, enabled: bool) -> Variant:
    if variant is None:
        return Variant(DISABLED, {"name": DISABLED, "enabled": False, "feature_enabled": enabled})
    value: dict[str, JSON] = {"name": variant.name}
    if variant.payload is not None:
        value["payload"] = variant.payload
    return Variant(variant.name, value | {"enabled": True, "feature_enabled": enabled})


def choose(
    rules: Rules,
    outcomes: Outcomes,
    variants: tuple[WeightedVariant, ...],
    group: str,
    stickiness: str | None,
    reason: Reason,
) -> Action:
    """Serves one of the variants: the first with an override for the user, else by weight; ON if there are none.

    reason: why the feature is enabled, which is said where neither an override nor a weight decides.
    """
    steps: list[Action] = []
    for variant in variants:
        for name, values in variant.overrides:
            if values:
                test = Test(Op.TEXT_IN, rules.override(name), tuple(dict.fromkeys(values)))
                steps.append(When(test, Serve(outcomes.number(variant), Reason.TARGETING_MATCH)))
    if steps and reason is Reason.STATIC:
        reason = Reason.TARGETING_MATCH
    steps.append(_by_weight(rules, outcomes, variants, group, stickiness, reason))
    return steps[0] if len(steps) == 1 else Steps(tuple(steps))


def _by_weight(
    rules: Rules,
    outcomes: Outcomes,
    variants: tuple[WeightedVariant, ...],
    group: str,
    stickiness: str | None,
    reason: Reason,
) -> Action:
    if not variants:
        return Serve(ON, reason)
    size = total(variants)
    if size == 0:
        return Serve(outcomes.failed, reason)
    cuts: list[tuple[int, WeightedVariant]] = []
    reached = upper = 0
    for variant in variants:
        reached = (reached + variant.weight) % _U32
        if upper < min(reached, size):
            upper = min(reached, size)
            cuts.append((upper, variant))
    if cuts and cuts[0][0] == size:
        return Serve(outcomes.number(cuts[0][1]), reason)
    miss = Serve(ON, Reason.SPLIT)
    bucket = Bucket((f"{group}:", rules.seed(stickiness)), seed=_SEED, modulus=size)
    served = tuple((upper, Serve(outcomes.number(variant), Reason.SPLIT)) for upper, variant in cuts)
    return SplitBy(bucket, served, miss, miss)
