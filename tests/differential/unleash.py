"""Compares this package with Unleash's own engine on random client features and contexts.

    PYFLAGWASM_UNLEASH_PYTHON=.../bin/python python tests/differential/unleash.py --pairs 50000 --seed 1

The interpreter in PYFLAGWASM_UNLEASH_PYTHON must have UnleashClient 6.9. A pair is one feature with one context:
whether it is enabled and its whole variant must agree, and so must the refusal of a document. --words client sends
contexts through UnleashClient's own preparation. What the engine draws at random is compared as counts, at the end.
The first difference that is not explained is shown, and ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

from oracle import Child  # noqa: E402
from unleash_cases import Cases  # noqa: E402

from pyflagwasm.config.compile import compile_model  # noqa: E402
from pyflagwasm.config.formats import load  # noqa: E402
from pyflagwasm.errors import ConfigError  # noqa: E402
from pyflagwasm.runtime.decode import unpack  # noqa: E402
from pyflagwasm.runtime.encode import Encoder  # noqa: E402
from pyflagwasm.runtime.instance import Instance  # noqa: E402
from pyflagwasm.runtime.views import unleash as views_unleash  # noqa: E402

UNSUPPORTED = "a regular expression that cannot be matched here"
DRAWN = "a draw, and the engine draws that, too"
DRAWS = 20_000
SIGMAS = 5


class Oracle(Child):
    def __init__(self, python: str, words: str) -> None:
        super().__init__(python, "unleash_oracle.py", "UnleashClient", quiet=True)  # the engine prints where it panics
        self.words = words

    def answers(self, document: Any, calls: list[Any], times: int = 1) -> list[Any] | str:
        """One for each call, or why it refuses the document."""
        found: list[Any] | str = self.ask(document=document, words=self.words, calls=calls, times=times)
        return found


class Ours:
    """This package: the same answers, and why they may be others."""

    def __init__(self, words: str) -> None:
        self.options = {"context_values": words}
        self.instance = Instance()
        self.drawn = False
        draw = views_unleash.draw

        def watched(limit: int) -> int:
            self.drawn = True
            return draw(limit)

        views_unleash.draw = watched

    def load(self, document: Any) -> None:
        """Raises ConfigError."""
        self.config = compile_model(load(document, "unleash", self.options))
        self.encoder = Encoder(self.config)
        self.instance.load(self.config.ir)

    def answer(self, name: str, context: Any) -> tuple[Any, str]:
        """The answer, and what would explain another one, or nothing."""
        entry = self.config.flags.get(name)
        if entry is None:
            return None, ""
        self.drawn = False
        self.encoder.encode(context, entry.slots, self.instance.scratch, time.time_ns() // 1000)
        decision = unpack(self.instance.evaluate(entry.index))
        if decision.error is not None:
            return {"error": str(decision.error)}, UNSUPPORTED if UNSUPPORTED in (entry.problem or "") else ""
        assert decision.variant is not None
        own = entry.variants[decision.variant]
        chosen = self.config.flags.get(f"{name}/variant")
        if chosen is None:
            variant: Any = {"name": own.key, "enabled": False, "feature_enabled": own.value}
        else:
            assert chosen.program == entry.program
            variant = chosen.variants[decision.variant].value
        assert own.key == variant["name"]
        return {"enabled": own.value, "variant": variant}, DRAWN if self.drawn else ""


def for_the_engine(context: Any, words: str) -> Any:
    """The context with what this package adds to the vendor's rules said in the vendor's own words."""
    context = dict(context)
    if "userId" not in context and "targetingKey" in context:
        context["userId"] = context["targetingKey"]
    if words == "engine":  # a number or a bool at the top is a property, where there is none of that name
        properties = context.get("properties")
        properties = dict(properties) if isinstance(properties, dict) else {}
        for name, value in context.items():
            if name in views_unleash.FIELDS or name == "properties" or not isinstance(value, (bool, int, float)):
                continue
            if not isinstance(properties.get(name), (str, bool, int, float)):
                properties[name] = value
        context["properties"] = properties
    return context


def run(ours: Ours, oracle: Oracle, pairs: int, seed: int, regex: bool) -> int:
    words = oracle.words
    cases, outcomes, explained = Cases(Random(seed), words == "client", regex), Counter[str](), Counter[str]()
    done, refusals, started = 0, 0, time.monotonic()
    while done < pairs:
        document = cases.document()
        names = [f"f{i}" for i in range(8)] + ["日/本", "gone"]
        calls = [(name, cases.context()) for name in names for _ in range(6)]
        theirs = oracle.answers(document, [(name, for_the_engine(context, words)) for name, context in calls])
        try:
            ours.load(document)
        except ConfigError as error:
            if isinstance(theirs, str):
                refusals += 1
                continue
            return shown(seed, done, document, None, f"refused: {error}", "taken")
        if isinstance(theirs, str):
            return shown(seed, done, document, None, "taken", f"refused: {theirs}")
        for (name, context), their in zip(calls, theirs, strict=True):
            done += 1
            mine, why = ours.answer(name, context)
            outcome = (
                "unknown" if their is None else f"enabled {their['enabled']}, variant {their['variant']['enabled']}"
            )
            outcomes[outcome] += 1
            if json.dumps(mine, sort_keys=True) == json.dumps(their, sort_keys=True):
                continue
            if why == DRAWN and not possible(oracle, document, (name, for_the_engine(context, words)), mine):
                why = ""
            if not why:
                return shown(seed, done, document, (name, context), mine, their)
            explained[why] += 1
    print(
        f"{done} pairs agree, {refusals} documents refused by both, in {time.monotonic() - started:.0f} s; "
        f"{dict(outcomes.most_common())}"
    )
    for why, count in explained.most_common():
        print(f"{count:6} explained: {why}")
    return 0


def possible(oracle: Oracle, document: Any, call: Any, answer: Any) -> bool:
    """Whether the engine gives each part of the answer, too, if it is asked more often: it draws for each anew."""

    def parts(of: Any) -> list[Any]:
        return [of["enabled"], of["variant"]["feature_enabled"], of["variant"] | {"feature_enabled": None}]

    for times in (200, 10_000):
        found = oracle.answers(document, [call], times)
        assert not isinstance(found, str)
        if all(
            part in theirs
            for part, theirs in zip(
                parts(answer), zip(*(parts(each) for each, _ in found[0]), strict=True), strict=True
            )
        ):
            return True
    return False


def shown(seed: int, done: int, document: Any, call: Any, mine: Any, theirs: Any) -> int:
    print(f"seed {seed}, pair {done}: a difference")
    if call is not None and "features" in document:
        name = call[0]
        feature = [each for each in document["features"] if each["name"] == name][-1]
        others = {each["feature"] for each in feature.get("dependencies") or ()}
        print(
            json.dumps([f for f in document["features"] if f["name"] in {name, *others}], ensure_ascii=False, indent=1)
        )
        print("segments", json.dumps(document.get("segments"), ensure_ascii=False))
    else:
        print(json.dumps(document, ensure_ascii=False))
    print("call   ", json.dumps(call, ensure_ascii=False))
    print("ours   ", json.dumps(mine, ensure_ascii=False, sort_keys=True))
    print("theirs ", json.dumps(theirs, ensure_ascii=False, sort_keys=True))
    return 1


# ---------------------------------------------------------------- what is drawn


def strategy(name: str, **parameters: str) -> Any:
    return {"name": name, "parameters": parameters}


VARIANTS = [{"name": "a", "weight": 1, "stickiness": "random"}, {"name": "b", "weight": 3}]
STICKY = ("default", "random")
DRAWING = [
    {"name": "random 37", "enabled": True, "strategies": [strategy("gradualRolloutRandom", percentage="37")]},
    {"name": "random twice", "enabled": True, "strategies": [strategy("gradualRolloutRandom", percentage="30")] * 2},
    {"name": "flexible", "enabled": True, "strategies": [strategy("flexibleRollout", rollout="25", groupId="g")]},
    {"name": "flexible random", "enabled": True,
     "strategies": [strategy("flexibleRollout", rollout="60", stickiness="random")]},
    {"name": "flexible twice", "enabled": True,
     "strategies": [strategy("flexibleRollout", rollout="40", groupId="g", stickiness=s) for s in STICKY]},
    {"name": "variants", "enabled": True, "strategies": [strategy("default")], "variants": VARIANTS},
    {"name": "parent", "enabled": True, "strategies": [strategy("gradualRolloutRandom", percentage="50")],
     "dependencies": [{"feature": "random 37"}]},
]  # fmt: skip


def draws(ours: Ours, oracle: Oracle) -> int:
    document = {"version": 2, "features": DRAWING}
    calls = [(feature["name"], {}) for feature in DRAWING]
    theirs = oracle.answers(document, calls, DRAWS)
    assert not isinstance(theirs, str)
    ours.load(document)
    worst = 0.0
    for (name, context), counts in zip(calls, theirs, strict=True):
        mine = Counter(json.dumps(ours.answer(name, context)[0]["variant"]["name"]) for _ in range(DRAWS))
        enabled = sum(ours.answer(name, context)[0]["enabled"] for _ in range(DRAWS))
        their = Counter[str]()
        for answer, count in counts:
            their[json.dumps(answer["variant"]["name"])] += count
        pairs = [(mine[key], their[key]) for key in {*mine, *their}]
        pairs.append((enabled, sum(count for answer, count in counts if answer["enabled"])))
        for a, b in pairs:
            share = (a + b) / (2 * DRAWS)
            spread = (2 * share * (1 - share) / DRAWS) ** 0.5
            sigmas = abs(a - b) / DRAWS / spread if spread else 0.0
            worst = max(worst, sigmas)
            if sigmas > SIGMAS:
                print(f"{name}: {a} and {b} of {DRAWS} draws, {sigmas:.1f} standard deviations apart")
                return 1
    print(f"{len(DRAWING)} features with {DRAWS} draws each agree within {worst:.1f} standard deviations")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--words", choices=["engine", "client"], default="engine")
    parser.add_argument("--no-regex", action="store_true", help="documents without regular expressions")
    given = parser.parse_args()
    python = os.environ.get("PYFLAGWASM_UNLEASH_PYTHON")
    if not python:
        print("PYFLAGWASM_UNLEASH_PYTHON must name an interpreter that has UnleashClient", file=sys.stderr)
        return 2
    oracle, ours = Oracle(python, given.words), Ours(given.words)
    try:
        return run(ours, oracle, given.pairs, given.seed, not given.no_regex) or draws(ours, oracle)
    finally:
        oracle.close()


if __name__ == "__main__":
    sys.exit(main())
