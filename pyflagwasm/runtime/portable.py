"""The crossing over ctypes: one C call per evaluation, through addresses that guest.py hands over.

Knows nothing of wasmtime but the shape of its unchecked call: arguments and results share an array of 16-byte cells.
The native extension (native/call.c) takes the place of `bind_one`, the hot form; the other exports cross here always.

The rules of the unchecked call: the number of cells must be the larger of parameters and results, and the types must be
right - guest.py has compared them - or the process dies; an i32 result leaves the upper half of its cell as it was.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, TypeAlias

from ..errors import GuestTrapError

CELLS = 6
_CELL = 16
_WORDS = CELLS * _CELL // 8
_TRAP = _WORDS - 1  # the last word receives the trap, if there is one
_LOW = 0xFFFFFFFF

EVALUATION_FUEL = 1 << 34
"""What one evaluation may burn. The core stops itself after max_steps, and the dearest million of steps that
tests/differential/dear.py knows stays below this. Machines burn 4e9 to 8e9 a second."""
EVALUATIONS_PER_REFUEL = 8
"""Setting fuel costs 0.3 us, half an evaluation; counting to 8 costs 0.03 us. So a core that does not come back, which
only a bug in it could cause, is stopped after what 8 evaluations may burn: half a minute."""
FUEL = EVALUATION_FUEL * EVALUATIONS_PER_REFUEL

Explain: TypeAlias = Callable[[str, int, int], GuestTrapError]


class Symbols(NamedTuple):
    """C functions of one library handle, without argument types: every argument is a prepared ctypes object."""

    call: Any
    set_fuel: Any


class Frame:
    """What all calls of one instance share: the cells, and where they and the store lie. Not for two threads at once.

    explain: makes an exception of an export's name and the addresses of an error and a trap, both of which it frees.
    keep: what the addresses point into, store and exports, which must outlive the last call. native: the extension's
    call, if there is one, until the end: it refers to this frame. dead: why no call is possible any more, or None.
    """

    __slots__ = ("cells", "context", "dead", "explain", "keep", "native", "trap", "view")

    def __init__(self, context: int, explain: Explain, keep: object) -> None:
        array = (ctypes.c_uint64 * _WORDS)()
        start = ctypes.addressof(array)
        self.view = memoryview(array).cast("B").cast("Q")
        self.cells = ctypes.c_void_p(start)
        self.trap = ctypes.c_void_p(start + 8 * _TRAP)
        self.context = ctypes.c_void_p(context)
        self.explain = explain
        self.keep = keep
        self.native: Any = None
        self.dead: str | None = None

    def kill(self, why: str) -> None:
        """From now on every bound call fails at its first write to the cells: a living one pays for no check."""
        if self.dead is None:
            self.dead = why
        self.view.release()
        if self.native is not None:
            self.native.kill()
            self.native = None

    def check(self) -> None:
        """Raises GuestTrapError if the instance is dead."""
        if self.dead is not None:
            raise GuestTrapError(self.dead)

    def fail(self, name: str, error: int | None, trap: int | None = None) -> NoReturn:
        """After a call that gave an error or a trap, which is in the cells if it is not given."""
        failure = self.explain(name, error or 0, self.view[_TRAP] if trap is None else trap)
        self.kill(str(failure))
        raise failure


def require_u32(name: str, arguments: tuple[int, ...]) -> None:
    """Raises ValueError for an argument whose low 32 bits would be another number."""
    for argument in arguments:
        if not 0 <= argument <= _LOW:
            raise ValueError(f"{name}: {argument} is not an unsigned 32-bit number")


def bind_one(symbols: Symbols, frame: Frame, name: str, func: int) -> Callable[[int], int]:
    """The hot form: an export `(i32) -> i64`, with the fuel counted.

    0.6 us a call, of which the guest's work is a small part; allocates the int that it returns.
    """
    call, set_fuel = symbols
    view, context, cells, trap = frame.view, frame.context, frame.cells, frame.trap
    function, count, fuel = ctypes.c_void_p(func), ctypes.c_size_t(1), ctypes.c_uint64(FUEL)
    left = 0

    def evaluate(argument: int) -> int:
        nonlocal left
        try:
            view[0] = argument
        except ValueError:
            frame.check()
            raise
        if not left:
            set_fuel(context, fuel)
            left = EVALUATIONS_PER_REFUEL
        left -= 1
        error = call(context, function, cells, count, trap)
        if error or view[_TRAP]:
            frame.fail(name, error)
        return view[0]

    return evaluate


def bind(symbols: Symbols, frame: Frame, name: str, func: int, *, parameters: int, wide: bool) -> Callable[..., int]:
    """The general form: `parameters` i32 arguments, an i64 (`wide`) or i32 result as an unsigned int.

    Keyword `fuel`: what the call may burn. The store is left with what `bind_one` counts on.
    """
    call, set_fuel = symbols
    view, context, cells, trap = frame.view, frame.context, frame.cells, frame.trap
    function, count = ctypes.c_void_p(func), ctypes.c_size_t(max(parameters, 1))

    def invoke(*arguments: int, fuel: int = EVALUATION_FUEL) -> int:
        if len(arguments) != parameters:
            raise TypeError(f"{name} takes {parameters} arguments, not {len(arguments)}")
        frame.check()
        require_u32(name, arguments)
        for position, argument in enumerate(arguments):
            view[2 * position] = argument
        set_fuel(context, ctypes.c_uint64(FUEL + fuel))
        error = call(context, function, cells, count, trap)
        if error or view[_TRAP]:
            frame.fail(name, error)
        return view[0] if wide else view[0] & _LOW

    return invoke
