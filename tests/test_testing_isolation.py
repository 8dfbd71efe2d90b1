"""Where overrides hold: tasks and threads do not see each other's, what is started inside inherits."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import random
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from anyio import to_thread
from evaluators import FLAGD, closed, opened
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm import hooks as module
from pyflagwasm.testing import layers, override_flags

TASKS, ROUNDS = 200, 12


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(FLAGD)
    yield evaluator
    closed(evaluator)
    assert evaluator._hooks == []
    assert module.overriding == []
    assert not [*layers.living()]


def text(flags: Any) -> Any:
    """The flag that is overridden, in one of the ways that there are."""
    way = random.randrange(4)
    if way == 0:
        return flags.value_nowait("text", default="")
    if way == 1:
        return flags.bind({}).value("text", "")
    return flags.bind({}).all()["text"] if way == 2 else flags.bind({}).many(["text"])["text"]


@every_loop
def test_many_tasks_at_once(loop: str, flags: FlagEvaluator) -> None:
    async def one(number: int) -> None:
        mine = f"task {number}"
        for turn in range(ROUNDS):
            assert text(flags) == "A"
            with override_flags(text=mine):
                await anyio.lowlevel.checkpoint()
                assert text(flags) == mine
                assert await flags.value("text", default="") == mine
                async with override_flags(text=f"{mine}, inside {turn}"):
                    await anyio.lowlevel.checkpoint()
                    assert text(flags) == f"{mine}, inside {turn}"
                await anyio.lowlevel.checkpoint()
                assert text(flags) == mine
            await anyio.lowlevel.checkpoint()
        seen.append(number)

    async def without() -> None:
        for _ in range(TASKS):
            assert text(flags) == "A"
            await anyio.lowlevel.checkpoint()
        seen.append(-1)

    async def scenario() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(without)
            for number in range(TASKS):
                group.start_soon(one, number)

    seen: list[int] = []
    run_on(loop, scenario)
    assert sorted(seen) == [-1, *range(TASKS)]


def test_many_threads_at_once(flags: FlagEvaluator) -> None:
    """None of them is the main thread, so that each has its own; one has none, and one keeps opening evaluators."""
    failed: list[BaseException] = []
    begin = threading.Barrier(10)

    def run(work: Any, *arguments: Any) -> None:
        try:
            begin.wait(30)
            work(*arguments)
        except BaseException as error:
            failed.append(error)

    def one(number: int) -> None:
        for turn in range(60):
            with override_flags(text=f"thread {number}, {turn}"):
                assert text(flags) == f"thread {number}, {turn}"
            assert text(flags) == "A"

    def without() -> None:
        for _ in range(600):
            assert text(flags) == "A"

    def opening() -> None:
        for turn in range(20):
            another = opened(FLAGD)
            with override_flags(text=f"of another, {turn}"):
                assert text(another) == f"of another, {turn}"
            closed(another)

    threads = [threading.Thread(target=run, args=(one, number)) for number in range(8)]
    threads += [threading.Thread(target=run, args=(work,)) for work in (without, opening)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert failed == []


@every_loop
def test_what_is_started_inside_inherits(loop: str, flags: FlagEvaluator) -> None:
    async def scenario() -> None:
        async def task() -> None:
            seen.append(text(flags))
            entered.set()
            await left.wait()
            seen.append(text(flags))

        seen: list[Any] = []
        entered, left = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            with override_flags(text="inherited"):
                group.start_soon(task)
                await entered.wait()
                assert await to_thread.run_sync(text, flags) == "inherited"
            left.set()
        assert seen == ["inherited", "A"]  # the end of the block is its end there, too

    run_on(loop, scenario)


def test_a_task_that_ends_later_leaves_nothing(flags: FlagEvaluator) -> None:
    async def scenario() -> None:
        async def task() -> None:
            with override_flags(text="of the task"):
                await left.wait()
                assert text(flags) == "of the task"

        left = asyncio.Event()
        with override_flags(text="outer"):
            started = asyncio.create_task(task())
            await asyncio.sleep(0)
            assert text(flags) == "outer"
        assert text(flags) == "A"
        left.set()
        await started

    asyncio.run(scenario())


def test_a_test_without_a_loop_is_the_whole_process(flags: FlagEvaluator) -> None:
    seen: list[Any] = []

    def here() -> None:
        seen.append(text(flags))

    async def there() -> None:
        here()

    with override_flags(text="everywhere"):
        threads = [threading.Thread(target=here), threading.Thread(target=asyncio.run, args=[there()])]
        for thread in threads:
            thread.start()
            thread.join(30)
        contextvars.Context().run(here)
        asyncio.run(there())
    thread = threading.Thread(target=here)
    thread.start()
    thread.join(30)
    assert seen == ["everywhere"] * 4 + ["A"]


def test_one_object_in_the_process_and_in_a_thread(flags: FlagEvaluator) -> None:
    """Each block ends what it has begun."""
    on = override_flags(text="overridden")
    entered, leave = threading.Event(), threading.Event()

    def in_thread() -> None:
        with on:
            entered.set()
            assert leave.wait(30)
            seen.append(text(flags))

    seen: list[Any] = []
    thread = threading.Thread(target=in_thread)
    with on:
        thread.start()
        assert entered.wait(30)
    assert text(flags) == "A"
    leave.set()
    thread.join(30)
    assert seen == ["overridden"]


def test_one_object_in_many_tasks(flags: FlagEvaluator) -> None:
    """The blocks end in the order in which they have begun, so that the newest one is never the right one."""

    async def scenario() -> None:
        on = override_flags(text="overridden")
        ends = [asyncio.Event() for _ in range(5)]
        seen: list[Any] = []

        async def task(end: asyncio.Event) -> None:
            with on:
                await end.wait()
                seen.append(text(flags))
            seen.append(text(flags))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task(end)) for end in ends]
            await asyncio.sleep(0)
            for end, each in zip(ends, tasks, strict=True):
                end.set()
                await each
        assert seen == ["overridden", "A"] * 5

    asyncio.run(scenario())


def test_a_block_that_ends_in_another_context(flags: FlagEvaluator) -> None:
    """As fixtures do that are asynchronous generators."""

    async def fixture() -> AsyncIterator[None]:
        with override_flags(text="of a fixture"):
            yield

    async def scenario() -> None:
        generator = fixture()
        context = contextvars.copy_context()
        await asyncio.create_task(anext(generator), context=context)  # type: ignore[arg-type]
        assert context.run(text, flags) == "of a fixture"
        assert text(flags) == "A"
        with pytest.raises(StopAsyncIteration):
            await asyncio.create_task(anext(generator), context=contextvars.copy_context())  # type: ignore[arg-type]
        assert context.run(text, flags) == "A"

    asyncio.run(scenario())


def test_a_block_that_nobody_leaves(flags: FlagEvaluator) -> None:
    def fixture() -> Iterator[None]:
        with override_flags(text="of a generator"):
            yield

    generator = fixture()
    next(generator)
    assert text(flags) == "of a generator"
    del generator
    gc.collect()
    assert text(flags) == "A"


def test_a_context_does_not_collect_what_has_ended(flags: FlagEvaluator) -> None:
    async def scenario() -> None:
        for _ in range(5):
            with override_flags(text="x"):
                pass
        assert layers._here.get() == ()

    asyncio.run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_its_parents(flags: FlagEvaluator) -> None:
    with override_flags(text="of the parent"), layers._lock, module._lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                held = threading.Thread(target=opens_and_overrides)  # would wait for ever for the parent's locks
                held.start()
                held.join(20)
                code = 0 if text(flags) == "of the parent" and not held.is_alive() else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def opens_and_overrides() -> None:
    evaluator = pyflagwasm.open(FLAGD)
    with override_flags(text="of the child"):
        assert text(evaluator) == "of the child"
