"""Guests in WAT that stand in for core.wasm, honest ones and liars, and what several test files share."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import wasmtime

from pyflagwasm import _abi
from pyflagwasm.config.model import MISSING, Slot
from pyflagwasm.runtime import extension, guest

HOSTS = [
    pytest.param(host, marks=pytest.mark.skipif(bool(reason), reason=f"no native host here: {reason}"))
    for host, reason in ((host, extension.MISSING_BECAUSE if host == "native" else None) for host in guest.HOSTS)
]
"""How calls can cross here, as parameters of tests."""

PAGES = 3
SCRATCH = 1024
REGION = SCRATCH + _abi.SCRATCH_SIZE

OUTPUT = SCRATCH + _abi.SCRATCH_OUTPUT_OFFSET

# What the stand-in does: the "configuration" is bytes of which the first is a Status; if that is Ok, each evaluation
# answers (second byte of the live one << 8) + flag. `live` remembers the second byte over a failed stage.
PARTS: dict[str, str] = {
    "import": "",
    "memory": f'(memory (export "memory") {PAGES} 128)',
    "state": "(global $staged (mut i32) (i32.const -1)) (global $live (mut i32) (i32.const 0))",
    "abi_fingerprint": f'(func (export "abi_fingerprint") (result i64) (i64.const {_abi.FINGERPRINT:#x}))',
    "scratch_base": f'(func (export "scratch_base") (result i32) (i32.const {SCRATCH}))',
    "region_reserve": f"""(func (export "region_reserve") (param $n i32) (result i32)
        (global.set $staged (i32.const -1))
        (if (i32.gt_u (local.get $n) (i32.const {_abi.LIMITS_MAX_CONFIG})) (then (return (i32.const 0))))
        (block $fits (loop $more
            (br_if $fits (i32.ge_u (i32.shl (memory.size) (i32.const 16))
                (i32.add (local.get $n) (i32.const {REGION}))))
            (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const 0))))
            (br $more)))
        (i32.const {REGION}))""",
    "config_stage": f"""(func (export "config_stage") (param $n i32) (result i64)
        (if (i32.load8_u (i32.const {REGION})) (then (return (i64.or
            (i64.extend_i32_u (i32.load8_u (i32.const {REGION}))) (i64.const {7 << 32})))))
        (global.set $staged (i32.load8_u offset=1 (i32.const {REGION})))
        (i64.const 0))""",
    "config_commit": f"""(func (export "config_commit") (result i32)
        (if (i32.eq (global.get $staged) (i32.const -1)) (then (return (i32.const {int(_abi.Status.NOT_STAGED)}))))
        (global.set $live (global.get $staged)) (global.set $staged (i32.const -1)) (i32.const 0))""",
    "decide": """(func $decide (param $flag i32) (result i64) (i64.extend_i32_u
        (i32.add (i32.shl (global.get $live) (i32.const 8)) (local.get $flag))))""",
    "evaluate": '(func (export "evaluate") (param i32) (result i64) (call $decide (local.get 0)))',
    "evaluate_many": f"""(func (export "evaluate_many") (param $n i32) (result i32) (local $i i32) (local $at i32)
        (local.set $at (i32.const {OUTPUT}))
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
            (i64.store (local.get $at) (call $decide (i32.load (local.get $at))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br $next)))
        (local.get $i))""",
    "explain": f"""(func (export "explain") (param i32) (result i64)
        (i32.store (i32.const {OUTPUT}) (i32.const 1))
        (i32.store (i32.const {OUTPUT + 4}) (i32.eq (local.get 0) (i32.const 9)))
        (i32.store (i32.const {OUTPUT + 8}) (i32.const 5))
        (i32.store (i32.const {OUTPUT + 12}) (i32.const 0x0304))
        (i64.store (i32.const {OUTPUT + 16}) (i64.const -1))
        (call $decide (local.get 0)))""",
    "evaluate_batch": """(func (export "evaluate_batch") (param $flag i32) (param $rows i32) (result i64)
        (i64.shl (i64.extend_i32_u (local.get $rows)) (i64.const 32)))""",
}


def wat(**parts: str) -> bytes:
    """The stand-in with some parts replaced; an empty text removes one."""
    assert parts.keys() <= PARTS.keys() | {"extra"}
    return bytes(wasmtime.wat2wasm(f"(module {' '.join({**PARTS, **parts}.values())})"))


def evaluate_as(body: str) -> bytes:
    """The stand-in with another body of `evaluate`; its parameter is $flag."""
    return wat(evaluate=f'(func $evaluate (export "evaluate") (param $flag i32) (result i64) {body})')


TRAPS: dict[str, bytes] = {
    "UNREACHABLE": evaluate_as("unreachable"),
    "MEMORY_OUT_OF_BOUNDS": evaluate_as("(i64.load (i32.const -9))"),
    "INTEGER_DIVISION_BY_ZERO": evaluate_as("(i64.div_u (i64.const 1) (i64.const 0))"),
    "STACK_OVERFLOW": evaluate_as("(i64.add (i64.const 1) (call $evaluate (local.get $flag)))"),
    "OUT_OF_FUEL": evaluate_as("(loop $ever (br $ever)) unreachable"),
}

LIARS: dict[str, tuple[bytes, str]] = {
    "imports": (wat(**{"import": '(import "env" "clock" (func (result i64)))'}), "core.wasm imports env.clock"),
    "fingerprint": (
        wat(abi_fingerprint='(func (export "abi_fingerprint") (result i64) (i64.const 7))'),
        "abi_fingerprint() is 0x0000000000000007",
    ),
    "missing export": (wat(explain=""), "core.wasm does not export explain"),
    "further export": (
        wat(extra='(global (export "heap_base") i32 (i32.const 1))'),
        "core.wasm also exports heap_base",
    ),
    "parameters": (
        wat(explain='(func (export "explain") (param i64) (result i64) (i64.const 0))'),
        "explain has the type (i64) -> i64, not (i32) -> i64",
    ),
    "results": (
        wat(evaluate='(func (export "evaluate") (param i32) (result i32) (i32.const 0))'),
        "evaluate has the type (i32) -> i32, not (i32) -> i64",
    ),
    "no result": (
        wat(config_commit='(func (export "config_commit"))'),
        "config_commit has the type () -> (), not () -> i32",
    ),
    "no function": (
        wat(config_commit='(global (export "config_commit") i32 (i32.const 0))'),
        "exports config_commit, but not as a function",
    ),
    "no memory": (
        wat(memory=f'(memory {PAGES} 128) (global (export "memory") i32 (i32.const 0))'),
        "exports a memory that is none",
    ),
    "scratch outside": (
        wat(scratch_base='(func (export "scratch_base") (result i32) (i32.const 131072))'),
        "scratch_base() is 131072",
    ),
    "scratch crooked": (
        wat(scratch_base='(func (export "scratch_base") (result i32) (i32.const 1025))'),
        "scratch_base() is 1025",
    ),
    "trap at load": (
        wat(abi_fingerprint='(func (export "abi_fingerprint") (result i64) unreachable)'),
        "fails the first call: UNREACHABLE",
    ),
    "trap at start": (wat(extra="(func $s unreachable) (start $s)"), "cannot be instantiated"),
    "too much memory": (wat(memory='(memory (export "memory") 300 300)'), "cannot be instantiated"),
    "no wasm": (b"\0asm garbage", "cannot be compiled"),
}

CONFIG_A, CONFIG_B = bytes([0, 1]) + bytes(100), bytes([0, 2]) + bytes(100)


def broken_config(status: _abi.Status) -> bytes:
    return bytes([status]) + bytes(100)


_engine = guest.engine()


def core(wasm: bytes | None = None) -> guest.Core:
    """A stand-in's Core; all of them share one engine."""
    return guest.Core(wat() if wasm is None else wasm, _engine)


