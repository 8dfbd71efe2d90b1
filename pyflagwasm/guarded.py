"""One instance of the core behind a lock, with the generation that is live in it: safe from any thread.

Here live exclusive use, the swap of generations and the replacement of an instance that trapped. What a decision means
is in generation.py. The caller's mappings and clock are never used under the lock. Finalizers and signal handlers may
run under it, as they may anywhere: what they ask is answered by an instance of its own.
"""

from __future__ import annotations

import atexit
import os
import struct
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from . import _abi
from .errors import ConfigError, GuestError, GuestTrapError
from .generation import Encoded, Flag, Generation, Outcome, Selection
from .runtime.encode import EncodeError
from .runtime.instance import Instance
from .types import ErrorCode

T = TypeVar("T")

Trace = tuple[int, list[tuple[int, int, int, int]], bool]
"""Packed decision, events, and whether there were more of them."""

_NOW: Final = struct.Struct("<q")
_MOST_BUFFERS: Final = 8


class GuardedInstance:
    """Asks the core, one caller at a time.

    Every question is prepared for a generation, and is answered None if another one is live: prepare it anew. One that
    makes the core trap raises GuestTrapError and costs the instance: a new one is loaded at once or, if that fails,
    with the next question.

    `_busy` says that the thread which has the lock is using the instance, so that a finalizer or signal handler that
    comes in between, and gets the lock as the same thread, leaves the instance alone.
    """

    __slots__ = ("__weakref__", "_buffers", "_busy", "_closed", "_instance", "_lock", "_newest", "generation")

    def __init__(self) -> None:
        self.generation: Generation | None = None
        self._instance: Instance | None = None
        self._lock = threading.RLock()
        self._busy = False
        self._newest = 0
        self._closed = False
        self._buffers: list[memoryview] = []
        _all.add(self)

    # ------------------------------------------------------------ buffers

    @contextmanager
    def buffer(self) -> Iterator[memoryview]:
        """A buffer as large as a request may be, for as long as the block runs."""
        buffer = self.take_buffer()
        try:
            yield buffer
        finally:
            self.give_buffer(buffer)

    def take_buffer(self) -> memoryview:
        try:
            return self._buffers.pop()
        except IndexError:
            return memoryview(bytearray(_abi.SCRATCH_REQUEST_SIZE))

    def give_buffer(self, buffer: memoryview) -> None:
        if len(self._buffers) < _MOST_BUFFERS:
            self._buffers.append(buffer)

    # ------------------------------------------------------------ questions

    def evaluate(self, flag: Flag, request: bytes | memoryview, now_us: int) -> int | None:
        """The packed decision for an encoded request. `now_us` takes the place of the request's clock."""
        index = flag.entry.index
        return self._ask(flag.generation, request, now_us, lambda instance: instance.evaluate(index))

    def explain(self, flag: Flag, request: bytes | memoryview, now_us: int) -> Trace | None:
        """The packed decision with its trace."""

        def ask(instance: Instance) -> Trace:
            packed, events = instance.explain(flag.entry.index)
            return packed, events, instance.trace_truncated

        return self._ask(flag.generation, request, now_us, ask)

    def decide(self, selection: Selection, encoded: Encoded, now_us: int) -> list[Outcome | None] | None:
        """The outcomes of a selection's flags for one context, None for flags that do not exist.

        One crossing if the context can be sent for all flags at once. Never raises GuestTrapError: where one traps,
        they are asked one by one.
        """
        if encoded.whole is None:
            return self._one_by_one(selection, encoded, now_us)
        generation, indexes = selection.generation, selection.indexes
        try:
            packed = self._ask(generation, encoded.whole, now_us, lambda instance: instance.evaluate_many(indexes))
        except GuestError:
            return self._one_by_one(selection, encoded, now_us)
        if packed is None:
            return None
        decisions = iter(packed)
        return [None if flag is None else flag.outcome(next(decisions)) for flag in selection.flags]

    def _one_by_one(self, selection: Selection, encoded: Encoded, now_us: int) -> list[Outcome | None] | None:
        outcomes: list[Outcome | None] = []
        for flag in selection.flags:
            if flag is None:
                outcomes.append(None)
                continue
            try:
                packed = self.evaluate(flag, encoded.request(flag), now_us)
            except EncodeError as error:
                outcomes.append(flag.failure(error.code, str(error)))
            except GuestError as error:
                outcomes.append(flag.failure(ErrorCode.GENERAL, str(error)))
            else:
                if packed is None:
                    return None
                outcomes.append(flag.outcome(packed))
        return outcomes

    def _ask(
        self, generation: Generation, request: bytes | memoryview, now_us: int, ask: Callable[[Instance], T]
    ) -> T | None:
        if _ending and self._stuck():
            return self._ask_aside(generation, request, now_us, ask)
        with self._lock:
            if self._busy:
                return self._ask_aside(generation, request, now_us, ask)
            self._busy = True
            try:
                if self.generation is not generation:
                    return None
                instance = self._instance or self._replaced(generation)
                try:
                    instance.scratch[: len(request)] = request
                except ValueError:
                    if not instance.dead:
                        raise
                    # Dropped: the garbage collector has come for this evaluator, and a finalizer evaluates once more.
                    instance = self._replaced(generation)
                    instance.scratch[: len(request)] = request
                _NOW.pack_into(instance.scratch, _abi.REQUEST_NOW_US, now_us)
                return ask(instance)
            except GuestTrapError:
                self._discard(generation)
                raise
            finally:
                self._busy = False

    def _ask_aside(
        self, generation: Generation, request: bytes | memoryview, now_us: int, ask: Callable[[Instance], T]
    ) -> T | None:
        """As `_ask`, while the instance is in use further up in this thread, or by one that never goes on."""
        if self.generation is not generation:
            return None
        instance = _loaded(generation)
        try:
            instance.scratch[: len(request)] = request
            _NOW.pack_into(instance.scratch, _abi.REQUEST_NOW_US, now_us)
            return ask(instance)
        finally:
            instance.close()

    # ------------------------------------------------------------ instances and generations

    def _replaced(self, generation: Generation) -> Instance:
        """A new instance with the generation in it, for this question and the next. Raises GuestError."""
        instance = _loaded(generation)
        if not self._closed:
            self._instance = instance
        return instance

    def _discard(self, generation: Generation) -> None:
        dead, self._instance = self._instance, None
        if dead is not None:
            dead.close()
        if self._closed:
            return
        try:
            self._replaced(generation)
        except GuestError:
            pass  # the next question tries again and reports it

    def swap(self, generation: Generation, ticket: int) -> None:
        """Make a new generation the live one. `ticket` says which swap was wanted later: an older one changes nothing.

        Raises ConfigError or GuestError; then the live one goes on, as after any other exception. RuntimeError if this
        is closed, or in use further up in this thread.
        """
        if _ending and self._stuck():
            raise RuntimeError("the interpreter is exiting")
        with self._lock:
            if self._busy:
                raise RuntimeError("a finalizer or signal handler cannot reload while its thread uses the core")
            self._busy = True
            try:
                self._swap(generation, ticket)
            finally:
                self._busy = False

    def _swap(self, generation: Generation, ticket: int) -> None:
        if self._closed:
            raise RuntimeError("the evaluator is closed")
        if ticket < self._newest:
            return
        live = self.generation
        instance = self._instance or Instance()
        try:
            instance.load(generation.compiled.ir, generation.compiled.digest)
            if self._closed:  # meanwhile, by a finalizer
                raise RuntimeError("the evaluator is closed")
            self._newest = ticket
            generation.number = live.number + 1 if live is not None else 1
            self._instance, self.generation = instance, generation
        except ConfigError:  # the core has the old one
            if instance is not self._instance:
                instance.close()
            raise
        except BaseException:  # the core may have either: the next question loads the one that it is for
            self._instance = None
            instance.close()
            raise

    def close(self) -> None:
        """Free the instance. Idempotent; questions are answered None from now on."""
        if _ending and self._stuck():
            self._closed, self.generation = True, None
            return
        with self._lock:
            self._closed = True
            self.generation = None
            instance, self._instance = self._instance, None
            if instance is not None and not self._busy:
                instance.close()  # else it ends when its user, further up in this thread, drops it

    def _stuck(self) -> bool:
        """Whether another thread has the lock, for ever if it is a daemon that the exit of the interpreter stopped."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
            return False
        return True

    def _after_fork(self) -> None:
        if not self._stuck():
            return
        # In the middle of something, by a thread that does not exist here.
        self._lock, self._busy = threading.RLock(), False
        if self._instance is not None:
            _abandoned.append(self._instance)
            self._instance = None


def _loaded(generation: Generation) -> Instance:
    """A new instance with the generation in it. Raises GuestError."""
    instance = Instance()
    try:
        instance.load(generation.compiled.ir, generation.compiled.digest)
    except ConfigError as error:  # it was accepted before
        instance.close()
        raise GuestTrapError(f"a new instance of the core fails: {error}") from None
    except BaseException:
        instance.close()
        raise
    return instance


_all: weakref.WeakSet[GuardedInstance] = weakref.WeakSet()
_abandoned: list[Instance] = []  # kept, because freeing what another thread was using is undefined


_ending = False
"""Whether the interpreter is exiting: waiting for a daemon thread, which stops where it is, would be for ever."""


def _at_exit() -> None:
    global _ending
    _ending = True


atexit.register(_at_exit)


def _after_fork() -> None:
    for instance in list(_all):
        instance._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
