"""The Starlette server: `python -m bench.servers.starlette_app`, under uvicorn with uvloop. Its work is in work.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from . import work

flags = work.evaluator()
swapping = work.Swapping(flags)


async def none(request: Request) -> PlainTextResponse:
    return PlainTextResponse(work.NONE)


async def fifty(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await work.answer(flags, int(request.query_params["user"])))


async def swap(request: Request) -> PlainTextResponse:
    await swapping.turn(request.path_params["how"] == "on")
    return PlainTextResponse("")


async def numbers(request: Request) -> PlainTextResponse:
    return PlainTextResponse(work.numbers(flags))


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with flags:
        yield
        await swapping.turn(False)


app = Starlette(
    routes=[Route("/none", none), Route("/flags", fifty), Route("/swapping/{how}", swap), Route("/numbers", numbers)],
    lifespan=lifespan,
)

if __name__ == "__main__":
    server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", log_level="error", access_log=False))
    server.run(sockets=[work.listening()])
