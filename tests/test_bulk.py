"""Flags for whole tables: the columns that come out, what they say, and what is refused."""

from __future__ import annotations

import pickle

import pyarrow as pa
import pytest

import pyflagwasm
from pyflagwasm.bulk import BulkEvaluator

TABLE = pa.table(
    {
        "targetingKey": [f"user-{i}" for i in range(500)],
        "city": ["Ghent" if i % 3 else None for i in range(500)],
        "app.version": ["4.3.0", "4.2.9"] * 250,
    }
)


@pytest.mark.asyncio
async def test_rows_are_answered_as_contexts_are() -> None:
    with BulkEvaluator("example:flagd", now=0) as bulk:
        rows = bulk.table(TABLE).to_pylist()
    async with pyflagwasm.open("example:flagd", clock=lambda: 0) as flags:
        for row, answer in zip(TABLE.to_pylist(), rows, strict=True):
            context = {"targetingKey": row["targetingKey"], "app": {"version": row["app.version"]}}
            if row["city"] is not None:
                context["city"] = row["city"]
            for key in flags.flag_keys:
                details = flags.details_nowait(key, context)
                assert answer[f"{key}.variant"] == details.variant
                assert answer[f"{key}.reason"] == details.reason
                assert answer[f"{key}.error_code"] == details.error_code


def test_it_can_be_pickled() -> None:
    with BulkEvaluator("example:flagd", flags=["pre-orders"], now=0) as bulk:
        other = pickle.loads(pickle.dumps(bulk))
        assert other.table(TABLE).equals(bulk.table(TABLE), check_metadata=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flags": ["pre-order"]}, "there is no flag 'pre-order'; there are 'pre-orders'"),
        ({"outputs": ["variants"]}, "there is no output 'variants'; there are 'variant'"),
    ],
)
def test_what_is_not_there(arguments: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BulkEvaluator("example:flagd", **arguments)  # type: ignore[arg-type]
