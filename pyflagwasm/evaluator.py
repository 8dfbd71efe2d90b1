"""`open`, and the FlagEvaluator that it gives: its life, what feeds it, what it tells of itself.

Evaluations are in evaluations.py, pins and leases in holding.py, the way of a document in intake.py.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from .background import Background, Job
from .changes import Change, Listeners
from .evaluations import Evaluations
from .generation import Generation
from .holding import Lease, Pin
from .hooks import Hook, HookList
from .intake import Feed, Intake, SourceStatistics
from .loading import Readable
from .pool.asking import Clock
from .pool.pool import MAX_WAITING, SIZE, TIMEOUT, Pool, PoolStatistics
from .pool.remarks import NOT_DELIVERED
from .pool.swap import Swaps
from .pool.waiting import Queue, wait_in_task
from .sources.base import Document, Source
from .types import State
from .wanted import number

if TYPE_CHECKING:
    from .exposures.counting import Counter, ExposureStatistics
    from .exposures.sinks import ExposureSink

Key: TypeAlias = bytes | str | os.PathLike[str]
AnySource: TypeAlias = Readable | Source | Callable[[], Any] | AsyncIterable[Any]
_LOG: Final = logging.getLogger("pyflagwasm")


def open(
    source: AnySource,
    *,
    format: str = "auto",
    options: Mapping[str, Any] | None = None,
    clock: Clock = time.time,
    size: int = SIZE,
    timeout: float = TIMEOUT,
    max_waiting: int = MAX_WAITING,
    bundled: Readable | None = None,
    last_known_good: str | os.PathLike[str] | None = None,
    trusted_keys: Iterable[Key] | None = None,
    start_timeout: float = 5.0,
    close_timeout: float = 5.0,
    hooks: Iterable[Hook] = (),
    exposures: Sequence[ExposureSink] = (),
    exposure_interval: float = 10.0,
) -> FlagEvaluator:
    """An evaluator for a configuration: `async with pyflagwasm.open("flags.json") as flags:`. Needs no event loop yet.

    source: what is read once, when the evaluator is entered: a path (str or os.PathLike), a document (bytes or
        Document), a mapping that somebody has parsed already and that must not change before it is loaded, or one of
        the examples "example:flagd" and "example:devcycle". Or what delivers again and again, in the background: a
        Source (FileSource, HttpSource, ...), a function, or an async iterator of documents.
    format: "flagd", "devcycle", "eppo", "datadog", "unleash", "growthbook", or "auto" to tell by the document.
    options: the format's own; see its `load` in pyflagwasm.config.formats.
    clock: seconds since 1970, for rules that read the time. If it raises, or gives no number or one that is not within
        some 290,000 years of 1970, evaluations give the default with the error GENERAL.
    size: instances of the core. Two serve an event loop; add one for each thread that evaluates all the time and each
        lease that is held for long. Each takes some 100 KiB and three times its configuration.
    timeout, max_waiting: for how many seconds, and how many, may wait for an instance when all are in use.
    bundled: what answers until a Source has delivered.
    last_known_good: a file that keeps what a Source delivered last, to start from it, rather than from `bundled`, when
        the Source cannot be reached.
    trusted_keys: Ed25519 public keys (PEM, its path, or 32 raw bytes). With them nothing is loaded without a signature
        by one of them, and nothing older than what was loaded before; a path needs `<path>.sig` beside it.
    start_timeout: for how many seconds entering waits for the first configuration of a Source, if nothing else serves.
    close_timeout: for how many seconds closing may take.
    hooks: called around evaluations; see pyflagwasm.Hook.
    exposures: where to send, every `exposure_interval` seconds, how often each variant and each default was given.
    """
    return FlagEvaluator(
        source,
        format=format,
        options=options,
        clock=clock,
        size=size,
        timeout=timeout,
        max_waiting=max_waiting,
        bundled=bundled,
        last_known_good=last_known_good,
        trusted_keys=trusted_keys,
        start_timeout=start_timeout,
        close_timeout=close_timeout,
        hooks=hooks,
        exposures=exposures,
        exposure_interval=exposure_interval,
    )


@dataclass(frozen=True, slots=True)
class Statistics:
    """An evaluator at one moment.

    generation: the number of the configuration that answers, 0 for none. flags: how many it has. swaps: so far.
    source: of what delivers configurations in the background; None without.
    exposures: of what is counted; None if nothing is.
    """

    state: State
    generation: int
    flags: int
    swaps: int
    pool: PoolStatistics
    source: SourceStatistics | None
    exposures: ExposureStatistics | None


class FlagEvaluator(Evaluations):
    """Evaluates flags of one configuration at a time. Safe from any thread, task, finalizer and signal handler.

    Entering it loads the first configuration. What is read at once - a path, bytes - raises ConfigError if it cannot be
    used, GuestError if the core cannot. A Source raises nothing but ImportError, for a package that it cannot do
    without: what it delivers is awaited for `start_timeout`, and until then every flag has the error
    PROVIDER_NOT_READY, as before entering and after closing.

    The same evaluator serves several event loops, one after the other or in several threads, and forked children: they
    answer at once from what the parent had loaded, and what runs in the background starts again with the first awaited
    evaluation there.
    """

    def __init__(
        self,
        source: AnySource,
        *,
        format: str,
        options: Mapping[str, Any] | None,
        clock: Clock,
        size: int,
        timeout: float,
        max_waiting: int,
        bundled: Readable | None,
        last_known_good: str | os.PathLike[str] | None,
        trusted_keys: Iterable[Key] | None,
        start_timeout: float,
        close_timeout: float,
        hooks: Iterable[Hook],
        exposures: Sequence[ExposureSink],
        exposure_interval: float,
    ) -> None:
        delivering = _delivering(source)
        if delivering is None and (bundled is not None or last_known_good is not None):
            raise ValueError("bundled and last_known_good go with a Source; what is read at once needs neither")
        self._once: Readable | None = source if delivering is None else bundled  # type: ignore[assignment]
        self._start_timeout, self._close_timeout = start_timeout, close_timeout
        for name, seconds in (("start_timeout", start_timeout), ("close_timeout", close_timeout)):
            number(name, seconds)
        self._opened = self._closing = False
        self._pool = Pool(size, timeout, max_waiting)
        self._swaps = Swaps(self._pool)
        self._intake = Intake(self._swaps, format, options, trusted_keys, last_known_good)
        self._news: Queue[bool] = Queue(1 << 20)
        self._listeners = Listeners(self._fares)
        counter: Counter | None = None
        jobs: list[Job] = []
        self._feed: Feed | None = None
        if delivering is not None:
            self._feed = Feed(delivering, self._intake, self._tell)
            jobs.append(self._feed.run)
        if exposures:
            from .exposures.counting import Counter

            counter = Counter(exposures, interval=exposure_interval)
            jobs.append(counter.run)
        super().__init__(self._pool, clock, HookList(hooks), counter)
        self._background = Background(jobs, self._job_failed, self._moved)
        if jobs:
            self._moved(None)
        self._forked = False
        _all.add(self)

    # ------------------------------------------------------------ life

    async def __aenter__(self) -> Self:
        if self._opened:
            raise RuntimeError("an evaluator can be opened only once")
        if self._feed is not None:
            self._feed.source.check()
        if self._feed is None:
            await self._intake.load(self._once)  # type: ignore[arg-type]
        elif not await self._intake.recall() and self._once is not None:
            await self._intake.load(self._once)
        self._opened, self._once = True, None
        self._pool.remarks.lack = NOT_DELIVERED
        self._listeners.tell()
        self._dormant = self._background.dormant
        if self._dormant:
            self._wake()
        if self._feed is not None:
            try:
                await self.ready(self._start_timeout)
            except BaseException:
                await self.aclose()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def ready(self, seconds: float = 5.0) -> bool:
        """Wait until a configuration is live; False if none is after so many seconds, or ever will be."""
        deadline = time.monotonic() + seconds
        while self._pool.generation is None and not self._closing:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await wait_in_task(self._news, self._tell_late, lambda news: None, left)
        return self._pool.generation is not None

    async def reload(self, source: Readable) -> None:
        """Replace the configuration, in whole: no evaluation sees a part of each. The format and its options stay.

        Of several at once the one that was called last remains. Documents above a few KiB are loaded in a thread; once
        that runs, cancelling waits for it. A Source goes on, and replaces it by what it delivers next.
        Raises ConfigError, GuestError, or RuntimeError if the evaluator is not open; the old configuration goes on.
        """
        if not self._opened:
            raise RuntimeError("the evaluator is not open: enter it before reloading")
        await self._intake.load(source)
        self._tell()

    async def aclose(self) -> None:
        """Stop what runs in the background, send what was counted, and free the core. Idempotent, from any task.

        Takes at most `close_timeout` seconds for each of the first two. Who waits for an instance gets PoolClosedError;
        evaluations give the default from now on.
        """
        if self._closing:
            return
        self._closing, self._dormant = True, False
        try:
            if self._background.jobs:
                await self._wind_down()
        finally:
            self._pool.close()
            self._swaps.close()
            self._news.close()
            self._listeners.tell()

    async def _wind_down(self) -> None:
        import anyio

        with anyio.move_on_after(self._close_timeout, shield=True):
            await self._background.stop()
        if self._counter is not None:
            await self._counter.flush(self._close_timeout)

    # ------------------------------------------------------------ blocks

    def pin(self) -> Pin:
        """One generation for a block: `async with flags.pin() as pinned:`. It answers over any number of swaps."""
        if self._dormant:
            self._wake()  # what is in the block does not come by here
        return Pin(self._swaps, self._clock, self._hooks, self._counter)

    def lease(self) -> Lease:
        """One instance of the core for a block: `async with flags.lease() as leased:`. Others wait if none is left.

        Entering raises PoolTimeoutError, TooManyWaitingError or PoolClosedError.
        """
        if self._dormant:
            self._wake()
        return Lease(self._pool, self._clock, self._hooks, self._counter)

    def add_hook(self, hook: Hook) -> None:
        """Have a hook called around every evaluation from now on, those of pins and leases included."""
        self._hooks.append(hook)

    def add_listener(self, listener: Callable[[Change], object]) -> Callable[[], None]:
        """Have `listener` called after every new configuration, every attempt of the source, and closing.

        In the thread and on the event loop where that happened, one call at a time: it must not block. What it raises
        is logged. The function that is returned takes it away again.
        """
        return self._listeners.add(listener)

    # ------------------------------------------------------------ state

    def statistics(self) -> Statistics:
        """The evaluator at this moment. Costs some microseconds for each instance."""
        generation = self._pool.generation
        source = None if self._feed is None else self._feed.statistics()
        return Statistics(
            state=self._fares()[0],
            generation=0 if generation is None else generation.number,
            flags=0 if generation is None else len(generation.flags),
            swaps=self._swaps.count,
            pool=self._pool.statistics(self._swaps.shelved()),
            source=source,
            exposures=None if self._counter is None else self._counter.statistics(),
        )

    def _fares(self) -> tuple[State, Generation | None, str | None]:
        """The state, what answers, and what is wrong with the source."""
        generation, cause = self._pool.generation, None if self._feed is None else self._feed.cause
        if self._closing:
            return State.CLOSED, generation, cause
        if generation is None:
            return State.NOT_READY, None, cause
        return State.READY if cause is None else State.STALE, generation, cause

    def __repr__(self) -> str:
        generation = self._pool.generation
        if generation is None:
            return f"<FlagEvaluator: {'closed' if self._closing else 'waiting' if self._opened else 'not open'}>"
        return f"<FlagEvaluator: generation {generation.number}, {len(generation.flags)} flags>"

    # ------------------------------------------------------------ background

    def _wake(self) -> None:
        """Start on this thread's event loop what runs in the background and does not."""
        if self._background.alive() or self._background.start():
            return
        if self._forked:
            self._forked = False
            _LOG.warning(
                "this forked process evaluates without an event loop: flags stay as they were until it awaits one"
            )

    def _moved(self, loop: Any) -> None:
        """What runs in the background runs on this loop now; None: the next evaluation has to see to it."""
        if self._shortcut is not None:
            self._shortcut.heed(False if loop is None else weakref.ref(loop))

    def _count(self, counter: Counter) -> None:
        super()._count(counter)
        if self._background.jobs:
            self._moved(self._background.loop)

    def _job_failed(self, job: Job, error: Exception) -> None:
        if self._feed is not None and job == self._feed.run:
            self._feed.crashed(error)
        else:
            _LOG.error("counting exposures failed and goes on", exc_info=error)

    def _tell_late(self) -> None:
        """For who began to wait in the moment in which it happened, in another thread."""
        if self._closing or self._pool.generation is not None:
            self._tell_news()

    def _tell(self) -> None:
        self._tell_news()
        self._listeners.tell()

    def _tell_news(self) -> None:
        while self._news.give(True):
            pass

    def _after_fork(self) -> None:
        self._swaps.after_fork()
        self._intake.after_fork()
        self._news.after_fork()
        self._listeners.after_fork()
        self._background.after_fork()
        if self._counter is not None:
            self._counter.forget()
        self._forked = self._dormant = self._opened and self._background.dormant


def _delivering(source: AnySource) -> Source | None:
    """What delivers again and again; None for what is read at once."""
    if isinstance(source, Source):
        return source
    if isinstance(source, (str, bytes, bytearray, Document, Mapping, os.PathLike)):
        return None
    if isinstance(source, AsyncIterable):
        from .sources.given import IteratorSource

        return IteratorSource(source)
    if callable(source):
        from .sources.given import CallableSource

        return CallableSource(source)
    return None


_all: weakref.WeakSet[FlagEvaluator] = weakref.WeakSet()


def _after_fork() -> None:
    for evaluator in list(_all):
        evaluator._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
