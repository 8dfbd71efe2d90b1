"""One evaluator over many event loops: one after the other, at the same time, and ended without clean-up."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import children
import pytest
from children import ME, SOURCES, answer, follows, in_thread, on, put, uniform
from evaluators import closed, new_loop, opened
from loops import LOOPS, RecordingSink, every_loop, run_on

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.exposures.counting import Batch
from pyflagwasm.exposures.sinks import CallbackSink
from pyflagwasm.sources import file
from pyflagwasm.sources.file import FileSource
from pyflagwasm.sources.given import CallableSource

pytestmark = children.forks[1:]

RESTARTS = int(os.environ.get("PYFLAGWASM_RESTARTS", "30"))
NAMES = tuple(LOOPS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    put(path, "a")
    return path


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def workers() -> int:
    """Threads, but those that trio keeps for ten seconds, in case that somebody needs one."""
    return sum(not each.name.startswith("Trio thread") for each in threading.enumerate())


async def once(flags: FlagEvaluator) -> None:
    assert await flags.value("flag-1", ME, "") in ("a", "b")


def accepted(flags: FlagEvaluator) -> int:
    source = flags.statistics().source
    assert source is not None
    return source.accepted


# ---------------------------------------------------------------- one after the other


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.parametrize("kind", SOURCES)
def test_nothing_is_left_by_a_loop(kind: str, path: Path) -> None:
    """Neither threads, descriptors nor memory, whatever the source was doing; and in the end it still delivers."""
    alone = workers()
    flags = opened(SOURCES[kind](path))

    async def served() -> None:
        before = accepted(flags)
        with anyio.fail_after(5):
            while accepted(flags) == before:
                await once(flags)
                await anyio.sleep(1 / 1000)

    async def changed() -> None:
        await served()
        for variant in "ba":
            put(path, variant)
            await follows(flags, variant)

    def some(count: int) -> tuple[int, int]:
        for number in range(count):
            if number % 10 == 9:
                on(NAMES[number % 3], changed)
            elif number % 2:
                on(NAMES[number % 3], served)
            else:
                on(NAMES[number % 3], once, flags)
        deadline = time.monotonic() + 5
        while workers() > alone:  # one is about to end
            assert time.monotonic() < deadline, threading.enumerate()
            time.sleep(1 / 1000)
        gc.collect()
        return descriptors(), len(gc.get_objects())

    some(30)  # what is imported and remembered once
    files, objects = some(6)
    after = some(RESTARTS)
    assert after[0] == files
    assert after[1] - objects < 300 + RESTARTS
    put(path, "b")
    for loop in NAMES:
        on(loop, follows, flags, "b")
    source = flags.statistics().source
    assert source is not None
    assert source.healthy
    closed(flags)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_loop_that_is_closed_without_clean_up(loop: str, kept: bool, path: Path) -> None:
    """Its tasks are neither cancelled nor, as long as somebody has them, garbage: the source goes on all the same."""
    flags = opened(SOURCES["function"](path))
    old = []
    for before, after in ("ab", "ba", "ab"):
        native = new_loop(loop)()
        native.run_until_complete(follows(flags, before))
        native.close()
        if kept:
            old.append(native)
        del native
        put(path, after)
        on("asyncio", follows, flags, after)
    old.clear()
    gc.collect()
    closed(flags)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_loop_that_is_stopped_and_run_again(loop: str, path: Path) -> None:
    flags = opened(SOURCES["function"](path))
    native = new_loop(loop)()
    for _ in range(3):
        for variant in "ba":
            put(path, variant)
            native.run_until_complete(follows(flags, variant))
    native.run_until_complete(flags.aclose())
    native.close()


@every_loop
def test_evaluating_while_a_loop_shuts_down(loop: str, path: Path) -> None:
    """A task that is cancelled with the background evaluates in its clean-up. The next loop follows the source."""
    flags = opened(SOURCES["function"](path))
    seen: list[str] = []

    async def clean_up() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(4):
                    await anyio.lowlevel.checkpoint()
                    seen.append(await flags.value("flag-1", ME, ""))

    async def main() -> None:
        await follows(flags, "a")
        if loop == "trio":
            import trio

            trio.lowlevel.spawn_system_task(clean_up)
        else:
            tasks.append(asyncio.create_task(clean_up()))
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()

    tasks: list[Any] = []
    alone = workers()
    on(loop, main)
    assert seen == ["a"] * 4
    tasks.clear()
    deadline = time.monotonic() + 5
    while workers() > alone:  # one that is left behind would keep the process from its end
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(1 / 1000)
    put(path, "b")
    on(loop, follows, flags, "b")
    closed(flags)


@pytest.mark.parametrize("begun", [True, False])
def test_all_tasks_of_a_loop_cancelled_by_somebody(begun: bool, path: Path) -> None:
    """Where the loop goes on, so does the source, after a moment; also if its task had not begun yet."""
    flags = opened(SOURCES["function"](path))

    async def main() -> None:
        assert answer(flags) == "a"
        if begun:
            await anyio.sleep(1 / 20)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        del task
        put(path, "b")
        await follows(flags, "b", 10)

    asyncio.run(main())
    closed(flags)


def test_a_loop_may_end_at_any_step_of_a_file_source(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio.run cancels tasks that have not begun, too: nobody may be waiting for one of those."""

    async def here(function: Callable[..., Any], *arguments: object) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(*arguments)

    async def main(steps: int) -> None:
        source = asyncio.create_task(FileSource(path).run(RecordingSink()))
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        assert not source.done()

    monkeypatch.setattr(file, "_in_thread", here)
    for steps in range(40):
        asyncio.run(main(steps))


