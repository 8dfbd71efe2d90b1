"""The visitors and flags of the checks in a Spark cluster (spark_checks.py), and what single evaluation makes of them.

The visitors have a column of every type that Spark can have and a rule could read, nulls in each of them, and rows that
cannot be evaluated. The flags read all of it. Expectations come from details_nowait, one row after the other.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC
from typing import Any

import pyflagwasm

NOW = 1_900_000_000.0
ON_OFF = {"on": True, "off": False}
BAD = 101
"""Every so manieth visitor has a name that is not UTF-8."""


def flag(
    variants: dict[str, Any], default: str | None, targeting: Any = None, state: str = "ENABLED"
) -> dict[str, Any]:
    body = {"state": state, "variants": variants, "defaultVariant": default}
    return body if targeting is None else {**body, "targeting": targeting}


def reading(condition: Any) -> dict[str, Any]:
    return flag(ON_OFF, "off", {"if": [condition, "on", "off"]})


def var(name: str) -> dict[str, str]:
    return {"var": name}


SPLIT = {"fractional": [["plain", 50], ["warm", 30], ["short", 20]]}
RULES = {
    "if": [
        {"!": [{"sem_ver": [var("app.version"), ">=", "4.2.0"]}]},
        "plain",
        {"in": [var("city"), ["Ghent", "Leuven"]]},
        SPLIT,
        {">": [var("age"), 40]},
        "warm",
        "short",
    ]
}
BUTTONS = {"plain": "Pay", "warm": "Bring me my bread", "short": "Buy"}
FLAGS: dict[str, dict[str, Any]] = {
    "button": flag(BUTTONS, "plain", SPLIT),
    "rules": flag(BUTTONS, "plain", RULES),
    "whole": flag({"few": 3, "many": 2**40}, "few", {"if": [{">=": [var("visits"), 30]}, "many", "few"]}),
    "fee": flag({"usual": 3.5, "none": 0}, "usual", {"if": [{">": [var("score"), 1000.5]}, "none", None]}),
    "badge": flag({"a": {"kind": "é", "n": [1]}, "b": {}}, "a", {"if": [var("member"), "a", "b"]}),
    "tiny": reading({"==": [var("tiny"), 5]}),
    "short": reading({"<": [var("small"), 100]}),
    "single": reading({">": [var("single"), 12.25]}),
    "price": reading({">=": [var("price"), 99.5]}),
    "joined": reading({"starts_with": [var("joined"), "2026-01-02T"]}),
    "seen": reading({"starts_with": [var("seen"), "2026-01-02"]}),
    "born": reading({"ends_with": [var("born"), "-01"]}),
    "tags": reading({"in": ["vip", var("tags")]}),
    "plan": reading({"==": [var("traits.plan"), "pro"]}),
    "orders": reading({"some": [var("orders"), {">": [var("total"), 25]}]}),
    "named": reading({"in": ["7", var("name")]}),
    "later": reading({">=": [var("$flagd.timestamp"), 1_800_000_000]}),
    "static": flag(ON_OFF, "on"),
    "none": flag(ON_OFF, None),
    "disabled": flag(ON_OFF, "on", state="DISABLED"),
    "keyed": flag(ON_OFF, "off", {"fractional": [["on", 1], ["off", 1]]}),
}
CONFIG: dict[str, Any] = {"metadata": {"version": "7"}, "flags": FLAGS}
OUTPUTS = ("value", "variant", "reason", "error_code")


def visitors(spark: Any, rows: int, partitions: int = 6) -> Any:
    """A DataFrame of them; their rows depend on `id` alone."""
    return spark.range(0, rows, 1, partitions).selectExpr(
        "id",
        "if(id % 97 = 0, null, concat('user-', id)) as targetingKey",
        "element_at(array('Ghent', 'Leuven', 'Zürich', null), cast(id % 4 as int) + 1) as city",
        "if(id % 13 = 0, null, named_struct('version', concat(id % 6, '.', id % 5, '.0'), 'n', nullif(id, -1))) as app",
        "if(id % 11 = 0, null, cast(id % 80 as int)) as age",
        "if(id % 17 = 0, null, id % 60) as visits",
        "case when id % 19 = 0 then null when id % 23 = 0 then double('NaN') else id * 0.37D end as score",
        "if(id % 5 = 0, null, id % 3 = 0) as member",
        "if(id % 7 = 0, null, cast(id % 9 as tinyint)) as tiny",
        "if(id % 7 = 1, null, cast(id % 300 as smallint)) as small",
        "if(id % 7 = 2, null, cast(id % 50 / 2 as float)) as single",
        "if(id % 7 = 3, null, cast(id % 20000 / 100.0 as decimal(12, 2))) as price",
        "if(id % 7 = 4, null, timestamp_seconds(1767312000 + id * 60)) as joined",
        "if(id % 7 = 5, null, to_timestamp_ntz('2026-01-01T23:00:00') + make_dt_interval(0, 0, 0, id)) as seen",
        "if(id % 7 = 6, null, date_add(date'1990-01-01', cast(id % 9999 as int))) as born",
        "if(id % 9 = 0, null, array('new', if(id % 2 = 0, 'vip', null))) as tags",
        "if(id % 9 = 1, null, map('plan', if(id % 2 = 0, 'pro', 'free'), 'lang', 'nl')) as traits",
        "if(id % 9 = 2, null, array(named_struct('total', nullif(id % 50, -1), 'no', string(null)))) as orders",
        f"if(id % {BAD} = 0, cast(X'66FF6F' as string), concat('n', id)) as name",
    )


# ---------------------------------------------------------------- by single evaluation


Answer = tuple[Any, str | None, str, str | None]
"""Value, variant, reason, error code."""


class Expected:
    """What single evaluation gives for rows, as Arrow has them for Python."""

    def __init__(self, config: Any, now: float = NOW) -> None:
        self._evaluator = pyflagwasm.open(config, clock=lambda: now)
        asyncio.run(self._evaluator.__aenter__())

    def close(self) -> None:
        asyncio.run(self._evaluator.aclose())

    def of(self, key: str, context: dict[str, Any]) -> Answer:
        return _answer(self._evaluator.details_nowait(key, context, default=None))

    def each_of(self, keys: list[str], context: dict[str, Any]) -> list[Answer]:
        bound = self._evaluator.bind(context)
        return [_answer(bound.details(key)) for key in keys]


def _answer(found: pyflagwasm.EvaluationDetails) -> Answer:
    return found.value, found.variant, str(found.reason), found.error_code and str(found.error_code)


def without_nulls(value: Any) -> Any:
    """A context as a row means it: a null is an attribute that is absent, in structs, too."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return value


