"""Patterns of both dialects: what is valid, what is supported, what needs no program. Texts are matched by the core."""

from __future__ import annotations

import re
import time
import unicodedata
import warnings
from collections.abc import Iterator

import pytest
from golden_models import asks, at, flags

from pyflagwasm._abi import Op
from pyflagwasm.config import model as m
from pyflagwasm.config.compile import compile_model
from pyflagwasm.config.regex import (
    Dialect,
    Pattern,
    PatternError,
    UnsupportedPattern,
    characters,
    compile_pattern,
    rust_classes,
    sets,
)
from pyflagwasm.runtime.decode import unpack
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    made = Instance()
    yield made
    made.close()


def matches(instance: Instance, pattern: Pattern, *texts: str) -> list[bool]:
    compiled = compile_model(flags(None, f=asks(pattern.condition(at("t"), None))))
    instance.load(compiled.ir)
    encoder, found = Encoder(compiled), []
    for text in texts:
        encoder.encode({"t": text}, tuple(range(len(compiled.slots))), instance.scratch, 0)
        variant = unpack(instance.evaluate(0)).variant
        assert variant in (0, 1)
        found.append(variant == 0)
    return found


# ---------------------------------------------------------------- the dialects

# Dialect, pattern, texts that contain a match, texts that do not.
FOUND: list[tuple[Dialect, str, list[str], list[str]]] = [
    ("python", "a$", ["a", "ba\n"], ["a\n\n", "ab"]),
    ("rust", "a$", ["a", "ba"], ["a\n"]),
    ("python", r"a\Z", ["a"], ["a\n"]),
    ("python", "(?m)^a.$", ["\nab\n", "x\nab\ny"], ["xab", "a\n"]),
    ("rust", "(?m)^a.$", ["\nab\n", "x\nab\ny"], ["ab\r\n"]),
    ("rust", "(?mR)^a.$", ["\r\nab\r\n", "ab\ny"], ["a\r\n", "a\n"]),
    ("rust", "(?R)a.b", ["a.b"], ["a\rb", "a\nb"]),
    ("python", "a.b", ["a\rb", "a\u2028b"], ["a\nb"]),
    ("python", "(?s)a.b", ["a\nb"], ["ab"]),
    ("python", r"\bx\b", ["x", "- x.", "\u2028x\n"], ["ax", "x\u00e9", "x_"]),
    ("rust", r"\bx\b", ["x", "- x.", "\u2028x\n"], ["ax", "x\u00e9", "x_"]),
    ("python", r"(?a)\bx\b", ["x\u00e9"], ["x_"]),
    ("rust", r"(?-u:\b)x(?-u:\b)", ["x\u00e9"], ["x_"]),
    ("rust", r"\<ab\>|\b{start}c|d\b{end-half}|\b{start-half}-", ["ab", "-c", "d-", "--"], ["abx", "a", "dx", "x-"]),
    ("python", r"\Bx", ["ax"], ["x", "-x"]),
    ("rust", r"a\B|^\B$", ["ab", ""], ["a", "a-"]),
    ("python", r"^\d+$", ["12", "\u0661\n"], ["\u00b2", "1a"]),
    ("rust", r"^\d+$", ["12", "\u0661"], ["\u00b2", "1\n"]),
    ("python", r"^\s$", ["\x1c", "\u00a0", "\u2028"], ["\u200b"]),
    ("rust", r"^\s$", ["\x85", "\u00a0", "\u2028"], ["\u200b", "\x1c"]),
    ("rust", r"^\w$", ["\u24b6", "\u200c", "\u0345", "_", "\u2167"], ["\u00b2", "-"]),
    ("python", r"^\w$", ["\u00b2", "\u2167", "_"], ["\u200c", "\u0345"]),
    ("python", "(?i)^k$", ["k", "K", "\u212a"], ["x"]),
    ("python", "(?ia)^k$", ["k", "K"], ["\u212a"]),
    ("python", "(?i)^[^k]$", ["x"], ["k", "K", "\u212a"]),
    ("python", "(?i)^[j-l]s$", ["Ks", "\u212a\u017f"], ["i"]),
    ("rust", "(?i)^k\u03c3\u00df$", ["K\u03c2\u1e9e", "\u212a\u03a3\u00df"], ["kss"]),
    ("rust", r"(?i)^\x{390}\x{3b0}\x{fb05}$", ["\u1fd3\u1fe3\ufb06"], ["\u0390\u03b0st"]),
    ("rust", "(?i-u)^k\u00e9$", ["K\u00e9"], ["\u212a\u00e9", "k\u00c9"]),
    ("rust", "a(?i)b|c", ["aB", "C"], ["AB"]),
    ("rust", "(?i:a)b", ["Ab"], ["AB"]),
    ("rust", "(?x) a b # c\n [ d e ] \\ ", ["abd "], ["a b", "ab d "]),
    ("rust", r"^[a-c&&b-d--c~~x]$", ["b", "x"], ["a", "c", "d"]),
    ("rust", r"^[[:alpha:][^\x00-\x{10FFFE}]]$", ["a", "\U0010ffff"], ["1"]),
    ("rust", r"(?i)^[[:^word:]b]$", ["-", "B", "\u00e9"], ["k", "\u212a"]),
    ("rust", r"^[]a-]$", ["]", "a", "-"], ["b"]),
    ("rust", r"^[^-a]$", ["b"], ["-", "a"]),
    ("rust", r"^\pN\p{Lu}\PL\p{gc!=Lu}\p{any}$", ["1A1a\n"], ["1aaaa"]),
    ("rust", r"^\x41\u0042\U00000043\x{44}\a\f\t\n\r\v$", ["ABCD\a\f\t\n\r\v"], ["ABCD"]),
    ("rust", "^a{2,3}b{2}?c{1,}(?U)d*$", ["aabbc", "aaabbccd"], ["abbc", "aaaabbc"]),
    ("rust", "(?P<n>a)(?<m>b)", ["ab"], ["a"]),
    ("python", "(?P<n>a)(?:b|c)(?#no)", ["ac"], ["a"]),
    ("python", "(?x) a b # c", ["ab"], ["a b"]),
    ("python", "x(?!)", [], ["x", ""]),
    ("rust", "^(?:é|日本|😀)+$", ["\u65e5\u672c\U0001f600\u00e9"], ["\u65e5", "\U0001f601"]),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "pattern", "found", "others"), FOUND)
