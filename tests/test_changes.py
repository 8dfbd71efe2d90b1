"""Listeners: what they are told of an evaluator, in which order, and what they cannot break. And what flags changed."""

from __future__ import annotations

import gc
import json
import logging
import os
import threading
from typing import Any

import pytest
from evaluators import FLAGD, ON_OFF, devcycle, flag
from fed import Fed, flags_of
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import Change, FlagEvaluator
from pyflagwasm.changes import Listeners
from pyflagwasm.config.fingerprint import fingerprints
from pyflagwasm.config.formats import load
from pyflagwasm.generation import Generation
from pyflagwasm.loading import compile_source
from pyflagwasm.testing import in_memory
from pyflagwasm.types import State


def told(flags: FlagEvaluator) -> list[Change]:
    seen: list[Change] = []
    flags.add_listener(seen.append)
    return seen


@every_loop
def test_a_life(loop: str) -> None:
    async def main() -> None:
        fed = Fed()
        flags = pyflagwasm.open(fed, bundled=flags_of(a="on", b="on"))
        seen = told(flags)
        async with flags:
            await fed.give(flags_of(a="off", b="on", c="on"))
            await fed.fail("the line is down")
            await fed.fail("the line is down")
            await fed.confirm()
            await fed.give(b"{")
            await flags.reload(flags_of(c="on"))
        assert seen == [
            Change(State.NOT_READY, State.READY, 0, 1, ("a", "b"), None),
            Change(State.READY, State.READY, 1, 2, ("a", "c"), None),
            Change(State.READY, State.STALE, 2, 2, (), "the line is down"),
            Change(State.STALE, State.STALE, 2, 2, (), "the line is down"),
            Change(State.STALE, State.READY, 2, 2, (), None),
            Change(State.READY, State.STALE, 2, 2, (), seen[5].cause),
            Change(State.STALE, State.STALE, 2, 3, ("a", "b"), seen[6].cause),
            Change(State.STALE, State.CLOSED, 3, 0, (), seen[7].cause),
        ]
        assert "not valid JSON" in str(seen[5].cause)

    run_on(loop, main)


def test_the_first_failure_of_a_source_that_has_delivered_nothing() -> None:
    async def main() -> None:
        fed = Fed()
        flags = pyflagwasm.open(fed, start_timeout=0)
        seen = told(flags)
        async with flags:
            await fed.fail("the line is down")
            assert seen == [
                Change(State.NOT_READY, State.NOT_READY, 0, 0, (), None),  # it is open
                Change(State.NOT_READY, State.NOT_READY, 0, 0, (), "the line is down"),
            ]

    run_on("asyncio", main)


def test_one_that_raises_hinders_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        def broken(change: Change) -> None:
            raise ZeroDivisionError

        flags = pyflagwasm.open(flags_of(a="on"))
        flags.add_listener(broken)
        seen = told(flags)
        async with flags:
            pass
        assert [change.state for change in seen] == [State.READY, State.CLOSED]

    run_on("asyncio", main)
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == [
        "a listener of the evaluator raised"
    ] * 2


def test_taken_away() -> None:
    async def main() -> None:
        flags = pyflagwasm.open(flags_of(a="on"))
        seen: list[Change] = []
        first, second = flags.add_listener(seen.append), flags.add_listener(seen.append)  # the same one, twice
        async with flags:
            first()
            first()
            await flags.reload(flags_of(a="off"))
            second()
            await flags.reload(flags_of(a="on"))
        assert [change.generation for change in seen] == [1, 1, 2]

    run_on("asyncio", main)


def test_one_that_is_added_later_hears_of_what_comes_then() -> None:
    async def main() -> None:
        async with pyflagwasm.open(flags_of(a="on")) as flags:
            seen = told(flags)
            await flags.reload(flags_of(a="off"))
            assert seen == [Change(State.READY, State.READY, 1, 2, ("a",), None)]

    run_on("asyncio", main)


# ---------------------------------------------------------------- order


