"""Web servers for tests, on sockets of the loopback: started in the running event loop, and asked by plain bytes."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import uvicorn
from aiohttp import web
from pools import versioned

from pyflagwasm import FlagEvaluator

LOOPS = ("asyncio", "uvloop")
"""What uvicorn and aiohttp run on."""

ME = {"who": "me"}


@asynccontextmanager
async def asgi(app: Any, **options: Any) -> AsyncIterator[int]:
    """An ASGI application under uvicorn, as its port."""
    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=3, **options)
    server = uvicorn.Server(config)
    ended = anyio.Event()

    async def serve() -> None:
        try:
            await server._serve([sock])  # `serve` would take the signals of the process that tests
        finally:
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        with anyio.fail_after(10):
            while not server.started:  # noqa: ASYNC110
                await anyio.sleep(1 / 100)
        try:
            yield sock.getsockname()[1]
        finally:
            server.should_exit = True
            with anyio.move_on_after(5, shield=True):  # of a test that fails, too
                await ended.wait()


@asynccontextmanager
async def aiohttp_runner(app: web.Application, **options: Any) -> AsyncIterator[int]:
    """An application of aiohttp on its runner, as its port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=3, **options)
    await runner.setup()
    try:
        sock = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, sock).start()
        yield sock.getsockname()[1]
    finally:
        await runner.cleanup()


async def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """The status and the body of a request."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"{method} {path} HTTP/1.0\r\nHost: test\r\n\r\n".encode())
        found = b""
        try:
            while True:
                found += await stream.receive()
        except anyio.EndOfStream:
            pass
    head, _, body = found.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


@asynccontextmanager
async def asking(port: int, path: str, until: bytes = b"") -> AsyncIterator[Any]:
    """A connection on which a request was sent, once so much of the answer has come. It is dropped with the block."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        found = b""
        while until not in found:
            found += await stream.receive()
        yield stream
        await anyio.aclose_forcefully(stream)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for what comes by itself."""
    with anyio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(1 / 200)


async def released(flags: FlagEvaluator) -> None:
    """Nothing holds on to an instance or to an earlier configuration, or soon will."""
    await until(lambda: flags.statistics().pool.retired == 0)
    pool = flags.statistics().pool
    assert (pool.idle, pool.in_use, pool.waiting, pool.missing) == (pool.size, 0, 0, 0)


class Gate:
    """Two events of a handler: it has come, it may go on. And what it noted."""

    def __init__(self) -> None:
        self.come, self.go, self.noted = anyio.Event(), anyio.Event(), list[Any]()

    async def wait(self) -> None:
        self.come.set()
        await self.go.wait()


async def swapped(flags: FlagEvaluator, gate: Gate, to: int = 2) -> None:
    """Once the handler has come: another configuration is live, and the first one is kept for its request alone."""
    with anyio.fail_after(10):
        await gate.come.wait()
    await flags.reload(versioned(to))
    assert flags.statistics().pool.retired == 1
