"""Unleash's strategies and constraints as conditions.

The engine writes a strategy as a line of text in a language of its own and parses that, which shows: the value of a
constraint decides by its shape whether numbers, versions or instants are compared, whatever the operator says; and what
does not parse - a value of another shape, an operator that does not exist, a percentage above 100, a text that breaks
out of its quotes - turns the whole feature off. Here that is `NotCompiled`.

Everything here is True or False: a missing or unreadable value is False, before `inverted` turns it round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from ...._abi import Kind, Op, Order, VersionDialect
from ...model import All, Always, AnyOf, Bucket, Condition, InRanges, Not, NowAtLeast, Slot, Test
from ...regex import PatternError, compile_pattern
from .document import Constraint, Strategy
from .values import INSTANTS_A_SECOND, WHITE_SPACE, equal_bounds, instant, network, number, unsigned

DEFAULT: Final = "default"
RANDOM: Final = "random"
CLOCK: Final = "currentTime"

NEVER: Final = Always(False)

_U64 = 2**64 - 1
_VARIANT_DRAWS = 2**53
_DRAWS_OF_TEXT, _DRAWS_OF_NUMBERS = 10_000, 100
_STRICT = VersionDialect.STRICT_SEM_VER << 4
_SECOND_US, _MILLISECOND_US = 1_000_000, 1_000

_ORDERS: Final = {
    "NUM_EQ": Order.EQUAL,
    "NUM_GT": Order.GREATER,
    "NUM_GTE": Order.GREATER | Order.EQUAL,
    "NUM_LT": Order.LESS,
    "NUM_LTE": Order.LESS | Order.EQUAL,
    "DATE_AFTER": Order.GREATER,
    "DATE_BEFORE": Order.LESS,
    "SEMVER_EQ": Order.EQUAL,
    "SEMVER_GT": Order.GREATER,
    "SEMVER_GTE": Order.GREATER | Order.EQUAL,
    "SEMVER_LT": Order.LESS,
    "SEMVER_LTE": Order.LESS | Order.EQUAL,
}
_TEXTS: Final = {
    "STR_STARTS_WITH": Op.TEXT_PREFIX,
    "STR_ENDS_WITH": Op.TEXT_SUFFIX,
    "STR_CONTAINS": Op.TEXT_CONTAINS,
}

_QUOTED = re.compile(r'(?:\\"|[^"\\]|\\(?!"|\Z))*')
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{3})?(?:Z|[+-][0-9]{2}:[0-9]{2})")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SHAPE_OF_VERSION = re.compile(rf"([0-9]+)\.([0-9]+)\.([0-9]+)(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?")
_PADDED = re.compile(r"0[0-9]+")


class NotCompiled(ValueError):
    """The engine cannot make a rule of this: the feature is off. The message says why."""


@dataclass(slots=True)
class Rules:
    """Makes the conditions of one program.

    words: whose texts of values count, `engine` or `client` (runtime/views/unleash.py). static: the texts of appName
    and environment where a context has none. segments: by id. feature: whose strategies these are. toggle: the name
    that stands for a missing group id; uses_toggle: whether one was missing.
    """

    words: str
    static: Mapping[str, str]
    hostname: str | None
    segments: Mapping[int, tuple[Constraint, ...]]
    feature: str
    toggle: str
    uses_toggle: bool = False
    _serials: count[int] = field(default_factory=count)

    # ------------------------------------------------------------ slots

    def slot(self, name: str, view: str = "unleash_text") -> Slot:
        default = (self.static[name],) if name in self.static else ()
        return Slot(view, (name, self.words, *default))

    def override(self, name: str) -> Slot:
        """What an override looks at; the engine has no clock for it, but a client's context has."""
        return self._text(name) if self.words == "client" else self.slot(name)

    def seed(self, stickiness: str | None) -> Slot:
        """What a variant is chosen by: always a text, at worst a draw."""
        names = ("userId", "sessionId") if stickiness in (None, DEFAULT) else (str(stickiness),)
        return self._sticky(_VARIANT_DRAWS, () if names == (CLOCK,) else names)

    def _sticky(self, limit: int, names: tuple[str, ...]) -> Slot:
        if len(names) == 1 and names[0] in self.static:
            return self.slot(names[0])
        label = names[0] if names else RANDOM
        return Slot("unleash_sticky", (label, self.words, str(limit), self._serial(), *names))

    def _serial(self) -> str:
        return str(next(self._serials))

    # ------------------------------------------------------------ strategies

    def strategy(self, strategy: Strategy) -> Condition:
        """When a strategy holds. Raises NotCompiled, UnsupportedPattern."""
        make = _STRATEGIES.get(strategy.name)
        own = NEVER if make is None else make(self, strategy.parameters)  # others are code, which is not here
        given = list(strategy.constraints)
        for segment in strategy.segments:
            if segment not in self.segments:
                raise NotCompiled(f"there is no segment {segment}")
            given += self.segments[segment]
        return every([own, *map(self.constraint, given)])

    def _user_ids(self, parameters: Mapping[str, str]) -> Condition:
        if "userIds" not in parameters:
            return NEVER
        users = tuple(_escaped(each) for each in _split(parameters["userIds"]))
        return Test(Op.TEXT_IN, self.slot("userId"), tuple(dict.fromkeys(users)))

    def _addresses(self, parameters: Mapping[str, str]) -> Condition:
        if "IPs" not in parameters:
            return NEVER
        return self._networks("remoteAddress", [_quoted(each) for each in _split(parameters["IPs"])])

    def _hostname(self, parameters: Mapping[str, str]) -> Condition:
        names = {_quoted(each).lower() for each in _split(parameters.get("hostNames", ""))}
        return Always(self.hostname is not None and self.hostname.lower() in names)

    def _random(self, parameters: Mapping[str, str]) -> Condition:
        percentage = unsigned(parameters.get("percentage", ""), _U64)
        if percentage is None or percentage <= 1:
            return NEVER
        if percentage >= _DRAWS_OF_NUMBERS:
            return Always()
        # draws that are hashed can be those of another feature, for its hash is another; not so this one
        serial = f"{self.feature}#{self._serial()}"
        slot = Slot("unleash_random", (RANDOM, self.words, str(_DRAWS_OF_NUMBERS), serial))
        return Test(Op.NUMBER_COMPARE, slot, (percentage,), flags=Order.LESS)

    def _gradual(self, parameters: Mapping[str, str], name: str) -> Condition:
        if "groupId" not in parameters:
            return NEVER
        return self._rollout(parameters.get("percentage", ""), lambda: self.slot(name), parameters)

    def _gradual_user(self, parameters: Mapping[str, str]) -> Condition:
        return self._gradual(parameters, "userId")

    def _gradual_session(self, parameters: Mapping[str, str]) -> Condition:
        return self._gradual(parameters, "sessionId")

    def _flexible(self, parameters: Mapping[str, str]) -> Condition:
        stickiness = parameters.get("stickiness", DEFAULT)

        def slot() -> Slot:
            if stickiness == DEFAULT:
                return self._sticky(_DRAWS_OF_TEXT, ("userId", "sessionId"))
            if stickiness == RANDOM:
                return self._sticky(_DRAWS_OF_TEXT, ())
            _quoted(stickiness)
            return self._text(stickiness)

        return self._rollout(parameters.get("rollout", ""), slot, parameters)

    def _rollout(self, share: str, slot: Callable[[], Slot], parameters: Mapping[str, str]) -> Condition:
        percentage = unsigned(share, _U64)
        if percentage is None:
            return NEVER
        if percentage > 100:
            raise NotCompiled(f"a rollout of {percentage} percent")
        key = slot()
        group = _quoted(parameters["groupId"]) if "groupId" in parameters else self.toggle
        if percentage == 0:
            return NEVER
        if percentage == 100:
            return Always() if key.view == "unleash_sticky" else present(key)
        self.uses_toggle |= "groupId" not in parameters
        return InRanges(Bucket((f"{group}:", key), modulus=100), ((0, percentage),), unknown=False)

    # ------------------------------------------------------------ constraints

    def constraint(self, constraint: Constraint) -> Condition:
        """When a constraint holds. Raises NotCompiled, UnsupportedPattern."""
        if constraint.operator.startswith("SEMVER_") and (constraint.value or "").startswith("v"):
            if constraint.operator in _ORDERS:
                return NEVER  # inverted or not
        _quoted(constraint.context_name)
        condition = self._plain(constraint)
        return Not(condition) if constraint.inverted else condition

    def _plain(self, constraint: Constraint) -> Condition:
        name, operator = constraint.context_name, constraint.operator
        if operator in ("IN", "NOT_IN"):
            condition: Condition = NEVER
            if constraint.values:
                values = tuple(dict.fromkeys(map(_escaped, constraint.values)))
                condition = Test(Op.TEXT_IN, self._text(name), values)
            return condition if operator == "IN" else Not(condition)
        if operator == "REGEX":
            return self._pattern(name, _escaped(constraint.value or ""), constraint.ignore_case)
        if operator in _ORDERS:
            if constraint.value is None:
                raise NotCompiled(f"{operator} has no value")
            return self._compared(name, constraint.value.strip(" \t"), _ORDERS[operator])
        if operator != "IN_CIDR" and operator not in _TEXTS:
            raise NotCompiled(f"there is no operator {operator!r}")
        if not constraint.values:
            raise NotCompiled(f"{operator} has no values")
        values = tuple(dict.fromkeys(map(_escaped, constraint.values)))
        if operator == "IN_CIDR":
            return self._networks(name, values)
        if constraint.ignore_case:
            lower = tuple(dict.fromkeys(value.lower() for value in values))
            return Test(_TEXTS[operator], self.slot(name, "unleash_lower"), lower)
        return Test(_TEXTS[operator], self._text(name), values)

    def _text(self, name: str) -> Slot:
        return self.slot(name, "unleash_clock" if name == CLOCK else "unleash_text")

    def _networks(self, name: str, texts: list[str] | tuple[str, ...]) -> Condition:
        networks = tuple(dict.fromkeys(each for each in map(network, texts) if each is not None))
        return Test(Op.IN_NETWORK, self._text(name), networks) if networks else NEVER

    def _pattern(self, name: str, pattern: str, ignore_case: bool) -> Condition:
        try:
            return compile_pattern(pattern, "rust", ignore_case=ignore_case).condition(self._text(name), False)
        except PatternError:
            return NEVER

    def _compared(self, name: str, value: str, order: Order) -> Condition:
        """The engine tries dates, then versions, then numbers."""
        if _DATE.fullmatch(value):
            return self._dates(name, value, order)
        if _SHAPE_OF_VERSION.fullmatch(value):
            if not _is_version(value):
                raise NotCompiled(f"{value!r} is no version")
            return Test(Op.VERSION, self.slot(name), (value,), flags=_STRICT | order)
        if not _NUMBER.fullmatch(value):
            raise NotCompiled(f"{value!r} is neither a number nor a version nor a date with a time and an offset")
        slot, wanted = self.slot(name, "unleash_number"), number(value)
        if order != Order.EQUAL:
            return Test(Op.NUMBER_COMPARE, slot, (wanted,), flags=order)
        bounds = equal_bounds(wanted or 0.0)
        if bounds is None:
            return NEVER
        low = Test(Op.NUMBER_COMPARE, slot, (bounds[0],), flags=Order.GREATER | Order.EQUAL)
        return All((low, Test(Op.NUMBER_COMPARE, slot, (bounds[1],), flags=Order.LESS | Order.EQUAL)))

    def _dates(self, name: str, value: str, order: Order) -> Condition:
        wanted = instant(value)
        if wanted is None:
            raise NotCompiled(f"there is no {value}")
        slot = self.slot(name, "unleash_time")
        given = Test(Op.NUMBER_COMPARE, slot, (wanted,), flags=order)
        if name != CLOCK or name in self.static:
            return given
        return AnyOf((given, All((Test(Op.KIND_IN, slot, mask=1 << Kind.MISSING), self._now(wanted, order)))))

    def _now(self, wanted: int, order: Order) -> Condition:
        """The clock, compared; it has whole seconds in the engine's words, microseconds in the client's."""
        second, rest = divmod(wanted, INSTANTS_A_SECOND)
        us = rest // 2 * _MILLISECOND_US
        if self.words == "engine" or us >= _SECOND_US:  # a leap second lies behind all of its second
            reached = NowAtLeast((second + (rest > 0)) * _SECOND_US)
            passed = NowAtLeast((second + 1) * _SECOND_US)
        else:
            reached, passed = NowAtLeast(second * _SECOND_US + us), NowAtLeast(second * _SECOND_US + us + 1)
        conditions: dict[Order, Condition] = {
            Order.GREATER: passed,
            Order.GREATER | Order.EQUAL: reached,
            Order.LESS: Not(reached),
            Order.LESS | Order.EQUAL: Not(passed),
            Order.EQUAL: All((reached, Not(passed))),
        }
        return conditions[order]


