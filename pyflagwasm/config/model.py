"""What every importer produces and the compiler reads: flags as trees of conditions, values and actions.

Here live plain frozen data and nothing else: no parsing (formats/), no bytes (compile.py), no evaluation (the core).
A tree is vendor-neutral: what a vendor does differently - rounding, unknown operands, order of rules - the importer
has already turned into bounds, targets and policies.

Conditions are True, False or Unknown; values are JSON values; an action ends in a decision or falls through to the
next step. `Op`, `Reason` and the other enumerations are those of schema/*.fbs. What rules read - slots, buckets,
percentages over time - is in inputs.py, and given out from here along with the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from .._abi import ErrorCode, LoopKind, Op, Reason, TimeUnit
from .inputs import JSON as JSON
from .inputs import MISSING as MISSING
from .inputs import Bucket as Bucket
from .inputs import Missing as Missing
from .inputs import Segment as Segment
from .inputs import Slot as Slot

NO_METADATA: Mapping[str, JSON] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Constant:
    value: JSON


@dataclass(frozen=True, slots=True)
class SlotValue:
    slot: Slot


@dataclass(frozen=True, slots=True)
class Now:
    unit: TimeUnit


@dataclass(frozen=True, slots=True)
class Item:
    """The current item of the innermost loop (`what` 0), its accumulator (1), or both as an object (2)."""

    what: int = 0


@dataclass(frozen=True, slots=True)
class Apply:
    """A stack operation on the values of `args`, pushed first to last: Add, Equal, Concat, Substring, In, Lookup...

    `flags` are the node's flags. The compiler sets the number of arguments where the operation wants it.
    """

    op: Op
    args: tuple[Value, ...]
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Path:
    """Follow text keys into a base value: {"var": "a.b"} inside a loop."""

    base: Value
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fractional:
    """flagd's fractional over evaluated arguments. `generation` 0 hashes CBOR, 1 hashes text."""

    args: tuple[Value, ...]
    flag_key: str
    targeting_key: Slot
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Choose:
    """then if the condition is true, else otherwise (Unknown counts as false)."""

    condition: Condition
    then: Value
    otherwise: Value


@dataclass(frozen=True, slots=True)
class FirstTruthy:
    """JsonLogic's `or` as a value: the first truthy argument, or the last one. At least one argument."""

    args: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class FirstFalsy:
    """JsonLogic's `and` as a value: the first falsy argument, or the last one. At least one argument."""

    args: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """map, filter, all, some, none, reduce over a list. `initial` for Reduce only."""

    kind: LoopKind
    items: Value
    body: Value
    initial: Value | None = None


@dataclass(frozen=True, slots=True)
class BlankSlots:
    """The list of those `keys` whose slot is null, missing or empty text: JsonLogic's `missing` with constant keys."""

    keys: tuple[tuple[str, Slot], ...]


@dataclass(frozen=True, slots=True)
class Raise:
    """Evaluating this fails with `error`, after the values of `args` were evaluated for their own failures."""

    error: ErrorCode
    args: tuple[Value, ...] = ()


