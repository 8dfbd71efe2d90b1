"""News of changes: a stream of server-sent events that tells clients to ask again; the protocol's `eventStreams`.

An event has no flags in it. Each process looks at its own evaluator, some times a second while anybody listens.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import signal
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

import anyio
from starlette.types import Receive, Scope, Send

from ..evaluator import FlagEvaluator
from ..types import ErrorCode
from .writing import answer, failure

PATH: Final = "/ofrep/v1/events"
MOST: Final = 1_000
"""How many may listen to one process."""

_EVERY: Final = 0.25
_SILENCE: Final = 15.0  # proxies give up on a connection that is silent for long
_START: Final = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
    ],
}


class Events:
    """The endpoint. closing: whether the server is going down, and streams have to end.

    Who connects is told to ask once, for a change may have come before; not if it has heard of this generation.
    """

    def __init__(self, evaluator: FlagEvaluator, closing: Callable[[], bool], token: str | None) -> None:
        self._evaluator, self._closing = evaluator, closing
        self.key = None if token is None else key_of(token)
        self._run = secrets.token_hex(4)  # numbers of generations begin anew with each run
        self._listening = 0

    def streams(self, scope: Scope) -> list[dict[str, Any]]:
        """What answers say of the stream. The key is there because a browser's EventSource sends no headers."""
        query = "" if self.key is None else f"?key={self.key}"
        return [{"type": "sse", "endpoint": {"requestUri": f"{scope.get('root_path', '')}{PATH}{query}"}}]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._listening >= MOST:
            busy = failure(ErrorCode.GENERAL, f"{MOST} listen to this process already")
            await answer(429, busy, {"Retry-After": "30"})(scope, receive, send)
            return
        last = dict(scope["headers"]).get(b"last-event-id", b"").decode("latin-1")
        self._listening += 1
        try:
            async with anyio.create_task_group() as group:

                async def until_gone() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                group.start_soon(until_gone)
                await self._stream(send, last)
                group.cancel_scope.cancel()
        except* OSError:  # the client is gone, and the server says so when it is written to
            pass
        finally:
            self._listening -= 1

    async def _stream(self, send: Send, last: str) -> None:
        async def write(text: str, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

        await send(_START)
        await write("retry: 2000\n\n")
        silent = 0.0
        while not (self._closing() or _told_to_end()):
            generation = self._evaluator.generation
            now = f"{self._run}-{generation}"
            if generation and now != last:
                await write(f'id: {now}\nevent: message\ndata: {{"type":"refetchEvaluation"}}\n\n')
                last, silent = now, 0.0
            elif silent >= _SILENCE:
                await write(": still here\n\n")
                silent = 0.0
            await anyio.sleep(_EVERY)
            silent += _EVERY
        await write("", more=False)


def _told_to_end() -> bool:
    """Whether the server of this process was. uvicorn tells nobody, and waits for streams until they end."""
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))


def key_of(token: str) -> str:
    """What opens the stream in place of the token, and nothing else: URLs are logged."""
    return hmac.new(token.encode(), b"pyflagwasm events", hashlib.sha256).hexdigest()[:32]


def key_in(scope: Scope) -> str:
    """The key in a request for the stream."""
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("key", [""])[0]
