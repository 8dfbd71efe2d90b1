"""A source that a test feeds by hand, and counting documents for it."""

from __future__ import annotations

import json
from typing import Any

import anyio
from evaluators import ON_OFF, flag

from pyflagwasm.sources.base import Document, Sink, Source


class Fed(Source):
    """Delivers what it is given, on the loop where that is awaited."""

    name = "fed"

    def __init__(self) -> None:
        self._sink: Sink | None = None
        self._begun = anyio.Event()

    async def run(self, sink: Sink) -> None:
        self._sink = sink
        self._begun.set()
        await anyio.sleep_forever()

    async def sink(self) -> Sink:
        with anyio.fail_after(20):
            await self._begun.wait()
        assert self._sink is not None
        return self._sink

    async def give(self, document: bytes) -> bool:
        return (await (await self.sink()).offer(Document(document, ""))).accepted

    async def fail(self, cause: str) -> None:
        (await self.sink()).failed(cause)

    async def confirm(self) -> None:
        (await self.sink()).unchanged()


def flags_of(**defaults: Any) -> bytes:
    """Flags that are "on" or "off", or as they are written."""
    flags = {key: flag(ON_OFF, given) if isinstance(given, str) else given for key, given in defaults.items()}
    return json.dumps({"flags": flags}).encode()
