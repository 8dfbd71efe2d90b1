"""Every exception that pyflagwasm raises.

FlagWasmError                    base, never raised itself
  ConfigError                    whoever wrote the configuration must act
    SignatureError               it is not signed as it must be, or an older one comes back
  EvaluationError                base; whoever calls must act; raised with strict=True only
    FlagNotFoundError
    TypeMismatchError
    TargetingKeyMissingError
    InvalidContextError
    FlagError                    the flag itself cannot be evaluated
  DeclarationError               what code declares of flags does not go with the configuration
  PoolError                      base; there is no instance of the core to be had
    PoolTimeoutError
    TooManyWaitingError
    PoolClosedError
  LeaseError                     a lease or a pin is used outside of its block
  GuestError                     base; the build or this library is wrong
    GuestTrapError
    AbiMismatchError
"""

from __future__ import annotations


class FlagWasmError(Exception):
    """Base of all errors of this package."""

    def __init__(self, *args: object) -> None:
        if type(self) in (FlagWasmError, EvaluationError, PoolError, GuestError):
            raise TypeError(f"{type(self).__name__} is a base class: raise one of its subclasses")
        super().__init__(*args)


class ConfigError(FlagWasmError):
    """A configuration document that cannot be used.

    path: where in the document, `flags.checkout.variants`, `$` for the whole of it, empty if there is no document.
    detail: what is wrong there and what to do.
    source: the file or other origin, if known.
    """

    def __init__(self, path: str, detail: str, *, source: str | None = None) -> None:
        self.path: str = path
        self.detail: str = detail
        self.source: str | None = source
        super().__init__(path, detail)

    def __str__(self) -> str:
        return ": ".join(each for each in (self.source, self.path, self.detail) if each)


class SignatureError(ConfigError):
    """A document without a valid signature by a trusted key, or older than one that was accepted before."""


class EvaluationError(FlagWasmError):
    """Base of what an evaluation with strict=True raises. flag_key: the flag that was asked for."""

    def __init__(self, flag_key: str, message: str) -> None:
        self.flag_key: str = flag_key
        self.message: str = message
        super().__init__(flag_key, message)

    def __str__(self) -> str:
        return f"{self.flag_key}: {self.message}"


class FlagNotFoundError(EvaluationError):
    """The configuration has no such flag."""


class TypeMismatchError(EvaluationError):
    """The flag's value is not of the type of the default."""


class TargetingKeyMissingError(EvaluationError):
    """The flag buckets by the targeting key and the context has none."""


class InvalidContextError(EvaluationError):
    """An attribute that the rules read cannot be used: wrong type, too large, or text without UTF-8."""


class FlagError(EvaluationError):
    """The flag is broken or ran into a limit: the message says which."""


class DeclarationError(FlagWasmError):
    """Declared flags do not go with the live configuration; raised by pyflagwasm.typed.check.

    problems: one line for each. generation: the number of that configuration, 0 if there is none.
    """

    def __init__(self, problems: tuple[str, ...], generation: int) -> None:
        self.problems: tuple[str, ...] = problems
        self.generation: int = generation
        super().__init__(problems, generation)

    def __str__(self) -> str:
        if not self.generation:
            return self.problems[0]
        lines = "".join(f"\n  {each}" for each in self.problems)
        return f"the declared flags do not go with generation {self.generation} of the configuration:{lines}"


class PoolError(FlagWasmError):
    """Base of why there is no instance of the core to be had."""


class PoolTimeoutError(PoolError):
    """Every instance was in use for too long. timeout: the seconds that were waited."""

    def __init__(self, size: int, timeout: float) -> None:
        self.size: int = size
        self.timeout: float = timeout
        super().__init__(size, timeout)

    def __str__(self) -> str:
        waited = f"for {self.timeout:g} s" if self.timeout else "by leases"
        return f"all {self.size} instance(s) were in use {waited}: open with a larger `size`, or shorten the leases"


class TooManyWaitingError(PoolError):
    """As many as may wait for an instance already do. limit: that number."""

    def __init__(self, size: int, limit: int) -> None:
        self.size: int = size
        self.limit: int = limit
        super().__init__(size, limit)

    def __str__(self) -> str:
        return f"{self.limit} are waiting for the {self.size} instance(s): open with a larger `size` or `max_waiting`"


class PoolClosedError(PoolError):
    """The evaluator is closed, or was closed while somebody waited."""

    def __init__(self, message: str = "the evaluator is closed") -> None:
        super().__init__(message)


class LeaseError(FlagWasmError):
    """A lease or a pin is used before its block is entered or after it was left."""


class GuestError(FlagWasmError):
    """Base of errors of the core or its loading."""


class GuestTrapError(GuestError):
    """The core trapped; the instance is dead and must not be called again."""


class AbiMismatchError(GuestError):
    """core.wasm is not the module that this package was built with."""
