"""Flipt's client: a Rust engine called through ctypes with JSON both ways, pydantic around it.

Equality: slightly less. It has no operator for versions, so the caller makes a number of the version and the rule
compares numbers. Its attributes are texts.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from datetime import timedelta
from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from . import loopback
from .offer import Offer, Peer


def _constraint(kind: str, name: str, operator: str, value: str) -> dict[str, str]:
    return {"type": f"{kind}_CONSTRAINT_COMPARISON_TYPE", "property": name, "operator": operator, "value": value}


def _flag(key: str, targeted: bool) -> dict[str, Any]:
    shared = {"key": key, "name": key, "description": "", "enabled": True, "rollouts": []}
    if not targeted:
        return {**shared, "type": "BOOLEAN_FLAG_TYPE", "rules": []}
    steps: list[tuple[list[dict[str, str]], dict[str, float]]] = [
        ([_constraint("STRING", "email", "suffix", "@example.com"),
          _constraint("STRING", "country", "isoneof", json.dumps(COUNTRIES))], {"A": 100.0}),
        ([_constraint("NUMBER", "appVersion", "gte", "20500"),
          _constraint("STRING", "plan", "eq", "enterprise")], {"B": 100.0}),
        ([], {"C": 50.0, "T": 50.0}),
    ]  # fmt: skip
    rules = []
    for rank, (constraints, shares) in enumerate(steps, 1):
        segment = {"key": f"segment-{rank}", "name": "", "matchType": "ALL_SEGMENT_MATCH_TYPE",
                   "constraints": constraints}  # fmt: skip
        rules.append({
            "id": f"{key}-{rank}", "rank": rank, "segmentOperator": "OR_SEGMENT_OPERATOR", "segments": [segment],
            "distributions": [{"variantKey": variant, "rollout": share} for variant, share in shares.items()],
        })  # fmt: skip
    return {**shared, "type": "VARIANT_FLAG_TYPE", "rules": rules}


def _number(version: str) -> str:
    major, minor, patch = version.split(".")
    return str(int(major) * 10_000 + int(minor) * 100 + int(patch))


async def _connect(flags: int) -> Offer:
    flipt, models = import_module("flipt_client"), import_module("flipt_client.models")
    source = document(flags)["flags"]
    snapshot = {"namespace": {"key": "default"}, "flags": [_flag(key, "targeting" in it) for key, it in source.items()]}
    stack = ExitStack()  # it may fetch once more after it has begun, and fails for good if it cannot
    url = stack.enter_context(loopback.served(json.dumps(snapshot)))
    client = flipt.FliptClient(
        models.ClientOptions(url=url, fetch_mode=models.FetchMode.POLLING, update_interval=timedelta(hours=1))
    )
    stack.callback(client.close)
    Request = models.EvaluationRequest

    def everything(key: str, context: dict[str, str]) -> Any:
        requests = [Request(flag_key=name, entity_id=key, context=context) for name in source]
        return client.evaluate_batch(requests).responses

    texts = '"email": email, "country": country, "appVersion": number(version), "plan": plan, "company": "acme", '
    return Offer(
        context="(key, {" + texts + '"age": "34", "beta": "true", "score": "12.5"})',
        value="variant(target, *{context}).variant_key",
        simple="boolean(simple, *{context}).enabled",
        every="everything(*{context})",
        names={
            "variant": client.evaluate_variant, "boolean": client.evaluate_boolean, "everything": everything,
            "number": _number, "target": TARGET, "simple": SIMPLE,
        },
        close=stack.close,
    )  # fmt: skip


PEERS = [
    Peer("Flipt", "flipt", ("flipt-client",), "Rust (ctypes, JSON)",
         "slightly less: versions compared as numbers; CRC-32", _connect)
]  # fmt: skip
