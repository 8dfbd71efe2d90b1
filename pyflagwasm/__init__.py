"""Feature flags for asyncio, evaluated in your process by one small WebAssembly core.

    async with pyflagwasm.open("flags.json") as flags:
        await flags.value("new-checkout", {"targetingKey": "u-1"}, default=False)

Importing this costs nothing: each name is loaded from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .bound import BoundContext
    from .changes import Change
    from .errors import (
        AbiMismatchError,
        ConfigError,
        EvaluationError,
        FlagError,
        FlagNotFoundError,
        FlagWasmError,
        GuestError,
        GuestTrapError,
        InvalidContextError,
        LeaseError,
        PoolClosedError,
        PoolError,
        PoolTimeoutError,
        SignatureError,
        TargetingKeyMissingError,
        TooManyWaitingError,
        TypeMismatchError,
    )
    from .evaluator import FlagEvaluator, Statistics, open
    from .exposures.counting import Batch, Exposure, ExposureSink, Rejected
    from .exposures.sinks import CallbackSink, HttpSink, JsonLinesSink
    from .holding import Lease, Pin
    from .hooks import Hook, HookContext
    from .sources.base import Document, Receipt, Sink, Source
    from .sources.chain import ChainSource
    from .sources.file import FileSource
    from .sources.given import CallableSource, IteratorSource
    from .sources.http import HttpSource
    from .types import ErrorCode, EvaluationDetails, Reason, State

__version__: Final = "0.1.0"

_HOMES: Final = {
    "errors": (
        "AbiMismatchError",
        "ConfigError",
        "EvaluationError",
        "FlagError",
        "FlagNotFoundError",
        "FlagWasmError",
        "GuestError",
        "GuestTrapError",
        "InvalidContextError",
        "LeaseError",
        "PoolClosedError",
        "PoolError",
        "PoolTimeoutError",
        "SignatureError",
        "TargetingKeyMissingError",
        "TooManyWaitingError",
        "TypeMismatchError",
    ),
    "bound": ("BoundContext",),
    "changes": ("Change",),
    "evaluator": ("FlagEvaluator", "Statistics", "open"),
    "exposures.counting": ("Batch", "Exposure", "ExposureSink", "Rejected"),
    "exposures.sinks": ("CallbackSink", "HttpSink", "JsonLinesSink"),
    "holding": ("Lease", "Pin"),
    "hooks": ("Hook", "HookContext"),
    "sources.base": ("Document", "Receipt", "Sink", "Source"),
    "sources.chain": ("ChainSource",),
    "sources.file": ("FileSource",),
    "sources.given": ("CallableSource", "IteratorSource"),
    "sources.http": ("HttpSource",),
    "types": ("ErrorCode", "EvaluationDetails", "Reason", "State"),
}
_MODULES: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "AbiMismatchError",
    "Batch",
    "BoundContext",
    "CallableSource",
    "CallbackSink",
    "ChainSource",
    "Change",
    "ConfigError",
    "Document",
    "ErrorCode",
    "EvaluationDetails",
    "EvaluationError",
    "Exposure",
    "ExposureSink",
    "FileSource",
    "FlagError",
    "FlagEvaluator",
    "FlagNotFoundError",
    "FlagWasmError",
    "GuestError",
    "GuestTrapError",
    "Hook",
    "HookContext",
    "HttpSink",
    "HttpSource",
    "InvalidContextError",
    "IteratorSource",
    "JsonLinesSink",
    "Lease",
    "LeaseError",
    "Pin",
    "PoolClosedError",
    "PoolError",
    "PoolTimeoutError",
    "Reason",
    "Receipt",
    "Rejected",
    "SignatureError",
    "Sink",
    "Source",
    "State",
    "Statistics",
    "TargetingKeyMissingError",
    "TooManyWaitingError",
    "TypeMismatchError",
    "__version__",
    "open",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
