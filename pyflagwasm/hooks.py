"""Hooks around evaluations, in OpenFeature's words: before, after, error, finally_after.

Here live their shape and their order: before in the order of adding, the others in reverse. A hook observes, and may
add to the context beforehand; it cannot change or break an answer. What one raises is logged, once for each hook and
stage, but for `before`: without its part of the context the answer would be another one, so the default is given.
Hooks are called where the evaluation runs, synchronously: they must not block.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .types import EMPTY, ErrorCode, EvaluationDetails, Reason

_LOG: Final = logging.getLogger("pyflagwasm")


@dataclass(frozen=True, slots=True)
class HookContext:
    """What a hook is told. context: as the caller gave it, with what earlier hooks have added, or None."""

    flag_key: str
    default: Any
    context: Mapping[str, Any] | None


class Hook:
    """Base of hooks: override what you need. hints: always empty, for OpenFeature's signatures."""

    def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Attributes to add to the context, over those that it has. Ignored for a bound context, which is encoded."""
        return None

    def after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
        """The evaluation gave a value."""

    def error(self, hook_context: HookContext, exception: Exception, hints: Mapping[str, Any]) -> None:
        """The evaluation gave the default because of an error."""

    def finally_after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
        """The last stage, whatever came of the evaluation."""


class Run:
    """The hooks of one evaluation: `before`, then the evaluation with `context`, then `after`."""

    __slots__ = ("_about", "_hooks", "context")

    def __init__(self, hooks: Sequence[Hook], flag_key: str, default: Any, context: Mapping[str, Any] | None) -> None:
        self._hooks, self.context = tuple(hooks), context  # one that is added meanwhile has missed the first stage
        self._about = HookContext(flag_key, default, context)

    def before(self) -> EvaluationDetails | None:
        """Calls the first stage; the details that end the evaluation if a hook fails."""
        for hook in self._hooks:
            try:
                more = hook.before(self._about, EMPTY)
                if more is not None:
                    self.context = {**(self.context or EMPTY), **more}
                    self._about = HookContext(self._about.flag_key, self._about.default, self.context)
            except Exception as error:
                _report(hook, "before", error)
                message = f"the hook {type(hook).__name__} failed before the evaluation: {type(error).__name__}"
                about = self._about
                return EvaluationDetails(about.flag_key, about.default, None, Reason.ERROR, ErrorCode.GENERAL, message)
        return None

    def after(self, details: EvaluationDetails, exception: Callable[[EvaluationDetails], Exception]) -> None:
        """Calls the last two stages. exception: makes one of details with an error."""
        about, failed = self._about, details.error_code is not None
        for hook in reversed(self._hooks):
            try:
                if failed:
                    hook.error(about, exception(details), EMPTY)
                else:
                    hook.after(about, details, EMPTY)
            except Exception as error:
                _report(hook, "error" if failed else "after", error)
        for hook in reversed(self._hooks):
            try:
                hook.finally_after(about, details, EMPTY)
            except Exception as error:
                _report(hook, "finally_after", error)


_reported: set[tuple[type, str]] = set()


def _report(hook: Hook, stage: str, error: Exception) -> None:
    if (type(hook), stage) not in _reported:
        _reported.add((type(hook), stage))
        _LOG.error("the hook %s raised in %s; further ones are not logged", type(hook).__name__, stage, exc_info=error)
