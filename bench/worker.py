"""The process that measures one host: `python -m bench.worker HOST`, started by hosts.py. Prints a result, no table."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

from pyflagwasm.runtime.instance import Instance

from . import children, lifecycle, subjects
from .lifecycle import Fact
from .measure import Rounds, Row, WrongAnswer
from .scenarios import people


def chosen(name: str, names: Sequence[str]) -> bool:
    return not names or name.startswith(tuple(names))


async def timed(host: str, names: Sequence[str], rounds: int) -> tuple[list[Row], float, int]:
    """Rows, what the clock costs in nanoseconds, and how many subjects there were. No rounds: answers only."""
    async with AsyncExitStack() as stack:
        everything = await subjects.everything(stack, host)
        picked = everything[:2] + [one for one in everything[2:] if chosen(one.name, names)]
        measured = Rounds(picked, people())
        if not rounds:
            await measured.verify()
            return [], 0.0, len(picked)
        await measured.measure(rounds)
        return measured.rows(host), measured.clock_ns(), len(picked)


def observed(host: str, names: Sequence[str], rounds: int) -> list[Fact]:
    """The facts of lifecycle.py; with no rounds the least of each, for its answers."""
    seconds, phases = (0.3, 1) if not rounds else (1.0, 3 if rounds > 4 else 1)
    sources: tuple[tuple[str, Callable[[], list[Fact]]], ...] = (
        ("start/", lambda: lifecycle.startup(host, min(rounds, 7))),
        ("memory/", lambda: lifecycle.memory(host, 200_000 if rounds else 2000)),
        ("swap/", lambda: lifecycle.swapping(host, seconds, phases)),
    )
    return [fact for prefix, source in sources if _wanted(prefix, names) for fact in source()]


def _wanted(prefix: str, names: Sequence[str]) -> bool:
    return not names or any(name.startswith(prefix) or prefix.startswith(name) for name in names)


def measured(host: str, names: Sequence[str], rounds: int, *, observe: bool) -> dict[str, Any]:
    with_host = Instance()
    with_host.close()
    if with_host.host != host:
        raise WrongAnswer(f"the {host} host was asked for, and {with_host.host} is used")
    rows, clock, count = asyncio.run(timed(host, names, rounds))
    facts = observed(host, names, rounds) if observe else []
    return {
        "host": host,
        "clock_ns": clock,
        "subjects": count,
        "rows": [asdict(row) for row in rows],
        "facts": [asdict(fact) for fact in facts],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.worker")
    parser.add_argument("host")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--rounds", type=int, default=15, help="0 verifies the answers only")
    parser.add_argument("--timed-only", action="store_true", help="without the facts of lifecycle.py")
    options = parser.parse_args()
    try:
        found = measured(options.host, options.names, options.rounds, observe=not options.timed_only)
    except WrongAnswer as error:
        raise SystemExit(f"bench: {error}") from None
    children.give(found)


if __name__ == "__main__":
    children.lead(main)
