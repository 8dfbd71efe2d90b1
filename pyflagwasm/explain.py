"""Why a flag has its value: the trace of an evaluation, told rule by rule, as data or as text for people.

The trace comes from the guest's `explain` (schema/README.md 7); how to get one is the evaluator's business. Conditions
are put into words in config/wording.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from ._abi import DECISION_BUCKET_SCALE, Encoding, Op, Outcome
from .config import wording
from .config.compile import CompiledConfig, FlagEntry
from .config.graph import Label, slot_key
from .config.model import (
    JSON,
    MISSING,
    Bucket,
    InRanges,
    InRollout,
    Missing,
    NowAtLeast,
    Segment,
    Serve,
    ServeNamed,
    Serves,
    Slot,
    SplitBy,
    Test,
    Variant,
)
from .types import EvaluationDetails

Event: TypeAlias = tuple[int, int, int, int]
"""Node, Outcome, Kind and bits, as in a TraceEvent."""

_HASHES: Final = 2**32
_MOST: Final = 5  # ranges that are named
_WORDS: Final = {Outcome.NO: "no", Outcome.YES: "yes", Outcome.UNKNOWN: "unknown"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition that was evaluated, or one bucket that was computed.

    text: what was asked, `country is one of "DE", "FR"`.
    outcome: "yes", "no" or "unknown". What a missing attribute counts as is the rule's own choice: mostly "no".
    attributes: what it looked at, by name, as sent; MISSING for what the context did not have.
    depth: 0 in the rule itself, 1 in a shared condition that the rule refers to, and so on.
    hash: the bucket, 0 .. 2**32 - 1, or below the modulus that the vendor takes. None if there was none.
    position: of the bucket in its range, 0 .. 99999.
    note: what a bucket was compared with.
    """

    text: str
    outcome: str
    attributes: tuple[tuple[str, JSON | Missing], ...] = ()
    depth: int = 0
    hash: int | None = None
    position: int | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """What happened in one rule; rule and title are None outside of all rules. `decides`: the evaluation ended here."""

    rule: int | None
    title: str | None
    checks: tuple[Check, ...]
    decides: bool

    @property
    def settled_by(self) -> Check | None:
        """The check after which nothing more was asked in this rule."""
        return next((check for check in reversed(self.checks) if check.depth == 0), None)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons in order. `details` is the vendor's own account; None where it has none.

    truncated: the evaluation was longer than its trace.
    """

    decision: EvaluationDetails
    sections: tuple[Section, ...]
    details: str | None
    truncated: bool


def explain(
    compiled: CompiledConfig,
    entry: FlagEntry,
    events: Sequence[Event],
    decision: EvaluationDetails,
    sent: Sequence[JSON | Missing],
    *,
    now_us: int | None = None,
    truncated: bool = False,
) -> Explanation:
    """Explains the decision that `events` led to.

    sent: the value of each slot by number as the guest saw it, MISSING where there was none.
    now_us: the evaluation's clock in microseconds since 1970, to name percentages that change over time.
    truncated: the trace says that it had no room for all events.
    """
    details = None
    if compiled.details is not None:
        outcomes = label_outcomes(compiled, events)
        details = compiled.details.text(entry.program, decision.rule_index, outcomes)
    sections = _Teller(compiled, entry, sent, now_us).tell(events)
    return Explanation(decision, sections, details, truncated)


def label_outcomes(compiled: CompiledConfig, events: Sequence[Event]) -> dict[int, bool]:
    """What the labelled conditions evaluated to on the way, by label; Unknown is False.

    A label is absent if its condition was not evaluated, or not to its end.
    """
    ops, labels = compiled.origins.ops, compiled.origins.labels
    outcomes: dict[int, bool] = {}
    open_labels: list[tuple[int, Label]] = []
    depth = 0
    for node, *_ in events:
        still_open = []
        for at_depth, label in open_labels:
            if at_depth == depth and node in (label.yes, label.no, label.unknown):
                outcomes[label.label] = node == label.yes
            else:
                still_open.append((at_depth, label))
        open_labels = still_open
        open_labels.extend((depth, label) for label in labels.get(node, ()))
        depth = _depth_after(depth, ops[node])
    return outcomes


def _depth_after(depth: int, op: int) -> int:
    return depth + (op == Op.CALL) - (op == Op.RETURN)


# ---------------------------------------------------------------- trace to sections


@dataclass(slots=True)
class _Draft:
    rule: int
    checks: list[Check] = field(default_factory=list)
    decides: bool = False


class _Teller:
    """Turns the events of one evaluation into sections."""

    def __init__(
        self, compiled: CompiledConfig, entry: FlagEntry, sent: Sequence[JSON | Missing], now_us: int | None
    ) -> None:
        self._origins = compiled.origins
        self._variants: tuple[Variant, ...] = entry.variants
        self._owners = {each.program: each for each in compiled.flags.values()}
        self._sent = dict(zip(map(slot_key, compiled.slots), sent, strict=True))
        self._now_us = now_us

    def tell(self, events: Sequence[Event]) -> tuple[Section, ...]:
        drafts: list[_Draft] = []
        calls: list[tuple[object, tuple[Variant, ...]]] = []
        for node, outcome, _, bits in events:
            op, source = self._origins.ops[node], self._origins.sources[node]
            if not calls and (not drafts or drafts[-1].rule != self._origins.rules[node]):
                drafts.append(_Draft(self._origins.rules[node]))  # what is called belongs to the caller's rule
            draft = drafts[-1]
            if op == Op.RETURN and calls:
                caller, self._variants = calls.pop()
                draft.checks.append(Check(self._called(caller), _word(source), depth=len(calls)))
            else:
                draft.checks.extend(
                    replace(check, depth=len(calls)) for check in self._checks(op, source, outcome, bits)
                )
            if op == Op.CALL:
                calls.append((source, self._variants))
                if isinstance(source, Serves):
                    self._variants = self._variants_of(source)
            draft.decides = draft.decides or outcome == Outcome.DECIDED
        return tuple(self._section(draft) for draft in drafts if draft.checks or draft.decides)

    def _variants_of(self, serves: Serves) -> tuple[Variant, ...]:
        owner = self._owners.get(serves.program)
        return owner.variants if owner else ()

    def _called(self, caller: object) -> str:
        if not isinstance(caller, Serves):
            return f"shared condition {getattr(caller, 'name', '')}"
        owner, variants = self._owners.get(caller.program), self._variants_of(caller)
        keys = [variants[i].key for i in sorted(i for i in caller.variants if i is not None) if i < len(variants)]
        keys += ["the default"] * (None in caller.variants)
        return f"{owner.key if owner else 'a required flag'} serves {wording.listed(keys) or 'what is required'}"

    def _section(self, draft: _Draft) -> Section:
        rule, title = self._origins.titles[draft.rule] or (None, None)
        return Section(rule, title, tuple(draft.checks), draft.decides)

    def _checks(self, op: int, source: object, outcome: int, bits: int) -> Iterator[Check]:
        """The check that a node made, if it made one that a reader wants to know of."""
        word = _word(outcome)
        match source:
            case Test():
                yield Check(wording.test(source), word, self._attributes(source.slot))
            case NowAtLeast():
                yield Check(f"the time is {_time(source.now_us)} or later", word)
            case InRollout():
                yield self._rollout(source, word, bits)
            case InRanges():
                yield self._ranges(source, word, bits)
            case SplitBy():
                yield self._split(source, word, bits)
            case ServeNamed():
                named = _word(outcome == Outcome.DECIDED)
                yield self._computed(source.value, "names a variant", named)
            case Slot():
                yield Check(f"{source.name} is blank", word, self._attributes(source))
            case _ if op in (Op.BRANCH_TRUTHY, Op.TRUTHY):
                yield self._computed(source, "is truthy", word)

    def _computed(self, value: Any, claim: str, word: str) -> Check:
        return Check(f"{wording.value(value)} {claim}", word, self._attributes(*wording.slots_of(value)))

    def _rollout(self, rollout: InRollout, word: str, bits: int) -> Check:
        text = f"the bucket of {wording.bucket(rollout.bucket)} is inside the percentage"
        share = percentage(rollout.segments, self._now_us)
        note = None if share is None else f"the percentage is {_percent(share)}"
        return self._bucketed(rollout.bucket, text, word, bits, note)

    def _ranges(self, test: InRanges, word: str, bits: int) -> Check:
        size = test.bucket.size
        ranges = ", ".join(f"{_percent(first / size)} to {_percent(end / size)}" for first, end in test.ranges[:_MOST])
        note = f"the ranges are {ranges or 'none'}" + ", ..." * (len(test.ranges) > _MOST)
        inside = any(first <= _bucket(test.bucket, bits) < end for first, end in test.ranges)
        word = _word(Outcome.YES if inside else Outcome.NO) if word != "unknown" else word
        text = f"the bucket of {wording.bucket(test.bucket)} is in the ranges"
        return self._bucketed(test.bucket, text, word, bits, note)

    def _split(self, split: SplitBy, word: str, bits: int) -> Check:
        lower, note, size = 0, "above every cut", split.bucket.size
        for number, (upper, action) in enumerate(split.cuts, 1):
            if _bucket(split.bucket, bits) < upper:
                ends = f"from {_percent(lower / size)} to {_percent(upper / size)}"
                note = f"cut {number} of {len(split.cuts)}, {ends}"
                if isinstance(action, Serve) and action.variant is not None and action.variant < len(self._variants):
                    note += f": variant {wording.quoted(self._variants[action.variant].key)}"
                break
            lower = upper
        return self._bucketed(split.bucket, f"split by {wording.bucket(split.bucket)}", word, bits, note)

    def _bucketed(self, bucket: Bucket, text: str, word: str, bits: int, note: str | None) -> Check:
        slots = tuple(part for part in bucket.parts if isinstance(part, Slot))
        attributes = self._attributes(*slots)
        if word == "unknown" or any(_unusable(self._value(slot), bucket) for slot in slots):
            return Check(text, word, attributes, note="no bucket: a part of the bucketing key is missing or unusable")
        position = bits * DECISION_BUCKET_SCALE // _HASHES
        return Check(text, word, attributes, hash=_bucket(bucket, bits), position=position, note=note)

    def _attributes(self, *slots: Slot) -> tuple[tuple[str, JSON | Missing], ...]:
        return tuple({slot.name: (slot.name, self._value(slot)) for slot in slots}.values())

    def _value(self, slot: Slot) -> JSON | Missing:
        return self._sent[slot_key(slot)]


def _bucket(bucket: Bucket, position: int) -> int:
    """The bucket at a position (schema/README.md 5.4)."""
    return position * bucket.size // _HASHES


def _word(outcome: Any) -> str:
    return _WORDS.get(outcome, "done")


def _unusable(value: JSON | Missing, bucket: Bucket) -> bool:
    """Whether a slot has nothing that can be hashed (schema/README.md 5.4); a trace shows that only as the outcome."""
    if isinstance(value, str):
        return bucket.require_text and not value
    return bucket.encoding is not Encoding.CBOR or not isinstance(value, (bool, int, float))


def percentage(segments: Sequence[Segment], now_us: int | None) -> float | None:
    """The percentage of now, 1.0 is everyone; None if that cannot be told without a clock."""
    if now_us is None:
        return None
    now_ms, found = now_us // 1000, None
    for segment in segments:
        if segment.from_ms <= now_ms:
            found = segment
    if found is None:
        return 0.0
    if found.p0 == found.p1:
        return found.p0
    span = found.t1 - found.t0
    return found.p0 + (found.p1 - found.p0) * ((now_ms - found.t0) / span) if span else None


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.3f}".rstrip("0").rstrip(".") + "%"


def _time(now_us: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=now_us)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{now_us} microseconds after 1970"


# ---------------------------------------------------------------- sections to data and text


def explain_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON data. Attributes that were missing have no "value"."""
    decision = explanation.decision
    return {
        "flag": decision.flag_key,
        "value": decision.value,
        "variant": decision.variant,
        "reason": str(decision.reason),
        "rule": decision.rule_index,
        "error_code": None if decision.error_code is None else decision.error_code.value,
        "error_message": decision.error_message,
        "details": explanation.details,
        "rules": [_section_json(section) for section in explanation.sections],
        "truncated": explanation.truncated,
    }


