"""How well each hash spreads users over buckets: even, independent from flag to flag, as heavy as asked, monotone.

Many ids go through the guest's batch entry. PYFLAGWASM_BUCKETING_IDS says how many of each kind (1000000 for the long
run); the ids are always the same, so what passes once passes always.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import accumulate, pairwise

import pytest

from pyflagwasm._abi import Encoding, HashAlgorithm, Kind, Reason, Status
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import compile_model
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

IDS = int(os.environ.get("PYFLAGWASM_BUCKETING_IDS", "60000"))
CHUNK = 50_000
KEY = m.Slot("targeting_key")
PARTS = 10
WEIGHTS = (1, 4, 20, 25, 50)
"""Percent, of a split that is not even."""
RAMP = (1, 5, 10, 33, 50, 90, 100)
"""Percent, one after the other."""

# The 99.9th percentiles of chi-square.
MOST_EVEN = 27.88  # 9 degrees of freedom
MOST_INDEPENDENT = 126.1  # 81

HASHES = {
    "murmur3": lambda flag: m.Bucket((flag, KEY)),
    "murmur3 of CBOR": lambda flag: m.Bucket((b"\x82\x65" + flag.encode()[:5], KEY), encoding=Encoding.CBOR),
    "murmur3 % 100": lambda flag: m.Bucket((flag + ":", KEY), modulus=100),
    "murmur3 % 1000, seeded": lambda flag: m.Bucket((flag + ":", KEY), seed=86028157, modulus=1000),
    "MD5 % 10000": lambda flag: m.Bucket((flag + "-", KEY), algorithm=HashAlgorithm.MD5, modulus=10_000),
    "FNV-1a % 1000": lambda flag: m.Bucket(
        (KEY, flag), encoding=Encoding.CODE_POINTS, algorithm=HashAlgorithm.FNV1A, modulus=1000
    ),
    "FNV-1a twice % 10000": lambda flag: m.Bucket(
        (flag, KEY), encoding=Encoding.CODE_POINTS, algorithm=HashAlgorithm.FNV1A_TWICE, modulus=10_000
    ),
}
KINDS = {
    "names": lambda i: f"user-{i}",
    "numbers": lambda i: str(10_000_000 + i),
    "digests": lambda i: blake2b(str(i).encode(), digest_size=16).hexdigest(),
}
DEPENDENT = {*(("FNV-1a % 1000", kind) for kind in KINDS), ("murmur3 % 1000, seeded", "numbers")}
"""What is not independent from flag to flag by the vendors' choice of hash. What FNV-1a makes of a user before it
comes to the flag is the same for all flags, which is why GrowthBook has a second version; murmur3 of eight digits in a
row shows it among a million of them only."""


def cuts(bucket: m.Bucket, shares: list[int], whole: int) -> m.Action:
    ends = accumulate(shares)
    return m.SplitBy(
        bucket,
        tuple((bucket.size * end // whole, m.Serve(i, Reason.SPLIT)) for i, end in enumerate(ends)),
        m.Serve(len(shares), Reason.SPLIT),
        m.Serve(None, Reason.DEFAULT),
    )


def programs(name: str) -> Iterator[m.Action]:
    first, second = HASHES[name]("first"), HASHES[name]("other")
    yield cuts(first, [1] * PARTS, PARTS)
    yield cuts(second, [1] * PARTS, PARTS)
    yield cuts(first, list(WEIGHTS), 100)
    for percent in RAMP:
        admitted = m.InRanges(first, ((0, first.size * percent // 100),))
        yield m.When(admitted, m.Serve(1, Reason.SPLIT), m.Serve(0, Reason.SPLIT))


def decided(name: str, kind: str) -> list[array[int]]:
    """For each program the variants of all ids."""
    made = tuple(programs(name))
    variants = tuple(m.Variant(str(i), i) for i in range(PARTS + 1))
    config = compile_model(m.Model("x", tuple(m.Flag(str(i), variants, i) for i in range(len(made))), made))
    instance = Instance()
    instance.load(config.ir, config.digest)
    Encoder(config).encode({}, (), instance.scratch, 0)
    found = [array("H") for _ in made]
    spell = KINDS[kind]
    for start in range(0, IDS, CHUNK):
        texts = [spell(i).encode() for i in range(start, min(IDS, start + CHUNK))]
        rows = len(texts)
        data = b"".join(texts)
        data += bytes(-len(data) % 8)
        offsets = array("I", accumulate(map(len, texts), initial=0)).tobytes()
        offsets += bytes(-len(offsets) % 8)
        flags = struct.pack(f"<{len(found)}I", *range(len(found))) + bytes(len(found) % 2 * 4)
        begin = 16 + len(flags) + 24
        output = begin + len(data) + len(offsets)
        head = struct.pack("<4I", 1, len(found), output, 0) + flags
        head += struct.pack("<HBBIIIII", 0, int(Kind.TEXT), 0, begin, begin + len(data), 0, 0, 0)
        size = output + 8 * rows * len(found)
        region = instance.reserve(size)
        region[:size] = head + data + offsets + bytes(8 * rows * len(found))
        assert instance.evaluate_batch(0, rows) == (Status.OK, rows)
        words = memoryview(bytes(region[output:size])).cast("H")[::4].tolist()
        for flag, variant in enumerate(found):
            variant.extend(words[flag * rows : (flag + 1) * rows])
    instance.close()
    return found


def chi_square(counts: list[int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in counts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", HASHES)
def test_users_are_spread(name: str, kind: str) -> None:
    first, second, weighted, *ramp = decided(name, kind)
    assert len(first) == IDS

    for evenly in (first, second):
        counts = [evenly.count(part) for part in range(PARTS + 1)]
        assert counts[PARTS] == 0
        assert chi_square(counts[:PARTS], IDS / PARTS) < MOST_EVEN, counts

    for variant, percent in enumerate(WEIGHTS):
        assert abs(weighted.count(variant) / IDS - percent / 100) < max(0.003, 2 / IDS**0.5)

    both = [0] * PARTS**2
    for one, other in zip(first, second, strict=True):
        both[one * PARTS + other] += 1
    if (name, kind) not in DEPENDENT:
        assert chi_square(both, IDS / PARTS**2) < MOST_INDEPENDENT

    for less, more in pairwise(ramp):
        assert not any(before > after for before, after in zip(less, more, strict=True))
    assert set(ramp[-1]) == {1}
