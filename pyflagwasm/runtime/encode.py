"""Writes an evaluation context into the scratch of an instance, as a canonical Request (schema/README.md section 4).

Everything goes forwards: a precomputed prefix with the header and every slot's default, then the slots that the flag
reads, then the heap with their texts. Nothing else of the context is looked at, and no attribute name is written.

Here are bytes only: views.py finds the values, plain.py converts them. What native/plan.c declines is done here, and
all of it without the extension.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from .._abi import (
    LIMITS_VALUE_DEPTH,
    REQUEST_HEAP_FIELD,
    REQUEST_NOW_US,
    REQUEST_ROOT,
    REQUEST_SLOTS,
    REQUEST_SLOTS_FIELD,
    REQUEST_SLOTS_LENGTH,
    REQUEST_VTABLE,
    SCRATCH_REQUEST_OFFSET,
    SCRATCH_REQUEST_SIZE,
    VALUE_SIZE,
    Kind,
)
from ..config.model import MISSING, Slot
from ..once import Once
from ..types import EMPTY
from ..wanted import a
from . import extension, views
from .plain import INT_MAX, INT_MIN, EncodeError, double, plain, refused, shown

__all__ = ["Compiled", "EncodeError", "Encoder"]

Step: TypeAlias = tuple[int, str | None, views.Reader]

# A Value whose space is Request and whose reserved field is 0: the kind fills the first word.
_VALUE = struct.Struct("<IIQ")
_INT = struct.Struct("<IIq")
_FLOAT = struct.Struct("<IId")
_NOW = struct.Struct("<q")
_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_LENGTH = _U32.size

_NULL, _BOOL, _INTEGER, _DOUBLE = int(Kind.NULL), int(Kind.BOOL), int(Kind.INT), int(Kind.FLOAT)
_TEXT, _LIST, _OBJECT = int(Kind.TEXT), int(Kind.LIST), int(Kind.OBJECT)

_TABLE_FIELDS = (REQUEST_SLOTS_FIELD, REQUEST_NOW_US, REQUEST_HEAP_FIELD)
_VTABLE_SIZE = _U16.size * (2 + len(_TABLE_FIELDS))
_TABLE_SIZE = REQUEST_SLOTS_LENGTH - REQUEST_ROOT - _LENGTH
_PAIR = 2 * VALUE_SIZE


class Compiled(Protocol):
    """What the encoder needs of a compiled configuration (config/compile.py)."""

    @property
    def slots(self) -> tuple[Slot, ...]: ...

    @property
    def template(self) -> bytes: ...


def _header(slot_count: int) -> bytes:
    """Bytes 0 .. 56 of a request whose heap is empty."""
    header = bytearray(REQUEST_SLOTS)
    _U32.pack_into(header, 0, REQUEST_ROOT)
    header[4:8] = b"PFRQ"
    fields = [field - REQUEST_ROOT for field in _TABLE_FIELDS]
    struct.pack_into(f"<{2 + len(fields)}H", header, REQUEST_VTABLE, _VTABLE_SIZE, _TABLE_SIZE, *fields)
    struct.pack_into("<i", header, REQUEST_ROOT, REQUEST_ROOT - REQUEST_VTABLE)
    _U32.pack_into(header, REQUEST_SLOTS_FIELD, REQUEST_SLOTS_LENGTH - REQUEST_SLOTS_FIELD)
    heap = REQUEST_SLOTS + VALUE_SIZE * slot_count
    _U32.pack_into(header, REQUEST_HEAP_FIELD, heap - REQUEST_HEAP_FIELD)
    _U32.pack_into(header, REQUEST_SLOTS_LENGTH, slot_count)
    return bytes(header)


class Encoder:
    """Encodes contexts for one compiled configuration. Immutable but for a cache; safe from any thread.

    native: the extension, if it is used. bind: what makes the reader of a slot.

    A context of 100 attributes and one of 5 give the same bytes, if what the flag reads is the same.
    Cost: about 0.6 us and 0.3 us for each text that is read (2 us for four), whatever the size of the context;
    the prefix adds its copying, 16 bytes for each slot of the configuration.
    """

    __slots__ = ("_all", "_heap", "_labels", "_plans", "_prefix", "_readers", "_room", "_slots", "_written", "native")

    def __init__(self, compiled: Compiled, bind: Callable[[Slot], views.Reader] = views.bind) -> None:
        self._slots = slots = compiled.slots
        if len(compiled.template) != VALUE_SIZE * len(slots):
            raise ValueError(f"the template has {len(compiled.template)} bytes for {len(slots)} slots")
        self._prefix = _header(len(slots)) + compiled.template + bytes(_LENGTH)
        self._heap = len(self._prefix)
        self._room = SCRATCH_REQUEST_SIZE - self._heap
        if self._room < 0:
            raise ValueError(f"{len(slots)} slots do not fit the request area of {SCRATCH_REQUEST_SIZE} bytes")
        self._labels = tuple(views.label(slot) for slot in slots)
        self._readers: tuple[Step, ...] = tuple(
            (SCRATCH_REQUEST_OFFSET + REQUEST_SLOTS + VALUE_SIZE * number, views.plain_key(slot), bind(slot))
            for number, slot in enumerate(slots)
        )
        self._plans: dict[tuple[int, ...], tuple[Step, ...]] = {}
        self._all = tuple(range(len(slots)))
        self.native = extension.chosen()
        self._written: dict[tuple[int, ...], Any] = {}

    def encode(
        self, context: Mapping[str, Any] | None, slots: tuple[int, ...], scratch: memoryview, now_us: int
    ) -> int:
        """Write the request for a flag that reads `slots`; the number of bytes written.

        context: None is an empty one. scratch: writable bytes, at least the request area.
        now_us: microseconds since 1970.
        Slots that are not in `slots`, and attributes that are not there, get the configuration's default.
        Raises EncodeError for a context that cannot be sent; then scratch holds the defaults only.
        """
        if self.native is not None:
            size = self.native_plan(slots).write(context, scratch, now_us)
            if size is not None:
                return int(size)
        try:
            plan = self._plans[slots]
        except KeyError:
            plan = self._plans[slots] = tuple(self._readers[slot] for slot in slots)
        heap, room = self._heap, self._room
        scratch[:heap] = self._prefix
        _NOW.pack_into(scratch, REQUEST_NOW_US, now_us)
        parts: list[bytes | bytearray] = [b""]  # the heap's length, then its pieces
        add, pack = parts.append, _VALUE.pack_into
        size, at = 0, -1
        try:
            if type(context) is not dict:
                context = _mapping(context)
            get = context.get
            for at, key, read in plan:
                value = read(context, now_us) if key is None else get(key, MISSING)
                kind = type(value)
                if kind is str:
                    data = value.encode()
                    length = len(data)
                    pack(scratch, at, _TEXT, length, size)
                    add(data)
                    size += length
                    if size > room:
                        raise self._too_large(size)
                elif value is MISSING:
                    pass
                elif kind is bool:
                    pack(scratch, at, _BOOL, 0, value)
                elif kind is float:
                    _FLOAT.pack_into(scratch, at, _DOUBLE, 0, value)
                elif kind is int and INT_MIN <= value <= INT_MAX:
                    _INT.pack_into(scratch, at, _INTEGER, 0, value)
                else:
                    size = self._write(value, scratch, at, parts, size, LIMITS_VALUE_DEPTH)
        except Exception as error:
            scratch[:heap] = self._prefix
            raise self._explained(error, at) from None
        if not size:
            return heap
        parts[0] = _U32.pack(size)
        end = heap + size
        scratch[heap - _LENGTH : end] = b"".join(parts)
        return end

    def encode_all(self, context: Mapping[str, Any] | None, scratch: memoryview, now_us: int) -> bytes:
        """The request with every slot of the configuration, as bytes to write again later: `scratch[:len(b)] = b`.

        Raises EncodeError also for an attribute that only some flags read: then the flags must be encoded one by one.
        The clock in it is `now_us`.
        """
        return bytes(scratch[: self.encode(context, self._all, scratch, now_us)])

    def native_plan(self, slots: tuple[int, ...]) -> Any:
        """How the extension encodes what a flag reads, in the plain case. None without the extension."""
        plan = self._written.get(slots)
        if plan is None and self.native is not None:
            steps = []
            for number in slots:
                at, _, read = self._readers[number]
                key, also, rest, taken = views.lookup(self._slots[number]) or (None, None, (), views.TAKES_ALL)
                steps.append((at - SCRATCH_REQUEST_OFFSET, key, also, rest or None, read, taken))
            reads_now = any(views.reads_now(self._slots[number]) for number in slots)
            plan = self.native.Plan(self._prefix, self._room, tuple(steps), reads_now)
            self._written[slots] = plan
        return plan

    # ------------------------------------------------------------ values that are no plain text

    def _write(
        self,
        value: Any,
        block: memoryview | bytearray,
        at: int,
        parts: list[bytes | bytearray],
        size: int,
        depth: int,
    ) -> int:
        """Write one Value at `at` of `block` and its text or members at `size` of the heap; the heap's new size.

        depth: how many levels of lists and objects are still allowed.
        """
        value = plain(value)
        kind = type(value)
        if kind is str:
            return self._text(value, block, at, parts, size)
        if kind is int:
            if INT_MIN <= value <= INT_MAX:
                _INT.pack_into(block, at, _INTEGER, 0, value)
            else:
                _FLOAT.pack_into(block, at, _DOUBLE, 0, double(value))
            return size
        if value is None:
            _VALUE.pack_into(block, at, _NULL, 0, 0)
            return size
        if kind is bool:
            _VALUE.pack_into(block, at, _BOOL, 0, value)
            return size
        if kind is float:
            _FLOAT.pack_into(block, at, _DOUBLE, 0, value)
            return size
        if depth == 0:
            raise refused(f"lists and objects nest deeper than {LIMITS_VALUE_DEPTH} levels")
        if issubclass(kind, (list, tuple)):
            return self._write_list(value, block, at, parts, size, depth - 1)
        return self._write_object(value, block, at, parts, size, depth - 1)

    def _text(
        self, value: str, block: memoryview | bytearray, at: int, parts: list[bytes | bytearray], size: int
    ) -> int:
        data = value.encode()
        _VALUE.pack_into(block, at, _TEXT, len(data), size)
        parts.append(data)
        size += len(data)
        if size > self._room:
            raise self._too_large(size)
        return size

    def _members(self, parts: list[bytes | bytearray], size: int, wanted: int) -> tuple[bytearray, int]:
        """A block of `wanted` bytes in the heap at the next multiple of 8, and its offset."""
        start = -(-size // 8) * 8
        if start + wanted > self._room:
            raise self._too_large(start + wanted)
        block = bytearray(wanted)
        parts.append(bytes(start - size))
        parts.append(block)
        return block, start

    def _write_list(
        self,
        value: Any,
        owner: memoryview | bytearray,
        at: int,
        parts: list[bytes | bytearray],
        size: int,
        depth: int,
    ) -> int:
        base: Any = list if issubclass(type(value), list) else tuple
        # A copy, made at once and by the base class: nobody can change it while it is written.
        members = base.__getitem__(value, slice(self._room // VALUE_SIZE + 1))
        block, start = self._members(parts, size, VALUE_SIZE * len(members))
        _VALUE.pack_into(owner, at, _LIST, len(members), start)
        size = start + len(block)
        for number, member in enumerate(members):
            try:
                size = self._write(member, block, VALUE_SIZE * number, parts, size, depth)
            except (EncodeError, UnicodeEncodeError) as error:
                raise _refusal(error).within(f"[{number}]") from None
        return size

    def _write_object(
        self,
        value: Any,
        owner: memoryview | bytearray,
        at: int,
        parts: list[bytes | bytearray],
        size: int,
        depth: int,
    ) -> int:
        most = self._room // _PAIR + 1  # a mapping of the caller's may be endless
        pairs = list(islice(value.items(), most))
        block, start = self._members(parts, size, _PAIR * len(pairs))
        _VALUE.pack_into(owner, at, _OBJECT, len(pairs), start)
        size = start + len(block)
        for number, (key, member) in enumerate(pairs):
            kind = type(key)
            if not issubclass(kind, str):
                raise refused(f"a key of type {shown(kind.__qualname__)}; the keys of an object are text")
            key = str.__str__(key)
            try:
                size = self._text(key, block, _PAIR * number, parts, size)
                size = self._write(member, block, _PAIR * number + VALUE_SIZE, parts, size, depth)
            except (EncodeError, UnicodeEncodeError) as error:
                raise _refusal(error).within(shown(key)) from None
        return size

    # ------------------------------------------------------------ refusals

    def _too_large(self, size: int) -> EncodeError:
        return refused(
            f"too large: the request needs at least {self._heap + size} bytes, {SCRATCH_REQUEST_SIZE} are available"
        )

    def _explained(self, error: Exception, at: int) -> EncodeError:
        if at < 0:
            where = "context"
        else:
            where = self._labels[(at - SCRATCH_REQUEST_OFFSET - REQUEST_SLOTS) // VALUE_SIZE]
        refusal = _refusal(error)
        return refusal if refusal.attribute == where else refusal.within(where)


# ---------------------------------------------------------------- buffers for requests that are kept

_MOST_BUFFERS: Final = 8
_buffers: list[memoryview] = []


@contextmanager
def buffer() -> Iterator[memoryview]:
    """A buffer as large as a request may be, for as long as the block runs."""
    try:
        found = _buffers.pop()
    except IndexError:
        found = memoryview(bytearray(SCRATCH_REQUEST_SIZE))
    try:
        yield found
    finally:
        if len(_buffers) < _MOST_BUFFERS:
            _buffers.append(found)


_LOG: Final = logging.getLogger("pyflagwasm")
_once: Final = Once()


def _mapping(context: object) -> Mapping[str, Any]:
    if context is None:
        return EMPTY
    if issubclass(type(context), Mapping):
        return context  # type: ignore[return-value]
    kind = type(context).__qualname__
    if _once(kind):
        _LOG.warning(
            "an evaluation context is a mapping, not %s: flags that read it give the default. The second argument "
            "of value(key, context, default=...) is the context; did you mean default=...?",
            shown(a(context)),
        )
    raise refused(f"the evaluation context is of type {shown(type(context).__qualname__)}, not a mapping", "context")


def _refusal(error: Exception) -> EncodeError:
    if isinstance(error, EncodeError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return refused("text with a lone surrogate has no UTF-8")
    return refused(f"reading it raised {shown(type(error).__qualname__)}")
