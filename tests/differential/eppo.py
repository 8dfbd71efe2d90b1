"""Compares this package with Eppo's own SDK on random universal flag configurations and subjects.

    PYFLAGWASM_EPPO_PYTHON=.../bin/python python tests/differential/eppo.py --pairs 50000 --seed 1

The interpreter in PYFLAGWASM_EPPO_PYTHON must have eppo-server-sdk 4.4. A pair is one flag with one subject, asked for
by one of the five typed getters; value, variant, allocation and kind of outcome must agree, and so must which documents
are refused. Differences that can be explained are counted and printed; the first other one is reduced, shown, and ends
the run with exit code 1. With --dialect datadog this package gets the same flags in Datadog's dialect, in which the SDK
has no word; flags that cannot be used there are not compared.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

from eppo_answers import Answers  # noqa: E402
from eppo_cases import KINDS, PATTERNS, Cases  # noqa: E402
from flagd import smaller  # noqa: E402
from oracle import Child  # noqa: E402

from pyflagwasm.config.regex import PatternError, UnsupportedPattern, compile_pattern  # noqa: E402
from pyflagwasm.errors import ConfigError  # noqa: E402
from pyflagwasm.types import EvaluationDetails  # noqa: E402

DEFAULTS: dict[str, Any] = {
    "boolean": False,
    "string": "caller's",
    "integer": -77,
    "numeric": -7.25,
    "json": {"caller": 1},
}
LENIENT = re.compile(r'"(?:rules|extraLogging)": null|MATCHES", (?:"value": )?\[')
"""What Datadog takes, and Eppo does not."""
Answer = dict[str, Any]


class Oracle(Child):
    def __init__(self, python: str) -> None:
        super().__init__(python, "eppo_oracle.py", "eppo-server-sdk")

    def answers(self, document: Any, calls: list[Any]) -> list[Answer] | str:
        """One for each call, or why it refuses the document."""
        found: list[Answer] | str = self.ask(document=document, calls=calls)
        return found


class Ours:
    """This package, from the document's text on, in core.wasm."""

    def __init__(self, dialect: str = "eppo") -> None:
        self.dialect = dialect

    def answers(self, document: Any, calls: list[Any]) -> list[EvaluationDetails | None] | str:
        """One for each call, None for what is not compared, or why the document is refused."""
        datadog = self.dialect == "datadog"
        try:
            answers = Answers(translated(document) if datadog else document, self.dialect, time.time_ns() // 1000)
        except ConfigError as error:
            return str(error)
        flawed = {flag.key for flag in answers.model.flags if datadog and flag.problem is not None}
        json_flags = {flag.key for flag in answers.model.flags if flag.type == "object"}
        found: list[EvaluationDetails | None] = []
        for key, kind, subject, attributes in calls:
            if key in flawed:
                found.append(None)
                continue
            # without a default there is no check of the type: a JSON flag may have any value
            default = None if kind == "json" and key in json_flags else DEFAULTS[kind]
            found.append(answers(key, {**attributes, "targetingKey": subject}, default))
        return found


def translated(document: Any) -> Any:
    """The document in Datadog's dialect, as far as its flags have the usual shape."""
    document = deepcopy(document)
    document.pop("format", None)
    for flag in document["flags"].values() if isinstance(document.get("flags"), dict) else ():
        try:
            total = flag.pop("totalShards")
            sound = type(total) is int and 0 < total < 2**32
            if not sound or flag["enabled"] is not True or LENIENT.search(exact(flag)):
                flag["key"] = None
            for allocation in flag["allocations"]:
                for split in allocation["splits"]:
                    for shard in split["shards"]:
                        shard["totalShards"] = total
            for variation in flag["variations"].values():
                if flag["variationType"] == "JSON":
                    text = variation["value"].replace("[" * 100, "nested too deep")
                    value = json.loads(text, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits))
                    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
                    variation["value"] = value
                elif flag["variationType"] == "INTEGER" and type(variation["value"]) in (int, float):
                    number = float(variation["value"])
                    variation["value"] = int(number) if number.is_integer() else number
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            if isinstance(flag, dict):
                flag["key"] = None  # which leaves it out of the comparison
    return document


# ---------------------------------------------------------------- comparison


def exact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # tells true, 1 and 1.0 apart


