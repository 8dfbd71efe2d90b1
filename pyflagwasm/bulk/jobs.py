"""Files through evaluators: what is to be read for their rules, batches in threads in the order of the file, output.

Evaluating is BulkEvaluator's matter; here several of them may be given the same rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from .evaluator import BulkEvaluator
from .files import KEPT, FileError, Input
from .files.lines import JSON_TEXT
from .slots import reads

Answered = tuple[pa.RecordBatch, list[pa.RecordBatch]]
"""Rows of a file, and what each evaluator made of them."""


def wants(evaluators: Sequence[BulkEvaluator]) -> Callable[[str], bool]:
    """Whether rules of any of the evaluators' flags can look at the column of a name."""
    names: set[str] = set()
    for bulk in evaluators:
        slots = bulk._generation.compiled.slots
        for key in bulk.flag_keys:
            for number in bulk._generation.flags[key].entry.slots:
                found = reads(slots[number])
                if found is None:
                    return lambda name: True
                names |= found
    return lambda name: name in names or name.partition(".")[0] in names


def answered(evaluators: Sequence[BulkEvaluator], found: Input, threads: int) -> Iterator[Answered]:
    """All batches with their answers, in the order of the file; a few of them are in memory."""
    if threads == 1:
        for batch in found.batches:
            context = _attributes(batch)
            yield batch, [bulk.batch(context) for bulk in evaluators]
        return
    executor = ThreadPoolExecutor(threads, "pyflagwasm-bulk")
    waiting: deque[tuple[pa.RecordBatch, list[Future[pa.RecordBatch]]]] = deque()
    # Whoever waits for a pipe could not be told to end.
    ahead = found.rows is not None or found.size is not None
    batches = _ahead(found.batches) if ahead else (batch for batch in found.batches)
    try:
        for batch in batches:
            context = _attributes(batch)
            waiting.append((batch, [executor.submit(bulk.batch, context) for bulk in evaluators]))
            if len(waiting) > threads:
                yield _done(waiting)
        while waiting:
            yield _done(waiting)
    finally:
        batches.close()
        executor.shutdown(wait=True, cancel_futures=True)


def _ahead(batches: Iterator[pa.RecordBatch]) -> Generator[pa.RecordBatch, None, None]:
    """The batches; the next one is read while this one is worked on."""
    with ThreadPoolExecutor(1, "pyflagwasm-read") as executor:
        following = executor.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = executor.submit(next, batches, None)
            yield batch


def _attributes(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Without what is only carried: a rule may look at the whole context."""
    names = [name for name in batch.schema.names if not name.startswith(KEPT)]
    return batch if len(names) == batch.num_columns else batch.select(names)


def _done(waiting: deque[tuple[pa.RecordBatch, list[Future[pa.RecordBatch]]]]) -> Answered:
    batch, futures = waiting.popleft()
    return batch, [future.result() for future in futures]


# ---------------------------------------------------------------- what comes out


def is_json(bulk: BulkEvaluator, key: str) -> bool:
    """Whether the texts of a flag's values are JSON: it has objects, and no texts of its own."""
    values = [each.value for each in bulk._generation.flags[key].entry.variants if each.error is None]
    return any(isinstance(each, (dict, list)) for each in values) and not any(isinstance(each, str) for each in values)


def output_schema(bulk: BulkEvaluator, found: Input) -> pa.Schema:
    """What is carried from the input, then the answers. Raises FileError for two columns of one name."""
    columns = dict.fromkeys(bulk._columns.values())
    own = bulk.schema(pa.schema([pa.field(each, pa.null()) for each in columns]))
    fields = carried_fields(found)
    names = {field.name for field in fields}
    json_values = {f"{key}.value" for key in bulk.flag_keys if is_json(bulk, key)}
    for field in own:
        if field.name in names:
            raise FileError(
                f"{found.name}: the column {field.name!r} cannot be kept: the answers have one of that name"
            )
        fields.append(field.with_metadata(JSON_TEXT) if field.name in json_values else field)
    return pa.schema(fields, bulk.metadata)


def output(schema: pa.Schema, found: Input, batch: pa.RecordBatch, answers: pa.RecordBatch) -> pa.RecordBatch:
    """The rows of the output for rows of the input."""
    return pa.RecordBatch.from_arrays([*carried(found, batch), *answers.columns], schema=schema)


def carried_fields(found: Input) -> list[pa.Field]:
    """The fields of `carried`."""
    # A dictionary that changes from batch to batch is more than some formats can write.
    return [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in found.kept.values()
    ]


def carried(found: Input, batch: pa.RecordBatch) -> list[pa.Array]:
    """The columns that are carried to the output."""
    columns = [batch.column(batch.schema.get_field_index(name)) for name in found.kept]
    return [each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in columns]
