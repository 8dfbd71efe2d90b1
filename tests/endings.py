"""How requests end, over sockets, whatever the framework: they leave no pin, and until then have one configuration.

A framework's test module has handlers that meet the test at the gate, and a class of tests that inherits these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from loops import run_on
from pools import versioned
from web import LOOPS, Gate, ask, asking, released, swapped, until

import pyflagwasm
from pyflagwasm import FlagEvaluator

every_loop = pytest.mark.parametrize("loop", LOOPS)


def serving(handlers_at: Callable[[Gate], Any], start: Callable[..., AbstractAsyncContextManager[int]]) -> Any:
    """`served(loop, scenario)`: runs `scenario(port, flags, handlers)` beside the server; then nothing may be held."""

    def served(loop: str, scenario: Any, **options: Any) -> None:
        async def main() -> None:
            handlers = handlers_at(Gate())
            evaluator = pyflagwasm.open(versioned(1))
            async with start(handlers.app(evaluator), **options) as port:
                await scenario(port, evaluator, handlers)
                await released(evaluator)
            assert evaluator.statistics().state == "CLOSED"

        run_on(loop, main)

    return served


async def both(port: int, flags: FlagEvaluator, gate: Gate, path: str, end: Any) -> tuple[int, str]:
    """Ask for a path, swap while the handler waits, and end its wait in some way; what is answered."""
    answer: list[tuple[int, str]] = []

    async def request() -> None:
        answer.append(await ask(port, path))

    async with anyio.create_task_group() as group:
        group.start_soon(request)
        await swapped(flags, gate)
        end()
    return answer[0]


class Endings:
    """The tests that all frameworks share. served: what `serving` gives."""

    served: Any

    @every_loop
    def test_a_request_over_a_swap(self, loop: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            assert await both(port, flags, handlers.gate, "/waits", handlers.gate.go.set) == (200, "v1-1 v1-1")
            assert await ask(port, "/waits") == (200, "v2-1 v2-1")

        self.served(loop, scenario)

    @every_loop
    def test_a_request_that_times_out(self, loop: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            def end() -> None:
                handlers.gate.noted[0].reschedule(asyncio.get_running_loop().time())

            assert await both(port, flags, handlers.gate, "/times_out", end) == (200, "v1-1 v1-1")

        self.served(loop, scenario)

    @every_loop
    def test_a_handler_that_raises(self, loop: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            status, _ = await both(port, flags, handlers.gate, "/fails", handlers.gate.go.set)
            assert status == 500

        self.served(loop, scenario)

    @every_loop
    def test_a_client_that_is_gone_in_the_middle_of_a_stream(self, loop: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            async with asking(port, "/streams?flood", b"v1-1 "):
                await swapped(flags, handlers.gate)
                handlers.gate.go.set()

        self.served(loop, scenario)

    @every_loop
    def test_a_stream_has_one_configuration(self, loop: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            status, body = await both(port, flags, handlers.gate, "/streams", handlers.gate.go.set)
            assert (status, set(body.split()), len(body.split())) == (200, {"v1-1"}, 1_001)

        self.served(loop, scenario)

    @pytest.mark.parametrize("path", ["/leaves", "/leaves_unasked"])
    @every_loop
    def test_a_task_that_the_request_leaves_behind(self, loop: str, path: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            await ask(port, path)
            await handlers.gate.come.wait()
            await flags.reload(versioned(2))
            await released(flags)
            handlers.gate.go.set()
            await until(lambda: handlers.gate.noted == [("v2-1", "v2-1")])

        self.served(loop, scenario)

    @every_loop
    def test_requests_in_a_storm_of_swaps(self, loop: str) -> None:
        async def scenario(port: int, flags: FlagEvaluator, handlers: Any) -> None:
            answers: list[str] = []

            async def client() -> None:
                for _ in range(25):
                    status, body = await ask(port, "/many")
                    assert status == 200
                    answers.append(body)

            async with anyio.create_task_group() as swaps:

                async def swap() -> None:
                    version = 2
                    while True:
                        await flags.reload(versioned(version))
                        version += 1
                        await anyio.lowlevel.checkpoint()

                swaps.start_soon(swap)
                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(client)
                swaps.cancel_scope.cancel()
            assert [body for body in answers if len(body.split()) != 1] == []
            assert len(answers) == 200
            assert len(set(answers)) > 10

        self.served(loop, scenario)
