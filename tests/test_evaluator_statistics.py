"""An evaluator with sources of every kind: how it follows them, and what it tells of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from http_sources import SOON, source
from loops import every_loop, run_on
from misbehaving_server import Server, answer, conditional
from pools import versioned
from test_evaluator_sources import until, version_of, warnings

import pyflagwasm
from pyflagwasm.sources.base import Document, Sink, Source
from pyflagwasm.sources.file import FileSource
from pyflagwasm.types import State

# ---------------------------------------------------------------- other sources, life, statistics


@every_loop
def test_a_file_that_changes(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(versioned(1))

    async def scenario() -> None:
        async with pyflagwasm.open(FileSource(path, poll=SOON)) as flags:
            assert version_of(flags) == "v1-1"
            for version in (2, 3):
                path.write_bytes(versioned(version))
                await until(flags, lambda expected=f"v{version}-1": version_of(flags) == expected)  # type: ignore[misc]
            path.unlink()
            await until(flags, lambda: flags.statistics().state is State.STALE)
            assert flags.statistics().source.cause == "cannot be read: No such file or directory"  # type: ignore[union-attr]
            assert version_of(flags) == "v3-1"

    run_on(loop, scenario)


@every_loop
def test_functions_and_iterators_are_sources(loop: str) -> None:
    go_on: list[anyio.Event] = []

    async def deliver() -> AsyncIterator[bytes | None]:
        yield versioned(1)
        await go_on[0].wait()
        yield versioned(2)

    async def scenario() -> None:
        go_on[:] = [anyio.Event()]
        async with pyflagwasm.open(deliver()) as flags:
            assert version_of(flags) == "v1-1"
            go_on[0].set()
            await until(flags, lambda: version_of(flags) == "v2-1")
            assert flags.statistics().state is State.READY  # although it has ended
        async with pyflagwasm.open(lambda: versioned(4)) as flags:
            assert version_of(flags) == "v4-1"
            assert flags.statistics().source.name == "<lambda>"  # type: ignore[union-attr]

    run_on(loop, scenario)


def test_a_source_that_raises_is_stale_and_run_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pyflagwasm.background._FIRST_PAUSE", SOON)

    class Raising(Source):
        name = "raising"
        runs = 0

        async def run(self, sink: Sink) -> None:
            self.runs += 1
            await sink.offer(Document(versioned(1), self.name))
            if self.runs < 3:
                raise ImportError("it needs something")

    async def scenario() -> None:
        given = Raising()
        async with pyflagwasm.open(given) as flags:
            await until(flags, lambda: flags.statistics().state is State.STALE)
            assert flags.statistics().source.cause == "ImportError: it needs something"  # type: ignore[union-attr]
            await until(flags, lambda: given.runs == 3 and flags.statistics().state is State.READY)
            assert version_of(flags) == "v1-1"
            assert flags.statistics().source.accepted == 3  # type: ignore[union-attr]

    run_on("asyncio", scenario)
    assert set(warnings(caplog)) == {
        "the source raising: ImportError: it needs something; the last good configuration goes on"
    }


@every_loop
def test_a_source_goes_on_after_a_reload(loop: str) -> None:
    async def scenario(server: Server) -> None:
        async with pyflagwasm.open(source(server.url)) as flags:
            await flags.reload(versioned(7))
            assert version_of(flags) == "v7-1"
            server.otherwise = conditional(versioned(2), '"2"')
            await until(flags, lambda: version_of(flags) == "v2-1")
            assert (flags.generation, flags.statistics().swaps) == (3, 3)

    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        run_on(loop, scenario, server)


def test_statistics_of_a_source_and_the_word_of_its_healing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pyflagwasm")

    async def scenario(server: Server) -> None:
        async with pyflagwasm.open(source(server.url), size=3) as flags:
            await until(flags, lambda: flags.statistics().source.age is not None)  # type: ignore[union-attr]
            server.otherwise = answer(status=503)
            await until(flags, lambda: flags.statistics().source.failed >= 3)  # type: ignore[union-attr]
            server.otherwise = conditional(versioned(1), '"1"')  # as it was
            await until(flags, lambda: flags.statistics().source.healthy)  # type: ignore[union-attr]
            statistics = flags.statistics()
            assert (statistics.generation, statistics.flags, statistics.swaps) == (1, 4, 1)
            assert (statistics.pool.size, statistics.pool.idle, statistics.pool.missing) == (3, 3, 0)
            assert statistics.source is not None
            assert (statistics.source.name, statistics.source.accepted, statistics.source.refused) == (server.url, 1, 0)
            assert statistics.source.age is not None
            assert 0 <= statistics.source.age < 10
            assert statistics.exposures is None

    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        run_on("asyncio", scenario, server)
        texts = [r.getMessage() for r in caplog.records if r.name == "pyflagwasm"]
        assert texts == [
            f"generation 1 of {server.url} is live",
            f"the source {server.url}: HTTP 503 Service Unavailable; the last good configuration goes on",
            f"the source {server.url} is well again",
        ]


def test_an_evaluator_without_a_source_has_no_statistics_of_one() -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(versioned(1)) as flags:
            assert flags.statistics().source is None
            assert flags.statistics().state is State.READY

    run_on("asyncio", scenario)
