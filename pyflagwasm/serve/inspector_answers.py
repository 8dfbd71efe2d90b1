"""What the inspector's page asks while somebody types: requests that only this side can encode, and explanations.

Everything that is asked was written by whoever could reach the server: it is checked here before anything is done.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from .._abi import TRACE_MAX_EVENTS, Kind, Outcome
from ..config.model import JSON, MISSING, InRanges, InRollout, Missing, Slot, SplitBy
from ..errors import GuestError, PoolError
from ..explain import Explanation, explain, explain_text
from ..generation import ANSWER_MASK, Flag, Generation
from ..pool import asking
from ..pool.asking import Instances
from ..pool.pool import Superseded
from ..runtime import views
from ..runtime.decode import unpack
from ..runtime.encode import EncodeError, Encoder, buffer
from ..runtime.plain import INT_MAX, INT_MIN, plain
from ..runtime.views import unleash
from ..types import ErrorCode, EvaluationDetails
from .inspector_bars import bars

MOST_CONTEXTS: Final = 1_000
MOST_REQUESTS: Final = 4 << 20
"""Bytes of requests, as text, in one answer; with one more, which may be some 170 KiB."""

_MOST_SEED: Final = 1 << 53
_MOST_WORK: Final = 4_000_000
_BYTES_OF_WORK: Final = 64
_HASHES: Final = 1 << 32
_NAN: Final = 0x7FF8 << 48
Event = tuple[int, int, int, int]
Trace = tuple[int, list[Event], bool]


class Unusable(Exception):
    """A question that cannot be answered; the text says why."""


class Question:
    """What was asked of one generation, checked.

    context: that of the page. size: the bytes of the question. now_us: the page's clock in microseconds since 1970.
    seed: of what a context draws, so that both sides draw the same.
    """

    def __init__(self, asked: Mapping[str, Any], size: int, generation: Generation, instances: Instances) -> None:
        self.asked, self.size, self.generation, self.instances = asked, size, generation, instances
        self.context = asked.get("context")
        if not isinstance(self.context, dict):
            raise Unusable("context must be an object")
        self.now_us = _integer(asked, "now_us", INT_MIN, INT_MAX)
        self.seed = _integer(asked, "seed", 0, _MOST_SEED)
        self.member = 0  # of a population; each draws for itself
        self.encoder = generation.encoder
        if any(views.draws(slot) for slot in generation.compiled.slots):
            self.encoder = Encoder(generation.compiled, self.bind)

    def flag(self) -> Flag:
        key = self.asked.get("flag")
        flag = self.generation.flag(key) if isinstance(key, str) else None
        if flag is None:
            raise Unusable("flag must be the key of a flag")
        return flag

    def bind(self, slot: Slot) -> views.Reader:
        """As views.bind, but what is drawn comes from the seed."""
        if not views.draws(slot):
            return views.bind(slot)
        return unleash.drawing(slot.view, slot.args, partial(self._draw, slot.args))

    def _draw(self, args: tuple[str, ...], limit: int) -> int:
        return Random(f"{self.seed} {self.member} {args}").randrange(1, limit)

    def encode(self, slots: tuple[int, ...], context: Mapping[str, Any]) -> bytes:
        """The request with these slots. Raises EncodeError."""
        with buffer() as room:
            return bytes(room[: self.encoder.encode(context if slots else None, slots, room, self.now_us)])

    def sent(self, flag: Flag) -> list[JSON | Missing]:
        """As Flag.sent."""
        return [
            self._seen(slot) if number in flag.entry.slots else slot.default
            for number, slot in enumerate(self.generation.compiled.slots)
        ]

    def _seen(self, slot: Slot) -> JSON | Missing:
        value = self.bind(slot)(self.context, self.now_us)  # type: ignore[arg-type]
        value = slot.default if value is MISSING else plain(value)
        return float(value) if type(value) is int and not INT_MIN <= value <= INT_MAX else value


def _integer(asked: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = asked.get(name)
    if type(value) is not int or not least <= value <= most:
        raise Unusable(f"{name} must be an integer from {least} to {most}")
    return value


# ---------------------------------------------------------------- encode


def encoded(question: Question) -> dict[str, Any]:
    """Requests in base64, or why there is none.

    Without a flag: one for all flags, `whole`, or if some attribute cannot be sent one for each set of slots, `apart`.
    With a flag: its own for the context as it is, or with `vary` - name, prefix, from, count - for each of those who
    have `name` as `prefix` and a number, and are else as the context says: `requests`. Those are fewer than were asked
    for, if all of them would be more than MOST_REQUESTS.
    """
    if question.asked.get("flag") is None:
        return _for_all(question)
    slots = question.flag().entry.slots
    requests, size = [], 0
    for context in _contexts(question):
        requests.append(_request(question, slots, context))
        size += len(requests[-1])
        if size > MOST_REQUESTS:
            break
    return {"requests": requests}


def _for_all(question: Question) -> dict[str, Any]:
    everything, context = question.generation.everything, question.context
    assert context is not None
    whole = _request(question, everything.slots, context)
    if isinstance(whole, str):
        return {"whole": whole}
    apart, size = [], 0
    for slots in sorted(everything.sets):
        apart.append([slots, _request(question, slots, context)])
        size += len(apart[-1][1])
        if size > MOST_REQUESTS:
            raise Unusable("too large: what the flags read is sent for each of them, make the context smaller")
    return {"whole": None, "apart": apart}


def _request(question: Question, slots: tuple[int, ...], context: Mapping[str, Any]) -> str | dict[str, str]:
    try:
        return base64.b64encode(question.encode(slots, context)).decode()
    except EncodeError as error:
        return {"code": error.code.value, "refused": str(error)}


def _contexts(question: Question) -> Iterator[Mapping[str, Any]]:
    context, vary = question.context, question.asked.get("vary")
    assert context is not None
    if vary is None:
        yield context
        return
    if not isinstance(vary, dict):
        raise Unusable("vary must be an object")
    name, prefix = vary.get("name"), vary.get("prefix")
    if not isinstance(name, str) or not isinstance(prefix, str):
        raise Unusable("vary must have a name and a prefix, both texts")
    first, count = _integer(vary, "from", 0, _MOST_SEED), _integer(vary, "count", 1, MOST_CONTEXTS)
    for question.member in range(first, first + count):
        yield {**context, name: f"{prefix}{question.member}"}


# ---------------------------------------------------------------- explain


def explained(question: Question) -> dict[str, Any]:
    """The browser's trace in words and in bars, and whether this side's core says the same of the same context."""
    flag = question.flag()
    if not question.generation.compiled.origins.ops:
        raise Unusable("what was loaded before the inspector was mounted cannot be explained: reload it")
    theirs = _trace(question, flag)
    try:
        ours: Trace | EvaluationDetails = _own_trace(question, flag)
    except EncodeError as error:
        ours = flag.failure(error.code, str(error)).details
    except (GuestError, PoolError, Superseded) as error:
        raise Unusable(f"the server's own core failed: {str(error) or type(error).__name__}") from error
    told, drawn = _told(question, flag, theirs)
    agrees = _comparable(theirs) == _comparable(ours)
    answer: dict[str, Any] = {"agrees": agrees, "text": explain_text(told), "bars": drawn}
    if not agrees:
        answer["server"] = explain_text(_told(question, flag, ours)[0])
    return answer


def _own_trace(question: Question, flag: Flag) -> Trace:
    assert question.context is not None
    request = question.encode(flag.entry.slots, question.context)
    return asking.explain(question.instances, flag, request, question.now_us)


def _told(question: Question, flag: Flag, trace: Trace | EvaluationDetails) -> tuple[Explanation, list[dict[str, Any]]]:
    if isinstance(trace, EvaluationDetails):
        return Explanation(trace, (), None, truncated=False), []
    packed, events, truncated = trace
    decision = flag._outcome(packed & ANSWER_MASK).details  # not kept: anybody may have made it up
    compiled = flag.generation.compiled
    try:
        sent = question.sent(flag)
    except Exception as error:  # a view that raises: the encoder refuses this context, so no core has seen it
        raise Unusable(f"there is no such trace: {error}") from error
    told = explain(compiled, flag.entry, events, decision, sent, now_us=question.now_us, truncated=truncated)
    return told, bars(compiled, flag.entry, events, told, question.now_us)


def _comparable(trace: Trace | EvaluationDetails) -> Any:
    if isinstance(trace, EvaluationDetails):
        return trace.error_code, trace.error_message
    packed, events, truncated = trace
    return packed, [(*event[:3], _one_nan(event[2], event[3])) for event in events], truncated


def _one_nan(kind: int, bits: int) -> int:
    """NaN is one value, whatever its sign and payload."""
    return _NAN if kind == Kind.FLOAT and bits & (1 << 63) - 1 > 0x7FF << 52 else bits


# ---------------------------------------------------------------- a trace that somebody sends


def _trace(question: Question, flag: Flag) -> Trace | EvaluationDetails:
    """What the browser's core answered. Raises Unusable for what no core answers."""
    asked = question.asked
    refused = asked.get("refused")
    if refused is not None:
        found = next((code for code in ErrorCode if code.value == asked.get("code")), None)
        if not isinstance(refused, str) or found is None:
            raise Unusable("refused must be a text, with an error code")
        return flag.failure(found, refused[:1000]).details
    packed = _word(asked.get("packed"))
    variant = unpack(packed).variant
    if variant is not None and variant >= len(flag.entry.variants):
        raise Unusable("the decision names a variant that the flag does not have")
    events, truncated = asked.get("events"), asked.get("truncated")
    if not isinstance(events, list) or len(events) > TRACE_MAX_EVENTS or type(truncated) is not bool:
        raise Unusable(f"events must be a list of at most {TRACE_MAX_EVENTS}, truncated true or false")
    return packed, _events(question, events), truncated


