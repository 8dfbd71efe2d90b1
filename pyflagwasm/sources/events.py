"""Server-sent events: hears from a server that the configuration may have changed. A message is a hint, no more.

Here live the stream's connection and what a message says. Polling, which goes on whatever the stream does, is in
http.py; so nothing here is a failure of the source, only a line in the log.
"""

from __future__ import annotations

import codecs
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
from anyio.lowlevel import checkpoint

from .backoff import Backoff
from .http_failures import Failure, as_failure, http_date, status_line
from .http_fetch import Fetcher, Validators, parsed, raw_body, shown

if TYPE_CHECKING:
    import httpx2

MOST_EVENT: Final = 64 << 10
"""Bytes of the longest event: it says that something changed, and when."""

_TYPE: Final = "text/event-stream"
_SHORTEST: Final = 1.0  # seconds before connecting again
_LONGEST: Final = 300.0
_HEALTHY: Final = 60.0  # seconds after which a stream that ends has not failed
_PACE: Final = 1 / 100  # seconds between two reads: a flood stays in the network, and not on the loop
_LONGEST_ID: Final = 1024

_log = logging.getLogger("pyflagwasm")


def is_news(data: str, known: Validators) -> bool:
    """Whether a message may tell of something else than what is known. Never raises.

    DevCycle's messages are JSON with `type`, `etag` and `lastModified`, as text in the `data` of an envelope.
    """
    message = _parsed(data)
    if isinstance(message, dict) and "data" in message:
        inner = message["data"]
        message = _parsed(inner) if isinstance(inner, str) else inner
    if not isinstance(message, dict):
        return True
    if message.get("type") not in (None, "", "refetchConfig"):
        return False
    etag = message.get("etag")
    if isinstance(etag, str) and etag and known.etag:
        return _opaque(etag) != _opaque(known.etag)
    modified = _seconds(message.get("lastModified"))
    return modified is None or known.modified is None or modified > known.modified


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _opaque(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _seconds(modified: object) -> float | None:
    """lastModified in seconds since 1970: it is a date of HTTP or a number of milliseconds."""
    if isinstance(modified, str):
        return http_date(modified)
    if isinstance(modified, (int, float)) and not isinstance(modified, bool) and abs(modified) < 1e18:
        return modified / 1000
    return None


class EventStream:
    """Follows one channel at a time. For one run of a source.

    hint: called for each message. idle: seconds of silence after which a connection is given up.
    """

    def __init__(self, fetcher: Fetcher, hint: Callable[[str], None], idle: float) -> None:
        self._fetcher = fetcher
        self._hint = hint
        self._idle = idle
        self._url: str | None = None
        self._ended: str | None = None  # the URL whose server wants no more of us
        self._changed = anyio.Event()

    def follow(self, url: str | None, *, anew: bool = False) -> None:
        """Follow another channel, or none. anew: try this one again even if its server wanted no more of us."""
        if url != self._url or (anew and self._ended == url):
            self._url, self._ended = url, None
            self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._changed = anyio.Event()
            async with anyio.create_task_group() as group:
                if self._url is not None:
                    group.start_soon(self._listen, self._url)
                await self._changed.wait()
                group.cancel_scope.cancel()

    async def _listen(self, text: str) -> None:
        try:
            url = parsed("the URL of events", text)
        except ValueError as error:
            _log.info("%s", error)
            return
        if (self._fetcher.url.scheme, url.scheme) == ("https", "http"):
            _log.info("%s: events without TLS are not heard for a configuration with it", shown(text))
            return
        connection = _Connection(self._fetcher, url, self._hint, self._idle)
        backoff = Backoff(_SHORTEST, _LONGEST)
        while True:
            since = anyio.current_time()
            try:
                if not await connection.listen():
                    _log.info("events of %s: wants no listeners (HTTP 204)", shown(text))
                    self._ended = text
                    return
                cause = "ended"
            except Exception as error:
                cause = as_failure(error, self._fetcher.timeout).cause
            if anyio.current_time() - since >= _HEALTHY:
                backoff.reset()
            _log.debug("events of %s: %s", shown(text), cause)
            await anyio.sleep(max(backoff.next(), connection.retry))


class _Connection:
    """A channel, and what outlives each of the connections to it."""

    def __init__(self, fetcher: Fetcher, url: httpx2.URL, hint: Callable[[str], None], idle: float) -> None:
        self.retry = _SHORTEST
        self._fetcher, self._url, self._hint, self._idle = fetcher, url, hint, idle
        self._last_id = ""
        self._was_connected = False

    async def listen(self) -> bool:
        """Hears one connection out. False if the server says that nothing will come."""
        headers = {"Accept": _TYPE, "Accept-Encoding": "identity", "Cache-Control": "no-store"}
        if self._last_id:
            headers["Last-Event-ID"] = self._last_id
        connected = False
        try:
            with anyio.fail_after(self._fetcher.timeout) as scope:
                async with self._fetcher.opened(self._url, headers) as response:
                    if response.status_code == 204:
                        return False
                    if response.status_code != 200:
                        raise Failure(status_line(response.status_code))
                    if response.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
                        raise Failure("not a stream of events")
                    if response.headers.get("content-encoding", "identity").lower() != "identity":
                        raise Failure("the stream is compressed")  # in which an event may be of any length
                    connected = True
                    if self._was_connected:
                        self._hint("")  # what was said meanwhile went unheard
                    self._was_connected = True
                    async with raw_body(response) as chunks:
                        await self._hear(cast("httpx2.Response", _Text(response, chunks, scope, self._idle)))
        except TimeoutError:
            raise Failure(f"silent for {self._idle:g} s" if connected else "no answer in time") from None
        return True

    async def _hear(self, text: httpx2.Response) -> None:
        import httpx2

        source = httpx2.EventSource(text, max_event_size=MOST_EVENT)
        try:
            async with aclosing(cast("AsyncGenerator[httpx2.ServerSentEvent]", aiter(source))) as events:
                async for event in events:
                    if event.retry is not None:
                        self.retry = max(_SHORTEST, min(event.retry, _LONGEST * 1000) / 1000)
                    if event.id.isascii() and event.id.isprintable() and len(event.id) <= _LONGEST_ID:  # as a header
                        self._last_id = event.id or self._last_id
                    if event.data and event.event != "ping":
                        self._hint(event.data)
                    await checkpoint()  # one read may bring thousands
        except httpx2.SSEError:
            raise Failure(f"an event is longer than {MOST_EVENT} bytes") from None


class _Text:
    """The text of a response as EventSource reads it, for as long as something comes.

    A response's own text is a chain of generators, which EventSource does not close when an event is too long.
    """

    def __init__(
        self, response: httpx2.Response, chunks: AsyncIterator[bytes], scope: anyio.CancelScope, idle: float
    ) -> None:
        self.headers, self.request = response.headers, response.request
        self._chunks, self._scope, self._idle = chunks, scope, idle
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode

    def aiter_text(self) -> AsyncIterator[str]:
        return self

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self._scope.deadline = anyio.current_time() + self._idle
        chunk = await anext(self._chunks)
        await anyio.sleep(_PACE)
        return self._decode(chunk)
