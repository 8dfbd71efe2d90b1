"""`in_memory`: plain values become a configuration that the core answers from, in an event loop and without one."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import Change, ErrorCode, Hook, Reason, State
from pyflagwasm.testing import InMemoryEvaluator, in_memory

VALUES: dict[str, Any] = {
    "yes": True,
    "no": False,
    "text": "a",
    "empty": "",
    "integer": 3,
    "float": 0.5,
    "list": [1, "two", None],
    "object": {"k": [1, {"deep": None}]},
}


def test_plain_values() -> None:
    with in_memory(VALUES) as flags:
        assert isinstance(flags, pyflagwasm.FlagEvaluator)
        assert flags.bind().all() == VALUES
        assert [*flags.bind().all()] == [*VALUES] == [*flags.flag_keys]
        for key, value in VALUES.items():
            found = flags.details_nowait(key, {}, value)
            assert (found.value, found.reason, found.error_code) == (value, Reason.STATIC, None)
            assert found.variant == {"yes": "on", "no": "off"}.get(key, "value")
        assert flags.details_nowait("yes", {}, "text").error_code is ErrorCode.TYPE_MISMATCH
        assert flags.details_nowait("absent", {}, 5).error_code is ErrorCode.FLAG_NOT_FOUND
    assert flags.details_nowait("yes", {}, False).error_code is ErrorCode.PROVIDER_NOT_READY


@every_loop
def test_in_a_loop(loop: str) -> None:
    async def scenario() -> None:
        flags = in_memory({"new-checkout": False})
        assert await flags.value("new-checkout", {}, default=True) is False
        async with flags.pin() as pinned, flags.lease() as leased:
            flags.set("new-checkout", True)
            assert await flags.value("new-checkout", {}, default=False) is True
            assert await pinned.value("new-checkout", {}, default=True) is False
            assert await leased.value("new-checkout", {}, default=True) is False
        await flags.aclose()
        assert flags.statistics().state is State.CLOSED

    run_on(loop, scenario)


def test_an_application_may_enter_and_leave_it() -> None:
    flags = in_memory({"yes": True})

    async def application() -> None:
        async with flags as entered:
            assert entered is flags
            assert await flags.ready()
            assert await flags.value("yes", default=False) is True

    for _ in range(3):
        asyncio.run(application())
    assert flags.value_nowait("yes", default=False) is True
    flags.close()
    flags.close()
    assert flags.statistics().state is State.CLOSED


def test_an_empty_one() -> None:
    with in_memory() as flags:
        assert (flags.flag_keys, flags.generation) == ((), 1)
        assert flags.statistics().state is State.READY
        flags.set("first", 1)
        assert flags.bind().all() == {"first": 1}


def test_setting_and_deleting() -> None:
    with in_memory({"a": 1, "b": 2}) as flags:
        flags.set("a", "another type")
        flags.set("c", [])
        assert flags.bind().all() == {"a": "another type", "b": 2, "c": []}
        flags.delete("b")
        assert flags.details_nowait("b", {}, 5).error_code is ErrorCode.FLAG_NOT_FOUND
        assert flags.generation == 4
        with pytest.raises(KeyError, match="there is no flag"):
            flags.delete("b")
        with pytest.raises(KeyError, match="set it first"):
            flags.set_for("b", "user-1", 5)
        assert flags.generation == 4


def test_for_some_contexts() -> None:
    with in_memory({"f": "everybody"}) as flags:

        def given(**context: Any) -> Any:
            return flags.value_nowait("f", context, default="")

        flags.set_for("f", "user-1", "one")
        flags.set_for("f", {"plan": "pro", "app.version": 3}, "pro")
        flags.set_for("f", ["user-2", "user-3"], "two")
        assert given() == given(targetingKey="user-9") == "everybody"
        assert given(targetingKey="user-1") == given(targeting_key="user-1") == "one"
        assert given(targetingKey="user-2") == given(targetingKey="user-3", plan="pro", app={"version": 3}) == "two"
        assert given(targetingKey="user-1", plan="pro", app={"version": 3}) == "pro"
        assert given(plan="pro") == given(plan="pro", app={"version": "3"}) == "everybody"
        flags.set_for("f", "user-1", "newer")
        assert given(targetingKey="user-1", plan="pro", app={"version": 3}) == "newer"
        found = flags.details_nowait("f", {"targetingKey": "user-1"}, "")
        assert (found.reason, found.variant) == (Reason.TARGETING_MATCH, "value-2")
        assert flags.details_nowait("f", {}, "").variant == "value"
        flags.set("f", "all")
        assert given(targetingKey="user-1") == "all"


def test_variants_of_equal_values_are_one() -> None:
    with in_memory({"f": 1, "b": False}) as flags:
        for who, value in (("a", 1), ("b", 1.0), ("c", 2), ("d", 2)):
            flags.set_for("f", who, value)
        variants = {who: flags.details_nowait("f", {"targetingKey": who}).variant for who in "abcd"}
        assert (variants["a"], variants["c"]) == ("value", variants["d"])
        assert len(set(variants.values())) == 3
        flags.set_for("b", "a", True)
        assert flags.details_nowait("b", {"targetingKey": "a"}).variant == "on"
        assert flags.details_nowait("b", {"targetingKey": "b"}).variant == "off"


@pytest.mark.parametrize("value", [None, object(), {1}, len], ids=lambda each: type(each).__name__)
def test_what_no_flag_can_be(value: Any) -> None:
    with in_memory({"f": 1}) as flags:
        with pytest.raises(TypeError, match='the flag "f" cannot be '):
            flags.set("f", value)
        with pytest.raises(TypeError, match='the flag "g" cannot be '):
            flags.update({"f": 2, "g": {"deep": [object()]}})
        with pytest.raises(TypeError, match=r'the flag "f" is a number, .* is a text: a flag has values of one type'):
            flags.set_for("f", "user-1", "text")
        with pytest.raises(TypeError, match="the key of a flag is a str, not int: 5"):
            flags.set(5, 5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"use flags\.set"):
            flags.set_for("f", {}, 5)
        assert flags.bind().all() == {"f": 1}
        assert flags.generation == 1


def test_values_are_copied() -> None:
    given = {"k": [1]}
    with in_memory({"f": given}) as flags:
        given["k"].append(2)
        flags.set("g", 1)  # which loads all of them again
        assert flags.value_nowait("f") == {"k": [1]}


def test_a_large_one_in_a_loop() -> None:
    """What would go to a thread if it came from a source."""

    async def scenario() -> None:
        with in_memory({f"flag-{number}": "x" * 50 for number in range(500)}) as flags:
            assert len(flags.bind().all()) == 500
            flags.set("flag-7", "y")
            assert flags.value_nowait("flag-7", default="") == "y"

    asyncio.run(scenario())


def test_updates_are_atomic() -> None:
    flags = in_memory({"a": 0, "b": 0})
    stop = threading.Event()
    torn: list[Any] = []
    looked = 0

    def look() -> None:
        nonlocal looked
        bound = flags.bind()
        while not stop.is_set():
            found = bound.all()
            looked += 1
            if found["a"] != found["b"]:
                torn.append(found)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(150):
        flags.update({"a": number, "b": number})
    stop.set()
    for thread in threads:
        thread.join(30)
    assert torn == []
    assert looked
    flags.close()


def test_changes_from_many_threads_are_all_there() -> None:
    flags = in_memory()
    threads = [threading.Thread(target=change, args=(flags, name)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert flags.bind().all() == {f"{name}{number}": number for name in "abcd" for number in range(20)}
    flags.close()


def change(flags: InMemoryEvaluator, name: str) -> None:
    for number in range(20):
        flags.set(f"{name}{number}", number)


def test_hooks_clock_and_size() -> None:
    hook = Hook()
    with in_memory({"f": 1}, hooks=[hook], clock=lambda: 5.0, size=1) as flags:
        assert flags.statistics().pool.size == 1
        assert flags._hooks == [hook]
        assert flags._clock() == 5.0


def test_one_that_nobody_has_any_more_is_freed(recwarn: pytest.WarningsRecorder) -> None:
    flags = in_memory({"f": 1})
    reference = weakref.ref(flags)
    del flags
    gc.collect()
    assert reference() is None
    assert not recwarn.list


def test_listeners_are_told_of_each_change() -> None:
    flags = in_memory({"a": 1, "b": 1})
    seen: list[tuple[int, int, tuple[str, ...]]] = []
    flags.add_listener(lambda change: seen.append((change.replaced, change.generation, change.flags_changed)))
    flags.set("a", 2)
    flags.update({"a": 3, "b": 3})
    flags.set_for("b", "user-1", 4)
    flags.delete("a")
    assert seen == [(1, 2, ("a",)), (2, 3, ("a", "b")), (3, 4, ("b",)), (4, 5, ("a",))]
    flags.close()


def test_a_listener_may_set_flags_and_wait_for_another_thread_that_does() -> None:
    flags = in_memory({"a": 0})
    seen: list[int] = []

    def listener(change: Change) -> None:
        seen.append(flags.value_nowait("a", None, -1))
        if len(seen) == 1:
            flags.set("a", 2)
            other = threading.Thread(target=flags.set, args=("a", 3))
            other.start()
            other.join(10)
            assert not other.is_alive()

    flags.add_listener(listener)
    flags.set("a", 1)
    assert seen == [1, 3, 3]
    flags.close()
