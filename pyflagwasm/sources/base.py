"""What a source of configurations is, and the words it has with the evaluator that it feeds. No source lives here.

A source delivers documents, exact bytes. It does not parse, verify or compile them, and knows no evaluator: all it has
is a Sink. Whatever it delivers, the evaluator answers from the last configuration that was good.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Document:
    """One configuration as it was delivered.

    data: the exact bytes. origin: the path or URL for messages, without secrets.
    signature: the detached signatures that came with it (signing.py), None if there are none.
    """

    data: bytes
    origin: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a document.

    accepted: whether it serves now, or did already. A source asks again, in whole, for what was not accepted.
    events_url: the channel on which the vendor tells of changes, if the configuration names one.
    """

    accepted: bool
    events_url: str | None = None


class Sink(Protocol):
    """Where one source delivers to. For the task that runs the source."""

    async def offer(self, document: Document) -> Receipt:
        """Have a document verified, compiled and swapped in. Raises nothing but the cancellation."""
        ...

    def unchanged(self) -> None:
        """The source was reached, and what it delivered last is still right."""
        ...

    def failed(self, cause: str) -> None:
        """An attempt came to nothing. cause: one line for people, without secrets."""
        ...


class Source(ABC):
    """Delivers configurations for as long as it is run.

    Constructing one needs no event loop, opens nothing and starts nothing. It may be run again after its event loop
    has ended, and in a forked child: so what belongs to a loop or is open lives in `run`, and nowhere else.
    """

    name: str
    """What statistics and messages call it; without secrets."""

    def check(self) -> None:
        """Called when the evaluator is entered. Raises ImportError if a package is missing without which nothing can
        come; then entering raises it. Does not wait: what may pass is the business of `run`."""
        return  # most sources need nothing

    @abstractmethod
    async def run(self, sink: Sink) -> None:
        """Deliver until cancelled. Returns early if nothing more can come.

        Raises for what is wrong with the source itself (a missing package, a bad URL); it is run again after a pause.
        """
