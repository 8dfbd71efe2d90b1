"""The queue of those who wait for an instance, and how one is handed over. What an instance is does not matter here.

Hand-over is assignment before waking: whoever is woken has the instance already, so nobody can slip in between. A
waiter that gave up - timed out, was cancelled - refuses, and the instance goes on to the next. Every step is one atomic
operation of a list or a deque, so there is no lock that a finalizer, a signal handler or a fork could find held.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")


class Waiter(Generic[T]):
    """One who waits: a task of an event loop, or a thread. wake: called from any thread, once."""

    __slots__ = ("_open", "_wake", "item")

    def __init__(self, wake: Callable[[], object]) -> None:
        self._open: list[None] = [None]  # whoever pops this has settled how the wait ends
        self._wake = wake
        self.item: T | None = None

    def give(self, item: T | None) -> bool:
        """Hand over an item, or None if there will be none. False if nobody waits any more: the caller keeps it."""
        self.item = item
        try:
            self._open.pop()
            self._wake()
        except (IndexError, RuntimeError):  # it gave up; its event loop is closed
            self.item = None
            return False
        return True

    def give_up(self) -> bool:
        """End the wait without an item. False if it was settled before: then `item` is what was handed over."""
        try:
            self._open.pop()
        except IndexError:
            return False
        return True


class Queue(Generic[T]):
    """First come, first served. True while somebody waits, and for ever once it is closed."""

    __slots__ = ("_waiters", "closed", "limit")

    def __init__(self, limit: int) -> None:
        self.limit: Final = limit
        self.closed = False
        self._waiters: deque[Waiter[T]] = deque()

    def __len__(self) -> int:
        return len(self._waiters)

    def __bool__(self) -> bool:
        return self.closed or bool(self._waiters)

    def join(self, waiter: Waiter[T]) -> bool:
        """False if there are too many already."""
        if len(self._waiters) >= self.limit:
            return False
        self._waiters.append(waiter)
        return True

    def leave(self, waiter: Waiter[T]) -> None:
        """Take out a waiter that gave up."""
        try:
            self._waiters.remove(waiter)
        except ValueError:
            pass  # it was taken out to be given something

    def give(self, item: T) -> bool:
        """Hand an item to the first who takes it. False if nobody does."""
        while True:
            try:
                waiter = self._waiters.popleft()
            except IndexError:
                return False
            if waiter.give(item):
                return True

    def close(self) -> None:
        """Send everybody away. Idempotent."""
        self.closed = True
        while True:
            try:
                self._waiters.popleft().give(None)
            except IndexError:
                return

    def after_fork(self) -> None:
        """Those who waited do not exist in a forked child."""
        self._waiters.clear()


class Turn(Generic[T]):
    """How one wait ended. joined: False if too many wait already. item: what was handed over, if anything was."""

    __slots__ = ("item", "joined")

    def __init__(self, joined: bool, item: T | None = None) -> None:
        self.joined, self.item = joined, item


def _settled(queue: Queue[T], waiter: Waiter[T]) -> T | None:
    """The end of a wait: what was handed over, or None."""
    if waiter.give_up():
        queue.leave(waiter)
        return None
    return waiter.item


async def wait_in_task(
    queue: Queue[T], again: Callable[[], object], back: Callable[[T], object], seconds: float
) -> Turn[T]:
    """Wait for at most so many seconds, as a task of any event loop.

    again: called once the waiter is in the queue, to hand out what was returned a moment before.
    back: takes what was handed over in the moment in which the task was cancelled.
    """
    import anyio
    from anyio.lowlevel import current_token

    native: Any = current_token().native_token
    soon = native.call_soon_threadsafe if hasattr(native, "call_soon_threadsafe") else native.run_sync_soon
    event = anyio.Event()
    waiter: Waiter[T] = Waiter(lambda: soon(event.set))
    if not queue.join(waiter):
        return Turn(False)
    try:
        again()
        with anyio.move_on_after(seconds):
            await event.wait()
    except BaseException:
        item = _settled(queue, waiter)
        if item is not None:
            back(item)
        raise
    return Turn(True, _settled(queue, waiter))


def wait_in_thread(
    queue: Queue[T], again: Callable[[], object], back: Callable[[T], object], seconds: float
) -> Turn[T]:
    """As wait_in_task, blocking this thread."""
    lock = threading.Lock()
    lock.acquire()
    waiter: Waiter[T] = Waiter(lock.release)
    if not queue.join(waiter):
        return Turn(False)
    try:
        again()
        lock.acquire(timeout=seconds)
    except BaseException:
        item = _settled(queue, waiter)
        if item is not None:
            back(item)
        raise
    return Turn(True, _settled(queue, waiter))
