"""`pyflagwasm evaluate`: flags for contexts, one line of JSON for each."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from ..types import ErrorCode
from .arguments import Add, add_now
from .input import contexts, loaded, now_us
from .output import FLAWED, SOUND, counted, tell, to_json, write

if TYPE_CHECKING:
    from ..generation import Outcome
    from ..types import EvaluationDetails


def add_commands(add: Add) -> None:
    """Adds the command."""
    evaluate = add(
        "evaluate",
        "evaluate flags; one line of JSON for each context and flag",
        "[--context JSON | --contexts FILE.ndjson | -] [--flag KEY]... [--now RFC3339]",
    )
    evaluate.add_argument("--context", metavar="JSON", help="one evaluation context; without any an empty one")
    evaluate.add_argument("--contexts", metavar="FILE", help="contexts, one on a line; - for stdin")
    evaluate.add_argument("--flag", metavar="KEY", action="append", help="a flag; without any all, in the file's order")
    add_now(evaluate)


def run(arguments: argparse.Namespace) -> int:
    """Runs it; the exit code."""
    from ..generation import Encoded, Selection
    from ..pool.asking import decide

    given_us = now_us(arguments.now)
    with closing(loaded(arguments)) as pool:
        generation = pool.generation
        assert generation is not None
        printer = _Printer(generation.flags)
        keys = arguments.flag or list(generation.flags)
        selection = Selection(generation, [generation.flag(key) for key in keys])
        for number, context in enumerate(contexts(arguments)):
            now = time.time_ns() // 1000 if given_us is None else given_us
            outcomes = decide(pool, selection, Encoded(selection, context, now), now)
            printer.print(
                number,
                (outcome or generation.not_found(key) for key, outcome in zip(keys, outcomes, strict=True)),
            )
    return printer.end()


class _Printer:
    """The lines of `evaluate`: those of one context are written together, at once."""

    def __init__(self, flag_keys: Iterable[str]) -> None:
        self._flag_keys = flag_keys
        self._tails: dict[Outcome, bytes] = {}
        self._count = self._errors = 0
        self._first = ""

    def print(self, context: int, outcomes: Iterable[Outcome]) -> None:
        head = b'{"context":%d,' % context
        lines = []
        for outcome in outcomes:
            lines.append(head)
            tail = self._tails.get(outcome)
            lines.append(self._tail(outcome) if tail is None else tail)
            self._count += 1
            details = outcome.details
            if details.error_code is not None:
                self._errors += 1
                self._first = self._first or f"context {context}, flag {details.flag_key}: {self._reason(details)}"
        write(b"".join(lines))

    def _reason(self, details: EvaluationDetails) -> str:
        from ..pool.remarks import did_you_mean

        unknown = details.error_code is ErrorCode.FLAG_NOT_FOUND
        meant = did_you_mean(details.flag_key, self._flag_keys) if unknown else ""
        return f"{details.error_code}: {details.error_message}{meant}"

    def _tail(self, outcome: Outcome) -> bytes:
        details = outcome.details
        line = to_json(
            {
                "flag": details.flag_key,
                "value": details.value,
                "variant": details.variant,
                "reason": details.reason.value,
                "error_code": None if details.error_code is None else details.error_code.value,
            }
        )
        tail = f"{line[1:]}\n".encode(errors="backslashreplace")
        if details.error_code is None:  # of those there are as many as the flags have ways to end
            self._tails[outcome] = tail
        return tail

    def end(self) -> int:
        if not self._errors:
            return SOUND
        are = "is an error" if self._errors == 1 else "are errors; the first"
        tell(f"{self._errors} of {counted(self._count, 'answer')} {are}: {self._first}")
        return FLAWED
