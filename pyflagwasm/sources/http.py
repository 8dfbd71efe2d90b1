"""A configuration behind a URL: polled, and asked for at once when a stream of events hints that it changed.

Here live when to ask, what is remembered of the last accepted document, and the life of the client. One fetch is in
http_fetch.py, the stream in events.py.
"""

from __future__ import annotations

import math
import random
import re
import ssl
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import anyio
import anyio.to_thread

from ..extras import missing, needed
from ..loading import MOST
from .backoff import Backoff
from .base import Document, Sink, Source
from .events import EventStream, is_news
from .http_failures import Failure
from .http_fetch import Answer, Fetcher, Validators, check_url, parsed, shown

if TYPE_CHECKING:
    import httpx2

AUTO: Final = "auto"
"""For `events`: the channel that the accepted configuration names."""

_LONGEST_BACKOFF: Final = 30.0
_GAP: Final = 1.0  # seconds between two requests that hints ask for
_CLOSING: Final = 2.0  # seconds for closing the client
_JITTER: Final = 0.1
_SPREAD: Final = 0.9  # the first wait may be this much shorter: a thousand that start together do not stay together


class HttpSource(Source):
    """Polls a URL for as long as it is run, with the validators of the last document that was accepted.

    url: http or https; name and password in it are sent as basic credentials. Its query, its name and password and
        what looks like a key in its path are in no name and no message; `name` replaces what is made of the rest.
    headers: sent to the origin of `url` only.
    interval: seconds between two polls, give or take a tenth. Errors that may pass are tried again sooner: after one
        second, then two, four, up to 30, and never later than the interval. `Retry-After` is kept to, up to an hour.
    timeout: seconds for one poll in whole, connecting, redirects, body and signature.
    max_bytes: of the document, decompressed.
    events: a channel of server-sent events on which each message is a hint to poll at once: "auto" for the one that the
        accepted configuration names, a URL, or None. Polling goes on whatever the channel does.
    signature_url: where the signatures are that come in no header `Pyflagwasm-Signature`: a URL, or True for
        the path of `url` with `.sig` appended.
    events_idle: seconds of silence after which the channel is connected anew.
    ssl_context: for a private authority or a client certificate; by default the system's authorities.

    Proxies are taken from the environment. Redirects are followed within the origin, and from http to https of one
    host. Without httpx2 entering the evaluator raises ImportError. Raises ValueError or TypeError for what cannot be
    used.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        interval: float = 30.0,
        timeout: float = 10.0,
        max_bytes: int = MOST,
        events: str | Literal[False] | None = AUTO,
        signature_url: str | bool | None = None,
        events_idle: float = 120.0,
        ssl_context: ssl.SSLContext | None = None,
        name: str | None = None,
    ) -> None:
        check_url("url", url)
        if isinstance(events, str) and events != AUTO:
            check_url("events", events)
        elif events not in (AUTO, None, False):
            raise TypeError('events must be "auto", a URL or None')
        if isinstance(signature_url, str):
            check_url("signature_url", signature_url)
        for what, seconds in {"interval": interval, "timeout": timeout, "events_idle": events_idle}.items():
            if not 0 < seconds < math.inf:
                raise ValueError(f"{what} must be a number of seconds above 0")
        if max_bytes < 1:
            raise ValueError("max_bytes must be at least 1")
        self.name = shown(url) if name is None else name
        self._url, self._signature_url = url, signature_url
        self._headers = _checked(headers or {})
        self.interval, self.timeout, self._max_bytes = interval, timeout, max_bytes
        self.events, self.events_idle = events or None, events_idle
        self._ssl_context = ssl_context
        self._accepted: tuple[weakref.ref[Sink], Accepted] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def check(self) -> None:
        """Raises ImportError if httpx2 is missing."""
        needed("HttpSource", "httpx2", "http")

    async def run(self, sink: Sink) -> None:
        """Polls until cancelled. Raises ImportError if httpx2 is missing, ValueError for a URL that it cannot use."""
        # Importing httpx2 and loading the authorities takes longer than a loop may be held up.
        client, fetcher = await anyio.to_thread.run_sync(self._open)
        try:
            async with anyio.create_task_group() as group:
                polling = _Polling(self, sink, fetcher)
                if polling.stream is not None:
                    group.start_soon(polling.stream.run)
                await polling.run()
        finally:
            with anyio.move_on_after(_CLOSING, shield=True):
                await client.aclose()

    def _open(self) -> tuple[httpx2.AsyncClient, Fetcher]:
        try:
            import httpx2
        except ImportError as error:
            raise missing("HttpSource", "httpx2", "http") from error

        url, signature_url = parsed("url", self._url), None
        if self._signature_url is True:
            path, question, query = url.raw_path.partition(b"?")
            signature_url = url.copy_with(raw_path=path + b".sig" + question + query)
        elif self._signature_url:
            signature_url = parsed("signature_url", self._signature_url)
        client = httpx2.AsyncClient(
            verify=self._ssl_context or True,
            timeout=None,  # Fetcher has one for all of a fetch
            limits=httpx2.Limits(max_keepalive_connections=0),
        )
        return client, Fetcher(client, url, self._headers, signature_url, self.timeout, self._max_bytes)

    def recall(self, sink: Sink) -> Accepted:
        """What the sink accepted in an earlier run. Nothing if it is another sink: that one has no document yet."""
        if self._accepted is not None and self._accepted[0]() is sink:
            return self._accepted[1]
        return Accepted(Validators())

    def remember(self, sink: Sink, accepted: Accepted) -> None:
        try:
            self._accepted = weakref.ref(sink), accepted
        except TypeError:  # a sink that cannot be recognized safely
            self._accepted = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What is remembered of the last document that a sink accepted."""

    validators: Validators
    events_url: str | None = None
    fingerprint: int | None = None


