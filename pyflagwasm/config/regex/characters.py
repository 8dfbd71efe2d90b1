"""What Unicode says about characters, as crate regex asks: categories by name, white space, word characters, case.

The data are those of the Python that runs (`unicodedata.unidata_version`); the crate's may be of another version.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import groupby
from typing import Final

from ..pace import breathe
from .sets import ASCII, EVERYTHING, CodeSet, common, inverted, of_points, points, united
from .tree import UnsupportedPattern

WHITE_SPACE: Final[CodeSet] = (
    (9, 13), (32, 32), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000),
)  # fmt: skip
_BLOCK: Final = 4096
_INHABITED: Final = ((0, 0x40000), (0xE0000, 0xE1000))
_ELSEWHERE: Final[dict[str, CodeSet]] = {
    "Cn": ((0x40000, 0xDFFFF), (0xE1000, 0xEFFFF), (0xFFFFE, 0xFFFFF), (0x10FFFE, 0x10FFFF)),
    "Co": ((0xF0000, 0xFFFFD), (0x100000, 0x10FFFD)),
}
_JOINERS: Final[CodeSet] = ((0x200C, 0x200D),)
_ALPHABETIC_SYMBOLS: Final[CodeSet] = ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))
_LONG_NAMES: Final = {
    "other": "C", "control": "Cc", "cntrl": "Cc", "format": "Cf", "unassigned": "Cn", "privateuse": "Co",
    "letter": "L", "casedletter": "LC", "lowercaseletter": "Ll", "modifierletter": "Lm", "otherletter": "Lo",
    "titlecaseletter": "Lt", "uppercaseletter": "Lu",
    "mark": "M", "combiningmark": "M", "spacingmark": "Mc", "enclosingmark": "Me", "nonspacingmark": "Mn",
    "number": "N", "decimalnumber": "Nd", "digit": "Nd", "letternumber": "Nl", "othernumber": "No",
    "punctuation": "P", "punct": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd", "closepunctuation": "Pe",
    "finalpunctuation": "Pf", "initialpunctuation": "Pi", "otherpunctuation": "Po", "openpunctuation": "Ps",
    "symbol": "S", "currencysymbol": "Sc", "modifiersymbol": "Sk", "mathsymbol": "Sm", "othersymbol": "So",
    "separator": "Z", "lineseparator": "Zl", "paragraphseparator": "Zp", "spaceseparator": "Zs",
}  # fmt: skip
_SHORT_NAMES: Final = {name.lower(): name for name in _LONG_NAMES.values()}
_GROUPS: Final = {"LC": ("Ll", "Lt", "Lu")}
# Pairs whose simple folding Python's lower() and casefold() do not show.
_ALSO_EQUAL: Final = {0x1FD3: 0x390, 0x1FE3: 0x3B0, 0xFB05: 0xFB06}


def blocks() -> Iterator[str]:
    """All code points as characters, some at a time; without planes that have no characters or private ones only."""
    for first, behind in _INHABITED:
        for start in range(first, behind, _BLOCK):
            breathe()
            yield "".join(map(chr, range(start, start + _BLOCK)))


def cased() -> Iterator[str]:
    """The characters that a change of case changes."""
    for block in blocks():
        if not block == block.lower() == block.upper() == block.casefold():
            yield from (c for c in block if not c == c.lower() == c.upper() == c.casefold())


@cache
def _categories() -> dict[str, CodeSet]:
    """The code points of each category of two letters, in one pass."""
    found = {name: list(ranges) for name, ranges in _ELSEWHERE.items()}
    for block in blocks():
        first = ord(block[0])
        for name, run in groupby(map(unicodedata.category, block)):
            behind = first + sum(1 for _ in run)
            found.setdefault(name, []).append((first, behind - 1))
            first = behind
    return {name: united(ranges) for name, ranges in found.items()}


@cache
def category(name: str) -> CodeSet:
    """The code points of a category of one or two letters, without surrogates."""
    parts = _GROUPS.get(name, (name,))
    return united(*(ranges for key, ranges in _categories().items() if key.startswith(parts) and key != "Cs"))


@cache
def word() -> CodeSet:
    r"""What \w contains: alphabetic, marks, decimal numbers, connectors and joiners."""
    return united(*map(category, ("L", "Nl", "M", "Nd", "Pc")), _ALPHABETIC_SYMBOLS, _JOINERS)


def meant(letter: str) -> CodeSet:
    r"""What \d, \s, \w contain."""
    match letter:
        case "d":
            return category("Nd")
        case "s":
            return WHITE_SPACE
        case _:
            return word()


def is_white(character: str) -> bool:
    """Whether it is white space."""
    return any(first <= ord(character) <= last for first, last in WHITE_SPACE)


@cache
def _lower_or_upper(lower: bool) -> CodeSet:
    has = str.islower if lower else str.isupper
    return of_points(ord(character) for block in blocks() for character in block if has(character))


def named(name: str) -> CodeSet:
    r"""What \p{name} contains. Raises UnsupportedPattern for scripts and what else is not known here."""
    key, separator, value = name.replace(":", "=").partition("=")
    if separator:
        negated = key.endswith("!")
        if _loose(key.removesuffix("!")) not in ("gc", "generalcategory"):
            raise UnsupportedPattern(f"\\p{{{name}}} is not known here: general categories are")
        found = _general(_loose(value))
        if found is None:
            raise UnsupportedPattern(f"the general category {value!a} is not known here")
        return inverted(found) if negated else found
    loose = _loose(name)
    match loose:
        case "any":
            return EVERYTHING
        case "ascii":
            return ASCII
        case "assigned":
            return inverted(category("Cn"))
        case "whitespace" | "wspace" | "space":
            return WHITE_SPACE
        case "lowercase" | "lower":
            return _lower_or_upper(True)
        case "uppercase" | "upper":
            return _lower_or_upper(False)
    found = _general(loose)
    if found is None:
        raise UnsupportedPattern(f"\\p{{{name}}} is not known here: general categories are, scripts are not")
    return found


def _general(loose: str) -> CodeSet | None:
    name = _SHORT_NAMES.get(loose) or _LONG_NAMES.get(loose)
    return None if name is None else category(name)


def _loose(name: str) -> str:
    """As UAX44-LM3 has it: without case, spaces, hyphens, underscores and the prefix `is`."""
    bare = "".join(c for c in name.lower() if c not in " -_")
    return bare[2:] if bare.startswith("is") and len(bare) > 2 else bare


def _fold_key(point: int) -> int:
    character = chr(point)
    key = next((ord(folded) for folded in (character.casefold(), character.lower()) if len(folded) == 1), point)
    return _ALSO_EQUAL.get(key, key)


@cache
def _orbits() -> dict[int, CodeSet]:
    """Of each character that has one, all that are the same by simple case folding."""
    together: dict[int, list[int]] = {}
    for point in map(ord, cased()):
        together.setdefault(_fold_key(point), []).append(point)
    orbits: dict[int, CodeSet] = {}
    for key, members in together.items():
        orbit = of_points((*members, key))
        if len(orbit) > 1 or orbit[0][0] < orbit[0][1]:
            orbits.update(dict.fromkeys(points(orbit), orbit))
    return orbits


@cache
def _cased() -> CodeSet:
    return of_points(_orbits())


def folded(members: CodeSet, unicode: bool = True) -> CodeSet:
    """The set with all that differs from a member by case alone; without `unicode` of ASCII only."""
    if not unicode:
        upper, lower = common(members, ((65, 90),)), common(members, ((97, 122),))
        return united(members, ((a + 32, b + 32) for a, b in upper), ((a - 32, b - 32) for a, b in lower))
    orbits = _orbits()
    return united(members, *(orbits[point] for point in points(common(members, _cased()))))
