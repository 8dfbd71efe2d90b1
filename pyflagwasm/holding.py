"""Holding on to something for a block: one generation (Pin), or one instance of the core for oneself (Lease).

A pin keeps a configuration answerable over any number of swaps, so that a web request sees only one; it holds no
instance. A lease takes an instance away from everybody else: for measuring, or a burst that must not queue.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

from .errors import GuestError, GuestTrapError, LeaseError, PoolClosedError
from .evaluations import Evaluations
from .generation import Generation
from .hooks import Hook
from .pool.asking import Clock
from .pool.member import Member, loaded
from .pool.pool import Pool, Superseded
from .pool.remarks import Remarks
from .pool.swap import Swaps
from .pool.waiting import Queue

if TYPE_CHECKING:
    from .exposures.counting import Counter


class PinnedInstances:
    """The pool's instances as long as they have the pinned generation, then those that are kept for it."""

    __slots__ = ("_active", "_generation", "_swaps", "live")

    LIVE: ClassVar[str] = "live"

    def __init__(self, swaps: Swaps) -> None:
        self._swaps = swaps
        self._generation: Generation | None = None
        self.live: Generation | None = None
        self._active = False

    @property
    def idle(self) -> list[Member]:
        return self._swaps.pool.idle

    @property
    def queue(self) -> Queue[Member]:
        return self._swaps.pool.queue

    @property
    def remarks(self) -> Remarks:
        return self._swaps.pool.remarks

    def enter(self) -> None:
        if self._active:
            raise LeaseError("the pin is in use already: pin anew")
        self._active = True
        self._generation = self.live = self._swaps.pin(self)

    def leave(self) -> None:
        self._active, self.live = False, None
        if self._generation is not None:
            self._swaps.unpin(self._generation, self)

    @property
    def generation(self) -> Generation | None:
        if not self._active:
            raise LeaseError("the pin is not in its block: evaluate inside of `async with flags.pin() as pinned`")
        return None if self._swaps.pool.closed else self._generation

    def take(self, generation: Generation) -> Member:
        if generation is self._swaps.pool.generation:
            try:
                return self._swaps.pool.take(generation)
            except Superseded:
                pass
        if self._swaps.pool.closed:
            raise Superseded
        return self._swaps.take_retired(generation)

    def fit(self, member: Member, generation: Generation) -> None:
        self._swaps.pool.fit(member, generation)

    def give_back(self, member: Member) -> None:
        if member.retired:
            assert self._generation is not None
            self._swaps.give_back_retired(self._generation, member)
        else:
            self._swaps.pool.give_back(member)

    def discard(self, member: Member) -> None:
        if member.retired:
            member.close()
        else:
            self._swaps.pool.discard(member)

    def wait_here(self) -> Member:
        return self._swaps.pool.wait_here()

    def trim(self) -> None:
        self._swaps.pool.trim()

    async def wait(self) -> Member:
        return await self._swaps.pool.wait()


class Pin(Evaluations):
    """One generation for a block: `async with flags.pin() as pinned:`, or `with` in a thread. As `FlagEvaluator.pin`.

    Its evaluations have the names of the evaluator's. Costs less than an evaluation; after a swap the first pinned
    evaluation may load an instance of its own, which the last pin of the generation frees.
    """

    def __init__(self, swaps: Swaps, clock: Clock, hooks: list[Hook], counter: Counter | None) -> None:
        self._pinned = PinnedInstances(swaps)
        super().__init__(self._pinned, clock, hooks, counter)

    def __enter__(self) -> Pin:
        self._pinned.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pinned.leave()

    async def __aenter__(self) -> Pin:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pinned.leave()


class _LeasedInstance:
    """One member, taken from the pool for the block. state: in words, for errors and repr.

    Evaluations that come while it works - of other threads, or of the caller's own mapping and clock - get one that is
    made for them and closed: two at once in one instance would read each other's context.
    """

    __slots__ = ("_generation", "_pool", "idle", "live", "state")

    LIVE: ClassVar[str] = "live"
    queue: ClassVar[Queue[Member]] = Queue(0)  # nobody waits for what is leased

    NEW, ENTERING, HELD = "is not entered yet", "is being entered", "is in use"
    RELEASED = "has been released back to the pool"

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.idle: list[Member] = []  # the member, unless it works
        self._generation: Generation | None = None
        self.live: Generation | None = None
        self.state = self.NEW

    async def enter(self) -> None:
        if self.state != self.NEW:
            raise LeaseError("a lease can be entered only once: lease anew")
        self.state = self.ENTERING
        try:
            member, self._generation = await self._taken()
        except BaseException:
            self.state = self.NEW
            raise
        member.leased = True
        self.idle.append(member)
        self.state, self.live = self.HELD, self._generation

    async def _taken(self) -> tuple[Member, Generation]:
        while True:
            try:
                member = await self._pool.wait_for_lease()
                generation = self._pool.generation
                if generation is None:
                    self._pool.give_back(member)
                    raise Superseded
                self._pool.fit(member, generation)
                return member, generation
            except Superseded:
                if self._pool.generation is None:
                    raise PoolClosedError("no configuration is loaded") from None

    def leave(self) -> None:
        """Synchronous and idempotent; the lease is dead afterwards."""
        self.state, self.live = self.RELEASED, None
        self._return()

    def _return(self) -> None:
        """To the pool; from where it works it comes later."""
        try:
            member = self.idle.pop()
        except IndexError:
            return
        member.leased = False
        if self._pool.owns(member):
            self._pool.give_back(member)
        else:
            member.close()

    @property
    def remarks(self) -> Remarks:
        return self._pool.remarks

    @property
    def generation(self) -> Generation:
        if self.state != self.HELD or self._generation is None:
            raise LeaseError(f"the lease {self.state}")
        return self._generation

    def take(self, generation: Generation) -> Member:
        try:
            return self.idle.pop()
        except IndexError:
            pass
        self._pool.aside += 1
        member = loaded(generation)
        member.retired = True
        return member

    def fit(self, member: Member, generation: Generation) -> None:
        raise GuestTrapError("a leased instance has one generation")

    def give_back(self, member: Member) -> None:
        """Stays with the lease until its end."""
        if member.retired:
            member.close()
            return
        self.idle.append(member)
        if self.state == self.RELEASED:
            self._return()

    def discard(self, member: Member) -> None:
        """The leased instance trapped: the lease goes on with another one."""
        if member.retired:
            member.close()
            return
        self._pool.discard(member, rebuild=False)
        with suppress(GuestError, Superseded):  # then each evaluation gets one that is made for it
            another = self._pool.built_for(self._generation)
            another.leased = True
            self.give_back(another)

    def wait_here(self) -> Member:
        raise GuestTrapError("a leased instance is not waited for")

    def trim(self) -> None:
        """There is never more than one."""

    async def wait(self) -> Member:
        return self.wait_here()


class Lease(Evaluations):
    """One instance of the core for a block: `async with flags.lease() as leased:`. As `FlagEvaluator.lease`.

    Its evaluations have the names of the evaluator's, and answer from the generation that was live when it was taken.
    """

    def __init__(self, pool: Pool, clock: Clock, hooks: list[Hook], counter: Counter | None) -> None:
        self._leased = _LeasedInstance(pool)
        super().__init__(self._leased, clock, hooks, counter)

    async def __aenter__(self) -> Lease:
        await self._leased.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the instance back before the block ends. Idempotent."""
        self._leased.leave()

    def __repr__(self) -> str:
        return f"<Lease: {self._leased.state}>"