class _Polling:
    """One run of a source for one sink."""

    def __init__(self, source: HttpSource, sink: Sink, fetcher: Fetcher) -> None:
        self.stream: EventStream | None = None
        self._source, self._sink, self._fetcher = source, sink, fetcher
        self._accepted = source.recall(sink)
        self._hinted = anyio.Event()
        if source.events is not None:
            self.stream = EventStream(fetcher, self._hint, source.events_idle)
            self.stream.follow(self._accepted.events_url if source.events == AUTO else source.events)

    def _hint(self, message: str) -> None:
        if is_news(message, self._accepted.validators):
            self._hinted.set()

    async def run(self) -> NoReturn:
        interval, backoff = self._source.interval, Backoff(1.0, _LONGEST_BACKOFF)
        earlier = _SPREAD
        while True:
            self._hinted = anyio.Event()  # a hint during the fetch leads to one more
            delay, quiet = interval * random.uniform(1 - earlier, 1 + _JITTER), min(_GAP, interval)
            try:
                await self._poll()
            except Failure as failure:
                self._sink.failed(failure.cause)
                if failure.passing:
                    delay = min(delay, backoff.next())
                delay, quiet = max(delay, failure.after), max(quiet, failure.after)
            else:
                backoff.reset()
                earlier = _JITTER
            await self._pause(delay, quiet)

    async def _poll(self) -> None:
        answer = await self._fetcher.fetch(self._accepted.validators)
        if answer is None:
            self._sink.unchanged()
        else:
            await self._offer(answer)

    async def _pause(self, delay: float, quiet: float) -> None:
        """Waits for a hint, but at least `quiet` and at most `delay` seconds."""
        now = anyio.current_time()
        with anyio.CancelScope(deadline=now + delay):
            await self._hinted.wait()
        await anyio.sleep_until(now + min(delay, quiet))

    async def _offer(self, answer: Answer) -> None:
        receipt = await self._sink.offer(Document(answer.data, self._source.name, answer.signature))
        if not receipt.accepted:
            return  # its validators are not remembered: the server would say for ever that it is unchanged
        before = self._accepted
        self._accepted = Accepted(answer.validators, receipt.events_url, hash(answer.data))
        self._source.remember(self._sink, self._accepted)
        if self.stream is not None:
            events = receipt.events_url if self._source.events == AUTO else self._source.events
            self.stream.follow(events, anew=before.fingerprint != self._accepted.fingerprint)


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ValueError(f"{name!r} is no name of a header")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"header {name} has a value that cannot be sent")
    return dict(headers)
