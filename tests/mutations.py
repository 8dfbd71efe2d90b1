"""Damage: bytes, configurations and requests that nobody meant, made from valid ones.

Some mutations are blind, some know where the arrays of a configuration and the Values of a request lie, because blind
ones are nearly all refused at once. Everything draws from a `random.Random`. What becomes of it is attack.py's matter.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from fbs_generated.Config import Config
from fbs_generated.Kind import Kind
from fbs_generated.Op import Op
from samples import encode_request

from pyflagwasm import _abi

BYTES = (0, 1, 2, 7, 8, 16, 24, 0x3F, 0x7F, 0x80, 0xFE, 0xFF)
WORDS = (0, 1, 2, 3, 8, 15, 16, 24, 255, 256, 65535, 65536, 2**24, 2**28, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1)
SECTIONS = {8: 8, 10: 24, 12: 16, 14: 1, 16: 24, 18: 8, 20: 16, 22: 40}
"""Offset in the vtable -> bytes of an element, for the vectors of Config."""

Mutation = Callable[[Random, bytearray], None]


def number(rng: Random, near: int) -> int:
    """32 bits: an extreme, or close to something that is there."""
    if rng.random() < 0.5:
        return rng.choice(WORDS)
    return (near + rng.choice((-2, -1, 1, 2, rng.randrange(-300, 300)))) & 0xFFFFFFFF


# ---------------------------------------------------------------- blind


def flip_bits(rng: Random, data: bytearray) -> None:
    for _ in range(rng.randrange(1, 5)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def edit_bytes(rng: Random, data: bytearray) -> None:
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(len(data))] = rng.choice(BYTES)


def edit_word(rng: Random, data: bytearray) -> None:
    """A count, an offset or an index, very likely."""
    if len(data) >= 4:
        at = 4 * rng.randrange(len(data) // 4)
        struct.pack_into("<I", data, at, number(rng, struct.unpack_from("<I", data, at)[0]))


def swap_words(rng: Random, data: bytearray) -> None:
    size = rng.choice((4, 4, 8, 16, 24))
    if len(data) >= 2 * size:
        one, other = (size * rng.randrange(len(data) // size) for _ in "12")
        first, second = data[one : one + size], data[other : other + size]
        data[one : one + size], data[other : other + size] = second, first


def truncate(rng: Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def lengthen(rng: Random, data: bytearray) -> None:
    data += rng.randbytes(rng.choice((1, 4, 8, 64, 1000)))


def move_block(rng: Random, data: bytearray) -> None:
    """Copies, inserts or removes a stretch, mostly in words."""
    size = min(rng.choice((1, 4, 8, 16, 24, 40, 200)), len(data))
    start, to = (rng.randrange(len(data) - size + 1) // 4 * 4 for _ in "12")
    block = data[start : start + size]
    match rng.randrange(3):
        case 0:
            data[to : to + size] = block
        case 1:
            data[to:to] = block
        case _:
            del data[to : to + size]


BLIND: tuple[Mutation, ...] = (
    flip_bits, flip_bits, edit_bytes, edit_word, edit_word, swap_words, truncate, lengthen, move_block,
)  # fmt: skip


def splice(rng: Random, data: bytearray, other: bytes) -> None:
    """A stretch of another one takes the place of one here."""
    size = rng.choice((4, 8, 16, 24, 48, len(other) // 2))
    at, start = rng.randrange(len(data)) // 4 * 4, rng.randrange(len(other)) // 4 * 4
    data[at : at + size] = other[start : start + size]


# ---------------------------------------------------------------- with knowledge


def sections(ir: bytes | bytearray) -> list[tuple[int, int, int]]:
    """(address, number of elements, bytes of an element) of the vectors of a valid configuration."""
    table = Config.GetRootAs(ir, 0)._tab
    found = []
    for field, size in SECTIONS.items():
        offset = table.Offset(field)
        found.append((table.Vector(offset), table.VectorLen(offset), size))
    return found


def edit_element(rng: Random, data: bytearray, where: list[tuple[int, int, int]]) -> None:
    """One field of a flag, node, value, bucket... of a configuration whose `sections` are `where`."""
    flags, nodes, values, *_ = where
    at, count, size = rng.choice((nodes, nodes, nodes, values, values, flags, *where))
    if not count or at + count * size > len(data):
        return
    index = rng.randrange(count)
    start = at + index * size
    if size == _abi.NODE_SIZE and at == nodes[0]:
        _edit_node(rng, data, start, index, count, values[1])
    elif size == _abi.VALUE_SIZE and at == values[0]:
        _edit_value(rng, data, start)
    elif size == 1:
        data[start] = rng.randrange(256)
    else:
        field = start + 4 * rng.randrange(size // 4)
        struct.pack_into("<I", data, field, number(rng, struct.unpack_from("<I", data, field)[0]))


def _edit_node(rng: Random, data: bytearray, at: int, index: int, count: int, constants: int) -> None:
    match rng.randrange(8):
        case 0:
            data[at] = rng.randrange(Op.IterateNext + 3)
        case 1:
            data[at + 1] = rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 0x17, 0x37, rng.randrange(256)))
        case 2:
            struct.pack_into("<H", data, at + 2, rng.choice((0, 1, 2, 3, 2047, 2048, 65535)))
        case 3 | 4:
            operand = at + rng.choice((4, 8))
            struct.pack_into(
                "<I", data, operand, rng.choice((0, 1, 2, 3, rng.randrange(constants + 2), number(rng, 0)))
            )
        case _:
            target = rng.randrange(index + 1, count + 1) if rng.random() < 0.9 else number(rng, index)
            struct.pack_into("<I", data, at + rng.choice((12, 16, 20)), target)


def _edit_value(rng: Random, data: bytearray, at: int) -> None:
    """Another kind, length or place; lists that contain themselves come about like that."""
    kind, space, _, length, bits = struct.unpack_from("<BBHIQ", data, at)
    match rng.randrange(5):
        case 0:
            kind = rng.randrange(Kind.Object + 2)
        case 1:
            kind, bits = rng.choice((Kind.List, Kind.List, Kind.Object)), 8 * rng.randrange(64)
            length = rng.randrange(1, 9)
        case 2:
            length = rng.choice((1, 2, 3, length + 1, length * 2, 4000, number(rng, length))) & 0xFFFFFFFF
        case 3:
            bits = rng.choice((0, 1, bits ^ 8, bits + 8, 8 * rng.randrange(128), 2**63 - 1, 2**63, 2**64 - 16))
        case _:
            space = rng.randrange(6)
    struct.pack_into("<BBHIQ", data, at, kind, space, 0, length, bits & 2**64 - 1)


def mutated_config(rng: Random, ir: bytes, where: list[tuple[int, int, int]], other: bytes) -> bytes:
    """One damaged configuration. `where`: the `sections` of `ir`; `other`: something to splice with."""
    roll = rng.random()
    if roll < 0.02:
        return rng.randbytes(rng.choice((1, 7, 8, 64, 500, len(ir))))
    data = bytearray(ir)
    if roll < 0.65:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            edit_element(rng, data, where)
    elif roll < 0.75:
        splice(rng, data, other)
    else:
        for _ in range(rng.choice((1, 1, 2))):
            if data:
                rng.choice(BLIND)(rng, data)
    return bytes(data) or b"\0"


def mutated_request(rng: Random, request: bytes, slots: int) -> bytes:
    """One damaged request, at most as long as the request area."""
    roll = rng.random()
    if roll < 0.03:
        return rng.randbytes(rng.choice((16, 56, 200, 4000)))
    data = bytearray(request)
    values = (len(data) - _abi.REQUEST_SLOTS) // 4
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        if roll < 0.6 and values > 4 and slots:
            in_slots = rng.random() < 0.5
            step = 4 * (4 * rng.randrange(slots) if in_slots else rng.randrange(values - 3))
            _edit_value(rng, data, min(_abi.REQUEST_SLOTS + step, len(data) - _abi.VALUE_SIZE))
        elif roll < 0.7 and len(data) > 48:
            struct.pack_into(
                "<q", data, _abi.REQUEST_NOW_US, rng.choice((-(2**63), 2**63 - 1, -1, rng.getrandbits(52)))
            )
        elif data:
            rng.choice(BLIND)(rng, data)
    return bytes(data[: _abi.SCRATCH_REQUEST_SIZE])


def bomb(rng: Random, slots: int, now_us: int = 0) -> bytes:
    """A small request that is large to read: values that contain themselves, many times over, or one endless text."""
    room = _abi.SCRATCH_REQUEST_SIZE - _abi.REQUEST_SLOTS - _abi.VALUE_SIZE * slots - 4
    if rng.random() < 0.5:
        units = (b"a", b"1.", b"1_", b"-", b"v", b"9", b"0,", b" ", b"\xff", "\u00e9".encode(), "\U0001f600".encode())
        unit = rng.choice(units)
        heap = unit * (rng.choice((100, 5000, room)) // len(unit))
        made = [struct.pack("<BBHIQ", Kind.Text, 0, 0, len(heap) - cut, cut) for cut in (0, 1, len(heap) // 2)]
    else:
        count = rng.choice((1, 2, 2, 8, 64, 2000))
        kinds = rng.choices((Kind.List, Kind.Object, Kind.Text, Kind.Int), (8, 2, 1, 1), k=8)
        member = [struct.pack("<BBHIQ", kind, 0, 0, count // (1 + (kind == Kind.Object)), 0) for kind in kinds]
        heap = b"".join(member[number % 8] for number in range(min(count, room // 16)))
        made = [struct.pack("<BBHIQ", kind, 0, 0, count // 2, 0) for kind in (Kind.List, Kind.List, Kind.Object)]
        made.append(struct.pack("<BBHIQ", Kind.List, 0, 0, count, 0))
    return encode_request([rng.choice(made) for _ in range(slots)], heap, now_us)


def some_batch(rng: Random, slots: int, rows: int) -> bytes:
    """The region of a batch: columns of all kinds, sound to one half, with an output for `rows` rows."""
    columns, flags = rng.randrange(5), rng.choice((1, 1, 2, 3))
    records_at = 16 + (4 * flags + 7 & ~7)
    out, records = bytearray(records_at + 24 * columns), []
    for _ in range(columns):
        kind = rng.choice((Kind.Bool, Kind.Int, Kind.Float, Kind.Text, Kind.Text, Kind.Null))
        out += bytes(-len(out) % 8)
        data = len(out)
        size = {Kind.Bool: rows // 8 + 1, Kind.Text: 3 * rows}.get(kind, 8 * rows)
        out += b"a1." * rows if kind == Kind.Text else rng.randbytes(size)
        out += bytes(-len(out) % 8)
        offsets = len(out)
        if kind == Kind.Text:
            out += struct.pack(f"<{rows + 1}I", *(3 * row for row in range(rows + 1)))
        validity = len(out) if rng.random() < 0.5 else 0
        out += rng.randbytes(rows // 8 + 1)
        indices, how = len(out), rng.choice((0, 0, 0x80, rng.randrange(256)))
        if how & 0x40:
            out += bytes(-len(out) % 4)
            indices = len(out)
            out += struct.pack(f"<{rows}I", *(rng.randrange(rows) for _ in range(rows)))
        records.append((rng.randrange(max(slots, 1)), kind, how, data, offsets, validity, indices, 0))
    out += bytes(-len(out) % 8)
    struct.pack_into(f"<4I{flags}I", out, 0, columns, flags, len(out), 0, *(rng.randrange(4) for _ in range(flags)))
    for column, record in enumerate(records):
        struct.pack_into("<HBBIIIII", out, records_at + 24 * column, *record)
    out += bytes(8 * rows * flags)
    if rng.random() < 0.5:
        rng.choice((flip_bits, edit_bytes, edit_word, edit_word, swap_words))(rng, out)
    return bytes(out)
