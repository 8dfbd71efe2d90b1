"""Random DevCycle configurations: this package against DevCycle's own module, or against the corrected rules.

    PYFLAGWASM_DEVCYCLE_PYTHON=.../bin/python PYFLAGWASM_DEVCYCLE_ORACLE=.../devcycle \
        python tests/differential/devcycle.py --triples 200000 --seed 1 [--semantics corrected] [--engine core]

A triple is a configuration, a user at a time, and a flag; compared are value, variation, reason, details, target, and
that an error answers where the other side gives up. The other side runs in the interpreter of the first variable
(devcycle_worker.py). Prints one line of counts; at the first difference prints a reduced case and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]

from devcycle_answers import Answer, Answers  # noqa: E402
from devcycle_configs import NOW_MS, Configs  # noqa: E402

from pyflagwasm.config.formats.devcycle.rollout import date_ms  # noqa: E402
from pyflagwasm.config.formats.devcycle.semantics import VENDOR  # noqa: E402
from pyflagwasm.errors import ConfigError  # noqa: E402

JSON = dict[str, Any]
USERS = 12
TRIES = 400  # of the reduction


class Other:
    """The worker."""

    def __init__(self) -> None:
        python = os.environ["PYFLAGWASM_DEVCYCLE_PYTHON"]
        worker = [python, str(HERE / "devcycle_worker.py")]
        self.process = subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")

    def ask(self, request: JSON) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise SystemExit("the other side ended: see its message above")
        return json.loads(reply)


class Case:
    """One configuration on both sides."""

    def __init__(self, config: JSON, setup: JSON, other: Other, engine: str, spoiled: int | None = None) -> None:
        self.config, self.setup, self.other, self.spoiled = config, setup, other, spoiled
        options = {
            "platform": setup["platform"],
            "client_custom_data": setup["client"],
            "semantics": setup["semantics"],
        }
        self.mine = Answers(config, options, engine)
        theirs = config
        if spoiled is not None:  # they refuse all of it: let them see a feature without targets
            theirs = json.loads(json.dumps(config))
            theirs["features"][spoiled]["configuration"]["targets"] = []
        refused = other.ask({**setup, "config": theirs})["abort"]
        if refused:
            raise ConfigError("$", f"refused by the other side: {refused}")
        # the last definition of a key is the one that counts
        self.questions = [[v["key"], v["type"]] for v in {v["key"]: v for v in config["variables"]}.values()]

    def compare(self, user: JSON, now_ms: int) -> Iterator[tuple[str, str | None, str]]:
        """(flag, what differs or None, what kind of answer it was) for each flag."""
        theirs = self.other.ask({"now_ms": now_ms, "user": user, "questions": self.questions})
        for (key, _), expected in zip(self.questions, theirs["answers"], strict=True):
            answer = self.mine(key, user, now_ms)
            yield key, self._difference(key, answer, expected, theirs["variations"]), _word(expected, answer)

    def _difference(self, key: str, answer: Answer, expected: JSON | None, variations: JSON | None) -> str | None:
        entry = self.mine.config.flags[key]
        if entry.problem:
            broken = (self.spoiled is not None and "PARSE_ERROR") or "GENERAL"
            return None if answer.error == broken else f"{answer} of a flag with the problem {entry.problem}"
        if expected and "abort" in expected:
            if answer.error or (answer.defaulted and "feature" not in entry.metadata):
                return None
            return f"{answer}, the other side gives up: {expected['abort']}"
        if expected is None:
            return None if answer.defaulted else f"{answer}, the other side serves the default"
        for name in ("value", "reason", "details", "feature", "target"):
            if not _same(getattr(answer, name), expected[name]):
                return f"{answer}, the other side's {name} is {expected[name]!r}"
        if variations is not None and variations.get(expected["feature"]) != answer.variant:
            return f"{answer}, the other side's variation is {variations.get(expected['feature'])!r}"
        return None


def _word(expected: JSON | None, answer: Answer) -> str:
    if answer.error or (expected and "abort" in expected):
        return "errors"
    return "served" if answer.variant is not None else "defaults"


def _same(a: Any, b: Any) -> bool:
    """Equal JSON values; true is not 1, but 1.0 is."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, bool) is isinstance(b, bool) and bool(a == b)


# ---------------------------------------------------------------- reduction


