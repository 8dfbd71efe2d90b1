"""The HTTP source: where it sends what it was given, which redirects it follows, what it shows, what it refuses."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from http_sources import ONE, deliver, source
from loops import RecordingSink, run_on
from misbehaving_server import Server, answer, conditional, delivering, stream

import pyflagwasm
from pyflagwasm.sources.base import Document, Source
from pyflagwasm.sources.chain import ChainSource
from pyflagwasm.sources.file import FileSource
from pyflagwasm.sources.http import HttpSource
from pyflagwasm.sources.http_fetch import shown
from pyflagwasm.types import State

# ---------------------------------------------------------------- redirects and secrets


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("absolute", [True, False])
def test_redirects_within_the_origin(status: int, absolute: bool) -> None:
    with Server() as server:
        server.otherwise = answer(status=status, location=(server.origin if absolute else "") + "/moved?x=1")
        server.paths["/moved"] = answer(ONE)
        options = {"headers": {"Authorization": "Bearer s3cret"}}
        sink = deliver(server, lambda sink: bool(sink.offered), **options)
        assert server.targets("/moved")[0].headers["authorization"] == "Bearer s3cret"
    assert sink.offered[0] == Document(ONE, server.url)


def test_credentials_of_the_url_survive_a_redirect_and_are_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server() as server:
        server.otherwise = answer(status=302, location=server.origin + "/moved?token=s3cret")
        server.paths["/moved"] = answer(ONE)
        server.paths["/x"] = b"s3cret garbage\r\n\r\n"

        async def scenario() -> None:
            for path in ("/flags.json", "/x"):
                url = server.origin.replace("//", "//me:s3cret@") + path + "?key=s3cret"
                one = source(url, headers={"X-Key": "s3cret"})
                sink = RecordingSink()
                async with delivering(one, sink):
                    await sink.until(lambda sink=sink: bool(sink.offered or sink.failures))
                said = [one.name, repr(one), *sink.failures, *[document.origin for document in sink.offered]]
                assert "s3cret" not in str(said)

        run_on("asyncio", scenario)
        moved = server.targets("/moved")[0]
        assert (moved.target, moved.headers["authorization"]) == ("/moved?token=s3cret", "Basic bWU6czNjcmV0")
        assert server.targets("/x")[0].target == "/x?key=s3cret"
    assert "s3cret" not in "".join(
        record.getMessage() for record in caplog.records if record.name != "httpcore2.http11"
    )


def test_redirects_elsewhere_are_not_followed() -> None:
    with Server() as other, Server(otherwise=answer(status=302, location=other.url)) as server:
        sink = deliver(server, lambda sink: len(sink.failures) >= 2, headers={"Authorization": "x"})
        assert other.requests == []
    assert sink.failures[0] == "redirected to another origin (http://127.0.0.1), which is not followed"


def test_headers_stay_in_their_origin() -> None:
    with Server(otherwise=answer(b"v=1")) as other, Server(otherwise=conditional(ONE, "x")) as server:
        other.paths["/events"] = server.paths["/events"] = stream()
        for url in (f"{other.origin}/events", f"{server.origin}/events"):
            options = {"signature_url": other.origin + "/sig", "events": url, "headers": {"X-Key": "s3cret"}}

            async def scenario(options: dict[str, Any] = options) -> None:
                sink = RecordingSink()
                async with delivering(source(server.url, **options), sink):
                    await sink.until(lambda: sink.confirmed > 0)
                    await (other if other.url[:20] in options["events"] else server).requested(1, "/events")

            run_on("asyncio", scenario)
        assert len(other.requests) >= 3
        assert all("x-key" not in request.headers for request in other.requests)
        assert all(request.headers["x-key"] == "s3cret" for request in server.requests)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://me:pw@example.com:8443/a/flags.json?sdk=1#x", "https://example.com:8443/a/flags.json"),
        (
            "https://cdn.example/config/v2/server/dvc_server_1f3a5c77.json",
            "https://cdn.example/config/v2/server/dvc_...",
        ),
        ("http://[::1]:80/", "http://[::1]:80/"),
    ],
)
def test_names(url: str, name: str) -> None:
    assert (shown(url), HttpSource(url).name, repr(HttpSource(url))) == (name, name, f"HttpSource({name!r})")
    assert HttpSource(url, name="mine").name == "mine"


# ---------------------------------------------------------------- what cannot be used


@pytest.mark.parametrize(
    "url",
    ["", "flags.json", "ftp://host/s3cret", "http://", "http:///s3cret", "http://h:99999/s3cret", "http://h/s3cret\n"],
)
@pytest.mark.parametrize("option", ["url", "signature_url", "events"])
def test_bad_urls(url: str, option: str) -> None:
    options = {option: url} if option != "url" else {}
    if not url and option != "url":
        return
    with pytest.raises(ValueError, match=f"^{option} must be a URL that begins with http") as raised:
        HttpSource(url if option == "url" else "http://host/", **options)  # type: ignore[arg-type]
    assert "s3cret" not in str(raised.value)


def test_a_url_that_only_httpx2_refuses() -> None:
    with pytest.raises(ValueError, match="url is no URL that can be used") as raised:
        run_on("asyncio", HttpSource("http://1.2.3.400/s3cret").run, RecordingSink())
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0}, "interval must be a number of seconds above 0"),
        ({"timeout": float("inf")}, "timeout must be a number of seconds above 0"),
        ({"events_idle": float("nan")}, "events_idle must be a number of seconds above 0"),
        ({"max_bytes": 0}, "max_bytes must be at least 1"),
        ({"headers": {"X-Key": "s3cret\r\nHost: x"}}, "header X-Key has a value that cannot be sent"),
        ({"headers": {"X-Key": "s3crét"}}, "header X-Key has a value that cannot be sent"),
        ({"headers": {"X Key": "1"}}, "'X Key' is no name of a header"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        HttpSource("http://host/", **options)
    assert "s3cr" not in str(raised.value)


def test_bad_types() -> None:
    with pytest.raises(TypeError, match="url must be a str"):
        HttpSource(b"http://host/")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='events must be "auto", a URL or None'):
        HttpSource("http://host/", events=True)  # type: ignore[arg-type]


def test_without_httpx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ImportError, match=r"pip install 'pyflagwasm\[http\]'"):
        run_on("asyncio", HttpSource("http://host/").run, RecordingSink())

    async def enter(source: Source) -> None:
        flags = pyflagwasm.open(source, bundled="example:flagd", start_timeout=60)
        for _ in range(2):
            with pytest.raises(ImportError, match=r"^HttpSource needs the package httpx2: pip install"):
                await flags.__aenter__()
        assert flags.statistics().state is State.NOT_READY

    for each in (HttpSource("http://host/"), ChainSource(FileSource("f"), ChainSource(HttpSource("http://host/")))):
        run_on("asyncio", enter, each)


def test_constructing_needs_no_loop_and_no_httpx2() -> None:
    code = (
        "import sys; from pyflagwasm.sources.http import *; HttpSource('http://h/'); sys.exit('httpx2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
