"""Who moves, when one configuration takes the place of another: answers of both, row by row, as counts.

An answer is a variant with its value, the caller's default with the reason for it, or an error code. Counted are the
answers of one flag before with those after.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .evaluator import BulkEvaluator
from .files import FileError, Input
from .files.lines import JSON_TEXT
from .files.writing import json_texts
from .jobs import carried, carried_fields, is_json
from .picture import Flow, Part

Answer = tuple[str | None, str | None, str | None, str]
"""variant, value as JSON (None for the caller's default), error code, reason"""

OUTPUTS: Final = ("value", "variant", "reason", "error_code")
_ABSENT: Final = "FLAG_NOT_FOUND"
_LONGEST: Final = 40
_LARGEST_TABLE: Final = 1 << 20


def moves(old: Answer, new: Answer) -> bool:
    """Whether somebody with these answers is given something else: another variant, value or error."""
    return old[:3] != new[:3]


def label(answer: Answer, *, value: bool = False) -> str:
    """How an answer is called. value: whether with what it is."""
    variant, text, error, reason = answer
    if error == _ABSENT:
        return "(no flag)"
    if error is not None:
        return f"({error})"
    if variant is None and text is None:
        return f"(default) {reason}"
    name = "(no variant)" if variant is None else variant
    text = "null" if text is None else text
    return f"{name}={text if len(text) <= _LONGEST else text[: _LONGEST - 1] + chr(0x2026)}" if value else name


def _part(answer: Answer, name: str, count: int) -> Part:
    variant, value, error, _ = answer
    if error not in (None, _ABSENT):
        return Part(name, count, "error")
    return Part(name, count, "variant" if (variant, value) != (None, None) else "none")


@dataclass
class FlagMoves:
    """What changes of one flag. present: whether it is in the old and the new configuration.

    counts: rows by the answers before and after.
    """

    key: str
    present: tuple[bool, bool]
    counts: Counter[tuple[Answer, Answer]] = field(default_factory=Counter)

    @property
    def stays(self) -> bool:
        """Whether it is in both configurations."""
        return self.present == (True, True)

    @property
    def moved(self) -> int:
        """Rows whose variant, value or error is another one."""
        return sum(count for (old, new), count in self.counts.items() if moves(old, new))

    @property
    def changed(self) -> int:
        """Rows whose value is another one."""
        return sum(count for (old, new), count in self.counts.items() if old[1] != new[1])

    @property
    def errors(self) -> tuple[int, int]:
        """Rows with errors before and after, but for those of a flag that is not there."""
        fine = (None, _ABSENT)
        before = sum(count for (old, _), count in self.counts.items() if old[2] not in fine)
        return before, sum(count for (_, new), count in self.counts.items() if new[2] not in fine)

    @property
    def new_errors(self) -> int:
        """Rows that have an error only after."""
        fine = (None, _ABSENT)
        return sum(count for (old, new), count in self.counts.items() if old[2] in fine and new[2] not in fine)

    @property
    def transitions(self) -> list[tuple[Answer, Answer, int, bool]]:
        """Before, after, rows, and whether those move; reasons do not count. The movers first, most of them first."""
        found: dict[tuple[Any, Any], tuple[Answer, Answer, int]] = {}
        for (old, new), count in self.counts.items():
            # Why there is no value is told; why there is this one is not what matters here.
            key = old if old[:2] == (None, None) else old[:3], new if new[:2] == (None, None) else new[:3]
            before = found.get(key)
            found[key] = (old, new, count + (0 if before is None else before[2]))
        listed = [(old, new, count, moves(old, new)) for old, new, count in found.values()]
        return sorted(listed, key=lambda each: (not each[3], -each[2]))

    def labelled(self) -> list[tuple[str, str, int, bool]]:
        """The transitions in words, with values where a variant's is another one than before."""
        names = self._names()
        return [(names[old, 0], names[new, 1], count, going) for old, new, count, going in self.transitions]

    def _names(self) -> dict[tuple[Answer, int], str]:
        values: dict[str | None, set[str | None]] = {}
        for pair in self.counts:
            for variant, value, error, _ in pair:
                if error is None:
                    values.setdefault(variant, set()).add(value)
        return {
            (answer, side): label(answer, value=len(values.get(answer[0], ())) > 1)
            for pair in self.counts
            for side, answer in enumerate(pair)
        }

    def flow(self) -> Flow:
        """As a picture."""
        names = self._names()
        sides: list[dict[str, Part]] = [{}, {}]
        for pair, count in self.counts.items():
            for side, answer in enumerate(pair):
                name = names[answer, side]
                known = sides[side].get(name)
                sides[side][name] = _part(answer, name, count + (0 if known is None else known.count))
        # The same order above and below, so that those who stay go straight down.
        order = sorted(sides[0].values(), key=lambda part: -part.count)
        names_in_order = [part.label for part in order]
        names_in_order += [
            part.label for part in sorted(sides[1].values(), key=lambda part: -part.count) if part.label not in sides[0]
        ]
        before = [sides[0][name] for name in names_in_order if name in sides[0]]
        after = [sides[1][name] for name in names_in_order if name in sides[1]]
        tops = {part.label: at for at, part in enumerate(before)}
        bottoms = {part.label: at for at, part in enumerate(after)}
        going: Counter[tuple[int, int]] = Counter()
        for (old, new), count in self.counts.items():
            going[tops[names[old, 0]], bottoms[names[new, 1]]] += count
        return Flow(self.key, before, after, [(*pair, count) for pair, count in going.items()], self.moved)


class Answers:
    """The answers of one flag in one batch: a number for each row, and what the numbers mean."""

    def __init__(self, batch: pa.RecordBatch, key: str, rows: int, present: bool, as_json: bool) -> None:
        self.codes = np.zeros(rows, np.int64)
        self.meanings: list[Answer] = [(None, None, _ABSENT, "ERROR")]
        if not present:
            return
        value, variant, reason, error = (
            batch.column(batch.schema.get_field_index(f"{key}.{each}")) for each in OUTPUTS
        )
        value = value.dictionary_encode()
        # A flag has few values: the text of each is made once.
        texts = json_texts(value.dictionary, as_json)
        words: list[list[Any]] = []
        for column, there in (
            (variant, variant.dictionary),
            (value, texts),
            (error, error.dictionary),
            (reason, reason.dictionary),
        ):
            words.append([*there.to_pylist(), None])
            indices = pc.fill_null(column.indices.cast(pa.int64()), len(there))
            self.codes = self.codes * (len(there) + 1) + np.asarray(indices)
        distinct, self.codes = _renumbered(self.codes, math.prod(map(len, words)))
        self.meanings = [_meaning(int(code), words) for code in distinct]


def _renumbered(codes: np.ndarray[Any, Any], size: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The distinct ones of numbers below `size`, ascending, and for each number its place among them."""
    if size > _LARGEST_TABLE:
        distinct, places = np.unique(codes, return_inverse=True)
        return distinct, places
    present = np.zeros(size, np.bool_)
    present[codes] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]


def _meaning(code: int, words: Sequence[Sequence[Any]]) -> Answer:
    found = []
    for there in reversed(words):
        code, at = divmod(code, len(there))
        found.append(there[at])
    reason, error, value, variant = found
    return variant, value, error, reason or ""


@dataclass
class Moved:
    """Those of a batch for whom a flag changes: their rows, and the answers of all rows before and after."""

    rows: np.ndarray[Any, np.dtype[np.int64]]
    old: Answers
    new: Answers


class Transitions:
    """Counts of all flags of two configurations, batch after batch; those of the old one first.

    rows: how many were counted. rows_moved: for how many of them a flag changes that both have.
    """

    def __init__(self, old: BulkEvaluator, new: BulkEvaluator) -> None:
        keys = dict.fromkeys((*old.flag_keys, *new.flag_keys))
        self.flags = {key: FlagMoves(key, (key in old.flag_keys, key in new.flag_keys)) for key in keys}
        self._json = [{key for key in each.flag_keys if is_json(each, key)} for each in (old, new)]
        self.rows = self.rows_moved = 0

    def add(self, before: pa.RecordBatch, after: pa.RecordBatch, rows: int) -> dict[str, Moved]:
        """Counts a batch; who moves, by flag that both have."""
        found = {}
        somewhere = np.zeros(rows, np.bool_)
        for key, flag in self.flags.items():
            old = Answers(before, key, rows, flag.present[0], key in self._json[0])
            new = Answers(after, key, rows, flag.present[1], key in self._json[1])
            pairs = old.codes * len(new.meanings) + new.codes
            counts = np.bincount(pairs, minlength=len(old.meanings) * len(new.meanings))
            goes = np.zeros(len(counts), np.bool_)
            for pair in np.flatnonzero(counts).tolist():
                both = old.meanings[pair // len(new.meanings)], new.meanings[pair % len(new.meanings)]
                flag.counts[both] += int(counts[pair])
                goes[pair] = moves(*both)
            if flag.stays and goes.any():
                mask = goes[pairs]
                somewhere |= mask
                found[key] = Moved(np.flatnonzero(mask), old, new)
        self.rows += rows
        self.rows_moved += int(somewhere.sum())
        return found


# ---------------------------------------------------------------- the table of those who move

_MOVES: Final = ("row", "flag", "from", "to", "from_value", "to_value", "from_error", "to_error")


def movers_schema(found: Input, both: Sequence[BulkEvaluator]) -> pa.Schema:
    """A line for each row and flag that both have and that changes. Raises FileError for two columns of one name."""
    for each in found.kept.values():
        if each.name in _MOVES:
            raise FileError(f"{found.name}: the column {each.name!r} cannot be kept: the table has one of that name")
    own = [
        pa.field(name, pa.int64() if name == "row" else pa.string(), metadata=JSON_TEXT if "value" in name else None)
        for name in _MOVES
    ]
    metadata = {
        key.replace(b"pyflagwasm.", b"pyflagwasm.%b." % side): value
        for side, bulk in zip((b"old", b"new"), both, strict=True)
        for key, value in bulk.metadata.items()
    }
    return pa.schema([*carried_fields(found), *own], metadata)


def movers(
    schema: pa.Schema, found: Input, batch: pa.RecordBatch, moved: dict[str, Moved], first: int
) -> pa.RecordBatch:
    """The lines of one batch, row by row. first: the number of its first row in the whole input."""
    parts = []
    for key, each in moved.items():
        rows = each.rows
        columns: list[Any] = [pa.array(rows), pa.array([key] * len(rows), pa.string())]
        for member in (0, 1, 2):
            for answers in (each.old, each.new):
                words = pa.array([meaning[member] for meaning in answers.meanings], pa.string())
                columns.append(words.take(pa.array(answers.codes[rows])))
        parts.append(pa.RecordBatch.from_arrays(columns, list(_MOVES)))
    table = pa.Table.from_batches(parts).sort_by("row").combine_chunks()
    rows = table.column("row").combine_chunks()
    kept = [column.take(rows) for column in carried(found, batch)]
    numbered = pc.add(rows, first)
    others = [table.column(name).combine_chunks() for name in _MOVES[1:]]
    return pa.RecordBatch.from_arrays([*kept, numbered, *others], schema=schema)
