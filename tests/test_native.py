"""The C extension: what it answers and what it declines, with nothing leaked.

The bytes that it writes are in test_native_encode.py, odd moments in test_native_moments.py. That it answers as the
other hosts do in general is what the whole suite shows, which runs on each of them (PYFLAGWASM_HOST); here is what only
the extension can get wrong.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from evaluators import FLAGD, ON_OFF, closed, document, flag, opened
from quickly import PRO, Quickly, learned_flags, meddling, needs_extension

import pyflagwasm
from pyflagwasm import FlagEvaluator, Hook
from pyflagwasm.runtime import extension
from pyflagwasm.shortcuts import declined

pytestmark = needs_extension


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    yield from learned_flags()


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(extension.HOST_VARIABLE, raising=False)


# ---------------------------------------------------------------- what is answered, what is declined


def test_what_was_answered_before_is_answered_without_python(flags: FlagEvaluator) -> None:
    quick = Quickly(flags)
    for key in ("bool", "text", "int", "float", "plan", "city", "split", "later"):
        details = flags.details_nowait(key, PRO)
        assert quick.value(key, PRO, None) == details.value
        assert quick.details(key, PRO, None) is quick.details(key, PRO, details.value)
        bound = flags.bind(PRO)
        assert quick.bound_value(key, bound._encoded, None) == details.value
        assert quick.bound_details(key, bound._encoded, None) == details
    generation = flags._instances.generation
    assert generation is not None
    found = quick.many(generation, generation.everything.learned, flags.bind(PRO)._encoded)
    assert found == {key: flags.value_nowait(key, PRO) for key in found}
    assert list(found) == [key for key in flags.flag_keys if key not in ("none", "disabled")]


@pytest.mark.parametrize(
    ("key", "context", "default"),
    [
        ("plan", PRO, "text"), ("plan", PRO, 0), ("int", PRO, 1.0), ("int", PRO, True), ("object", PRO, []),
        ("absent", PRO, None), (["plan"], PRO, None), (None, PRO, None), ("none", PRO, None), ("disabled", PRO, False),
        ("plan", MappingProxyType(PRO), None), ("plan", {"plan": {1}}, None), ("plan", 5, None), ("plan", [], False),
    ],
)  # fmt: skip
def test_the_rest_is_declined(flags: FlagEvaluator, key: Any, context: Any, default: Any) -> None:
    before = flags.statistics()
    assert Quickly(flags).value(key, context, default) is declined
    assert Quickly(flags).details(key, context, default) is declined
    assert flags.statistics() == before


def test_a_decision_is_learned_once_it_was_met() -> None:
    flags = opened(FLAGD)
    assert Quickly(flags).value("plan", PRO, False) is declined
    assert flags.value_nowait("plan", PRO, False) is True
    assert Quickly(flags).value("plan", PRO, False) is True
    assert Quickly(flags).value("plan", {}, False) is declined  # another decision of the same flag
    asyncio.run(flags.reload(FLAGD))
    assert Quickly(flags).value("plan", PRO, False) is declined  # another generation
    closed(flags)
    assert Quickly(flags).value("plan", PRO, False) is declined


def test_many_decisions_of_one_flag_are_told_apart() -> None:
    names = [f"v{number}" for number in range(300)]
    branches = [part for name in names for part in ({"==": [{"var": "n"}, name]}, name)]
    flags = opened(document(f=flag({name: name.upper() for name in names}, "v0", {"if": branches})))
    for _ in range(2):
        for name in names:
            assert flags.value_nowait("f", {"n": name}, "") == name.upper()
    assert Quickly(flags).value("f", {"n": "v299"}, "") == "V299"
    closed(flags)


def test_hooks_see_everything(flags: FlagEvaluator) -> None:
    seen: list[str] = []

    class Watching(Hook):
        def after(self, hook_context: Any, details: Any, hints: Any) -> None:
            seen.append(hook_context.flag_key)

    flags.add_hook(Watching())
    assert Quickly(flags).value("plan", PRO, False) is declined
    assert flags.value_nowait("plan", PRO, False) is True
    assert flags.bind(PRO).value("plan", False) is True
    assert seen == ["plan", "plan"]


def test_pins_and_leases_have_their_own(flags: FlagEvaluator) -> None:
    async def scenario() -> None:
        async with flags.pin() as pinned, flags.lease() as leased:
            for place in (pinned, leased):
                place.value_nowait("plan", PRO, False)
                assert Quickly(place).value("plan", PRO, False) is True
            await flags.reload(document(plan=flag(ON_OFF, "off")))
            assert pinned.value_nowait("plan", PRO, False) is True
            assert leased.value_nowait("plan", PRO, False) is True
            assert flags.value_nowait("plan", PRO, True) is False
            leased.release()
            assert Quickly(leased).value("plan", PRO, False) is declined
        assert Quickly(pinned).value("plan", PRO, False) is declined

    asyncio.run(scenario())
    statistics = flags.statistics().pool
    assert (statistics.idle, statistics.in_use, statistics.retired) == (2, 0, 0)


# ---------------------------------------------------------------- nothing leaks


def test_nothing_is_leaked(flags: FlagEvaluator) -> None:
    """Blocks of memory and references of what takes part, over every way to end."""
    bound, default, quick = flags.bind(PRO), False, Quickly(flags)
    generation = flags._instances.generation
    assert generation is not None
    contexts: list[Any] = [
        PRO,
        {},
        {"plan": {1}},
        MappingProxyType(PRO),
        None,
        {"plan": "é"},
        {"plan": [1, {"k": "v"}]},
    ]

    def act() -> None:
        raise KeyError("k")

    contexts.append(meddling(act))

    def every_way() -> None:
        for context in contexts:
            for key in ("plan", "split", "later", "bool", "absent", "none"):
                flags.value_nowait(key, context, default)
                flags.details_nowait(key, context)
                quick.value(key, context, "another type")
                bound.value(key, default)
        bound.all()
        bound.many(["plan", "absent"])
        flags.bind(PRO).details("split")

    def blocks() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    for _ in range(30):
        every_way()
    watched = [PRO, flags._pool.idle[0], flags._pool.idle[1], generation, *generation.flags.values()]
    watched += [each.learned for each in generation.flags.values()]
    counts, before = [sys.getrefcount(each) for each in watched], blocks()
    for _ in range(300):
        every_way()
    assert blocks() - before < 100
    moved = [
        (each, now - then)
        for each, then, now in zip(watched, counts, map(sys.getrefcount, watched), strict=True)
        if abs(now - then) > 50
    ]
    assert moved == []


def test_an_evaluator_in_a_cycle_is_collected() -> None:
    gc.collect()
    frames = len(pyflagwasm.runtime.guest._frames)

    class Service:
        def __init__(self) -> None:
            self.flags = opened(FLAGD)
            self.flags._hooks.append(self)  # the shortcut knows the hooks, and they know the evaluator

    for _ in range(5):
        service = Service()
        service.flags._hooks.clear()
        assert service.flags.value_nowait("plan", PRO, False) is True
        service.flags._hooks.append(service)
        del service
    gc.collect()
    assert len(pyflagwasm.runtime.guest._frames) == frames


def test_threads_do_not_mix(flags: FlagEvaluator) -> None:
    wrong: list[Any] = []
    done = threading.Event()

    def ask(plan: str, expected: bool) -> None:
        context = {"plan": plan}
        while not done.is_set():
            answers = {flags.value_nowait("plan", context, None) for _ in range(200)}
            if answers != {expected}:
                wrong.append(answers)

    threads = [threading.Thread(target=ask, args=pair) for pair in (("pro", True), ("free", False)) * 2]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(20):
            asyncio.run(flags.reload(FLAGD))
    finally:
        done.set()
        sys.setswitchinterval(interval)
        for thread in threads:
            thread.join()
    assert wrong == []
    assert (flags.statistics().pool.idle, flags.statistics().pool.in_use) == (2, 0)
