"""aiohttp's server, over sockets: however a request ends, it leaves no pin, and until then it has one configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import pytest
from aiohttp import web
from endings import Endings, both, every_loop, serving
from pools import versioned
from web import ME, Gate, aiohttp_runner, asking, released, swapped

from pyflagwasm import FlagEvaluator
from pyflagwasm.integrations.aiohttp import current, flags, setup


def value(request: web.Request) -> str:
    return flags(request).value("flag-1", "")


class Handlers:
    """Handlers that meet the test at the gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.task: asyncio.Task[Any] | None = None

    async def waits(self, request: web.Request) -> web.Response:
        self.task = asyncio.current_task()
        before = value(request)
        await self.gate.wait()
        return web.Response(text=f"{before} {value(request)}")

    async def times_out(self, request: web.Request) -> web.Response:
        before = value(request)
        try:
            async with asyncio.timeout(30) as timeout:
                self.gate.noted.append(timeout)
                await self.gate.wait()
        except TimeoutError:
            pass
        return web.Response(text=f"{before} {value(request)}")

    async def fails(self, request: web.Request) -> web.Response:
        value(request)
        await self.gate.wait()
        raise ZeroDivisionError

    async def streams(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(f"{value(request)} ".encode())
        await self.gate.wait()
        padding = " " * 65_536 if "flood" in request.query else ""  # more than the buffers of a socket
        for _ in range(1_000):
            await response.write(f"{value(request)} {padding}".encode())
        return response

    async def generates(self, request: web.Request) -> web.Response:
        async def body() -> AsyncIterator[bytes]:
            yield value(request).encode()

        before = value(request)
        await self.gate.wait()
        return web.Response(body=body(), headers={"before": before})

    async def leaves(self, request: web.Request) -> web.Response:
        async def work() -> None:
            await self.gate.wait()
            self.gate.noted.append((value(request), current.get().value("flag-1", "")))

        asked = request.path == "/leaves"
        self.task = asyncio.create_task(work())
        return web.Response(text=value(request) if asked else "")

    async def many(self, request: web.Request) -> web.Response:
        seen = set()
        for _ in range(10):
            seen |= {value(request), flags(request).value("flag-0", "")[:-1] + "1"}
            await anyio.lowlevel.checkpoint()
        seen.add(f"v{flags(request).generation}-1")
        return web.Response(text=" ".join(seen))

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(value(request))
        async for _ in socket:
            flags(request).refresh()
            await socket.send_str(value(request))
        return socket

    def app(self, evaluator: FlagEvaluator) -> web.Application:
        app = web.Application()
        for name in ("waits", "times_out", "fails", "streams", "generates", "leaves", "many", "socket"):
            app.router.add_get(f"/{name}", getattr(self, name))
        app.router.add_get("/leaves_unasked", self.leaves)
        setup(app, evaluator, context=lambda request: ME)
        return app


served = serving(Handlers, aiohttp_runner)


class TestEndings(Endings):
    served = staticmethod(served)


@pytest.mark.parametrize("told", [True, False])
@every_loop
def test_a_client_that_is_gone_while_the_handler_waits(loop: str, told: bool) -> None:
    """Whose handler is cancelled then, if the runner is asked to, or goes on."""

    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        async with asking(port, "/waits"):
            await swapped(flags, handlers.gate)
        if told:
            await released(flags)
            assert handlers.task is not None
            assert not handlers.gate.go.is_set()
        else:
            assert flags.statistics().pool.retired == 1
            handlers.gate.go.set()

    served(loop, scenario, handler_cancellation=told)


@every_loop
def test_a_body_that_is_generated_after_the_handler_has_the_live_one(loop: str) -> None:
    """As `setup` says: aiohttp asks for it when the middlewares have been left."""

    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        status, body = await both(port, flags, handlers.gate, "/generates", handlers.gate.go.set)
        assert (status, body) == (200, "v2-1")

    served(loop, scenario)


@every_loop
def test_requests_of_one_connection_follow_the_swaps(loop: str) -> None:
    """One task of aiohttp's serves them all: nothing of one may be left for the next."""

    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            for version in range(1, 6):
                async with session.get("/many") as response:
                    assert await response.text() == f"v{version}-1"
                assert current.get(None) is None
                await flags.reload(versioned(version + 1))

    served(loop, scenario)


@pytest.mark.parametrize("way", ["closed", "dropped"])
@every_loop
def test_a_websocket(loop: str, way: str) -> None:
    """Follows the live configuration until it is refreshed first, and holds nothing once it is gone."""

    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session, session.ws_connect("/socket") as ws:
            assert await ws.receive_str() == "v1-1"
            for version in (2, 3):
                await flags.reload(versioned(version))
                assert flags.statistics().pool.retired == (version == 3)
                await ws.send_str("refresh")
                assert await ws.receive_str() == f"v{version}-1"
            await flags.reload(versioned(4))
            assert flags.statistics().pool.retired == 1
            if way == "dropped":
                transport = ws.get_extra_info("socket")
                assert transport is not None
                ws._response.connection.transport.abort()  # type: ignore[union-attr]
                await released(flags)

    served(loop, scenario)
