"""Puts the damage of mutations.py to the core and watches: what may come of it, and how long it takes.

What may come of it is a status, a packed decision that reads as one - the same from `evaluate`, `explain` and
`evaluate_many` - with a trace that fits the configuration, or GuestTrapError. A refused configuration leaves the live
one answering as before. Anything else is a Finding, and so is a trap: the core has none on data.

A round begins with a valid configuration of its own seed, so `Attack(seed).round(i)` can be repeated alone.
"""

from __future__ import annotations

import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import mutations
import samples
from fbs_generated.Config import Config
from generator import some_case
from golden_models import GOLDEN
from models import Models

from pyflagwasm import _abi
from pyflagwasm.config.compile import compile_model
from pyflagwasm.errors import ConfigError, GuestTrapError
from pyflagwasm.runtime.instance import Instance

CASES = 48
"""In one round."""
ROWS = 40
KINDS, OUTCOMES = len(_abi.Kind), len(_abi.Outcome)
T = TypeVar("T")


@dataclass
class Finding:
    """`config` and `request` are what it takes to see it again; `seconds` of processor time, if that is it."""

    round: int
    what: str
    config: bytes
    request: bytes = b""
    flag: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        took = f" in {self.seconds:.3f} s" if self.seconds else ""
        return (
            f"round {self.round}: {self.what}{took}\n  flag {self.flag}\n  config {self.config.hex()}\n"
            f"  request {self.request.hex()}"
        )


@dataclass
class Tally:
    """`worst`: the longest call of each export, with what it was about."""

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    worst: dict[str, Finding] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.cases.total()


class Wrong(Exception):
    """The core answered what it may not."""


