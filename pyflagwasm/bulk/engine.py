"""One worker's instance of the core, and what it decides for the rows of a batch: packed decisions, flag by flag.

The rows go through linear memory in pieces that fit. What a batch of the core cannot carry - lists, objects, texts
beyond a request's room - is decided row by row, as every single evaluation is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import pyarrow as pa

from .. import _abi
from ..config.pace import breathe
from ..errors import ConfigError, GuestTrapError
from ..generation import Encoded, Flag, Generation, Selection
from ..runtime.encode import EncodeError
from ..runtime.instance import Instance
from ..types import ErrorCode
from . import columns
from .attributes import Attributes
from .inputs import readable
from .layers import Layers, Rows, joined, some
from .slots import SlotPlan

Packed = np.ndarray[Any, np.dtype[np.uint64]]
Sink = Callable[[int, int, Packed], None]
"""Told the number of a flag, the first row, and the packed decisions of the rows from there; they must not be kept."""

_PIECE: Final = 2 << 20
"""Bytes of a batch that is written at once: what a processor's cache holds serves better than larger ones."""
_FEWEST: Final = 64
"""Rows of a piece, however large they are, if there is room."""
_SINGLY: Final = 4096
"""Rows whose contexts are made at once."""
_ERROR: Final = (
    _abi.DECISION_NONE << _abi.DECISION_VARIANT_SHIFT
    | _abi.DECISION_NONE << _abi.DECISION_RULE_SHIFT
    | _abi.Reason.ERROR << _abi.DECISION_REASON_SHIFT
)
_ERROR_SHIFT: Final = np.uint64(_abi.DECISION_ERROR_SHIFT)
_ERROR_BITS: Final = np.uint64((1 << _abi.DECISION_ERROR_BITS) - 1)
_BAD_REQUEST: Final = np.uint64(_ERROR | _abi.ErrorCode.BAD_REQUEST << _abi.DECISION_ERROR_SHIFT)
_CODES: Final = {code: _abi.ErrorCode[code.name] for code in ErrorCode}


def failed(code: ErrorCode) -> np.uint64:
    """The packed decision of an evaluation that came to none."""
    return np.uint64(_ERROR | _CODES[code] << _abi.DECISION_ERROR_SHIFT)


class Plan:
    """How tables of one schema are evaluated for some flags of a generation. Immutable; for any number of engines."""

    def __init__(self, generation: Generation, flags: Sequence[Flag], attributes: Attributes, now_us: int) -> None:
        self.generation, self.flags, self.attributes, self.now_us = generation, tuple(flags), attributes, now_us
        numbers = sorted({slot for flag in flags for slot in flag.entry.slots})
        slots = generation.compiled.slots
        self.slots = {number: SlotPlan(slots[number], attributes, now_us) for number in numbers}
        self.varying = {number: plan for number, plan in self.slots.items() if not plan.constant}
        self.columns = sorted({column for plan in self.slots.values() for column in plan.columns})

    def groups(self, widths: dict[int, int]) -> Iterator[tuple[list[int], list[int]]]:
        """The flags that go together, by number, with their slots: no more columns than one batch may have.

        widths: how many columns each slot has. A flag that has too many of its own is in no group.
        """
        group: list[int] = []
        used: dict[int, int] = {}
        for number, flag in enumerate(self.flags):
            own = {slot: widths[slot] for slot in flag.entry.slots if slot in widths}
            if sum(own.values()) > _abi.LIMITS_MAX_COLUMNS:
                continue
            both = used | own
            if group and (sum(both.values()) > _abi.LIMITS_MAX_COLUMNS or len(group) == _abi.LIMITS_MAX_MANY):
                yield group, sorted(used)
                group, both = [], own
            group.append(number)
            used = both
        if group:
            yield group, sorted(used)


