"""How a new generation takes over a pool: staged and verified out of rotation, then live by one assignment.

    for each member: taken out, the new configuration written beside the live one and verified, back again
    -> `pool.generation = new`                          from here on every evaluation is prepared for the new one
    -> each member commits what it has staged when it is taken next: a microsecond

Evaluations go on meanwhile. If any member refuses, nothing has changed. A member that could not be had, because it is
leased, catches up when it is taken next, too. Compiling is not done here (loading.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from ..errors import GuestError, PoolClosedError
from ..generation import Generation
from .member import Member, loaded
from .pool import Pool

_LOOKS: Final = 20
_PAUSE: Final = 0.0005
"""How often, and with which pause, a swap in a thread of its own looks for members that others are using."""


class Swaps:
    """Makes generations live in a pool, one swap at a time, and keeps those that somebody has pinned.

    count: swaps so far.
    """

    __slots__ = ("_busy", "_lock", "_newest", "count", "pool", "retired")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.count = 0
        self.retired: set[Generation] = set()
        self._lock = threading.RLock()
        self._busy = False  # whether the thread that has the lock is swapping, not only asking for the lock again
        self._newest = 0

    def free(self) -> bool:
        """Whether a swap could begin now, without waiting for another one in another thread."""
        if self._lock.acquire(blocking=False):
            self._lock.release()
            return True
        return False

    def swap(
        self,
        generation: Generation,
        ticket: int,
        *,
        patient: bool = False,
        approve: Callable[[], object] = lambda: None,
    ) -> bool:
        """Make a generation live; False if a swap with a later ticket came first, and nothing is to be done.

        patient: whether this may wait for members in use, some milliseconds; not for an event loop.
        approve: called last, with no other swap between it and going live; refuses by raising.
        Cost: for each member 0.2 ms for 1,000 flags, without the GIL above 16 KiB of configuration.
        Raises ConfigError or GuestError, and then the live one goes on, as after any other exception;
        PoolClosedError; RuntimeError inside of another swap of the same thread.
        """
        with self._lock:
            if self._busy:
                raise RuntimeError("a finalizer or signal handler cannot reload while its thread is reloading")
            self._busy = True
            try:
                if self.pool.closed:
                    raise PoolClosedError
                if ticket < self._newest:
                    return False
                self._stage(generation, patient)
                approve()
                self._install(generation)
                self._newest = ticket
                return True
            finally:
                self._busy = False

    # ------------------------------------------------------------ stage

    def _stage(self, generation: Generation, patient: bool) -> None:
        verified = self._stage_idle(generation)
        if patient:
            looks = _LOOKS
            while looks and any(
                member.staged is not generation and not member.leased for member in self.pool.members()
            ):
                looks -= 1
                time.sleep(_PAUSE)
                verified += self._stage_idle(generation)
        while len(self.pool.members()) < self.pool.size:  # the first ones, or the missing ones
            if self.pool.closed:
                raise PoolClosedError
            try:
                member = self.pool.admit(loaded(generation))
            except GuestError:
                self.pool.failed_builds += 1
                if not verified:
                    raise
                break
            verified += 1
            self.pool.give_back(member)
        if not verified:  # all of them are in use
            loaded(generation).close()

    def _stage_idle(self, generation: Generation) -> int:
        """Stage in each member that is idle; in how many. Raises ConfigError or GuestError at the first refusal."""
        staged = 0
        for _ in range(self.pool.size):
            member = self.pool.coldest()
            if member is None:
                break
            try:
                member.prepare(generation)
                staged += 1
            except GuestError:
                self.pool.discard(member)
                raise
            except BaseException:
                self.pool.give_back(member)  # what is staged was forgotten, the live one is untouched
                raise
            self.pool.give_back(member)
        return staged

    # ------------------------------------------------------------ install

    def _install(self, generation: Generation) -> None:
        pool, old = self.pool, self.pool.generation
        if old is not None:
            self.retired.add(old)
            if old.pins:
                self._keep(old)
        generation.number = 1 if old is None else old.number + 1
        pool.generation = generation
        self.count += 1
        if pool.closed:  # meanwhile, by another thread
            pool.generation = None
            raise PoolClosedError
        if old is not None and not old.pins:
            self._release(old)

    def _keep(self, generation: Generation) -> None:
        """Have an instance ready for the pins of a generation that is about to be left behind."""
        try:
            generation.shelf.append(_shelved(generation))
        except GuestError:
            pass  # the next evaluation tries again

    # ------------------------------------------------------------ pins

    def pin(self, token: object) -> Generation | None:
        """The live generation, kept answerable until `unpin` with the same token."""
        while True:
            generation = self.pool.generation
            if generation is None:
                return None
            generation.pins.add(token)
            if generation is self.pool.generation:
                return generation
            self.unpin(generation, token)  # it was superseded in between, and may be freed

    def unpin(self, generation: Generation, token: object) -> None:
        """The end of a pin. The last one frees what only pins needed. Idempotent."""
        generation.pins.discard(token)
        if not generation.pins and generation is not self.pool.generation:
            self._release(generation)

    def _release(self, generation: Generation) -> None:
        self.retired.discard(generation)
        while True:
            try:
                generation.shelf.pop().close()
            except IndexError:
                return

    def take_retired(self, generation: Generation) -> Member:
        """An instance for a pinned generation that is live no more. Raises GuestError."""
        try:
            member: Member = generation.shelf.pop()
            return member
        except IndexError:
            return _shelved(generation)

    def give_back_retired(self, generation: Generation, member: Member) -> None:
        generation.shelf.append(member)
        if not generation.pins:
            self._release(generation)

    def shelved(self) -> int:
        """How many instances are kept for pins."""
        return sum(len(generation.shelf) for generation in tuple(self.retired))

    def close(self) -> None:
        """Free what pins were keeping."""
        for generation in list(self.retired):
            self._release(generation)

    def after_fork(self) -> None:
        self._lock, self._busy = threading.RLock(), False


def _shelved(generation: Generation) -> Member:
    member = loaded(generation)
    member.retired = True
    return member
