"""Starlette without sockets: where the evaluator is found, nested and mounted applications, and what is said if not."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from children import script
from evaluators import FLAGD, closed, opened
from pools import ME, versioned
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

import pyflagwasm
from pyflagwasm import ConfigError, FlagEvaluator
from pyflagwasm.integrations.requests import RequestFlags
from pyflagwasm.integrations.starlette import STATE, FlagsMiddleware, current, flags, lifespan


async def value(request: Request) -> Response:
    return PlainTextResponse(flags(request).value("flag-1", "default"))


async def all_of(request: Request) -> Response:
    return JSONResponse(flags(request).many(["plan", "city"]))


def who(request: HTTPConnection) -> dict[str, Any]:
    return {"who": request.headers.get("who", "me")}


def plan(request: Request) -> dict[str, Any]:
    return dict(request.query_params)


def app_of(*routes: BaseRoute, context: Any = who, middleware: Any = (), **options: Any) -> Starlette:
    chosen = {name: options.pop(name) for name in ("evaluator", "openfeature") if name in options}
    stack = [Middleware(FlagsMiddleware, context=context, **chosen), *middleware]
    return Starlette(routes=list(routes) or [Route("/", value)], middleware=stack, **options)


def opening(document: Any = None) -> Callable[[], FlagEvaluator]:
    return lambda: pyflagwasm.open(versioned(1) if document is None else document)


@pytest.fixture
def evaluator() -> Iterator[FlagEvaluator]:
    made = opened(versioned(1))
    yield made
    pool = made.statistics().pool
    closed(made)
    assert (pool.retired, pool.in_use) == (0, 0)


# ---------------------------------------------------------------- where the evaluator is found


def test_the_lifespan_opens_and_closes_it() -> None:
    evaluator = pyflagwasm.open(versioned(1))
    with TestClient(app_of(lifespan=lifespan(evaluator))) as client:
        assert client.get("/").text == "v1-1"
        assert client.get("/", headers={"who": "you"}).text == "nobody"
        assert evaluator.statistics().state == "READY"
    assert evaluator.statistics().state == "CLOSED"


def test_a_function_opens_another_one_for_each_start() -> None:
    app = app_of(lifespan=lifespan(opening()))
    for _ in range(3):
        with TestClient(app) as client:
            assert client.get("/").text == "v1-1"


def test_a_second_start_of_one_that_is_closed_says_what_to_do() -> None:
    app = app_of(lifespan=lifespan(pyflagwasm.open(versioned(1))))
    with TestClient(app):
        pass
    with pytest.raises(RuntimeError, match=r"the evaluator is closed, by an earlier run .* `lambda: pyflagwasm.open"):
        TestClient(app).__enter__()


def test_one_that_is_open_already_is_left_open(evaluator: FlagEvaluator) -> None:
    app = app_of(lifespan=lifespan(evaluator))
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get("/").text == "v1-1"
    assert evaluator.statistics().state == "READY"


def test_a_configuration_that_is_bad_ends_the_start() -> None:
    with pytest.raises(ConfigError):
        TestClient(app_of(lifespan=lifespan(opening(b"{}")))).__enter__()
    with pytest.raises(TypeError, match=r"the application takes an evaluator, as pyflagwasm\.open gives it, not a str"):
        TestClient(app_of(lifespan=lifespan(lambda: "flags.json"))).__enter__()  # type: ignore[arg-type, return-value]


def test_the_lifespan_of_the_application_runs_inside() -> None:
    seen: list[Any] = []
    evaluator = pyflagwasm.open(versioned(1))

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        seen.append((app, evaluator.value_nowait("flag-1", ME, "")))
        yield {"database": "connected"}
        seen.append(evaluator.statistics().state)

    @asynccontextmanager
    async def silent(app: Starlette) -> AsyncIterator[None]:
        yield

    async def state(request: Request) -> Response:
        found = request.state[STATE] is request.state.pyflagwasm is flags(request).evaluator
        return JSONResponse([found, getattr(request.state, "database", None)])

    app = app_of(Route("/", state), lifespan=lifespan(evaluator, then=own))
    with TestClient(app) as client:
        assert client.get("/").json() == [True, "connected"]
    assert seen == [(app, "v1-1"), "READY"]
    with TestClient(app_of(Route("/", state), lifespan=lifespan(opening(), then=silent))) as client:
        assert client.get("/").json() == [True, None]


def test_the_order_is_argument_then_state_then_application(evaluator: FlagEvaluator) -> None:
    others = [opened(versioned(number)) for number in (2, 3)]
    app = app_of(lifespan=lifespan(others[0]))
    app.state.pyflagwasm = others[1]
    with TestClient(app) as client:
        assert client.get("/").text == "v2-1"
    assert TestClient(app).get("/").text == "v3-1"  # no lifespan ran
    assert TestClient(app_of(evaluator=evaluator)).get("/").text == "v1-1"
    with TestClient(app_of(evaluator=evaluator, lifespan=lifespan(others[0]))) as client:
        assert client.get("/").text == "v1-1"
    for other in others:
        closed(other)


def test_without_an_evaluator_it_says_what_to_do() -> None:
    words = (
        r"^FlagsMiddleware finds no evaluator: give the application a lifespan, Starlette\(lifespan=.*evaluator=\.\.\.$"
    )
    with pytest.raises(RuntimeError, match=words):
        TestClient(app_of()).get("/")
    with pytest.raises(RuntimeError, match=words):
        TestClient(app_of(lifespan=lifespan(opening()))).get("/")  # not entered
    wrong = app_of()
    wrong.state.pyflagwasm = "flags.json"
    with pytest.raises(RuntimeError, match=words):
        TestClient(wrong).get("/")
    with pytest.raises(TypeError, match=r"evaluator is what pyflagwasm\.open gives, not str"):
        FlagsMiddleware(value, evaluator="flags.json")  # type: ignore[arg-type]


def test_without_the_middleware_it_says_what_to_do() -> None:
    with (
        TestClient(Starlette(routes=[Route("/", value)], lifespan=lifespan(opening()))) as client,
        pytest.raises(RuntimeError, match=r"the request has no flags: add the middleware, app\.add_middleware\("),
    ):
        client.get("/")


def test_it_needs_no_starlette_application(evaluator: FlagEvaluator) -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(current.get().value("flag-1", ""))(scope, receive, send)

    assert TestClient(FlagsMiddleware(bare, context=who, evaluator=evaluator)).get("/").text == "v1-1"


# ---------------------------------------------------------------- nested, mounted


def nested(inner: Starlette, **options: Any) -> Starlette:
    return app_of(Route("/", value), Mount("/inner", inner), lifespan=lifespan(opening()), **options)


def test_a_mounted_application_shares_the_request() -> None:
    with TestClient(nested(Starlette(routes=[Route("/", value)]))) as client:
        assert (client.get("/").text, client.get("/inner/").text) == ("v1-1", "v1-1")


def test_a_mounted_application_with_a_middleware_of_its_own() -> None:
    seen: list[RequestFlags] = []

    def see(app: Any) -> Any:
        async def seeing(scope: Any, receive: Any, send: Any) -> None:
            asked = scope["type"] == "http"
            seen.extend([flags(HTTPConnection(scope)), current.get()] if asked else [])
            await app(scope, receive, send)
            seen.extend([flags(HTTPConnection(scope)), current.get()] if asked else [])

        return seeing

    def you(request: Request) -> dict[str, str]:
        return {"who": "you"}

    seeing = [Middleware(see)]
    for context, answer in ((None, "v1-1"), (you, "nobody")):
        seen.clear()
        with TestClient(nested(app_of(Route("/", value), context=context), middleware=seeing)) as client:
            assert client.get("/inner/").text == answer
        assert len(seen) == 4
        assert len(set(map(id, seen))) == 1  # and after the inner one, too


def test_a_mounted_application_keeps_the_configuration_that_was_asked_before(evaluator: FlagEvaluator) -> None:
    class Asking(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            before = flags(request).value("flag-1", "")
            await evaluator.reload(versioned(2))
            response: Response = await call_next(request)
            response.headers["before"] = before
            return response

    inner = app_of(Route("/", value), context=who, evaluator=evaluator)
    app = app_of(Mount("/inner", inner), evaluator=evaluator, middleware=[Middleware(Asking)])
    found = TestClient(app).get("/inner/")
    assert (found.headers["before"], found.text) == ("v1-1", "v1-1")


def test_a_mounted_application_with_another_evaluator(evaluator: FlagEvaluator) -> None:
    other = opened(versioned(2))
    inner = app_of(Route("/", value), evaluator=other)
    app = app_of(Route("/", value), Mount("/inner", inner), evaluator=evaluator)
    client = TestClient(app)
    assert (client.get("/").text, client.get("/inner/").text) == ("v1-1", "v2-1")
    closed(other)


def test_of_a_mounted_application_no_lifespan_runs() -> None:
    app = Starlette(routes=[Mount("/inner", app_of(lifespan=lifespan(opening())))])
    with TestClient(app) as client, pytest.raises(RuntimeError, match="that of a mounted application does not"):
        client.get("/inner/")


# ---------------------------------------------------------------- the request


def test_the_context_sees_what_comes_behind_the_middleware() -> None:
    """It is made at the first evaluation: the request is routed, and the user known."""

    class Backend(AuthenticationBackend):
        async def authenticate(self, conn: HTTPConnection) -> Any:
            return AuthCredentials(["authenticated"]), SimpleUser(conn.headers["user"])

    def seen(request: Request) -> dict[str, Any]:
        return {"plan": request.path_params["plan"], "city": request.user.display_name, "method": request.method}

    stack = [Middleware(AuthenticationMiddleware, backend=Backend())]
    app = app_of(Route("/{plan}", all_of), context=seen, middleware=stack, lifespan=lifespan(opening(FLAGD)))
    with TestClient(app) as client:
        assert client.get("/pro", headers={"user": "Ghent"}).json() == {"plan": True, "city": True}
        assert client.get("/free", headers={"user": "Namur"}).json() == {"plan": False, "city": False}


def test_a_context_function_that_raises_takes_no_request_down(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: Request) -> dict[str, Any]:
        return {"plan": request.headers["never-there"]}

    with TestClient(app_of(Route("/", all_of), context=broken, lifespan=lifespan(opening(FLAGD)))) as client:
        for _ in range(3):
            assert client.get("/").json() == {}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    name = f"{__name__}.test_a_context_function_that_raises_takes_no_request_down.<locals>.broken"
    assert said == [f"the context function {name} raised; further ones are not logged"]


def test_a_context_function_that_is_async_is_refused_at_the_start() -> None:
    async def later(request: Request) -> dict[str, Any]:
        return {}

    with (
        pytest.raises(TypeError, match="the context function must not be async"),
        TestClient(app_of(context=later, lifespan=lifespan(opening()))),
    ):
        pass


def test_handlers_in_threads_and_of_errors(evaluator: FlagEvaluator) -> None:
    def in_thread(request: Request) -> Response:
        assert current.get() is flags(request)
        return PlainTextResponse(flags(request).value("flag-1", ""))

    async def fails(request: Request) -> Response:
        raise ZeroDivisionError

    async def on_error(request: Request, error: Exception) -> Response:
        return PlainTextResponse(flags(request).value("flag-1", ""), 500)

    routes = [Route("/thread", in_thread), Route("/fails", fails)]
    app = app_of(*routes, evaluator=evaluator, exception_handlers={404: on_error, Exception: on_error})
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/thread").text == "v1-1"
    assert client.get("/nowhere").text == "v1-1"
    assert client.get("/fails").text == "v1-1"  # the middleware has been left


def test_a_websocket() -> None:
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(flags(websocket).value("flag-1", ""))
        await websocket.close()

    def method(request: Request) -> dict[str, Any]:
        return {"who": request.method}  # which a websocket has not

    for context, answer in ((who, "v1-1"), (method, "")):
        app = app_of(WebSocketRoute("/", socket), context=context, lifespan=lifespan(opening()))
        with TestClient(app) as client, client.websocket_connect("/") as session:
            assert session.receive_text() == answer


def test_nothing_is_left_to_the_collector_of_cycles(evaluator: FlagEvaluator) -> None:
    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/asks":
            flags(HTTPConnection(scope)).value("flag-1", "")

    async def main() -> None:
        middleware = FlagsMiddleware(nothing, context=who, evaluator=evaluator)
        for path in ("/", "/asks") * 3:
            await middleware({"type": "http", "path": path, "headers": []}, None, None)  # type: ignore[arg-type]

    asyncio.run(main())
    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        assert [each for each in gc.get_objects() if type(each) is RequestFlags and each.evaluator is evaluator] == []
    finally:
        gc.enable()


def test_a_request_without_evaluations_costs_next_to_nothing(evaluator: FlagEvaluator) -> None:
    """Some 2 us; ten times that are for machines that are busy with other things."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def timed(app: Any) -> float:
        scopes = [{"type": "http", "path": "/", "headers": []} for _ in range(500)]
        started = time.perf_counter()
        for scope in scopes:
            await app(scope, None, None)
        return (time.perf_counter() - started) / len(scopes) * 1e6

    async def main() -> float:
        middleware = FlagsMiddleware(nothing, context=who, evaluator=evaluator)
        return min([await timed(middleware) for _ in range(20)]) - min([await timed(nothing) for _ in range(20)])

    assert asyncio.run(main()) < 20


