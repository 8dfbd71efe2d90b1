"""Evaluations at odd times: from finalizers and signal handlers, in garbage, at exit, and after interrupted reloads."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from evaluators import ON_OFF, closed, document, flag, opened, uniform
from support import HOSTS

import pyflagwasm
from pyflagwasm import ConfigError, ErrorCode, FlagEvaluator, GuestTrapError, PoolClosedError
from pyflagwasm.generation import Generation
from pyflagwasm.loading import compile_source
from pyflagwasm.pool import member, pool, swap, waiting
from pyflagwasm.runtime import extension, guest, instance, portable
from pyflagwasm.runtime.instance import Instance

ME = {"who": "me"}
ON = flag(ON_OFF, "off", {"if": [{"==": [{"var": "who"}, "me"]}, "on", "off"]})
OFF = flag(ON_OFF, "on", {"if": [{"==": [{"var": "who"}, "me"]}, "off", "on"]})
ONE, OTHER = document(beta=ON, gamma=OFF), document(gamma=OFF, beta=ON)
"""The same answers, from flags that are numbered differently."""


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(ONE)
    yield evaluator
    closed(evaluator)


def answers(evaluator: FlagEvaluator) -> dict[str, Any]:
    return {key: evaluator.value_nowait(key, ME) for key in ("beta", "gamma")}


RIGHT = {"beta": True, "gamma": False}

# ---------------------------------------------------------------- garbage, exit

SCRIPT = """
import asyncio, builtins, faulthandler, gc, sys
faulthandler.enable()
import pyflagwasm
document = sys.stdin.buffer.read()

class Service:
    def __init__(self):
        self.flags = pyflagwasm.open(document)
        asyncio.run(self.flags.__aenter__())
        self.bound = self.flags.bind({"who": "me"})
        self.worker = Worker(self)

class Worker:
    def __init__(self, service):
        self.service = service

    def __del__(self):
        details = self.service.flags.details_nowait("beta", {"who": "me"}, False)
        print(details.value, details.error_code, self.service.bound.all(), flush=True)
"""
ENDS = {
    "cycle": "gc.disable()\nfor _ in range(20): Service()\ngc.collect()",
    "exit": "builtins.service = Service()",
    "module": "service = Service()",
    "atexit": "import atexit\nservice = Service()\natexit.register(service.worker.__del__)",
    "thread": "import threading\nservice = Service()\nservice.worker, worker = None, Worker(service)\n"
    "def spin(bound):\n    while True: bound.all(); ready.set()\n"
    "ready, bound = threading.Event(), service.bound\n"
    "threading.Thread(target=spin, args=(bound,), daemon=True).start()\nready.wait()",
    "stuck": "import threading\nservice = Service()\nservice.worker, worker = None, Worker(service)\n"
    "def hold(pool):\n    held = [pool.take(pool.generation) for _ in range(pool.size)]; ready.set()\n"
    "    threading.Event().wait()\n"
    "ready, pool = threading.Event(), service.flags._pool\n"
    "threading.Thread(target=hold, args=(pool,), daemon=True).start()\nready.wait()",
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("end", ENDS)
def test_finalizers_may_evaluate(end: str, host: str) -> None:
    """Where the garbage or the interpreter ends, in whatever order: the process neither dies nor answers wrongly."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + ENDS[end]],
        input=ONE,
        capture_output=True,
        timeout=30,
        check=False,
        cwd=Path(pyflagwasm.__file__).parents[1],
        env={**os.environ, extension.HOST_VARIABLE: host},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    count = {"cycle": 20, "atexit": 2}.get(end, 1)
    assert done.stdout.decode().splitlines() == [f"True None {RIGHT}"] * count


# ---------------------------------------------------------------- inside of an evaluation


class Between:
    """Runs something once, in the middle of the next call of an instance's method."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, action: Callable[[], object]) -> None:
        self.ran: list[object] = []
        real = getattr(Instance, name)

        def method(of: Instance, *arguments: Any) -> Any:
            if not self.ran:
                self.ran.append(None)
                self.ran[0] = action()
            return real(of, *arguments)

        monkeypatch.setattr(Instance, name, method)


@pytest.mark.parametrize("name", ["evaluate_many", "stage"])
def test_an_evaluation_inside_of_another_is_answered(
    flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    between = Between(monkeypatch, name, lambda: answers(flags))
    if name == "evaluate_many":
        assert flags.bind({"who": "nobody"}).all() == {"beta": False, "gamma": True}
    else:
        asyncio.run(flags.reload(OTHER))
    assert between.ran == [RIGHT]
    assert answers(flags) == RIGHT


def test_the_instance_of_an_inner_evaluation_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = opened(ONE, size=1)
    before = len(guest._frames)
    Between(monkeypatch, "evaluate_many", lambda: answers(flags))
    assert flags.bind(ME).all() == RIGHT
    assert len(guest._frames) == before
    assert flags.statistics().pool.aside == 2
    closed(flags)


def test_an_inner_evaluation_that_cannot_be_made_gives_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = opened(ONE, size=1)

    def broken() -> Instance:
        raise GuestTrapError("no memory")

    def inner() -> object:
        with monkeypatch.context() as patched:
            patched.setattr(member, "Member", broken)
            details = flags.details_nowait("beta", ME, default="mine")
        return details.value, details.error_code, details.error_message

    between = Between(monkeypatch, "evaluate_many", inner)
    assert flags.bind(ME).all() == RIGHT
    assert between.ran == [("mine", ErrorCode.GENERAL, "no memory")]
    closed(flags)


def test_a_reload_inside_of_an_evaluation(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation answers from the generation that it was prepared for; the next one from the new one."""
    between = Between(monkeypatch, "evaluate_many", lambda: flags._swaps.swap(_generation(OTHER), 5))
    assert flags.bind(ME).all() == RIGHT
    assert (between.ran, flags.generation, answers(flags)) == ([True], 2, RIGHT)


