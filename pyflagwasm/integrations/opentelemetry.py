"""OpenTelemetry: an event for every evaluation, and metrics of an evaluator.

    flags.add_hook(OpenTelemetryHook())     an event for each evaluation, which takes it off the fast path
    instrument(flags)                       metrics, which evaluations do not feel

Here live the names of OpenTelemetry's conventions and of our metrics, and how ours become those. Nothing is emitted
without a provider of OpenTelemetry's SDK.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .. import __version__
from ..changes import weakly
from ..counted import counter_of
from ..evaluator import FlagEvaluator, Statistics
from ..exposures.counting import Batch
from ..extras import missing
from ..hooks import Hook
from ..types import EMPTY, TARGETING_KEYS, ErrorCode, Reason, State
from .opening import needs_evaluator

try:
    from opentelemetry._logs import LoggerProvider, get_logger
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
except ImportError as error:
    raise missing("telemetry", "opentelemetry-api", "opentelemetry") from error

if TYPE_CHECKING:
    from openfeature.hook import Hook as OpenFeatureHook
else:
    OpenFeatureHook = object  # it is enough to have the methods, and does not import the package

__all__ = ["OpenTelemetryHook", "evaluation_attributes", "instrument"]

NAME: Final = "pyflagwasm"
EVENT: Final = "feature_flag.evaluation"

# The names of the semantic conventions. Their package is not needed for them: it keeps them in a private module.
KEY: Final = "feature_flag.key"
VARIANT: Final = "feature_flag.result.variant"
VALUE: Final = "feature_flag.result.value"
REASON: Final = "feature_flag.result.reason"
CONTEXT_ID: Final = "feature_flag.context.id"
PROVIDER: Final = "feature_flag.provider.name"
SET_ID: Final = "feature_flag.set.id"
VERSION: Final = "feature_flag.version"
ERROR_TYPE: Final = "error.type"
ERROR_MESSAGE: Final = "feature_flag.error.message"
OVERFLOW: Final = "otel.metric.overflow"

_WELL_KNOWN: Final = (("contextId", CONTEXT_ID), ("flagSetId", SET_ID), ("version", VERSION))
"""Metadata of a flag that OpenFeature has given a meaning, and what it is called here."""

Attributes: TypeAlias = dict[str, Any]


# ---------------------------------------------------------------- events


class OpenTelemetryHook(Hook, OpenFeatureHook):
    """Emits the event `feature_flag.evaluation` for every evaluation, by way of the logs API, within the current span.

    For the evaluator, `flags.add_hook(OpenTelemetryHook())`, or OpenFeature, `api.add_hooks([OpenTelemetryHook()])`;
    with both, an evaluation that comes by way of OpenFeature is two events.

    logger_provider: OpenTelemetry's global one, if None, also if that is set later.
    context_id: whether the targeting key is told. value: whether values are; they can be large, or nobody's business.
    """

    def __init__(
        self, logger_provider: LoggerProvider | None = None, *, context_id: bool = True, value: bool = False
    ) -> None:
        self._logger = get_logger(NAME, __version__, logger_provider)
        self._enabled = getattr(self._logger, "enabled", None)  # newer than the oldest version that will do
        self._context_id, self._value = context_id, value

    def before(self, hook_context: Any, hints: Any) -> None:
        """Nothing."""

    def after(self, hook_context: Any, details: Any, hints: Any) -> None:
        """Nothing."""

    def error(self, hook_context: Any, exception: Exception, hints: Any) -> None:
        """Nothing."""

    def finally_after(self, hook_context: Any, details: Any, hints: Any) -> None:
        if self._enabled is not None and not self._enabled(event_name=EVENT):
            return
        attributes = evaluation_attributes(hook_context, details)
        if not self._context_id:
            attributes.pop(CONTEXT_ID, None)
        if self._value:
            attributes[VALUE] = details.value
        self._logger.emit(event_name=EVENT, attributes=attributes)

    def supports_flag_value_type(self, flag_type: Any) -> bool:
        return True


def evaluation_attributes(hook_context: Any, details: Any) -> Attributes:
    """Attributes of the event, without the value. Of what our hooks are told, or OpenFeature's."""
    found: Attributes = {KEY: str(details.flag_key), PROVIDER: NAME, REASON: _lower(details.reason or Reason.UNKNOWN)}
    theirs = getattr(hook_context, "evaluation_context", None)
    if theirs is not None:
        metadata = details.flag_metadata
        targeting_key = theirs.targeting_key
        if hook_context.provider_metadata is not None:
            found[PROVIDER] = hook_context.provider_metadata.name
    else:
        metadata = details.metadata
        context = hook_context.context or EMPTY
        targeting_key = next((context[key] for key in TARGETING_KEYS if key in context), None)
    if targeting_key is not None:
        found[CONTEXT_ID] = str(targeting_key)
    for name, attribute in _WELL_KNOWN:
        if metadata.get(name) is not None:
            found[attribute] = str(metadata[name])
    if details.variant is not None:
        found[VARIANT] = details.variant
    if details.error_code is not None:
        found[ERROR_TYPE] = _lower(details.error_code)
        if details.error_message:
            found[ERROR_MESSAGE] = details.error_message
    return found