class Evaluator:
    """Stands in for one: generations that a test makes live."""

    def __init__(self) -> None:
        self.live: Generation | None = None
        self.listeners = Listeners(lambda: (State.READY if self.live else State.NOT_READY, self.live, None))

    def swap(self, *keys: str) -> None:
        new = Generation(compile_source(flags_of(**dict.fromkeys(keys, "on")), explain=False))
        new.number = 1 if self.live is None else self.live.number + 1
        self.live = new
        self.listeners.tell()


def test_a_change_inside_of_a_listener_is_told_afterwards() -> None:
    evaluator = Evaluator()
    log: list[tuple[str, int]] = []

    def first(change: Change) -> None:
        log.append(("first", change.generation))
        if change.generation == 1:
            evaluator.swap("b")

    evaluator.listeners.add(first)
    evaluator.listeners.add(lambda change: log.append(("second", change.generation)))
    evaluator.swap("a")
    assert log == [("first", 1), ("second", 1), ("first", 2), ("second", 2)]


def test_threads_tell_one_after_the_other() -> None:
    evaluator = Evaluator()
    inside, go_on = threading.Event(), threading.Event()
    seen: list[tuple[int, str]] = []

    def slow(change: Change) -> None:
        seen.append((change.generation, threading.current_thread().name))
        if change.generation == 1:
            inside.set()
            assert go_on.wait(20)

    evaluator.listeners.add(slow)
    thread = threading.Thread(target=evaluator.swap, args=("a",), name="the slow one")
    thread.start()
    assert inside.wait(20)
    evaluator.swap("b")  # does not wait for the other one
    assert seen == [(1, "the slow one")]
    go_on.set()
    thread.join(20)
    assert seen == [(1, "the slow one"), (2, "the slow one")]


