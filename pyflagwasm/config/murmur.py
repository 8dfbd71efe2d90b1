"""MurmurHash3 x86 32 over bytes, for what importers hash once: seeds. Evaluations hash in the core."""

from __future__ import annotations

_MASK = 0xFFFFFFFF


def murmur3(data: bytes, seed: int) -> int:
    """The 32-bit hash of `data`, 0 .. 2**32 - 1."""
    h = seed & _MASK
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        h ^= _scramble(int.from_bytes(data[at : at + 4], "little"))
        h = _rotate(h, 13) * 5 + 0xE6546B64 & _MASK
    if whole < len(data):
        h ^= _scramble(int.from_bytes(data[whole:], "little"))
    h ^= len(data) & _MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ h >> shift) * factor & _MASK
    return h ^ h >> 16


def _scramble(block: int) -> int:
    return _rotate(block * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _MASK


def backslashed(text: str) -> bytes:
    """One byte for each UTF-16 unit of `text`, those above 127 as a backslash: the encoding `Backslash`."""
    return b"".join(c.encode() if c < "\x80" else b"\\" if c < "\U00010000" else b"\\\\" for c in text)
