"""Feature flags for asyncio, evaluated in your process by one small WebAssembly core.

    async with pyflagwasm.open("flags.json") as flags:
        await flags.value("new-checkout", {"targetingKey": "u-1"}, default=False)

Importing this costs nothing: each name is loaded from its module when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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
        TargetingKeyMissingError,
        TypeMismatchError,
    )
    from .evaluator import FlagEvaluator, open
    from .types import ErrorCode, EvaluationDetails, Reason

__version__: Final = "0.1.0"

__all__ = [
    "AbiMismatchError",
    "ConfigError",
    "ErrorCode",
    "EvaluationDetails",
    "EvaluationError",
    "FlagError",
    "FlagEvaluator",
    "FlagNotFoundError",
    "FlagWasmError",
    "GuestError",
    "GuestTrapError",
    "InvalidContextError",
    "Reason",
    "TargetingKeyMissingError",
    "TypeMismatchError",
    "__version__",
    "open",
]

_HOMES: Final = {"FlagEvaluator": "evaluator", "open": "evaluator"} | dict.fromkeys(
    ("ErrorCode", "EvaluationDetails", "Reason"), "types"
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