def _lower(word: str) -> str:
    """A reason or an error code, as the conventions write it."""
    return str(word).lower()


# ---------------------------------------------------------------- metrics


def instrument(
    flags: FlagEvaluator,
    meter_provider: MeterProvider | None = None,
    *,
    attributes: Mapping[str, str] | None = None,
    max_series: int = 2000,
) -> Callable[[], None]:
    """Observe an evaluator, whenever metrics are collected; the names are in the table below.

    Evaluations are counted from now on, as by `exposures`, if they were not before: that costs them some nanoseconds,
    and what is counted is taken when metrics are collected; with `exposures`, every `exposure_interval` seconds.

    attributes: of all measurements, to tell several evaluators of a process apart.
    max_series: how many combinations of flag, variant and reason are counted apart; the rest is `otel.metric.overflow`.
        A flag that does not exist is counted without its key, which callers may make up.
    Gives the function that ends it. An evaluator that nobody else refers to ends it, too. What is observed already with
    the same attributes is not observed twice, for SDKs would add it up; it ends when all of them have ended it.
    """
    needs_evaluator("instrument", flags)
    provider = get_meter_provider() if meter_provider is None else meter_provider
    more = dict(attributes or {})
    with _lock:
        instruments = _instruments.get(provider)
        if instruments is None:
            instruments = _instruments[provider] = _Instruments(provider)
        same = (each for each in instruments.watched if each.flags() is flags and each.attributes == more)
        watched = next(same, None)
        if watched is None:
            watched = _Watched(flags, more, max_series)
            instruments.watched.append(watched)
        user = object()
        watched.users.add(user)

    def end() -> None:
        with _lock:
            watched.users.discard(user)
            if not watched.users and watched in instruments.watched:
                instruments.watched.remove(watched)

    return end


Rows: TypeAlias = Iterable[tuple[float, Attributes]]
_Read: TypeAlias = Callable[[Statistics], Rows]


def _one(read: Callable[[Statistics], float]) -> _Read:
    return lambda found: [(read(found), {})]


def _age(found: Statistics) -> Rows:
    return [] if found.source is None or found.source.age is None else [(found.source.age, {})]


def _documents(found: Statistics) -> Rows:
    source = found.source
    if source is None:
        return []
    return [(source.accepted, {"outcome": "accepted"}), (source.refused, {"outcome": "refused"})]


def _states(found: Statistics) -> Rows:
    return [(int(found.state is state), {"state": _lower(state)}) for state in State]


def _members(found: Statistics) -> Rows:
    pool = found.pool
    counts = {"idle": pool.idle, "in_use": pool.in_use, "missing": pool.missing, "retired": pool.retired}
    return [(count, {"state": state}) for state, count in counts.items()]


def _lost_waits(found: Statistics) -> Rows:
    return [
        (found.pool.timed_out, {"outcome": "timed_out"}),
        (found.pool.turned_away, {"outcome": "turned_away"}),
        (found.pool.aside, {"outcome": "aside"}),
    ]


_GAUGES: Final[Mapping[str, tuple[str, str, _Read]]] = {
    "pyflagwasm.state": ("1", "1 for the state in which the evaluator is, 0 for the others", _states),
    "pyflagwasm.config.generation": (
        "1", "Number of the configuration that answers, 0 for none", _one(lambda found: found.generation),
    ),
    "pyflagwasm.config.flags": ("{flag}", "Flags of the configuration", _one(lambda found: found.flags)),
    "pyflagwasm.config.age": ("s", "Since it was last known that the source has what answers", _age),
    "pyflagwasm.pool.instances": ("{instance}", "Instances of the core, by state", _members),
    "pyflagwasm.pool.waiting": (
        "{evaluation}", "Evaluations that wait for an instance", _one(lambda found: found.pool.waiting),
    ),
    "pyflagwasm.pool.memory": (
        "By", "Linear memory of the idle instances", _one(lambda found: found.pool.memory),
    ),
}  # fmt: skip
_COUNTERS: Final[Mapping[str, tuple[str, str, _Read]]] = {
    "pyflagwasm.config.swaps": ("{swap}", "Configurations that were made live", _one(lambda found: found.swaps)),
    "pyflagwasm.source.documents": ("{document}", "Documents of the source, accepted and refused", _documents),
    "pyflagwasm.source.failures": (
        "{attempt}", "Attempts of the source that brought no document",
        lambda found: [] if found.source is None else [(found.source.failed, {})],
    ),
    "pyflagwasm.pool.built": ("{instance}", "Instances that were built", _one(lambda found: found.pool.built)),
    "pyflagwasm.pool.discarded": (
        "{instance}", "Instances that were discarded after a trap", _one(lambda found: found.pool.discarded),
    ),
    "pyflagwasm.pool.lost_waits": (
        "{evaluation}", "Waits that timed out or were turned away, or were answered beside the pool", _lost_waits,
    ),
}  # fmt: skip


