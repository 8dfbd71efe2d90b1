"""What GrowthBook's conditions mean, in plain Python over plain JSON values.

The yardstick for what conditions.py lowers, and what answers where the core cannot: conditions on lists and
objects, malformed ones (runtime/views/growthbook.py), and those of prerequisites, whose values are known at import.
Nothing here knows contexts, slots or the model.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

JSON: TypeAlias = Any
Groups: TypeAlias = Mapping[str, JSON]
Attribute: TypeAlias = Callable[[str], JSON]
"""The attribute at a dotted path, None if there is none."""

ORDERS: Final = {"$lt": 1, "$lte": 3, "$gt": 4, "$gte": 6}
"""Operators that order two values, as the bits less, equal, greater."""
VERSIONS: Final = {"$veq": 2, "$vne": 5, "$vlt": 1, "$vlte": 3, "$vgt": 4, "$vgte": 6}
"""Operators that order two padded versions."""

_VERSION_NOISE = re.compile(r"^v|\+.*$")
_VERSION_PARTS = re.compile(r"[-.]")


class Malformed(Exception):
    """The evaluation met what it cannot go on with. The whole condition is false then, whatever is around it."""


def holds(condition: JSON, attribute: Attribute, groups: Groups | None) -> bool:
    """Whether a condition holds. Never raises because of data."""
    try:
        return _condition(condition, attribute, groups, frozenset())
    except (Malformed, RecursionError):
        return False


def value_holds(operand: JSON, value: JSON, groups: Groups | None) -> bool:
    """Whether a value fulfils what stands under its attribute: operators, or a value that it must equal."""
    try:
        return _value(operand, value, groups, frozenset())
    except (Malformed, RecursionError):
        return False


def is_operators(operand: JSON) -> bool:
    """Whether an object is one of operators: all of its keys begin with a dollar sign, and there is one."""
    return isinstance(operand, dict) and bool(operand) and all(key.startswith("$") for key in operand)


def follow(value: JSON, path: str) -> JSON:
    """The member at a dotted path, through objects only; None if there is none."""
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


# ---------------------------------------------------------------- conditions


def _condition(condition: JSON, attribute: Attribute, groups: Groups | None, visited: frozenset[str]) -> bool:
    if not isinstance(condition, dict):
        raise Malformed
    for key, operand in condition.items():
        match key:
            case "$or" | "$nor":
                members = _members(operand)
                found = not members or any(_condition(each, attribute, groups, visited) for each in members)
                if found is (key == "$nor"):
                    return False
            case "$and":
                if not all(_condition(each, attribute, groups, visited) for each in _members(operand)):
                    return False
            case "$not":
                if _condition(operand, attribute, groups, visited):
                    return False
            case "$savedGroup":
                if not _saved_group(operand, attribute, groups, visited):
                    return False
            case "$savedGroups":
                return False
            case _:
                if not _value(operand, attribute(key), groups, visited):
                    return False
    return True


def _members(operand: JSON) -> list[JSON]:
    if isinstance(operand, list):
        return operand
    if operand in ("", {}):
        return []
    raise Malformed


def _saved_group(reference: JSON, attribute: Attribute, groups: Groups | None, visited: frozenset[str]) -> bool:
    found = saved_group(reference, groups)
    if found is None:
        return False
    group, content = found
    if group in visited:
        return False
    if isinstance(content, tuple):
        key, values = content
        return is_in(values, attribute(key))
    return _condition(content, attribute, groups, visited | {group})


def saved_group(reference: JSON, groups: Groups | None) -> tuple[str, tuple[str, list[JSON]] | dict[str, JSON]] | None:
    """What `$savedGroup` refers to: the group's name, and its condition, or its attribute and list of values.

    None if it refers to nothing that can be used: then nobody is in it.
    """
    if not isinstance(reference, dict) or not isinstance(reference.get("id"), str):
        return None
    name = reference["id"]
    if "attributeKey" in reference and not isinstance(reference["attributeKey"], str):
        return None
    entry = groups.get(name) if groups is not None else None
    if not isinstance(entry, dict):
        return None
    if entry.get("type") == "list":
        key, values = reference.get("attributeKey", entry.get("attributeKey")), entry.get("values")
        return (name, (key, values)) if isinstance(key, str) and isinstance(values, list) else None
    content = entry.get("condition")
    return (name, content) if entry.get("type") == "condition" and isinstance(content, dict) else None


def group_values(name: JSON, groups: Groups | None) -> list[JSON] | None:
    """The values that `$inGroup` looks among; None if neither it nor `$notInGroup` can hold."""
    if not isinstance(name, str):
        return None
    if groups is None or name not in groups:
        return []
    entry = groups[name]
    if isinstance(entry, dict) and entry.get("type") == "list":
        entry = entry.get("values")
    return entry if isinstance(entry, list) else None


# ---------------------------------------------------------------- values


def _value(operand: JSON, value: JSON, groups: Groups | None, visited: frozenset[str], *, folded: bool = False) -> bool:
    if is_operators(operand):
        return all(_operator(name, argument, value, groups, visited) for name, argument in operand.items())
    if folded:
        operand, value = fold(operand), fold(value)
    return bool(operand == value)


def _operator(name: str, operand: JSON, value: JSON, groups: Groups | None, visited: frozenset[str]) -> bool:
    if name in ORDERS:
        return ordered(value, operand, ORDERS[name])
    if name in VERSIONS:
        ours, theirs = padded(value), padded(operand)
        return bool(_order(ours, theirs) & VERSIONS[name])
    if name in ("$regex", "$regexi"):
        return matches(operand, value, ignore_case=name == "$regexi") is True
    if name in ("$notRegex", "$notRegexi"):
        return matches(operand, value, ignore_case=name == "$notRegexi") is not True
    match name:
        case "$eq":
            return same(value, operand)
        case "$ne":
            return not same(value, operand)
        case "$in" | "$ini":
            return isinstance(operand, list) and is_in(operand, value, folded=name == "$ini")
        case "$nin" | "$nini":
            return isinstance(operand, list) and not is_in(operand, value, folded=name == "$nini")
        case "$inGroup" | "$notInGroup":
            values = group_values(operand, groups)
            return values is not None and is_in(values, value) is (name == "$inGroup")
        case "$elemMatch":
            return isinstance(value, list) and any(_item(operand, item, groups, visited) for item in value)
        case "$size":
            return isinstance(value, list) and _value(operand, len(value), groups, visited)
        case "$all" | "$alli":
            if not isinstance(operand, list) or not isinstance(value, list):
                return False
            folded = name == "$alli"
            return all(any(_value(each, item, groups, visited, folded=folded) for item in value) for each in operand)
        case "$exists":
            return (value is not None) is bool(operand)
        case "$type":
            return isinstance(operand, str) and type_of(value) == operand
        case "$not":
            return not _value(operand, value, groups, visited)
    return False


def _item(operand: JSON, item: JSON, groups: Groups | None, visited: frozenset[str]) -> bool:
    if is_operators(operand):
        return _value(operand, item, groups, visited)
    return _condition(operand, lambda path: follow(item, path), groups, visited)


def fold(value: JSON) -> JSON:
    """As the case-insensitive operators see a value."""
    return value.lower() if isinstance(value, str) else value


def type_of(value: JSON) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def same(value: JSON, operand: JSON) -> bool:
    """`$eq`: of one type and equal; lists and objects never are."""
    kind = type_of(value)
    return kind == type_of(operand) and kind not in ("array", "object") and bool(value == operand)


def is_in(values: list[JSON], value: JSON, *, folded: bool = False) -> bool:
    """`$in`: of a list any member. Truth values are no numbers. A list or object is never equal to a member of a list,
    unless case is ignored."""
    if folded:
        items = value if isinstance(value, list) else [value]
        return any(_alike(fold(item), fold(each)) for item in items for each in values)
    if isinstance(value, list):
        wanted = {_typed(item) for item in value if not isinstance(item, (list, dict))}
        return any(_typed(each) in wanted for each in values if not isinstance(each, (list, dict)))
    return value in values and (value not in (0, 1) or any(_alike(value, each) for each in values))


def _alike(value: JSON, other: JSON) -> bool:
    return isinstance(value, bool) == isinstance(other, bool) and bool(value == other)


def _typed(value: JSON) -> tuple[bool, JSON]:
    """A scalar as what is equal to it where truth values are no numbers."""
    return isinstance(value, bool), value


def _is_number(value: JSON) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _order(value: Any, other: Any) -> int:
    return 4 if value > other else 1 if value < other else 2


def ordered(value: JSON, operand: JSON, order: int) -> bool:
    """Whether a value is in the order to another one; a text beside a number is read as one, and null is 0 there.

    A text that reads as NaN is equal to every number, and nothing else is in any order to a NaN.
    """
    if value != value or operand != operand:
        return False
    try:
        if _is_number(value) and not _is_number(operand):
            operand = 0 if operand is None else float(operand)
        elif _is_number(operand) and not _is_number(value):
            value = 0 if value is None else float(value)
        return bool(_order(value, operand) & order)
    except (TypeError, ValueError, OverflowError):
        return False


def padded(version: JSON) -> str:
    """A version as the text by which versions are compared."""
    if _is_number(version):
        version = str(version)
    return _padded(version if version and isinstance(version, str) else "0")


@lru_cache(maxsize=512)
def _padded(version: str) -> str:
    parts = _VERSION_PARTS.split(_VERSION_NOISE.sub("", version))
    if len(parts) == 3:
        parts.append("~")
    return "-".join(part.rjust(5, " ") if part.isdigit() else part for part in parts)


def matches(pattern: JSON, value: JSON, *, ignore_case: bool) -> bool | None:
    """Whether a pattern is found in a text; None for what is no text, or no pattern."""
    compiled = _compiled(pattern, ignore_case) if isinstance(pattern, str) else None
    if compiled is None or not isinstance(value, str):
        return None
    return compiled.search(value) is not None


@lru_cache(maxsize=512)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str] | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError):
        return None