# ---------------------------------------------------------------- at the same time


@pytest.mark.parametrize("first", NAMES)
@pytest.mark.parametrize("second", NAMES)
def test_two_loops_at_the_same_time(first: str, second: str, path: Path) -> None:
    """The background lives on one of them, and moves to the other one when that ends."""
    flags = opened(SOURCES["function"](path))
    running, ended = threading.Event(), threading.Event()

    async def one() -> None:
        await follows(flags, "a")
        running.set()
        put(path, "b")
        await follows(flags, "b")

    async def other() -> None:
        await once(flags)
        put(path, "b")
        await follows(flags, "b")
        await anyio.to_thread.run_sync(ended.wait)
        put(path, "a")
        await follows(flags, "a")

    def run_first() -> None:
        try:
            on(first, one)
        finally:
            running.set()
            ended.set()

    thread = threading.Thread(target=run_first)
    thread.start()
    running.wait()
    try:
        in_thread(on, second, other)
    finally:
        thread.join()
    closed(flags)


@every_loop
def test_closing_on_another_loop_than_the_one_that_the_background_is_on(loop: str, path: Path) -> None:
    flags = opened(SOURCES["function"](path))
    asked, go = threading.Event(), threading.Event()

    async def serve() -> None:
        await follows(flags, "a")
        asked.set()
        await anyio.to_thread.run_sync(go.wait)

    thread = threading.Thread(target=on, args=(loop, serve))
    thread.start()
    asked.wait()
    for name in NAMES:
        run_on(name, flags.aclose)
    go.set()
    thread.join()
    assert not flags._background.dormant
    assert answer(flags) == ""


# ---------------------------------------------------------------- what an evaluation does not depend on


@every_loop
def test_a_context_that_was_copied_out_of_a_loop(loop: str, path: Path) -> None:
    """In a thread that was given the context variables of a loop, no loop runs: nothing starts there, nothing fails."""
    import contextvars

    flags = opened(SOURCES["function"](path))
    values: list[str] = []

    async def main() -> None:
        in_thread(contextvars.copy_context().run, lambda: values.append(answer(flags)))

    run_on(loop, main)
    assert values == ["a"]
    closed(flags)


@every_loop
def test_exposures_are_sent_on_the_loop_that_is_there(loop: str) -> None:
    batches: list[Batch] = []
    got = threading.Event()

    def note(batch: Batch) -> None:
        batches.append(batch)
        got.set()

    flags = opened(uniform(2, "a"), exposures=[CallbackSink(note)], exposure_interval=1 / 20)

    async def main(count: int) -> None:
        got.clear()
        for _ in range(count):
            await flags.value("flag-1", ME, "")
        while sum(batch.count for batch in batches) < total:
            with anyio.fail_after(5):
                await anyio.sleep(1 / 100)

    total = 0
    for count in (3, 4, 5):
        total += count
        on(loop, main, count)
    closed(flags)
    assert sum(batch.count for batch in batches) == 12


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_subprocesses_of_a_running_server(loop: str, path: Path) -> None:
    """uvloop runs the hooks of a fork in the parent for each of them: its source goes on."""
    ran: list[int] = []
    hook: Callable[[], None] = lambda: ran.append(os.getpid())  # noqa: E731
    os.register_at_fork(after_in_parent=hook, before=hook)

    async def main() -> None:
        async with pyflagwasm.open(SOURCES["function"](path)) as flags:
            for number in range(children.CHILDREN * 2):
                process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
                assert await process.wait() == 0
                variant = "ab"[number % 2]
                put(path, variant)
                await follows(flags, variant)
                assert not flags._background.dormant

    on(loop, main)
    assert bool(ran) == (loop == "uvloop")


@every_loop
def test_a_source_that_another_loop_is_running_is_not_run_twice(loop: str) -> None:
    at_once = most = 0

    async def fetch() -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        try:
            await anyio.sleep(1 / 50)
        finally:
            at_once -= 1
        return uniform(2, "a")

    flags = opened(CallableSource(fetch, interval=1 / 100))

    async def main() -> None:
        for _ in range(20):
            await once(flags)
            await anyio.sleep(1 / 200)

    threads = [threading.Thread(target=on, args=(loop, main)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    closed(flags)
