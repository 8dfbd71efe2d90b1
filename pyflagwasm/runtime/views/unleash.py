"""What Unleash's rules read from a context: texts, numbers and instants, and what is drawn where nothing is sticky.

A view's first argument is a field of Unleash's context or the name of a property, the second one whose words it takes:

    engine   values as Unleash's engine reads JSON: text; true, false; numbers in its own notation. A field stands at
             the top or else among the `properties`; a property is a text at the top, else among the `properties`, else
             a number or a bool at the top
    client   values as UnleashClient hands them over: everything by Python's str(), the top before the `properties`

targetingKey, or targeting_key, is userId where a context has no userId. A third argument is the text that counts where
there is none.

    view              gives
    unleash_text      the text
    unleash_lower     the text in lower case, of currentTime that of unleash_clock
    unleash_number    the number that the text is
    unleash_time      the instant that the text is (config/formats/unleash/values.py), False for another text
    unleash_clock     the text, else the time of now; for currentTime
    unleash_sticky    args: label, words, limit, serial, names: the text of the first name that has one, else a draw
    unleash_random    args: label, words, limit, serial: a draw

A draw is a number in 1 .. limit - 1, a new one each time a context is encoded; `serial` makes draws independent.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..._abi import Kind
from ...config.formats.unleash.values import instant, number, number_text
from ...config.model import MISSING
from ...types import TARGETING_KEYS
from ..plain import EncodeError, plain

FIELDS: Final = ("userId", "sessionId", "environment", "appName", "currentTime", "remoteAddress")

CLOCK: Final = "currentTime"

DRAWING: Final = ("unleash_sticky", "unleash_random")
"""The views that may draw."""

_NEVER_AT_THE_TOP = ("properties", "context")
draw: Callable[[int], int] = lambda limit: random.randrange(1, limit)  # noqa: E731
"""A number in 1 .. limit - 1; tests put another one in its place."""


def _engine_text(value: Any) -> Any:
    kind = type(value)
    if kind is str or value is MISSING:
        return value
    try:
        value = plain(value)
    except EncodeError:  # an object that JSON does not know
        return MISSING
    kind = type(value)
    if kind is str:
        return value
    if kind is bool:
        return "true" if value else "false"
    if kind is int or (kind is float and math.isfinite(value)):
        return number_text(value)
    return MISSING


def _client_text(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return MISSING if value is MISSING else str(value)


def _property(context: Mapping[str, Any], name: str) -> Any:
    properties = context.get("properties", MISSING)
    inside = type(properties) is dict or isinstance(properties, Mapping)
    return properties.get(name, MISSING) if inside else MISSING


def _found(context: Mapping[str, Any], name: str, words: str) -> Any:
    """The text that a field or property has, or MISSING."""
    top = MISSING if name in _NEVER_AT_THE_TOP else context.get(name, MISSING)
    if type(top) is str:
        return top
    if top is MISSING and name == "userId":
        for key in TARGETING_KEYS:
            if (top := context.get(key, MISSING)) is not MISSING:
                break
    if top is MISSING and name == CLOCK and words == "client":  # UnleashClient puts the time of now at the top
        return MISSING
    text = _client_text if words == "client" else _engine_text
    if top is not MISSING and (words == "client" or name in FIELDS):
        return text(top)
    at_the_top = text(top)
    if isinstance(top, str):
        return at_the_top
    found = text(_property(context, name))
    return at_the_top if found is MISSING else found


def unleash_text(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    found = _found(context, args[0], args[1])
    return args[2] if found is MISSING and len(args) > 2 else found


def unleash_lower(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    view = unleash_clock if args[0] == CLOCK else unleash_text
    found = view(context, args, now_us)
    return found if found is MISSING else found.lower()


def unleash_number(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    found = unleash_text(context, args, now_us)
    value = None if found is MISSING else number(found)
    return MISSING if value is None else value


def unleash_time(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    found = unleash_text(context, args, now_us)
    if found is MISSING:
        return MISSING
    value = instant(found)
    return False if value is None else value


def unleash_clock(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    found = unleash_text(context, args, now_us)
    if found is not MISSING:
        return found
    now = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(microseconds=now_us)
    return now.isoformat() if args[1] == "client" else f"{now:%Y-%m-%dT%H:%M:%SZ}"


def unleash_sticky(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    words, limit = args[1], args[2]
    for name in args[4:]:
        if (found := _found(context, name, words)) is not MISSING:
            return found
    return str(draw(int(limit)))


def unleash_random(context: Mapping[str, Any], args: tuple[str, ...], now_us: int) -> Any:
    return draw(int(args[2]))


def drawing(view: str, args: tuple[str, ...], draw: Callable[[int], int]) -> Callable[[Mapping[str, Any], int], Any]:
    """The reader of one of them that draws by `draw`, so that who explains an answer can draw the same once more."""

    def read(context: Mapping[str, Any], now_us: int) -> Any:
        for name in args[4:]:
            if (found := _found(context, name, args[1])) is not MISSING:
                return found
        drawn = draw(int(args[2]))
        return str(drawn) if view == "unleash_sticky" else drawn

    return read


VIEWS: Final = (
    unleash_text, unleash_lower, unleash_number, unleash_time, unleash_clock, unleash_sticky, unleash_random
)  # fmt: skip


def lookup(view: str, args: tuple[str, ...]) -> tuple[str, str | None, tuple[str, ...], int] | None:
    """As views.lookup: a text at the top is the value, whatever the words; all else is for the view."""
    names = args[:1] if view in ("unleash_text", "unleash_clock") else args[4:] if view == "unleash_sticky" else ()
    if not names or names[0] in _NEVER_AT_THE_TOP:
        return None
    return names[0], TARGETING_KEYS[0] if names[0] == "userId" else None, (), 1 << Kind.TEXT


def reads_now(view: str, args: tuple[str, ...]) -> bool:
    """Whether the view looks at the clock."""
    return view == "unleash_clock" or (view == "unleash_lower" and args[0] == CLOCK)
