"""A bakery's shop in Starlette: `uvicorn --app-dir docs/examples starlette_app:app`.

FLAGS names a configuration to follow; without it the flags are those of the bundled example.
"""

import os

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import pyflagwasm
from pyflagwasm.integrations.starlette import FlagsMiddleware, flags, lifespan


def open_flags() -> pyflagwasm.FlagEvaluator:
    path = os.environ.get("FLAGS")
    return pyflagwasm.open(pyflagwasm.FileSource(path) if path else "example:flagd")


def visitor(request: Request) -> dict[str, object]:
    """The evaluation context: made once a request, when its first flag is asked for."""
    query = request.query_params
    version = request.headers.get("App-Version", "4.0.0")
    return {"targetingKey": query.get("visitor"), "city": query.get("city"), "app": {"version": version}}


async def shop(request: Request) -> JSONResponse:
    own = flags(request)
    page = {"hours": own.value("opening-hours", "by day"), "pre-orders": own.value("pre-orders", False)}
    return JSONResponse({**page, "button": own.value("checkout-button", "Pay")})


async def checkout(request: Request) -> JSONResponse:
    order = await request.json()
    flags(request).identify({"cart": {"total": order["total"]}})  # from here on the rules know the cart, too
    own = flags(request)
    return JSONResponse({"fee": own.value("delivery-fee", 3.5), "button": own.value("checkout-button", "Pay")})


app = Starlette(
    routes=[Route("/", shop), Route("/checkout", checkout, methods=["POST"])],
    lifespan=lifespan(open_flags),
    middleware=[Middleware(FlagsMiddleware, context=visitor)],
)
