"""The cases that Eppo publishes for universal flag configurations, against this package as users call it.

Bandits, obfuscated and precomputed files are no business of an evaluator of flags and are not read. Here live what
suite_datadog.py needs, too: calls of one file of cases, evaluated together.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyflagwasm
from pyflagwasm.types import EvaluationDetails

LEFT_OUT: dict[str, str] = {}
"""Case, or the beginning of its name -> why it is not expected to pass."""

Call = tuple[str, dict[str, Any], Any]
_OUTCOMES = {
    "MATCH": {"STATIC", "SPLIT", "TARGETING_MATCH", "DEFAULT"},
    "DEFAULT_ALLOCATION_NULL": {"DEFAULT"},
    "ASSIGNMENT_ERROR": {"ERROR"},
}
_UNKNOWN = "FLAG_UNRECOGNIZED_OR_DISABLED"


def cases(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and check of each published case."""
    folder = root / "eppo" / "ufc"
    for path in sorted((folder / "tests").glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        default = typed(case["defaultValue"], case["variationType"])
        subjects = case["subjects"]
        calls = [(case["flag"], context(s["subjectKey"], s["subjectAttributes"]), default) for s in subjects]
        answers = Answers(folder / "flags-v1.json", calls)
        for i, subject in enumerate(subjects):
            yield f"{path.stem}/{i}-{subject['subjectKey']}", partial(_check, answers, i, subject)


def context(subject: str | None, attributes: dict[str, Any]) -> dict[str, Any]:
    return attributes if subject is None else {**attributes, "targetingKey": subject}


def typed(value: Any, kind: str) -> Any:
    return float(value) if kind == "NUMERIC" else value  # in the files it is 0; callers of a typed getter write 0.0


class Answers:
    """What the calls of one file of cases answer, evaluated all at once when the first of them is wanted."""

    def __init__(self, document: Path, calls: list[Call]) -> None:
        self._document, self._calls = document, calls
        self._found: list[EvaluationDetails] = []

    def __getitem__(self, index: int) -> EvaluationDetails:
        if not self._found:
            self._found = asyncio.run(self._evaluate())
        return self._found[index]

    async def _evaluate(self) -> list[EvaluationDetails]:
        async with pyflagwasm.open(self._document) as flags:  # tells the format by the document
            return [await flags.details(key, context, default) for key, context, default in self._calls]


def _check(answers: Answers, index: int, subject: dict[str, Any]) -> None:
    details, expected = answers[index], subject["evaluationDetails"]
    assert details.value == subject["assignment"], details
    assert type(details.value) is type(subject["assignment"]) or isinstance(details.value, (int, float)), details
    code = expected["flagEvaluationCode"]
    if code == _UNKNOWN:
        assert details.reason == "DISABLED" or details.error_code == "FLAG_NOT_FOUND", details
    else:
        assert details.reason in _OUTCOMES[code], details
    allocation = expected["matchedAllocation"]
    if code == "MATCH":
        assert details.variant == expected["variationKey"], details
        assert details.metadata["allocationKey"] == allocation["key"], details
        assert details.rule_index == allocation["orderPosition"] - 1, details
        assert details.reason == "TARGETING_MATCH" or expected["matchedRule"] is None, details
