"""Evaluations while configurations are swapped all the time: nobody sees a mixture, a step back, or a default.

Two configurations alternate in which every flag carries the version in its value. The counts are small here; the
environment variables PYFLAGWASM_STORM_SWAPS, PYFLAGWASM_STORM_EVALUATIONS and PYFLAGWASM_STORM_TRAPS raise them.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from typing import Any

import pytest
from evaluators import new_loop
from pools import ME, versioned

import pyflagwasm
from pyflagwasm import FlagEvaluator, GuestTrapError
from pyflagwasm.pool.member import Member

SWAPS = int(os.environ.get("PYFLAGWASM_STORM_SWAPS", "60"))
EVALUATIONS = int(os.environ.get("PYFLAGWASM_STORM_EVALUATIONS", "30000"))
TRAPS = int(os.environ.get("PYFLAGWASM_STORM_TRAPS", "500"))
TASKS, THREADS = 32, int(os.environ.get("PYFLAGWASM_STORM_THREADS", "4"))
FLAGS = int(os.environ.get("PYFLAGWASM_STORM_FLAGS", "32"))
KEYS = [f"flag-{number}" for number in range(FLAGS)]
LATE = 0.005


class Observer:
    """What one task or thread has seen: generations must not fall, and values must be of their generation's version."""

    def __init__(self, wrong: list[Any]) -> None:
        self.wrong, self.newest, self.seen = wrong, 0, 0
        self.times: list[int] = []

    def look(self, key: str, details: Any) -> None:
        if details.value != f"v{details.generation % 2}-{key[5:]}" or details.generation < self.newest:
            self.wrong.append((key, details, self.newest))
        self.newest = max(self.newest, details.generation)
        self.seen += 1

    def look_at_all(self, values: dict[str, Any]) -> None:
        if len({value.split("-")[0] for value in values.values()}) != 1 or len(values) != FLAGS:
            self.wrong.append(values)


