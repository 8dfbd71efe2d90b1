"""pyflagwasm itself, asked like the peers and verified like them: what the ratios to W1 are ratios to."""

from __future__ import annotations

from functools import partial
from importlib import import_module

from ..scenarios import SIMPLE, TARGET, document
from .offer import ATTRIBUTES, Offer, Peer


async def _connect(flags: int, *, awaited: bool) -> Offer:
    evaluator = await import_module("pyflagwasm").open(document(flags)).__aenter__()
    names = {
        "value": evaluator.value, "value_nowait": evaluator.value_nowait, "bind": evaluator.bind,
        "target": TARGET, "simple": SIMPLE,
    }  # fmt: skip
    return Offer(
        context='{"targetingKey": key, ' + ATTRIBUTES + "}",
        value='await value(target, {context}, default="")' if awaited else 'value_nowait(target, {context}, "")',
        simple="value_nowait(simple, {context}, False)",
        every="bind({context}).all()",
        names=names,
    )


def _peer(host: str, awaited: bool) -> Peer:
    name = f"pyflagwasm {host}{' awaited' if awaited else ''}"
    return Peer(name, None, ("pyflagwasm", "wasmtime"), "Wasm (Rust) in wasmtime", "is held against the others",
                partial(_connect, awaited=awaited), host)  # fmt: skip


PEERS = [_peer(host, awaited) for host in ("native", "portable") for awaited in (True, False)]
