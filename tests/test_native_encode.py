"""The bytes that the C extension writes into scratch: the same as the Python encoder's, for every kind of value."""

from __future__ import annotations

import enum
from collections import ChainMap, OrderedDict
from collections.abc import Callable
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
import support
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_encode import SCALARS, TEXTS, VALUES

from pyflagwasm.config.model import Slot
from pyflagwasm.runtime import extension, views
from pyflagwasm.runtime.encode import EncodeError, Encoder

pytestmark = pytest.mark.skipif(extension.FOUND is None, reason=f"no native host here: {extension.MISSING_BECAUSE}")

NOW = 1_700_000_000_123_456


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)


class Colour(enum.Enum):
    RED = "red"


class Text(str):
    """A subclass, whose own method must not be asked."""

    def encode(self, *arguments: Any) -> bytes:  # type: ignore[override]
        raise AssertionError


ODD = st.sampled_from([
    Decimal("1.5"), Decimal("NaN"), 2**63, -(2**63) - 1, 10**400, b"bytes", {1}, object(), Colour.RED, Text("text"),
    "\ud800", "x\udc00", ("tuple", 1), (), frozenset(), {1: 2}, {"k": {"k": object()}}, [[[[[["deep"]]]]]],
    OrderedDict(a=1), MappingProxyType({"b": [1]}), ["\ud800"], {"\ud800": 1}, 3 + 4j, "é" * 40_000, "x" * 70_000,
    [0] * 5_000, {str(i): i for i in range(3_000)},
])  # fmt: skip
DEEP: Any = "bottom"
for _ in range(15):
    DEEP = [DEEP]
SLOTS = (
    Slot("targeting_key", ()),
    *(Slot("path", (name,)) for name in ("a", "user_id", "targetingKey", "email")),
    Slot("path", ("a", "b")), Slot("path", ("targetingKey", "b")), Slot("path", ("a", "b", "0")), Slot("path", ()),
    Slot("flagd_context", ("flag",)), Slot("devcycle_user_id", ()), Slot("devcycle_field", ("email",)),
    Slot("devcycle_custom", ("a",)), Slot("devcycle_bucket_vendor", ("a",)), Slot("devcycle_bucket_corrected", ("b",)),
    Slot("devcycle_user_valid", ()),
)  # fmt: skip
NAMES = ("targetingKey", "targeting_key", "a", "b", "user_id", "email", "customData", "privateCustomData", "appBuild")
CONTEXTS = st.dictionaries(
    st.sampled_from(NAMES), VALUES | ODD | st.dictionaries(st.sampled_from(("a", "b", "0")), SCALARS | ODD), max_size=7
)


def python_encoder(compiled: Any) -> Encoder:
    encoder = Encoder(compiled)
    encoder.native = None
    return encoder


def written(encoder: Encoder, context: Any, slots: tuple[int, ...]) -> tuple[Any, bytes]:
    area = support.scratch()
    try:
        size = encoder.encode(context, slots, area, NOW)
        return size, bytes(area[:size])
    except EncodeError as error:
        return (error.code, error.attribute, error.message), bytes(area[: encoder.encode(None, (), area, NOW)])


COMPILED = support.compiled(*SLOTS)
BOTH = (Encoder(COMPILED), python_encoder(COMPILED))
BOTH[0].native = extension.FOUND  # whatever host the whole run is on


@settings(max_examples=1500, deadline=None)
@given(CONTEXTS, st.sets(st.integers(0, len(SLOTS) - 1)).map(lambda found: tuple(sorted(found))))
@example({"a": DEEP}, (1,))
@example({"a": [DEEP]}, (1,))
@example({"a": "x", "b": [True, None, {"é": ["y", 2.5]}], "email": ("t",)}, (1, 4, 5))
@example({"a": {"b": ["0"]}, "targeting_key": "k"}, (0, 5, 7, 8, 9))
def test_the_same_bytes_as_in_python(context: dict[str, Any], slots: tuple[int, ...]) -> None:
    assert BOTH[0] is not None
    assert BOTH[0].native is not None
    assert written(BOTH[0], context, slots) == written(BOTH[1], context, slots)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TEXTS, SCALARS, max_size=5), st.sampled_from([dict, MappingProxyType, ChainMap, OrderedDict]))
