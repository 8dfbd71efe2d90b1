"""How conditions and values of the model read in English, for explanations. No traces here, and no configurations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any, Final

from .._abi import Kind, LoopKind, Op, Order, TimeUnit
from .model import (
    JSON,
    MISSING,
    Apply,
    BlankSlots,
    Bucket,
    Choose,
    Constant,
    FirstFalsy,
    FirstTruthy,
    Fractional,
    Item,
    Loop,
    Missing,
    Now,
    Path,
    Raise,
    Slot,
    SlotValue,
    Test,
    Value,
)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_CONSTANTS: Final = 5
_MOST_CHARACTERS: Final = 60
_MOST_DEPTH: Final = 6

_ORDERS: Final = {
    0: "is never",
    Order.LESS: "is less than",
    Order.EQUAL: "is equal to",
    Order.LESS | Order.EQUAL: "is at most",
    Order.GREATER: "is greater than",
    Order.LESS | Order.GREATER: "is not equal to",
    Order.EQUAL | Order.GREATER: "is at least",
    Order.LESS | Order.EQUAL | Order.GREATER: "is comparable with",
}
_SYMBOLS: Final = {1: "<", 2: "==", 3: "<=", 4: ">", 5: "!=", 6: ">="}
_VERBS: Final = {
    Op.TEXT_IN: "is",
    Op.IN_CONST: "is",
    Op.TEXT_PREFIX: "starts with",
    Op.TEXT_SUFFIX: "ends with",
    Op.TEXT_CONTAINS: "contains",
    Op.CONTAINS_CONST: "contains",
}
_KINDS: Final = {
    Kind.MISSING: "missing",
    Kind.NULL: "null",
    Kind.BOOL: "true or false",
    Kind.INT: "an integer",
    Kind.FLOAT: "a decimal number",
    Kind.TEXT: "a text",
    Kind.LIST: "a list",
    Kind.OBJECT: "an object",
}
_ALL_KINDS: Final = (1 << len(_KINDS)) - 1
_INFIX: Final = {
    Op.IN: "in",
    Op.ADD: "+",
    Op.MULTIPLY: "*",
    Op.SUBTRACT: "-",
    Op.DIVIDE: "/",
    Op.MODULO: "%",
    Op.COALESCE: "??",
}
_UNITS: Final = {TimeUnit.MICROSECOND: "microseconds", TimeUnit.MILLISECOND: "milliseconds", TimeUnit.SECOND: "seconds"}


def quoted(value: JSON | Missing) -> str:
    """A value as JSON, shortened if it is long."""
    if value is MISSING:
        return "missing"
    return _shortened(json.dumps(value, ensure_ascii=False, default=str))


def test(test: Test) -> str:
    """`email ends with "@example.com"`."""
    return f"{test.slot.name} {_predicate(test)}"


def bucket(bucket: Bucket) -> str:
    """What a bucket is computed from: `"salt" + targetingKey`."""
    parts = (part.name if isinstance(part, Slot) else _literal(part) for part in bucket.parts)
    return " + ".join(parts) or "nothing"


def value(value: Value) -> str:
    """A value as an expression: `(age % 2) == 0`."""
    return _shortened(_expression(value, _MOST_DEPTH), 3 * _MOST_CHARACTERS)


def slots_of(value: Value) -> Iterator[Slot]:
    """The slots that a value reads outside of conditions, each as often as it occurs, from left to right."""
    rest: list[Any] = [value]
    while rest:
        part = rest.pop()
        match part:
            case SlotValue(slot):
                yield slot
            case BlankSlots(keys):
                yield from (slot for _, slot in keys)
            case Apply() | FirstTruthy() | FirstFalsy() | Raise() | Fractional():
                rest.extend(reversed(part.args))
            case Choose():
                rest += part.otherwise, part.then
            case Path():
                rest.append(part.base)
            case Loop():
                rest += part.body, part.items


def _shortened(text: str, most: int = _MOST_CHARACTERS) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _literal(part: str | bytes) -> str:
    if isinstance(part, str):
        return quoted(part)
    text = _key_of_pair(part)
    return f"bytes {part.hex()}" if text is None else quoted(text)


def _key_of_pair(part: bytes) -> str | None:
    """The text that begins a CBOR list of two: flagd hashes the flag key and the targeting key as one."""
    if part[:1] != b"\x82" or len(part) < 2 or not 0x60 <= part[1] <= 0x7A:
        return None
    wide = 1 << part[1] - 0x78 if part[1] >= 0x78 else 0  # bytes that the length takes by itself
    size, text = part[2 : 2 + wide], part[2 + wide :]
    if len(size) < wide or len(text) != (int.from_bytes(size, "big") if wide else part[1] - 0x60):
        return None
    try:
        return text.decode()
    except UnicodeDecodeError:
        return None


def listed(constants: Iterable[JSON]) -> str:
    """Some of the constants: `"DE", "FR" and 3 more`."""
    texts = [quoted(constant) for constant in constants]
    more = len(texts) - _MOST_CONSTANTS
    return ", ".join(texts[:_MOST_CONSTANTS]) + (f" and {more} more" if more > 0 else "")


def _predicate(test: Test) -> str:
    several = "one of " if len(test.constants) != 1 else ""
    constants = several + (listed(test.constants) or "nothing")
    match test.op:
        case Op.KIND_IN:
            return _kinds(test.mask)
        case Op.TRUTHY:
            return "is truthy"
        case Op.BOOL_IN:
            return {0: "is neither true nor false", 1: "is false", 2: "is true"}.get(test.mask & 3, "is true or false")
        case Op.NUMBER_COMPARE | Op.COMPARE_CONST:
            return f"{_ORDERS[test.flags & 7]} {constants}"
        case Op.VERSION if test.extra:
            return f"has the same {'major and minor' if test.extra == 2 else 'major'} version as {constants}"
        case Op.VERSION:
            return f"as a version {_ORDERS[test.flags & 7]} {constants}"
        case Op.IN_NETWORK:
            return f"is an address in {listed(map(_network, test.constants))}"
        case Op.TIME_COMPARE:
            return f"as a time {_ORDERS[test.flags & 7]} {_time(*test.constants)}"
        case Op.TEXT_MATCH:
            return f"matches {listed(program.pattern for program in test.constants)}"
        case Op.EQUAL_CONST:
            return f"{'equals' if test.flags & 1 else 'loosely equals'} {constants}"
        case _:
            return f"{_VERBS[test.op]} {constants}"


def _network(packed: bytes) -> str:
    return f"{ip_address(packed[2:])}/{packed[1]}"


def _time(seconds: int, nanos: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return f"{seconds} seconds after 1970"


def _kinds(mask: int) -> str:
    if mask & _ALL_KINDS == _ALL_KINDS & ~(1 << Kind.MISSING):
        return "is present"
    if mask & _ALL_KINDS == _ALL_KINDS & ~(1 << Kind.MISSING | 1 << Kind.NULL):
        return "is present and not null"
    return "is " + (" or ".join(name for kind, name in _KINDS.items() if mask >> kind & 1) or "of no kind")


def _expression(value: Value, depth: int) -> str:
    if depth == 0:
        return "..."

    def inner(part: Value) -> str:
        return _expression(part, depth - 1)

    match value:
        case Constant():
            return quoted(value.value)
        case SlotValue():
            return value.slot.name
        case Now():
            return f"now in {_UNITS[value.unit]}"
        case Item():
            return ("item", "accumulator", "item and accumulator")[value.what]
        case Apply():
            return _applied(value, [inner(arg) for arg in value.args])
        case Path():
            return ".".join((inner(value.base), *value.keys))
        case Fractional():
            return f"fractional({', '.join(map(inner, value.args))})"
        case Choose():
            return f"(if ... then {inner(value.then)} else {inner(value.otherwise)})"
        case FirstTruthy():
            return f"({' or '.join(map(inner, value.args))})"
        case FirstFalsy():
            return f"({' and '.join(map(inner, value.args))})"
        case Loop():
            return f"{LoopKind(value.kind).name.lower()}({inner(value.items)}, {inner(value.body)})"
        case BlankSlots():
            return f"missing({', '.join(key for key, _ in value.keys)})"
        case Raise():
            return f"failure {value.error.name}"


def _applied(apply: Apply, args: list[str]) -> str:
    symbol = _INFIX.get(apply.op)
    if apply.op is Op.COMPARE:
        symbol = _SYMBOLS.get(apply.flags)
    elif apply.op is Op.EQUAL:
        symbol = ("==", "===", "!=", "!==")[apply.flags & 3]
    elif apply.op is Op.TRUTH:
        return f"not {args[0]}" if apply.flags & 1 else args[0]
    if symbol and len(args) > 1:
        return f"({f' {symbol} '.join(args)})"
    return f"{apply.op.name.lower()}({', '.join(args)})"
