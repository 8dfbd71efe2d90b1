"""What texts say, in the reference: addresses and networks, timestamps, strict versions, and the hashes of buckets.

Written from schema/README.md 5.3, 5.4 and 5.6; uses what Python brings along wherever that means the same.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from fbs_generated.HashAlgorithm import HashAlgorithm

NANOS = 10**9

# ---------------------------------------------------------------- networks


def address(text: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        spelled = text.decode("ascii")
        return None if "%" in spelled else ipaddress.ip_address(spelled)
    except ValueError:
        return None


def in_networks(networks: bytes, where: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    bits = "".join(f"{byte:08b}" for byte in where.packed)
    while len(networks) >= 2:
        version, length, rest = networks[0], networks[1], networks[2:]
        size = 4 if version == 4 else 16
        prefix = "".join(f"{byte:08b}" for byte in rest[:size])[:length]
        if version == where.version and bits.startswith(prefix[: len(bits)]):
            return True
        networks = rest[size:]
    return False


# ---------------------------------------------------------------- times

_TIME = re.compile(
    rb"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    rb"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Python's calendar has no year 0; every 400 years are alike.
_ERA = 400, 146_097 * 86_400


def instant(text: bytes) -> tuple[int, int] | None:
    """Seconds since 1970 and nanoseconds, or None."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    leap = second == 60
    try:
        local = datetime(year % 400 + 400, month, day, hour, minute, 59 if leap else second, tzinfo=UTC)
    except ValueError:
        return None
    offset = 0
    if found[8]:
        hours, minutes = int(found[9]), int(found[10])
        if hours > 23 or minutes > 59:
            return None
        offset = (hours * 60 + minutes) * 60 * (1 if found[8] == b"+" else -1)
    eras = (year - (year % 400 + 400)) // _ERA[0]
    seconds = (local - _EPOCH) // timedelta(seconds=1) + eras * _ERA[1] - offset
    return seconds, int((found[7] or b"")[:9].ljust(9, b"0")) + leap * NANOS


# ---------------------------------------------------------------- versions

_PART = r"[0-9a-zA-Z-]+"
_STRICT = re.compile(rf"([0-9]+)\.([0-9]+)\.([0-9]+)(?:-({_PART}(?:\.{_PART})*))?(?:\+({_PART}(?:\.{_PART})*))?")


def strict_version(text: Any, builds: bool) -> list[Any] | None:
    """Something that compares as the version does; None for none."""
    found = _STRICT.fullmatch(text.decode("latin-1")) if isinstance(text, bytes) else None
    if found is None:
        return None
    numbers = [found[1], found[2], found[3]]
    before = found[4].split(".") if found[4] else []
    padded = [part for part in numbers + [p for p in before if p.isdigit()] if len(part) > 1 and part[0] == "0"]
    if padded or any(int(number) >= 2**64 for number in numbers):
        return None
    after = found[5].split(".") if found[5] and builds else []
    return [[int(number) for number in numbers], [not before, *map(_identifier, before)], list(map(_identifier, after))]


def _identifier(part: str) -> tuple[Any, ...]:
    return (0, int(part), len(part)) if part.isdigit() else (1, part)


# ---------------------------------------------------------------- hashes


def digest(algorithm: int, text: bytes) -> int:
    if algorithm == HashAlgorithm.Md5:
        return int.from_bytes(hashlib.md5(text).digest()[:4], "big")
    once = fnv1a(text)
    return once if algorithm == HashAlgorithm.Fnv1a else fnv1a(str(once).encode())


def fnv1a(text: bytes) -> int:
    value = 0x811C9DC5
    for unit in map(ord, text.decode()):
        value = (value ^ unit) * 0x01000193 % 2**32
    return value
