"""That no scenario of OpenFeature's is missing from those that test_suites.py runs, and none is left out in vain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import suites

pytest.importorskip("openfeature.api")
pytest.importorskip("gherkin")

from suite_openfeature import LEFT_OUT, document

ROOT = os.environ.get(suites.FOLDER)
published = pytest.mark.skipif(not ROOT, reason=f"{suites.FOLDER} does not name the folder with the vendors' suites")


@published
def test_all_scenarios_are_there() -> None:
    names = [name for name, _ in suites.cases("openfeature", Path(ROOT or ""))]
    found = {stem: sum(name.startswith(f"{stem}: ") for name in names) for stem in STEMS}
    assert found == STEMS
    assert len(set(names)) == len(names) == sum(STEMS.values())


STEMS = {"contextMerging": 29, "evaluation": 13, "evaluation_v2": 82, "hooks": 3, "metadata": 5}


@published
def test_three_are_left_out() -> None:
    names = [name for name, _ in suites.cases("openfeature", Path(ROOT or ""))]
    assert {start: sum(name.startswith(start) for name in names) for start in LEFT_OUT} == {
        "evaluation_v2: CACHED reason": 2,
        "evaluation_v2: Evaluation context immutability": 1,
    }


def test_a_rule_that_is_not_known_is_not_passed_over() -> None:
    with pytest.raises(KeyError, match="email"):
        document({"f": {"variants": {"on": True}, "contextEvaluator": "email"}})
