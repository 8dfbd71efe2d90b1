"""The columnar entry of the core: each row of a batch is decided as the same values in a request are."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from pyflagwasm import _abi
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

RECORD = struct.Struct("<HBxIIIII")
KINDS = {bool: _abi.Kind.BOOL, int: _abi.Kind.INT, float: _abi.Kind.FLOAT, str: _abi.Kind.TEXT}
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


def bits(flags: Sequence[bool]) -> bytes:
    out = bytearray((len(flags) + 7) // 8)
    for row, flag in enumerate(flags):
        out[row // 8] |= flag << row % 8
    return bytes(out)


def batch(config: CompiledConfig, columns: dict[str, list[Any]], rows: int) -> tuple[bytes, int]:
    """The bytes of a batch and the offset of its output; None in a column is a null."""
    numbers = {slot.args[0] if slot.args else "targetingKey": number for number, slot in enumerate(config.slots)}
    header = 8 + RECORD.size * len(columns)
    records, body = b"", bytearray()

    def place(data: bytes) -> int:
        body.extend(bytes(-(header + len(body)) % 8))
        at = header + len(body)
        body.extend(data)
        return at

    for name, values in columns.items():
        kind = KINDS[type(next(v for v in values if v is not None))]
        filler: Any = {_abi.Kind.BOOL: False, _abi.Kind.INT: 0, _abi.Kind.FLOAT: 0.0, _abi.Kind.TEXT: ""}[kind]
        filled = [filler if v is None else v for v in values]
        offsets = 0
        if kind == _abi.Kind.BOOL:
            data = place(bits(filled))
        elif kind == _abi.Kind.TEXT:
            texts = [v.encode() for v in filled]
            data = place(b"".join(texts))
            ends = [sum(map(len, texts[:row])) for row in range(rows + 1)]
            offsets = place(struct.pack(f"<{rows + 1}I", *ends))
        else:
            data = place(struct.pack(f"<{rows}{'q' if kind == _abi.Kind.INT else 'd'}", *filled))
        validity = place(bits([v is not None for v in values])) if None in values else 0
        records += RECORD.pack(numbers[name], kind, data, offsets, validity, 0, 0)
    output = place(b"")
    return struct.pack("<II", len(columns), output) + records + bytes(body) + bytes(8 * rows), output


@pytest.mark.parametrize("rows", [0, 1, 7, 64, 500])
def test_rows_are_decided_as_single_requests(config: CompiledConfig, rows: int) -> None:
    random = Random(rows)
    columns = {
        name: [None if random.random() < 0.1 else random.choice(values) for _ in range(rows)] + [values[0]]
        for name, values in ATTRIBUTES.items()
    }
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    expected = []
    for row in range(rows):
        context = {name: values[row] for name, values in columns.items()}
        encoder.encode(context, entry.slots, instance.scratch, 0)
        expected.append(instance.evaluate(entry.index))
    encoder.encode({}, entry.slots, instance.scratch, 0)
    data, output = batch(config, columns, rows + 1)
    region = instance.reserve(len(data))
    region[:] = data
    assert instance.evaluate_batch(entry.index, rows) == (_abi.Status.OK, rows)
    assert list(struct.unpack_from(f"<{rows}Q", region, output)) == expected
    assert len(set(expected)) > 3 or rows < 64


def test_slots_without_a_column_come_from_the_request(config: CompiledConfig) -> None:
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    encoder.encode({"email": "kim@example.com"}, entry.slots, instance.scratch, 0)
    data, output = batch(config, {"age": [17, 18]}, 2)
    region = instance.reserve(len(data))
    region[:] = data
    assert instance.evaluate_batch(entry.index, 2) == (_abi.Status.OK, 2)
    assert [packed & 0xFFFF for packed in struct.unpack_from("<2Q", region, output)] == [2, 1]


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, 65), (0, 3), (4, 4), (4, 1 << 30), (8, 0xFFFF), (10, 0), (10, 7)],
    ids=["columns", "more columns than fit", "output inside", "output outside", "slot", "missing kind", "object"],
)
def test_a_batch_that_cannot_be_is_refused(config: CompiledConfig, at: int, value: int) -> None:
    instance, encoder, entry = Instance(), Encoder(config), config.flags["flag"]
    instance.load(config.ir, config.digest)
    encoder.encode({}, entry.slots, instance.scratch, 0)
    data = bytearray(batch(config, {"age": [17, 18]}, 2)[0])
    size = {8: 2, 10: 1}.get(at, 4)
    data[at : at + size] = value.to_bytes(size, "little")
    instance.reserve(len(data))[:] = bytes(data)
    assert instance.evaluate_batch(entry.index, 2) == (_abi.Status.BAD_BATCH, 0)
    assert instance.evaluate(entry.index) & 0xFFFF in (0, 4, 65535), "the instance goes on"


def test_without_a_region_there_is_no_batch(config: CompiledConfig) -> None:
    instance = Instance()
    instance.load(config.ir, config.digest)
    assert instance.evaluate_batch(0, 1) == (_abi.Status.BAD_BATCH, 0)
