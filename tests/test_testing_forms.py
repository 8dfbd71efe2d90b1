"""The forms in which `override_flags` is written: blocks, decorators, one object many times, keywords."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm import hooks as module
from pyflagwasm.testing import override_flags

PRO = {"plan": "pro"}


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(FLAGD)
    yield evaluator
    closed(evaluator)
    assert evaluator._hooks == []
    assert module.overriding == []


def test_the_newest_wins_flag_by_flag(flags: FlagEvaluator) -> None:
    with override_flags(text="outer", int=1):
        with override_flags(text="inner", float=0.25):
            values = flags.bind({}).many(["text", "int", "float"])
            assert values == {"text": "inner", "int": 1, "float": 0.25}
        assert flags.bind({}).many(["text", "int", "float"]) == {"text": "outer", "int": 1, "float": 0.5}


def test_one_object_many_times(flags: FlagEvaluator) -> None:
    on = override_flags(text="overridden")
    for _ in range(2):
        with on, on:
            with on:
                pass
            assert flags.value_nowait("text", default="") == "overridden"
        assert flags.value_nowait("text", default="") == "A"
    with pytest.raises(RuntimeError, match="not entered"):
        on.__exit__(None, None, None)
    assert repr(on) == "override_flags({'text': 'overridden'})"


def test_the_mapping_is_read_at_once(flags: FlagEvaluator) -> None:
    given = {"text": "then"}
    on = override_flags(given)
    given["text"] = "now"
    with on:
        assert flags.value_nowait("text", default="") == "then"


def test_nothing_is_overridden(flags: FlagEvaluator) -> None:
    with override_flags():
        assert flags.value_nowait("text", default="") == "A"
        assert flags.bind({}).many(["text"]) == {"text": "A"}


def test_a_decorator(flags: FlagEvaluator) -> None:
    @override_flags(text="overridden")
    def ask(depth: int, *, more: int) -> list[str]:
        """Asks."""
        deeper = ask(depth - 1, more=more) if depth else []
        return [flags.value_nowait("text", default=""), *deeper]

    assert (ask.__name__, ask.__doc__) == ("ask", "Asks.")
    assert ask(2, more=1) == ["overridden"] * 3
    assert flags.value_nowait("text", default="") == "A"


@every_loop
def test_a_decorator_of_a_coroutine_function(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD) as flags:

            @override_flags(text="overridden")
            async def ask() -> str:
                return await flags.value("text", default="")

            assert asyncio.iscoroutinefunction(ask)
            assert await ask() == "overridden"
            assert await flags.value("text", default="") == "A"
            async with override_flags(text="in a block") as entered:
                assert await flags.value("text", default="") == "in a block"
                assert repr(entered) == "override_flags({'text': 'in a block'})"
            assert await flags.value("text", default="") == "A"

    run_on(loop, scenario)


@every_loop
def test_a_decorator_of_what_gives_a_coroutine(loop: str) -> None:
    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD) as flags:

            async def ask() -> str:
                return await flags.value("text", default="")

            class Asking:
                async def __call__(self) -> str:
                    return await ask()

            for function in (lambda: ask(), Asking()):
                assert await override_flags(text="overridden")(function)() == "overridden"
            assert await ask() == "A"

    run_on(loop, scenario)


def test_what_cannot_be_decorated() -> None:
    def generator() -> Iterator[int]:
        yield 1

    async def asynchronous() -> Any:
        yield 1

    on = override_flags(plan=True)
    for function in (generator, asynchronous):
        with pytest.raises(TypeError, match="cannot decorate a generator: use `with override_flags"):
            on(function)
    with pytest.raises(TypeError, match=r"cannot decorate a class: use pytest\.mark\.flags"):
        on(Iterator)


def test_an_exception_in_the_block(flags: FlagEvaluator) -> None:
    with pytest.raises(ZeroDivisionError) as caught, override_flags(plan=False):
        raise ZeroDivisionError
    assert not hasattr(caught.value, "__notes__")
    assert flags.value_nowait("plan", PRO, default=False) is True


def test_one_that_is_never_used() -> None:
    with pytest.warns(RuntimeWarning, match="alone overrides nothing: write `with override_flags") as caught:
        override_flags(plan=True)
    assert caught[0].filename == __file__
    on = override_flags(plan=True)
    with on:
        pass
    del on  # no warning: it would be an error here


# ---------------------------------------------------------------- keys with dashes


def test_a_keyword_for_a_flag_with_a_dash() -> None:
    dashed = FLAGD["flags"]["bool"]
    evaluator = opened({"flags": {"new-checkout": dashed, "a-b": dashed, "a_b": dashed}})
    words = "new_checkout=... overrides the flag 'new_checkout', which is not in the configuration, and 'new-checkout'"
    with pytest.raises(ValueError, match=words), override_flags(new_checkout=False):
        assert evaluator.value_nowait("new-checkout", default=False) is True
    with pytest.raises(ValueError, match=words), override_flags(new_checkout=False):
        evaluator.bind({}).many(["new-checkout"])
    with pytest.raises(ZeroDivisionError) as caught, override_flags(new_checkout=False):
        1 // (not evaluator.value_nowait("new-checkout", default=False))
    assert caught.value.__notes__ == [
        f"{words} was asked for: write override_flags({{'new-checkout': ...}})",
    ]
    with override_flags(a_b=False):  # both are there
        assert evaluator.value_nowait("a-b", default=False) is True
        assert evaluator.value_nowait("a_b", default=True) is False
    with override_flags({"new_checkout": False}):  # written as a key, it is meant
        evaluator.value_nowait("new-checkout", default=False)
    with override_flags(new_checkout=False):  # nobody has asked
        pass
    closed(evaluator)
