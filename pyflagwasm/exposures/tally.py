"""One counter of evaluations, cheap enough for every one of them. What becomes of the counts is in counting.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from ..types import EMPTY

Kind: TypeAlias = Literal["evaluated", "defaulted"]


class Tally:
    """How often an evaluation had one outcome since it was last drained. Made once for each outcome, by whoever counts.

    metadata must not change. One evaluation costs

        tally.count = n = tally.count + 1
        if n == 1:
            counter.touched.append(tally)

    Threads may do so at once: CPython with a GIL (3.11 to 3.13 were looked at) switches threads, and runs signal
    handlers, at calls and jumps backwards, of which there is none between reading and storing the count. To count
    first and append then is what makes it right: a tally that is appended first can be drained while its count is
    still 0, and would never be appended again.
    """

    __slots__ = ("count", "flag_key", "generation", "kind", "metadata", "reason", "variant")

    def __init__(
        self,
        kind: Kind,
        flag_key: str,
        variant: str | None,
        reason: str,
        metadata: Mapping[str, Any] = EMPTY,
        generation: int = 0,
    ) -> None:
        self.count = 0
        self.kind: Kind = kind
        self.flag_key, self.variant, self.reason = flag_key, variant, reason
        self.metadata, self.generation = metadata, generation
