"""Packed decisions in OpenFeature's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyflagwasm import _abi
from pyflagwasm.runtime.decode import ERRORS, REASONS, Decision, unpack
from pyflagwasm.types import ErrorCode, Reason


def packed(variant: int, rule: int, reason: int, error: int = 0, bucketed: int = 0, bucket: int = 0) -> int:
    """By the table of schema/README.md section 6, in figures."""
    return variant | rule << 16 | reason << 32 | error << 36 | bucketed << 40 | bucket << 44


INDEX = st.integers(0, 65534)


@given(
    INDEX, INDEX, st.sampled_from([each for each in _abi.Reason if each != _abi.Reason.ERROR]), st.integers(0, 99999)
)
def test_a_decision(variant: int, rule: int, reason: _abi.Reason, bucket: int) -> None:
    expected = Decision(variant, rule, Reason[reason.name], None, True, bucket)
    assert unpack(packed(variant, rule, reason, 0, 1, bucket)) == expected
    assert unpack(packed(variant, rule, reason, 0, 0, 0)) == expected._replace(bucketed=False, bucket=None)


def test_none_is_65535() -> None:
    decision = unpack(packed(65535, 65535, _abi.Reason.DEFAULT))
    assert decision == Decision(None, None, Reason.DEFAULT, None, False, None)


def test_the_highest_bucket() -> None:
    assert unpack(packed(0, 0, 4, 0, 1, 99999)).bucket == 99999


@pytest.mark.parametrize("code", [each for each in _abi.ErrorCode if each])
def test_each_error_has_a_code_and_a_message(code: _abi.ErrorCode) -> None:
    decision = unpack(packed(3, 4, _abi.Reason.ERROR, code))
    assert (decision.variant, decision.rule, decision.reason) == (None, 4, Reason.ERROR)
    assert decision.error == (code.name if code.name in ErrorCode.__members__ else "GENERAL")
    assert decision.message == ERRORS[code][1] != ""


def test_limits_of_the_core_are_named() -> None:
    messages = {code: unpack(packed(0, 0, 8, code)).message for code in (9, 10, 11, 12)}
    assert "1000000 steps" in str(messages[9])
    assert "256 values" in str(messages[10])
    assert "request" in str(messages[11])
    assert "no configuration" in str(messages[12])


def test_reasons_are_in_the_order_of_the_contract() -> None:
    assert [each.name for each in REASONS] == [each.name for each in _abi.Reason]


@given(st.integers(0, 2**64 - 1))
def test_any_integer_unpacks(word: int) -> None:
    decision = unpack(word)
    assert (decision.reason is Reason.ERROR) == (decision.error is not None) == (decision.message is not None)
    assert decision.bucketed == (decision.bucket is not None)
    assert decision.error is None or decision.variant is None


def test_numbers_without_a_word() -> None:
    assert unpack(packed(1, 1, 15)).reason is Reason.UNKNOWN
    unknown = unpack(packed(1, 1, 8, 15))
    assert (unknown.error, unknown.message) == (ErrorCode.GENERAL, "the core reports the unknown error 15")
