"""The scenarios of OpenFeature's specification, against its client with our provider.

The flags are in suite_openfeature_flags.py, and the steps of evaluation.feature in suite_openfeature_first.py: it is
deprecated, and says the same in other words.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from fed import Fed
from suite_openfeature_flags import document

import pyflagwasm
from pyflagwasm.sources.base import Source

LEFT_OUT = {
    "evaluation_v2: CACHED reason": "the provider has no cache: every evaluation is made anew, and says how",
    "evaluation_v2: Evaluation context immutability": "the details are OpenFeature's own class, which can be changed",
}
"""Case, or the beginning of its name -> why it is not expected to pass."""

Step = tuple[re.Pattern[str], Callable[..., Any]]
STEPS: list[Step] = []
_QUOTED = r'"((?:[^"\\]|\\.)*)"'


def step(pattern: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A step whose text is the whole pattern; in it `{}` stands for a quoted text."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        STEPS.append((re.compile(pattern.replace("{}", _QUOTED)), function))
        return function

    return add


def typed(kind: str, text: str) -> Any:
    """A value as the scenarios write it."""
    text = text.replace('\\"', '"')
    if kind.lower() == "boolean":
        assert text in ("true", "false"), text
        return text == "true"
    if text == "null":
        return None
    return {"string": str, "integer": int, "float": float, "object": json.loads}[kind.lower()](text)


# ---------------------------------------------------------------- cases


def cases(root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Name and check of each scenario, with a number for each row of its examples."""
    import suite_openfeature_first  # noqa: F401  # more steps
    from gherkin.parser import Parser
    from gherkin.pickles.compiler import Compiler

    folder = root / "openfeature-spec"
    flags = document(json.loads((folder / "test-flags.json").read_text("utf-8")))
    for path in sorted(folder.glob("*.feature")):
        feature = Parser().parse(path.read_text("utf-8"))
        seen: dict[str, int] = {}
        for scenario in Compiler().compile({**feature, "uri": path.name}):
            name = f"{path.stem}: {scenario['name']}"
            seen[name] = seen.get(name, 0) + 1
            yield f"{name} {seen[name]}", partial(_run, flags, scenario["steps"])


def _run(flags: bytes, steps: list[Any]) -> None:
    asyncio.run(_played(flags, steps))


async def _played(flags: bytes, steps: list[Any]) -> None:
    async with World.made(flags) as world:
        for each in steps:
            found = [(function, m) for pattern, function in STEPS if (m := pattern.fullmatch(each["text"]))]
            assert len(found) == 1, f"{len(found)} steps for: {each['text']}"
            ((function, match),) = found
            rows = [
                [cell["value"] for cell in row["cells"]]
                for row in each.get("argument", {}).get("dataTable", {}).get("rows", [])
            ]
            result = function(world, *match.groups(), *([rows] if rows else []))
            if inspect.isawaitable(result):
                await result


# ---------------------------------------------------------------- the world of one scenario


class Recorder(pyflagwasm.Hook):
    """Keeps the context of the last evaluation."""

    def __init__(self) -> None:
        self.context: dict[str, Any] = {}

    def before(self, hook_context: Any, hints: Any) -> None:
        self.context = dict(hook_context.context or {})


class World:
    """What the steps of one scenario have made so far."""

    def __init__(self, flags: bytes, stack: AsyncExitStack) -> None:
        from openfeature import api
        from openfeature.evaluation_context import EvaluationContext
        from openfeature.transaction_context import ContextVarsTransactionContextPropagator

        api.set_transaction_context_propagator(ContextVarsTransactionContextPropagator())
        self._flags, self._stack = flags, stack
        self.api, self.new_context = api, EvaluationContext
        self.client: Any = None
        self.flag: tuple[str, str, Any] = ("", "", None)
        self.attributes: dict[str, Any] = {}
        self.details: Any = None
        self.options: Any = None
        self.recorder = Recorder()
        self.hooks: list[Any] = []
        self.log: list[tuple[str, str, Any]] = []
        self.levels: list[str] = []

    @classmethod
    @asynccontextmanager
    async def made(cls, flags: bytes) -> AsyncIterator[World]:
        async with AsyncExitStack() as stack:
            world = cls(flags, stack)
            stack.callback(world.api.shutdown)
            yield world

    async def provide(self, status: str) -> None:
        """A provider of this status, on an evaluator of its own."""
        from openfeature.exception import OpenFeatureError

        from pyflagwasm.integrations.openfeature import FlagwasmProvider

        source: bytes | Source = self._flags if status != "stale" else (fed := Fed())
        more = {} if status != "stale" else {"bundled": self._flags}
        flags = pyflagwasm.open(source, hooks=[self.recorder], **more)  # type: ignore[arg-type]
        self._stack.push_async_callback(flags.aclose)
        if status in ("stable", "stale"):
            await flags.__aenter__()
        if status == "fatal":
            await flags.aclose()
        provider = FlagwasmProvider(flags, ready_timeout=60)
        if status == "not ready":
            self.api.set_provider(provider)  # waits in a thread, until the evaluator is closed
        else:
            try:
                self.api.set_provider_and_wait(provider)
            except OpenFeatureError:
                assert status in ("error", "fatal")
        if status == "stale":
            await fed.fail("the line is down")
        self.client = self.api.get_client()

    def evaluate(self, suffix: str = "", options: Any = None) -> Any:
        kind, key, default = self.flag
        getter = getattr(self.client, f"get_{kind.lower()}_details{suffix}")
        return getter(key, default, self.new_context(attributes=self.attributes), options)

    def recording(self, name: str) -> Any:
        """One of OpenFeature's hooks, which writes down what it is told."""
        from openfeature.hook import Hook

        log = self.log

        class Recording(Hook):
            def before(self, hook_context: Any, hints: Any) -> None:
                log.append((name, "before", None))

            def after(self, hook_context: Any, details: Any, hints: Any) -> None:
                log.append((name, "after", details))

            def error(self, hook_context: Any, exception: Exception, hints: Any) -> None:
                log.append((name, "error", exception))

            def finally_after(self, hook_context: Any, details: Any, hints: Any) -> None:
                log.append((name, "finally", details))

        return Recording()


