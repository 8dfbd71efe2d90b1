"""Values of a configuration as JSON text for people."""

from __future__ import annotations

import json
from typing import Any, Final

_MOST: Final = 20_000


def json_text(value: Any) -> str:
    """The value as JSON, cut if it is very long; 1e999, for which JSON has no word, is Infinity."""
    text = json.dumps(value, ensure_ascii=False, default=dict)
    return text if len(text) <= _MOST else text[:_MOST] + "..."
