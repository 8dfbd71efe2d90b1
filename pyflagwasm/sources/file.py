"""The source that reads a file, and reads it again whenever it has changed.

Here live what tells that a file has changed (events of the folders that lead to it, and a slow look in case that no
event comes) and how a file that is being written is not read half-done. What a document means is the sink's.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from ..extras import missing
from ..loading import MOST
from .base import Document, Sink, Source

QUIET: Final = 0.05
"""Seconds for which a file must have stayed the same before it is read again."""

UNREST: Final = 1.0
"""Seconds after which a file that is changed all the time is read as it is."""

FLOOR: Final = 5.0
"""Seconds between two looks at the file if no event comes: of network mounts none may."""

POLL: Final = 1.0
"""Seconds between two looks at the file if there is no watchfiles."""

_LOG: Final = logging.getLogger("pyflagwasm")
_MOST_SIGNATURE: Final = 64 << 10
_MOST_LINKS: Final = 40  # as the kernel's
_DEBOUNCE: Final = 100  # milliseconds
_STEP: Final = 50  # milliseconds; how often the watching thread takes the GIL, so no less than need be

_Result = TypeVar("_Result")
_Identity: TypeAlias = tuple[object, ...]
_Trail: TypeAlias = frozenset[tuple[str, str, object]]  # folder, name in it, which folder that was


class FileSource(Source):
    """Delivers a file, and whatever it is changed to.

    path: written in place, replaced by renaming, or reached through links that are replaced (a ConfigMap); neither it
        nor its folder need exist yet. Only regular files are read, of at most 64 MiB.
    signature_path: the file with the detached signatures, True for the path with `.sig` added. If it is missing, the
        document has none. The two files may be seen out of step for a moment; the next look delivers the pair.
    poll: seconds between two looks at the file, instead of waiting for events; needs no further package. None: events,
        by way of watchfiles; without that package a look every second, and one warning in the log.
    floor: seconds between two looks beside the events.

    Reading is done in a worker thread; a look that finds nothing new costs some calls of stat. A document that the
    sink refuses is offered again once the file has been touched.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        signature_path: str | os.PathLike[str] | Literal[True] | None = None,
        poll: float | None = None,
        floor: float = FLOOR,
    ) -> None:
        if not floor > 0 or (poll is not None and not poll > 0):
            raise ValueError("poll and floor must be seconds, more than 0")
        self.name = self._path = _text(path)
        self._signature: str | None = None
        if signature_path is not None:
            self._signature = f"{self._path}.sig" if signature_path is True else _text(signature_path)
        self._events, self._told = poll is None, False
        self._floor = floor if poll is None else poll

    async def run(self, sink: Sink) -> None:
        awatch, floor = None, self._floor
        if self._events:
            awatch = await _in_thread(_import_awatch)
            if awatch is None:
                floor = min(floor, POLL)
                self._tell_polling(floor)
        wake, woken = anyio.create_memory_object_stream[None](1)
        delivery, watch = _Delivery(self._look, sink), _Watch()
        async with wake, woken, anyio.create_task_group() as tasks:
            while True:
                await delivery.look()
                if awatch:
                    trail = await _in_thread(self._trail)
                    if trail != watch.trail:
                        watch.scope.cancel()
                        watch = _Watch(trail)
                        # Not `tasks.start`: that waits for a task which asyncio.run may have ended before it began.
                        began = anyio.Event()
                        tasks.start_soon(self._watch, awatch, watch, wake, sink, began)
                        await began.wait()
                        continue  # what happened before the watch began is seen now
                with anyio.move_on_after(floor):
                    await woken.receive()

    async def _watch(
        self,
        awatch: Callable[..., Any],
        watch: _Watch,
        wake: MemoryObjectSendStream[None],
        sink: Sink,
        began: anyio.Event,
    ) -> None:
        folders = {folder for folder, _, _ in watch.trail}
        paths = {os.path.join(folder, name) for folder, name, _ in watch.trail} | folders
        stop = anyio.Event()

        def is_relevant(_: object, path: str) -> bool:
            return path in paths

        with watch.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_set_when_cancelled, stop)
                # awatch opens its watcher before it first waits: whoever is told of the start looks after that
                began.set()
                options = {"debounce": _DEBOUNCE, "step": _STEP, "stop_event": stop, "recursive": False}
                try:
                    async with aclosing(awatch(*folders, watch_filter=is_relevant, **options)) as events:
                        async for changes in events:
                            if any(path in folders for _, path in changes):
                                break  # a folder itself was removed or moved, and its watch with it
                            _wake(wake)
                except Exception as error:  # no more watches, no permission
                    if await _in_thread(self._trail) == watch.trail:  # else a folder has just gone: watch what is there
                        sink.failed(f"cannot be watched, looked at every {self._floor:g} s: {_reason(error)}")
                        await anyio.sleep(self._floor)
                watch.trail = frozenset()
                _wake(wake)
                tasks.cancel_scope.cancel()

    def _tell_polling(self, floor: float) -> None:
        if not self._told:
            self._told = True
            why = missing("watching a file", "watchfiles", "watch")
            _LOG.warning("%s; %s is looked at every %g s instead", why, self.name, floor)

    # ------------------------------------------------------------ in a worker thread

    def _trail(self) -> _Trail:
        paths = [self._path] if self._signature is None else [self._path, self._signature]
        return frozenset((folder, name, _which(folder)) for path in paths for folder, name in _trail_of(path))

    def _look(self, known: _Identity | None) -> tuple[_Identity, Document | str | None]:
        """The identity of the files, and if it is not the known one, the document or why there is none."""
        before = self._identity()
        if before == known:
            return before, None
        try:
            found: Document | str = Document(_read(self._path, MOST), self._path, self._read_signature())
        except (OSError, ValueError) as error:  # ValueError: a path with a null character
            found = f"cannot be read: {_reason(error)}"
        after = self._identity()
        return (after if before == after else (before, after)), found  # a pair is the identity of no file

    def _identity(self) -> _Identity:
        return _which_file(self._path), self._signature and _which_file(self._signature)

    def _read_signature(self) -> str | None:
        if self._signature is None:
            return None
        try:
            return _read(self._signature, _MOST_SIGNATURE).decode()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._signature}: {_reason(error)}") from error


