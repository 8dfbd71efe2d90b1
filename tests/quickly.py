"""What tests of the C extension share: its shortcut alone, and contexts that run something while they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened

from pyflagwasm import FlagEvaluator
from pyflagwasm.runtime import extension

needs_extension = pytest.mark.skipif(
    extension.FOUND is None, reason=f"no native host here: {extension.MISSING_BECAUSE}"
)
PRO = {"targetingKey": "u-1", "plan": "pro", "city": "Ghent", "n": 1}


def learned_flags() -> Iterator[FlagEvaluator]:
    """An evaluator whose flags have given most of their answers; the body of a fixture."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv(extension.HOST_VARIABLE, raising=False)
        evaluator = opened(FLAGD)
        for key in evaluator.flag_keys:
            for context in (PRO, {}, {"targetingKey": "u-2"}, {"targetingKey": "u-3"}, {"targetingKey": "u-5"}):
                evaluator.value_nowait(key, context)
        evaluator.bind(PRO).all()
        yield evaluator
        closed(evaluator)


class Quickly:
    """The shortcut of an evaluator, a pin or a lease alone."""

    def __init__(self, of: Any) -> None:
        self.shortcut = of._shortcut
        assert self.shortcut is not None
        self.many = self.shortcut.many

    def value(self, key: Any, context: Any, default: Any) -> Any:
        return self.shortcut.answer(key, context, None, default, False)

    def details(self, key: Any, context: Any, default: Any) -> Any:
        return self.shortcut.answer(key, context, None, default, True)

    def bound_value(self, key: Any, encoded: Any, default: Any) -> Any:
        return self.shortcut.answer(key, None, encoded, default, False)

    def bound_details(self, key: Any, encoded: Any, default: Any) -> Any:
        return self.shortcut.answer(key, None, encoded, default, True)


class Meddling(str):
    """A key that meets the attribute "plan" in a dict, and runs something when they are compared."""

    act: Callable[[], Any] = staticmethod(lambda: None)

    def __hash__(self) -> int:
        return hash("plan")

    def __eq__(self, other: object) -> bool:
        type(self).act()
        return False


_turns = count(3)


def meddling(act: Callable[[], Any]) -> dict[str, Any]:
    """A context in which "plan" has to be looked for: it is never where it was in the one before."""
    Meddling.act = staticmethod(lambda: None)  # type: ignore[method-assign]
    context: dict[str, Any] = {Meddling("x"): 1, **{f"pad {i}": i for i in range(next(_turns))}, "plan": "pro"}
    Meddling.act = staticmethod(act)  # type: ignore[method-assign]
    return context
