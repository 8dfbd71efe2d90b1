"""DevCycle's own words for a decision: `Random Distribution | Rollout | Email AND Country`.

Built beside the conditions by audience.py and importer.py; here the words are put together from what the
labelled conditions evaluated to. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ...model import DetailsTree


@dataclass(frozen=True, slots=True)
class Leaf:
    """A filter: `text` if the condition `label` holds."""

    label: int
    text: str


@dataclass(frozen=True, slots=True)
class InAudience:
    """A filter that holds by the first of these audiences that does."""

    label: int
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class First:
    """The words of the first item that holds: an "or"."""

    items: tuple[Outline, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """The words of all items: an "and". `last_only`: all must hold, the last one speaks."""

    items: tuple[Outline, ...]
    last_only: bool = False


Outline: TypeAlias = Leaf | InAudience | First | Every

NOTHING = First(())


@dataclass(frozen=True, slots=True)
class TargetOutline:
    """What a target says: its fixed words, and its audience. `rollout`: the label that must hold, if it has one."""

    words: tuple[str, ...]
    audience: Outline
    rollout: int | None = None


@dataclass(frozen=True, slots=True)
class DevCycleDetails(DetailsTree):
    """`targets[program][rule]`; `audiences` by id."""

    targets: tuple[tuple[TargetOutline, ...], ...]
    audiences: Mapping[str, Outline] = field(default_factory=dict)

    def text(self, program: int, rule: int | None, outcomes: Mapping[int, bool]) -> str | None:
        """The vendor's details, None where it has none: no target decided, or its rollout left the user out."""
        if rule is None or program >= len(self.targets) or rule >= len(self.targets[program]):
            return None
        target = self.targets[program][rule]
        if target.rollout is not None and not outcomes.get(target.rollout, False):
            return None
        words = self._words(target.audience, outcomes)
        return None if words is None else " | ".join([*target.words, words])

    def _words(self, outline: Outline, outcomes: Mapping[int, bool]) -> str | None:
        """What an outline says, None if it does not hold."""
        match outline:
            case Leaf(label, text):
                return text if outcomes.get(label, False) else None
            case InAudience(label, names):
                if not outcomes.get(label, False):
                    return None
                found = (self._words(self.audiences[name], outcomes) for name in names)
                words = next((w for w in found if w is not None), None)
                return f"Audience Match -> {words}" if words else "Audience Match"
            case First(items):
                return next((w for w in (self._words(item, outcomes) for item in items) if w is not None), None)
            case Every(items, last_only):
                every = [self._words(item, outcomes) for item in items]
                said = [w for w in every if w is not None]
                if len(said) < len(every):
                    return None
                return said[-1] if last_only else " AND ".join(said)
