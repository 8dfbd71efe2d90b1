"""The stream of events: what clients hear of a change, and how streams end."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from evaluators import ON_OFF, document, flag
from served import Served, serving

import pyflagwasm
from pyflagwasm.serve import application, events
from pyflagwasm.serve.events import PATH


class Changing:
    """A source whose document a test changes."""

    def __init__(self) -> None:
        self.variant = "on"

    def __call__(self) -> bytes:
        return document(f=flag(ON_OFF, self.variant))


@contextmanager
def changing(**options: Any) -> Iterator[tuple[Changing, Served]]:
    source = Changing()
    with serving(pyflagwasm.CallableSource(source, interval=1 / 50), **options) as served:
        yield source, served


@contextmanager
def listening(served: Served, last: str | None = None) -> Iterator[http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request("GET", PATH, headers={} if last is None else {"Last-Event-ID": last})
        yield connection.getresponse()
    finally:
        connection.close()


def event(stream: http.client.HTTPResponse) -> dict[str, str]:
    """The next event."""
    fields: dict[str, str] = {}
    while True:
        line = stream.readline().decode()
        assert line, "the stream ended"
        name, _, value = line.rstrip("\n").partition(": ")
        if name in ("id", "event", "data"):
            fields[name] = value
        elif line == "\n" and fields:
            return fields


def test_a_change_is_told() -> None:
    with changing() as (source, served), listening(served) as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert stream.headers["cache-control"] == "no-store"
        first = event(stream)
        assert (json.loads(first["data"]), first["event"]) == ({"type": "refetchEvaluation"}, "message")
        etag = served.all().headers["etag"]
        source.variant = "off"
        second = event(stream)
        assert json.loads(second["data"]) == {"type": "refetchEvaluation"}
        assert second["id"] != first["id"]
        after = served.all(etag=etag)
        assert (after.status, after.json["flags"][0]["value"]) == (200, False)


def test_who_has_heard_of_it_is_not_told_again() -> None:
    with changing() as (source, served):
        with listening(served) as stream:
            known = event(stream)["id"]
        with listening(served, known) as stream:
            source.variant = "off"
            assert event(stream)["id"] != known
        with listening(served, known) as stream:  # what it missed
            assert event(stream)["id"] != known


def test_streams_end_with_the_server() -> None:
    with changing() as (_, served):
        with listening(served) as stream:
            event(stream)
            # Leaving `serving` waits for the server, which waits for its connections.
            kept = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
            kept.request("GET", PATH)
            other = kept.getresponse()
            event(other)
    assert other.read() == b""
    kept.close()


def test_an_application_that_starts_again_has_streams_again() -> None:
    async def main() -> None:
        async with pyflagwasm.open("example:flagd") as flags:
            app = application(flags)
            for _ in range(2):
                async with app.router.lifespan_context(app):
                    assert app.state.closing is False
                assert app.state.closing is True

    asyncio.run(main())


SERVER = """
import uvicorn, pyflagwasm
from pyflagwasm.serve import application
class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)
Server(uvicorn.Config(application(pyflagwasm.open("example:flagd")), port=0, log_level="warning")).run()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_streams_do_not_keep_somebody_elses_server() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert process.stdout is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()), timeout=20)
        connection.request("GET", PATH)
        stream = connection.getresponse()
        event(stream)
        process.terminate()
        assert stream.read() == b""
        connection.close()
        assert process.wait(20) == -signal.SIGTERM
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_a_silent_stream_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_SILENCE", 0.0)
    with changing() as (_, served), listening(served) as stream:
        event(stream)
        assert stream.readline() == b": still here\n"


def test_not_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST", 1)
    with changing() as (_, served):
        with listening(served) as stream:
            event(stream)
            with listening(served) as refused:
                assert (refused.status, refused.headers["retry-after"]) == (429, "30")
                assert json.loads(refused.read())["errorCode"] == "GENERAL"
        for _ in range(500):  # the place is free again once the server has seen that the client is gone
            with listening(served) as stream:
                if stream.status == 200:
                    break
        assert stream.status == 200


def test_only_get() -> None:
    with changing() as (_, served):
        assert served.ask("POST", PATH, "{}").status == 405
        head = served.ask("HEAD", PATH)
        assert (head.status, head.body) == (200, b"")
