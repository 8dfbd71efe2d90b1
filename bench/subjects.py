"""What is measured, from the boundary outwards: one call, encoding, an evaluation, a swap, a start."""

from __future__ import annotations

import importlib
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pyflagwasm
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

from .measure import Subject, no_op
from .scenarios import EXPECTED, SIMPLE, TARGET, by_hand, document, user

TESTS = Path(__file__).resolve().parents[1] / "tests"
NOW_US = 1_700_000_000_000_000
KEPT: list[Instance] = []
"""Instances of which only the call is timed: a call alone does not keep its instance."""


def compiled(flags: int, mark: str = "") -> CompiledConfig:
    return compile_model(load(document(flags, mark)))


def baselines() -> list[Subject]:
    """The unit, the rule written by hand, and the slow twin that the tests compare the core with."""
    decide = by_hand()
    for context, letters in EXPECTED:
        if decide(context) not in letters:
            raise SystemExit("bench: the rule written by hand is wrong")
    subjects = [
        Subject("baseline/no-op-awaited", no_op, lambda answer: answer is None, awaited=True),
        Subject("baseline/by-hand", lambda: decide(user()), is_split, note="W1 as Python code for this one flag"),
    ]
    if TESTS.is_dir():
        sys.path.insert(0, str(TESTS))
        Reference = importlib.import_module("reference").Reference

        config = compiled(50)
        scratch = memoryview(bytearray(1 << 16))
        size = Encoder(config).encode(user(), config.flags[TARGET].slots, scratch, NOW_US)
        request, reference = bytes(scratch[:size]), Reference(config.ir)
        subjects.append(
            Subject("baseline/reference", lambda: reference.evaluate(config.flags[TARGET].index, request),
                    lambda decision: decision.variant in (2, 3), number=20, note="the IR in plain Python"),
        )  # fmt: skip
    return subjects


def is_split(value: object) -> bool:
    return value in ("C", "T")


def boundary() -> list[Subject]:
    """Crossing alone, through both doors, and a whole decision in one crossing."""
    config = compiled(50)
    subjects = []
    for host in ("portable", "public"):
        instance = Instance(host=host)
        KEPT.append(instance)
        instance.load(config.ir, config.digest)
        Encoder(config).encode(user(), config.flags[TARGET].slots, instance.scratch, NOW_US)
        number = 2000 if host == "portable" else 200
        for name, key in (("constant", SIMPLE), ("W1", TARGET)):
            call = partial(instance.evaluate, config.flags[key].index)
            row = f"boundary/{host}/{name}"
            subjects.append(
                Subject(row, call, lambda packed: packed & 0xFFFF < 4, number=number, note="evaluate() alone")
            )
    return subjects


def encoding() -> list[Subject]:
    """Writing the request: what W1 reads, and the same by the official FlatBuffers builder."""
    config = compiled(50)
    encoder, slots = Encoder(config), config.flags[TARGET].slots
    instance = Instance()
    instance.load(config.ir, config.digest)
    context, wide = user(), user() | {f"attribute-{i}": i for i in range(91)}
    encoded = encoder.encode(context, slots, instance.scratch, NOW_US)
    texts = [str(context[name]) for name in ("targetingKey", "email", "country", "appVersion", "plan")]
    return [
        Subject("encode/W1", lambda: encoder.encode(context, slots, instance.scratch, NOW_US),
                lambda size: size == encoded, note="5 of 9 attributes"),
        Subject("encode/W1-of-100", lambda: encoder.encode(wide, slots, instance.scratch, NOW_US),
                lambda size: size == encoded, note="5 of 100 attributes: the same bytes"),
        Subject("encode/official-builder", lambda: official(texts), lambda size: size > 64, number=50,
                note="the same five texts by flatbuffers.Builder"),
    ]  # fmt: skip


def official(texts: list[str]) -> int:
    builder: Any = importlib.import_module("flatbuffers").Builder(256)
    offsets = [builder.CreateString(text) for text in texts]
    builder.StartObject(len(texts))
    for slot, offset in enumerate(offsets):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject())
    return len(bytes(builder.Output()))


async def evaluations() -> list[Subject]:
    """Whole evaluations as a caller makes them."""
    flags = await pyflagwasm.open(document(50)).__aenter__()
    many = await pyflagwasm.open(document(10_000)).__aenter__()
    for context, letters in EXPECTED:
        if flags.value_nowait(TARGET, context, "") not in letters:
            raise SystemExit("bench: the evaluator is wrong")
    bound = flags.bind(user())
    context = user()

    def all_flags() -> dict[str, Any]:
        return dict(flags.bind(user()).all())

    async def pinned() -> str:
        async with flags.pin() as pin:
            return await pin.value(TARGET, user(), default="")

    async def leased() -> str:
        async with flags.lease() as lease:
            return await lease.value(TARGET, user(), default="")

    return [
        Subject("evaluate/W1-awaited", lambda: flags.value(TARGET, user(), default=""), is_split, awaited=True,
                note="fresh context of 9 attributes"),
        Subject("evaluate/W1", lambda: flags.value_nowait(TARGET, context, ""), is_split, note="same context"),
        Subject("evaluate/W1-details", lambda: flags.details_nowait(TARGET, context, ""), lambda d: is_split(d.value)),
        Subject("evaluate/constant", lambda: flags.value_nowait(SIMPLE, context, False), lambda v: v is True,
                note="a flag without targeting"),
        Subject("evaluate/bound", lambda: bound.value(TARGET, ""), is_split, note="context encoded once"),
        Subject("evaluate/all-50", all_flags, lambda found: len(found) == 50, number=200, note="fresh context"),
        Subject("evaluate/W1-pinned", pinned, is_split, awaited=True, note="with a pin of its own"),
        Subject("evaluate/W1-leased", leased, is_split, awaited=True, note="with a lease of its own"),
        Subject("evaluate/W1-of-10000", lambda: many.value_nowait("flag-9998", context, ""), is_split,
                note="10,000 flags loaded"),
    ]  # fmt: skip


def swaps() -> list[Subject]:
    """A new configuration of 1,000 flags: what each stage of a swap costs."""
    configs = [compiled(1000, mark) for mark in "ab"]
    instance = Instance()
    turn = [0]

    def load_next() -> int:
        turn[0] ^= 1
        instance.load(configs[turn[0]].ir, configs[turn[0]].digest)
        return instance.memory_size

    source = document(1000)
    return [
        Subject("swap/compile-1000", lambda: compile_model(load(source)), lambda c: len(c.flags) == 1000, number=1,
                note="document to IR, off the loop"),
        Subject("swap/instance-1000", load_next, lambda size: size > 0, number=20,
                note=f"reserve, copy {len(configs[0].ir) // 1024} KiB, verify, commit"),
    ]  # fmt: skip


def startup(runs: int) -> dict[str, float]:
    """Median seconds of whole processes: `import wasmtime` alone, and import, open and a first evaluation."""
    example = "import asyncio, pyflagwasm\n" + (
        "async def main():\n"
        "    async with pyflagwasm.open('example:flagd') as flags:\n"
        "        await flags.value('pre-orders', {'targetingKey': 'u', 'city': 'Ghent'}, default=False)\n"
        "asyncio.run(main())"
    )
    programs = {"import wasmtime": "import wasmtime", "import, open, first value": example}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            times[name].append(time.perf_counter() - start)
    return {name: median(found) for name, found in times.items()}
