"""An evaluator whose server breaks HTTP in every way: what was good goes on, and the evaluator says why."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import misbehaving_server as bad
import pytest
from evaluators import devcycle
from http_sources import NEVER, SOON, source
from loops import every_loop, run_on
from misbehaving_server import Behaviour, Server, answer, conditional, stream
from pools import ME, versioned
from test_evaluator_sources import until
from test_source_http_faults import FAULTS, SLOW

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.loading import compile_source
from pyflagwasm.types import State

SLACK = 5.0
"""Seconds by which a machine that does much else may be late."""

PAGE = answer(b"<html>", etag='"page"', content_type="text/html")
CIRCLE = answer(status=302, location="/flags.json")
REFUSED: dict[str, bytes] = {
    "a page": b"<html>",
    "a list": b"[]",
    "another object": b'{"error": "down for maintenance"}',
    "cut in the middle": versioned(1)[:-20],
    "what the importer refuses": b'{"flags": {"f": {"state": "ON"}}}',
    "no text": b"\xff\xfe\x00",
}


@asynccontextmanager
async def watched(flags: FlagEvaluator) -> AsyncIterator[list[Any]]:
    """Evaluates all the time. Of versioned(1), versioned(2), ... in this order: what is wrong is in the list."""
    wrong: list[Any] = []
    seen = 0

    async def watch() -> None:
        nonlocal seen
        newest = 0
        while True:
            bound = flags.bind(ME)
            for details in (
                await flags.details("flag-1", ME, ""),
                flags.details_nowait("flag-1", ME, ""),
                bound.details("flag-1", ""),
            ):
                if details.value != f"v{details.generation}-1" or details.generation < newest:
                    wrong.append(details)
                newest = details.generation
            seen += 1
            await anyio.sleep(1 / 1000)

    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        yield wrong
        assert seen > 1
        group.cancel_scope.cancel()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "pyflagwasm" and r.levelno >= logging.WARNING]


async def suffers(
    flags: FlagEvaluator, server: Server, fault: Behaviour, cause: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """One fault, three times, and its healing by the next version."""
    version = flags.generation + 1
    caplog.clear()
    first = flags.statistics().source
    assert first is not None

    def times() -> int:
        now = flags.statistics().source
        assert now is not None
        return now.failed + now.refused - first.failed - first.refused

    server.otherwise = fault
    await until(flags, lambda: times() >= 3)
    during = flags.statistics()
    assert (during.state, during.generation) == (State.STALE, version - 1)
    assert during.source is not None
    assert not during.source.healthy
    assert during.source.cause == cause if cause is not None else during.source.cause
    named = f"{during.source.name}: "  # once, though the cause names it, too
    assert warnings(caplog) == [
        f"the source {named}{str(during.source.cause).removeprefix(named)}; the last good configuration goes on"
    ]
    server.otherwise = conditional(versioned(version), f'"{version}"')
    healed = time.monotonic()
    await until(flags, lambda: flags.generation == version and flags.statistics().state is State.READY)
    assert time.monotonic() - healed < SOON * 1.1 + SLACK
    after = flags.statistics().source
    assert after is not None
    assert (after.healthy, after.cause, after.accepted) == (True, None, first.accepted + 1)


async def suffers_all(server: Server, faults: dict[str, Any], caplog: pytest.LogCaptureFixture, **options: Any) -> None:
    async with pyflagwasm.open(source(server.url, max_bytes=100_000, **options)) as flags:
        assert flags.statistics().state is State.READY
        async with watched(flags) as wrong:
            for name, (fault, cause) in faults.items():
                try:
                    await suffers(flags, server, fault, cause, caplog)
                except Exception as error:
                    error.add_note(f"while the fault was: {name}")
                    raise
        assert wrong == []
        assert flags.generation == len(faults) + 1
        assert flags.statistics().swaps == flags.generation


@every_loop
def test_every_fault(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        run_on(loop, suffers_all, server, {**FAULTS, "a circle": (CIRCLE, "more than 5 redirects")}, caplog)
        assert server.wait_until_closed()


@every_loop
def test_slow_servers(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    some = ["no answer", "headers, byte by byte", "a body, byte by byte", "chunks, byte by byte"]
    faults = {name: (SLOW[name], "timed out after 0.15 s") for name in some}

    async def scenario(server: Server) -> None:
        await suffers_all(server, faults, caplog, timeout=0.15)

    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        run_on(loop, scenario, server)
        assert server.wait_until_closed()


@every_loop
def test_a_server_that_is_down(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        async with pyflagwasm.open(source(server.url)) as flags, watched(flags) as wrong:
            with server.down():
                await until(flags, lambda: cause_of(flags) == "cannot connect: Connection refused")
                before = flags.statistics().source
                assert before is not None
                await until(flags, lambda: flags.statistics().source.failed >= before.failed + 3)  # type: ignore[union-attr]
                assert flags.statistics().state is State.STALE
            server.otherwise = conditional(versioned(2), '"2"')
            await until(flags, lambda: flags.generation == 2 and flags.statistics().state is State.READY)
            assert wrong == []

    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        run_on(loop, scenario, server)
    assert len([text for text in warnings(caplog) if "Connection refused" in text]) == 1


def cause_of(flags: FlagEvaluator) -> str | None:
    found = flags.statistics().source
    assert found is not None
    return found.cause


# ---------------------------------------------------------------- 200, and nothing that can be used


@every_loop
def test_documents_that_are_refused(
    loop: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[bytes] = []

    def compiling(found: Any, *arguments: Any, **options: Any) -> Any:
        compiled.append(found.data)
        return compile_source(found, *arguments, **options)

    monkeypatch.setattr("pyflagwasm.intake.compile_source", compiling)
    faults = {name: (answer(data, etag=f'"{name}"'), None) for name, data in REFUSED.items()}
    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        run_on(loop, suffers_all, server, faults, caplog)
        asked = {request.headers.get("if-none-match") for request in server.requests}
    assert asked - {f'"{len(faults) + 1}"'} == {None, *(f'"{version}"' for version in range(1, len(faults) + 1))}
    assert [compiled.count(data) for data in REFUSED.values()] == [1] * len(REFUSED)


def test_a_refusal_names_the_place(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        async with pyflagwasm.open(source(server.url)) as flags:
            server.otherwise = answer(REFUSED["what the importer refuses"])
            await until(flags, lambda: cause_of(flags) is not None)
            assert cause_of(flags) == f"{server.url}: flags.f.state: must be one of ENABLED, DISABLED, not 'ON'"

    with Server(otherwise=answer(versioned(1))) as server:
        run_on("asyncio", scenario, server)


# ---------------------------------------------------------------- events


def telling(version: int, origin: str) -> bytes:
    body = {**devcycle("String", f"v{version}", "staff"), "sse": {"hostname": origin, "path": "/events?key=1"}}
    return json.dumps(body).encode()


class Channel:
    """A stream on which the test says what comes next."""

    def __init__(self) -> None:
        self.pending: list[bytes] = []

    def __call__(self, exchange: bad.Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n")
        sent = 0
        while True:
            for event in self.pending[sent:]:
                exchange.send(event)
                sent += 1
            exchange.send(b": still here\n\n")  # which finds out that the client has gone
            exchange.pause(1 / 50)


def hint(kind: str, etag: str) -> bytes:
    inner = json.dumps({"type": kind, "etag": etag, "lastModified": 4102444800000})
    return f"data: {json.dumps({'data': inner})}\n\n".encode()


@every_loop
def test_an_event_brings_the_change_at_once(loop: str) -> None:
    channel = Channel()

    async def scenario(server: Server) -> None:
        server.otherwise = conditional(telling(1, server.origin), '"1"')
        async with pyflagwasm.open(source(server.url, interval=NEVER, events="auto")) as flags:
            assert await flags.value("v", {"user_id": "u"}, default="") == "v1"
            await server.requested(1, "/events")
            # To a ping and to old news nobody listens: the next request is for the news behind them.
            channel.pending += [hint("ping", '"2"'), hint("refetchConfig", '"1"')]
            server.otherwise = conditional(telling(2, server.origin), '"2"')
            channel.pending += [hint("refetchConfig", '"2"')]
            told = time.monotonic()
            await until(flags, lambda: flags.generation == 2)
            assert time.monotonic() - told < SLACK
            assert await flags.value("v", {"user_id": "u"}, default="") == "v2"
            assert len(server.targets()) == 2
            assert flags.statistics().state is State.READY

    with Server() as server:
        server.paths["/events"] = channel
        run_on(loop, scenario, server)
        assert server.wait_until_closed()


@every_loop
def test_a_silent_stream_does_not_hold_up_polling(loop: str) -> None:
    async def scenario(server: Server) -> None:
        server.otherwise = conditional(telling(1, server.origin), '"1"')
        async with pyflagwasm.open(source(server.url, interval=1 / 5, events="auto", events_idle=60.0)) as flags:
            await server.requested(1, "/events")
            server.otherwise = conditional(telling(2, server.origin), '"2"')
            changed = time.monotonic()
            await until(flags, lambda: flags.generation == 2)
            assert time.monotonic() - changed < 0.2 * 1.1 + SLACK
            assert flags.statistics().state is State.READY
            assert len(server.targets("/events")) == 1

    with Server() as server:
        server.paths["/events"] = stream()
        run_on(loop, scenario, server)
        assert server.wait_until_closed()
