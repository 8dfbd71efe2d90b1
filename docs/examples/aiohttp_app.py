"""A bakery's shop in aiohttp: `python docs/examples/aiohttp_app.py`.

FLAGS names a configuration to follow; without it the flags are those of the bundled example.
"""

import os

from aiohttp import web

import pyflagwasm
from pyflagwasm.integrations.aiohttp import flags, setup


def open_flags() -> pyflagwasm.FlagEvaluator:
    path = os.environ.get("FLAGS")
    return pyflagwasm.open(pyflagwasm.FileSource(path) if path else "example:flagd")


def visitor(request: web.Request) -> dict[str, object]:
    """The evaluation context: made once a request, when its first flag is asked for."""
    query = request.query
    version = request.headers.get("App-Version", "4.0.0")
    return {"targetingKey": query.get("visitor"), "city": query.get("city"), "app": {"version": version}}


async def shop(request: web.Request) -> web.Response:
    own = flags(request)
    page = {"hours": own.value("opening-hours", "by day"), "pre-orders": own.value("pre-orders", False)}
    return web.json_response({**page, "button": own.value("checkout-button", "Pay")})


async def checkout(request: web.Request) -> web.Response:
    order = await request.json()
    flags(request).identify({"cart": {"total": order["total"]}})  # from here on the rules know the cart, too
    own = flags(request)
    return web.json_response({"fee": own.value("delivery-fee", 3.5), "button": own.value("checkout-button", "Pay")})


def make_app() -> web.Application:
    app = web.Application()
    app.add_routes([web.get("/", shop), web.post("/checkout", checkout)])
    setup(app, open_flags, context=visitor)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
