"""The process that verifies and times one peer: `python -m bench.peers.worker NAME`, in the peer's environment.

The reference is timed in the same rounds: each batch of the peer has one of the reference within some tens of
milliseconds, and both have awaited no-ops right beside them. The figure is the ratio of the two ratios to those.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from .. import children, figures
from ..measure import NO_OP, Rounds, Subject, WrongAnswer, units
from ..scenarios import FRESH, TARGET, document, people, user
from . import reference
from .offer import Offer, Peer, peer_named

FLAGS: Final = 50
SAMPLE: Final = 1000
CLOSE_SECONDS: Final = 3.0
USUAL: Final = {"country": "BR", "version": "2.7.1", "plan": "pro"}
PLACES: Final = "key, email, country, version, plan"
CASES: Final[tuple[tuple[str, dict[str, str], str], ...]] = (
    ("rule 1", {"country": "NL"}, "A"),
    ("rule 2", {"plan": "enterprise"}, "B"),
    ("rule 2 by a version that is smaller as a text", {"version": "2.10.0", "plan": "enterprise"}, "B"),
    ("rule 2 with an older version", {"version": "2.4.9", "plan": "enterprise"}, "CT"),
    ("rule 1 with an address that only contains the domain", {"email": "u@example.com.evil.io", "country": "NL"}, "CT"),
    ("rule 1 with another domain", {"email": "u@example.org", "country": "NL"}, "CT"),
    ("rule 1 with a country that is not listed", {"country": "ZZ"}, "CT"),
)


def filled(expression: str, context: str) -> str:
    """An expression of an offer with the context in its place."""
    return expression.replace("{context}", context)


class Asked:
    """A connected peer, asked for answers rather than timed."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._asks: dict[str, Any] = {}

    def _ask(self, expression: str) -> Any:
        if expression not in self._asks:
            prefix = "async " if "await " in expression else ""
            source = f"{prefix}def ask({PLACES}): return {filled(expression, self._offer.context)}"
            made: dict[str, Any] = dict(self._offer.names)
            exec(compile(source, "<peer>", "exec"), made)
            self._asks[expression] = made["ask"]
        return self._asks[expression]

    async def answer(self, expression: str, number: int = 7, changes: Mapping[str, str] = USUAL) -> Any:
        person = {"key": f"user-{number:06d}", "email": f"user{number}@example.com", **USUAL, **changes}
        found = self._ask(expression)(**person)
        return await found if inspect.isawaitable(found) else found

    async def verify(self) -> None:
        """Raises WrongAnswer at the first answer that W1 does not have."""
        ask, value = self.answer, self._offer.value
        for name, changes, letters in CASES:
            given = await ask(value, changes=changes)
            if not isinstance(given, str) or len(given) != 1 or given not in letters:
                raise WrongAnswer(f"{name}: {given!r:.100} instead of {' or '.join(letters)}")
        given = await ask(self._offer.simple)
        if given is not True:
            raise WrongAnswer(f"the flag that is on for everybody: {given!r:.100}")
        seen = Counter([await ask(value, number) for number in range(SAMPLE)])
        if set(seen) != {"C", "T"} or min(seen.values()) < 0.4 * SAMPLE:
            raise WrongAnswer(f"the split is not 50/50: {dict(seen)}")
        if len({await ask(value) for _ in range(20)}) != 1:
            raise WrongAnswer("the split is not the same for the same user")
        if self._offer.every is not None:
            found = await ask(self._offer.every)
            if len(found) != FLAGS:
                raise WrongAnswer(f"{len(found)} of {FLAGS} flags at once")


def timed(offer: Offer, ready: Any) -> list[Subject]:
    """What is timed in a peer's process, the units and the reference first."""
    closures = reference.compiled(document(FLAGS))[TARGET]
    names = {**offer.names, **USUAL}

    def right(value: object) -> bool:
        return value in ("C", "T")

    subjects = [
        *units(),
        Subject(reference.NAME, "decide(ready)", right, {"decide": closures, "ready": user()}),
        Subject("reference/fresh", f"decide({FRESH})", right, {"decide": closures}),
        Subject("fresh", filled(offer.value, offer.context), right, names),
        Subject("reused", filled(offer.value, "ready"), right, {**names, "ready": ready}),
    ]
    if offer.every is not None:
        every = filled(offer.every, offer.context)
        subjects.append(Subject("all", every, lambda found: len(found) == FLAGS, names, samples=False))
    return subjects


async def measured(peer: Peer, rounds: int, closing: list[Callable[[], object]]) -> dict[str, Any]:
    """Verified, and timed if there are rounds. What closes the peer is put into `closing`."""
    offer = await peer.connect(FLAGS)
    closing.append(offer.close)
    asked = Asked(offer)
    try:
        await asked.verify()
    except WrongAnswer as error:
        return {"name": peer.name, "wrong": str(error)}
    if not rounds:
        return {"name": peer.name, "verified": True}
    ready = eval(compile(offer.context, "<peer>", "eval"), dict(offer.names), {
        "key": "user-000007", "email": "user7@example.com", **USUAL,
    })  # fmt: skip
    measure = Rounds(timed(offer, ready), people())
    await measure.measure(rounds)
    rows = {row.name: row for row in measure.rows(peer.host or "")}
    base, unit = rows[reference.NAME], rows[NO_OP]
    found: dict[str, Any] = {"name": peer.name, "cases": {}, "reference_us": base.us, "no_op_us": unit.us}
    for name in ("reference/fresh", "fresh", "reused", "all"):
        if name in rows:
            row = rows[name]
            found["cases"][name] = {
                "us": row.us, "p50": row.p50, "p99": row.p99, "p999": row.p999, "peak": row.peak, "curve": row.curve,
                "to_reference": figures.ratios(row.rounds, base.rounds), "to_no_op": row.rounds,
            }  # fmt: skip
    return found


def versions(peer: Peer) -> dict[str, str]:
    found = {}
    for name in peer.distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.worker")
    parser.add_argument("name")
    parser.add_argument("--rounds", type=int, default=7, help="0 verifies the answers only")
    options = parser.parse_args()
    peer = peer_named(options.name)
    closing: list[Callable[[], object]] = []
    found = asyncio.run(measured(peer, options.rounds, closing))
    children.give({**found, "versions": versions(peer)})
    last = threading.Thread(target=lambda: [close() for close in closing], daemon=True)
    last.start()
    last.join(CLOSE_SECONDS)
    sys.stderr.flush()
    os._exit(0)  # some SDKs keep threads that would hold the process for seconds


if __name__ == "__main__":
    children.lead(main)
