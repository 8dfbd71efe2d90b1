"""Compares this package with GrowthBook's own SDK on random payloads and contexts.

    PYFLAGWASM_GROWTHBOOK_PYTHON=.../bin/python python tests/differential/growthbook.py --pairs 50000 --seed 1

The interpreter in PYFLAGWASM_GROWTHBOOK_PYTHON must have growthbook 3.2.2. A pair is one feature (`eval_feature`) or
one experiment (`run`) with one context; value, variant, reason, rule and leaf must agree. Differences that the package
documents are counted and printed; the first other one is reduced, shown, and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

from flagd import smaller  # noqa: E402
from growthbook_cases import Cases  # noqa: E402
from oracle import Child  # noqa: E402

import pyflagwasm  # noqa: E402

Answer = dict[str, Any]
CONTEXTS = 6
MALFORMED = re.compile(r"\.(filters|ranges?|namespace)\b[^;]* must (be|have) ")


class Oracle(Child):
    def __init__(self, python: str) -> None:
        super().__init__(python, "growthbook_oracle.py", "growthbook 3.2.2", "-P")

    def answers(self, document: Any, options: Any, calls: list[Any]) -> list[Answer]:
        found: list[Answer] = self.ask(document=document, options=options, calls=calls)
        return found


def ours(document: Any, options: Any, calls: list[Any]) -> list[Answer]:
    async def run() -> list[Answer]:
        async with pyflagwasm.open(document, format="growthbook", options=options) as flags:
            return [vars_of(await flags.details(key, context)) for _, key, context in calls]

    return asyncio.run(run())


def vars_of(details: pyflagwasm.EvaluationDetails) -> Answer:
    return {
        "value": details.value,
        "variant": details.variant,
        "reason": str(details.reason),
        "error": details.error_message,
        "ruleId": details.metadata.get("ruleId"),
        "leafId": details.metadata.get("leafId"),
    }


# ---------------------------------------------------------------- comparison


def expected(theirs: Answer) -> Answer:
    """What an answer of the SDK should be here."""
    source, variant = theirs["source"], theirs["variant"]
    reason = {"force": "TARGETING_MATCH", "defaultValue": "DEFAULT", "out": "DEFAULT"}.get(source, "DEFAULT")
    if source in ("experiment", "in"):
        reason = "SPLIT" if theirs["hashed"] else "TARGETING_MATCH"
    if source == "defaultValue":
        variant = "default"
    found = {"value": theirs["value"], "reason": reason}
    if theirs["value"] is None:
        variant = None
    if source != "force":
        found["variant"] = variant
    if source in ("force", "experiment"):
        found["ruleId"] = theirs["ruleId"] or None
    if source == "experiment" and theirs["hashed"]:
        found["leafId"] = theirs["leafId"]
    return found


def exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # tells true, 1 and 1.0 apart


def difference(mine: Answer, theirs: Answer) -> str | None:
    """None if they agree; else what explains it, or the empty text."""
    if theirs["raised"]:
        return None if mine["reason"] == "ERROR" else ""
    if all(exact(mine[name]) == exact(value) for name, value in expected(theirs).items()):
        return None
    if mine["reason"] == "ERROR" and MALFORMED.search(mine["error"]):
        return "a malformed filter, range or namespace, over which the SDK stumbles in some buckets only"
    return "; ".join(theirs["marks"])


def differs(oracle: Oracle, document: Any, options: Any, call: Any) -> tuple[str, Any] | None:
    """How they differ, if they do and nothing explains it."""
    try:
        mine, theirs = ours(document, options, [call])[0], oracle.answers(document, options, [call])[0]
    except pyflagwasm.ConfigError:
        return None
    return (mine["reason"], theirs["raised"] or theirs["source"]) if difference(mine, theirs) == "" else None


def reduced(oracle: Oracle, document: Any, options: Any, call: Any, seconds: float = 40.0) -> tuple[Any, Any, Any]:
    """A smaller document, options and context with a difference."""
    deadline, found, how = time.monotonic() + seconds, True, differs(oracle, document, options, call)
    while found and time.monotonic() < deadline:
        found = False
        for part in smaller([document, options, call[2]]):
            if time.monotonic() > deadline:
                break
            if not isinstance(part, list) or len(part) != 3 or not all(isinstance(x, dict) for x in part):
                continue
            features, experiments = part[0].get("features", {}), part[0].get("experiments", [])
            held = features if call[0] == "feature" else [e.get("key") for e in experiments if isinstance(e, dict)]
            if call[1] in held and differs(oracle, part[0], part[1], [*call[:2], part[2]]) == how:
                document, options, call, found = part[0], part[1], [*call[:2], part[2]], True
                break
    return document, options, call


def run(oracle: Oracle, pairs: int, seed: int) -> int:
    cases, outcomes, explained = Cases(Random(seed)), Counter[str](), Counter[str]()
    done, started = 0, time.monotonic()
    while done < pairs:
        document, options = cases.document(), cases.options()
        contexts = [cases.context() for _ in range(CONTEXTS)]
        calls = [["feature", key, context] for key in document["features"] for context in contexts]
        calls += [["run", each["key"], context] for each in document["experiments"] for context in contexts]
        theirs = oracle.answers(document, options, calls)
        for call, my, their in zip(calls, ours(document, options, calls), theirs, strict=True):
            done += 1
            outcomes[f"raised {their['raised']}" if their["raised"] else their["source"]] += 1
            why = difference(my, their)
            if why:
                explained[why] += 1
            elif why is not None:
                print(f"seed {seed}, pair {done}: a difference; reducing ...")
                document, options, call = reduced(oracle, document, options, call)
                print(json.dumps(document, indent=1, ensure_ascii=False), json.dumps(options), json.dumps(call))
                print("ours  ", ours(document, options, [call])[0])
                print("theirs", oracle.answers(document, options, [call])[0])
                return 1
    print(f"{done} pairs agree in {time.monotonic() - started:.0f} s; {dict(outcomes.most_common())}")
    for why, count in explained.most_common():
        print(f"{count:6} explained: {why}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    python = os.environ.get("PYFLAGWASM_GROWTHBOOK_PYTHON")
    if not python:
        print("PYFLAGWASM_GROWTHBOOK_PYTHON must name an interpreter that has growthbook 3.2.2", file=sys.stderr)
        return 2
    oracle = Oracle(python)
    try:
        return run(oracle, given.pairs, given.seed)
    finally:
        oracle.close()


if __name__ == "__main__":
    sys.exit(main())
