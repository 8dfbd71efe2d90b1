"""Declared flags compared with the configuration."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

import pytest
from evaluators import BROKEN, LENIENT, ON_OFF, closed, devcycle, flag, opened

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.errors import DeclarationError
from pyflagwasm.typed import Flag, FlagSet, check

DOCUMENT: dict[str, Any] = {
    "flags": {
        "new-checkout": flag(ON_OFF, "off"),
        "fee": flag({"usual": 3.5, "none": 0}, "usual"),
        "tone": flag({"plain": "plain", "loud": "loud", "louder": "louder"}, "plain"),
        "price": flag({"right": "1.50", "wrong": "dear"}, "right"),
        "hours": flag({"always": None, "short": "9-12"}, "always"),
    }
}


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(DOCUMENT, options=LENIENT)
    yield evaluator
    closed(evaluator)


class Sound(FlagSet):
    new_checkout = Flag("new-checkout", default=True)
    fee = Flag("fee", default=1.0)
    tone = Flag("tone", default="")
    tones = Flag[Literal["plain", "loud", "louder"]]("tone", default="plain")
    hours = Flag[str | None]("hours", default=None)


class Unsound(Sound):
    checkout = Flag("new-chekout", default=False)
    fee = Flag("fee", default=1.5)
    whole = Flag("fee", default=1)
    few = Flag[Literal["plain"]]("tone", default="plain")
    price = Flag("price", default=Decimal(1), parse=Decimal)
    open_at = Flag("hours", default="", parse=str.upper)
    elsewhere = Flag("nothing like it", default=1)


def test_what_goes_together(flags: FlagEvaluator) -> None:
    check(flags, Sound, Flag("tone", default="x"))
    with flags.pin() as pinned:
        check(pinned, Sound)
    check(flags)


def test_everything_is_told_at_once(flags: FlagEvaluator) -> None:
    alone = Flag("fee", default="")
    with pytest.raises(DeclarationError) as caught:
        check(flags, Unsound, alone, alone, Unsound)
    assert caught.value.problems == (
        "Unsound.checkout: the configuration has no flag 'new-chekout'; did you mean 'new-checkout'?",
        "Unsound.whole: variant 'usual' of 'fee': the value is a number, the default is an integer",
        "Unsound.few: variant 'loud' of 'tone': the value is 'loud', none of ['plain'] (and 1 more of its variants)",
        "Unsound.price: variant 'wrong' of 'price': the value 'dear' cannot be parsed: "
        "InvalidOperation: [<class 'decimal.ConversionSyntax'>]",
        "Unsound.open_at: variant 'always' of 'hours': the value is null",
        "Unsound.elsewhere: the configuration has no flag 'nothing like it'",
        "'fee': variant 'usual' of 'fee': the value is a number, the default is a text (and 1 more of its variants)",
    )
    lines = str(caught.value).split("\n  ")
    assert lines[0] == "the declared flags do not go with generation 1 of the configuration:"
    assert tuple(lines[1:]) == caught.value.problems
    assert isinstance(caught.value, pyflagwasm.FlagWasmError)


def test_what_is_listed_is_what_happens(flags: FlagEvaluator) -> None:
    """A flag that check accepts never gives its default because of a type, and one that it lists does."""
    for declaration, sound in ((Flag("fee", default=1.0), True), (Flag("fee", default=1), False)):
        try:
            check(flags, declaration)
        except DeclarationError:
            assert not sound
        details = declaration.details_nowait(flags)
        assert (details.error_code is None) == sound


def test_flags_that_cannot_be_evaluated() -> None:
    evaluator = opened(BROKEN, options=LENIENT)
    try:
        check(evaluator, Flag("sound", default=False))
        with pytest.raises(DeclarationError, match="'shapeless': the flag 'shapeless' cannot be evaluated: "):
            check(evaluator, Flag("shapeless", default=False))
    finally:
        closed(evaluator)


def test_a_declared_type_counts() -> None:
    evaluator = opened(devcycle("Number", 1, 2))
    try:
        check(evaluator, Flag("v", default=1))
        with pytest.raises(DeclarationError, match="variant 'number-0' of 'v': the flag is declared as number"):
            check(evaluator, Flag("v", default="1"))
    finally:
        closed(evaluator)


def test_without_a_configuration() -> None:
    with pytest.raises(DeclarationError, match=r"^no configuration is loaded: enter the evaluator, or await "):
        check(pyflagwasm.open(DOCUMENT, options=LENIENT), Sound)
