"""How GrowthBook's slots find their values, with the extension and without."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import count
from types import MappingProxyType
from typing import Any

import pytest
import support

from pyflagwasm.config.formats.growthbook.semantics import padded
from pyflagwasm.config.model import MISSING, Slot
from pyflagwasm.runtime import extension, views
from pyflagwasm.runtime.encode import EncodeError, Encoder

NAN = math.nan


def read(view: str, context: Mapping[str, Any], *args: str) -> Any:
    return views.bind(Slot(view, args))(context, 0)


@pytest.mark.parametrize(
    ("value", "hashed", "number"),
    [
        ("x", "x", ""),
        ("", MISSING, ""),
        (None, MISSING, None),
        ("1.50", "1.50", 1.5),
        ("nan", "nan", []),
        (1, "1", 1),
        (1.0, "1.0", 1.0),
        (1e16, "1e+16", 1e16),
        (True, "True", True),
        (Decimal("1.5"), "1.5", 1.5),
        ((1, "a"), "[1, 'a']", ""),
        (MappingProxyType({"k": None}), "{'k': None}", ""),
    ],
)
def test_hashes_and_numbers(value: Any, hashed: Any, number: Any) -> None:
    assert read("growthbook_hash", {"a": value}, "a") == hashed
    found = read("growthbook_number", {"a": value}, "a")
    assert (type(found), found) == (type(number), number)
    assert read("growthbook_hash", {}, "a") is read("growthbook_number", {}, "a") is MISSING


def test_what_is_falsy_gives_way_to_a_fallback() -> None:
    for value, wanted in ((None, "b"), ("", "b"), (0, "b"), ([], "b"), ("a", "a"), (1, "1")):
        assert read("growthbook_hash", {"a": value, "b": "b"}, "a", "b") == wanted
    assert read("growthbook_hash", {"a": 0}, "a", "b") == "0"
    assert read("growthbook_hash", {"a": 0, "b": None}, "a", "b") is MISSING


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("1.2.3", "    1-    2-    3-~"),
        ("v10.2", "   10-    2"),
        ("1.2.3-rc.1+x", "    1-    2-    3-rc-    1"),
        ("", "    0"),
        (1.5, "    1-    5"),
        (True, "    0"),
        (None, "    0"),
        ("123456", "123456"),
    ],
)
def test_padded_versions(version: Any, wanted: str) -> None:
    assert padded(version) == read("growthbook_version", {"a": version}, "a") == wanted


CONTEXT = {
    "id": "x",
    "n": 5,
    "t": "5",
    "l": ["A", 1, [2]],
    "o": {"k": "K", "n": None},
    "f": NAN,
    "b": True,
    "d": Decimal(1),
}
VIEWS = [
    Slot(f"growthbook_{view}", (path, *more))
    for view, more in (
        ("attribute", ()),
        ("hash", ()),
        ("number", ()),
        ("folded", ()),
        ("version", ()),
        ("judged", ('{"$size":3}', "")),
        ("verdict", ('{"$exists":true}', "")),
    )
    for path in ("id", "n", "t", "l", "o", "o.k", "o.n", "f", "b", "d", "gone", "t.x")
]


@pytest.mark.skipif(extension.FOUND is None, reason="without the extension there is nothing to compare")
@pytest.mark.parametrize("slot", VIEWS, ids=lambda slot: f"{slot.view}-{slot.args[0]}")
@pytest.mark.parametrize("context", [CONTEXT, {}, {"targetingKey": "y"}, {"targeting_key": 7}])
def test_the_extension_reads_as_the_views_do(slot: Slot, context: Any) -> None:
    encoder, python = Encoder(support.compiled(slot)), Encoder(support.compiled(slot))
    python.native = None
    written = [
        bytes(each.encode(context, (0,), (area := support.scratch()), 0).to_bytes(4) + bytes(area))
        for each in (encoder, python)
    ]
    assert written[0] == written[1]


@pytest.mark.skipif(extension.FOUND is None, reason="without the extension Python does it all")
def test_plain_values_need_no_call() -> None:
    def fail(context: Any, now_us: int) -> Any:
        raise AssertionError("called")

    for view, path in (("hash", "id"), ("number", "n"), ("judged", "t"), ("attribute", "o.k"), ("folded", "b")):
        slot = Slot(f"growthbook_{view}", (path, *(("{}", "") if view == "judged" else ())))
        encoder = Encoder(support.compiled(slot))
        encoder._readers = tuple((at, key, fail) for at, key, _ in encoder._readers)
        assert encoder.native_plan((0,)).write(CONTEXT, support.scratch(), 0) is not None


def test_what_explanations_and_errors_call_them() -> None:
    judged = Slot("growthbook_judged", ("tags", '{"$elemMatch":{"k":1}}', ""))
    assert (judged.name, views.label(judged)) == ('tags {"$elemMatch":{"k":1}}', "tags")
    assert Slot("growthbook_number", ("a.b",)).name == "a.b"
    assert len(Slot("growthbook_condition", ("{" + " " * 999 + "}", "")).name) == 80


class Endless(Mapping[str, Any]):
    """Any key is there."""

    def __getitem__(self, key: str) -> Any:
        return "c"

    def __iter__(self) -> Iterator[str]:
        return map(str, count())

    def __len__(self) -> int:
        return 2**40


def test_an_endless_mapping_ends() -> None:
    assert read("growthbook_verdict", {"a": Endless()}, "a", '{"$size":1}', "") == []
    context = {"id": "1", "stickyBucketAssignmentDocs": Endless(), "o": Endless()}
    assert read("growthbook_sticky", context, "e", "0", "3", '["c"]', "id") is MISSING
    context["stickyBucketAssignmentDocs"] = {"id||1": {"assignments": Endless()}}
    assert read("growthbook_sticky", context, "e", "0", "3", '["c"]', "id") == 0
    assert isinstance(read("growthbook_hash", context, "o"), str)


def test_a_list_that_holds_itself_is_refused() -> None:
    held: list[Any] = []
    held.append(held)
    slot = Slot("growthbook_hash", ("a",))
    with pytest.raises(EncodeError, match="RecursionError"):
        Encoder(support.compiled(slot)).encode({"a": held}, (0,), support.scratch(), 0)
