"""An evaluator with a source: what answers until it delivers, readiness, the last-known-good file, what it tells."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import misbehaving_server as bad
import pytest
from http_sources import NEVER, source
from loops import every_loop, run_on
from misbehaving_server import Server, answer, conditional
from pools import ME, versioned

import pyflagwasm
from pyflagwasm import ErrorCode, FlagEvaluator
from pyflagwasm.pool.waiting import wait_in_task
from pyflagwasm.sources.base import Sink, Source
from pyflagwasm.sources.file import FileSource
from pyflagwasm.sources.given import CallableSource
from pyflagwasm.types import State


async def until(flags: FlagEvaluator, condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for what the evaluator's source does to make the condition true."""
    with anyio.fail_after(seconds):
        while not condition():
            again = lambda: flags._tell_news() if condition() else None  # noqa: E731
            await wait_in_task(flags._news, again, lambda news: None, seconds)


class Silent(Source):
    """Never says anything."""

    name = "silent"

    async def run(self, sink: Sink) -> None:
        await anyio.sleep_forever()


def version_of(flags: FlagEvaluator) -> str:
    value: str = flags.value_nowait("flag-1", ME, default="default")
    return value


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "pyflagwasm" and r.levelno >= logging.WARNING]


# ---------------------------------------------------------------- opening


def test_opening_needs_no_loop_and_starts_nothing(tmp_path: Path) -> None:
    threads = threading.active_count()
    started: list[object] = []

    class Given(Source):
        name = "given"

        async def run(self, sink: Sink) -> None:
            started.append(sink)

    async def deliver() -> AsyncIterator[bytes]:
        started.append(deliver)
        yield b"{}"

    def asked() -> bytes:
        started.append(asked)
        return b"{}"

    with Server() as server:
        for each in (Given(), deliver(), asked, source(server.url), FileSource(tmp_path / "flags.json")):
            flags = pyflagwasm.open(each, last_known_good=tmp_path / "good", bundled=versioned(1))
            assert flags.statistics().state is State.NOT_READY
            assert flags.details_nowait("flag-1", ME, "").error_code is ErrorCode.PROVIDER_NOT_READY
        assert server.requests == []
        assert server.most_at_once == 0
    assert threading.active_count() <= threads  # one of an earlier test may have ended
    assert started == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["bundled", "last_known_good"])
def test_options_that_go_with_a_source(option: str) -> None:
    with pytest.raises(ValueError, match="go with a Source"):
        pyflagwasm.open(versioned(1), **{option: "flags.json"})


@every_loop
def test_the_bundled_one_answers_while_the_server_hangs(loop: str) -> None:
    async def scenario(server: Server) -> None:
        began = time.monotonic()
        async with pyflagwasm.open(source(server.url, timeout=30), bundled=versioned(1), start_timeout=20) as flags:
            assert await flags.value("flag-1", ME, default="default") == "v1-1"
            assert time.monotonic() - began < 10
            statistics = flags.statistics()
            assert statistics.state is State.READY  # nothing is known to be wrong yet
            assert statistics.source is not None
            assert (statistics.source.age, statistics.source.healthy, statistics.source.cause) == (None, False, None)
            await server.requested(1)
            assert version_of(flags) == "v1-1"

    with Server(otherwise=bad.stall) as server:
        run_on(loop, scenario, server)
        assert server.wait_until_closed()


def test_a_bundled_one_that_cannot_be_used_is_raised() -> None:
    async def scenario() -> None:
        flags = pyflagwasm.open(CallableSource(lambda: versioned(2)), bundled=b"{")
        with pytest.raises(pyflagwasm.ConfigError):
            await flags.__aenter__()
        assert flags.statistics().state is State.NOT_READY

    run_on("asyncio", scenario)


def _cause(flags: FlagEvaluator) -> str | None:
    source = flags.statistics().source
    return source.cause if source else None


@every_loop
def test_without_anything_it_waits_and_becomes_ready_by_itself(loop: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        began = time.monotonic()
        async with pyflagwasm.open(source(server.url), start_timeout=0.3) as flags:
            assert 0.3 <= time.monotonic() - began < 10
            details = await flags.details("flag-1", ME, "mine")
            assert (details.value, details.error_code) == ("mine", ErrorCode.PROVIDER_NOT_READY)
            statistics = flags.statistics()
            assert (statistics.state, statistics.generation, statistics.flags) == (State.NOT_READY, 0, 0)
            assert await flags.ready(0.01) is False
            await until(flags, lambda: _cause(flags) == "HTTP 500 Internal Server Error")
            ready: list[bool] = []

            async def wait() -> None:
                ready.append(await flags.ready(20))

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wait)
                server.otherwise = conditional(versioned(1), '"1"')
            assert ready == [True] * 3
            assert await flags.value("flag-1", ME, default="mine") == "v1-1"
            await until(flags, lambda: flags.statistics().state is State.READY)
        assert flags.statistics().state is State.CLOSED

    with Server(otherwise=answer(status=500)) as server:
        run_on(loop, scenario, server)
    source_fails, flag_is_not_ready = warnings(caplog)
    assert "HTTP 500" in source_fails
    assert flag_is_not_ready.endswith("no configuration is loaded: no source has delivered one yet")


