"""The sink that posts exposures to a URL: the JSON, what is tried again and when, and what must not be told."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import anyio
from anyio import sleep

from ..extras import missing
from .counting import Batch, Rejected
from .text import fields_of, to_json

Encode: TypeAlias = Callable[[Batch], tuple[bytes, str]]
"""From a batch to the body of a request and its content type."""

FIRST_PAUSE: Final = 0.5
"""Seconds, within 50 %, between the first attempt and the second; then it doubles."""

_AGAIN: Final = frozenset({408, 425, 429})


class HttpSink:
    """Posts batches with httpx2, as JSON: {"since", "until", "dropped", "exposures": [...]}.

    url: of http or https. It, and the headers, may hold secrets: errors and repr name no more than the host.
    timeout: seconds for a batch, with all attempts. The counter's deadline ends it, too.
    max_batch: exposures in one request; a larger batch is several, of which only those are sent again that failed.
    encode: makes another body of a batch. It is called in a worker thread; what it raises is told, and tried again.

    A request is tried again within the timeout, and by the counter later, after errors of the network and the answers
    408, 425, 429 and 5xx; a Retry-After is waited for if the timeout allows it. Redirects are not followed, and count
    as failures. What any other 4xx answers is given up, and Rejected raised once the rest of the batch is sent. Each
    request has an Idempotency-Key, the same each time that it is sent. Raises ImportError if httpx2 is missing.

    A connection is opened for each batch. Not for two counters at once.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        max_batch: int = 1000,
        encode: Encode | None = None,
    ) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("the URL cannot be read") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("the URL must begin with http:// or https:// and have a host")
        if not timeout > 0 or max_batch < 1:
            raise ValueError("timeout must be seconds, more than 0, and max_batch 1 or more")
        self._url, self._headers = url, dict(headers or {})
        self._origin = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        self._timeout, self._max_batch = timeout, max_batch
        self._encode = encode or encode_json
        self._verify: ssl.SSLContext | bool | None = None
        self._progress = _Progress("")

    def __repr__(self) -> str:
        return f"HttpSink({self._origin})"

    async def send(self, batch: Batch) -> None:
        httpx2, verify = await anyio.to_thread.run_sync(self._prepare)
        try:
            with anyio.fail_after(self._timeout) as scope:
                async with httpx2.AsyncClient(verify=verify, timeout=None) as client:
                    await self._post_all(httpx2, client, batch, scope.deadline)
        except TimeoutError:
            raise TimeoutError(f"{self._origin}: not done within {self._timeout:g} s") from None

    def _prepare(self) -> tuple[ModuleType, ssl.SSLContext | bool]:
        """Import httpx2 and read the certificates: tenths of a second, the first time, so in a thread."""
        try:
            import httpx2
        except ImportError as error:
            raise missing("posting exposures", "httpx2", "http") from error
        if self._verify is None:
            self._verify = httpx2.create_ssl_context() if self._origin.startswith("https") else False
        return httpx2, self._verify

    async def _post_all(self, httpx2: Any, client: Any, batch: Batch, deadline: float) -> None:
        if self._progress.batch != batch.id:
            self._progress = _Progress(batch.id)
        progress = self._progress
        while progress.done < max(len(batch.exposures), 1):
            exposures = batch.exposures[progress.done : progress.done + self._max_batch]
            dropped = 0 if progress.told else batch.dropped
            part = replace(batch, exposures=exposures, dropped=dropped, id=f"{batch.id}-{progress.done}")
            try:
                await self._post(httpx2, client, part, deadline)
                progress.told = True
            except Rejected as error:
                progress.rejected += part.count
                progress.cause = str(error)
            progress.done += self._max_batch
        if progress.cause:
            raise Rejected(progress.cause, progress.rejected)

    async def _post(self, httpx2: Any, client: Any, part: Batch, deadline: float) -> None:
        body, content_type = await anyio.to_thread.run_sync(self._encode, part)
        headers = httpx2.Headers({"Content-Type": content_type})
        headers.update(self._headers)
        headers["Idempotency-Key"] = part.id
        pause = FIRST_PAUSE
        while True:
            wait = 0.0
            try:
                # the answer's body is of no use, and may have no end
                async with client.stream("POST", self._url, content=body, headers=headers) as response:
                    status = response.status_code
                    wait = retry_after(response.headers.get("Retry-After", ""))
                if status < 300:
                    return
                failure = f"answered {status}"
                if 400 <= status < 500 and status not in _AGAIN:
                    raise Rejected(f"{self._origin}: {failure}")
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:  # its text may quote the request
                failure = type(error).__name__
            wait = max(wait, pause * random.uniform(0.5, 1.5))
            if anyio.current_time() + wait >= deadline:
                raise ConnectionError(f"{self._origin}: {failure}")
            await sleep(wait)
            pause *= 2


@dataclass(slots=True)
class _Progress:
    """How far a batch has come, for the next attempt. told: of what was dropped before it."""

    batch: str
    done: int = 0
    told: bool = False
    rejected: int = 0
    cause: str = ""


def encode_json(batch: Batch) -> tuple[bytes, str]:
    """The body that HttpSink posts. Raises Rejected for metadata that JSON has no word for."""
    exposures = [fields_of(exposure) for exposure in batch.exposures]
    times = {"since": batch.since, "until": batch.until, "dropped": batch.dropped}
    return to_json(times | {"exposures": exposures}).encode(), "application/json"


def retry_after(text: str) -> float:
    """The seconds that a Retry-After asks for, 0 if it cannot be read."""
    try:
        return max(
            float(text) if text.strip().isdecimal() else parsedate_to_datetime(text).timestamp() - time.time(), 0
        )
    except (ValueError, OverflowError):
        return 0.0
