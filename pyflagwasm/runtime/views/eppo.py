"""The view of universal flag configurations: what a regular expression looks at. Registered in views.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...config.decimals import decimal_text
from ...config.model import MISSING
from ..plain import double, plain


def eppo_text(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    """The attribute as text: a number as Rust prints doubles, `true` and `false`; of anything else nothing."""
    value = context.get(args[0], MISSING)
    kind = type(value)
    if kind is str:
        return value
    if value is MISSING:
        return MISSING
    value = plain(value)
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        return decimal_text(double(value))
    return value if kind is str else MISSING
