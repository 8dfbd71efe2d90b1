"""Unleash's client features (`/api/client/features`, or the events of `/api/client/delta`) to the model.

A feature is a flag of its own name: its value is whether the feature is enabled, its variant is the name of the
feature's variant, "disabled" if it has none. A feature that has variants, or whose strategies have, has also a flag
`NAME/variant`, whose value is what the vendor's get_variant gives. Both share a program; rules are strategies. A
feature whose own name is that keeps it.

Here live features, their dependencies and the options. Shapes are read by document.py, strategies and
constraints by constraints.py, variants by variants.py; how fields and properties are found in a context
is runtime/views/unleash.py.

Like the engine this refuses a document as a whole for one member of another type. A feature that the engine cannot
compile is off there and here, and says so in `Flag.problem`; so does one with a strategy of the user's own, which never
holds. A regular expression that this core cannot match makes the feature, and those that depend on it, an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...._abi import ErrorCode, Reason
from ....errors import ConfigError
from ...document import at, expect
from ...model import (
    Action,
    All,
    Always,
    AnyOf,
    Condition,
    Fail,
    Flag,
    InRanges,
    Model,
    Not,
    Rule,
    Serve,
    Serves,
    Steps,
    Test,
    When,
)
from ...regex import UnsupportedPattern
from .constraints import KNOWN_STRATEGIES, NEVER, NotCompiled, Rules, every
from .document import Dependency, Feature, Strategy, read
from .variants import OFF, Outcomes, choose, lists

FORMAT: Final = "unleash"

VARIANT_SUFFIX: Final = "/variant"

_NOT_MATCHED = Serve(OFF, Reason.DEFAULT)
_WORDS = ("engine", "client")
_OPTIONS = ("context_values", "app_name", "environment", "hostname")


def load(document: object, options: Mapping[str, Any]) -> Model:
    """The model of a parsed document.

    options, all of them optional:
      context_values: "engine" (default) reads the values of a context as the vendor's engine reads JSON, "client" as
        UnleashClient for Python does, which writes True for true and None for null; see runtime/views/unleash.py.
      app_name, environment: the texts of appName and environment in a context that has none.
      hostname: this machine's name for the strategy applicationHostname, which never holds without it, as in the
        vendor's engine for Python.
    Raises ConfigError, naming the place, for options or a document that cannot be used.
    """
    for key in options:
        if key not in _OPTIONS:
            raise ConfigError(at("options", str(key)), f"no such option; there are {', '.join(_OPTIONS)}")
    words = options.get("context_values", "engine")
    if not isinstance(words, str) or words not in _WORDS:
        raise ConfigError(at("options", "context_values"), f"must be one of {', '.join(_WORDS)}, not {words!r}")
    texts = {key: expect(options[key], str, at("options", key), "the text") for key in _OPTIONS[1:] if key in options}
    fields = {"app_name": "appName", "environment": "environment"}
    static = {fields[key]: text for key, text in texts.items() if key in fields}
    return _Importer(document, words, static, texts.get("hostname")).model()


@dataclass(frozen=True, slots=True)
class _Program:
    """A feature's program and how the engine would go on without its strategies: `chosen` has the variant alone.

    A parent's variant counts even where the parent is off. uses_toggle: whether the program depends on the name that
    a missing group id stands for.
    """

    action: Action
    chosen: Action
    uses_toggle: bool
    problem: str | None = None


class _Importer:
    def __init__(self, document: object, words: str, static: Mapping[str, str], hostname: str | None) -> None:
        self.state = read(document)
        self.words, self.static, self.hostname = words, static, hostname
        self.outcomes = {name: Outcomes(feature) for name, feature in self.state.features.items()}
        self.programs: list[Action] = []
        self._made: dict[tuple[str, str], _Program] = {}
        self._numbers: dict[tuple[str, str, bool], int] = {}

    def model(self) -> Model:
        flags: list[Flag] = []
        for name, feature in self.state.features.items():
            flags += self._flags(name, feature)
        return Model(FORMAT, tuple(flags), tuple(self.programs))

    def _flags(self, name: str, feature: Feature) -> list[Flag]:
        program, outcomes = self._program(name, name), self.outcomes[name]
        failed = isinstance(program.action, Fail)
        number = self._number(name, name)
        own = Flag(name, () if failed else outcomes.enabled(), number, "boolean", feature.metadata)
        problem = program.problem or _note(feature)
        flags = [Flag(own.key, own.variants, own.program, own.type, own.metadata, problem=problem)]
        key = name + VARIANT_SUFFIX
        if any(lists(feature)) and key not in self.state.features:
            variants = () if failed else outcomes.chosen()
            flags.append(Flag(key, variants, number, "object", feature.metadata, problem=program.problem))
        return flags

    # ------------------------------------------------------------ programs

    def _number(self, name: str, toggle: str, chosen: bool = False) -> int:
        """The program of a feature in `programs`, seen from the feature `toggle`."""
        program = self._program(name, toggle)
        key = name, toggle if program.uses_toggle else name, chosen
        if key not in self._numbers:
            self._numbers[key] = len(self.programs)
            self.programs.append(program.chosen if chosen else program.action)
        return self._numbers[key]

    def _program(self, name: str, toggle: str) -> _Program:
        made = self._made.get((name, name))
        if made is None or made.uses_toggle:
            made = self._made.get((name, toggle))
        if made is None:
            made = self._made[name, toggle] = self._new_program(self.state.features[name], toggle)
        return made

    def _new_program(self, feature: Feature, toggle: str) -> _Program:
        rules = Rules(self.words, self.static, self.hostname, self.state.segments, feature.name, toggle)
        problem = None
        try:
            try:
                conditions = [rules.strategy(each) for each in feature.strategies]
            except NotCompiled as error:
                problem = f"{feature.path}: Unleash's engine cannot compile it, so it is always off: {error}"
                conditions = None
            parents = every([self._parent(each, feature.name) for each in feature.dependencies])
        except UnsupportedPattern as error:
            problem = f"{feature.path}: a regular expression that cannot be matched here: {error}"
            return _Program(Fail(ErrorCode.GENERAL), Fail(ErrorCode.GENERAL), False, problem)
        action: Action
        if not feature.enabled:
            action = Serve(OFF, Reason.DISABLED)
        elif conditions is None or parents == NEVER:
            action = _NOT_MATCHED
        else:
            action = self._steps(rules, feature, conditions, parents, otherwise=_NOT_MATCHED)
        last = self._choose(rules, feature, None, Reason.DEFAULT)
        chosen = self._steps(rules, feature, conditions or [], Always(), otherwise=last)
        return _Program(action, chosen, rules.uses_toggle, problem)

    def _steps(
        self, rules: Rules, feature: Feature, conditions: list[Condition], parents: Condition, otherwise: Action
    ) -> Action:
        steps: list[Action] = []
        seen = Reason.STATIC
        if parents != Always():
            seen = Reason.TARGETING_MATCH
            steps.append(When(Not(parents), _NOT_MATCHED))
        if not feature.strategies and otherwise is _NOT_MATCHED:
            otherwise = self._choose(rules, feature, None, seen)
        for i, (strategy, condition) in enumerate(zip(feature.strategies, conditions, strict=False)):
            if condition == NEVER:
                continue
            if condition == Always():
                otherwise = Rule(i, strategy.name, self._choose(rules, feature, strategy, seen))
                break
            seen = Reason.TARGETING_MATCH
            reason = Reason.SPLIT if _hashes(condition) else Reason.TARGETING_MATCH
            action = When(condition, self._choose(rules, feature, strategy, reason))
            steps.append(Rule(i, strategy.name, action))
        return Steps((*steps, otherwise)) if steps else otherwise

    def _choose(self, rules: Rules, feature: Feature, strategy: Strategy | None, reason: Reason) -> Action:
        outcomes = self.outcomes[feature.name]
        if strategy is not None and strategy.variants:
            group = strategy.parameters.get("groupId", feature.name)
            return choose(rules, outcomes, strategy.variants, group, strategy.parameters.get("stickiness"), reason)
        stickiness = feature.variants[0].stickiness if feature.variants else None
        return choose(rules, outcomes, feature.variants, feature.name, stickiness, reason)

    # ------------------------------------------------------------ dependencies

    def _parent(self, dependency: Dependency, child: str) -> Condition:
        """Whether a dependency of `child` is satisfied; one on a feature with dependencies of its own never is."""
        parent = self.state.features.get(dependency.feature)
        if parent is None or parent.dependencies:
            return NEVER
        program = self._program(parent.name, child)
        if isinstance(program.action, Fail):
            raise UnsupportedPattern(f"in {parent.name!r}, on which it depends")
        outcomes = self.outcomes[parent.name]
        wanted = frozenset(
            number
            for number, name in outcomes.names.items()
            if name is None or not dependency.variants or name in dependency.variants
        )
        if dependency.enabled:
            return Serves(self._number(parent.name, child), wanted) if parent.enabled else NEVER
        off = Serves(self._number(parent.name, child), frozenset({OFF}))
        if len(wanted) == len(outcomes.names) and not outcomes.fails:
            return off
        return All((off, Serves(self._number(parent.name, child, chosen=True), wanted)))


def _hashes(condition: Condition) -> bool:
    """Whether a hash or a draw is among what decides."""
    if isinstance(condition, (All, AnyOf)):
        return any(map(_hashes, condition.items))
    if isinstance(condition, Not):
        return _hashes(condition.item)
    return isinstance(condition, InRanges) or (isinstance(condition, Test) and condition.slot.view == "unleash_random")


def _note(feature: Feature) -> str | None:
    own = dict.fromkeys(each.name for each in feature.strategies if each.name not in KNOWN_STRATEGIES)
    if not own:
        return None
    return f"{feature.path}: strategies that are the code of an application never hold here: {', '.join(own)}"
