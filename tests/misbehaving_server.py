"""A server on loopback that speaks HTTP over raw sockets, in threads, so that it can break it in every way.

    with Server() as server:
        server.script += [answer(b"{}"), reset]     # one behaviour for each request, then `server.otherwise`
        server.paths["/events"] = stream(b"data: x\n\n")
        ... server.url, server.requests

A behaviour is the bytes of an answer, or a function of the Exchange. Every connection ends when its peer closes it, or
with the server: `wait_until_closed` shows that a client left nothing open.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TypeAlias

import anyio

SECONDS = 20.0
"""After which nothing of this module still waits."""


@dataclass(frozen=True)
class Request:
    """target: as sent. headers: names in lower case. at: of the clock time.monotonic."""

    target: str
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


class Exchange:
    """One request and the connection for its answer. Everything raises OSError once the peer has gone."""

    def __init__(self, connection: socket.socket, request: Request, closing: threading.Event) -> None:
        self.connection, self.request, self.closing = connection, request, closing

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hold(self) -> None:
        """Keeps the connection, and says nothing, until the peer closes it."""
        while not self.closing.is_set() and self.connection.recv(4096):
            pass

    def pause(self, seconds: float) -> None:
        if self.closing.wait(seconds):
            raise OSError("the server closes")


Behaviour: TypeAlias = bytes | Callable[[Exchange], None]


class Server:
    """See the module. respond: chooses the behaviour for a request; by default by path, then from the script."""

    def __init__(self, *script: Behaviour, otherwise: Behaviour = b"") -> None:
        self.script: deque[Behaviour] = deque(script)
        self.paths: dict[str, Behaviour] = {}
        self.otherwise = otherwise
        self.respond: Callable[[Request], Behaviour] = self._respond
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self.port = 0

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/flags.json"

    def targets(self, path: str = "/flags.json") -> list[Request]:
        """The requests for a path."""
        return [request for request in self.requests if request.target.partition("?")[0] == path]

    def __enter__(self) -> Server:
        self.listen()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._closing.set()
        self.refuse()
        with self._changed:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()

    def listen(self) -> None:
        """Accepts connections, always at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def refuse(self) -> None:
        """Accepts no more connections until `listen`."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            self._listener.close()
            self._listener = None

    @contextmanager
    def down(self) -> Iterator[None]:
        self.refuse()
        try:
            yield
        finally:
            self.listen()

    def wait_until_closed(self, seconds: float = SECONDS) -> bool:
        """Whether the peers close all connections in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._connections, seconds)

    def wait_for_requests(self, count: int, path: str = "/flags.json", seconds: float = SECONDS) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self.targets(path)) >= count, seconds)

    async def requested(self, count: int, path: str = "/flags.json") -> None:
        """Waits for that many requests."""
        assert await anyio.to_thread.run_sync(self.wait_for_requests, count, path)

    def _start(self, function: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with self._changed:
                    self._connections.add(connection)
                    self.most_at_once = max(self.most_at_once, len(self._connections))
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(SECONDS)
        try:
            with suppress(OSError):
                request = _read(connection)
                if request is not None:
                    with self._changed:
                        self.requests.append(request)
                        behaviour = self.respond(request)
                        self._changed.notify_all()
                    exchange = Exchange(connection, request, self._closing)
                    if isinstance(behaviour, bytes):
                        exchange.send(behaviour)
                    else:
                        behaviour(exchange)
                    connection.shutdown(socket.SHUT_WR)
                    exchange.hold()
        finally:
            with self._changed:
                connection.close()
                self._connections.discard(connection)
                self._changed.notify_all()

    def _respond(self, request: Request) -> Behaviour:
        path = request.target.partition("?")[0]
        if path in self.paths:
            return self.paths[path]
        return self.script.popleft() if self.script else self.otherwise


def _read(connection: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    first, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(first.split(" ")[1], headers)


# ---------------------------------------------------------------- answers


def answer(body: bytes = b"", status: int | str = 200, **headers: object) -> bytes:
    """A whole answer. Headers are named with underscores; a length of None leaves Content-Length out."""
    fields = {"content_length": len(body), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode("latin-1") + body


def conditional(body: bytes, etag: str | None = None, last_modified: str | None = None, **more: object) -> Behaviour:
    """Serves a document, and 304 to whom has it already."""

    def behave(exchange: Exchange) -> None:
        headers = exchange.request.headers
        if etag is not None and "if-none-match" in headers:
            same = headers["if-none-match"] == etag
        else:
            same = last_modified is not None and headers.get("if-modified-since") == last_modified
        validators = {"etag": etag, "last_modified": last_modified}
        exchange.send(answer(status=304, **validators) if same else answer(body, **validators, **more))

    return behave


def gzipped(body: bytes) -> bytes:
    return zlib.compress(body, wbits=31)


# ---------------------------------------------------------------- what breaks HTTP


def reset(exchange: Exchange) -> None:
    """Ends the connection with RST."""
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.connection.close()


def reset_in_body(exchange: Exchange) -> None:
    exchange.send(answer(b"{", content_length=1000))
    # What is unread at the peer when RST arrives is lost, and then it is a reset before the headers.
    exchange.pause(1 / 20)
    reset(exchange)


def close(exchange: Exchange) -> None:
    """Answers nothing."""


def stall(exchange: Exchange) -> None:
    exchange.hold()


def stall_in_body(exchange: Exchange) -> None:
    exchange.send(answer(b"{", content_length=1000))
    exchange.hold()


def drip(before: bytes, then: bytes, size: int = 1) -> Behaviour:
    """Sends `before` at once and `then`, over and over, in pieces of that size, four a second."""

    def behave(exchange: Exchange) -> None:
        exchange.send(before)
        while True:
            for at in range(0, len(then), size):
                exchange.send(then[at : at + size])
                exchange.pause(1 / 4)

    return behave


def flood(before: bytes, piece: bytes) -> Behaviour:
    """Sends `piece` until the peer has enough."""

    def behave(exchange: Exchange) -> None:
        exchange.send(before)
        while not exchange.closing.is_set():
            exchange.send(piece)

    return behave


def bomb() -> Behaviour:
    """Gzip without end: a thousand times as large as it is sent."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    begin = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    middle = deflate.compress(bytes(16 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)  # stands after itself, too
    return flood(answer(content_length=None, content_encoding="gzip") + begin, middle)


def stream(*events: bytes, hold: bool = True, status: int = 200, **headers: object) -> Behaviour:
    """A stream of events that then stays silent, or ends."""
    fields = {"content_type": "text/event-stream", "content_length": None, **headers}

    def behave(exchange: Exchange) -> None:
        exchange.send(answer(status=status, **fields))
        for event in events:
            exchange.send(event)
        if hold:
            exchange.hold()

    return behave


# ---------------------------------------------------------------- clients


@asynccontextmanager
async def delivering(source: Any, sink: Any) -> AsyncIterator[None]:
    """Runs a source for as long as the block runs."""
    async with anyio.create_task_group() as group:
        group.start_soon(source.run, sink)
        yield
        group.cancel_scope.cancel()
