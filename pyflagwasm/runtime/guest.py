"""The only file that knows wasmtime: the engine, the compiled core, and the store that one instance of it lives in.

One engine and one compiled core per process, made when first needed and then shared by all threads; one store per
instance, because a store frees its memory only as a whole. What wasmtime raises ends here, as a GuestTrapError.

What the calls mean is in instance.py. How they cross is chosen here: `portable` calls the C function that takes raw
cells over ctypes, `native` does so in C for what is hot, `public` calls as wasmtime documents it, at 40 times the cost,
wherever the private function is not what it was.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import resources
from typing import Any, NamedTuple

import wasmtime
from wasmtime import _ffi

from .. import _abi
from ..errors import AbiMismatchError, GuestTrapError
from . import extension, module_cache, portable

MEMORY_LIMIT = 16 << 20
"""Bytes of linear memory that an instance may have; address space reserved for each."""
HOSTS = ("native", "portable", "public")

_STACK = 64 << 10
_TABLE_ELEMENTS = 256
_LOW = 0xFFFFFFFF
_U64 = 0xFFFFFFFFFFFFFFFF

MEMORY = "memory"
EXPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "abi_fingerprint": ((), ("i64",)),
    "scratch_base": ((), ("i32",)),
    "region_reserve": (("i32",), ("i32",)),
    "config_stage": (("i32",), ("i64",)),
    "config_commit": ((), ("i32",)),
    "evaluate": (("i32",), ("i64",)),
    "evaluate_many": (("i32",), ("i32",)),
    "explain": (("i32",), ("i64",)),
    "evaluate_batch": (("i32", "i32"), ("i64",)),
}
"""Export -> types of parameters and results: the table of schema/README.md section 2, without the memory."""


# ---------------------------------------------------------------- the engine


def engine() -> wasmtime.Engine:
    """A new engine with the settings that this package needs, each with its reason beside it."""
    config = wasmtime.Config()
    config.signals_based_traps = False  # with signals, faulthandler.enable() after the first engine kills at a trap
    config.parallel_compilation = False  # no hidden threads: compiling in a forked child would hang on them
    config.consume_fuel = True  # bounds a call without a ticker thread, which a fork would lose
    config.memory_reservation = MEMORY_LIMIT  # the default reserves 4 GiB of address space for each instance
    config.memory_guard_size = 0
    config.memory_may_move = False  # a view of memory stays where it is
    config.max_wasm_stack = _STACK  # fits the stacks of small threads
    config.cranelift_nan_canonicalization = True  # the same bits on every machine
    # Proposals that the core does not use, as far as no other one depends on them: the engine aborts on those.
    config.wasm_threads = False
    config.wasm_tail_call = False
    config.wasm_relaxed_simd = False
    config.wasm_multi_memory = False
    config.wasm_memory64 = False
    return wasmtime.Engine(config)


# ---------------------------------------------------------------- the door


class _Doors(NamedTuple):
    held: portable.Symbols  # keeps the GIL: for calls of a microsecond
    released: portable.Symbols  # gives it up: for calls of a millisecond


def _probe() -> _Doors | str:
    """The private C functions of this wasmtime, or why they cannot be used."""
    try:
        if ctypes.sizeof(_ffi.wasmtime_func_t) != 16 or ctypes.sizeof(_ffi.wasmtime_val_raw_t) != 16:
            return "its handles or raw values have another size"
        found = []
        for library in (ctypes.PyDLL(str(_ffi.filename)), ctypes.CDLL(str(_ffi.filename))):
            call, set_fuel = library["wasmtime_func_call_unchecked"], library["wasmtime_context_set_fuel"]
            call.restype = set_fuel.restype = ctypes.c_void_p
            found.append(portable.Symbols(call, set_fuel))
        return _Doors(*found)
    except (AttributeError, OSError, TypeError) as error:
        return str(error)


_DOORS = _probe()


def default_host(of: Core) -> str:
    """`PYFLAGWASM_HOST` if it is set, else the first of HOSTS that works. ValueError if unknown."""
    wanted = os.environ.get(extension.HOST_VARIABLE)
    if not wanted:
        return "public" if isinstance(of.doors, str) else "native" if extension.chosen() is not None else "portable"
    if wanted not in HOSTS:
        raise ValueError(f"{extension.HOST_VARIABLE}={wanted}: use one of {', '.join(HOSTS)}, or leave it out")
    return wanted


# ---------------------------------------------------------------- the core


class Core:
    """A compiled core.wasm, checked against this package. Immutable; safe from any thread, and in a forked child.

    doors: the fast ways to call it, or why there are none. keep: whether the machine code may be kept in a file.
    Raises AbiMismatchError, which names what differs.
    """

    __slots__ = ("_pre", "doors", "engine", "scratch_base")

    def __init__(self, wasm: bytes, on: wasmtime.Engine | None = None, *, keep: bool = False) -> None:
        self.engine = on or engine()
        self.doors = _DOORS
        try:
            module = self._kept(wasm) if keep else wasmtime.Module(self.engine, wasm)
        except wasmtime.WasmtimeError as error:
            raise AbiMismatchError(f"core.wasm cannot be compiled: {error}") from None
        _compare(module)
        self._pre = wasmtime.Linker(self.engine).instantiate_pre(module)
        self._compare_numbers()

    def _kept(self, wasm: bytes) -> wasmtime.Module:
        library = os.stat(_ffi.filename)  # another wasmtime would refuse the file
        return module_cache.cached(
            wasm,
            f"{library.st_size} {library.st_mtime_ns}",
            lambda: wasmtime.Module(self.engine, wasm),
            lambda code: wasmtime.Module.deserialize(self.engine, code),
            lambda module: bytes(module.serialize()),
        )

    def instantiate(self) -> tuple[wasmtime.Store, wasmtime.Instance]:
        """A new store with the limits set, and the core in it."""
        store = wasmtime.Store(self.engine)
        store.set_limits(memory_size=MEMORY_LIMIT, table_elements=_TABLE_ELEMENTS, instances=1, tables=1, memories=1)
        store.set_fuel(portable.FUEL)
        try:
            return store, self._pre.instantiate(store)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            store.close()
            raise AbiMismatchError(f"core.wasm cannot be instantiated: {error}") from None

    def _compare_numbers(self) -> None:
        store, instance = self.instantiate()
        exports: Any = instance.exports(store)
        try:
            fingerprint = exports["abi_fingerprint"](store) & _U64
            self.scratch_base = exports["scratch_base"](store) & _LOW
            size = exports[MEMORY].data_len(store)
            if not isinstance(self.doors, str):
                self.doors = _tried(self.doors, store, exports["abi_fingerprint"], fingerprint)
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            raise AbiMismatchError(f"core.wasm fails the first call: {_first_line(error)}") from None
        finally:
            store.close()
        if fingerprint != _abi.FINGERPRINT:
            raise AbiMismatchError(
                f"abi_fingerprint() is {fingerprint:#018x}, this package was built with {_abi.FINGERPRINT:#018x}"
            )
        if self.scratch_base % 8 or self.scratch_base + _abi.SCRATCH_SIZE > size:
            raise AbiMismatchError(f"scratch_base() is {self.scratch_base}, not a place inside {size} bytes of memory")


def _tried(doors: _Doors, store: wasmtime.Store, func: Any, expected: int) -> _Doors | str:
    """The doors, if a call through them gives what the public call gave."""
    frame = portable.Frame(_context(store), _explain, store)
    address = ctypes.addressof(func._func)
    try:
        answer = portable.bind(doors.held, frame, "abi_fingerprint", address, parameters=0, wide=True)()
    except GuestTrapError as error:
        return str(error)
    return doors if answer == expected else "its unchecked call gives another answer than the public one"


def _context(store: wasmtime.Store) -> int:
    return ctypes.cast(store._context(), ctypes.c_void_p).value or 0


def _compare(module: wasmtime.Module) -> None:
    imports = [f"{entry.module}.{entry.name}" for entry in module.imports]
    if imports:
        raise AbiMismatchError(f"core.wasm imports {', '.join(imports)}; it must import nothing")
    found: dict[str, Any] = {entry.name: entry.type for entry in module.exports}
    wanted = {MEMORY, *EXPORTS}
    for what, names in (("does not export", wanted - found.keys()), ("also exports", found.keys() - wanted)):
        if names:
            raise AbiMismatchError(f"core.wasm {what} {', '.join(sorted(names))}")
    memory = found[MEMORY]
    if not isinstance(memory, wasmtime.MemoryType) or memory.is_64 or memory.is_shared:
        raise AbiMismatchError("core.wasm exports a memory that is none, or not 32-bit and unshared")
    for name, (parameters, results) in EXPORTS.items():
        kind = found[name]
        if not isinstance(kind, wasmtime.FuncType):
            raise AbiMismatchError(f"core.wasm exports {name}, but not as a function")
        has = tuple(map(str, kind.params)), tuple(map(str, kind.results))
        if has != (parameters, results):
            raise AbiMismatchError(f"{name} has the type {_arrow(*has)}, not {_arrow(parameters, results)}")


def _arrow(parameters: Sequence[str], results: Sequence[str]) -> str:
    return f"({', '.join(parameters)}) -> {', '.join(results) or '()'}"


def _first_line(error: BaseException) -> str:
    code = getattr(error, "trap_code", None)
    return code.name if code else str(error).partition("\n")[0]


_core: Core | None = None
_lock = threading.RLock()  # a finalizer may run, and ask for the core, while it is made


def core() -> Core:
    """The core of this package, compiled when first asked for. Raises AbiMismatchError."""
    global _core
    if _core is None:
        with _lock:
            if _core is None:
                try:
                    wasm = resources.files("pyflagwasm").joinpath("core.wasm").read_bytes()
                except OSError as error:
                    raise AbiMismatchError(f"core.wasm cannot be read: {error}") from None
                _core = Core(wasm, keep=True)
    return _core


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that held it, if any, does not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ---------------------------------------------------------------- one store


class Addresses(NamedTuple):
    """What a native host calls: `call` is wasmtime_func_call_unchecked. Valid while the guest lives."""

    call: int
    set_fuel: int
    context: int
    evaluate: int
    evaluate_many: int
    scratch: int
    memory: int


DROPPED = "the instance was dropped"

_frames: set[portable.Frame] = set()
"""The frames of all guests that are neither closed nor dropped. What a frame keeps, the store above all, is reachable
from here, and so never garbage: of the garbage in a cycle the store might be freed before a finalizer of the user's
evaluates. The set is never freed: at the exit of the interpreter finalizers still find every store as it was, and the
system takes the memory."""
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_frames))


def _drop(frame: portable.Frame, views: list[memoryview]) -> None:
    """The end of a guest that nobody closed. Comes before every finalizer of the garbage that the guest is part of.

    The store goes with its last user: a view or a call of it that somebody kept.
    """
    frame.kill(DROPPED)
    for view in views:
        with suppress(BufferError):  # the view has a user, and keeps the store
            view.release()
    _frames.discard(frame)


class Guest:
    """One instance of the core in its own store: its exports as callables, and its memory.

    host: one of HOSTS; None is `default_host`. `evaluate` takes a flag index. `calls` has all exports: i32 arguments,
    an unsigned result, keyword `fuel`; `released` has them without the GIL. views: the owner's views of the memory,
    which are released when the guest is dropped without `close`.
    Every call raises GuestTrapError once the guest is dead: it trapped, or it was closed or dropped.
    """

    __slots__ = (
        "__weakref__", "_doors", "_dropped", "_exports", "_store", "calls", "evaluate", "frame", "host", "released",
        "scratch_base", "views",
    )  # fmt: skip

    def __init__(self, of: Core, host: str | None = None) -> None:
        self.host = host or default_host(of)
        self._store, instance = of.instantiate()
        self._exports: Any = instance.exports(self._store)
        self.scratch_base = of.scratch_base
        self._doors = of.doors
        # Calls hold addresses inside of the store and exports, and a caller may keep a call alone.
        self.frame = portable.Frame(_context(self._store), _explain, (self._store, self._exports))
        self.views: list[memoryview] = []
        _frames.add(self.frame)
        self._dropped = weakref.finalize(self, _drop, self.frame, self.views)
        self._dropped.atexit = False
        self.calls, self.released = dict[str, Callable[..., int]](), dict[str, Callable[..., int]]()
        self.evaluate: Callable[[int], int]
        if self.host == "public":
            for name in EXPORTS:
                self.calls[name] = self.released[name] = _public(self._store, self._exports[name], self.frame, name)
            self.evaluate = self.calls["evaluate"]
            return
        if isinstance(self._doors, str):
            raise AbiMismatchError(f"the {self.host} host cannot use this wasmtime: {self._doors}")
        for name, (parameters, results) in EXPORTS.items():
            address, wide = self._address(name), results == ("i64",)
            for symbols, calls in ((self._doors.held, self.calls), (self._doors.released, self.released)):
                calls[name] = portable.bind(symbols, self.frame, name, address, parameters=len(parameters), wide=wide)
        if self.host == "native":
            self.evaluate = self.frame.native = self._native()
        else:
            self.evaluate = portable.bind_one(self._doors.held, self.frame, "evaluate", self._address("evaluate"))

    def _native(self) -> Any:
        """`evaluate` as the extension calls it. Raises AbiMismatchError if there is no extension."""
        if extension.FOUND is None:
            raise AbiMismatchError(f"there is no native host: {extension.MISSING_BECAUSE}")
        return extension.FOUND.Call(*self.addresses()[:-1], portable.EVALUATION_FUEL, self.frame)

    def _address(self, name: str) -> int:
        return ctypes.addressof(self._exports[name]._func)

    def addresses(self) -> Addresses:
        """For a native host. Raises AbiMismatchError if this wasmtime's private functions are not what they were."""
        self.frame.check()
        if isinstance(self._doors, str):
            raise AbiMismatchError(f"a native host cannot use this wasmtime: {self._doors}")
        base = ctypes.cast(self._exports[MEMORY].data_ptr(self._store), ctypes.c_void_p).value or 0
        call, set_fuel = (ctypes.cast(symbol, ctypes.c_void_p).value or 0 for symbol in self._doors.held)
        context = self.frame.context.value or 0
        evaluate, many = self._address("evaluate"), self._address("evaluate_many")
        return Addresses(call, set_fuel, context, evaluate, many, base + self.scratch_base, base)

    def memory(self) -> memoryview:
        """A new view of all linear memory, as bytes. It does not grow with the memory.

        It keeps the memory of a guest that is dropped, but not of one that is closed: release it, and what was sliced
        off it, before `close`.
        """
        self.frame.check()
        buffer = self._exports[MEMORY].get_buffer_ptr(self._store)
        buffer.store = self._store
        return memoryview(buffer).cast("B")

    def close(self) -> None:
        """Free the store. Views of the memory must be released before. Idempotent."""
        self.frame.kill("the instance is closed")
        self._dropped.detach()
        self._store.close()
        _frames.discard(self.frame)


