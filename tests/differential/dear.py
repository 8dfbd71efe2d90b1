"""The dearest rules that a document can ask for: each must end within the budget of steps, soon.

    python tests/differential/dear.py [--only NAME] [--limit 4]

A rule lies inside two loops of 1,200 items, so that the budget ends it; with --plain it is evaluated once, which is
what one request of a hostile user costs. Prints the time of each; exits with 1 if one trapped - out of fuel, then,
before the budget was spent - or took longer than the limit in seconds of processor time. What costs more than its steps
say shows here.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from golden_models import KEY, apply, asks, at, checks, flags, slot  # noqa: E402

from pyflagwasm._abi import Encoding, LoopKind, Op  # noqa: E402
from pyflagwasm.config import model as m  # noqa: E402
from pyflagwasm.config.compile import compile_model  # noqa: E402
from pyflagwasm.config.regex import compile_pattern  # noqa: E402
from pyflagwasm.errors import GuestTrapError  # noqa: E402
from pyflagwasm.runtime.decode import unpack  # noqa: E402
from pyflagwasm.runtime.encode import Encoder  # noqa: E402
from pyflagwasm.runtime.instance import Instance  # noqa: E402

N = 40_000
LONG = "a" * N
ITEMS, T, U, OTHER = slot("items"), slot("t"), slot("u"), slot("o")
ALWAYS = (m.Segment(0, 0.0, 1.0, 0.5, 0.5),)


def truth(op: Op, *args: Any, flags: int = 0) -> m.Truth:
    return m.Truth(apply(op, *args, flags=flags))


def shares(generation: int, *args: m.Value) -> m.Truth:
    return m.Truth(m.Fractional((*args, m.Constant(["a", 1])), "flag", KEY, generation))


def matched(pattern: str) -> m.Condition:
    return compile_pattern(pattern, "rust").condition(at("t"), None)


def bucket(*parts: Any, encoding: Encoding = Encoding.UTF8) -> m.InRollout:
    return m.InRollout(m.Bucket(parts, encoding=encoding), ALWAYS)


def versions(dialect: int, *constants: str) -> m.Test:
    return checks(Op.VERSION, "t", *constants, flags=dialect << 4 | 2)


def colliding() -> str:
    """A text that the search's rolling hash takes for as many times the letter a."""
    base, half = 16_777_619, 4

    def hashed(text: str) -> int:
        value = 0
        for letter in text:
            value = (value * base + ord(letter)) % 2**32
        return value

    wanted, shift = hashed("a" * 2 * half), base**half
    letters = [chr(code) for code in range(ord("b"), ord("z") + 1)]
    texts = ["".join(parts) for parts in itertools.product(letters, repeat=half)]
    above = {hashed(text) * shift % 2**32: text for text in texts}
    return next(above[left] + text for text in texts if (left := (wanted - hashed(text)) % 2**32) in above)


SHORT_VERSIONS = tuple(f"1.{number}.0" for number in range(20_000))
LONG_TEXTS = tuple(LONG + f"{number:02}" for number in range(60))
PRE = "1.2.3-" + "a." * 15_000

