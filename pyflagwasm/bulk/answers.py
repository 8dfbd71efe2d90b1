"""What a flag's packed decisions are in the output: codes, one for each way to end, and the Arrow arrays made of them.

A flag has few ways to end, so each is put into words once; a row costs some look-ups in small tables of numpy.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from .. import _abi
from ..generation import ANSWER_MASK, Flag
from ..types import ErrorCode, EvaluationDetails, Reason
from .engine import Packed

OUTPUTS: Final = ("value", "variant", "reason", "error_code", "bucket", "rule_index")
"""What there can be of each flag, in the order in which it comes."""

REASONS: Final = tuple(map(str, Reason))
ERRORS: Final = tuple(map(str, ErrorCode))

Codes = np.ndarray[Any, np.dtype[Any]]
_MASK: Final = np.uint64(ANSWER_MASK)
_BUCKET_SHIFT: Final = np.uint64(_abi.DECISION_BUCKET_SHIFT)
_BUCKET_BITS: Final = np.uint64((1 << _abi.DECISION_BUCKET_BITS) - 1)
_BUCKETED: Final = np.uint64(1 << _abi.DECISION_BUCKETED_SHIFT)
_INT64: Final = range(-(2**63), 2**63)
_MOST_HASHED: Final = 48
"""Ways to end for which a multiplier is looked for that keeps them apart in a small table."""
_TABLE_BITS: Final = 10


class Answers:
    """The ways in which one flag ends, numbered in the order in which they were met. Safe from any thread.

    details: of each. type: of the column `value`. variants: the names in the dictionary of `variant`.
    """

    def __init__(self, flag: Flag) -> None:
        self.flag, self.key = flag, flag.entry.key
        self.details: list[EvaluationDetails] = []
        own = [each.key for each in flag.entry.variants if each.error is None]
        self.variants = tuple(dict.fromkeys(own))
        self.type = value_type([each.value for each in flag.entry.variants if each.error is None], flag.entry.type)
        self._json = not all(
            each.error or each.value is None or isinstance(each.value, str) for each in flag.entry.variants
        )
        self._places = {name: number for number, name in enumerate(self.variants)}
        self._numbers: dict[int, int] = {}
        self._lock = threading.Lock()
        self._keys = _Keys(())
        self._tables: dict[str, tuple[int, Any]] = {}

    def __getstate__(self) -> None:
        raise TypeError("the answers of a flag belong to one process")

    # ------------------------------------------------------------ codes

    def codes(self, packed: Packed) -> Codes:
        """The number of each decision's way to end."""
        answers = packed & _MASK
        while True:
            codes = self._keys.codes(answers)
            if codes is not None:
                return codes
            self._meet(np.unique(answers))

    def _meet(self, answers: Packed) -> None:
        with self._lock:
            for answer in answers.tolist():
                if answer not in self._numbers:
                    details = self.flag.outcome(answer).details
                    self._numbers[answer] = len(self.details)
                    self.details.append(details)
            self._keys = _Keys(tuple(self._numbers))

    # ------------------------------------------------------------ arrays

    def array(self, output: str, codes: Codes, buckets: np.ndarray[Any, Any] | None) -> pa.Array:
        """One column of the output. buckets: as `bucket`, where that is wanted."""
        if output == "bucket":
            assert buckets is not None
            return pa.array(buckets, mask=buckets < 0)
        values, absent = self._table(output)
        found = values[codes] if isinstance(values, np.ndarray) else values.take(pa.array(codes))
        if not isinstance(found, np.ndarray):
            return found
        mask = None if absent is None else absent[codes]
        array = pa.array(found, mask=mask)
        words = {"variant": self.variants, "reason": REASONS, "error_code": ERRORS}.get(output)
        return array if words is None else pa.DictionaryArray.from_arrays(array, pa.array(map(_utf8, words), pa.utf8()))

    def _table(self, output: str) -> tuple[Any, Any]:
        """For each code the value of an output: as numpy's array and where it is null, or as Arrow's array."""
        count = len(self.details)
        known = self._tables.get(output)
        if known is None or known[0] != count:
            known = self._tables[output] = count, self._tabled(output, self.details[:count])
        return known[1]

    def _tabled(self, output: str, details: Sequence[EvaluationDetails]) -> tuple[Any, Any]:
        if output == "value":
            values = [_cell(each.value, self.type, self._json) for each in details]
            if pa.types.is_string(self.type):
                return pa.array(values, self.type), None
            return _numbered(values, np.dtype(self.type.to_pandas_dtype()))
        if output == "variant":
            places = [None if each.variant is None else self._places[each.variant] for each in details]
            return _numbered(places, index_type(len(self.variants)))
        if output == "reason":
            return _numbered([REASONS.index(str(each.reason)) for each in details], np.dtype(np.int8))
        if output == "error_code":
            codes = [None if each.error_code is None else ERRORS.index(str(each.error_code)) for each in details]
            return _numbered(codes, np.dtype(np.int8))
        return _numbered([each.rule_index for each in details], np.dtype(np.int32))