class Engine:
    """An instance with a generation in it. For one thread at a time."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self.instance = Instance()
        self.instance.load(generation.compiled.ir, generation.compiled.digest)
        self._region: columns.Region | None = None
        self._size = 0

    def close(self) -> None:
        self._region = None
        with suppress(BufferError):  # an error's traceback has kept something; the memory goes with it
            self.instance.close()

    # ------------------------------------------------------------ a batch

    def decide(self, plan: Plan, batch: pa.RecordBatch, sink: Sink) -> None:
        """Decide all flags of the plan for all rows. Raises GuestTrapError if the core traps."""
        rows, batch = batch.num_rows, readable(batch, plan.columns)
        found = {number: each.layers(batch) for number, each in plan.varying.items()}
        written = {number: _columns(each) for number, each in found.items()}
        widths = {number: len(each) for number, each in written.items()}
        alone = set(range(len(plan.flags)))
        for group, slots in plan.groups(widths):
            base = self._base(plan, group)
            if base is None:
                continue
            alone.difference_update(group)
            own = [(slot, number > 0, each) for slot in slots for number, each in enumerate(written[slot])]
            refused = [self._rows(plan.flags[number], found, "refused") for number in group]
            single = [self._rows(plan.flags[number], found, "single") for number in group]
            fits = len(base) + sum(each.longest() for _, _, each in own) <= _abi.SCRATCH_REQUEST_SIZE
            indexes = [plan.flags[number].entry.index for number in group]
            for start, packed in self._pieces(base, indexes, own, rows):
                stop = start + packed.shape[1]
                masks = [_piece(each, start, stop) for each in single]
                if not fits:
                    bad = packed >> _ERROR_SHIFT & _ERROR_BITS == _abi.ErrorCode.BAD_REQUEST
                    masks = [joined(one, some(other)) for one, other in zip(masks, bad, strict=True)]
                self._singly(plan, batch, group, masks, packed, start)
                for number, decisions, each in zip(group, packed, refused, strict=True):
                    wrong = _piece(each, start, stop)
                    if wrong is not None:
                        decisions[wrong] = failed(ErrorCode.INVALID_CONTEXT)
                    sink(number, start, decisions)
                del packed, decisions
        rest = sorted(alone)
        for start in range(0, rows if rest else 0, _SINGLY):
            count = min(_SINGLY, rows - start)
            packed = np.zeros((len(rest), count), np.uint64)
            self._singly(plan, batch, rest, [np.ones(count, np.bool_)] * len(rest), packed, start)
            for number, decisions in zip(rest, packed, strict=True):
                sink(number, start, decisions)

    def _singly(
        self,
        plan: Plan,
        batch: pa.RecordBatch,
        group: Sequence[int],
        masks: Sequence[Rows | None],
        packed: Packed,
        start: int,
    ) -> None:
        """Decide the marked rows of each flag as single evaluations do: encoded from the row's context."""
        wanted = [(at, plan.flags[number], mask) for at, (number, mask) in enumerate(zip(group, masks, strict=True))
                  if mask is not None]  # fmt: skip
        if not wanted:
            return
        marked = np.flatnonzero(np.logical_or.reduce([mask for _, _, mask in wanted]))
        selection = Selection(plan.generation, [flag for _, flag, _ in wanted])
        scratch, now = self.instance.scratch, plan.now_us.to_bytes(8, "little", signed=True)
        for first in range(0, len(marked), _SINGLY):
            here = marked[first : first + _SINGLY]
            contexts = plan.attributes.contexts(batch, plan.columns, here + start)
            for row, context in zip(here, contexts, strict=True):
                breathe()
                encoded = Encoded(selection, context, plan.now_us)
                for at, flag, mask in wanted:
                    if not mask[row]:
                        continue
                    try:
                        request = encoded.request(flag)
                    except EncodeError as error:
                        packed[at, row] = failed(error.code)
                        continue
                    scratch[: len(request)] = request
                    scratch[_abi.REQUEST_NOW_US : _abi.REQUEST_NOW_US + 8] = now
                    packed[at, row] = self.instance.evaluate(flag.entry.index)

    def _rows(self, flag: Flag, found: dict[int, Layers], what: str) -> Rows | None:
        mask: Rows | None = None
        for slot in flag.entry.slots:
            if slot in found:
                mask = joined(mask, getattr(found[slot], what))
        return mask

    def _base(self, plan: Plan, group: Sequence[int]) -> bytes | None:
        """The request under all rows: what no column says. None if the clock or a view refuses."""
        slots = tuple(sorted({slot for number in group for slot in plan.flags[number].entry.slots}))
        constant = tuple(slot for slot in slots if plan.slots[slot].constant)
        scratch = self.instance.scratch
        try:
            return bytes(scratch[: self.generation.encoder.encode({}, constant, scratch, plan.now_us)])
        except EncodeError:
            return None

    def _pieces(
        self, base: bytes, indexes: Sequence[int], own: Sequence[tuple[int, bool, columns.Column]], rows: int
    ) -> Iterator[tuple[int, Packed]]:
        """The first row of each piece and what is decided for it, flag by flag: valid until the next one."""
        every, start = [each for _, _, each in own], 0
        while start < rows:
            end = rows
            size = columns.needed(every, len(indexes), start, end)
            while size > _PIECE and end - start > _FEWEST:
                end = start + max(_FEWEST, min((end - start) // 2, (end - start) * _PIECE // size))
                size = columns.needed(every, len(indexes), start, end)
            while not self._reserved(size) and end - start > 1:
                end = start + (end - start) // 2
                size = columns.needed(every, len(indexes), start, end)
            if self._size >= size:
                yield start, self._piece(base, indexes, own, start, end)
            else:  # one row, of texts that no request has room for
                yield start, np.full((len(indexes), 1), _BAD_REQUEST)
            start = end

    def _piece(
        self,
        base: bytes,
        indexes: Sequence[int],
        own: Sequence[tuple[int, bool, columns.Column]],
        start: int,
        stop: int,
    ) -> Packed:
        rows, region, instance = stop - start, self._region, self.instance
        assert region is not None
        output = columns.write(region, indexes, own, start, stop)
        instance.scratch[: len(base)] = base
        done = 0
        while done < rows:
            status, further = instance.evaluate_batch(done, rows)
            if status != _abi.Status.OK or further <= done:
                raise GuestTrapError(f"the core refuses a batch: {status.name} at row {done} of {rows}")
            done = further
        decided = region[output : output + 8 * rows * len(indexes)].view("<u8")
        return decided.reshape(len(indexes), rows)

    def _reserved(self, size: int) -> bool:
        """Have a region of at least so many bytes, the same again and again."""
        if size <= self._size and self._region is not None:
            return True
        self._region, self._size = None, 0
        wanted = max(size, min(_PIECE, 2 * size))
        for length in (wanted, size):
            try:
                self._region = np.frombuffer(self.instance.reserve(length), np.uint8)
                self._size = length
                return True
            except ConfigError:  # there is no room for so much
                continue
        return False


def _columns(found: Layers) -> list[columns.Column]:
    written = [columns.column(each) for each in found.arrays]
    if found.null is not None:
        written.append(columns.Null(found.null))
    return written


def _piece(rows: Rows | None, start: int, stop: int) -> Rows | None:
    if rows is None:
        return None
    return some(rows[start:stop])
