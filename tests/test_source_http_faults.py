"""The HTTP source on servers that break HTTP: what is said, that nothing is offered, and that it recovers by itself."""

from __future__ import annotations

import re
import time
import tracemalloc

import anyio
import anyio.lowlevel
import misbehaving_server as bad
import pytest
from http_sources import ONE, SOON, TWO, TimedSink, deliver, source
from loops import every_loop, run_on
from misbehaving_server import Behaviour, Server, answer, conditional, delivering, gzipped

from pyflagwasm.sources.base import Document, Receipt

# ---------------------------------------------------------------- one fault between two good answers

STATUSES = {
    204: "HTTP 204 No Content",
    205: "HTTP 205 Reset Content",
    206: "HTTP 206 Partial Content",
    203: "HTTP 203 Non-Authoritative Information",
    300: "HTTP 300 Multiple Choices",
    400: "HTTP 400 Bad Request",
    401: "HTTP 401 Unauthorized",
    403: "HTTP 403 Forbidden",
    404: "HTTP 404 Not Found",
    405: "HTTP 405 Method Not Allowed",
    408: "HTTP 408 Request Timeout",
    410: "HTTP 410 Gone",
    429: "HTTP 429 Too Many Requests",
    500: "HTTP 500 Internal Server Error",
    502: "HTTP 502 Bad Gateway",
    503: "HTTP 503 Service Unavailable",
    504: "HTTP 504 Gateway Timeout",
    599: "HTTP 599",
}
GZIP = {"content_encoding": "gzip"}
CHUNKED = answer(content_length=None, transfer_encoding="chunked")
CUT = "the body is cut short or badly framed"
LARGE = "the body is larger than 100000 bytes"
FAULTS: dict[str, tuple[Behaviour, str]] = {
    "reset": (bad.reset, "the connection was lost"),
    "closed": (bad.close, "the connection was closed without an answer"),
    "reset in the body": (bad.reset_in_body, "the connection was lost"),
    "closed in the headers": (b"HTTP/1.1 200 OK\r\ncontent-le", "the connection was closed without an answer"),
    "closed in the body": (answer(b"{", content_length=10), CUT),
    "closed in a chunk": (CHUNKED + b"5\r\n{", CUT),
    "closed after a chunk": (CHUNKED + b"1\r\n{\r\n", CUT),
    "a chunk of no length": (CHUNKED + b"xyz\r\n{}\r\n0\r\n\r\n", CUT),
    "a chunk that never ends": (bad.flood(CHUNKED + b"fffffff\r\n", b"{" * 10_000), LARGE),
    "the head of a chunk that never ends": (bad.flood(CHUNKED, b"f" * 10_000), CUT),
    "a body that never ends": (bad.flood(answer(content_length=None), b"{" * 10_000), LARGE),
    "a length that is too large": (answer(b"{", content_length=10**12), LARGE),
    "a length of many digits": (answer(b"{", content_length="9" * 30), "the answer is not HTTP"),
    "a length that is none": (answer(b"{", content_length="many"), "the answer is not HTTP"),
    "two lengths": (answer(b"{}", content_length="1, 2"), "the answer is not HTTP"),
    "garbage": (b"\x00\xff garbage\r\n\r\n" * 9, "the answer is not HTTP"),
    "garbage without end": (bad.flood(b"", b"\x00garbage" * 1000), "the answer is not HTTP"),
    "headers without end": (bad.flood(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 1000), "the answer is not HTTP"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x16", "the answer is not HTTP"),
    "an empty body": (answer(b""), "the body is empty"),
    "an empty body, compressed": (answer(gzipped(b""), **GZIP), "the body is empty"),
    "a body of nothing, said to be compressed": (answer(b"", **GZIP), "the compressed body is cut short"),
    "gzip that is none": (answer(ONE, **GZIP), "the compressed body is corrupt"),
    "gzip with a wrong sum": (answer(gzipped(ONE)[:-8] + bytes(8), **GZIP), "the compressed body is corrupt"),
    "gzip cut short": (answer(gzipped(ONE)[:-9], **GZIP), "the compressed body is cut short"),
    "gzip and more": (answer(gzipped(ONE) + b"more", **GZIP), "the compressed body is corrupt"),
    "a bomb": (bad.bomb(), LARGE),
    "empty members without end": (bad.flood(answer(content_length=None, **GZIP), gzipped(b"") * 100), LARGE),
    "brotli": (answer(ONE, content_encoding="br"), "the content encoding 'br' is not supported"),
    "gzip twice": (answer(ONE, content_encoding="gzip, gzip"), "the content encoding 'gzip, gzip' is not supported"),
    "a redirect to nowhere": (answer(status=302), "HTTP 302 without a Location"),
    "a redirect to no URL": (
        answer(status=302, location="http://1.2.3.400/s3cret"),
        "HTTP 302 with a Location that is no URL",
    ),
    "a redirect to another host": (
        answer(status=301, location="http://flags.example/?s3cret"),
        "redirected to another origin (http://flags.example), which is not followed",
    ),
    "a redirect to a file": (
        answer(status=301, location="file:///etc/s3cret"),
        "redirected to another origin (file://), which is not followed",
    ),
    **{str(status): (answer(ONE, status), cause) for status, cause in STATUSES.items() if status not in (204, 205)},
    **{str(status): (answer(status=status), STATUSES[status]) for status in (204, 205)},
}


def recovers(loop: str, fault: Behaviour, cause: str) -> None:
    with Server(conditional(ONE, '"v1"'), fault, otherwise=answer(TWO)) as server:
        sink = deliver(server, lambda sink: len(sink.offered) >= 2, loop, max_bytes=100_000)
        assert server.requests[1].headers["if-none-match"] == server.requests[2].headers["if-none-match"] == '"v1"'
    assert sink.failures == [cause]
    assert [document.data for document in sink.offered[:2]] == [ONE, TWO]
    assert sink.offered_at[1] - sink.failed_at[0] < SOON * 1.1 + 1  # one interval, and what a busy machine takes


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault(fault: str) -> None:
    recovers("asyncio", *FAULTS[fault])


@pytest.mark.parametrize("loop", ["uvloop", "trio"])
def test_the_faults_on_other_loops(loop: str) -> None:
    """All in one run."""
    with Server(*[fault for fault, _ in FAULTS.values()], otherwise=answer(TWO)) as server:
        sink = deliver(server, lambda sink: bool(sink.offered), loop, max_bytes=100_000, interval=1 / 1000)
        assert server.most_at_once <= 3
    assert sink.failures == [cause for _, cause in FAULTS.values()]
    assert [document.data for document in sink.offered] == [TWO]


@pytest.mark.parametrize("fault", ["reset", "bomb", "404"])
def test_the_first_answer_is_a_fault(fault: str) -> None:
    behaviour = FAULTS["a bomb" if fault == "bomb" else fault][0]
    with Server(*[behaviour] * 3, otherwise=answer(TWO)) as server:
        sink = deliver(server, lambda sink: bool(sink.offered), max_bytes=100_000)
    assert len(sink.failures) == 3


def test_304_without_a_question() -> None:
    with Server(answer(status=304), otherwise=answer(TWO)) as server:
        sink = deliver(server, lambda sink: bool(sink.offered))
    assert sink.failures == ["HTTP 304 Not Modified although nothing was known yet"]
    assert sink.confirmed == 0


def test_a_page_instead_of_a_document_is_for_the_sink_to_refuse() -> None:
    page = answer(b"<html>", etag='"page"', content_type="text/html")
    with Server(answer(ONE, etag='"v1"'), page, otherwise=conditional(ONE, '"v1"')) as server:
        sink = deliver(server, lambda sink: sink.confirmed >= 1)
    assert [document.data for document in sink.offered] == [ONE, b"<html>"]
    assert sink.accepted == [ONE]


def test_more_than_the_length_says_is_not_the_next_answer() -> None:
    behind = answer(b'{"smuggled": 1}')
    with Server(answer(ONE) + behind, otherwise=answer(TWO)) as server:
        sink = deliver(server, lambda sink: len(sink.offered) >= 2)
    assert [document.data for document in sink.offered[:2]] == [ONE, TWO]


@pytest.mark.parametrize("length", [1, 5, 6])
def test_redirects_one_after_the_other(length: int) -> None:
    with Server() as server:
        server.otherwise = answer(status=302, location="/1")
        for step in range(1, length):
            server.paths[f"/{step}"] = answer(status=307, location=f"/{step + 1}")
        server.paths[f"/{length}"] = answer(ONE)
        sink = deliver(server, lambda sink: bool(sink.offered or sink.failures))
    assert sink.failures == ([] if length <= 5 else ["more than 5 redirects"])


def test_a_circle_of_redirects_and_its_healing() -> None:
    with Server(*[answer(status=301, location="/flags.json")] * 6, otherwise=answer(ONE)) as server:
        sink = deliver(server, lambda sink: bool(sink.offered))
        assert len(server.requests) >= 7
    assert sink.failures == ["more than 5 redirects"]


@every_loop
def test_refused_connections(loop: str) -> None:
    async def scenario(server: Server) -> TimedSink:
        sink = TimedSink()
        async with delivering(source(server.url), sink):
            await sink.until(lambda: sink.confirmed > 0)
            with server.down():
                before = len(sink.failures)
                await sink.until(lambda: len(sink.failures) >= before + 3)
            server.otherwise = answer(TWO)
            healed = time.monotonic()
            await sink.until(lambda: len(sink.accepted) >= 2)
            assert sink.offered_at[1] - healed < SOON * 1.1 + 1
        return sink

    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        sink = run_on(loop, scenario, server)
    assert set(sink.failures) <= {"cannot connect: Connection refused", *OUTAGE}
    assert "cannot connect: Connection refused" in sink.failures


OUTAGE = ["the connection was lost", "the connection was closed without an answer"]  # while the listener is closed


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://name.invalid/", "cannot connect: (Name or service not known|Temporary failure in name resolution)"),
        ("http://127.0.0.1:1/", "cannot connect: Connection refused"),
    ],
)
def test_hosts_that_are_not_there(url: str, cause: str) -> None:
    with Server() as server:
        sink = deliver(server, lambda sink: bool(sink.failures), url=url)
    assert re.fullmatch(cause, sink.failures[0])


