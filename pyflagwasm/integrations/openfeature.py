"""OpenFeature's provider over an evaluator that the application has opened.

    async with pyflagwasm.open("flags.json") as flags:
        openfeature.api.set_provider_and_wait(FlagwasmProvider(flags))

Here live the types of OpenFeature's getters, its evaluation context and its events. The evaluator's life is its own:
the provider neither opens nor closes it, and needs no event loop.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from ..background import running_loop
from ..changes import Change, weakly
from ..config.document import kind
from ..evaluator import FlagEvaluator
from ..extras import missing
from ..types import EMPTY, State
from .opening import needs_evaluator

try:
    from openfeature.evaluation_context import EvaluationContext
    from openfeature.event import ProviderEventDetails
    from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError
    from openfeature.flag_evaluation import FlagMetadata, FlagResolutionDetails, FlagValueType, Reason
    from openfeature.hook import Hook
    from openfeature.provider import AbstractProvider
    from openfeature.provider.metadata import Metadata
    from openfeature.track import TrackingEventDetails
except ImportError as error:
    raise missing("the OpenFeature provider", "openfeature-sdk", "openfeature") from error

__all__ = ["NAME", "FlagwasmProvider"]

_LOG: Final = logging.getLogger("pyflagwasm")

NAME: Final = "pyflagwasm"
"""The provider's name in its metadata, in events and in telemetry."""

Track = Callable[[str, EvaluationContext | None, TrackingEventDetails | None], object]

_REASONS: Final = {reason.value: reason for reason in Reason}
_CODES: Final = {code.value: code for code in ErrorCode}
_SCALARS: Final = frozenset({bool, int, float, str})
_PLAIN: Final = _SCALARS | {type(None)}


class FlagwasmProvider(AbstractProvider):
    """Evaluates in place, in whichever thread asks, awaited or not, and as the evaluator's `details_nowait` does.

    hooks: OpenFeature's own, called for every evaluation by way of this provider.
    track: is given what is tracked. Called inline, so it must not block; what it raises is logged, once.
    ready_timeout: for how many seconds `initialize` waits for a first configuration.

    - The type of a value is that of the getter. True and false are no numbers, an integer is a float to the float
      getter, and a list is an object, too. Anything else is a TYPE_MISMATCH, and the default. Lists and objects are the
      configuration's own: do not change them.
    - A flag that is switched off gives the default with the reason DISABLED, and that is no error.
    - The targeting key is the attribute `targetingKey`. A datetime, wherever it is, is sent as RFC 3339 text in UTC
      (2026-05-04T10:30:00Z); one without a time zone is taken to be in UTC. Everything else is sent as the evaluator
      sends it.
    - Of a flag's metadata OpenFeature takes what is true, false, a number or text; the rest is left out.

    Several providers may share an evaluator, and one may serve several domains, threads and event loops.
    """

    def __init__(
        self,
        evaluator: FlagEvaluator,
        *,
        hooks: Sequence[Hook] = (),
        track: Track | None = None,
        ready_timeout: float = 5.0,
    ) -> None:
        super().__init__()
        needs_evaluator("FlagwasmProvider", evaluator)
        self._evaluator = evaluator
        self._hooks, self._track, self._ready_timeout = list(hooks), track, ready_timeout
        self._metadata = Metadata(NAME)
        self._news = threading.Event()
        self._said: State | None = None  # how the evaluator is, as OpenFeature knows it; None while it is not to know
        self._track_failed = False
        weakref.finalize(self, evaluator.add_listener(weakly(self._heard)))

    # ------------------------------------------------------------ life

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Wait until the evaluator has a configuration.

        On the thread of an event loop, where waiting could keep that very loop from loading it, it is not waited for.
        Raises ProviderNotReadyError if there is none (in time), and ProviderFatalError for an evaluator that was closed
        and so never has one again. After the former the event PROVIDER_READY tells when there is one after all.
        """
        self._said = None
        self._news = news = threading.Event()
        deadline = 0.0 if running_loop() is not None else time.monotonic() + self._ready_timeout
        while True:
            found = self._evaluator.statistics()
            if found.state is State.CLOSED:
                raise ProviderFatalError("the evaluator was closed, which is for good: open a new one")
            if found.state is not State.NOT_READY:
                self._said = State.READY  # as OpenFeature says by itself after this
                return
            left = deadline - time.monotonic()
            if left <= 0:
                self._said = State.NOT_READY
                cause = None if found.source is None else found.source.cause
                raise ProviderNotReadyError(_why(cause, deadline > 0))
            news.wait(left)
            news.clear()

    def shutdown(self) -> None:
        """Nothing: the evaluator is closed by whoever has opened it."""

    def get_metadata(self) -> Metadata:
        return self._metadata

    def get_provider_hooks(self) -> list[Hook]:
        return self._hooks

    def _heard(self, change: Change) -> None:
        """In the thread that has made the evaluator change."""
        self._news.set()
        said = self._said
        if said is None:
            return
        if change.state is not said and change.state is not State.NOT_READY:
            self._said = change.state
            if change.state is State.READY:
                self.emit_provider_ready(ProviderEventDetails())
            elif change.state is State.STALE:
                self.emit_provider_stale(ProviderEventDetails(message=change.cause))
            else:
                message = "the evaluator was closed"
                self.emit_provider_error(ProviderEventDetails(message=message, error_code=ErrorCode.PROVIDER_FATAL))
        if change.replaced and change.generation not in (0, change.replaced):
            changed = list(change.flags_changed)
            generation: dict[str, bool | str | int | float] = {"generation": change.generation}
            self.emit_provider_configuration_changed(ProviderEventDetails(flags_changed=changed, metadata=generation))

    # ------------------------------------------------------------ evaluations

    # What OpenFeature awaits are the base's methods around these: without a suspension point, in which a cancellation
    # would end as an UnboundLocalError of its client.

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        wanted = default_value if type(default_value) is bool else False
        return self._resolved(flag_key, default_value, wanted, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        wanted = default_value if type(default_value) is str else ""
        return self._resolved(flag_key, default_value, wanted, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        wanted = default_value if type(default_value) is int else 0
        return self._resolved(flag_key, default_value, wanted, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        if type(default_value) is int:  # 0 for 0.0, which the client would call a TYPE_MISMATCH
            try:
                default_value = float(default_value)
            except OverflowError:
                pass
        wanted = default_value if type(default_value) is float else 0.0
        return self._resolved(flag_key, default_value, wanted, evaluation_context)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        found = self._resolved(flag_key, default_value, None, evaluation_context)
        if found.variant is None or isinstance(found.value, (dict, list)):
            return found
        message = f"the value is {kind(found.value)}, neither an object nor a list"
        return _failed(default_value, ErrorCode.TYPE_MISMATCH, message, found.flag_metadata)

    def _resolved(
        self, flag_key: str, default: Any, wanted: Any, context: EvaluationContext | None
    ) -> FlagResolutionDetails[Any]:
        """wanted: of the type of the getter, the default itself if that is."""
        try:
            details = self._evaluator.details_nowait(flag_key, _attributes(context), wanted)
        except Exception as error:  # of the caller's own objects in the context
            return _failed(default, ErrorCode.GENERAL, f"{type(error).__name__}: {error}", {})
        metadata = _metadata(details.metadata) if details.metadata else {}
        if details.error_code is not None:
            return _failed(default, _CODES[details.error_code], details.error_message, metadata)
        return FlagResolutionDetails(
            value=default if details.variant is None else details.value,
            reason=_REASONS[details.reason],
            variant=details.variant,
            flag_metadata=metadata,
        )

    # ------------------------------------------------------------ tracking

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Hand it to the callback, if there is one."""
        if self._track is None:
            return
        try:
            self._track(tracking_event_name, evaluation_context, tracking_event_details)
        except Exception:
            if not self._track_failed:
                self._track_failed = True
                _LOG.exception("tracking %s failed; further failures are not logged", tracking_event_name)

    def __repr__(self) -> str:
        return f"<FlagwasmProvider: {self._evaluator!r}>"