def test_every_mapping_gives_the_same_bytes(values: dict[str, Any], kind: Callable[[Any], Any]) -> None:
    slots = tuple(Slot("path", (name,)) for name in values)
    compiled, every = support.compiled(*slots), tuple(range(len(slots)))
    assert written(Encoder(compiled), kind(values), every) == written(python_encoder(compiled), dict(values), every)


@pytest.mark.parametrize("length", [0, 1, 131_072 - 56 - 16 - 4, 131_072 - 56 - 16 - 3, 131_072])
@pytest.mark.parametrize("letter", ["x", "é"])
def test_the_last_byte_of_the_area_is_used_and_none_after_it(letter: str, length: int) -> None:
    compiled = support.attributes("a")
    context = {"a": letter * (length // len(letter.encode()))}
    assert written(Encoder(compiled), context, (0,)) == written(python_encoder(compiled), context, (0,))


def test_what_is_plain_is_done_in_c() -> None:
    plan = Encoder(COMPILED).native_plan((0, 1, 4, 5))
    plain = {"targetingKey": "k", "a": {"b": [1, 2.5, None, True, ("é", {})]}, "email": "e"}
    assert plan.write(plain, support.scratch(), NOW) is not None
    assert plan.request(plain, NOW) is not None
    for other in (MappingProxyType(plain), {"a": Decimal(1)}, {"a": "\ud800"}, {"a": 2**64}, {"email": {1}}):
        assert plan.write(other, support.scratch(), NOW) is None
        assert plan.request(other, NOW) is None


def test_a_plan_refuses_what_would_write_outside() -> None:
    module = extension.FOUND
    encoder = Encoder(support.attributes("a"))
    prefix = bytes(encoder._prefix)
    for steps in (
        ((len(prefix), "a", None, None, len, views.TAKES_ALL),),
        ((0, None, None, None, None, views.TAKES_ALL),),
        ((0, "a", None, None, None, 1),),
        ((0, "a", None, ["b"], len, views.TAKES_ALL),),
    ):
        with pytest.raises(ValueError, match="cannot be"):
            module.Plan(prefix, 8, steps, False)
    for room in (131_072, 2**32 - 1):
        with pytest.raises(ValueError, match="do not fit"):
            module.Plan(prefix, room, (), False)
    plan = encoder.native_plan((0,))
    assert plan.write({"a": "x"}, memoryview(bytearray(100)), NOW) is None  # too small a buffer is not written to
    with pytest.raises((BufferError, TypeError)):
        plan.write({"a": "x"}, b"read only", NOW)


def test_where_a_key_was_is_a_hint_and_no_more() -> None:
    """Contexts of changing shape, and keys that are equal to the attribute without being the same object."""
    names = ("alpha", "beta", "gamma")
    encoder, python = Encoder(support.attributes(*names)), python_encoder(support.attributes(*names))
    equal = "".join(["al", "pha"])
    assert equal is not names[0]
    shapes: list[dict[str, Any]] = [
        {"alpha": 1, "beta": "two", "gamma": 3.0}, {"gamma": 3.0, "beta": "two", "alpha": 1}, {"beta": "two"}, {},
        {"x": 0, "y": 1, "alpha": 2}, {equal: "equal", "beta": None},
        {**{f"x{i}": i for i in range(100)}, "alpha": "far", "gamma": "behind"},
    ]  # fmt: skip
    holes = {"x": 0, "alpha": 1, "beta": 2, "gamma": 3}
    del holes["x"], holes["beta"]
    shapes.append(holes)
    for step in (1, 3, 5):
        for turn in range(200):
            context = shapes[turn * step % len(shapes)]
            assert written(encoder, context, (0, 1, 2)) == written(python, context, (0, 1, 2))
