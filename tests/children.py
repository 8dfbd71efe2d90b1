"""Forked children and scripts in processes of their own: started, bounded in time, and asked how they ended."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from evaluators import document, flag

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.config.compile import CompiledConfig
from pyflagwasm.generation import Generation
from pyflagwasm.sources.base import Source
from pyflagwasm.sources.file import FileSource
from pyflagwasm.sources.given import CallableSource

CHILDREN = int(os.environ.get("PYFLAGWASM_CHILDREN", "1"))
"""Children of each scenario."""

HANG = 10
"""Seconds after which a child hangs."""

INTERVAL = 1 / 10
ME = {"who": "me"}
ROOT = Path(pyflagwasm.__file__).parents[1]  # where the package under test is, installed or not

forks = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    # asyncio.run may end in the moment in which a task group has begun a task: anyio throws away what it was to await
    pytest.mark.filterwarnings("ignore:It looks like Trio's signal handling:RuntimeWarning"),  # the fd is the parent's
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:.*coroutine object .*:pytest.PytestUnraisableExceptionWarning"),
]
"""Marks of a file of which the tests fork, on purpose also where other threads run."""

SOURCES: dict[str, Callable[[Path], Source]] = {
    "file": FileSource,
    "polled": lambda path: FileSource(path, poll=INTERVAL),
    "function": lambda path: CallableSource(path.read_bytes, interval=INTERVAL),
}


def uniform(count: int, variant: str) -> bytes:
    """Flags that all give one of the variants a, b, c and d. Those with odd numbers read the context."""
    targeting = {"if": [{"==": [{"var": "who"}, "me"]}, variant]}
    variants = {each: each for each in "abcd"}
    return document(**{f"flag-{i}": flag(variants, variant, targeting if i % 2 else None) for i in range(count)})


def swap(flags: FlagEvaluator, compiled: CompiledConfig) -> None:
    """Make a configuration live of which the compiling is done, so that swaps can follow each other closely."""
    flags._swaps.swap(Generation(compiled), next(flags._intake._tickets), patient=True)


def put(path: Path, variant: str) -> None:
    """Replace a configuration's file by one in which every flag gives this variant."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    fresh.write_bytes(uniform(4, variant))
    fresh.replace(path)


def answer(flags: FlagEvaluator, key: str = "flag-1") -> str:
    """What a flag gives now. flag-1 reads the context, flag-0 does not."""
    return flags.value_nowait(key, ME, "")


async def follows(flags: FlagEvaluator, variant: str, seconds: float = 2 * INTERVAL + 1) -> None:
    """Wait until the flag gives the variant. The second beyond two intervals is for slow machines."""
    with anyio.fail_after(seconds):
        while await flags.value("flag-1", ME, "") != variant:  # noqa: ASYNC110
            await anyio.sleep(1 / 100)


def on(loop: str, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Run an async function on a new loop, as a program does: asyncio.run, uvloop.run or trio.run."""

    async def main() -> Any:
        return await function(*arguments)

    if loop == "asyncio":
        return asyncio.run(main())
    if loop == "uvloop":
        return pytest.importorskip("uvloop").run(main())
    return pytest.importorskip("trio").run(main)


def in_thread(function: Callable[..., object], *arguments: object) -> None:
    """Run a function in a new thread, to its end or its exception."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function(*arguments)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


class Child:
    """A forked child that does some work, and ends without the clean-up of the interpreter."""

    _inside = False

    def __init__(self, work: Callable[..., object], *arguments: object) -> None:
        self._out, inner = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(inner)
            return
        code = 1
        try:
            if not Child._inside:
                os.setpgid(0, 0)  # so that its own children end with it
            Child._inside = True
            faulthandler.register(signal.SIGUSR1, file=inner)
            work(*arguments)
            code = 0
        except BaseException:
            os.write(inner, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def join(self) -> None:
        """Wait for its end. AssertionError with its traceback if it failed, hung or died."""
        said, deadline = b"", time.monotonic() + HANG
        while select.select([self._out], [], [], max(deadline - time.monotonic(), 0))[0]:
            piece = os.read(self._out, 1 << 16)
            if not piece:
                break
            said += piece
        else:
            os.kill(self.pid, signal.SIGUSR1)
            select.select([self._out], [], [], 1)
            said += b"it hung\n" + os.read(self._out, 1 << 16)
            if Child._inside:
                os.kill(self.pid, signal.SIGKILL)
            else:
                os.killpg(self.pid, signal.SIGKILL)
        os.close(self._out)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        assert (code, said) == (0, b""), f"exit code {code}\n{said.decode()}"


async def joined(child: Child) -> None:
    """As Child.join, while the event loop goes on."""
    await anyio.to_thread.run_sync(child.join)


@contextmanager
def busy(function: Callable[[], object], count: int = 1) -> Iterator[None]:
    """Threads that call a function again and again while the block runs. Raises what it raised."""
    errors: list[BaseException] = []
    stop, started = threading.Event(), threading.Barrier(count + 1)

    def run() -> None:
        started.wait()
        try:
            while not stop.is_set():
                function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    started.wait()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def script(text: str, *arguments: str, seconds: float = 30, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a Python program in a new process, which finds the helpers of the tests."""
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    return subprocess.run(
        [sys.executable, "-c", text, *arguments],
        capture_output=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )
