"""The part of crate regex's syntax that sets of characters are written in, and the reader that walks a pattern."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from . import characters
from .sets import ASCII, ASCII_WORD, CodeSet, common, inverted, size, united, without
from .tree import PatternError, UnsupportedPattern

MEANINGS: Final = ("d", "D", "s", "S", "w", "W", "p", "P")
"""The letters of escapes that stand for a set."""

_CONTROLS: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}
_WIDTHS: Final = {"x": 2, "u": 4, "U": 8}
_MOST_BRACKETS: Final = 64
_LAST_OF_WIDTHS: Final = (0x7F, 0x7FF, 0xFFFF)  # the last code points of one, two and three bytes
_POSIX: Final[dict[str, CodeSet]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ASCII,
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": ((48, 57),),
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": ASCII_WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_ASCII_MEANINGS: Final = {"d": _POSIX["digit"], "s": _POSIX["space"], "w": ASCII_WORD}


class Reader:
    """A pattern and a place in it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def fail(self, what: str) -> NoReturn:
        raise PatternError(f"{what} at character {self.at}")

    def left(self) -> bool:
        return self.at < len(self.pattern)

    def sees(self, *texts: str) -> bool:
        return self.pattern.startswith(texts, self.at)

    def takes(self, text: str) -> bool:
        """Whether the text is next; if so it is passed."""
        if not self.sees(text):
            return False
        self.at += len(text)
        return True

    def next(self) -> str:
        if not self.left():
            self.fail("more is missing")
        self.at += 1
        return self.pattern[self.at - 1]

    def run(self, wanted: Callable[[str], bool]) -> str:
        """The characters that are wanted, as many as there are."""
        start = self.at
        while self.left() and wanted(self.pattern[self.at]):
            self.at += 1
        return self.pattern[start : self.at]

    def blank(self, extended: bool) -> None:
        """Passes white space and comments, if they mean nothing."""
        while extended and self.left():
            if self.takes("#"):
                self.run(lambda c: c != "\n")
            elif not self.run(characters.is_white):
                break

    # ------------------------------------------------------------ escapes

    def meaning(self, flags: frozenset[str]) -> CodeSet:
        r"""The set that \d, \w, \pL... stands for; the backslash is passed."""
        letter = self.next()
        unicode = "u" in flags
        if letter in "pP":
            if not unicode:
                self.fail("a Unicode class without Unicode")
            members = self._property("x" in flags)
            if "i" in flags:
                members = characters.folded(members)
        elif unicode:
            members = characters.meant(letter.lower())
        else:
            members = _ASCII_MEANINGS[letter.lower()]
        return self.as_text(inverted(members) if letter.isupper() else members, flags)

    def as_text(self, members: CodeSet, flags: frozenset[str]) -> CodeSet:
        """The set, which without Unicode is one of bytes that have to be ASCII."""
        if "u" not in flags and members and members[-1][1] > 127:
            self.fail("without Unicode it would match what is not UTF-8")
        return members

    def _property(self, extended: bool) -> CodeSet:
        self.blank(extended)
        if not self.takes("{"):
            return characters.named(self.next())
        name = self.run(lambda c: c != "}")
        if not self.takes("}"):
            self.fail("a class whose name does not end")
        return characters.named("".join(c for c in name if not (extended and characters.is_white(c))))

    def escaped(self, extended: bool) -> tuple[int, bool]:
        """The code point that an escape stands for, and whether it was written as a byte; the backslash is passed."""
        letter = self.next()
        if letter in _CONTROLS:
            return _CONTROLS[letter], False
        if letter in _WIDTHS:
            return self._hexadecimal(letter, extended)
        if not letter.isascii() or letter.isalnum() or letter in "<>":
            self.fail(f"the escape \\{letter} means nothing")
        return ord(letter), False

    def _hexadecimal(self, letter: str, extended: bool) -> tuple[int, bool]:
        self.blank(extended)
        if braces := self.takes("{"):
            digits = self._digits(lambda found: not self.sees("}"), extended)
            if not self.takes("}"):
                self.fail("digits without }")
        else:
            digits = self._digits(lambda found: found < _WIDTHS[letter], extended)
        if not digits or not all(c in "0123456789abcdefABCDEF" for c in digits):
            self.fail("an escape without hexadecimal digits")
        point = int(digits, 16)
        if point > 0x10FFFF or 0xD800 <= point <= 0xDFFF:
            self.fail("an escape that is no character")
        return point, letter == "x" and not braces

    def _digits(self, more: Callable[[int], bool], extended: bool) -> str:
        digits = ""
        self.blank(extended)
        while more(len(digits)):
            digits += self.next()
            self.blank(extended)
        return digits

    # ------------------------------------------------------------ brackets

    def bracket(self, flags: frozenset[str], depth: int = 0) -> CodeSet:
        """The set in brackets that begins here."""
        if depth >= _MOST_BRACKETS:
            raise UnsupportedPattern(f"brackets nest deeper than {_MOST_BRACKETS}")
        extended, unicode = "x" in flags, "u" in flags
        self.next()
        self.blank(extended)
        negated = self.takes("^")
        self.blank(extended)
        found: list[CodeSet] = []
        while self.takes("-"):
            found.append(((45, 45),))
            self.blank(extended)
        if not found and self.takes("]"):
            found.append(((93, 93),))
        left: CodeSet | None = None  # what the operator works on
        operator = ""

        def closed() -> CodeSet:
            members = united(*found)
            if "i" in flags:
                members = characters.folded(members, unicode)
            return members if left is None else _OPERATORS[operator](left, members)

        while True:
            self.blank(extended)
            if not self.left():
                self.fail("a set without ]")
            if self.takes("]"):
                break
            sign = self.pattern[self.at : self.at + 2]
            if sign in _OPERATORS:
                self.at += 2
                left, operator, found = closed(), sign, []
            elif self.sees("["):
                members = self._posix(flags)
                found.append(self.bracket(flags, depth + 1) if members is None else members)
            else:
                found.append(self._range(flags))
        members = closed()
        return self.as_text(inverted(members) if negated else members, flags)

    def _posix(self, flags: frozenset[str]) -> CodeSet | None:
        if not self.sees("[:"):
            return None
        end = self.pattern.find(":]", self.at + 2)
        name = self.pattern[self.at + 2 : end] if end > 0 else ""
        members = _POSIX.get(name.removeprefix("^"))
        if members is None:
            return None
        self.at = end + 2
        if not name.startswith("^"):
            return members
        if "i" in flags:
            members = characters.folded(members, "u" in flags)
        return self.as_text(inverted(members), flags)

    def _range(self, flags: frozenset[str]) -> CodeSet:
        """A range, a character or the set of an escape."""
        extended = "x" in flags
        first = self._member(flags)
        self.blank(extended)
        if not self.sees("-"):
            return _one(first)
        after = self.at + 1
        here, self.at = self.at, after
        self.blank(extended)
        ends = not self.left() or self.sees("]", "-")
        self.at = here
        if ends:
            return _one(first)
        self.at = after
        self.blank(extended)
        last = self._member(flags)
        if not isinstance(first, int) or not isinstance(last, int) or first > last:
            self.fail("a range that is not one")
        return ((first, last),)

    def _member(self, flags: frozenset[str]) -> int | CodeSet:
        """A character, or the set of an escape."""
        character = self.next()
        point = ord(character)
        if character == "\\":
            if self.sees(*MEANINGS):
                return self.meaning(flags)
            point, _ = self.escaped("x" in flags)
        elif "u" not in flags and point > 127:
            self.fail("a character that is not ASCII in a set without Unicode")
        return point


