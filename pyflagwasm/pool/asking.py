"""How a question reaches the core: an instance is taken, the request put into its scratch, one crossing made.

What the answers mean is in generation.py. Where instances come from - the pool, a pin, a lease - is behind Instances.
The caller's mapping and clock are used while an instance is held: they may do anything, evaluate too, for which
another instance is taken. Nothing here waits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

from .. import _abi
from ..errors import GuestError, GuestTrapError
from ..generation import Encoded, Flag, Generation, Outcome, Selection
from ..runtime.encode import EncodeError
from ..runtime.plain import INT_MAX, INT_MIN
from ..types import ErrorCode
from .member import Member
from .pool import Busy
from .remarks import Remarks
from .waiting import Queue

T = TypeVar("T")
Context: TypeAlias = Mapping[str, Any]
Clock: TypeAlias = Callable[[], float]
Trace: TypeAlias = tuple[int, list[tuple[int, int, int, int]], bool]
"""Packed decision, events, and whether there were more of them."""

_NOW: Final = struct.Struct("<q")


class Instances(Protocol):
    """Where instances come from. `take` and `fit` raise Superseded, Busy and GuestError as Pool's do.

    LIVE: the name of the attribute in `__slots__` that holds the generation which answers. idle, queue: as Pool's.
    """

    LIVE: ClassVar[str]

    @property
    def idle(self) -> list[Member]: ...
    @property
    def queue(self) -> Queue[Member]: ...
    @property
    def remarks(self) -> Remarks: ...
    @property
    def generation(self) -> Generation | None: ...
    def take(self, generation: Generation) -> Member: ...
    def fit(self, member: Member, generation: Generation) -> None: ...
    def give_back(self, member: Member) -> None: ...
    def discard(self, member: Member) -> None: ...
    def wait_here(self) -> Member: ...
    def trim(self) -> None: ...
    async def wait(self) -> Member: ...


def microseconds(clock: Clock) -> int:
    """The clock in microseconds. Raises EncodeError with GENERAL for one that cannot be used."""
    try:
        now_us = round(clock() * 1_000_000)
        if INT_MIN <= now_us <= INT_MAX:
            return now_us
        problem = "gives a time that is too far from 1970"
    except Exception as error:
        problem = f"cannot be used: {type(error).__name__}"
    raise EncodeError(ErrorCode.GENERAL, "", f"the clock {problem}") from None


def evaluate(
    instances: Instances, flag: Flag, context: Context | None, clock: Clock, member: Member | None = None
) -> int:
    """The packed decision for a context. member: one that was waited for; it is given back in any case.

    Raises EncodeError, and what `take` raises.
    """
    generation, entry = flag.generation, flag.entry
    if member is None:
        member = instances.take(generation)
    else:
        instances.fit(member, generation)
    try:
        now_us = microseconds(clock) if flag.reads_now else 0
        slots = entry.slots
        generation.encoder.encode(context if slots else None, slots, member.scratch, now_us)
        return member.evaluate(entry.index)
    except (GuestTrapError, ValueError):
        if not member.dead:
            raise
        dead, member = member, None
        instances.discard(dead)
        if not dead.dropped:
            raise
    finally:
        if member is not None:
            instances.give_back(member)
    # The garbage collector has come for the evaluator, and a finalizer evaluates once more.
    return evaluate(instances, flag, context, clock)


def evaluate_encoded(
    instances: Instances, flag: Flag, request: bytes, now_us: int, member: Member | None = None
) -> int:
    """As `evaluate`, for an encoded request; `now_us` takes the place of its clock."""
    index = flag.entry.index
    return ask(instances, flag.generation, request, now_us, lambda it: it.evaluate(index), member)


def ask(
    instances: Instances,
    generation: Generation,
    request: bytes | memoryview,
    now_us: int,
    do: Callable[[Member], T],
    member: Member | None = None,
) -> T:
    """What `do` makes of an instance with an encoded request in its scratch; `now_us` takes the place of its clock.

    For the rest as `evaluate`.
    """
    if member is None:
        member = instances.take(generation)
    else:
        instances.fit(member, generation)
    try:
        member.scratch[: len(request)] = request
        _NOW.pack_into(member.scratch, _abi.REQUEST_NOW_US, now_us)
        return do(member)
    except (GuestTrapError, ValueError):
        if not member.dead:
            raise
        dead, member = member, None
        instances.discard(dead)
        if not dead.dropped:
            raise
    finally:
        if member is not None:
            instances.give_back(member)
    return ask(instances, generation, request, now_us, do)


def waiting_here(instances: Instances, question: Callable[[Member | None], T]) -> T:
    """The answer to a question that takes an instance, or one that was waited for.

    Raises what the question raises but Busy; PoolError instead.
    """
    try:
        return question(None)
    except Busy:
        return in_turn(instances, question)


def in_turn(instances: Instances, question: Callable[[Member], T]) -> T:
    """As waiting_here, for a question that was Busy."""
    while True:
        member = instances.wait_here()
        try:
            return question(member)
        except Busy:  # another generation went live, and the one that was waited for is in use again
            pass
        finally:
            instances.trim()


def decide(instances: Instances, selection: Selection, encoded: Encoded, now_us: int) -> list[Outcome | None]:
    """The outcomes of a selection's flags for one context, None for flags that do not exist.

    One crossing if the context can be sent for all flags at once. Where one flag traps, they are asked one by one.
    Raises Superseded, or PoolError if no instance is to be had.
    """
    generation, indexes, whole = selection.generation, selection.indexes, encoded.whole
    if whole is not None:
        try:
            packed = waiting_here(
                instances,
                lambda member: ask(instances, generation, whole, now_us, lambda it: it.evaluate_many(indexes), member),
            )
        except GuestError:
            pass
        else:
            decisions = iter(packed)
            return [None if flag is None else flag.outcome(next(decisions)) for flag in selection.flags]
    return [None if flag is None else _one(instances, flag, encoded, now_us) for flag in selection.flags]


def _one(instances: Instances, flag: Flag, encoded: Encoded, now_us: int) -> Outcome:
    try:
        request = encoded.request(flag)
        return flag.outcome(
            waiting_here(instances, lambda member: evaluate_encoded(instances, flag, request, now_us, member))
        )
    except EncodeError as error:
        return flag.failure(error.code, str(error))
    except GuestError as error:
        return flag.failure(ErrorCode.GENERAL, str(error))


def explain(instances: Instances, flag: Flag, request: bytes | memoryview, now_us: int) -> Trace:
    """The packed decision with its trace. Waits for an instance as `waiting_here` does."""

    def do(member: Member) -> Trace:
        packed, events = member.explain(flag.entry.index)
        return packed, events, member.trace_truncated

    return waiting_here(instances, lambda member: ask(instances, flag.generation, request, now_us, do, member))
