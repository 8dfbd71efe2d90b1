"""Reading JSON in pieces gives what json.loads gives, errors included; and compiling gives way to other threads."""

from __future__ import annotations

import gc
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pools import versioned

from pyflagwasm.config import pace
from pyflagwasm.config.pieces import Pieces
from pyflagwasm.loading import compile_source

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def outcome(read: Any, text: str) -> tuple[Any, ...]:
    try:
        return ("value", repr(read(text)))
    except json.JSONDecodeError as error:
        return (error.msg, error.pos)
    except RecursionError:
        return ("deep",)


@given(VALUES, st.sampled_from([None, 1]), st.data())
def test_as_json_loads(value: Any, indent: int | None, data: st.DataObject) -> None:
    text = json.dumps(value, indent=indent)
    assert outcome(Pieces().decode, text) == outcome(json.loads, text)
    at = data.draw(st.integers(0, len(text)))
    for damaged in (text[:at], text[:at] + data.draw(st.sampled_from('{}[]",:x0 \\')) + text[at:]):
        assert outcome(Pieces().decode, damaged) == outcome(json.loads, damaged)


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[", '{"a"', '{"a":', '{"a":1,', '{"a":1,}', "[1,]", "[1 2]", "{}x", '{"a":{"b":[1,{"c":2}]}}',
     "nul", '{"a":1,"a":2}', '"\\ud800"', "-", "1e999", "[NaN]", '{1:2}', '{"a" 1}', "[" * 100_000],
)  # fmt: skip
def test_known_cases(text: str) -> None:
    assert outcome(Pieces().decode, text) == outcome(json.loads, text)


def test_hooks_are_used() -> None:
    read = Pieces(parse_int=lambda literal: f"<{literal}>", parse_constant=lambda name: name)
    assert read.decode('{"a": [1, {"b": 2}], "c": NaN}') == {"a": ["<1>", {"b": "<2>"}], "c": "NaN"}


def test_compiling_gives_way() -> None:
    """Another thread that only wants the interpreter for a moment gets it long before the switch interval is over."""
    document = versioned(1, 400)
    compile_source(document)
    waits: list[float] = []
    done = threading.Event()

    def work() -> None:
        with pace.unhurried():
            assert not gc.isenabled()
            compile_source(document)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not done.is_set():
        start = time.perf_counter()
        time.sleep(1 / 10_000)
        waits.append(time.perf_counter() - start)
    thread.join()
    waits.sort()
    assert gc.isenabled()
    assert len(waits) > 20
    assert waits[len(waits) // 2] < 0.004  # without breathing every wait takes 5 ms


def test_room_is_made_for_who_is_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(pace.time, "sleep", slept.append)
    monkeypatch.setitem(pace._pausing, 1, time.perf_counter())
    pace.make_room()
    assert slept == []
    monkeypatch.setitem(pace._pausing, 2, time.perf_counter() - 2 * pace.STARVED)
    pace.make_room()
    assert slept == [pace.SLICE]


def test_the_garbage_collector_goes_on_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "HELD_OFF", 0.0)
    with pace.unhurried():
        pace.breathe()
        assert gc.isenabled()


def test_a_collector_that_somebody_turned_off_stays_off() -> None:
    gc.disable()
    try:
        with pace.unhurried():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
