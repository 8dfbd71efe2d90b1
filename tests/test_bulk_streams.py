"""Where tables come from and how they run: whatever speaks Arrow, streams, threads, the end."""

from __future__ import annotations

import asyncio
import gc
import resource
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from bulk_people import KEYS, PLANS, SOURCE, TABLE, endless, expected
from evaluators import closed, opened

from pyflagwasm.bulk import BulkEvaluator
from pyflagwasm.bulk import engine as engines
from pyflagwasm.errors import GuestTrapError
from pyflagwasm.runtime.instance import Instance


def polars() -> Any:
    return pytest.importorskip("polars").DataFrame({"targetingKey": KEYS, "plan": PLANS})


def pandas() -> Any:
    return pytest.importorskip("pandas").DataFrame({"targetingKey": KEYS, "plan": PLANS})


def duckdb() -> Any:
    return pytest.importorskip("duckdb").from_arrow(TABLE)


class Capsule:
    """What has nothing but the one method of Arrow's interface for one batch."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.batch.__arrow_c_array__(requested_schema)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: pa.concat_tables([TABLE.slice(0, 7), TABLE.slice(7)]),
        lambda: TABLE.to_batches(max_chunksize=77),
        lambda: TABLE.to_reader(max_chunksize=300),
        lambda: TABLE.combine_chunks().to_batches()[0],
        lambda: Capsule(TABLE.combine_chunks().to_batches()[0]),
        polars,
        lambda: polars().lazy(),
        pandas,
        duckdb,
    ],
    ids="table chunks list reader batch capsule polars lazy pandas duckdb".split(),
)
def test_whatever_speaks_arrow(make: Callable[[], Any]) -> None:
    for threads, chunk_rows in ((1, 65_536), (2, 1000), (3, 64)):
        with BulkEvaluator(SOURCE, now=5, threads=threads, chunk_rows=chunk_rows) as bulk:
            found = bulk.table(make())
            assert found.equals(expected())
            assert found.schema.equals(expected().schema, check_metadata=True)
            assert bulk.summary.rows == len(TABLE)
            assert bulk.summary.flags["pro"].variants == {"no": 3000, "yes": 2000}


def test_what_is_not_arrow() -> None:
    with BulkEvaluator(SOURCE) as bulk, pytest.raises(TypeError, match="a table of Arrow is wanted, not dict: pass"):
        bulk.table({"a": [1]})


def test_a_batch_in_gives_a_batch() -> None:
    batch = TABLE.combine_chunks().to_batches()[0]
    with BulkEvaluator(SOURCE, now=5, chunk_rows=999) as bulk:
        assert pa.Table.from_batches([bulk.batch(batch)]).equals(expected())
        nothing = bulk.batch(batch.slice(0, 0))
        assert (nothing.num_rows, nothing.schema) == (0, bulk.schema(batch.schema))
        assert bulk.table(TABLE.slice(0, 0)).num_rows == 0


def test_a_generation_of_an_evaluator() -> None:
    flags = opened(SOURCE)
    try:
        with BulkEvaluator(flags, now=5) as bulk:
            asyncio.run(flags.reload({"flags": {}}))
            assert bulk.table(TABLE).equals(expected())
            assert bulk.metadata[b"pyflagwasm.generation"] == b"1"
        with BulkEvaluator(flags) as bulk:
            assert bulk.flag_keys == ()
            assert bulk.metadata[b"pyflagwasm.generation"] == b"2"
            assert bulk.table(TABLE).column_names == []
            assert bulk.summary.rows == 5000
    finally:
        closed(flags)
    with pytest.raises(ValueError, match="enter it before"):
        BulkEvaluator(flags)


# ---------------------------------------------------------------- columns


def test_columns_that_come_along() -> None:
    with BulkEvaluator(SOURCE, flags=["pro"], outputs=["variant"], keep=["plan"]) as bulk:
        assert bulk.table(TABLE).column_names == ["plan", "pro.variant"]
    with BulkEvaluator(SOURCE, flags="pro", outputs="variant", keep="*") as bulk:
        found = bulk.table(TABLE)
        assert found.column_names == ["targetingKey", "plan", "pro.variant"]
        assert found.select(["targetingKey", "plan"]).equals(TABLE)


def test_attributes_from_other_columns() -> None:
    renamed = TABLE.rename_columns(["id", "targetingKey"]).append_column("plan", pa.nulls(5000, pa.string()))
    with BulkEvaluator(SOURCE, now=5, columns={"targetingKey": "id", "plan": "targetingKey"}) as bulk:
        assert bulk.table(renamed).equals(expected())


@pytest.mark.parametrize(
    ("settings", "table", "message"),
    [
        ({"columns": {"plan": "plna"}}, TABLE, r"columns\['plan'\]: the input has no column 'plna'; it has 'plan'"),
        ({"keep": ["plans"]}, TABLE, "keep: the input has no column 'plans'; it has 'plan'"),
        ({}, pa.table([[1], [2]], ["a", "a"]), "the input has two columns 'a': rename one of them"),
        ({"keep": "*"}, pa.table({"pro.value": [1]}), "two columns of the output are called 'pro.value'"),
    ],
)
def test_columns_that_cannot_be(settings: dict[str, Any], table: pa.Table, message: str) -> None:
    with BulkEvaluator(SOURCE, **settings) as bulk:
        for method in (bulk.table, bulk.stream, lambda data: bulk.schema(data.schema)):
            with pytest.raises(ValueError, match=message):
                method(table)


def test_the_bucket_is_where_single_evaluation_says() -> None:
    flags = opened(SOURCE)
    member = flags._pool.coldest()
    assert member is not None
    generation = flags._pool.generation
    assert generation is not None
    entry = generation.flags["split"].entry
    with BulkEvaluator(SOURCE, flags=["split", "pro"], outputs=["bucket", "rule_index"]) as bulk:
        found = bulk.table(TABLE)
    for key, bucket in zip(KEYS, found["split.bucket"].to_pylist(), strict=True):
        generation.encoder.encode({"targetingKey": key}, entry.slots, member.scratch, 0)
        assert bucket == member.evaluate(entry.index) >> 44
    assert found["pro.bucket"].null_count == 5000
    closed(flags)


# ---------------------------------------------------------------- streams


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_pulls(threads: int) -> None:
    pulled: list[int] = []
    with BulkEvaluator(SOURCE, threads=threads) as bulk:
        reader = bulk.stream(endless(pulled))
        assert pulled == []
        for number in range(20):
            batch = reader.read_next_batch()
            assert batch.num_rows == 500
            assert len(pulled) <= number + threads + 2
        del reader
        gc.collect()
        count = len(pulled)
        assert bulk.table(TABLE).num_rows == 5000, "goes on with others"
    assert len(pulled) == count


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_of_the_input_ends_it(threads: int) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches(max_chunksize=100)[:5]
        raise OSError("the disk is gone")

    with BulkEvaluator(SOURCE, threads=threads) as bulk:
        reader = bulk.stream(pa.RecordBatchReader.from_batches(TABLE.schema, broken()))
        with pytest.raises(OSError, match="the disk is gone"):
            reader.read_all()
        assert bulk.table(TABLE).equals(expected().replace_schema_metadata(bulk.metadata))


def test_a_trap_ends_it_and_the_next_one_has_another_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    with BulkEvaluator(SOURCE, now=5) as bulk:
        bulk.table(TABLE)

        def trapped(self: Instance, first: int, rows: int) -> Any:
            raise GuestTrapError("evaluate_batch trapped: out of luck; the instance must not be called again")

        with monkeypatch.context() as patched:
            patched.setattr(Instance, "evaluate_batch", trapped)
            with pytest.raises(GuestTrapError, match="out of luck"):
                bulk.table(TABLE)
        assert bulk.table(TABLE).equals(expected())


def test_memory_stays_where_it_is() -> None:
    """A small one of a stream that is made on the fly; the peak must not grow with its length."""
    keys = pa.array([f"user-{i}" for i in range(65_536)])
    batch = pa.RecordBatch.from_arrays([keys], ["targetingKey"])

    def rows(batches: int) -> None:
        many = pa.RecordBatchReader.from_batches(batch.schema, (batch for _ in range(batches)))
        for _ in bulk.stream(many):
            pass

    with BulkEvaluator(SOURCE, threads=2) as bulk:
        rows(20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rows(100)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12_000
        assert bulk.summary.rows == 120 * 65_536


def test_closed() -> None:
    bulk = BulkEvaluator(SOURCE)
    bulk.table(TABLE)
    reader = bulk.stream(endless())
    bulk.close()
    bulk.close()
    for call in (lambda: bulk.table(TABLE), reader.read_next_batch):
        with pytest.raises(RuntimeError, match="the bulk evaluator is closed"):
            call()
    assert repr(bulk) == "<BulkEvaluator: closed>"


def test_several_threads_of_the_callers() -> None:
    found: list[pa.Table] = []
    with BulkEvaluator(SOURCE, now=5, threads=2, chunk_rows=100) as bulk:
        threads = [threading.Thread(target=lambda: found.append(bulk.table(TABLE))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert bulk.summary.rows == 20_000
    assert all(each.equals(expected()) for each in found)
    assert len(found) == 4


def test_pieces_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 3000, 100_000):
        monkeypatch.setattr(engines, "_PIECE", size)
        with BulkEvaluator(SOURCE, now=5) as bulk:
            assert bulk.table(TABLE).equals(expected())
