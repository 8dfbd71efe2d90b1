"""Lowers conditions that are one node: tests of a slot, of the clock, of a bucket (schema/README.md 5.3, 5.4).

What is made of several conditions, and actions, are in lower.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .._abi import Op, VersionDialect
from .constants import Refused, clamp
from .graph import CLOCK, NOWHERE, Target
from .lower_values import ValueLowering, counted
from .model import JSON, InRanges, InRollout, NowAtLeast, Test

_SORTED_FROM: Final = 9

# Predicates by how they take their constants; and those that can come out unknown.
_RUN: Final = frozenset(
    {
        Op.TEXT_IN, Op.TEXT_PREFIX, Op.TEXT_SUFFIX, Op.TEXT_CONTAINS, Op.NUMBER_COMPARE, Op.VERSION, Op.IN_CONST,
        Op.TIME_COMPARE,
    }
)  # fmt: skip
_SINGLE: Final = frozenset({Op.EQUAL_CONST, Op.COMPARE_CONST, Op.CONTAINS_CONST, Op.TEXT_MATCH, Op.IN_NETWORK})
_MASK: Final = frozenset({Op.KIND_IN, Op.BOOL_IN})
_TEXT: Final = frozenset({Op.TEXT_IN, Op.TEXT_PREFIX, Op.TEXT_SUFFIX, Op.TEXT_CONTAINS})
_BYTES: Final = frozenset({Op.TEXT_MATCH, Op.IN_NETWORK})
_THREE_VALUED: Final = _RUN - {Op.IN_CONST} | _BYTES | {Op.BOOL_IN}


class PredicateLowering(ValueLowering):
    """Adds to the lowering of values that of predicates. Functions get where to go, and return where to enter."""

    def _test(self, test: Test, yes: Target, no: Target, unknown: Target) -> Target:
        graph, op, flags = self._graph, test.op, test.flags
        constants = test.constants
        a = b = 0
        if not _flags_fit(test):
            raise Refused(f"{op.name} does not take the flags {flags:#x}")
        if op in _RUN:
            constants = _comparable(op, constants)
            if op is Op.TEXT_IN:
                flags = 0
                if len(constants) >= _SORTED_FROM:
                    flags, constants = 1, tuple(sorted(set(constants)))  # code points sort as their UTF-8 does
            a, b = graph.constants.run(constants), counted(len(constants)) | test.extra << 16
        elif op in _SINGLE:
            if op in _BYTES:
                constants = _joined(op, constants)
            if len(constants) != 1:
                raise Refused(f"{op.name} compares with one constant, not with {len(constants)}")
            a = graph.constants.run(constants)
        elif op in _MASK:
            a = test.mask
        elif op is not Op.TRUTHY:
            raise Refused(f"{op.name} is not a predicate on a slot")
        if op not in _THREE_VALUED:
            unknown = NOWHERE
        elif test.unknown is not None:
            unknown = yes if test.unknown else no
        number, reads = graph.slot(test.slot)
        return graph.add(
            op, flags=flags, slot=number, a=a, b=b, yes=yes, no=no, unknown=unknown, reads=reads, source=test
        )

    def _now_at_least(self, test: NowAtLeast, yes: Target, no: Target, _: Target) -> Target:
        at = self._graph.constants.run((clamp(test.now_us),))
        return self._graph.add(Op.NOW_AT_LEAST, a=at, yes=yes, no=no, reads=CLOCK, source=test)

    def _rollout(self, rollout: InRollout, yes: Target, no: Target, unknown: Target) -> Target:
        if rollout.unknown is not None:
            unknown = yes if rollout.unknown else no
        bucket, reads = self._graph.bucket(rollout.bucket)
        first, count = self._graph.segments_run(rollout.segments)
        if count:
            reads |= CLOCK
        return self._graph.add(
            Op.ROLLOUT,
            slot=counted(count),
            a=bucket,
            b=first,
            yes=yes,
            no=no,
            unknown=unknown,
            reads=reads,
            source=rollout,
        )

    def _ranges(self, test: InRanges, yes: Target, no: Target, unknown: Target) -> Target:
        if test.unknown is not None:
            unknown = yes if test.unknown else no
        bucket, reads = self._graph.bucket(test.bucket)
        bounds: list[tuple[int, Target]] = []
        for first, behind in _united(test.ranges, test.bucket.size):
            if first:
                bounds.append((first, no))
            bounds.append((behind, yes))
        for _, target in bounds:
            reads |= self._graph.reads[target]
        return self._graph.add(
            Op.SPLIT,
            slot=counted(len(bounds)),
            a=bucket,
            b=self._graph.bounds_run(bounds),
            no=no,
            unknown=unknown,
            reads=reads,
            source=test,
        )


def is_three_valued(op: Op) -> bool:
    """Whether a test by this operation can come out unknown."""
    return op in _THREE_VALUED


def _flags_fit(test: Test) -> bool:
    """Whether the operation has a meaning for these flags."""
    match test.op:
        case Op.NUMBER_COMPARE | Op.COMPARE_CONST | Op.TIME_COMPARE:
            return 1 <= test.flags <= 7
        case Op.EQUAL_CONST:
            return 0 <= test.flags <= 1
        case Op.VERSION if test.extra:
            return 0 <= test.flags <= 7 and test.extra <= 2
        case Op.VERSION:
            return test.flags >> 4 <= max(VersionDialect) and 1 <= test.flags & 15 <= 7
        case _:
            return 0 <= test.flags <= 255


def _comparable(op: Op, constants: tuple[JSON, ...]) -> tuple[JSON, ...]:
    """Those constants that a text or number can be compared with; the others never match."""
    if op in _TEXT:
        return tuple(constant for constant in constants if isinstance(constant, str))
    if op is Op.NUMBER_COMPARE:
        return tuple(c for c in constants if isinstance(c, (int, float)) and not isinstance(c, bool))
    if op is Op.TIME_COMPARE and not (all(type(c) is int for c in constants) and len(constants) == 2):
        raise Refused("TIME_COMPARE takes seconds and nanoseconds")
    if op is Op.VERSION and not all(isinstance(constant, str) for constant in constants):
        raise Refused("VERSION compares with texts only")
    return constants


def _joined(op: Op, constants: tuple[JSON, ...]) -> tuple[JSON, ...]:
    """Programs and networks, which are bytes; networks lie behind each other in one constant."""
    if not all(isinstance(constant, bytes) for constant in constants):
        raise Refused(f"{op.name} takes bytes")
    if op is Op.TEXT_MATCH:
        return constants
    if not all(len(network) == {4: 6, 6: 18}.get(network[0]) for network in constants if network) or b"" in constants:
        raise Refused("IN_NETWORK takes version, length of the prefix and address of networks")
    return (b"".join(constants),)


def _united(ranges: Iterable[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Ascending ranges inside of 0 .. size that have gaps in between and cover the same buckets."""
    found: list[tuple[int, int]] = []
    for first, behind in sorted((max(0, first), min(behind, size)) for first, behind in ranges):
        if first >= behind:
            continue
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(behind, found[-1][1])
        else:
            found.append((first, behind))
    return found
