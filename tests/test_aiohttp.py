"""aiohttp without swaps: where the flags of a request are, sub-applications, and what is said of mistakes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from evaluators import closed, opened
from loops import run_on
from pools import ME, versioned
from web import aiohttp_runner, ask

import pyflagwasm
from pyflagwasm import ConfigError, FlagEvaluator
from pyflagwasm.integrations.aiohttp import FLAGS, REQUEST_FLAGS, current, flags, setup
from pyflagwasm.integrations.requests import RequestFlags


async def value(request: web.Request) -> web.Response:
    return web.Response(text=flags(request).value("flag-1", "default"))


def who(request: web.Request) -> dict[str, Any]:
    return {"who": request.query.get("who", "me")}


def app_of(evaluator: Any = None, handler: Any = value, **options: Any) -> web.Application:
    app = web.Application()
    app.router.add_get("/", handler)
    if evaluator is not None:
        setup(app, evaluator, **{"context": who} | options)
    return app


def opening() -> FlagEvaluator:
    return pyflagwasm.open(versioned(1))


@pytest.fixture
def evaluator() -> Iterator[FlagEvaluator]:
    made = opened(versioned(1))
    yield made
    closed(made)


def answered(app: web.Application, *paths: str) -> list[tuple[int, str]]:
    """What an application answers to each path, started for that and ended."""

    async def main() -> list[tuple[int, str]]:
        async with aiohttp_runner(app) as port:
            return [await ask(port, path) for path in paths]

    found: list[tuple[int, str]] = run_on("asyncio", main)
    return found


def test_the_application_opens_and_closes_it() -> None:
    evaluator = opening()
    seen: list[Any] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.app[FLAGS] is request.config_dict[FLAGS] is evaluator is flags(request).evaluator)
        seen.append(request[REQUEST_FLAGS] is flags(request) is current.get())
        return web.Response(text=evaluator.statistics().state)

    assert answered(app_of(evaluator, handle), "/") == [(200, "READY")]
    assert (seen, evaluator.statistics().state) == ([True, True], "CLOSED")
    assert answered(app_of(opening), "/", "/?who=you", "/nowhere")[:2] == [(200, "v1-1"), (200, "nobody")]


def test_one_that_is_open_already_is_left_open(evaluator: FlagEvaluator) -> None:
    for _ in range(2):
        assert answered(app_of(evaluator), "/") == [(200, "v1-1")]
    assert evaluator.statistics().state == "READY"


def test_what_ends_the_start() -> None:
    with pytest.raises(ConfigError):
        answered(app_of(pyflagwasm.open(b"{}")), "/")
    with pytest.raises(TypeError, match=r"the application takes an evaluator, as pyflagwasm\.open gives it, not a str"):
        answered(app_of(lambda: "flags.json"), "/")
    evaluator = opening()
    answered(app_of(evaluator), "/")
    with pytest.raises(RuntimeError, match=r"the evaluator is closed, by an earlier run of the application: .*lambda"):
        answered(app_of(evaluator), "/")


def test_mistakes_when_it_is_set_up(evaluator: FlagEvaluator) -> None:
    async def later(request: web.Request) -> dict[str, Any]:
        return {}

    app = app_of(evaluator)
    with pytest.raises(RuntimeError, match="pyflagwasm is set up for this application already"):
        setup(app, evaluator)
    with pytest.raises(TypeError, match="the context function must not be async"):
        setup(web.Application(), evaluator, context=later)  # type: ignore[arg-type]
    added = web.Application()
    web.Application().add_subapp("/sub", added)
    with pytest.raises(RuntimeError, match=r"setup\(app, evaluator\) comes before the application starts"):
        setup(added, evaluator)


def caught(handler: Callable[[web.Request], Any]) -> Any:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except RuntimeError as error:
            return web.Response(text=str(error))

    return handle


def test_without_setup_it_says_what_to_do() -> None:
    words = "the request has no flags: call pyflagwasm.integrations.aiohttp.setup(app, evaluator) first"
    assert answered(app_of(handler=caught(value)), "/") == [(200, words)]


def test_an_application_that_did_not_start_says_so(evaluator: FlagEvaluator) -> None:
    app = app_of(evaluator)

    async def main() -> None:
        middleware: Any = app.middlewares[0]
        with pytest.raises(RuntimeError, match="the application's cleanup contexts have not run: start it with"):
            await middleware({}, value)

    asyncio.run(main())


# ---------------------------------------------------------------- sub-applications


def you(request: web.Request) -> dict[str, Any]:
    return {"who": "you"}


def nested(inner: web.Application, evaluator: Any = opening) -> web.Application:
    app = app_of(evaluator)
    app.add_subapp("/sub", inner)
    return app


def test_a_sub_application_shares_the_request() -> None:
    assert answered(nested(app_of()), "/", "/sub/") == [(200, "v1-1")] * 2


def test_a_sub_application_with_a_context_of_its_own(evaluator: FlagEvaluator) -> None:
    seen: list[RequestFlags] = []

    @web.middleware
    async def seeing(request: web.Request, handler: Any) -> web.StreamResponse:
        seen.extend([flags(request), current.get()])
        found: web.StreamResponse = await handler(request)
        seen.extend([flags(request), current.get()])
        return found

    app = nested(app_of(evaluator, context=you), evaluator)
    app.middlewares.append(seeing)
    assert answered(app, "/", "/sub/") == [(200, "v1-1"), (200, "nobody")]
    assert len(set(map(id, seen[:4]))) == len(set(map(id, seen[4:]))) == 1
    assert answered(nested(app_of(evaluator, context=None), evaluator), "/sub/") == [(200, "v1-1")]


def test_a_sub_application_with_the_same_unopened_evaluator() -> None:
    """The outer one opens it, for both, and closes it."""
    evaluator = opening()
    assert answered(nested(app_of(evaluator, context=you), evaluator), "/", "/sub/") == [(200, "v1-1"), (200, "nobody")]
    assert evaluator.statistics().state == "CLOSED"


def test_a_sub_application_with_another_evaluator(evaluator: FlagEvaluator) -> None:
    inner = app_of(lambda: pyflagwasm.open(versioned(2)))
    assert answered(nested(inner, evaluator), "/", "/sub/") == [(200, "v1-1"), (200, "v2-1")]


# ---------------------------------------------------------------- the request


def test_a_context_function_that_raises_takes_no_request_down(caplog: pytest.LogCaptureFixture) -> None:
    def broken(request: web.Request) -> dict[str, Any]:
        raise ZeroDivisionError

    assert answered(app_of(opening, context=broken), "/", "/") == [(200, "default")] * 2
    name = f"{__name__}.test_a_context_function_that_raises_takes_no_request_down.<locals>.broken"
    said = [record.getMessage() for record in caplog.records if record.name == "pyflagwasm"]
    assert said == [f"the context function {name} raised; further ones are not logged"]


def test_openfeature_evaluates_for_the_request(evaluator: FlagEvaluator) -> None:
    from openfeature import api

    async def handle(request: web.Request) -> web.Response:
        before = api.get_transaction_context()
        flags(request).identify({"targetingKey": "user-7"})
        after = api.get_transaction_context()
        return web.Response(text=f"{before.targeting_key} {before.attributes} {after.targeting_key}")

    try:
        app = app_of(evaluator, handle, context=lambda request: ME, openfeature=True)
        assert answered(app, "/", "/") == [(200, "None {'who': 'me'} user-7")] * 2
        assert api.get_transaction_context().attributes == {}
    finally:
        api.shutdown()


@pytest.mark.parametrize("asks", [True, False])
def test_nothing_is_left_to_the_collector_of_cycles(evaluator: FlagEvaluator, asks: bool) -> None:
    from aiohttp.test_utils import make_mocked_request

    async def handle(request: web.Request) -> web.Response:
        if asks:
            flags(request).value("flag-1", "")
        return web.Response()

    app = app_of(evaluator, handle)

    async def main() -> None:
        (context,) = app.cleanup_ctx
        async with asynccontextmanager(context)(app):  # type: ignore[arg-type]
            middleware: Any = app.middlewares[0]
            for _ in range(3):
                request = make_mocked_request("GET", "/")
                await middleware(request, handle)
                assert flags(request).value("flag-1", "") == "v1-1"  # it has ended by now

    asyncio.run(main())
    gc.collect()
    gc.disable()
    try:
        asyncio.run(main())
        assert [each for each in gc.get_objects() if type(each) is RequestFlags and each.evaluator is evaluator] == []
    finally:
        gc.enable()
