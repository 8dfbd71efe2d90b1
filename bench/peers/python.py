"""No SDK at all: W1's document compiled to Python closures with mmh3, without and with an `async def` around it.

Equality: the same document; it gives a value and no reason, and a missing attribute would be an exception.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from ..scenarios import SIMPLE, TARGET, document
from . import reference
from .offer import ATTRIBUTES, Offer, Peer


async def _connect(flags: int, *, awaited: bool) -> Offer:
    table = reference.compiled(document(flags))

    def evaluate(name: str, context: dict[str, Any]) -> Any:
        return table[name](context)

    async def evaluate_awaited(name: str, context: dict[str, Any]) -> Any:
        return table[name](context)

    return Offer(
        context='{"targetingKey": key, ' + ATTRIBUTES + "}",
        value=("await evaluate_awaited" if awaited else "evaluate") + "(target, {context})",
        simple="evaluate(simple, {context})",
        names={
            "evaluate": evaluate, "evaluate_awaited": evaluate_awaited, "target": TARGET, "simple": SIMPLE,
        },
    )  # fmt: skip


_EQUALITY = "full; no reasons, no error handling"
PEERS = [
    Peer("closures + mmh3", "python", ("mmh3",), "pure Python, compiled by hand", _EQUALITY,
         partial(_connect, awaited=False)),
    Peer("closures + mmh3 awaited", "python", ("mmh3",), "the same in an async def", _EQUALITY,
         partial(_connect, awaited=True)),
]  # fmt: skip
