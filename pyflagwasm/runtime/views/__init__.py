"""How a slot finds its value in the evaluation context: the views that importers name in `config.model.Slot`.

A view reads a context that is a Mapping and answers a Python value or MISSING; encode.py converts and writes it.
It may raise EncodeError, and whatever the caller's own mappings raise: encode.py turns that into an EncodeError.
No view keeps or changes anything of the context. `now_us` is the clock in microseconds since 1970.

    view                            args        gives
    path                            keys        the attribute, followed key by key (schema/README.md 5.7)
    targeting_key                   -           targetingKey, or its alias targeting_key
    flagd_context                   flag key    the whole context, with "$flagd" and "targetingKey"
    devcycle_user_id                -           the text of user_id, else of the targeting key
    devcycle_field                  name        the attribute, if it is text
    devcycle_custom                 key         the entry of the user's combined custom data
    devcycle_bucket_vendor          key         that entry as the text that DevCycle's own engine hashes
    devcycle_bucket_corrected       key         the same, without the ".0" of integral numbers
    devcycle_user_valid             -           False for a user that DevCycle's own engine rejects
    eppo_text                       key         the attribute as text, if it is text, a number or a boolean

Those of GrowthBook are in growthbook.py, those of Unleash in unleash.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

from ..._abi import SCRATCH_REQUEST_SIZE, VALUE_SIZE
from ...config.model import MISSING, Slot
from ...types import TARGETING_KEYS
from ..plain import INT_MAX, INT_MIN, EncodeError, double, is_number, is_text, plain, refused
from . import growthbook, unleash
from .eppo import eppo_text

Context: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[Context, int], Any]
View: TypeAlias = Callable[[Context, tuple[str, ...], int], Any]

TARGETING_KEY, TARGETING_KEY_ALIAS = TARGETING_KEYS

_INDEX_DIGITS = 18
# One more than any request holds: a mapping may be endless.
_MOST_MEMBERS = SCRATCH_REQUEST_SIZE // (2 * VALUE_SIZE) + 1
_MICROSECONDS = 1_000_000

# Number-to-string of ECMAScript switches to exponents outside these powers of ten.
_ECMA_MIN_POINT, _ECMA_MAX_POINT = -6, 21


# ---------------------------------------------------------------- any format


def _top(context: Context, key: str) -> Any:
    value = context.get(key, MISSING)
    if value is MISSING and key == TARGETING_KEY:
        return context.get(TARGETING_KEY_ALIAS, MISSING)
    return value


def _index(key: str, length: int) -> int | None:
    """The index inside that `key` is the canonical decimal of."""
    if not (key.isascii() and key.isdigit()) or len(key) > _INDEX_DIGITS or (key[0] == "0" and len(key) > 1):
        return None
    index = int(key)
    return index if index < length else None


def _follow(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = plain(value)
        kind: type[Any] = type(value)
        if kind is dict:
            value = value.get(key, MISSING)
        elif kind is str or issubclass(kind, (list, tuple)):
            base: Any = next(each for each in (str, list, tuple) if issubclass(kind, each))  # not what a subclass says
            length = base.__len__(value)
            if key == "length":
                return length
            index = _index(key, length)
            value = MISSING if index is None else base.__getitem__(value, index)
        elif issubclass(kind, Mapping):
            value = value.get(key, MISSING)
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def path(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    if not args:
        return context
    value = _top(context, args[0])
    return value if value is MISSING or len(args) == 1 else _follow(value, args[1:])


def targeting_key(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    return _top(context, TARGETING_KEY)


def flagd_context(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    """A new dict: the attributes, then "$flagd", then "targetingKey" (None if there is none)."""
    key = _top(context, TARGETING_KEY)
    whole = dict(islice(context.items(), _MOST_MEMBERS))
    whole.pop(TARGETING_KEY, None)
    whole["$flagd"] = {"flagKey": args[0], "timestamp": now_us // _MICROSECONDS}
    whole[TARGETING_KEY] = None if key is MISSING else key
    return whole


# ---------------------------------------------------------------- DevCycle


def _text_or_missing(value: Any) -> Any:
    if type(value) is str:
        return value
    value = MISSING if value is MISSING else plain(value)
    return value if is_text(value) else MISSING


def devcycle_user_id(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    value = _text_or_missing(context.get("user_id", MISSING))
    return _text_or_missing(_top(context, TARGETING_KEY)) if value is MISSING else value


def devcycle_field(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    return _text_or_missing(context.get(args[0], MISSING))


def devcycle_custom(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    """privateCustomData before customData; in a context without user_id the attributes are custom data, too."""
    key = args[0]
    for name in ("privateCustomData", "customData"):
        data = context.get(name, MISSING)
        if data is not MISSING and issubclass(type(data), Mapping):
            value = data.get(key, MISSING)
            if value is not MISSING:
                return value
    return context.get(key, MISSING) if context.get("user_id", MISSING) is MISSING else MISSING


def _ecma(number: float, *, point_zero: bool) -> str:
    """Number-to-string of ECMAScript. With `point_zero` an integral number written without exponent ends in ".0"."""
    if math.isnan(number):
        return "NaN"
    sign = "-" if number < 0 else ""
    if math.isinf(number):
        return sign + "Infinity"
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))  # digits before the point
    digits = digits.rstrip("0")
    if not digits:
        return "0.0" if point_zero else "0"
    if len(digits) <= point <= _ECMA_MAX_POINT:
        return sign + digits.ljust(point, "0") + (".0" if point_zero else "")
    if 0 < point <= _ECMA_MAX_POINT:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if _ECMA_MIN_POINT < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"


def _bucket_text(context: Context, args: tuple[str, ...], vendor: bool) -> str:
    value = devcycle_custom(context, args, 0)
    value = None if value is MISSING else plain(value)
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int:
        if INT_MIN <= value <= INT_MAX:
            return str(value)
        double(value)  # refuses what no double can hold, as everywhere
        return str(min(max(value, INT_MIN), INT_MAX) if vendor else value)
    if type(value) is float:
        return _ecma(value, point_zero=vendor)
    return value if type(value) is str else "null"


def devcycle_bucket_vendor(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    """Text as it is, true, false, null (also for nothing and for lists and objects), numbers as DevCycle writes them:
    an integer saturates at 64 bits, an integral float ends in ".0"."""
    return _bucket_text(context, args, vendor=True)


def devcycle_bucket_corrected(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    """As the vendor's, but 610.0 is "610" like 610, and no integer is saturated."""
    return _bucket_text(context, args, vendor=False)


