"""Taking, waiting, giving back, trapping, closing: the pool without an evaluator around it."""

from __future__ import annotations

import gc
import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from loops import every_loop, run_on
from pools import answer, generation, pool_of

from pyflagwasm import GuestTrapError, PoolClosedError, PoolTimeoutError, TooManyWaitingError
from pyflagwasm.pool import pool as pool_module
from pyflagwasm.pool.member import Member, loaded
from pyflagwasm.pool.pool import Busy, Pool, Superseded
from pyflagwasm.pool.waiting import Queue, Waiter


def taken(pool: Pool, count: int) -> list[Member]:
    live = pool.generation
    assert live is not None
    return [pool.take(live) for _ in range(count)]


# ---------------------------------------------------------------- take and give back


def test_taken_members_are_different_and_the_last_one_back_is_the_next() -> None:
    pool, _ = pool_of(1, size=3)
    members = taken(pool, 3)
    assert len(set(members)) == 3
    with pytest.raises(Busy):
        taken(pool, 1)
    pool.give_back(members[0])
    pool.give_back(members[2])
    assert taken(pool, 1) == [members[2]]  # its memory is in the caches
    statistics = pool.statistics()
    assert (statistics.size, statistics.idle, statistics.in_use, statistics.missing) == (3, 1, 2, 0)
    pool.close()


def test_a_size_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a pool needs at least 1 instance, not 0"):
        Pool(size=0)


def test_a_member_that_nobody_gives_back_is_missed_and_replaced() -> None:
    pool, _ = pool_of(1, size=1)
    taken(pool, 1)  # and dropped, as an exception at an odd moment would
    gc.collect()
    assert pool.statistics().missing == 1
    live = pool.generation
    assert live is not None
    assert answer(pool, live) == "v1-1"
    assert (pool.statistics().missing, pool.statistics().built) == (0, 2)
    pool.close()


def test_a_discarded_member_is_replaced_and_never_called() -> None:
    pool, _ = pool_of(1, size=2)
    (member,) = taken(pool, 1)
    pool.discard(member)
    assert member.dead
    with pytest.raises(GuestTrapError):
        member.evaluate(0)
    assert set(taken(pool, 2)) & {member} == set()
    assert pool.statistics().discarded == 1
    pool.close()


def test_nothing_is_taken_of_a_generation_that_answers_no_more() -> None:
    pool, swaps = pool_of(1, size=1)
    old, new = pool.generation, generation(2)
    assert old is not None
    swaps.swap(new, 1)
    assert answer(pool, old) == "v1-1"  # asked before the swap, answered after it: nobody has seen the new one yet
    assert answer(pool, new) == "v2-1"
    with pytest.raises(Superseded):
        pool.take(old)
    assert pool.statistics().idle == 1
    pool.close()


# ---------------------------------------------------------------- waiting


@every_loop
def test_waiters_are_served_in_order(loop: str) -> None:
    async def main() -> None:
        pool, _ = pool_of(1, size=1)
        (member,) = taken(pool, 1)
        order: list[int] = []

        async def wait(number: int) -> None:
            mine = await pool.wait_for_lease()
            order.append(number)
            assert mine is member
            pool.give_back(mine)

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(wait, number)
                await until(lambda number=number: pool.statistics().waiting == number + 1)  # type: ignore[misc]
            pool.give_back(member)
        assert order == list(range(20))
        assert pool.statistics().idle == 1
        pool.close()

    run_on(loop, main)


async def until(condition: Any) -> None:
    while not condition():
        await anyio.lowlevel.checkpoint()


@every_loop
def test_each_bound_has_its_own_error(loop: str) -> None:
    async def main() -> None:
        pool, _ = pool_of(1, size=1, timeout=0.01, max_waiting=1)
        (member,) = taken(pool, 1)
        with pytest.raises(PoolTimeoutError) as timed_out:
            await pool.wait_for_lease()
        assert str(timed_out.value) == (
            "all 1 instance(s) were in use for 0.01 s: open with a larger `size`, or shorten the leases"
        )
        assert timed_out.value.timeout == 0.01
        pool.timeout = 60.0

        async def turned_away() -> None:
            with pytest.raises(TooManyWaitingError) as too_many:
                await pool.wait_for_lease()
            assert "1 are waiting for the 1 instance(s): open with a larger `size` or `max_waiting`" == str(
                too_many.value
            )
            assert too_many.value.limit == 1

        async def closed() -> None:
            with pytest.raises(PoolClosedError, match="the evaluator is closed"):
                await pool.wait_for_lease()

        async with anyio.create_task_group() as group:
            group.start_soon(closed)
            await until(lambda: pool.statistics().waiting == 1)
            await turned_away()
            pool.close()
        with pytest.raises(PoolClosedError):
            await pool.wait_for_lease()
        statistics = pool.statistics()
        assert (statistics.timed_out, statistics.turned_away, statistics.waiting) == (1, 1, 0)
        pool.give_back(member)
        assert member.dead
        assert (pool.statistics().idle, pool.statistics().in_use) == (0, 0)

    run_on(loop, main)