def _why(cause: str | None, waited: bool) -> str:
    if cause is not None:
        return f"there is no configuration yet: {cause}"
    if waited:
        return "there is no configuration yet: is the evaluator open (`async with pyflagwasm.open(...) as flags`)?"
    return (
        "there is no configuration yet, and waiting for one would block this event loop: "
        "make the provider inside of `async with pyflagwasm.open(...) as flags`, or call set_provider"
    )


def _failed(default: Any, code: ErrorCode, message: str | None, metadata: FlagMetadata) -> FlagResolutionDetails[Any]:
    return FlagResolutionDetails(default, code, message, Reason.ERROR, None, metadata)


def _metadata(found: Mapping[str, Any]) -> FlagMetadata:
    return {key: value for key, value in found.items() if type(value) in _SCALARS}


def _attributes(context: EvaluationContext | None) -> Mapping[str, Any]:
    """The context as the evaluator takes it: the caller's own mapping, if nothing is to be added or changed."""
    if context is None:
        return EMPTY
    attributes: Mapping[str, Any] = context.attributes
    if attributes and not _PLAIN.issuperset(map(type, attributes.values())):
        attributes = _without_moments(attributes)
    if context.targeting_key is not None:
        attributes = {**attributes, "targetingKey": context.targeting_key}
    return attributes


def _without_moments(value: Any) -> Any:
    """The value with text in place of every datetime; itself, if there is none."""
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        found = {key: _without_moments(each) for key, each in value.items()}
        return value if all(map(_same, found.values(), value.values())) else found
    if isinstance(value, (list, tuple)):
        items = [_without_moments(each) for each in value]
        return value if all(map(_same, items, value)) else items
    return value


def _same(one: object, other: object) -> bool:
    return one is other
