"""Sinks for exposures: a function of the caller's, and a file of JSON lines. The one that posts is in http.py, and has
its name here, too."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from .counting import Batch, ExposureSink, Rejected
from .http import HttpSink
from .text import fields_of, to_json

if sys.platform != "win32":
    import fcntl

__all__ = ["CallbackSink", "ExposureSink", "HttpSink", "JsonLinesSink", "Rejected"]

GRACE: Final = 5.0
"""Seconds that writing to a file has for being finished although the sink is cancelled."""


class CallbackSink:
    """Gives batches to a function, async or not; one that is not is called in a worker thread.

    An exception of the function has it called again with the same batch later, Rejected excepted. So has the counter's
    deadline: a thread is left behind then, and may still come to its end. batch.id tells.
    """

    def __init__(self, function: Callable[[Batch], Awaitable[object] | object]) -> None:
        called = type(function).__call__  # of an object that is no function it may be async
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)
        self._function = function

    async def send(self, batch: Batch) -> None:
        if self._is_async:
            result = self._function(batch)
        else:  # in a list: trio lets no thread give an awaitable
            result = (await anyio.to_thread.run_sync(lambda: [self._function(batch)], abandon_on_cancel=True))[0]
        if inspect.isawaitable(result):
            await result


class JsonLinesSink:
    """Appends one line of JSON for each exposure to a file, which several processes may share.

    A line has the fields of Exposure and `since`, `until` and `batch` (the id) of its batch; what was dropped is a line
    of the kind "dropped" that has a count. The file is opened for each batch, so it may be rotated, and made if it is
    missing; its folder is not.

    A batch is one write at the end of the file, under an advisory lock (flock). If the disk takes only a part of it, or
    nothing, the file is cut back to what it was, OSError raised and the batch tried again later. A process that is
    killed within a write may leave half a line; the next batch begins on a line of its own all the same. Where there is
    no flock, nothing is cut back. A disk that hangs is given up after 5 seconds.

    fsync: whether a batch counts as sent only once it is on the disk.
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._path, self._fsync = os.fspath(path), fsync

    async def send(self, batch: Batch) -> None:
        # what is being written when the task is cancelled is finished, and so not written again
        with anyio.fail_after(GRACE, shield=True):
            await anyio.to_thread.run_sync(self._append, batch, abandon_on_cancel=True)

    def _append(self, batch: Batch) -> None:
        data = _lines(batch)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self._path, flags, 0o644)
        try:
            locked = _lock(descriptor)
            size = os.fstat(descriptor).st_size
            if size and not _ends_a_line(descriptor, size):
                data = b"\n" + data
            try:
                written = os.write(descriptor, data)
                if written < len(data):
                    raise OSError(f"only {written} of {len(data)} bytes could be written")
                if self._fsync:
                    os.fsync(descriptor)
            except OSError:
                if locked:
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def _lines(batch: Batch) -> bytes:
    every = {"since": batch.since, "until": batch.until, "batch": batch.id}
    lines = [to_json(fields_of(exposure) | every) for exposure in batch.exposures]
    if batch.dropped:
        lines.append(to_json({"kind": "dropped", "count": batch.dropped} | every))
    return "".join(f"{line}\n" for line in lines).encode()


def _lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
    except OSError:  # file systems without locks
        return False
    return True


def _ends_a_line(descriptor: int, size: int) -> bool:
    os.lseek(descriptor, size - 1, os.SEEK_SET)  # O_APPEND: says nothing of where is written
    return os.read(descriptor, 1) == b"\n"
