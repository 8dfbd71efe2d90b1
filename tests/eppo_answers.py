"""From a universal flag configuration to answers, through the compiler and core.wasm, at a time that is given.

For tests and the differential run; types are checked as for callers of the evaluator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.generation import Generation
from pyflagwasm.runtime.encode import EncodeError
from pyflagwasm.runtime.instance import Instance
from pyflagwasm.types import EvaluationDetails

NOW_US = 1_750_000_000_000_000


@cache
def shared_instance() -> Instance:
    return Instance()


class Answers:
    """Evaluates one document until the next one is made. Raises ConfigError for one that is refused."""

    def __init__(self, document: Any, dialect: str | None = "eppo", now_us: int = NOW_US) -> None:
        options = {} if dialect is None else {"dialect": dialect}
        self.model = load(json.dumps(document), "eppo", options)
        self.now_us = now_us
        compiled = compile_model(self.model)
        self._instance = shared_instance()
        self._instance.load(compiled.ir)
        self._generation = Generation(compiled)

    def __call__(self, key: str, context: Mapping[str, Any] | None = None, default: Any = None) -> EvaluationDetails:
        flag = self._generation.flag(key)
        if flag is None:
            return self._generation.not_found(key).for_default(default)
        try:
            self._generation.encode(flag.entry.slots, context, self._instance.scratch, self.now_us)
        except EncodeError as error:
            return flag.failure(error.code, str(error)).for_default(default)
        return flag.outcome(self._instance.evaluate(flag.entry.index)).for_default(default, flag.entry.type)


# ---------------------------------------------------------------- documents


def document(flags: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    whole = {"createdAt": "2024-04-17T19:40:53.716Z", "environment": {"name": "Test"}, "flags": flags, **more}
    return {name: member for name, member in whole.items() if member is not ...}


def flag(*allocations: Any, **more: Any) -> dict[str, Any]:
    """A STRING flag with the variations a, b and c; members given as ... are left out."""
    whole = {
        "key": "f",
        "enabled": True,
        "variationType": "STRING",
        "variations": {name: {"key": name, "value": name.upper()} for name in "abc"},
        "allocations": list(allocations),
        "totalShards": 10000,
        **more,
    }
    return {name: member for name, member in whole.items() if member is not ...}


def allocation(*splits: Any, **more: Any) -> dict[str, Any]:
    whole = {"key": "x", "splits": list(splits) or [split("a")], **more}
    return {name: member for name, member in whole.items() if member is not ...}


def split(variation: str, *shards: Any, **more: Any) -> dict[str, Any]:
    return {"variationKey": variation, "shards": list(shards), **more}


def shard(salt: str, *ranges: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"salt": salt, "ranges": [{"start": a, "end": b} for a, b in ranges], **more}


def rules(*conditions: tuple[str, str, Any]) -> list[Any]:
    """One rule with all of the conditions."""
    return [{"conditions": [{"attribute": a, "operator": o, "value": v} for a, o, v in conditions]}]


def answers(*allocations: Any, dialect: str = "eppo", now_us: int = NOW_US, **more: Any) -> Answers:
    """Of one flag `f`."""
    return Answers(document({"f": flag(*allocations, **more)}), dialect, now_us)
