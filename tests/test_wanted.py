"""Arguments of a wrong type: one line that says what is wanted, from every call that users make first."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened

import pyflagwasm
from pyflagwasm.hooks import Hook
from pyflagwasm.integrations import aiohttp, openfeature, opentelemetry, starlette
from pyflagwasm.testing import in_memory, override_flags
from pyflagwasm.wanted import a

OPEN = r"pyflagwasm.open('flags.json')"
WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "lifespan": (
        lambda: starlette.lifespan("flags.json"),  # type: ignore[arg-type]
        f"an evaluator is needed, or a function that makes one, not a str: lifespan({OPEN})",
    ),
    "lifespan of None": (
        lambda: starlette.lifespan(None),  # type: ignore[arg-type]
        f"an evaluator is needed, or a function that makes one, not None: lifespan({OPEN})",
    ),
    "setup": (
        lambda: aiohttp.setup(aiohttp.web.Application(), "my.json"),  # type: ignore[arg-type]
        "an evaluator is needed, or a function that makes one, not a str: setup(app, pyflagwasm.open('my.json'))",
    ),
    "override_flags": (
        lambda: override_flags("x"),  # type: ignore[arg-type]
        "override_flags takes a mapping, {'new-checkout': True}, not a str",
    ),
    "in_memory": (
        lambda: in_memory("flags.json"),  # type: ignore[arg-type]
        "in_memory takes a mapping of keys to values, {'new-checkout': True}, not a str; files are read by "
        "pyflagwasm.open",
    ),
    "in_memory of nothing": (
        lambda: in_memory([]),  # type: ignore[arg-type]
        "in_memory takes a mapping of keys to values, {'new-checkout': True}, not a list; files are read by "
        "pyflagwasm.open",
    ),
    "FlagwasmProvider": (
        lambda: openfeature.FlagwasmProvider("flags.json"),  # type: ignore[arg-type]
        "FlagwasmProvider takes an evaluator, as pyflagwasm.open gives it, not a str",
    ),
    "instrument": (
        lambda: opentelemetry.instrument("x"),  # type: ignore[arg-type]
        "instrument takes an evaluator, as pyflagwasm.open gives it, not a str",
    ),
    "flags": (
        lambda: starlette.flags(None),  # type: ignore[arg-type]
        "flags takes a request or a websocket, not None",
    ),
    "flags of aiohttp": (
        lambda: aiohttp.flags(7),  # type: ignore[arg-type]
        "flags takes a request, not an int",
    ),
    "size": (lambda: pyflagwasm.open(FLAGD, size="2"), "size is a whole number, not a str: '2'"),  # type: ignore[arg-type]
    "a broken size": (lambda: pyflagwasm.open(FLAGD, size=1.5), "size is a whole number, not a float: 1.5"),  # type: ignore[arg-type]
    "timeout": (lambda: pyflagwasm.open(FLAGD, timeout=None), "timeout is a number, not None: None"),  # type: ignore[arg-type]
    "max_waiting": (
        lambda: pyflagwasm.open(FLAGD, max_waiting=[]),  # type: ignore[arg-type]
        "max_waiting is a whole number, not a list: []",
    ),
    "start_timeout": (
        lambda: pyflagwasm.open(FLAGD, start_timeout="5s"),  # type: ignore[arg-type]
        "start_timeout is a number, not a str: '5s'",
    ),
    "hooks": (
        lambda: pyflagwasm.open(FLAGD, hooks=[opentelemetry.OpenTelemetryHook]),  # type: ignore[list-item]
        "a hook is an object, not a class: OpenTelemetryHook()",
    ),
    "a hook that is no list": (
        lambda: pyflagwasm.open(FLAGD, hooks=Hook()),  # type: ignore[arg-type]
        "hooks is a list of hooks, not a Hook: hooks=[...]",
    ),
    "add_hook": (
        lambda: pyflagwasm.open(FLAGD).add_hook(Hook),  # type: ignore[arg-type]
        "a hook is an object, not a class: Hook()",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_it_is_told_in_one_line(what: str) -> None:
    call, message = WRONG[what]
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        call()


@pytest.mark.parametrize("again", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_holds_a_core_is_sent_nowhere(again: Callable[[Any], Any]) -> None:
    flags = opened(FLAGD)
    try:
        for each in (flags, flags.pin(), flags.lease(), flags.bind({})):
            words = f"^a {type(each).__name__} cannot be pickled or copied: send the configuration, and open it where"
            with pytest.raises(TypeError, match=words):
                again(each)
    finally:
        closed(flags)


def test_articles() -> None:
    assert [a(each) for each in ("x", 1, None, {}, OSError())] == ["a str", "an int", "None", "a dict", "an OSError"]
