"""The columnar entry of the core: each row of a batch is decided as the same values in a request are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from batches import ABSENT, KINDS, Column, batch

from pyflagwasm import _abi
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

ATTRIBUTES: dict[str, Sequence[Any]] = {
    "email": ["kim@example.com", "kim@example.org", "", "é@example.com"],
    "age": [17, 18, -1, 1 << 40],
    "score": [0.5, 2.5, float("nan")],
    "beta": [True, False],
    "targetingKey": [f"user-{i}" for i in range(50)],
}
DOCUMENT = {
    "flags": {
        "flag": {
            "state": "ENABLED",
            "variants": {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5},
            "defaultVariant": "a",
            "targeting": {
                "if": [
                    {"ends_with": [{"var": "email"}, "@example.com"]},
                    {"if": [{">=": [{"var": "age"}, 18]}, "b", "c"]},
                    {"and": [{"var": "beta"}, {">": [{"var": "score"}, 1]}]},
                    "d",
                    {"fractional": [["a", 50], ["e", 50]]},
                ]
            },
        }
    }
}


@pytest.fixture(name="config", scope="module")
def _config() -> CompiledConfig:
    return compile_model(load(DOCUMENT))


def slots(config: CompiledConfig) -> dict[str, int]:
    return {slot.args[0] if slot.args else "targetingKey": number for number, slot in enumerate(config.slots)}


def decided(instance: Instance, data: bytes, output: int, flags: int, rows: int) -> list[list[int]]:
    """The decisions of each flag."""
    region = instance.reserve(len(data))
    region[:] = data
    assert instance.evaluate_batch(0, rows) == (_abi.Status.OK, rows)
    found = struct.unpack_from(f"<{rows * flags}Q", region, output)
    return [list(found[rows * flag : rows * (flag + 1)]) for flag in range(flags)]


@pytest.mark.parametrize("rows", [0, 1, 7, 64, 500])
@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("dictionary", [False, True])
def test_rows_are_decided_as_single_requests(config: CompiledConfig, rows: int, shift: int, dictionary: bool) -> None:
    random = Random(rows)
    values = {
        name: [ABSENT if random.random() < 0.1 else random.choice(values) for _ in range(rows)]
        for name, values in ATTRIBUTES.items()
    }
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    expected = []
    for row in range(rows):
        context = {name: column[row] for name, column in values.items() if column[row] is not ABSENT}
        encoder.encode(context, entry.slots, instance.scratch, 0)
        expected.append(instance.evaluate(entry.index))
    encoder.encode({}, entry.slots, instance.scratch, 0)
    before = bytes(instance.scratch[:])
    numbers = slots(config)
    columns = [
        Column(
            numbers[name],
            values[name],
            KINDS[type(ATTRIBUTES[name][0])],
            dictionary=dictionary and name == "email",
            shift=shift,
        )
        for name in ATTRIBUTES
    ]
    data, output = batch([entry.index, 99, entry.index], columns, rows)
    found = decided(instance, data, output, 3, rows)
    assert found[0] == found[2] == expected
    assert all(packed >> 36 & 15 == 1 for packed in found[1]), "FLAG_NOT_FOUND"
    assert len(set(expected)) > 3 or rows < 64
    heap = _abi.REQUEST_SLOTS + _abi.VALUE_SIZE * len(config.slots)
    assert instance.scratch[heap : heap + 4] == before[heap : heap + 4], "the request is as long as it was"


def test_slots_without_a_column_come_from_the_request(config: CompiledConfig) -> None:
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    encoder.encode({"email": "kim@example.com"}, entry.slots, instance.scratch, 0)
    data, output = batch([entry.index], [Column(slots(config)["age"], [17, 18])], 2)
    assert [packed & 0xFFFF for packed in decided(instance, data, output, 1, 2)[0]] == [2, 1]


def test_a_slot_may_have_a_column_for_each_kind_of_value(config: CompiledConfig) -> None:
    values = ["kim@example.com", 5, None, True, 0.5, ABSENT, "kim@example.com"]
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    expected = []
    for value in values:
        context = {"age": 20, "targetingKey": "u"} | ({} if value is ABSENT else {"email": value})
        encoder.encode(context, entry.slots, instance.scratch, 0)
        expected.append(instance.evaluate(entry.index))
    encoder.encode({"age": 20, "targetingKey": "u"}, entry.slots, instance.scratch, 0)
    email = slots(config)["email"]
    columns = [
        Column(email, [value if type(value) is kind else ABSENT for value in values], further=kind is not str)
        for kind in (str, int, type(None), bool, float)
    ]
    data, output = batch([entry.index], columns, len(values))
    assert decided(instance, data, output, 1, len(values)) == [expected]
    assert len(set(expected)) > 1


def test_a_row_whose_texts_do_not_fit_is_an_error_of_its_own(config: CompiledConfig) -> None:
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    encoder.encode({"age": 20}, entry.slots, instance.scratch, 0)
    room = _abi.SCRATCH_REQUEST_SIZE - _abi.REQUEST_SLOTS - _abi.VALUE_SIZE * len(config.slots) - 4
    suffix = "@example.com"
    texts = ["a" * (length - len(suffix)) + suffix for length in (20, room, room + 1, 21)]
    data, output = batch([entry.index], [Column(slots(config)["email"], texts)], 4)
    found = decided(instance, data, output, 1, 4)[0]
    assert [packed >> 36 & 15 for packed in found] == [0, 0, int(_abi.ErrorCode.BAD_REQUEST), 0]
    assert found[0] == found[1] == found[3]


def test_dear_rules_come_back_between_two_rows() -> None:
    members = [{"var": ""}] * 200
    deep: Any = {"map": [members, {"+": [1, 1]}]}
    config = compile_model(
        load(
            {
                "flags": {
                    "flag": {
                        "state": "ENABLED",
                        "variants": {"a": 1, "b": 2},
                        "defaultVariant": "a",
                        "targeting": {"if": [{"some": [deep, {">": [{"var": ""}, 3]}]}, "a", "b"]},
                    }
                }
            }
        )
    )
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    encoder.encode({}, entry.slots, instance.scratch, 0)
    rows = 20_000
    data, output = batch([entry.index], [], rows)
    region = instance.reserve(len(data))
    region[:] = data
    done, calls = 0, 0
    while done < rows:
        status, further = instance.evaluate_batch(done, rows)
        assert (status, further > done) == (_abi.Status.OK, True)
        done, calls = further, calls + 1
    assert calls > 1
    single = instance.evaluate(entry.index)
    assert set(struct.unpack_from(f"<{rows}Q", region, output)) == {single}


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 65), (0, 3), (4, 0), (4, 9), (8, 4), (8, 1 << 30), (24, 0xFFFF), (26, 0), (26, 7)],
    ids=[
        "columns", "more columns than fit", "no flag", "more flags than fit", "output inside", "output outside", "slot",
        "missing kind", "object",
    ],
)  # fmt: skip
def test_a_batch_that_cannot_be_is_refused(config: CompiledConfig, at: int, value: int) -> None:
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    encoder.encode({}, entry.slots, instance.scratch, 0)
    data = bytearray(batch([entry.index], [Column(slots(config)["age"], [17, 18])], 2)[0])
    size = {24: 2, 26: 1}.get(at, 4)
    data[at : at + size] = value.to_bytes(size, "little")
    instance.reserve(len(data))[:] = bytes(data)
    assert instance.evaluate_batch(0, 2) == (_abi.Status.BAD_BATCH, 0)
    assert instance.evaluate(entry.index) & 0xFFFF in (0, 4, 65535), "the instance goes on"


def test_without_a_region_there_is_no_batch(config: CompiledConfig) -> None:
    instance = Instance()
    instance.load(config.ir, config.digest)
    assert instance.evaluate_batch(0, 1) == (_abi.Status.BAD_BATCH, 0)


SPLITS: dict[str, Any] = {
    "flagd": {
        "flags": {
            "split": {
                "state": "ENABLED",
                "variants": {"a": 1, "b": 2, "c": 3},
                "defaultVariant": "a",
                "targeting": {"fractional": [["a", 20], ["b", 30], ["c", 50]]},
            }
        }
    },
    "eppo": {
        "createdAt": "2024-01-01T00:00:00Z",
        "format": "SERVER",
        "environment": {"name": "Test"},
        "flags": {
            "split": {
                "key": "split",
                "enabled": True,
                "variationType": "STRING",
                "totalShards": 10_000,
                "variations": {"a": {"key": "a", "value": "a"}, "b": {"key": "b", "value": "b"}},
                "allocations": [
                    {
                        "key": "all",
                        "rules": [],
                        "splits": [
                            {
                                "variationKey": name,
                                "shards": [{"salt": "s", "ranges": [{"start": start, "end": start + 5000}]}],
                            }
                            for name, start in (("a", 0), ("b", 5000))
                        ],
                        "doLog": False,
                    }
                ],
            }
        },
    },
    "unleash": {
        "version": 2,
        "features": [
            {
                "name": "split",
                "enabled": True,
                "strategies": [
                    {
                        "name": "flexibleRollout",
                        "parameters": {"rollout": "40", "stickiness": "userId", "groupId": "g"},
                    }
                ],
            }
        ],
    },
}


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize("form", SPLITS)
def test_a_split_of_one_column_is_that_of_single_requests(form: str, dictionary: bool) -> None:
    config = compile_model(load(SPLITS[form]))
    instance, encoder, entry = Instance(), Encoder(config), config.flags["split"]
    instance.load(config.ir, config.digest)
    random = Random(form)
    letters = "abé日🙂-0"
    texts = ["".join(random.choices(letters, k=random.choice([0, 1, 3, 9]))) for _ in range(50)]
    texts += ["x" * length for length in (*range(40), 254, 255, 256, 300, 4000)] + [f"user-{i}" for i in range(300)]
    values = [ABSENT if random.random() < 0.1 else text for text in texts]
    key = "userId" if form == "unleash" else "targetingKey"
    slot = max(entry.slots, key=lambda slot: "targeting" in config.slots[slot].view or key in config.slots[slot].args)
    expected = []
    for value in values:
        encoder.encode({} if value is ABSENT else {key: value}, entry.slots, instance.scratch, 0)
        expected.append(instance.evaluate(entry.index))
    encoder.encode({}, entry.slots, instance.scratch, 0)
    data, output = batch([entry.index], [Column(slot, values, dictionary=dictionary)], len(values))
    assert decided(instance, data, output, 1, len(values)) == [expected]
    assert len({packed & 0xFFFF for packed in expected}) > 1
