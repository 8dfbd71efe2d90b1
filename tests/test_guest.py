"""The door to the core: the handshake, both ways of crossing, traps, swaps, memory, fork."""

from __future__ import annotations

import ctypes
import os
import pathlib
import threading
from collections.abc import Callable

import pytest
import support
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflagwasm.errors import AbiMismatchError, GuestTrapError
from pyflagwasm.runtime import extension, guest, portable
from pyflagwasm.runtime.instance import Instance

HERE = [host for host in guest.HOSTS if host != "native" or extension.FOUND is not None]


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


# ---------------------------------------------------------------- handshake


@pytest.mark.parametrize("name", support.LIARS)
def test_a_guest_that_differs_is_refused_by_what_differs(name: str) -> None:
    wasm, expected = support.LIARS[name]
    with pytest.raises(AbiMismatchError) as refused:
        support.core(wasm)
    assert expected in str(refused.value)


def test_the_table_of_exports_is_the_contract() -> None:
    """schema/README.md section 2 and guest.EXPORTS say the same."""
    text = (pathlib.Path(__file__).parent.parent / "schema" / "README.md").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `") and "->" in line.split("|")[2]]
    described = {}
    for row in rows:
        parameters, results = row[2].strip().strip("`").split(" -> ")
        types = tuple(part.split()[-1] for part in parameters.strip("()").split(",") if part)
        described[row[1].strip().strip("`")] = (types, (results,))
    assert described == guest.EXPORTS


def test_the_core_is_made_once_and_by_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    started = threading.Barrier(4)

    class Counted:
        def __init__(self, wasm: bytes, *, keep: bool) -> None:
            made.append(wasm)

    monkeypatch.setattr(guest, "_core", None)
    monkeypatch.setattr(guest, "Core", Counted)
    monkeypatch.setattr(guest.resources, "files", lambda package: _Package())
    found: list[object] = []

    def ask() -> None:
        started.wait()
        found.append(guest.core())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [b"core"]
    assert len({id(each) for each in found}) == 1


class _Package:
    def joinpath(self, name: str) -> _Package:
        return self

    def read_bytes(self) -> bytes:
        return b"core"


def test_a_package_without_core_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr(guest, "_core", None)
    monkeypatch.setattr(guest.resources, "files", lambda package: tmp_path)
    with pytest.raises(AbiMismatchError, match=r"core\.wasm cannot be read"):
        guest.core()


# ---------------------------------------------------------------- hosts


def test_the_variable_chooses_the_host(monkeypatch: pytest.MonkeyPatch, core: guest.Core) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)
    assert guest.default_host(core) == HERE[0]
    for wanted in HERE:
        monkeypatch.setenv(extension.HOST_VARIABLE, wanted)
        made = Instance(core)
        assert made.host == wanted
        made.close()
    monkeypatch.setenv(extension.HOST_VARIABLE, "fast")
    with pytest.raises(ValueError, match="PYFLAGWASM_HOST=fast: use one of native, portable, public"):
        Instance(core)


def test_without_the_private_functions_calls_are_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)
    monkeypatch.setattr(guest._ffi, "filename", "/nowhere")
    reason = guest._probe()
    assert isinstance(reason, str)
    monkeypatch.setattr(guest, "_DOORS", reason)
    _only_public(support.core())


