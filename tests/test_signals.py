"""Traps beside faulthandler, signals within swaps, the end of the interpreter: the process goes as it was told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import pytest
from children import ROOT, put, script
from loops import LOOPS

TIMES = int(os.environ.get("PYFLAGWASM_TIMES", "1"))
"""How often each ending is tried. Once: not all of them."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# ---------------------------------------------------------------- traps

TRAPS = {
    "UNREACHABLE": "unreachable",
    "MEMORY_OUT_OF_BOUNDS": "(i64.load (i32.const -9))",
    "INTEGER_DIVISION_BY_ZERO": "(i64.div_u (i64.const 1) (i64.const 0))",
    "STACK_OVERFLOW": "(i64.add (i64.const 1) (call $decide (local.get $flag)))",
}
FORCE = (
    f"TRAPS = {TRAPS!r}"
    + """
import faulthandler, signal, sys, threading

def force():
    "Evaluations that trap, on this thread and on another one, with a small stack."
    import support
    from evaluators import closed, opened, uniform
    from pyflagwasm.pool import member
    accepts = '(func (export "config_stage") (param i32) (result i64) (global.set $staged (i32.const 1)) (i64.const 0))'
    real, seen = member.Member, []

    def evaluate():
        seen.append(flags.details_nowait("flag-1", {"who": "me"}, "mine"))

    for name, body in TRAPS.items():
        decide = f"(func $decide (param $flag i32) (result i64) {body})"
        for run in (evaluate, threading.Thread(target=evaluate)):
            core = support.core(support.wat(config_stage=accepts, decide=decide))
            member.Member = lambda: real(core)
            flags = opened(uniform(2, "a"), size=1)
            member.Member = real
            if run is evaluate:
                run()
            else:
                run.start()
                run.join()
            details = seen.pop()
            assert (details.value, name in details.error_message) == ("mine", True), details
            assert flags.value_nowait("flag-1", {"who": "me"}, "") == "a"
            closed(flags)

threading.stack_size(256 << 10)
"""
)
ORDERS = {
    "before": "faulthandler.enable(); force()",
    "after": "import support; faulthandler.enable(); force()",
    "toggled": "faulthandler.enable(); import support; faulthandler.disable(); force(); faulthandler.enable(); force()",
    "off and on": "import support; faulthandler.enable(); faulthandler.disable(); force()",
    "handlers": "import support\n"
    "for number in (signal.SIGSEGV, signal.SIGILL, signal.SIGFPE, signal.SIGBUS):\n"
    "    signal.signal(number, lambda *_: sys.exit(9))\n"
    "force()",
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_trap_never_ends_the_process(order: str) -> None:
    done = script(FORCE + ORDERS[order])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---------------------------------------------------------------- signals within swaps

SWAPS = """
import signal, sys
from children import ME, on, uniform
from evaluators import opened
from pyflagwasm.generation import Generation
from pyflagwasm.loading import compile_source

compiled = [compile_source(uniform(1_000, variant)) for variant in "ab"]
flags = opened(uniform(4, "a"))

def swap(number):
    flags._swaps.swap(Generation(compiled[number % 2]), next(flags._intake._tickets))

async def reload():
    for number in range(1_000_000):
        await flags.reload(documents[number % 2])
        ready(number)

def ready(number):
    if number == 3:
        print("ready", flush=True)

def terminate(number, frame):
    sys.exit(4)

documents = [uniform(60, variant) for variant in "ab"]
loop, wanted = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored in what a shell has put into the background
if wanted == "SystemExit":
    signal.signal(signal.SIGTERM, terminate)
try:
    if loop == "none":
        for number in range(1_000_000):
            swap(number)
            ready(number)
    else:
        on(loop, reload)
except (KeyboardInterrupt, SystemExit) as error:
    name = type(error).__name__
for number in range(3):
    assert set(flags.bind(ME).all().values()) in ({"a"}, {"b"})
    swap(number)
    assert set(flags.bind(ME).all().values()) == {"ab"[number % 2]}
pool = flags.statistics().pool
assert (pool.idle, pool.in_use, pool.missing) == (2, 0, 0), pool
on("asyncio", flags.aclose)
assert name == wanted, name
"""


def swapping(*arguments: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    process = subprocess.Popen(
        [sys.executable, "-c", SWAPS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


# no SystemExit in trio, which abandons its run if that is raised between two tasks
@pytest.mark.parametrize(
    ("number", "error", "loop"),
    [(signal.SIGINT, "KeyboardInterrupt", loop) for loop in ("none", *LOOPS)]
    + [(signal.SIGTERM, "SystemExit", loop) for loop in ("none", "asyncio", "uvloop")],
)
def test_a_signal_within_swaps_leaves_one_configuration(loop: str, number: int, error: str) -> None:
    for turn in range(TIMES):
        process = swapping(loop, error)
        time.sleep(turn / 1000)
        for _ in range(10):  # what is raised within a finalizer or a callback of C is ignored: once more
            process.send_signal(number)
            try:
                err = process.communicate(timeout=2)[1]
                break
            except subprocess.TimeoutExpired:
                continue
        assert (process.returncode, b"Fatal" in err) == (0, False), err.decode()


def test_a_signal_that_nobody_handles_ends_the_process() -> None:
    process = swapping("none", "nothing")
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (-signal.SIGTERM, b"", b"")


# ---------------------------------------------------------------- the end of the interpreter

LONGEST = 2.0
"""Seconds between the program's last line and the end of its process."""

EXIT = """
import faulthandler, sys, threading, time
from pathlib import Path
import anyio
import pyflagwasm
from children import ME, SOURCES, answer, follows, on
faulthandler.enable()
loop, kind, path = sys.argv[1:]
path = Path(path)
flags = pyflagwasm.open(SOURCES[kind](path))

def last():
    print(time.monotonic(), flush=True)

async def enter():
    await flags.__aenter__()
    await follows(flags, "a")

def spin(ready):
    while True:
        answer(flags)
        flags.bind(ME).all()
        ready.set()

def spinning():
    for _ in range(4):
        ready = threading.Event()
        threading.Thread(target=spin, args=(ready,), daemon=True).start()
        ready.wait()
"""
ENDS = {
    "left open": "on(loop, enter)\nlast()",
    "in a block": "async def main():\n    async with flags:\n        await follows(flags, 'a')\n        last()\n"
    "        sys.exit(0)\non(loop, main)",
    "in a loop": "async def main():\n    await enter()\n    last()\n    sys.exit(0)\non(loop, main)",
    "threads": "on(loop, enter)\nspinning()\nlast()",
    "threads and a loop": "async def main():\n    await enter()\n    spinning()\n    last()\n"
    "    sys.exit(0)\non(loop, main)",
    "a loop in a thread": "ready = threading.Event()\n"
    "async def main():\n    await enter()\n    ready.set()\n    await anyio.sleep_forever()\n"
    "threading.Thread(target=on, args=(loop, main), daemon=True).start()\nready.wait()\nlast()",
}


EVERY = list(product(ENDS, ("file", "function"), LOOPS))


@pytest.mark.parametrize(("end", "kind", "loop"), EVERY if TIMES > 1 else EVERY[::5])
def test_the_interpreter_ends_with_the_evaluator_open(end: str, kind: str, loop: str, tmp_path: Path) -> None:
    put(tmp_path / "flags.json", "a")
    for _ in range(TIMES):
        # a loop may end in the moment in which anyio has begun a task: what it was to await complains
        quiet = "ignore:coroutine:RuntimeWarning"
        done = script(EXIT + ENDS[end], loop, kind, str(tmp_path / "flags.json"), PYTHONWARNINGS=quiet)
        ended = time.monotonic()
        assert (done.returncode, done.stderr) == (0, b"")
        assert ended - float(done.stdout) < LONGEST
