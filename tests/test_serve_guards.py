"""Who may ask: hosts, tokens, pages of other origins; and that secrets stay where they are."""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Iterator

import pytest
from evaluators import FLAGD
from served import FLAGS, JSON, Served, serving
from starlette.applications import Starlette
from starlette.routing import Mount

import pyflagwasm
from pyflagwasm.serve import application
from pyflagwasm.serve.events import PATH

TOKEN = "correct horse é"
LATIN = TOKEN.encode().decode("latin-1")  # as http.client sends its bytes
ORIGIN = "https://shop.example"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    with serving(FLAGD, token=TOKEN, cors=[ORIGIN], hosts=["localhost", "127.0.0.1", "Flags.example", "::1"]) as served:
        yield served


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": "Bearer " + token.encode().decode("latin-1")}


def basic(token: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()}


@pytest.mark.parametrize(
    "headers",
    [
        bearer(TOKEN),
        basic(TOKEN),
        {"X-API-Key": LATIN},
        {"authorization": f"bEARER  {LATIN} "},
    ],
    ids=["bearer", "basic", "key", "case"],
)
def test_the_token(guarded: Served, headers: dict[str, str]) -> None:
    assert guarded.flag("bool", **headers).status == 200
    assert guarded.ask("POST", FLAGS, "{}", {**JSON, **headers}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer("\xff"),
        basic("x"),
        {"Authorization": "Basic %%%"},
        {"Authorization": LATIN},
        {"X-API-Key": "x"},
    ],
)
def test_without_the_token(guarded: Served, headers: dict[str, str]) -> None:
    for method, path in (("POST", f"{FLAGS}/bool"), ("POST", FLAGS), ("GET", PATH), ("GET", "/"), ("GET", "/nope")):
        answer = guarded.ask(method, path, "{}" if method == "POST" else None, {**JSON, **headers})
        assert (answer.status, answer.json["errorCode"]) == (401, "GENERAL")
        assert answer.headers["www-authenticate"].startswith("Bearer" if path.startswith("/ofrep") else "Basic")
        assert TOKEN.encode() not in answer.body


def test_health_needs_neither_token_nor_host(guarded: Served) -> None:
    assert guarded.ask("GET", "/healthz", headers={"Host": "10.0.0.7:8016"}).status == 200


def test_the_key_of_the_stream_opens_the_stream_only(guarded: Served) -> None:
    answer = guarded.ask("POST", FLAGS, "{}", {**JSON, **bearer(TOKEN)}).json
    (stream,) = answer["eventStreams"]
    path = stream["endpoint"]["requestUri"]
    assert path.startswith(f"{PATH}?key=")
    assert TOKEN not in path
    assert hashlib.sha256(TOKEN.encode()).hexdigest()[:32] not in path
    assert guarded.ask("GET", path.replace(PATH, "/"), headers={}).status == 401
    assert guarded.ask("POST", path.replace(PATH, FLAGS), "{}", JSON).status == 401
    assert guarded.ask("GET", f"{path}0", headers={}).status == 401
    assert guarded.ask("POST", path, "{}", JSON).status == 405  # it is let in


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1:8016", "flags.example", "[::1]", "[::1]:8016"]
)
def test_hosts(guarded: Served, host: str) -> None:
    assert guarded.flag("bool", Host=host, **bearer(TOKEN)).status == 200


OTHERS = ["evil.example", "localhost.evil.example", "flags.example.", "127.0.0.1.", "localhost@evil.example"]
OTHERS += ["[::1].evil.example", "localhost:80@evil.example", "[::1", "localhost:80:90"]


@pytest.mark.parametrize("host", [*OTHERS, "[::2]:8016", "", "*"])
def test_other_hosts(guarded: Served, host: str) -> None:
    answer = guarded.flag("bool", Host=host, **bearer(TOKEN))
    assert (answer.status, answer.json["errorCode"]) == (403, "GENERAL")
    assert "add it to `hosts`" in answer.json["errorDetails"]


def test_no_host_or_two(guarded: Served) -> None:
    head = f"POST {FLAGS} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 2\r\nX-API-Key: %s\r\n"
    assert b" 403 " in guarded.raw(f"{head % LATIN}\r\n{{}}".encode("latin-1")).splitlines()[0]
    two = f"{head % LATIN}Host: localhost\r\nHost: evil.example\r\n\r\n{{}}"
    assert b" 200 " not in guarded.raw(two.encode("latin-1")).splitlines()[0]


