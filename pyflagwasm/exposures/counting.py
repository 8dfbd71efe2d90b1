"""How often which flag gave what: counted by the evaluations, drained by a task, handed to sinks.

Here live draining, the batches, and the queue that each sink has until it has taken them. What an evaluation counts
with is in tally.py; sinks that write or send are in sinks.py and http.py. Nothing here belongs to an event loop while
neither `run` nor `flush` is awaited.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any, Final, Protocol
from uuid import uuid4

import anyio
import anyio.lowlevel

from ..types import EMPTY
from .tally import Kind, Tally

LONGEST_KEY: Final = 256
"""Characters of the longest flag key that is kept for a flag that does not exist."""

LONGEST_PAUSE: Final = 300.0
"""Seconds after which a sink that keeps failing is tried again at the latest."""

_CHUNK: Final = 250  # tallies drained before the event loop has its turn: less than a millisecond


@dataclass(frozen=True, slots=True)
class Exposure:
    """How often a flag gave one variant for one reason.

    kind: "evaluated" for a variant, "defaulted" for the caller's default.
    """

    kind: Kind
    flag_key: str
    variant: str | None
    reason: str
    count: int
    generation: int = 0
    metadata: Mapping[str, Any] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was counted between two drains.

    since, until: seconds since 1970.
    dropped: evaluations that were counted, here or before, but of which this sink hears no more than that.
    id: of this batch, the same each time that it is sent: a receiver can tell by it what it has already.
    """

    since: float
    until: float
    exposures: tuple[Exposure, ...]
    dropped: int = 0
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def count(self) -> int:
        """The evaluations in its exposures."""
        return sum(exposure.count for exposure in self.exposures)


class ExposureSink(Protocol):
    """Where exposures go."""

    async def send(self, batch: Batch) -> None:
        """Deliver a batch. Raises Rejected if it can never be delivered, any other exception to be tried again later.

        Is cancelled after the counter's deadline; then it is tried again, although it may have been delivered.
        """
        ...


class Rejected(Exception):
    """Raised by a sink for a batch that is not worth another attempt.

    message: for people, without secrets.
    dropped: evaluations of it that were not delivered, None for all.
    """

    def __init__(self, message: str, dropped: int | None = None) -> None:
        super().__init__(message)
        self.dropped = dropped


@dataclass(frozen=True, slots=True)
class ExposureStatistics:
    """Of all evaluations that were drained; with one sink, recorded == sent + dropped + pending.

    recorded: evaluations drained, those of too many unknown flags included.
    sent, pending: evaluations that sinks have taken, and that wait for them; the sum over all sinks.
    dropped: evaluations that did not fit into a queue or that a sink rejected (the sum over all sinks), or of too many
        unknown flags.
    failures: attempts of sinks that came to nothing. last_error: the last one's, in one line.
    """

    recorded: int = 0
    sent: int = 0
    dropped: int = 0
    pending: int = 0
    failures: int = 0
    last_error: str | None = None


