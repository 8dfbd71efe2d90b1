"""A table of people and two flags for them, for the tests of how tables run."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from pyflagwasm.bulk import BulkEvaluator

SOURCE = {
    "flags": {
        "split": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
            "targeting": {"fractional": [["on", 30], ["off", 70]]},
        },
        "pro": {
            "state": "ENABLED",
            "variants": {"yes": 1, "no": 0},
            "defaultVariant": "no",
            "targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "yes", None]},
        },
    }
}
KEYS = [f"user-{i}" for i in range(5000)]
PLANS = ["pro", "free", None, "pro", "team"] * 1000
TABLE = pa.table({"targetingKey": KEYS, "plan": PLANS})


def endless(pulled: list[int] | None = None, rows: int = 500) -> pa.RecordBatchReader:
    """Batches without an end; how many were pulled is noted."""

    def batches() -> Iterator[pa.RecordBatch]:
        number = 0
        while True:
            if pulled is not None:
                pulled.append(number)
            keys = pa.array([f"user-{number * rows + i}" for i in range(rows)])
            yield pa.RecordBatch.from_arrays([keys], ["targetingKey"])
            number += 1

    return pa.RecordBatchReader.from_batches(pa.schema({"targetingKey": pa.string()}), batches())


def expected() -> pa.Table:
    with BulkEvaluator(SOURCE, now=5) as bulk:
        return bulk.table(TABLE)