def _events(question: Question, given: Sequence[Any]) -> list[Event]:
    sources = question.generation.compiled.origins.sources
    events: list[Event] = []
    work = 0
    for event in given:
        if not isinstance(event, list) or len(event) != 4 or not all(type(each) is int for each in event[:3]):
            raise Unusable("an event must be a node, an outcome, a kind and bits")
        node, outcome, kind, bits = *event[:3], _word(event[3])
        if not (0 <= node < len(sources) and 0 <= outcome < len(Outcome) and 0 <= kind < len(Kind)):
            raise Unusable("an event names a node, an outcome or a kind that is not there")
        source = sources[node]
        if isinstance(source, (SplitBy, InRollout, InRanges)) and bits >= _HASHES:
            raise Unusable("an event has a bucket beyond 32 bits")
        work += _work(source) + question.size // _BYTES_OF_WORK
        events.append((node, outcome, kind, bits))
    if work > _MOST_WORK:
        raise Unusable("the trace is too long to be told: make the context smaller")
    return events


def _work(source: object) -> int:
    """What telling an event costs."""
    match source:
        case SplitBy():
            return len(source.cuts)
        case InRanges():
            return len(source.ranges)
        case InRollout():
            return len(source.segments)
        case _:
            return len(getattr(source, "constants", ())) + 1


def _word(text: object) -> int:
    """64 bits in decimal, which JSON numbers of a browser cannot hold."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 1 << 64:
        return int(text)
    raise Unusable("64 bits are expected, in decimal, as text")
