"""Unleash: its client, started from a bootstrapped cache, and the bare engine under it (Rust through ctypes, JSON).

Equality: full. There is no at-least operator for versions: it is written as an inverted less-than.
"""

from __future__ import annotations

import json
import logging
from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import Offer, Peer


def _constraint(name: str, operator: str, **more: Any) -> dict[str, Any]:
    return {"contextName": name, "operator": operator, "values": [], "inverted": False, "caseInsensitive": False} | more


def _strategy(key: str, constraints: list[dict[str, Any]], weights: dict[str, int]) -> dict[str, Any]:
    variants = [
        {"name": name, "weight": weight, "weightType": "variable", "stickiness": "userId",
         "payload": {"type": "string", "value": name}}
        for name, weight in weights.items()
    ]  # fmt: skip
    parameters = {"rollout": "100", "stickiness": "userId", "groupId": key}
    return {"name": "flexibleRollout", "constraints": constraints, "parameters": parameters, "variants": variants}


def _feature(key: str, targeted: bool) -> dict[str, Any]:
    strategies: list[dict[str, Any]] = [{"name": "default", "constraints": [], "parameters": {}}]
    if targeted:
        strategies = [
            _strategy(key, [_constraint("email", "STR_ENDS_WITH", values=["@example.com"]),
                            _constraint("country", "IN", values=list(COUNTRIES))], {"A": 1000}),
            _strategy(key, [_constraint("appVersion", "SEMVER_LT", value="2.5.0", inverted=True),
                            _constraint("plan", "IN", values=["enterprise"])], {"B": 1000}),
            _strategy(key, [], {"C": 500, "T": 500}),
        ]  # fmt: skip
    return {"name": key, "type": "release", "enabled": True, "project": "default", "stale": False,
            "impressionData": False, "variants": [], "strategies": strategies}  # fmt: skip


def _state(flags: int) -> str:
    source = document(flags)["flags"]
    return json.dumps({"version": 2, "features": [_feature(key, "targeting" in flag) for key, flag in source.items()]})


_PROPERTIES = '"email": email, "country": country, "appVersion": version, "plan": plan, "company": "acme", '


async def _client(flags: int) -> Offer:
    logging.getLogger("UnleashClient").setLevel(logging.ERROR)
    unleash, cache = import_module("UnleashClient"), import_module("UnleashClient.cache")
    features = import_module("UnleashClient.constants").FEATURES_URL
    held: dict[str, Any] = {features: _state(flags)}
    members = {
        "bootstrapped": True,
        "set": lambda self, key, value: held.__setitem__(key, value),
        "mset": lambda self, data: held.update(data),
        "get": lambda self, key, default=None: held.get(key, default),
        "exists": lambda self, key: key in held,
        "destroy": lambda self: held.clear(),
    }
    client = unleash.UnleashClient(
        url="http://127.0.0.1:9/api", app_name="bench", disable_metrics=True, disable_registration=True,
        refresh_interval=3600, cache=type("Held", (cache.BaseCache,), members)(),
    )  # fmt: skip
    client.initialize_client(fetch_toggles=False)
    return Offer(
        context='{"userId": key, "properties": {' + _PROPERTIES + '"age": 34, "beta": True, "score": 12.5}}',
        value='variant(target, {context})["name"]',
        simple="enabled(simple, {context})",
        names={"variant": client.get_variant, "enabled": client.is_enabled, "target": TARGET, "simple": SIMPLE},
        close=client.destroy,
    )


async def _engine(flags: int) -> Offer:
    engine = import_module("yggdrasil_engine.engine").UnleashEngine()
    engine.take_state(_state(flags))
    return Offer(
        context='{"userId": key, "properties": {' + _PROPERTIES + '"age": "34", "beta": "True", "score": "12.5"}}',
        value="variant(target, {context}).variant.name",
        simple="enabled(simple, {context}).is_enabled",
        names={"variant": engine.get_variant, "enabled": engine.is_enabled, "target": TARGET, "simple": SIMPLE},
    )


_EQUALITY = "full; at-least as an inverted less-than"
PEERS = [
    Peer("Unleash", "unleash", ("UnleashClient", "yggdrasil-engine"), "Rust (ctypes, JSON)", _EQUALITY, _client),
    Peer("Unleash engine alone", "unleash", ("yggdrasil-engine",), "Rust (ctypes, JSON)", _EQUALITY, _engine),
]
