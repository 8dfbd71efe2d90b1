"""Batches one after the other or several at once, always in order; and the parts of one put together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

Work = Callable[[pa.RecordBatch], pa.RecordBatch]


def in_order(work: Work, batches: Iterator[pa.RecordBatch], threads: int) -> Generator[pa.RecordBatch, None, None]:
    """What `work` makes of each batch. No more batches are under way than there are threads, and one that waits.

    An error ends it, and so does who closes it; what is under way then ends by itself, with its batch.
    """
    if threads == 1:
        yield from map(work, batches)
        return
    executor = ThreadPoolExecutor(threads, "pyflagwasm-bulk")
    waiting: deque[Future[pa.RecordBatch]] = deque()
    try:
        for batch in batches:
            waiting.append(executor.submit(work, batch))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def combined(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """All rows as one batch."""
    if len(batches) == 1:
        return batches[0]
    (batch,) = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
    return batch


class Found:
    """The codes of one flag for a batch, put together from the pieces in which it was evaluated.

    counts: how often there is each code. buckets: as the output `bucket`, if that is wanted; -1 for none.
    """

    __slots__ = ("buckets", "codes", "counts")

    def __init__(self) -> None:
        self.codes: np.ndarray[Any, Any] = np.zeros(0, np.uint8)
        self.buckets: np.ndarray[Any, Any] = np.zeros(0, np.int32)
        self.counts: list[int] = []

    def add(
        self,
        rows: int,
        start: int,
        codes: np.ndarray[Any, Any],
        counts: list[int],
        buckets: np.ndarray[Any, Any] | None,
    ) -> None:
        """Take the rows from `start` on. rows: how many there are in all."""
        add_up(self.counts, counts)
        stop = start + len(codes)
        if len(codes) == rows:
            self.codes = codes
        elif len(self.codes) < rows:
            self.codes = np.zeros(rows, codes.dtype)
        elif self.codes.dtype.itemsize < codes.dtype.itemsize:  # there came so many that they need more bytes
            self.codes = self.codes.astype(codes.dtype)
        if self.codes is not codes:
            self.codes[start:stop] = codes
        if buckets is not None:
            if len(self.buckets) < rows:
                self.buckets = np.zeros(rows, np.int32)
            self.buckets[start:stop] = buckets


def add_up(total: list[int], more: Sequence[int]) -> None:
    """Add counts to counts, of which there may be fewer."""
    total += [0] * (len(more) - len(total))
    for number, count in enumerate(more):
        total[number] += count
