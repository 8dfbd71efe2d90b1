"""`python -m bench bulk`: rows per second of whole tables, Arrow in and Arrow out, beside what one would write without.

A row of the table is the best of some rounds, because whoever else uses the machine only takes away. `cpu` is by the
clock of the process, which counts its own work: of one thread that is what the rate would be on a core of its own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from .measure import WrongAnswer
from .scenarios import TARGET, document, targeted_flag, user

ROWS: Final = 2_000_000
SLOW_ROWS: Final = 20_000
OUTPUTS: Final = ("value", "variant", "reason", "error_code")
SPLIT: Final = {
    "state": "ENABLED",
    "variants": {"on": True, "off": False},
    "defaultVariant": "off",
    "targeting": {"fractional": [["on", 30], ["off", 70]]},
}
UNLEASH: Final = {
    "version": 2,
    "features": [
        {
            "name": "split",
            "enabled": True,
            "strategies": [
                {"name": "flexibleRollout", "parameters": {"rollout": "30", "stickiness": "userId", "groupId": "g"}}
            ],
        }
    ],
}


@dataclass(frozen=True)
class Measured:
    name: str
    rows: int
    rate: float
    cpu: float
    note: str


def table(rows: int) -> Any:
    """W1's users: each of its attributes a column, those that are read with many values."""
    import pyarrow as pa

    column: Callable[[str], Any] = lambda name: pa.array([user(i % 100_000)[name] for i in range(100_000)])  # noqa: E731
    few = pa.table({name: column(name) for name in user()})
    wanted = -(-rows // len(few))
    return pa.concat_tables([few] * wanted).slice(0, rows)


def best(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """The least seconds that a call took by the clock on the wall, and by that of the process."""
    wall, own = [], []
    for _ in range(rounds):
        before, spent = time.perf_counter(), time.process_time()
        call()
        own.append(time.process_time() - spent)
        wall.append(time.perf_counter() - before)
    return min(wall), min(own)


def subjects(rows: int, few: int) -> Iterator[tuple[str, int, Callable[[], object], str]]:
    """Name, rows, what evaluates them, and a note."""
    import asyncio

    import pyarrow as pa

    import pyflagwasm
    from pyflagwasm.bulk import BulkEvaluator

    people = table(rows)
    ids = people.select(["targetingKey"])
    users = ids.rename_columns(["userId"])
    configurations: list[tuple[str, Any, Any, dict[str, Any], str]] = [
        ("split", {"flags": {"split": SPLIT}}, ids, {}, "flagd's fractional on the targeting key"),
        ("split/unleash", UNLEASH, users, {}, "Unleash's flexibleRollout on userId"),
        ("W1", document(50), people, {"flags": [TARGET]}, "three rules, five attributes"),
        ("50-flags", document(50), people.slice(0, max(1, rows // 10)), {}, "all of the configuration in one pass"),
    ]
    for name, source, data, settings, note in configurations:
        for threads in (1, 2):
            bulk = BulkEvaluator(source, outputs=OUTPUTS, threads=threads, **settings)
            yield f"bulk/{name}/{threads}", len(data), partial(bulk.table, data), note
    with BulkEvaluator({"flags": {"split": SPLIT}}, outputs=("variant", "bucket")) as bulk:
        yield "bulk/split/bucket", len(ids), partial(bulk.table, ids), "variant and bucket"
    loop = asyncio.new_event_loop()
    flags = pyflagwasm.open(document(50) | {"flags": {TARGET: targeted_flag(), "split": SPLIT}})
    loop.run_until_complete(flags.__aenter__())
    some = people.slice(0, few)
    rows_of = some.to_pylist()
    ready = [{"targetingKey": row["targetingKey"]} for row in rows_of]

    def looped(key: str, contexts: list[dict[str, Any]]) -> list[Any]:
        value = flags.value_nowait
        return [value(key, context) for context in contexts]

    yield "single/split", few, partial(looped, "split", ready), "value_nowait in a loop, contexts ready"
    yield "single/W1", few, partial(looped, TARGET, rows_of), "value_nowait in a loop, contexts ready"
    yield (
        "single/W1/arrow",
        few,
        lambda: pa.array(looped(TARGET, some.to_pylist())),
        "to_pylist, value_nowait, pa.array",
    )
    try:
        import pandas

        frame = pandas.DataFrame(rows_of)
        yield (
            "pandas/split",
            few,
            lambda: frame["targetingKey"].apply(lambda key: flags.value_nowait("split", {"targetingKey": key})),
            "Series.apply with value_nowait",
        )
        yield (
            "pandas/W1",
            few,
            lambda: frame.apply(lambda row: flags.value_nowait(TARGET, row.to_dict()), axis=1),
            "DataFrame.apply with value_nowait",
        )
    except ImportError:
        print("pandas is not installed: left out", file=sys.stderr)
    try:
        from mmh3 import hash as murmur

        def by_hand() -> Any:
            keys = some["targetingKey"].to_pylist()
            return pa.array([murmur(b"split" + b"k" + key.encode(), signed=False) * 100 >> 32 < 30 for key in keys])

        yield "python/mmh3", few, by_hand, "the split alone by hand, one call of mmh3 a row; not flagd's bytes"
    except ImportError:
        print("mmh3 is not installed: left out (extra [bench])", file=sys.stderr)
    loop.run_until_complete(flags.aclose())
    loop.close()


def run(quick: bool, check: bool) -> list[Measured]:
    """Raises WrongAnswer if rows come out otherwise than single evaluations do."""
    verified()
    rows, few, rounds = (20_000, 500, 1) if check else (ROWS // 4, SLOW_ROWS, 3) if quick else (ROWS, SLOW_ROWS, 7)
    found = []
    for name, count, call, note in subjects(rows, few):
        call()
        wall, own = best(call, rounds)
        found.append(Measured(name, count, count / wall, count / own, note))
        if not check:
            print(shown(found[-1]), flush=True)
    return found


def verified() -> None:
    import asyncio

    import pyflagwasm
    from pyflagwasm.bulk import BulkEvaluator

    async def compared() -> None:
        people = table(2000)
        with BulkEvaluator(document(4)) as bulk:
            answers = bulk.table(people).to_pylist()
        async with pyflagwasm.open(document(4)) as flags:
            for row, answer in zip(people.to_pylist(), answers, strict=True):
                for key in flags.flag_keys:
                    if answer[f"{key}.value"] != flags.value_nowait(key, row):
                        raise WrongAnswer(f"bulk: {key} of {row} is {answer[f'{key}.value']!r}")

    asyncio.run(compared())


def shown(row: Measured) -> str:
    return f"{row.name:20} {row.rate / 1e6:9.3f} M rows/s {row.cpu / 1e6:9.3f} M rows/s cpu   {row.note}"
