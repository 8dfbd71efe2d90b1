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
_FEW: Final = 12
"""Ways to end for which looking for each of them in all rows is faster than looking each row up."""


class Answers:
    """The ways in which one flag ends, numbered in the order in which they were met. Safe from any thread.

    details: of each. type: of the column `value`. types: of all. variants: the words of the dictionary of `variant`.
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
        self.unlock()
        self._keys = _Keys(())
        self._tables: list[dict[str, Any]] = []
        self.types: dict[str, pa.DataType] = {
            "value": self.type,
            "variant": pa.dictionary(pa.from_numpy_dtype(index_type(len(self.variants))), pa.utf8()),
            "reason": pa.dictionary(pa.int8(), pa.utf8()),
            "error_code": pa.dictionary(pa.int8(), pa.utf8()),
            "bucket": pa.int32(),
            "rule_index": pa.int32(),
        }
        words = {"variant": self.variants, "reason": REASONS, "error_code": ERRORS}
        self._words = {name: pa.array(map(_utf8, each), pa.utf8()) for name, each in words.items()}

    def __getstate__(self) -> None:
        raise TypeError("the answers of a flag belong to one process")

    def unlock(self) -> None:
        """Have a lock that nobody holds."""
        self._lock = threading.Lock()

    # ------------------------------------------------------------ codes

    def codes(self, packed: Packed) -> tuple[Codes, list[int]]:
        """The number of each decision's way to end, and how often there is each."""
        answers = packed & _MASK
        while True:
            found = self._keys.codes(answers)
            if found is not None:
                return found
            self._meet(np.unique(answers))

    def _meet(self, answers: Packed) -> None:
        with self._lock:
            for answer in answers.tolist():
                if answer not in self._numbers:
                    self._tables.append(self._cells(self.flag.outcome(answer).details))
                    self._numbers[answer] = len(self.details)
                    self.details.append(self.flag.outcome(answer).details)
            self._keys = _Keys(tuple(self._numbers))

    def _cells(self, details: EvaluationDetails) -> dict[str, Any]:
        """What each column has for one way to end, the words of dictionaries by their number; None for null."""
        code = details.error_code
        return {
            "value": _cell(details.value, self.type, self._json),
            "variant": None if details.variant is None else self._places[details.variant],
            "reason": REASONS.index(str(details.reason)),
            "error_code": None if code is None else ERRORS.index(str(code)),
            "rule_index": details.rule_index,
        }

    # ------------------------------------------------------------ arrays

    def array(self, output: str, codes: Codes, counts: Sequence[int], buckets: Codes | None) -> pa.Array:
        """One column of the output. counts: of the codes. buckets: as `bucket`, where that is wanted."""
        rows, kind = len(codes), self.types[output]
        if buckets is not None:
            return pa.array(buckets, mask=buckets < 0)
        # what does not occur does not count, and is often all but one
        cells = [self._tables[code][output] if count else None for code, count in enumerate(counts)]
        if output == "value" and pa.types.is_string(kind):
            return pa.array(cells, kind).take(pa.array(codes))
        present = [code for code, count in enumerate(counts) if count]
        validity, nulls = None, sum(counts[code] for code in present if cells[code] is None)
        if nulls:
            validity = pa.py_buffer(_bits(codes, [cell is not None for cell in cells], rows))
        plain = kind.index_type if pa.types.is_dictionary(kind) else kind
        filled = [0 if cell is None else cell for cell in cells]
        if pa.types.is_boolean(plain):
            data = _bits(codes, filled, rows)
        elif len({filled[code] for code in present}) <= 1:
            data = np.full(rows, filled[present[0]] if present else 0, plain.to_pandas_dtype())
        else:
            data = _picked(codes, filled, np.dtype(plain.to_pandas_dtype()))
        array = pa.Array.from_buffers(plain, rows, [validity, pa.py_buffer(data)], nulls)
        words = self._words.get(output)
        return array if words is None else pa.DictionaryArray.from_arrays(array, words, safe=False)


def _picked(codes: Codes, cells: Sequence[Any], dtype: np.dtype[Any]) -> Any:
    """The cell of each code. Bytes are translated by a table, which is by far the fastest way."""
    table = np.array(cells, dtype)
    if dtype.itemsize == 1 and codes.dtype == np.uint8:
        return codes.tobytes().translate(table.tobytes().ljust(256, b"\0"))
    return table.take(codes.astype(np.intp))


def _bits(codes: Codes, cells: Sequence[Any], rows: int) -> Any:
    """A bit for each row."""
    if all(cells) or not any(cells):
        return bytes([255 if cells and cells[0] else 0]) * (-(-rows // 8) or 1)
    return np.packbits(
        np.frombuffer(_picked(codes, list(map(bool, cells)), np.dtype(np.bool_)), np.bool_), bitorder="little"
    )


def buckets(packed: Packed) -> np.ndarray[Any, np.dtype[np.int32]]:
    """The bucket's position of each decision, 0 .. 99999, -1 for none."""
    found = (packed >> _BUCKET_SHIFT & _BUCKET_BITS).astype(np.int32)
    found[packed & _BUCKETED == 0] = -1
    return found


class _Keys:
    """Decisions to their numbers."""

    def __init__(self, keys: Sequence[int]) -> None:
        self._type: Any = np.uint8 if len(keys) <= 256 else np.uint16 if len(keys) <= 65536 else np.uint32
        self._few = [np.uint64(key) for key in keys] if len(keys) <= _FEW else None
        order = sorted(range(len(keys)), key=lambda number: keys[number])
        self._keys = np.array([keys[number] for number in order], np.uint64)
        self._order = np.array(order, self._type)

    def codes(self, answers: Packed) -> tuple[Codes, list[int]] | None:
        """The numbers, and how often there is each; None if there is a decision that is new."""
        if self._few is None:
            places = np.minimum(np.searchsorted(self._keys, answers), len(self._keys) - 1)
            if not (self._keys[places] == answers).all():
                return None
            found = self._order[places]
            return found, np.bincount(found, minlength=len(self._keys)).tolist()
        counts: list[int] = []
        codes: np.ndarray[Any, np.dtype[np.uint8]] = np.zeros(len(answers), np.uint8)
        for number, key in enumerate(self._few):
            same = answers == key
            counts.append(int(np.count_nonzero(same)))
            if number:
                np.bitwise_or(codes, same.view(np.uint8) * np.uint8(number), out=codes)
        return (codes, counts) if sum(counts) == len(answers) else None


# ---------------------------------------------------------------- types of Arrow


def index_type(words: int) -> np.dtype[Any]:
    """The type of the indices of a dictionary of so many words."""
    return np.dtype(np.int8 if words <= 128 else np.int16 if words <= 32768 else np.int32)


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
