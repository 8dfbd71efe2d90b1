"""Hints by server-sent events: what a message means, and that polling goes on whatever a stream does."""

from __future__ import annotations

import json
import threading
from typing import Any

import anyio
import misbehaving_server as bad
import pytest
from http_sources import NEVER, ONE, SOON, TWO, TimedSink, deliver, source
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import every_loop, run_on
from misbehaving_server import Exchange, Server, answer, conditional, delivering, stream

from pyflagwasm.sources import events, http
from pyflagwasm.sources.events import is_news
from pyflagwasm.sources.http_fetch import Validators

KNOWN = Validators('"v1"', "Tue, 01 Sep 2026 10:00:00 GMT", 1788256800.0)
TIME = 1788256800_000
HINT = b"data: x\n\n"


def message(**fields: object) -> str:
    return json.dumps(fields)


# ---------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("data", "news"),
    [
        ("", True),
        ("changed", True),
        ("{", True),
        ("[1]", True),
        ("null", True),
        ("{}", True),
        (message(type="refetchConfig"), True),
        (message(type=""), True),
        (message(type=None), True),
        (message(type="ping"), False),
        (message(type="somethingElse"), False),
        (message(type=7), False),
        (message(type=["refetchConfig"]), False),
        (message(id="1", name="x", data=message(type="refetchConfig")), True),
        (message(id="1", data=message(type="ping")), False),
        (message(data={"type": "ping"}), False),
        (message(data="changed"), True),
        (message(data=None), True),
        (message(etag='"v1"'), False),
        (message(etag="v1"), False),
        (message(etag='W/"v1"'), False),
        (message(etag='"v2"'), True),
        (message(etag='"v2"', lastModified=TIME), True),
        (message(etag='"v1"', lastModified=TIME + 1), False),
        (message(etag=""), True),
        (message(etag=1), True),
        (message(lastModified=TIME), False),
        (message(lastModified=TIME - 1), False),
        (message(lastModified=TIME + 1), True),
        (message(lastModified=float(TIME)), False),
        (message(lastModified="Tue, 01 Sep 2026 10:00:00 GMT"), False),
        (message(lastModified="Tue, 01 Sep 2026 10:00:01 GMT"), True),
        (message(lastModified="yesterday"), True),
        (message(lastModified=True), True),
        (message(lastModified=None), True),
        (message(lastModified=float("nan")), True),
        (message(lastModified=float("-inf")), True),
        (f'{{"lastModified": -{"9" * 400}}}', True),
        (f'{{"lastModified": {"9" * 5000}}}', True),
        ("[" * 60_000, True),
        ('{"data":' * 5_000, True),
        (message(data=message(type="refetchConfig", lastModified=TIME)), False),
    ],
)
def test_news(data: str, news: bool) -> None:
    assert is_news(data, KNOWN) is news


@pytest.mark.parametrize("data", [message(etag='"v1"'), message(lastModified=TIME), message(etag="", lastModified=1)])
def test_everything_is_news_to_whom_knows_nothing(data: str) -> None:
    assert is_news(data, Validators())


