"""One loaded configuration as answers come from it: its flags by key, and what each decision of the core means.

Here live the tables and the comparison of a value with the caller's default. Nothing here calls the core, which is
pool/asking.py, and nothing parses: a decision is put into words once, the next equal one is a look-up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from . import _abi
from .config.compile import CompiledConfig, FlagEntry
from .config.document import kind
from .config.model import JSON, MISSING, Missing
from .config.pace import breathe
from .exposures.tally import Tally
from .runtime import views
from .runtime.decode import unpack
from .runtime.encode import EncodeError, Encoder, buffer
from .runtime.plain import INT_MAX, INT_MIN, plain
from .types import EMPTY, ErrorCode, EvaluationDetails, Reason

ANSWER_MASK: Final = (1 << _abi.DECISION_BUCKETED_SHIFT) - 1
"""The bits of a packed decision that say what is answered; those above say in which bucket."""

_MESSAGE_OF_FLAG: Final = (_abi.ErrorCode.PARSE_ERROR, _abi.ErrorCode.GENERAL)
_ERROR_FIELD: Final = (1 << _abi.DECISION_ERROR_BITS) - 1
_KINDS: Final = (bool, int, float, str, Mapping, list, tuple)  # bool before int, of which it is a subclass
_DECLARED: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "string": (str,),
    "number": (int, float),
    "object": (Mapping, list),
}


class Outcome:
    """What a flag answers to one decision.

    served: whether it has a value of its own; if not, the value in `details` is None in place of the caller's default.
    tally: how often callers were given it, if that is counted.
    """

    __slots__ = ("details", "served", "tally")

    def __init__(self, details: EvaluationDetails, served: bool) -> None:
        self.details, self.served = details, served
        self.tally: Tally | None = None

    def for_default(self, default: Any, declared: str | None = None) -> EvaluationDetails:
        """The details for a caller with this default: a value of its type, or the default itself.

        A value or a declared type (model.Flag.type) that does not go with the default is a TYPE_MISMATCH.
        Without a default, None, every value goes.
        """
        details = self.details
        if default is None:
            return details
        if declared is not None and details.error_code is None and not _declares(declared, default):
            return _mismatched(details, default, f"the flag is declared as {declared}")
        if not self.served:
            return _with_value(details, default)
        value = details.value
        if type(value) is type(default):
            return details
        wanted = _kind(default)
        found = _kind(value)
        if wanted is float and found is int:
            try:
                return _with_value(details, float(value))
            except OverflowError:
                return _mismatched(details, default, "the value is beyond the range of a float")
        if found is None or found is not wanted:
            return _mismatched(details, default, f"the value is {kind(value)}")
        return details


def _kind(value: object) -> type | None:
    """The type that stands for the value's: its own or a base; None if no flag can have such a value."""
    found = next((each for each in _KINDS if isinstance(value, each)), None)
    return list if found is tuple else found


def _declares(declared: str, default: object) -> bool:
    found = _kind(default)
    return found is not None and found in _DECLARED.get(declared, (found,))


def _with_value(details: EvaluationDetails, value: Any) -> EvaluationDetails:
    return EvaluationDetails(
        details.flag_key,
        value,
        details.variant,
        details.reason,
        details.error_code,
        details.error_message,
        details.rule_index,
        details.generation,
        details.metadata,
    )


def _mismatched(details: EvaluationDetails, default: Any, found: str) -> EvaluationDetails:
    message = f"{found}, the default is {_words(default)}"
    code = ErrorCode.TYPE_MISMATCH
    return replace(details, value=default, variant=None, reason=Reason.ERROR, error_code=code, error_message=message)


def _words(default: object) -> str:
    found = _kind(default)
    if found is None:
        return f"of type {type(default).__name__}, which no flag can have"
    return kind({} if found is Mapping else found())


def _seen(value: Any, default: JSON | Missing) -> JSON | Missing:
    """An attribute as it crosses: encode.py sends an integer beyond 64 bits as a float."""
    value = default if value is MISSING else plain(value)
    return float(value) if type(value) is int and not INT_MIN <= value <= INT_MAX else value


def failure(
    flag_key: str, code: ErrorCode, message: str, generation: int, metadata: Mapping[str, Any] = EMPTY
) -> Outcome:
    """The outcome of an evaluation that came to no decision."""
    details = EvaluationDetails(
        flag_key, None, None, Reason.ERROR, code, message, generation=generation, metadata=metadata
    )
    return Outcome(details, served=False)


