"""Flags for Spark: the checks of spark_checks.py in a cluster of two executors, and what needs no cluster.

The cluster needs Java and an interpreter that has pyflagwasm[spark]: the one that PYFLAGWASM_SPARK_PYTHON names, or
this one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from spark_checks import CHECKS
from spark_visitors import CONFIG, NOW, Expected

from pyflagwasm.bulk import BulkEvaluator
from pyflagwasm.errors import AbiMismatchError
from pyflagwasm.integrations import spark
from pyflagwasm.integrations.spark import RowFunction

HERE = Path(__file__).parent
NAMED = os.environ.get("PYFLAGWASM_SPARK_PYTHON")
PYTHON = NAMED or (sys.executable if importlib.util.find_spec("pyspark") and shutil.which("java") else None)
needs_spark = pytest.mark.skipif(
    PYTHON is None, reason="PYFLAGWASM_SPARK_PYTHON names no interpreter with pyspark, and here is none, or no Java"
)


# ---------------------------------------------------------------- in a cluster


class Cluster:
    """The driver's lines as they come, by check."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process, self._errors = process, errors
        self._lines: dict[str, dict[str, Any]] = {}

    def line(self, check: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        while check not in self._lines:
            text = self._process.stdout.readline()
            assert text, f"the driver has ended: {self._errors.read_text()[-3000:]}"
            if text.startswith("{"):
                line = json.loads(text)
                self._lines[line["check"]] = line
        return self._lines[check]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    assert PYTHON is not None
    with tempfile.TemporaryDirectory() as folder:
        errors = Path(folder) / "errors"
        with (
            errors.open("w") as said,
            subprocess.Popen(
                [PYTHON, str(HERE / "spark_checks.py")],
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                cwd=folder,
            ) as process,
        ):
            try:
                yield Cluster(process, errors)
                assert process.stdout is not None
                process.stdout.read()  # to its own end
                assert process.wait(60) == 0, errors.read_text()[-3000:]
            finally:
                process.terminate()


@needs_spark
@pytest.mark.timeout(300)  # the first one waits for the cluster, too
@pytest.mark.parametrize("check", CHECKS)
def test_in_a_cluster(check: str, cluster: Cluster) -> None:
    line = cluster.line(check)
    assert not line["problem"], line["problem"]


@needs_spark
def test_with_spark_connect(tmp_path: Path) -> None:
    assert PYTHON is not None
    if subprocess.run(
        [PYTHON, "-c", "import grpc, grpc_status, zstandard"], capture_output=True, check=False
    ).returncode:
        pytest.skip("the interpreter of Spark has no pyspark[connect]")
    done = subprocess.run(
        [PYTHON, str(HERE / "spark_checks.py"), "--connect"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].endswith("42000 answers"), done.stdout


# ---------------------------------------------------------------- the function, without Spark

KEYS = ["button", "rules", "named"]
PEOPLE = [
    {"targetingKey": f"user-{number}", "city": ["Ghent", None][number % 2], "age": number, "name": f"n{number}"}
    for number in range(300)
]


def batches(size: int = 100) -> Iterator[Any]:
    for start in range(0, len(PEOPLE), size):
        yield pa.RecordBatch.from_pylist(PEOPLE[start : start + size])


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What engines were built from, in a process that has none yet."""
    found: list[bytes] = []
    build = spark._built
    monkeypatch.setattr(spark, "_engines", type(spark._engines)())
    monkeypatch.setattr(spark, "_built", lambda payload: (found.append(payload), build(payload))[1])
    return found


def function(now: float = NOW) -> RowFunction:
    with BulkEvaluator(CONFIG, flags=KEYS, now=now) as bulk:
        return RowFunction(bulk)


def test_its_answers_are_those_of_single_evaluation() -> None:
    expected = Expected(CONFIG)
    rows = pa.Table.from_batches(list(function()(batches()))).to_pylist()
    assert len(rows) == len(PEOPLE)
    for row, person in zip(rows, PEOPLE, strict=True):
        context = {key: value for key, value in person.items() if value is not None}
        for key in KEYS:
            assert tuple(row[f"{key}.{output}"] for output in spark.OUTPUTS) == expected.of(key, context)


def test_nothing_in_it_is_of_a_type_that_spark_does_not_have() -> None:
    for batch in function()(batches()):
        assert not [field for field in batch.schema if pa.types.is_dictionary(field.type)]


def test_a_process_builds_one_engine_for_a_configuration(built: list[bytes]) -> None:
    first = function()
    for _ in range(3):
        copy = pickle.loads(pickle.dumps(first))
        assert sum(batch.num_rows for batch in copy(batches(10))) == len(PEOPLE)
    assert len(built) == 1


def test_a_process_keeps_the_engines_used_last(built: list[bytes]) -> None:
    made = [function(now=NOW + number) for number in range(5)]
    for each in (*made, made[4], made[1], made[2]):
        assert sum(1 for _ in each(batches())) == 3
    assert len(built) == 5
    assert sum(1 for _ in made[0](batches())) == 3  # that one had to go
    assert len(built) == 6


def test_an_engine_that_goes_in_the_middle_of_a_task_serves_it_to_its_end(built: list[bytes]) -> None:
    long = function()(batches())
    next(long)
    for number in range(1, 6):
        list(function(now=NOW + number)(batches()))
    assert sum(1 for _ in long) == 2
    assert len(built) == 6


def test_nothing_is_built_for_no_rows(built: list[bytes]) -> None:
    assert list(function()(iter(()))) == []
    assert built == []


def test_another_core_is_refused(built: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    carried = function()
    monkeypatch.setattr("pyflagwasm.bulk.evaluator._core_digest", lambda: "0" * 64)
    for _ in range(2):
        with pytest.raises(AbiMismatchError, match="install the same version of pyflagwasm"):
            next(carried(batches()))


def test_what_is_missing_is_said_in_one_line() -> None:
    hidden = "import sys; sys.modules[{!r}] = None; import pyflagwasm.integrations.spark"
    done = subprocess.run(
        [sys.executable, "-c", hidden.format("pyarrow")], capture_output=True, text=True, timeout=60, check=False
    )
    assert "ImportError: flags for Spark needs the package pyarrow: pip install 'pyflagwasm[spark]'" in done.stderr
    asked = "; pyflagwasm.integrations.spark.map_in_arrow({'flags': {}}, None)"
    done = subprocess.run(
        [sys.executable, "-c", hidden.format("pyspark") + asked],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ImportError: flags for Spark needs the package pyspark: pip install 'pyflagwasm[spark]'" in done.stderr