class Counter:
    """Counts evaluations and hands what was counted to sinks, each of which has its own queue.

    interval: seconds between two drains by `run`, within 10 %.
    max_unknown: how many different flags that do not exist are kept apart between two drains.
    max_pending: batches that wait for one sink, beside the one that it is taking; then the oldest is dropped.
    deadline: seconds that a sink has for one batch.
    clock: seconds since 1970, for the times of a batch.

    A sink that fails is tried again, after pauses that double up to 5 minutes. Delivery is at least once: a sink that
    is cancelled, by its deadline or because `run` is, may have delivered already.
    """

    def __init__(
        self,
        sinks: Iterable[ExposureSink],
        *,
        interval: float = 10.0,
        max_unknown: int = 1000,
        max_pending: int = 64,
        deadline: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not interval > 0 or not deadline > 0:
            raise ValueError("interval and deadline must be seconds, more than 0")
        if max_pending < 1 or max_unknown < 0:
            raise ValueError("max_pending must be 1 or more, max_unknown 0 or more")
        self.touched: deque[Tally] = deque()
        self._sinks = tuple(sinks)
        self._interval, self._deadline, self._clock = interval, deadline, clock
        self._max_unknown, self._max_pending = max_unknown, max_pending
        self._observers: list[Callable[[Batch], object]] = []
        self._taken: Tally | None = None
        self.forget()

    def forget(self) -> None:
        """Begin anew, for a forked child: what was counted is its parent's to send. Nothing else may run meanwhile."""
        if self._taken is not None:  # a drain was in the middle of it, and what is left of its count would stay
            self._taken.count = 0
        while self.touched:
            self.touched.pop().count = 0
        self._unknown: dict[tuple[str, str], Tally] = {}
        self._overflow = Tally("defaulted", "", None, "")  # of unknown flags; never in touched
        self._taking = threading.Lock()  # two drains at once would subtract the same count; never held while waiting
        self._since = self._clock()
        self._recorded = self._sent = self._dropped = self._failures = 0
        self._last_error: str | None = None
        self._outlets = [_Outlet(sink) for sink in self._sinks]

    # ------------------------------------------------------------ counting, on any thread

    def add(self, tally: Tally) -> None:
        """Count one evaluation. The hot path has these lines itself."""
        tally.count = n = tally.count + 1
        if n == 1:
            self.touched.append(tally)

    def unknown(self, flag_key: str, reason: str) -> None:
        """Count one evaluation of a flag that does not exist."""
        if not isinstance(flag_key, str):  # callers may ask for anything, what cannot be hashed as well
            self._overflow.count += 1
            return
        unknown = self._unknown
        tally = unknown.get((flag_key, reason))
        if tally is None:
            if len(unknown) >= self._max_unknown or len(flag_key) > LONGEST_KEY:
                tally = self._overflow
                tally.count += 1
                return
            tally = unknown.setdefault((flag_key, reason), Tally("defaulted", flag_key, None, reason))
        self.add(tally)

    # ------------------------------------------------------------ draining

    def observe(self, observer: Callable[[Batch], object]) -> Callable[[], None]:
        """Have `observer` called with every batch from now on, where it is drained. It must neither block nor raise.

        Gives the function that ends it, which is called once.
        """
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def drain_unless_sent(self) -> None:
        """Take what was counted for the observers, if there are no sinks for which `run` does it. On any thread."""
        if not self._sinks:
            self.drain()

    def drain(self) -> Batch:
        """Take everything that was counted, at about a microsecond for each outcome that was touched.

        It is the caller's then: no sink is given it. On any thread.
        """
        merged = _Merged()
        self._take(merged, len(self.touched))  # not until it is empty: threads that count on would hold us
        return self._batch(merged.exposures())

    async def _drain(self) -> None:
        """As drain, for the sinks, in pieces between which the event loop has its turn."""
        merged, exposures = _Merged(), list[Exposure]()
        more = merged.exposures()
        try:
            for left in range(len(self.touched), 0, -_CHUNK):
                self._take(merged, min(left, _CHUNK))
                await anyio.lowlevel.checkpoint()
            while piece := list(islice(more, _CHUNK)):
                exposures += piece
                await anyio.lowlevel.checkpoint()
        finally:  # what is taken is not lost by a cancellation
            batch = self._batch(chain(exposures, more))
            if batch.exposures or batch.dropped:
                for outlet in self._outlets:
                    self._dropped += outlet.add(batch, self._max_pending)

    def _take(self, merged: _Merged, most: int) -> None:
        touched = self.touched
        with self._taking:
            for _ in range(most):
                if not touched:  # another drain was there
                    return
                tally = self._taken = touched[0]  # before it is out: a fork may come between
                touched.popleft()
                count = tally.count
                if count:  # else it was in there twice
                    tally.count -= count
                    merged.add(tally, count)
                if tally.count:  # counted meanwhile, from more than 0 and so not appended
                    touched.append(tally)

    def _batch(self, exposures: Iterable[Exposure]) -> Batch:
        with self._taking:
            dropped = self._overflow.count
            self._overflow.count -= dropped
            self._unknown = {}
            since, self._since = self._since, self._clock()
            batch = Batch(since, self._since, tuple(exposures), dropped)
            self._recorded += batch.count + dropped
            self._dropped += dropped
        for observer in tuple(self._observers):
            observer(batch)
        return batch

    # ------------------------------------------------------------ sending

    async def run(self) -> None:
        """Drain and send after every interval, until cancelled. Awaited once at a time.

        What was not sent when it is cancelled is kept, for `flush` or a new run.
        """
        async with anyio.create_task_group() as tasks:
            while True:
                await anyio.sleep(self._interval * random.uniform(0.9, 1.1))
                await self._drain()
                for outlet in self._outlets:
                    if outlet.idle is None and outlet.queue and time.monotonic() >= outlet.retry_at:
                        tasks.start_soon(self._send, outlet)

    async def flush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109  # it never raises, so that closing goes on
        """Drain, and send everything that waits, each sink once, within `timeout` seconds.

        Returns whether nothing waits any more. Raises nothing. May be awaited beside `run`, on the same event loop.
        """
        with anyio.move_on_after(timeout):
            await self._drain()
            async with anyio.create_task_group() as tasks:
                for outlet in self._outlets:
                    tasks.start_soon(self._flush, outlet)
        return not any(outlet.queue for outlet in self._outlets)

    async def _flush(self, outlet: _Outlet) -> None:
        while outlet.idle is not None:
            await outlet.idle.wait()
        await self._send(outlet)

    async def _send(self, outlet: _Outlet) -> None:
        """Empty an outlet's queue, up to the first failure. Does nothing if that is being done."""
        if outlet.idle is not None:
            return
        outlet.idle = idle = anyio.Event()
        try:
            while outlet.queue:
                batch = outlet.queue[0]
                try:
                    with anyio.fail_after(self._deadline):
                        await outlet.sink.send(batch)
                except Rejected as error:
                    self._failed(outlet, error)
                    dropped = outlet.drop(0, error.dropped)
                    self._dropped += dropped
                    self._sent += batch.count - dropped
                except Exception as error:
                    self._failed(outlet, error)
                    outlet.failures += 1
                    pause = min(self._interval * 2 ** min(outlet.failures - 1, 20), LONGEST_PAUSE)
                    outlet.retry_at = time.monotonic() + pause * random.uniform(0.5, 0.9)
                    return
                else:
                    outlet.queue.popleft()
                    self._sent += batch.count
                outlet.failures, outlet.retry_at = 0, 0.0
        finally:
            outlet.idle = None
            idle.set()

    def _failed(self, outlet: _Outlet, error: Exception) -> None:
        text = " ".join(str(error).split())
        self._failures += 1
        self._last_error = f"{type(outlet.sink).__name__}: {type(error).__name__}: {text}".removesuffix(": ")[:300]

    def statistics(self) -> ExposureStatistics:
        pending = sum(batch.count for outlet in self._outlets for batch in list(outlet.queue))
        return ExposureStatistics(self._recorded, self._sent, self._dropped, pending, self._failures, self._last_error)


class _Merged:
    """Counts of equal outcomes: instances and generations of an evaluator have their own tallies."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Any, ...], list[tuple[Mapping[str, Any], int]]] = {}

    def add(self, tally: Tally, count: int) -> None:
        key = tally.kind, tally.flag_key, tally.variant, tally.reason, tally.generation
        same = self._counts.setdefault(key, [])
        for i, (metadata, counted) in enumerate(same):
            if metadata is tally.metadata or metadata == tally.metadata:
                same[i] = metadata, counted + count
                return
        same.append((tally.metadata, count))

    def exposures(self) -> Iterator[Exposure]:
        """All of them, once; nothing may be added after the first was taken."""
        for (kind, flag_key, variant, reason, generation), same in self._counts.items():
            for metadata, count in same:
                yield Exposure(kind, flag_key, variant, reason, count, generation, metadata)


class _Outlet:
    """One sink and what waits for it."""

    def __init__(self, sink: ExposureSink) -> None:
        self.sink = sink
        self.queue: deque[Batch] = deque()
        self.idle: anyio.Event | None = None  # set when the first batch is no longer being sent; None if none is
        self.lost = 0  # evaluations that the sink has not heard of, and will not
        self.failures = 0
        self.retry_at = 0.0

    def add(self, batch: Batch, most: int) -> int:
        """Queue a batch. Returns how many evaluations were dropped for it."""
        first = 0 if self.idle is None else 1
        dropped = self.drop(first) if len(self.queue) - first >= most else 0
        self.queue.append(replace(batch, dropped=batch.dropped + self.lost))
        self.lost = 0
        return dropped

    def drop(self, index: int, dropped: int | None = None) -> int:
        """Remove a batch of which so many evaluations were not delivered; None for all. Returns how many."""
        batch = self.queue[index]
        del self.queue[index]
        if dropped is None or dropped >= batch.count:  # nor was it told of those before
            self.lost += batch.count + batch.dropped
            return batch.count
        self.lost += dropped
        return dropped
