"""Random regular expressions of both dialects, and texts that they may match. Most are valid, some are not.

And random programs as schema/README.md 5.10 has them, which are all sound and mean nothing.
"""

from __future__ import annotations

import struct
from random import Random

LETTERS = "aabbcKks_0.-\n\r \x1c\u00a0\u2028\u00e9\u00c9\u017f\u212a\u00df\u1e9e\u0130\u0131\u03c3\u03c2\u0345\u0660"
LETTERS += "\u65e5\U0001f600"
ESCAPES = (r"\d", r"\D", r"\s", r"\S", r"\w", r"\W", r"\t", r"\n", r"\.", r"\\", r"\-", r"\x61", r"\x4b", r"\u00e9")
BOTH = (*ESCAPES, r"\A", r"\b", r"\B", "^", "$", ".", ".")
PYTHON = (*BOTH, r"\Z", r"\061", r"\N{KELVIN SIGN}", r"(?#c)", r"\U0001f600", "]", "}", "{", "a{,2}", "a{x}")
RUST = (
    *BOTH, r"\z", r"\x{1F600}", r"\U{e9}", r"\pL", r"\PN", r"\p{Lu}", r"\p{^L}", r"\P{Lowercase_Letter}", r"\p{gc=Nd}",
    r"\b{start}", r"\b{end}", r"\b{start-half}", r"\b{end-half}", r"\<", r"\>", "]", "}", r"\p{Any}", r"\p{ascii}",
)  # fmt: skip
PYTHON_MEMBERS = (*ESCAPES, r"\b", "a-c", "K-k", "\u00c0-\u00ff", r"\x00-\x7f", "0-9", "-", "^")
RUST_MEMBERS = (
    *ESCAPES, "a-c", "K-k", "\u00c0-\u00ff", r"\x00-\x7f", "0-9", "[:alpha:]", "[:^word:]", "[:punct:]", "[b-d]",
    "[^a]", "&&", "--", "~~", r"\pL", r"\P{Lu}", "-", "^", "&&[^k]",
)  # fmt: skip
QUANTIFIERS = ("*", "+", "?", "*?", "+?", "??", "{2}", "{0}", "{1,}", "{0,2}", "{1,3}?", "{2,1}")
FLAGS = {"python": "imsxa", "rust": "imsxRUu"}


class Patterns:
    """Draws patterns of a dialect."""

    def __init__(self, rng: Random, dialect: str) -> None:
        self._rng = rng
        self._dialect = dialect
        self._atoms = PYTHON if dialect == "python" else RUST
        self._members = PYTHON_MEMBERS if dialect == "python" else RUST_MEMBERS

    def pattern(self) -> str:
        rng = self._rng
        text = self._choice(rng.randrange(1, 4))
        if rng.random() < 0.25:
            text = f"(?{self._flags()}){text}"
        if rng.random() < 0.15:
            text = rng.choice(("^", r"\A")) + text
        if rng.random() < 0.15:
            text += "$"
        if rng.random() < 0.06:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice("()[]{}|*+?\\-^$&~,:<>=!#PpiLu0 \n") + text[at + rng.randrange(2) :]
        return text

    def text(self, pattern: str) -> str:
        """A short text of characters that mean something to patterns, and of some that the pattern has."""
        rng = self._rng
        own = [letter for letter in pattern if letter.isalnum()] or ["a"]
        letters = [rng.choice(LETTERS) if rng.random() < 0.7 else rng.choice(own) for _ in range(rng.randrange(11))]
        if rng.random() < 0.15:
            letters.append("\n")
        return "".join(letters)

    def _choice(self, depth: int) -> str:
        return "|".join(self._sequence(depth) for _ in range(self._rng.choice((1, 1, 1, 2, 3))))

    def _sequence(self, depth: int) -> str:
        return "".join(self._repeated(depth) for _ in range(self._rng.choice((0, 1, 1, 2, 2, 3, 4))))

    def _repeated(self, depth: int) -> str:
        atom = self._atom(depth)
        if self._rng.random() < 0.3:
            atom += self._rng.choice(QUANTIFIERS)
        return atom

    def _atom(self, depth: int) -> str:
        rng = self._rng
        kind = rng.randrange(12)
        if kind < 4:
            letter = rng.choice(LETTERS)
            return "\\" + letter if letter in ".-" and rng.random() < 0.5 else letter
        if kind < 7:
            return rng.choice(self._atoms)
        if kind < 9:
            members = "".join(
                rng.choice(self._members) if rng.random() < 0.6 else rng.choice(LETTERS)
                for _ in range(rng.randrange(1, 5))
            )
            return f"[{'^' * (rng.random() < 0.3)}{members}]"
        if depth == 0:
            return rng.choice("abk")
        opening = rng.choice(("(", "(?:", "(?:", f"(?{self._flags()}:"))
        if self._dialect == "rust" and rng.random() < 0.1:
            opening = f"(?{self._flags()})("
        return opening + self._choice(depth - 1) + ")"

    def _flags(self) -> str:
        rng = self._rng
        on = "".join(rng.sample(FLAGS[self._dialect], rng.randrange(1, 3)))
        if self._dialect == "python" and rng.random() < 0.9:
            return on
        return on if rng.random() < 0.8 else f"{on[1:]}-{on[0]}"


def some_program(rng: Random) -> bytes:
    """A table or threads."""
    classes, rows = rng.choice((2, 3, 5, 9, 70)), rng.randrange(1, 8)
    firsts = sorted(rng.sample((0xE9, 0x3C3, 0x4E00, 0x65E5, 0x65E6, 0xFFFF, 0x10000, 0x1F600), rng.randrange(4)))
    sets = rng.choice((0, 1, 4))
    size = max(8, (classes + 7) // 8)
    targets = [
        rng.choice((rng.randrange(rows + 2), rng.randrange(2, rows + 2)))
        for _ in range(rows * (2 if sets else classes))
    ]
    for at in range(1, len(targets), 2):
        if sets and rng.random() < 0.7:
            targets[at] = rows + 2 + rng.randrange(sets)
    return b"".join(
        (
            struct.pack("<4H", classes, len(firsts) + 1, rows, sets),
            bytes(rng.randrange(classes) for _ in range(128)),
            *(struct.pack("<I", first << 11 | rng.randrange(classes)) for first in (128, *firsts)),
            struct.pack(f"<{len(targets)}H", *targets),
            bytes(rng.choice((0, 1, 2, 7, 9)) for _ in range(classes)),
            rng.randbytes(size * sets),
        )
    )
