"""The cases that Datadog publishes for its dialect of universal flag configurations, run as users call this package."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from suite_eppo import Answers, context, typed

LEFT_OUT: dict[str, str] = {}
"""Case, or the beginning of its name -> why it is not expected to pass."""


def cases(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and check of each published case."""
    folder = root / "datadog-ffe"
    for path in sorted((folder / "evaluation-cases").glob("*.json")):
        found = json.loads(path.read_text("utf-8"))
        calls = [
            (c["flag"], context(c["targetingKey"], c["attributes"]), typed(c["defaultValue"], c["variationType"]))
            for c in found
        ]
        answers = Answers(folder / "ufc-config.json", calls)
        for i, case in enumerate(found):
            yield f"{path.stem}/{i}-{case['targetingKey']}", partial(_check, answers, i, case)


def _check(answers: Answers, index: int, case: dict[str, Any]) -> None:
    details, expected = answers[index], case["result"]
    assert details.value == expected["value"], details
    assert details.reason == expected["reason"], details
    if "errorCode" in expected:
        assert details.error_code == expected["errorCode"], details
