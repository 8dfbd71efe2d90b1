"""Write schema/golden/*.json from golden_models.py: what both hosts must produce, byte for byte.

    python tests/make_golden.py            write the files, remove those of cases that are gone
    python tests/make_golden.py --check    write nothing; exit 1 if any of them differs

A file has the compiled configuration, and for each request its slot values (wasm/host.mjs tells how they are written),
its bytes, and for each flag the packed decision and the trace, an event a line: node, outcome, kind, bits. The core's
answers are written only if tests/reference.py, which knows nothing of the core, gives the same.
"""

from __future__ import annotations

import argparse
import base64
import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "schema" / "golden"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from golden_models import GOLDEN, Golden  # noqa: E402
from reference import Reference  # noqa: E402

from pyflagwasm import _abi  # noqa: E402
from pyflagwasm.config.compile import compile_model  # noqa: E402
from pyflagwasm.runtime.encode import Encoder  # noqa: E402
from pyflagwasm.runtime.instance import Instance  # noqa: E402

WIDTH = 81  # bytes in 108 characters
NAN = 0x7FF8 << 48
OUTCOMES = {int(member): member.name.capitalize() for member in _abi.Outcome}
KINDS = {int(member): member.name.capitalize() for member in _abi.Kind}
SAFE = 2**53


def packed_text(raw: bytes) -> list[str]:
    """Base64 in lines; each line is whole by itself."""
    return [base64.b64encode(raw[at : at + WIDTH]).decode() for at in range(0, len(raw), WIDTH)]


def event(node: int, outcome: int, kind: int, bits: int) -> str:
    """NaN is one value: its sign and payload mean nothing."""
    nan = kind == _abi.Kind.FLOAT and bits & 2**63 - 1 > 0x7FF << 52
    return f"{node} {OUTCOMES[outcome]} {KINDS[kind]} {NAN if nan else bits}"


# ---------------------------------------------------------------- slot values, as host.mjs reads them


def slots_of(request: bytes) -> list[Any]:
    """The slot values that a canonical request carries."""
    (count,) = struct.unpack_from("<I", request, _abi.REQUEST_SLOTS_LENGTH)
    heap = request[_abi.REQUEST_SLOTS + _abi.VALUE_SIZE * count + 4 :]
    return _values(request, _abi.REQUEST_SLOTS, count, heap)


def _values(block: bytes, at: int, count: int, heap: bytes) -> list[Any]:
    return [_value(*_abi.VALUE.unpack_from(block, at + _abi.VALUE_SIZE * n), heap) for n in range(count)]


def _value(kind: int, space: int, reserved: int, length: int, bits: int, heap: bytes) -> Any:
    if kind == _abi.Kind.MISSING:
        return {"missing": True}
    if space == _abi.Space.CONFIG and kind >= _abi.Kind.TEXT:
        return {"config": [kind, length, bits]}
    raw = bits.to_bytes(8, "little")
    match _abi.Kind(kind):
        case _abi.Kind.NULL:
            return None
        case _abi.Kind.BOOL:
            return bool(bits)
        case _abi.Kind.INT:
            number = int.from_bytes(raw, "little", signed=True)
            return number if -SAFE < number < SAFE else {"int": str(number)}
        case _abi.Kind.FLOAT:
            words = repr(struct.unpack("<d", raw)[0])
            return {"float": {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(words, words)}
        case _abi.Kind.TEXT:
            return heap[bits : bits + length].decode()
        case _abi.Kind.LIST:
            return _values(heap, bits, length, heap)
        case _:
            members = _values(heap, bits, 2 * length, heap)
            return {"object": [list(pair) for pair in zip(members[::2], members[1::2], strict=True)]}


# ---------------------------------------------------------------- one file


def answers(instance: Instance, reference: Reference, request: bytes, flags: Sequence[int]) -> list[Any]:
    """What the core says to each flag. AssertionError if the reference says otherwise."""
    made = []
    for flag in flags:
        instance.scratch[: len(request)] = request
        decision, events = instance.explain(flag)
        trace = [event(*each) for each in events]
        expected, reference_events = reference.explain(flag, request)
        assert instance.evaluate(flag) == decision == expected.pack(), (flag, hex(decision), expected)
        assert trace == [event(*each) for each in reference_events], flag
        made.append({"flag": flag, "decision": f"{decision:#018x}", "trace": trace})
    instance.scratch[: len(request)] = request
    assert instance.evaluate_many(flags) == [int(each["decision"], 16) for each in made]
    return made


def golden(case: Golden, instance: Instance) -> dict[str, Any]:
    """The content of the file of a case."""
    compiled = compile_model(case.model)
    instance.load(compiled.ir, compiled.digest)
    encoder, reference = Encoder(compiled), Reference(compiled.ir)
    requests = []
    for context, now_us in case.asked:
        request = encoder.encode_all(context, instance.scratch, now_us)
        requests.append(
            {
                "now_us": now_us,
                "slots": slots_of(request),
                "request": packed_text(request),
                "answers": answers(instance, reference, request, range(len(compiled.flags))),
            }
        )
    return {
        "what": case.what,
        "flags": list(compiled.flags),
        "slots": [slot.name for slot in compiled.slots],
        "config": packed_text(compiled.ir),
        "requests": requests,
    }


def dumped(content: Any, indent: int = 0) -> str:
    """JSON with everything that fits one line on one line."""
    flat = json.dumps(content, ensure_ascii=False)
    if len(flat) + indent <= 120 or not isinstance(content, (list, dict)):
        return flat
    inner = " " * (indent + 1)
    if isinstance(content, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {dumped(value, indent + 1)}" for key, value in content.items()
        ]
    else:
        parts = [dumped(value, indent + 1) for value in content]
    opening, closing = "{}" if isinstance(content, dict) else "[]"
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{' ' * indent}{closing}"


def files() -> dict[str, str]:
    """Name -> text of each golden file."""
    instance = Instance()
    made = {f"{name}.json": dumped(golden(case, instance)) + "\n" for name, case in GOLDEN.items()}
    instance.close()
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check, made = parser.parse_args().check, files()
    present = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in made.keys() | present.keys() if made.get(name) != present.get(name))
    for name in stale:
        print(f"{name}: {'stale' if check else 'written' if name in made else 'removed'}")
        if check:
            continue
        if name in made:
            (FOLDER / name).write_text(made[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
