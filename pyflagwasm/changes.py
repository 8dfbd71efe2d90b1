"""Telling who wants to know that an evaluator answers from another configuration, or that its source fares otherwise.

Here live what is told, the comparison of two configurations, and the order of calls. When to tell is evaluator.py's
business. Without listeners nothing is compared and nothing is kept.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar
from weakref import WeakMethod

from .generation import Generation
from .types import State

T = TypeVar("T")
_LOG: Final = logging.getLogger("pyflagwasm")


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an evaluator since the listener was told last.

    state: how it is. before: how it was.
    generation: the number of the configuration that answers. replaced: of the one that did; the same if it still does,
    0 for none.
    flags_changed: the keys of flags that were added, removed or are decided differently, in the order of the new
    configuration, then of the old one. Empty if nothing was replaced.
    cause: why the source fails; None if it does not.
    """

    before: State
    state: State
    replaced: int
    generation: int
    flags_changed: tuple[str, ...]
    cause: str | None


Listener: TypeAlias = Callable[[Change], object]
Fares: TypeAlias = tuple[State, Generation | None, str | None]


class Listeners:
    """Who is told, one after the other, and never two at once. fares: how the evaluator is, as far as it is told.

    From any thread. A change that comes while another one is being told is told afterwards, by who tells that one.
    """

    def __init__(self, fares: Callable[[], Fares]) -> None:
        self._fares = fares
        self._listeners: tuple[Listener, ...] = ()
        self._known: tuple[State, Generation | None] = (State.NOT_READY, None)
        self.after_fork()

    def after_fork(self) -> None:
        self._lock = threading.RLock()  # held for moments, but a finalizer may come in between
        self._untold: deque[Change] = deque()
        self._telling = False

    def add(self, listener: Listener) -> Callable[[], None]:
        """From now on it is told; not any more once the result is called, which is idempotent."""

        def told(change: Change) -> None:
            listener(change)

        with self._lock:
            if not self._listeners:
                self._known = self._fares()[:2]
            self._listeners = (*self._listeners, told)

        def remove() -> None:
            with self._lock:
                self._listeners = tuple(each for each in self._listeners if each is not told)
                if not self._listeners:
                    self._known = State.NOT_READY, None  # and keep no configuration alive

        return remove

    def tell(self) -> None:
        """Tell what is different now, or that nothing is."""
        if not self._listeners:
            return
        with self._lock:
            self._untold.append(self._change())
            if self._telling:
                return
            self._telling = True
        try:
            while True:
                with self._lock:
                    if not self._untold:
                        self._telling = False
                        return
                    change = self._untold.popleft()
                for listener in self._listeners:
                    if listener not in self._listeners:  # the one before has taken it away
                        continue
                    try:
                        listener(change)
                    except Exception:
                        _LOG.exception("a listener of the evaluator raised")
        except BaseException:
            self._telling = False
            raise

    def _change(self) -> Change:
        before, old = self._known
        state, new, cause = self._fares()
        self._known = state, new
        replaced, generation = (0 if each is None else each.number for each in (old, new))
        return Change(before, state, replaced, generation, _changed(old, new), cause)


def weakly(method: Callable[[T], object]) -> Callable[[T], None]:
    """A listener that calls a method and does not keep its object alive."""
    reference = WeakMethod(method)

    def heard(news: T) -> None:
        found = reference()
        if found is not None:
            found(news)

    return heard


def _changed(old: Generation | None, new: Generation | None) -> tuple[str, ...]:
    """Some 0.1 us for each flag."""
    if new is None or new is old:
        return ()
    then = {} if old is None else old.compiled.fingerprints
    now = new.compiled.fingerprints
    return (*(key for key, found in now.items() if then.get(key) != found), *(key for key in then if key not in now))
