"""Eppo's server SDK: a Rust core in a CPython extension, started from a configuration and without polling.

Equality: full. There is no ends-with operator, so the address is matched by a regular expression with an anchor.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import ATTRIBUTES, Offer, Peer

_SHARDS = 10_000


def _condition(attribute: str, operator: str, value: Any) -> dict[str, Any]:
    return {"attribute": attribute, "operator": operator, "value": value}


def _allocation(name: str, conditions: list[dict[str, Any]], splits: list[dict[str, Any]]) -> dict[str, Any]:
    rules = [{"conditions": conditions}] if conditions else []
    return {"key": name, "doLog": False, "rules": rules, "splits": splits}


def _whole(variation: str) -> list[dict[str, Any]]:
    return [{"variationKey": variation, "shards": []}]


def _part(variation: str, salt: str, start: int, end: int) -> dict[str, Any]:
    return {"variationKey": variation, "shards": [{"salt": salt, "ranges": [{"start": start, "end": end}]}]}


def _flag(key: str, targeted: bool) -> dict[str, Any]:
    if targeted:
        kind, values = "STRING", {letter: letter for letter in "ABCT"}
        half = _SHARDS // 2
        allocations = [
            _allocation("domestic", [_condition("email", "MATCHES", r"@example\.com$"),
                                     _condition("country", "ONE_OF", list(COUNTRIES))], _whole("A")),
            _allocation("modern", [_condition("appVersion", "GTE", "2.5.0"),
                                   _condition("plan", "ONE_OF", ["enterprise"])], _whole("B")),
            _allocation("split", [], [_part("C", key, 0, half), _part("T", key, half, _SHARDS)]),
        ]  # fmt: skip
    else:
        kind, values, allocations = "BOOLEAN", {"on": True}, [_allocation("all", [], _whole("on"))]  # type: ignore[dict-item]
    return {
        "key": key,
        "enabled": True,
        "totalShards": _SHARDS,
        "variationType": kind,
        "variations": {name: {"key": name, "value": value} for name, value in values.items()},
        "allocations": allocations,
    }


async def _connect(flags: int) -> Offer:
    eppo, config = import_module("eppo_client"), import_module("eppo_client.config")
    universal = {
        "createdAt": "2024-01-01T00:00:00.000Z",
        "format": "SERVER",
        "environment": {"name": "bench"},
        "flags": {key: _flag(key, "targeting" in flag) for key, flag in document(flags)["flags"].items()},
    }
    client = eppo.init(
        config.Config(
            api_key="none",
            base_url="http://127.0.0.1:9",
            assignment_logger=config.AssignmentLogger(),
            poll_interval_seconds=None,
            initial_configuration=eppo.Configuration(flags_configuration=json.dumps(universal).encode()),
        )
    )
    return Offer(
        context="(key, {" + ATTRIBUTES + "})",
        value='text(target, *{context}, "")',
        simple="boolean(simple, *{context}, False)",
        names={
            "text": client.get_string_assignment, "boolean": client.get_boolean_assignment, "target": TARGET,
            "simple": SIMPLE,
        },
        close=client.shutdown,
    )  # fmt: skip


PEERS = [
    Peer("Eppo", "eppo", ("eppo-server-sdk",), "Rust (PyO3)", "full; ends-with as an anchored regex; MD5", _connect)
]
