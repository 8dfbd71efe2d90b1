"""The chain: who serves, who is withheld, when the lower ones take over and the higher ones return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest
from loops import RecordingSink, every_loop, run_on

from pyflagwasm.sources.base import Document, Receipt, Sink, Source
from pyflagwasm.sources.chain import ChainSource
from pyflagwasm.sources.given import IteratorSource


class Puppet(Source):
    """A source that does what the test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sink: Sink | None = None
        self.runs = 0

    async def run(self, sink: Sink) -> None:
        self.runs += 1
        self.sink = sink
        await anyio.sleep_forever()

    async def offer(self, data: bytes) -> Receipt:
        assert self.sink
        return await self.sink.offer(Document(data, self.name))

    def unchanged(self) -> None:
        assert self.sink
        self.sink.unchanged()


class Clock:
    """Stands in for time.monotonic."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("pyflagwasm.sources.chain.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def good(document: Document) -> bool:
    return not document.data.startswith(b"bad")


@asynccontextmanager
async def running(chain: Source, sink: RecordingSink, *puppets: Puppet) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chain.run, sink)
        await anyio.wait_all_tasks_blocked()
        assert all(puppet.sink for puppet in puppets)
        yield
        tasks.cancel_scope.cancel()


Test = Callable[[], Awaitable[None]]


@every_loop
def test_the_highest_serves(loop: str) -> None:
    a, b, c = Puppet("a"), Puppet("b"), Puppet("c")

    async def main() -> None:
        sink = RecordingSink(good)
        sink.events_url = "events"
        chain = ChainSource(a, b, c)
        assert chain.name == "chain(a, b, c)"
        async with running(chain, sink, a, b, c):
            assert await c.offer(b"c1") == Receipt(True, "events")
            assert await a.offer(b"bad a1") == Receipt(False, "events")  # and blocks nobody
            assert await b.offer(b"b1") == Receipt(True, "events")
            assert await c.offer(b"c2") == Receipt(True, None)  # withheld
            assert await a.offer(b"a2") == Receipt(True, "events")
            assert await b.offer(b"b2") == Receipt(True, None)
            assert await a.offer(b"bad a3") == Receipt(False, "events")
            assert await b.offer(b"bad b3") == Receipt(True, None)
            assert sink.accepted == [b"c1", b"b1", b"a2"]
            b.unchanged()  # of what does not serve
            assert sink.confirmed == 0
            a.unchanged()
            assert sink.confirmed == 1
            assert b.sink
            b.sink.failed("no luck")
            assert sink.failures == ["b: no luck"]
            await anyio.wait_all_tasks_blocked()
            assert sink.accepted == [b"c1", b"b1", b"a2"]

    run_on(loop, main)


@every_loop
def test_what_is_stale_gives_way_and_returns(loop: str, clock: Clock) -> None:
    a, b, c = Puppet("a"), Puppet("b"), Puppet("c")

    async def main() -> None:
        sink = RecordingSink(good)
        async with running(ChainSource(a, b, c, stale_after=60), sink, a, b, c):

            async def after(seconds: float, *reached: Puppet) -> list[bytes]:
                """What is offered when time has passed and these have been reached."""
                sink.offered.clear()
                clock.now += seconds
                for puppet in reached:
                    puppet.unchanged()
                await anyio.wait_all_tasks_blocked()
                return [document.data for document in sink.offered]

            c.unchanged()  # says nothing: it has delivered nothing
            await a.offer(b"a1")
            await b.offer(b"b1")
            await c.offer(b"c1")
            assert await after(59, c) == []
            assert await after(0, b) == []
            assert await after(2, b) == [b"b1"]  # a was last reached 61 s ago
            assert await after(30, b) == []
            assert await b.offer(b"b2") == Receipt(True)
            assert await after(0, a) == [b"a1"]  # what it delivered last is still right
            assert await after(61, c) == [b"c1"]  # a and b are stale
            assert await after(61, b) == [b"b2"]
            await a.offer(b"bad a2")  # is no success
            assert await after(61) == [b"c1"] or sink.offered == []
            assert await a.offer(b"a3") == Receipt(True)
            assert sink.accepted[-1] == b"a3"
            await b.offer(b"bad b3")
            assert await after(61, b) == [b"bad b3", b"c1"]  # a withheld one was never verified
            assert await after(0, b) == []
            assert await b.offer(b"b4") == Receipt(True)
            assert sink.accepted[-1] == b"b4"

    run_on(loop, main)


@every_loop
def test_it_gives_way_when_the_time_has_come(loop: str) -> None:
    a, b = Puppet("a"), Puppet("b")

    async def main() -> None:
        sink = RecordingSink()
        async with running(ChainSource(a, b, stale_after=0.05), sink, a, b):
            await a.offer(b"a")
            await b.offer(b"b")
            await sink.until(lambda: sink.accepted == [b"a", b"b"], 5)  # nobody did anything
            a.unchanged()
            await sink.until(lambda: sink.accepted[2:3] == [b"a"], 5)

    run_on(loop, main)


@every_loop
def test_offers_at_the_same_time(loop: str) -> None:
    """A lower source's document that is being compiled is not made to serve after the higher one's."""
    a, b, c = Puppet("a"), Puppet("b"), Puppet("c")

    async def main() -> None:
        busy, go = anyio.Event(), anyio.Event()

        class Slow(RecordingSink):
            async def offer(self, document: Document) -> Receipt:
                busy.set()
                await go.wait()
                return await super().offer(document)

        sink = Slow()
        async with running(ChainSource(a, b, c), sink, a, b, c), anyio.create_task_group() as tasks:
            tasks.start_soon(c.offer, b"c")
            await busy.wait()
            tasks.start_soon(a.offer, b"a")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(b.offer, b"b")
            await anyio.wait_all_tasks_blocked()
            go.set()
        assert sink.accepted == [b"c", b"a"]

    run_on(loop, main)


@every_loop
def test_a_new_run_begins_where_the_last_ended(loop: str, clock: Clock) -> None:
    a, b = Puppet("a"), Puppet("b")
    chain = ChainSource(a, b, stale_after=60)

    async def first() -> None:
        async with running(chain, RecordingSink(), a, b):
            await a.offer(b"a")
            await b.offer(b"b")
            clock.now += 50

    async def second() -> None:
        sink = RecordingSink()
        async with running(chain, sink, a, b):
            await b.offer(b"b")
            assert sink.accepted == [b"a"]
            clock.now += 11
            b.unchanged()
            await anyio.wait_all_tasks_blocked()
            assert sink.accepted == [b"a", b"b"]

    run_on("asyncio", first)
    clock.now += 1000  # nobody could reach anything
    run_on(loop, second)


@every_loop
def test_sources_that_end_and_that_raise(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.sources.chain.PAUSE", 0.01)

    class Raising(Puppet):
        async def run(self, sink: Sink) -> None:
            self.runs += 1
            if self.runs < 3:
                raise ImportError("no such\npackage")

    async def documents() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    raising = Raising("raising")

    async def main() -> None:
        sink = RecordingSink()
        await ChainSource(raising, IteratorSource(documents)).run(sink)
        assert sink.accepted == [b"1", b"2"]
        assert sink.failures == ["raising: ImportError: no such package"] * 2
        assert raising.runs == 3

    run_on(loop, main)


@every_loop
def test_a_chain_in_a_chain(loop: str) -> None:
    a, b, c = Puppet("a"), Puppet("b"), Puppet("c")

    async def main() -> None:
        sink = RecordingSink(good)
        chain = ChainSource(a, ChainSource(b, c))
        assert chain.name == "chain(a, chain(b, c))"
        async with running(chain, sink, a, b, c):
            await c.offer(b"c")
            await b.offer(b"b")
            await a.offer(b"a")
            await b.offer(b"b2")
            assert c.sink
            c.sink.failed("no luck")
        assert sink.accepted == [b"c", b"b", b"a"]
        assert sink.failures == ["chain(b, c): c: no luck"]

    run_on(loop, main)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="sources"):
        ChainSource()
    with pytest.raises(ValueError, match="stale_after"):
        ChainSource(Puppet("a"), stale_after=0)
