"""Sources over HTTP as the tests make and run them, on a server of misbehaving_server."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from loops import RecordingSink, run_on
from misbehaving_server import Server, delivering

from pyflagwasm.sources.base import Document, Receipt
from pyflagwasm.sources.http import HttpSource

ONE, TWO = b'{"flags": {"one": 1}}', b'{"flags": {"two": 2}}'
SOON: Final = 1 / 50
NEVER: Final = 3600.0
"""An interval for which no test is there long enough."""

BARE: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody: loading authorities takes longer than a test."""


class TimedSink(RecordingSink):
    """Remembers when it was told of failures and documents. Refuses what is no object of JSON."""

    def __init__(self, accept: Callable[[Document], bool] = lambda document: document.data.startswith(b"{")) -> None:
        super().__init__(accept)
        self.failed_at: list[float] = []
        self.offered_at: list[float] = []

    def failed(self, cause: str) -> None:
        self.failed_at.append(time.monotonic())
        super().failed(cause)

    async def offer(self, document: Document) -> Receipt:
        self.offered_at.append(time.monotonic())
        return await super().offer(document)


def source(url: str, **options: Any) -> HttpSource:
    return HttpSource(url, **{"interval": SOON, "timeout": 5.0, "events": None, "ssl_context": BARE} | options)


def deliver(
    server: Server,
    until: Callable[[TimedSink], bool],
    loop: str = "asyncio",
    *,
    url: str | None = None,
    sink: TimedSink | None = None,
    **options: Any,
) -> TimedSink:
    """Runs a source until the sink has what is waited for, and sees to it that no connection is left."""

    async def scenario() -> TimedSink:
        to = sink or TimedSink()
        async with delivering(source(url or server.url, **options), to):
            await to.until(lambda: until(to))
        return to

    recorded: TimedSink = run_on(loop, scenario)
    assert server.wait_until_closed(5)
    return recorded
