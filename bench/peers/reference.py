"""W1 as closures compiled from the document, with mmh3: what a Python programmer gets without any feature-flag SDK.

It is the unit of the comparison with peers, so it is measured in every process that measures one. It knows what W1's
document uses and nothing more, takes only contexts that have every attribute, and gives no reasons.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any, Final

NAME: Final = "baseline/py-compiled"
Context = Mapping[str, Any]
Decide = Callable[[Context], Any]


def available() -> bool:
    return importlib.util.find_spec("mmh3") is not None


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def _condition(rule: Mapping[str, Any]) -> Callable[[Context], bool]:
    ((operator, operands),) = rule.items()
    if operator == "and":
        parts = tuple(_condition(part) for part in operands)

        def both(context: Context) -> bool:
            for part in parts:
                if not part(context):
                    return False
            return True

        return both
    name, wanted = operands[0]["var"], operands[-1]
    if operator == "ends_with":
        return lambda context: context[name].endswith(wanted)
    if operator == "in":
        members = frozenset(wanted)
        return lambda context: context[name] in members
    if operator == "==":
        return lambda context: bool(context[name] == wanted)
    if operator == "sem_ver" and operands[1] == ">=":
        least = _version(wanted)
        return lambda context: _version(context[name]) >= least
    raise ValueError(f"the reference has no {operator}")


def _split(key: str, parts: list[list[Any]]) -> Decide:
    hashed = importlib.import_module("mmh3").hash
    cuts, total = [], 0
    for variant, weight in parts:
        total += weight
        cuts.append((total, variant))

    def serve(context: Context) -> str | None:
        bucket = hashed(key + context["targetingKey"], 0, False) * 100 >> 32
        for cut, variant in cuts:
            if bucket < cut:
                return str(variant)
        return None

    return serve


def _decide(key: str, flag: Mapping[str, Any]) -> Decide:
    variants, targeting = flag["variants"], flag.get("targeting")
    if targeting is None:
        served = variants[flag["defaultVariant"]]
        return lambda context: served
    *branches, last = targeting["if"]
    rules = tuple((_condition(branches[i]), variants[branches[i + 1]]) for i in range(0, len(branches), 2))
    split = _split(key, [[variants[name], weight] for name, weight in last["fractional"]])

    def decide(context: Context) -> Any:
        for holds, value in rules:
            if holds(context):
                return value
        return split(context)

    return decide


def compiled(document: Mapping[str, Any]) -> dict[str, Decide]:
    """A function for each flag of a document of scenarios.py. Needs mmh3."""
    return {key: _decide(key, flag) for key, flag in document["flags"].items()}
