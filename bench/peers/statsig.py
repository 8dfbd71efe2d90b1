"""Statsig's server core: Rust in a CPython extension, its specifications handed over by a data store, no network.

Equality: full. Texts come from a dynamic config, whose split is two rules, the first with a bucket condition.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import Offer, Peer

_TIME = 1_700_000_000_000


def _condition(kind: str, field: str | None, operator: str | None, target: Any, salt: str = "") -> dict[str, Any]:
    extra = {"salt": salt} if salt else {}
    return {
        "type": kind, "field": field, "operator": operator, "targetValue": target, "additionalValues": extra,
        "isDeviceBased": False, "idType": "userID",
    }  # fmt: skip


def _rule(key: str, name: str, conditions: list[str], value: Any) -> dict[str, Any]:
    return {
        "name": name, "id": name, "groupName": name, "salt": f"{key}.{name}", "passPercentage": 100,
        "idType": "userID", "conditions": conditions, "returnValue": value,
    }  # fmt: skip


def _specifications(flags: int) -> str:
    conditions = {
        "address": _condition("user_field", "email", "str_ends_with_any", ["@example.com"]),
        "country": _condition("user_field", "country", "any", list(COUNTRIES)),
        "version": _condition("user_field", "appVersion", "version_gte", "2.5.0"),
        "plan": _condition("user_field", "plan", "any", ["enterprise"]),
        "everyone": _condition("public", None, None, None),
    }
    gates, configs = {}, {}
    for key, flag in document(flags)["flags"].items():
        shared = {"salt": key, "enabled": True, "isActive": True, "idType": "userID"}
        if "targeting" in flag:
            conditions[f"half-{key}"] = _condition("user_bucket", None, "lt", 500, salt=key)
            rules = [
                _rule(key, "domestic", ["address", "country"], {"value": "A"}),
                _rule(key, "modern", ["version", "plan"], {"value": "B"}),
                _rule(key, "half", [f"half-{key}"], {"value": "C"}),
                _rule(key, "rest", ["everyone"], {"value": "T"}),
            ]
            configs[key] = {**shared, "type": "dynamic_config", "entity": "dynamic_config", "rules": rules,
                            "defaultValue": {"value": ""}}  # fmt: skip
        else:
            gates[key] = {**shared, "type": "feature_gate", "entity": "feature_gate", "defaultValue": False,
                          "rules": [_rule(key, "all", ["everyone"], True)]}  # fmt: skip
    empty: dict[str, Any] = {name: {} for name in (
        "layer_configs", "experiment_to_layer", "layers", "id_lists", "sdk_flags", "sdk_configs",
    )}  # fmt: skip
    return json.dumps({
        **empty, "has_updates": True, "time": _TIME, "checksum": "1", "company_id": "bench",
        "response_format": "dcs-v2", "feature_gates": gates, "dynamic_configs": configs, "condition_map": conditions,
    })  # fmt: skip


async def _connect(flags: int) -> Offer:
    statsig, store = import_module("statsig_python_core"), import_module("statsig_python_core.data_store")
    text = _specifications(flags)

    def get(self: Any, key: str) -> Any:
        return store.DataStoreResponse(result=text, time=_TIME)

    Held = type("Held", (store.DataStore,), {"get": get, "support_polling_updates_for": lambda self, key: False})
    client = statsig.Statsig(
        "secret-none",
        statsig.StatsigOptions(
            disable_network=True, disable_all_logging=True, disable_country_lookup=True, disable_disk_access=True,
            wait_for_user_agent_init=False, output_log_level="none", data_store=Held(),
            specs_sync_interval_ms=3_600_000,
        ),
    )  # fmt: skip
    client.initialize().wait()
    custom = '{"plan": plan, "company": "acme", "age": 34, "beta": True, "score": 12.5}'
    return Offer(
        context=f"User(user_id=key, email=email, country=country, app_version=version, custom={custom})",
        value='config({context}, target, quiet).get("value", "")',
        simple="gate({context}, simple, quiet_gate)",
        every="members(response({context}, hash='none'))",
        names={
            "User": statsig.StatsigUser, "config": client.get_dynamic_config, "gate": client.check_gate,
            "quiet": statsig.DynamicConfigEvaluationOptions(disable_exposure_logging=True),
            "quiet_gate": statsig.FeatureGateEvaluationOptions(disable_exposure_logging=True),
            "response": client.get_client_initialize_response, "members": _members, "target": TARGET, "simple": SIMPLE,
        },
        close=lambda: client.shutdown().wait(),
    )  # fmt: skip


def _members(response: str) -> dict[str, Any]:
    parsed = json.loads(response)
    return {**parsed["feature_gates"], **parsed["dynamic_configs"]}


PEERS = [
    Peer("Statsig core", "statsig", ("statsig-python-core",), "Rust (PyO3)",
         "full; the split is a bucket condition of a dynamic config; SHA-256", _connect)
]  # fmt: skip
