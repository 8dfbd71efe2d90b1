"""Tables against single evaluations, at random: a short run of differential/bulk.py."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest
from bulk_tables import compared, subjects

import pyflagwasm
from pyflagwasm.runtime.views import unleash as views_unleash

FORMATS = ("flagd", "eppo", "unleash", "unleash", "growthbook", "devcycle")


@pytest.mark.parametrize("place", range(len(FORMATS)))
def test_rows_are_answered_as_single_evaluations_are(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views_unleash, "draw", lambda limit: 1 + limit // 3)
    outcomes, rows, random = Counter[str](), 0, Random(place)
    for number, subject in enumerate(subjects(random)):
        if number % len(FORMATS) != place:
            continue
        assert subject.format == FORMATS[place]
        try:
            rows += asyncio.run(compared(subject, random, 150, 2, outcomes))
        except pyflagwasm.ConfigError:
            continue
        if rows >= 1500:
            break
    assert len(outcomes) >= 4
