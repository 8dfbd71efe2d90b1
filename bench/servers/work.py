"""What a request to either server does, and how the servers are started and ended. No web framework here.

/none            answers at once, without a flag
/flags?user=N    awaits 50 flags, each with a context of its own, and answers what they gave
/swapping/on     begins to swap a configuration of 1,000 flags, again and again; /swapping/off ends that
/numbers         seconds of CPU that the process has used, and swaps so far, as JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Final

import pyflagwasm
from pyflagwasm import FlagEvaluator

from ..scenarios import document, user

PER_REQUEST: Final = 50
CONFIGURED: Final = 1000
PAUSE: Final = 0.1
"""Seconds between two swaps."""

KEYS: Final = [f"flag-{number:04d}" for number in range(PER_REQUEST)]
NONE: Final = "no flags"


def evaluator() -> FlagEvaluator:
    return pyflagwasm.open(_text(0))


def _text(number: int) -> bytes:
    return json.dumps(document(CONFIGURED, str(number))).encode()


def shown(values: list[object]) -> str:
    """The body for what 50 flags gave: a letter for each text, 1 for each boolean that is on, 0 for any default."""
    return "".join("1" if value is True else value if isinstance(value, str) and value else "0" for value in values)


async def answer(flags: FlagEvaluator, number: int) -> str:
    """The body of /flags. Each flag has a context of its own, as if another part of the program asked for it."""
    return shown(
        [
            await flags.value(key, user(number), default=False if place % 2 else "")
            for place, key in enumerate(KEYS)
        ]
    )  # fmt: skip


def expected(number: int, flags: FlagEvaluator) -> str:
    """The same without a server and without await."""
    context = user(number)
    return shown([flags.value_nowait(key, context, False if place % 2 else "") for place, key in enumerate(KEYS)])


class Swapping:
    """Swaps while it is on."""

    def __init__(self, flags: FlagEvaluator) -> None:
        self._flags = flags
        self._task: asyncio.Task[None] | None = None
        self._texts = [_text(number) for number in range(2)]

    async def turn(self, on: bool) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = asyncio.ensure_future(self._swap()) if on else None

    async def _swap(self) -> None:
        number = self._flags.statistics().generation
        while True:
            number += 1
            await self._flags.reload(self._texts[number % 2])
            await asyncio.sleep(PAUSE)


def numbers(flags: FlagEvaluator) -> str:
    return json.dumps({"cpu": time.process_time(), "swaps": flags.statistics().swaps})


# ---------------------------------------------------------------- the process


def listening() -> socket.socket:
    """A socket on a free port of the loopback, told to the parent. When the parent closes our stdin, we end."""
    made = socket.create_server(("127.0.0.1", 0), backlog=128)
    made.setblocking(False)
    print(made.getsockname()[1], flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return made


def _end_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
