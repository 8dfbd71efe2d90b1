"""A Hypothesis state machine over pool and swaps, without a loop: after every step the books are right.

The model knows who has which member, which generation is live, and what each pin must see. A task that waits is a
Waiter in the queue, whose wake-up notes that it was served.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from pools import ME, answer, generation

from pyflagwasm import ConfigError, PoolClosedError
from pyflagwasm.generation import Generation
from pyflagwasm.holding import Pin
from pyflagwasm.pool.member import Member
from pyflagwasm.pool.pool import Busy, Pool
from pyflagwasm.pool.swap import Swaps
from pyflagwasm.pool.waiting import Waiter

GENERATIONS: dict[int, Generation] = {}


def fresh(version: int) -> Generation:
    """A generation that was never live, cheaply: the compiled configuration is shared."""
    if version not in GENERATIONS:
        GENERATIONS[version] = generation(version)
    return Generation(GENERATIONS[version].compiled)


class PoolMachine(RuleBasedStateMachine):
    taken = Bundle("taken")
    waiting = Bundle("waiting")
    pins = Bundle("pins")

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.swaps = Pool(), Swaps(Pool())
        self.held: list[Member] = []
        self.served: list[Waiter[Member]] = []
        self.gone: list[Waiter[Member]] = []
        self.dead: list[Member] = []
        self.version = self.number = self.tickets = 0
        self.pinned: dict[Pin, int] = {}

    @initialize(size=st.integers(1, 3))
    def open(self, size: int) -> None:
        self.pool = Pool(size=size, max_waiting=3)
        self.swaps = Swaps(self.pool)
        self.swap(1)

    def live(self) -> Generation | None:
        return self.pool.generation

    # ------------------------------------------------------------ members

    @rule(target=taken)
    def take(self) -> Any:
        live = self.live()
        if live is None:
            return multiple()
        try:
            member = self.pool.take(live)
        except Busy:
            assert self.pool.statistics().idle == 0
            return multiple()
        assert member not in self.held
        assert not member.dead
        assert member.generation is live
        self.held.append(member)
        return member

    @rule(member=consumes(taken))
    def give_back(self, member: Member) -> None:
        if member in self.held:
            self.held.remove(member)
            self.pool.give_back(member)

    @rule(member=consumes(taken), rebuild=st.booleans())
    def trap(self, member: Member, rebuild: bool) -> None:
        if member in self.held:
            self.held.remove(member)
            self.dead.append(member)
            self.pool.discard(member, rebuild=rebuild)

    @rule(member=consumes(taken))
    def leave_lying(self, member: Member) -> None:
        """An exception takes it from its user before it could be given back."""
        if member in self.held:
            self.held.remove(member)
            self.pool._members.discard(member_reference(self.pool, member))  # Hypothesis keeps what rules returned
            member.close()
            self.dead.append(member)

    # ------------------------------------------------------------ waiting

    @rule(target=waiting)
    def wait(self) -> Any:
        if self.pool.closed or self.pool.statistics().idle or self.pool.statistics().missing:
            return multiple()

        def wake() -> None:
            self.served.append(waiter)

        waiter: Waiter[Member] = Waiter(wake)
        if not self.pool.queue.join(waiter):
            assert self.pool.statistics().waiting == 3
            return multiple()
        self.pool._hand_out()
        return waiter

    @rule(target=taken, waiter=consumes(waiting))
    def resume(self, waiter: Waiter[Member]) -> Any:
        """A task that was served runs on; one that was not gives up."""
        if waiter in self.gone:
            return multiple()
        served = self.settled(waiter)
        assert waiter.give_up() is not served
        if not served:
            self.pool.queue.leave(waiter)
            return multiple()
        if waiter.item is None:
            assert self.pool.closed
            return multiple()
        assert waiter.item not in self.held
        self.held.append(waiter.item)
        return waiter.item

    @rule(waiter=consumes(waiting))
    def cancel(self, waiter: Waiter[Member]) -> None:
        self.settled(waiter)
        if waiter in self.gone:
            return
        if waiter.give_up():
            self.pool.queue.leave(waiter)
        elif waiter.item is not None:
            self.pool.give_back(waiter.item)

    @rule(waiter=consumes(waiting))
    def give_up(self, waiter: Waiter[Member]) -> None:
        """A task that has not come around to leave the queue yet."""
        self.settled(waiter)
        if waiter not in self.gone and not waiter.give_up() and waiter.item is not None:
            self.pool.give_back(waiter.item)

    def settled(self, waiter: Waiter[Member]) -> bool:
        served = waiter in self.served
        if served:
            self.served.remove(waiter)
        return served

    # ------------------------------------------------------------ generations

    @rule(version=st.integers(1, 4), late=st.booleans())
    def swap(self, version: int, late: bool = False) -> None:
        if self.pool.closed:
            with pytest.raises(PoolClosedError):
                self.swaps.swap(fresh(version), 99)
            return
        if not late:
            self.tickets += 1
        new = fresh(version)
        if self.swaps.swap(new, self.tickets - late):
            assert not late or self.tickets == 0
            self.version, self.number = version, self.number + 1
            assert (self.live(), new.number) == (new, self.number)

    @precondition(lambda self: not self.pool.closed)
    @rule(
        version=st.integers(1, 4), error=st.sampled_from([ConfigError("$", "no"), KeyboardInterrupt(), MemoryError()])
    )
    def swap_that_fails(self, version: int, error: BaseException) -> None:
        before = self.live()

        def refuse() -> None:
            raise error

        with pytest.raises(type(error)):
            self.swaps.swap(fresh(version), self.tickets + 1, approve=refuse)
        assert self.live() is before

    @rule(number=st.sampled_from([1, 3]))
    def evaluate(self, number: int) -> None:
        live = self.live()
        if live is not None:
            try:
                assert answer(self.pool, live, number) == f"v{self.version}-{number}"
            except Busy:
                assert self.pool.statistics().idle == 0

    # ------------------------------------------------------------ pins

    @rule(target=pins)
    def pin(self) -> Any:
        pin = Pin(self.swaps, lambda: 0.0, [], None).__enter__()
        self.pinned[pin] = 0 if self.pool.closed else self.version
        return pin

    @rule(pin=pins, number=st.sampled_from([0, 1, 3]))
    def evaluate_pinned(self, pin: Pin, number: int) -> None:
        if pin not in self.pinned or self.all_in_use():
            return
        version = 0 if self.pool.closed else self.pinned[pin]
        value = pin.value_nowait(f"flag-{number}", ME, default="none")
        assert value == (f"v{version}-{number}" if version else "none")

    @rule(pin=consumes(pins))
    def unpin(self, pin: Pin) -> None:
        if self.pinned.pop(pin, None) is not None:
            pin.__exit__(None, None, None)

    def all_in_use(self) -> bool:
        """Whether an evaluation here would wait for somebody who never comes."""
        return not self.pool.closed and not self.pool.statistics().idle

    # ------------------------------------------------------------ end

    @precondition(lambda self: self.number > 3)
    @rule()
    def close(self) -> None:
        self.pool.close()
        self.swaps.close()

    @rule()
    def fork(self) -> None:
        """In the child, everybody who waited is gone; this thread goes on with what it has."""
        for member in self.held:
            member.user = get_ident()
        self.gone += self.served  # what they were given is lost with them
        self.served = []
        self.pool.after_fork()
        self.swaps.after_fork()

    @invariant()
    def the_books_are_right(self) -> None:
        pool, statistics = self.pool, self.pool.statistics()
        idle = list(pool.idle)
        assert len(set(idle)) == len(idle)
        assert not set(idle) & set(self.held), "a member is in two places"
        assert not any(member.dead for member in idle)
        assert all(member.dead for member in self.dead)
        assert statistics.waiting == 0 or pool.closed or not idle, "somebody waits while a member is idle"
        assert statistics.memory >= 0
        if pool.closed:
            assert (statistics.idle, statistics.waiting, pool.generation) == (0, 0, None)
            return
        given = [waiter for waiter in self.served if waiter.item is not None]
        assert statistics.in_use == len(self.held) + len(given)
        assert statistics.idle + statistics.in_use + statistics.missing == max(pool.size, len(pool._members))
        assert statistics.retired <= len(self.pinned)
        for retired in self.swaps.retired:
            assert retired.pins, "a generation is kept that nobody has pinned"

    def teardown(self) -> None:
        self.pool.close()
        self.swaps.close()


def member_reference(pool: Pool, member: Member) -> Any:
    return next((each for each in pool._members if each() is member), None)


PoolMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("PYFLAGWASM_MODEL_EXAMPLES", "60")),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestPool = PoolMachine.TestCase
