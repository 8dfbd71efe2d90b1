"""What callers use: `open`, the FlagEvaluator that it gives, and contexts bound to it.

Here live types of defaults, strictness and the clock. The tables are in generation.py, the core behind its lock in
guarded.py, reading configurations in loading.py.

An evaluation runs inline and has no suspension point: a thread hop would cost twenty times what it does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

from .errors import (
    EvaluationError,
    FlagError,
    FlagNotFoundError,
    GuestError,
    InvalidContextError,
    TargetingKeyMissingError,
    TypeMismatchError,
)
from .generation import Encoded, Flag, Generation, Outcome, failure
from .guarded import GuardedInstance
from .loading import Source, compile_source, is_large
from .runtime.encode import EncodeError
from .runtime.plain import INT_MAX, INT_MIN
from .types import ErrorCode, EvaluationDetails

if TYPE_CHECKING:
    from .explain import Explanation

Context: TypeAlias = Mapping[str, Any]
Clock: TypeAlias = Callable[[], float]
D = TypeVar("D", bool, str, int, float, Mapping[str, Any], Sequence[Any])
"""What a flag can be, as the default says it."""

_NOT_OPEN: Final = "no configuration is loaded: the evaluator is not open"
_ERRORS: Final[Mapping[ErrorCode, type[EvaluationError]]] = {
    ErrorCode.FLAG_NOT_FOUND: FlagNotFoundError,
    ErrorCode.TYPE_MISMATCH: TypeMismatchError,
    ErrorCode.TARGETING_KEY_MISSING: TargetingKeyMissingError,
    ErrorCode.INVALID_CONTEXT: InvalidContextError,
}


def open(
    source: Source, *, format: str = "auto", options: Mapping[str, Any] | None = None, clock: Clock = time.time
) -> FlagEvaluator:
    """An evaluator for a configuration: `async with pyflagwasm.open("flags.json") as flags:`.

    source: a path (str or os.PathLike), a document (bytes), a mapping that somebody has parsed already, which must
        not change before it is loaded, or one of the examples "example:flagd" and "example:devcycle". It is read when
        the evaluator is entered, and kept only until then.
    format: "flagd", "devcycle", or "auto" to tell by the document.
    options: the format's own; see its `load` in pyflagwasm.config.formats.
    clock: seconds since 1970, for rules that read the time. If it raises, or gives no number or one that is not within
        some 290,000 years of 1970, evaluations give the default with the error GENERAL.
    """
    return FlagEvaluator(source, format=format, options=options, clock=clock)


class FlagEvaluator:
    """Evaluates flags of one configuration at a time. Safe from any thread and task.

    A finalizer (`__del__`) or a signal handler may evaluate too, at a cost: if it interrupts an evaluation of the same
    evaluator, its own loads a second instance of the core for itself. Reloading there raises RuntimeError.

    Entering it loads the configuration: ConfigError if that cannot be used, GuestError if the core cannot.

    Evaluations never raise because of data: a flag, context or default that does not fit gives the default, and the
    details say why. With `strict=True` they raise an EvaluationError instead. Before it is entered and after it is
    closed every flag has the error PROVIDER_NOT_READY.

    The type of a value follows the default: true and false are no numbers, an integer is given as a float to a float
    default, and without a default, None, any value is given. Lists and objects are the configuration's own: do not
    change them.
    """

    def __init__(
        self,
        source: Source,
        *,
        format: str = "auto",
        options: Mapping[str, Any] | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._source, self._opened = source, False
        self._format, self._options, self._clock = format, options, clock
        self._instance = GuardedInstance()
        self._tickets = count(1)

    # ------------------------------------------------------------ configurations

    async def __aenter__(self) -> FlagEvaluator:
        if self._opened:
            raise RuntimeError("an evaluator can be opened only once")
        await self._load(self._source)
        self._opened, self._source = True, b""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def reload(self, source: Source) -> None:
        """Replace the configuration, in whole: no evaluation sees a part of each. The format and its options stay.

        Of several at once the one that was called last remains. Large documents are loaded in a thread; once that
        runs, cancelling waits for it.
        Raises ConfigError, GuestError, or RuntimeError if the evaluator is not open; the old configuration goes on.
        """
        if not self._opened:
            raise RuntimeError("the evaluator is not open: enter it before reloading")
        await self._load(source)

    async def _load(self, source: Source) -> None:
        install = partial(self._install, source, next(self._tickets))
        if is_large(source):
            from anyio import to_thread

            await to_thread.run_sync(install)
        else:
            install()

    def _install(self, source: Source, ticket: int) -> None:
        self._instance.swap(Generation(compile_source(source, self._format, self._options)), ticket)

    async def aclose(self) -> None:
        """Free the core. Idempotent."""
        self._instance.close()

    @property
    def flag_keys(self) -> tuple[str, ...]:
        """The keys of all flags, in the order of the configuration."""
        generation = self._instance.generation
        return () if generation is None else tuple(generation.flags)

    @property
    def generation(self) -> int:
        """The number of the configuration that answers: 1 for the first; 0 if the evaluator is not open."""
        generation = self._instance.generation
        return 0 if generation is None else generation.number

    def __repr__(self) -> str:
        generation = self._instance.generation
        if generation is None:
            return "<FlagEvaluator: not open>"
        return f"<FlagEvaluator: generation {generation.number}, {len(generation.flags)} flags>"

    # ------------------------------------------------------------ evaluations

    @overload
    async def value(self, flag_key: str, context: Context | None, default: D, *, strict: bool = False) -> D: ...
    @overload
    async def value(self, flag_key: str, context: Context | None = None, *, default: D, strict: bool = False) -> D: ...
    @overload
    async def value(
        self, flag_key: str, context: Context | None = None, default: None = None, *, strict: bool = False
    ) -> Any: ...
    async def value(
        self, flag_key: str, context: Context | None = None, default: Any = None, *, strict: bool = False
    ) -> Any:
        """The value of a flag for a context, of the type of the default. See the class for errors."""
        return _checked(self._answer(flag_key, context, default), strict).value

    async def details(
        self, flag_key: str, context: Context | None = None, default: Any = None, *, strict: bool = False
    ) -> EvaluationDetails:
        """The value of a flag with its variant, reason, error, rule and metadata."""
        return _checked(self._answer(flag_key, context, default), strict)

    @overload
    def value_nowait(self, flag_key: str, context: Context | None, default: D, *, strict: bool = False) -> D: ...
    @overload
    def value_nowait(self, flag_key: str, context: Context | None = None, *, default: D, strict: bool = False) -> D: ...
    @overload
    def value_nowait(
        self, flag_key: str, context: Context | None = None, default: None = None, *, strict: bool = False
    ) -> Any: ...
    def value_nowait(
        self, flag_key: str, context: Context | None = None, default: Any = None, *, strict: bool = False
    ) -> Any:
        """As `value`, without await; needs no event loop."""
        return _checked(self._answer(flag_key, context, default), strict).value

    def details_nowait(
        self, flag_key: str, context: Context | None = None, default: Any = None, *, strict: bool = False
    ) -> EvaluationDetails:
        """As `details`, without await; needs no event loop."""
        return _checked(self._answer(flag_key, context, default), strict)

    def bind(self, context: Context | None = None) -> BoundContext:
        """The context, encoded once for many evaluations. Never raises because of the context."""
        return BoundContext(self._instance, context, self._clock)

    def _answer(self, flag_key: str, context: Context | None, default: Any) -> EvaluationDetails:
        instance = self._instance

        def ask(flag: Flag) -> int | None:
            now_us = _microseconds(self._clock)
            buffer = instance.take_buffer()
            try:
                return instance.evaluate(flag, flag.encode(context, buffer, now_us), now_us)
            finally:
                instance.give_buffer(buffer)

        return _details(instance, flag_key, default, ask)


class BoundContext:
    """One evaluation context, encoded once; made by `FlagEvaluator.bind`, and as safe.

    Keep it for a request, not for ever. After a reload it answers from the new configuration, for which the context is
    encoded again: do not change it meanwhile. The clock goes on.
    """

    __slots__ = ("_clock", "_context", "_encoded", "_instance")

    def __init__(self, instance: GuardedInstance, context: Context | None, clock: Clock) -> None:
        self._instance, self._clock = instance, clock
        self._context = context.copy() if type(context) is dict else context
        self._encoded: tuple[Generation, Encoded] | None = None
        if instance.generation is not None:
            with suppress(EncodeError):  # the clock; evaluations will say so
                self._for(instance.generation)

    def _for(self, generation: Generation) -> Encoded:
        known = self._encoded
        if known is None or known[0] is not generation:
            with self._instance.buffer() as buffer:
                encoded = Encoded(generation.everything, self._context, buffer, _microseconds(self._clock))
            self._encoded = known = generation, encoded
        return known[1]

    @overload
    def value(self, flag_key: str, default: D, *, strict: bool = False) -> D: ...
    @overload
    def value(self, flag_key: str, default: None = None, *, strict: bool = False) -> Any: ...
    def value(self, flag_key: str, default: Any = None, *, strict: bool = False) -> Any:
        """As `FlagEvaluator.value_nowait` for this context."""
        return self.details(flag_key, default, strict=strict).value

    def details(self, flag_key: str, default: Any = None, *, strict: bool = False) -> EvaluationDetails:
        """As `FlagEvaluator.details_nowait` for this context."""
        return _checked(_details(self._instance, flag_key, default, self._ask), strict)

    def all(self) -> dict[str, Any]:
        """The values of all flags by key, in the order of the configuration and all of one generation.

        A flag that would give the caller's default, because of an error or without one, is not in it.
        """
        while True:
            generation = self._instance.generation
            if generation is None:
                return {}
            try:
                now_us, encoded = _microseconds(self._clock), self._for(generation)
            except EncodeError:
                return {}
            outcomes = self._instance.decide(generation.everything, encoded, now_us)
            if outcomes is not None:
                details = [each.details for each in outcomes if each is not None and each.served]
                return {each.flag_key: each.value for each in details}

    def _ask(self, flag: Flag) -> int | None:
        request = self._for(flag.generation).request(flag)
        return self._instance.evaluate(flag, request, _microseconds(self._clock))


def _microseconds(clock: Clock) -> int:
    """The clock in microseconds. Raises EncodeError with GENERAL for one that cannot be used."""
    try:
        now_us = round(clock() * 1_000_000)
        if INT_MIN <= now_us <= INT_MAX:
            return now_us
        problem = "gives a time that is too far from 1970"
    except Exception as error:
        problem = f"cannot be used: {type(error).__name__}"
    raise EncodeError(ErrorCode.GENERAL, "", f"the clock {problem}") from None


def _details(
    instance: GuardedInstance, flag_key: str, default: Any, ask: Callable[[Flag], int | None]
) -> EvaluationDetails:
    """The details for a flag of the live generation. `ask` gives its packed decision, None if that is live no more."""
    while True:
        flag = _found(instance.generation, flag_key)
        if isinstance(flag, Outcome):
            return flag.for_default(default)
        outcome = flag.remembered or _outcome(flag, ask)
        if outcome is not None:
            return outcome.for_default(default, flag.entry.type)


def _found(generation: Generation | None, flag_key: str) -> Flag | Outcome:
    """The flag, or the outcome of there being none."""
    if generation is None:
        return failure(flag_key, ErrorCode.PROVIDER_NOT_READY, _NOT_OPEN, 0)
    return generation.flag(flag_key) or generation.not_found(flag_key)


def _outcome(flag: Flag, ask: Callable[[Flag], int | None]) -> Outcome | None:
    try:
        packed = ask(flag)
    except EncodeError as error:
        return flag.failure(error.code, str(error))
    except GuestError as error:
        return flag.failure(ErrorCode.GENERAL, str(error))
    return None if packed is None else flag.outcome(packed)


def explain(instance: GuardedInstance, flag_key: str, context: Context, now_us: int) -> Explanation:
    """Why a flag of the live generation has its value. Without rules for a flag that is not evaluated.

    Raises GuestError.
    """
    from . import explain as words

    while True:
        flag = _found(instance.generation, flag_key)
        if isinstance(flag, Outcome):
            return words.Explanation(flag.details, (), None, truncated=False)
        with instance.buffer() as buffer:
            try:
                trace = instance.explain(flag, flag.encode(context, buffer, now_us), now_us)
            except EncodeError as error:
                return words.Explanation(flag.failure(error.code, str(error)).details, (), None, truncated=False)
        if trace is not None:
            packed, events, truncated = trace
            decision = flag.outcome(packed).details
            sent = flag.sent(context, now_us)
            compiled = flag.generation.compiled
            return words.explain(compiled, flag.entry, events, decision, sent, now_us=now_us, truncated=truncated)


def _checked(details: EvaluationDetails, strict: bool) -> EvaluationDetails:
    if strict and details.error_code is not None:
        raise _ERRORS.get(details.error_code, FlagError)(details.flag_key, details.error_message or "no message")
    return details
