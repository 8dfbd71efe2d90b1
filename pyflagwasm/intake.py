"""The way of a document to being live: read, verified, compiled, swapped in, kept. The same for every origin.

    open / reload -> Intake.load   raises for what is wrong
    a source      -> Feed          never raises: the last good configuration goes on, statistics tell the cause

Here live the order of these steps, the threads that they run in, and what is known of a source's health. The steps
themselves are in loading.py, signing.py, pool/swap.py and last_good.py.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .config.compile import CompiledConfig
from .config.pace import make_room, unhurried
from .errors import ConfigError, FlagWasmError, PoolClosedError, SignatureError
from .generation import Generation
from .loading import Readable, compile_source, is_large, read
from .pool.swap import Swaps
from .sources.base import Document, Receipt, Source

if TYPE_CHECKING:
    from .last_good import Record

T = TypeVar("T")
_LOG: Final = logging.getLogger("pyflagwasm")
ROOM_EVERY: Final = 0.005
"""Seconds between two looks whether a compiling thread is kept out by the loop."""


class Intake:
    """Makes documents live. From any thread and event loop.

    trusted_keys: if given, nothing is loaded without a signature by one of them.
    last_good: the path of the last-known-good file, if there is to be one.
    explaining: whether what is loaded from now on keeps what explanations need; twice the objects, no other cost.
    """

    def __init__(
        self,
        swaps: Swaps,
        format: str,
        options: Mapping[str, Any] | None,
        trusted_keys: Iterable[bytes | str | os.PathLike[str]] | None,
        last_good: str | os.PathLike[str] | None,
    ) -> None:
        self._swaps, self._format, self._options = swaps, format, options
        self.explaining = False
        self._tickets = count(1)
        self._live = b""  # the SHA-256 of the document that was made live last
        self._kept: tuple[bytes, int | None] | None = None  # the same, and its version, of what is in the file
        self._trust = self._rollback = self._last_good = None
        if trusted_keys is not None:
            from .signing import Rollback, Trust

            self._trust, self._rollback = Trust(trusted_keys), Rollback()
        if last_good is not None:
            from .last_good import LastGood

            self._last_good = LastGood(last_good)

    async def load(self, source: Readable) -> None:
        """Make a configuration live, in a thread if it is large.

        Of several at once the one that was called last remains.
        Raises ConfigError, GuestError, PoolClosedError or TypeError; then the old configuration goes on.
        """
        await self._run(partial(self._install, source, next(self._tickets)), is_large(source))

    def load_here(self, source: Readable) -> None:
        """As `load`, in this thread whatever the size, without an event loop."""
        self._install(source, next(self._tickets), patient=False, told=False)

    async def take(self, document: Document) -> CompiledConfig | None:
        """As `load`, for what a source delivers; None if it is live already. It is kept as the last known good one."""
        install = partial(self._install, document, next(self._tickets))
        compiled, version = await self._run(install, self._is_long(document), unless_live=True)
        if self._last_good is not None and self._kept != (self._live, version):
            await _in_thread(partial(self._keep, document, version))
        return compiled

    async def recall(self) -> bool:
        """Make the last known good configuration live; False if there is none that can be believed."""
        if self._last_good is None:
            return False
        record: Record | None = None
        try:
            record = await _in_thread(self._last_good.load)
            if record is None:
                return False
            if record.format != self._format:
                raise ConfigError("$", f"it was kept as {record.format}, not {self._format}", source=record.origin)
            document = Document(record.data, record.origin, record.signature)
            install = partial(self._install, document, next(self._tickets))
            _, version = await self._run(install, self._is_long(document))
        except (FlagWasmError, OSError) as error:
            _LOG.warning("the last known good configuration is left aside: %s", error)
            # The version that it claims, and nobody has verified, must not keep later ones from being kept.
            if isinstance(error, SignatureError) or (record is not None and record.format != self._format):
                await _in_thread(self._forget)
            return False
        if version in (None, record.version):
            self._kept = self._live, version
        else:  # it claims another version than was signed
            await _in_thread(self._forget)
            await _in_thread(partial(self._keep, document, version))
        return True

    @property
    def serving(self) -> bool:
        """Whether some configuration answers."""
        return self._swaps.pool.generation is not None

    def _is_long(self, document: Document) -> bool:
        """Whether a document belongs in a thread: the very first one of a process has the core compiled, too."""
        return is_large(document) or not self.serving

    def after_fork(self) -> None:
        if self._rollback is not None:
            self._rollback.after_fork()

    # ------------------------------------------------------------ steps, in any thread

    def _install(
        self, source: Readable, ticket: int, *, patient: bool, unless_live: bool = False, told: bool = True
    ) -> tuple[CompiledConfig | None, int | None]:
        """The compiled configuration and its version; None in place of what is live already, if that is enough.

        told: whether the log says that it is live.
        """
        found = read(source, signed=self._trust is not None)
        approve, version = self._verified(found)
        digest = hashlib.sha256(found.data).digest() if isinstance(found, Document) else b""
        if unless_live and digest == self._live and self.serving:
            approve()  # a newer version of the same bytes
            return None, version
        compiled = compile_source(found, self._format, self._options, explain=self.explaining)

        def last() -> None:
            approve()
            self._live = digest  # here, where no other swap can come between

        generation = Generation(compiled)
        if self._swaps.swap(generation, ticket, patient=patient, approve=last) and told:
            what = (found.origin if isinstance(found, Document) else "") or "what was given"
            _LOG.info("generation %d of %s is live", generation.number, what)
        return compiled, version

    def _verified(self, found: Document | Mapping[str, Any]) -> tuple[Callable[[], object], int | None]:
        """The last check, for the moment in which nothing can come between, and the version."""
        if self._trust is None or self._rollback is None:
            return lambda: None, None
        if not isinstance(found, Document):
            raise SignatureError("$", "a mapping cannot be signed: give the document as it was signed, as bytes")
        rollback, data = self._rollback, found.data
        try:
            version = self._trust.verify(data, found.signature)
            rollback.check(version, data)
        except SignatureError as error:
            error.source = found.origin or None
            raise

        def approve() -> None:
            rollback.check(version, data)
            rollback.accept(version, data)

        return approve, version

    def _forget(self) -> None:
        assert self._last_good is not None
        with suppress(OSError):
            self._last_good.discard()

    def _keep(self, document: Document, version: int | None) -> None:
        from .last_good import Record

        assert self._last_good is not None
        record: Record = Record(document.data, document.origin, self._format, document.signature, version, time.time())
        digest = hashlib.sha256(document.data).digest()
        if digest != self._live:
            return  # a reload that was called later came first
        try:
            self._last_good.save(record)
            self._kept = digest, version
        except OSError as error:
            _LOG.warning("the last known good configuration cannot be kept: %s", error)

    # ------------------------------------------------------------ threads

    async def _run(self, install: Callable[..., T], large: bool, **options: bool) -> T:
        if large or not self._swaps.free():
            return await _in_thread(partial(install, patient=True, **options))
        return install(patient=False, **options)


async def _in_thread(install: Callable[[], T]) -> T:
    """Without being felt by the loop, and without being starved by it."""
    import anyio
    from anyio import to_thread

    def work() -> None:
        with unhurried():
            try:
                done.append(install())
            except BaseException as error:  # not out of the group of tasks: that would wrap it
                failed.append(error)

    async def let_in() -> None:
        while True:
            await anyio.sleep(ROOM_EVERY)
            make_room()

    done: list[T] = []
    failed: list[BaseException] = []
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(let_in)
            await to_thread.run_sync(work)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as grouped:  # a signal's exception, which callers know by its own name
        raise _single(grouped) from None
    if failed:
        raise failed.pop()
    return done.pop()


def _single(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@dataclass(frozen=True, slots=True)
class SourceStatistics:
    """What is known of a source.

    healthy: whether its last attempt succeeded. cause: why not, one line; None if it is healthy or was not tried yet.
    age: seconds since it was last known that what serves is what the source has; None if it never was.
    accepted, refused: documents. failed: attempts that brought no document.
    """

    name: str
    healthy: bool
    cause: str | None
    age: float | None
    accepted: int
    refused: int
    failed: int


class Feed:
    """Runs one source into an intake: the Sink of sources/base.py. news: called after every attempt.

    cause: why the last attempt failed, one line; None if it did not.
    """

    def __init__(self, source: Source, intake: Intake, news: Callable[[], object]) -> None:
        self.source, self._intake, self._news = source, intake, news
        self.cause: str | None = None
        self._contact: float | None = None
        self._refused_last: tuple[Document, str] | None = None
        self._accepted = self._refused = self._failed = 0
        self._events_url: str | None = None

    async def run(self) -> None:
        """The background job."""
        await self.source.run(self)

    def crashed(self, error: Exception) -> None:
        """The source ended with an exception, and will be run again."""
        self.failed(f"{type(error).__name__}: {error}")

    async def offer(self, document: Document) -> Receipt:
        refused = self._refused_last
        if refused is not None and refused[0] == document:  # the same bytes once more: nothing has changed
            self._refused += 1
            self._trouble(refused[1])
            return Receipt(False)
        try:
            compiled = await self._intake.take(document)
        except PoolClosedError:
            return Receipt(False)
        except Exception as error:
            self._refused += 1
            if isinstance(error, ConfigError):
                error.source = error.source or document.origin
            words = str(error) if isinstance(error, FlagWasmError) else f"{type(error).__name__}: {error}"
            self._refused_last = (document, words) if isinstance(error, ConfigError) else None
            self._trouble(words)
            return Receipt(False)
        self._refused_last = None
        self._accepted += 1
        if compiled is not None:
            self._events_url = compiled.events_url
        self._well()
        return Receipt(True, self._events_url)

    def unchanged(self) -> None:
        self._well()

    def failed(self, cause: str) -> None:
        self._failed += 1
        self._trouble(cause)

    def _well(self) -> None:
        if self.cause is not None:
            _LOG.info("the source %s is well again", self.source.name)
        self.cause, self._contact = None, time.monotonic()
        self._news()

    def _trouble(self, cause: str) -> None:
        if cause != self.cause:  # the same trouble again and again is one line
            goes_on = "the last good configuration goes on" if self._intake.serving else "there is no configuration yet"
            named = f"{self.source.name}: "
            _LOG.warning("the source %s%s; %s", named, cause.removeprefix(named), goes_on)
        self.cause = cause
        self._news()

    def statistics(self) -> SourceStatistics:
        contact = self._contact
        return SourceStatistics(
            name=self.source.name,
            healthy=self.cause is None and contact is not None,
            cause=self.cause,
            age=None if contact is None else time.monotonic() - contact,
            accepted=self._accepted,
            refused=self._refused,
            failed=self._failed,
        )
