"""Which overrides hold here and now: those of the context, and those of the whole process. The newest one wins.

Here live the two places in which a layer of overrides can lie, and that the hook is among those of every evaluator
exactly as long as it is needed. What callers write is in overrides.py, how an overridden flag answers in answering.py.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from itertools import chain, count
from typing import Any, Final

from ..hooks import everywhere, nowhere
from .answering import Answering
from .strict import Findings


class Layer:
    """Some overrides that came at once. keywords: the keys that were written as Python names.

    wide: whether it is the process's, or of the contexts that have inherited it.
    alive: until its end, which is an end for every task that has inherited it, too.
    mistaken: keys with underscores that no flag has, by the key with dashes that was asked for instead.
    """

    __slots__ = ("alive", "keywords", "mistaken", "number", "values", "wide")

    def __init__(self, values: Mapping[str, Any], keywords: frozenset[str], wide: bool) -> None:
        self.values, self.keywords, self.wide = values, keywords, wide
        self.number = next(_numbers)
        self.alive = True
        self.mistaken: dict[str, str] = {}


_numbers: Final = count()
_here: ContextVar[tuple[Layer, ...]] = ContextVar("pyflagwasm.overrides", default=())
_wide: tuple[Layer, ...] = ()
_watching: tuple[Findings, ...] = ()
_needed = 0
_lock = threading.RLock()  # a finalizer may end a layer while another one begins


def living() -> Iterator[Layer]:
    """The layers that hold here, the newest first."""
    return iter(
        sorted((layer for layer in (*_wide, *_here.get()) if layer.alive), key=lambda each: each.number, reverse=True)
    )


def watching() -> tuple[Findings, ...]:
    """Who is told of every evaluation of the process."""
    return _watching


def begin(layer: Layer) -> None:
    """From now on the layer holds."""
    global _wide
    with _lock:
        if layer.wide:
            _wide = (*_wide, layer)
        else:
            _here.set((*_here.get(), layer))
        _need(1)
    for findings in _watching:
        findings.begun(layer.values)


def end(layer: Layer) -> None:
    """The layer holds nowhere any more. Idempotent."""
    global _wide
    with _lock:
        if not layer.alive:
            return
        layer.alive = False
        _wide = tuple(each for each in _wide if each is not layer)
        _here.set(tuple(each for each in _here.get() if each.alive))  # other contexts do so when theirs end
        _need(-1)


def ending(layers: Sequence[Layer]) -> Layer | None:
    """Which of these layers a block that ends here has begun: the newest of this context, else the newest wide one.

    A fixture may end in another context than it began in; then it is the newest of all.
    """
    here = _here.get()
    newest = [*reversed(layers)]
    ours = (layer for layer in newest if layer in here)
    wide = (layer for layer in newest if layer.wide)
    return next(chain(ours, wide, newest), None)


def watch(findings: Findings) -> None:
    """Have all evaluations of the process told to these, until `unwatch`."""
    global _watching
    with _lock:
        _watching = (*_watching, findings)
        _need(1)


def unwatch(findings: Findings) -> None:
    """Undo `watch`. Idempotent."""
    global _watching
    with _lock:
        if findings in _watching:
            _watching = tuple(each for each in _watching if each is not findings)
            _need(-1)


def _need(more: int) -> None:
    global _needed
    before, _needed = _needed, _needed + more
    if not before:
        everywhere(_ANSWERING)
    elif not _needed:
        nowhere(_ANSWERING)


_ANSWERING: Final = Answering(living, watching)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that held it, if any, does not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
