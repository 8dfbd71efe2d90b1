"""Random tables of every type for configurations of every format, and the contexts that their rows are to stand for.

The contexts are said here once more, in Python and row by row, from what BulkEvaluator's docstring promises.
"""

from __future__ import annotations

import datetime
import decimal
import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa

sys.path.append(str(Path(__file__).parent / "differential"))

import devcycle_configs
import eppo_cases
import flagd_cases
import growthbook_cases
import unleash_cases
from evaluators import closed, opened

import pyflagwasm
from pyflagwasm.bulk import BulkEvaluator
from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.errors import ConfigError
from pyflagwasm.types import EvaluationDetails

ROWS_OF_A_POOL = 24
INTS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
FLOATS = (pa.float16(), pa.float32(), pa.float64())
TEXTS = (pa.string(), pa.large_string(), pa.string_view())
PARTS = ["a", "b", "k", "0", "length", "version", "app"]


@dataclass(frozen=True)
class Subject:
    """A configuration, and what makes contexts that its rules know."""

    format: str
    document: Any
    options: dict[str, Any]
    context: Callable[[], dict[str, Any]]


def subjects(random: Random) -> Iterator[Subject]:
    """One configuration of each format after the other, without end."""
    flagd, eppo, growthbook = flagd_cases.Cases(random), eppo_cases.Cases(random), growthbook_cases.Cases(random)
    unleash = {words: unleash_cases.Cases(random, words == "client", regex=True) for words in ("engine", "client")}
    devcycle = devcycle_configs.Configs(random, sloppy=False)

    def user() -> dict[str, Any]:
        found = devcycle.user()
        if random.random() < 0.4:
            found["targetingKey"] = found.pop("user_id")
            found |= (
                custom if isinstance(custom := found.pop("customData", None), dict) and random.random() < 0.7 else {}
            )
        return found

    def subject() -> dict[str, Any]:
        return {**eppo.attributes(), "targetingKey": eppo.subject()}

    while True:
        yield Subject("flagd", sound(flagd.document), {}, flagd.context)
        yield Subject("eppo", eppo.document(), {}, subject)
        for words, cases in unleash.items():
            yield Subject("unleash", cases.document(), {"context_values": words}, cases.context)
        yield Subject("growthbook", growthbook.document(), growthbook.options(), growthbook.context)
        options = {
            "platform": devcycle.platform(),
            "client_custom_data": devcycle.client_data(),
            "semantics": random.choice(["vendor", "corrected"]),
        }
        yield Subject("devcycle", devcycle.config(), options, user)


