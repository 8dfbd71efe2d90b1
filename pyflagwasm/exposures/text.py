"""How exposures are written as JSON, for every sink that writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .counting import Exposure, Rejected


def to_json(fields: Mapping[str, Any]) -> str:
    """Compact JSON, in ASCII. Raises Rejected for what JSON has no word for."""
    try:
        return json.dumps(fields, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise Rejected(f"is no JSON: {error}") from error


def fields_of(exposure: Exposure) -> dict[str, Any]:
    """An exposure as JSON has it."""
    return {
        "kind": exposure.kind,
        "flag_key": exposure.flag_key,
        "variant": exposure.variant,
        "reason": exposure.reason,
        "count": exposure.count,
        "generation": exposure.generation,
        "metadata": exposure.metadata,
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")
