"""What is observed rather than timed call by call: start, memory, and evaluations while configurations are swapped."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import sys
import time
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.config.compile import CompiledConfig
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

from . import children, figures
from .measure import WrongAnswer
from .scenarios import TARGET, document, user
from .subjects import NOW_US, compiled, is_split

INSTANCES: Final = 24
CALLS_PER_TURN: Final = 20
SWAP_EVERY: Final = 0.25
PATIENCE: Final = 20.0
_PROGRAMS: Final = {
    "nothing": "pass",
    "import-wasmtime": "import wasmtime",
    "import": "import pyflagwasm.evaluator",
    "first-value": (
        "import asyncio, pyflagwasm\n"
        "async def main():\n"
        "    async with pyflagwasm.open('example:flagd') as flags:\n"
        "        given = await flags.value('pre-orders', {'targetingKey': 'user-7', 'city': 'Ghent'}, default=False)\n"
        "        assert given is True, given\n"
        "asyncio.run(main())"
    ),
}


@dataclass(frozen=True)
class Fact:
    """One observed number."""

    name: str
    host: str
    value: float
    unit: str
    note: str = ""


def startup(host: str, runs: int) -> list[Fact]:
    """Whole processes, net of one that does nothing: `import wasmtime`, our import, and a first value."""
    times: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for number in range(runs + 1):
        for name, program in _PROGRAMS.items():
            begun = time.perf_counter()
            children.output([sys.executable, "-c", program], 60, {"PYFLAGWASM_HOST": host})
            if number or not runs:  # the first of each fills the file cache
                times[name].append(time.perf_counter() - begun)
    empty = figures.median(times.pop("nothing"))
    net = {name: figures.median(found) - empty for name, found in times.items()}
    return [
        Fact("start/import-wasmtime", host, net["import-wasmtime"] * 1e3, "ms", "net of an empty process"),
        Fact("start/import", host, net["import"] * 1e3, "ms", "the evaluator's modules"),
        Fact("start/first-value", host, net["first-value"] * 1e3, "ms", "import, open, a first awaited value"),
        Fact("start/first-value-ratio", host, net["first-value"] / net["import-wasmtime"], "x", "to import wasmtime"),
    ]


# ---------------------------------------------------------------- memory


def resident() -> int:
    """Bytes of this process in memory; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _loaded(config: CompiledConfig, generations: int = 1) -> Instance:
    instance = Instance()
    for _ in range(generations):
        instance.load(config.ir, config.digest)
    return instance


async def _linear(flags: int) -> float:
    """Bytes of linear memory of an instance of a pool that has swapped once, as the pool tells it."""
    async with pyflagwasm.open(document(flags)) as evaluator:
        await evaluator.reload(document(flags, "again"))
        evaluator.value_nowait(TARGET, user(), "")
        pool = evaluator.statistics().pool
        return pool.memory / pool.idle


def memory(host: str, evaluations: int) -> list[Fact]:
    """What an instance takes, at 50 and at 1,000 flags, and whether evaluations leave its memory as it was."""
    found = [Fact("memory/core.wasm", host, files("pyflagwasm").joinpath("core.wasm").stat().st_size / 1024, "KiB")]  # type: ignore[attr-defined]
    for flags in (50, 1000):
        config = compiled(flags)
        first = _loaded(config)  # what the first one builds for all is not counted
        gc.collect()
        before = resident()
        instances = [_loaded(config, 2) for _ in range(INSTANCES)]
        grown = (resident() - before) / INSTANCES / 1024
        note = "growth of the process; two generations loaded"
        found += [
            Fact(f"memory/resident-{flags}", host, grown, "KiB", note),
            Fact(f"memory/linear-{flags}", host, asyncio.run(_linear(flags)) / 1024, "KiB", "by statistics()"),
        ]
        for instance in (first, *instances):
            instance.close()
    found.append(Fact("memory/changed", host, changed(evaluations), "bytes", f"after {evaluations:,} evaluations"))
    return found