def difference(document: Any, call: Any, ours: EvaluationDetails, theirs: Answer) -> str | None:
    """None if they agree; else what explains it, or the empty text."""
    key, kind, _, attributes = call
    flag = document["flags"].get(key)
    text = exact(flag)
    if ours.error_code == "PARSE_ERROR" and "MATCHES" in text and any(pattern in text for pattern in UNSUPPORTED):
        return "a regular expression that this package does not support"
    raised = theirs["raised"]
    if raised == "PanicException" and flag_shards(flag) == 0:
        return None if ours.error_code == "GENERAL" else ""
    if raised is not None and any(isinstance(v, (list, dict)) or v == 10**400 for v in attributes.values()):
        return f"the SDK raises {raised} for an attribute that is no text, boolean, null or double"
    if agree(flag, ours, theirs):
        return None
    asked = kind, flag_kind(flag)
    if theirs["code"] == "TYPE_MISMATCH" and asked in (("numeric", "INTEGER"), ("integer", "NUMERIC")):
        return "an INTEGER asked for as NUMERIC, or the other way round: this package has one type for numbers"
    if theirs["code"] == "MATCH" and exact(misread(ours.value)) == exact(theirs["value"]):
        return "the SDK reads a number of the document inexactly"
    variations, allocations = flag[3:5] if isinstance(flag, list) else (flag["variations"], flag["allocations"])
    if repeated(variations.values()):
        return "two variations of one key: the SDK takes one at random"
    if repeated(allocations) and (exact(ours.value), ours.variant) == (exact(theirs["value"]), theirs["variant"]):
        return "two allocations of one key: the SDK's details mix them up"
    return ""


def agree(flag: Any, ours: EvaluationDetails, theirs: Answer) -> bool:
    match theirs["code"]:
        case "MATCH":
            return (
                ours.error_code is None
                and (exact(ours.value), ours.variant) == (exact(theirs["value"]), theirs["variant"])
                and ours.metadata["allocationKey"] == theirs["allocation"]
                and (ours.reason == "TARGETING_MATCH") == theirs["ruled"]
            )
        case "DEFAULT_ALLOCATION_NULL":
            return ours.error_code is None and ours.variant is None and ours.reason == "DEFAULT"
        case "FLAG_UNRECOGNIZED_OR_DISABLED":
            return ours.error_code == "FLAG_NOT_FOUND" if flag is None else ours.reason == "DISABLED"
        case "TYPE_MISMATCH":  # looked at before anything else there, and after it here
            return ours.error_code in ("TYPE_MISMATCH", "GENERAL")
        case "UNEXPECTED_CONFIGURATION_ERROR":
            return ours.error_code in ("PARSE_ERROR", "GENERAL")
    return False


def flag_kind(flag: Any) -> Any:
    kind = flag[2] if isinstance(flag, list) else flag["variationType"]
    return next(iter(kind), None) if isinstance(kind, dict) else kind


def flag_shards(flag: Any) -> Any:
    return flag[5] if isinstance(flag, list) else flag["totalShards"]


def repeated(members: Any) -> bool:
    """Whether two variations or allocations have one key."""
    keys = [each[0] if isinstance(each, list) else each["key"] for each in members]
    return len(set(keys)) < len(keys)


def misread(value: Any) -> Any:
    """A value with its numbers as a decoder gives them that scales 19 digits by a power of ten in doubles."""
    if isinstance(value, dict):
        return {key: misread(each) for key, each in value.items()}
    if isinstance(value, list):
        return [misread(each) for each in value]
    if not isinstance(value, float):
        return value
    mantissa, _, exponent = repr(value).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and exponent else fraction
    scale = int(exponent or 0) - len(fraction)
    number = float(int(whole + fraction))
    while scale:
        step = min(abs(scale), 308)
        number = number * float(f"1e{step}") if scale > 0 else number / float(f"1e{step}")
        scale -= step if scale > 0 else -step
    return number


def unsupported() -> Iterator[str]:
    for pattern in PATTERNS:
        try:
            compile_pattern(pattern, "rust")
        except UnsupportedPattern:
            yield exact(pattern)
        except PatternError:
            pass


UNSUPPORTED: tuple[str, ...] = tuple(unsupported())


# ---------------------------------------------------------------- the run


