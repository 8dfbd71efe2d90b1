"""The bytes of a request: readable by the official reader, canonical, and of nothing that the flag does not read."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
import support
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyflagwasm import _abi
from pyflagwasm.config.model import MISSING, Slot
from pyflagwasm.runtime.encode import EncodeError, Encoder

NOW = 1_700_000_000_123_456
SIX = support.attributes("a", "b", "c", "d", "e", "f")

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5), max_leaves=25
)


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types, NaN to NaN, and -0.0 not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other) or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


# ---------------------------------------------------------------- what arrives


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefg"), VALUES), st.integers(-(2**63), 2**63 - 1))
@example({}, 0)
@example({"a": [], "b": {}, "c": [[]], "d": "é", "e": [{"": []}, "x"]}, -1)
def test_the_official_reader_reads_it_back(context: dict[str, Any], now_us: int) -> None:
    area = support.scratch()
    size = Encoder(SIX).encode(context, (0, 1, 2, 3, 4, 5), area, now_us)
    values, clock = support.read_request(area[:size])
    assert clock == now_us
    expected = [context.get(name, MISSING) for name in "abcdef"]
    assert all(map(same, values, expected)), (values, expected)
    assert bytes(area[size:]) == b"\xdd" * (len(area) - size)


def test_the_form_is_the_canonical_one() -> None:
    """Each byte of schema/README.md section 4, in figures."""
    area = support.scratch()
    size = Encoder(support.attributes("a", "b")).encode({"b": "xyz"}, (0, 1), area, NOW)
    head = struct.pack("<I4s5H6xi", 24, b"PFRQ", 10, 24, 4, 8, 16, 16)
    table = struct.pack("<IqIIII", 24, NOW, 56 + 32 - 40, 0, 0, 2)
    slots = bytes(16) + struct.pack("<BBHIQ", 5, 0, 0, 3, 0)
    assert bytes(area[:size]) == head + table + slots + struct.pack("<I", 3) + b"xyz"


def test_no_slots() -> None:
    area = support.scratch()
    size = Encoder(support.compiled()).encode({"a": 1}, (), area, NOW)
    assert (size, support.read_request(area[:size])) == (60, ([], NOW))


def test_lists_lie_at_multiples_of_8() -> None:
    """The reader in support.py refuses any other offset; here each list follows a text of another length."""
    for length in range(9):
        context = {"a": "x" * length, "b": [1, "y", ["z"]], "c": "w", "d": {"k": [None]}}
        assert support.encoded(SIX, context)[:4] == list(context.values())


def test_values_of_a_class() -> None:
    context = {"a": True, "b": 1, "c": 1.0, "d": None, "e": ""}
    values = support.encoded(SIX, context)
    assert all(map(same, values, [True, 1, 1.0, None, "", MISSING]))


# ---------------------------------------------------------------- only what is read


def test_the_size_of_the_context_does_not_matter() -> None:
    encoder = Encoder(support.attributes("x1", "x2"))
    small: dict[str, Any] = {f"x{i}": f"value {i}" for i in range(5)}
    large: dict[str, Any] = {f"x{i}": f"value {i}" for i in reversed(range(100))}
    written = []
    for context in (small, large):
        area = support.scratch()
        size = encoder.encode(context, (0, 1), area, NOW)
        written.append(bytes(area[:size]))
    assert written[0] == written[1]
    assert len(written[0]) == 56 + 32 + 4 + 2 * len("value 1")


def test_slots_that_the_flag_does_not_read_get_the_default() -> None:
    default = _abi.VALUE.pack(_abi.Kind.INT, _abi.Space.CONFIG, 0, 0, 42)
    config = support.compiled(*SIX.slots, template=default * 6)
    area = support.scratch()
    context = {"a": "unread", "b": b"garbage that would be refused", "c": 7}
    size = Encoder(config).encode(context, (2, 3), area, NOW)
    cells = [bytes(area[56 + 16 * n : 72 + 16 * n]) for n in range(6)]
    assert cells == [default, default, _abi.VALUE.pack(_abi.Kind.INT, 0, 0, 0, 7), default, default, default]
    assert size == 56 + 6 * 16 + 4


def test_a_default_is_for_what_is_missing_not_for_null() -> None:
    default = _abi.VALUE.pack(_abi.Kind.BOOL, 0, 0, 0, 1)
    config = support.compiled(*support.attributes("a", "b").slots, template=default * 2)
    assert support.encoded(config, {"a": None}) == [None, True]


def test_no_context_is_an_empty_one() -> None:
    assert support.encoded(SIX, None) == support.encoded(SIX, {}) == [MISSING] * 6


def test_views_are_asked() -> None:
    config = support.compiled(
        Slot("targeting_key"), Slot("path", ("user", "name")), Slot("devcycle_field", ("email",)), Slot("path", ("n",))
    )
    context = {"targeting_key": "u-1", "user": {"name": "Zoë"}, "email": 5, "n": 2}
    assert support.encoded(config, context) == ["u-1", "Zoë", MISSING, 2]


# ---------------------------------------------------------------- reuse


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), VALUES), min_size=2, max_size=6))
def test_a_scratch_in_use_gives_the_same_bytes(contexts: list[dict[str, Any]]) -> None:
    """Nothing of the user before is left where a reader could come to it."""
    encoder, used = Encoder(SIX), support.scratch()
    for context in contexts:
        fresh = support.scratch()
        size = encoder.encode(context, (0, 1, 2, 3, 4, 5), fresh, NOW)
        assert encoder.encode(context, (0, 1, 2, 3, 4, 5), used, NOW) == size
        assert used[:size] == fresh[:size]


def test_a_small_user_after_a_big_one() -> None:
    encoder, area = Encoder(SIX), support.scratch()
    big = encoder.encode({"a": "secret" * 1000, "b": ["secret"] * 100, "c": "secret"}, (0, 1, 2), area, NOW)
    small = encoder.encode({"c": "me"}, (0, 1, 2), area, NOW)
    assert small < big
    assert support.read_request(area[: _abi.SCRATCH_REQUEST_SIZE])[0] == [MISSING, MISSING, "me", *[MISSING] * 3]
    assert b"secret" not in bytes(area[:small])


def test_a_refused_context_leaves_the_defaults_only() -> None:
    encoder, area = Encoder(SIX), support.scratch()
    encoder.encode({"a": "before"}, (0, 1), area, NOW)
    with pytest.raises(EncodeError):
        encoder.encode({"a": "after", "b": b"refused"}, (0, 1), area, NOW)
    assert support.read_request(area[: _abi.SCRATCH_REQUEST_SIZE])[0] == [MISSING] * 6
    size = encoder.encode({"a": "next"}, (0, 1), area, NOW)
    assert support.read_request(area[:size])[0] == ["next", *[MISSING] * 5]


def test_bound_bytes_can_be_written_again() -> None:
    encoder, area = Encoder(SIX), support.scratch()
    context = {"a": "x", "c": [1, {"k": "v"}], "f": 0.5}
    bound = encoder.encode_all(context, area, NOW)
    encoder.encode({"a": "somebody else"}, (0,), area, 0)
    area[: len(bound)] = bound
    assert support.read_request(area[: len(bound)]) == (["x", MISSING, [1, {"k": "v"}], MISSING, MISSING, 0.5], NOW)


# ---------------------------------------------------------------- construction


def test_a_template_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes for 1 slots"):
        Encoder(support.compiled(Slot("path", ("a",)), template=bytes(15)))


def test_as_many_slots_as_the_contract_allows() -> None:
    names = [f"a{number}" for number in range(_abi.LIMITS_MAX_SLOTS)]
    config = support.attributes(*names)
    assert support.encoded(config, dict.fromkeys(names, 1)) == [1] * len(names)
    with pytest.raises(ValueError, match="do not fit"):
        Encoder(support.attributes(*(f"a{number}" for number in range(9000))))
