"""Tables and threads as the bytes that the core runs (schema/README.md 5.10)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from .sets import CodeSet
from .tables import tabulate
from .threads import Threads, build
from .tree import Node

_HEAD: Final = struct.Struct("<5H")


def assemble(node: Node, word: Callable[[], CodeSet]) -> bytes:
    """The program of a tree. Raises UnsupportedPattern if it is too large for either form."""
    threads = build(node, word)
    rows = tabulate(threads)
    head = threads.classes, len(threads.ranges)
    if rows is not None:
        body = b"".join(struct.pack(f"<{threads.classes}H", *row) for row in rows)
        return _HEAD.pack(*head, len(rows), 0, 0) + _classes(threads) + body
    width = -(-threads.classes // 8)
    return b"".join(
        (
            _HEAD.pack(*head, len(threads.code), len(threads.sets), len(threads.looks)),
            _classes(threads),
            b"".join(struct.pack("<I", kind << 30 | b << 15 | a) for kind, a, b in threads.code),
            bytes(threads.beside),
            b"".join(members.to_bytes(width, "little") for members in threads.sets),
            b"".join(holds.to_bytes(8, "little") for holds in threads.looks),
        )
    )


def _classes(threads: Threads) -> bytes:
    return threads.ascii + b"".join(struct.pack("<I", first << 11 | number) for first, number in threads.ranges)
