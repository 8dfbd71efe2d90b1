"""Leases as callers have them: one instance for a block, for itself, and what is left after it."""

from __future__ import annotations

import sys
import threading
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from evaluators import ON_OFF, document, flag
from loops import every_loop, run_on
from pools import ME, versioned
from test_evaluator_reload import Cores, cores
from test_holding import WHO, Asking, everything

import pyflagwasm
from pyflagwasm import ErrorCode
from pyflagwasm.errors import LeaseError, PoolClosedError, PoolTimeoutError, TooManyWaitingError

__all__ = ["cores"]

# ---------------------------------------------------------------- leases


@every_loop
def test_a_lease_is_exclusive_and_others_have_their_turn(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1, timeout=30) as flags:
            given: list[str] = []

            async def ask() -> None:
                given.append(await flags.value("flag-1", ME, default="mine"))

            async with anyio.create_task_group() as group:
                async with flags.lease() as leased:
                    assert repr(leased) == "<Lease: is in use>"
                    assert everything(leased) == {"v1-1"}
                    group.start_soon(ask)
                    await anyio.wait_all_tasks_blocked()
                    assert (given, flags.statistics().pool.waiting) == ([], 1)
                    details = flags.details_nowait("flag-1", ME, "mine")  # which cannot wait
                    assert (details.value, details.error_code) == ("mine", ErrorCode.GENERAL)
                    assert "were in use by leases" in (details.error_message or "")
                    with pytest.raises(PoolTimeoutError):
                        flags.value_nowait("flag-1", ME, default="mine", strict=True)
                    assert flags.bind(ME).value("flag-1", "mine") == "mine"
                    assert flags.bind(ME).all() == {}
            assert given == ["v1-1"]
            assert flags.statistics().pool.idle == 1

    run_on(loop, scenario)


@every_loop
def test_waiting_for_an_instance_is_bounded(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1, timeout=0.1, max_waiting=1) as flags, flags.lease():
            assert await flags.value("flag-1", ME, default="mine") == "mine"
            with pytest.raises(PoolTimeoutError, match=r"for 0\.1 s"):
                await flags.value("flag-1", ME, default="mine", strict=True)
            with pytest.raises(PoolTimeoutError):
                async with flags.lease():
                    pass
            async with anyio.create_task_group() as group:
                group.start_soon(flags.value, "flag-1", ME, "mine")
                await anyio.wait_all_tasks_blocked()
                details = await flags.details("flag-1", ME, "mine")
                assert details.error_message == str(TooManyWaitingError(1, 1))
                with pytest.raises(TooManyWaitingError):
                    await flags.value("flag-1", ME, default="mine", strict=True)
                with pytest.raises(TooManyWaitingError):
                    await flags.lease().__aenter__()
            assert (flags.statistics().pool.timed_out, flags.statistics().pool.turned_away) == (4, 3)
        for lease in (flags.lease(), pyflagwasm.open(versioned(1)).lease()):  # closed, and not yet open
            with pytest.raises(PoolClosedError):
                await lease.__aenter__()

    run_on(loop, scenario)


@pytest.mark.parametrize("end", ["exception", "cancellation", "release", "cancelled while it waits"])
@every_loop
def test_a_lease_ends_in_every_way(loop: str, end: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1, timeout=30) as flags:
            if end == "exception":
                with pytest.raises(KeyError):
                    async with flags.lease():
                        raise KeyError
            elif end == "release":
                async with flags.lease() as leased:
                    leased.release()
                    assert flags.statistics().pool.idle == 1
                    leased.release()
            else:
                async with anyio.create_task_group() as group:

                    async def hold() -> None:
                        async with flags.lease():
                            await anyio.sleep_forever()

                    for _ in range(1 if end == "cancellation" else 5):
                        group.start_soon(hold)
                    await anyio.wait_all_tasks_blocked()
                    assert flags.statistics().pool.idle == 0
                    group.cancel_scope.cancel()
            assert (flags.statistics().pool.idle, flags.statistics().pool.waiting) == (1, 0)
            assert await flags.value("flag-1", ME, default="mine") == "v1-1"

    run_on(loop, scenario)


@every_loop
def test_a_lease_is_for_its_block_only(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1, timeout=30) as flags:
            lease = flags.lease()
            with pytest.raises(LeaseError, match=r"^the lease is not entered yet$"):
                await lease.value("flag-1", ME, default="")
            async with flags.lease() as first, anyio.create_task_group() as group:
                group.start_soon(lease.__aenter__)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(LeaseError, match="entered only once"):  # it is waiting, and so would this
                    await lease.__aenter__()
                with pytest.raises(LeaseError, match=r"^the lease is being entered$"):
                    lease.bind(ME)
                first.release()
            bound = lease.bind(ME)
            assert bound.value("flag-1", "") == "v1-1"
            with pytest.raises(LeaseError, match="entered only once"):
                await lease.__aenter__()
            lease.release()
            for use in (bound.all, partial(bound.value, "flag-1", ""), lambda: lease.generation):
                with pytest.raises(LeaseError, match=r"^the lease has been released back to the pool$"):
                    use()
            with pytest.raises(LeaseError, match="entered only once"):
                await lease.__aenter__()
            assert flags.statistics().pool.idle == 1

    run_on(loop, scenario)


