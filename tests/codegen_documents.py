"""Configurations for tests of the code generator: keys and values that are hard to write as Python."""

from __future__ import annotations

import json
from typing import Any

KEYS = [
    'a"b', "a\nb", "a'b", "class", "match", "__init__", "__class__", "\U0001f600", "\ufb01nish", "new-checkout",
    "newCheckout", "new_checkout", "x" * 300, "\u202egnp", "int", "bool", "str", "flag", "Flag", "FlagSet", "self",
    "None", "1st", "\u5272\u5f15", "gr\xf6\xdfe", "\u0130stanbul", "\U00010348oth", '"""', "\\", "a\\", "{}", "%s",
    "\0", "_bound", "Any", "HTTPServer2Go", "a.b", "a/b", "\xaa\xb2", "print", "type", "a--b", "a-b", "value",
]  # fmt: skip
INFINITE = 1e999
VALUES: list[dict[str, Any]] = [
    {"on": True, "off": False},
    {"a": 'say "hi"', "b": "it's"},
    {"a": 1, "b": 2},
    {"a": 1, "b": 2.5},
    {"a": {"x-y": 1, "class": [1, 2]}, "b": {"x-y": 2, "class": []}},
    {"a": {"__x": 1, "int": 2, "k": None}},
    {"a": "x" * 200, "b": "\n\t\x1b\u2028"},
    {"a": 1e16, "b": INFINITE},
    {"a": {"n": {"m": [{"q": 1}, {"q": 2.5}]}}},
    {"a": 10**300},
    {"a": {}},
    {"a": {"k": "v" * 90, "l": ["w" * 60, "x" * 60]}},
    {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}},
]
ABOUT = [
    "Plain.",
    'Has """ quotes " and \\ a backslash\\',
    "Two\n\nparagraphs " + "word " * 60,
    'ends with "',
    " \x07 bell",
    "",
]


def hostile() -> bytes:
    """All keys, each with one of the values and one of the descriptions."""
    flags = {
        key: {
            "state": "ENABLED",
            "variants": VALUES[number % len(VALUES)],
            "defaultVariant": next(iter(VALUES[number % len(VALUES)])),
            "metadata": {"description": ABOUT[number % len(ABOUT)]},
        }
        for number, key in enumerate(KEYS)
    }
    return json.dumps({"flags": flags}).replace("Infinity", "1e999").encode()
