"""One fetch over HTTP: conditional, redirected within its origin only, bounded in time and in bytes.

Here live requests, redirects, bodies and decompression. When to fetch is in http.py, what is said of failures in
http_failures.py.

httpx2 logs the URLs of its requests. So it is given one without secrets, and the true path beside it.
"""

from __future__ import annotations

import io
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import anyio
from anyio.abc import AsyncResource
from anyio.lowlevel import checkpoint

from .http_failures import Failure, as_failure, http_date, refusal

if TYPE_CHECKING:
    import httpx2

MOST_REDIRECTS: Final = 5
MOST_SIGNATURE: Final = 64 << 10
"""Bytes of the longest sidecar of signatures that is read."""

SIGNATURE: Final = "Pyflagwasm-Signature"
"""The header of an answer that carries the signatures of its body."""

_REDIRECTS: Final = {301, 302, 303, 307, 308}
_LONGEST_ETAG: Final = 1024  # what a server can make every request carry must not make them too long for it
_OVERHEAD: Final = 64 << 10  # by which a compressed body may be longer than what is in it
_STEP: Final = 64 << 10  # bytes that are decompressed at a time
_WINDOWS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}  # what zlib calls the formats


@dataclass(frozen=True, slots=True)
class Validators:
    """What tells one state of a resource from another. modified: `last_modified` in seconds since 1970."""

    etag: str | None = None
    last_modified: str | None = None
    modified: float | None = None


class Answer(NamedTuple):
    data: bytes
    signature: str | None
    validators: Validators


# ---------------------------------------------------------------- URLs