@settings(max_examples=40)
@given(st.text() | st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_messages_never_raise(data: str) -> None:
    is_news(data, KNOWN)


# ---------------------------------------------------------------- hints


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little time between polls that hints ask for, and between connections."""
    monkeypatch.setattr(http, "_GAP", 1 / 1000)
    monkeypatch.setattr(events, "_SHORTEST", 1 / 1000)
    monkeypatch.setattr(events, "_LONGEST", 1 / 100)


class Channel:
    """A stream that says what it is told to."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self._opened = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        exchange.send(answer(content_length=None, content_type="text/event-stream; charset=utf-8"))
        self.exchanges.append(exchange)
        self._opened.set()
        exchange.hold()

    async def opened(self) -> None:
        assert await anyio.to_thread.run_sync(self._opened.wait, 10.0)

    def send(self, data: bytes) -> None:
        self.exchanges[-1].send(data)


@every_loop
@pytest.mark.parametrize("named", ["by the configuration", "by the caller"])
@pytest.mark.usefixtures("quick")
def test_a_message_leads_to_a_poll(loop: str, named: str) -> None:
    channel = Channel()

    async def scenario(server: Server) -> TimedSink:
        sink, url = TimedSink(), f"{server.origin}/events?key=k"
        sink.events_url = url if named == "by the configuration" else None
        async with delivering(source(server.url, interval=NEVER, events="auto" if sink.events_url else url), sink):
            await sink.until(lambda: len(sink.offered) >= 1)
            await channel.opened()
            server.otherwise = conditional(TWO, '"v2"')
            for data in (b": comment\n", message(type="ping"), message(etag='"v1"'), message(type="refetchConfig")):
                channel.send(data if isinstance(data, bytes) else b"event: message\ndata: %b\n\n" % data.encode())
            await sink.until(lambda: len(sink.offered) >= 2)
            channel.send(b"data: {}\n\n")
            await sink.until(lambda: sink.confirmed >= 1)
        return sink

    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        server.paths["/events"] = channel
        sink = run_on(loop, scenario, server)
        assert server.wait_until_closed(5)
        assert [len(server.targets()), len(server.targets("/events"))] == [3, 1]
        request = server.targets("/events")[0]
        assert request.target == "/events?key=k"
        assert {"accept": "text/event-stream", "accept-encoding": "identity"}.items() <= request.headers.items()
    assert [document.data for document in sink.offered] == [ONE, TWO]
    assert sink.failures == []


@pytest.mark.parametrize("events", [None, False])
def test_no_events_if_none_are_wanted(events: bool | None) -> None:
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        sink = TimedSink()
        sink.events_url = f"{server.origin}/events"
        deliver(server, lambda sink: sink.confirmed >= 3, sink=sink, events=events)
        assert server.targets("/events") == []


@every_loop
def test_hints_during_a_fetch_lead_to_one_more(loop: str, quick: None) -> None:
    channel = Channel()

    def slow(exchange: Exchange) -> None:
        for _ in range(50):
            channel.send(HINT)
        exchange.pause(1 / 10)
        exchange.send(answer(ONE))

    async def scenario(server: Server) -> None:
        sink = TimedSink()
        async with delivering(source(server.url, interval=NEVER, events=f"{server.origin}/events"), sink):
            await channel.opened()
            await sink.until(lambda: len(sink.offered) >= 1)
            server.script += [slow]
            channel.send(HINT)
            await sink.until(lambda: len(sink.offered) >= 3)
            with anyio.move_on_after(1 / 10):
                await sink.until(lambda: len(sink.offered) >= 4)

    with Server(otherwise=answer(ONE)) as server:
        server.paths["/events"] = channel
        run_on(loop, scenario, server)
        assert len(server.targets()) == 3


def test_a_storm_of_messages_is_one_poll_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_GAP", 0.2)
    with Server(otherwise=answer(ONE)) as server:
        server.paths["/events"] = bad.flood(answer(content_length=None, content_type="text/event-stream"), HINT * 1000)
        deliver(server, lambda sink: len(sink.offered) >= 4, interval=NEVER, events=f"{server.origin}/events")
        at = [request.at for request in server.targets()]
        assert at[3] - at[0] >= 3 * 0.19


def test_a_hint_does_not_shorten_what_the_server_asked_for(quick: None) -> None:
    busy = answer(status=503, retry_after=1)
    with Server(busy, otherwise=answer(ONE)) as server:
        server.paths["/events"] = stream(HINT, HINT)
        deliver(server, lambda sink: len(sink.offered) >= 1, interval=SOON, events=f"{server.origin}/events")
        first, second = server.targets()[:2]
        assert second.at - first.at >= 1


@every_loop
def test_the_channel_follows_the_configuration(loop: str, quick: None) -> None:
    async def scenario(server: Server) -> None:
        sink = TimedSink()
        sink.events_url = f"{server.origin}/a"
        async with delivering(source(server.url, events="auto"), sink):
            await server.requested(1, "/a")
            sink.events_url = f"{server.origin}/b"
            await server.requested(1, "/b")
            sink.events_url = None
            await sink.until(lambda: len(sink.offered) >= len(server.targets()))
            assert await anyio.to_thread.run_sync(closed, server)

    def closed(server: Server) -> bool:
        with server._changed:
            return server._changed.wait_for(lambda: len(server._connections) <= 1, 5)

    with Server(otherwise=answer(ONE)) as server:
        server.paths |= {"/a": stream(), "/b": stream()}
        run_on(loop, scenario, server)
        assert [len(server.targets(path)) for path in ("/a", "/b")] == [1, 1]


def test_the_channel_is_known_after_a_restart() -> None:
    async def scenario(one: Any, sink: TimedSink, count: int) -> None:
        sink._changed = anyio.Event()
        async with delivering(one, sink):
            await server.requested(count, "/events")

    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        server.paths["/events"] = stream()
        sink, one = TimedSink(), source(server.url, events="auto", interval=NEVER)
        sink.events_url = f"{server.origin}/events"
        for count, loop in enumerate(("asyncio", "trio"), 1):
            run_on(loop, scenario, one, sink, count)
    assert len(sink.offered) == 1
