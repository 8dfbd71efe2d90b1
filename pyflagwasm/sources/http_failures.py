"""What is said of a fetch that failed, in one line without secrets, and when its answer wants the next one."""

from __future__ import annotations

import os
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import httpx2

_LONGEST_WAIT: Final = 3600.0


class Failure(Exception):
    """A fetch came to nothing. cause: one line, without secrets. passing: may be over in a moment.

    after: seconds that the server asked to be left alone, 0 if it did not.
    """

    def __init__(self, cause: str, *, passing: bool = False, after: float = 0.0) -> None:
        super().__init__(cause)
        self.cause, self.passing, self.after = cause, passing, after


def status_line(status: int) -> str:
    """`HTTP 503 Service Unavailable`. The words are the standard's: those of the server may be anything."""
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def refusal(response: httpx2.Response) -> Failure:
    status = response.status_code
    after = _retry_after(response) if status in (429, 503) else 0.0
    unasked = " although nothing was known yet" if status == 304 else ""
    return Failure(status_line(status) + unasked, passing=status >= 500 or status == 408, after=after)


def _retry_after(response: httpx2.Response) -> float:
    text = response.headers.get("retry-after", "").strip()
    if text.isdecimal() and text.isascii():
        return float(min(int(text[:9]), _LONGEST_WAIT))
    until = http_date(text)
    if until is None:
        return 0.0
    now = http_date(response.headers.get("date")) or time.time()  # by the server's clock, if it tells
    return min(max(until - now, 0.0), _LONGEST_WAIT)


def as_failure(error: Exception, timeout: float, about: str = "") -> Failure:
    """What to say of an error, without its own words: those may quote the URL, a header or the answer."""
    import httpx2

    if isinstance(error, Failure):
        return Failure(about + error.cause, passing=error.passing, after=error.after)
    if isinstance(error, TimeoutError):
        cause = f"timed out after {timeout:g} s"
    elif isinstance(error, httpx2.ProxyError):
        cause = "the proxy did not connect"
    elif isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        cause = f"cannot connect: {_reason(error)}"
    elif isinstance(error, httpx2.RemoteProtocolError):
        silent = "without sending a response" in str(error)
        cause = "the connection was closed without an answer" if silent else "the answer is not HTTP"
    elif isinstance(error, httpx2.NetworkError):
        cause = "the connection was lost"
    else:
        cause = f"the request failed ({type(error).__name__})"
    return Failure(about + cause, passing=True)


def _reason(error: BaseException) -> str:
    """The words of the operating system or of TLS for why there is no connection."""
    reason, left = "no reason known", 10
    at: BaseException | None = error
    while at is not None and left:
        if isinstance(at, ssl.SSLCertVerificationError):
            return f"the certificate is refused: {at.verify_message}"
        if isinstance(at, OSError) and at.strerror:
            reason = at.strerror
            if at.errno and not isinstance(at, (socket.gaierror, ssl.SSLError)):
                reason = os.strerror(at.errno)  # loops put an address into theirs
        at = at.exceptions[0] if isinstance(at, BaseExceptionGroup) else at.__cause__ or at.__context__
        left -= 1
    return reason


def http_date(text: str | None) -> float | None:
    """A date of HTTP in seconds since 1970."""
    if not text or len(text) > 64 or not text.isascii():
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
