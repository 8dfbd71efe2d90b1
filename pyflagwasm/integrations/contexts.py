"""Functions that make the evaluation context of a request, and what stands for a context where one of them failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final, TypeAlias, TypeGuard

from ..runtime.plain import refused

Attributes: TypeAlias = Mapping[str, Any] | None

_LOG: Final = logging.getLogger("pyflagwasm")


class Failed(Mapping[str, Any]):
    """Stands for a context that could not be made: reading it fails the flag that reads it."""

    def __init__(self, error: Exception) -> None:
        self._message = f"the context function raised {type(error).__name__}"

    def __getitem__(self, key: str) -> Any:
        raise refused(self._message)

    def __iter__(self) -> Iterator[str]:
        raise refused(self._message)

    def __len__(self) -> int:
        raise refused(self._message)

    def __bool__(self) -> bool:
        return True


def usable(context: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether there is a context to read: what a function gave may be anything."""
    return isinstance(context, Mapping) and not isinstance(context, Failed)


def called(function: Callable[[], Attributes]) -> Attributes:
    """What the function gives; a Failed if it raises, which is logged once for each function and type."""
    try:
        return function()
    except Exception as error:
        which = _name(function), type(error)
        if which not in _reported:
            _reported.add(which)
            _LOG.error("the context function %s raised; further ones are not logged", which[0], exc_info=error)
        return Failed(error)


_reported: set[tuple[str, type[Exception]]] = set()


def _name(function: Any) -> str:
    """The name of the application's function, which has its arguments from us."""
    while isinstance(function, partial):
        first = function.args[0] if function.args else None
        function = first if callable(first) else function.func
    return f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def plain_function(context: Any) -> None:
    """Refuses, when an application is set up, a context function that cannot be one. None is none."""
    if context is None:
        return
    if not callable(context):
        raise TypeError(f"context is a function of the request that gives a mapping, not {type(context).__name__}")
    if iscoroutinefunction(context) or iscoroutinefunction(type(context).__call__):
        raise TypeError(
            "the context function must not be async: it is called at the first evaluation; await in the handler, and "
            "give what is found to flags(request).identify({...})"
        )
