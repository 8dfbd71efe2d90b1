"""Worker processes: of multiprocessing in its three ways, of gunicorn with --preload, of uvicorn; what each counts."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import children
import pytest
from children import CHILDREN, HANG, ME, ROOT, SOURCES, Child, answer, follows, in_thread, joined, on, put, uniform
from evaluators import closed, opened
from loops import LOOPS, every_loop

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.exposures.counting import Batch
from pyflagwasm.exposures.sinks import CallbackSink

pytestmark = [*children.forks, pytest.mark.skipif(sys.platform == "win32", reason="needs fork")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "flags.json"
    put(path, "a")
    return path


# ---------------------------------------------------------------- multiprocessing


def inherited(flags: FlagEvaluator, loop: str, path: Path) -> None:
    """The work of a forked child."""
    assert answer(flags) == "a"
    put(path, "b")
    on(loop, follows, flags, "b")
    on(loop, flags.aclose)


def made_anew(loop: str, kind: str, path: Path) -> None:
    """The work of a child that was not forked from one with an evaluator."""

    async def main() -> None:
        async with pyflagwasm.open(SOURCES[kind](path)) as flags:
            await follows(flags, "a")
            put(path, "b")
            await follows(flags, "b")

    on(loop, main)


def run(context: Any, work: Any, *arguments: Any) -> None:
    process = context.Process(target=work, args=arguments)
    process.start()
    process.join(20)
    hung = process.is_alive()
    if hung:
        process.kill()
    assert (hung, process.exitcode) == (False, 0)


@every_loop
def test_multiprocessing_fork(loop: str, path: Path) -> None:
    flags = opened(SOURCES["function"](path))
    for _ in range(CHILDREN):
        put(path, "a")
        on(loop, follows, flags, "a", 10)
        run(multiprocessing.get_context("fork"), inherited, flags, loop, path)
        on(loop, follows, flags, "b", 10)
    closed(flags)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_multiprocessing_fork_inside_of_a_running_loop(loop: str, path: Path) -> None:
    import anyio

    async def main() -> None:
        async with pyflagwasm.open(SOURCES["function"](path)) as flags:
            for _ in range(CHILDREN):
                put(path, "a")
                await follows(flags, "a", 10)
                context = multiprocessing.get_context("fork")
                await anyio.to_thread.run_sync(run, context, inherited, flags, "asyncio", path)
                await follows(flags, "b", 10)

    on(loop, main)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_multiprocessing_anew(method: str, path: Path) -> None:
    """With another process running an evaluator of the same file meanwhile."""
    flags = opened(SOURCES["function"](path))
    for loop in LOOPS:
        put(path, "a")
        run(multiprocessing.get_context(method), made_anew, loop, "function", path)
    on("asyncio", follows, flags, "b", 10)
    closed(flags)


@pytest.mark.parametrize("entered", [False, True])
def test_an_evaluator_cannot_be_pickled(entered: bool, path: Path) -> None:
    """What would arrive in another process would be none. The one at hand takes no harm."""
    flags = pyflagwasm.open(SOURCES["function"](path))
    if entered:
        on("asyncio", flags.__aenter__)
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(flags)
    with pytest.raises(TypeError, match="pickle"):
        multiprocessing.get_context("spawn").Process(target=answer, args=(flags,)).start()
    if entered:
        assert answer(flags) == "a"
    closed(flags)


# ---------------------------------------------------------------- exposures


@every_loop
def test_what_the_parent_counted_is_not_sent_by_the_child(loop: str) -> None:
    sent: list[tuple[int, str, int]] = []

    def note(batch: Batch) -> None:
        sent.extend((os.getpid(), each.flag_key, each.count) for each in batch.exposures)

    async def main() -> None:
        options: Any = {"exposures": [CallbackSink(note)], "exposure_interval": 3600}
        async with pyflagwasm.open(uniform(4, "a"), **options) as flags:
            for _ in range(5):
                answer(flags)
            for _ in range(CHILDREN):
                await joined(Child(in_thread, work, flags))
            assert flags.value_nowait("missing", ME, "d") == "d"
        assert sorted(sent) == [(os.getpid(), "flag-1", 5), (os.getpid(), "missing", 1)]

    def work(flags: FlagEvaluator) -> None:
        for _ in range(2):
            answer(flags)
        on(loop, flags.aclose)
        assert sent == [(os.getpid(), "flag-1", 2)]
        exposures = flags.statistics().exposures
        assert exposures is not None
        assert (exposures.recorded, exposures.sent, exposures.pending) == (2, 2, 0)

    on(loop, main)


def test_in_the_middle_of_a_drain() -> None:
    """What another thread has taken, and not yet set back, is counted by the child as everything else."""
    taken, go = threading.Event(), threading.Event()

    def pause(frame: FrameType, event: str, argument: object) -> None:
        if frame.f_code.co_name == "_take" and event == "c_return" and getattr(argument, "__name__", "") == "popleft":
            sys.setprofile(None)
            taken.set()
            go.wait(HANG)

    def drain() -> None:
        sys.setprofile(pause)
        flags._counter.drain()  # type: ignore[union-attr]

    def work() -> None:
        for _ in range(3):
            answer(flags)
        assert [each.count for each in flags._counter.drain().exposures] == [3]  # type: ignore[union-attr]

    flags = opened(uniform(4, "a"), exposures=[CallbackSink(id)], exposure_interval=3600)
    answer(flags)
    thread = threading.Thread(target=drain)
    thread.start()
    taken.wait(HANG)
    Child(work).join()
    go.set()
    thread.join()
    closed(flags)


# ---------------------------------------------------------------- servers

APPLICATION = """
import asyncio, os
from contextlib import asynccontextmanager
from pathlib import Path
import pyflagwasm
from children import ME, SOURCES
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

