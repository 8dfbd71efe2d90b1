"""The end of an evaluator: from anywhere, twice, in a hurry, while others wait; and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import misbehaving_server as bad
import pytest
from http_sources import SOON, source
from loops import LOOPS, every_loop, run_on
from misbehaving_server import Server, conditional
from pools import ME, versioned
from test_evaluator_sources import version_of

import pyflagwasm
from pyflagwasm import ErrorCode, FlagEvaluator
from pyflagwasm.exposures.counting import Batch
from pyflagwasm.sources.base import Document, Sink, Source
from pyflagwasm.sources.file import FileSource
from pyflagwasm.types import State


class Steady(Source):
    """Delivers once, and says what becomes of its run."""

    name = "steady"

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def run(self, sink: Sink) -> None:
        await sink.offer(Document(versioned(1), self.name))
        try:
            await anyio.sleep_forever()
        finally:
            self.ended.append(threading.current_thread().name)


class Stubborn(Steady):
    """Does not end when it is told to, until `let_go`."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    async def run(self, sink: Sink) -> None:
        await sink.offer(Document(versioned(1), self.name))
        await anyio.to_thread.run_sync(self.let_go.wait, 30)


class Collecting:
    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def send(self, batch: Batch) -> None:
        self.batches.append(batch)


def tasks() -> int:
    """How many there are on this loop."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        import trio

        return trio.lowlevel.current_statistics().tasks_living


def not_ready(flags: FlagEvaluator) -> bool:
    details = flags.details_nowait("flag-1", ME, "mine")
    statistics = flags.statistics()
    assert (details.value, details.error_code) == ("mine", ErrorCode.PROVIDER_NOT_READY)
    assert (statistics.pool.idle, statistics.pool.in_use, statistics.pool.missing, statistics.pool.memory) == (0,) * 4
    return statistics.state is State.CLOSED


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What is opened once and for all is not something left."""

    async def scenario() -> None:
        async with pyflagwasm.open(lambda: versioned(1)):
            pass

    for loop in LOOPS:
        run_on(loop, scenario)


@pytest.fixture(autouse=True)
def nothing_is_left(warm: None) -> Iterator[None]:
    before = threads(), len(os.listdir("/proc/self/fd"))
    yield
    gc.collect()
    deadline = time.monotonic() + 5
    while threads() - before[0] and time.monotonic() < deadline:
        threading.Event().wait(1 / 100)
    assert threads() - before[0] == set()
    assert len(os.listdir("/proc/self/fd")) <= before[1]


def threads() -> set[threading.Thread]:
    """Without the idle ones that trio keeps for a while."""
    return {each for each in threading.enumerate() if not each.name.startswith("Trio thread")}


# ---------------------------------------------------------------- who closes


@every_loop
def test_closing_again_and_before_entering(loop: str) -> None:
    async def scenario() -> None:
        given = Steady()
        flags = pyflagwasm.open(given, exposures=[Collecting()])
        before = tasks()
        async with flags:
            assert tasks() > before
            await flags.aclose()
            assert not_ready(flags)
            await flags.aclose()
        assert tasks() == before
        assert len(given.ended) == 1
        unused = pyflagwasm.open(given)
        await unused.aclose()
        assert not_ready(unused)

    run_on(loop, scenario)


@every_loop
def test_another_task_closes_than_the_one_that_entered(loop: str) -> None:
    async def scenario() -> None:
        given = Steady()
        flags = pyflagwasm.open(given)
        before = tasks()
        async with anyio.create_task_group() as group:
            group.start_soon(flags.__aenter__)
        assert version_of(flags) == "v1-1"  # the group's end is not that of the source
        assert given.ended == []
        async with anyio.create_task_group() as group:
            group.start_soon(flags.aclose)
            group.start_soon(flags.aclose)
        assert not_ready(flags)
        assert len(given.ended) == 1
        assert tasks() == before

    run_on(loop, scenario)


@pytest.mark.parametrize("other", ["asyncio", "trio"])
@every_loop
def test_a_loop_in_another_thread_closes(loop: str, other: str) -> None:
    """While a sink is sending what was counted."""
    sending = threading.Event()

    class Slow(Collecting):
        async def send(self, batch: Batch) -> None:
            if not sending.is_set():
                sending.set()
                await anyio.sleep_forever()
            await super().send(batch)

    given, sink = Steady(), Slow()

    async def scenario() -> None:
        flags = pyflagwasm.open(given, exposures=[sink], exposure_interval=SOON)
        before = tasks()
        await flags.__aenter__()
        assert version_of(flags) == "v1-1"
        assert await anyio.to_thread.run_sync(sending.wait, 10)
        await anyio.to_thread.run_sync(run_on, other, flags.aclose)
        assert not_ready(flags)
        assert tasks() == before
        assert [batch.count for batch in sink.batches] == [1]

    run_on(loop, scenario)
    assert given.ended == ["MainThread"]


