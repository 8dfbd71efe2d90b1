"""The pool: a few instances of the core, taken for microseconds or for a block, and never lost.

    take -> encode into its scratch -> evaluate -> give back             no lock, no await: a list's pop and append
    nobody idle -> build if one is missing, else wait your turn          waiting.py, bounded in number and time
    trapped -> discard -> build another                                  member.py
    new generation -> staged in each, then one assignment makes it live  swap.py

How many members there are is counted by weak references: one that an exception at an odd moment takes away from its
user, before anybody could give it back, is missed by the next who needs it, and replaced.

Safe from any thread, finalizer and signal handler. Nothing here reads a document or an evaluation context.
"""

from __future__ import annotations

import atexit
import os
import weakref
from dataclasses import dataclass
from threading import get_ident
from typing import ClassVar, Final

from ..errors import ConfigError, GuestError, GuestTrapError, PoolClosedError, PoolTimeoutError, TooManyWaitingError
from ..generation import Generation
from ..wanted import number
from .member import Member, Reference, loaded
from .remarks import CLOSED, Remarks
from .waiting import Queue, Turn, wait_in_task, wait_in_thread

SIZE: Final = 2
"""On one event loop evaluations do not overlap: one instance works, the other one is spare, for the moments in which a
new configuration is staged in it, a trapped one is replaced or somebody has leased one. Each thread that evaluates all
the time, and each lease that is held for long, wants one more."""
TIMEOUT: Final = 1.0
PATIENCE: Final = 0.02
"""Seconds that an evaluation waits for others that are only evaluating. They take microseconds; but a thread in the
middle of one can be kept from running, by threads that compute, for a multiple of the interpreter's switch interval."""
MAX_WAITING: Final = 1000


class Superseded(Exception):
    """The generation that a question was prepared for answers no more: prepare it anew."""


class Busy(Exception):
    """No instance is idle, and none is missing: wait for one."""


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """The pool at one moment.

    size: how many instances there should be. idle, in_use: how many there are. missing: to be built at the next need.
    waiting: who waits for one. retired: instances that serve pins of earlier generations, beyond `size`.
    memory: bytes of linear memory of the idle ones. host: how they are called, "native" (in C), "portable" or "public";
    None if none is idle.
    Since the start: built and discarded (after traps) instances, builds that failed, waits that timed out or were
    turned away, evaluations answered by an instance beyond the size, because those in use did not come back in time.
    """

    size: int
    idle: int
    in_use: int
    missing: int
    waiting: int
    retired: int
    memory: int
    built: int
    discarded: int
    failed_builds: int
    timed_out: int
    turned_away: int
    aside: int
    host: str | None = None