def differs(ours: Ours, oracle: Oracle, document: Any, call: Any) -> bool:
    try:
        mine, theirs = ours.answers(document, [call]), oracle.answers(document, [call])
        if isinstance(mine, str) or isinstance(theirs, str):
            return isinstance(mine, str) is not isinstance(theirs, str)
        return mine[0] is not None and difference(document, call, mine[0], theirs[0]) == ""
    except (AttributeError, KeyError, IndexError, TypeError):  # too small to be looked at
        return False


def reduced(ours: Ours, oracle: Oracle, document: Any, call: Any, seconds: float = 30.0) -> tuple[Any, Any]:
    """A smaller document and subject with a difference."""
    deadline, key = time.monotonic() + seconds, call[0]
    found = True
    while found and time.monotonic() < deadline:
        found = False
        for part in smaller([document, call[3]]):
            if time.monotonic() > deadline:
                break
            if not isinstance(part, list) or len(part) != 2 or not all(isinstance(x, dict) for x in part):
                continue
            if isinstance(part[0].get("flags"), dict) and differs(ours, oracle, part[0], [*call[:3], part[1]]):
                if key in document["flags"] and key not in part[0]["flags"]:
                    continue
                document, call, found = part[0], [*call[:3], part[1]], True
                break
    return document, call


def show(ours: Ours, oracle: Oracle, document: Any, call: Any) -> None:
    print(json.dumps(document, indent=1, ensure_ascii=False))
    print("call   ", json.dumps(call, ensure_ascii=False))
    for name, side in (("ours   ", ours), ("theirs ", oracle)):
        answers = side.answers(document, [call])  # type: ignore[attr-defined]
        print(name, answers if isinstance(answers, str) else answers[0])


def run(ours: Ours, oracle: Oracle, cases: Cases, pairs: int, seed: int) -> int:
    outcomes, explained, refused = Counter[str](), Counter[str](), 0
    done, started = 0, time.monotonic()
    while done < pairs:
        document = cases.document()
        calls = [
            [key, kind_of(flag, cases), cases.subject(), cases.attributes()]
            for key, flag in document["flags"].items()
            for _ in range(12)
        ]
        if cases.chance(0.05):
            calls.append(["gone", "string", "u", {}])
        theirs, mine = oracle.answers(document, calls), ours.answers(document, calls)
        if isinstance(theirs, str) or isinstance(mine, str):
            refused += 1
            if isinstance(theirs, str) is not isinstance(mine, str) and ours.dialect == "eppo":
                print(f"seed {seed}, pair {done}: one refuses the document; reducing ...")
                show(ours, oracle, *reduced(ours, oracle, document, calls[0]))
                return 1
            continue
        for call, my, their in zip(calls, mine, theirs, strict=True):
            if my is None:
                continue
            done += 1
            outcomes[their["raised"] or f"{their['code']} {my.reason}"] += 1
            why = difference(document, call, my, their)
            if why:
                explained[why] += 1
            elif why is not None:
                print(f"seed {seed}, pair {done}: a difference; reducing ...")
                show(ours, oracle, *reduced(ours, oracle, document, call))
                return 1
    spent = time.monotonic() - started
    print(f"{done} pairs agree in {spent:.0f} s, {refused} documents refused; {dict(outcomes.most_common())}")
    for why, count in explained.most_common():
        print(f"{count:6} explained: {why}")
    return 0


def kind_of(flag: Any, cases: Cases) -> str:
    try:
        fits = KINDS[flag_kind(flag)]
    except (KeyError, IndexError, TypeError):
        fits = "string"
    return cases.random.choice(list(KINDS.values())) if cases.chance(0.08) else fits


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dialect", choices=["eppo", "datadog"], default="eppo")
    parser.add_argument("--without-patterns", action="store_true", help="no regular expressions")
    given = parser.parse_args()
    python = os.environ.get("PYFLAGWASM_EPPO_PYTHON")
    if not python:
        print("PYFLAGWASM_EPPO_PYTHON must name an interpreter that has eppo-server-sdk", file=sys.stderr)
        return 2
    oracle = Oracle(python)
    try:
        cases = Cases(Random(given.seed), patterns=not given.without_patterns)
        return run(Ours(given.dialect), oracle, cases, given.pairs, given.seed)
    finally:
        oracle.close()


if __name__ == "__main__":
    sys.exit(main())
