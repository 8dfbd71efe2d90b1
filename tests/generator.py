"""Random programs: flags that test slots, compute values, loop, call and decide.

`some_case(rng)` gives a configuration and what is needed to make requests for it. Most programs are well-typed and keep
the stack in balance; one in eight is then damaged within the bounds of soundness, so that operations meet operands,
heights and frames that no compiler would give them. Values are in generator_values.py, the assembler in programs.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from fbs_generated.Encoding import Encoding
from fbs_generated.Kind import Kind
from fbs_generated.Op import Op
from fbs_generated.PartKind import PartKind
from fbs_generated.VersionDialect import VersionDialect
from generator_values import ValueGenerator
from patterns import some_program
from programs import Assembler, Label
from reference_input import ENCODINGS
from samples import some_network, some_request, some_text, some_value

COUNTED = (Op.Add, Op.Multiply, Op.Minimum, Op.Maximum, Op.Concat, Op.Merge, Op.MakeList)
NOW_US = 1_700_000_000_123_456
HINTS = ("any", "number", "text", "list", "object", "bool", "version", "entry", "address", "time")


@dataclass(frozen=True)
class Case:
    """A configuration with the kinds of values that its slots are mostly given."""

    ir: bytes
    flag_count: int
    hints: tuple[str, ...]
    constants: tuple[tuple[int, int, int], ...]
    damaged: bool

    def request(self, rng: Random) -> bytes:
        now = rng.choice((NOW_US, NOW_US, NOW_US + rng.randrange(-2000, 2000), 0, -1, -1500, rng.getrandbits(50)))
        return some_request(rng, list(self.hints), list(self.constants), now)


def some_case(rng: Random) -> Case:
    generator = Generator(rng)
    assembler = generator.generate()
    damaged = rng.random() < 0.125
    if damaged:
        generator.damage()
    shared = tuple(v for v in assembler.values if v[0] >= Kind.Text and v not in generator.raw)
    return Case(assembler.serialise(), len(assembler.flags), tuple(generator.hints), shared, damaged)


class Generator(ValueGenerator):
    def __init__(self, rng: Random) -> None:
        self.rng, self.out = rng, Assembler()
        self.hints = [rng.choice(HINTS) for _ in range(rng.randrange(1, 9))]
        self.out.slot_count = len(self.hints)
        self.subroutines = [Label() for _ in range(rng.randrange(3))]
        self.callable, self.loops = 0, 0
        self.raw: set[tuple[int, int, int]] = set()  # constants that are bytes of CBOR and no UTF-8

    def generate(self) -> Assembler:
        for _ in range(self.rng.randrange(1, 4)):
            entry = Label()
            self.out.flags.append((entry, self.rng.randrange(1, 6)))
            self.out.place(entry)
            for _ in range(self.rng.randrange(3)):
                self.step()
            self.action()
        for i, label in enumerate(self.subroutines):
            self.callable = i + 1
            self.out.place(label)
            ends = [Label(), Label(), Label()]
            self.condition(ends[1], ends[0], ends[2], 1)
            for outcome, end in enumerate(ends):
                self.out.place(end)
                self.out.emit(Op.Return, flags=outcome)
        return self.out

    # ------------------------------------------------------------ actions and conditions

    def step(self) -> None:
        then, after = Label(), Label()
        self.condition(then, after, self.rng.choice((then, after)), 2)
        self.out.place(then)
        self.action()
        self.out.place(after)

    def action(self) -> None:
        roll = self.rng.random()
        if roll < 0.3:
            return self.observe()
        if roll < 0.45:
            self.value("any", 3)
            names = [self.rng.choice(("a", "b", "true", "false", "1", "1.0", "on", "2.5", "nan")) for _ in range(4)]
            no, unknown = Label(), Label()
            first = self.out.constants(*names)
            self.out.emit(Op.DecideText, self.rng.randrange(8), a=first, b=len(names), no=no, unknown=unknown)
            self.ends(no, unknown)
        elif roll < 0.6:
            self.split()
        else:
            self.ends(Label())

    def observe(self) -> None:
        """Makes the whole content of a value visible in the decision: hashes it and decides by the hash."""
        self.value("any", 3)
        if self.rng.random() < 0.5:
            self.out.emit(Op.Concat, a=1)
        names = [str(i) for i in range(16)]
        for name in names:
            self.constant([name, 1])
        key = self.out.constant("flag")
        self.out.emit(Op.Fractional, slot=self.slot("text"), a=1 + len(names), b=key)
        no, unknown = Label(), Label()
        first = self.out.constants(*names)
        self.out.emit(Op.DecideText, self.rng.randrange(8), a=first, b=len(names), no=no, unknown=unknown)
        self.ends(no, unknown)

    def ends(self, *labels: Label) -> None:
        for label in labels:
            self.out.place(label)
            rule = self.rng.choice((65535, 0, 1, 7))
            if self.rng.random() < 0.1:
                self.out.emit(Op.Fail, a=self.rng.randrange(1, 13), b=rule)
            else:
                variant = self.rng.choice((65535, 0, 1, 2))
                self.out.emit(Op.Decide, self.rng.randrange(8), a=variant, b=rule)

    def split(self) -> None:
        cuts = sorted(
            self.rng.choice((0, 1, 2**31, 2**32, self.rng.getrandbits(32))) for _ in range(self.rng.randrange(5))
        )
        labels, no, unknown = [Label() for _ in cuts], Label(), Label()
        bucket, first = self.bucket(), len(self.out.bounds)
        self.out.bounds += list(zip(cuts, labels, strict=True))
        self.out.emit(Op.Split, slot=len(cuts), a=bucket, b=first, no=no, unknown=unknown)
        self.ends(*labels, no, unknown)

    def bucket(self) -> int:
        algorithm, parts = self.rng.choice((0, 0, *range(4))), []
        encoding = self.rng.choice(ENCODINGS[algorithm])
        for _ in range(self.rng.randrange(1, 4)):
            if self.rng.random() < 0.4:
                raw = encoding == Encoding.Cbor and self.rng.random() < 0.5
                literal = bytes([0x80 + self.rng.randrange(4), 0x61]) if raw else some_text(self.rng)
                parts.append((PartKind.Literal, self.out.constant(literal)))
                self.raw |= {self.out.values[parts[-1][1]]} if raw else set()
            else:
                parts.append((PartKind.Slot, self.slot(self.rng.choice(("text", "text", "number")))))
        seed, modulus = self.rng.choice((0, 0, 1, 2**32 - 1)), self.rng.choice((0, 0, 1, 100, 9999, 2**32 - 1))
        return self.out.bucket(parts, encoding, self.rng.randrange(2), seed, algorithm, modulus)

    def slot(self, hint: str) -> int:
        fitting = [i for i, h in enumerate(self.hints) if h == hint]
        return self.rng.choice(fitting or range(len(self.hints))) if self.rng.random() < 0.8 else self.any_slot()

    def any_slot(self) -> int:
        return self.rng.randrange(len(self.hints))

    def constants(self, hint: str, most: int = 5) -> tuple[int, int]:
        values = [some_value(self.rng, hint) for _ in range(self.rng.randrange(most))]
        allowed = {"text": str, "version": str, "number": (int, float)}.get(hint, object)
        values = [v for v in values if isinstance(v, allowed) and not (hint == "number" and isinstance(v, bool))]
        return self.out.constants(*values), len(values)

    def condition(self, yes: Label, no: Label, unknown: Label, depth: int) -> None:
        roll, out = self.rng.random(), self.out
        if depth and roll < 0.2:
            middle = Label()
            first = (
                (middle, no, unknown) if self.rng.random() < 0.5 else (yes, middle, self.rng.choice((middle, unknown)))
            )
            self.condition(*first, depth - 1)
            out.place(middle)
            self.condition(yes, no, unknown, depth - 1)
        elif roll < 0.45:
            self.value("any" if roll < 0.3 else "bool", 3)
            out.emit(Op.BranchBlank if roll < 0.25 else Op.BranchTruthy, yes=yes, no=no)
        elif roll < 0.55 and self.callable < len(self.subroutines):
            target = self.rng.choice(self.subroutines[self.callable :])
            out.emit(Op.Call, a=target, yes=yes, no=no, unknown=unknown)
        elif roll < 0.62:
            instant = out.constant(NOW_US + self.rng.choice((-1, 0, 1, 1000)))
            out.emit(Op.NowAtLeast, a=instant, yes=yes, no=no)
        elif roll < 0.7:
            first, begun = len(out.segments), NOW_US // 1000 - self.rng.randrange(3000)
            for _ in range(self.rng.randrange(4)):
                p0, p1 = (self.rng.choice((0.0, 1.0, 0.5, self.rng.random())) for _ in "01")
                out.segments.append((begun, float(begun), float(begun + self.rng.randrange(1, 2000)), p0, p1))
                begun += self.rng.randrange(1, 2000)
            count = len(out.segments) - first
            out.emit(Op.Rollout, slot=count, a=self.bucket(), b=first, yes=yes, no=no, unknown=unknown)
        else:
            self.predicate(yes, no, unknown)

    def predicate(self, yes: Label, no: Label, unknown: Label) -> None:
        rng, to, out = self.rng, {"yes": yes, "no": no, "unknown": unknown}, self.out
        op = rng.randrange(Op.KindIn, Op.TimeCompare + 1)
        if op in (Op.KindIn, Op.Truthy):
            out.emit(op, slot=self.any_slot(), a=rng.getrandbits(8) if op == Op.KindIn else 0, yes=yes, no=no)
        elif op in (Op.TextIn, Op.TextPrefix, Op.TextSuffix, Op.TextContains):
            ordered = op == Op.TextIn and rng.random() < 0.5
            texts = [some_text(rng) for _ in range(rng.randrange(9))]
            texts = sorted(set(texts), key=str.encode) if ordered else texts
            out.emit(op, int(ordered), self.slot("text"), out.constants(*texts), len(texts), **to)
        elif op == Op.NumberCompare:
            out.emit(op, rng.randrange(1, 8), self.slot("number"), *self.constants("number"), **to)
        elif op == Op.BoolIn:
            out.emit(op, slot=self.slot("bool"), a=rng.randrange(4), **to)
        elif op == Op.Version:
            dialect, (first, count) = rng.randrange(VersionDialect.StrictSemVerBuild + 1), self.constants("version")
            same = rng.choice((0, 0, 1, 2)) if dialect == VersionDialect.SemVer else 0
            orders = 7 if same else rng.randrange(1, 8)
            slot = self.slot(rng.choice(("version", "version", "number")))
            out.emit(op, dialect << 4 | orders, slot, first, count | same << 16, **to)
        elif op == Op.TextMatch:
            program = out.constant(some_program(rng))
            self.raw.add(out.values[program])
            out.emit(op, 0, self.slot("text"), program, **to)
        elif op == Op.InNetwork:
            networks = b"".join(some_network(rng) for _ in range(rng.randrange(4)))
            networks = networks[: rng.randrange(len(networks) + 1)] if rng.random() < 0.2 else networks
            constant = out.constant(networks)
            self.raw.add(out.values[constant])
            out.emit(op, 0, self.slot("address"), constant, **to)
        elif op == Op.TimeCompare:
            instant = rng.choice((0, 951_782_400, 1_700_000_000, 253_402_300_799)), rng.choice((0, 1, 5 * 10**8))
            out.emit(op, rng.randrange(1, 8), self.slot("time"), out.constants(*instant), 2, **to)
        elif op == Op.InConst:
            out.emit(op, 0, self.any_slot(), *self.constants("any"), yes=yes, no=no)
        else:
            flags = rng.randrange(1, 8) if op == Op.CompareConst else rng.randrange(2) if op == Op.EqualConst else 0
            out.emit(op, flags, self.any_slot(), out.constant(some_value(rng)), yes=yes, no=no)

    # ------------------------------------------------------------ damage

    def damage(self) -> None:
        """Swaps operations, operands and targets of some nodes for others that are just as sound."""
        plain = [Op.Drop, Op.Coalesce, Op.Truth, Op.Equal, Op.In, Op.Divide, Op.Modulo, Op.Concat, Op.Merge, Op.Mark]
        plain += [Op.MakeList, Op.Collect, Op.TextStarts, Op.SemVer, Op.Substring, Op.Lookup]
        plain += [Op.Missing, Op.MissingSome]
        for i in self.rng.choices(range(len(self.out.nodes)), k=self.rng.randrange(1, 6)):
            node = self.out.nodes[i]
            roll = self.rng.randrange(3)
            if roll == 0 and node[0] in plain:
                node[0], node[1], node[3] = self.rng.choice(plain), 0, self.rng.randrange(4)
            elif roll == 1 and node[0] in COUNTED:
                node[3] = self.rng.choice((0, 1, 2, 4, 40))
            elif roll == 2 and node[0] >= Op.PushConst and i + 2 < len(self.out.nodes):
                node[5] = self.rng.randrange(i + 1, len(self.out.nodes))
