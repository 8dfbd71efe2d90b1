"""What an adapter gives: how a peer is asked, as source text, and what is said about it. And the list of all peers.

An adapter translates `scenarios.document(n)` into the peer's own format: n flags, of which the even ones have W1's two
rules and the split, and the odd ones are on for everybody. It must not simplify, and says in `equality` where the
peer's rules cannot say the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

MODULES: Final = (
    "ours", "python", "eppo", "openfeature", "statsig", "flipt", "unleash", "growthbook", "launchdarkly", "configcat",
    "flagsmith", "devcycle",
)  # fmt: skip
ATTRIBUTES: Final = '"email": email, "country": country, "appVersion": version, "plan": plan, "company": "acme", ' + (
    '"age": 34, "beta": True, "score": 12.5'
)
"""Eight of the nine attributes as the inside of a dict display; the ninth is `key`."""


@dataclass(frozen=True)
class Offer:
    """How a connected peer is asked. All are Python expressions of `names`.

    context: of `key`, `email`, `country`, `version` and `plan`: what the peer wants to know the user by.
    value: the text "A", "B", "C" or "T" for the flag named `target`, with {context} where the context belongs.
    simple: True for the flag named `simple`. every: something with as many members as there are flags, or None if the
    peer has no call for all of them at once.
    """

    context: str
    value: str
    simple: str
    every: str | None = None
    names: Mapping[str, Any] = field(default_factory=dict)
    close: Callable[[], object] = lambda: None

    @property
    def awaited(self) -> bool:
        return self.value.startswith("await ")


@dataclass(frozen=True)
class Peer:
    """A way to evaluate flags.

    environment: of pins.toml; None for the interpreter that runs the bench. host: of the core, for our own rows.
    distributions: whose versions are shown. engine, equality: for the table. connect: makes it ready for n flags.
    """

    name: str
    environment: str | None
    distributions: tuple[str, ...]
    engine: str
    equality: str
    connect: Callable[[int], Awaitable[Offer]]
    host: str | None = None


def every_peer() -> list[Peer]:
    """All adapters' peers. Importing an adapter imports no SDK."""
    return [peer for name in MODULES for peer in import_module(f".{name}", __package__).PEERS]


def peer_named(name: str) -> Peer:
    """Raises ValueError if there is none."""
    for peer in every_peer():
        if peer.name == name:
            return peer
    raise ValueError(f"no peer {name!r}; there are {', '.join(peer.name for peer in every_peer())}")
