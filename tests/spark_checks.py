"""pyflagwasm.integrations.spark in a cluster of two executors: a driver, which prints a line for each check.

    python tests/spark_checks.py [CHECK]...
    python tests/spark_checks.py --connect          the same code with Spark Connect, in local mode

Needs an interpreter with pyflagwasm[spark], and Java. test_spark.py runs it and shows each check as a test.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from spark_cluster import WATCHED_SCHEMA, killing, said, session, watched
from spark_visitors import BAD, CONFIG, FLAGS, NOW, ON_OFF, OUTPUTS, Expected, differences, flag, visitors

ROWS = 100_000


# ---------------------------------------------------------------- checks


def equality(spark: Any) -> str:
    """Every row as single evaluation has it, for every type of column and flag."""
    from pyflagwasm.integrations.spark import evaluate

    keys = ["button", "rules", "fee", "named"]
    table = evaluate(visitors(spark, ROWS), CONFIG, keys, now=NOW).toArrow()
    assert table.num_rows == ROWS
    assert len({*table.column("button.variant").to_pylist()}) == 3
    every = evaluate(visitors(spark, ROWS // 10), CONFIG, now=NOW).toArrow()
    return f"{differences(table, keys)}, then {differences(every, list(FLAGS))}"


def types(spark: Any) -> str:
    """What comes out has the types of the flags, and what is kept is as it was."""
    from pyflagwasm.integrations.spark import evaluate

    people = visitors(spark, 100)
    answers = evaluate(people, CONFIG, ["button", "whole", "fee", "badge", "plan"], now=NOW)
    found = {name: kind for name, kind in answers.dtypes if name.endswith(".value")}
    assert found == {
        "button.value": "string",
        "whole.value": "bigint",
        "fee.value": "double",
        "badge.value": "string",
        "plan.value": "boolean",
    }
    kept = answers.select(*people.columns)
    assert kept.schema == people.schema
    there, here = (str(frame.drop("name").toArrow().to_pylist()) for frame in (kept, people))
    assert there == here  # as text: a NaN is not equal to itself, and `name` has no UTF-8
    more = evaluate(people, CONFIG, ["button"], outputs=["bucket", "rule_index"], keep=["born", "id"])
    plan = more._jdf.queryExecution().optimizedPlan().toString()
    assert "user-" in plan
    assert "timestamp_seconds" not in plan, "a column travels that nobody wants"
    assert more.columns == ["born", "id", "button.bucket", "button.rule_index"]
    bucketed = [row["button.bucket"] for row in more.collect()]
    assert {row is None or 0 <= row < 100_000 for row in bucketed} == {True}
    assert len({*bucketed}) > 50
    return str(len(found))


def bad_rows(spark: Any) -> str:
    """A row that cannot be evaluated has an error code, and no other row suffers."""
    from pyflagwasm.integrations.spark import evaluate

    answers = evaluate(visitors(spark, 1000), CONFIG, ["named"], keep=["id"], now=NOW, separator="_")
    counted = {row["named_error_code"]: row["count"] for row in answers.groupBy("named_error_code").count().collect()}
    bad = len(range(0, 1000, BAD))
    assert counted == {None: 1000 - bad, "INVALID_CONTEXT": bad}, counted
    assert answers.where("named_error_code is not null and id % 101 != 0").count() == 0
    assert answers.where("named_value is null").count() == bad
    return str(counted)


def _killed(spark: Any, *, executors: bool) -> str:
    from pyflagwasm.integrations.spark import map_in_arrow

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "500")
    people = visitors(spark, 8000, 4)
    keys = ["button", "rules", "later", "orders"]
    function, schema = map_in_arrow(CONFIG, people.schema, keys, keep="*", now=NOW)
    table = people.mapInArrow(partial(killing, function=function, executors=executors), schema).toArrow()
    assert table.num_rows == 8000
    assert len({*table.column("id").to_pylist()}) == 8000
    return differences(table, keys)


def killed_worker(spark: Any) -> str:
    """A Python worker is killed between two batches: the job ends with the same answers."""
    return _killed(spark, executors=False)


def killed_executor(spark: Any) -> str:
    """An executor is killed between two batches: the job ends with the same answers."""
    return _killed(spark, executors=True)


def reuse(spark: Any) -> str:
    """Each Python worker builds the engine once, for all batches, tasks and jobs; both executors work."""
    from pyflagwasm.integrations.spark import map_in_arrow

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "500")
    people = visitors(spark, 20_000, 8)
    function, _ = map_in_arrow(CONFIG, people.schema, now=NOW)
    engines, batches, executors = Counter[int](), Counter[int](), set[int]()
    for _ in range(2):
        for row in people.mapInArrow(partial(watched, function=function), WATCHED_SCHEMA).collect():
            engines[row.worker] = max(engines[row.worker], row.engines)
            batches[row.worker] += 1
            executors.add(row.executor)
    assert set(engines.values()) == {1}, engines
    assert sum(batches.values()) == 80
    assert len(executors) == 2
    return f"{len(engines)} workers, {sum(batches.values())} batches"


def small(spark: Any) -> str:
    """What travels is the configuration and little more; a large one is broadcast by Spark, and works."""
    from pyspark.serializers import CloudPickleSerializer

    from pyflagwasm.integrations.spark import evaluate, map_in_arrow

    people = visitors(spark, 2000)
    function, _ = map_in_arrow(CONFIG, people.schema, keep=["id"], now=NOW)
    size, given = len(CloudPickleSerializer().dumps(function)), len(json.dumps(CONFIG))
    assert size < given + 4096, (size, given)
    flags = {f"flag-{number}": dict(FLAGS["rules"]) for number in range(3000)}
    large = {"flags": flags}
    assert len(json.dumps(large)) > 1 << 20
    table = evaluate(people, large, ["flag-7", "flag-2999"], now=NOW).toArrow()
    return f"{size} bytes; {differences(table, ['flag-7', 'flag-2999'], large)} of the large one"


def errors(spark: Any) -> str:
    """What is wrong with the configuration or the arguments is said by the driver, before there is a job."""
    import pyflagwasm
    from pyflagwasm.integrations.spark import evaluate, map_in_arrow

    people = visitors(spark, 10)
    before = len(spark.sparkContext.statusTracker().getJobIdsForGroup(None))

    broken = {"flags": {"f": {"state": "ON", "variants": {}}}}
    assert said(pyflagwasm.ConfigError, lambda: evaluate(people, broken)).startswith("flags.f")
    assert "nope.json" in said(pyflagwasm.ConfigError, lambda: evaluate(people, "nope.json"))
    assert "'nope'" in said(ValueError, lambda: evaluate(people, CONFIG, ["nope"]))
    assert "'nope'" in said(ValueError, lambda: evaluate(people, CONFIG, keep=["nope"]))
    assert "'nope'" in said(ValueError, lambda: evaluate(people, CONFIG, columns={"city": "nope"}))
    assert "'id'" in said(ValueError, lambda: evaluate(people.select("id", "id"), CONFIG))
    twice = people.withColumn("static_value", people.id)
    assert "static_value" in said(ValueError, lambda: evaluate(twice, CONFIG, ["static"], separator="_"))
    assert "app.version" in said(
        ValueError, lambda: map_in_arrow(CONFIG, people.withColumnRenamed("city", "app.version").schema)
    )
    assert len(spark.sparkContext.statusTracker().getJobIdsForGroup(None)) == before
    return "said"


def names(spark: Any) -> str:
    """Columns with dots, flags with odd keys, answers of answers, renamed attributes."""
    from pyspark.sql import functions

    from pyflagwasm.integrations.spark import evaluate

    config = {"flags": {"a.b c`d": FLAGS["rules"], "button": FLAGS["button"]}}
    people = visitors(spark, 500)
    flat = people.select(
        "id", people.targetingKey.alias("who`s.it"), "city", "age", functions.col("app.version").alias("app.version")
    )
    columns = {"targetingKey": "who`s.it"}
    first = evaluate(flat, config, ["a.b c`d"], columns=columns, now=NOW)
    second = evaluate(first, config, ["button"], columns=columns, now=NOW).orderBy("id").toArrow().to_pylist()
    expected = Expected(config)
    for row in second:
        context = {key: row[key] for key in ("city", "age") if row[key] is not None}
        if row["who`s.it"] is not None:
            context["targetingKey"] = row["who`s.it"]
        if row["app.version"] is not None:
            context["app"] = {"version": row["app.version"]}
        for key in ("a.b c`d", "button"):
            assert tuple(row[f"{key}.{output}"] for output in OUTPUTS) == expected.of(key, context), row
    return f"{len(second)} rows"


def provenance(spark: Any) -> str:
    """The answers' columns say which configuration they are of, after a round through Parquet, too."""
    import hashlib

    import pyflagwasm
    from pyflagwasm.integrations.spark import evaluate

    core = hashlib.sha256((Path(pyflagwasm.__file__).parent / "core.wasm").read_bytes()).hexdigest()
    answers = evaluate(visitors(spark, 100), CONFIG, ["button"], keep=["id"], now=NOW)
    with tempfile.TemporaryDirectory() as folder:
        answers.write.parquet(f"{folder}/answers")
        again = spark.read.parquet(f"{folder}/answers")
        assert again.count() == 100
        for frame in (answers, again, again.select("`button.variant`")):
            told = frame.schema["button.variant"].metadata
            assert told["pyflagwasm.core_digest"] == core, told
            assert float(told["pyflagwasm.now"]) == NOW
            assert len(told["pyflagwasm.config_digest"]) == 64
    assert again.schema["id"].metadata == {}
    return ", ".join(told)


