"""The workloads, as data with their expected answers, and the same rule written by hand in Python.

W1 is the flag that most rows ask for: two targeting rules of two conditions each, whose first condition holds and
whose second does not, then a 50/50 split on the targeting key, with a context of nine attributes. So an evaluator that
stops early still tests four conditions, looks through a list of ten, reads two versions and hashes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

COUNTRIES = ("US", "CA", "GB", "DE", "FR", "NL", "SE", "NO", "DK", "FI")
TARGET, SIMPLE = "flag-0000", "flag-0001"


def user(number: int = 7, **changes: Any) -> dict[str, Any]:
    """A context of nine attributes; W1 reads five of them."""
    return {
        "targetingKey": f"user-{number:06d}",
        "email": f"user{number}@example.com",
        "country": "BR",
        "appVersion": "2.7.1",
        "plan": "pro",
        "company": "acme",
        "age": 34,
        "beta": True,
        "score": 12.5,
        **changes,
    }


FRESH = (
    '{"targetingKey": key, "email": email, "country": "BR", "appVersion": "2.7.1", "plan": "pro", '
    '"company": "acme", "age": 34, "beta": True, "score": 12.5}'
)
"""The same context as source text: what a handler that makes it anew for each call would write."""


def people(number: int = 4096) -> list[tuple[str, str]]:
    """Targeting keys and addresses, as `user` has them."""
    return [(f"user-{i:06d}", f"user{i}@example.com") for i in range(number)]


def targeted_flag() -> dict[str, Any]:
    domestic = {
        "and": [{"ends_with": [{"var": "email"}, "@example.com"]}, {"in": [{"var": "country"}, list(COUNTRIES)]}]
    }
    modern = {"and": [{"sem_ver": [{"var": "appVersion"}, ">=", "2.5.0"]}, {"==": [{"var": "plan"}, "enterprise"]}]}
    split = {"fractional": [["control", 50], ["treatment", 50]]}
    return {
        "state": "ENABLED",
        "variants": {"a": "A", "b": "B", "control": "C", "treatment": "T"},
        "defaultVariant": "control",
        "targeting": {"if": [domestic, "a", modern, "b", split]},
    }


def document(flags: int, mark: str = "") -> dict[str, Any]:
    """A flagd document: even flags are W1, odd ones boolean and always on. `mark` makes it differ from another."""
    simple = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
    return {
        "flags": {f"flag-{i:04d}": simple if i % 2 else targeted_flag() for i in range(flags)},
        "metadata": {"mark": mark},
    }


EXPECTED: tuple[tuple[dict[str, Any], str], ...] = (
    (user(country="NL"), "A"),
    (user(plan="enterprise"), "B"),
    (user(appVersion="2.10.0", plan="enterprise"), "B"),
    (user(appVersion="2.4.9", plan="enterprise"), "CT"),
    (user(email="user@example.com.evil.io", country="NL"), "CT"),
    (user(), "CT"),
)
"""Contexts and the answers that TARGET may give for them, one letter each."""


def murmur3(data: bytes) -> int:
    """MurmurHash3 x86 32, seed 0, in plain Python."""
    h, n = 0, len(data)
    for i in range(0, n, 4):
        k = int.from_bytes(data[i : i + 4], "little") * 0xCC9E2D51 & 0xFFFFFFFF
        k = (k << 15 | k >> 17) & 0xFFFFFFFF
        h ^= k * 0x1B873593 & 0xFFFFFFFF
        if i + 4 <= n:
            h = (h << 13 | h >> 19) & 0xFFFFFFFF
            h = h * 5 + 0xE6546B64 & 0xFFFFFFFF
    h ^= n
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


def by_hand() -> Callable[[dict[str, Any]], str]:
    """W1 as a Python programmer would write it for this one flag, with `mmh3` if it is installed."""
    hashed: Callable[[bytes], int] = murmur3
    if importlib.util.find_spec("mmh3"):
        hashed = partial(importlib.import_module("mmh3").hash, signed=False)
    countries = frozenset(COUNTRIES)
    key = TARGET.encode()
    prefix = bytes([0x82, 0x60 + len(key)]) + key

    def decide(context: dict[str, Any]) -> str:
        if context["email"].endswith("@example.com") and context["country"] in countries:
            return "A"
        if tuple(map(int, context["appVersion"].split("."))) >= (2, 5, 0) and context["plan"] == "enterprise":
            return "B"
        identity = context["targetingKey"].encode()
        bucket = hashed(prefix + bytes([0x60 + len(identity)]) + identity) * 100 >> 32
        return "C" if bucket < 50 else "T"

    return decide