@pytest.mark.parametrize("threads", [False, True], ids=["as it is", "threads"])
def test_texts(
    instance: Instance,
    monkeypatch: pytest.MonkeyPatch,
    dialect: Dialect,
    pattern: str,
    found: list[str],
    others: list[str],
    threads: bool,
) -> None:
    if threads:
        monkeypatch.setattr("pyflagwasm.config.regex.tests", lambda tree: None)
        monkeypatch.setattr("pyflagwasm.config.regex.program.tabulate", lambda threads: None)
    compiled = compile_pattern.__wrapped__(pattern, dialect)
    if dialect == "python":
        assert [re.search(pattern, text) is not None for text in found + others] == [True] * len(found) + [False] * len(
            others
        )
    assert matches(instance, compiled, *found, *others) == [True] * len(found) + [False] * len(others)


def test_ignoring_case_by_option(instance: Instance) -> None:
    for dialect in ("python", "rust"):
        pattern = compile_pattern("^ab[c]+", dialect, ignore_case=True)  # type: ignore[arg-type]
        assert matches(instance, pattern, "ABCc", "xabc") == [True, False]


# ---------------------------------------------------------------- what is refused

INVALID: dict[Dialect, str] = {
    "python": r"( ) a( a) * a{2,1} [b-a] [a \8 (?P<n>a)(?P<n>b) (?P<1>a) (?z) (?<=a*)b \x4 \q (?L)a a** (?P=n)",
    "rust": r"( a( a) * a{2,1} [b-a] [a \8 (?P<n>a)(?P<n>b) (?P<1>a) (?z) (?=a) (?<!a) \x4 \q (?P=n) a{ a{,2} {1} "
    r"a|* (*) (?i)* (?) (?-) (?ii) (?i--s) \Z \1 \x{D800} \x{110000} \x{} [] [^] [a-\d] [\b] [a\A] (?-u:.) (?-u:\W) "
    r"(?-u:[^a]) (?-u:\xFF) (?-u:[é]) (?-u:\pL) [[a] (?#c) (?<>a) \b{x} \b{ a{99999999999} (?:a{1000}){1000} "
    r"[[:foo:] (?>a) \p{ \p (? (?P< \é",
}


