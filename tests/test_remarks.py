"""What is said, once, to who asks in vain: an evaluator that is not open, a flag that there is not, no mapping."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from evaluators import FLAGD, closed, document, opened

import pyflagwasm
from pyflagwasm.errors import ConfigError, FlagNotFoundError
from pyflagwasm.integrations.requests import RequestFlags
from pyflagwasm.once import Once
from pyflagwasm.pool.remarks import CLOSED, NOT_DELIVERED, NOT_OPEN, did_you_mean
from pyflagwasm.runtime import encode
from pyflagwasm.sources.base import Sink, Source
from pyflagwasm.types import ErrorCode

UNREADY = "a flag is asked for and gives its default: "


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Any:
    return lambda: [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


class Silent(Source):
    """Delivers nothing."""

    name = "silent"

    async def run(self, sink: Sink) -> None:
        """Ends at once."""


# ---------------------------------------------------------------- not open


def test_before_opening_and_after_closing(said: Any) -> None:
    flags = pyflagwasm.open(FLAGD)
    details = [flags.details_nowait("plan", default=True) for _ in range(3)]
    assert {each.error_message for each in details} == {NOT_OPEN}
    assert (flags.bind().all(), flags.bind().many(["plan"]), flags.bind().all_details()) == ({}, {}, {})
    assert said() == [UNREADY + NOT_OPEN]
    assert repr(flags) == "<FlagEvaluator: not open>"

    async def main() -> None:
        async with flags:
            assert await flags.value("plan", {"plan": "pro"}, default=False) is True
        with flags.pin() as pinned:
            assert pinned.details_nowait("plan").error_message == CLOSED

    asyncio.run(main())
    after = flags.details_nowait("plan", default=True)
    assert (after.value, after.error_code, after.error_message) == (True, ErrorCode.PROVIDER_NOT_READY, CLOSED)
    assert flags.bind().details("plan").error_message == CLOSED
    assert said() == [UNREADY + NOT_OPEN]  # what is asked while everything closes is nobody's mistake
    assert repr(flags) == "<FlagEvaluator: closed>"


def test_each_evaluator_says_so_in_every_way_that_it_is_asked(said: Any) -> None:
    asks: list[Any] = [
        lambda flags: flags.value_nowait("plan"),
        lambda flags: asyncio.run(_awaited(flags)),
        lambda flags: flags.bind({}).value("plan"),
        lambda flags: flags.bind({}).all(),
        lambda flags: flags.bind({}).all_details(),
        lambda flags: RequestFlags(flags, {}).value("plan", None),
    ]
    for ask in asks:
        ask(pyflagwasm.open(FLAGD))
    assert said() == [UNREADY + NOT_OPEN] * len(asks)


async def _awaited(flags: Any) -> Any:
    return await flags.value("plan")


def test_a_source_that_has_not_delivered_is_another_matter(said: Any) -> None:
    async def main() -> None:
        async with pyflagwasm.open(Silent(), start_timeout=0.01) as flags:
            assert flags.details_nowait("plan").error_message == NOT_DELIVERED
            assert repr(flags) == "<FlagEvaluator: waiting>"

    asyncio.run(main())
    assert said() == [UNREADY + NOT_DELIVERED]


# ---------------------------------------------------------------- no such flag


def test_an_unknown_flag_is_logged_once_with_the_one_that_was_meant(said: Any) -> None:
    flags = opened(FLAGD)
    try:
        for _ in range(2):
            assert flags.value_nowait("Split", default="d") == "d"
            assert asyncio.run(flags.details("dissabled", {}, default=1)).error_message == (
                "the configuration has no such flag"
            )
            assert flags.bind({}).value("zebra", 3) == 3
            assert flags.bind({}).many(["plan", "plans"]) == {"plan": False}
        assert said() == [
            "there is no flag 'Split', did you mean 'split'?; callers get their default",
            "there is no flag 'dissabled', did you mean 'disabled'?; callers get their default",
            "there is no flag 'zebra'; callers get their default",
            "there is no flag 'plans', did you mean 'plan'?; callers get their default",
        ]
        with pytest.raises(
            FlagNotFoundError, match=r"^plam: the configuration has no such flag, did you mean 'plan'\?$"
        ):
            flags.value_nowait("plam", strict=True)
        with pytest.raises(FlagNotFoundError, match=r"did you mean 'plan'\?$"):
            flags.bind({}).value("plam", strict=True)
        with pytest.raises(FlagNotFoundError, match=r"did you mean 'plan'\?$"):
            asyncio.run(_strict(flags))
        for odd in ([], 7, None):
            assert flags.value_nowait(odd, default="d") == "d"  # type: ignore[arg-type]
    finally:
        closed(flags)


async def _strict(flags: Any) -> Any:
    return await flags.value("plam", strict=True)


def test_a_configuration_that_has_the_flag_later_is_looked_at_anew() -> None:
    flags = opened({"flags": {"dark-mode": FLAGD["flags"]["bool"]}})
    try:
        with pytest.raises(FlagNotFoundError, match="did you mean 'dark-mode'"):
            flags.value_nowait("dark-mod", strict=True)
        asyncio.run(flags.reload({"flags": {"dark-mood": FLAGD["flags"]["bool"]}}))
        with pytest.raises(FlagNotFoundError, match="did you mean 'dark-mood'"):
            flags.value_nowait("dark-mod", strict=True)
    finally:
        closed(flags)


def test_who_makes_up_keys_gets_a_bounded_number_of_lines_and_comparisons(said: Any) -> None:
    flags = opened(FLAGD)
    try:
        for i in range(300):
            flags.value_nowait(f"plan{i}\n" + "x" * 10_000)
            flags.value_nowait(f"plan{i}")
        lines = said()
        assert len(lines) == 100
        assert all(len(line) < 250 and "\n" not in line for line in lines)
        assert lines[-1].endswith("; further unknown flags are not logged")
        for i in range(300):
            with pytest.raises(FlagNotFoundError):
                flags.value_nowait(f"plan{i}", strict=True)
        assert len(flags._pool.remarks._meant) <= 100
    finally:
        closed(flags)


def test_what_was_meant() -> None:
    keys = ["dark-mode", "new-checkout", "a"]
    cases = {
        "dark_mode": "dark-mode",
        "DarkMode": "dark-mode",
        "DARK-MODE": "dark-mode",
        "new-chekout": "new-checkout",
        "": None,
    }
    for given, wanted in cases.items():
        assert did_you_mean(given, keys) == ("" if wanted is None else f", did you mean {wanted!r}?")
    many = [f"a-flag-with-a-long-name-{i}" for i in range(100_000)]
    began = time.thread_time()
    did_you_mean("a-flog-with-a-long-name-77", many)
    did_you_mean("ab" * 5_000, many)
    assert time.thread_time() - began < 1


def test_once_is_bounded() -> None:
    once = Once(2)
    assert [once("a"), once("a"), once("b"), once.full, once("c"), once("a")] == [True, False, True, True, False, False]


# ---------------------------------------------------------------- no mapping


def test_a_context_that_is_no_mapping_is_logged_once_for_each_type(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_once", Once())
    flags = opened(FLAGD)
    wrong: list[Any] = ["x", b"x", True, 7, ["x"], 0.5]
    try:
        for given in wrong * 2:
            details = flags.details_nowait("plan", given)
            assert (details.error_code, details.value) == (ErrorCode.INVALID_CONTEXT, None)
            assert flags.bind(given).value("plan") is None
        words = (
            "flags that read it give the default. The second argument of value(key, context, default=...) is the "
            "context; did you mean default=...?"
        )
        kinds = ("a str", "a bytes", "a bool", "an int", "a list", "a float")
        assert said() == [f"an evaluation context is a mapping, not {kind}: {words}" for kind in kinds]
    finally:
        closed(flags)


# ---------------------------------------------------------------- what is live


def test_each_configuration_that_goes_live_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pyflagwasm")
    path = tmp_path / "flags.json"
    path.write_bytes(document(f=FLAGD["flags"]["bool"]))
    flags = opened(path)
    asyncio.run(flags.reload(FLAGD))
    with pytest.raises(ConfigError):
        asyncio.run(flags.reload(b"{"))
    asyncio.run(flags.reload(path))
    closed(flags)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", f"generation 1 of {path} is live"),
        ("INFO", "generation 2 of what was given is live"),
        ("INFO", f"generation 3 of {path} is live"),
    ]
