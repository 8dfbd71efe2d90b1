"""What docs/bulk.md says of Ray and of Dask, where they are; Spark has its own test.

PYFLAGWASM_RAY_PYTHON and PYFLAGWASM_DASK_PYTHON name interpreters that have pyflagwasm[bulk] and `ray[data]`, or
`dask[dataframe]`; else it is this one.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from pages import DOCS, ELSEWHERE, blocks, run_program, written

PAGE = blocks(DOCS / "bulk.md")


@pytest.mark.parametrize(("package", "scheduler"), [("ray", None), ("dask", "threads"), ("dask", "processes")])
def test_the_page(package: str, scheduler: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variable = f"PYFLAGWASM_{package.upper()}_PYTHON"
    python = os.environ.get(variable) or (sys.executable if importlib.util.find_spec(package) else None)
    if python is None:
        pytest.skip(f"{variable} names no interpreter with {package}, and here is none")
    if scheduler is not None:
        monkeypatch.setenv("DASK_SCHEDULER", scheduler)
    written(blocks(DOCS / "quickstart.md"), tmp_path)
    run_program(PAGE, tmp_path, package, python)


def test_each_package_of_a_page_has_its_test() -> None:
    here = Path(__file__).parent
    named = {block.name for block in PAGE if block.kind == "python" and block.name is not None}
    assert named == set(ELSEWHERE)
    for package, test in ELSEWHERE.items():
        assert (here / test).exists(), package
