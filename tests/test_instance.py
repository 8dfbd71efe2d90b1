"""An instance: swap, memory, many, explain, batch - on stand-ins for the core, and on the core itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import support

from pyflagwasm import _abi
from pyflagwasm.config import model
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.errors import AbiMismatchError, ConfigError, GuestTrapError
from pyflagwasm.runtime import guest
from pyflagwasm.runtime.decode import Decision, unpack
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance
from pyflagwasm.types import ErrorCode, Reason


@pytest.fixture(params=support.HOSTS)
def host(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def core() -> guest.Core:
    return support.core()


@pytest.fixture
def instance(core: guest.Core, host: str):
    made = Instance(core, host)
    yield made
    made.close()


# ---------------------------------------------------------------- swap


def test_nothing_is_live_at_first(instance: Instance) -> None:
    assert (instance.live, instance.dead) == (None, False)
    with pytest.raises(ConfigError, match="NOT_STAGED at commit"):
        instance.commit()


def test_stage_is_not_seen_before_commit(instance: Instance) -> None:
    instance.load(support.CONFIG_A, "a")
    instance.stage(support.CONFIG_B, "b")
    assert (instance.evaluate(1), instance.live) == (0x101, "a")
    instance.commit()
    assert (instance.evaluate(1), instance.live) == (0x201, "b")


@pytest.mark.parametrize("status", [each for each in _abi.Status if each])
def test_a_refused_stage_leaves_the_live_one(instance: Instance, status: _abi.Status) -> None:
    instance.load(support.CONFIG_A, "a")
    with pytest.raises(ConfigError) as refused:
        instance.load(support.broken_config(status), "b")
    assert f"{status.name} at element 7" in str(refused.value)
    assert (instance.evaluate(1), instance.live, instance.dead) == (0x101, "a", False)
    with pytest.raises(ConfigError, match="NOT_STAGED"):
        instance.commit()


def test_an_unknown_status_is_named_by_number(instance: Instance) -> None:
    with pytest.raises(ConfigError, match="status 200"):
        instance.stage(bytes([200]) + bytes(10))


def test_live_is_a_digest_of_the_bytes(instance: Instance) -> None:
    instance.load(support.CONFIG_A)
    first = instance.live
    instance.load(support.CONFIG_B)
    second = instance.live
    instance.load(support.CONFIG_A)
    assert first == instance.live != second


@pytest.mark.parametrize("length", [_abi.LIMITS_MAX_CONFIG + 1, 2**32 - 1, 2**32 + 8, 2**40, 0, -1])
def test_a_region_too_large_is_refused(instance: Instance, length: int) -> None:
    instance.load(support.CONFIG_A)
    with pytest.raises(ConfigError, match="bytes are refused: there must be at least 1, and room for them in 16777216"):
        instance.reserve(length)
    assert instance.evaluate(0) == 0x100
    assert not instance.dead


def test_large_configurations_are_staged_without_the_gil(core: guest.Core, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Instance(core, "portable")
    used: list[str] = []
    for name, calls in (("held", made._calls), ("released", made._released)):
        stage = calls["config_stage"]

        def spied(*args: int, name: str = name, stage=stage, **rest: int) -> int:
            used.append(name)
            return int(stage(*args, **rest))

        monkeypatch.setitem(calls, "config_stage", spied)
    for size in (100, 16 << 10, 1 << 20):
        made.load(bytes([0, 3]) + bytes(size))
        assert made.evaluate(0) == 0x300
    assert used == ["held", "released", "released"]
    made.close()


# ---------------------------------------------------------------- memory


def test_views_are_renewed_when_memory_grows(instance: Instance) -> None:
    old, before = instance.scratch, instance.memory_size
    old[0] = 77
    region = instance.reserve(1 << 20)
    assert instance.memory_size > before
    with pytest.raises(ValueError, match="released"):
        old[0] = 1
    assert instance.scratch[0] == 77
    region[-1] = 9
    instance.reserve(1 << 20)
    with pytest.raises(ValueError, match="released"):
        region[-1] = 1


def test_memory_is_limited(core: guest.Core, host: str) -> None:
    made = Instance(core, host)
    greedy = Instance(
        support.core(
            support.wat(
                region_reserve="""(func (export "region_reserve") (param i32) (result i32)
                    (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
                    (i32.const 65536))""",
                memory='(memory (export "memory") 3)',
            )
        ),
        host,
    )
    greedy.reserve(8)
    assert greedy.memory_size == guest.MEMORY_LIMIT
    for each in (made, greedy):
        each.close()


def test_a_region_outside_of_memory_is_refused(host: str) -> None:
    wasm = support.wat(region_reserve='(func (export "region_reserve") (param i32) (result i32) (i32.const -8))')
    made = Instance(support.core(wasm), host)
    with pytest.raises(AbiMismatchError, match="outside"):
        made.reserve(100)
    made.close()


def test_scratch_is_the_scratch_and_nothing_else(instance: Instance) -> None:
    assert (len(instance.scratch), instance.scratch.readonly, instance.scratch.format) == (
        _abi.SCRATCH_SIZE,
        False,
        "B",
    )


def test_the_views_of_an_instance_end_with_it_but_slices_keep_the_memory(core: guest.Core) -> None:
    made = Instance(core, "portable")
    view, part, store = made.scratch, made.scratch[:4], weakref.ref(made._guest._store)
    del made
    gc.collect()
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    part[:] = b"left"
    assert bytes(part) == b"left"
    assert store() is not None
    part.release()
    del part
    assert store() is None


def test_a_reserve_that_fails_leaves_views_that_work(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    instance.load(support.CONFIG_A)

    def memory(of: guest.Guest) -> memoryview:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(guest.Guest, "memory", memory)
        with pytest.raises(MemoryError):
            instance.reserve(1 << 20)
    instance.scratch[0] = 5
    assert instance.evaluate_many([1]) == [0x101]
    assert len(instance.reserve(8)) == 8


def test_dropped_instances_leave_nothing_behind(core: guest.Core) -> None:
    """No cycle keeps a store until the garbage collector comes."""
    gc.disable()
    try:
        before = len(guest._frames)
        made = Instance(core, "portable")
        store = weakref.ref(made._guest._store)
        assert len(guest._frames) == before + 1
        del made
        assert store() is None
        assert len(guest._frames) == before
        Instance(core, "portable").close()
        assert len(guest._frames) == before
    finally:
        gc.enable()


# ---------------------------------------------------------------- many, explain, batch


def test_many(instance: Instance) -> None:
    instance.load(support.CONFIG_A)
    assert instance.evaluate_many([]) == []
    assert instance.evaluate_many((3, 1)) == [0x103, 0x101]
    flags = list(range(_abi.LIMITS_MAX_MANY + 1))
    assert instance.evaluate_many(flags) == [0x100 + flag for flag in flags]
    assert not any(instance.scratch[: _abi.SCRATCH_OUTPUT_OFFSET])


def test_many_that_are_not_all_decided_are_an_error(host: str) -> None:
    wasm = support.wat(evaluate_many='(func (export "evaluate_many") (param i32) (result i32) (i32.const 1))')
    made = Instance(support.core(wasm), host)
    with pytest.raises(AbiMismatchError, match=r"evaluate_many\(2\) decided 1"):
        made.evaluate_many([1, 2])
    made.close()


def test_explain(instance: Instance) -> None:
    assert instance.explain(4) == (4, [(5, 4, 3, 2**64 - 1)])
    assert not instance.trace_truncated
    instance.explain(9)
    assert instance.trace_truncated


def test_batch(instance: Instance) -> None:
    assert instance.evaluate_batch(1, 1000) == (_abi.Status.OK, 1000)
    with pytest.raises(ValueError, match="not an unsigned 32-bit number"):
        instance.evaluate_batch(1, 2**32)


# ---------------------------------------------------------------- state


def test_repr_tells_the_state(core: guest.Core) -> None:
    made = Instance(core, "portable")
    assert repr(made) == "<Instance portable: no configuration>"
    made.load(support.CONFIG_A, "abc")
    assert repr(made) == "<Instance portable: live abc>"
    made.close()
    assert repr(made) == "<Instance portable: the instance is closed>"


# ---------------------------------------------------------------- the core itself


@pytest.fixture(scope="module")
def config() -> CompiledConfig:
    """Three flags: by plan, by the clock, and one that nests `deep`."""
    on, off = model.Variant("on", True), model.Variant("off", False)
    plan, deep = model.Slot("path", ("plan",)), model.Slot("path", ("deep",))
    constant = [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]
    conditions: tuple[model.Condition, ...] = (
        model.Test(_abi.Op.TEXT_IN, plan, ("pro", "team")),
        model.NowAtLeast(1_000),
        model.Truth(model.Apply(_abi.Op.EQUAL, (model.SlotValue(deep), model.Constant(constant)), 1)),
    )
    yes, no = model.Serve(0, _abi.Reason.TARGETING_MATCH), model.Serve(1, _abi.Reason.DEFAULT)
    programs = tuple(model.When(condition, yes, no) for condition in conditions)
    flags = tuple(model.Flag(f"flag-{number}", (on, off), number) for number in range(len(programs)))
    return compile_model(model.Model("test", flags, programs))


@pytest.fixture
def live(config: CompiledConfig, host: str) -> Iterator[Instance]:
    made = Instance(host=host)
    made.load(config.ir, config.digest)
    yield made
    made.close()


MATCH, NO_MATCH = (0, Reason.TARGETING_MATCH), (1, Reason.DEFAULT)


def _decide(live: Instance, config: CompiledConfig, context: dict[str, object], now_us: int = 0) -> list[object]:
    """All flags, each with its own request, and then all at once."""
    encoder = Encoder(config)
    singly = []
    for entry in config.flags.values():
        encoder.encode(context, entry.slots, live.scratch, now_us)
        singly.append(live.evaluate(entry.index))
        assert live.explain(entry.index)[0] == singly[-1]
    encoder.encode_all(context, live.scratch, now_us)
    assert live.evaluate_many([entry.index for entry in config.flags.values()]) == singly
    return [(each.variant, each.reason) for each in map(unpack, singly)]


def test_the_core_decides(live: Instance, config: CompiledConfig) -> None:
    assert live.live == config.digest
    assert _decide(live, config, {"plan": "team"}) == [MATCH, NO_MATCH, NO_MATCH]
    assert _decide(live, config, {"plan": "free"}, 1_000) == [NO_MATCH, MATCH, NO_MATCH]
    assert _decide(live, config, {}, 999) == [NO_MATCH] * 3


def test_the_deepest_value_that_is_sent_is_understood(live: Instance, config: CompiledConfig) -> None:
    value: object = 1
    for _ in range(_abi.LIMITS_VALUE_DEPTH):
        value = [value]
    assert _decide(live, config, {"deep": value})[2] == MATCH


def test_the_core_explains(live: Instance, config: CompiledConfig) -> None:
    Encoder(config).encode({"plan": "pro"}, config.flags["flag-0"].slots, live.scratch, 0)
    packed, events = live.explain(0)
    outcomes = [outcome for _, outcome, _, _ in events]
    assert outcomes == [_abi.Outcome.YES, _abi.Outcome.DECIDED]
    assert events[-1][3] == packed


def test_the_core_without_configuration_says_so(host: str) -> None:
    made = Instance(host=host)
    decision = unpack(made.evaluate(0))
    assert (decision.error, decision.message) == (ErrorCode.GENERAL, "the core has no configuration yet")
    made.close()


def test_the_core_refuses_garbage_and_goes_on(live: Instance, config: CompiledConfig) -> None:
    for garbage in (b"x", bytes(1000), config.ir[:-9], config.ir[:40] + bytes(len(config.ir))):
        with pytest.raises(ConfigError, match="the core refuses the compiled configuration: BAD_"):
            live.load(garbage)
    assert _decide(live, config, {"plan": "pro"})[0] == MATCH
    assert unpack(live.evaluate(99)) == Decision(None, None, Reason.ERROR, ErrorCode.FLAG_NOT_FOUND, False, None,
                                                 "the configuration has no such flag")  # fmt: skip


def test_swaps_do_not_use_up_memory(live: Instance, config: CompiledConfig) -> None:
    sizes = []
    for _ in range(200):
        live.load(config.ir, config.digest)
        sizes.append(live.memory_size)
    assert len(set(sizes[2:])) == 1


@pytest.mark.parametrize("host", ["portable", "public"])
@pytest.mark.parametrize("name", ["evaluate", "config_commit"])
def test_a_call_that_outlives_its_instance_says_so(host: str, name: str) -> None:
    """The addresses behind a call lie in objects of the instance: without these it would call freed memory."""
    instance = Instance(host=host)
    call = instance.evaluate if name == "evaluate" else instance._calls[name]
    arguments = (0,) if name == "evaluate" else ()
    call(*arguments)
    del instance
    gc.collect()
    with pytest.raises(GuestTrapError, match="the instance was dropped"):
        call(*arguments)


@pytest.mark.parametrize("host", ["portable", "public"])
def test_an_instance_in_a_cycle_ends_before_the_finalizers(host: str) -> None:
    """Were the store part of the garbage, it could be freed before the finalizer that calls."""
    seen: list[object] = []

    class Cycle:
        def __init__(self) -> None:
            self.me, self.instance = self, Instance(host=host)

        def __del__(self) -> None:
            for attempt in (lambda: self.instance.evaluate(0), lambda: self.instance.scratch[0]):
                try:
                    seen.append(attempt())
                except (GuestTrapError, ValueError) as error:
                    seen.append(type(error))

    before = len(guest._frames)
    for _ in range(10):
        Cycle()
    gc.collect()
    assert seen == [GuestTrapError, ValueError] * 10
    assert len(guest._frames) == before
