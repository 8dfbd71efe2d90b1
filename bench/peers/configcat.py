"""ConfigCat's client, offline: its configuration comes from a cache, which it asks at every evaluation.

Equality: full, with the comparators for plain text.
"""

from __future__ import annotations

import json
import logging
from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import Offer, Peer


def _condition(attribute: str, comparator: int, value: Any) -> dict[str, Any]:
    return {"u": {"a": attribute, "c": comparator, "l" if isinstance(value, list) else "s": value}}


def _setting(targeted: bool) -> dict[str, Any]:
    if not targeted:
        return {"t": 0, "v": {"b": True}, "i": "on"}
    one_of, ends_with, equals, version_at_least = 0, 32, 28, 9

    def served(letter: str) -> dict[str, Any]:
        return {"v": {"s": letter}, "i": letter}

    domestic = [_condition("Email", ends_with, ["@example.com"]), _condition("Country", one_of, list(COUNTRIES))]
    modern = [_condition("appVersion", version_at_least, "2.5.0"), _condition("plan", equals, "enterprise")]
    return {
        "t": 1,
        "a": "Identifier",
        "r": [{"c": domestic, "s": served("A")}, {"c": modern, "s": served("B")}],
        "p": [{"p": 50, **served("C")}, {"p": 50, **served("T")}],
        "v": {"s": ""},
        "i": "none",
    }


async def _connect(flags: int) -> Offer:
    logging.getLogger("configcat").setLevel(logging.ERROR)
    configcat, interfaces = import_module("configcatclient"), import_module("configcatclient.interfaces")
    options, mode = import_module("configcatclient.configcatoptions"), import_module("configcatclient.pollingmode")
    settings = {key: _setting("targeting" in flag) for key, flag in document(flags)["flags"].items()}
    text = json.dumps({"p": {"u": "", "r": 0, "s": "salt"}, "s": [], "f": settings})
    entry = f"1700000000000\ntag\n{text}"
    members = {"get": lambda self, key: entry, "set": lambda self, key, value: None}
    Cache = type("Held", (interfaces.ConfigCache,), members)
    client = configcat.get(
        "configcat-sdk-1/" + "0" * 22 + "/" + "0" * 22,
        options.ConfigCatOptions(offline=True, polling_mode=mode.PollingMode.manual_poll(), config_cache=Cache()),
    )
    custom = '{"appVersion": version, "plan": plan, "company": "acme", "age": 34, "beta": True, "score": 12.5}'
    return Offer(
        context=f"User(key, email, country, {custom})",
        value='get(target, "", {context})',
        simple="get(simple, False, {context})",
        every="every({context})",
        names={
            "User": import_module("configcatclient.user").User, "get": client.get_value,
            "every": client.get_all_values, "target": TARGET, "simple": SIMPLE,
        },
        close=configcat.close_all,
    )  # fmt: skip


PEERS = [
    Peer("ConfigCat", "configcat", ("configcat-client",), "pure Python", "full; plain-text comparators; SHA-1",
         _connect)
]  # fmt: skip