# ---------------------------------------------------------------- given


@step("a (stable|not ready|error|fatal|stale) provider")
async def _(world: World, status: str) -> None:
    await world.provide(status)


@step("a stable provider with retrievable context is registered")
async def _(world: World) -> None:
    await world.provide("stable")
    world.flag = "Boolean", "boolean-flag", False


@step("an? (?i:(boolean|string|integer|float|object))-flag with key {} and a fallback value {}")
def _(world: World, kind: str, key: str, default: str) -> None:
    world.flag = kind, key, typed(kind, default)


@step("a context containing a key {}, with type {} and with value {}")
def _(world: World, key: str, kind: str, value: str) -> None:
    world.attributes[key] = typed(kind, value)


@step("a context containing a key {} with null value")
def _(world: World, key: str) -> None:
    world.attributes[key] = None


@step("a client with added hook")
def _(world: World) -> None:
    world.client.add_hooks([world.recording("client")])


@step("evaluation options containing specific hooks")
def _(world: World) -> None:
    from openfeature.flag_evaluation import FlagEvaluationOptions

    world.options = FlagEvaluationOptions([world.recording("first"), world.recording("second")])


@step("A context entry with key {} and value {} is added to the {} level")
def _(world: World, key: str, value: str, level: str) -> None:
    from openfeature.hook import Hook

    context = world.new_context(attributes={key: value})

    class Adding(Hook):
        def before(self, hook_context: Any, hints: Any) -> Any:
            return context

    if level == "API":
        world.api.set_evaluation_context(context)
    elif level == "Transaction":
        world.api.set_transaction_context(context)
    elif level == "Client":
        world.client.context = context
    elif level == "Invocation":
        world.attributes[key] = value
    else:
        assert level == "Before Hooks"
        world.client.add_hooks([Adding()])


@step("A table with levels of increasing precedence")
def _(world: World, rows: list[list[str]]) -> None:
    world.levels = [level for (level,) in rows]


@step("Context entries for each level from API level down to the {} level, with key {} and value {}")
def _(world: World, last: str, key: str, value: str) -> None:
    ((add),) = [function for pattern, function in STEPS if pattern.pattern.startswith("A context entry")]
    for level in world.levels[: world.levels.index(last) + 1]:
        add(world, key, value if level == last else f"of {level}", level)


# ---------------------------------------------------------------- when


@step("the flag was evaluated with details|Some flag was evaluated")
def _(world: World) -> None:
    world.details = world.evaluate()


@step("the flag was evaluated with details using the evaluation options")
def _(world: World) -> None:
    world.details = world.evaluate(options=world.options)


@step("the flag was evaluated with details asynchronously")
async def _(world: World) -> None:
    coroutine = world.evaluate("_async")
    try:
        coroutine.send(None)  # one step: if it had to wait for anything, it would not be through
    except StopIteration as done:
        world.details = done.value


# ---------------------------------------------------------------- then


@step("the resolved details value should be {}")
def _(world: World, value: str) -> None:
    wanted = typed(world.flag[0], value)
    assert (world.details.value, type(world.details.value)) == (wanted, type(wanted))


@step("the reason should be {}")
def _(world: World, reason: str) -> None:
    assert world.details.reason == reason


@step("the error-code should be {}")
def _(world: World, code: str) -> None:
    assert world.details.error_code == code


@step("the flag key should be {}")
def _(world: World, key: str) -> None:
    assert world.details.flag_key == key


@step("the variant should be {}")
def _(world: World, variant: str) -> None:
    assert world.details.variant == variant


@step("the provider status should be {}")
def _(world: World, status: str) -> None:
    assert world.client.get_provider_status().value == status


@step("the evaluation should complete without blocking")
def _(world: World) -> None:
    assert world.details is not None


@step("the resolved metadata should contain")
def _(world: World, rows: list[list[str]]) -> None:
    wanted = {key: typed(kind, value) for key, kind, value in rows[1:]}
    assert world.details.flag_metadata == wanted


@step("the resolved metadata is empty")
def _(world: World) -> None:
    assert world.details.flag_metadata == {}


@step("The merged context contains an entry with key {} and value {}")
def _(world: World, key: str, value: str) -> None:
    assert world.recorder.context[key] == value


@step("the {} hook should have been executed")
def _(world: World, stage: str) -> None:
    assert stage in [each for _, each, _ in world.log]


@step("the {} hooks should be called with evaluation details")
def _(world: World, stages: str, rows: list[list[str]]) -> None:
    for stage in stages.split(", "):
        ((_, _, details),) = [each for each in world.log if each[1] == stage]
        for kind, name, value in rows[1:]:
            assert getattr(details, name) == typed(kind, value), name


@step("the specified hooks should execute during evaluation")
def _(world: World) -> None:
    assert {stage for _, stage, _ in world.log} == {"before", "after", "finally"}


@step("the hook order should be maintained")
def _(world: World) -> None:
    names = {stage: [name for name, each, _ in world.log if each == stage] for stage in ("before", "after", "finally")}
    assert names == {"before": ["first", "second"], "after": ["second", "first"], "finally": ["second", "first"]}
