"""Hooks around evaluations, in OpenFeature's words: before, after, error, finally_after.

Here live their shape and their order: before in the order of adding, the others in reverse. A hook observes, and may
add to the context beforehand; it cannot change or break an answer. What one raises is logged, once for each hook and
stage, but for `before`: without its part of the context the answer would be another one, so the default is given.
Hooks are called where the evaluation runs, synchronously: they must not block.

Here is also what tests put in place of evaluations, for every evaluator of the process: `everywhere` and Override.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .types import EMPTY, ErrorCode, EvaluationDetails, Reason
from .wanted import a

if TYPE_CHECKING:
    from .evaluations import Evaluations

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


class Override(Hook):
    """Internal: what answers in place of evaluations, and hears what each of them gave. See pyflagwasm.testing."""

    def answer(self, of: Evaluations, about: HookContext) -> EvaluationDetails | None:
        """The details in place of an evaluation, which is then not made and not counted; None to have it made."""
        return None

    def given(self, of: Evaluations, about: HookContext, details: EvaluationDetails, strict: bool) -> None:
        """An evaluation, or what was in its place, is about to give these details, or to raise if it is strict."""

    def selected(
        self, of: Evaluations, context: Mapping[str, Any] | None, flag_keys: Sequence[str] | None, found: dict[str, Any]
    ) -> dict[str, Any]:
        """What `many(flag_keys)`, or `all()` for None, gives in place of what was found. Other hooks hear nothing."""
        return found

    def detailed(
        self, of: Evaluations, context: Mapping[str, Any] | None, found: dict[str, EvaluationDetails]
    ) -> dict[str, EvaluationDetails]:
        """As `selected`, for `all_details()`."""
        return found


class Run:
    """The hooks of one evaluation: `before`, then the evaluation with `context`, then `after`."""

    __slots__ = ("_about", "_hooks", "_of", "_strict", "context")

    def __init__(
        self, of: Evaluations, flag_key: str, default: Any, context: Mapping[str, Any] | None, strict: bool
    ) -> None:
        self._of, self._strict = of, strict
        self._hooks, self.context = tuple(of._hooks), context  # one that is added meanwhile has missed the first stage
        self._about = HookContext(flag_key, default, context)

    def before(self) -> EvaluationDetails | None:
        """Calls the first stage; the details that end the evaluation if a hook fails, or a test overrides the flag."""
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
        for override in overriding:
            details = override.answer(self._of, self._about)
            if details is not None:
                return details
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
        for override in overriding:
            override.given(self._of, about, details, self._strict)


_reported: set[tuple[type, str]] = set()


def _report(hook: Hook, stage: str, error: Exception) -> None:
    if (type(hook), stage) not in _reported:
        _reported.add((type(hook), stage))
        _LOG.error("the hook %s raised in %s; further ones are not logged", type(hook).__name__, stage, exc_info=error)


# ---------------------------------------------------------------- hooks of every evaluator

overriding: Final[list[Override]] = []
"""The overrides among the hooks that are everywhere: empty but in tests."""

_everywhere: Final[list[Hook]] = []
_lock = threading.RLock()  # a finalizer may open an evaluator while another one is being opened


class HookList(list[Hook]):
    """The hooks of one evaluator, its pins and leases; follows `everywhere` as long as one of them lives."""

    __slots__ = ("__weakref__",)

    def __init__(self, hooks: Iterable[Hook]) -> None:
        if not isinstance(hooks, Iterable):
            raise TypeError(f"hooks is a list of hooks, not {a(hooks)}: hooks=[...]")
        super().__init__(map(_object, hooks))
        with _lock:
            self.extend(_everywhere)
            _lists[id(self)] = self

    def append(self, hook: Hook) -> None:
        super().append(_object(hook))


def _object(hook: Hook) -> Hook:
    """Refuses a class: its stages would be called without an object, and fail each time."""
    if isinstance(hook, type):
        raise TypeError(f"a hook is an object, not a class: {hook.__name__}()")
    return hook


# Not by evaluator: a hook may know its evaluator, and would keep it alive from here.
_lists: Final[weakref.WeakValueDictionary[int, HookList]] = weakref.WeakValueDictionary()


def everywhere(hook: Hook) -> None:
    """Have a hook called around every evaluation of this process: by evaluators that exist, and those to come.

    As long as there is one, all of them take the slower way that hooks take. Not twice for the same hook.
    """
    with _lock:
        _everywhere.append(hook)
        if isinstance(hook, Override):
            overriding.append(hook)
        for hooks in list(_lists.values()):
            hooks.append(hook)


def nowhere(hook: Hook) -> None:
    """Undo `everywhere`."""
    with _lock:
        lists: list[list[Any]] = [_everywhere, overriding, *_lists.values()]
        for hooks in lists:
            for index, each in enumerate(hooks):
                if each is hook:
                    del hooks[index]
                    break


def overridden(
    of: Evaluations, context: Mapping[str, Any] | None, flag_keys: Sequence[str] | None, found: dict[str, Any]
) -> dict[str, Any]:
    """What several flags give, as `Override.selected` says."""
    for override in overriding:
        found = override.selected(of, context, flag_keys, found)
    return found


def detailed(
    of: Evaluations, context: Mapping[str, Any] | None, found: dict[str, EvaluationDetails]
) -> dict[str, EvaluationDetails]:
    """The details of all flags, as `Override.detailed` says."""
    for override in overriding:
        found = override.detailed(of, context, found)
    return found


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that held it, if any, does not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
