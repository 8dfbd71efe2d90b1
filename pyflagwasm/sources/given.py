"""The sources that the caller writes: a function that is asked again and again, and an async iterator."""

from __future__ import annotations

import inspect
import random
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import anyio

from .base import Document, Sink, Source

Given: TypeAlias = bytes | str | Document | None
"""What the caller's code delivers: a document, its text, or None for no change."""

CLOSING: Final = 5.0
"""Seconds that an iterator has for closing when its source is cancelled."""


class CallableSource(Source):
    """Delivers what a function gives, at once and then after every interval.

    function: takes no arguments; gives a document, or None if nothing has changed. If it is not async it is called in
        a worker thread, and left behind there if the source is cancelled meanwhile.
    interval: seconds from the end of one call to the next, within 10 %.
    name: None for the function's.

    An exception, or something that is no document, is told to the sink, and the function called again after the
    interval. Bytes that were accepted last are not offered again.
    """

    def __init__(
        self, function: Callable[[], Given | Awaitable[Given]], *, interval: float = 30.0, name: str | None = None
    ) -> None:
        if not interval > 0:
            raise ValueError("interval must be seconds, more than 0")
        self.name = name or _name_of(function)
        self._function, self._interval = function, interval
        called = type(function).__call__  # of an object that is no function it may be async
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)

    async def run(self, sink: Sink) -> None:
        served: Document | None = None
        while True:
            try:
                document = _document(await self._call(), self.name)
            except Exception as error:
                sink.failed(one_line(error))
            else:
                if document is None or document == served:
                    sink.unchanged()
                elif (await sink.offer(document)).accepted:
                    served = document
            await anyio.sleep(self._interval * random.uniform(0.9, 1.1))

    async def _call(self) -> object:
        if self._is_async:
            given: Any = self._function()
        else:  # in a list: trio lets no thread give an awaitable
            given = (await anyio.to_thread.run_sync(lambda: [self._function()], abandon_on_cancel=True))[0]
        return await given if inspect.isawaitable(given) else given


class IteratorSource(Source):
    """Delivers each item of an async iterable, and ends with it.

    iterator: the iterable, or a function without arguments that makes one: only then does running the source again
        start anew. None as an item says that nothing has changed.

    An exception, or an item that is no document, is told to the sink and ends the source. The iterator is closed, if
    it can be, for which it has 5 seconds.
    """

    def __init__(
        self, iterator: AsyncIterable[Given] | Callable[[], AsyncIterable[Given]], *, name: str | None = None
    ) -> None:
        if not isinstance(iterator, AsyncIterable) and not callable(iterator):
            raise TypeError("an async iterable, or a function that makes one, is needed")
        self.name = name or _name_of(iterator)
        self._iterator = iterator

    async def run(self, sink: Sink) -> None:
        iterator: AsyncIterator[Given] | None = None
        try:
            iterable = self._iterator if isinstance(self._iterator, AsyncIterable) else self._iterator()
            iterator = aiter(iterable)
            async for item in iterator:
                document = _document(item, self.name)
                if document is None:
                    sink.unchanged()
                else:
                    await sink.offer(document)
        except Exception as error:
            sink.failed(one_line(error))
        finally:
            close = getattr(iterator, "aclose", None)
            if close is not None:
                with anyio.move_on_after(CLOSING, shield=True):
                    try:
                        await close()
                    except Exception as error:  # must not take the place of a cancellation
                        sink.failed(one_line(error))


def one_line(error: BaseException) -> str:
    """An exception's type and text, in one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")[:300]


def _document(given: object, origin: str) -> Document | None:
    if given is None or isinstance(given, Document):
        return given
    if isinstance(given, str):
        return Document(given.encode(), origin)
    if isinstance(given, (bytes, bytearray)):
        return Document(bytes(given), origin)
    raise TypeError(f"bytes, str, Document or None was to be given, not {type(given).__name__}")


def _name_of(thing: object) -> str:
    return getattr(thing, "__name__", None) or type(thing).__name__
