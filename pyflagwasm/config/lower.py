"""Lowers the model's trees to nodes of a graph (schema/README.md 5).

Every function is told where to go afterwards and returns where to enter: continuations are lowered first. Here are
conditions and actions; tests of a slot, the clock or a bucket are in lower_predicates.py, values in lower_values.py.
What a node is made of is graph.py's business, limits and the order of programs are compile.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._abi import DECISION_NONE, ErrorCode, Op, Outcome, Reason
from .constants import Refused
from .graph import FALLS, NOWHERE, Graph, Label, Target
from .lower_predicates import PredicateLowering, is_three_valued
from .lower_values import counted
from .model import (
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


@dataclass(frozen=True, slots=True)
class Program:
    """A lowered program. `variants` is how many variants a flag needs at least to be decided by it."""

    entry: Target
    variants: int


class Lowering(PredicateLowering):
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
                return condition.unknown is None and is_three_valued(condition.op)
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