def clock(spark: Any) -> str:
    """Without `now` it is the driver's time when the DataFrame is made, however often that is computed."""
    from pyflagwasm.integrations.spark import evaluate

    turn = time.time() + 2
    late = {
        "flags": {"late": flag(ON_OFF, "off", {"if": [{">=": [{"var": "$flagd.timestamp"}, int(turn) + 1]}, "on"]})}
    }
    answers = evaluate(spark.range(100), late, outputs=["variant"], separator="_")
    while time.time() < turn + 1:
        answers.count()
    assert [(row.late_variant, row["count"]) for row in answers.groupBy("late_variant").count().collect()] == [
        ("off", 100)
    ]
    fresh = evaluate(spark.range(100), late, outputs=["variant"], separator="_")
    assert fresh.where("late_variant = 'on'").count() == 100
    return "fixed"


def nothing(spark: Any) -> str:
    """No rows, empty partitions, flags that read nothing, no columns left."""
    from pyflagwasm.integrations.spark import evaluate

    assert evaluate(visitors(spark, 0), CONFIG, now=NOW).count() == 0
    few = visitors(spark, 3, 8)
    assert evaluate(few, CONFIG, now=NOW).count() == 3
    rows = evaluate(few, CONFIG, ["static"], keep=(), now=NOW).collect()
    assert [row["static.value"] for row in rows] == [True] * 3
    assert rows[0].__fields__ == [f"static.{output}" for output in OUTPUTS]
    bare = evaluate(few.select(), CONFIG, ["static", "button"], keep=())
    assert [row["button.error_code"] for row in bare.collect()] == [Expected(CONFIG).of("button", {})[3]] * 3
    return "nothing"