class _Instruments:
    """The instruments of one meter provider, which all evaluators share."""

    def __init__(self, provider: MeterProvider) -> None:
        self.watched: list[_Watched] = []
        meter = provider.get_meter(NAME, __version__)
        for name, (unit, about, read) in _GAUGES.items():
            meter.create_observable_gauge(name, [self._reading(read)], unit, about)
        for name, (unit, about, read) in _COUNTERS.items():
            meter.create_observable_counter(name, [self._reading(read)], unit, about)
        meter.create_observable_counter(
            "pyflagwasm.evaluations", [self._evaluations], "{evaluation}", "Evaluations by flag, variant and reason"
        )
        meter.create_observable_counter(
            "pyflagwasm.errors", [self._errors], "{evaluation}", "Evaluations that gave the default because of an error"
        )

    def _reading(self, read: _Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            for watched in tuple(self.watched):
                flags = watched.flags()
                if flags is None:
                    self.watched.remove(watched)
                    continue
                for value, attributes in read(flags.statistics()):
                    yield Observation(value, {**watched.attributes, **attributes})

        return observe

    def _evaluations(self, options: CallbackOptions) -> Iterable[Observation]:
        for watched in tuple(self.watched):
            for attributes, count in watched.evaluations():
                yield Observation(count, {**watched.attributes, **attributes})

    def _errors(self, options: CallbackOptions) -> Iterable[Observation]:
        for watched in tuple(self.watched):
            for code, count in watched.errors().items():
                yield Observation(count, {**watched.attributes, ERROR_TYPE: code})


_lock = threading.RLock()  # a finalizer may end an instrumentation while another one begins
_instruments: weakref.WeakKeyDictionary[MeterProvider, _Instruments] = weakref.WeakKeyDictionary()
_all: weakref.WeakSet[_Watched] = weakref.WeakSet()
_ERRORS: Final = frozenset(map(str, ErrorCode))


class _Watched:
    """An evaluator that is observed, and how often its evaluations have come to which end."""

    def __init__(self, flags: FlagEvaluator, attributes: Attributes, max_series: int) -> None:
        self.flags, self.attributes, self._max_series = weakref.ref(flags), attributes, max_series
        self.users: set[object] = set()
        self.begin()
        self._counter = counter_of(flags)
        weakref.finalize(self, self._counter.observe(weakly(self.add))).atexit = False
        _all.add(self)

    def begin(self) -> None:
        """Also in a forked child: what was counted before is its parent's to tell."""
        self._lock = threading.RLock()
        self._counts: dict[tuple[str | None, str | None, str], int] = {}
        self._overflow = 0
        self._by_code: dict[str, int] = {}

    def add(self, batch: Batch) -> None:
        with self._lock:
            self._overflow += batch.dropped
            for each in batch.exposures:
                code = each.reason if each.reason in _ERRORS else None
                if code is not None:
                    self._by_code[_lower(code)] = self._by_code.get(_lower(code), 0) + each.count
                series = each.flag_key if each.generation else None, each.variant, each.reason
                if series in self._counts or len(self._counts) < self._max_series:
                    self._counts[series] = self._counts.get(series, 0) + each.count
                else:
                    self._overflow += each.count

    def evaluations(self) -> list[tuple[Attributes, int]]:
        with self._lock:
            self._counter.drain_unless_sent()
            found = [(_series(*series), count) for series, count in self._counts.items()]
            return [*found, ({OVERFLOW: True}, self._overflow)] if self._overflow else found

    def errors(self) -> dict[str, int]:
        with self._lock:
            self._counter.drain_unless_sent()
            return dict(self._by_code)


def _series(key: str | None, variant: str | None, reason: str) -> Attributes:
    found: Attributes = {}
    if key is not None:
        found[KEY] = key
    if variant is not None:
        found[VARIANT] = variant
    found[REASON] = _lower(Reason.ERROR if reason in _ERRORS else reason)
    if reason in _ERRORS:
        found[ERROR_TYPE] = _lower(reason)
    return found


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for watched in tuple(_all):
        watched.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
