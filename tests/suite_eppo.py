"""The cases that Eppo and Datadog publish for universal flag configurations, against this package as users call it.

Needs the folders `eppo` and `datadog-ffe` of the published suites. Bandits, obfuscated and precomputed files are no
business of an evaluator of flags and are not read.
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
    yield from _eppo(root / "eppo" / "ufc")
    yield from _datadog(root / "datadog-ffe")


def _eppo(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    for path in sorted((root / "tests").glob("*.json")):
        case = json.loads(path.read_text("utf-8"))
        default = _default(case["defaultValue"], case["variationType"])
        subjects = case["subjects"]
        calls = [(case["flag"], _context(s["subjectKey"], s["subjectAttributes"]), default) for s in subjects]
        answers = _Answers(root / "flags-v1.json", "eppo", calls)
        for i, subject in enumerate(subjects):
            yield f"eppo/{path.stem}/{i}-{subject['subjectKey']}", partial(_check_eppo, answers, i, subject)


def _datadog(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    for path in sorted((root / "evaluation-cases").glob("*.json")):
        found = json.loads(path.read_text("utf-8"))
        calls = [
            (c["flag"], _context(c["targetingKey"], c["attributes"]), _default(c["defaultValue"], c["variationType"]))
            for c in found
        ]
        answers = _Answers(root / "ufc-config.json", "datadog", calls)
        for i, case in enumerate(found):
            yield f"datadog/{path.stem}/{i}-{case['targetingKey']}", partial(_check_datadog, answers, i, case)


def _context(subject: str | None, attributes: dict[str, Any]) -> dict[str, Any]:
    return attributes if subject is None else {**attributes, "targetingKey": subject}


def _default(value: Any, kind: str) -> Any:
    return float(value) if kind == "NUMERIC" else value  # in the files it is 0; callers of a typed getter write 0.0


class _Answers:
    """What the calls of one file of cases answer, evaluated all at once when the first of them is wanted."""

    def __init__(self, document: Path, expected: str, calls: list[Call]) -> None:
        self._document, self._expected, self._calls = document, expected, calls
        self._found: list[EvaluationDetails] = []

    def __getitem__(self, index: int) -> EvaluationDetails:
        if not self._found:
            self._found = asyncio.run(self._evaluate())
        return self._found[index]

    async def _evaluate(self) -> list[EvaluationDetails]:
        async with pyflagwasm.open(self._document) as flags:  # tells the format by the document
            return [await flags.details(key, context, default) for key, context, default in self._calls]


def _check_eppo(answers: _Answers, index: int, subject: dict[str, Any]) -> None:
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


def _check_datadog(answers: _Answers, index: int, case: dict[str, Any]) -> None:
    details, expected = answers[index], case["result"]
    assert details.value == expected["value"], details
    assert details.reason == expected["reason"], details
    if "errorCode" in expected:
        assert details.error_code == expected["errorCode"], details
