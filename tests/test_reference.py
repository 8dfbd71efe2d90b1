"""The reference against expectations that do not come from it: worked out by hand, or published."""

from __future__ import annotations

import math
import struct
from typing import Any

import operation_table as table
import predicate_table as predicates
import pytest
import reference_values as rv
from fbs_generated.Reason import Reason
from reference import Decision, Reference, Run
from reference_input import OP_NAMES, read_request
from reference_slot import semver
from reference_values import Failure


def same(x: Any, y: Any) -> bool:
    """Equal in kind, and floats bit by bit but for NaN."""
    if isinstance(x, float) and isinstance(y, float):
        return (math.isnan(x) and math.isnan(y)) or struct.pack("<d", x) == struct.pack("<d", y)
    if isinstance(x, list) and isinstance(y, list):
        return len(x) == len(y) and all(map(same, x, y))
    return type(x) is type(y) and bool(x == y)


def name(row: Any) -> str:
    return OP_NAMES[row.op]


# ---------------------------------------------------------------- the tables


@pytest.mark.parametrize("row", table.VALUES, ids=name)
def test_value_operation(row: table.V) -> None:
    ir, request, at = table.value_program(row)
    reference = Reference(ir)
    run = Run(reference, read_request(request, 1))
    for node in reference.nodes[:at]:
        run.step(node)
    if isinstance(row.expected, table.Fails):
        with pytest.raises(Failure) as caught:
            run.step(reference.nodes[at])
        assert caught.value.error == row.expected.error
        assert reference.evaluate(0, request) == Decision(reason=Reason.Error, error=row.expected.error)
        return
    run.step(reference.nodes[at])
    assert same(table.plain(run.stack[-1]), row.expected)
    assert len(run.stack) == 1


@pytest.mark.parametrize("row", predicates.PREDICATES, ids=name)
def test_predicate(row: predicates.P) -> None:
    ir, request = predicates.predicate_program(row)
    decision = Reference(ir).evaluate(0, request)
    assert ("no", "yes", "unknown")[decision.variant or 0] == row.expected


def test_tables_and_tests_here_cover_every_operation() -> None:
    flow = "Decide Fail DecideText Jump Call Return NowAtLeast Rollout Split PushConst PushSlot PushNow PushItem Drop"
    flow += " BranchTruthy BranchKeep BranchBlank Mark Collect IterateBegin IterateNext"
    assert {OP_NAMES[row.op] for row in table.VALUES + predicates.PREDICATES} | set(flow.split()) == set(
        OP_NAMES.values()
    )


# ---------------------------------------------------------------- published vectors


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        (b"", 0, 0),
        (b"", 1, 0x514E28B7),
        (b"", 0xFFFFFFFF, 0x81F16F39),
        (b"\xff\xff\xff\xff", 0, 0x76293B50),
        (b"\x21\x43\x65\x87", 0, 0xF55B516B),
        (b"\x21\x43\x65\x87", 0x5082EDEE, 0x2362F9DE),
        (b"\x21\x43\x65", 0, 0x7E4A8634),
        (b"\x21\x43", 0, 0xA0F7B07A),
        (b"\x21", 0, 0x72661CF4),
        (b"\0\0\0\0", 0, 0x2362F9DE),
        (b"\0", 0, 0x514E28B7),
        (b"test", 0, 0xBA6BD213),
        (b"Hello, world!", 0, 0xC0363E43),
        (b"The quick brown fox jumps over the lazy dog", 0x9747B28C, 0x2FA826CD),
    ],
)
def test_murmur3_vectors(data: bytes, seed: int, expected: int) -> None:
    assert rv.murmur3(data, seed) == expected


RFC_8949 = [
    *((0, "00"), (1, "01"), (10, "0a"), (23, "17"), (24, "1818"), (25, "1819"), (100, "1864"), (1000, "1903e8")),
    *((1000000, "1a000f4240"), (1000000000000, "1b000000e8d4a51000"), (-1, "20"), (-10, "29"), (-100, "3863")),
    *((-1000, "3903e7"), (1.5, "f93e00"), (1.1, "fb3ff199999999999a"), (1.0e300, "fb7e37e43c8800759c")),
    *((5.960464477539063e-8, "f90001"), (0.00006103515625, "f90400"), (-4.1, "fbc010666666666666")),
    *((3.4028234663852886e38, "fa7f7fffff"), (math.inf, "f97c00"), (-math.inf, "f9fc00"), (math.nan, "f97e00")),
    *((False, "f4"), (True, "f5"), (None, "f6"), ("", "60"), ("a", "6161"), ("IETF", "6449455446"), ('"\\', "62225c")),
    *(("\u00fc", "62c3bc"), ("\u6c34", "63e6b0b4"), ("\U00010151", "64f0908591"), ([], "80"), ([1, 2, 3], "83010203")),
    *(([1, [2, 3], [4, 5]], "8301820203820405"), ({}, "a0"), ({"a": 1, "b": [2, 3]}, "a26161016162820203")),
    *(
        ([*range(1, 26)], "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
        (["a", {"b": "c"}], "826161a161626163"),
    ),
]
INTEGRAL = [(0.0, "00"), (-0.0, "00"), (1.0, "01"), (-4.0, "23"), (65504.0, "19ffe0"), (100000.0, "1a000186a0")]
INTEGRAL += [(2.0**63, "1b8000000000000000"), (2.0**64, "fa5f800000"), (-(2.0**63), "3b7fffffffffffffff")]
INTEGRAL += [({"bb": 1, "c": 2, "": 3}, "a36003616302626262" + "01")]


@pytest.mark.parametrize(("value", "expected"), RFC_8949 + INTEGRAL)
def test_cbor_vectors(value: Any, expected: str) -> None:
    assert rv.cbor(table.loaded(value)).hex() == expected


def test_semver_precedence_of_the_specification() -> None:
    chain = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    chain += ["1.0.0-rc.1", "1.0.0", "2.0.0", "2.1.0", "2.1.1"]
    read = [semver(version.encode()) for version in chain]
    assert None not in read
    assert [read.index(x) for x in sorted(read)] == list(range(len(chain)))


@pytest.mark.parametrize(
    "text", ["1.0.0-alpha..1", "1.2.3.4", "1.01.1", "1.2.3-", "1.2.3+", "+b", "-a", "1.2.3\n", "1.2.3-é"]
)
def test_not_semver(text: str) -> None:
    assert semver(text.encode()) is None
