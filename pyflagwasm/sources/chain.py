"""The source that is made of others, of which the first that has something good is believed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from time import monotonic
from typing import Final

import anyio

from .base import Document, Receipt, Sink, Source
from .given import one_line

PAUSE: Final = 30.0
"""Seconds, within 10 %, after which a source that raised is run again."""


class ChainSource(Source):
    """Several sources at once, the highest priority first.

    stale_after: seconds after which a source that has not been reached gives way to those below it; None for never.

    A document serves if no source of higher priority has one that was accepted. Others are withheld: kept in memory,
    unverified, and their sources told that they are accepted (so that these ask for changes, and not for all of it
    again) but of no events_url. One document for each source is kept, the last that was accepted or withheld.

    A source is reached when it delivers something that is accepted or withheld, or says that what it delivered is still
    right. If the one that serves is stale, the next one below that is not takes its place; if all are, the lowest that
    has a document. As soon as a higher one is reached again its document serves again. A withheld document that is then
    refused is dropped, and counts no more until its source delivers another.

    What is kept outlives a run: when it is run again, the document that ought to serve is offered at once, so that a
    lower source that is quicker to start does not take its place; the time between two runs makes nothing stale. Ends
    when all its sources have ended; one that raises is run again. `name: cause` is told of every failure, of sources
    that do not serve as well.
    """

    def __init__(self, *sources: Source, stale_after: float | None = None) -> None:
        if not sources:
            raise ValueError("a chain needs sources")
        if stale_after is not None and not stale_after > 0:
            raise ValueError("stale_after must be seconds, more than 0")
        self.name = f"chain({', '.join(source.name for source in sources)})"
        self._links = [_Link(source) for source in sources]
        self._stale_after = stale_after
        self._ended = monotonic()

    def check(self) -> None:
        """Raises ImportError if a package is missing without which one of the sources cannot deliver."""
        for link in self._links:
            link.source.check()

    async def run(self, sink: Sink) -> None:
        now = monotonic()
        for link in self._links:
            link.reached = min(link.reached + now - self._ended, now)
        chain = _Chain(self._links, self._stale_after, sink)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(chain.conduct)
                async with anyio.create_task_group() as running:
                    for link in self._links:
                        running.start_soon(chain.run_link, link)
                await chain.take_up()  # one may have been reached with its last word
                tasks.cancel_scope.cancel()
        finally:
            self._ended = monotonic()


@dataclass(slots=True, eq=False)
class _Link:
    """One source and what is kept of it between runs. reached: of time.monotonic, which all event loops share."""

    source: Source
    document: Document | None = None
    reached: float = 0.0


class _Chain:
    """One run of the sources."""

    def __init__(self, links: list[_Link], stale_after: float | None, sink: Sink) -> None:
        self.links, self.sink = links, sink
        self.serving: _Link | None = None
        self._patience = float("inf") if stale_after is None else stale_after
        self._lock = anyio.Lock()  # one offer at a time: which is right depends on what became of the one before
        self._reached = anyio.Event()

    def _chosen(self, offering: _Link | None = None) -> _Link | None:
        """Which link ought to serve, if what `offering` has is good."""
        oldest = monotonic() - self._patience
        lowest = None
        for link in self.links:
            if link is offering or (link.document is not None and link.reached > oldest):
                return link
            if link.document is not None:
                lowest = link
        return lowest

    async def offer(self, link: _Link, document: Document) -> Receipt:
        async with self._lock:
            if self._chosen(link) is not link:
                link.document, link.reached = document, monotonic()
                return Receipt(True)
            receipt = await self.sink.offer(document)
            if receipt.accepted:
                link.document, link.reached = document, monotonic()
                self.serving = link
                self._reached.set()  # conduct() has a new time to wait for
            return receipt

    def unchanged(self, link: _Link) -> None:
        if link.document is None:
            return
        link.reached = monotonic()
        if link is self.serving:
            self.sink.unchanged()
        self._reached.set()

    async def take_up(self) -> None:
        """Have the link serve that ought to."""
        async with self._lock:
            while (link := self._chosen()) is not self.serving and link is not None and link.document is not None:
                if (await self.sink.offer(link.document)).accepted:
                    self.serving = link
                else:
                    link.document = None

    async def conduct(self) -> None:
        while True:
            self._reached = anyio.Event()
            await self.take_up()
            oldest = min((link.reached for link in self.links if self._is_fresh(link)), default=float("inf"))
            with anyio.move_on_after(max(oldest + self._patience - monotonic(), 0) + 0.001):
                await self._reached.wait()

    def _is_fresh(self, link: _Link) -> bool:
        return link.document is not None and link.reached > monotonic() - self._patience

    async def run_link(self, link: _Link) -> None:
        sink = _LinkSink(self, link)
        while True:
            try:
                return await link.source.run(sink)
            except Exception as error:
                sink.failed(one_line(error))
            await anyio.sleep(PAUSE * random.uniform(0.9, 1.1))


class _LinkSink:
    """The sink of one of the sources."""

    def __init__(self, chain: _Chain, link: _Link) -> None:
        self._chain, self._link = chain, link

    async def offer(self, document: Document) -> Receipt:
        return await self._chain.offer(self._link, document)

    def unchanged(self) -> None:
        self._chain.unchanged(self._link)

    def failed(self, cause: str) -> None:
        self._chain.sink.failed(f"{self._link.source.name}: {cause}")