def buckets(packed: Packed) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The bucket's position of each decision, 0 .. 99999, -1 for none."""
    found = (packed >> _BUCKET_SHIFT & _BUCKET_BITS).astype(np.int32)
    found[packed & _BUCKETED == 0] = -1
    return found


class _Keys:
    """Decisions to their numbers, by a table in which no two of them share a place."""

    def __init__(self, keys: Sequence[int]) -> None:
        self._order: Any = None
        self.type: Any = np.uint8 if len(keys) < 256 else np.uint16 if len(keys) < 65536 else np.uint32
        if len(keys) > _MOST_HASHED:
            order = sorted(range(len(keys)), key=lambda number: keys[number])
            self._keys = np.array([keys[number] for number in order], np.uint64)
            self._order = np.array(order, self.type)
            return
        wanted = np.array(keys, np.uint64)
        self._shift = np.uint64(64 - _TABLE_BITS)
        for odd in range(1, 1 << 20, 2):
            self._multiplier = np.uint64(0x9E3779B97F4A7C15 * odd & 0xFFFFFFFFFFFFFFFF)
            places = wanted * self._multiplier >> self._shift
            if len(set(places.tolist())) == len(keys):
                break
        self._keys = np.full(1 << _TABLE_BITS, ANSWER_MASK + 1, np.uint64)  # no decision
        self._numbers = np.zeros(1 << _TABLE_BITS, self.type)
        self._keys[places], self._numbers[places] = wanted, np.arange(len(keys), dtype=self.type)

    def codes(self, answers: Packed) -> Codes | None:
        """The numbers; None if there is one that is new."""
        if self._order is not None:
            places = np.minimum(np.searchsorted(self._keys, answers), len(self._keys) - 1)
            return self._order[places] if (self._keys[places] == answers).all() else None
        places = answers * self._multiplier
        places >>= self._shift
        index = places.view(np.int64)
        return self._numbers[index] if (self._keys[index] == answers).all() else None


# ---------------------------------------------------------------- types of Arrow


def index_type(words: int) -> np.dtype[Any]:
    """The type of the indices of a dictionary of so many words."""
    return np.dtype(np.int8 if words <= 128 else np.int16 if words <= 32768 else np.int32)


def output_type(answers: Answers, output: str) -> pa.DataType:
    """The type of one column of the output."""
    if output == "value":
        return answers.type
    if output == "variant":
        return pa.dictionary(pa.from_numpy_dtype(index_type(len(answers.variants))), pa.utf8())
    return pa.int32() if output in ("bucket", "rule_index") else pa.dictionary(pa.int8(), pa.utf8())


def value_type(values: Sequence[Any], declared: str | None) -> pa.DataType:
    """The type of a flag's values: bool, int64, float64, or utf8 for texts and, as JSON, for all else."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        by_name = {"boolean": pa.bool_(), "number": pa.float64()}
        return by_name.get(declared or "", pa.utf8())
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int} and all(value is None or value in _INT64 for value in values):
        return pa.int64()
    if kinds <= {int, float}:
        try:
            for value in values:
                float(value or 0)
        except OverflowError:
            return pa.utf8()
        return pa.float64()
    return pa.utf8()


def _cell(value: Any, kind: pa.DataType, as_json: bool) -> Any:
    if value is None:
        return None
    if pa.types.is_floating(kind):
        return float(value)
    if not pa.types.is_string(kind):
        return value
    return _utf8(json.dumps(value, ensure_ascii=False, separators=(",", ":")) if as_json else value)


def _utf8(text: str) -> str:
    """The text; what has no UTF-8, a lone surrogate, as a question mark."""
    return text.encode("utf-8", "replace").decode()


def _numbered(values: Sequence[Any], dtype: np.dtype[Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    absent = np.array([value is None for value in values], np.bool_)
    filled = np.array([0 if value is None else value for value in values], dtype)
    return filled, absent if absent.any() else None
