"""Flag: a key with its type and its default. FlagSet: several as attributes, read for one bound context.

What a value may be is in fitting.py; comparing what is declared with a configuration is in checking.py. Evaluating is
the evaluator's: a plain flag adds one Python call to it, one with a shape or `parse` a look-up in a small table.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Final, Generic, Never, NoReturn, Protocol, Self, TypeVar, final, overload

from ..types import ErrorCode, EvaluationDetails, Reason
from .fitting import misfit, require_known, shown, takes_none

if TYPE_CHECKING:
    from collections.abc import Mapping as Context

    from ..evaluations import D, Evaluations

T_co = TypeVar("T_co", covariant=True)

_UNSAID: Final[Any] = object()
_BY_DEFAULT: Final = (bool, int, float, str)
"""Defaults that say the type by themselves; the evaluator's own comparison is all that these need."""
_REMEMBERED: Final = 256
"""How many values a flag knows the outcome of: more than variants of any live configuration and the ones before."""


class Bound(Protocol):
    """What a FlagSet reads: a BoundContext, or what stands for one, such as the flags of a request."""

    def value(self, flag_key: str, default: D, /) -> D: ...

    def details(self, flag_key: str, default: Any, /) -> EvaluationDetails: ...


class FlagSet:
    """Base of classes that declare flags. An instance is for one bound context: its attributes are the values.

    `Shop(flags.bind(context))`, or `Shop(...)` of the flags of a request. Costs nothing to make: each attribute is
    evaluated when it is read, each time. An attribute of the class is the Flag itself, which is asked for a value of an
    evaluator, a pin or a lease: `await Shop.fee.value(flags, context)`.
    """

    __slots__ = ("_bound_context",)

    def __init__(self, bound: Bound) -> None:
        if hasattr(bound, "value_nowait"):
            name = type(self).__name__
            raise TypeError(f"{name} is for one context: {name}(flags.bind(context))")
        self._bound_context = bound

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {', '.join(declared(type(self))) or 'no flags'}>"


def declared(flags: type[FlagSet]) -> dict[str, Flag[Any]]:
    """The flags of a class by attribute, those of its bases first."""
    found: dict[str, Flag[Any]] = {}
    for each in reversed(flags.__mro__):
        for name, value in vars(each).items():
            if isinstance(value, Flag):
                found[name] = value
            else:
                found.pop(name, None)
    return found


class _Typed(GenericAlias):
    """`Flag[X]`: makes flags that know their type, which typing's own alias would tell them too late."""

    def __call__(self, key: str, /, *, default: Any, parse: Callable[[Any], Any] | None = None) -> Any:
        return Flag._of(self.__args__[0], key, default, parse)


