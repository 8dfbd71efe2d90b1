"""What tests of the pool share: small generations that can be told apart, and pools that hold them."""

from __future__ import annotations

import json
from typing import Any

from evaluators import flag

from pyflagwasm.generation import Generation
from pyflagwasm.loading import compile_source
from pyflagwasm.pool.asking import evaluate
from pyflagwasm.pool.pool import Pool
from pyflagwasm.pool.swap import Swaps

ME = {"who": "me"}
FLAGS = 4


def versioned(version: int, count: int = FLAGS) -> bytes:
    """A configuration in which every flag carries the version in its value; half of them read the context.

    The order of the flags changes with the version, so that an index into another one gives another value.
    """
    value = f"v{version}"
    targeting = {"if": [{"==": [{"var": "who"}, "me"]}, "here", "there"]}
    flags = {
        f"flag-{i}": flag({"here": f"{value}-{i}", "there": "nobody"}, "here", targeting if i % 2 else None)
        for i in range(count)
    }
    keys = sorted(flags, key=lambda key: (int(key[5:]) * (version % 3 + 1) + version) % max(count, 1))
    return json.dumps({"flags": {key: flags[key] for key in keys}}).encode()


def generation(version: int) -> Generation:
    return Generation(compile_source(versioned(version)))


def pool_of(version: int, **options: Any) -> tuple[Pool, Swaps]:
    """A pool in which a generation is live. Close it."""
    pool = Pool(**options)
    swaps = Swaps(pool)
    swaps.swap(generation(version), 0)
    return pool, swaps


def answer(pool: Any, live: Generation, number: int = 1) -> str:
    """What the core says of a flag that reads the context."""
    found = live.flags[f"flag-{number}"]
    value = found.outcome(evaluate(pool, found, ME, lambda: 0.0)).details.value
    assert isinstance(value, str)
    return value
