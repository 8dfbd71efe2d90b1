"""Background tasks on whichever event loop the caller evaluates on, restarted when that loop or process is gone.

A task group would tie them to the block and the task that opened it. They have to outlive both: an evaluator is used
in several event loops one after the other, entered in one task and left in another, and inherited by forked children,
where no task of the parent goes on. So there is one task for each life of a loop; `dormant` says that there is none.

Here live starting, supervising and stopping. What the jobs do is theirs (sources/, exposures/).
"""

from __future__ import annotations

import contextvars
import math
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

from .pool.waiting import Queue, wait_in_task

Job: TypeAlias = Callable[[], Awaitable[None]]
"""Runs until it is cancelled, or returns when there is no more to do. After an exception it is run again."""

_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_RESPITE: Final = 1.0
"""Seconds for which nothing is restarted on a loop that has just cancelled the jobs: as a rule it is ending, and a task
that begins while asyncio.run cleans up is left behind, with worker threads that keep the process from exiting."""


class _Life:
    """One run of the jobs, on one loop. Kept by its own task alone: when a loop is dropped, the task goes with it, and
    its end says so."""

    __slots__ = ("__weakref__", "done", "native", "scope")

    def __init__(self, native: Any) -> None:
        import anyio

        self.native = native
        self.scope = anyio.CancelScope()
        self.done: Queue[None] = Queue(1 << 20)  # closed in the end; others may wait for that on other loops


class Background:
    """Jobs that run as long as somebody evaluates on a living loop.

    dormant: whether they should run and do not: call `start`. failed: told the error of a job that is to run again.
    moved: told the event loop on which they run now, None if they do not run any more.
    """

    __slots__ = (
        "_failed", "_inherited", "_left", "_life", "_moved", "_number", "_stopped", "_until", "dormant", "jobs",
    )  # fmt: skip

    def __init__(
        self, jobs: Sequence[Job], failed: Callable[[Job, Exception], None], moved: Callable[[Any], object]
    ) -> None:
        self.jobs, self._failed, self._moved = tuple(jobs), failed, moved
        self._life: weakref.ref[_Life] | None = None
        self._inherited: Any = None  # the loop of the parent in a forked child: it looks alive, and is not
        self._left: Callable[[], Any] = lambda: None  # the loop that has cancelled them last, which rests ...
        self._until = 0.0  # ... until this time of time.monotonic
        self._number = 0
        self._stopped = False
        self.dormant = bool(jobs)

    def alive(self) -> bool:
        """Whether the jobs run. A loop that was closed without cancelling its tasks does not say so by itself."""
        life = self._life() if self._life is not None else None
        if life is not None and hasattr(life.native, "is_closed") and life.native.is_closed():
            self._number += 1
            self._life, self.dormant = None, not self._stopped
            self._moved(None)
            _lost.append(life)  # its task must not come to an end now: the loop that it would do so on is gone
            return False
        return not self.dormant

    @property
    def loop(self) -> Any:
        """The event loop on which the jobs run, None if they do not."""
        life = self._life() if self._life is not None else None
        return None if life is None else life.native

    def start(self) -> bool:
        """Start the jobs on the running event loop. False if there is none in this thread. Never waits."""
        if not self.dormant or self._stopped:
            return True
        native = running_loop()
        if native is None or native is self._inherited:
            return False
        if native is self._left() and time.monotonic() < self._until:
            return False
        life = _Life(native)
        self._number += 1
        number = self._number
        self.dormant, self._life = False, weakref.ref(life)
        context = contextvars.Context()  # not that of the request which happens to wake them
        try:
            if hasattr(native, "create_task"):
                task = native.create_task(self._live(life, number), context=context, name="pyflagwasm")
                task.add_done_callback(lambda task: self._ended(number))  # it may be cancelled before it begins
            else:
                trio = sys.modules["trio"]
                trio.lowlevel.spawn_system_task(self._live, life, number, context=context, name="pyflagwasm")
        except BaseException:
            self._ended(number)
            raise
        self._moved(native)
        return True

    async def _live(self, life: _Life, number: int) -> None:
        import anyio.lowlevel

        try:
            with life.scope:
                await anyio.lowlevel.checkpoint()  # a loop may be there for a single evaluation, and end here
                first, *others = self.jobs
                if not others:  # without a group, whose tasks can be thrown away before they begin, with a warning
                    await self._supervised(first)
                else:
                    async with anyio.create_task_group() as group:
                        for job in self.jobs:
                            group.start_soon(self._supervised, job)
                # Every job has said that there is no more to do: nothing is to be restarted on this loop.
                await anyio.sleep_forever()
        finally:
            self._left, self._until = weakref.ref(life.native), time.monotonic() + _RESPITE
            self._ended(number)
            life.done.close()

    def _ended(self, number: int) -> None:
        if self._number == number:
            self._life = None
            self.dormant = not self._stopped
            self._moved(None)

    async def _supervised(self, job: Job) -> None:
        import anyio

        pause = _FIRST_PAUSE
        while True:
            try:
                await job()
                return
            except Exception as error:
                self._failed(job, error)
            await anyio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def stop(self) -> None:
        """End the jobs for good and wait for them, unless their loop stands still. Idempotent, on any loop.

        Not bounded by itself.
        """
        self._stopped, self.dormant = True, False
        life = self._life() if self._life is not None else None
        if life is None:
            return
        native = life.native
        if native is running_loop():
            life.scope.cancel()
        else:
            soon = native.call_soon_threadsafe if hasattr(native, "create_task") else native.run_sync_soon
            try:
                soon(life.scope.cancel)
            except RuntimeError:
                return  # its loop has ended
            if hasattr(native, "is_running") and not native.is_running():
                return  # and hears of it when it goes on
        await wait_in_task(life.done, lambda: life.done.close() if life.done.closed else None, id, math.inf)

    def after_fork(self) -> None:
        """In a forked child no task of the parent goes on. What it has open is its own: nothing is closed here."""
        life = self._life() if self._life is not None else None
        if life is not None:
            _lost.append(life)
        self._number += 1
        self._life = None
        self.dormant = bool(self.jobs) and not self._stopped
        self._moved(None)
        self._inherited = running_loop() if "anyio" in sys.modules else None


def running_loop() -> Any:
    """The event loop that runs in this thread, as its own library knows it; None if none does."""
    import anyio
    from anyio.lowlevel import current_token

    try:
        return current_token().native_token
    except (anyio.NoEventLoopError, RuntimeError):  # the latter in a child that was forked from a coroutine
        return None


_lost: list[_Life] = []
