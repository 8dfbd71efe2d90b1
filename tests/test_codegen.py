"""The code generator by its parts: shapes of values, names of keys, values as Python, and the module.

The command is in test_codegen_command.py, manifests are in test_codegen_manifest.py, types in test_typing.py.
"""

from __future__ import annotations

import ast
import keyword
import random
import subprocess
import sys
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from codegen_documents import KEYS, hostile
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflagwasm.codegen import literals
from pyflagwasm.codegen.module import module
from pyflagwasm.codegen.names import camel, identifier, identifiers
from pyflagwasm.codegen.shapes import (
    ANY,
    BOOL,
    FLOAT,
    INT,
    MOST_TEXTS,
    NONE,
    OBJECT,
    STR,
    Described,
    ListOf,
    OneOf,
    Record,
    Shape,
    Texts,
    shape_of,
)
from pyflagwasm.typed import Flag, declared
from pyflagwasm.typed.fitting import misfit

# ---------------------------------------------------------------- shapes

SHAPES: list[tuple[list[Any], Shape]] = [
    ([], ANY),
    ([None], ANY),
    ([True, False], BOOL),
    ([1, 2], INT),
    ([1, 2.5], FLOAT),
    (["a", "b"], STR),
    (["a", None], OneOf((STR, NONE))),
    ([True, "a", 1], OneOf((BOOL, INT, STR))),
    ([[1], [2, 3]], ListOf(INT)),
    ([[], []], ListOf(ANY)),
    ([{}], OBJECT),
    ([{"a": 1}, {"b": 1}], OBJECT),
    ([{"a": 1}, {"a": "x"}], Record((("a", OneOf((INT, STR)), True),))),
    ([{"a": 1, "b": [True]}, {"b": [], "a": 0.5}], Record((("a", FLOAT, True), ("b", ListOf(BOOL), True)))),
    ([[{"a": None}]], ListOf(Record((("a", ANY, True),)))),
]


@pytest.mark.parametrize(("values", "shape"), SHAPES, ids=str)
def test_shapes(values: list[Any], shape: Shape) -> None:
    assert shape_of(values) == shape


def test_shapes_of_texts() -> None:
    assert shape_of(["b", "a", "b"], texts=True) == Texts(("a", "b"))
    assert shape_of(["b", 1], texts=True) == OneOf((INT, Texts(("b",))))
    assert shape_of([str(number) for number in range(MOST_TEXTS + 1)], texts=True) == STR
    assert shape_of([{"a": "b"}], texts=True) == Record((("a", STR, True),))


def test_what_is_deep_or_wide_is_any_object() -> None:
    deep: Any = {"a": 1}
    for _ in range(100):
        deep = {"a": deep}
    shape: Any = shape_of([deep])
    for _ in range(4):
        shape = shape.members[0][1]
    assert shape == OBJECT
    assert shape_of([{str(number): 1 for number in range(1000)}]) == OBJECT


# ---------------------------------------------------------------- names

NAMES = {
    "new-checkout": "new_checkout", "newCheckout": "new_checkout", "HTTPServer2Go": "http_server2_go", "a.b/c": "a_b_c",
    "class": "class_", "match": "match", "None": "none", "__init__": "init", "_x_": "x", "1st": "flag_1st", "": "flag",
    "\U0001f600": "flag", "\ufb01nish": "finish", "gr\xf6\xdfe": "gr\xf6\xdfe", "\u5272\u5f15": "\u5272\u5f15",
    "int": "int_", "str": "str_", "flag": "flag", "print": "print", "\u202egnp": "gnp", "\xaa\xb2": "a2",
}  # fmt: skip


def test_names() -> None:
    assert {key: identifier(key) for key in NAMES} == NAMES
    assert [camel(key) for key in ("new-checkout", "1st", "class")] == ["NewCheckout", "Flag1st", "Class"]


def test_names_that_collide() -> None:
    assert identifiers(["a-b", "a.b", "a_b", "c"]) == {"a-b": "a_b_d44362", "a.b": "a_b_2e7336", "a_b": "a_b", "c": "c"}
    assert identifiers(["a-b", "a.b"]) == {"a-b": "a_b_d44362", "a.b": "a_b_2e7336"}
    assert identifiers(["a-b"]) == {"a-b": "a_b"}
    # A key that has taken what another one's hash would make of it.
    assert identifiers(["a-b", "a_b", "a_b_d44362"])["a-b"] == "a_b_d44362d"


def test_names_do_not_depend_on_the_order() -> None:
    keys = [*KEYS, *(f"{key}!" for key in KEYS)]
    expected = identifiers(keys)
    for seed in range(20):
        random.Random(seed).shuffle(keys)
        assert identifiers(keys) == expected


