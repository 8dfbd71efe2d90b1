"""Flagsmith's client, offline, with an environment document.

Equality: full. The two rules are segments with overrides, the split is a multivariate flag, and the address is matched
by a regular expression with an anchor. A call makes an object of the identity's flags and then looks one up.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import ATTRIBUTES, Offer, Peer


def _state(number: int, key: str, value: str | None, **more: Any) -> dict[str, Any]:
    return {
        "feature": {"id": number, "name": key, "type": "STANDARD"}, "enabled": True, "django_id": number,
        "featurestate_uuid": f"00000000-0000-0000-0000-{number:012d}", "feature_state_value": value,
        "multivariate_feature_state_values": [], **more,
    }  # fmt: skip


def _halves(number: int) -> list[dict[str, Any]]:
    return [
        {"id": number * 10 + half, "mv_fs_value_uuid": f"00000000-0000-0000-000{half}-{number:012d}",
         "percentage_allocation": 50.0, "multivariate_feature_option": {"value": letter}}
        for half, letter in enumerate("CT")
    ]  # fmt: skip


def _segment(number: int, conditions: list[tuple[str, str, str]], states: list[dict[str, Any]]) -> dict[str, Any]:
    listed = [{"property_": name, "operator": operator, "value": value} for name, operator, value in conditions]
    rules = [{"type": "ALL", "rules": [], "conditions": listed}]
    return {"id": number, "name": f"segment {number}", "rules": rules, "feature_states": states}


def _environment(flags: int) -> dict[str, Any]:
    states, overrides = [], ([], [])  # type: ignore[var-annotated]
    for number, (key, flag) in enumerate(document(flags)["flags"].items(), 1):
        if "targeting" not in flag:
            states.append(_state(number, key, None))
            continue
        states.append(_state(number, key, "C", multivariate_feature_state_values=_halves(number)))
        for priority, letter in enumerate("AB"):
            override = _state(number + 1_000_000 * (priority + 1), key, letter, feature_segment={"priority": priority})
            override["feature"]["id"] = number
            overrides[priority].append(override)
    domestic = [("email", "REGEX", r".*@example\.com$"), ("country", "IN", ",".join(COUNTRIES))]
    modern = [("appVersion", "GREATER_THAN_INCLUSIVE", "2.5.0:semver"), ("plan", "EQUAL", "enterprise")]
    organisation = {"id": 1, "name": "bench", "feature_analytics": False, "stop_serving_flags": False,
                    "persist_trait_data": False}  # fmt: skip
    segments = [_segment(1, domestic, overrides[0]), _segment(2, modern, overrides[1])]
    project = {"id": 1, "name": "bench", "hide_disabled_flags": False, "organisation": organisation,
               "segments": segments}  # fmt: skip
    return {"id": 1, "api_key": "none", "name": "bench", "updated_at": "2024-01-01T00:00:00Z",
            "feature_states": states, "identity_overrides": [], "project": project}  # fmt: skip


async def _connect(flags: int) -> Offer:
    held = _environment(flags)
    handler = type("Held", (), {"get_environment": lambda self: held})()
    client = import_module("flagsmith").Flagsmith(offline_mode=True, offline_handler=handler)
    return Offer(
        context="(key, {" + ATTRIBUTES + "})",
        value="identity(*{context}).get_feature_value(target)",
        simple="identity(*{context}).is_feature_enabled(simple)",
        every="identity(*{context}).all_flags()",
        names={"identity": client.get_identity_flags, "target": TARGET, "simple": SIMPLE},
    )


PEERS = [
    Peer("Flagsmith", "flagsmith", ("flagsmith", "flagsmith-flag-engine"), "pure Python",
         "full; segments with overrides; ends-with as an anchored regex; MD5", _connect)
]  # fmt: skip