def _public(store: wasmtime.Store, func: Any, frame: portable.Frame, name: str) -> Callable[..., int]:
    mask = _U64 if EXPORTS[name][1] == ("i64",) else _LOW

    def invoke(*arguments: int, fuel: int = portable.EVALUATION_FUEL) -> int:
        frame.check()
        portable.require_u32(name, arguments)
        store.set_fuel(portable.FUEL + fuel)
        try:
            return int(func(store, *arguments)) & mask
        except (wasmtime.WasmtimeError, wasmtime.Trap) as error:
            failure = _failure(name, error)
            frame.kill(str(failure))
        raise failure

    return invoke


def _failure(name: str, error: BaseException) -> GuestTrapError:
    return GuestTrapError(f"{name} trapped: {_first_line(error)}; the instance must not be called again")


def _explain(name: str, error: int, trap: int) -> GuestTrapError:
    """What the two addresses that an unchecked call may leave say. Frees both."""
    owned: list[Any] = []
    if trap:
        owned.append(wasmtime.Trap._from_ptr(ctypes.cast(trap, ctypes.POINTER(_ffi.wasm_trap_t))))
    if error:
        owned.append(wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(_ffi.wasmtime_error_t))))
    failure = _failure(name, owned[0])
    for each in owned:
        each.close()
    return failure