@every_loop
def test_a_swap_while_an_instance_is_leased(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1)) as flags:
            async with flags.lease() as leased:
                bound = leased.bind(ME)
                for version in range(2, 6):
                    await flags.reload(versioned(version))
                    assert await flags.value("flag-1", ME, default="") == f"v{version}-1"
                    assert (everything(leased), bound.value("flag-1", "")) == ({"v1-1"}, "v1-1")
                assert (leased.generation, flags.generation) == (1, 5)
            async with flags.lease() as one, flags.lease() as two:  # the one that stayed behind catches up
                assert everything(one) == everything(two) == {"v5-1"}

    run_on(loop, scenario)


@every_loop
def test_all_are_leased_during_a_swap(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1, timeout=30) as flags:
            given: list[str] = []

            async def ask() -> None:
                given.append(await flags.value("flag-1", ME, default="mine"))

            async with anyio.create_task_group() as group:
                async with flags.lease() as leased:
                    group.start_soon(ask)
                    await anyio.wait_all_tasks_blocked()
                    await flags.reload(versioned(2))
                    assert everything(leased) == {"v1-1"}
            assert given == ["v2-1"]

    run_on(loop, scenario)


@every_loop
def test_a_trap_inside_of_a_lease(loop: str, cores: Cores) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1) as flags:
            async with flags.lease() as leased:
                details = await leased.details("flag-1", ME, "mine")
                assert (details.value, details.error_code) == ("mine", ErrorCode.GENERAL)
                cores.trapping = False
                assert (await leased.details("flag-1", ME, "mine")).error_code is ErrorCode.GENERAL  # the second one
                assert everything(leased) == {"v1-1"}
                cores.broken = True
                assert everything(leased) == {"v1-1"}
                cores.broken = False
            assert flags.statistics().pool.idle == 1
            assert await flags.value("flag-1", ME, default="mine") == "v1-1"
        assert all(each.dead for each in cores.made)

    run_on(loop, scenario)


def test_a_trap_inside_of_a_lease_of_which_no_other_can_be_made(cores: Cores) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1), size=1) as flags:
            async with flags.lease() as leased:
                cores.broken = True
                for _ in range(2):
                    assert (await leased.details("flag-1", ME, "mine")).error_code is ErrorCode.GENERAL
                cores.broken = cores.trapping = False
                assert everything(leased) == {"v1-1"}
            assert flags.statistics().pool.missing == 1
            assert await flags.value("flag-1", ME, default="mine") == "v1-1"
            assert (flags.statistics().pool.idle, flags.statistics().pool.missing) == (1, 0)
        assert all(each.dead for each in cores.made)

    run_on("asyncio", scenario)


def test_a_context_that_evaluates_in_the_lease_that_reads_it() -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(WHO, size=1) as flags:
            async with flags.lease() as leased:
                for depth in (1, 3):
                    context = Asking(leased, depth)
                    assert leased.value_nowait("f", context, default="default") == "me"
                    assert context.inner == ["you" if depth == 1 else "me"]
            with flags.pin() as pinned:
                await flags.reload(document(f=flag(ON_OFF, "on"), g=flag(ON_OFF, "on")))
                context = Asking(pinned)
                assert pinned.value_nowait("f", context, default="default") == "me"
                assert context.inner == ["you"]
            assert (flags.statistics().pool.idle, flags.statistics().pool.retired) == (1, 0)

    run_on("asyncio", scenario)


def test_threads_share_a_lease() -> None:
    """And it is released in the middle of that: who comes too late is told so."""
    wrong: list[Any] = []
    late: list[LeaseError] = []
    interval = sys.getswitchinterval()

    async def scenario() -> None:
        async with pyflagwasm.open(WHO) as flags:
            lease = flags.lease()
            await lease.__aenter__()
            begun = threading.Barrier(5)

            def ask(who: str) -> None:
                begun.wait(30)
                try:
                    while True:  # a dict can be done with in one go, a view of one cannot
                        for context in ({"who": who}, MappingProxyType({"who": who})):
                            if lease.value_nowait("f", context, default="default") == who:
                                continue
                            wrong.append(who)
                except LeaseError as error:
                    late.append(error)

            threads = [threading.Thread(target=ask, args=(who,)) for who in ("me", "you") * 2]
            for thread in threads:
                thread.start()
            begun.wait(30)
            built = flags.statistics().pool.aside
            with anyio.fail_after(30):
                while flags.statistics().pool.aside < built + 20:
                    await anyio.lowlevel.checkpoint()
            lease.release()
            for thread in threads:
                thread.join()
            statistics = flags.statistics().pool
            assert (statistics.idle, statistics.in_use, statistics.missing) == (2, 0, 0)

    sys.setswitchinterval(1e-5)
    try:
        run_on("asyncio", scenario)
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert len(late) == 4