def shown(url: str) -> str:
    """A URL for people: without userinfo, query and fragment, and without what looks like a key in its path."""
    parts = urlsplit(url)
    path = "/".join(_masked(segment) for segment in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _masked(segment: str) -> str:
    opaque = len(segment) >= 16 and sum(character.isdigit() for character in segment) >= 5
    return f"{segment[:4]}..." if opaque else segment


def check_url(what: str, url: str) -> None:
    """Raises ValueError, without the URL in it, for what is no URL of HTTP, and TypeError for no text."""
    if not isinstance(url, str):
        raise TypeError(f"{what} must be a str")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{what} must be a URL that begins with http:// or https:// and has a host")


def parsed(what: str, url: str) -> httpx2.URL:
    """Raises ValueError, without the URL in it, for what httpx2 cannot use."""
    import httpx2

    check_url(what, url)
    try:
        return httpx2.URL(url).copy_with(fragment=None)
    except (httpx2.InvalidURL, ValueError):
        raise ValueError(f"{what} is no URL that can be used") from None


def trusts(url: httpx2.URL, target: httpx2.URL) -> bool:
    """Whether a request to `url` may be sent on to `target`, with its headers: one origin, or the same host by TLS."""
    upgraded = (url.scheme, url.port, target.scheme, target.port) == ("http", None, "https", None)
    return url.host == target.host and (upgraded or (url.scheme, url.port) == (target.scheme, target.port))


def _redirected(url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
    import httpx2

    location = response.headers.get("location")
    if not location:
        raise Failure(f"HTTP {response.status_code} without a Location")
    try:
        target = url.join(location).copy_with(userinfo=url.userinfo, fragment=None)
    except (httpx2.InvalidURL, ValueError):
        raise Failure(f"HTTP {response.status_code} with a Location that is no URL") from None
    if not trusts(url, target):
        raise Failure(f"redirected to another origin ({target.scheme}://{target.host[:100]}), which is not followed")
    return target


# ---------------------------------------------------------------- fetching


class Fetcher:
    """Fetches one URL, and what belongs to it. For one run of a source: it holds the client.

    headers: for requests to the origin of `url`, and no other. timeout: seconds of one fetch with all that it needs.
    """

    def __init__(
        self,
        client: httpx2.AsyncClient,
        url: httpx2.URL,
        headers: Mapping[str, str],
        signature_url: httpx2.URL | None,
        timeout: float,
        max_bytes: int,
    ) -> None:
        self.url = url
        self._client = client
        self._headers = headers
        self._signature_url = signature_url
        self.timeout = timeout
        self._max_bytes = max_bytes

    async def fetch(self, known: Validators) -> Answer | None:
        """What is at the URL, or None if it is still what is known. Raises Failure."""
        try:
            with anyio.fail_after(self.timeout):
                return await self._fetch(known)
        except Exception as error:
            raise as_failure(error, self.timeout) from None  # the chain may have secrets in it

    async def _fetch(self, known: Validators) -> Answer | None:
        conditions = {}
        if known.etag:
            conditions["If-None-Match"] = known.etag
        if known.last_modified:
            conditions["If-Modified-Since"] = known.last_modified
        async with self.opened(self.url, conditions) as response:
            if response.status_code == 304 and conditions:
                return None
            if response.status_code != 200:
                raise refusal(response)
            validators = _validators(response)
            if _is_older(validators, known):
                raise Failure("the document is older than the accepted one (Last-Modified)")
            data = await _body(response, self._max_bytes)
            signature = response.headers.get(SIGNATURE)
        if signature is None and self._signature_url is not None:
            signature = await self._sidecar(self._signature_url)
        return Answer(data, signature, validators)

    async def _sidecar(self, url: httpx2.URL) -> str:
        try:
            async with self.opened(url, {}) as response:
                if response.status_code != 200:
                    raise refusal(response)
                return (await _body(response, MOST_SIGNATURE)).decode()
        except UnicodeDecodeError:
            raise Failure("signature: not a text of UTF-8") from None
        except Exception as error:
            raise as_failure(error, self.timeout, "signature: ") from None

    @asynccontextmanager
    async def opened(self, url: httpx2.URL, headers: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        """The answer to a GET, its body not yet read, after redirects within the origin."""
        for _ in range(MOST_REDIRECTS + 1):
            connections = _Connections()
            try:
                request = self._request(url, headers, connections)
                response = await self._client.send(request, auth=_credentials(url), stream=True)
                try:
                    if response.status_code not in _REDIRECTS:
                        yield response
                        return
                    url = _redirected(url, response)
                finally:
                    await response.aclose()
            finally:
                await connections.aclose()
        raise Failure(f"more than {MOST_REDIRECTS} redirects")

    def _request(self, url: httpx2.URL, headers: Mapping[str, str], connections: _Connections) -> httpx2.Request:
        import httpx2

        all_headers = httpx2.Headers({"Accept": "application/json, */*", "User-Agent": "pyflagwasm"})
        if trusts(self.url, url):
            all_headers.update(self._headers)
        # Each connection serves one request: one kept for the next would be dead by then, or have a wrong answer in it.
        all_headers.update({"Accept-Encoding": "gzip", "Connection": "close"})
        all_headers.update(headers)
        self._client.cookies.clear()  # they would grow without bound
        extensions = {"target": url.raw_path, "trace": connections.trace}
        return self._client.build_request("GET", shown(str(url)), headers=all_headers, extensions=extensions)


class _Connections:
    """The connections of one request: httpx2 leaves one open whose TLS handshake is cancelled."""

    def __init__(self) -> None:
        self._streams: list[AsyncResource] = []

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._streams.append(info["return_value"])

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            for stream in self._streams:
                await stream.aclose()


def _credentials(url: httpx2.URL) -> tuple[str, str] | None:
    return (url.username, url.password) if url.userinfo else None


def _validators(response: httpx2.Response) -> Validators:
    etag, text = response.headers.get("etag"), response.headers.get("last-modified")
    modified = http_date(text)
    # A date to come is a clock that is wrong, and would make every later document an older one.
    if modified is not None and modified > (http_date(response.headers.get("date")) or time.time()):
        modified = None
    usable = etag is not None and etag.isascii() and etag.isprintable() and len(etag) <= _LONGEST_ETAG
    return Validators(etag if usable else None, text if modified is not None else None, modified)


def _is_older(one: Validators, other: Validators) -> bool:
    return one.modified is not None and other.modified is not None and one.modified < other.modified


# ---------------------------------------------------------------- bodies


@asynccontextmanager
async def raw_body(response: httpx2.Response) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body as it comes, to be left at any point."""
    chunks = response.aiter_raw()
    try:
        yield chunks
    finally:
        # httpx2 closes not all of its generators if the outermost is closed: they are unwound from inside, by a
        # cancellation of the next read.
        with anyio.CancelScope(shield=True) as scope, suppress(Exception):
            scope.cancel()
            async for _ in chunks:
                pass


async def _body(response: httpx2.Response, most: int) -> bytes:
    """All of a body, decompressed, in not much more memory than `most` bytes. Raises Failure if larger, or empty."""
    import httpx2

    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", *_WINDOWS):
        raise Failure(f"the content encoding {encoding[:40]!r} is not supported")
    inflate = _Inflate(_WINDOWS[encoding]) if encoding in _WINDOWS else None
    length = response.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > most + _OVERHEAD):
        raise _too_large(most)
    received = 0
    with io.BytesIO() as body:  # which gives its bytes away without a copy, and frees them whoever has the traceback
        try:
            async with raw_body(response) as chunks:
                async for chunk in chunks:
                    received += len(chunk)
                    for piece in (chunk,) if inflate is None else inflate.feed(chunk):
                        body.write(piece)
                        if body.tell() > most or received > most + _OVERHEAD:
                            raise _too_large(most)
                        await checkpoint()  # a bomb must not hold up the loop, nor the deadline
            for piece in () if inflate is None else inflate.rest():
                body.write(piece)
                if body.tell() > most:
                    raise _too_large(most)
        except httpx2.RemoteProtocolError:
            raise Failure("the body is cut short or badly framed", passing=True) from None
        except zlib.error:
            raise Failure("the compressed body is corrupt", passing=True) from None
        if not body.tell():
            raise Failure("the body is empty")
        return body.getvalue()


def _too_large(most: int) -> Failure:
    return Failure(f"the body is larger than {most} bytes")


class _Inflate:
    """Decompresses a stream in steps, so that what was sent does not decide how much memory that takes."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._zlib = zlib.decompressobj(window)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._zlib.eof:  # gzip may have several members
                self._zlib = zlib.decompressobj(self._window)
            yield self._zlib.decompress(data, _STEP)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data

    def rest(self) -> Iterator[bytes]:
        while piece := self._zlib.decompress(b"", _STEP):
            yield piece
        if not self._zlib.eof:
            raise Failure("the compressed body is cut short", passing=True)
