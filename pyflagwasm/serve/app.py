"""The application: the protocol's routes, the page for people, health, and the guards around them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ..evaluator import FlagEvaluator
from ..integrations.opening import opened
from ..types import ErrorCode, State
from .events import PATH, Events
from .guards import HEALTH, LOOPBACK, Hosts, Token
from .inspector import routes as inspected
from .ofrep import FLAGS, Ofrep
from .writing import answer, failure

_HEADERS: Final = ("Authorization", "Content-Type", "If-None-Match", "Last-Event-ID", "X-API-Key")
_DAY: Final = 86_400


def application(
    evaluator: FlagEvaluator,
    *,
    inspector: bool = True,
    token: str | None = None,
    cors: Iterable[str] = (),
    hosts: Iterable[str] = LOOPBACK,
) -> Starlette:
    """The evaluator behind HTTP: `uvicorn.run(application(pyflagwasm.open("flags.json")), port=8016)`.

    Answers OFREP at /ofrep/v1/, tells at /healthz how the evaluator is, and has the inspector at /inspector/.

    evaluator: is opened with the application and closed with it, unless it is open already. Under another application,
        which runs no lifespan of what it mounts, open it there.
    inspector: whether there is the page for people, which shows all flags and why they have their values. Make the
        application before the evaluator is opened, or the page has no reasons.
    token: what every request but /healthz must bring: `Authorization: Bearer TOKEN` or `X-API-Key: TOKEN`; in a browser
        it is the password.
    cors: origins whose pages may ask, `https://shop.example`, or "*" for all of them; without any, none may.
    hosts: names by which the server may be called, without ports; "*" for any, where something else guards it. The
        default is for one's own machine.

    Raises ValueError for an empty token, and TypeError for a single text as cors or hosts. Starting it raises what
    opening the evaluator raises, and RuntimeError if that is closed: a second run needs an application of its own.
    """
    if isinstance(cors, str) or isinstance(hosts, str):
        raise TypeError("cors and hosts are lists of texts, not one text")
    if token is not None and not token.strip():
        raise ValueError("an empty token keeps nobody out: give one, or None")
    if token is not None:
        token = token.strip()  # no header has spaces around it, and files of secrets often end with a line break

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.closing = False  # tests start the same application again
        try:
            async with opened(evaluator):
                yield
        finally:
            app.state.closing = True

    async def health(request: Request) -> Response:
        statistics = evaluator.statistics()
        state, generation = statistics.state, statistics.generation
        answers = state in (State.READY, State.STALE)
        return answer(200 if answers else 503, {"state": str(state), "generation": generation})

    events = Events(evaluator, lambda: bool(app.state.closing), token)
    page = [*inspected(evaluator), Route("/", _to_the_page)] if inspector else []
    middleware = [Middleware(Hosts, hosts=tuple(hosts))]
    if origins := list(cors):
        middleware.append(
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=("GET", "POST"),
                allow_headers=_HEADERS,
                expose_headers=("ETag", "Retry-After"),
                max_age=_DAY,
            )
        )
    if token is not None:
        middleware.append(Middleware(Token, token=token))
    app = Starlette(
        routes=[
            *Ofrep(evaluator, events).routes(),
            Route(PATH, events, methods=["GET"]),
            Route(HEALTH, health),
            *page,
        ],
        middleware=middleware,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    app.router.redirect_slashes = False  # or the empty key would lead to all flags
    app.state.closing = False
    return app


async def _to_the_page(request: Request) -> Response:
    return RedirectResponse("inspector/")


def _refused(request: Request, error: Exception) -> Response:
    """No such path, or not with this method."""
    assert isinstance(error, HTTPException)
    message = f"{HTTPStatus(error.status_code).phrase}: flags are evaluated by POST {FLAGS}/KEY"
    return answer(error.status_code, failure(ErrorCode.GENERAL, message), error.headers)


def _failed(request: Request, error: Exception) -> Response:
    """An error of this library: the server logs it, and the client is not told of it."""
    return answer(500, failure(ErrorCode.GENERAL, "internal error: see the server's log"))