def sound(document: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A document of flagd without the flags for which all of it would be refused; most of them are."""
    while True:
        found = document()
        flags = {key: flag for key, flag in found["flags"].items() if is_sound(found | {"flags": {key: flag}})}
        if flags:
            return found | {"flags": flags}


def is_sound(document: dict[str, Any]) -> bool:
    try:
        compile_model(load(document, "flagd"))
        return True
    except ConfigError:
        return False


# ---------------------------------------------------------------- tables


def table(random: Random, context: Callable[[], dict[str, Any]], rows: int) -> pa.Table:
    """A table whose columns are some of the attributes that contexts have, each of one type of Arrow."""
    pool = [context() for _ in range(ROWS_OF_A_POOL)]
    names = list(dict.fromkeys(name for each in pool for name in each))
    columns = {name: column(random, [each[name] for each in pool if name in each], rows) for name in names}
    if "targetingKey" in columns and random.random() < 0.15:
        columns["targeting_key"] = column(random, [each.get("targetingKey") for each in pool], rows)
    for _ in range(random.choice([0, 0, 1, 2])):
        top = random.choice([name for name in names if name] or ["a"])
        inner = [value for each in pool if isinstance(each.get(top), dict) for value in each[top].values()]
        columns[f"{top}.{random.choice(PARTS)}"] = column(random, inner or ["a", 1], rows)
    kept = [name for name in columns if random.random() < 0.9]
    random.shuffle(kept)
    made = pa.table({name: columns[name] for name in kept}) if kept else pa.table({"x": pa.nulls(rows)})
    if random.random() < 0.5:  # other offsets, other chunks
        return pa.concat_tables([made.slice(5), made.slice(0, 5)]).slice(3)
    return made


def column(random: Random, known: list[Any], rows: int) -> pa.Array:
    """Values of one type, among them those that are known."""
    by_type: dict[type, list[Any]] = {}
    for value in known:
        by_type.setdefault(type(value), []).append(value)
    by_type.pop(type(None), None)
    kind = random.choice(list(by_type) or [str])
    if random.random() < 0.15:
        return odd(random, rows)
    values, nulls = by_type.get(kind, []), random.choice([0, 0, 0.1, 0.5])
    if kind is dict:
        return struct(random, values, rows)
    if kind is list:
        return listed(random, values, rows, nulls)
    if kind is bool:
        return filled(random, [True, False], pa.bool_(), rows, nulls)
    if kind is int:
        whole = random.choice(INTS)
        width, signed = whole.bit_width, pa.types.is_signed_integer(whole)
        low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
        fitting = [value for value in values if low <= value <= high]
        return filled(random, [*fitting, low, high, 0, 1], whole, rows, nulls)
    if kind is float:
        return filled(random, [*values, 0.5, 2.0, float("nan")], random.choice(FLOATS), rows, nulls)
    texts = [value for value in [*values, "a", "", "é", f"user-{random.randrange(9**9)}"] if value.isprintable() or 1]
    if rows > 2 and random.random() < 0.4:
        texts += [f"u{random.randrange(10**6)}" for _ in range(200)]
    array = filled(random, texts, random.choice(TEXTS), rows, nulls)
    if random.random() < 0.3 and array.type != pa.string_view():
        indices = random.choice([pa.int8(), pa.uint16(), pa.int32(), pa.int64()] if len(texts) < 100 else [pa.int32()])
        encoded = array.dictionary_encode()
        return encoded.cast(pa.dictionary(indices, array.type))
    return array


def filled(random: Random, values: list[Any], kind: pa.DataType, rows: int, nulls: float) -> pa.Array:
    usable = [value for value in values if _fits(value, kind)]
    distinct = pa.array([*usable, None], kind)
    last = len(usable)
    picks = [last if not last or random.random() < nulls else random.randrange(last) for _ in range(rows)]
    return pa.array([None if pick == last else distinct[pick].as_py() for pick in picks], kind)


def _fits(value: Any, kind: pa.DataType) -> bool:
    try:
        pa.array([value], kind)
        return True
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError):
        return False


def struct(random: Random, values: list[dict[str, Any]], rows: int) -> pa.Array:
    names = list(dict.fromkeys(name for value in values for name in value))
    if not names:
        return pa.array([None] * rows, pa.struct([("a", pa.int8())]))
    inner = [column(random, [value[name] for value in values if name in value], rows) for name in names]
    mask = pa.array([random.random() < 0.2 for _ in range(rows)]) if random.random() < 0.5 else None
    return pa.StructArray.from_arrays(inner, names, mask=mask)


def listed(random: Random, values: list[list[Any]], rows: int, nulls: float) -> pa.Array:
    usable = [[each for each in value if isinstance(each, str) and _fits(each, pa.string())] for value in values]
    kind = random.choice([pa.list_(pa.string()), pa.large_list(pa.string())])
    if random.random() < 0.3:
        usable = [[each for each in value if type(each) is int and abs(each) < 2**62] for value in values]
        kind = pa.list_(pa.int64())
    return filled(random, [*usable, []], kind, rows, nulls)


def odd(random: Random, rows: int) -> pa.Array:
    """Types that a context takes by its own rules, or not at all."""
    moment = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    naive = moment.replace(tzinfo=None)
    values, kind = random.choice(
        [
            ([naive, naive.replace(year=1969, microsecond=5)], pa.timestamp("us")),
            ([naive, naive.replace(month=12)], pa.timestamp("s")),
            ([moment, moment.replace(microsecond=250000)], pa.timestamp("ms", "UTC")),
            ([moment, moment.replace(microsecond=1)], pa.timestamp("ns", "Europe/Brussels")),
            ([naive.date(), datetime.date(1, 1, 1)], random.choice([pa.date32(), pa.date64()])),
            ([decimal.Decimal("1.50"), decimal.Decimal("-7.00")], pa.decimal128(9, 2)),
            ([datetime.time(1, 2, 3)], pa.time64("us")),
            ([datetime.timedelta(seconds=5)], pa.duration("ms")),
            ([b"a", b"\xff"], random.choice([pa.binary(), pa.large_binary()])),
            ([uuid.UUID(int=5).bytes, uuid.UUID(int=9).bytes], pa.uuid()),
            ([[("a", 1)], [("b", 2), ("c", None)]], pa.map_(pa.string(), pa.int64())),
            ([None], pa.null()),
        ]
    )
    if kind == pa.uuid():
        storage = pa.array([random.choice([*values, None]) for _ in range(rows)], pa.binary(16))
        return pa.ExtensionArray.from_storage(kind, storage)
    if random.random() < 0.2 and pa.types.is_date32(kind):
        return pa.array([random.choice([*values, None]) for _ in range(rows)], kind).dictionary_encode()
    return pa.array([random.choice([*values, None]) for _ in range(rows)], kind)


# ---------------------------------------------------------------- what rows stand for


def contexts(table: pa.Table) -> list[dict[str, Any]]:
    """The context of each row."""
    found: list[dict[str, Any]] = []
    types = {field.name: field.type for field in table.schema}
    dotted = sorted((n for n in table.schema.names if "." in n and all(n.split("."))), key=lambda n: n.count("."))
    for row in table.to_pylist():
        context = {name: value_of(value, types[name]) for name, value in row.items() if value is not None}
        for name in dotted:
            if row[name] is not None:
                put(context, name.split("."), value_of(row[name], types[name]))
        found.append(context)
    return found


def put(node: dict[str, Any], parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        node[part] = {**node[part]} if isinstance(node.get(part), dict) else {}
        node = node[part]
    node[parts[-1]] = value


def value_of(value: Any, kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {k: value_of(v, kind[k].type) for k, v in value.items() if v is not None}
    if pa.types.is_map(kind):
        return dict(value)
    return value


def answers_of(document: Any, contexts: list[dict[str, Any]]) -> list[dict[str, tuple[str | None, str | None]]]:
    """Variant and error code of each flag for each context, by single evaluations."""
    flags = opened(document)
    try:
        found = [{key: flags.details_nowait(key, each) for key in flags.flag_keys} for each in contexts]
        return [{key: (details.variant, details.error_code) for key, details in each.items()} for each in found]
    finally:
        closed(flags)


def difference(row: dict[str, Any], key: str, details: EvaluationDetails) -> str | None:
    """How a row of the output is not what the details say."""
    found = {name: row[f"{key}.{name}"] for name in ("variant", "reason", "error_code", "rule_index")}
    wanted = {
        "variant": details.variant,
        "reason": str(details.reason),
        "error_code": None if details.error_code is None else str(details.error_code),
        "rule_index": details.rule_index,
    }
    value = row[f"{key}.value"]
    same = value == details.value and isinstance(value, bool) is isinstance(details.value, bool)
    if type(value) is float and type(details.value) is int:  # amid floats an integer is the nearest of them
        same = value == float(details.value)
    if not same and isinstance(value, str):
        same = json.dumps(json.loads(value)) == json.dumps(details.value)
    return None if same and found == wanted else f"{found | {'value': value}}, not {wanted | {'value': details.value}}"


NOW = 1_741_000_000.25
OUTPUTS = ("value", "variant", "reason", "error_code", "rule_index")


async def compared(subject: Subject, random: Random, rows: int, tables: int, outcomes: Counter[str]) -> int:
    """How many rows agree. Raises AssertionError for one that does not, and ConfigError."""
    done = 0
    async with pyflagwasm.open(
        subject.document, format=subject.format, options=subject.options, clock=lambda: NOW
    ) as flags:
        for _ in range(tables):
            data = table(random, subject.context, rows)
            settings: dict[str, Any] = {"outputs": OUTPUTS, "now": NOW, "chunk_rows": random.choice([7, 100, 65_536])}
            with BulkEvaluator(subject.document, format=subject.format, options=subject.options, **settings) as bulk:
                found = bulk.table(data).to_pylist()
                assert bulk.summary.rows == data.num_rows or not flags.flag_keys
            for row, context, answers in zip(data.to_pylist(), contexts(data), found, strict=True):
                for key in flags.flag_keys:
                    details = flags.details_nowait(key, context)
                    outcomes[str(details.error_code or details.reason)] += 1
                    wrong = difference(answers, key, details)
                    assert wrong is None, f"{key}: {wrong}\n{row}\n{context}\n{data.schema}\n{details.error_message}"
            done += data.num_rows
    return done