class Flag:
    """One flag of a generation.

    reads_now: whether its answer can depend on the clock.
    remembered: the one outcome of a flag that reads nothing, once it was asked for; None before, and for other flags.
    learned: what the extension knows of it (native/learned.c); None before the first outcome, and without extension.
    Safe from any thread: what two of them fill in at once is equal.
    """

    __slots__ = ("_defaults", "_outcomes", "entry", "generation", "learned", "reads_now", "remembered")

    def __init__(self, entry: FlagEntry, generation: Generation) -> None:
        self.entry, self.generation = entry, generation
        self.reads_now = entry.reads_now or not generation.timeless.issuperset(entry.slots)
        self.remembered: Outcome | None = None
        self.learned: Any = None
        self._outcomes: dict[int, Outcome] = {}
        self._defaults: dict[str, Tally] = {}

    def tally(self, outcome: Outcome, details: EvaluationDetails) -> Tally:
        """Where an evaluation counts: at its outcome, or at the reason why the caller's default was given."""
        generation = self.generation.number
        if outcome.served and details.error_code is None:
            tally = outcome.tally
            if tally is None:
                variant, reason = details.variant, str(details.reason)
                tally = Tally("evaluated", self.entry.key, variant, reason, details.metadata, generation)
                outcome.tally = tally
            return tally
        reason = str(details.error_code or details.reason)
        found = self._defaults.get(reason)
        if found is None:
            found = Tally("defaulted", self.entry.key, None, reason, self._metadata(None), generation)
            self._defaults[reason] = found
        return found

    def outcome(self, packed: int) -> Outcome:
        """What the packed decision means."""
        answer = packed & ANSWER_MASK
        outcome = self._outcomes.get(answer)
        if outcome is None:
            outcome = self._outcomes[answer] = self._outcome(answer)  # as many as the flag has ways to end
            self._teach(answer, outcome)
            if self.entry.constant:
                self.remembered = outcome
        return outcome

    def _teach(self, answer: int, outcome: Outcome) -> None:
        """From now on the extension knows what a decision means."""
        entry, encoder = self.entry, self.generation.encoder
        if encoder.native is None:
            return
        if self.learned is None:
            plan = encoder.native_plan(entry.slots)
            self.learned = encoder.native.Learned(entry.key, entry.index, plan, entry.reads_now, entry.constant)
        value = outcome.details.value
        fits = entry.type is None or _declares(entry.type, value)
        self.learned.learn(answer, outcome, value, outcome.served, type(value) if fits else None)

    def encode(self, context: Mapping[str, Any] | None, buffer: memoryview, now_us: int) -> memoryview:
        """The request for this flag, in the buffer. Raises EncodeError."""
        return buffer[: self.generation.encode(self.entry.slots, context, buffer, now_us)]

    def sent(self, context: Mapping[str, Any], now_us: int) -> list[JSON | Missing]:
        """What the request says of each slot of the configuration, for a context that `encode` takes."""
        return [
            _seen(views.bind(slot)(context, now_us), slot.default) if number in self.entry.slots else slot.default
            for number, slot in enumerate(self.generation.compiled.slots)
        ]

    def failure(self, code: ErrorCode, message: str) -> Outcome:
        """The outcome of an evaluation of this flag that came to no decision."""
        return failure(self.entry.key, code, message, self.generation.number, self._metadata(None))

    def _outcome(self, packed: int) -> Outcome:
        decision = unpack(packed)
        entry = self.entry
        value, name, reason, code, message = None, None, decision.reason, decision.error, decision.message
        served = False
        if code is not None:
            if entry.problem is not None and packed >> _abi.DECISION_ERROR_SHIFT & _ERROR_FIELD in _MESSAGE_OF_FLAG:
                message = entry.problem
        elif decision.variant is not None:
            variant = entry.variants[decision.variant]
            if variant.error is None:
                value, name, served = variant.value, variant.key, True
            else:
                reason, code, message = Reason.ERROR, ErrorCode.GENERAL, variant.error
        details = EvaluationDetails(
            entry.key,
            value,
            name,
            reason,
            code,
            message,
            decision.rule,
            self.generation.number,
            self._metadata(decision.rule),
        )
        return Outcome(details, served)

    def _metadata(self, rule: int | None) -> Mapping[str, Any]:
        """The flag's metadata, and over it that of the rule that decided."""
        entry = self.entry
        more = entry.rule_metadata[rule] if rule is not None and rule < len(entry.rule_metadata) else EMPTY
        return MappingProxyType({**entry.metadata, **more}) if entry.metadata or more else EMPTY