@every_loop
def test_closing_after_its_loop_has_ended(loop: str) -> None:
    given = Steady()
    flags = pyflagwasm.open(given, exposures=[Collecting()])
    run_on(loop, flags.__aenter__)
    assert len(given.ended) == 1
    assert version_of(flags) == "v1-1"
    began = time.monotonic()
    run_on(loop, flags.aclose)
    assert time.monotonic() - began < 4
    assert not_ready(flags)


def test_closing_while_its_loop_stands_still() -> None:
    """Between two calls of a Runner."""
    given = Steady()
    flags = pyflagwasm.open(given)
    with asyncio.Runner() as runner:
        runner.run(flags.__aenter__())
        began = time.monotonic()
        run_on("trio", flags.aclose)
        assert time.monotonic() - began < 4
        assert not_ready(flags)
    assert len(given.ended) == 1


@every_loop
def test_a_loop_that_ends_without_closing(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(versioned(1))

    async def scenario(flags: FlagEvaluator) -> None:
        await flags.__aenter__()
        assert version_of(flags) == "v1-1"

    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        for given in (source(server.url), FileSource(path), Steady()):
            flags = pyflagwasm.open(given, exposures=[Collecting()])
            run_on(loop, scenario, flags)
            assert version_of(flags) == "v1-1"
            run_on(loop, flags.aclose)
        assert server.wait_until_closed()


# ---------------------------------------------------------------- in a hurry


@pytest.mark.parametrize("fault", ["stall", "stall_in_body"])
@every_loop
def test_closing_while_the_server_hangs(loop: str, fault: str) -> None:
    async def scenario(server: Server) -> None:
        before = tasks()
        flags = pyflagwasm.open(source(server.url, timeout=60), bundled=versioned(1), close_timeout=5)
        async with flags:
            await server.requested(1)
            began = time.monotonic()
        assert time.monotonic() - began < 4
        assert tasks() == before
        assert not_ready(flags)

    with Server(otherwise=getattr(bad, fault)) as server:
        run_on(loop, scenario, server)
        assert server.wait_until_closed(5)


@every_loop
def test_a_source_that_does_not_end_is_left_behind(loop: str) -> None:
    async def scenario() -> None:
        given = Stubborn()
        flags = pyflagwasm.open(given, close_timeout=0.2)
        await flags.__aenter__()
        assert version_of(flags) == "v1-1"
        began = time.monotonic()
        await flags.aclose()
        assert 0.15 < time.monotonic() - began < 4
        assert not_ready(flags)
        given.let_go.set()

    run_on(loop, scenario)


@every_loop
def test_entering_that_is_cancelled_closes(loop: str) -> None:
    async def scenario(server: Server) -> None:
        before = tasks()
        flags = pyflagwasm.open(source(server.url), start_timeout=30)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(flags.__aenter__)
                await server.requested(1)
                scope.cancel()
        assert tasks() == before
        assert not_ready(flags)

    with Server(otherwise=bad.stall) as server:
        run_on(loop, scenario, server)
        assert server.wait_until_closed(5)


@pytest.mark.parametrize("moment", ["at once", "while the source ends", "while the sink sends"])
@every_loop
def test_closing_that_is_cancelled_is_a_closing(loop: str, moment: str) -> None:
    class Hanging(Collecting):
        async def send(self, batch: Batch) -> None:
            scope.cancel()
            await anyio.sleep_forever()

    scope: anyio.CancelScope

    async def scenario() -> None:
        nonlocal scope
        before, scope = tasks(), anyio.CancelScope()
        given = Stubborn() if moment == "while the source ends" else Steady()
        exposures = [Hanging()] if moment == "while the sink sends" else []
        flags = pyflagwasm.open(given, exposures=exposures, close_timeout=0.3)
        await flags.__aenter__()
        assert version_of(flags) == "v1-1"
        began = time.monotonic()
        with scope:
            async with anyio.create_task_group() as group:
                if moment == "at once":
                    scope.cancel()
                group.start_soon(flags.aclose)
                if moment == "while the source ends":
                    await anyio.lowlevel.checkpoint()
                    scope.cancel()
        assert time.monotonic() - began < 4
        await flags.aclose()
        if isinstance(given, Stubborn):
            given.let_go.set()
        else:
            assert tasks() == before
        assert not_ready(flags)

    run_on(loop, scenario)


def test_a_task_of_asyncio_that_is_cancelled_while_it_closes() -> None:
    """Which no shield of anyio holds off."""

    async def scenario() -> None:
        given = Stubborn()
        flags = pyflagwasm.open(given, close_timeout=20)
        await flags.__aenter__()
        closing = asyncio.create_task(flags.aclose())
        await anyio.wait_all_tasks_blocked()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not_ready(flags)
        given.let_go.set()

    run_on("asyncio", scenario)
