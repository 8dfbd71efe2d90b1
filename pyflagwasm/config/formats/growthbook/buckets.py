"""GrowthBook's hashing: from a seed and thresholds in doubles to exact integer bounds of a bucket.

A hash version gives buckets 0 .. 999 or 0 .. 9999, which the vendor divides by 1000 or 10000 and compares with doubles.
Here the comparison is done once for each threshold, by the vendor's own arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, Final

from ...._abi import Encoding, HashAlgorithm, Op
from ....errors import ConfigError
from ...document import at, expect
from ...model import JSON, Action, All, AnyOf, Bucket, Condition, InRanges, Slot, Test, When

_SIZES: Final = {1: 1000, 2: 10_000}
_NEAR_ONE: Final = 0.99, 1.01

Ranges = Sequence[tuple[Any, Any]]


def hash_slot(attribute: str, fallback: str | None = None) -> Slot:
    """The text of the attribute that is hashed, or of another one if that has nothing to hash."""
    return Slot("growthbook_hash", (attribute,) if fallback is None else (attribute, fallback))


def bucket(seed: JSON, text: Slot, version: JSON, path: str) -> Bucket | None:
    """The bucket of the text in a slot; None for a hash version that does not exist.

    Raises ConfigError with `path` for a seed that is no text.
    """
    if not any(version == known for known in _SIZES):
        return None
    expect(seed, str, path, "the seed of a hash")
    twice = version == 2
    return Bucket(
        parts=tuple(part for part in ((seed, text) if twice else (text, seed)) if part != ""),
        encoding=Encoding.CODE_POINTS,
        require_text=True,
        algorithm=HashAlgorithm.FNV1A_TWICE if twice else HashAlgorithm.FNV1A,
        modulus=_SIZES[2 if twice else 1],
    )


def for_hashed(text: Slot, action: Action, otherwise: Action) -> Action:
    """The action for who has something to hash. Only one that may fail needs this: buckets see to it themselves."""
    return When(Test(Op.TEXT_IN, text, ("",), unknown=True), otherwise, action)


def _first(size: int, reached: Callable[[float], bool]) -> int:
    """The first bucket whose quotient has reached something that rises with it; `size` if none has."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if reached(middle / size):
            high = middle
        else:
            low = middle + 1
    return low


def bounds(size: int, low: Any, high: Any) -> tuple[int, int]:
    """The buckets n, from the first to the one behind the last, with low <= n / size < high."""
    return _first(size, lambda n: n >= low), _first(size, lambda n: n >= high)


def up_to(size: int, share: Any) -> tuple[int, int]:
    """The buckets n with n / size <= share."""
    return 0, _first(size, lambda n: n > share)


def read_range(value: JSON, path: str) -> tuple[Any, Any]:
    """Low and high of a range. Raises ConfigError."""
    pair: list[JSON] = expect(value, list, path, "a range")
    if len(pair) < 2:
        raise ConfigError(path, f"a range must have two numbers, not {len(pair)}")
    low, high = (expect(pair[i], (int, float, bool), at(path, i), "an end of a range") for i in (0, 1))
    return low, high


def read_ranges(value: JSON, path: str) -> list[tuple[Any, Any]]:
    """Several of them. Raises ConfigError."""
    return [read_range(each, at(path, i)) for i, each in enumerate(expect(value, list, path, "the ranges"))]


def in_namespace(namespace: JSON, text: Slot, path: str) -> Condition:
    """Whether the text is inside of [name, low, high]. Raises ConfigError."""
    parts: list[JSON] = expect(namespace, list, path, "a namespace")
    if len(parts) < 3:
        raise ConfigError(path, "a namespace must have a name and two numbers")
    name = expect(parts[0], str, at(path, 0), "a namespace's name")
    found = bucket("__" + name, text, 1, path)
    assert found is not None
    return InRanges(found, (bounds(found.size, *read_range(parts[1:], path)),))


def inside_filters(filters: JSON, path: str) -> Condition:
    """Whether no filter keeps a user out: one in none of its ranges does; nothing to hash passes this and the rest."""
    condition: Condition = All(())
    for i, given in reversed(list(enumerate(expect(filters, list, path, "the filters")))):
        here = at(path, i)
        each: dict[str, JSON] = expect(given, dict, here, "a filter")
        attribute = expect(each.get("attribute", "id"), (str, type(None)), at(here, "attribute"), "the attribute")
        text = hash_slot("id" if attribute is None else attribute)
        found = bucket(each.get("seed", ""), text, each.get("hashVersion", 2), at(here, "seed"))
        if found is None:
            condition = All(())  # passes, and so do those behind it
            continue
        ranges = read_ranges(each.get("ranges"), at(here, "ranges"))
        inside = InRanges(found, tuple(bounds(found.size, *each) for each in ranges))
        nothing = Test(Op.TEXT_IN, text, ("",), unknown=True)
        condition = AnyOf((nothing, All((inside, condition))))
    return condition


# ---------------------------------------------------------------- variations


def usable_weights(weights: JSON, count: int) -> list[Any]:
    """The weights that the vendor uses: these if there are `count` that sum up to about one, else equal ones."""
    try:
        if (
            isinstance(weights, list)
            and len(weights) == count
            and all(isinstance(w, (int, float)) and not isinstance(w, bool) for w in weights)
            and all(math.isfinite(w) and w >= 0 for w in weights)
            and _NEAR_ONE[0] <= sum(weights) <= _NEAR_ONE[1]
        ):
            return weights
    except OverflowError:
        pass
    return [1 / count] * count if count > 0 else []


def weighted_ranges(count: int, coverage: Any, weights: JSON) -> list[tuple[Any, Any]]:
    """The ranges of `count` variations, each the covered beginning of its share."""
    coverage = 0 if coverage < 0 else 1 if coverage > 1 else coverage
    ranges: list[tuple[Any, Any]] = []
    start: Any = 0
    for weight in usable_weights(weights, count):
        ranges.append((start, start + coverage * weight))
        start += weight
    return ranges


def cuts(size: int, ranges: Ranges) -> list[tuple[int, int | None]]:
    """Upper bounds of buckets and the first range that has them, None for those that are in none."""
    exact = [bounds(size, low, high) for low, high in ranges]
    ends = sorted({0, size, *(end for pair in exact for end in pair)})
    found: list[tuple[int, int | None]] = []
    coming = sorted(((low, i, high) for i, (low, high) in enumerate(exact)), reverse=True)
    under_way: list[tuple[int, int]] = []  # a heap of ranges that have begun, the first of them on top
    for start, end in pairwise(ends):
        while coming and coming[-1][0] <= start:
            heappush(under_way, coming.pop()[1:])
        while under_way and under_way[0][1] <= start:
            heappop(under_way)
        index = under_way[0][0] if under_way else None
        if found and found[-1][1] == index:
            found.pop()
        found.append((end, index))
    return found