@every_loop
def test_a_handshake_that_is_given_up_leaves_nothing_open(loop: str) -> None:
    """The server waits for the end of a request, and hears the beginning of TLS."""
    with Server() as server:
        url = server.url.replace("http", "https")
        sink = deliver(server, lambda sink: len(sink.failures) >= 2, loop, url=url, timeout=0.2)
    assert set(sink.failures) == {"timed out after 0.2 s"}


# ---------------------------------------------------------------- time and memory

SLOW: dict[str, Behaviour] = {
    "no answer": bad.stall,
    "headers, byte by byte": bad.drip(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"),
    "a status line, byte by byte": bad.drip(b"", b"HTTP/1.1 200 OK and so on"),
    "a body, byte by byte": bad.drip(answer(content_length=1000), b"{"),
    "chunks, byte by byte": bad.drip(CHUNKED, b"1\r\n{\r\n"),
    "a body that stops": bad.stall_in_body,
    "answers to come": bad.drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n", 27),
    "an answer after a redirect": answer(status=302, location="/stall"),
}


@every_loop
def test_the_deadline_is_for_all_of_a_fetch(loop: str) -> None:
    """Each slow server is asked at the same time, by a source of its own."""
    timeout, took = 0.5, {}

    async def scenario() -> None:
        async def one(name: str, server: Server) -> None:
            sink = TimedSink()
            async with delivering(source(server.url, timeout=timeout), sink):
                await sink.until(lambda: len(sink.failures) >= 1)
                took[name] = sink.failed_at[0] - server.requests[0].at
                await sink.until(lambda: len(sink.offered) >= 1)
            assert set(sink.failures) == {"timed out after 0.5 s"}
            assert server.most_at_once <= 2  # the one given up may not have heard of it yet

        async with anyio.create_task_group() as group:
            for name, server in servers.items():
                group.start_soon(one, name, server)

    servers = {name: Server(behaviour, otherwise=answer(ONE)) for name, behaviour in SLOW.items()}
    for server in servers.values():
        server.paths["/stall"] = bad.stall
        server.__enter__()
    try:
        run_on(loop, scenario)
        assert all(server.wait_until_closed(5) for server in servers.values())
    finally:
        for server in servers.values():
            server.__exit__(None, None, None)
    assert took.keys() == SLOW.keys()
    # Measured from when the request came in, which is a little after the deadline began to run.
    assert all(0.6 * timeout < seconds < 1.1 * timeout + 0.2 for seconds in took.values()), sorted(
        took.items(), key=lambda item: item[1]
    )


@every_loop
def test_a_bomb_takes_no_more_memory_than_the_largest_document(loop: str) -> None:
    most = 4 << 20
    with Server(otherwise=bad.bomb()) as server:
        deliver(server, lambda sink: len(sink.failures) >= 1, loop, max_bytes=1000)  # imports and buffers
        tracemalloc.start()
        try:
            sink = deliver(server, lambda sink: len(sink.failures) >= 3, loop, max_bytes=most)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert set(sink.failures) == {f"the body is larger than {most} bytes"}
    assert peak < 1.5 * most + (2 << 20)


class Forgetting(TimedSink):
    async def offer(self, document: Document) -> Receipt:
        receipt = await super().offer(document)
        self.offered.clear()
        self.accepted.clear()
        return receipt


@every_loop
def test_between_polls_no_document_is_kept(loop: str) -> None:
    body = b"{" * (4 << 20)

    async def scenario(server: Server) -> int:
        sink = Forgetting()
        async with delivering(source(server.url), sink):
            await sink.until(lambda: bool(sink.offered_at))
            await sink.until(lambda: sink.confirmed >= 1)
            return tracemalloc.get_traced_memory()[0]

    with Server(otherwise=conditional(gzipped(body), '"v1"', content_encoding="gzip")) as server:
        tracemalloc.start()
        try:
            assert run_on(loop, scenario, server) < 3 << 20
        finally:
            tracemalloc.stop()


def test_a_bomb_does_not_hold_up_the_loop() -> None:
    stalls = []

    async def scenario(server: Server) -> None:
        sink = TimedSink()
        async with delivering(source(server.url), sink):
            while not sink.failures:
                before = time.perf_counter()
                await anyio.lowlevel.checkpoint()
                stalls.append(time.perf_counter() - before)

    with Server(otherwise=bad.bomb()) as server:
        run_on("asyncio", scenario, server)
    assert sorted(stalls)[-5] < 0.05  # of the many; a few belong to the machine
