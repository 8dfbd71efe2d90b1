"""Event loops for tests: one async function on asyncio in debug mode, on uvloop and on trio; a sink that records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from pyflagwasm.sources.base import Document, Receipt

LOOPS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio", "backend_options": {"debug": True}},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}

every_loop = pytest.mark.parametrize("loop", LOOPS)
"""Mark of a test with an argument `loop`, a name for `run_on`."""


def run_on(loop: str, function: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Runs an async function to its end on a new loop of that name, within 60 seconds."""
    if loop == "uvloop":
        pytest.importorskip("uvloop")

    async def bounded() -> Any:
        with anyio.fail_after(60):
            return await function(*arguments)

    return anyio.run(bounded, **LOOPS[loop])


class RecordingSink:
    """Stands in for an evaluator. accept: which documents it takes."""

    def __init__(self, accept: Callable[[Document], bool] = lambda document: True) -> None:
        self.accept = accept
        self.events_url: str | None = None
        self.offered: list[Document] = []
        self.accepted: list[bytes] = []
        self.failures: list[str] = []
        self.confirmed = 0
        self._changed = anyio.Event()

    async def offer(self, document: Document) -> Receipt:
        self.offered.append(document)
        accepted = self.accept(document)
        if accepted:
            self.accepted.append(document.data)
        self._tell()
        return Receipt(accepted, self.events_url)

    def unchanged(self) -> None:
        self.confirmed += 1
        self._tell()

    def failed(self, cause: str) -> None:
        self.failures.append(cause)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Waits until something was recorded that makes the condition true."""
        with anyio.fail_after(seconds):
            while not condition():
                await self._changed.wait()