@dataclass(slots=True)
class _Watch:
    """One watch of the folders; the trail is empty once it has ended."""

    trail: _Trail = frozenset()
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class _Delivery:
    """What has been read and offered during one run."""

    def __init__(self, read: Callable[[_Identity | None], tuple[_Identity, Document | str | None]], sink: Sink) -> None:
        self._read, self._sink = read, sink
        self._first = True
        self._known: _Identity | None = None  # what need not be read again
        self._offered: tuple[_Identity, Document] | None = None
        self._accepted = False

    async def look(self) -> None:
        """Read the files if they are others than before, wait until they are at rest, and offer what is new."""
        identity, found = await _in_thread(self._read, self._known)
        late = anyio.current_time() + UNREST
        while found is not None and not self._first and anyio.current_time() < late:
            await anyio.sleep(QUIET)
            again, newer = await _in_thread(self._read, identity)
            if newer is None:
                break
            identity, found = again, newer
        if isinstance(found, str):
            self._known, self._first = None, False
            self._sink.failed(found)
            return
        # the first time nobody waits for the file to rest: it is read once more
        self._known, self._first = None if self._first else identity, False
        if found is None or (self._offered and self._offered[1] == found and self._accepted):
            if self._accepted:
                self._sink.unchanged()
        elif self._offered != (identity, found):
            self._offered = identity, found
            self._accepted = (await self._sink.offer(found)).accepted


async def _in_thread(function: Callable[..., _Result], *arguments: object) -> _Result:
    # a mount whose server has gone keeps its caller for ever: such a thread is left behind
    return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


async def _set_when_cancelled(event: anyio.Event) -> None:
    # awatch waits for its thread before it hears of a cancellation: the thread must hear of it otherwise
    try:
        await anyio.sleep_forever()
    finally:
        event.set()


def _wake(wake: MemoryObjectSendStream[None]) -> None:
    with suppress(anyio.WouldBlock):  # it has been woken already
        wake.send_nowait(None)


def _text(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    if not isinstance(text, str):
        raise TypeError("a path must be a str or an os.PathLike[str]")
    return text


def _import_awatch() -> Callable[..., Any] | None:
    try:
        from watchfiles import awatch
    except ImportError:
        return None
    return awatch


def _trail_of(path: str) -> list[tuple[str, str]]:
    """Folder and name of each link on the way to a file, and of the file or the first thing on the way that is missing:
    what can come to lead elsewhere."""
    trail: list[tuple[str, str]] = []
    path = os.path.abspath(path)
    while len(trail) < _MOST_LINKS:
        step, rest = path, ""
        turns = [(step, rest)]
        while (split := os.path.split(step))[1]:
            step, rest = split[0], os.path.join(split[1], rest) if rest else split[1]
            turns.append((step, rest))
        # from the root on; the path itself at the latest
        step, rest = next(
            (step, rest)
            for step, rest in reversed(turns)
            if step == path or os.path.islink(step) or not os.path.lexists(step)
        )
        trail.append(os.path.split(step))
        try:
            path = os.path.normpath(os.path.join(os.path.dirname(step), os.readlink(step), rest))
        except (OSError, ValueError):  # no link
            break
    return trail


def _which(folder: str) -> object:
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _which_file(path: str) -> object:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        return _reason(error)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read(path: str, most: int) -> bytes:
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"more than {most >> 20} MiB" if most >> 20 else f"more than {most >> 10} KiB")
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer keeps whoever opens it


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else " ".join(str(error).split())
