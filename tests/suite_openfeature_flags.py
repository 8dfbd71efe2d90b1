"""The flags of OpenFeature's specification, test-flags.json, as a flagd document.

A `contextEvaluator` is code there; what it says is written here as targeting. `context-aware`, which evaluation.feature
asks for, is not in that file.
"""

from __future__ import annotations

import json
from typing import Any

_EMAIL = {"==": [{"var": "email"}, "ballmer@macrosoft.com"]}
_TARGETING = {
    "email == 'ballmer@macrosoft.com' ? 'zero' : ''": {"if": [_EMAIL, "zero"]},
    "!customer && email == 'ballmer@macrosoft.com' && age > 10 ? 'internal' : ''": {
        "if": [{"and": [{"!": {"var": "customer"}}, _EMAIL, {">": [{"var": "age"}, 10]}]}, "internal"]
    },
}
_AWARE = {
    "and": [
        {"==": [{"var": "fn"}, "Sulisław"]},
        {"==": [{"var": "ln"}, "Świętopełk"]},
        {"==": [{"var": "age"}, 29]},
        {"==": [{"var": "customer"}, False]},
    ]
}


def document(given: dict[str, Any]) -> bytes:
    """A flagd document of the specification's flags. Raises KeyError for a rule that is not known here."""
    flags: dict[str, Any] = {
        key: {
            "state": "DISABLED" if body.get("disabled") else "ENABLED",
            "variants": body["variants"],
            "defaultVariant": body.get("defaultVariant"),
            **({"metadata": body["flagMetadata"]} if body.get("flagMetadata") else {}),
            **({"targeting": _TARGETING[body["contextEvaluator"]]} if "contextEvaluator" in body else {}),
        }
        for key, body in given.items()
    }
    flags["context-aware"] = {
        "state": "ENABLED",
        "variants": {"internal": "INTERNAL", "external": "EXTERNAL"},
        "defaultVariant": "external",
        "targeting": {"if": [_AWARE, "internal"]},
    }
    return json.dumps({"flags": flags}).encode()
