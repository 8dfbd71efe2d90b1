"""One instance of the core, as the exports of schema/README.md section 2 mean it: load, evaluate, explain.

Knows nothing of wasmtime (guest.py) and nothing of what the bytes in scratch say (encode.py).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Sequence

from .. import _abi
from ..errors import AbiMismatchError, ConfigError
from . import guest, portable

RELEASE_FROM = 16 << 10
"""A configuration of so many bytes is staged without the GIL; below, giving it up costs more than it gains."""

_LOW, _HIGH = 0xFFFFFFFF, 32
_MOST_FUEL = 1 << 62
_STAGE_FUEL = _MOST_FUEL  # the core goes once over at most max_config bytes, and over the room behind them
_ROOM_EDGES = 256  # the tables of small configurations are rounded up by more
_OUTPUT = slice(_abi.SCRATCH_OUTPUT_OFFSET, _abi.SCRATCH_OUTPUT_OFFSET + _abi.SCRATCH_OUTPUT_SIZE)
_COUNT = _abi.SCRATCH_OUTPUT_OFFSET + _abi.TRACE_COUNT
_TRUNCATED = _abi.SCRATCH_OUTPUT_OFFSET + _abi.TRACE_TRUNCATED
_EVENTS = _abi.SCRATCH_OUTPUT_OFFSET + _abi.TRACE_EVENTS


class Instance:
    """A core with its own memory. For one thread at a time; nobody but the owner checks that.

    evaluate: `(flag) -> packed decision` for the request in scratch (decode.py unpacks it). One C call.
    scratch: the scratch area, writable bytes. Read the attribute anew after `stage`, `load` and `reserve`: they release
    the view and put a new one here. Do not keep slices of it beyond `close`.
    One that is dropped without `close` ends by itself: the view is released, and a call that was kept raises
    GuestTrapError.
    extent: bytes of linear memory when it was last looked at; it grows in `reserve` only. For any thread, at any time.
    live: the digest of the configuration that answers, None before the first.

    Every method raises GuestTrapError if the core traps; then the instance is `dead`, raises the same again without
    calling, and must be closed.
    """

    __slots__ = ("_calls", "_cells", "_guest", "_released", "_staged", "evaluate", "extent", "live", "scratch")

    evaluate: Callable[[int], int]

    def __init__(self, core: guest.Core | None = None, host: str | None = None) -> None:
        self._guest = guest.Guest(guest.core() if core is None else core, host)
        self._calls, self._released = self._guest.calls, self._guest.released
        self.evaluate = self._guest.evaluate
        self.live: str | None = None
        self._staged: str | None = None
        self._look()

    def _look(self, region: slice = slice(0)) -> memoryview:
        """Take new views of the memory, which may have grown, and release the old ones; the new one of a region.

        In this order: whatever fails, `scratch` can be written to.
        """
        memory = self._guest.memory()
        self.extent = len(memory)
        base = self._guest.scratch_base
        scratch = memory[base : base + _abi.SCRATCH_SIZE]
        views = [scratch, scratch[_OUTPUT].cast("Q"), memory[region]]
        old = self._guest.views[:]
        self._guest.views[:] = views
        self.scratch, self._cells, found = views
        for view in old:
            view.release()
        return found

    # ------------------------------------------------------------ state

    @property
    def host(self) -> str:
        """How calls cross: one of guest.HOSTS."""
        return self._guest.host

    @property
    def dead(self) -> bool:
        """Whether the core trapped, or the instance was closed."""
        return self._guest.frame.dead is not None

    @property
    def dropped(self) -> bool:
        """Whether it is dead only because it was dropped without `close`: it has not trapped."""
        return self._guest.frame.dead == guest.DROPPED

    @property
    def memory_size(self) -> int:
        """Bytes of linear memory."""
        with self._guest.memory() as memory:
            return len(memory)

    @property
    def trace_truncated(self) -> bool:
        """Whether the last `explain` had more events than fit."""
        return bool(int.from_bytes(self.scratch[_TRUNCATED : _TRUNCATED + 4], "little"))

    def addresses(self) -> guest.Addresses:
        """Where a native extension finds the core. The memory does not move."""
        return self._guest.addresses()

    def __repr__(self) -> str:
        state = self._guest.frame.dead or (f"live {self.live}" if self.live else "no configuration")
        return f"<Instance {self.host}: {state}>"

    # ------------------------------------------------------------ swap

    def reserve(self, length: int) -> memoryview:
        """The idle region, `length` writable bytes, for a configuration or the columns of a batch.

        Forgets a staged configuration. The view is released by the next `reserve`, `stage` or `close`.
        Raises ConfigError if so much is not to be had.
        """
        self._guest.frame.check()
        address = self._calls["region_reserve"](length) if 0 < length <= _LOW else 0
        self._staged = None
        region = self._look(slice(address, address + length) if address else slice(0))
        if not address:
            room = f"room for them in {guest.MEMORY_LIMIT} bytes of memory"
            raise ConfigError("$", f"{length} bytes are refused: there must be at least 1, and {room}")
        if len(region) != length:
            size = self.memory_size
            raise AbiMismatchError(f"region_reserve({length}) is {address}, outside {size} bytes of memory")
        return region

    def stage(self, ir: bytes, digest: str | None = None) -> None:
        """Write a compiled configuration beside the live one and have the core verify and prepare all of it.

        digest: what `live` will say: CompiledConfig.digest, or, for what it costs, the SHA-256 of `ir` if not given.
        Large ones without the GIL.
        Raises ConfigError if the core refuses it - the compiler is wrong then - and the live one goes on.
        """
        size = len(ir)
        self.reserve(size + room(size))[:size] = ir
        call = (self._released if size >= RELEASE_FROM else self._calls)["config_stage"]
        result = call(size, fuel=_STAGE_FUEL)
        _require(result & _LOW, f"element {result >> _HIGH}")
        self._staged = digest or hashlib.sha256(ir).hexdigest()

    def commit(self) -> None:
        """Make the staged configuration the live one. Raises ConfigError if none is staged."""
        _require(self._calls["config_commit"](), "commit")
        self.live, self._staged = self._staged, None

    def load(self, ir: bytes, digest: str | None = None) -> None:
        """`stage` and `commit`."""
        self.stage(ir, digest)
        self.commit()

    # ------------------------------------------------------------ evaluate

    def evaluate_many(self, flags: Sequence[int]) -> list[int]:
        """The packed decisions of `flags`, for the request in scratch; one crossing for each 4,096."""
        self._guest.frame.check()
        decisions: list[int] = []
        for start in range(0, len(flags), _abi.LIMITS_MAX_MANY):
            chunk = array("Q", flags[start : start + _abi.LIMITS_MAX_MANY])
            count = len(chunk)
            self._cells[:count] = chunk
            done = self._calls["evaluate_many"](count, fuel=portable.EVALUATION_FUEL * count)
            if done != count:
                raise AbiMismatchError(f"evaluate_many({count}) decided {done}")
            decisions += self._cells[:count].tolist()
        return decisions

    def explain(self, flag: int) -> tuple[int, list[tuple[int, int, int, int]]]:
        """The packed decision and the trace: (node, Outcome, Kind, bits) in execution order, at most 2,046 of them."""
        packed = self._calls["explain"](flag)
        count = min(int.from_bytes(self.scratch[_COUNT : _COUNT + 4], "little"), _abi.TRACE_MAX_EVENTS)
        raw = self.scratch[_EVENTS : _EVENTS + count * _abi.TRACE_EVENT_SIZE]
        return packed, [
            (node, outcome, kind, bits) for node, outcome, kind, _, bits in _abi.TRACE_EVENT.iter_unpack(raw)
        ]

    def evaluate_batch(self, first: int, rows: int) -> tuple[_abi.Status, int]:
        """Decide rows `first` to `rows` of the batch in the region, see `reserve`, without the GIL.

        The status, and the row to go on with: `rows`, or an earlier one if the rules are so dear that the core would
        not come back for long. It writes each row into scratch, over the request that lies there.
        """
        result = self._released["evaluate_batch"](first, rows, fuel=_MOST_FUEL)
        return _abi.Status(result & _LOW), result >> _HIGH

    # ------------------------------------------------------------ end

    def close(self) -> None:
        """Release the views and free the memory. Idempotent; every later call raises GuestTrapError."""
        for view in self._guest.views:
            view.release()
        self._guest.close()


def room(size: int) -> int:
    """Bytes to reserve behind a configuration of `size` bytes, for the form of it that the core prepares."""
    return max(0, min(2 * size + _ROOM_EDGES, _abi.LIMITS_MAX_CONFIG - size))


def _require(status: int, where: str) -> None:
    if status == _abi.Status.OK:
        return
    name = _abi.Status(status).name if status < len(_abi.Status) else f"status {status}"
    raise ConfigError("$", f"the core refuses the compiled configuration: {name} at {where}; the compiler is wrong")
