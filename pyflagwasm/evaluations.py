"""Evaluations as callers make them: of the evaluator itself, of a pin, of a lease, and of a context bound to one.

Here live the fixed names - value, details, their `_nowait` twins, bind - with strictness, hooks and counting. Bound
contexts are in bound.py. Which instance answers is behind `Instances` (pool/asking.py); opening is in evaluator.py.

An evaluation runs inline and has no suspension point, unless every instance is in use: then the awaited ones wait their
turn. A thread hop would cost a hundred times what an evaluation does. The plain case never comes here: `install` below
puts methods in C in front, which answer when they are called; the coroutine of an awaited one is then done already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .answers import checked, exception, found
from .bound import BoundContext
from .errors import GuestError, PoolError
from .generation import Flag, Outcome, failure
from .hooks import Hook, Run
from .pool import asking
from .pool.asking import Clock, Context, Instances
from .pool.member import Member
from .pool.pool import Busy, Superseded
from .runtime.encode import EncodeError, buffer
from .shortcuts import Quick, install, shortcut
from .types import ErrorCode, EvaluationDetails

if TYPE_CHECKING:
    from .explain import Explanation
    from .exposures.counting import Counter

D = TypeVar("D", bool, str, int, float, Mapping[str, Any], Sequence[Any])
"""What a flag can be, as the default says it."""


class Evaluations(Quick):
    """The evaluations of one place that instances come from. Safe from any thread and task.

    An awaited one is evaluated, and counted, when it is called where there is the C extension; else when it is awaited.

    They never raise because of data: a flag, context or default that does not fit gives the default, and the details
    say why. With `strict=True` they raise an EvaluationError instead, or a PoolError if no instance was to be had.
    Without a configuration every flag has the error PROVIDER_NOT_READY.

    The type of a value follows the default: true and false are no numbers, an integer is given as a float to a float
    default, and without a default, None, any value is given. Lists and objects are the configuration's own: do not
    change them.
    """

    def __init__(self, instances: Instances, clock: Clock, hooks: list[Hook], counter: Counter | None) -> None:
        self._instances, self._clock, self._hooks, self._counter = instances, clock, hooks, counter
        self._shortcut = shortcut(instances, hooks, clock, None if counter is None else counter.touched)

    @property
    def flag_keys(self) -> tuple[str, ...]:
        """The keys of all flags, in the order of the configuration."""
        generation = self._instances.generation
        return () if generation is None else tuple(generation.flags)

    @property
    def generation(self) -> int:
        """The number of the configuration that answers: 1 for the first; 0 if there is none."""
        generation = self._instances.generation
        return 0 if generation is None else generation.number

    # ------------------------------------------------------------ the names

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
        """The value of a flag for a context, of the type of the default. See the class for errors.

        To be awaited: `if flags.value(...)` without `await` raises TypeError. Where there is no C extension, and in the
        first evaluations of a flag, it is a coroutine as any other, which is always true, and Python only warns.
        """
        if self._hooks:
            return (await self._hooked(flag_key, context, default, strict)).value
        try:
            details = self._answer(flag_key, context, default)
        except Busy:
            details = await self._in_turn(flag_key, context, default, strict)
        return checked(details, strict, self._instances).value if strict else details.value

    async def details(
        self, flag_key: str, context: Context | None = None, default: Any = None, *, strict: bool = False
    ) -> EvaluationDetails:
        """The value of a flag with its variant, reason, error, rule and metadata."""
        if self._hooks:
            return await self._hooked(flag_key, context, default, strict)
        try:
            details = self._answer(flag_key, context, default)
        except Busy:
            details = await self._in_turn(flag_key, context, default, strict)
        return checked(details, strict, self._instances)

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
        """As `value`, without await; needs no event loop.

        If all instances are in use, it blocks for those that only evaluate, in other threads, and gives the default
        at once if all are leased.
        """
        if self._hooks:
            return self._hooked_here(flag_key, context, default, strict).value
        try:
            details = self._answer(flag_key, context, default)
        except Busy:
            details = self._in_turn_here(flag_key, context, default, strict)
        return checked(details, strict, self._instances).value

    def details_nowait(
        self, flag_key: str, context: Context | None = None, default: Any = None, *, strict: bool = False
    ) -> EvaluationDetails:
        """As `details`, without await; see `value_nowait`."""
        if self._hooks:
            return self._hooked_here(flag_key, context, default, strict)
        try:
            details = self._answer(flag_key, context, default)
        except Busy:
            details = self._in_turn_here(flag_key, context, default, strict)
        return checked(details, strict, self._instances)

    def bind(self, context: Context | None = None) -> BoundContext:
        """The context, encoded once for many evaluations. Never raises because of the context."""
        return BoundContext(self, context)

    # ------------------------------------------------------------ for other modules of the package

    def _over(self, instances: Instances) -> Evaluations:
        """Evaluations by other instances: with the same clock, hooks and counter."""
        return Evaluations(instances, self._clock, self._hooks, self._counter)

    def _count(self, counter: Counter) -> None:
        """Have a counter from now on, where there was none."""
        self._counter = counter
        if self._shortcut is not None:
            self._replaced = self._shortcut
            self._shortcut = shortcut(self._instances, self._hooks, self._clock, counter.touched)

    # ------------------------------------------------------------ how they are answered

    def _wake(self) -> None:
        """What an evaluation sets going that is not its own matter; nothing here."""

    _dormant = False
    """Whether there is something to wake."""

    _replaced: Any = None
    """The shortcut that another one has replaced: an evaluation in another thread may be in the middle of it."""

    def _answer(
        self, flag_key: str, context: Context | None, default: Any, member: Member | None = None
    ) -> EvaluationDetails:
        """Raises Busy, unless it is given an instance that was waited for."""
        if self._dormant:
            self._wake()
        instances = self._instances
        while True:
            flag = found(instances, flag_key)
            if isinstance(flag, Outcome):
                if member is not None:
                    instances.give_back(member)
                return self._counted(None, flag, flag.for_default(default))
            outcome = flag.remembered
            if outcome is not None:
                if member is not None:
                    instances.give_back(member)
            else:
                try:
                    outcome = flag.outcome(asking.evaluate(instances, flag, context, self._clock, member))
                except EncodeError as error:
                    outcome = flag.failure(error.code, str(error))
                except GuestError as error:
                    outcome = flag.failure(ErrorCode.GENERAL, str(error))
                except Superseded:
                    member = None
                    continue
            details = outcome.for_default(default, flag.entry.type)
            return details if self._counter is None else self._counted(flag, outcome, details)

    def _counted(self, flag: Flag | None, outcome: Outcome, details: EvaluationDetails) -> EvaluationDetails:
        counter = self._counter
        if counter is not None:
            if flag is None:
                counter.unknown(details.flag_key, str(details.error_code))
            else:
                tally = flag.tally(outcome, details)
                tally.count = count = tally.count + 1
                if count == 1:
                    counter.touched.append(tally)
        return details

    def _in_turn_here(self, flag_key: str, context: Context | None, default: Any, strict: bool) -> EvaluationDetails:
        """As `_answer`, once an instance is to be had."""
        try:
            return asking.in_turn(self._instances, lambda member: self._answer(flag_key, context, default, member))
        except (PoolError, GuestError, Superseded) as error:
            return self._without_instance(flag_key, default, error, strict)

    async def _in_turn(self, flag_key: str, context: Context | None, default: Any, strict: bool) -> EvaluationDetails:
        """As `_answer`, once an instance is to be had."""
        try:
            while True:
                member = await self._instances.wait()
                try:
                    return self._answer(flag_key, context, default, member)
                except Busy:  # the instance was of an earlier generation, and is not the one that is taken now
                    pass
                finally:
                    self._instances.trim()
        except (PoolError, GuestError, Superseded) as error:
            return self._without_instance(flag_key, default, error, strict)

    def _without_instance(self, flag_key: str, default: Any, error: Exception, strict: bool) -> EvaluationDetails:
        if strict and isinstance(error, PoolError):
            raise error
        flag, outcome = self._failed(flag_key, error)
        return checked(self._counted(flag, outcome, outcome.for_default(default)), strict, self._instances)

    def _failed(self, flag_key: str, error: Exception) -> tuple[Flag | None, Outcome]:
        """The outcome of an evaluation that no instance was to be had for."""
        flag = found(self._instances, flag_key)
        return (None, flag) if isinstance(flag, Outcome) else (flag, flag.failure(ErrorCode.GENERAL, str(error)))

    async def _hooked(self, flag_key: str, context: Context | None, default: Any, strict: bool) -> EvaluationDetails:
        run = Run(self, flag_key, default, context, strict)
        details = run.before()
        if details is None:
            try:
                details = self._answer(flag_key, run.context, default)
            except Busy:
                try:
                    details = await self._in_turn(flag_key, run.context, default, strict)
                except PoolError as error:
                    run.after(self._failed(flag_key, error)[1].for_default(default), exception)
                    raise
        run.after(details, exception)
        return checked(details, strict, self._instances)

    def _hooked_here(self, flag_key: str, context: Context | None, default: Any, strict: bool) -> EvaluationDetails:
        run = Run(self, flag_key, default, context, strict)
        details = run.before()
        if details is None:
            try:
                details = self._answer(flag_key, run.context, default)
            except Busy:
                try:
                    details = self._in_turn_here(flag_key, run.context, default, strict)
                except PoolError as error:
                    run.after(self._failed(flag_key, error)[1].for_default(default), exception)
                    raise
        run.after(details, exception)
        return checked(details, strict, self._instances)


def _trapped(
    error: Exception, of: Evaluations, flag_key: str, context: Context | None = None, default: Any = None
) -> EvaluationDetails:
    """What is given after a shortcut has lost its instance to a trap."""
    return of._without_instance(flag_key, default, error, strict=False)


install(Evaluations, ("value", "details", "value_nowait", "details_nowait"), _trapped)


def explain(instances: Instances, flag_key: str, context: Context, now_us: int) -> Explanation:
    """Why a flag of the live generation has its value. Without rules for a flag that is not evaluated.

    Raises GuestError or PoolError.
    """
    from . import explain as words

    while True:
        generation = instances.generation
        if generation is None:
            outcome = failure(flag_key, ErrorCode.PROVIDER_NOT_READY, instances.remarks.not_ready(), 0)
            return words.Explanation(outcome.details, (), None, truncated=False)
        flag = generation.flag(flag_key)
        if flag is None:
            outcome = generation.not_found(flag_key, instances.remarks.meant(generation, flag_key))
            return words.Explanation(outcome.details, (), None, truncated=False)
        try:
            with buffer() as room:
                request = flag.encode(context, room, now_us)
                packed, events, truncated = asking.explain(instances, flag, request, now_us)
        except EncodeError as error:
            return words.Explanation(flag.failure(error.code, str(error)).details, (), None, truncated=False)
        except Superseded:
            continue
        decision = flag.outcome(packed).details
        sent = flag.sent(context, now_us)
        compiled = flag.generation.compiled
        return words.explain(compiled, flag.entry, events, decision, sent, now_us=now_us, truncated=truncated)