def large_types(spark: Any) -> str:
    """With Arrow's large types, too."""
    from pyflagwasm.integrations.spark import evaluate

    spark.conf.set("spark.sql.execution.arrow.useLargeVarTypes", "true")
    try:
        table = evaluate(visitors(spark, 3000), CONFIG, now=NOW).toArrow()
    finally:
        spark.conf.unset("spark.sql.execution.arrow.useLargeVarTypes")
    return differences(table, list(FLAGS))


def streams(spark: Any) -> str:
    """A stream: by foreachBatch, with the time of each micro-batch; at once only if no flag asks for the time."""
    from pyflagwasm.integrations.spark import evaluate

    people = visitors(spark, 1000, 2)
    with tempfile.TemporaryDirectory() as folder:
        people.write.parquet(f"{folder}/in")
        stream = spark.readStream.schema(people.schema).parquet(f"{folder}/in")
        assert "foreachBatch" in said(ValueError, lambda: evaluate(stream, CONFIG, ["later"]))
        counted: list[int] = []

        def each(batch: Any, _: int) -> None:
            counted.append(evaluate(batch, CONFIG, ["later"], keep=["id"], separator="_").where("later_value").count())

        options = {"availableNow": True}
        query = stream.writeStream.foreachBatch(each).trigger(**options).start()
        query.awaitTermination(30)
        assert sum(counted) == (1000 if time.time() > 1_800_000_000 else 0)
        direct = evaluate(stream, CONFIG, ["button"], keep=["id"], separator="_")
        direct.writeStream.format("memory").queryName("buttons").trigger(**options).start().awaitTermination(30)
        streamed = {row.id: row.button_variant for row in spark.table("buttons").collect()}
        at_once = evaluate(people, CONFIG, ["button"], keep=["id"], separator="_").collect()
        assert streamed == {row.id: row.button_variant for row in at_once}
    return f"{len(streamed)} rows"


