"""Hooks around evaluations: their order, what they are told, what they can change, and what they cannot break."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest
from evaluators import FLAGD, devcycle
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, FlagEvaluator, Hook, errors
from pyflagwasm.errors import PoolTimeoutError
from pyflagwasm.hooks import HookContext

PRO = {"plan": "pro"}
Way = Callable[..., Any]


async def value(flags: Any, *given: Any, **more: Any) -> Any:
    return await flags.value(*given, **more)


async def details(flags: Any, *given: Any, **more: Any) -> Any:
    return (await flags.details(*given, **more)).value


async def value_nowait(flags: Any, *given: Any, **more: Any) -> Any:
    return flags.value_nowait(*given, **more)


async def details_nowait(flags: Any, *given: Any, **more: Any) -> Any:
    return flags.details_nowait(*given, **more).value


async def bound_value(flags: Any, key: str, context: Any, default: Any, **more: Any) -> Any:
    return flags.bind(context).value(key, default, **more)


async def bound_details(flags: Any, key: str, context: Any, default: Any, **more: Any) -> Any:
    return flags.bind(context).details(key, default, **more).value


WAYS: list[Way] = [value, details, value_nowait, details_nowait, bound_value, bound_details]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)


class Recorder(Hook):
    """Writes every stage down. adds: to the context. fails: in which stages it raises."""

    def __init__(
        self, log: list[tuple[str, str, Any]], name: str = "a", adds: Any = None, fails: tuple[str, ...] = ()
    ) -> None:
        self.log, self.name, self.adds, self.fails = log, name, adds, fails
        self.contexts: list[Mapping[str, Any] | None] = []

    def _stage(self, stage: str, about: HookContext, what: Any) -> None:
        self.log.append((self.name, stage, what))
        self.contexts.append(about.context)
        if stage in self.fails:
            raise ZeroDivisionError("in a hook")

    def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> Mapping[str, Any] | None:
        assert dict(hints) == {}
        self._stage("before", hook_context, (hook_context.flag_key, hook_context.default))
        return self.adds  # type: ignore[no-any-return]

    def after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
        self._stage("after", hook_context, details.value)

    def error(self, hook_context: HookContext, exception: Exception, hints: Mapping[str, Any]) -> None:
        self._stage("error", hook_context, type(exception))

    def finally_after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
        self._stage("finally", hook_context, details.value)


def stages(log: list[tuple[str, str, Any]]) -> list[str]:
    return [f"{name} {stage}" for name, stage, _ in log]


def reports(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "pyflagwasm" and r.levelno >= logging.ERROR]


# ---------------------------------------------------------------- order and words


@every_way
def test_the_order(way: Way) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        hooks = [Recorder(log, name) for name in "abc"]
        async with pyflagwasm.open(FLAGD, hooks=hooks) as flags:
            assert await way(flags, "plan", PRO, False) is True
            reverse = [f"{name} {stage}" for stage in ("after", "finally") for name in "cba"]
            assert stages(log) == ["a before", "b before", "c before", *reverse]
            assert [what for _, _, what in log] == [("plan", False)] * 3 + [True] * 6
            log.clear()
            assert await way(flags, "absent", PRO, 5) == 5
            reverse = [f"{name} {stage}" for stage in ("error", "finally") for name in "cba"]
            assert stages(log) == ["a before", "b before", "c before", *reverse]
            assert [what for _, _, what in log[3:]] == [errors.FlagNotFoundError] * 3 + [5] * 3
            assert flags.bind(PRO).all()["plan"] is True
            assert len(log) == 9  # of which hooks hear nothing

    run_on("asyncio", scenario)


@pytest.mark.parametrize(
    ("key", "context", "default", "kind"),
    [
        ("absent", {}, False, errors.FlagNotFoundError),
        ("plan", PRO, "text", errors.TypeMismatchError),
        ("plan", {"plan": object()}, False, errors.InvalidContextError),
        ("v", {}, False, errors.TargetingKeyMissingError),
    ],
)
@every_way
def test_errors_are_exceptions(way: Way, key: str, context: Any, default: Any, kind: type[Exception]) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        source = devcycle("Boolean", True) if key == "v" else FLAGD
        async with pyflagwasm.open(source, hooks=[Recorder(log)]) as flags:
            assert await way(flags, key, context, default) == default
            with pytest.raises(kind):
                await way(flags, key, context, default, strict=True)
        once = [("a", "before", (key, default)), ("a", "error", kind), ("a", "finally", default)]
        assert log == once * 2

    run_on("asyncio", scenario)


def test_an_evaluator_that_is_not_ready_has_hooks_too() -> None:
    log: list[tuple[str, str, Any]] = []
    flags = pyflagwasm.open(FLAGD, hooks=[Recorder(log)])
    assert flags.value_nowait("plan", PRO, default=False) is False
    assert [what for _, _, what in log] == [("plan", False), errors.FlagError, False]


@every_way
def test_what_is_added_to_the_context(way: Way) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        given = {"plan": "free", "kept": 1}
        first = Recorder(log, "a", {"plan": "pro", "more": 2})
        second = Recorder(log, "b", {"more": 3})
        async with pyflagwasm.open(FLAGD, hooks=[first, second]) as flags:
            bound = way in (bound_value, bound_details)
            assert await way(flags, "plan", given, False) is not bound  # a bound context is encoded already
            assert given == {"plan": "free", "kept": 1}
            assert second.contexts[0] == {"plan": "pro", "kept": 1, "more": 2}
            whole = {"plan": "pro", "kept": 1, "more": 3}
            assert first.contexts == [given, whole, whole]
            assert second.contexts[1:] == [whole, whole]

    run_on("asyncio", scenario)


def test_a_context_may_come_from_hooks_alone() -> None:
    async def scenario() -> None:
        hook = Recorder([], adds=PRO)
        async with pyflagwasm.open(FLAGD, hooks=[hook]) as flags:
            assert flags.value_nowait("plan", default=False) is True
            assert hook.contexts == [None, PRO, PRO]

    run_on("asyncio", scenario)


# ---------------------------------------------------------------- hooks that fail


@every_way
def test_a_hook_that_fails_before(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Recorder):
        pass

    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        hooks = [Recorder(log, "a"), Failing(log, "b", fails=("before",)), Recorder(log, "c")]
        async with pyflagwasm.open(FLAGD, hooks=hooks) as flags:
            assert await way(flags, "plan", PRO, False) is False
            assert stages(log)[:2] == ["a before", "b before"]
            assert stages(log)[2:] == [f"{name} {stage}" for stage in ("error", "finally") for name in "cba"]
            assert log[2][2] is errors.FlagError
            found = flags.details_nowait("plan", PRO, False)
            assert (found.value, found.error_code, found.variant) == (False, ErrorCode.GENERAL, None)
            assert found.error_message == "the hook Failing failed before the evaluation: ZeroDivisionError"
            with pytest.raises(errors.FlagError, match="the hook Failing failed"):
                await way(flags, "plan", PRO, False, strict=True)

    run_on("asyncio", scenario)
    assert reports(caplog) == ["the hook Failing raised in before; further ones are not logged"]


@pytest.mark.parametrize("key", ["plan", "absent"])
@every_way
def test_a_hook_that_fails_later_changes_nothing(way: Way, key: str, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Recorder):
        pass

    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        hooks = [Recorder(log, "a"), Failing(log, "b", fails=("after", "error", "finally")), Recorder(log, "c")]
        async with pyflagwasm.open(FLAGD, hooks=hooks) as flags:
            for _ in range(3):
                assert await way(flags, key, PRO, False) is (key == "plan")
        assert len(log) == 3 * 9

    run_on("asyncio", scenario)
    stage = "after" if key == "plan" else "error"
    assert reports(caplog) == [
        f"the hook Failing raised in {stage}; further ones are not logged",
        "the hook Failing raised in finally_after; further ones are not logged",
    ]


def test_a_hook_that_adds_no_mapping(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Recorder):
        pass

    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD, hooks=[Odd([], adds=5)]) as flags:
            assert flags.details_nowait("plan", PRO, False).error_code is ErrorCode.GENERAL

    run_on("asyncio", scenario)
    assert reports(caplog) == ["the hook Odd raised in before; further ones are not logged"]


# ---------------------------------------------------------------- where they are called


def test_adding_one() -> None:
    log: list[tuple[str, str, Any]] = []

    class Adding(Hook):
        def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> None:
            if not log:
                flags.add_hook(Recorder(log))
                log.append(("", "added", None))

    async def scenario() -> None:
        async with flags:
            assert flags.value_nowait("plan", PRO, default=False) is True
            assert stages(log) == [" added"]  # the evaluation in which it was added is not its own
            assert flags.value_nowait("plan", PRO, default=False) is True
            assert stages(log)[1:] == ["a before", "a after", "a finally"]

    flags = pyflagwasm.open(FLAGD, hooks=[Adding()])
    run_on("asyncio", scenario)


@every_loop
def test_pins_and_leases_have_the_hooks(loop: str) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        async with pyflagwasm.open(FLAGD) as flags, flags.pin() as pinned, flags.lease() as leased:
            flags.add_hook(Recorder(log))
            for asked in (pinned, leased):
                for way in WAYS:
                    log.clear()
                    assert await way(asked, "plan", PRO, False) is True
                    assert stages(log) == ["a before", "a after", "a finally"]

    run_on(loop, scenario)


@every_loop
def test_a_hook_may_evaluate(loop: str) -> None:
    class Asking(Hook):
        inner = 0

        def before(self, hook_context: HookContext, hints: Mapping[str, Any]) -> Mapping[str, Any] | None:
            if hook_context.flag_key == "city":
                return None
            self.inner += flags.value_nowait("city", {"city": "Ghent"}, default=False)
            return PRO

    async def scenario() -> None:
        async with flags:
            assert await flags.value("plan", {}, default=False) is True
            assert hook.inner == 1

    hook = Asking()
    flags: FlagEvaluator = pyflagwasm.open(FLAGD, hooks=[hook], size=1)
    run_on(loop, scenario)


@every_loop
def test_an_evaluation_that_waits_has_hooks_around_it(loop: str) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        hook = Recorder(log, adds=PRO)
        async with pyflagwasm.open(FLAGD, hooks=[hook], size=1, timeout=30) as flags:
            given: list[Any] = []

            async def ask() -> None:
                given.append(await flags.value("plan", {}, default=False))

            async with anyio.create_task_group() as group:
                async with flags.lease():
                    group.start_soon(ask)
                    await anyio.wait_all_tasks_blocked()
                    assert stages(log) == ["a before"]
            assert given == [True]
            assert stages(log) == ["a before", "a after", "a finally"]

    run_on(loop, scenario)


@every_loop
def test_an_evaluation_without_an_instance_is_an_error_for_hooks(loop: str) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        async with pyflagwasm.open(FLAGD, hooks=[Recorder(log)], size=1, timeout=0.05) as flags, flags.lease():
            for way in WAYS:
                log.clear()
                assert await way(flags, "plan", PRO, False) is False
                assert log == [
                    ("a", "before", ("plan", False)),
                    ("a", "error", errors.FlagError),
                    ("a", "finally", False),
                ]

    run_on(loop, scenario)


@every_way
def test_a_strict_one_without_an_instance_has_all_stages(way: Way) -> None:
    async def scenario() -> None:
        log: list[tuple[str, str, Any]] = []
        async with pyflagwasm.open(FLAGD, hooks=[Recorder(log)], size=1, timeout=0.05) as flags, flags.lease():
            with pytest.raises(PoolTimeoutError):
                await way(flags, "plan", PRO, False, strict=True)
        assert stages(log) == ["a before", "a error", "a finally"]

    run_on("asyncio", scenario)
