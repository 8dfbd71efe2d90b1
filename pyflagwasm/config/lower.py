"""Lowers the model's trees to nodes of a graph (schema/README.md 5).

Every function is told where to go afterwards and returns where to enter: continuations are lowered first. Here are
conditions and actions; values are in lower_values.py. What a node is made of is graph.py's business, limits and the
order of programs are compile.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .._abi import DECISION_NONE, ErrorCode, Op, Outcome, Reason, VersionDialect
from .constants import Refused, clamp
from .graph import CLOCK, FALLS, NOWHERE, Graph, Label, Target
from .lower_values import ValueLowering, counted
from .model import (
    JSON,
    Action,
    All,
    Always,
    AnyOf,
    Condition,
    Fail,
    FallThrough,
    InRanges,
    InRollout,
    Labelled,
    Not,
    NowAtLeast,
    Rule,
    Serve,
    ServeNamed,
    Serves,
    Shared,
    SplitBy,
    Steps,
    Test,
    Truth,
    When,
)
from .pace import breathe

_SORTED_FROM: Final = 9

# Predicates by how they take their constants; and those that can come out unknown.
_RUN: Final = frozenset(
    {
        Op.TEXT_IN, Op.TEXT_PREFIX, Op.TEXT_SUFFIX, Op.TEXT_CONTAINS, Op.NUMBER_COMPARE, Op.VERSION, Op.IN_CONST,
        Op.TIME_COMPARE,
    }
)  # fmt: skip
_SINGLE: Final = frozenset({Op.EQUAL_CONST, Op.COMPARE_CONST, Op.CONTAINS_CONST, Op.TEXT_MATCH, Op.IN_NETWORK})
_MASK: Final = frozenset({Op.KIND_IN, Op.BOOL_IN})
_TEXT: Final = frozenset({Op.TEXT_IN, Op.TEXT_PREFIX, Op.TEXT_SUFFIX, Op.TEXT_CONTAINS})
_BYTES: Final = frozenset({Op.TEXT_MATCH, Op.IN_NETWORK})
_THREE_VALUED: Final = _RUN - {Op.IN_CONST} | _BYTES | {Op.BOOL_IN}


@dataclass(frozen=True, slots=True)
class Program:
    """A lowered program. `variants` is how many variants a flag needs at least to be decided by it."""

    entry: Target
    variants: int


class Lowering(ValueLowering):
    """Lowers one tree after the other into `graph`. Raises Refused; the graph is of no use after that.

    `programs` are those that `Serves` refers to.
    """

    def __init__(self, graph: Graph, programs: Sequence[Action] = ()) -> None:
        super().__init__(graph)
        self._variants = 0
        self._shared: dict[str, tuple[Target, bool]] = {}
        self._programs = programs
        self._served: dict[Serves, Target | None] = {}  # None while it is lowered
        self._asked: tuple[frozenset[int | None], Target, Target] | None = None
        # By exact type: this is called for each part of each tree.
        self._conditions: dict[type, Callable[[Any, Target, Target, Target], Target]] = {
            Always: lambda always, yes, no, unknown: yes if always.holds else no,
            All: lambda items, yes, no, unknown: self._chain(items.items, yes, no, unknown, True),
            AnyOf: lambda items, yes, no, unknown: self._chain(items.items, no, yes, unknown, False),
            Not: lambda negated, yes, no, unknown: self.condition(negated.item, no, yes, unknown),
            Test: self._test,
            NowAtLeast: self._now_at_least,
            InRollout: self._rollout,
            InRanges: self._ranges,
            Serves: self._serves,
            Truth: lambda truth, yes, no, unknown: self._truth_by_shape(truth.value, yes, no),
            Shared: self._call,
            Labelled: self._labelled,
        }
        self._actions: dict[type, Callable[[Any, Target], Target]] = {
            Serve: self._serve,
            Fail: lambda fail, after: self._asked[2] if self._asked else self._fail(fail.error, fail),
            FallThrough: lambda _, after: after or self._fall(),
            When: self._when,
            SplitBy: self._split,
            ServeNamed: self._serve_named,
            Steps: self._steps,
            Rule: self._in_rule,
        }

    # ------------------------------------------------------------ whole trees

    def program(self, action: Action) -> Program:
        """Lowers a program. Whether it falls through at its end is to be seen in `Graph.reads`."""
        self._begin()
        entry = self.action(action, NOWHERE)
        return Program(entry, self._variants)

    def subroutine(self, name: str, condition: Condition) -> None:
        """Lowers a shared condition; those that it refers to must be there already."""
        self._begin()
        add = self._graph.add
        yes = add(Op.RETURN, flags=Outcome.YES, source=Outcome.YES)
        no = add(Op.RETURN, flags=Outcome.NO, source=Outcome.NO)
        uncertain = self._may_be_unknown(condition)
        unknown = add(Op.RETURN, flags=Outcome.UNKNOWN, source=Outcome.UNKNOWN) if uncertain else no
        self._shared[name] = self.condition(condition, yes, no, unknown), uncertain

    def end(self) -> None:
        """No more trees. Without this the tables of methods would keep the graph for the garbage collector."""
        self._conditions.clear()
        self._actions.clear()
        self._values.clear()

    def _begin(self) -> None:
        self._graph.begin()
        self._depth = self._variants = 0
        self._rule = DECISION_NONE

    # ------------------------------------------------------------ conditions

    def condition(self, condition: Condition, yes: Target, no: Target, unknown: Target) -> Target:
        """Nodes that go to one of the three targets; unknown must be a node even if it is never taken."""
        if yes == no == unknown and _is_inert(condition):
            return yes
        breathe()
        self._descend()
        entry = self._conditions[type(condition)](condition, yes, no, unknown)
        self._depth -= 1
        return entry

    def _chain(
        self, items: tuple[Condition, ...], through: Target, stop: Target, unknown: Target, conjunction: bool
    ) -> Target:
        """All items, or with the outcomes' roles exchanged any of them: `stop` is where the first False (True) leads.

        An item after an Unknown one may still stop. So there are two chains from the first item on that can be Unknown:
        `doubtful` is for those who met an Unknown, and it does not end in `through` but in `unknown`.
        """
        uncertain = next((i for i, item in enumerate(items) if self._may_be_unknown(item)), len(items))
        certain, doubtful = through, unknown
        for i in reversed(range(len(items))):
            entry = self._link(items[i], certain, stop, doubtful, conjunction)
            if i > uncertain:
                same = certain == doubtful
                doubtful = entry if same else self._link(items[i], doubtful, stop, doubtful, conjunction)
            certain = entry
        return certain

    def _link(self, item: Condition, through: Target, stop: Target, unknown: Target, conjunction: bool) -> Target:
        if conjunction:
            return self.condition(item, through, stop, unknown)
        return self.condition(item, stop, through, unknown)

    def _test(self, test: Test, yes: Target, no: Target, unknown: Target) -> Target:
        graph, op, flags = self._graph, test.op, test.flags
        constants = test.constants
        a = b = 0
        if not _flags_fit(test):
            raise Refused(f"{op.name} does not take the flags {flags:#x}")
        if op in _RUN:
            constants = _comparable(op, constants)
            if op is Op.TEXT_IN:
                flags = 0
                if len(constants) >= _SORTED_FROM:
                    flags, constants = 1, tuple(sorted(set(constants)))  # code points sort as their UTF-8 does
            a, b = graph.constants.run(constants), counted(len(constants)) | test.extra << 16
        elif op in _SINGLE:
            if op in _BYTES:
                constants = _joined(op, constants)
            if len(constants) != 1:
                raise Refused(f"{op.name} compares with one constant, not with {len(constants)}")
            a = graph.constants.run(constants)
        elif op in _MASK:
            a = test.mask
        elif op is not Op.TRUTHY:
            raise Refused(f"{op.name} is not a predicate on a slot")
        if op not in _THREE_VALUED:
            unknown = NOWHERE
        elif test.unknown is not None:
            unknown = yes if test.unknown else no
        number, reads = graph.slot(test.slot)
        return graph.add(
            op, flags=flags, slot=number, a=a, b=b, yes=yes, no=no, unknown=unknown, reads=reads, source=test
        )

    def _now_at_least(self, test: NowAtLeast, yes: Target, no: Target, _: Target) -> Target:
        at = self._graph.constants.run((clamp(test.now_us),))
        return self._graph.add(Op.NOW_AT_LEAST, a=at, yes=yes, no=no, reads=CLOCK, source=test)

    def _rollout(self, rollout: InRollout, yes: Target, no: Target, unknown: Target) -> Target:
        if rollout.unknown is not None:
            unknown = yes if rollout.unknown else no
        bucket, reads = self._graph.bucket(rollout.bucket)
        first, count = self._graph.segments_run(rollout.segments)
        if count:
            reads |= CLOCK
        return self._graph.add(
            Op.ROLLOUT,
            slot=counted(count),
            a=bucket,
            b=first,
            yes=yes,
            no=no,
            unknown=unknown,
            reads=reads,
            source=rollout,
        )

    def _ranges(self, test: InRanges, yes: Target, no: Target, unknown: Target) -> Target:
        if test.unknown is not None:
            unknown = yes if test.unknown else no
        bucket, reads = self._graph.bucket(test.bucket)
        bounds: list[tuple[int, Target]] = []
        for first, behind in _united(test.ranges, test.bucket.size):
            if first:
                bounds.append((first, no))
            bounds.append((behind, yes))
        for _, target in bounds:
            reads |= self._graph.reads[target]
        return self._graph.add(
            Op.SPLIT,
            slot=counted(len(bounds)),
            a=bucket,
            b=self._graph.bounds_run(bounds),
            no=no,
            unknown=unknown,
            reads=reads,
            source=test,
        )

    def _serves(self, test: Serves, yes: Target, no: Target, _: Target) -> Target:
        entry = self._served.get(test, NOWHERE)
        if entry == NOWHERE:
            entry = self._lower_served(test)
        if entry is None:
            raise Refused("flags that require each other form a circle")
        return self._graph.add(
            Op.CALL, a=entry, yes=yes, no=no, unknown=no, reads=self._graph.reads[entry], source=test
        )

    def _lower_served(self, test: Serves) -> Target:
        """The program as a subroutine that returns whether it would serve one of the variants."""
        if not 0 <= test.program < len(self._programs):
            raise Refused(f"refers to program {test.program}, which does not exist")
        self._served[test] = None
        outer = self._depth, self._variants, self._rule, self._asked
        with self._graph.aside():
            self._depth, self._rule = 0, DECISION_NONE
            yes = self._graph.add(Op.RETURN, flags=Outcome.YES, source=Outcome.YES)
            no = self._graph.add(Op.RETURN, flags=Outcome.NO, source=Outcome.NO)
            self._asked = test.variants, yes, no
            entry = self.action(self._programs[test.program], NOWHERE)
        self._depth, self._variants, self._rule, self._asked = outer
        self._served[test] = entry
        return entry

    def _call(self, shared: Shared, yes: Target, no: Target, unknown: Target) -> Target:
        if shared.name not in self._shared:
            raise Refused(f"refers to the shared condition {shared.name!a}, which does not exist")
        entry, uncertain = self._shared[shared.name]
        if not uncertain:
            unknown = no
        reads = self._graph.reads[entry]
        return self._graph.add(Op.CALL, a=entry, yes=yes, no=no, unknown=unknown, reads=reads, source=shared)

    def _labelled(self, labelled: Labelled, yes: Target, no: Target, unknown: Target) -> Target:
        """The condition between an entry and exits that no node inside can be, so that a trace shows its outcome."""
        graph, outer = self._graph, self._graph.label
        graph.set_label(labelled.label)
        if not self._may_be_unknown(labelled.condition):
            unknown = no
        if yes in (no, unknown):
            yes = graph.add(Op.JUMP, yes=yes)
        entry = self.condition(labelled.condition, yes, no, unknown)
        if entry in (yes, no, unknown):
            entry = graph.add(Op.JUMP, yes=entry)
        graph.label = outer
        graph.labels.append((entry, Label(labelled.label, yes, no, unknown)))
        return entry

    def _may_be_unknown(self, condition: Condition) -> bool:
        match condition:
            case Test():
                return condition.unknown is None and condition.op in _THREE_VALUED
            case InRollout() | InRanges():
                return condition.unknown is None
            case All() | AnyOf():
                return any(map(self._may_be_unknown, condition.items))
            case Not():
                return self._may_be_unknown(condition.item)
            case Labelled():
                return self._may_be_unknown(condition.condition)
            case Shared():
                return self._shared.get(condition.name, (NOWHERE, False))[1]
            case _:
                return False

    # ------------------------------------------------------------ actions

    def action(self, action: Action, after: Target) -> Target:
        """Nodes that decide, or go on at `after` where the action falls through."""
        breathe()
        self._descend()
        entry = self._actions[type(action)](action, after)
        self._depth -= 1
        return entry

    def _serve(self, serve: Serve, _: Target) -> Target:
        if serve.reason == Reason.ERROR:
            raise Refused("a variant is served with the reason ERROR, which belongs to failures")
        if self._asked is not None:
            variants, yes, no = self._asked
            return yes if serve.variant in variants else no
        variant = DECISION_NONE if serve.variant is None else serve.variant
        if serve.variant is not None:
            self._needs_variant(variant)
        return self._graph.add(Op.DECIDE, flags=serve.reason, a=variant, b=self._rule, source=serve)

    def _fall(self) -> Target:
        """Where a program falls through; compile.py refuses those that can. The flag sets it apart from a Fail."""
        return self._graph.add(Op.FAIL, a=ErrorCode.GENERAL, b=DECISION_NONE, flags=1, reads=FALLS)

    def _when(self, when: When, after: Target) -> Target:
        """A chain of else-ifs is no nesting: it is walked, not descended into."""
        chain, last = [when], when.otherwise
        while isinstance(last, When):
            chain.append(last)
            last = last.otherwise
        entry = self.action(last, after)
        for link in reversed(chain):
            unknown = entry if link.unknown is None else self.action(link.unknown, after)
            entry = self.condition(link.condition, self.action(link.then, after), entry, unknown)
        return entry

    def _split(self, split: SplitBy, after: Target) -> Target:
        graph = self._graph
        miss, unknown = self.action(split.miss, after), self.action(split.unknown, after)
        bounds = []
        for upper, action in split.cuts:
            if not 0 <= upper <= split.bucket.size:
                raise Refused(f"a split ends a cut at {upper}, outside of 0 .. {split.bucket.size}")
            bounds.append((upper, self.action(action, after)))
        bucket, reads = graph.bucket(split.bucket)
        for _, target in bounds:
            reads |= graph.reads[target]
        return graph.add(
            Op.SPLIT,
            slot=counted(len(bounds)),
            a=bucket,
            b=graph.bounds_run(bounds),
            no=miss,
            unknown=unknown,
            reads=reads,
            source=split,
        )

    def _serve_named(self, named: ServeNamed, after: Target) -> Target:
        if self._asked is not None:
            raise Refused("whether a variant is served that has yet to be computed cannot be asked")
        on_null, on_other = self.action(named.on_null, after), self.action(named.on_other, after)
        if named.names:
            self._needs_variant(len(named.names) - 1)
        node = self._graph.add(
            Op.DECIDE_TEXT,
            flags=named.reason,
            a=self._graph.constants.run(named.names),
            b=counted(len(named.names)),
            no=on_null,
            unknown=on_other,
            source=named,
        )
        return self.value(named.value, node)

    def _steps(self, steps: Steps, after: Target) -> Target:
        for action in reversed(steps.items):
            after = self.action(action, after)
        return after or self._fall()

    def _in_rule(self, rule: Rule, after: Target) -> Target:
        if not 0 <= rule.index < DECISION_NONE:
            raise Refused(f"rule {rule.index} ({rule.title!a}) has a number outside of 0 .. {DECISION_NONE - 1}")
        outer = self._rule, self._graph.rule
        self._rule = rule.index
        self._graph.set_rule(rule.index, rule.title)
        entry = self.action(rule.action, after)
        self._rule, self._graph.rule = outer
        return entry

    # ------------------------------------------------------------ checks

    def _needs_variant(self, index: int) -> None:
        if not 0 <= index < DECISION_NONE:
            raise Refused(f"variant {index} has a number outside of 0 .. {DECISION_NONE - 1}")
        self._variants = max(self._variants, index + 1)


def _flags_fit(test: Test) -> bool:
    """Whether the operation has a meaning for these flags."""
    match test.op:
        case Op.NUMBER_COMPARE | Op.COMPARE_CONST | Op.TIME_COMPARE:
            return 1 <= test.flags <= 7
        case Op.EQUAL_CONST:
            return 0 <= test.flags <= 1
        case Op.VERSION if test.extra:
            return 0 <= test.flags <= 7 and test.extra <= 2
        case Op.VERSION:
            return test.flags >> 4 <= max(VersionDialect) and 1 <= test.flags & 15 <= 7
        case _:
            return 0 <= test.flags <= 255


def _comparable(op: Op, constants: tuple[JSON, ...]) -> tuple[JSON, ...]:
    """Those constants that a text or number can be compared with; the others never match."""
    if op in _TEXT:
        return tuple(constant for constant in constants if isinstance(constant, str))
    if op is Op.NUMBER_COMPARE:
        return tuple(c for c in constants if isinstance(c, (int, float)) and not isinstance(c, bool))
    if op is Op.TIME_COMPARE and not (all(type(c) is int for c in constants) and len(constants) == 2):
        raise Refused("TIME_COMPARE takes seconds and nanoseconds")
    if op is Op.VERSION and not all(isinstance(constant, str) for constant in constants):
        raise Refused("VERSION compares with texts only")
    return constants


def _joined(op: Op, constants: tuple[JSON, ...]) -> tuple[JSON, ...]:
    """Programs and networks, which are bytes; networks lie behind each other in one constant."""
    if not all(isinstance(constant, bytes) for constant in constants):
        raise Refused(f"{op.name} takes bytes")
    if op is Op.TEXT_MATCH:
        return constants
    if not all(len(network) == {4: 6, 6: 18}.get(network[0]) for network in constants if network) or b"" in constants:
        raise Refused("IN_NETWORK takes version, length of the prefix and address of networks")
    return (b"".join(constants),)


def _united(ranges: Iterable[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Ascending ranges inside of 0 .. size that have gaps in between and cover the same buckets."""
    found: list[tuple[int, int]] = []
    for first, behind in sorted((max(0, first), min(behind, size)) for first, behind in ranges):
        if first >= behind:
            continue
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(behind, found[-1][1])
        else:
            found.append((first, behind))
    return found


def _is_inert(condition: Condition) -> bool:
    """Whether nobody can tell if the condition was evaluated: not by the result, a failure, the bucket or a label."""
    match condition:
        case Always() | Test() | NowAtLeast():
            return True
        case All() | AnyOf():
            return all(map(_is_inert, condition.items))
        case Not():
            return _is_inert(condition.item)
        case _:
            return False
