"""Compares regular expressions in the core with Python's `re`, and with crate regex.

    python tests/differential/regex.py --dialect python --pairs 50000 --seed 1
    PYFLAGWASM_RUST_REGEX=.../regex-oracle python tests/differential/regex.py --dialect rust --pairs 50000 --seed 1

The program in PYFLAGWASM_RUST_REGEX is regex_oracle.rs, built with the crates `regex` and `serde_json`. A pair is one
random pattern with one random text. Whether a pattern is valid must agree as well; those that are valid and
unsupported are counted. Where both differ only because their Unicode data are of other versions, texts avoid it. Prints
one line of counts and exits with 1 if there was a difference.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from golden_models import asks, at, flags  # noqa: E402
from patterns import Patterns  # noqa: E402

from pyflagwasm.config import regex  # noqa: E402
from pyflagwasm.config.compile import compile_model  # noqa: E402
from pyflagwasm.config.regex import Pattern, PatternError, UnsupportedPattern, compile_pattern  # noqa: E402
from pyflagwasm.config.regex import program as program_module  # noqa: E402
from pyflagwasm.runtime.decode import unpack  # noqa: E402
from pyflagwasm.runtime.encode import Encoder  # noqa: E402
from pyflagwasm.runtime.instance import Instance  # noqa: E402

Answers = list[bool] | str
"""Of each text whether it matches, or why the pattern is invalid."""


def python(pattern: str, texts: list[str]) -> Answers:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern)
    except (re.error, OverflowError) as error:
        return str(error)
    return [compiled.search(text) is not None for text in texts]


def crate(program: str) -> Callable[[str, list[str]], Answers]:
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(pattern: str, texts: list[str]) -> Answers:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"pattern": pattern, "texts": texts}) + "\n")
        process.stdin.flush()
        answers: Answers = json.loads(process.stdout.readline())
        return answers

    return ask


class Core:
    """Evaluates patterns in the core: as many as there are, each with each text."""

    def __init__(self) -> None:
        self.instance = Instance()

    def answers(self, patterns: list[Pattern], texts: list[str]) -> list[list[bool]]:
        """Of each text, for each pattern."""
        tests = {f"f{i}": asks(pattern.condition(at("t"), None)) for i, pattern in enumerate(patterns)}
        compiled = compile_model(flags(None, **tests))
        self.instance.load(compiled.ir)
        encoder, found = Encoder(compiled), []
        for text in texts:
            encoder.encode({"t": text}, tuple(range(len(compiled.slots))), self.instance.scratch, 0)
            decisions = [unpack(packed) for packed in self.instance.evaluate_many(range(len(patterns)))]
            assert all(decision.variant in (0, 1) for decision in decisions), decisions
            found.append([decision.variant == 0 for decision in decisions])
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialect", choices=("python", "rust"), default="python")
    parser.add_argument("--pairs", type=int, default=50_000, help="stop after so many pairs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", action="store_true", help="make no tables and no tests of texts")
    parser.add_argument("--show", type=int, default=10, help="print so many differences")
    options = parser.parse_args()
    oracle: Any = python
    if options.dialect == "rust":
        program = os.environ.get("PYFLAGWASM_RUST_REGEX")
        if not program:
            print("PYFLAGWASM_RUST_REGEX does not name the built regex_oracle.rs: nothing is compared")
            return 0
        oracle = crate(program)
    counts, differences, begun, slowest = Counter[str](), 0, time.monotonic(), (0.0, "")
    if options.threads:
        program_module.tabulate = lambda threads: None
        regex.tests = lambda tree: None
    rng, core = Random(options.seed), Core()
    draw = Patterns(rng, options.dialect)

    def differ(*what: object) -> None:
        nonlocal differences
        differences += 1
        if differences <= options.show:
            print(*what, flush=True)

    while counts["pairs"] < options.pairs:
        patterns: list[str] = []
        compiled: list[Pattern] = []
        texts: list[str] = []
        for _ in range(30):
            pattern = draw.pattern()
            mine = [draw.text(pattern) for _ in range(4)]
            expected = oracle(pattern, mine)
            started = time.perf_counter()
            try:
                made = compile_pattern(pattern, options.dialect)
            except PatternError as error:
                counts["invalid"] += 1
                if not isinstance(expected, str):
                    differ("refused:", ascii(pattern), error)
                continue
            except UnsupportedPattern:
                counts["unsupported"] += 1
                if isinstance(expected, str):
                    counts["unsupported and invalid"] += 1
                continue
            slowest = max(slowest, (time.perf_counter() - started, pattern))
            if isinstance(expected, str):
                differ("not refused:", ascii(pattern), expected.splitlines()[-1])
                continue
            patterns.append(pattern)
            compiled.append(made)
            texts += mine
        counts["patterns"] += len(patterns)
        expected = [oracle(pattern, texts) for pattern in patterns]
        answers = core.answers(compiled, texts)
        for i, pattern in enumerate(patterns):
            for j, text in enumerate(texts):
                counts["pairs"] += 1
                counts["matches"] += answers[j][i]
                if answers[j][i] != expected[i][j]:
                    differ("differs:", ascii(pattern), ascii(text), "expected", expected[i][j])
    print(
        f"{options.dialect}, seed {options.seed}: {', '.join(f'{count} {name}' for name, count in counts.items())}, "
        f"{differences} differences, {time.monotonic() - begun:.0f} s; "
        f"slowest to compile {slowest[0] * 1000:.0f} ms: {slowest[1]!a}"
    )
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
