"""An evaluation context that is encoded once and asked many times; `bind` makes one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from .answers import checked, exception, found
from .errors import GuestError, PoolError
from .generation import Encoded, Flag, Generation, Outcome, Selection
from .hooks import Run, detailed, overridden, overriding
from .pool import asking
from .pool.asking import Context, microseconds
from .pool.member import Member
from .pool.pool import Busy, Superseded
from .runtime.encode import EncodeError
from .shortcuts import Quick, declined, install
from .types import ErrorCode, EvaluationDetails

if TYPE_CHECKING:
    from .evaluations import D, Evaluations


class BoundContext(Quick):
    """One evaluation context, encoded once; made by `bind`, and as safe.

    Keep it for a request, not for ever. After a reload it answers from the new configuration, for which the context is
    encoded again: do not change it meanwhile. The clock goes on.
    """

    __slots__ = ("_context", "_encoded", "_of")

    def __init__(self, of: Evaluations, context: Context | None) -> None:
        self._of, self._shortcut = of, of._shortcut
        self._context = context.copy() if type(context) is dict else context
        self._encoded: tuple[Generation, Encoded] | None
        self._encoded = None if self._shortcut is None else self._shortcut.encode(self._context)
        generation = of._instances.generation
        if self._encoded is None and generation is not None:
            try:
                self._for(generation)
            except EncodeError:  # the clock; evaluations will say so
                pass

    def _for(self, generation: Generation) -> Encoded:
        known = self._encoded
        if known is None or known[0] is not generation:
            selection = generation.everything
            now_us = microseconds(self._of._clock) if selection.reads_now else 0
            self._encoded = known = generation, Encoded(selection, self._context, now_us)
        return known[1]

    @overload
    def value(self, flag_key: str, default: D, *, strict: bool = False) -> D: ...
    @overload
    def value(self, flag_key: str, default: None = None, *, strict: bool = False) -> Any: ...
    def value(self, flag_key: str, default: Any = None, *, strict: bool = False) -> Any:
        """As `value_nowait` for this context."""
        return self._details(flag_key, default, strict).value

    def details(self, flag_key: str, default: Any = None, *, strict: bool = False) -> EvaluationDetails:
        """As `details_nowait` for this context."""
        return self._details(flag_key, default, strict)

    def _details(self, flag_key: str, default: Any, strict: bool) -> EvaluationDetails:
        of = self._of
        run = Run(of, flag_key, default, self._context, strict) if of._hooks else None
        details = run.before() if run is not None else None
        if details is None:
            try:
                details = self._answer(flag_key, default)
            except Busy:
                try:
                    details = self._in_turn(flag_key, default, strict)
                except PoolError as error:
                    if run is not None:
                        run.after(of._failed(flag_key, error)[1].for_default(default), exception)
                    raise
        if run is not None:
            run.after(details, exception)
        return checked(details, strict, of._instances)

    def all(self) -> dict[str, Any]:
        """The values of all flags by key, in the order of the configuration and all of one generation.

        A flag that would give the caller's default, because of an error or without one, is not in it. No hooks.
        """
        found = self._selected(lambda generation: generation.everything)
        return overridden(self._of, self._context, None, found) if overriding else found

    def many(self, flag_keys: Iterable[str]) -> dict[str, Any]:
        """As `all`, for some flags, in the order of the keys."""
        keys = tuple(flag_keys)

        def selection(generation: Generation) -> Selection:
            flags = [generation.flag(key) for key in keys]
            if None in flags and not overriding:
                for key, flag in zip(keys, flags, strict=True):
                    if flag is None:
                        self._of._instances.remarks.unknown(generation, key)
            made = Selection(generation, flags)
            made.learn()
            return made

        found = self._selected(selection)
        return overridden(self._of, self._context, keys, found) if overriding else found

    def all_details(self) -> dict[str, EvaluationDetails]:
        """The details of all flags by key, in the order of the configuration and all of one generation.

        As `details` without a default: a flag that would give the caller's default has the value None and no variant.
        Without a configuration there are none. No hooks, and nothing is counted; one crossing, for the rest some
        microseconds for a hundred flags.
        """
        found = {each.details.flag_key: each.details for each in self._outcomes() if each is not None}
        return detailed(self._of, self._context, found) if overriding else found

    def _outcomes(self) -> Sequence[Outcome | None]:
        of = self._of
        if of._dormant:
            of._wake()
        while True:
            generation = of._instances.generation
            if generation is None:
                of._instances.remarks.not_ready()
                return ()
            selection = generation.everything
            try:
                now_us = microseconds(of._clock) if selection.reads_now else 0
                return asking.decide(of._instances, selection, self._for(generation), now_us)
            except Superseded:
                continue
            except (EncodeError, PoolError) as error:  # the clock, or there is no instance
                code = error.code if isinstance(error, EncodeError) else ErrorCode.GENERAL
                return [None if flag is None else flag.failure(code, str(error)) for flag in selection.flags]

    def _selected(self, select: Callable[[Generation], Selection]) -> dict[str, Any]:
        of = self._of
        while True:
            generation = of._instances.generation
            if generation is None:
                of._instances.remarks.not_ready()
                return {}
            selection = select(generation)
            if self._shortcut is not None and selection.learned is not None:
                found: dict[str, Any] = self._shortcut.many(generation, selection.learned, self._encoded)
                if found is not declined:
                    return found
            if of._dormant:
                of._wake()
            try:
                now_us = microseconds(of._clock) if selection.reads_now else 0
                outcomes = asking.decide(of._instances, selection, self._for(generation), now_us)
            except (EncodeError, PoolError):
                return {}
            except Superseded:
                continue
            selection.learn()
            details = [each.details for each in outcomes if each is not None and each.served]
            return {each.flag_key: each.value for each in details}

    def _answer(self, flag_key: str, default: Any, member: Member | None = None) -> EvaluationDetails:
        """As Evaluations._answer."""
        of = self._of
        if of._dormant:
            of._wake()
        instances = of._instances
        while True:
            flag = found(instances, flag_key)
            if isinstance(flag, Outcome):
                if member is not None:
                    instances.give_back(member)
                return of._counted(None, flag, flag.for_default(default))
            outcome = flag.remembered
            if outcome is not None:
                if member is not None:
                    instances.give_back(member)
            else:
                try:
                    outcome = self._ask(flag, member)
                except Superseded:
                    member = None
                    continue
            details = outcome.for_default(default, flag.entry.type)
            return details if of._counter is None else of._counted(flag, outcome, details)

    def _ask(self, flag: Flag, member: Member | None) -> Outcome:
        of = self._of
        try:
            request = self._for(flag.generation).request(flag)
            now_us = microseconds(of._clock) if flag.reads_now else 0
        except EncodeError as error:
            if member is not None:
                of._instances.give_back(member)
            return flag.failure(error.code, str(error))
        try:
            return flag.outcome(asking.evaluate_encoded(of._instances, flag, request, now_us, member))
        except GuestError as error:
            return flag.failure(ErrorCode.GENERAL, str(error))

    def _in_turn(self, flag_key: str, default: Any, strict: bool) -> EvaluationDetails:
        of = self._of
        try:
            return asking.in_turn(of._instances, lambda member: self._answer(flag_key, default, member))
        except (PoolError, GuestError, Superseded) as error:
            return of._without_instance(flag_key, default, error, strict)


def _trapped(error: Exception, bound: BoundContext, flag_key: str, default: Any = None) -> EvaluationDetails:
    """What is given after a shortcut has lost its instance to a trap."""
    return bound._of._without_instance(flag_key, default, error, strict=False)


install(BoundContext, ("value", "details"), _trapped, bound=True)
