"""Flags for whole tables: Arrow in, Arrow out, answered by the same core as single evaluations. Needs `[bulk]`.

    with BulkEvaluator("flags.json", flags=["new-checkout"]) as bulk:
        table = bulk.table(users)          # users: whatever speaks Arrow: pyarrow, Polars, pandas, DuckDB

What a row stands for, and which columns come out, is said at BulkEvaluator (evaluator.py).
"""

from __future__ import annotations

from ..extras import missing

try:
    import numpy as _numpy  # noqa: F401
    import pyarrow as _pyarrow  # noqa: F401
except ImportError as error:
    raise missing("evaluating tables", "pyarrow and numpy", "bulk") from error

from .evaluator import BulkEvaluator
from .summary import FlagSummary, Summary

__all__ = ["BulkEvaluator", "FlagSummary", "Summary"]