class Storm:
    def __init__(self, flags: FlagEvaluator) -> None:
        self.flags, self.stop = flags, threading.Event()
        self.wrong: list[Any] = []
        self.observers: list[Observer] = []
        self.stalls: list[float] = []
        self.quiet: list[int] = []

    def times(self) -> list[int]:
        return sorted(each for observer in self.observers for each in observer.times)

    def observer(self) -> Observer:
        self.observers.append(Observer(self.wrong))
        return self.observers[-1]

    async def task(self) -> None:
        mine, flags = self.observer(), self.flags
        clock = time.perf_counter_ns
        while not self.stop.is_set():
            for number, key in enumerate(KEYS):
                start = clock()
                details = await flags.details(key, ME, default="default")
                mine.times.append(clock() - start)
                mine.look(key, details)
                if number % 8 == 7:
                    await asyncio.sleep(0)
            async with flags.pin() as pinned:
                user = pinned.bind(ME)
                first = user.all()
                await asyncio.sleep(0)
                answers = [(await pinned.details(key, ME, default="default")) for key in KEYS[:3]]
                if {answer.generation for answer in answers} != {pinned.generation} or user.all() != first:
                    self.wrong.append(("mixed within a pin", answers, first))
                mine.look_at_all(first)
            await asyncio.sleep(1 / 50)  # a server that has something left

    def thread(self) -> None:
        mine = self.observer()
        try:
            while not self.stop.is_set():
                user = self.flags.bind(ME)
                for key in KEYS[:8]:
                    mine.look(key, self.flags.details_nowait(key, ME, default="default"))
                    mine.look(key, user.details(key, "default"))
                mine.look_at_all(user.all())
                time.sleep(1 / 1000)
        except BaseException as error:
            self.wrong.append(error)
            raise

    async def heartbeat(self) -> None:
        while not self.stop.is_set():
            before = time.perf_counter()
            await asyncio.sleep(1 / 1000)
            self.stalls.append(time.perf_counter() - before - 1 / 1000)

    async def blow(self, swaps: int) -> None:
        documents = [versioned(0, FLAGS), versioned(1, FLAGS)]
        threads = [threading.Thread(target=self.thread) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        tasks = [asyncio.create_task(self.task()) for _ in range(TASKS)] + [asyncio.create_task(self.heartbeat())]
        try:
            await asyncio.sleep(1)
            self.quiet = self.times()
            for observer in self.observers:
                observer.times.clear()
            self.stalls.clear()
            for number in range(swaps):
                await self.flags.reload(documents[number % 2])
        finally:
            self.stop.set()
            await asyncio.gather(*tasks)
            await asyncio.to_thread(lambda: [thread.join() for thread in threads])


@pytest.mark.timeout(3600 if SWAPS > 60 else 120)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_storm_of_swaps(loop: str) -> None:
    async def main() -> None:
        async with pyflagwasm.open(versioned(1, FLAGS)) as flags:
            storm = Storm(flags)
            await storm.blow(SWAPS)
            assert storm.wrong[:3] == []
            assert flags.generation == SWAPS + 1
            statistics = flags.statistics().pool
            assert (statistics.idle, statistics.missing, statistics.retired) == (statistics.size, 0, 0)
            assert statistics.discarded == 0
            seen = [observer.seen for observer in storm.observers]
            assert min(seen) > 0
            times, quiet, stalls = storm.times(), storm.quiet, sorted(storm.stalls)
            p50, p99 = (times[len(times) * part // 100] / 1e3 for part in (50, 99))
            before = quiet[len(quiet) * 99 // 100] / 1e3
            late = sum(each > LATE for each in stalls)
            print(
                f"\n{loop}: {SWAPS} swaps, {sum(seen)} answers; awaited p50 {p50:.1f} us, p99 {p99:.1f} us, "
                f"quiet p99 {before:.1f} us; the loop was "
                f"late by p50 {stalls[len(stalls) // 2] * 1e3:.2f} ms, at most {stalls[-1] * 1e3:.1f} ms, "
                f"{late} of {len(stalls)} times by over 5 ms"
            )

    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(main())


def resident() -> int:
    """KiB of memory that the process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.timeout(7200 if EVALUATIONS > 30_000 else 120)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc/self/statm")
def test_memory_is_flat_while_swaps_and_evaluations_interleave() -> None:
    """The case that others missed: each alone is flat, both together fragment an allocator. There is none here."""
    documents = [versioned(version, 60) for version in range(2)]
    rounds = max(EVALUATIONS // 2000, 30)

    async def main() -> None:
        async with pyflagwasm.open(documents[0]) as flags:
            sizes: list[int] = []
            kib: list[int] = []
            for number in range(rounds):
                user = flags.bind(ME)
                for _ in range(EVALUATIONS // rounds // 2):
                    flags.value_nowait("flag-1", ME, "")
                    user.value("flag-3", "")
                await flags.reload(documents[number % 2])
                async with flags.pin() as pinned:
                    await flags.reload(documents[(number + 1) % 2])
                    assert pinned.value_nowait("flag-1", ME, "") == f"v{number % 2}-1"
                sizes.append(flags.statistics().pool.memory)
                if number % max(rounds // 20, 1) == 0:
                    kib.append(resident())
            settled = kib[len(kib) // 2 :]
            print(f"\n{rounds * 2} swaps, {EVALUATIONS} evaluations: resident {kib[0]}, {settled} KiB")
            assert len(set(sizes[3:])) == 1, "linear memory grows"
            assert max(settled) - settled[0] < max(2048, settled[0] // 50)

    asyncio.run(main())


@pytest.mark.timeout(3600 if TRAPS > 500 else 120)
def test_traps_under_load_leave_the_pool_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trap kills the instance: it is called never again, and another one takes its place."""
    due = threading.local()
    trapped = 0
    counting = threading.Lock()

    def trapping(member: Member, of: Any) -> Any:
        def evaluate(index: int) -> int:
            nonlocal trapped
            due.count = getattr(due, "count", 0) + 1
            if due.count % 7 == 0 and trapped < TRAPS:
                with counting:
                    trapped += 1
                member._guest.frame.kill("evaluate trapped")
                raise GuestTrapError("evaluate trapped")
            return int(of(index))

        return evaluate

    init = Member.__init__

    def made(member: Member, core: Any = None) -> None:
        init(member, core)
        member.evaluate = trapping(member, member.evaluate)

    monkeypatch.setattr(Member, "__init__", made)
    wrong: list[Any] = []

    async def main() -> None:
        async with pyflagwasm.open(versioned(1), size=3) as flags:

            def work() -> None:
                while trapped < TRAPS:
                    details = flags.details_nowait("flag-1", ME, default="default")
                    if details.error_message not in (None, "evaluate trapped") or details.value not in (
                        "v1-1",
                        "default",
                    ):
                        wrong.append(details)
                        return

            async def awaited() -> None:
                while trapped < TRAPS and not wrong:
                    await flags.value("flag-1", ME, default="")
                    await asyncio.sleep(0)

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            await asyncio.gather(*(awaited() for _ in range(4)))
            await asyncio.to_thread(lambda: [thread.join() for thread in threads])
            assert wrong == []
            statistics = flags.statistics().pool
            assert (statistics.idle, statistics.in_use, statistics.missing) == (3, 0, 0)
            assert statistics.discarded == trapped >= TRAPS
            assert flags.value_nowait("flag-1", ME, default="") == "v1-1"

    asyncio.run(main())
