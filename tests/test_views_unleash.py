"""How the fields and properties of Unleash's context are found, and what they are as text."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from pyflagwasm.config.model import MISSING, Slot
from pyflagwasm.runtime import views
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.views import unleash as views_unleash

NOW = 1_700_000_000_250_000
DAY = datetime.datetime(2022, 1, 29, 13, tzinfo=datetime.UTC)


def read(view: str, context: Any, *args: str) -> Any:
    return views.bind(Slot(view, args))(context, NOW)


@pytest.mark.parametrize(
    ("context", "name", "engine", "client"),
    [
        ({"userId": "a"}, "userId", "a", "a"),
        ({"properties": {"userId": "a"}}, "userId", "a", "a"),
        ({"userId": "top", "properties": {"userId": "a"}}, "userId", "top", "top"),
        ({"targetingKey": "a"}, "userId", "a", "a"),
        ({"targeting_key": "a"}, "userId", "a", "a"),
        ({"targetingKey": "k", "properties": {"userId": "a"}}, "userId", "k", "k"),
        ({"userId": None, "targetingKey": "a"}, "userId", MISSING, "None"),
        ({"userId": 7}, "userId", "7", "7"),
        ({"userId": 1e16}, "userId", "1e+16", "1e+16"),
        ({"userId": 1e-5}, "userId", "0.00001", "1e-05"),
        ({"userId": True}, "userId", "true", "True"),
        ({"userId": float("nan")}, "userId", MISSING, "nan"),
        ({"userId": ["a"]}, "userId", MISSING, "['a']"),
        ({"currentTime": DAY}, "currentTime", "2022-01-29T13:00:00+00:00", "2022-01-29T13:00:00+00:00"),
        ({"properties": {"currentTime": "a"}}, "currentTime", "a", MISSING),
        ({"x": "top", "properties": {"x": "a"}}, "x", "top", "top"),
        ({"x": 1, "properties": {"x": "a"}}, "x", "a", "1"),
        ({"x": 1, "properties": {"x": None}}, "x", "1", "1"),
        ({"x": 1}, "x", "1", "1"),
        ({"x": {}}, "x", MISSING, "{}"),
        ({"properties": {"x": False}}, "x", "false", "False"),
        ({"properties": "x"}, "x", MISSING, MISSING),
        ({"properties": "x"}, "properties", MISSING, MISSING),
        ({"context": "x"}, "context", MISSING, MISSING),
        ({}, "x", MISSING, MISSING),
    ],
)
def test_texts(context: Any, name: str, engine: Any, client: Any) -> None:
    assert read("unleash_text", context, name, "engine") == engine
    assert read("unleash_text", context, name, "client") == client
    for words, found in (("engine", engine), ("client", client)):
        assert read("unleash_text", context, name, words, "static") == ("static" if found is MISSING else found)


def test_an_object_that_is_no_json_is_nothing_to_the_engine() -> None:
    assert read("unleash_text", {"x": object}, "x", "engine") is MISSING


def test_derived_values() -> None:
    context = {"x": "ΑΣ", "n": "1e3", "t": "1970-01-01T00:00:01Z"}
    assert read("unleash_lower", context, "x", "engine") == "ας"
    assert read("unleash_lower", context, "gone", "engine") is MISSING
    assert read("unleash_number", context, "n", "engine") == 1000.0
    assert read("unleash_number", context, "x", "engine") is MISSING
    assert read("unleash_number", context, "gone", "engine") is MISSING
    assert read("unleash_time", context, "t", "engine") == 4000
    assert read("unleash_time", context, "x", "engine") is False
    assert read("unleash_time", context, "gone", "engine") is MISSING


def test_the_time_of_now() -> None:
    assert read("unleash_clock", {}, "currentTime", "engine") == "2023-11-14T22:13:20Z"
    assert read("unleash_clock", {}, "currentTime", "client") == "2023-11-14T22:13:20.250000+00:00"
    assert read("unleash_clock", {"currentTime": "x"}, "currentTime", "engine") == "x"
    assert read("unleash_lower", {}, "currentTime", "engine") == "2023-11-14t22:13:20z"
    timed = {view: views.reads_now(Slot(view, ("currentTime", "engine"))) for view in views.VIEWS if "unleash" in view}
    assert {view for view, reads in timed.items() if reads} == {"unleash_clock", "unleash_lower"}
    assert not views.reads_now(Slot("unleash_lower", ("x", "engine")))


def test_what_is_sticky(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    monkeypatch.setattr(views_unleash, "draw", lambda limit: limits.append(limit) or 5)
    args = ("userId", "engine", "100", "0", "userId", "sessionId")
    assert read("unleash_sticky", {"userId": "", "sessionId": "s"}, *args) == ""
    assert read("unleash_sticky", {"userId": None, "sessionId": "s"}, *args) == "s"
    assert limits == []
    assert read("unleash_sticky", {}, *args) == "5"
    assert read("unleash_random", {"random": 1}, "random", "engine", "10", "0") == 5
    assert limits == [100, 10]


def test_a_draw_lies_below_the_limit() -> None:
    assert {views_unleash.draw(4) for _ in range(200)} == {1, 2, 3}


STICKY = Slot("unleash_sticky", ("userId", "engine", "10", "0", "userId", "sessionId"))
SLOTS = (
    Slot("unleash_text", ("userId", "engine")),
    STICKY,
    Slot("unleash_text", ("x", "engine")),
    Slot("unleash_text", ("properties", "engine")),
    Slot("unleash_text", ("appName", "engine", "shop")),
)


class Config:
    slots = SLOTS
    template = bytes(16 * len(SLOTS))


@pytest.mark.parametrize(
    "context",
    [
        {"userId": "a", "x": "b", "properties": {"x": "c"}, "appName": "d"},
        {"targetingKey": "a", "x": 5, "properties": {"x": "c", "properties": "p"}},
        {"targeting_key": "a", "x": 5},
        {"userId": None, "targetingKey": "a", "sessionId": "s"},
        {"userId": 5, "properties": "x"},
        {"properties": {"userId": "deep", "sessionId": 1}},
    ],
)
def test_the_extension_finds_the_same(context: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    for host in ("portable", None):
        if host:
            monkeypatch.setenv("PYFLAGWASM_HOST", host)
        else:
            monkeypatch.delenv("PYFLAGWASM_HOST", raising=False)
        area = memoryview(bytearray(1 << 17))
        size = Encoder(Config()).encode(context, tuple(range(len(SLOTS))), area, NOW)
        written.append(bytes(area[:size]))
    assert written[0] == written[1]


def test_explanations_call_a_slot_by_its_name() -> None:
    assert [slot.name for slot in SLOTS] == ["userId", "userId", "x", "properties", "appName"]
    assert views.label(STICKY) == "userId"
