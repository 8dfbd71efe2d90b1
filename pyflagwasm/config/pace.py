"""Compiling in a thread without being felt.

A thread that computes in Python keeps an event loop waiting for 5 ms at a time, the interpreter's switch interval: one
that breathes gives way by itself, about every half millisecond. And the many objects that it makes for a moment set off
the garbage collector, which stops everybody for the longer, the more there are: it is held off meanwhile, a second at
the most.

Giving way asks for some fairness of those that are let in. An event loop that is never idle lets go of the interpreter
only to take it again within microseconds, and can keep a thread that waits for it out for a second at a time, again and
again. So whoever awaits such a thread calls `make_room` now and then: the loop stands still for a slice, and a busy one
delays a configuration instead of starving it.

Whoever loops over a document calls `breathe` for every item. It does nothing outside of `unhurried`.
"""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any, Final

SLICE: Final = 0.0006
"""Seconds of work between two pauses."""
PAUSE: Final = 0.00005
"""Seconds of a pause. None at all would not do: whoever waits for the interpreter must have the time to take it."""
HELD_OFF: Final = 1.0
"""Seconds after which the garbage collector goes on in any case: the application needs it, too."""

STARVED: Final = 0.005
"""Seconds: who has been kept out for so long, the switch interval, is not getting in by itself."""

_due: dict[int, float] = {}  # thread -> when it should pause next
_pausing: dict[int, float] = {}  # thread -> since when it has been pausing
_holding: dict[int, float] = {}  # thread -> until when it holds off the garbage collector


@contextmanager
def unhurried() -> Iterator[None]:
    """In this block `breathe` pauses. Makes long work somewhat longer, and other threads' waits short."""
    me = get_ident()
    _due[me] = 0.0
    if _holding or gc.isenabled():  # else it is off because somebody wants it so
        _holding[me] = time.perf_counter() + HELD_OFF
        gc.disable()
    try:
        yield
    finally:
        _due.pop(me, None)
        _collect_again(me)


def breathe() -> None:
    """Let other threads run, if it is time. Costs some 50 ns if not."""
    if _due:
        me = get_ident()
        due = _due.get(me)
        if due is not None and (begun := time.perf_counter()) >= due:
            _pausing[me] = begun
            time.sleep(PAUSE)
            _pausing.pop(me, None)
            now = time.perf_counter()
            _due[me] = now + SLICE
            if _holding.get(me, now) < now:
                _collect_again(me)


def make_room() -> None:
    """Stand still for a slice if somebody who breathes has not got the interpreter back. For the thread of a loop."""
    if _pausing and time.perf_counter() - min(_pausing.copy().values(), default=math.inf) > STARVED:
        time.sleep(SLICE)


def let_go(items: list[Any]) -> None:
    """Give up the last references to many things one by one: freeing all at once would be one long step, too."""
    while items:
        items.pop()
        breathe()


def _collect_again(thread: int) -> None:
    if _holding.pop(thread, None) is not None and not _holding:
        gc.enable()


def _after_fork() -> None:
    """Of the threads that compiled only the one that forked goes on."""
    for thread in [each for each in _due if each != get_ident()]:
        _due.pop(thread, None)
        _pausing.pop(thread, None)
        _collect_again(thread)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
