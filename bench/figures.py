"""The arithmetic of the figures: quantiles, ratios, spread, and what counts as slower. No clock and no file here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Final

BEYOND: Final = 5
"""A quantile is shown only if at least so many samples lie beyond it."""

GRID: Final = (*(i / 50 for i in range(1, 48)), 0.95, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.999, 0.9995)
"""Where a distribution is recorded, for drawing it."""

LEAST: Final = 0.15
"""A change of less than this is never called one: so much do processes of the same code differ."""


def quantile(ordered: Sequence[float], q: float) -> float | None:
    """The smallest sample that at least `q` of them do not exceed; None if fewer than BEYOND lie beyond it."""
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies between 0 and 1, {q} does not")
    count = len(ordered)
    index = max(0, math.ceil(q * count - 1e-9) - 1)
    if count - 1 - index < BEYOND:
        return None
    return float(ordered[index])


def ratios(batches: Sequence[float], unit: Sequence[float]) -> list[float]:
    """Each batch to the unit of the same round. Raises ValueError if the rounds differ, or a unit is not positive."""
    if len(batches) != len(unit):
        raise ValueError(f"{len(batches)} rounds cannot be divided by {len(unit)}")
    if any(one <= 0 for one in unit):
        raise ValueError("a unit that took no time measures nothing")
    return [a / b for a, b in zip(batches, unit, strict=True)]


def spread(values: Sequence[float]) -> float:
    """Half of what lies between the quartiles, to the median: 0.05 means that half of the rounds are within 5%.

    Of fewer than four values, half of what lies between the least and the greatest.
    """
    if len(values) < 4:
        low, middle, high = min(values), statistics.median(values), max(values)
    else:
        low, middle, high = statistics.quantiles(values, n=4)
    return float((high - low) / 2 / middle) if middle else 0.0


def noise(values: Sequence[float]) -> float:
    """The relative standard error of the median of these rounds, from their quartiles; 1 for a single round.

    As if they were normal: the quartiles of those are 0.6745 standard deviations from the median, and the median's
    standard error is 1.2533 times that of the mean.
    """
    if len(values) < 2:
        return 1.0
    return 1.2533 * spread(values) / 0.6745 / math.sqrt(len(values))


def change(now: Sequence[float], then: Sequence[float]) -> tuple[float, float]:
    """How many times the median of `then` the median of `now` is, and from which change on that is not noise.

    That is three standard errors of the difference of the medians, but not less than LEAST.
    """
    factor = statistics.median(now) / statistics.median(then)
    return factor, max(LEAST, 3 * math.hypot(noise(now), noise(then)))


def verdict(factor: float, limit: float) -> str:
    """ "slower", "faster" or "same" for what `change` gave. The limit is a factor in both directions."""
    if factor > 1 + limit:
        return "slower"
    return "faster" if factor < 1 / (1 + limit) else "same"


def grid(ordered: Sequence[float]) -> list[tuple[float, float]]:
    """The distribution at those points of GRID that have enough samples beyond them."""
    found = ((q, quantile(ordered, q)) for q in GRID)
    return [(q, value) for q, value in found if value is not None]


def median(values: Iterable[float]) -> float:
    return float(statistics.median(values))
