"""Two instances side by side: one whose configuration has room for the core's prepared form, one whose has none.

The second decides by the general machine alone, as `explain` of both does. `Pair.ask` compares all four answers, and
says whether the first one stayed in the fast lane to the end. Nobody tells that, but it can be seen: the machine lies
on the stack in linear memory, and the lane uses none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fbs_generated.Encoding import Encoding
from fbs_generated.HashAlgorithm import HashAlgorithm
from fbs_generated.Op import Op
from fbs_generated.Reason import Reason
from programs import Assembler, Label
from reference_values import LAYOUT

from pyflagwasm.runtime.instance import Instance

STAGE_FUEL = 1 << 50
STACK_END = 64 << 10
"""As wasm/build.py has it: the stack comes first in memory, and grows downwards."""
MARK = b"\xa5" * 256
REQUEST_SIZE = LAYOUT["scratch"]["request_size"]


class Answer(NamedTuple):
    packed: int
    entered: bool

    @property
    def variant(self) -> int:
        return self.packed & 0xFFFF


def load_with_room(instance: Instance, ir: bytes, room: int) -> None:
    """Load a configuration that has exactly `room` bytes behind it."""
    instance.reserve(len(ir) + room)[: len(ir)] = ir
    assert instance._calls["config_stage"](len(ir), fuel=STAGE_FUEL) == 0
    assert instance._calls["config_commit"]() == 0


def evaluate(instance: Instance, flag: int) -> tuple[int, bool]:
    """The packed decision, and whether the machine had no part in it."""
    with instance._guest.memory() as memory:
        stack = memory[STACK_END - len(MARK) : STACK_END]
        stack[:] = MARK
        packed = instance.evaluate(flag)
        untouched = stack == MARK
        stack.release()
    return packed, untouched


class Pair:
    def __init__(self) -> None:
        self.fast, self.slow = Instance(), Instance()

    def load(self, ir: bytes, room: int | None = None) -> None:
        """`room`: bytes for the first instance instead of what a host reserves."""
        if room is None:
            self.fast.load(ir)
        else:
            load_with_room(self.fast, ir, room)
        load_with_room(self.slow, ir, 0)

    def ask(self, request: bytes, flag: int = 0) -> Answer:
        request = request[:REQUEST_SIZE]
        for instance in (self.fast, self.slow):
            instance.scratch[: len(request)] = request
        packed, entered = evaluate(self.fast, flag)
        plain, never = evaluate(self.slow, flag)
        assert not never
        explained, again = self.fast.explain(flag)[0], self.slow.explain(flag)[0]
        assert packed == plain == explained == again, (f"{packed:#x} {plain:#x} {explained:#x}", request.hex())
        assert self.fast.evaluate_many([flag, flag]) == [packed, packed]
        return Answer(packed, entered)

    def close(self) -> None:
        self.fast.close()
        self.slow.close()


YES, NO, UNKNOWN, OTHER = range(4)
"""The variants that the programs below decide for."""


HASHES = [
    *((HashAlgorithm.Murmur3x86, encoding, 0) for encoding in (Encoding.Utf8, Encoding.Backslash, Encoding.Cbor)),
    (HashAlgorithm.Murmur3x86, Encoding.Utf8, 100),
    (HashAlgorithm.Md5, Encoding.Utf8, 10_000),
    (HashAlgorithm.Fnv1a, Encoding.CodePoints, 1000),
    (HashAlgorithm.Fnv1aTwice, Encoding.CodePoints, 0),
]
SHAPES = ["S", "LS", "LLS", "SL", "LSL", "SLL", "SS", "L", "LLLS", "LLLLS"]
ODD = [
    "", ".", "1", "1.", ".1", "1.2", "1.2.", "1..2", "1.2.3", "01.2.3", "1.02.3", "1.2.03", "0.0.0", "1.2.3.4",
    "v1.2.3", "V1.2.3", "1.2.3-a", "1.2.3+a", " 1.2.3", "1.2.3 ", "1.2.\x00", "1.2.\u0661", "9.9.9999",
    "9.9.10000", "10.0.0", "9.10.0", "1.2.3456", "12.34.56", "99999.0.0", "100000.0.0", "99999.99999.99999",
    "1.2.99999", "1.2.123456", "65536.1.1", "-1.2.3", "1.2.:", "1.2./", "1.2.3...", "2.7.1", "2.10.0", "2.5.0",
    "10.20.30", "1/2.3.4", "........", "1.23456.", "0.0.1", "1.2.0",
]  # fmt: skip
PLAIN = ("1.2.3", "2.7.1", "2.10.0", "10.20.30", "9.9.9999", "12.34.56", "1.2", "1", "99999.0.0", "0.0.0")
SHORT = tuple(text for text in PLAIN if text.count(".") == 2 and len(text) <= 8)
"""What a dialect takes that wants all three numbers."""


def ends(out: Assembler) -> dict[str, Label]:
    """Labels of decisions, to be placed by `finish`."""
    return {name: Label() for name in ("yes", "no", "unknown")}


def finish(out: Assembler, to: dict[str, Label]) -> bytes:
    for variant, name in enumerate(("yes", "no", "unknown")):
        out.place(to[name])
        out.emit(Op.Decide, Reason.TargetingMatch, a=variant, b=variant + 10)
    return out.serialise()


def predicate(op: int, constants: tuple[Any, ...], flags: int = 0, b: int | None = None) -> bytes:
    """One flag: the predicate on slot 0, then a decision for each outcome. `b`: instead of the number of constants."""
    out = Assembler(slot_count=2, flags=[(0, 3)])
    to = ends(out)
    out.emit(op, flags, 0, out.constants(*constants), len(constants) if b is None else b, **to)
    return finish(out, to)


# ---------------------------------------------------------------- keys of tables, as lane/words.rs has them

_SPREAD, _MASK = 0x9E3779B97F4A7C15, (1 << 64) - 1


def long_key(text: bytes) -> int:
    mixed = len(text)
    for at in (*range(0, len(text) - 8, 8), len(text) - 8):
        turned = (mixed << 29 | mixed >> 35) & _MASK
        mixed = ((turned ^ int.from_bytes(text[at : at + 8], "little")) * _SPREAD) & _MASK
    mixed = (mixed ^ mixed >> 29) * _SPREAD & _MASK
    return 0xFF << 56 | mixed >> 32 << 24


def short_key(text: bytes) -> int:
    return int.from_bytes(text, "little") | len(text) + 1 << 56


def place(key: int, bits: int) -> int:
    return ((key >> 24 ^ key) * _SPREAD & _MASK) >> (64 - bits)
