"""Nothing piles up in linear memory: not over evaluations, not over swaps.

PYFLAGWASM_MEMORY_EVALUATIONS sets how many evaluations are made; the default suits a test run, 1000000 a long one.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from random import Random

import pytest
from golden_models import GOLDEN

from pyflagwasm import _abi
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance, room

EVALUATIONS = int(os.environ.get("PYFLAGWASM_MEMORY_EVALUATIONS", "50000"))
SWAPS = 10_000
SIZES = (2_000, 100_000, 150_000)


@pytest.fixture
def instance() -> Iterator[Instance]:
    made = Instance()
    yield made
    made.close()


def memory_of(instance: Instance) -> bytes:
    """All of it: stack, statics, scratch, regions."""
    with instance._guest.memory() as memory:
        return bytes(memory)


def differing(one: bytes, other: bytes) -> list[int]:
    return [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]


# ---------------------------------------------------------------- evaluations


def sequence(instance: Instance, compiled: CompiledConfig, requests: list[bytes]) -> int:
    """Each request to each flag, in each way; the number of evaluations."""
    flags = [entry.index for entry in compiled.flags.values()]
    for request in requests:
        instance.scratch[: len(request)] = request
        for flag in flags:
            instance.evaluate(flag)
        instance.evaluate_many(flags)
        instance.explain(flags[-1])
    return len(requests) * (2 * len(flags) + 1)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", GOLDEN)
def test_memory_is_the_same_after_the_same_evaluations(instance: Instance, name: str) -> None:
    """Byte for byte, once each request has been there: the core keeps nothing of an evaluation."""
    golden = GOLDEN[name]
    compiled = compile_model(golden.model)
    encoder = Encoder(compiled)
    requests = [encoder.encode_all(context, instance.scratch, now_us) for context, now_us in golden.asked]
    instance.load(compiled.ir)
    sequence(instance, compiled, requests)
    before = memory_of(instance)
    made = 0
    while made < EVALUATIONS / len(GOLDEN):
        made += sequence(instance, compiled, requests)
    assert differing(before, memory_of(instance)) == []


def test_a_difference_would_be_seen(instance: Instance) -> None:
    compiled = compile_model(GOLDEN["loops"].model)
    instance.load(compiled.ir)
    Encoder(compiled).encode_all({"items": [1, 2]}, instance.scratch, 0)
    instance.explain(0)
    before = memory_of(instance)
    Encoder(compiled).encode_all({"items": [1, 3]}, instance.scratch, 0)
    instance.explain(0)
    assert differing(before, memory_of(instance))


def test_refusals_and_batches_leave_the_live_configuration_as_it_is(instance: Instance) -> None:
    compiled = compile_model(GOLDEN["buckets"].model)
    context, now_us = GOLDEN["buckets"].asked[-1]
    instance.load(compiled.ir)
    request = Encoder(compiled).encode_all(context, instance.scratch, now_us)
    at = memory_of(instance).index(compiled.ir)
    for length in (100, 5_000, len(compiled.ir), 70_000):
        instance.reserve(length)[:] = b"\xff" * length
        instance.evaluate_batch(0, 5)
        with pytest.raises(Exception, match="BAD_"):
            instance.stage(b"\xff" * length)
        instance.scratch[: len(request)] = request
        sequence(instance, compiled, [request])
        assert memory_of(instance)[at : at + len(compiled.ir)] == compiled.ir


# ---------------------------------------------------------------- swaps


def of_size(size: int) -> bytes:
    """A configuration of so many bytes: what lies behind its last section means nothing."""
    ir = compile_model(GOLDEN["logic"].model).ir
    assert len(ir) <= size
    return ir + bytes(size - len(ir))


def sizes_after(instance: Instance, configs: list[bytes], swaps: int) -> list[int]:
    """The size of the memory after each swap, round and round."""
    sizes = []
    for config in itertools.islice(itertools.cycle(configs), swaps):
        instance.load(config, "test")
        sizes.append(instance.memory_size)
    return sizes


def test_memory_does_not_grow_over_many_swaps(instance: Instance) -> None:
    configs = [compile_model(GOLDEN[name].model).ir for name in ("loops", "example-flagd")]
    assert len(configs[0]) != len(configs[1])
    sizes = sizes_after(instance, configs, SWAPS)
    assert len(sizes) == SWAPS
    assert set(sizes[2:]) == {sizes[2]}


@pytest.mark.parametrize(("one", "other"), [*itertools.permutations(SIZES, 2)])
def test_memory_is_settled_after_two_swaps(instance: Instance, one: int, other: int) -> None:
    """Of two sizes, pages apart: each has its place then."""
    sizes = sizes_after(instance, [of_size(one), of_size(other)], 200)
    assert set(sizes[1:]) == {sizes[1]}


@pytest.mark.parametrize("order", [*itertools.permutations(SIZES)])
def test_memory_settles_with_three_sizes(instance: Instance, order: tuple[int, ...]) -> None:
    """At the seventh swap at the latest: where the third lies decides where the next ones find a gap."""
    sizes = sizes_after(instance, [of_size(size) for size in order], 300)
    assert set(sizes[6:]) == {sizes[6]}


def test_memory_is_bounded_whatever_the_sizes(instance: Instance) -> None:
    """By three of the largest: the live one, what it does not fit before, and the gap that is too small for it."""
    rng, most = Random(4), 400_000
    statics = instance.memory_size
    configs = {size: of_size(size) for size in [most, *(rng.randrange(2_000, most) for _ in range(20))]}
    for _ in range(600):
        instance.load(configs[rng.choice(list(configs))], "test")
    assert instance.memory_size <= statics + 3 * (most + room(most)) + 65536


def test_the_largest_configurations_can_always_be_swapped(instance: Instance) -> None:
    """Each a little larger than the one before fits no gap: the worst order there is."""
    largest = _abi.LIMITS_MAX_CONFIG
    config = of_size(largest)
    for size in (largest - 96, largest - 64, largest - 32, largest, largest - 48, largest, largest):
        instance.load(config[:size], f"{size}")
        assert instance.live == f"{size}"
