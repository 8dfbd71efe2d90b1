"""Evaluations without Python code in them, by the C extension, where it is there; how it is told about our classes.

A shortcut answers what was answered before in the plain case, and gives `declined` for everything else, which
evaluations.py then does from the beginning. The classes below keep in `__slots__` what it reads (native/module.c).
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn, TypeAlias

from .config.model import MISSING
from .errors import GuestError
from .exposures.tally import Tally
from .generation import Encoded, Flag, Generation, Outcome, Selection
from .pool.asking import Clock, Instances
from .pool.member import Member
from .pool.waiting import Queue
from .runtime import extension
from .types import EvaluationDetails

declined: Final[Any] = object() if extension.FOUND is None else extension.FOUND.declined
"""What a shortcut gives in place of an answer."""

Shortcut: TypeAlias = Any
"""`native/shortcut.c`: many, encode and heed; its value and details are behind the methods that `install` makes."""


def shortcut(instances: Instances, hooks: list[Any], clock: Clock, touched: Any) -> Shortcut | None:
    """A shortcut to these instances; None without the extension. touched: the counter's, or None if nothing counts."""
    native = extension.chosen()
    if native is None or native.owner is not Queue:  # another copy of this package has set the extension up for itself
        return None
    return native.Shortcut(
        instances,
        instances.LIVE,
        instances.idle,
        instances.queue,
        instances.give_back,
        instances.discard,
        hooks,
        clock,
        touched,
        asyncio._get_running_loop,
    )


class Quick:
    """Base of what has methods that try a shortcut first. _shortcut: None where there is none."""

    __slots__ = ("_shortcut",)

    _shortcut: Shortcut | None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        what = type(self).__name__
        raise TypeError(f"a {what} cannot be pickled or copied: send the configuration, and open it where it arrives")


def install(
    of: type[Quick], names: Iterable[str], failed: Callable[..., EvaluationDetails], *, bound: bool = False
) -> None:
    """Have methods of a class try its objects' shortcuts first, as `native/method.c` says.

    failed: as a method with the error before the object; the details to give when a shortcut has lost its instance.
    bound: whether the methods are of a context that was encoded before, in `_encoded`.
    """
    if extension.FOUND is None:
        return
    for name in names:
        slow = getattr(of, name)
        wanted = name.removesuffix("_nowait")
        given: Callable[..., Any] = failed if wanted == "details" else _value_of(failed)
        is_async = inspect.iscoroutinefunction(slow)
        if is_async:
            given = _awaited(given)
        method = extension.FOUND.Method(of, slow, given, is_async, wanted, bound)
        functools.update_wrapper(method, slow)
        for looks in ("__code__", "__defaults__", "__kwdefaults__"):  # by which `inspect` knows functions
            setattr(method, looks, getattr(slow, looks))
        if is_async:
            _marked(method)
        setattr(of, name, method)


def _marked(method: Any) -> None:
    """Let those who ask before calling know that it gives a coroutine."""
    method._is_coroutine = getattr(asyncio.coroutines, "_is_coroutine", None)
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(method)


def _value_of(failed: Callable[..., EvaluationDetails]) -> Callable[..., Any]:
    return lambda *arguments, **more: failed(*arguments, **more).value


def _awaited(given: Callable[..., Any]) -> Callable[..., Any]:
    async def awaited(*arguments: Any, **more: Any) -> Any:
        return given(*arguments, **more)

    return awaited


if extension.FOUND is not None:
    extension.FOUND.setup(
        generation=Generation,
        selection=Selection,
        flag=Flag,
        member=Member,
        encoded=Encoded,
        outcome=Outcome,
        tally=Tally,
        queue=Queue,
        missing=MISSING,
        guest_error=GuestError,
    )
    extension.FOUND.owner = Queue
