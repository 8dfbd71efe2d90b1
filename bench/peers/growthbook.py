"""GrowthBook: an object for each request, as its guide has it, one object for all, and the awaited client.

Equality: full. There is no ends-with operator, so the address is matched by a regular expression with an anchor.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..scenarios import COUNTRIES, SIMPLE, TARGET, document
from .offer import ATTRIBUTES, Offer, Peer


def _feature(key: str, targeted: bool) -> dict[str, Any]:
    if not targeted:
        return {"defaultValue": True, "rules": []}
    split = {"key": key, "seed": key, "hashAttribute": "id", "hashVersion": 2, "coverage": 1, "variations": ["C", "T"],
             "weights": [0.5, 0.5]}  # fmt: skip
    return {
        "defaultValue": "",
        "rules": [
            {"condition": {"email": {"$regex": r"@example\.com$"}, "country": {"$in": list(COUNTRIES)}}, "force": "A"},
            {"condition": {"appVersion": {"$vgte": "2.5.0"}, "plan": "enterprise"}, "force": "B"},
            split,
        ],
    }


def _features(flags: int) -> dict[str, Any]:
    return {key: _feature(key, "targeting" in flag) for key, flag in document(flags)["flags"].items()}


async def _per_request(flags: int) -> Offer:
    return Offer(
        context="GrowthBook(attributes={'id': key, " + ATTRIBUTES + "}, features=features)",
        value='{context}.get_feature_value(target, "")',
        simple="{context}.is_on(simple)",
        names={"GrowthBook": import_module("growthbook").GrowthBook, "features": _features(flags), "target": TARGET,
               "simple": SIMPLE},
    )  # fmt: skip


async def _shared(flags: int) -> Offer:
    book = import_module("growthbook").GrowthBook(features=_features(flags))
    return Offer(
        context="{'id': key, " + ATTRIBUTES + "}",
        value='(know({context}), get(target, ""))[1]',
        simple="(know({context}), on(simple))[1]",
        names={"know": book.set_attributes, "get": book.get_feature_value, "on": book.is_on, "target": TARGET,
               "simple": SIMPLE},
    )  # fmt: skip


async def _awaited(flags: int) -> Offer:
    growthbook = import_module("growthbook")
    client = growthbook.GrowthBookClient({})
    await client.set_features(_features(flags))
    return Offer(
        context="UserContext(attributes={'id': key, " + ATTRIBUTES + "})",
        value='await get(target, "", {context})',
        simple="await on(simple, {context})",
        names={"UserContext": growthbook.UserContext, "get": client.get_feature_value, "on": client.is_on,
               "target": TARGET, "simple": SIMPLE},
    )  # fmt: skip


_EQUALITY = "full; ends-with as an anchored regex"
PEERS = [
    Peer("GrowthBook per request", "growthbook", ("growthbook",), "pure Python", _EQUALITY, _per_request),
    Peer("GrowthBook shared", "growthbook", ("growthbook",), "pure Python",
         _EQUALITY + "; the attributes of one object are replaced, not safe for tasks", _shared),
    Peer("GrowthBookClient awaited", "growthbook", ("growthbook",), "pure Python", _EQUALITY, _awaited),
]  # fmt: skip