def memory(spark: Any) -> str:
    """A worker's memory does not grow with the rows of its task."""
    from pyflagwasm.integrations.spark import map_in_arrow

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "10000")
    people = spark.range(0, 3_000_000, 1, 2).selectExpr(
        "concat('user-', id) as targetingKey", "cast(id as string) city"
    )
    function, _ = map_in_arrow(CONFIG, people.schema, ["button", "rules"], now=NOW, keep=["city"])
    seen: dict[int, list[int]] = {}
    for row in people.mapInArrow(partial(watched, function=function), WATCHED_SCHEMA).collect():
        seen.setdefault(row.worker, []).append(row.memory)
    grown = {worker: each[-1] - each[len(each) // 10] for worker, each in seen.items()}
    assert all(len(each) >= 100 for each in seen.values()), seen
    assert max(grown.values()) < 8 << 10, grown
    return f"{max(grown.values())} KiB after 90% of the rows, of {max(map(max, seen.values())) >> 10} MiB"


def page(spark: Any) -> str:
    """What docs/bulk.md says of Spark: its blocks, in order, with a session at hand."""
    from pages import DOCS, blocks, check_printed, written

    found, space = blocks(DOCS / "bulk.md"), {"spark": spark}
    written(blocks(DOCS / "quickstart.md"), Path())
    program = [block for block in found if (block.kind, block.name) == ("python", "spark")]
    for block in program:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block.text, block.place, "exec"), space)
        check_printed(found, block, out.getvalue())
    return f"{len(program)} blocks"


CHECKS: dict[str, Callable[[Any], str]] = {
    check.__name__: check
    for check in (
        equality, types, bad_rows, killed_worker, reuse, small, errors, names, provenance, clock, nothing, large_types,
        streams, memory, page, killed_executor,
    )
}  # fmt: skip


def connected() -> str:
    """By way of a server of Spark Connect, of which this is only the client."""
    from pyspark.sql import SparkSession

    from pyflagwasm.integrations.spark import evaluate, map_in_arrow

    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    spark: Any = SparkSession.builder.remote("local[2]").getOrCreate()
    try:
        people = visitors(spark, 2000)
        told = differences(evaluate(people, CONFIG, now=NOW).toArrow(), list(FLAGS))
        assert evaluate(people, CONFIG, ["static"], keep=()).count() == 2000
        function, schema = map_in_arrow(CONFIG, people.schema, ["button"], now=NOW)
        assert people.mapInArrow(function, schema).count() == 2000
        return told
    finally:
        spark.stop()


def main(wanted: list[str]) -> None:
    if wanted == ["--connect"]:
        print(connected())
        return
    with tempfile.TemporaryDirectory() as folder:
        spark = session(folder)
        try:
            for name in wanted or list(CHECKS):
                spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "10000")
                began, problem, told = time.monotonic(), "", ""
                try:
                    told = CHECKS[name](spark)
                except Exception:
                    problem = traceback.format_exc()[-4000:]
                line = {"check": name, "problem": problem, "told": told, "seconds": round(time.monotonic() - began, 1)}
                print(json.dumps(line), flush=True)
        finally:
            spark.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
