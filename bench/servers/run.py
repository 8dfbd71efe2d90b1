"""Starts a server, sends it three loads in turn - no flags, 50 flags, 50 flags with swaps - and compares them.

One process serves all three, so what differs between them is the flags and the swaps. Each load is sent twice: as fast
as answers come, for requests per second and CPU, and at a rate that the server holds with ease, for the latencies.
Every body is compared with what an evaluator of this process gives.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final

from .. import children, figures

APPS: Final = {
    "starlette": (("starlette", "uvicorn", "uvloop"), "Starlette under uvicorn with uvloop"),
    "aiohttp": (("aiohttp", "uvloop"), "aiohttp on uvloop"),
}
LOADS: Final = ("none", "flags", "swaps")
USERS: Final = 64
START_SECONDS: Final = 30.0
PAUSE: Final = 0.1
CONNECTIONS: Final = 8
EASE: Final = 0.2
"""The rate at which latencies are measured, as a share of what the server manages with 50 flags."""


class ServerFailed(Exception):
    """A server did not start, or gave a wrong answer; the message is one line."""


@dataclass
class Served:
    """A load, over all rounds. Times in microseconds; cpu: of the server's process, per request.

    rate: of requests per second, for p50 and what follows; singles: how many latencies those are of.
    """

    app: str
    load: str
    host: str
    per_second: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    requests: int = 0
    swaps: int = 0
    rate: float = 0.0
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    singles: int = 0
    curve: list[tuple[float, float]] = field(default_factory=list)


def missing(app: str) -> list[str]:
    """The packages that a server needs and that are not here."""
    return [name for name in APPS[app][0] if find_spec(name) is None]


def targets() -> dict[str, list[tuple[str, str]]]:
    """The paths of each load, and the body that each must give."""
    from . import work

    async def bodies() -> list[tuple[str, str]]:
        async with work.evaluator() as flags:
            return [(f"/flags?user={number}", work.expected(number, flags)) for number in range(USERS)]

    asked = asyncio.run(bodies())
    if any("0" in body for _, body in asked) or len({body for _, body in asked}) < USERS / 2:
        raise ServerFailed("the expected bodies are not those of W1")
    return {"none": [("/none", work.NONE)], "flags": asked, "swaps": asked}


def _get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as response:
        return str(response.read().decode())


@contextmanager
def running(app: str, host: str) -> Any:
    """A server for a block, as its port."""
    command = [sys.executable, "-m", f"bench.servers.{app}_app"]
    changes = {"PYFLAGWASM_HOST": host}
    with children.started(command, changes, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()  # the server is ended with the block, so this cannot last
        if not line.strip().isdigit():
            raise ServerFailed(f"the {app} server did not start")
        yield int(line)


def _load(port: int, asked: list[tuple[str, str]], requests: int, seconds: float, rate: float = 0) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.servers.load", str(port), "--connections", str(CONNECTIONS)]
    command += ["--requests", str(requests), "--seconds", str(seconds), "--rate", str(rate)]
    with children.started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(json.dumps(asked), timeout=seconds + 60)
    for line in out.splitlines():
        if line.startswith(children.MARK):
            found: dict[str, Any] = json.loads(line.removeprefix(children.MARK))
            if found["wrong"] or not found["requests"]:
                raise ServerFailed(f"{found['wrong']} of {found['requests']} answers are wrong: {found['sample']}")
            return found
    raise ServerFailed("the load generator gave no result")


def served(
    app: str, host: str, *, rounds: int, requests: int, seconds: float, tell: Callable[[str], None] = lambda line: None
) -> list[Served]:
    """All loads on one server, in turn, `rounds` times. Raises ServerFailed."""
    asked = targets()
    found = {load: Served(app, load, host) for load in LOADS}
    latencies: dict[str, list[float]] = {load: [] for load in LOADS}
    with running(app, host) as port:
        _load(port, asked["none"], min(requests, 400), seconds)  # warms up
        held = _load(port, asked["flags"], min(requests, 400), seconds)["per_second"]
        for number in range(rounds):
            for load in LOADS:
                tell(f"{app}, {load}, {number + 1} of {rounds}")
                found[load].rate = held * EASE
                latencies[load] += _one(port, found[load], asked[load], requests, seconds)
    for load, one in found.items():
        ordered = sorted(latencies[load])
        one.p50, one.p99, one.p999 = (figures.quantile(ordered, q) for q in (0.5, 0.99, 0.999))
        one.curve, one.singles = figures.grid(ordered), len(ordered)
    return list(found.values())


def _one(port: int, served: Served, asked: list[tuple[str, str]], requests: int, seconds: float) -> list[float]:
    if served.load == "swaps":
        _get(port, "/swapping/on")
    before = json.loads(_get(port, "/numbers"))
    found = _load(port, asked, requests, seconds)
    after = json.loads(_get(port, "/numbers"))
    eased = _load(port, asked, requests, seconds, served.rate)
    if served.load == "swaps":
        until = time.monotonic() + START_SECONDS
        while (swaps := json.loads(_get(port, "/numbers"))["swaps"]) == before["swaps"]:
            if time.monotonic() > until:
                raise ServerFailed("no swap was made")
            time.sleep(PAUSE)
        _get(port, "/swapping/off")
        served.swaps += swaps - before["swaps"]
    served.per_second.append(found["per_second"])
    served.cpu.append((after["cpu"] - before["cpu"]) / found["requests"] * 1e6)
    served.requests += found["requests"] + eased["requests"]
    return list(eased["latencies"])


def table(everything: list[Served]) -> list[str]:
    """A line for each load, and what 50 flags cost a request: more CPU, and more time between two of them."""
    lines = [
        f"{'server':12} {'load':8} {'host':9} {'requests/s':>10} {'cpu us':>8} {'at rate':>8} {'p50 us':>8} "
        f"{'p99 us':>8} {'p99.9 us':>9}  swaps"
    ]
    for one in everything:
        values = (figures.median(one.per_second), figures.median(one.cpu), one.rate, one.p50, one.p99, one.p999)
        cells = "".join(
            f" {'-':>{width}}" if value is None else f" {value:{width}.0f}"
            for value, width in zip(values, (10, 8, 8, 8, 8, 9), strict=True)
        )
        lines.append(f"{one.app:12} {one.load:8} {one.host:9}{cells}  {one.swaps or ''}")
    for one in everything:
        if one.load == "none" or not one.cpu:
            continue
        base = next(it for it in everything if (it.app, it.host, it.load) == (one.app, one.host, "none"))
        cpu = figures.median([a - b for a, b in zip(one.cpu, base.cpu, strict=True)])
        wall = figures.median([(1 / a - 1 / b) * 1e6 for a, b in zip(one.per_second, base.per_second, strict=True)])
        what = "50 flags" if one.load == "flags" else "50 flags and the swaps"
        lines.append(
            f"{one.app}, {one.host}: {what} cost a request {cpu:.0f} us of CPU, {cpu / 50:.2f} a flag with its context;"
            f" {wall:.0f} us at {CONNECTIONS} connections"
        )
    return lines