@every_loop
def test_entering_ends_as_soon_as_something_is_live(loop: str) -> None:
    async def scenario(server: Server) -> None:
        began = time.monotonic()
        async with pyflagwasm.open(source(server.url, interval=NEVER), start_timeout=60) as flags:
            assert time.monotonic() - began < 20
            assert version_of(flags) == "v1-1"
            assert await flags.ready(0) is True

    with Server(otherwise=answer(versioned(1))) as server:
        run_on(loop, scenario, server)


@every_loop
def test_ready_of_one_that_is_closed_is_false_at_once(loop: str) -> None:
    async def scenario() -> None:
        flags = pyflagwasm.open(Silent(), start_timeout=0)
        answers: list[bool] = []

        async def wait() -> None:
            answers.append(await flags.ready(30))

        await flags.__aenter__()
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await flags.aclose()
        assert answers == [False]
        assert await flags.ready(30) is False

    run_on(loop, scenario)


def test_ready_hears_of_what_happens_before_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread, in the moment in which it joins those who wait."""

    async def scenario() -> None:
        flags = pyflagwasm.open(Silent(), start_timeout=0)
        await flags.__aenter__()
        join = type(flags._news).join

        def late(queue: Any, waiter: Any) -> bool:
            monkeypatch.undo()
            flags._closing = True
            flags._pool.close()
            flags._news.close()
            return join(queue, waiter)

        monkeypatch.setattr(type(flags._news), "join", late)
        with anyio.fail_after(10):
            assert await flags.ready(50) is False
        flags._closing = False
        await flags.aclose()

    run_on("asyncio", scenario)


# ---------------------------------------------------------------- the last-known-good file


async def served_once(server: Server, path: Path, version: int) -> None:
    """A run that gets this version from the server."""
    server.otherwise = conditional(versioned(version), f'"{version}"')
    async with pyflagwasm.open(source(server.url), bundled=versioned(1), last_known_good=path) as flags:
        await until(flags, lambda: version_of(flags) == f"v{version}-1" and path.exists())


@every_loop
def test_it_starts_from_what_was_good_last(loop: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "good"

    async def scenario(server: Server) -> None:
        await served_once(server, path, 2)
        with server.down():
            async with pyflagwasm.open(source(server.url), bundled=versioned(1), last_known_good=path) as flags:
                assert await flags.value("flag-1", ME, default="default") == "v2-1"
                await until(flags, lambda: flags.statistics().state is State.STALE)
                assert version_of(flags) == "v2-1"
            caplog.clear()
            data = path.read_bytes()
            path.write_bytes(data[:-9] + b"?" + data[-8:])
            async with pyflagwasm.open(source(server.url), bundled=versioned(1), last_known_good=path) as flags:
                assert await flags.value("flag-1", ME, default="default") == "v1-1"
            damaged = [text for text in warnings(caplog) if "left aside" in text]
            assert damaged == [
                f"the last known good configuration is left aside: {path}: $: the last-known-good file is damaged: "
                "its hash does not fit"
            ]
        await served_once(server, path, 3)  # which repairs the file
        with server.down():
            async with pyflagwasm.open(source(server.url), last_known_good=path, start_timeout=0) as flags:
                assert version_of(flags) == "v3-1"

    with Server() as server:
        run_on(loop, scenario, server)


def test_what_is_bundled_and_delivered_is_kept_as_well(tmp_path: Path) -> None:
    path = tmp_path / "good"

    async def scenario(server: Server) -> None:
        await served_once(server, path, 1)  # the same bytes: nothing is swapped
        with server.down():
            async with pyflagwasm.open(source(server.url), bundled=versioned(0), last_known_good=path) as flags:
                assert version_of(flags) == "v1-1"

    with Server() as server:
        run_on("asyncio", scenario, server)


def test_a_document_that_is_refused_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "good"

    async def scenario(server: Server) -> None:
        await served_once(server, path, 2)
        before = path.read_bytes()
        server.otherwise = answer(b'{"flags": 5}')
        async with pyflagwasm.open(source(server.url), last_known_good=path) as flags:
            await until(flags, lambda: flags.statistics().state is State.STALE)
            assert version_of(flags) == "v2-1"
        assert path.read_bytes() == before

    with Server() as server:
        run_on("asyncio", scenario, server)


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server) -> None:
        path = tmp_path / "missing" / "good"
        async with pyflagwasm.open(source(server.url), last_known_good=path) as flags:
            await until(flags, lambda: flags.statistics().source.accepted >= 1)  # type: ignore[union-attr]
            assert flags.statistics().state is State.READY

    with Server(otherwise=answer(versioned(1))) as server:
        run_on("asyncio", scenario, server)
    assert [text.partition(":")[0] for text in warnings(caplog)] == ["the last known good configuration cannot be kept"]


def test_a_file_of_another_format_is_left_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "good"

    async def scenario(server: Server) -> None:
        await served_once(server, path, 2)
        with server.down():
            options: dict[str, Any] = {"bundled": versioned(1), "last_known_good": path, "format": "flagd"}
            async with pyflagwasm.open(source(server.url), **options) as flags:
                assert version_of(flags) == "v1-1"

    with Server() as server:
        run_on("asyncio", scenario, server)
    assert any("it was kept as auto, not flagd" in text for text in warnings(caplog))
