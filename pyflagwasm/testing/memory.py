"""`in_memory`: a real evaluator, core and all, whose configuration is plain values that a test sets and changes.

Here live the values and the document that is made of them; it is one of flagd's, loaded as any other.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from ..evaluator import FlagEvaluator
from ..hooks import Hook
from ..pool.asking import Clock
from ..pool.pool import MAX_WAITING, SIZE, TIMEOUT
from ..runtime.plain import EncodeError, plain
from ..wanted import a

if TYPE_CHECKING:
    from ..evaluations import Evaluations

Who: TypeAlias = str | Iterable[str] | Mapping[str, Any]
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "a boolean": (bool,),
    "a text": (str,),
    "a number": (int, float),
    "a list": (list,),
    "an object": (Mapping,),
}


def in_memory(
    flags: Mapping[str, Any] | None = None, /, *, clock: Clock = time.time, size: int = SIZE, hooks: Iterable[Hook] = ()
) -> InMemoryEvaluator:
    """An evaluator that is open, with these flags by key and the values that everybody gets.

    Needs no event loop, and may be called in one; the first one of a process takes as long as opening any, some 0.1 s,
    further ones 1 ms. clock, size, hooks: as of pyflagwasm.open. Raises TypeError for a value that no flag can have.
    """
    if flags is not None and not isinstance(flags, Mapping):
        raise TypeError(
            f"in_memory takes a mapping of keys to values, {{'new-checkout': True}}, not {a(flags)}; "
            "files are read by pyflagwasm.open"
        )
    return InMemoryEvaluator(flags or {}, clock, size, hooks)


class InMemoryEvaluator(FlagEvaluator):
    """A FlagEvaluator with flags that are set. Each call below is one new generation, live when it returns; any thread.

    An application may enter and leave it with `async with` as often as it starts: that does nothing. `close`, the end
    of a `with` block, or nobody having it any more is its end.
    """

    def __init__(self, flags: Mapping[str, Any], clock: Clock, size: int, hooks: Iterable[Hook]) -> None:
        super().__init__(
            {"flags": {}},
            format="flagd",
            options={"validation": "lenient"},  # which knows variants that are lists
            clock=clock,
            size=size,
            timeout=TIMEOUT,
            max_waiting=MAX_WAITING,
            bundled=None,
            last_known_good=None,
            trusted_keys=None,
            start_timeout=0.0,
            close_timeout=0.0,
            hooks=hooks,
            exposures=(),
            exposure_interval=10.0,
        )
        self._changing = threading.RLock()
        self._flags: dict[str, _Flag] = {}
        self._opened, self._once = True, None
        _all.add(self)
        self.update(flags)

    def set(self, flag_key: str, value: Any) -> None:
        """Give everybody this value, and forget what `set_for` said of the flag. The flag may be a new one."""
        self.update({flag_key: value})

    def update(self, flags: Mapping[str, Any]) -> None:
        """`set` several flags at once: no evaluation sees a part of them."""
        made = {key: _Flag(_json(key, value)) for key, value in flags.items()}
        with self._changing:
            self._load({**self._flags, **made})
        self._tell()  # not under the lock: a listener may wait for who sets a flag

    def set_for(self, flag_key: str, who: Who, value: Any) -> None:
        """Give some contexts another value, of the same type: the last call that fits a context decides.

        who: a targeting key, several of them, or attributes that a context must all have, as {"plan": "pro"}; those
            of an object inside by their path, "app.version".
        Raises KeyError for a flag that was not set, TypeError for a value of another type than it has.
        """
        with self._changing:
            flag = self._known(flag_key)
            self._load({**self._flags, flag_key: flag.ruled(flag_key, _condition(who), _json(flag_key, value))})
        self._tell()

    def delete(self, flag_key: str) -> None:
        """Take the flag out of the configuration: evaluations give FLAG_NOT_FOUND. Raises KeyError if there is none."""
        with self._changing:
            self._known(flag_key)
            self._load({key: flag for key, flag in self._flags.items() if key != flag_key})
        self._tell()

    def _known(self, flag_key: str) -> _Flag:
        try:
            return self._flags[flag_key]
        except KeyError:
            raise KeyError(f'there is no flag "{flag_key}": set it first, flags.set("{flag_key}", ...)') from None

    def _load(self, flags: dict[str, _Flag]) -> None:
        self._intake.load_here({"flags": {key: flag.document() for key, flag in flags.items()}})
        self._flags = flags

    # ------------------------------------------------------------ life

    def close(self) -> None:
        """As `aclose`, at once. Idempotent."""
        with suppress(StopIteration):
            self.aclose().send(None)  # nothing runs in the background that it would wait for

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing: the application that leaves it may start again in the next test."""


class _Flag:
    """What everybody gets, and after it for whom there is another value, the last one first."""

    def __init__(self, value: Any, rules: tuple[tuple[Any, Any], ...] = ()) -> None:
        self.value, self.rules = value, rules

    def ruled(self, flag_key: str, condition: Any, value: Any) -> _Flag:
        has, given = _kind(self.value), _kind(value)
        if has != given:
            raise TypeError(f'the flag "{flag_key}" is {has}, {value!r} is {given}: a flag has values of one type')
        return _Flag(self.value, ((condition, value), *self.rules))

    def document(self) -> dict[str, Any]:
        names: dict[str, Any] = {}
        default = _variant(names, self.value)
        chosen: list[Any] = []
        for condition, value in self.rules:
            chosen += [condition, _variant(names, value)]
        flag = {"state": "ENABLED", "variants": names, "defaultVariant": default}
        return {**flag, "targeting": {"if": chosen}} if chosen else flag


def _variant(names: dict[str, Any], value: Any) -> str:
    """The name of the variant with this value, which is one more if there is none."""
    if isinstance(value, bool):
        name = "on" if value else "off"
    else:
        known = (name for name, each in names.items() if type(each) is type(value) and each == value)
        name = next(known, f"value-{len(names) + 1}" if names else "value")
    names[name] = value
    return name


def _condition(who: Who) -> Any:
    """JsonLogic for `set_for`."""
    if isinstance(who, str):
        return {"===": [{"var": "targetingKey"}, who]}
    if isinstance(who, Mapping):
        if not who:
            raise ValueError("no attributes are everybody: use flags.set()")
        return {"and": [{"===": [{"var": path}, plain(value)]} for path, value in who.items()]}
    return {"in": [{"var": "targetingKey"}, list(who)]}


def _json(flag_key: object, value: Any) -> Any:
    """The value as JSON has it, and no longer the caller's to change."""
    if not isinstance(flag_key, str):
        raise TypeError(f"the key of a flag is a str, not {type(flag_key).__name__}: {flag_key!r}")
    try:
        made = _copied(value)
    except EncodeError as error:
        raise TypeError(f'the flag "{flag_key}" cannot be {value!r}: {error}') from None
    if _kind(made) is None:
        raise TypeError(f'the flag "{flag_key}" cannot be {value!r}: give a bool, str, int, float, list or mapping')
    return made


def _copied(value: Any) -> Any:
    value = plain(value)
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, (list, tuple)) else value


def _kind(value: Any) -> str | None:
    return next((name for name, kinds in _KINDS.items() if isinstance(value, kinds)), None)


_all: weakref.WeakSet[InMemoryEvaluator] = weakref.WeakSet()


def is_in_memory(of: Evaluations) -> bool:
    """Whether these are evaluations of one of them, a pin or a lease of it included."""
    return any(evaluator._hooks is of._hooks for evaluator in list(_all))
