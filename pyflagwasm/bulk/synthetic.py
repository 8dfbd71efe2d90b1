"""A population that is made up: so many targeting keys, and attributes that all of them have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .files import Input
from .files.lines import column
from .files.reading import BATCH_ROWS


def population(count: int, prefix: str, key: str, context: Mapping[str, Any], keep: tuple[str, ...] | None) -> Input:
    """`prefix` with 0 .. count - 1, as the attribute `key`, in bounded memory however many they are."""
    fixed = {name: value for name, value in context.items() if name != key and value is not None}
    ones = {name: column([value]) for name, value in fixed.items()}
    names = [key, *ones]
    kept = names if keep is None else [name for name in names if name in keep]
    types = {key: pa.string(), **{name: one.type for name, one in ones.items()}}
    batches = _batches(count, prefix, key, ones)
    return Input("the population", batches, {name: pa.field(name, types[name]) for name in kept}, rows=count)


def _batches(count: int, prefix: str, key: str, ones: dict[str, pa.Array]) -> Iterator[pa.RecordBatch]:
    for first in range(0, count, BATCH_ROWS):
        numbers = pa.array(np.arange(first, min(first + BATCH_ROWS, count), dtype=np.int64)).cast(pa.string())
        zeros = pa.array(np.zeros(len(numbers), np.int32))
        arrays = [pc.binary_join_element_wise(prefix, numbers, ""), *(one.take(zeros) for one in ones.values())]
        yield pa.RecordBatch.from_arrays(arrays, [key, *ones])
