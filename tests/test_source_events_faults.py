"""Streams of events that break: polling goes on, and they are tried again, ever more slowly."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import anyio
import misbehaving_server as bad
import pytest
from http_sources import NEVER, ONE, TWO, TimedSink, deliver, source
from loops import every_loop, run_on
from misbehaving_server import Behaviour, Exchange, Server, answer, conditional, delivering, stream

from pyflagwasm.sources import events, http

HINT = b"data: x\n\n"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time between polls that hints ask for, and between connections."""
    monkeypatch.setattr(http, "_GAP", 1 / 1000)
    monkeypatch.setattr(events, "_SHORTEST", 1 / 1000)
    monkeypatch.setattr(events, "_LONGEST", 1 / 100)


SSE = answer(content_length=None, content_type="text/event-stream")
STREAMS: dict[str, tuple[Behaviour, str]] = {
    "ends": (stream(hold=False), "ended"),
    "ends in an event": (stream(b"data: x", hold=False), "ended"),
    "HTTP 404": (answer(status=404), "HTTP 404 Not Found"),
    "HTTP 500": (answer(status=500), "HTTP 500 Internal Server Error"),
    "a page": (answer(b"<html>", content_type="text/html"), "not a stream of events"),
    "no type": (answer(b"data: x\n\n"), "not a stream of events"),
    "compressed": (stream(content_encoding="gzip"), "the stream is compressed"),
    "reset": (bad.reset, "the connection was lost"),
    "garbage": (b"\0garbage\r\n\r\n", "the answer is not HTTP"),
    "chunks that are none": (stream(b"zz\r\n", transfer_encoding="chunked"), "the answer is not HTTP"),
    "silent": (stream(), "silent for 0.2 s"),
    "silent before the headers": (bad.stall, "no answer in time"),
    "10 MB in an event": (
        stream(b"data: " + b"x" * 10_000_000 + b"\n\n"),
        "an event is longer than 65536 bytes",
    ),
    "10 MB in lines": (stream(b"data: 12345678\n" * 700_000), "an event is longer than 65536 bytes"),
    "a comment without end": (bad.flood(SSE + b":", b"x" * 10_000), "an event is longer than 65536 bytes"),
    "a field without end": (bad.flood(SSE, b"x" * 10_000), "an event is longer than 65536 bytes"),
    "elsewhere": (answer(status=302, location="http://events.example/"), "redirected to another origin"),
    "in a circle": (answer(status=302, location="/events"), "more than 5 redirects"),
}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG, "pyflagwasm")
    yield caplog
    assert "s3cret" not in caplog.text


def said(logged: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage().partition("/events: ")[2] for record in logged.records if record.name == "pyflagwasm"]


@pytest.mark.parametrize("fault", STREAMS)
def test_polling_goes_on_and_the_stream_is_tried_again(
    fault: str, logged: pytest.LogCaptureFixture, quick: None
) -> None:
    behaviour, cause = STREAMS[fault]
    options = {"events_idle": 0.2, "timeout": 0.4 if "headers" in fault else 5.0}
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        server.paths["/events"] = behaviour
        url = f"{server.origin}/events?key=s3cret"

        async def scenario() -> TimedSink:
            sink = TimedSink()
            async with delivering(source(server.url, events=url, **options), sink):
                await server.requested(8 if "circle" in fault else 2, "/events")
                confirmed = sink.confirmed
                await sink.until(lambda: sink.confirmed >= confirmed + 2)
            return sink

        sink = run_on("asyncio", scenario)
        assert server.wait_until_closed(5)
    assert sink.failures == []
    assert len(sink.offered) == 1
    assert said(logged)[0].startswith(cause)


@pytest.mark.parametrize("loop", ["uvloop", "trio"])
def test_broken_streams_on_other_loops(loop: str, logged: pytest.LogCaptureFixture, quick: None) -> None:
    """One after the other."""
    streams = {
        name: fault for name, fault in STREAMS.items() if name not in ("silent before the headers", "in a circle")
    }

    async def scenario(server: Server) -> TimedSink:
        sink, url = TimedSink(), f"{server.origin}/events"
        async with delivering(source(server.url, events=url, events_idle=0.2), sink):
            await server.requested(len(streams) + 1, "/events")
        return sink

    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        left = [fault for fault, _ in streams.values()]
        server.paths["/events"] = lambda exchange: play(exchange, left.pop(0) if left else stream())
        sink = run_on(loop, scenario, server)
        assert server.wait_until_closed(5)
    assert sink.failures == []
    assert all(line.startswith(cause) for line, (_, cause) in zip(said(logged), streams.values(), strict=True))


