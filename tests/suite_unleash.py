"""Unleash's client specification: each test of each file, through the guest."""

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

NOT_FOUND = {"name": "disabled", "enabled": False, "feature_enabled": False}
KINDS = ("tests", "variantTests")

Answer = tuple[EvaluationDetails, Any]


def cases(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names and functions; `FILE/tests/NUMBER DESCRIPTION`."""
    folder = root / "unleash" / "specifications"
    for name in json.loads((folder / "index.json").read_text("utf-8")):
        specification = json.loads((folder / name).read_text("utf-8"))
        given = [(kind, case) for kind in KINDS for case in specification.get(kind, ())]
        answers = _Answers(specification["state"], [case for _, case in given])
        for i, (kind, case) in enumerate(given):
            title = f"{name.removesuffix('.json')}/{kind}/{i} {case['description']}"
            yield title, partial(_check, answers, i, kind, case["expectedResult"])


def _check(answers: _Answers, number: int, kind: str, expected: Any) -> None:
    own, chosen = answers[number]
    if kind == "tests":
        assert own.value is expected, f"{own.value}, not {expected}"
        return
    if chosen is None:  # a feature without variants has no flag of its variant
        chosen = NOT_FOUND | {"feature_enabled": own.value}
    assert chosen == expected, f"{chosen}, not {expected}"
    assert (own.variant or "disabled") == expected["name"], f"{own.variant}, not {expected['name']}"


class _Answers:
    """What a state answers, for all cases at once when the first one is asked for."""

    def __init__(self, state: Any, given: list[Any]) -> None:
        self._state, self._given = state, given
        self._found: list[Answer] | None = None

    def __getitem__(self, number: int) -> Answer:
        if self._found is None:
            self._found = asyncio.run(self._ask())
        return self._found[number]

    async def _ask(self) -> list[Answer]:
        async with pyflagwasm.open(self._state) as flags:
            return [
                (
                    await flags.details(case["toggleName"], case["context"], default=False),
                    await flags.value(f"{case['toggleName']}/variant", case["context"]),
                )
                for case in self._given
            ]
