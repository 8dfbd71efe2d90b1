"""LaunchDarkly's server SDK, its definitions put into its own store by an update processor; events are off.

Equality: full. There is no at-least operator for versions: it is written as a negated less-than.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import Offer, Peer


def _clause(attribute: str, operator: str, *values: str, negate: bool = False) -> dict[str, Any]:
    return {"contextKind": "user", "attribute": attribute, "op": operator, "values": list(values), "negate": negate}


def _flag(key: str, targeted: bool) -> dict[str, Any]:
    shared = {"key": key, "version": 1, "on": True, "salt": key, "targets": [], "prerequisites": [], "offVariation": 0,
              "trackEvents": False}  # fmt: skip
    if not targeted:
        return {**shared, "variations": [False, True], "rules": [], "fallthrough": {"variation": 1}}
    halves = [{"variation": 2, "weight": 50_000}, {"variation": 3, "weight": 50_000}]
    domestic = [_clause("email", "endsWith", "@example.com"), _clause("country", "in", *COUNTRIES)]
    modern = [_clause("appVersion", "semVerLessThan", "2.5.0", negate=True), _clause("plan", "in", "enterprise")]
    return {
        **shared,
        "variations": list("ABCT"),
        "rules": [
            {"id": "domestic", "variation": 0, "clauses": domestic},
            {"id": "modern", "variation": 1, "clauses": modern},
        ],
        "fallthrough": {"rollout": {"contextKind": "user", "variations": halves}},
    }


async def _connect(flags: int) -> Offer:
    logging.getLogger("ldclient").setLevel(logging.ERROR)
    client_module, interfaces = import_module("ldclient.client"), import_module("ldclient.interfaces")
    kinds = import_module("ldclient.versioned_data_kind")
    definitions = {key: _flag(key, "targeting" in flag) for key, flag in document(flags)["flags"].items()}

    def made(self: Any, config: Any, store: Any, ready: Any) -> None:
        self.store, self.ready = store, ready

    def start(self: Any) -> None:
        self.store.init({kinds.FEATURES: definitions, kinds.SEGMENTS: {}})
        self.ready.set()

    members = {
        "__init__": made,
        "start": start,
        "stop": lambda self: None,
        "is_alive": lambda self: True,
        "initialized": lambda self: True,
    }
    config = import_module("ldclient.config").Config(
        "sdk-none", send_events=False, diagnostic_opt_out=True,
        update_processor_class=type("Given", (interfaces.UpdateProcessor,), members),
    )  # fmt: skip
    client = client_module.LDClient(config)
    attributes = "".join(f'.set("{name}", {value})' for name, value in (
        ("email", "email"), ("country", "country"), ("appVersion", "version"), ("plan", "plan"), ("company", "'acme'"),
        ("age", "34"), ("beta", "True"), ("score", "12.5"),
    ))  # fmt: skip
    return Offer(
        context=f"builder(key){attributes}.build()",
        value='variation(target, {context}, "")',
        simple="variation(simple, {context}, False)",
        every="every({context}).to_values_map()",
        names={
            "builder": import_module("ldclient").Context.builder, "variation": client.variation,
            "every": client.all_flags_state, "target": TARGET, "simple": SIMPLE,
        },
        close=client.close,
    )  # fmt: skip


PEERS = [
    Peer("LaunchDarkly", "launchdarkly", ("launchdarkly-server-sdk",), "pure Python",
         "full; at-least as a negated less-than; SHA-1", _connect)
]  # fmt: skip
