"""The part of the random programs that computes: each method emits code that pushes exactly one value.

Mixed into Generator of generator.py, which has the conditions.
"""

from __future__ import annotations

from random import Random
from typing import Any

from fbs_generated.LoopKind import LoopKind
from fbs_generated.Op import Op
from programs import Assembler, Label
from samples import some_value

KEYS = ("a", "b", "key", "", "a.b", "0", "1", "01", "length", 0, 1, 1.0, -1, "a.0", None, True)
PARTS = ("a", "b", "key", "", "0", "1", "length", "current", "a.b")
KEY_LISTS = (["a", "b"], ["a.b", 0, ""], [["a", "key"]], [], ["", 1.0], [True, None])
INDEXES = (None, 0, 1, 2, -1, -2, -3, 5, 1.5, -1.5, -0.5, "1", True, 1e300)


class ValueGenerator:
    rng: Random
    out: Assembler
    slot: Any
    condition: Any
    loops: int

    def value(self, hint: str, depth: int) -> None:
        if depth <= 0 or len(self.out.nodes) > 300 or self.rng.random() < 0.15:
            return self.leaf(hint)
        if self.rng.random() < 0.1:
            hint = "any"
        of_hint: dict[str, tuple[Any, ...]] = {
            "number": (self.counted, self.arithmetic, self.arithmetic),
            "text": (self.concat, self.substring),
            "list": (self.certain_list, self.loop_list, self.missing_some, self.certain_list),
            "bool": (self.logic, self.compare, self.texts, self.versions, self.loop_bool),
        }
        anything = (self.look_up, self.path, self.coalesce, self.choose, self.keep, self.reduce, self.fractional)
        anything += (self.dropped, *(self.rng.choice(options) for options in of_hint.values()))
        self.rng.choice(of_hint.get(hint, anything))(depth - 1)

    def leaf(self, hint: str) -> None:
        roll, out = self.rng.random(), self.out
        if self.loops and roll < 0.5:
            out.emit(Op.PushItem, self.rng.randrange(3))
        elif roll < 0.6:
            out.emit(Op.PushSlot, slot=self.slot(hint))
        elif roll < 0.65:
            out.emit(Op.PushNow, self.rng.randrange(3))
        else:
            self.constant(some_value(self.rng, hint))

    def constant(self, value: Any) -> None:
        self.out.emit(Op.PushConst, a=self.out.constant(value))

    def counted(self, depth: int) -> None:
        count = self.rng.choice((0, 1, 2, 2, 3))
        for _ in range(count):
            self.value(self.rng.choice(("number", "number", "any")), depth)
        self.out.emit(self.rng.choice((Op.Add, Op.Multiply, Op.Minimum, Op.Maximum)), a=count)

    def two(self, first: str, second: str, depth: int) -> None:
        self.value(first, depth)
        self.value(second, depth)

    def arithmetic(self, depth: int) -> None:
        op = self.rng.choice((Op.Subtract, Op.Subtract, Op.Divide, Op.Modulo))
        if op == Op.Subtract and self.rng.random() < 0.3:
            self.value("number", depth)
            return self.out.emit(op, a=1)
        self.two("number", "number", depth)
        self.out.emit(op, a=2 if op == Op.Subtract else 0)

    def concat(self, depth: int) -> None:
        count = self.rng.randrange(4)
        for _ in range(count):
            self.value(self.rng.choice(("text", "any")), depth)
        self.out.emit(Op.Concat, a=count)

    def substring(self, depth: int) -> None:
        self.value("text", depth)
        for _ in "il":
            if self.rng.random() < 0.8:
                self.constant(self.rng.choice(INDEXES))
            else:
                self.value("number", depth)
        self.out.emit(Op.Substring)

    def certain_list(self, depth: int) -> None:
        """A List whatever the request is."""
        choice, count = self.rng.randrange(4), self.rng.randrange(4)
        if choice == 0:
            return self.constant([some_value(self.rng, "any", 1) for _ in range(count)])
        if choice == 1:
            self.out.emit(Op.Mark)
        elif choice == 2:
            self.value("object", depth)
            if self.rng.random() < 0.5:
                self.constant(self.rng.choice(KEY_LISTS))
            else:
                self.certain_list(depth - 1)
            return self.out.emit(Op.Missing)
        for _ in range(count):
            self.value("any", depth)
        self.out.emit(Op.Collect) if choice == 1 else self.out.emit(self.rng.choice((Op.MakeList, Op.Merge)), a=count)

    def missing_some(self, depth: int) -> None:
        self.certain_list(depth)
        self.constant(self.rng.randrange(4))
        self.value("number", depth)
        self.out.emit(Op.MissingSome)

    def logic(self, depth: int) -> None:
        if self.rng.random() < 0.3:
            self.value("any", depth)
            return self.out.emit(Op.Truth, self.rng.randrange(2))
        hint = self.rng.choice(("any", "any", "number", "list"))
        self.two(hint, hint if self.rng.random() < 0.7 else "any", depth)
        self.out.emit(Op.Equal, self.rng.randrange(4))

    def compare(self, depth: int) -> None:
        count, hint = self.rng.choice((2, 2, 3)), self.rng.choice(("number", "text", "any"))
        for _ in range(count):
            self.value(hint, depth)
        self.out.emit(Op.Compare, self.rng.randrange(1, 8), a=count)

    def texts(self, depth: int) -> None:
        if self.rng.random() < 0.5:
            self.two("any", self.rng.choice(("list", "text")), depth)
            return self.out.emit(Op.In)
        self.two("text", "text", depth)
        self.out.emit(self.rng.choice((Op.TextStarts, Op.TextEnds)))

    def versions(self, depth: int) -> None:
        self.leaf("version")
        self.constant(self.rng.choice(("=", "!=", "<", "<=", ">", ">=", "^", "~", "==", "", 1)))
        self.leaf("version")
        self.out.emit(Op.SemVer)

    def look_up(self, depth: int) -> None:
        self.value(self.rng.choice(("object", "list", "text")), depth)
        if self.rng.random() < 0.7:
            self.constant(self.rng.choice(KEYS))
        else:
            self.value("any", depth)
        self.out.emit(Op.Lookup)

    def path(self, depth: int) -> None:
        self.value(self.rng.choice(("object", "list", "text", "any")), depth)
        parts = [self.rng.choice(PARTS) for _ in range(self.rng.randrange(3))]
        self.out.emit(Op.Path, a=self.out.constants(*parts), b=len(parts))

    def coalesce(self, depth: int) -> None:
        self.two("any", "any", depth)
        self.out.emit(Op.Coalesce)

    def choose(self, depth: int) -> None:
        yes, no, end = Label(), Label(), Label()
        self.condition(yes, no, self.rng.choice((yes, no)), 0)
        self.out.place(yes)
        self.value("any", depth)
        self.out.emit(Op.Jump, yes=end)
        self.out.place(no)
        self.value("any", depth)
        self.out.place(end)

    def keep(self, depth: int) -> None:
        self.value("any", depth)
        end, other = Label(), Label()
        self.out.emit(Op.BranchKeep, self.rng.randrange(2), yes=end, no=other)
        self.out.place(other)
        self.value("any", depth)
        self.out.place(end)

    def dropped(self, depth: int) -> None:
        self.two("any", "any", depth)
        self.out.emit(Op.Drop)

    def fractional(self, depth: int) -> None:
        count = self.rng.randrange(5)
        for i in range(count):
            roll = self.rng.random()
            if i == 0 and roll < 0.6:
                self.value("any", depth)
            elif roll < 0.9:
                entry = [self.rng.choice(("a", "b", "on")), self.rng.choice((1, 50, 50, 0, -1))]
                self.constant(entry[: self.rng.choice((1, 2, 2))])
            else:
                self.constant(some_value(self.rng, "entry"))
        key = self.out.constant(self.rng.choice(("flag", "", "é")))
        self.out.emit(Op.Fractional, self.rng.randrange(2), self.slot("text"), a=count, b=key)

    def loop(self, kind: int, depth: int) -> None:
        self.value("list", depth)
        if kind == LoopKind.Reduce:
            self.value("any", depth)
        body, end = Label(), Label()
        self.out.emit(Op.IterateBegin, kind, yes=body, no=end)
        self.out.place(body)
        self.loops += 1
        self.value(self.rng.choice(("any", "number", "bool")), depth)
        self.loops -= 1
        self.out.emit(Op.IterateNext, yes=end)
        self.out.place(end)

    def loop_list(self, depth: int) -> None:
        self.loop(self.rng.choice((LoopKind.Map, LoopKind.Filter)), depth)

    def loop_bool(self, depth: int) -> None:
        self.loop(self.rng.choice((LoopKind.All, LoopKind.Some, LoopKind.None_)), depth)

    def reduce(self, depth: int) -> None:
        self.loop(LoopKind.Reduce, depth)
