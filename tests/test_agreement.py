"""The core answers as the reference does: the hand-written tables, and random configurations and requests.

Long runs: tests/differential/agreement.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import comparison
import operation_table as table
import predicate_table as predicates
import pytest
import strategies
from fbs_generated.ErrorCode import ErrorCode
from fbs_generated.Op import Op
from fbs_generated.Reason import Reason
from hypothesis import HealthCheck, given, settings
from programs import Assembler
from reference import Reference
from reference_input import OP_NAMES
from reference_values import LAYOUT
from samples import request_of

from pyflagwasm.runtime.instance import Instance


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    made = Instance()
    yield made
    made.close()


def name(row: Any) -> str:
    return OP_NAMES[row.op]


@pytest.mark.parametrize("row", table.VALUES, ids=name)
def test_value_operation(instance: Instance, row: table.V) -> None:
    ir, request, _ = table.value_program(row)
    instance.load(ir)
    assert comparison.compare(Reference(ir), instance, 0, request) is None


@pytest.mark.parametrize("row", predicates.PREDICATES, ids=name)
def test_predicate(instance: Instance, row: predicates.P) -> None:
    ir, request = predicates.predicate_program(row)
    instance.load(ir)
    assert comparison.compare(Reference(ir), instance, 0, request) is None


@pytest.mark.parametrize("slots", [0, 1, 3])
def test_every_changed_byte_of_a_request_is_refused_or_read_alike(instance: Instance, slots: int) -> None:
    out = Assembler(slot_count=slots, flags=[(0, 1)])
    for slot in range(slots):
        out.emit(Op.PushSlot, slot=slot)
    out.emit(Op.Decide, Reason.Static)
    ir, request = out.serialise(), request_of([7, "text", [1.5, None]][:slots], now_us=5)
    good = request.ljust(LAYOUT["scratch"]["request_size"], b"\0")
    reference = Reference(ir)
    instance.load(ir)
    refused = 0
    for at in range(len(request)):
        bad = good[:at] + bytes([good[at] ^ 0x41]) + good[at + 1 :]
        assert comparison.compare(reference, instance, 0, bad) is None, at
        refused += reference.evaluate(0, bad).error == ErrorCode.BadRequest
    assert refused >= 40
    assert comparison.compare(reference, instance, 1, good) is None


def test_random_programs(instance: Instance) -> None:
    tally = comparison.Tally()
    found = [str(difference) for difference in comparison.disagreements(instance, 200, 1, tally)]
    assert not found, "\n".join([f"{len(found)} disagreements", *found[:3]])
    assert tally.cases >= 2000
    assert tally.skipped < tally.cases / 50


def test_random_programs_execute_every_operation(instance: Instance) -> None:
    tally = comparison.Tally()
    for _ in comparison.disagreements(instance, 80, 2, tally):
        pass
    assert set(tally.operations) == set(OP_NAMES.values())


@given(strategies.cases, strategies.randoms)
@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_programs_that_shrink(instance: Instance, case: Any, rng: Any) -> None:
    instance.load(case.ir)
    for flag in range(case.flag_count):
        with contextlib.suppress(comparison.Skipped):
            assert comparison.compare(Reference(case.ir), instance, flag, case.request(rng)) is None