def test_a_reload_inside_of_a_reload_is_refused(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    def inner() -> object:
        with pytest.raises(RuntimeError, match="cannot reload while its thread is reloading"):
            flags._swaps.swap(_generation(OTHER), 5)
        return "refused"

    between = Between(monkeypatch, "stage", inner)
    asyncio.run(flags.reload(OTHER))
    assert (between.ran, flags.generation, answers(flags)) == (["refused"], 2, RIGHT)


@pytest.mark.parametrize("name", ["evaluate_many", "stage"])
def test_closing_inside_of_a_use_is_final(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = len(guest._frames)
    flags = opened(ONE)
    Between(monkeypatch, name, flags._pool.close)
    if name == "evaluate_many":
        assert flags.bind(ME).all() == RIGHT
    else:
        with pytest.raises(PoolClosedError, match="the evaluator is closed"):
            asyncio.run(flags.reload(OTHER))
    assert flags.details_nowait("beta", ME).error_code is ErrorCode.PROVIDER_NOT_READY
    assert len(guest._frames) == before


def test_a_trap_after_closing_inside_of_a_use_makes_no_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(guest._frames)
    flags = opened(ONE)

    def inner() -> None:
        flags._pool.close()
        raise GuestTrapError("evaluate_many trapped")

    Between(monkeypatch, "evaluate_many", inner)
    assert flags.bind(ME).all() == {}
    assert len(guest._frames) == before


def test_the_garbage_collector_may_evaluate_anywhere() -> None:
    flags = opened(uniform(40, "a"))
    wrong: list[object] = []
    ran = 0

    class Cycle:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal ran
            ran += 1
            if flags.value_nowait("flag-1", ME, "") != "a":
                wrong.append("inner")

    def work() -> None:
        user = flags.bind(ME)
        for number in range(1_500):
            gc.set_threshold(1 + number % 97, 5, 5)
            Cycle()
            if set(user.all().values()) != {"a"}:
                wrong.append("outer")

    threshold = gc.get_threshold()
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert (wrong, ran) == ([], 1_500)
    closed(flags)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs setitimer")
def test_a_signal_handler_may_evaluate(flags: FlagEvaluator) -> None:
    seen: list[object] = []

    def handle(number: int, frame: FrameType | None) -> None:
        seen.append(answers(flags))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.002)
    try:
        while len(seen) < 100:
            assert answers(flags) == RIGHT
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(each == RIGHT for each in seen)


# ---------------------------------------------------------------- reloads that do not end


PLACES = tuple(each.__file__ for each in (pool, swap, member, waiting, instance, guest, portable))


def _interrupted_at(number: int, action: Callable[[], object]) -> bool:
    """Whether KeyboardInterrupt came at the `number`-th place in PLACES where one may: after a C call, or at the start
    of a function."""
    left = number

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if event in ("call", "c_return") and frame.f_code.co_filename in PLACES:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(before)
    return False


def test_a_reload_that_is_interrupted_anywhere_leaves_one_configuration() -> None:
    flags = opened(ONE)
    number = 1
    while True:
        before, source = flags.generation, (OTHER, ONE)[number % 2]
        if not _interrupted_at(number, lambda source=source: flags._swaps.swap(_generation(source), 9)):  # type: ignore[misc]
            break
        assert flags.generation in (before, before + 1), number
        assert answers(flags) == RIGHT, number
        number += 1
    assert number > 20
    assert answers(flags) == RIGHT
    closed(flags)


@pytest.mark.parametrize("name", ["reserve", "stage"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, ConfigError("$", "no"), GuestTrapError("no")])
def test_a_reload_that_fails_leaves_the_old_one(
    flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch, name: str, error: Any
) -> None:
    def fail() -> None:
        raise error

    Between(monkeypatch, name, fail)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        flags._swaps.swap(_generation(OTHER), 99)
    assert answers(flags) == RIGHT
    assert flags.generation == 1
    flags._swaps.swap(_generation(OTHER), 99)
    assert (answers(flags), flags.generation) == (RIGHT, 2)


@pytest.mark.parametrize("name", ["stage", "commit"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, ConfigError("$", "no"), GuestTrapError("no")])
def test_a_commit_that_fails_costs_the_instance_only(monkeypatch: pytest.MonkeyPatch, name: str, error: Any) -> None:
    """An instance catches up with the live generation when it is taken; here one that was leased meanwhile."""

    def fail() -> None:
        raise error

    async def leased() -> FlagEvaluator:
        flags = await pyflagwasm.open(ONE, size=1).__aenter__()
        async with flags.lease():
            await flags.reload(OTHER)
        return flags

    flags = asyncio.run(leased())
    Between(monkeypatch, name, fail)
    if isinstance(error, Exception):
        details = flags.details_nowait("beta", ME, default="mine")
        assert (details.value, details.error_code) == ("mine", ErrorCode.GENERAL)
    else:
        with pytest.raises(error):
            flags.value_nowait("beta", ME)
    assert flags.statistics().pool.discarded == 1
    assert (answers(flags), flags.generation) == (RIGHT, 2)
    closed(flags)


def _generation(source: bytes) -> Generation:
    return Generation(compile_source(source))
