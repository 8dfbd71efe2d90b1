"""Flags in aiohttp's server: `setup` has the application open the evaluator, and gives each request its flags.

app = web.Application()
setup(app, pyflagwasm.open("flags.json"), context=who)

async def handle(request):
    if flags(request).value("new-checkout", False): ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Final, TypeAlias

from ..evaluator import FlagEvaluator
from ..extras import missing
from ..wanted import a
from .contexts import Attributes, plain_function
from .opening import Evaluator, fit, opened
from .requests import RequestFlags, current

try:
    from aiohttp import web
    from aiohttp.typedefs import Handler
except ImportError as error:
    raise missing("the aiohttp integration", "aiohttp", "aiohttp") from error

__all__ = ["FLAGS", "REQUEST_FLAGS", "ContextOf", "RequestFlags", "current", "flags", "setup"]

ContextOf: TypeAlias = Callable[[web.Request], Attributes]
"""The evaluation context of a request; None is an empty one."""

FLAGS: Final = web.AppKey("pyflagwasm", FlagEvaluator)
"""The evaluator of an application that runs: `app[FLAGS]`, or `request.config_dict[FLAGS]` also in sub-applications."""

REQUEST_FLAGS: Final = web.RequestKey("pyflagwasm", RequestFlags)
"""The flags of a request: `request[REQUEST_FLAGS]`; `flags(request)` says what is missing if there are none."""


def setup(
    app: web.Application, evaluator: Evaluator, *, context: ContextOf | None = None, openfeature: bool = False
) -> None:
    """Have an application open an evaluator when it starts, close it when it ends, and give each request its flags.

    evaluator: or a function that makes one. One that is open already is used and left open.
    context: gives the evaluation context of a request, at its first evaluation. A plain function; see RequestFlags for
        what it raises.
    openfeature: whether OpenFeature's clients evaluate for the context of the current request, too.

    Once, before the application starts, for it and all of its sub-applications. A sub-application may be set up as
    well: with the same evaluator the configuration of a request stays, and the context is the sub-application's.
    A request has one configuration from its first evaluation until its handler has returned: a body that aiohttp sends
    afterwards - of an async generator as `body` - has the live one; write to a StreamResponse instead. The flags of a
    websocket follow the live one; `flags(request).refresh()` before each message makes them consistent.
    Raises RuntimeError if it has been called for this application, or that has started. Costs 2 us a request.
    """
    plain_function(context)
    fit(evaluator, "setup(app, {})")
    if any(getattr(middleware, "__self__", None).__class__ is _Setup for middleware in app.middlewares):
        raise RuntimeError("pyflagwasm is set up for this application already")
    if app.frozen or app.pre_frozen:
        raise RuntimeError("setup(app, evaluator) comes before the application starts, or is added to another one")
    if openfeature:
        from .transactions import propagate

        propagate()
    made = _Setup(evaluator, context)
    app.cleanup_ctx.append(made.run)
    app.middlewares.append(made.middleware)


class _Setup:
    """What one application was set up with."""

    def __init__(self, evaluator: Evaluator, context: ContextOf | None) -> None:
        self._given, self._context = evaluator, context
        self._evaluator: FlagEvaluator | None = None

    async def run(self, app: web.Application) -> AsyncIterator[None]:
        async with opened(self._given) as found:
            app[FLAGS] = self._evaluator = found
            yield

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        outer, evaluator = request.get(REQUEST_FLAGS), self._evaluator
        if evaluator is None:
            raise RuntimeError("the application's cleanup contexts have not run: start it with a runner, or run_app")
        context = None if self._context is None else partial(self._context, request)
        if outer is None or outer.evaluator is not evaluator:
            made = RequestFlags(evaluator, context)
        elif context is None:
            return await handler(request)
        else:
            made = outer.beside(context)
        request[REQUEST_FLAGS] = made.enter(pin=request.headers.get("Upgrade", "").lower() != "websocket")
        try:
            return await handler(request)
        finally:
            made.leave()
            if outer is not None:
                request[REQUEST_FLAGS] = outer
            elif made.unmade:  # it refers to the request: nothing is left to the collector of cycles
                del request[REQUEST_FLAGS]
                request[_SETUP] = self

    def anew(self, request: web.Request) -> RequestFlags:
        """For a request that has ended, and asks for its flags now."""
        assert self._evaluator is not None
        return RequestFlags(self._evaluator, None if self._context is None else partial(self._context, request))


_SETUP: Final = web.RequestKey("pyflagwasm.setup", _Setup)


def flags(request: web.Request) -> RequestFlags:
    """The flags of a request. RuntimeError if its application is not set up."""
    try:
        found: RequestFlags | None = request.get(REQUEST_FLAGS)
    except AttributeError:
        raise TypeError(f"flags takes a request, not {a(request)}") from None
    if found is not None:
        return found
    ended: _Setup | None = request.get(_SETUP)
    if ended is not None:
        return ended.anew(request)
    raise RuntimeError("the request has no flags: call pyflagwasm.integrations.aiohttp.setup(app, evaluator) first")