class Generation:
    """A compiled configuration, its number and its flags by key, in the order of the file.

    number: 0 until it goes live, then one more than that of the generation before.
    pins: tokens of who keeps it answerable. shelf: the instances that answer for them once another one is live.
    timeless: the slots whose views do not look at the clock.
    """

    __slots__ = ("_everything", "compiled", "encoder", "flags", "number", "pins", "shelf", "timeless")

    def __init__(self, compiled: CompiledConfig) -> None:
        self.compiled = compiled
        self.encoder = Encoder(compiled)
        self.number = 0
        self.pins: set[object] = set()
        self.shelf: deque[Any] = deque()
        self.timeless = frozenset(number for number, slot in enumerate(compiled.slots) if not views.reads_now(slot))
        flags: dict[str, Flag] = {}
        for key, entry in compiled.flags.items():
            breathe()
            flags[key] = Flag(entry, self)
        self.flags: Mapping[str, Flag] = flags
        self._everything: Selection | None = None

    @property
    def everything(self) -> Selection:
        """All flags, in the order of the file."""
        if self._everything is None:
            self._everything = Selection(self, tuple(self.flags.values()))
        return self._everything

    def encode(self, slots: tuple[int, ...], context: Mapping[str, Any] | None, buffer: memoryview, now_us: int) -> int:
        """Encoder.encode, but of what reads no slot any context is good enough, as it is once that is remembered."""
        return self.encoder.encode(context if slots else None, slots, buffer, now_us)

    def flag(self, flag_key: str) -> Flag | None:
        try:
            return self.flags.get(flag_key)
        except TypeError:  # not hashable, so no key
            return None

    def not_found(self, flag_key: str, more: str = "") -> Outcome:
        message = f"the configuration has no such flag{more}"
        metadata = self.compiled.metadata
        return failure(flag_key, ErrorCode.FLAG_NOT_FOUND, message, self.number, MappingProxyType({**metadata}))


class Selection:
    """Flags of a generation that are asked together. None stands for a flag that does not exist.

    indexes: the arguments for the core, without those. slots: what any of the flags reads, ascending.
    plan: how the extension encodes those, None without it. reads_now: whether any of them reads the clock.
    learned: what the extension knows of them; None as long as it has not heard of all.
    """

    __slots__ = ("flags", "generation", "indexes", "learned", "plan", "reads_now", "sets", "slots")

    def __init__(self, generation: Generation, flags: Sequence[Flag | None]) -> None:
        self.generation, self.flags = generation, tuple(flags)
        entries = [flag.entry for flag in flags if flag is not None]
        self.indexes = tuple(entry.index for entry in entries)
        self.sets = {entry.slots for entry in entries}
        self.slots: tuple[int, ...] = tuple(sorted(frozenset[int]().union(*self.sets)))
        self.plan = generation.encoder.native_plan(self.slots)
        self.reads_now = any(flag.reads_now for flag in flags if flag is not None)
        self.learned: tuple[Any, ...] | None = None

    def learn(self) -> None:
        """Look whether the extension has heard of all flags by now."""
        learned = tuple(flag.learned for flag in self.flags if flag is not None)
        if None not in learned:
            self.learned = learned


class Encoded:
    """One context, encoded once for all flags of a selection.

    A context of which an attribute cannot be sent is encoded for each set of slots that a flag reads: a flag that does
    not read this attribute is not affected.

    whole: one request for all of the flags; None if there is none.
    """

    __slots__ = ("_apart", "whole")

    def __init__(self, selection: Selection, context: Mapping[str, Any] | None, now_us: int) -> None:
        self.whole: bytes | None = None
        if selection.plan is not None:
            self.whole = selection.plan.request(context, now_us)
            if self.whole is not None:
                return
        encode = selection.generation.encode
        self._apart: dict[tuple[int, ...], bytes | EncodeError] = {}
        with buffer() as room:
            try:
                self.whole = bytes(room[: encode(selection.slots, context, room, now_us)])
            except EncodeError:
                for slots in selection.sets:
                    try:
                        self._apart[slots] = bytes(room[: encode(slots, context, room, now_us)])
                    except EncodeError as error:
                        self._apart[slots] = error

    def request(self, flag: Flag) -> bytes:
        """The request for one of the flags. Raises EncodeError."""
        if self.whole is not None:
            return self.whole
        request = self._apart[flag.entry.slots]
        if isinstance(request, EncodeError):
            raise request
        return request