_STRATEGIES: Final[dict[str, Callable[[Rules, Mapping[str, str]], Condition]]] = {
    "default": lambda rules, parameters: Always(),
    "userWithId": Rules._user_ids,
    "gradualRolloutUserId": Rules._gradual_user,
    "gradualRolloutSessionId": Rules._gradual_session,
    "gradualRolloutRandom": Rules._random,
    "flexibleRollout": Rules._flexible,
    "remoteAddress": Rules._addresses,
    "applicationHostname": Rules._hostname,
}
KNOWN_STRATEGIES: Final = frozenset(_STRATEGIES)


def present(slot: Slot) -> Condition:
    return Test(Op.KIND_IN, slot, mask=1 << Kind.TEXT)


def every(conditions: list[Condition]) -> Condition:
    """All of them, with the constants folded."""
    left = [each for each in map(_folded, conditions) if each != Always()]
    if NEVER in left:
        return NEVER
    return left[0] if len(left) == 1 else All(tuple(left)) if left else Always()


def _folded(condition: Condition) -> Condition:
    if isinstance(condition, Not):
        inner = _folded(condition.item)
        return Always(not inner.holds) if isinstance(inner, Always) else condition
    return condition


# ---------------------------------------------------------------- the engine's text


def _split(texts: str) -> list[str]:
    return [each.strip(WHITE_SPACE) for each in texts.split(",")]


def _quoted(text: str) -> str:
    """What the engine reads of a text that it puts between quotes as it is."""
    if not _QUOTED.fullmatch(text):
        raise NotCompiled(f"a quotation mark in {text!r}, or a backslash at its end")
    return text.replace('\\"', '"')


def _escaped(text: str) -> str:
    """A text whose quotation marks the engine escapes: read as it is, unless it ends in a backslash."""
    if text.endswith("\\"):
        raise NotCompiled(f"a backslash at the end of {text!r}")
    return text


def _is_version(text: str) -> bool:
    """Whether crate semver reads it, which has the engine's shape already."""
    found = _SHAPE_OF_VERSION.fullmatch(text)
    assert found is not None
    *numbers, pre_release = found.groups()
    if any(_PADDED.fullmatch(each) or unsigned(each, _U64) is None for each in numbers):
        return False
    return not any(_PADDED.fullmatch(each) for each in (pre_release or "").split("."))
