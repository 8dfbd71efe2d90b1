"""The sink that posts, before a server that refuses, breaks off, hangs and sends it elsewhere."""

from __future__ import annotations

import http.server
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any, ClassVar

import anyio
import pytest
from loops import every_loop, run_on

from pyflagwasm.exposures.counting import Batch, Counter, Exposure, Rejected
from pyflagwasm.exposures.http import HttpSink, retry_after


def batch(n: int = 1, *, dropped: int = 0) -> Batch:
    exposures = [Exposure("evaluated", f"flag-{i}", "on", "SPLIT", i + 1, 3, {"feature": "f"}) for i in range(n)]
    return Batch(10.0, 20.0, tuple(exposures), dropped)


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the test has put in the list; 200 after that. Records every request."""

    answers: ClassVar[list[Any]]
    requests: ClassVar[list[tuple[Any, dict[str, str]]]]
    release: ClassVar[threading.Event]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.requests.append((body, {name.lower(): value for name, value in self.headers.items()}))
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if answer == "hang":
            self.release.wait(20)
            return
        if answer == "endless":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            self.wfile.flush()
            self.release.wait(20)
            return
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # connections that were reset


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Handler]]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = type("OneHandler", (Handler,), {"answers": [], "requests": [], "release": threading.Event()})
    with Server(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}/x?key=secret", handler
        handler.release.set()
        serving.shutdown()
        thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.exposures.http.FIRST_PAUSE", 0.001)


Serving = tuple[str, type[Handler]]


@every_loop
@pytest.mark.usefixtures("quick")
def test_posting(loop: str, server: Serving) -> None:
    url, handler = server
    sink = HttpSink(url, headers={"Authorization": "Bearer secret", "idempotency-key": "mine"}, max_batch=2)

    async def main() -> None:
        sent = batch(5, dropped=7)
        handler.answers[:] = [200, 500, "reset", 429, (503, {"Retry-After": "0"}), 408, 204]
        await sink.send(sent)
        assert len(handler.requests) == 8  # of which three were taken
        bodies = [json.loads(body) for body, _ in handler.requests]
        keys = [headers["idempotency-key"] for _, headers in handler.requests]
        assert keys == [f"{sent.id}-0"] + [f"{sent.id}-2"] * 6 + [f"{sent.id}-4"]
        assert [body["dropped"] for body in bodies] == [7] + [0] * 7
        taken = [bodies[0], bodies[6], bodies[7]]
        assert [exposure["flag_key"] for body in taken for exposure in body["exposures"]] == [
            f"flag-{i}" for i in range(5)
        ]
        assert bodies[0]["exposures"][0] == {
            "kind": "evaluated", "flag_key": "flag-0", "variant": "on", "reason": "SPLIT",
            "count": 1, "generation": 3, "metadata": {"feature": "f"},
        }  # fmt: skip
        assert (bodies[0]["since"], bodies[0]["until"]) == (10, 20)
        headers = handler.requests[0][1]
        assert (headers["content-type"], headers["authorization"]) == ("application/json", "Bearer secret")
        await sink.send(batch(0, dropped=1))
        assert json.loads(handler.requests[-1][0])["dropped"] == 1

    run_on(loop, main)


@every_loop
@pytest.mark.usefixtures("quick")
def test_what_was_taken_is_not_sent_again(loop: str, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        sink = HttpSink(url, max_batch=1)
        sent = batch(3, dropped=7)
        handler.answers[:] = [400, 200, (503, {"Retry-After": "60"})]
        with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:\d+: ") as raised:
            await sink.send(sent)
        assert "secret" not in str(raised.value)
        handler.requests.clear()
        with pytest.raises(Rejected, match="answered 400") as rejected:
            await sink.send(sent)
        assert rejected.value.dropped == 1
        assert [json.loads(body)["exposures"][0]["flag_key"] for body, _ in handler.requests] == ["flag-2"]
        assert json.loads(handler.requests[0][0])["dropped"] == 0  # the second one was told

    run_on(loop, main)


@every_loop
def test_by_way_of_a_counter(loop: str, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        counter = Counter([HttpSink(url, max_batch=1)])
        handler.answers[:] = [200, 401]
        for key in ("a", "b"):
            counter.unknown(key, "ERROR")
        assert await counter.flush()
        counter.unknown("c", "ERROR")
        assert await counter.flush()
        statistics = counter.statistics()
        assert (statistics.sent, statistics.dropped, statistics.failures) == (2, 1, 1)
        assert statistics.last_error
        assert "secret" not in statistics.last_error
        assert json.loads(handler.requests[-1][0])["dropped"] == 1

    run_on(loop, main)


@every_loop
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_is_given_up(loop: str, status: int, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        handler.answers[:] = [status]
        with pytest.raises(Rejected, match=f"answered {status}") as raised:
            await HttpSink(url).send(batch(2))
        assert raised.value.dropped == 3
        assert len(handler.requests) == 1

    run_on(loop, main)


@every_loop
@pytest.mark.usefixtures("quick")
def test_redirects_are_not_followed(loop: str, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        handler.answers[:] = [(status, {"Location": url}) for status in (301, 302, 303, 307, 308)] * 1000
        with pytest.raises((ConnectionError, TimeoutError)):
            await HttpSink(url, timeout=0.1).send(batch())
        assert len({headers["idempotency-key"] for _, headers in handler.requests}) == 1

    run_on(loop, main)


@every_loop
@pytest.mark.parametrize("answer", ["hang", (429, {"Retry-After": "60"}), (503, {"Retry-After": "9" * 400})])
def test_the_time_is_bounded(loop: str, answer: Any, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        handler.answers[:] = [answer]
        sink = HttpSink(url, timeout=0.1)
        sent = batch()
        start = time.monotonic()
        with pytest.raises((ConnectionError, TimeoutError)):
            await sink.send(sent)
        assert time.monotonic() - start < 3
        handler.answers.clear()
        await HttpSink(url).send(sent)
        assert {headers["idempotency-key"] for _, headers in handler.requests} == {f"{sent.id}-0"}

    run_on(loop, main)


@every_loop
def test_an_answer_without_an_end_is_an_answer(loop: str, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        handler.answers[:] = ["endless"]
        await HttpSink(url).send(batch())

    run_on(loop, main)


@every_loop
def test_a_retry_after_is_waited_for(loop: str, server: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    url, handler = server

    async def main() -> None:
        waited = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)

        monkeypatch.setattr("pyflagwasm.exposures.http.sleep", sleep)
        handler.answers[:] = [(429, {"Retry-After": "3"}), 500, 500]
        await HttpSink(url).send(batch())
        assert waited[0] == 3
        assert 0.5 <= waited[1] <= 1.5  # the pauses grow
        assert 1 <= waited[2] <= 3

    run_on(loop, main)


@every_loop
@pytest.mark.usefixtures("quick")
def test_nobody_listens(loop: str) -> None:
    async def main() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://user:secret@127.0.0.1:{closed.getsockname()[1]}/secret"
            sink = HttpSink(url, timeout=0.05, headers={"key": "secret"})
            with pytest.raises((ConnectionError, TimeoutError)) as raised:
                await sink.send(batch())
        assert "secret" not in f"{raised.value!r} {sink!r}"
        assert raised.value.__cause__ is None
        assert raised.value.__context__ is None or raised.value.__suppress_context__

    run_on(loop, main)


@every_loop
def test_another_format(loop: str, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        def encode(batch: Batch) -> tuple[bytes, str]:
            return f"{len(batch.exposures)}".encode(), "text/plain"

        await HttpSink(url, encode=encode).send(batch(3))
        body, headers = handler.requests[0]
        assert (body, headers["content-type"]) == (b"3", "text/plain")

    run_on(loop, main)


@every_loop
def test_cancelled_while_it_waits(loop: str, server: Serving) -> None:
    url, handler = server

    async def main() -> None:
        counter = Counter([HttpSink(url)], interval=0.001)
        counter.unknown("flag", "ERROR")
        handler.answers[:] = ["hang"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(counter.run)
            with anyio.fail_after(20):
                while not handler.requests:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        assert counter.statistics().pending == 1
        assert await counter.flush()
        keys = {headers["idempotency-key"] for _, headers in handler.requests}
        assert (len(keys), len(handler.requests)) == (1, 2)

    run_on(loop, main)


def test_reading_a_retry_after() -> None:
    assert [retry_after(text) for text in ("", "soon", "-5", "0", " 7 ", "Wed, 21 Oct 2015 07:28:00 GMT")] == [
        0,
        0,
        0,
        0,
        7,
        0,
    ]
    assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) < 70


@pytest.mark.parametrize("url", ["ftp://host/", "host/path", "http://", "http://[", "http://host:secret/", ""])
def test_wrong_urls(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as raised:
        HttpSink(url)
    assert "secret" not in str(raised.value)


def test_wrong_arguments_and_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ({"timeout": 0}, {"max_batch": 0}):
        with pytest.raises(ValueError, match="must be"):
            HttpSink("http://host/", **wrong)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(ImportError, match=r"pip install 'pyflagwasm\[http\]'"):
        run_on("asyncio", HttpSink("http://host/").send, batch())


def test_https_reads_its_certificates_once() -> None:
    sink = HttpSink("https://host/")
    first, second = sink._prepare(), sink._prepare()
    assert first[1] is second[1] is not False