def _one(member: int | CodeSet) -> CodeSet:
    return ((member, member),) if isinstance(member, int) else member


def _exclusive(one: CodeSet, other: CodeSet) -> CodeSet:
    return united(without(one, other), without(other, one))


_OPERATORS: Final[dict[str, Callable[[CodeSet, CodeSet], CodeSet]]] = {
    "&&": common,
    "--": without,
    "~~": _exclusive,
}


# ------------------------------------------------------------ what the crate takes for it


def memory(members: CodeSet) -> int:
    """Bytes of the larger one of the crate's two automata for one character of the set."""
    if size(members) == 1:
        return 32 * len(chr(members[0][0]).encode("utf-8", "surrogatepass"))
    if not members or members[-1][1] < 128:
        return 64 + 8 * len(members)
    sequences = [one for first, last in members for one in _byte_ranges(first, last)]
    beginnings = {one[: length + 1] for one in sequences for length in range(len(one))}
    return 64 + 4 * len(sequences) + 32 * len(beginnings)


def _byte_ranges(first: int, last: int) -> list[tuple[tuple[int, int], ...]]:
    """The range as sequences of ranges of bytes: all their combinations are the UTF-8 of its characters."""
    found: list[tuple[tuple[int, int], ...]] = []
    rest = [(first, last)]
    while rest:
        low, high = rest.pop()
        if low < 0xE000 and high > 0xD7FF:
            rest += [part for part in ((0xE000, high), (low, 0xD7FF)) if part[0] <= part[1]]
            continue
        cut = next((cut for cut in _LAST_OF_WIDTHS if low <= cut < high), None)
        if cut is not None:
            rest += (cut + 1, high), (low, cut)
            continue
        split = next((s for s in (_unaligned(low, high, bits) for bits in (6, 12, 18)) if s is not None), None)
        if high > 127 and split is not None:
            rest += (split + 1, high), (low, split)
            continue
        pairs = zip(chr(low).encode(), chr(high).encode(), strict=True)
        found.append(tuple(pairs))
    return found


def _unaligned(low: int, high: int, bits: int) -> int | None:
    """Where to cut so that the last `bits` bits of either part run through all values; None if they do."""
    mask = (1 << bits) - 1
    if low & ~mask == high & ~mask:
        return None
    if low & mask:
        return low | mask
    if high & mask != mask:
        return (high & ~mask) - 1
    return None
