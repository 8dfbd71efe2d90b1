"""An application of `pyflagwasm.serve` on a real socket, and requests to it."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

import pyflagwasm
from pyflagwasm.serve import application

FLAGS = "/ofrep/v1/evaluate/flags"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    port: int
    evaluator: pyflagwasm.FlagEvaluator

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def flag(self, key: str, context: Any = None, **headers: str) -> Answer:
        """key: as it is to be in the URL."""
        return self.ask("POST", f"{FLAGS}/{key}", json.dumps({"context": context or {}}), {**JSON, **headers})

    def all(self, context: Any = None, etag: str | None = None) -> Answer:
        more = {} if etag is None else {"If-None-Match": etag}
        return self.ask("POST", FLAGS, json.dumps({"context": context or {}}), {**JSON, **more})

    def raw(self, data: bytes) -> bytes:
        """What comes of bytes, until the server closes the connection."""
        import socket

        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(data)
            received = b""
            while chunk := connection.recv(1 << 16):
                received += chunk
            return received


class _Server(uvicorn.Server):
    def __init__(self, app: Any, closing: Any) -> None:
        super().__init__(uvicorn.Config(app, port=0, log_config=None, server_header=False, access_log=False))
        self.ready, self._closing = threading.Event(), closing

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    def end(self) -> None:
        self._closing.closing = True
        self.should_exit = True


@contextmanager
def serving(source: Any, *, open_options: Mapping[str, Any] | None = None, **options: Any) -> Iterator[Served]:
    """source: what `pyflagwasm.open` takes. Opened by the application's lifespan, and closed."""
    evaluator = pyflagwasm.open(source, **(open_options or {}))
    app = application(evaluator, **options)
    server = _Server(app, app.state)
    failed: list[BaseException] = []

    def work() -> None:
        try:
            server.run()
        except BaseException as error:
            failed.append(error)
        finally:
            server.ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert server.ready.wait(20)
        assert not failed, failed
        yield Served(server.servers[0].sockets[0].getsockname()[1], evaluator)
    finally:
        server.end()
        thread.join(20)
    assert not failed, failed
    assert evaluator.statistics().state == "CLOSED"