Value: TypeAlias = (
    Constant | SlotValue | Now | Item | Apply | Path | Fractional | Choose | FirstTruthy | FirstFalsy | Loop
    | BlankSlots | Raise
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Always:
    """True, or with `holds=False` never."""

    holds: bool = True


@dataclass(frozen=True, slots=True)
class All:
    """Kleene's and, left to right, stopping at the first False. Empty is true."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Kleene's or, left to right, stopping at the first True. Empty is false."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    item: Condition


@dataclass(frozen=True, slots=True)
class Test:
    """One predicate on a slot (schema/README.md 5.3).

    `constants` are the values it compares with: for TextMatch a program of regex/ as bytes, for InNetwork networks as
    bytes, for TimeCompare the seconds since 1970 and the nanoseconds of one instant. `flags` are the node's flags;
    `mask` its operand `a` for KindIn and BoolIn; `extra` the high half of `b` for Version. `unknown` is what a missing
    or badly typed operand counts as; None lets Unknown propagate.
    """

    op: Op
    slot: Slot
    constants: tuple[JSON, ...] = ()
    flags: int = 0
    mask: int = 0
    extra: int = 0
    unknown: bool | None = False


@dataclass(frozen=True, slots=True)
class NowAtLeast:
    """The clock has reached `now_us`, microseconds since 1970."""

    now_us: int


@dataclass(frozen=True, slots=True)
class InRollout:
    """The bucket lies inside the percentage of now. `segments` ascend by from_ms."""

    bucket: Bucket
    segments: tuple[Segment, ...]
    unknown: bool | None = False


@dataclass(frozen=True, slots=True)
class InRanges:
    """The bucket lies in one of the ranges: (first, the one behind the last), in any order, also overlapping."""

    bucket: Bucket
    ranges: tuple[tuple[int, int], ...]
    unknown: bool | None = False


@dataclass(frozen=True, slots=True)
class Serves:
    """A program, evaluated as a subroutine, serves one of these variants (None: the caller's default). Fail does not.

    `program` indexes `Model.programs`. Programs refer to each other without circles.
    """

    program: int
    variants: frozenset[int | None]


@dataclass(frozen=True, slots=True)
class Truth:
    """The truthiness of a value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Shared:
    """A condition of `Model.shared`, evaluated as a subroutine."""

    name: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """A condition whose outcome an explanation wants to know by `label`. Costs nothing while evaluating,
    but for constants, which become a jump."""

    label: int
    condition: Condition


Condition: TypeAlias = (
    Always | All | AnyOf | Not | Test | NowAtLeast | InRollout | InRanges | Serves | Truth | Shared | Labelled
)


@dataclass(frozen=True, slots=True)
class Serve:
    """The decision: a variant by index (None: the caller's default) and why."""

    variant: int | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Fail:
    error: ErrorCode


@dataclass(frozen=True, slots=True)
class FallThrough:
    """Go on with the next step of the surrounding Steps."""


@dataclass(frozen=True, slots=True)
class When:
    """then if the condition is true, else otherwise; Unknown is otherwise, unless `unknown` is given."""

    condition: Condition
    then: Action
    otherwise: Action = FallThrough()
    unknown: Action | None = None


@dataclass(frozen=True, slots=True)
class SplitBy:
    """The action of the first cut whose upper bound lies above the bucket; `miss` if none does.

    `unknown` if a part of the bucketing key is missing. Cuts: (upper bound of the bucket, 0 .. bucket.size; action).
    """

    bucket: Bucket
    cuts: tuple[tuple[int, Action], ...]
    miss: Action
    unknown: Action


@dataclass(frozen=True, slots=True)
class ServeNamed:
    """Serve the variant whose name the value computes to (Op.DecideText); names[i] belongs to variants[i]."""

    value: Value
    names: tuple[str, ...]
    reason: Reason
    on_null: Action
    on_other: Action


@dataclass(frozen=True, slots=True)
class Steps:
    """One after the other until one decides. FallThrough in the last one falls through to the outside."""

    items: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Decisions inside carry `index` as their rule; an explanation calls the rule by `title`."""

    index: int
    title: str
    action: Action


Action: TypeAlias = Serve | Fail | FallThrough | When | SplitBy | ServeNamed | Steps | Rule


@dataclass(frozen=True, slots=True)
class Variant:
    """A named value. `error` says that serving it is an error of the configuration (message), not a value."""

    key: str
    value: JSON
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its variants, the program that chooses among them, and what the host tells about it.

    `program` indexes `Model.programs`; flags may share one. `type` is None or one of "boolean", "string", "number",
    "object": then a default of another type is a TYPE_MISMATCH whatever the variant's value is.
    `rule_metadata[i]` is added to `metadata` when rule i decided.
    """

    key: str
    variants: tuple[Variant, ...]
    program: int
    type: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=lambda: NO_METADATA)
    rule_metadata: tuple[Mapping[str, JSON], ...] = ()
    problem: str | None = None
    """Why this flag answers its default with an error, in words; shown by `check`. None for a sound flag."""


@dataclass(frozen=True, slots=True)
class Model:
    """A whole configuration. A program must not fall through at its end; the compiler refuses that."""

    format: str
    flags: tuple[Flag, ...]
    programs: tuple[Action, ...]
    shared: Mapping[str, Condition] = field(default_factory=dict)
    metadata: Mapping[str, JSON] = field(default_factory=lambda: NO_METADATA)
    details: DetailsTree | None = None
    """The vendor's own account of a decision, for `explain`; None where the vendor has none."""
    events_url: str | None = None  # of server-sent events that tell of changes


class DetailsTree:
    """Base of what an importer attaches as `Model.details`: a pure function of the outcomes of labelled conditions."""

    def text(self, program: int, rule: int | None, outcomes: Mapping[int, bool]) -> str | None:
        """The vendor's details for a decision of `program` by `rule`; `outcomes` maps labels to their outcomes."""
        raise TypeError("an importer's own subclass answers this")