def play(exchange: Exchange, behaviour: Behaviour) -> None:
    if isinstance(behaviour, bytes):
        exchange.send(behaviour)
    else:
        behaviour(exchange)


@every_loop
def test_204_ends_it_until_there_is_a_new_document(loop: str, logged: pytest.LogCaptureFixture, quick: None) -> None:
    async def scenario(server: Server) -> None:
        sink = TimedSink()
        sink.events_url = f"{server.origin}/events"
        async with delivering(source(server.url, events="auto"), sink):
            await server.requested(1, "/events")
            await sink.until(lambda: len(sink.offered) >= 6)  # the same document, as its server knows no validators
            assert len(server.targets("/events")) == 1
            server.otherwise = answer(TWO)
            await server.requested(2, "/events")

    with Server(otherwise=answer(ONE)) as server:
        server.paths["/events"] = answer(status=204)
        run_on(loop, scenario, server)
    assert said(logged)[0] == "wants no listeners (HTTP 204)"


def test_the_last_id_is_sent_again_and_a_reconnection_is_a_hint(quick: None) -> None:
    ids = [
        b"id: 7\ndata: {}\n\n",
        b"id: 8\nid: 8\ndata: {}\n\n",
        b"id: \x01\ndata: {}\n\n",
        b"id: \xc3\xa9\ndata: {}\n\n",
    ]
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        left = list(ids)
        server.paths["/events"] = lambda exchange: play(exchange, stream(left.pop(0), hold=False) if left else stream())

        async def scenario() -> None:
            sink = TimedSink()
            async with delivering(source(server.url, interval=NEVER, events=f"{server.origin}/events"), sink):
                await server.requested(5, "/events")
                await sink.until(lambda: sink.confirmed >= 1)

        run_on("asyncio", scenario)
        sent = [request.headers.get("last-event-id") for request in server.targets("/events")[:5]]
    assert sent == [None, "7", "8", "8", "8"]


@pytest.mark.parametrize(
    ("retry", "least", "most"),
    [
        (b"0", 1, 1.5),
        (b"-1", 1, 1.5),
        (b"7000", 7, 7),
        (b"1000000000", 300, 300),
        (b"9" * 4000, 300, 300),
        (b"soon", 1, 1.5),
    ],
)
def test_the_pause_that_the_server_wants(
    retry: bytes, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses, sleep = [], anyio.sleep

    async def pause(seconds: float) -> None:
        if seconds > 0.5:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(anyio, "sleep", pause)
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        server.paths["/events"] = stream(b"retry: %b\n\n" % retry, hold=False)

        async def scenario() -> None:
            async with delivering(source(server.url, events=f"{server.origin}/events"), TimedSink()):
                await server.requested(2, "/events")

        run_on("asyncio", scenario)
    assert least <= pauses[0] <= most


def test_reconnecting_slows_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes and drops each connection."""
    pauses, sleep = [], anyio.sleep

    async def pause(seconds: float) -> None:
        if seconds > 0.5:
            pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(anyio, "sleep", pause)
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        server.paths["/events"] = stream(HINT, hold=False)

        async def scenario() -> None:
            async with delivering(source(server.url, events=f"{server.origin}/events"), TimedSink()):
                await server.requested(12, "/events")

        run_on("asyncio", scenario)
    for step, seconds in enumerate(pauses[:11]):
        usual = min(2**step, 300)
        assert max(1, usual / 2) <= seconds <= min(usual * 1.5, 300)


@pytest.mark.parametrize("url", ["", "nowhere", "ftp://s3cret/", "http://1.2.3.400/s3cret", "file:///s3cret"])
def test_a_configuration_that_names_no_channel(url: str, logged: pytest.LogCaptureFixture) -> None:
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        sink = TimedSink()
        sink.events_url = url
        deliver(server, lambda sink: sink.confirmed >= 3, sink=sink, events="auto")
    assert sink.failures == []
    assert any(record.getMessage().startswith("the URL of events") for record in logged.records)