def _section_json(section: Section) -> dict[str, Any]:
    return {
        "rule": section.rule,
        "title": section.title,
        "decides": section.decides,
        "checks": [_check_json(check) for check in section.checks],
    }


def _check_json(check: Check) -> dict[str, Any]:
    attributes = [
        {"name": name} if value is MISSING else {"name": name, "value": value} for name, value in check.attributes
    ]
    data = {"text": check.text, "outcome": check.outcome, "attributes": attributes, "depth": check.depth}
    if check.hash is not None:
        data |= {"hash": check.hash, "position": check.position}
    if check.note is not None:
        data["note"] = check.note
    return data


def explain_text(explanation: Explanation) -> str:
    """An explanation for people: several lines, without a line end at the end. `>` marks what settled a rule."""
    return "\n".join(map(_printable, _lines(explanation)))


def _lines(explanation: Explanation) -> Iterator[str]:
    decision = explanation.decision
    if decision.variant is None:
        yield f"{decision.flag_key}: the caller's default"
    else:
        yield f"{decision.flag_key} is {wording.quoted(decision.value)} (variant {wording.quoted(decision.variant)})"
    yield f"reason: {decision.reason}"
    if decision.error_code is not None:
        yield f"error: {decision.error_code.value}: {decision.error_message or 'no message'}"
    if explanation.details is not None:
        yield f"details: {explanation.details}"
    outside = "before the rules"
    for section in explanation.sections:
        yield ""
        where = outside if section.rule is None else f"rule {section.rule}, {section.title}"
        outside = outside if section.rule is None else "after the rules"
        yield f"{where}: {'decides' if section.decides else 'does not decide'}"
        for check in section.checks:
            yield from _check_lines(check, check is section.settled_by)
    if explanation.truncated:
        yield ""
        yield "The evaluation went on; its trace ends here."


def _check_lines(check: Check, settles: bool) -> Iterator[str]:
    indent = "  " * check.depth
    yield f"{'>' if settles else ' '} {indent}{check.outcome:<7} {check.text}"
    indent += " " * 10
    for name, value in check.attributes:
        yield f"{indent}{name} is {wording.quoted(value)}"
    if check.hash is not None:
        yield f"{indent}bucket {check.hash}, position {check.position} of {DECISION_BUCKET_SCALE}"
    if check.note is not None:
        yield indent + check.note


def _printable(line: str) -> str:
    """Without control characters and lone surrogates, which a terminal would obey or refuse."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)