@pytest.mark.parametrize(
    ("dialect", "pattern"), [(dialect, pattern) for dialect, texts in INVALID.items() for pattern in texts.split()]
)
def test_invalid_patterns(dialect: Dialect, pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern, dialect)


UNSUPPORTED: dict[Dialect, str] = {
    "python": r"(?=a) (?!a) (?<=a) (?<!a) (a)\1 (?P<n>a)(?P=n) (a)?(?(1)b|c) (?>a) a*+ a{4097} (?:a{99}){99} "
    + "(?:" * 400
    + "a"
    + ")*" * 400,
    "rust": r"\p{Greek} \p{sc=Greek} \p{Alphabetic} a{4097} (?:[ab]{99}c{99}){99} " + "(" * 65 + "a" + ")" * 65
    + " " + "[" * 65 + "a" + "]" * 65,
}  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "pattern"), [(dialect, pattern) for dialect, texts in UNSUPPORTED.items() for pattern in texts.split()]
)
def test_unsupported_patterns(dialect: Dialect, pattern: str) -> None:
    with pytest.raises(UnsupportedPattern):
        compile_pattern(pattern, dialect)


def test_the_messages_say_what_is_wrong() -> None:
    with pytest.raises(PatternError, match="a quantifier with nothing before it at character 1"):
        compile_pattern("|*", "rust")
    with pytest.raises(PatternError, match="unterminated character set at position 0"):
        compile_pattern("[a", "python")
    with pytest.raises(UnsupportedPattern, match="look-around is not matched in linear time"):
        compile_pattern("(?=a)", "python")


def test_no_warning_leaks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compile_pattern("[[a]&&b]+$", "python").tests


def test_the_crates_limit_of_memory() -> None:
    assert compile_pattern(r"^\w{209}$", "rust").tests
    with pytest.raises(PatternError, match="10 MiB"):
        compile_pattern(r"^\w{1,255}$", "rust")
    dot = sets.inverted(sets.NEWLINE)
    sizes = [rust_classes.memory(members) for members in (dot, ((97, 97),), ((97, 98),), ((0xE9, 0xE9),))]
    assert sizes == [1000, 32, 72, 64]


# ---------------------------------------------------------------- what needs no program

IN, PREFIX, SUFFIX, CONTAINS = Op.TEXT_IN, Op.TEXT_PREFIX, Op.TEXT_SUFFIX, Op.TEXT_CONTAINS
LITERAL: list[tuple[Dialect, str, dict[Op, list[str]]]] = [
    ("rust", "abc", {CONTAINS: ["abc"]}),
    ("rust", r"a\.b+c*", {CONTAINS: ["a.b"]}),
    ("rust", "^abc", {PREFIX: ["abc"]}),
    ("rust", r".*@example\.com$", {SUFFIX: ["@example.com"]}),
    ("rust", "(?s)^.*abc.*$", {CONTAINS: ["abc"]}),
    ("rust", "^(a|b)c{2}$", {IN: ["acc", "bcc"]}),
    ("python", "^(?:a|bc)$", {IN: ["a", "bc", "a\n", "bc\n"]}),
    ("python", r"\Aab\Z", {IN: ["ab"]}),
    ("python", r"ab$", {SUFFIX: ["ab", "ab\n"]}),
    ("python", r"ab$\Z", {SUFFIX: ["ab"]}),
    ("rust", "^ab|cd$|ef|^gh$", {PREFIX: ["ab"], SUFFIX: ["cd"], CONTAINS: ["ef"], IN: ["gh"]}),
    ("rust", "^[a-c]?$", {IN: ["", "a", "b", "c"]}),
    ("rust", "", {CONTAINS: [""]}),
    ("rust", "a*|b", {CONTAINS: ["b", ""]}),
    ("rust", "^", {PREFIX: [""]}),
    ("python", "x(?!)", {IN: []}),
    ("python", "\ud800", {CONTAINS: []}),
]


