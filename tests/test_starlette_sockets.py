"""Starlette under uvicorn, over sockets: however a request ends it leaves no pin, and it has one configuration.

The websockets need the package of that name.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from endings import Endings, both, every_loop, serving
from pools import versioned
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from web import ME, Gate, asgi, asking, released, swapped, until

from pyflagwasm import FlagEvaluator
from pyflagwasm.integrations.starlette import FlagsMiddleware, current, flags, lifespan


def value(request: Any) -> str:
    return flags(request).value("flag-1", "")


class Handlers:
    """Endpoints that meet the test at the gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.task: asyncio.Task[Any] | None = None

    async def waits(self, request: Request) -> Response:
        self.task = asyncio.current_task()
        before = value(request)
        await self.gate.wait()
        return PlainTextResponse(f"{before} {value(request)}")

    async def times_out(self, request: Request) -> Response:
        before = value(request)
        try:
            async with asyncio.timeout(30) as timeout:
                self.gate.noted.append(timeout)
                await self.gate.wait()
        except TimeoutError:
            return PlainTextResponse(f"{before} {value(request)}")
        raise AssertionError

    async def moves_on(self, request: Request) -> Response:
        before = value(request)
        with anyio.move_on_after(30) as scope:
            self.gate.noted.append(scope)
            await self.gate.wait()
        return PlainTextResponse(f"{before} {value(request)}")

    async def fails(self, request: Request) -> Response:
        value(request)
        await self.gate.wait()
        raise ZeroDivisionError

    async def streams(self, request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            yield f"{value(request)} "
            await self.gate.wait()
            padding = " " * 65_536 if "flood" in request.query_params else ""  # more than the buffers of a socket
            for _ in range(1_000):
                yield f"{value(request)} {padding}"
                await anyio.lowlevel.checkpoint()

        return StreamingResponse(body(), media_type="text/plain")

    async def after(self, request: Request) -> Response:
        async def work() -> None:
            before = value(request)
            await self.gate.wait()
            self.gate.noted.append((before, value(request), current.get().generation))

        return PlainTextResponse(value(request), background=BackgroundTask(work))

    async def leaves(self, request: Request) -> Response:
        async def work() -> None:
            await self.gate.wait()
            self.gate.noted.append((value(request), current.get().value("flag-1", "")))

        asked = request.url.path == "/leaves"
        self.task = asyncio.create_task(work())
        return PlainTextResponse(value(request) if asked else "")

    async def many(self, request: Request) -> Response:
        seen = set()
        for _ in range(10):
            seen |= {value(request), flags(request).value("flag-0", "")[:-1] + "1"}
            await anyio.lowlevel.checkpoint()
        seen.add(f"v{flags(request).generation}-1")
        return PlainTextResponse(" ".join(seen))

    async def socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(value(websocket))
        while await websocket.receive_text() == "refresh":
            flags(websocket).refresh()
            await websocket.send_text(value(websocket))

    def app(self, evaluator: FlagEvaluator) -> Starlette:
        names = ["waits", "times_out", "moves_on", "fails", "streams", "after", "leaves", "many"]
        routes: list[Any] = [Route(f"/{name}", getattr(self, name)) for name in names]
        routes += [Route("/leaves_unasked", self.leaves), WebSocketRoute("/socket", self.socket)]
        middleware = [Middleware(FlagsMiddleware, context=lambda request: ME)]
        return Starlette(routes=routes, middleware=middleware, lifespan=lifespan(evaluator))


served = serving(Handlers, asgi)


class TestEndings(Endings):
    served = staticmethod(served)


@every_loop
def test_a_request_that_moves_on(loop: str) -> None:
    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        def end() -> None:
            handlers.gate.noted[0].deadline = anyio.current_time()

        assert await both(port, flags, handlers.gate, "/moves_on", end) == (200, "v1-1 v1-1")

    served(loop, scenario)


@every_loop
def test_a_request_that_is_cancelled(loop: str) -> None:
    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        def end() -> None:
            assert handlers.task is not None
            handlers.task.cancel()

        status, _ = await both(port, flags, handlers.gate, "/waits", end)
        assert status == 500

    served(loop, scenario)


@every_loop
def test_a_client_that_is_gone_while_the_handler_waits(loop: str) -> None:
    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        async with asking(port, "/waits"):
            await swapped(flags, handlers.gate)
        assert flags.statistics().pool.retired == 1  # the handler is not told, and goes on
        handlers.gate.go.set()

    served(loop, scenario)


@every_loop
def test_background_tasks_are_in_the_request(loop: str) -> None:
    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        assert await both(port, flags, handlers.gate, "/after", handlers.gate.go.set) == (200, "v1-1")
        await until(lambda: handlers.gate.noted == [("v1-1", "v1-1", 1)])

    served(loop, scenario)


# ---------------------------------------------------------------- websockets

needs_websockets = pytest.mark.skipif(
    importlib.util.find_spec("websockets") is None, reason="websockets is not installed: pip install websockets"
)


@needs_websockets
@every_loop
def test_a_websocket_follows_the_live_configuration_until_it_is_refreshed(loop: str) -> None:
    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        from websockets.asyncio.client import connect

        async with connect(f"ws://127.0.0.1:{port}/socket") as socket:
            assert await socket.recv() == "v1-1"
            for version in (2, 3):
                await flags.reload(versioned(version))
                assert flags.statistics().pool.retired == (version == 3)
                await socket.send("refresh")
                assert await socket.recv() == f"v{version}-1"

    served(loop, scenario)


@needs_websockets
@pytest.mark.parametrize("way", ["closed", "dropped"])
@every_loop
def test_a_websocket_that_is_gone(loop: str, way: str) -> None:
    async def scenario(port: int, flags: FlagEvaluator, handlers: Handlers) -> None:
        from websockets.asyncio.client import connect

        async with connect(f"ws://127.0.0.1:{port}/socket") as socket:
            await socket.recv()
            await socket.send("refresh")
            await socket.recv()
            await flags.reload(versioned(2))
            assert flags.statistics().pool.retired == 1
            if way == "dropped":
                socket.transport.abort()
                await released(flags)

    served(loop, scenario)
