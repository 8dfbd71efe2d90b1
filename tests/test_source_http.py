"""The HTTP source on a server that behaves: what is asked for, offered, remembered, said and left behind."""

from __future__ import annotations

import email.utils
import gc
import itertools
import os
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from http_sources import NEVER, ONE, TWO, deliver, source
from httpcore2._backends.anyio import AnyIOStream
from httpcore2._backends.trio import TrioStream
from loops import RecordingSink, every_loop, run_on
from misbehaving_server import Behaviour, Server, answer, conditional, delivering, gzipped, stall, stream

from pyflagwasm.sources import http
from pyflagwasm.sources.base import Document

OLD, NEW = "Tue, 01 Sep 2026 10:00:00 GMT", "Tue, 01 Sep 2026 10:00:01 GMT"
PAST = "Wed, 01 Jan 2020 00:00:00 GMT"


# ---------------------------------------------------------------- polling


@every_loop
def test_a_document_and_its_successor(loop: str) -> None:
    with Server(answer(ONE), otherwise=answer(TWO)) as server:
        sink = deliver(server, lambda sink: len(sink.offered) >= 2, loop)
    assert sink.offered[:2] == [Document(ONE, server.url), Document(TWO, server.url)]
    assert sink.failures == []


def test_one_request_at_a_time_each_with_its_connection() -> None:
    with Server(otherwise=conditional(ONE, "x")) as server:
        deliver(server, lambda sink: sink.confirmed >= 5)
        assert server.most_at_once <= 2  # one may not have been torn down when the next comes
        assert {request.headers["connection"] for request in server.requests} == {"close"}


def test_intervals_are_spread() -> None:
    with Server(otherwise=conditional(ONE, "x")) as server:
        deliver(server, lambda sink: sink.confirmed >= 6, interval=0.1)
        at = [request.at for request in server.requests]
    waits = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert waits[0] >= 0.01  # the first is anywhere in the interval
    assert all(wait >= 0.09 for wait in waits[1:])


@pytest.mark.parametrize(
    ("validators", "sent"),
    [
        ({"etag": '"abc"'}, {"if-none-match": '"abc"'}),
        ({"etag": 'W/"abc"'}, {"if-none-match": 'W/"abc"'}),
        ({"last_modified": OLD, "date": NEW}, {"if-modified-since": OLD}),
        ({"etag": '"a"', "last_modified": OLD, "date": NEW}, {"if-none-match": '"a"', "if-modified-since": OLD}),
        ({}, {}),
        ({"etag": '"\xe9"'}, {}),
        ({"etag": f'"{"x" * 2000}"'}, {}),
        ({"last_modified": "yesterday"}, {}),
        ({"last_modified": "Tue, 99 Sep 2026 10:00:00 GMT"}, {}),
        ({"last_modified": NEW, "date": OLD}, {}),
        ({"last_modified": email.utils.formatdate(time.time() + 86400, usegmt=True)}, {}),
    ],
)
def test_what_is_asked_after_an_accepted_document(validators: dict[str, str], sent: dict[str, str]) -> None:
    with Server(otherwise=answer(ONE, **validators)) as server:
        deliver(server, lambda sink: len(sink.offered) >= 2)
        first, second = server.requests[:2]
    conditions = {"if-none-match", "if-modified-since"}
    assert not conditions & first.headers.keys()
    assert {name: value for name, value in second.headers.items() if name in conditions} == sent


@every_loop
def test_unchanged(loop: str) -> None:
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        sink = deliver(server, lambda sink: sink.confirmed >= 2, loop)
    assert (len(sink.offered), sink.failures) == (1, [])


def test_validators_of_a_refused_document_are_not_remembered() -> None:
    with Server(conditional(ONE, '"v1"'), otherwise=conditional(b"broken", '"v2"')) as server:
        sink = deliver(server, lambda sink: len(sink.offered) >= 4)
        assert [request.headers.get("if-none-match") for request in server.requests[:4]] == [None, *['"v1"'] * 3]
    assert [document.data for document in sink.offered[:4]] == [ONE, b"broken", b"broken", b"broken"]
    assert sink.confirmed == 0


def test_a_document_without_validators_replaces_those_of_the_last() -> None:
    with Server(answer(ONE, etag='"v1"'), otherwise=answer(TWO)) as server:
        deliver(server, lambda sink: len(sink.offered) >= 3)
        assert [request.headers.get("if-none-match") for request in server.requests[:3]] == [None, '"v1"', None]