@pytest.mark.parametrize(("dialect", "pattern", "tests"), LITERAL)
def test_literals_are_plain_tests(dialect: Dialect, pattern: str, tests: dict[Op, list[str]]) -> None:
    assert {op: list(texts) for op, texts in compile_pattern(pattern, dialect).tests} == tests


@pytest.mark.parametrize(
    "pattern", ["(?i)abcdef", "a.b", "^a+$", "(?m)^a", r"\ba", "[a-z]{3}", "a{65}$", "^a^|b", "a$b"]
)
def test_others_are_programs(pattern: str) -> None:
    ((op, (program,)),) = compile_pattern(pattern, "rust").tests
    assert (op, program.pattern) == (Op.TEXT_MATCH, pattern)


@pytest.mark.parametrize("unknown", [True, False, None])
def test_the_condition(unknown: bool | None) -> None:
    slot = at("a")
    one = m.Test(Op.TEXT_PREFIX, slot, ("a",), unknown=unknown)
    other = m.Test(Op.TEXT_SUFFIX, slot, ("b",), unknown=unknown)
    assert compile_pattern("^a", "rust").condition(slot, unknown) == one
    assert compile_pattern("^a|b$", "rust").condition(slot, unknown) == m.AnyOf((one, other))


# ---------------------------------------------------------------- time


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:a|b)*a(?:a|b){20}",
        "(?:.{0,30}a){40}",
        "^(?:(?:a{0,9}){0,9}){0,9}b",
        "(?:a?){60}a{60}.",
        r"(?:\ba\B|\Bb\b|^c$){300}",
        "(?i:[a-z\u00e0-\u00ff]{1,63}\\.){1,60}x",
        "|".join(f"{n:x}[{chr(0x4E00 + n)}\u00e9]" for n in range(700)),
    ],
)
def test_what_is_dear_to_compile_is_not_made_a_table(pattern: str) -> None:
    begun = time.thread_time()
    for dialect in ("python", "rust"):
        assert compile_pattern(pattern, dialect).tests[0][0] == Op.TEXT_MATCH  # type: ignore[arg-type]
    assert time.thread_time() - begun < 5  # a second on a good day


def test_the_same_bytes_every_time() -> None:
    pattern = r"(?i)^[\w.+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}\b"
    programs = {bytes(compile_pattern.__wrapped__(pattern, "rust").tests[0][1][0]) for _ in range(3)}
    assert len(programs) == 1


def test_the_characters_of_each_category() -> None:
    ranges = {name: found for name, found in characters._categories().items()}
    points = [point for found in ranges.values() for pair in found for point in pair]
    assert sum(map(sets.size, ranges.values())) == sets.LAST + 1
    assert all(unicodedata.category(chr(first)) == name for name, found in ranges.items() for first, _ in found)
    assert all(unicodedata.category(chr(last)) == name for name, found in ranges.items() for _, last in found)
    assert max(points) == sets.LAST
    elsewhere = [chr(point) for point in (*range(0x40000, 0xE0000, 7), *range(0xE1000, 0x110000, 7))]
    assert {unicodedata.category(character) for character in elsewhere} <= {"Cn", "Co"}
    assert not re.search(r"[\w\s\d]", "".join(elsewhere))
