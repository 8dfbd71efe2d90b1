"""`override_flags`: some flags have these values, for a block, a function, or the rest of a test.

Here live the forms in which it is written, and where each of them holds. How a flag answers is in answering.py.
"""

from __future__ import annotations

import functools
import inspect
import threading
import warnings
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from ..wanted import a
from . import layers
from .answering import fit
from .layers import Layer

F = TypeVar("F", bound=Callable[..., Any])
_UNUSED: Final = (
    "override_flags() alone overrides nothing: write `with override_flags(...):`, decorate a function with it, "
    "or have the fixture of the same name as an argument of the test"
)


def override_flags(flags: Mapping[str, Any] | None = None, /, **more: Any) -> Overrides:
    """Flags by key and the values that they have: `with override_flags({"new-checkout": True}):`.

    A value is what a flag can be, or a function of the context that gives it, or a pyflagwasm.ErrorCode: then callers
    get their default with this error. Flags that no configuration has can be overridden, and evaluators that are not
    open answer, too. Keywords are keys as they stand: `new_checkout=True` is the flag "new_checkout"; leaving the
    block raises ValueError if "new-checkout" was asked for instead.

    Gives something to enter, with `with` or `async with`, or to decorate a function with, sync or async; as often as
    you like. In a task, or in a thread other than the main one, it holds for that and what inherits its context:
    tasks started inside, `asyncio.to_thread`. In the main thread outside of any event loop it holds for the whole
    process. The end of the block is its end for all of them. The newest of several wins, flag by flag.

    The details are variant "override", metadata {"overridden": True} and the reason STATIC, or TARGETING_MATCH of a
    function. Nothing is counted as an exposure; hooks are called. As long as something is overridden, evaluations are
    not made in C, in the whole process. Raises TypeError for a value that no flag can have.
    """
    if flags is not None and not isinstance(flags, Mapping):
        raise TypeError(f"override_flags takes a mapping, {{'new-checkout': True}}, not {a(flags)}")
    return Overrides({**(flags or {}), **more}, frozenset(more).difference(flags or ()))


class Overrides:
    """Made by `override_flags`."""

    def __init__(self, values: Mapping[str, Any], keywords: frozenset[str] = frozenset()) -> None:
        self._used = True
        for key, value in values.items():
            fit(key, value)
        self._values, self._keywords = values, keywords
        self._layers: list[Layer] = []
        self._standing: Layer | None = None
        self._used = False

    def stand(self) -> Self:
        """Hold from now on, in the whole process, until `undo`. What the fixture and the mark of pytest do."""
        self._used = True
        if self._standing is None:
            self._standing = Layer(self._values, self._keywords, wide=True)
            layers.begin(self._standing)
        return self

    def undo(self) -> None:
        """Undo `stand`; nothing if it does not hold. Raises ValueError as the end of a block does."""
        layer, self._standing = self._standing, None
        if layer is not None:
            layers.end(layer)
            _tell(layer, None)

    def __enter__(self) -> Self:
        layer, self._standing = self._standing, None
        if layer is not None:  # a block of its own now
            layers.end(layer)
        self._used = True
        layer = Layer(self._values, self._keywords, _alone())
        self._layers.append(layer)
        layers.begin(layer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        layer = layers.ending(self._layers)
        if layer is None:
            raise RuntimeError("these overrides are not entered")
        self._layers.remove(layer)
        layers.end(layer)
        _tell(layer, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """The function with these overrides around each call."""
        self.undo()
        self._used = True
        if isinstance(function, type) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            what = "a class" if isinstance(function, type) else "a generator"
            instead = "pytest.mark.flags" if isinstance(function, type) else "`with override_flags(...):` inside of it"
            raise TypeError(f"override_flags() cannot decorate {what}: use {instead}")
        made: Any
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*arguments: Any, **more: Any) -> Any:
                with self:
                    return await function(*arguments, **more)

            made = awaited
        else:

            @functools.wraps(function)
            def called(*arguments: Any, **more: Any) -> Any:
                with self:
                    result = function(*arguments, **more)
                return self._held(result) if inspect.iscoroutine(result) else result

            made = called
        return made  # type: ignore[no-any-return]

    async def _held(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Of a function that does not look like one that is awaited: another decorator's, an object's."""
        with self:
            return await coroutine

    def __repr__(self) -> str:
        return f"override_flags({dict(self._values)!r})"

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(_UNUSED, RuntimeWarning, stacklevel=2)


def _tell(layer: Layer, error: BaseException | None) -> None:
    """Say that keywords were taken for other flags than they are: nothing else shows why the test is as it is."""
    for name, key in layer.mistaken.items():
        words = (
            f"{name}=... overrides the flag {name!r}, which is not in the configuration, and {key!r} was asked for: "
            f"write override_flags({{{key!r}: ...}})"
        )
        if error is None:
            raise ValueError(words)
        error.add_note(words)


def _alone() -> bool:
    """Whether nothing else runs here that is to be kept apart: in the main thread, outside of any event loop."""
    if threading.current_thread() is not threading.main_thread():
        return False
    from ..background import running_loop

    return running_loop() is None