def context_of(row: dict[str, Any]) -> dict[str, Any]:
    """The context of a row of `visitors`, read from Arrow's Python values."""
    context = without_nulls({key: value for key, value in row.items() if "." not in key and key != "name"})
    if "traits" in context:
        context["traits"] = dict(context["traits"])
    if "orders" in context:
        context["orders"] = [without_nulls(order) for order in context["orders"]]
    if "joined" in context:
        context["joined"] = context["joined"].astimezone(UTC)
    name = row["name"]
    # what is no text for Python either, as half a surrogate pair, which has no UTF-8
    context["name"] = name.decode(errors="surrogateescape") if isinstance(name, bytes) else name
    return context


def rows_of(table: Any) -> list[dict[str, Any]]:
    """The rows of a table; names that are no UTF-8 come as bytes."""
    import pyarrow as pa

    at = table.schema.get_field_index("name")
    raw = [scalar.as_buffer().to_pybytes() for chunk in table.column(at).chunks for scalar in chunk]
    rows: list[dict[str, Any]] = table.set_column(at, "name", pa.array(raw, pa.binary())).to_pylist()
    return rows


def differences(table: Any, keys: list[str], config: Any = CONFIG) -> str:
    """How many answers were compared. Raises AssertionError with the first that are not as expected."""
    expected, compared, wrong = Expected(config), 0, list[str]()
    wanted = {f"{key}.{output}" for key in keys for output in OUTPUTS}
    table = table.select([name for name in table.column_names if "." not in name or name in wanted])
    for row in rows_of(table):
        for key, (value, *others) in zip(keys, expected.each_of(keys, context_of(row)), strict=True):
            compared += 1
            given = row[f"{key}.value"]
            if isinstance(value, dict) and given is not None:
                given = json.loads(given)
            same = (given, type(given)) == (value, type(value)) if key != "fee" else given == value
            if not (same and [row[f"{key}.{output}"] for output in OUTPUTS[1:]] == others):
                got = [row[f"{key}.{output}"] for output in OUTPUTS]
                wrong.append(f"{key}, visitor {row['id']}: {got} and not {[value, *others]}")
    assert wrong == [], wrong[:5]
    return f"{compared} answers"
