"""Programs of regular expressions in the core: what they cost, what is refused, and that they agree with `re`."""

from __future__ import annotations

import re
import struct
import time
from collections.abc import Iterator
from random import Random

import pytest
import reference_regex
from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.Op import Op
from golden_models import asks, at, flags
from patterns import Patterns, some_program
from predicate_table import P, predicate_program
from samples import some_text

from pyflagwasm import _abi
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.regex import Pattern, PatternError, UnsupportedPattern, compile_pattern
from pyflagwasm.errors import ConfigError
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

LARGE = 100_000

# Patterns that take others exponential or quadratic time, and what to repeat so that no match comes.
STRESS = {
    "^(a*)*b": "a",
    "^(a|aa)+b$": "a",
    "(x+x+)+[yz]": "x",
    "^(([a-z])+.)+[A-Z]([a-z])+$": "a",
    r"(?:\w+\s?)+@[a-f]": "ab ",
    "(?:a.{0,9}){3}[!?]": "ab",
    "(.*a){12}[bc]": "a",
    r"(?m)^(\s*\S*)*;[xy]$": "a\n",
    "^(?:é|日)*[ab]$": "\u00e9\u65e5",
    "(?:a|b)*a(?:a|b){14}c": "b",
    "(?:a|b)*a(?:a|b){30}c": "a",
}


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    made = Instance()
    yield made
    made.close()


def of_length(pattern: str, length: int) -> str:
    unit = STRESS[pattern]
    return unit * (length // len(unit))


def decide(instance: Instance, condition: m.Condition, text: str) -> tuple[int, int]:
    """Variant and error code; variant 0 is a match."""
    compiled = compile_model(flags(None, f=asks(condition)))
    instance.load(compiled.ir)
    Encoder(compiled).encode({"t": text}, (0,), instance.scratch, 0)
    packed = instance.evaluate(0)
    return packed & 0xFFFF, packed >> _abi.DECISION_ERROR_SHIFT & 15


def looks(instance: Instance, pattern: str, text: str) -> int:
    """How often one evaluation can look for a match that is not there before its budget is spent."""
    condition = compile_pattern(pattern, "rust").condition(at("t"), None)
    low, high = 0, 2048
    while high - low > 1:
        middle = (low + high) // 2
        variant, error = decide(instance, m.AnyOf((condition,) * middle), text)
        assert (variant, error) == (1, 0) or error == ErrorCode.BudgetExceeded
        low, high = (middle, high) if error == 0 else (low, middle)
    assert 0 < low < 2047
    return low


# ---------------------------------------------------------------- cost


@pytest.mark.parametrize("pattern", STRESS)
def test_twice_the_text_costs_twice_the_steps(instance: Instance, pattern: str) -> None:
    one, two = (looks(instance, pattern, of_length(pattern, length)) for length in (3_000, 6_000))
    assert 1.8 <= one / two <= 2.2


@pytest.mark.parametrize("pattern", STRESS)
def test_large_texts_are_decided_soon(instance: Instance, pattern: str) -> None:
    text = of_length(pattern, LARGE)
    text = text.encode()[:LARGE].decode(errors="ignore")
    condition = compile_pattern(pattern, "rust").condition(at("t"), None)
    begun = time.thread_time()
    assert decide(instance, condition, text) == (1, 0)
    assert time.thread_time() - begun < 2  # it takes milliseconds, and what makes the configuration too


def test_the_budget_ends_what_is_dear(instance: Instance) -> None:
    condition = compile_pattern("(?:a|b)*a(?:a|b){4000}c", "rust").condition(at("t"), None)
    assert decide(instance, condition, "a" * LARGE)[1] == ErrorCode.BudgetExceeded
    assert decide(instance, condition, "a" * 100) == (1, 0)
    assert decide(instance, condition, "a" * 4001 + "c") == (_abi.DECISION_NONE, ErrorCode.BudgetExceeded)
    assert decide(instance, condition, "b" * 50 + "ca") == (1, 0)


def test_threads_without_room(instance: Instance) -> None:
    rows = _abi.LIMITS_ARENA // 9
    for count, error in ((rows - 3, 0), (rows - 1, ErrorCode.LimitExceeded)):
        program = struct.pack("<4H128xI", 2, 1, count, 1, 128 << 11) + b"\0\0\0\0" * count + bytes(2 + 8)
        assert reference_regex.is_program(program)
        ir, request = predicate_program(P(Op.TextMatch, "text", [program], ""))
        instance.load(ir)
        instance.scratch[: len(request)] = request
        assert instance.evaluate(0) >> _abi.DECISION_ERROR_SHIFT & 15 == error


# ---------------------------------------------------------------- damage


def accepts(instance: Instance, program: bytes) -> bool:
    ir, _ = predicate_program(P(Op.TextMatch, "", [program], ""))
    try:
        instance.load(ir)
    except ConfigError:
        return False
    return True


def damaged(rng: Random, program: bytes) -> bytes:
    data = bytearray(program)
    kind = rng.randrange(5)
    if kind == 0:
        del data[rng.randrange(len(data)) :]
    elif kind == 1:
        data += rng.randbytes(rng.choice((1, 2, 8)))
    elif kind == 2:
        struct.pack_into("<H", data, 2 * rng.randrange(4), rng.choice((0, 1, 2, 3, 65535, rng.randrange(80))))
    else:
        for _ in range(rng.randrange(1, 3)):
            data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 3, 8, 127, 255))
    return bytes(data)


