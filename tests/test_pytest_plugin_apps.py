"""The plugin of pytest with applications and async tests: Starlette, pytest-asyncio, anyio's plugin, each loop."""

from __future__ import annotations

import sys

import httpx2  # noqa: F401, as in little_projects.py
import pytest
import starlette.testclient  # noqa: F401
from little_projects import SETTINGS, run

pytest_plugins = ["pytester"]

APPLICATION = '''
import asyncio

import pyflagwasm
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

DOCUMENT = {"flags": {"new-checkout": {
    "state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off"}}}
KEY = "new-checkout"


def application(flags):
    """Asks for the flag in a coroutine, in a function that runs in a thread, and in a task of its own."""

    async def coroutine(request):
        return PlainTextResponse(str(await flags.value(KEY, {}, default=False)))

    def thread(request):
        return PlainTextResponse(str(flags.bind({}).value(KEY, False)))

    async def task(request):
        async def ask():
            return flags.bind({}).all()

        return PlainTextResponse(str((await asyncio.create_task(ask())).get(KEY)))

    routes = [Route("/coroutine", coroutine), Route("/thread", thread), Route("/task", task)]
    return Starlette(routes=routes)


PATHS = ["/coroutine", "/thread", "/task"]
'''


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini(SETTINGS)
    pytester.makepyfile(shop=APPLICATION)
    pytester.syspathinsert()
    return pytester


def test_starlette(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it="""
        import pyflagwasm
        import pytest
        import shop
        from contextlib import asynccontextmanager
        from starlette.testclient import TestClient
        from pyflagwasm.testing import override_flags as overridden

        def given(client):
            return [client.get(path).text for path in shop.PATHS]

        @pytest.fixture(scope="module")
        def live():
            '''What an application has: an evaluator that its lifespan opens, and a loop in a thread.'''
            evaluator = pyflagwasm.open(shop.DOCUMENT)
            app = shop.application(evaluator)

            @asynccontextmanager
            async def lifespan(app):
                async with evaluator:
                    yield

            app.router.lifespan_context = lifespan
            with TestClient(app) as client:
                yield client

        def test_plain(live):
            assert given(live) == ["False"] * 3

        def test_block(live):
            with overridden({"new-checkout": True}):
                assert given(live) == ["True"] * 3
            assert given(live) == ["False"] * 3

        def test_fixture(live, override_flags):
            override_flags({"new-checkout": True})
            assert given(live) == ["True"] * 3

        @pytest.mark.flags({"new-checkout": True})
        def test_mark(live):
            assert given(live) == ["True"] * 3

        @overridden({"new-checkout": True})
        def test_decorator(live):
            assert given(live) == ["True"] * 3

        def test_plain_again(live):
            assert given(live) == ["False"] * 3

        def test_memory(flags):
            flags.set("new-checkout", True)
            client = TestClient(shop.application(flags))  # a loop for each request
            assert given(client) == ["True"] * 3
            with overridden({"new-checkout": False}):
                assert given(client) == ["False"] * 3
        """
    )
    run(project, passed=7)


ASYNC = """
import asyncio
import httpx2
import pyflagwasm
import pytest
import pytest_asyncio
import shop
import threading
from anyio import to_thread
from pyflagwasm.testing import override_flags as overridden

MARK

@pytest.fixture
def client(flags):
    flags.set("new-checkout", False)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=shop.application(flags)), base_url="http://shop")

PATHS = shop.PATHS if TASKS else shop.PATHS[:2]

async def given(client):
    return {(await client.get(path)).text for path in PATHS}

@pytest.fixture
def sync_block():
    with overridden({"new-checkout": True}):
        yield

@FIXTURE
async def async_block():
    async with overridden({"new-checkout": True}):
        yield

@FIXTURE
async def async_call(override_flags):
    override_flags({"new-checkout": True})

async def test_plain(client):
    assert await given(client) == {"False"}

async def test_block(client):
    with overridden({"new-checkout": True}):
        assert await given(client) == {"True"}
    assert await given(client) == {"False"}

async def test_call(client, override_flags):
    override_flags({"new-checkout": True})
    assert await given(client) == {"True"}
    with override_flags({"new-checkout": False}):
        assert await given(client) == {"False"}
    assert await given(client) == {"True"}

@pytest.mark.flags({"new-checkout": True})
async def test_mark(client):
    assert await given(client) == {"True"}

@overridden({"new-checkout": True})
async def test_decorator(client):
    assert await given(client) == {"True"}

async def test_sync_fixture(client, sync_block):
    assert await given(client) == {"True"}

async def test_async_fixture(client, async_block):
    assert await given(client) == {"True"}

async def test_async_fixture_that_calls(client, async_call):
    assert await given(client) == {"True"}

@pytest.mark.flags({"new-checkout": True})
async def test_a_plain_thread(flags):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(flags.value_nowait("new-checkout", default=False)))
    thread.start()
    await to_thread.run_sync(thread.join)
    assert seen == [True]

async def test_nothing_is_left(client, flags):
    assert await given(client) == {"False"}
    assert flags._hooks == []
"""


def written(mark: str, fixture: str, *, tasks: bool = True) -> str:
    return ASYNC.replace("MARK", mark).replace("@FIXTURE", fixture).replace("TASKS", str(tasks))


def test_pytest_asyncio_strict(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=written("pytestmark = pytest.mark.asyncio", "@pytest_asyncio.fixture"))
    run(project, "-p", "no:anyio", passed=10)


def test_pytest_asyncio_auto_with_a_loop_for_the_module(project: pytest.Pytester) -> None:
    mark = "pytestmark = pytest.mark.asyncio(loop_scope='module')"
    project.makepyfile(test_it=written(mark, "@pytest_asyncio.fixture(loop_scope='module')"))
    run(project, "-p", "no:anyio", "--asyncio-mode=auto", passed=10)


def test_anyio(project: pytest.Pytester) -> None:
    """asyncio's own loop and uvloop, then trio, where the application cannot start a task of asyncio."""
    uvloop = "" if sys.platform == "win32" else ", pytest.param(('asyncio', {'use_uvloop': True}), id='uvloop')"
    backends = (
        "@pytest.fixture(params=['asyncio'"
        + uvloop
        + "])\ndef anyio_backend(request): return request.param\npytestmark = pytest.mark.anyio"
    )
    trio = "@pytest.fixture\ndef anyio_backend(): return 'trio'\npytestmark = pytest.mark.anyio"
    project.makepyfile(
        test_it=written(backends, "@pytest.fixture"), test_trio=written(trio, "@pytest.fixture", tasks=False)
    )
    run(project, passed=20 if sys.platform == "win32" else 30)
