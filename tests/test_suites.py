"""The vendors' published cases, one test each. `python tests/suites.py` counts them.

Skipped where PYFLAGWASM_SUITES names no folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import suites

ROOT = os.environ.get(suites.FOLDER)


def published() -> Iterator[Any]:
    if not ROOT:
        reason = f"{suites.FOLDER} does not name the folder with the vendors' suites"
        yield pytest.param(None, marks=pytest.mark.skip(reason=reason))
        return
    for vendor in suites.VENDORS:
        for name, run in suites.cases(vendor, Path(ROOT)):
            why = suites.reason(vendor, name)
            yield pytest.param(run, id=f"{vendor}: {name}", marks=[pytest.mark.skip(reason=why)] if why else [])


@pytest.mark.parametrize("case", list(published()))
def test_published_case(case: Callable[[], None]) -> None:
    case()