RULES: dict[str, tuple[m.Condition, Any, Any]] = {
    "nothing": (m.Truth(T), 1, None),
    "text in long ones": (checks(Op.TEXT_IN, "t", *LONG_TEXTS), LONG + "0", None),
    "text in many": (checks(Op.TEXT_IN, "t", *SHORT_VERSIONS), "2", None),
    "long prefixes": (checks(Op.TEXT_PREFIX, "t", *LONG_TEXTS), LONG + "zzz", None),
    "long parts": (checks(Op.TEXT_CONTAINS, "t", "a" * 8000 + "b"), LONG, None),
    "many parts": (checks(Op.TEXT_CONTAINS, "t", *SHORT_VERSIONS), "ab" * 10_000, None),
    "numbers": (checks(Op.NUMBER_COMPARE, "t", *range(20_000), flags=2), -1, None),
    "members": (checks(Op.IN_CONST, "t", *LONG_TEXTS), LONG + "zz", None),
    "expression as a table": (matched("\\w+@[a-f]"), "\u00e9" * 20_000, None),
    "expression as threads": (matched("(?:a|b)*a(?:a|b){4000}c"), LONG, None),
    "semantic versions, long": (versions(0, *(PRE + f"b{n}" for n in range(60))), PRE + "c", None),
    "semantic versions, many": (versions(0, *SHORT_VERSIONS), PRE + "c", None),
    "dotted numbers, clean": (versions(1, *SHORT_VERSIONS), "1." * 10_000 + "1", None),
    "dotted numbers, quirk": (versions(2, *SHORT_VERSIONS), "1." * 10_000 + "1", None),
    "dotted numbers, raw": (versions(3, *SHORT_VERSIONS), "1." * 10_000 + "1", None),
    "dotted numbers, long constants": (versions(3, *("1." * 30_000 + f"{n}" for n in range(60))), "1.2", None),
    "bucket of long text": (bucket(at("t")), LONG, None),
    "bucket of a long literal": (bucket("x" * 4_000_000, at("t")), "a", None),
    "bucket of a long literal, backslash": (bucket("x" * 4_000_000, at("t"), encoding=Encoding.BACKSLASH), "a", None),
    "shares by text": (shares(1, T), LONG, None),
    "shares by a list": (shares(0, OTHER), 1, [1.1] * 1000),
    "shares by an object": (shares(0, OTHER), 1, {f"k{n}": n for n in range(500)}),
    "shares by an object of long keys": (shares(0, OTHER), 1, {"a" * 15_000 + end: 1 for end in "xy"}),
    "equal objects of long keys": (truth(Op.EQUAL, OTHER, OTHER, flags=1), 1, {"a" * 15_000 + end: 1 for end in "xy"}),
    "shares by a constant object": (
        shares(0, m.Constant({"k" * 4000 + f"{n:03}": 1 for n in range(1000)})),
        1,
        None,
    ),
    "digits": (truth(Op.EQUAL, T, 1), "9" * N, None),
    "halfway digits": (truth(Op.EQUAL, T, 1), "2." + "0" * 700 + "1e-324", None),
    "part of text": (truth(Op.IN, U, T), LONG, "a" * 200 + "b"),
    "part of text, colliding": (truth(Op.IN, U, T), "a" * 28_000, "a" * 14_000 + colliding()),
    "long constant in a short text": (truth(Op.IN, "a" * 4_000_000, T), "a", None),
    "key without a dot": (truth(Op.LOOKUP, OTHER, T), LONG, {"k": 1}),
    "order of texts": (truth(Op.COMPARE, T, U, flags=1), "a" * 15_000, "a" * 14_999 + "b"),
    "item of text": (truth(Op.LOOKUP, T, N - 1), LONG, None),
    "end of text": (truth(Op.SUBSTRING, T, -5, 2), LONG, None),
    "end of a long constant": (truth(Op.SUBSTRING, "\u00e9" * 2_000_000, -5, 2), 1, None),
    "member of an object": (truth(Op.LOOKUP, OTHER, "a" * 400), 1, {"a" * 399 + chr(33 + n): 1 for n in range(40)}),
    "missing members": (truth(Op.MISSING, OTHER, [str(n) for n in range(400)]), 1, {str(n): 1 for n in range(400)}),
    "semantic version": (truth(Op.SEM_VER, T, "=", T), "1.2.3-" + "a." * 2000 + "a", None),
    "printed floats": (truth(Op.SEM_VER, 1.5e-300, "=", 2.5e300), 1, None),
    "remainder": (truth(Op.MODULO, 1e308, 3e-308), 1, None),
    "equal lists": (truth(Op.EQUAL, OTHER, ITEMS, flags=1), 1, [1] * 1200),
}


def looped(condition: m.Condition) -> m.Condition:
    never = m.Choose(condition, m.Constant(False), m.Constant(None))
    return m.Truth(m.Loop(LoopKind.SOME, ITEMS, m.Loop(LoopKind.SOME, ITEMS, never)))


def evaluate(name: str, plain: bool) -> tuple[float, str]:
    """Seconds of processor time, and how it ended."""
    condition, t, other = RULES[name]
    compiled = compile_model(flags(rule=asks(condition if plain else looped(condition))))
    instance = Instance()
    instance.load(compiled.ir)
    context = {"t": t, "u": other, "o": other, "items": [1] * 1200, "targetingKey": "u1"}
    Encoder(compiled).encode(context, compiled.flags["rule"].slots, instance.scratch, 0)
    begun = time.thread_time()
    try:
        decision = unpack(instance.evaluate(0))
    except GuestTrapError as trap:
        return time.thread_time() - begun, str(trap)
    finally:
        instance.close()
    return time.thread_time() - begun, "decided" if decision.error is None else str(decision.message)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=RULES, help="this rule and no other")
    parser.add_argument("--plain", action="store_true", help="without the loops")
    parser.add_argument("--limit", type=float, default=4.0, help="seconds of processor time")
    options = parser.parse_args()
    bad = 0
    for name in [options.only] if options.only else RULES:
        seconds, end = evaluate(name, options.plain)
        bad += seconds > options.limit or "trapped" in end
        print(f"{seconds:8.3f} s  {name}: {end}", flush=True)
    print(f"{bad} too dear")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
