"""A bakery's shop in FastAPI: `uvicorn --app-dir docs/examples fastapi_app:app`.

FLAGS names a configuration to follow; without it the flags are those of the bundled example.
"""

import os
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Request

import pyflagwasm
from pyflagwasm.integrations.fastapi import Flags, FlagsMiddleware, lifespan, requires_flag


def open_flags() -> pyflagwasm.FlagEvaluator:
    path = os.environ.get("FLAGS")
    return pyflagwasm.open(pyflagwasm.FileSource(path) if path else "example:flagd")


def visitor(request: Request) -> dict[str, object]:
    """The evaluation context: made once a request, when its first flag is asked for."""
    query = request.query_params
    version = request.headers.get("App-Version", "4.0.0")
    return {"targetingKey": query.get("visitor"), "city": query.get("city"), "app": {"version": version}}


app = FastAPI(lifespan=lifespan(open_flags))
app.add_middleware(FlagsMiddleware, context=visitor)


@app.get("/")
async def shop(flags: Flags) -> dict[str, object]:
    page = {"hours": flags.value("opening-hours", "by day"), "pre-orders": flags.value("pre-orders", False)}
    return {**page, "button": flags.value("checkout-button", "Pay")}


@app.post("/checkout")
def checkout(flags: Flags, total: Annotated[float, Body(embed=True)]) -> dict[str, object]:
    flags.identify({"cart": {"total": total}})  # from here on the rules know the cart, too
    return {"fee": flags.value("delivery-fee", 3.5), "button": flags.value("checkout-button", "Pay")}


@app.get("/pre-orders", dependencies=[Depends(requires_flag("pre-orders"))])
async def pre_orders() -> list[str]:
    return ["rye", "spelt"]