# ---------------------------------------------------------------- requests


@dataclass(frozen=True)
class Compiled:
    """What the encoder needs of a compiled configuration."""

    slots: tuple[Slot, ...]
    template: bytes


def compiled(*slots: Slot, template: bytes | None = None) -> Compiled:
    """Without defaults, unless `template` has them."""
    return Compiled(slots, bytes(_abi.VALUE_SIZE * len(slots)) if template is None else template)


def attributes(*names: str) -> Compiled:
    return compiled(*(Slot("path", (name,)) for name in names))


def scratch() -> memoryview:
    """A scratch full of bytes that no encoder writes, so that what it forgets shows."""
    return memoryview(bytearray(b"\xdd" * _abi.SCRATCH_SIZE))


def read_request(raw: bytes | memoryview) -> tuple[list[Any], int]:
    """The slots as Python values and the clock, read by the official FlatBuffers reader. Missing is MISSING."""
    from fbs_generated.Request import Request

    raw = bytes(raw)
    assert Request.RequestBufferHasIdentifier(raw, 0)
    request = Request.GetRootAs(raw, 0)
    start = request._tab.Vector(request._tab.Offset(8))  # Heap(i) reads a byte, this the whole vector
    heap = raw[start : start + request.HeapLength()]
    assert len(heap) == request.HeapLength()
    values = [request.Slots(i) for i in range(request.SlotsLength())]
    return [_value((v.Kind(), v.Space(), v.Reserved(), v.Len(), v.Bits()), heap) for v in values], request.NowUs()


def _value(fields: tuple[int, int, int, int, int], heap: bytes) -> Any:
    kind, space, reserved, length, bits = fields
    assert (space, reserved) == (_abi.Space.REQUEST, 0)
    raw = bits.to_bytes(8, "little")
    if kind == _abi.Kind.BOOL:
        assert bits in (0, 1)
        return bool(bits)
    if kind == _abi.Kind.INT:
        return int.from_bytes(raw, "little", signed=True)
    if kind == _abi.Kind.FLOAT:
        return _double(raw)
    if kind == _abi.Kind.TEXT:
        assert bits + length <= len(heap)
        return heap[bits : bits + length].decode()
    if kind in (_abi.Kind.LIST, _abi.Kind.OBJECT):
        count = length * (2 if kind == _abi.Kind.OBJECT else 1)
        assert bits % 8 == 0
        assert bits + count * _abi.VALUE_SIZE <= len(heap)
        members = [
            _value(_abi.VALUE.unpack_from(heap, bits + _abi.VALUE_SIZE * number), heap) for number in range(count)
        ]
        return members if kind == _abi.Kind.LIST else dict(zip(members[::2], members[1::2], strict=True))
    return {_abi.Kind.NULL: None, _abi.Kind.MISSING: MISSING}[_abi.Kind(kind)]


def _double(raw: bytes) -> float:
    number: float = struct.unpack("<d", raw)[0]
    return number


def encoded(config: Compiled, context: Mapping[str, Any] | None, now_us: int = 0) -> list[Any]:
    """What arrives of a context, slot by slot."""
    from pyflagwasm.runtime.encode import Encoder

    area = scratch()
    size = Encoder(config).encode(context, tuple(range(len(config.slots))), area, now_us)
    return read_request(area[:size])[0]