def test_damaged_programs_are_refused_or_run_as_the_reference_says(instance: Instance) -> None:
    rng, sound = Random(7), 0
    for _ in range(1500):
        program = damaged(rng, some_program(rng))
        good = reference_regex.is_program(program)
        assert accepts(instance, program) is good, program.hex()
        if good:
            sound += 1
            for text in ("", "\n", "a\n", *(some_text(rng) for _ in range(5))):
                _, request = predicate_program(P(Op.TextMatch, text, [program], ""))
                instance.scratch[: len(request)] = request
                found = instance.evaluate(0) & 0xFFFF
                assert found == reference_regex.finds(program, text), (program.hex(), text)
    assert 200 < sound < 1400


@pytest.mark.parametrize("program", [b"", b"\0", bytes(8), bytes(136), bytes(200), b"\xff" * 8, b"\xff" * 400])
def test_what_is_no_program(instance: Instance, program: bytes) -> None:
    assert not accepts(instance, program)


def test_random_bytes_as_programs(instance: Instance) -> None:
    rng = Random(3)
    for _ in range(300):
        head = struct.pack("<4H", *(rng.choice((0, 1, 2, 5, 300)) for _ in range(4)))
        program = head + rng.randbytes(rng.randrange(400))
        assert accepts(instance, program) is reference_regex.is_program(program)


# ---------------------------------------------------------------- the library that comes with Python


@pytest.mark.parametrize("threads", [False, True], ids=["as they are", "threads"])
def test_random_patterns(instance: Instance, monkeypatch: pytest.MonkeyPatch, threads: bool) -> None:
    if threads:
        monkeypatch.setattr("pyflagwasm.config.regex.tests", lambda tree: None)
        monkeypatch.setattr("pyflagwasm.config.regex.program.tabulate", lambda threads: None)
    rng = Random(11)
    draw = Patterns(rng, "python")
    compiled: dict[str, Pattern] = {}
    while len(compiled) < 150:
        pattern = draw.pattern()
        try:
            compiled[pattern] = compile_pattern.__wrapped__(pattern, "python")
        except PatternError:
            with pytest.raises((re.error, OverflowError)):
                re.compile(pattern)
        except UnsupportedPattern:
            re.compile(pattern)
    model = flags(None, **{f"f{i}": asks(made.condition(at("t"), None)) for i, made in enumerate(compiled.values())})
    config = compile_model(model)
    instance.load(config.ir)
    encoder, matches = Encoder(config), 0
    for pattern in compiled:
        text = draw.text(pattern)
        encoder.encode({"t": text}, (0,), instance.scratch, 0)
        found = [packed & 0xFFFF == 0 for packed in instance.evaluate_many(range(len(compiled)))]
        assert found == [re.search(other, text) is not None for other in compiled], text
        matches += sum(found)
    assert 5_000 < matches < 20_000