def test_an_older_document_is_not_offered() -> None:
    script: list[Behaviour] = [answer(ONE, last_modified=NEW, date=NEW), answer(b"old", last_modified=OLD, date=NEW)]
    with Server(*script, otherwise=answer(TWO, last_modified=NEW, date=NEW)) as server:
        sink = deliver(server, lambda sink: len(sink.offered) >= 2)
    assert [document.data for document in sink.offered[:2]] == [ONE, TWO]
    assert sink.failures == ["the document is older than the accepted one (Last-Modified)"]


@pytest.mark.parametrize("later", [{"last_modified": OLD, "date": NEW}, {}], ids=["a right date", "no date"])
def test_a_date_to_come_guards_nothing(later: dict[str, str]) -> None:
    far = "Fri, 01 Jan 2100 00:00:00 GMT"
    with Server(answer(ONE, last_modified=far, date=OLD), otherwise=answer(TWO, **later)) as server:
        sink = deliver(server, lambda sink: len(sink.offered) >= 2)
    assert (sink.offered[1].data, sink.failures) == (TWO, [])


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzipped),
        ("x-gzip", gzipped),
        ("GZIP", gzipped),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip", lambda body: gzipped(body[:7]) + gzipped(b"") + gzipped(body[7:])),
    ],
)
def test_encodings(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = ONE * 20_000  # many steps of decompression
    with Server(otherwise=answer(compress(body), content_encoding=encoding)) as server:
        sink = deliver(server, lambda sink: bool(sink.offered))
        assert server.requests[0].headers["accept-encoding"] == "gzip"
    assert sink.offered[0].data == body


@pytest.mark.parametrize("encoding", ["gzip", None])
@pytest.mark.parametrize("more", [0, 1])
def test_the_largest_body(encoding: str | None, more: int) -> None:
    body = bytes(range(256)) * 1000 + bytes(more)
    sent = gzipped(body) if encoding else body
    with Server(otherwise=answer(sent, content_encoding=encoding)) as server:
        sink = deliver(server, lambda sink: bool(sink.offered or sink.failures), max_bytes=256_000)
    assert sink.failures == (["the body is larger than 256000 bytes"] if more else [])
    assert [document.data for document in sink.offered] == ([] if more else [body])


def test_chunks() -> None:
    chunks = b"%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\ntrailer: x\r\n\r\n" % (5, ONE[:5], len(ONE) - 5, ONE[5:])
    with Server(otherwise=answer(content_length=None, transfer_encoding="chunked") + chunks) as server:
        sink = deliver(server, lambda sink: bool(sink.offered))
    assert sink.offered[0].data == ONE


# ---------------------------------------------------------------- signatures


def test_the_signature_of_a_header() -> None:
    with Server(otherwise=answer(ONE, pyflagwasm_signature="v=1; one, v=1; two")) as server:
        sink = deliver(server, lambda sink: bool(sink.offered), signature_url=True)
        assert server.targets("/flags.json.sig") == []
    assert sink.offered[0].signature == "v=1; one, v=1; two"


@every_loop
@pytest.mark.parametrize("where", [True, "named"])
def test_the_signature_of_a_sidecar(loop: str, where: bool | str) -> None:
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        path = "/flags.json.sig" if where is True else "/other"
        server.paths[path] = answer("v=1; é\n".encode())
        where_url = where if where is True else server.origin + path
        sink = deliver(
            server, lambda sink: sink.confirmed >= 1, loop, signature_url=where_url, url=server.url + "?token=1"
        )
        assert [request.target for request in server.targets(path)] == [path + ("?token=1" if where is True else "")]
    assert [document.signature for document in sink.offered] == ["v=1; é\n"]


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (answer(status=404), "signature: HTTP 404 Not Found"),
        (answer(b"\xff"), "signature: not a text of UTF-8"),
        (answer(b"x" * 65537), "signature: the body is larger than 65536 bytes"),
        (answer(b""), "signature: the body is empty"),
        (stall, "timed out after 0.2 s"),
    ],
)
def test_without_its_sidecar_nothing_is_offered(behaviour: Behaviour, cause: str) -> None:
    with Server(otherwise=answer(ONE, etag='"v1"')) as server:
        server.paths["/flags.json.sig"] = behaviour
        sink = deliver(server, lambda sink: len(sink.failures) >= 2, signature_url=True, timeout=0.2)
        assert "if-none-match" not in server.targets()[1].headers
    assert (sink.offered, set(sink.failures)) == ([], {cause})


# ---------------------------------------------------------------- running, cancelling, running again


