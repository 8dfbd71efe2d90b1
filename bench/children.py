"""Processes that the bench starts: each is waited for, for so long and no longer, and ended by its own id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
MARK: Final = "@bench "
GRACE: Final = 5.0
LOOK_SECONDS: Final = 2.0


class ChildFailed(Exception):
    """A child ended otherwise than with a result; the message is one line."""


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child that must find `bench` and nothing else of this process's path."""
    made = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RUST_BACKTRACE")}
    return {**made, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(changes or {})}


def end(process: subprocess.Popen[Any]) -> None:
    """End a child that this process started, politely, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def started(command: Sequence[str], changes: Mapping[str, str] | None = None, **options: Any) -> Iterator[Any]:
    """A child for a block: it is ended with it, however the block ends."""
    process = subprocess.Popen(command, env=environment(changes), cwd=ROOT, text=True, **options)
    try:
        yield process
    finally:
        end(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def output(command: Sequence[str], seconds: float, changes: Mapping[str, str] | None = None) -> str:
    """What a child writes to stdout. Raises ChildFailed with the last line of its stderr."""
    with started(command, changes, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"no result within {seconds:.0f} s") from None
    if process.returncode:
        said = (err.strip() or out.strip() or "nothing was said").splitlines()[-1]
        raise ChildFailed(f"exit code {process.returncode}: {said.replace(str(ROOT), '.')[:300]}")
    return str(out)


def result(command: Sequence[str], seconds: float, changes: Mapping[str, str] | None = None) -> Any:
    """What a child gave to `give`. Raises ChildFailed."""
    for line in reversed(output(command, seconds, changes).splitlines()):
        if line.startswith(MARK):
            return json.loads(line.removeprefix(MARK))
    raise ChildFailed("it ended without a result")


def give(what: Any) -> None:
    """In a child: the result for the parent's `result`."""
    sys.stdout.write("\n" + MARK + json.dumps(what) + "\n")
    sys.stdout.flush()


def end_on_signal() -> None:
    """Being told to end unwinds this process, so that it ends its own children."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)


def lead(main: Callable[[], None]) -> None:
    """Run a child's main program: it ends when it is told to, and when its parent is gone."""
    end_on_signal()
    threading.Thread(target=_end_without, args=(os.getppid(),), daemon=True).start()
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