def test_an_interrupted_listener_does_not_silence_the_others() -> None:
    evaluator = Evaluator()
    seen: list[int] = []

    def interrupted(change: Change) -> None:
        seen.append(change.generation)
        if change.generation == 1:
            raise KeyboardInterrupt

    evaluator.listeners.add(interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluator.swap("a")
    evaluator.swap("b")
    assert seen == [1, 2]


def test_without_listeners_no_configuration_is_kept() -> None:
    evaluator = Evaluator()
    remove = evaluator.listeners.add(lambda change: None)
    evaluator.swap("a")
    evaluator.live = None
    kept = generations()
    remove()
    assert generations() == kept - 1


def generations() -> int:
    gc.collect()
    return sum(type(each) is Generation for each in gc.get_objects())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_forked_while_somebody_is_told() -> None:
    evaluator = Evaluator()
    seen: list[int] = []

    def forking(change: Change) -> None:
        seen.append(change.generation)
        if change.generation == 1:
            child = os.fork()
            if child == 0:
                evaluator.listeners.after_fork()  # as the evaluator does
                evaluator.swap("b")
                os._exit(0 if seen == [1, 2] else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    evaluator.listeners.add(forking)
    evaluator.swap("a")
    assert seen == [1]


# ---------------------------------------------------------------- what is a change


def changed(before: Any, after: Any) -> set[str]:
    old, new = (fingerprints(load(json.dumps(each).encode())) for each in (before, after))
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


RULE = {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}


PART = {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]}


def one(**more: Any) -> dict[str, Any]:
    return {"flags": {"other": flag(ON_OFF, "on", RULE), "f": {**flag(ON_OFF, "off", PART), **more}}}


@pytest.mark.parametrize(
    "more",
    [
        {"defaultVariant": "on"},
        {"state": "DISABLED"},
        {"variants": {"on": True, "off": False, "spare": True}},
        {"variants": {"on": False, "off": True}},
        {"metadata": {"owner": "billing"}},
        {"targeting": {"if": [{"==": [{"var": "plan"}, "free"]}, "on", "off"]}},
        {"targeting": {"if": [{"==": [{"var": "plan"}, "pro"]}, "off", "on"]}},
        {"targeting": {"if": [{"!=": [{"var": "plan"}, "pro"]}, "on", "off"]}},
        {"targeting": {"if": [{"==": [{"var": "n"}, 1]}, "on", "off"]}},
        {"targeting": {}},
    ],
    ids=str,
)
def test_each_part_of_a_flag_counts(more: dict[str, Any]) -> None:
    assert changed(one(), one(**more)) == {"f"}
    assert changed(one(**more), one(**more)) == set()


@pytest.mark.parametrize(("one_value", "other"), [(1, 1.5), (1, 2), (0, -1), (-1, -2), ({"a": 1}, {"a": 2})])
def test_values(one_value: Any, other: Any) -> None:
    before, after = ({"flags": {"f": flag({"v": value}, "v")}} for value in (one_value, other))
    assert changed(before, after) == {"f"}


def test_the_others_may_move() -> None:
    flags = {f"f{i}": flag(ON_OFF, "off", {"if": [{"==": [{"var": "n"}, i]}, "on", "off"]}) for i in range(9)}
    moved = dict(reversed(flags.items()))
    assert changed({"flags": flags}, {"flags": moved}) == set()
    assert changed({"flags": flags}, {"flags": {"new": flag(ON_OFF, "on", RULE), **moved}}) == {"new"}


def test_labels_of_explanations_are_no_part_of_a_flag() -> None:
    before = devcycle("String", "a", "b")
    after = devcycle("String", "a", "b")
    more = json.loads(json.dumps(after["features"][0]).replace('"f"', '"g"').replace('"v"', '"w"'))
    after["features"].insert(0, more)
    after["variables"].insert(0, {"_id": "w", "key": "w", "type": "String"})
    assert changed(before, after) == {"w"}


def gated(minimum: str, *, before: bool = False) -> dict[str, Any]:
    """GrowthBook: `child` asks `parent`, and `free` asks nobody."""
    gate = {"parentConditions": [{"id": "parent", "condition": {"value": True}, "gate": True}]}
    features = {
        "free": {"defaultValue": 1, "rules": [{"condition": {"plan": "pro"}, "force": 2}]},
        "parent": {"defaultValue": False, "rules": [{"condition": {"age": {"$gte": int(minimum)}}, "force": True}]},
        "child": {"defaultValue": "a", "rules": [{**gate, "force": "b"}]},
    }
    spare = {"first": {"defaultValue": 1, "rules": [{"condition": {"plan": "x"}, "force": 2}]}} if before else {}
    return {"features": {**spare, **features}}


def test_what_a_flag_depends_on_counts() -> None:
    assert changed(gated("18"), gated("18")) == set()
    assert changed(gated("18"), gated("21")) == {"parent", "child"}
    assert changed(gated("18"), gated("18", before=True)) == {"first"}


def test_texts_that_look_like_references_do_no_harm() -> None:
    words = "Serves(program=0, Serves(program=1, Shared(name='x') Labelled(label=7, Serves(program=" + "9" * 5000 + ", "
    targeting = {"if": [{"==": [{"var": "n"}, words]}, "on", "off"]}
    document = {"flags": {"f": flag(ON_OFF, "off", targeting), "g": flag(ON_OFF, "on", targeting)}}
    assert changed(document, document) == set()
    assert changed(document, {"flags": {**document["flags"], "g": flag(ON_OFF, "on", RULE)}}) >= {"g"}


def test_a_tree_that_cannot_be_told_is_always_another_one() -> None:
    class Secret(str):
        def __repr__(self) -> str:
            raise ValueError

    document = {"flags": {"f": flag({"v": Secret("a")}, "v"), "g": flag(ON_OFF, "on")}}
    assert fingerprints(load(document))["f"] != fingerprints(load(document))["f"]
    assert fingerprints(load(document))["g"] == fingerprints(load(document))["g"]


def test_evaluators_remember_them_and_check_does_not() -> None:
    assert compile_source(FLAGD, explain=False).fingerprints.keys() == FLAGD["flags"].keys()
    assert compile_source(FLAGD).fingerprints == {}


def test_who_is_taken_away_by_another_one_hears_no_more() -> None:
    flags = in_memory({"f": 1})
    seen: list[str] = []

    def first(change: Change) -> None:
        seen.append("first")
        remove()

    flags.add_listener(first)
    remove = flags.add_listener(lambda change: seen.append("second"))
    flags.set("f", 2)
    assert seen == ["first"]
    flags.close()