def _parts(json_value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = json_value.items() if isinstance(json_value, dict) else enumerate(json_value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, (dict, list)):
            yield from _parts(item, (*path, key))


def _without(whole: Any, path: tuple[Any, ...]) -> Any:
    copied = json.loads(json.dumps(whole))
    at = copied
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return copied


def reduced(whole: JSON, differs: Callable[[JSON], bool]) -> JSON:
    """`whole` without members and items that the difference does not need."""
    tries, found = 0, True
    while found:
        found = False
        for path in sorted(_parts(whole), key=len):
            tries += 1
            if tries > TRIES:
                return whole
            smaller = _without(whole, path)
            if differs(smaller):
                whole, found = smaller, True
                break
    return whole


# ---------------------------------------------------------------- runs


def run_dates(rng: random.Random, other: Other, count: int) -> int:
    """Spellings of dates, where the module reads what RFC 3339 does not know."""
    configs = Configs(rng, sloppy=True)
    for _ in range(count):
        text = configs.sloppy_date()
        try:
            ms = date_ms(text, "date", VENDOR)
        except ConfigError:
            passed, expected = other.ask({"date": text, "now_ms": [0]})["passed"], None
        else:
            passed, expected = other.ask({"date": text, "now_ms": [ms - 1, ms]})["passed"], [False, True]
        if passed != expected:
            print(f"the date {text!r}: {expected} here, {passed} there")
            raise SystemExit(1)
    return count


def run(args: argparse.Namespace) -> str:
    rng = random.Random(args.seed)
    other = Other()
    vendor = args.semantics == "vendor"
    counts: Counter[str] = Counter()
    dates = run_dates(rng, other, min(2000, args.triples // 10)) if vendor else 0
    while counts["triples"] < args.triples:
        configs = Configs(rng, sloppy=vendor)
        config = configs.config()
        setup = {"semantics": args.semantics, "platform": configs.platform(), "client": configs.client_data()}
        spoiled = None
        if configs.chance(0.03):
            spoiled = rng.randrange(len(config["features"]))
            configs.break_feature(config["features"][spoiled])
        elif vendor and configs.chance(0.005):
            configs.circle(config)
        case = Case(config, setup, other, args.engine, spoiled)
        counts["configurations"] += 1
        counts["broken"] += bool(any(flag.problem for flag in case.mine.model.flags))
        for _ in range(USERS):
            user = configs.user()
            now_ms = NOW_MS + rng.choice(
                [0, 0, 1, -1, 2, rng.randrange(-(10**9), 10**9), rng.randrange(-(10**7), 10**7)]
            )
            for key, difference, word in case.compare(user, now_ms):
                counts["triples"] += 1
                counts[word] += 1
                if difference:
                    report(case, args.engine, user, now_ms, key, difference)
    told = ", ".join(f"{counts[word]} {word}" for word in ("served", "defaults", "errors"))
    how = f"semantics {args.semantics}, engine {args.engine}, seed {args.seed}"
    whole = f"{counts['configurations']} configurations, {counts['broken']} with a broken feature, {dates} dates"
    return f"{counts['triples']} triples equal ({told}), {whole}; {how}"


def report(case: Case, engine: str, user: JSON, now_ms: int, key: str, difference: str) -> None:
    print(f"flag {key!r}: {difference}")

    def differs(whole: JSON) -> bool:
        try:
            smaller = Case(whole["config"], {**case.setup, "client": whole["client"]}, case.other, engine, case.spoiled)
            return any(flag == key and what for flag, what, _ in smaller.compare(whole["user"], now_ms))
        except (ConfigError, LookupError, TypeError, AttributeError):
            return False

    whole = reduced({"config": case.config, "client": case.setup["client"], "user": user}, differs)
    print(json.dumps({**case.setup, **whole, "now_ms": now_ms}, indent=1))
    raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triples", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--semantics", choices=("vendor", "corrected"), default="vendor")
    parser.add_argument("--engine", choices=("core", "reference"), default="core")
    args = parser.parse_args()
    for name in ("PYFLAGWASM_DEVCYCLE_PYTHON", "PYFLAGWASM_DEVCYCLE_ORACLE"):
        if name not in os.environ:
            parser.error(f"{name} is not set")
    print(run(args))


if __name__ == "__main__":
    main()
