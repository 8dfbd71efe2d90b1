"""The end of an evaluator while others wait, evaluate and reload; and its way from one loop to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from http_sources import source
from loops import every_loop, run_on
from misbehaving_server import Server, conditional
from pools import ME, versioned
from test_evaluator_closing import not_ready, tasks
from test_evaluator_sources import until, version_of

import pyflagwasm
from pyflagwasm import PoolClosedError

# ---------------------------------------------------------------- while others wait


@every_loop
def test_a_hundred_who_wait_are_sent_away(loop: str) -> None:
    async def scenario() -> None:
        given: list[Any] = []

        async def ask(strict: bool) -> None:
            try:
                given.append(await flags.value("flag-1", ME, default="mine", strict=strict))
            except PoolClosedError as error:
                given.append(str(error))

        flags = pyflagwasm.open(versioned(1), size=1, timeout=30)
        before = tasks()
        await flags.__aenter__()
        async with flags.lease() as leased:
            async with anyio.create_task_group() as group:
                for i in range(100):
                    group.start_soon(ask, bool(i % 2))
                await anyio.wait_all_tasks_blocked()
                assert flags.statistics().pool.waiting == 100
                await flags.aclose()
            assert sorted(given) == ["mine"] * 50 + ["the evaluator is closed"] * 50
            assert flags.statistics().pool.waiting == 0
            # What is leased stays so until the end of its block.
            assert await leased.value("flag-1", ME, default="mine") == "v1-1"
        assert tasks() == before
        assert not_ready(flags)

    run_on(loop, scenario)


@every_loop
def test_closing_in_the_middle_of_reloads_and_evaluations(loop: str) -> None:
    async def scenario() -> None:
        answers: set[str] = set()
        third = anyio.Event()

        async def evaluate() -> None:
            while True:
                answers.add(await flags.value("flag-1", ME, default="mine"))
                if "mine" in answers:
                    return
                await anyio.sleep(1 / 1000)

        async def reload() -> None:
            for version in range(2, 10_000):
                try:
                    await flags.reload(versioned(version % 3, 400))
                except PoolClosedError:
                    return
                if version == 4:
                    third.set()

        async with pyflagwasm.open(versioned(1)) as flags, anyio.create_task_group() as group:
            group.start_soon(evaluate)
            group.start_soon(reload)
            await third.wait()
            await flags.aclose()
        assert answers <= {"v0-1", "v1-1", "v2-1", "mine"}
        assert not_ready(flags)

    run_on(loop, scenario)


@every_loop
def test_closing_while_a_document_is_taken(loop: str, tmp_path: Path) -> None:
    """It is large, so a thread is at it when the evaluator closes; then nothing goes live."""

    async def scenario(server: Server) -> None:
        for _ in range(5):
            flags = pyflagwasm.open(source(server.url), start_timeout=0, last_known_good=tmp_path / "good")
            async with flags:
                await server.requested(len(server.requests) + 1)
            assert not_ready(flags)

    with Server(otherwise=conditional(versioned(1, 3_000), '"1"')) as server:
        run_on(loop, scenario, server)
        assert server.wait_until_closed(5)


@every_loop
def test_the_same_evaluator_on_one_loop_after_the_other(loop: str) -> None:
    async def again(version: int) -> None:
        assert await flags.value("flag-1", ME, default="mine") == f"v{version}-1"  # which wakes the source
        server.otherwise = conditional(versioned(version + 1), f'"{version + 1}"')
        await until(flags, lambda: version_of(flags) == f"v{version + 1}-1")

    with Server(otherwise=conditional(versioned(1), '"1"')) as server:
        flags = pyflagwasm.open(source(server.url))
        run_on(loop, flags.__aenter__)
        for version in range(1, 4):
            run_on(loop, again, version)
        run_on(loop, flags.aclose)
        assert server.wait_until_closed(5)
