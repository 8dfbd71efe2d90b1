"""A compiled configuration as bytes, for other processes: what they evaluate is what was compiled, bit for bit."""

from __future__ import annotations

import io
import pickle
from types import MappingProxyType
from typing import Any

from ..config.compile import CompiledConfig
from ..config.model import MISSING


def _proxy(value: dict[str, Any]) -> MappingProxyType[str, Any]:
    return MappingProxyType(value)


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        if type(value) is MappingProxyType:
            return _proxy, (dict(value),)
        return "MISSING" if value is MISSING else NotImplemented  # the one of its module


def frozen(compiled: CompiledConfig) -> bytes:
    """The configuration as bytes."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(compiled)
    return buffer.getvalue()


def thawed(data: bytes) -> CompiledConfig:
    """What `frozen` was given."""
    found = pickle.loads(data)
    assert isinstance(found, CompiledConfig)
    return found
