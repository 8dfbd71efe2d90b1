"""An application's evaluator: opened when the application starts, closed when it ends. For any framework."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from ..evaluator import FlagEvaluator
from ..types import State
from ..wanted import a

Evaluator: TypeAlias = FlagEvaluator | Callable[[], FlagEvaluator]
"""An evaluator, or a function that makes one: for an application that is started more than once, as tests do."""


def fit(evaluator: object, call: str) -> None:
    """Refuses, when an application is set up, what neither is an evaluator nor makes one. call: `lifespan({})`."""
    if not isinstance(evaluator, FlagEvaluator) and not callable(evaluator):
        example = evaluator if isinstance(evaluator, (str, os.PathLike)) else "flags.json"
        right = call.format(f"pyflagwasm.open({os.fspath(example)!r})")
        raise TypeError(f"an evaluator is needed, or a function that makes one, not {a(evaluator)}: {right}")


def needs_evaluator(what: str, evaluator: object) -> None:
    """Raises TypeError for what is no evaluator. what: the call that needs one."""
    if not isinstance(evaluator, FlagEvaluator):
        raise TypeError(f"{what} takes an evaluator, as pyflagwasm.open gives it, not {a(evaluator)}")


@asynccontextmanager
async def opened(evaluator: Evaluator) -> AsyncIterator[FlagEvaluator]:
    """An application's evaluator for as long as it runs: opened, and closed at the end.

    One that somebody has opened already is used as it is, and left open. Raises RuntimeError for one that is closed.
    """
    made = evaluator if isinstance(evaluator, FlagEvaluator) else evaluator()
    needs_evaluator("the application", made)
    if made.statistics().state is State.CLOSED:
        raise RuntimeError(
            "the evaluator is closed, by an earlier run of the application: open another one for each run; "
            "frameworks take a function that does, `lambda: pyflagwasm.open(...)`"
        )
    if made._opened:
        yield made
    else:
        async with made:
            yield made