def changed(evaluations: int) -> int:
    """By how many bytes the linear memory is another one after so many evaluations than before."""
    config = compiled(50)
    instance = _loaded(config)
    encoder, flag = Encoder(config), config.flags[TARGET]
    contexts = [user(number) for number in range(100)]

    def evaluate(number: int) -> None:
        encoder.encode(contexts[number % 100], flag.slots, instance.scratch, NOW_US)
        if instance.evaluate(flag.index) & 0xFFFF > 3:
            raise WrongAnswer("memory: a decision that W1 does not have")

    def look() -> bytes:
        with instance._guest.memory() as view:
            return bytes(view)

    for number in range(101):
        evaluate(number)
    before = look()
    for number in range(evaluations):
        evaluate(number)
    evaluate(100)
    after = look()
    instance.close()
    if hashlib.sha256(before).digest() == hashlib.sha256(after).digest():
        return 0
    return abs(len(after) - len(before)) + sum(a != b for a, b in zip(before, after, strict=False))


# ---------------------------------------------------------------- swaps


@dataclass
class Phase:
    """Nanoseconds of single evaluations, and of turns of the loop: how long it was not back at a task that yields."""

    calls: list[int]
    turns: list[int]


async def _evaluate(flags: FlagEvaluator, seconds: float, phase: Phase, swaps: int = 0) -> None:
    """For so many seconds, and until there have been so many swaps, but not for long."""
    clock, number, started = time.perf_counter_ns, 0, time.perf_counter()
    until, last = started + seconds, started + seconds + PATIENCE
    while (now := time.perf_counter()) < until or (now < last and flags.statistics().swaps < swaps):
        for _ in range(CALLS_PER_TURN):
            number += 1
            context = user(number % 4096)
            begun = clock()
            value = await flags.value(TARGET, context, default="")
            phase.calls.append(clock() - begun)
            if not is_split(value):
                raise WrongAnswer(f"swap: {value!r}")
        begun = clock()
        await asyncio.sleep(0)
        phase.turns.append(clock() - begun)


async def _swap(flags: FlagEvaluator, texts: list[dict[str, Any]]) -> None:
    number = 0
    while True:
        number += 1
        await flags.reload(texts[number % 2])
        await asyncio.sleep(SWAP_EVERY)


def swapping(host: str, seconds: float, phases: int) -> list[Fact]:
    """A busy loop that evaluates all the time, quiet and with swaps of 1,000 flags, in turn."""
    quiet, busy = Phase([], []), Phase([], [])
    texts = [document(1000, mark) for mark in "ab"]
    swaps = 0

    async def main() -> int:
        async with pyflagwasm.open(texts[0]) as flags:
            await _evaluate(flags, seconds / 4, Phase([], []))
            for _ in range(phases):
                await _evaluate(flags, seconds, quiet)
                before = flags.statistics().swaps
                swapper = asyncio.ensure_future(_swap(flags, texts))
                try:
                    await _evaluate(flags, seconds, busy, before + 1)
                    nonlocal swaps
                    swaps += flags.statistics().swaps - before
                finally:
                    swapper.cancel()
                    await asyncio.gather(swapper, return_exceptions=True)
            return swaps

    if not asyncio.run(main()):
        raise WrongAnswer("swap: none was made")
    return _swap_facts(host, quiet, busy, swaps)


def _swap_facts(host: str, quiet: Phase, busy: Phase, swaps: int) -> list[Fact]:
    def at(values: list[int], q: float) -> float:
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] / 1e3

    found = [
        Fact("swap/p99-ratio", host, at(busy.calls, 0.99) / at(quiet.calls, 0.99), "x", "with swaps to without"),
    ]
    for name, phase in (("quiet", quiet), ("swaps", busy)):
        note = "no swap" if phase is quiet else f"{swaps} swaps of 1,000 flags, compiled meanwhile"
        found += [
            Fact(f"swap/p50-{name}", host, at(phase.calls, 0.5), "us", f"awaited W1, {note}"),
            Fact(f"swap/p99-{name}", host, at(phase.calls, 0.99), "us"),
            Fact(f"swap/p99.9-{name}", host, at(phase.calls, 0.999), "us"),
            Fact(f"swap/turn-p99-{name}", host, at(phase.turns, 0.99), "us", "until the loop is back at a task"),
            Fact(
                f"swap/turn-most-{name}",
                host,
                max(phase.turns) / 1e3,
                "us",
                f"longest of {len(phase.turns):,} turns",
            ),
        ]
    return found
