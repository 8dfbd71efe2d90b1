"""Flags for whole tables: Arrow in, Arrow out, answered by the same core as single evaluations. Needs `[bulk]`.

    with BulkEvaluator("flags.json", flags=["new-checkout"]) as bulk:
        table = bulk.table(users)          # users: whatever speaks Arrow: pyarrow, Polars, pandas, DuckDB

What a row stands for, and which columns come out, is said at BulkEvaluator (evaluator.py).
"""

from __future__ import annotations

from importlib import import_module

from ..extras import missing

for _package in ("pyarrow", "numpy"):
    try:
        import_module(_package)
    except ImportError as error:
        raise missing("evaluating tables", _package, "bulk") from error

from .evaluator import BulkEvaluator  # noqa: E402
from .summary import FlagSummary, Summary  # noqa: E402

__all__ = ["BulkEvaluator", "FlagSummary", "Summary"]
