"""The load generator: `python -m bench.servers.load PORT`, a process of its own. Knows HTTP/1.1 and no flags.

Several connections, each with one request at a time on keep-alive. It reads the targets and the bodies that they must
give as JSON from stdin, compares every body, and stops by itself after so many requests or seconds. Loopback only.
With a rate, requests are due at fixed times, and a latency begins when the request was due, not when it was sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .. import children

HOST: Final = "127.0.0.1"
MOST_REQUESTS: Final = 500_000
MOST_SECONDS: Final = 60.0
TIMER: Final = 0.002
"""How late a timer of the event loop may be: for so long before a request is due, the loop turns without a pause."""

_END: Final = b"\r\n\r\n"


class BadResponse(Exception):
    """What came back is no answer of status 200 with a length."""


def response_length(head: bytes) -> int:
    """The body's length by the head of a response, without its last empty line. Raises BadResponse."""
    status, _, rest = head.partition(b"\r\n")
    parts = status.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.1") or parts[1] != b"200":
        raise BadResponse(f"{status!r:.100}")
    for line in rest.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise BadResponse("no content-length")


@dataclass
class Load:
    """Requests to be made, and what came of them. Latencies in nanoseconds; `wrong` counts bodies that differ."""

    requests: int
    seconds: float
    rate: float = 0.0
    sent: int = 0
    latencies: list[int] = field(default_factory=list)
    wrong: int = 0
    sample: str = ""
    until: float = 0.0

    def more(self) -> bool:
        return self.sent < self.requests and time.perf_counter() < self.until

    async def due(self, begun: float, number: int) -> int:
        """Wait until the request of this number is due; when that was, in nanoseconds. Without a rate that is now."""
        if self.rate:
            moment = begun + number / self.rate
            early = moment - time.perf_counter() - TIMER
            if early > 0:
                await asyncio.sleep(early)
            while time.perf_counter() < moment:  # noqa: ASYNC110
                await asyncio.sleep(0)
            return int(moment * 1e9)
        return time.perf_counter_ns()


async def _connection(port: int, targets: Sequence[tuple[str, str]], start: int, load: Load) -> None:
    reader, writer = await asyncio.open_connection(HOST, port)
    requests = [(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(), body.encode()) for path, body in targets]
    begun = time.perf_counter()
    try:
        while load.more():
            number = load.sent
            load.sent += 1
            request, body = requests[(start + number) % len(requests)]
            due = await load.due(begun, number)
            writer.write(request)
            head = await reader.readuntil(_END)
            found = await reader.readexactly(response_length(head[: -len(_END)]))
            load.latencies.append(time.perf_counter_ns() - due)
            if found != body:
                load.wrong += 1
                load.sample = load.sample or f"{found!r:.120} instead of {body!r:.120}"
    finally:
        writer.close()


async def loaded(port: int, targets: Sequence[tuple[str, str]], load: Load, connections: int) -> dict[str, Any]:
    """Send the load; how it went, and with a rate each latency in microseconds."""
    begun = time.perf_counter()
    load.until = begun + load.seconds
    async with asyncio.timeout(load.seconds + 30), asyncio.TaskGroup() as group:
        for place in range(connections):
            group.create_task(_connection(port, targets, place * 7, load))
    spent = time.perf_counter() - begun
    answered = len(load.latencies)
    found = {"requests": answered, "per_second": answered / spent, "wrong": load.wrong, "sample": load.sample}
    return {**found, "latencies": [one / 1e3 for one in load.latencies] if load.rate else []}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers.load")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second; 0 sends as fast as answers come")
    options = parser.parse_args()
    targets = [(str(path), str(body)) for path, body in json.load(sys.stdin)]
    load = Load(min(options.requests, MOST_REQUESTS), min(options.seconds, MOST_SECONDS), max(0.0, options.rate))
    children.give(asyncio.run(loaded(options.port, targets, load, max(1, min(64, options.connections)))))


if __name__ == "__main__":
    children.lead(main)