@given(st.lists(st.text(), unique=True, max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_text_gets_a_name(keys: list[str]) -> None:
    names = identifiers(keys)
    assert len(set(names.values())) == len(keys)
    for name in names.values():
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert not name.startswith("_")
        assert ast.parse(name).body[0].value.id == name  # type: ignore[attr-defined]  # as the compiler reads it


# ---------------------------------------------------------------- values as Python

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_values_are_read_back(value: Any) -> None:
    written = literals.value(value, 8, 16)
    assert written.isprintable() or "\n" in written
    assert eval(written) == value
    assert repr(eval(written)) == repr(value)  # 1 is not 1.0, nor True


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_docstrings_are_read_back(words: str) -> None:
    written = literals.docstring(words, 4)
    if written:
        assert eval(written.strip()).split() == words.split()
    else:
        assert not words.split()


@given(
    st.lists(
        st.tuples(st.text(max_size=90), st.lists(JSON, max_size=3), st.booleans(), st.text(max_size=200)),
        max_size=5,
        unique_by=lambda each: each[0],
    )
)
@settings(max_examples=60, deadline=None)
def test_any_flags_make_a_module(flags: list[tuple[str, list[Any], bool, str]]) -> None:
    described = [
        Described(key, shape_of(values, texts=texts), values[0] if values else None, about)
        for key, values, texts, about in flags
    ]
    found = declared(loaded(module(described, "Flags"))["Flags"])
    names = identifiers(key for key, *_ in flags)
    assert list(found) == [names[key] for key, *_ in flags]
    for each, (key, values, _, _) in zip(found.values(), flags, strict=True):
        assert each.key == key
        for value in values:  # each of them is of the type that is written
            assert each.wrong(value) is None or (value is None and not each._null)


def loaded(text: str) -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "generated"}
    sys.modules["generated"] = sys.modules[__name__]  # where types look for their names
    try:
        exec(compile(text, "generated", "exec", dont_inherit=True), space)
    finally:
        del sys.modules["generated"]
    return space


# ---------------------------------------------------------------- the module

FLAGS = [
    Described("new-checkout", BOOL, False, "The one of which everybody talks."),
    Described("fee", FLOAT, 3),
    Described("tone", Texts(("plain", "warm")), "plain"),
    Described("banner", Record((("title", STR, True), ("max-width", INT, False))), {"title": "Hi"}),
    Described("names", ListOf(STR), ["a"]),
    Described("mixed", OneOf((BOOL, STR)), False),
]
WRITTEN = '''\
"""Flags with their types and defaults. Written by `pyflagwasm codegen`: write it anew rather than change it."""

# fmt: off
# ruff: noqa

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

from pyflagwasm.typed import Flag, FlagSet


ToneValue = Literal["plain", "warm"]


BannerValue = TypedDict(
    "BannerValue",
    {
        "title": str,
        "max-width": NotRequired[int],
    },
)


class Shop(FlagSet):
    """For one context: `Shop(flags.bind(context))`. Each attribute is a flag's value."""

    new_checkout = Flag("new-checkout", default=False)
    """The one of which everybody talks."""

    fee = Flag("fee", default=3.0)
    tone = Flag[ToneValue]("tone", default="plain")
    banner = Flag[BannerValue]("banner", default={"title": "Hi"})
    names = Flag[Sequence[str]]("names", default=["a"])
    mixed = Flag[bool | str]("mixed", default=False)
'''


def test_the_module() -> None:
    assert module(FLAGS, "Shop") == WRITTEN


def test_what_is_written_is_what_is_declared() -> None:
    space = loaded(WRITTEN)
    found = declared(space["Shop"])
    assert [(each.key, each.default) for each in found.values()] == [(each.key, each.default) for each in FLAGS]
    assert all(isinstance(each, Flag) for each in found.values())
    banner = typing.get_type_hints(space["BannerValue"])
    assert banner == {"title": str, "max-width": int}
    assert misfit({"max-width": 3}, space["BannerValue"]) == "the value has no member 'title'"


def test_formatters_have_nothing_to_do(tmp_path: Path) -> None:
    """Neither as it is, whatever their settings, nor by default without the comments that keep them away."""
    from codegen_documents import VALUES

    flags = [
        Described(
            key,
            shape_of(list(VALUES[number % len(VALUES)].values())),
            next(iter(VALUES[number % len(VALUES)].values())),
        )
        for number, key in enumerate(KEYS)
        if key.isascii() and len(key) < 80  # a wide letter has two columns; a name cannot be parted
    ]
    text = module(flags, "Flags")
    for name, without in (("as_it_is", ""), ("bare", "# fmt: off\n# ruff: noqa\n\n")):
        path = tmp_path / f"{name}.py"
        path.write_text(text.replace(without, "", 1) if without else text, "utf-8")
        for options in (
            ["--line-length", "88"],
            *([["--config", "format.quote-style = 'single'"]] if not without else []),
        ):
            command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", *options, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode, done.stdout) == (0, ""), done.stdout


def test_ten_thousand_flags() -> None:
    flags = [Described(f"flag-{number}", BOOL, False) for number in range(10_000)]
    found = declared(loaded(module(flags, "Flags"))["Flags"])
    assert len(found) == 10_000
    assert found["flag_9999"].key == "flag-9999"


def test_the_hostile_document_is_what_it_should_be() -> None:
    from pyflagwasm.loading import compile_source

    compiled = compile_source(hostile())
    assert list(compiled.flags) == KEYS
    assert isinstance(compiled.flags, Mapping)