def devcycle_user_valid(context: Context, args: tuple[str, ...], now_us: int) -> Any:
    """False if appBuild is there and not a number, or a custom value is a list or an object.

    Only a dict may have any number of custom values: other mappings may be endless, and too many are refused.
    """
    build = context.get("appBuild", MISSING)
    if build is not MISSING:
        try:
            if not is_number(plain(build)):
                return False
        except EncodeError:
            return False
    for name in ("customData", "privateCustomData"):
        data = context.get(name, MISSING)
        if data is not MISSING and issubclass(type(data), Mapping):
            for number, value in enumerate(data.values()):
                if number == _MOST_MEMBERS and type(data) is not dict:
                    raise refused(f"a mapping of more than {_MOST_MEMBERS} members", name)
                if issubclass(type(value), (Mapping, list, tuple)):
                    return False
    return True


# ---------------------------------------------------------------- the registry

VIEWS: dict[str, View] = {
    view.__name__: view
    for view in (
        path, targeting_key, flagd_context, devcycle_user_id, devcycle_field, devcycle_custom,
        devcycle_bucket_vendor, devcycle_bucket_corrected, devcycle_user_valid,
        eppo_text, *unleash.VIEWS,
    )
}  # fmt: skip


def plain_key(slot: Slot) -> str | None:
    """The key, if the slot is simply one attribute of the context, which the encoder looks up without calling."""
    simple = slot.view == "path" and len(slot.args) == 1 and slot.args[0] != TARGETING_KEY
    return slot.args[0] if simple else None


def bind(slot: Slot) -> Reader:
    """The slot's view with its arguments: `(context, now_us) -> value or MISSING`. KeyError if unknown."""
    if slot.view in growthbook.FACTORIES:
        return growthbook.FACTORIES[slot.view](*slot.args)
    view, args = VIEWS[slot.view], slot.args
    if slot.view == "targeting_key" or (slot.view == "path" and args == (TARGETING_KEY,)):

        def read_targeting_key(context: Context, now_us: int) -> Any:
            value = context.get(TARGETING_KEY, MISSING)
            return context.get(TARGETING_KEY_ALIAS, MISSING) if value is MISSING else value

        return read_targeting_key
    if slot.view == "path" and len(args) > 1:
        first, rest = args[0], args[1:]

        def read_path(context: Context, now_us: int) -> Any:
            value = _top(context, first)
            return value if value is MISSING else _follow(value, rest)

        return read_path

    def read(context: Context, now_us: int) -> Any:
        return view(context, args, now_us)

    return read


TAKES_ALL: Final = 2**32 - 1


def lookup(slot: Slot) -> tuple[str, str | None, tuple[str, ...], int] | None:
    """Attribute, its other name, the keys to follow from there, and of which kinds (a bit each) it is the value.

    For other kinds the reader must be called. None if it must be called in any case.
    """
    if slot.view == "targeting_key":
        return TARGETING_KEY, TARGETING_KEY_ALIAS, (), TAKES_ALL
    if slot.view == "path" and slot.args:
        first, *rest = slot.args
        return first, TARGETING_KEY_ALIAS if first == TARGETING_KEY else None, tuple(rest), TAKES_ALL
    if slot.view.startswith("unleash_"):
        return unleash.lookup(slot.view, slot.args)
    found = growthbook.lookup(slot.view, slot.args)
    return None if found is None else (found[0], None, *found[1:])


def reads_now(slot: Slot) -> bool:
    """Whether the slot's view looks at the clock."""
    return slot.view == "flagd_context" or unleash.reads_now(slot.view, slot.args)


def draws(slot: Slot) -> bool:
    """Whether what the slot's view gives can be left to chance."""
    return slot.view in unleash.DRAWING


def label(slot: Slot) -> str:
    """What an error calls the slot."""
    if slot.view == "flagd_context" or (slot.view == "path" and not slot.args):
        return "context"
    if slot.view in growthbook.FACTORIES:
        return "context" if slot.view == "growthbook_condition" else slot.args[0]
    if slot.view in ("targeting_key", "devcycle_user_id"):
        return TARGETING_KEY if slot.view == "targeting_key" else "user_id"
    return "user" if slot.view == "devcycle_user_valid" else slot.name
