"""A Spark of two executors for spark_checks.py, functions that watch or do harm on them, and words of errors."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Batches = Iterator[Any]


def session(folder: str) -> Any:
    """A Spark of two executors, each a JVM of its own with its own Python workers, whose files lie in a folder."""
    from pyspark.sql import SparkSession

    os.environ.update(
        PYSPARK_PYTHON=sys.executable,
        PYSPARK_DRIVER_PYTHON=sys.executable,
        PYTHONPATH=str(Path(__file__).parent),  # executors import the functions below
        SPARK_LOCAL_IP="127.0.0.1",
        SPARK_WORKER_DIR=folder,
        SPARK_LOCAL_DIRS=folder,
    )
    options = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "768m",
        "spark.executor.memory": "512m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "Europe/Brussels",
        "spark.sql.warehouse.dir": f"{folder}/warehouse",
        "spark.python.worker.reuse": "true",
    }
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("pyflagwasm")
    for key, value in options.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")  # executors are killed on purpose
    return spark


# ---------------------------------------------------------------- functions that watch, or do harm, on executors


def attempt() -> tuple[int, int]:
    """The partition that is worked on, and how often that was tried before."""
    from pyspark import TaskContext

    context = TaskContext.get()
    assert context is not None
    return context.partitionId(), context.attemptNumber()


def watched(batches: Batches, *, function: Any) -> Batches:
    """The function's batches as rows of what happened: worker, executor, engines built so far, rows, memory in KiB."""
    import resource

    import pyarrow as pa

    import pyflagwasm.integrations.spark as ours

    if not hasattr(ours, "_counted"):
        built, ours._counted = ours._built, []  # type: ignore[attr-defined]
        ours._built = lambda payload: (ours._counted.append(1), built(payload))[1]  # type: ignore[attr-defined]
    for batch in function(batches):
        values = (os.getpid(), executor(), len(ours._counted), batch.num_rows)  # type: ignore[attr-defined]
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        yield pa.RecordBatch.from_pylist([dict(zip(WATCHED, (*values, most), strict=True))])


WATCHED = ("worker", "executor", "engines", "rows", "memory")
WATCHED_SCHEMA = ", ".join(f"{name} long" for name in WATCHED)


def killing(batches: Batches, *, function: Any, executors: bool) -> Batches:
    """The function; but the first try of partition 1 ends after two batches, with the worker or its executor killed."""
    for number, batch in enumerate(function(batches)):
        if attempt() == (1, 0) and number == 2:
            os.kill(executor() if executors else os.getpid(), signal.SIGKILL)
            signal.pause()
        yield batch


def executor() -> int:
    """The process of the JVM that this worker's daemon belongs to."""
    daemon = os.getppid()
    return int(Path(f"/proc/{daemon}/stat").read_text().rpartition(")")[2].split()[1])


# ---------------------------------------------------------------- at the driver


def said(kind: type[Exception], call: Callable[[], object]) -> str:
    """The one line of an error."""
    message = ""
    try:
        call()
    except kind as error:
        message = str(error)
    assert message, "it raised nothing"
    assert "\n" not in message, message
    return message