def test_a_token_with_the_line_break_of_its_file() -> None:
    with serving(FLAGD, token="secret\n") as served:
        assert served.flag("bool", **bearer("secret")).status == 200
        assert served.flag("bool", **bearer("")).status == 401


def test_any_host() -> None:
    with serving(FLAGD, hosts=["*"]) as served:
        assert served.flag("bool", Host="evil.example").status == 200


# ---------------------------------------------------------------- other origins


def test_an_origin_that_may_ask(guarded: Served) -> None:
    asking = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    wanted = "authorization,content-type,if-none-match"
    answer = guarded.ask("OPTIONS", FLAGS, headers={**asking, "Access-Control-Request-Headers": wanted})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
    answer = guarded.ask("POST", FLAGS, "{}", {**JSON, **bearer(TOKEN), "Origin": ORIGIN})
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "ETag" in answer.headers["access-control-expose-headers"]
    refused = guarded.ask("POST", FLAGS, "{}", {**JSON, "Origin": ORIGIN})
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, ORIGIN)


def test_an_origin_that_may_not(guarded: Served) -> None:
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = guarded.ask("OPTIONS", FLAGS, headers=asking)
    assert (answer.status, "access-control-allow-origin" in answer.headers) == (400, False)
    answer = guarded.ask("POST", FLAGS, "{}", {**JSON, **bearer(TOKEN), "Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_no_origin_unless_asked_for() -> None:
    with serving(FLAGD) as served:
        answer = served.ask("POST", FLAGS, "{}", {**JSON, "Origin": ORIGIN})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert served.ask("OPTIONS", FLAGS, headers={"Origin": ORIGIN}).status == 405


# ---------------------------------------------------------------- under another application, and with the page


def test_under_another_application() -> None:
    import asyncio

    from httpx2 import ASGITransport, AsyncClient

    async def main() -> None:
        async with pyflagwasm.open(FLAGD) as flags:
            outer = Starlette(routes=[Mount("/flags", application(flags, token="t", hosts=["shop.example"]))])
            async with AsyncClient(transport=ASGITransport(outer), base_url="http://shop.example/flags") as client:
                headers = {"X-API-Key": "t"}
                answer = await client.post(FLAGS, json={}, headers=headers)
                assert answer.status_code == 200
                uri = answer.json()["eventStreams"][0]["endpoint"]["requestUri"]
                assert uri.startswith(f"/flags{PATH}?key=")
                assert (await client.post(f"{FLAGS}/a/b", json={}, headers=headers)).json()["key"] == "a/b"
                assert (await client.get("/healthz")).status_code == 200
                assert (await client.post(FLAGS, json={})).status_code == 401
                assert (await client.post(uri.removeprefix("/flags"), json={})).status_code == 405

    asyncio.run(main())


def test_the_page() -> None:
    with serving(FLAGD, token="t") as served:
        there = served.ask("GET", "/", headers={"X-API-Key": "t"})
        assert (there.status, there.headers["location"]) == (307, "inspector/")
        page = served.ask("GET", "/inspector/", headers={"X-API-Key": "t"})
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert served.ask("GET", "/inspector/", headers={}).status == 401
        assert (
            served.ask("GET", "/", headers={}).headers["www-authenticate"]
            == 'Basic realm="pyflagwasm", charset="UTF-8"'
        )
    with serving(FLAGD, inspector=False) as served:
        assert served.ask("GET", "/").status == served.ask("GET", "/inspector/").status == 404


def test_an_error_of_ours_is_logged_and_not_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(FLAGD, token="t") as served:
        monkeypatch.setattr(pyflagwasm.FlagEvaluator, "pin", lambda self: 1 / 0)
        answer = served.ask("POST", FLAGS, "{}", {**JSON, **bearer("t")})
    assert answer.status == 500
    assert answer.json == {"errorCode": "GENERAL", "errorDetails": "internal error: see the server's log"}
    logged = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert any("ZeroDivisionError" in (each.exc_text or str(each.exc_info)) for each in logged)
