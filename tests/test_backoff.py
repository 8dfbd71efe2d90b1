"""Pauses between attempts: their growth, spread and bounds."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflagwasm.sources.backoff import Backoff


def test_pauses_double_up_to_the_maximum() -> None:
    backoff = Backoff(1, 30, jitter=0)
    assert [backoff.next() for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]


def test_reset_begins_again() -> None:
    backoff = Backoff(2, 30, jitter=0)
    assert [backoff.next(), backoff.next()] == [2, 4]
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [2, 4]


@pytest.mark.parametrize(("number", "factor"), [(0.0, 0.5), (0.5, 1.0), (math.nextafter(1, 0), 1.5)])
def test_jitter_is_half_of_the_pause(number: float, factor: float) -> None:
    backoff = Backoff(1, 30, random=lambda: number)
    assert [backoff.next() for _ in range(3)] == pytest.approx([factor, 2 * factor, 4 * factor])


def test_jitter_does_not_exceed_the_maximum() -> None:
    backoff = Backoff(8, 10, random=lambda: 0.999)
    assert [backoff.next(), backoff.next()] == [10, 10]


def test_a_thousand_clients_spread() -> None:
    chance = random.Random(1).random
    pauses = sorted(Backoff(10, 30, random=chance).next() for _ in range(1000))
    assert 5 <= pauses[0] < 5.5
    assert 14.5 < pauses[-1] <= 15
    assert max(b - a for a, b in itertools.pairwise(pauses)) < 0.2


def test_no_number_of_failures_overflows() -> None:
    backoff = Backoff(1e-300, 1e300, random=lambda: 0.999)
    pauses = [backoff.next() for _ in range(5000)]
    assert pauses[-1] == 1e300
    assert all(map(math.isfinite, pauses))


@given(
    st.floats(1e-6, 1e6),
    st.floats(1, 1e6),
    st.floats(0, 1),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=40),
)
def test_bounds(initial: float, ratio: float, jitter: float, numbers: list[float]) -> None:
    maximum = initial * ratio
    left = iter(numbers)
    backoff = Backoff(initial, maximum, jitter, lambda: next(left))
    expected = initial
    for _ in numbers:
        pause = backoff.next()
        assert expected * (1 - jitter) * (1 - 1e-9) <= pause <= min(expected * (1 + jitter) * (1 + 1e-9), maximum)
        expected = min(expected * 2, maximum)


@pytest.mark.parametrize(
    ("initial", "maximum", "jitter"),
    [(0, 1, 0.5), (-1, 1, 0.5), (2, 1, 0.5), (1, math.inf, 0.5), (math.nan, 1, 0.5), (1, 2, -0.1), (1, 2, 1.1)],
)
def test_what_makes_no_sense_is_refused(initial: float, maximum: float, jitter: float) -> None:
    with pytest.raises(ValueError, match="must hold"):
        Backoff(initial, maximum, jitter)
