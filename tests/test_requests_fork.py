"""Requests in forked workers, where nobody evaluates but on what is pinned: they follow the source all the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import children
import pytest
from children import ME, SOURCES, Child, on, put
from evaluators import closed, opened
from loops import every_loop

from pyflagwasm import FlagEvaluator
from pyflagwasm.integrations.requests import RequestFlags

pytestmark = children.forks


async def requested(flags: FlagEvaluator) -> str:
    with RequestFlags(flags, ME) as own:
        return own.value("flag-1", "")


async def requested_in_a_thread(flags: FlagEvaluator) -> str:
    with RequestFlags(flags, ME) as own:
        return await anyio.to_thread.run_sync(own.value, "flag-1", "")


async def pinned(flags: FlagEvaluator) -> str:
    async with flags.pin() as pin:
        return await pin.value("flag-1", ME, default="")


async def leased(flags: FlagEvaluator) -> str:
    async with flags.lease() as lease:
        return await lease.value("flag-1", ME, default="")


@pytest.mark.parametrize("way", [requested, requested_in_a_thread, pinned, leased])
@every_loop
def test_a_worker_follows_its_source(loop: str, way: Callable[[FlagEvaluator], Awaitable[str]], tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    put(path, "a")
    flags = opened(SOURCES["function"](path))

    async def main() -> None:
        assert await way(flags) == "a"
        put(path, "b")
        with anyio.fail_after(5):
            while await way(flags) != "b":  # noqa: ASYNC110
                await anyio.sleep(1 / 100)
        await flags.aclose()

    Child(on, loop, main).join()
    closed(flags)
