"""Flags for the rows of a Spark DataFrame, evaluated in the Python workers of its executors.

    from pyflagwasm.integrations.spark import evaluate

    answers = evaluate(visitors, "flags.json", ["new-checkout"], keep=["visitor"])

Here live Spark's types, what travels to the executors, and the engines there. Evaluating is pyflagwasm.bulk's.
Executors need `pyflagwasm[bulk]`.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..config.formats import AUTO
from ..extras import missing

try:
    import pyarrow as pa

    from ..bulk import BulkEvaluator
except ImportError as error:
    raise missing("flags for Spark", "pyarrow", "spark") from error

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from ..evaluator import FlagEvaluator
    from ..loading import Readable

ALL: Final = "*"
"""All columns, for `keep`."""

OUTPUTS: Final = ("value", "variant", "reason", "error_code")

_MOST_ENGINES: Final = 4
_engines: OrderedDict[str, BulkEvaluator] = OrderedDict()  # of this process, the one used last at the end
_guard: Final = threading.Lock()


class RowFunction:
    """What executors run: batches of rows in, batches of answers out, one for one; the function of `mapInArrow`.

    Small and picklable: it carries the configuration and the options, never an instance of the core. A Python worker
    builds its engine when the first batch arrives and keeps it for later tasks: the last few, told apart by `digest`.
    Above 1 MiB Spark broadcasts it by itself.

    digest: the SHA-256 of what is carried, in hexadecimal.
    """

    def __init__(self, bulk: BulkEvaluator, names: Sequence[str] | None = None) -> None:
        """names: what the columns are called for the flags, if the batches call them otherwise."""
        self._payload = pickle.dumps(bulk)
        self._names = names
        self.digest: str = hashlib.sha256(self._payload).hexdigest()

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        bulk: BulkEvaluator | None = None
        for batch in batches:
            if bulk is None:
                bulk = _engine(self.digest, self._payload)
            columns = [each if (kind := _in_utc(each.type)) == each.type else each.cast(kind) for each in batch.columns]
            yield _plain(bulk.batch(pa.RecordBatch.from_arrays(columns, names=self._names or batch.schema.names)))


def _engine(digest: str, payload: bytes) -> BulkEvaluator:
    with _guard:
        found = _engines.get(digest)
        if found is None:
            found = _engines[digest] = _built(payload)
        _engines.move_to_end(digest)
        while len(_engines) > _MOST_ENGINES:  # not closed: somebody may be between two batches with it
            _engines.popitem(last=False)
        return found


def _built(payload: bytes) -> BulkEvaluator:
    bulk: BulkEvaluator = pickle.loads(payload)
    return bulk


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """A type with all moments in UTC: Spark gives them in the session's time zone, and rules see them as text."""
    if pa.types.is_timestamp(kind):
        return kind if kind.tz is None else pa.timestamp(kind.unit, "UTC")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_utc(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_in_utc(kind.value_type)))
    if pa.types.is_map(kind):
        key, item = (field.with_type(_in_utc(field.type)) for field in (kind.key_field, kind.item_field))
        return pa.map_(key, item)
    return kind


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Spark has no dictionaries."""
    columns = [each.dictionary_decode() if pa.types.is_dictionary(each.type) else each for each in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def evaluate(
    dataframe: DataFrame,
    config: Readable | FlagEvaluator,
    flags: Sequence[str] | None = None,
    *,
    keep: Sequence[str] = ALL,
    outputs: Sequence[str] = OUTPUTS,
    columns: Mapping[str, str] | None = None,
    now: float | None = None,
    separator: str = ".",
    format: str = AUTO,
    options: Mapping[str, Any] | None = None,
) -> DataFrame:
    """The rows with their answers: what is kept of them, and behind it a column for each flag and output.

    flags: their keys; None: all of the configuration, in its order.
    keep: the columns of the input that stay, in this order; "*" for all. Columns that are neither kept nor read by a
        rule do not leave the JVM.
    columns: {attribute: column}, for attributes that are not called as their columns are. A struct column's fields are
        nested attributes.
    now: seconds since 1970, for rules that look at the clock. It is fixed here, not where the rows are, so that a task
        that is tried again answers as it did.
    separator: stands between flag and output in names, `button.variant`. With "_" no name needs backticks.
    format, options: as in pyflagwasm.open.
    outputs: of "value", "variant", "reason", "error_code", "bucket" and "rule_index"; see pyflagwasm.bulk.

    Lazy, as every transformation: nothing is evaluated here, but the configuration is compiled, so that a bad one is a
    ConfigError at once. Raises ValueError for a flag, column or output that is not there. A null is an attribute that
    is absent; a row that cannot be evaluated has an error code, and the job goes on. Rules see a TimestampType in UTC,
    whatever the session's time zone.

    The fields of the answers have as metadata which configuration they are of: `pyflagwasm.config_digest`,
    `pyflagwasm.core_digest`, `pyflagwasm.now` and what else BulkEvaluator.metadata has.
    """
    bulk = BulkEvaluator(
        config, flags=flags, format=format, options=options, columns=columns, now=now, outputs=outputs, keep=keep
    )
    entries = bulk._generation.compiled.flags
    if now is None and dataframe.isStreaming and any(entries[key].reads_now for key in bulk.flag_keys):
        raise ValueError(
            "rules look at the clock, and a stream outlives the moment in which this is called: call evaluate in "
            "foreachBatch, which takes the time for each micro-batch, or give `now`"
        )
    needed, kept = _needed(bulk, dataframe.columns)
    # Names of our own on the way there: mapInArrow looks columns up by name, and takes the dot in one for a field.
    sent = [dataframe[_quoted(name)].alias(f"c{number}") for number, name in enumerate(needed)]
    if not sent:  # a batch has to have something to have rows
        from pyspark.sql.functions import lit

        sent, needed = [lit(True).alias("c")], [""]
    output = _output(bulk, dataframe.schema, kept, separator)
    return dataframe.select(*sent).mapInArrow(RowFunction(bulk, needed), output)


def map_in_arrow(
    config: Readable | FlagEvaluator,
    schema: StructType,
    flags: Sequence[str] | None = None,
    *,
    keep: Sequence[str] = (),
    outputs: Sequence[str] = OUTPUTS,
    columns: Mapping[str, str] | None = None,
    now: float | None = None,
    separator: str = ".",
    format: str = AUTO,
    options: Mapping[str, Any] | None = None,
) -> tuple[RowFunction, StructType]:
    """The parts of `evaluate`: the function, and the schema of what it gives, for `mapInArrow` and its options.

    schema: that of the DataFrame it will be applied to. Spark (4.3) refuses to apply a function to a DataFrame that has
    a dot in the name of a column; `evaluate` knows how.

        function, schema = map_in_arrow("flags.json", visitors.schema, keep=["visitor"])
        answers = visitors.mapInArrow(function, schema, barrier=True)
    """
    _types()
    bulk = BulkEvaluator(
        config, flags=flags, format=format, options=options, columns=columns, now=now, outputs=outputs, keep=keep
    )
    _, kept = _needed(bulk, schema.names)
    for name in schema.names:
        if "." in name or "`" in name:
            raise ValueError(f"mapInArrow cannot take the column {name!r}: rename it, or use evaluate")
    return RowFunction(bulk), _output(bulk, schema, kept, separator)


# ---------------------------------------------------------------- at the driver


def _types() -> Any:
    try:
        from pyspark.sql import types
    except ImportError as error:
        raise missing("flags for Spark", "pyspark", "spark") from error
    return types


def _needed(bulk: BulkEvaluator, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of the columns that rules read or that are kept, in their order, and of the kept ones in theirs.

    Raises ValueError for what is not there.
    """
    schema = pa.schema([(name, pa.null()) for name in names])  # nothing here depends on the types
    output = bulk.schema(schema).names
    kept = output[: len(output) - len(bulk.flag_keys) * len(bulk._outputs)]
    read = {names[column] for column in bulk._planned(schema)[0].columns}
    return [name for name in names if name in read or name in kept], kept


def _output(bulk: BulkEvaluator, schema: StructType, kept: Sequence[str], separator: str) -> StructType:
    """The schema of the answers: what is kept as it was, then each flag's columns, which say what they are of."""
    types = _types()
    metadata = {name.decode(): value.decode() for name, value in bulk.metadata.items()}
    fields = [schema[name] for name in kept]
    answers = bulk.schema(pa.schema([(name, pa.null()) for name in schema.names]))
    own = iter(answers.types[len(kept) :])
    for key in bulk.flag_keys:
        for output in bulk._outputs:
            kind = _spark_type(types, next(own))
            fields.append(types.StructField(f"{key}{separator}{output}", kind, True, metadata))
    names = [field.name for field in fields]
    if len({*names}) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise ValueError(f"the answers would have two columns {twice!r}: rename one, or keep less of the input")
    found: StructType = types.StructType(fields)
    return found


def _spark_type(types: Any, kind: pa.DataType) -> Any:
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        return types.StringType()
    if pa.types.is_boolean(kind):
        return types.BooleanType()
    if pa.types.is_floating(kind):
        return types.DoubleType()
    return types.LongType() if pa.types.is_int64(kind) else types.IntegerType()


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
