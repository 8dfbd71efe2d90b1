"""BulkEvaluator: flags for all rows of a table or a stream. What is done to a batch is in engine.py and answers.py."""

from __future__ import annotations

import difflib
import hashlib
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from types import TracebackType
from typing import Any, Final, Self

import pyarrow as pa

from ..config.formats import AUTO
from ..config.pace import unhurried
from ..errors import AbiMismatchError, ConfigError, GuestTrapError
from ..evaluator import FlagEvaluator
from ..generation import Generation
from ..loading import Readable, compile_source, read
from ..runtime.plain import INT_MAX, INT_MIN
from ..sources.base import Document
from . import answers
from .answers import OUTPUTS, Answers
from .attributes import Attributes, no_column
from .engine import Engine, Packed, Plan
from .freezing import frozen, thawed
from .inputs import ArrowInput, opened, readable_schema, sliced
from .running import Found, add_up, combined, in_order
from .summary import FlagSummary, Summary

CHUNK_ROWS: Final = 65_536
_DEFAULT_OUTPUTS: Final = ("value", "variant", "reason", "error_code")
_MOST_PLANS: Final = 16
_PREFIX: Final = b"pyflagwasm."


class BulkEvaluator:
    """Evaluates flags for every row of whatever speaks Arrow, by the same core and with the same answers as one by one.

        with BulkEvaluator("flags.json", flags=["new-checkout"]) as bulk:
            table = bulk.table(users)

    source: a configuration as `pyflagwasm.open` takes it (a path, a document, a mapping, "example:..."), or an open
        FlagEvaluator, whose live generation is taken as it is now.
    flags: their keys; None for all of the configuration, in its order.
    format, options: as in `pyflagwasm.open`; not with a FlagEvaluator.
    columns: from which column an attribute comes: {"email": "user_email"}. Other attributes come from the column of
        their name.
    now: seconds since 1970 for rules that read the time, the same for the whole job; None for now.
    outputs: what there is for each flag: "value", "variant", "reason", "error_code", "bucket" (the place in the range
        of the last bucket, 0 .. 99999) and "rule_index".
    keep: names of the input columns that come along, or "*" for all.
    threads: how many evaluate at once, each in an instance of the core of its own.
    chunk_rows: rows that are evaluated, and come out, together.

    **A row** is the evaluation context whose attributes are its columns. A null is an attribute that is absent. A
    struct is an object without its null fields, a column `app.version` is the attribute of this name and the member
    `version` of the object `app`. Values are what `to_pylist()` gives, converted as in a context: integers and floats
    of all widths are numbers, moments and dates are ISO text, a Decimal is a double. What no context can carry - bytes,
    durations, text that is not UTF-8 - is the error INVALID_CONTEXT in this row for the flags that read it.

    **The output** has a column `<flag key>.<output>` for each flag and output, behind those of `keep`. `value` is bool,
    int64, float64 or utf8 after the flag's variants, JSON text where they are objects or of several types, and null
    where the caller's default would be served; variant, reason and error_code are dictionaries of utf8. The schema
    carries `metadata`. Hooks are not called, exposures not counted.

    Raises ConfigError for a configuration that cannot be used, and ValueError for a flag, output or column that is not
    there. Safe from any thread. It can be pickled, and makes instances where and when they are needed.
    """

    def __init__(
        self,
        source: Readable | FlagEvaluator,
        *,
        flags: Iterable[str] | str | None = None,
        format: str = AUTO,
        options: Mapping[str, Any] | None = None,
        columns: Mapping[str, str] | None = None,
        now: float | None = None,
        outputs: Iterable[str] = _DEFAULT_OUTPUTS,
        keep: Iterable[str] | str = (),
        threads: int = 1,
        chunk_rows: int = CHUNK_ROWS,
    ) -> None:
        self._document_digest: str | None = None
        if isinstance(source, FlagEvaluator):
            generation = source._instances.generation
            if generation is None:
                raise ValueError("the evaluator has no configuration: enter it before evaluating tables")
            compiled, number = generation.compiled, generation.number
        else:
            found = read(source)
            if isinstance(found, Document):
                self._document_digest = hashlib.sha256(found.data).hexdigest()
            compiled, number = compile_source(found, format, options, explain=False), 1
        if now is not None and not INT_MIN <= round(now * 1_000_000) <= INT_MAX:
            raise ValueError(f"now={now!r} is too far from 1970")
        self._now_us = round((time.time() if now is None else now) * 1_000_000)
        self._columns = dict(columns or {})
        self._outputs = _chosen("output", outputs, OUTPUTS)
        self._keep = keep if keep == "*" else (keep,) if isinstance(keep, str) else tuple(keep)
        if threads < 1 or chunk_rows < 1:
            raise ValueError("threads and chunk_rows must be at least 1")
        self._threads, self._chunk_rows = threads, chunk_rows
        keys = tuple(compiled.flags)
        self.flag_keys: tuple[str, ...] = keys if flags is None else _chosen("flag", flags, keys)
        self._core_digest = _core_digest()
        self._open(Generation(compiled), number)

    def _open(self, generation: Generation, number: int) -> None:
        generation.number = number
        self._generation = generation
        self._answers = [Answers(generation.flags[key]) for key in self.flag_keys]
        self._rows = 0
        self._counts: list[list[int]] = [[] for _ in self._answers]
        self._lock = threading.Lock()
        self._engines: list[Engine] = []
        self._plans: dict[bytes, Plan] = {}
        self._closed = False
        _all.add(self)

    # ------------------------------------------------------------ life

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the instances. Idempotent. What is being evaluated goes on to the end of its chunk."""
        self._closed = True
        while self._engines:
            self._engines.pop().close()

    def __getstate__(self) -> dict[str, Any]:
        names = ("_document_digest", "_now_us", "_columns", "_outputs", "_keep", "_threads", "_chunk_rows", "flag_keys")
        state = {name: getattr(self, name) for name in (*names, "_core_digest")}
        return state | {"frozen": frozen(self._generation.compiled), "number": self._generation.number}

    def __setstate__(self, state: dict[str, Any]) -> None:
        compiled, number = thawed(state.pop("frozen")), state.pop("number")
        self.__dict__.update(state)
        if self._core_digest != (here := _core_digest()):
            raise AbiMismatchError(
                f"this process has core.wasm {here[:12]}, the one that made the job {self._core_digest[:12]}: "
                "install the same version of pyflagwasm in both"
            )
        self._open(Generation(compiled), number)

    def _unlock(self) -> None:
        """In a forked child: the threads that held the locks, if any, do not exist here."""
        self._lock = threading.Lock()
        for answer in self._answers:
            answer.unlock()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self.flag_keys)} flags of {self._generation.compiled.digest[:12]}"
        return f"<BulkEvaluator: {state}>"

    # ------------------------------------------------------------ what comes of it

    @property
    def summary(self) -> Summary:
        """What was evaluated so far, all calls together."""
        with self._lock:
            rows, counts = self._rows, [list(each) for each in self._counts]
        flags: dict[str, FlagSummary] = {}
        for answer, numbers in zip(self._answers, counts, strict=True):
            total, errors = dict[tuple[str | None, str], int](), dict[str, int]()
            for details, count in sorted(zip(answer.details, numbers, strict=False), key=lambda each: -each[1]):
                if count:
                    pair = (details.variant, str(details.reason))
                    total[pair] = total.get(pair, 0) + count
                    if details.error_code is not None:
                        errors[str(details.error_code)] = errors.get(str(details.error_code), 0) + count
            flags[answer.key] = FlagSummary(sum(numbers), total, errors)
        return Summary(rows, flags)

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """What the output's schema carries: which configuration and which core answered, and at which time.

        config_digest: the SHA-256 of the compiled configuration, which is equal where answers are. document_digest:
        that of the document, where there was one. core_digest: that of core.wasm. now: seconds since 1970.
        """
        from .. import __version__

        values = {
            "config_digest": self._generation.compiled.digest,
            "core_digest": self._core_digest,
            "generation": str(self._generation.number),
            "version": __version__,
            "format": self._generation.compiled.format,
            "now": f"{self._now_us / 1_000_000:.6f}",
        }
        if self._document_digest is not None:
            values["document_digest"] = self._document_digest
        return {_PREFIX + name.encode(): value.encode() for name, value in values.items()}

    def schema(self, input_schema: pa.Schema) -> pa.Schema:
        """The schema of what comes out for tables of this schema. Raises ValueError for a column that is not there."""
        return self._planned(input_schema)[1]

    def _kept(self, schema: pa.Schema) -> Sequence[str]:
        if self._keep == "*":
            return list(schema.names)
        for name in self._keep:
            if name not in schema.names:
                raise ValueError(f"keep: {no_column(name, schema.names)}")
        return self._keep

    # ------------------------------------------------------------ evaluate

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The output for one record batch, as one."""
        plan, schema = self._planned(batch.schema)
        if not batch.num_rows:
            return self._one(plan, schema, batch)
        return combined(list(self._evaluated(plan, schema, sliced(iter([batch]), self._chunk_rows))), schema)

    def table(self, data: ArrowInput) -> pa.Table:
        """The output for all rows."""
        schema, batches = opened(data, self._chunk_rows)
        plan, output = self._planned(schema)
        return pa.Table.from_batches(self._evaluated(plan, output, batches), output)

    def stream(self, data: ArrowInput) -> pa.RecordBatchReader:
        """A reader of the output, in the order of the input, which it pulls: a few chunks are in memory at most."""
        schema, batches = opened(data, self._chunk_rows)
        plan, output = self._planned(schema)
        return pa.RecordBatchReader.from_batches(output, self._evaluated(plan, output, batches))

    async def astream(self, data: ArrowInput) -> AsyncIterator[pa.RecordBatch]:
        """As `stream`, in threads, so that the event loop goes on. Cancelling ends it after the chunk under way.

        Where somebody may leave the loop early, close it: `async with contextlib.aclosing(bulk.astream(data)) as ...`.
        """
        from anyio import to_thread

        def begin() -> Generator[pa.RecordBatch, None, None]:
            schema, found = opened(data, self._chunk_rows)
            plan, output = self._planned(schema)
            return self._evaluated(plan, output, found)

        def following() -> pa.RecordBatch | None:
            with unhurried():
                return next(batches, None)

        batches = await to_thread.run_sync(begin)
        try:
            while (batch := await to_thread.run_sync(following)) is not None:
                yield batch
        finally:
            batches.close()

    # ------------------------------------------------------------ how

    def _planned(self, schema: pa.Schema) -> tuple[Plan, pa.Schema]:
        """The plan for tables of a schema, and the schema of their output."""
        key = schema.remove_metadata().serialize().to_pybytes()
        plan = self._plans.get(key)
        if plan is None:
            flags = [self._generation.flags[each] for each in self.flag_keys]
            plan = Plan(self._generation, flags, Attributes(readable_schema(schema), self._columns), self._now_us)
            if len(self._plans) == _MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        fields = [schema.field(name) for name in self._kept(schema)]
        for answer in self._answers:
            fields += [pa.field(f"{answer.key}.{each}", answer.types[each]) for each in self._outputs]
        names = [field.name for field in fields]
        for name in set(names):
            if names.count(name) > 1:
                raise ValueError(
                    f"two columns of the output are called {name!r}: rename that of the input, or leave it out of keep"
                )
        return plan, pa.schema(fields, self.metadata)

    def _evaluated(
        self, plan: Plan, schema: pa.Schema, batches: Iterator[pa.RecordBatch]
    ) -> Generator[pa.RecordBatch, None, None]:
        return in_order(lambda batch: self._one(plan, schema, batch), batches, self._threads)

    def _one(self, plan: Plan, schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The output for one batch."""
        rows, bucketed = batch.num_rows, "bucket" in self._outputs
        found = [Found() for _ in self._answers]

        def sink(number: int, start: int, packed: Packed) -> None:
            codes, counts = self._answers[number].codes(packed)
            found[number].add(rows, start, codes, counts, answers.buckets(packed) if bucketed else None)

        if rows and self._answers:
            self._decide(plan, batch, sink)
        arrays = [batch.column(batch.schema.get_field_index(name)) for name in self._kept(batch.schema)]
        for each, answer in zip(found, self._answers, strict=True):
            for output in self._outputs:
                place = each.buckets if output == "bucket" else None
                arrays.append(answer.array(output, each.codes, each.counts, place))
        with self._lock:
            self._rows += rows
            for total, each in zip(self._counts, found, strict=True):
                add_up(total, each.counts)
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _decide(self, plan: Plan, batch: pa.RecordBatch, sink: Any) -> None:
        if self._closed:
            raise RuntimeError("the bulk evaluator is closed")
        try:
            engine = self._engines.pop()
        except IndexError:
            engine = self._engine()
        try:
            engine.decide(plan, batch, sink)
        except BaseException:
            engine.close()
            raise
        self._engines.append(engine)
        if self._closed:
            self.close()

    def _engine(self) -> Engine:
        try:
            return Engine(self._generation)
        except ConfigError as error:
            raise GuestTrapError(str(error)) from error


def _chosen(what: str, wanted: Iterable[str] | str, known: Sequence[str]) -> tuple[str, ...]:
    """What was asked for, which must be known, and each once."""
    found = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    for each in found:
        if each not in known:
            near = difflib.get_close_matches(each, known, 3, 0.5) or list(known[:10])
            raise ValueError(f"there is no {what} {each!r}; there are {', '.join(map(repr, near)) or 'none'}")
        if found.count(each) > 1:
            raise ValueError(f"the {what} {each!r} is named twice")
    return found


def _core_digest() -> str:
    global _digest
    if _digest is None:
        _digest = hashlib.sha256(resources.files("pyflagwasm").joinpath("core.wasm").read_bytes()).hexdigest()
    return _digest


_digest: str | None = None


# ---------------------------------------------------------------- forks

_all: Final[weakref.WeakSet[BulkEvaluator]] = weakref.WeakSet()


def _after_fork() -> None:
    for bulk in list(_all):
        bulk._unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