@pytest.mark.parametrize("way", ["answer", "trap"])
def test_private_functions_that_changed_are_not_used(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Found by trying: one call through the door is compared with the public one when a core is made."""

    def bind(*args: object, **rest: object) -> Callable[[], int]:
        def call() -> int:
            if way == "trap":
                raise GuestTrapError("abi_fingerprint trapped")
            return 5

        return call

    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(portable, "bind", bind)
        changed = support.core()
    _only_public(changed)


def _only_public(core: guest.Core) -> None:
    made = Instance(core)
    assert (made.host, made.evaluate(3)) == ("public", 3)
    with pytest.raises(AbiMismatchError):
        made.addresses()
    made.close()
    with pytest.raises(AbiMismatchError, match="portable host cannot use"):
        Instance(core, "portable")


def test_without_the_extension_there_is_no_native_host(monkeypatch: pytest.MonkeyPatch, core: guest.Core) -> None:
    monkeypatch.setattr(extension, "FOUND", None)
    monkeypatch.setattr(extension, "MISSING_BECAUSE", "never built")
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)
    assert guest.default_host(core) == "portable"
    with pytest.raises(AbiMismatchError, match="there is no native host: never built"):
        Instance(core, "native")


@settings(max_examples=50, deadline=None)
@given(
    flag=st.integers(0, 2**32 - 1),
    flags=st.lists(st.integers(0, 2**32 - 1), max_size=20),
    rows=st.integers(0, 2**32 - 1),
)
def test_fast_and_public_call_agree(flag: int, flags: list[int], rows: int) -> None:
    answers = []
    for made in _pair():
        made.load(support.CONFIG_B)
        answers.append((
            made.evaluate(flag), made.evaluate_many(flags), made.explain(flag), made.evaluate_batch(flag, rows),
        ))  # fmt: skip
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == (0x200 + flag) % 2**32


_made: list[Instance] = []


def _pair() -> list[Instance]:
    if not _made:
        shared = support.core()
        _made.extend(Instance(shared, each) for each in HERE)
    return _made


def test_a_native_host_gets_addresses_that_work(core: guest.Core) -> None:
    made = Instance(core, "portable")
    made.load(support.CONFIG_A)
    where = made.addresses()
    call = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
    )(where.call)
    set_fuel = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64)(where.set_fuel)
    cells, trap = (ctypes.c_uint64 * 2)(5), ctypes.c_void_p()
    assert not set_fuel(where.context, portable.FUEL)
    assert not call(where.context, where.evaluate, cells, 1, ctypes.byref(trap))
    assert (cells[0], trap.value) == (0x105, None)
    made.scratch[:4] = b"abcd"
    assert ctypes.string_at(where.scratch, 4) == b"abcd"
    assert where.scratch - where.memory == support.SCRATCH
    made.close()


# ---------------------------------------------------------------- traps


@pytest.mark.parametrize("code", support.TRAPS)
def test_a_trap_is_the_end_of_the_instance(host: str, code: str, little_fuel: int) -> None:
    made = Instance(support.core(support.TRAPS[code]), host)
    made.load(support.CONFIG_A)
    with pytest.raises(GuestTrapError, match=f"evaluate trapped: {code}") as first:
        made.evaluate(1)
    assert made.dead
    attempts = (
        lambda: made.evaluate(1), lambda: made.evaluate_many([1]), lambda: made.explain(1), made.commit,
        lambda: made.evaluate_batch(1, 1), lambda: made.load(support.CONFIG_A), lambda: made.reserve(8),
        lambda: made.memory_size, made.addresses,
    )  # fmt: skip
    for attempt in attempts:
        with pytest.raises(GuestTrapError) as again:
            attempt()
        assert str(again.value) == str(first.value)
    made.close()


@pytest.mark.parametrize("name", [name for name in guest.EXPORTS if name not in ("abi_fingerprint", "scratch_base")])
def test_a_trap_anywhere_is_one_error(host: str, name: str) -> None:
    parameters, results = guest.EXPORTS[name]
    params = "".join(f"(param {each})" for each in parameters)
    wasm = support.wat(**{name: f'(func (export "{name}") {params} (result {results[0]}) unreachable)'})
    made = Instance(support.core(wasm), host)
    calls = {
        "region_reserve": lambda: made.reserve(1), "config_stage": lambda: made.stage(support.CONFIG_A),
        "config_commit": lambda: made.load(support.CONFIG_A), "evaluate": lambda: made.evaluate(0),
        "evaluate_many": lambda: made.evaluate_many([0]), "explain": lambda: made.explain(0),
        "evaluate_batch": lambda: made.evaluate_batch(0, 1),
    }  # fmt: skip
    with pytest.raises(GuestTrapError, match=f"{name} trapped: UNREACHABLE") as raised:
        calls[name]()
    assert (raised.value.__cause__, made.dead) == (None, True)
    made.close()


def test_a_trap_leaves_other_instances_alone(host: str) -> None:
    sound, broken = Instance(support.core(), host), Instance(support.core(support.TRAPS["UNREACHABLE"]), host)
    sound.load(support.CONFIG_A)
    with pytest.raises(GuestTrapError):
        broken.evaluate(0)
    assert sound.evaluate(7) == 0x107
    for each in (sound, broken):
        each.close()


def test_a_dead_instance_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in the guest itself: a second evaluation would count to 2 before it traps."""
    wasm = support.evaluate_as(
        f"(i32.store (i32.const {support.SCRATCH})"
        f" (i32.add (i32.const 1) (i32.load (i32.const {support.SCRATCH})))) unreachable"
    )
    made = Instance(support.core(wasm), "portable")
    for _ in range(3):
        with pytest.raises(GuestTrapError):
            made.evaluate(0)
    assert made.scratch[0] == 1
    made.close()


@pytest.mark.parametrize("argument", [-1, 2**64, "1", None, 1.5])
def test_a_flag_that_is_no_index_costs_no_instance(instance: Instance, argument: object) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        instance.evaluate(argument)  # type: ignore[arg-type]
    assert instance.evaluate(1) == 1


def _counting(steps: int) -> bytes:
    """An evaluation that goes round a loop `steps` times, about 9 units of fuel each."""
    return support.evaluate_as(
        f"(local $i i32) (loop $on (local.set $i (i32.add (local.get $i) (i32.const 1)))"
        f" (br_if $on (i32.lt_u (local.get $i) (i32.const {steps})))) (i64.extend_i32_u (local.get $i))"
    )


def test_fuel_is_renewed(host: str, little_fuel: int) -> None:
    """Any number of evaluations that burn nearly all that one may."""
    steps = little_fuel // 12
    made = Instance(support.core(_counting(steps)), host)
    for _ in range(100):
        assert made.evaluate(0) == steps
    made.close()


def test_fuel_bounds_one_evaluation(host: str, little_fuel: int) -> None:
    made = Instance(support.core(_counting(17 * little_fuel)), host)
    with pytest.raises(GuestTrapError, match="OUT_OF_FUEL"):
        made.evaluate(0)
    made.close()


@pytest.fixture
def little_fuel(monkeypatch: pytest.MonkeyPatch) -> int:
    fuel = 100_000
    monkeypatch.setattr(portable, "EVALUATION_FUEL", fuel)
    monkeypatch.setattr(portable, "FUEL", fuel * portable.EVALUATIONS_PER_REFUEL)
    return fuel


def test_close_is_final_and_idempotent(instance: Instance) -> None:
    view = instance.scratch
    instance.close()
    instance.close()
    assert instance.dead
    with pytest.raises(GuestTrapError, match="closed"):
        instance.evaluate(1)
    with pytest.raises(ValueError, match="released"):
        view[0] = 1


# ---------------------------------------------------------------- threads, fork


def test_instances_of_one_core_in_threads(core: guest.Core, host: str) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        made = Instance(core, host)
        try:
            made.load(bytes([0, number]) + bytes(20_000))
            wrong.extend(flag for flag in range(200) if made.evaluate(flag) != (number << 8) + flag)
        except Exception as error:
            wrong.append(error)
        finally:
            made.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on(core: guest.Core) -> None:
    """The inherited instance, a new one, a trap, and a compilation, all in the child; the lock held by nobody there."""
    made = Instance(core, "portable")
    made.load(support.CONFIG_A)
    with guest._lock:
        child = os.fork()
        if not child:
            code = 1
            try:
                assert made.evaluate(1) == 0x101
                made.load(support.CONFIG_B)
                fresh = Instance(core, "portable")
                assert fresh.evaluate(1) == 1
                with pytest.raises(GuestTrapError):
                    Instance(guest.Core(support.TRAPS["UNREACHABLE"]), "portable").evaluate(0)
                with guest._lock:
                    code = 0
            finally:
                os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert made.evaluate(1) == 0x101
    made.close()