class Attack:
    """One instance under attack. `limit`: a call that takes longer, in seconds of processor time, is a finding."""

    def __init__(self, seed: int, limit: float = 0.5, host: str | None = None) -> None:
        self.seed, self.limit, self.host = seed, limit, host
        self.tally, self.findings = Tally(), list[Finding]()
        self.instance = Instance(host=host)
        self.number, self.config, self.request, self.flag = 0, b"", b"", 0
        self.constants: list[tuple[int, int, int]] = []
        self.golden = [compile_model(golden.model).ir for golden in GOLDEN.values()]

    def close(self) -> None:
        self.instance.close()

    def timed(self, name: str, call: Callable[..., T], *arguments: Any) -> T:
        """A call into the core, its time noted."""
        begun = time.thread_time_ns()
        try:
            return call(*arguments)
        finally:
            seconds = (time.thread_time_ns() - begun) / 1e9
            worst = self.tally.worst.get(name)
            if worst is None or seconds > worst.seconds:
                self.tally.worst[name] = self.finding(name, seconds)
            if seconds > self.limit:
                self.findings.append(self.finding(f"{name} took long", seconds))

    def finding(self, what: str, seconds: float = 0.0) -> Finding:
        return Finding(self.number, what, self.config, self.request, self.flag, seconds)

    # ------------------------------------------------------------ one round

    def round(self, number: int) -> None:
        """CASES cases, all from one valid configuration and its own seed."""
        self.number = number
        rng = Random(f"{self.seed}/{number}")
        self.constants, self.request, self.flag = [], b"", 0
        base = self.config = self.some_config(rng)
        try:
            self.instance.load(base)
            self.begin(rng)
            for _ in range(CASES):
                self.case(rng, base)
        except GuestTrapError as trap:
            self.findings.append(self.finding(str(trap)))
            self.instance.close()
            self.instance = Instance(host=self.host)
        except (Wrong, ConfigError) as wrong:
            self.findings.append(self.finding(str(wrong)))

    def some_config(self, rng: Random) -> bytes:
        roll = rng.random()
        if roll < 0.6:
            case = some_case(rng)
            self.constants = list(case.constants)
            return case.ir
        while roll < 0.85:
            try:
                return compile_model(Models(rng).model()).ir
            except ConfigError:
                continue  # rules that fall through at their end
        return rng.choice(self.golden)

    def begin(self, rng: Random) -> None:
        """What the live configuration is, and its answers to one valid request."""
        try:
            read = Config.GetRootAs(self.config, 0)
            self.slots, self.flags, self.nodes = read.SlotCount(), read.FlagsLength(), read.NodesLength()
            self.sections = mutations.sections(self.config)
        except struct.error as error:
            raise Wrong(f"a configuration was accepted that FlatBuffers cannot read: {error}") from None
        self.control = self.request = self.valid_request(rng)
        self.asked = sorted({0, self.flags - 1, rng.randrange(self.flags)} if self.flags else {0})
        self.expected = self.answers()

    def valid_request(self, rng: Random) -> bytes:
        hints = [rng.choice(("any", "text", "number", "list", "object", "entry")) for _ in range(min(self.slots, 40))]
        hints += ["null"] * (self.slots - len(hints))
        request = samples.some_request(rng, hints, self.constants, rng.choice((0, 1_700_000_000_123_456, -1)))
        return request[: _abi.SCRATCH_REQUEST_SIZE]

    def case(self, rng: Random, base: bytes) -> None:
        roll = rng.random()
        if roll < 0.55:
            self.tally.cases["configuration"] += 1
            self.attack_config(rng, base)
        elif roll < 0.88:
            self.tally.cases["request"] += 1
            self.request = mutations.mutated_request(rng, self.control, self.slots)
            self.ask(rng)
        elif roll < 0.93:
            self.tally.cases["bomb"] += 1
            self.request = mutations.bomb(rng, self.slots)
            self.ask(rng)
        else:
            self.tally.cases["batch"] += 1
            self.attack_batch(rng)

    # ------------------------------------------------------------ configurations

    def attack_config(self, rng: Random, base: bytes) -> None:
        live = self.config
        mutant = mutations.mutated_config(rng, live, self.sections, rng.choice(self.golden))
        self.config, self.request = mutant, b""
        try:
            self.timed("config_stage", self.instance.stage, mutant, "mutant")
        except ConfigError as refused:
            self.tally.statuses[str(refused).split(": ")[2].split()[0]] += 1
            self.config, self.request = live, self.control
            if self.answers() != self.expected:
                raise Wrong("a refused configuration changed the answers of the live one") from None
            return
        self.tally.statuses["OK"] += 1
        self.instance.commit()
        self.begin(rng)
        for _ in range(rng.randrange(1, 4)):
            self.request = self.valid_request(rng)
            if rng.random() < 0.5:
                self.request = mutations.mutated_request(rng, self.request, self.slots)
            self.ask(rng)
        if rng.random() < 0.7:
            self.config = base
            self.instance.load(base)
            self.begin(rng)

    def answers(self) -> list[int]:
        self.instance.scratch[: len(self.request)] = self.request
        return [self.instance.evaluate(flag) for flag in self.asked]

    # ------------------------------------------------------------ requests

    def ask(self, rng: Random) -> None:
        """Everything that can be asked of the live configuration and a request."""
        scratch = self.instance.scratch
        scratch[: len(self.request)] = self.request
        singly = []
        for flag in (*self.asked, rng.choice((self.flags, 2**31, 2**32 - 1))):
            self.flag = flag
            packed = self.timed("evaluate", self.instance.evaluate, flag)
            singly.append(packed)
            self.check(packed)
            explained, events = self.timed("explain", self.instance.explain, flag)
            if explained != packed:
                raise Wrong(f"explain gives {explained:#x}, evaluate {packed:#x}")
            for node, outcome, kind, _ in events:
                if node >= self.nodes or outcome >= OUTCOMES or kind >= KINDS:
                    raise Wrong(f"the event {(node, outcome, kind)} in a trace")
        flags = [*self.asked, flag]
        if self.timed("evaluate_many", self.instance.evaluate_many, flags) != singly:
            raise Wrong("evaluate_many gives other decisions")

    def check(self, packed: int) -> None:
        """That a packed decision is one: every field in its range, and an error exactly with the reason Error."""
        variant, reason, error = packed & 0xFFFF, packed >> 32 & 15, packed >> 36 & 15
        self.tally.errors[_abi.ErrorCode(error).name] += 1
        failed = reason == _abi.Reason.ERROR
        position = packed >> _abi.DECISION_BUCKET_SHIFT
        if (
            reason > _abi.Reason.ERROR
            or failed != (error != 0)
            or (failed and variant != _abi.DECISION_NONE)
            or position >= _abi.DECISION_BUCKET_SCALE
            or (position and not packed >> _abi.DECISION_BUCKETED_SHIFT & 1)
            or packed >> 41 & 7
        ):
            raise Wrong(f"the decision {packed:#x}")

    def attack_batch(self, rng: Random) -> None:
        rows = rng.randrange(ROWS)
        batch = mutations.some_batch(rng, self.slots, rows)
        self.request, self.flag = self.control, rng.choice(self.asked)
        self.instance.scratch[: len(self.control)] = self.control
        region = self.instance.reserve(len(batch))
        region[:] = batch
        claimed = rng.choice((rows, rows, rows, rows + 1, 2**31, 2**32 - 1))
        first = rng.choice((0, 0, 0, rng.randrange(claimed + 1)))
        status, done = self.timed("evaluate_batch", self.instance.evaluate_batch, first, claimed)
        self.tally.statuses[f"batch {status.name}"] += 1
        if status == _abi.Status.OK:
            flags, output = (int.from_bytes(region[at : at + 4], "little") for at in (4, 8))
            for flag in range(flags):
                for row in range(first, done):
                    at = output + 8 * (flag * claimed + row)
                    self.check(int.from_bytes(region[at : at + 8], "little"))
        if not (first < done <= claimed or first == done == claimed if status == _abi.Status.OK else done == 0):
            raise Wrong(f"evaluate_batch of rows {first} to {claimed} says {status.name} and {done}")
        if self.answers() != self.expected:
            raise Wrong("a batch changed the answers")
