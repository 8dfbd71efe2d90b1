"""DevCycle's server SDK for Python: its AssemblyScript module in wasmtime, protobuf both ways, events off.

Equality: full.
"""

from __future__ import annotations

import asyncio
import json
import logging
from importlib import import_module
from typing import Any, Final

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from . import loopback
from .offer import Offer, Peer

POLL: Final = 0.01


def _id(letter: str, number: int) -> str:
    return f"{letter}{number:023x}"


def _filter(field: str, comparator: str, *values: str, **more: Any) -> dict[str, Any]:
    return {"type": "user", "subType": field, "comparator": comparator, "values": list(values), **more}


def _feature(number: int, key: str, targeted: bool) -> dict[str, Any]:
    values: dict[str, Any] = {letter: letter for letter in "ABCT"} if targeted else {"on": True}
    ids = {name: _id("b", number * 10 + place) for place, name in enumerate(values)}
    steps: list[tuple[list[dict[str, Any]], dict[str, float]]] = [([{"type": "all"}], {"on": 1})]
    if targeted:
        plan = _filter("customData", "=", "enterprise", dataKey="plan", dataKeyType="String")
        steps = [
            ([_filter("email", "endWith", "@example.com"), _filter("country", "=", *COUNTRIES)], {"A": 1}),
            ([_filter("appVersion", ">=", "2.5.0"), plan], {"B": 1}),
            ([{"type": "all"}], {"C": 0.5, "T": 0.5}),
        ]
    targets = [
        {
            "_id": _id("c", number * 10 + place),
            "_audience": {"_id": _id("d", number * 10 + place), "filters": {"operator": "and", "filters": filters}},
            "distribution": [{"_variation": ids[name], "percentage": share} for name, share in shares.items()],
        }
        for place, (filters, shares) in enumerate(steps)
    ]
    variations = [
        {"_id": ids[name], "name": name, "key": f"{key}-{name}".lower(),
         "variables": [{"_var": _id("a", number), "value": value}]}
        for name, value in values.items()
    ]  # fmt: skip
    configuration = {"_id": _id("f", number), "targets": targets, "forcedUsers": {}}
    return {"_id": _id("e", number), "key": key, "type": "release", "variations": variations,
            "configuration": configuration}  # fmt: skip


def _configuration(flags: int) -> str:
    source = document(flags)["flags"]
    features = [_feature(number, key, "targeting" in flag) for number, (key, flag) in enumerate(source.items())]
    variables = [
        {"_id": _id("a", number), "key": key, "type": "String" if "targeting" in flag else "Boolean"}
        for number, (key, flag) in enumerate(source.items())
    ]
    colors = {"primary": "#000000", "secondary": "#ffffff"}
    opt_in = {"enabled": False, "title": "", "description": "", "imageURL": "", "colors": colors}
    settings = {"edgeDB": {"enabled": False}, "optIn": opt_in}
    project = {"_id": _id("1", 1), "key": "bench", "a0_organization": "none", "settings": settings}
    return json.dumps({
        "project": project, "environment": {"_id": _id("2", 1), "key": "bench"}, "features": features,
        "variables": variables, "variableHashes": {key: number for number, key in enumerate(source)}, "audiences": {},
    })  # fmt: skip


async def _connect(flags: int) -> Offer:
    logging.getLogger("devcycle_python_sdk").setLevel(logging.ERROR)
    devcycle = import_module("devcycle_python_sdk")
    User = import_module("devcycle_python_sdk.models.user").DevCycleUser
    with loopback.served(_configuration(flags)) as url:
        client = devcycle.DevCycleLocalClient(
            "dvc_server_none",
            devcycle.DevCycleLocalOptions(
                config_cdn_uri=url + "/", events_api_uri=url + "/", disable_automatic_event_logging=True,
                disable_custom_event_logging=True, disable_realtime_updates=True, config_polling_interval_ms=3_600_000,
            ),
        )  # fmt: skip
        for _ in range(1000):
            if client.is_initialized():
                break
            await asyncio.sleep(POLL)
    custom = '{"plan": plan, "company": "acme", "age": 34, "beta": True, "score": 12.5}'
    return Offer(
        context=f"User(user_id=key, email=email, country=country, appVersion=version, customData={custom})",
        value='value({context}, target, "")',
        simple="value({context}, simple, False)",
        every="every({context})",
        names={"User": User, "value": client.variable_value, "every": client.all_variables, "target": TARGET,
               "simple": SIMPLE},
        close=client.close,
    )  # fmt: skip


PEERS = [
    Peer("DevCycle", "devcycle", ("devcycle-python-server-sdk", "wasmtime"), "Wasm (AssemblyScript) in wasmtime",
         "full", _connect)
]  # fmt: skip
