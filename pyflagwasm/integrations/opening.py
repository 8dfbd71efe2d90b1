"""An application's evaluator: opened when the application starts, closed when it ends. For any framework."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from ..evaluator import FlagEvaluator
from ..types import State

Evaluator: TypeAlias = FlagEvaluator | Callable[[], FlagEvaluator]
"""An evaluator, or a function that makes one: for an application that is started more than once, as tests do."""


@asynccontextmanager
async def opened(evaluator: Evaluator) -> AsyncIterator[FlagEvaluator]:
    """An application's evaluator for as long as it runs: opened, and closed at the end.

    One that somebody has opened already is used as it is, and left open. Raises RuntimeError for one that is closed.
    """
    made = evaluator if isinstance(evaluator, FlagEvaluator) else evaluator()
    if not isinstance(made, FlagEvaluator):
        raise TypeError(f"a FlagEvaluator is needed, as pyflagwasm.open gives it, not {type(made).__name__}")
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
