"""Batches of columns for the core, byte by byte as schema/README.md section 3 has them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyflagwasm import _abi

HEADER = struct.Struct("<4I")
RECORD = struct.Struct("<HBBIIIII")
KINDS = {bool: _abi.Kind.BOOL, int: _abi.Kind.INT, float: _abi.Kind.FLOAT, str: _abi.Kind.TEXT}
DICTIONARY, FURTHER = 0x40, 0x80
ABSENT = object()


@dataclass(frozen=True)
class Column:
    """The values of one slot; ABSENT where it has none.

    kind: None for that of the values. dictionary: whether texts are written once each. further: over what an earlier
    column of the slot says. shift: the bit at which bits begin.
    """

    slot: int
    values: Sequence[Any]
    kind: int | None = None
    dictionary: bool = False
    further: bool = False
    shift: int = 0


def bits(flags: Sequence[bool], shift: int) -> bytes:
    out = bytearray((len(flags) + shift + 7) // 8)
    for row, flag in enumerate(flags, shift):
        out[row // 8] |= flag << row % 8
    return bytes(out)


def batch(flags: Sequence[int], columns: Sequence[Column], rows: int) -> tuple[bytes, int]:
    """The bytes of a batch and the offset of its output."""
    listed = struct.pack(f"<{len(flags)}I", *flags) + bytes(len(flags) % 2 * 4)
    header = HEADER.size + len(listed) + RECORD.size * len(columns)
    records, body = b"", bytearray()

    def place(data: bytes) -> int:
        body.extend(bytes(-(header + len(body)) % 8))
        at = header + len(body)
        body.extend(data)
        return at

    for column in columns:
        there = [value for value in column.values if value is not ABSENT]
        kind = column.kind
        if kind is None:
            kind = _abi.Kind.NULL if not there or there[0] is None else KINDS[type(there[0])]
        filler: Any = {_abi.Kind.BOOL: False, _abi.Kind.FLOAT: 0.0, _abi.Kind.TEXT: ""}.get(kind, 0)
        filled = [filler if value is ABSENT or value is None else value for value in column.values]
        how, offsets, indices = column.shift | column.shift << 3, 0, 0
        if kind == _abi.Kind.BOOL:
            data = place(bits(filled, column.shift))
        elif kind == _abi.Kind.TEXT:
            if column.dictionary:
                words = sorted(set(filled), reverse=True)
                indices = place(struct.pack(f"<{rows}I", *(words.index(value) for value in filled)))
                how |= DICTIONARY
            else:
                words = filled
            texts = [word if isinstance(word, bytes) else word.encode() for word in words]
            data = place(b"".join(texts))
            ends = [sum(map(len, texts[:row])) for row in range(len(texts) + 1)]
            offsets = place(struct.pack(f"<{len(ends)}I", *ends))
        else:
            data = place(struct.pack(f"<{rows}{'d' if kind == _abi.Kind.FLOAT else 'q'}", *filled))
        validity = 0
        if ABSENT in column.values:
            validity = place(bits([value is not ABSENT for value in column.values], column.shift))
        how |= FURTHER if column.further else 0
        records += RECORD.pack(column.slot, kind, how, data, offsets, validity, indices, 0)
    output = place(b"")
    head = HEADER.pack(len(columns), len(flags), output, 0)
    return head + listed + records + bytes(body) + bytes(8 * rows * len(flags)), output
