"""The aiohttp server: `python -m bench.servers.aiohttp_app`, on uvloop. Its work is in work.py."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator

import uvloop
from aiohttp import web

from . import work

flags = work.evaluator()
swapping = work.Swapping(flags)


async def none(request: web.Request) -> web.Response:
    return web.Response(text=work.NONE)


async def fifty(request: web.Request) -> web.Response:
    return web.Response(text=await work.answer(flags, int(request.query["user"])))


async def swap(request: web.Request) -> web.Response:
    await swapping.turn(request.match_info["how"] == "on")
    return web.Response(text="")


async def numbers(request: web.Request) -> web.Response:
    return web.Response(text=work.numbers(flags))


async def opened(app: web.Application) -> AsyncIterator[None]:
    async with flags:
        yield
        await swapping.turn(False)


async def main() -> None:
    app = web.Application()
    app.cleanup_ctx.append(opened)
    app.router.add_get("/none", none)
    app.router.add_get("/flags", fifty)
    app.router.add_get("/swapping/{how}", swap)
    app.router.add_get("/numbers", numbers)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, work.listening()).start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main())
