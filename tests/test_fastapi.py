"""FastAPI: flags as a dependency, as a condition of routes, replaced by tests, and not to be seen in the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from evaluators import FLAGD, closed, opened
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from starlette.testclient import TestClient, WebSocketDenialResponse

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.integrations.fastapi import (
    Flags,
    FlagsMiddleware,
    RequestFlags,
    current,
    flags,
    get_flags,
    lifespan,
    requires_flag,
)


def who(request: Request) -> dict[str, Any]:
    return dict(request.query_params)


async def signed_in(flags: Flags, plan: str | None = None) -> None:
    if plan is not None:
        flags.identify({"plan": plan})


def application(**options: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(lambda: pyflagwasm.open(FLAGD)), **options)
    app.add_middleware(FlagsMiddleware, context=who)

    @app.get("/all")
    async def all_of(flags: Flags) -> dict[str, Any]:
        return flags.many(["plan", "city"])

    @app.get("/thread")
    def in_thread(own: Flags, request: Request) -> dict[str, Any]:
        assert own is current.get() is flags(request)
        return own.many(["plan", "city"])

    @app.get("/identified", dependencies=[Depends(signed_in)])
    async def identified(flags: Flags) -> dict[str, Any]:
        return flags.many(["plan", "city"])

    @app.get("/pro", dependencies=[Depends(requires_flag("plan"))])
    async def pro(number: int = 3) -> int:
        return number

    @app.get("/hidden", dependencies=[Depends(requires_flag("plan", status=403, detail="for professionals"))])
    async def hidden() -> str:
        return "hidden"

    @app.get("/missing", dependencies=[Depends(requires_flag("missing", True))])
    async def missing() -> str:
        return "as the default says"

    router = APIRouter(prefix="/router", dependencies=[Depends(requires_flag("city"))])

    @router.get("/pro", dependencies=[Depends(requires_flag("plan"))])
    def both() -> str:
        return "both"

    @router.websocket("/socket")
    async def socket(websocket: WebSocket, flags: Flags) -> None:
        await websocket.accept()
        await websocket.send_json(flags.many(["plan", "city"]))
        await websocket.close()

    app.include_router(router)
    return app


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(application()) as made:
        yield made


def test_flags_are_a_parameter(client: TestClient) -> None:
    for path in ("/all", "/thread"):
        assert client.get(f"{path}?plan=pro").json() == {"plan": True, "city": False}
        assert client.get(f"{path}?city=Ghent").json() == {"plan": False, "city": True}


def test_a_dependency_identifies(client: TestClient) -> None:
    assert client.get("/identified?city=Ghent").json() == {"plan": False, "city": True}
    assert client.get("/identified?city=Ghent&plan=pro").json() == {"plan": True, "city": True}


def test_a_route_requires_a_flag(client: TestClient) -> None:
    assert client.get("/pro?plan=pro&number=4").json() == 4
    refused = client.get("/pro")
    assert (refused.status_code, refused.json()) == (404, {"detail": "Not Found"})
    refused = client.get("/hidden")
    assert (refused.status_code, refused.json()) == (403, {"detail": "for professionals"})
    assert client.get("/missing").status_code == 200


def test_a_router_requires_a_flag(client: TestClient) -> None:
    assert client.get("/router/pro?plan=pro&city=Ghent").json() == "both"
    assert client.get("/router/pro?plan=pro").status_code == client.get("/router/pro?city=Ghent").status_code == 404


def test_a_websocket(client: TestClient) -> None:
    with client.websocket_connect("/router/socket?city=Ghent") as session:
        assert session.receive_json() == {"plan": False, "city": True}
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/router/socket"):
        pass
    assert refused.value.status_code == 404


def test_requires_flag_is_for_booleans(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(TypeError, match=r"requires_flag\('plan'\): the default is true or false, not str"):
        requires_flag("plan", "off")  # type: ignore[arg-type]
    app = application()
    app.get("/text", dependencies=[Depends(requires_flag("text"))])(who)
    app.get("/texts", dependencies=[Depends(requires_flag("text", True))])(who)
    with TestClient(app) as client:
        for _ in range(2):
            assert client.get("/text").status_code == 404  # a text is not true, whatever it says
            assert client.get("/texts").status_code == client.get("/missing").status_code == 200
    wrong = "requires_flag('text'): the value is a text, the default is true or false: requests are"
    assert [each.getMessage() for each in caplog.records if each.name == "pyflagwasm"] == [
        f"{wrong} answered with 404",
        f"{wrong} let through",
        "there is no flag 'missing'; callers get their default",
    ]


def test_the_schema_says_nothing_of_flags(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    seen = {path: [each["name"] for each in about["get"].get("parameters", [])] for path, about in paths.items()}
    assert seen == {
        "/all": [],
        "/thread": [],
        "/identified": ["plan"],
        "/pro": ["number"],
        "/hidden": [],
        "/missing": [],
        "/router/pro": [],
    }
    assert {tuple(about["get"]["responses"]) for about in paths.values()} == {("200",), ("200", "422")}


# ---------------------------------------------------------------- replaced by tests


@pytest.fixture
def evaluator() -> Iterator[FlagEvaluator]:
    made = opened(FLAGD)
    yield made
    closed(made)


def test_a_test_replaces_the_flags(evaluator: FlagEvaluator) -> None:
    app = application()
    app.dependency_overrides[get_flags] = lambda: RequestFlags(evaluator, {"plan": "pro", "city": "Ghent"})
    with TestClient(app) as client:
        assert client.get("/all").json() == {"plan": True, "city": True}
        assert client.get("/router/pro").json() == "both"
        app.dependency_overrides.clear()
        assert client.get("/router/pro").status_code == 404


def test_it_replaces_them_without_lifespan_and_middleware_too(evaluator: FlagEvaluator) -> None:
    app = FastAPI()

    @app.get("/")
    async def handle(flags: Annotated[RequestFlags, Depends(get_flags)]) -> bool:
        return flags.value("plan", False)

    with pytest.raises(RuntimeError, match="the request has no flags: add the middleware"):
        TestClient(app).get("/")
    app.dependency_overrides[get_flags] = lambda: RequestFlags(evaluator, {"plan": "pro"})
    assert TestClient(app).get("/").json() is True


def test_a_mounted_application(evaluator: FlagEvaluator) -> None:
    """Of which no lifespan runs: the flags are the outer application's."""
    outer = FastAPI()
    outer.add_middleware(FlagsMiddleware, context=who, evaluator=evaluator)
    inner = FastAPI()

    @inner.get("/all")
    async def all_of(flags: Flags) -> dict[str, Any]:
        return flags.many(["plan"])

    outer.mount("/inner", inner)
    assert TestClient(outer).get("/inner/all?plan=pro").json() == {"plan": True}
