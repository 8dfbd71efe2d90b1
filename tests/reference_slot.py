"""The predicates on a slot in the reference: schema/README.md 5.3, and versions: 5.6.

`test_X` gets the node and the slot's value, MISSING if it has none, and returns whether yes, None for unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import reference_regex
import reference_texts
import reference_values as rv
from fbs_generated.Kind import Kind
from fbs_generated.VersionDialect import VersionDialect
from reference_input import MISSING, Node, null_if_missing
from reference_values import Value, kind_of, truthy

DIALECTS = {number: name for name, number in vars(VersionDialect).items() if not name.startswith("_")}


class SlotPredicates:
    """Mixed into the run of the reference, which has the constants."""

    def test_KindIn(self: Any, node: Node, slot: Value) -> bool:
        return bool(node.a >> (Kind.Missing if slot is MISSING else kind_of(slot)) & 1)

    def test_Truthy(self: Any, node: Node, slot: Value) -> bool:
        return truthy(null_if_missing(slot))

    def text_test(self: Any, node: Node, slot: Value, holds: Any) -> bool | None:
        if not isinstance(slot, bytes):
            return None
        return any(holds(slot, constant) for constant in self.constants(node.a, node.b))

    def test_TextIn(self: Any, node: Node, slot: Value) -> bool | None:
        return self.text_test(node, slot, bytes.__eq__)

    def test_TextPrefix(self: Any, node: Node, slot: Value) -> bool | None:
        return self.text_test(node, slot, bytes.startswith)

    def test_TextSuffix(self: Any, node: Node, slot: Value) -> bool | None:
        return self.text_test(node, slot, bytes.endswith)

    def test_TextContains(self: Any, node: Node, slot: Value) -> bool | None:
        return self.text_test(node, slot, bytes.__contains__)

    def test_NumberCompare(self: Any, node: Node, slot: Value) -> bool | None:
        if type(slot) not in (int, float):
            return None
        return any(rv.three_way(float(slot), float(c)) & node.flags for c in self.constants(node.a, node.b))

    def test_BoolIn(self: Any, node: Node, slot: Value) -> bool | None:
        return bool(node.a >> slot & 1) if isinstance(slot, bool) else None

    def test_Version(self: Any, node: Node, slot: Value) -> bool | None:
        dialect, constants = DIALECTS[node.flags >> 4], self.constants(node.a, node.b & 0xFFFF)
        if dialect.startswith("Strict"):
            own, *others = (reference_texts.strict_version(v, dialect.endswith("Build")) for v in (slot, *constants))
            if own is None:
                return None
            return any(v is not None and rv.three_way(own, v) & node.flags & 7 for v in others)
        if dialect != "SemVer":
            if not isinstance(slot, bytes) or not slot:
                return None
            return numeric_version_matches(slot, constants, node.flags & 7, dialect)
        mine = None if slot is MISSING else semver(rv.exact_text(slot))
        if mine is None:
            return None
        same = node.b >> 16
        for constant in constants:
            theirs = semver(rv.exact_text(constant))
            if (
                theirs is not None
                and mine[0][:same] == theirs[0][:same]
                and rv.three_way(mine, theirs) & node.flags & 7
            ):
                return True
        return False

    def test_EqualConst(self: Any, node: Node, slot: Value) -> bool:
        equal = rv.strictly_equal if node.flags & 1 else rv.loosely_equal
        return equal(null_if_missing(slot), self.constant(node.a))

    def test_CompareConst(self: Any, node: Node, slot: Value) -> bool:
        return bool(rv.ordered(null_if_missing(slot), self.constant(node.a)) & node.flags)

    def test_InConst(self: Any, node: Node, slot: Value) -> bool:
        return any(rv.strictly_equal(null_if_missing(slot), c) for c in self.constants(node.a, node.b))

    def test_ContainsConst(self: Any, node: Node, slot: Value) -> bool:
        return rv.contains(null_if_missing(slot), self.constant(node.a))

    def test_TextMatch(self: Any, node: Node, slot: Value) -> bool | None:
        return reference_regex.finds(self.constant(node.a), slot.decode()) if isinstance(slot, bytes) else None

    def test_InNetwork(self: Any, node: Node, slot: Value) -> bool | None:
        where = reference_texts.address(slot) if isinstance(slot, bytes) else None
        return None if where is None else reference_texts.in_networks(self.constant(node.a), where)

    def test_TimeCompare(self: Any, node: Node, slot: Value) -> bool | None:
        mine = reference_texts.instant(slot) if isinstance(slot, bytes) else None
        if mine is None:
            return None
        return bool(rv.three_way(mine, tuple(self.constants(node.a, 2))) & node.flags)


# ---------------------------------------------------------------- versions

_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    r"(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


def _integer(digits: str) -> tuple[int, str]:
    return len(digits), digits


def semver(text: bytes | None) -> tuple[list[Any], list[Any]] | None:
    """((major, minor, patch), pre-release as something that compares), or None if it cannot be read."""
    if text is None:
        return None
    spelled = text.decode("latin-1")
    spelled = spelled[1:] if spelled[:1] in ("v", "V") else spelled
    core = spelled.split("-", 1)[0].split("+", 1)[0]
    padded = core + ".0" * max(0, 2 - core.count(".")) + spelled[len(core) :]
    found = _SEMVER.fullmatch(padded)
    if found is None:
        return None
    pre: list[Any] = [(1,)]
    if found[4] is not None:
        pre = [(0, 0, _integer(part)) if part.isdigit() else (0, 1, part) for part in found[4].split(".")]
    return [_integer(found[i]) for i in (1, 2, 3)], pre


KEPT = [ord(c) for c in "0123456789.-()|"]


class Cleaner:
    """Brings numeric versions into shape; the quirk remembers two positions from text to text."""

    def __init__(self, dialect: str) -> None:
        self.dialect, self.p1, self.p2 = dialect, 0, 0

    def clean(self, text: bytes) -> str:
        units = rv.utf16_units(text)
        if self.dialect == "NumericClean":
            units = [unit for unit in units if unit in KEPT]
            units = units[: units.index(ord("-"))] if ord("-") in units else units
        elif self.dialect == "NumericCleanQuirk":
            units = self._quirk(units)
        return "".join(map(chr, units))

    def _quirk(self, units: list[int]) -> list[int]:
        if not units:
            return units
        alien = next((i for i in range(self.p1, len(units)) if units[i] not in KEPT), None)
        self.p1 = 0 if alien is None else alien + 1
        if alien is not None:
            first = units.index(units[alien])
            units = units[:first] + units[first + 1 :]
        if not units:
            return units
        dash = next((i for i in range(self.p2, len(units)) if units[i] == ord("-")), None)
        self.p2 = 0 if dash is None else len(units)
        if dash is None:
            return units
        tail = units[dash:]
        first = next(i for i in range(len(units)) if units[i : i + len(tail)] == tail)
        return units[:first] + units[first + len(tail) :]


def numeric_version_matches(attribute: bytes, constants: Iterable[bytes], orders: int, dialect: str) -> bool:
    cleaner = Cleaner(dialect)
    parts = cleaner.clean(attribute).split(".")
    mine = [part or "0" for part in parts + ["0"] * (3 - len(parts))]
    for constant in constants:
        theirs = cleaner.clean(constant).split(".")
        if not all(re.fullmatch("[0-9]+", part) for part in mine + theirs):
            continue
        width = max(len(mine), len(theirs))
        a, b = ([float(part) for part in side + ["0"] * (width - len(side))] for side in (mine, theirs))
        if rv.three_way(a, b) & orders:
            return True
    return False
