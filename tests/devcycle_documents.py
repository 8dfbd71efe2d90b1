"""Small DevCycle documents for tests. Ids are short words, so that a message that names a place can be read."""

from __future__ import annotations

import json
from typing import Any

JSON = dict[str, Any]

EVERYONE: JSON = {"type": "all"}


def user_filter(subject: str, comparator: str, *values: Any) -> JSON:
    return {"type": "user", "subType": subject, "comparator": comparator, "values": list(values)}


def custom_filter(key: str, kind: str, comparator: str, *values: Any) -> JSON:
    return {**user_filter("customData", comparator, *values), "dataKey": key, "dataKeyType": kind}


def audience_filter(comparator: str, *names: str) -> JSON:
    return {"type": "audienceMatch", "comparator": comparator, "_audiences": list(names)}


def every(*filters: JSON) -> JSON:
    return {"operator": "and", "filters": list(filters)}


def either(*filters: JSON) -> JSON:
    return {"operator": "or", "filters": list(filters)}


def target(operator: JSON | None = None, **more: Any) -> JSON:
    """Serves variation "on" to everyone, unless told otherwise."""
    return {
        "_id": "t",
        "_audience": {"filters": operator or every(EVERYONE)},
        "distribution": [{"_variation": "on", "percentage": 1}],
        **more,
    }


def variation(name: str, **values: Any) -> JSON:
    """Values by variable id."""
    return {
        "_id": name,
        "key": f"key-{name}",
        "name": name,
        "variables": [{"_var": v, "value": x} for v, x in values.items()],
    }


def feature(*targets: JSON, name: str = "f", variations: list[JSON] | None = None) -> JSON:
    """With the variable "v" as true and false, unless told otherwise."""
    return {
        "_id": name,
        "key": f"feature-{name}",
        "type": "release",
        "variations": variations or [variation("on", v=True), variation("off", v=False)],
        "configuration": {"_id": "c", "targets": list(targets)},
    }


def document(*features: JSON, variables: dict[str, str] | None = None, **more: Any) -> JSON:
    """variables: id -> type; the keys are `flag-<id>`. Default: "v", a Boolean."""
    found: JSON = {
        "project": {"_id": "p", "key": "shop", "settings": {}},
        "environment": {"_id": "e", "key": "test"},
        "features": list(features),
        "variables": [
            {"_id": name, "key": f"flag-{name}", "type": kind} for name, kind in (variables or {"v": "Boolean"}).items()
        ],
        **more,
    }
    copied: JSON = json.loads(json.dumps(found))  # nothing shared: tests change what they need
    return copied
