"""Hooks of every evaluator: of those that exist, those to come, and what pins and leases they have."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened
from loops import run_on

import pyflagwasm
from pyflagwasm import EvaluationDetails, Hook, HookContext
from pyflagwasm import hooks as module


class Writing(Hook):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def finally_after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
        self.seen.append(hook_context.flag_key)


@pytest.fixture
def hook() -> Iterator[Writing]:
    made = Writing()
    module.everywhere(made)
    yield made
    module.nowhere(made)


def test_evaluators_that_exist_and_those_to_come() -> None:
    async def scenario() -> None:
        mine, hook = Writing(), Writing()
        async with pyflagwasm.open(FLAGD, hooks=[mine]) as before, before.pin() as pin, before.lease() as lease:
            bound = before.bind({})
            module.everywhere(hook)
            try:
                async with pyflagwasm.open(FLAGD) as after:
                    for asked in (before, pin, lease, after):
                        await asked.value("bool", default=False)
                    bound.value("bool", False)
                assert (len(hook.seen), len(mine.seen)) == (5, 4)
            finally:
                module.nowhere(hook)
            await before.value("bool", default=False)
            assert (len(hook.seen), len(mine.seen)) == (5, 5)
            assert before._hooks == [mine]
            assert after._hooks == []

    run_on("asyncio", scenario)


def test_undone_by_identity() -> None:
    class Equal(Writing):
        __hash__ = None

        def __eq__(self, other: object) -> bool:
            return True

    first, second = Equal(), Equal()
    evaluator = opened(FLAGD, hooks=[first])
    module.everywhere(second)
    module.nowhere(second)
    assert [id(each) for each in evaluator._hooks] == [id(first)]
    module.nowhere(second)  # once more is nothing
    closed(evaluator)


def test_a_pin_whose_evaluator_nobody_has_any_more(hook: Writing) -> None:
    evaluator = opened(FLAGD)
    with evaluator.pin() as pin:
        module.nowhere(hook)
        reference = weakref.ref(evaluator)
        del evaluator
        gc.collect()
        assert reference() is None
        module.everywhere(hook)
        assert pin.value_nowait("bool", default=False) is True
        assert hook.seen == ["bool"]


def test_a_hook_that_knows_its_evaluator_does_not_keep_it() -> None:
    class Knowing(Hook):
        evaluator: Any = None

    knowing = Knowing()
    knowing.evaluator = opened(FLAGD, hooks=[knowing])
    reference = weakref.ref(knowing.evaluator)
    del knowing
    gc.collect()
    assert reference() is None


def test_evaluators_that_are_opened_meanwhile() -> None:
    """Each has the hook once while it is there, and not at all when it is gone, whichever came first."""
    hooks = [Writing() for _ in range(4)]
    made: list[pyflagwasm.FlagEvaluator] = []
    rounds = 200

    def open_some() -> None:
        made.extend(pyflagwasm.open(FLAGD) for _ in range(rounds))

    def add_and_remove(hook: Hook) -> None:
        for _ in range(rounds):
            module.everywhere(hook)
            module.nowhere(hook)
        module.everywhere(hook)

    threads = [threading.Thread(target=add_and_remove, args=[hook]) for hook in hooks]
    threads += [threading.Thread(target=open_some) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    expected = sorted(map(id, hooks))
    assert len(made) == 2 * rounds
    assert all(sorted(map(id, evaluator._hooks)) == expected for evaluator in made)
    for hook in hooks:
        module.nowhere(hook)
    assert all(evaluator._hooks == [] for evaluator in made)