# ---------------------------------------------------------------- what must be installed


@pytest.mark.parametrize(
    ("module", "package", "said"),
    [
        ("starlette", "starlette", "the Starlette integration needs the package starlette: pip install"),
        ("fastapi", "fastapi", "the FastAPI integration needs the package fastapi: pip install"),
        ("aiohttp", "aiohttp", "the aiohttp integration needs the package aiohttp: pip install"),
        ("transactions", "openfeature", "the transaction context needs the package openfeature-sdk: pip install"),
    ],
)
def test_a_missing_package_is_one_line(module: str, package: str, said: str) -> None:
    done = script(f"import sys; sys.modules[{package!r}] = None\nimport pyflagwasm.integrations.{module}")
    last = done.stderr.decode().strip().splitlines()[-1]
    extra = "openfeature" if package == "openfeature" else package
    assert last == f"ImportError: {said} 'pyflagwasm[{extra}]'"


def test_importing_the_package_imports_no_framework() -> None:
    program = (
        "import sys, pyflagwasm, pyflagwasm.integrations.requests\n"
        "found = {'starlette', 'fastapi', 'aiohttp', 'openfeature'} & set(sys.modules)\n"
        "assert not found, found"
    )
    assert script(program).returncode == 0
    assert sys.modules["starlette"]