@every_loop
def test_who_is_cancelled_passes_on_what_it_was_given(loop: str) -> None:
    """Queued; given it, but not woken yet; and both at once."""

    async def main() -> None:
        pool, _ = pool_of(1, size=1)
        for give_first in (False, True):
            (member,) = taken(pool, 1)
            async with anyio.create_task_group() as group:
                group.start_soon(cancelled, pool)
                await until(lambda: pool.statistics().waiting == 1)
                if give_first:
                    pool.give_back(member)
                group.cancel_scope.cancel()
                if not give_first:
                    pool.give_back(member)
            statistics = pool.statistics()
            assert (statistics.idle, statistics.in_use, statistics.waiting) == (1, 0, 0)
        pool.close()

    async def cancelled(pool: Pool) -> None:
        await pool.wait_for_lease()
        pytest.fail("the cancellation was swallowed")

    run_on(loop, main)


def test_a_thread_waits_for_what_another_one_uses() -> None:
    pool, _ = pool_of(1, size=1, timeout=30)
    (member,) = taken(pool, 1)
    member.user = -1  # another thread
    got: list[Member] = []
    thread = threading.Thread(target=lambda: got.append(pool.wait_here()))
    thread.start()
    while pool.statistics().waiting == 0:
        pass
    pool.give_back(member)
    thread.join(30)
    assert got == [member]
    pool.close()


@every_loop
def test_what_does_not_come_back_in_time_is_not_waited_for(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that evaluates can be kept from running; a lease can be waited for."""
    monkeypatch.setattr(pool_module, "PATIENCE", 0.001)

    async def main() -> None:
        pool, _ = pool_of(1, size=1, timeout=0.002)
        (member,) = taken(pool, 1)
        member.user = -1
        more = [await pool.wait(), pool.wait_here()]
        assert len({member, *more}) == 3
        assert pool.statistics().aside == 2
        for each in more:
            pool.give_back(each)
            pool.trim()
        assert [each.dead for each in more] == [True, True]
        member.leased = True
        with pytest.raises(PoolTimeoutError, match=r"were in use for 0\.002 s"):
            await pool.wait()
        pool.close()

    run_on(loop, main)


def test_what_will_not_come_back_is_not_waited_for() -> None:
    pool, _ = pool_of(1, size=1, timeout=30)
    (member,) = taken(pool, 1)
    aside = pool.wait_here()  # this thread has the only one
    assert aside is not member
    pool.give_back(aside)
    pool.trim()
    assert (aside.dead, pool.statistics().aside) == (True, 1)
    member.leased = True
    with pytest.raises(PoolTimeoutError, match="were in use by leases"):
        pool.wait_here()
    pool.close()


@every_loop
def test_a_waiting_task_is_woken_by_another_thread(loop: str) -> None:
    async def main() -> None:
        pool, _ = pool_of(1, size=1)
        (member,) = taken(pool, 1)

        def give_back() -> None:
            while pool.statistics().waiting == 0:
                pass
            pool.give_back(member)

        thread = threading.Thread(target=give_back)
        thread.start()
        assert await pool.wait_for_lease() is member
        thread.join()
        pool.close()

    run_on(loop, main)


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    queue: Queue[int] = Queue(10)

    def gone() -> None:
        raise RuntimeError("Event loop is closed")

    woken: list[int] = []
    dead: Waiter[int] = Waiter(gone)
    living: Waiter[int] = Waiter(lambda: woken.append(1))
    gave_up: Waiter[int] = Waiter(lambda: woken.append(2))
    for waiter in (dead, gave_up, living):
        assert queue.join(waiter)
    assert gave_up.give_up()
    assert queue.give(7)
    assert (woken, living.item, dead.item, gave_up.item) == ([1], 7, None, None)
    assert not queue.give(8)
    assert not living.give_up()


# ---------------------------------------------------------------- failures


def test_a_build_that_fails_is_counted_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, _ = pool_of(1, size=2)
    live = pool.generation
    assert live is not None
    members = taken(pool, 2)

    def broken(of: object) -> Member:
        raise GuestTrapError("no memory")

    with monkeypatch.context() as patched:
        patched.setattr(pool_module, "loaded", broken)
        for member in members:
            pool.discard(member)
        statistics = pool.statistics()
        assert (statistics.missing, statistics.failed_builds, statistics.discarded) == (2, 2, 2)
        with pytest.raises(GuestTrapError, match="no memory"):
            pool.take(live)
    assert answer(pool, live) == "v1-1"
    assert pool.statistics().missing == 1
    pool.close()


def test_after_a_fork_only_what_this_thread_uses_is_kept() -> None:
    pool, _ = pool_of(1, size=4)
    idle, mine, other, leased = taken(pool, 4)
    pool.give_back(idle)
    other.user, leased.leased = -1, True
    pool.after_fork()
    assert [pool.owns(member) for member in (idle, mine, other, leased)] == [True, True, False, False]
    assert not other.dead  # freeing what somebody was using is undefined
    assert pool.statistics().missing == 2
    pool.give_back(mine)
    assert len(set(taken(pool, 4))) == 4
    pool.close()


def test_a_member_that_fails_to_load_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Member] = []
    close = Member.close

    def stage(self: Member, ir: bytes, digest: str | None = None) -> None:
        raise KeyboardInterrupt

    def closing(self: Member) -> None:
        closed.append(self)
        close(self)

    monkeypatch.setattr(Member, "stage", stage)
    monkeypatch.setattr(Member, "close", closing)
    with pytest.raises(KeyboardInterrupt):
        loaded(generation(1))
    assert [member.dead for member in closed] == [True]