class Pool:
    """Instances of the core in which one generation at a time is live.

    size: how many. timeout: seconds that a wait for one may take. max_waiting: how many may wait.
    generation: the live one, None before the first and after `close`.
    idle: who is not in use, the one that was used last at the end. queue: who waits for one.
    remarks: what is said to who asks in vain.
    """

    __slots__ = (
        "__weakref__", "_members", "aside", "built", "discarded", "failed_builds", "generation", "idle", "queue",
        "remarks", "size", "timed_out", "timeout", "turned_away",
    )  # fmt: skip

    LIVE: ClassVar[str] = "generation"

    def __init__(self, size: int = SIZE, timeout: float = TIMEOUT, max_waiting: int = MAX_WAITING) -> None:
        number("size", size, whole=True)
        number("max_waiting", max_waiting, whole=True)
        number("timeout", timeout)
        if size < 1:
            raise ValueError(f"a pool needs at least 1 instance, not {size}")
        self.remarks = Remarks()
        self.generation: Generation | None = None
        self.size, self.timeout = size, timeout
        self.idle: list[Member] = []  # pop and append are atomic; the native host does them in C
        self._members: set[Reference] = set()
        self.queue: Queue[Member] = Queue(max_waiting)
        self.built = self.discarded = self.failed_builds = self.timed_out = self.turned_away = self.aside = 0
        _all.add(self)

    # ------------------------------------------------------------ take and give back

    def take(self, generation: Generation) -> Member:
        """An instance in which `generation` answers, for exclusive use until `give_back` or `discard`.

        Raises Superseded if another generation is live, Busy if no instance is to be had now, GuestError if there is
        none at all.
        """
        try:
            member = self.idle.pop()
        except IndexError:
            member = self._build()
        member.user = get_ident()
        if member.generation is not generation:
            self.fit(member, generation)
        return member

    def fit(self, member: Member, generation: Generation) -> None:
        """Make `generation` answer in a member that was taken; the member is given back if that raises."""
        if member.generation is generation:
            return
        if generation is not self.generation:
            self.give_back(member)
            raise Superseded
        try:
            member.serve(generation)
        except BaseException:
            self.discard(member)
            raise

    def give_back(self, member: Member) -> None:
        """Return a member that was taken. Never waits, never raises."""
        member.user = 0
        self.idle.append(member)
        if self.queue:
            self._hand_out()

    def _hand_out(self) -> None:
        """Give what is idle to those who wait, or free it if the pool is closed."""
        while True:
            try:
                member = self.idle.pop()
            except IndexError:
                return
            if self.queue.closed:
                self._free(member)
            elif not self.queue.give(member):
                self.idle.append(member)
                if not self.queue:
                    return

    def owns(self, member: Member) -> bool:
        """Whether a member is counted: it is not any more in a process that was forked from its user."""
        return weakref.ref(member) in self._members

    def discard(self, member: Member, *, rebuild: bool = True) -> None:
        """Instead of give_back, for a member that trapped or whose state is unknown: it is never called again.

        Another one is built at once; if that fails, at the next need.
        """
        self.discarded += 1
        self._free(member)
        if self.queue.closed or not rebuild:
            return
        try:
            self.give_back(self._build())
        except (GuestError, Busy, Superseded):
            pass

    def _free(self, member: Member) -> None:
        self._members.discard(weakref.ref(member))
        member.close()

    def _build(self) -> Member:
        """A new member in place of a missing one. Raises Busy if none is missing, or GuestError."""
        if len(self._members) >= self.size and len(self.members()) >= self.size:
            raise Busy
        return self.built_for(self.generation)

    def trim(self) -> None:
        """Free idle members beyond the size."""
        while len(self._members) > self.size:
            member = self.coldest()
            if member is None:
                return
            self._free(member)

    def built_for(self, generation: Generation | None) -> Member:
        """A new member of the pool, beyond its size if need be. Raises GuestError, or Superseded without generation."""
        if generation is None:
            raise Superseded
        try:
            return self.admit(loaded(generation))
        except ConfigError as error:
            self.failed_builds += 1
            raise GuestTrapError(f"a new instance of the core fails: {error}") from None
        except GuestError:
            self.failed_builds += 1
            raise

    def admit(self, member: Member) -> Member:
        """Count a new member in. Its user gives it back."""
        self.built += 1
        self._members.add(weakref.ref(member, self._members.discard))
        return member

    # ------------------------------------------------------------ wait

    async def wait(self) -> Member:
        """Some member, whatever is live in it; as a task.

        What only evaluates comes back in microseconds. If it does not - its thread is kept from running - one more
        member is built: `trim` after it was given back.
        Raises PoolTimeoutError if all are leased, TooManyWaitingError, PoolClosedError, or GuestError if one was to be
        built.
        """
        try:
            return self._any()
        except Busy:
            pass
        if not self._all_leased():
            turn = await wait_in_task(self.queue, self._hand_out, self.give_back, min(PATIENCE, self.timeout))
            if not self._missed(turn) or not self._all_leased():
                return self._taken(turn, aside=True)
        return await self.wait_for_lease()

    async def wait_for_lease(self) -> Member:
        """As `wait`, but for the whole `timeout`, and no other than the pool's own members."""
        try:
            return self._any()
        except Busy:
            pass
        return self._taken(await wait_in_task(self.queue, self._hand_out, self.give_back, self.timeout))

    def wait_here(self) -> Member:
        """As `wait`, blocking this thread; but raises PoolTimeoutError at once if all are leased.

        It does not wait at all if those in use will not come back meanwhile: an evaluation further up in this thread
        has them, or a thread that the exit of the interpreter has stopped.
        """
        try:
            return self._any()
        except Busy:
            pass
        me = get_ident()
        members = self.members()
        if _ending or all(member.leased or member.user == me for member in members):
            if members and self._all_leased():
                self.timed_out += 1
                raise PoolTimeoutError(self.size, 0)
            return self._one_more()
        turn = wait_in_thread(self.queue, self._hand_out, self.give_back, min(PATIENCE, self.timeout))
        return self._taken(turn, aside=True)

    def _all_leased(self) -> bool:
        return all(member.leased for member in self.members())

    def _missed(self, turn: Turn[Member]) -> bool:
        """Whether a wait ended without a member, and for no other reason than that."""
        return turn.joined and turn.item is None and not self.queue.closed

    def _one_more(self) -> Member:
        self.aside += 1
        member = self.built_for(self.generation)
        member.user = get_ident()
        return member

    def _any(self) -> Member:
        if self.queue.closed:
            raise PoolClosedError
        try:
            member = self.idle.pop()
        except IndexError:
            member = self._build()
        member.user = get_ident()
        return member

    def _taken(self, turn: Turn[Member], *, aside: bool = False) -> Member:
        if turn.item is not None:
            turn.item.user = get_ident()
            return turn.item
        if self.queue.closed:
            raise PoolClosedError
        if not turn.joined:
            self.turned_away += 1
            raise TooManyWaitingError(self.size, self.queue.limit)
        if aside:
            return self._one_more()
        self.timed_out += 1
        raise PoolTimeoutError(self.size, self.timeout)

    # ------------------------------------------------------------ state

    @property
    def closed(self) -> bool:
        return self.queue.closed

    def members(self) -> list[Member]:
        """All members, idle or in use."""
        # A copy is made in one piece; an iteration is not, and members that are freed meanwhile leave the set.
        found = (reference() for reference in self._members.copy())
        return [member for member in found if member is not None]

    def coldest(self) -> Member | None:
        """Take the idle member that was not used for longest; None if none is idle."""
        try:
            member = self.idle.pop(0)
        except IndexError:
            return None
        member.user = get_ident()
        return member

    def statistics(self, retired: int = 0) -> PoolStatistics:
        idle = list(self.idle)
        count = len(self._members)
        return PoolStatistics(
            size=self.size,
            idle=len(idle),
            in_use=max(count - len(idle), 0),
            missing=max(self.size - count, 0) if self.generation is not None else 0,
            waiting=len(self.queue),
            retired=retired,
            memory=sum(member.extent for member in idle),  # another thread may be closing one: do not ask its store
            built=self.built,
            discarded=self.discarded,
            failed_builds=self.failed_builds,
            timed_out=self.timed_out,
            turned_away=self.turned_away,
            aside=self.aside,
            host=idle[-1].host if idle else None,
        )

    def close(self) -> None:
        """Free the idle members, send away who waits; a member in use is freed when it comes back. Idempotent."""
        self.remarks.lack = CLOSED
        self.generation = None
        self.queue.close()
        self._hand_out()

    def after_fork(self) -> None:
        """In a forked child only the thread that forked exists: what others were using is lost, and never freed,
        because freeing what was in the middle of something is undefined. Neither do leases go on."""
        me = get_ident()
        kept = set(self.idle)
        for member in self.members():
            if member not in kept and (member.leased or member.user != me):
                _lost.append(member)
                self._members.discard(weakref.ref(member))
        self.queue.after_fork()


_all: weakref.WeakSet[Pool] = weakref.WeakSet()
_lost: list[Member] = []

_ending = False
"""Whether the interpreter is exiting: waiting for a daemon thread, which stops where it is, would be for ever."""


def _at_exit() -> None:
    global _ending
    _ending = True


atexit.register(_at_exit)


def _after_fork() -> None:
    for pool in list(_all):
        pool.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
