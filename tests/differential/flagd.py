"""Compares this package with flagd's own evaluator on random flag definitions and contexts.

    PYFLAGWASM_FLAGD_PYTHON=.../bin/python python tests/differential/flagd.py --pairs 50000 --seed 1

The interpreter in PYFLAGWASM_FLAGD_PYTHON must have openfeature-flagd-core: 2.x for --generation cbor, 1.x for text.
A pair is one flag with one context; value, variant, reason and error code must agree. Differences that the package
documents are counted and printed; the first other one is reduced, shown, and ends the run with exit code 1.
With --reference the configuration is evaluated by tests/reference.py instead of core.wasm.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

from flagd_answers import NOW, Answers, Engine, core, reference  # noqa: E402
from flagd_cases import KINDS, Cases  # noqa: E402
from oracle import Child  # noqa: E402

from pyflagwasm.errors import ConfigError  # noqa: E402

Answer = dict[str, Any]


class Oracle(Child):
    def __init__(self, python: str) -> None:
        super().__init__(python, "flagd_oracle.py", "openfeature-flagd-core")

    def answers(self, document: Any, calls: list[Any]) -> list[Answer] | str:
        """One for each call, or why it refuses the document."""
        found: list[Answer] | str = self.ask(document=document, now=NOW, calls=calls)
        return found


class Ours:
    """This package, as lenient as flagd's evaluator."""

    def __init__(self, engine: Engine, generation: str) -> None:
        self.engine = engine
        self.options = {"validation": "lenient", "fractional": generation}

    def answers(self, document: Any, calls: list[Any]) -> list[Answer] | str:
        try:
            answers = Answers(document, self.options, self.engine)
        except ConfigError as error:
            return str(error)
        return [asdict(answers(key, context, kind)) for key, kind, context in calls]


# ---------------------------------------------------------------- comparison


def exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # tells true, 1 and 1.0 apart


def difference(ours: Answer, theirs: Answer) -> str | None:
    """None if they agree; else what explains it, or the empty text."""
    if all(exact(ours[name]) == exact(theirs[name]) for name in ("value", "variant", "reason", "error")):
        return None
    if ours["limit"]:
        return f"a limit: {ours['limit']}"
    return "; ".join(theirs["marks"])


def differs(ours: Ours, oracle: Oracle, document: Any, call: Any) -> bool:
    mine, theirs = ours.answers(document, [call]), oracle.answers(document, [call])
    if isinstance(mine, str) or isinstance(theirs, str):
        return False
    return difference(mine[0], theirs[0]) == ""


def smaller(value: Any) -> Iterator[Any]:
    """Values with one part left out or put in the place of its owner."""
    if isinstance(value, dict):
        yield from value.values()
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            for part in smaller(value[key]):
                yield value | {key: part}
    elif isinstance(value, list):
        yield from value
        for i in range(len(value)):
            yield [*value[:i], *value[i + 1 :]]
            for part in smaller(value[i]):
                yield [*value[:i], part, *value[i + 1 :]]
    elif isinstance(value, str) and value:
        yield value[1:]


def reduced(ours: Ours, oracle: Oracle, document: Any, call: Any, seconds: float = 30.0) -> tuple[Any, Any]:
    """A smaller document and context with a difference."""
    deadline, key = time.monotonic() + seconds, call[0]
    document = document | {"flags": {key: document["flags"][key]}} if key in document["flags"] else document
    found = True
    while found and time.monotonic() < deadline:
        found = False
        for part in smaller([document, call[2]]):
            if time.monotonic() > deadline:
                break
            if not isinstance(part, list) or len(part) != 2 or not all(isinstance(x, dict) for x in part):
                continue
            if key in part[0].get("flags", {}) and differs(ours, oracle, part[0], [key, call[1], part[1]]):
                document, call, found = part[0], [key, call[1], part[1]], True
                break
    return document, call


def show(ours: Ours, oracle: Oracle, document: Any, call: Any) -> None:
    print(json.dumps(document, indent=1, ensure_ascii=False))
    print("call   ", json.dumps(call, ensure_ascii=False))
    for name, side in (("ours   ", ours), ("theirs ", oracle)):
        answers = side.answers(document, [call])  # type: ignore[attr-defined]
        print(name, answers if isinstance(answers, str) else answers[0])


def run(ours: Ours, oracle: Oracle, pairs: int, seed: int) -> int:
    cases, outcomes, explained, refusals = Cases(Random(seed)), Counter[str](), Counter[str](), 0
    done, started = 0, time.monotonic()
    while done < pairs:
        document = cases.document()
        calls = [
            [key, kind_of(flag, cases.random), cases.context()]
            for key, flag in document["flags"].items()
            for _ in range(6)
        ]
        if cases.chance(0.05):
            calls.append(["gone", "string", {}])
        theirs, mine = oracle.answers(document, calls), ours.answers(document, calls)
        if isinstance(theirs, str) or isinstance(mine, str):
            refusals += 1
            explained[f"refused: {mine if isinstance(mine, str) else theirs}"] += 1
            continue
        for call, my, their in zip(calls, mine, theirs, strict=True):
            done += 1
            outcomes[their["error"] or their["reason"]] += 1
            why = difference(my, their)
            if why:
                explained[why] += 1
            elif why is not None:
                print(f"seed {seed}, pair {done}: a difference; reducing ...")
                show(ours, oracle, *reduced(ours, oracle, document, call))
                return 1
    print(f"{done} pairs agree in {time.monotonic() - started:.0f} s; {dict(outcomes.most_common())}")
    for why, count in explained.most_common():
        print(f"{count:6} explained: {why}")
    return 0


def kind_of(flag: Mapping[str, Any], random: Random) -> str:
    if random.random() < 0.1:
        return random.choice(KINDS)
    value = next((v for v in flag["variants"].values() if v is not None), False)
    kinds = {bool: "boolean", str: "string", int: "integer", float: "float", dict: "object", list: "object"}
    return "float" if kinds[type(value)] == "integer" and random.random() < 0.5 else kinds[type(value)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--generation", choices=["cbor", "text"], default="cbor")
    parser.add_argument("--reference", action="store_true")
    given = parser.parse_args()
    python = os.environ.get("PYFLAGWASM_FLAGD_PYTHON")
    if not python:
        print("PYFLAGWASM_FLAGD_PYTHON must name an interpreter that has openfeature-flagd-core", file=sys.stderr)
        return 2
    oracle = Oracle(python)
    try:
        engine = reference() if given.reference else core()
        return run(Ours(engine, given.generation), oracle, given.pairs, given.seed)
    finally:
        oracle.close()


if __name__ == "__main__":
    sys.exit(main())