@final
class Flag(Generic[T_co]):
    """A flag with its type and its default: `Flag("pre-orders", default=False)` is a Flag[bool].

    The type is that of a default that is true or false, a number or a text. Anything else says it:
    `Flag[str | None](...)`, `Flag[Literal["a", "b"]](...)`, `Flag[Mapping[str, Any]](...)`, or a TypedDict; and what
    the configuration gives is compared with it. `Flag("tone", default=Tone.PLAIN, parse=Tone)` makes the value of what
    the configuration has: an enum, a dataclass, a Decimal. `parse` is called once for each value, and its result is
    shared: it must depend on nothing else. What it raises is an error of the configuration.

    As everywhere, no value is an exception: where there is none, or it is of another type, the default is given and
    `details` say why - TYPE_MISMATCH, or PARSE_ERROR if `parse` failed - or `strict=True` raises.
    Raises TypeError for a type or default that cannot be.
    """

    __slots__ = ("_default", "_key", "_known", "_name", "_null", "_parse", "_plain", "_type")

    def __init__(self, key: str, /, *, default: T_co, parse: Callable[[Any], T_co] | None = None) -> None:
        self._set_up(_UNSAID, key, default, parse)

    if not TYPE_CHECKING:

        def __class_getitem__(cls, wanted: Any) -> Any:
            return super().__class_getitem__(wanted) if isinstance(wanted, TypeVar) else _Typed(cls, (wanted,))

    @classmethod
    def _of(cls, wanted: Any, key: str, default: Any, parse: Callable[[Any], Any] | None) -> Flag[Any]:
        flag = cls.__new__(cls)
        flag._set_up(wanted, key, default, parse)
        return flag

    def _set_up(self, wanted: Any, key: str, default: Any, parse: Callable[[Any], Any] | None) -> None:
        if not isinstance(key, str):
            raise TypeError(f"the key of a flag is a text, not {shown(key)}")
        where = f"Flag({shown(key)}): "
        if wanted is float and type(default) is int:
            default = float(default)  # or the evaluator would take it for the default of an integer
        if parse is None:
            if wanted is _UNSAID:
                if type(default) not in _BY_DEFAULT:
                    example = "str | None" if default is None else "Mapping[str, Any]"
                    raise TypeError(
                        f"{where}the default {shown(default)} does not say the type: "
                        f"write Flag[{example}](...), or say by parse= what makes one"
                    )
            else:
                try:
                    require_known(wanted)
                except TypeError as error:
                    raise TypeError(f"{where}{error}") from None
                wrong = misfit(default, wanted)
                if wrong is not None:
                    raise TypeError(f"{where}{wrong.replace('the value', 'the default', 1)}")
        elif not callable(parse):
            raise TypeError(f"{where}parse must be callable, not {shown(parse)}")
        self._key, self._default, self._type, self._parse = key, default, wanted, parse
        self._plain = parse is None and type(default) in _BY_DEFAULT and wanted in (_UNSAID, type(default))
        self._null = parse is None and not self._plain and takes_none(wanted)
        self._known: dict[int, tuple[Any, Any, str | None]] = {}
        self._name: str | None = None

    # ------------------------------------------------------------ what it is

    @property
    def key(self) -> str:
        """The flag's key in the configuration."""
        return self._key

    @property
    def default(self) -> T_co:
        """What is given where the configuration gives nothing of the type."""
        value: T_co = self._default
        return value

    @property
    def name(self) -> str:
        """Where it is declared, `Shop.fee`; the key in quotes if it is in no class."""
        return self._name or shown(self._key)

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = self._name or f"{owner.__name__}.{name}"

    def __repr__(self) -> str:
        wanted = type(self._default) if self._type is _UNSAID else self._type
        return f"Flag[{shown(wanted)}]({self._key!r}, default={shown(self._default)})"

    def __bool__(self) -> NoReturn:
        name = self.name
        raise TypeError(f"the flag {name} has no truth value, its value has: await {name}.value(flags, context)")

    def __reduce__(self) -> tuple[Any, ...]:
        said = () if self._type is _UNSAID else (self._type,)
        return _restored, (self._key, self._default, self._parse, self._name, said)

    # ------------------------------------------------------------ what it gives

    @overload
    def __get__(self, instance: None, owner: type, /) -> Self: ...
    @overload
    def __get__(self, instance: FlagSet, owner: type, /) -> T_co: ...
    def __get__(self, instance: FlagSet | None, owner: type, /) -> Any:
        if instance is None:
            return self
        try:
            bound: Any = instance._bound_context
        except AttributeError:
            if isinstance(instance, FlagSet):
                raise TypeError(f"{type(instance).__name__} does not call FlagSet.__init__ with its context") from None
            return self  # declared in a class of another kind
        if self._plain:
            return bound.value(self._key, self._default)
        return self._value(bound.details(self._key, None) if self._null else bound.value(self._key, None))

    def __set__(self, instance: object, value: Never, /) -> NoReturn:
        raise AttributeError(f"{self.name} is what the configuration gives: it cannot be assigned")

    @overload
    def value(
        self, flags: Evaluations, context: Context[str, Any] | None = None, *, strict: bool = False
    ) -> Coroutine[Any, Any, T_co]: ...
    @overload
    def value(self, flags: Bound, *, strict: bool = False) -> T_co: ...
    def value(self, flags: Any, context: Context[str, Any] | None = None, *, strict: bool = False) -> Any:
        """The flag's value: to be awaited of an evaluator, a pin or a lease; at once of a bound context.

        As `flags.value(key, context, default)`; with `strict=True` it raises an EvaluationError in place of an error.
        """
        if self._plain and not strict:
            if context is None:
                return flags.value(self._key, default=self._default)
            return flags.value(self._key, context, self._default)
        return self._asked(flags.details if strict or self._null else flags.value, context, strict, self._value)

    def value_nowait(
        self, flags: Evaluations, context: Context[str, Any] | None = None, *, strict: bool = False
    ) -> T_co:
        """As `value` of an evaluator, a pin or a lease, without await."""
        asked: Any = flags.value_nowait
        if self._plain and not strict:
            value: T_co = asked(self._key, context, self._default)
            return value
        asked = flags.details_nowait if strict or self._null else asked
        value = self._asked(asked, context, strict, self._value)
        return value

    @overload
    def details(
        self, flags: Evaluations, context: Context[str, Any] | None = None, *, strict: bool = False
    ) -> Coroutine[Any, Any, EvaluationDetails]: ...
    @overload
    def details(self, flags: Bound, *, strict: bool = False) -> EvaluationDetails: ...
    def details(self, flags: Any, context: Context[str, Any] | None = None, *, strict: bool = False) -> Any:
        """The value with its variant, reason and error: to be awaited of an evaluator, at once of a bound context."""
        return self._asked(flags.details, context, strict, self._details)

    def details_nowait(
        self, flags: Evaluations, context: Context[str, Any] | None = None, *, strict: bool = False
    ) -> EvaluationDetails:
        """As `details` of an evaluator, a pin or a lease, without await."""
        details: EvaluationDetails = self._asked(flags.details_nowait, context, strict, self._details)
        return details

    # ------------------------------------------------------------ how

    def _asked(
        self, ask: Any, context: Mapping[str, Any] | None, strict: bool, give: Callable[[Any, bool], Any]
    ) -> Any:
        """What `give` makes of the answer, or a coroutine of that if the answer has to be awaited."""
        more: dict[str, Any] = {"default": self._default if self._plain else None}
        if context is not None:
            more["context"] = context
        if strict:
            more["strict"] = True
        found = ask(self._key, **more)
        return _awaited(found, give, strict) if hasattr(type(found), "__await__") else give(found, strict)

    def _value(self, found: Any, strict: bool = False) -> Any:
        """Of the value, or of the details where those are needed to tell null from nothing."""
        if isinstance(found, EvaluationDetails):
            return self._details(found, strict).value
        if found is None:
            return self._default
        return (self._known.get(id(found)) or self._learn(found))[1]

    def _details(self, details: EvaluationDetails, strict: bool = False) -> EvaluationDetails:
        if self._plain:
            return details
        found = details.value
        if found is None and details.variant is None:
            return replace(details, value=self._default)
        _, value, wrong = self._known.get(id(found)) or self._learn(found)
        if wrong is None:
            return details if value is found else replace(details, value=value)
        code = ErrorCode.TYPE_MISMATCH if self._parse is None or found is None else ErrorCode.PARSE_ERROR
        details = replace(details, value=value, variant=None, reason=Reason.ERROR, error_code=code, error_message=wrong)
        if strict:
            from ..answers import exception

            raise exception(details)
        return details

    def _learn(self, found: Any) -> tuple[Any, Any, str | None]:
        """What comes of a value: that itself, what the flag gives for it, and what is wrong with it.

        Values are the configuration's own objects, the same ones for each evaluation: they are known by identity, and
        kept, so that no other can have it.
        """
        made, wrong = self._made(found)
        known = found, self._default if wrong is not None else made, wrong
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[id(found)] = known
        return known

    def wrong(self, value: object) -> str | None:
        """What keeps a value of the configuration from being this flag's, in words; None if nothing does."""
        return self._made(value)[1]

    def _made(self, value: Any) -> tuple[Any, str | None]:
        if value is None and not self._null:
            return None, "the value is null"
        if self._parse is None:
            return value, misfit(value, type(self._default) if self._type is _UNSAID else self._type)
        try:
            return self._parse(value), None
        except Exception as error:
            return None, f"the value {shown(value)} cannot be parsed: {type(error).__name__}: {error}"


async def _awaited(found: Any, give: Callable[[Any, bool], Any], strict: bool) -> Any:
    return give(await found, strict)


def _restored(
    key: str, default: Any, parse: Callable[[Any], Any] | None, name: str | None, said: tuple[Any, ...]
) -> Flag[Any]:
    flag = Flag._of(said[0] if said else _UNSAID, key, default, parse)
    flag._name = name
    return flag