flags = pyflagwasm.open(SOURCES[os.environ["KIND"]](Path(os.environ["FLAGS"])))

@asynccontextmanager
async def lifespan(app):
    async with flags:
        yield

async def handle(request):
    return PlainTextResponse(f"{os.getpid()} {await flags.value('flag-1', ME, '')}")

async def handle_nowait(request):
    return PlainTextResponse(f"{os.getpid()} {flags.value_nowait('flag-1', ME, '')}")

def handle_in_a_thread(request):
    return PlainTextResponse(f"{os.getpid()} {flags.value_nowait('flag-1', ME, '')}")

def wsgi(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {flags.value_nowait('flag-1', ME, '')}".encode()]

routes = [Route("/", handle), Route("/nowait", handle_nowait), Route("/thread", handle_in_a_thread)]
if os.environ["OPENED"] == "before the fork":
    asyncio.run(flags.__aenter__())
    app = Starlette(routes=routes)
else:
    app = Starlette(routes=routes, lifespan=lifespan)
"""
STARTUP = 20.0
FOLLOWS = 10.0


class Server:
    """A server's process, its port, and what it answers."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str = "/") -> tuple[int, str]:
        """Which process answered, and what it said."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            process, _, value = response.read().decode().partition(" ")
        return int(process), value

    def until(self, variant: str, workers: int, path: str = "/", seconds: float = FOLLOWS) -> set[int]:
        """Ask until so many processes have answered with the variant. None may go back once it has."""
        seen: set[int] = set()
        last: dict[int, str] = {}
        deadline = time.monotonic() + seconds
        while len(seen) < workers:
            assert time.monotonic() < deadline, (variant, last)
            try:
                process, value = self.get(path)
            except OSError:
                time.sleep(1 / 20)
                continue
            last[process] = value
            assert value == variant or process not in seen
            if value == variant:
                seen.add(process)
        return seen


@contextmanager
def serving(folder: Path, opened_where: str, kind: str, *command: str) -> Iterator[Server]:
    """A server of APPLICATION in a process group of its own, which ends with the block; it must end well."""
    (folder / "application.py").write_text(APPLICATION)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(Path(__file__).parent), str(folder))),
        "FLAGS": str(folder / "flags.json"),
        "KIND": kind,
        "OPENED": opened_where,
    }
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *(word.format(port=port) for word in command)],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            yield Server(port)
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode())
            raise
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        log.seek(0)
        said = log.read().decode()
        assert "Traceback" not in said, said
        assert "never awaited" not in said, said
        assert code in (0, -signal.SIGTERM), said


GUNICORN = ("gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:{port}", "--graceful-timeout", "3")


@pytest.mark.parametrize(("kind", "route"), [("file", "/"), ("function", "/nowait")])
def test_gunicorn_with_preload_and_asgi_workers(kind: str, route: str, path: Path) -> None:
    """The evaluator is opened before the fork, in a loop that has ended: every worker follows the file."""
    command = (*GUNICORN, "--worker-class", "uvicorn.workers.UvicornWorker", "application:app")
    with serving(path.parent, "before the fork", kind, *command) as server:
        workers = server.until("a", 2, route, STARTUP)
        for variant in "bab":
            put(path, variant)
            assert server.until(variant, 2, route) == workers


def test_gunicorn_with_preload_and_threads_of_an_asgi_worker(path: Path) -> None:
    """Synchronous handlers run in threads without a loop: one evaluation on the loop is enough for all."""
    command = (*GUNICORN, "--worker-class", "uvicorn.workers.UvicornWorker", "application:app")
    with serving(path.parent, "before the fork", "function", *command) as server:
        workers = server.until("a", 2, "/thread", STARTUP)
        assert server.until("a", 2) == workers
        put(path, "b")
        assert server.until("b", 2, "/thread") == workers


def test_gunicorn_with_preload_and_synchronous_workers(path: Path) -> None:
    """They answer from what was loaded before the fork, and say once that there is no loop to follow the file on."""
    with serving(path.parent, "before the fork", "function", *GUNICORN, "application:wsgi") as server:
        workers = server.until("a", 2, seconds=STARTUP)
        put(path, "b")
        assert server.until("a", 2) == workers
    said = (path.parent / "log").read_text()
    assert said.count("this forked process evaluates without an event loop") == 2


def test_uvicorn_with_workers(path: Path) -> None:
    """Each opens its own evaluator, in its lifespan."""
    command = ("uvicorn", "--workers", "2", "--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop")
    with serving(path.parent, "in the lifespan", "file", *command, "application:app") as server:
        workers = server.until("a", 2, seconds=STARTUP)
        for variant in "ba":
            put(path, variant)
            assert server.until(variant, 2) == workers