def test_validators_outlive_a_run_for_the_same_sink_only() -> None:
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        one, first, other = source(server.url), RecordingSink(), RecordingSink()

        async def once(sink: RecordingSink) -> None:
            before = len(sink.offered) + sink.confirmed
            sink._changed = anyio.Event()  # of this loop
            async with delivering(one, sink):
                await sink.until(lambda: len(sink.offered) + sink.confirmed > before)

        for loop, sink in [("asyncio", first), ("trio", first), ("asyncio", other), ("asyncio", first)]:
            run_on(loop, once, sink)
        assert [len(sink.offered) for sink in (first, other)] == [2, 1]
        assert first.confirmed == 1
    assert one.recall(first).validators.etag == '"v1"'


def test_two_sinks_at_once_do_not_share_validators() -> None:
    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        one, sinks = source(server.url), [RecordingSink(), RecordingSink()]

        async def scenario() -> None:
            async with delivering(one, sinks[0]), delivering(one, sinks[1]):
                for sink in sinks:
                    await sink.until(lambda sink=sink: sink.confirmed >= 2)

        run_on("asyncio", scenario)
    assert [len(sink.offered) for sink in sinks] == [1, 1]


def counted(method: Callable[..., Any], count: Callable[[], None]) -> Callable[..., Any]:
    async def counting(*args: Any, **kwargs: Any) -> Any:
        count()
        result = await method(*args, **kwargs)
        count()
        return result

    return counting


@every_loop
def test_cancelled_at_every_step(loop: str) -> None:
    """Before and after each read, write and close of the client, through a poll, its sidecar, a stream and a hint."""

    async def scenario(server: Server, most: int) -> bool:
        """Whether it was cancelled before its end."""
        left, scope, sink = most, anyio.CancelScope(), RecordingSink()

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                scope.cancel()

        with pytest.MonkeyPatch.context() as patch, scope:
            patch.setattr(http, "_GAP", 1 / 1000)
            for kind in (AnyIOStream, TrioStream):
                for name in ("read", "write", "aclose"):
                    patch.setattr(kind, name, counted(getattr(kind, name), count))
            one = source(server.url, interval=NEVER, events=f"{server.origin}/events", signature_url=True)
            async with delivering(one, sink):
                await sink.until(lambda: len(sink.offered) >= 2)
        return scope.cancelled_caught

    steps = 0
    with Server(otherwise=answer(gzipped(ONE), content_encoding="gzip")) as server:
        server.paths["/events"] = stream(b"data: x\n\n")
        server.paths["/flags.json.sig"] = answer(b"v=1")
        while run_on(loop, scenario, server, steps + 1):
            steps += 1
            assert server.wait_until_closed(5)
        assert server.wait_until_closed(5)
    assert steps >= 20


@every_loop
def test_nothing_is_left_behind(loop: str) -> None:
    """Cancelled while it connects, waits for headers, reads a body or waits for the next poll."""
    with Server(stall, answer(b"{", content_length=9), otherwise=conditional(ONE, "x")) as server:
        one = source(server.url, interval=NEVER)

        async def scenario() -> None:
            for count in (1, 2, 3):
                sink = RecordingSink()
                async with delivering(one, sink):
                    await server.requested(count)
                    if count == 3:
                        await sink.until(lambda sink=sink: bool(sink.offered))
                assert await anyio.to_thread.run_sync(server.wait_until_closed, 5.0) or count == 2
            with anyio.move_on_after(0):
                await one.run(RecordingSink())

        run_on(loop, scenario)
        assert server.wait_until_closed(5)
    gc.collect()
    assert threading.active_count() < 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("when", ["between runs", "during a run"])
def test_a_forked_child_polls_anew(when: str) -> None:
    sink, other = RecordingSink(), RecordingSink()

    async def once(to: RecordingSink, fork: bool) -> int:
        async with delivering(one, to):
            await to.until(lambda: to.confirmed >= 2)
            return forked() if fork else 0

    def forked() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads, the server's
            child = os.fork()
        if not child:
            try:
                # as in a worker that begins from here: nothing of the loop that runs is in a new thread
                work = threading.Thread(target=run_on, args=("trio", once, other, False))
                work.start()
                work.join()
                os._exit(0 if len(other.offered) == 1 else 2)
            finally:
                os._exit(1)
        return child

    with Server(otherwise=conditional(ONE, '"v1"')) as server:
        one = source(server.url)
        child = run_on("asyncio", once, sink, when == "during a run") or forked()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(sink.offered) == 1
