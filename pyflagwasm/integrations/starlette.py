"""Flags in Starlette: a lifespan that opens the evaluator, a middleware that gives each request its flags.

    app = Starlette(
        routes, lifespan=lifespan(pyflagwasm.open("flags.json")), middleware=[Middleware(FlagsMiddleware, context=who)]
    )

    async def handle(request):
        if flags(request).value("new-checkout", False): ...

The middleware is pure ASGI: it has no task of its own, and streamed bodies and background tasks run inside of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from ..evaluator import FlagEvaluator
from ..extras import missing
from ..wanted import a
from .contexts import Attributes, plain_function
from .opening import Evaluator, fit, opened
from .requests import RequestFlags, current

try:
    from starlette.requests import HTTPConnection, Request
    from starlette.types import ASGIApp, Receive, Scope, Send
except ImportError as error:
    raise missing("the Starlette integration", "starlette", "starlette") from error

__all__ = ["STATE", "ContextOf", "FlagsMiddleware", "RequestFlags", "current", "flags", "lifespan"]

ContextOf: TypeAlias = Callable[[Request], Attributes]
"""The evaluation context of a request; None is an empty one. Of a websocket it is given the HTTPConnection."""

STATE: Final = "pyflagwasm"
"""The name of the evaluator in the state: `request.state.pyflagwasm`, `app.state.pyflagwasm`."""

_SCOPE: Final = "pyflagwasm.flags"
_NO_EVALUATOR: Final = (
    "FlagsMiddleware finds no evaluator: give the application a lifespan, Starlette(lifespan=lifespan(evaluator)) or "
    "FastAPI(lifespan=...), and have it run - that of a mounted application does not, and TestClient's only as "
    "`with TestClient(app)` - or give the middleware evaluator=..."
)


def lifespan(
    evaluator: Evaluator, *, then: Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]] | None = None
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]:
    """The lifespan that opens an evaluator, closes it at the end, and has it in the state for FlagsMiddleware.

    evaluator: or a function that makes one: needed where the application is started more than once, as with several
        TestClients. One that is open already is used and left open.
    then: the application's own lifespan, run inside of this one; what it yields is added to the state.
    Starting raises what opening raises: ConfigError, GuestError.
    """

    fit(evaluator, "lifespan({})")

    @asynccontextmanager
    async def flags_lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        async with AsyncExitStack() as stack:
            found = await stack.enter_async_context(opened(evaluator))
            more = None if then is None else await stack.enter_async_context(then(app))
            yield {**(more or {}), STATE: found}

    return flags_lifespan


class FlagsMiddleware:
    """ASGI middleware that gives each HTTP request and each websocket its RequestFlags; `flags(request)` has them.

    context: gives the evaluation context of a request, at its first evaluation: by then the request is routed, and
        whoever comes behind this middleware has seen it. A plain function; see RequestFlags for what it raises.
    evaluator: instead of the one in the state of the lifespan, or in `app.state.pyflagwasm`. RuntimeError without any.
    openfeature: whether OpenFeature's clients evaluate for the context of the current request, too.

    A request has one configuration from its first evaluation to its end. The flags of a websocket follow the live one;
    `flags(websocket).refresh()` before each message makes them consistent. Inside of another FlagsMiddleware with the
    same evaluator - of a mounted application - the request and its configuration stay, and the context is this one's,
    if it has one. Costs 2 us a request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        context: ContextOf | None = None,
        evaluator: FlagEvaluator | None = None,
        openfeature: bool = False,
    ) -> None:
        plain_function(context)
        if evaluator is not None and not isinstance(evaluator, FlagEvaluator):
            raise TypeError(f"evaluator is what pyflagwasm.open gives, not {type(evaluator).__name__}")
        self.app = app
        self._context, self._evaluator = context, evaluator
        if openfeature:
            from .transactions import propagate

            propagate()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind != "http" and kind != "websocket":
            await self.app(scope, receive, send)
            return
        outer: RequestFlags | None = scope.get(_SCOPE)
        evaluator = self._evaluator or _evaluator(scope, outer)
        context = None if self._context is None else partial(_context, self._context, scope)
        if outer is None or outer.evaluator is not evaluator:
            made = RequestFlags(evaluator, context)
        elif context is None:
            await self.app(scope, receive, send)
            return
        else:
            made = outer.beside(context)
        scope[_SCOPE] = made.enter(pin=kind == "http")
        try:
            await self.app(scope, receive, send)
        finally:
            made.leave()
            if outer is not None:
                scope[_SCOPE] = outer
            elif made.unmade:  # it refers to the scope: nothing is left to the collector of cycles
                scope[_SCOPE] = evaluator, self._context


def flags(connection: HTTPConnection) -> RequestFlags:
    """The flags of a request or websocket. RuntimeError if no FlagsMiddleware is around it."""
    try:
        scope = connection.scope
    except AttributeError:
        raise TypeError(f"flags takes a request or a websocket, not {a(connection)}") from None
    found: RequestFlags | tuple[FlagEvaluator, ContextOf] | None = scope.get(_SCOPE)
    if isinstance(found, tuple):  # the request has ended, and asks for its flags now
        evaluator, context = found
        return RequestFlags(evaluator, partial(_context, context, scope))
    if found is None:
        raise RuntimeError(
            "the request has no flags: add the middleware, app.add_middleware(FlagsMiddleware, context=...), or "
            "Starlette(middleware=[Middleware(FlagsMiddleware, context=...)])"
        )
    return found


def _evaluator(scope: Scope, outer: RequestFlags | None) -> FlagEvaluator:
    if outer is not None:
        return outer.evaluator
    state = scope.get("state")
    found = None if state is None else state.get(STATE)
    if found is None:
        found = getattr(getattr(scope.get("app"), "state", None), STATE, None)
    if not isinstance(found, FlagEvaluator):
        raise RuntimeError(_NO_EVALUATOR)
    return found


def _context(function: ContextOf, scope: Scope) -> Attributes:
    # A function that wants a Request of a websocket is told so by what it raises: it cannot be given one.
    return function(Request(scope) if scope["type"] == "http" else HTTPConnection(scope))  # type: ignore[arg-type]
