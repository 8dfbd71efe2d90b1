"""Flags in tests: `override_flags` decides some flags for a block, `in_memory` opens an evaluator from plain values.

    with override_flags({"new-checkout": True}):
        ...                                         # whichever evaluator is asked

    flags = in_memory({"new-checkout": False})
    flags.set_for("new-checkout", "user-1", True)

Fixtures and marks for pytest are in pyflagwasm/pytest_plugin.py. Importing this loads no core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .overrides import Overrides, override_flags

if TYPE_CHECKING:
    from .memory import InMemoryEvaluator, in_memory

__all__ = ["InMemoryEvaluator", "Overrides", "in_memory", "override_flags"]


def __getattr__(name: str) -> object:
    if name not in ("InMemoryEvaluator", "in_memory"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import memory

    value: object = getattr(memory, name)
    globals()[name] = value
    return value
