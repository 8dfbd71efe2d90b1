"""The splits of an allocation: shards, salts and ranges, as actions of the model.

A split is taken if the subject lies in a range of each of its shards, the first one in the document's order. Splits
that begin with the same shard are decided together, by one hash. Nothing here knows what is served.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from ...._abi import ErrorCode, HashAlgorithm
from ...model import Action, All, Bucket, Fail, FallThrough, InRanges, SplitBy, Steps, When
from .conditions import SUBJECT

_NO_SUBJECT: Final = Fail(ErrorCode.TARGETING_KEY_MISSING)
_BROKEN: Final = Fail(ErrorCode.GENERAL)
_MOST_CUTS: Final = 4096
_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """total: how many shards there are; of 0 there is no remainder, so that a split with it fails."""

    salt: str
    total: int
    ranges: tuple[tuple[int, int], ...]

    @property
    def everybody(self) -> bool:
        return (0, self.total) in self.ranges

    @property
    def bucket(self) -> Bucket:
        return Bucket((f"{self.salt}-", SUBJECT), algorithm=HashAlgorithm.MD5, modulus=self.total)


@dataclass(frozen=True, slots=True)
class Split:
    shards: tuple[Shard, ...]
    action: Action


def split_action(splits: list[Split]) -> Action:
    """The action of the first split that takes the subject; falls through if none does."""
    try:
        return _Together().action(splits, 0)
    except _TooMany:
        return Steps(tuple(map(_alone, splits)))


def _alone(split: Split) -> Action:
    if not all(shard.total for shard in split.shards):
        return _BROKEN
    inside = tuple(InRanges(shard.bucket, shard.ranges, unknown=None) for shard in split.shards)
    return When(All(inside), split.action, unknown=_NO_SUBJECT)  # there is one subject: all of them know or none


class _TooMany(Exception):
    pass


class _Together:
    """Decides together what begins with the same shard. _TooMany where that would be deep, or ranges multiply."""

    def __init__(self) -> None:
        self._left = _MOST_CUTS

    def action(self, splits: list[Split], depth: int) -> Action:
        if depth > _DEEPEST:
            raise _TooMany
        steps: list[Action] = []
        while splits:
            if not splits[0].shards:
                steps.append(splits[0].action)
                break
            first = splits[0].shards[0]
            count = next((i for i, each in enumerate(splits) if not _begins(each, first)), len(splits))
            steps.append(self._run(first, splits[:count], depth))
            splits = splits[count:]
        return steps[0] if len(steps) == 1 else Steps(tuple(steps)) if steps else FallThrough()

    def _run(self, first: Shard, splits: list[Split], depth: int) -> Action:
        """Splits that all begin with a shard of this salt and total."""
        if not first.total:
            return _BROKEN
        ends = {0, first.total}
        for split in splits:
            ends.update(min(end, first.total) for bounds in split.shards[0].ranges for end in bounds)
        if len(ends) > self._left:
            raise _TooMany
        cuts: list[tuple[int, Action]] = []
        inside: list[int] | None = None
        for start, end in pairwise(sorted(ends)):
            here = [i for i, split in enumerate(splits) if any(a <= start < b for a, b in split.shards[0].ranges)]
            self._left -= 1 + len(here)
            if self._left < 0:
                raise _TooMany
            if here == inside:
                cuts[-1] = end, cuts[-1][1]
            else:
                rest = [Split(splits[i].shards[1:], splits[i].action) for i in here]
                cuts.append((end, self.action(rest, depth + 1)))
            inside = here
        return SplitBy(first.bucket, tuple(cuts), FallThrough(), _NO_SUBJECT)


def _begins(split: Split, shard: Shard) -> bool:
    return bool(split.shards) and (split.shards[0].salt, split.shards[0].total) == (shard.salt, shard.total)
