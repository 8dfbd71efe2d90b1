"""A configuration of each format for the inspector, with contexts that take different ways through it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import eppo_answers as eppo
import unleash_answers as unleash
from evaluators import flag


@dataclass(frozen=True)
class Sample:
    """source and options are `pyflagwasm.open`'s; contexts are JSON texts, as they are typed."""

    source: Any
    contexts: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    split: str = ""
    varies: str = "targetingKey"
    """A flag that a population splits, and the attribute by which it does."""


def _eppo(**shards: Any) -> dict[str, Any]:
    """Text rules, numbers, versions, a pattern - which needs the vendor's view - and a split by shards."""
    halves = [
        eppo.split(name, eppo.shard("salt", span, **shards))
        for name, span in (("a", (0, 3000)), ("b", (3000, 7000)), ("c", (7000, 10000)))
    ]
    conditions = {
        "country": ("country", "ONE_OF", ["BE", "NL"]),
        "age": ("age", "GTE", 18),
        "version": ("version", "GT", "1.2.3"),
        "mail": ("email", "MATCHES", ".*@example\\.com$"),
        "absent": ("country", "IS_NULL", True),
    }
    flags = {
        name: eppo.flag(eppo.allocation(eppo.split("b"), rules=eppo.rules(condition)), eppo.allocation(), key=name)
        for name, condition in conditions.items()
    }
    return eppo.document(
        {
            **flags,
            "split": eppo.flag(eppo.allocation(*halves, doLog=True), key="split"),
            "off": eppo.flag(enabled=False, key="off"),
        },
    )


_UNLEASH = {
    "version": 2,
    "features": [
        unleash.feature(unleash.strategy(), name="on"),
        unleash.feature(name="off", enabled=False),
        unleash.feature(
            unleash.strategy("flexibleRollout", rollout="40", stickiness="default", groupId="g"),
            name="gradual",
            variants=[unleash.variant("red", 700), unleash.variant("blue", 300)],
        ),
        unleash.feature(
            unleash.strategy("flexibleRollout", rollout="50", stickiness="random", groupId="g"), name="dice"
        ),
        unleash.feature(unleash.strategy("userWithId", userIds="7,8"), name="some"),
        unleash.feature(unleash.strategy("default", unleash.constraint("NUM_GT", "17", "age")), name="adults"),
        unleash.feature(
            unleash.strategy("default", unleash.constraint("DATE_AFTER", "2020-01-01T00:00:00Z", "currentTime")),
            name="late",
        ),
    ],
}
_GROWTHBOOK = {
    "features": {
        "plain": {"defaultValue": {"nested": [1, 2.0]}},
        "forced": {"defaultValue": "no", "rules": [{"condition": {"country": {"$in": ["BE", "NL"]}}, "force": "yes"}]},
        "split": {
            "defaultValue": "none",
            "rules": [
                {
                    "key": "e",
                    "variations": ["a", "b", "c"],
                    "weights": [0.2, 0.3, 0.5],
                    "coverage": 0.9,
                    "hashVersion": 2,
                }
            ],
        },
        "gradual": {"defaultValue": 0, "rules": [{"force": 1, "coverage": 0.5, "hashAttribute": "company"}]},
        "pattern": {"defaultValue": 1, "rules": [{"condition": {"email": {"$regex": "(?<=x)@example"}}, "force": 2}]},
        "grouped": {"defaultValue": 1, "rules": [{"condition": {"id": {"$inGroup": "vips"}}, "force": 2}]},
    },
    "savedGroups": {"vips": ["user-1", "secret-member"]},
}
_SHOP = (
    "{}",
    '{"targetingKey": "user-7", "city": "Ghent", "app": {"version": "4.3.0"}}',
    '{"targetingKey": "user-8", "city": "Ghent", "app": {"version": 4}, "email": "a@bakery.example", "orders": 120}',
    '{"targetingKey": 9007199254740993, "orders": 1.0, "member": true, "weekday": "\\u00e9\\ud800"}',
)
_PEOPLE = (
    "{}",
    '{"targetingKey": "user-1", "country": "BE", "age": 18, "version": "1.10.0", "email": "x@example.com"}',
    '{"targetingKey": "user-2", "country": null, "age": 17.5, "userId": "7", "company": "acme", "sessionId": "s"}',
    '{"targetingKey": "user-3", "age": "20", "email": "\\ud800", "country": true, "properties": {"age": "30"}}',
)
SAMPLES = {
    "flagd": Sample("example:flagd", _SHOP, split="checkout-button"),
    "devcycle": Sample(
        "example:devcycle",
        (
            "{}",
            '{"user_id": "u1", "email": "a@example.com", "country": "BE", "customData": {"plan": "pro"}}',
            '{"targetingKey": "user-5", "country": "NL", "plan": "pro", "n": 1.0}',
            '{"user_id": "u2", "customData": {"list": [1]}}',
        ),
        split="free-delivery-from",
        varies="household",
    ),
    "eppo": Sample(json.dumps(_eppo()).encode(), _PEOPLE, split="split"),
    "datadog": Sample(
        json.dumps(_eppo(totalShards=10000)).encode(), _PEOPLE, options={"format": "datadog"}, split="split"
    ),
    "unleash": Sample(json.dumps(_UNLEASH).encode(), _PEOPLE, split="gradual/variant"),
    "growthbook": Sample(json.dumps(_GROWTHBOOK).encode(), _PEOPLE, split="split"),
}

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
HOSTILE_TEXTS = (
    HOSTILE, "</script><script>document.title='owned'</script>", "\u202egnp.live\u202c", "';document.title='owned';'",
    "{{7*7}}", "a\nb\0c", "x" * 300,
)  # fmt: skip
"""What a configuration can say to a page that takes texts for HTML."""


def hostile() -> bytes:
    """Keys, variants, values, metadata and what rules compare with."""
    flags = {
        text: flag(
            {text: text, "off": f"no {text}"},
            "off",
            {"if": [{"in": [text, {"var": f"a{number}"}]}, text, {"fractional": [[text, 50], ["off", 50]]}]},
            metadata={f"m{number}": text},
        )
        for number, text in enumerate(HOSTILE_TEXTS)
    }
    return json.dumps({"flags": flags}).encode()


def many(count: int) -> bytes:
    """Flags of all kinds, with long keys and large values among them."""
    object_value = {"items": [{"id": n, "price": 1.5, "tags": ["a", "b"]} for n in range(8)]}
    kinds: list[tuple[dict[str, Any], str]] = [
        ({"on": True, "off": False}, "off"), ({"a": "a text", "b": "b" * 300}, "b"),
        ({"few": 3, "many": 10**15}, "few"),
        ({"o": object_value, "p": {}}, "o"),
    ]  # fmt: skip
    flags = {}
    for number in range(count):
        variants, default = kinds[number % len(kinds)]
        first = next(iter(variants))
        split = {"fractional": [[name, 1] for name in variants]}
        targeting = {"if": [{"==": [{"var": f"attribute{number % 7}"}, "x"]}, first, split]}
        wordy = "a-very-long-and-descriptive-flag-name." * (3 if number % 50 == 3 else 0)
        key = f"team-{number % 13}.service-{number % 5}.{wordy}flag-{number}"
        flags[key] = flag(variants, default, targeting if number % 3 else None)
    return json.dumps({"flags": flags}).encode()
