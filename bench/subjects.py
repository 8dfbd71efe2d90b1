"""What is timed, from the boundary outwards: one call, encoding, an evaluation, many flags, the stages of a swap.

How it is timed is in measure.py, what is observed without a stopwatch around one call in lifecycle.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import operator
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyflagwasm
from pyflagwasm import FlagEvaluator
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.config.formats import load
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance

from .measure import Subject, WrongAnswer, units
from .peers import reference
from .scenarios import EXPECTED, FRESH, SIMPLE, TARGET, by_hand, document, user

TESTS: Final = Path(__file__).resolve().parents[1] / "tests"
NOW_US: Final = 1_700_000_000_000_000
SIZES: Final = (1, 50, 1000, 10_000)


def compiled(flags: int, mark: str = "") -> CompiledConfig:
    return compile_model(load(document(flags, mark)))


def is_split(value: object) -> bool:
    return value in ("C", "T")


def last_target(flags: int) -> str:
    """The last flag of `document(flags)` that has W1's rules."""
    return f"flag-{(flags - 1) // 2 * 2:04d}"


def verified(name: str, decide: Any) -> None:
    """Raises WrongAnswer unless `decide(context)` gives W1's answers."""
    for context, letters in EXPECTED:
        answer = decide(context)
        if not answer or answer not in letters:
            raise WrongAnswer(f"{name} gives {answer!r} instead of one of {letters} for {context}")


def baselines() -> list[Subject]:
    """The units, the context alone, the rule written by hand, compiled to closures, and the tests' slow twin."""
    decide = by_hand()
    verified("the rule written by hand", decide)
    subjects = [
        *units(),
        Subject("baseline/context", FRESH, lambda made: len(made) == 9, note="a fresh dict of 9: in each fresh row"),
        Subject("baseline/by-hand", f"decide({FRESH})", is_split, {"decide": decide}, "W1 as Python for this one flag"),
    ]
    if reference.available():
        closures = reference.compiled(document(50))[TARGET]
        verified("the compiled closures", closures)
        names = {"decide": closures, "ready": user()}
        subjects += [
            Subject(reference.NAME, "decide(ready)", is_split, names, "W1 as closures + mmh3, reused context"),
            Subject(reference.NAME + "-fresh", f"decide({FRESH})", is_split, names, "the same, fresh context"),
        ]
    if TESTS.is_dir() and importlib.util.find_spec("flatbuffers"):
        if str(TESTS) not in sys.path:
            sys.path.append(str(TESTS))
        Reference = importlib.import_module("reference").Reference
        config = compiled(50)
        scratch = memoryview(bytearray(1 << 16))
        size = Encoder(config).encode(user(), config.flags[TARGET].slots, scratch, NOW_US)
        names = {"twin": Reference(config.ir), "flag": config.flags[TARGET].index, "request": bytes(scratch[:size])}
        subjects.append(
            Subject("baseline/twin", "twin.evaluate(flag, request)", lambda decision: decision.variant in (2, 3), names,
                    "the same configuration evaluated in plain Python", samples=False)
        )  # fmt: skip
    return subjects


def boundary() -> list[Subject]:
    """A whole decision in one crossing, its request already written."""
    config = compiled(50)
    instance = Instance()
    instance.load(config.ir, config.digest)
    Encoder(config).encode(user(), config.flags[TARGET].slots, instance.scratch, NOW_US)
    return [
        Subject(f"boundary/{name}", "evaluate(flag)", lambda packed: packed & 0xFFFF < 4,
                {"evaluate": instance.evaluate, "flag": config.flags[key].index, "instance": instance}, note)
        for name, key, note in (("constant", SIMPLE, "evaluate() alone"), ("W1", TARGET, "evaluate() alone, with W1"))
    ]  # fmt: skip


def encoding() -> list[Subject]:
    """Writing the request in Python: what W1 reads, and the same by the official FlatBuffers builder."""
    config = compiled(50)
    encoder, slots = Encoder(config), config.flags[TARGET].slots
    scratch = memoryview(bytearray(1 << 16))
    context, wide = user(), user() | {f"attribute-{i}": i for i in range(91)}
    size = encoder.encode(context, slots, scratch, NOW_US)
    names = {"encode": encoder.encode, "slots": slots, "scratch": scratch, "now": NOW_US}
    texts = [str(context[name]) for name in ("targetingKey", "email", "country", "appVersion", "plan")]
    call = "encode(ready, slots, scratch, now)"
    return [
        Subject("encode/W1", call, lambda wrote: wrote == size, names | {"ready": context}, "in Python: 5 of 9"),
        Subject("encode/W1-of-100", call, lambda wrote: wrote == size, names | {"ready": wide},
                "5 of 100 attributes: the same bytes"),
        Subject("encode/official-builder", "official(texts)", lambda wrote: wrote > 64,
                {"official": official, "texts": texts}, "the same five texts by flatbuffers.Builder"),
    ]  # fmt: skip


def official(texts: list[str]) -> int:
    builder: Any = importlib.import_module("flatbuffers").Builder(256)
    offsets = [builder.CreateString(text) for text in texts]
    builder.StartObject(len(texts))
    for slot, offset in enumerate(offsets):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject())
    return len(bytes(builder.Output()))


async def evaluations(stack: AsyncExitStack) -> list[Subject]:
    """Whole evaluations as a caller makes them, with a fresh and with a reused context."""
    flags = await stack.enter_async_context(pyflagwasm.open(document(50)))
    verified("the evaluator", lambda context: flags.value_nowait(TARGET, context, ""))

    async def pinned(context: dict[str, Any]) -> str:
        async with flags.pin() as pin:
            return await pin.value(TARGET, context, default="")

    async def leased(context: dict[str, Any]) -> str:
        async with flags.lease() as lease:
            return await lease.value(TARGET, context, default="")

    names = {
        "value": flags.value, "value_nowait": flags.value_nowait, "details": flags.details_nowait, "bind": flags.bind,
        "bound": flags.bind(user()), "ready": user(), "w1": TARGET, "simple": SIMPLE, "pinned": pinned,
        "leased": leased,
    }  # fmt: skip
    rows = (
        ("W1-awaited", f'await value(w1, {FRESH}, default="")', is_split, "fresh context"),
        ("W1-awaited-reused", 'await value(w1, ready, default="")', is_split, "reused context"),
        ("W1-fresh", f'value_nowait(w1, {FRESH}, "")', is_split, "without await, fresh context"),
        ("W1", 'value_nowait(w1, ready, "")', is_split, "without await, reused context"),
        ("W1-details", 'details(w1, ready, "")', lambda found: is_split(found.value), "reused context"),
        ("constant", "value_nowait(simple, ready, False)", lambda value: value is True, "a flag without targeting"),
        ("bound", 'bound.value(w1, "")', is_split, "context encoded once"),
        ("bind", f"bind({FRESH})", lambda found: hasattr(found, "all"), "encoding alone"),
        ("all-50", f"bind({FRESH}).all()", lambda found: len(found) == 50, "50 flags, fresh context"),
        ("all-50-bound", "bound.all()", lambda found: len(found) == 50, "50 flags, context encoded once"),
        ("W1-pinned", f"await pinned({FRESH})", is_split, "with a pin of its own"),
        ("W1-leased", f"await leased({FRESH})", is_split, "with a lease of its own"),
    )
    return [Subject(f"evaluate/{name}", call, check, names, note) for name, call, check, note in rows]


async def openfeature(stack: AsyncExitStack) -> list[Subject]:
    """The same by way of OpenFeature's client, and by its provider alone; nothing where the SDK is not installed."""
    if not importlib.util.find_spec("openfeature"):
        return []
    api = importlib.import_module("openfeature.api")
    flags = await stack.enter_async_context(pyflagwasm.open(document(50)))
    provider = importlib.import_module("pyflagwasm.integrations.openfeature").FlagwasmProvider(flags)
    api.set_provider_and_wait(provider, "bench")
    stack.callback(api.clear_providers)
    client = api.get_client("bench")
    attributes = {name: value for name, value in user().items() if name != "targetingKey"}
    made = importlib.import_module("openfeature.evaluation_context").EvaluationContext
    names = {
        "value": client.get_string_value, "value_async": client.get_string_value_async, "w1": TARGET,
        "details": provider.resolve_string_details, "ready": made("user-000007", attributes),
    }  # fmt: skip
    rows = (
        ("W1-provider", 'details(w1, "", ready)', lambda found: is_split(found.value), "OpenFeature's provider alone"),
        ("W1-client", 'value(w1, "", ready)', is_split, "OpenFeature's client, reused context"),
        ("W1-client-awaited", 'await value_async(w1, "", ready)', is_split, "the same awaited"),
    )
    return [Subject(f"evaluate/{name}", call, check, names, note) for name, call, check, note in rows]


async def requests(stack: AsyncExitStack) -> list[Subject]:
    """What the middleware costs a request of Starlette, without a server: alone, and with 50 flags for one context."""
    if importlib.util.find_spec("starlette") is None:
        return []
    from pyflagwasm.integrations.requests import current
    from pyflagwasm.integrations.starlette import FlagsMiddleware

    flags = await stack.enter_async_context(pyflagwasm.open(document(50)))
    keys = [(key, False if place % 2 else "") for place, key in enumerate(flags.flag_keys)]

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def asking(scope: Any, receive: Any, send: Any) -> None:
        own = current.get()
        scope["found"] = [own.value(key, default) for key, default in keys]

    async def answered(scope: Any) -> list[Any]:
        await around_asking(scope, None, None)  # type: ignore[arg-type]
        found: list[Any] = scope["found"]
        return found

    around = FlagsMiddleware(bare, context=lambda request: user(), evaluator=flags)
    around_asking = FlagsMiddleware(asking, context=lambda request: user(), evaluator=flags)
    names = {"bare": bare, "around": around, "answered": answered}
    rows = (
        ("bare", 'await bare({"type": "http"}, None, None)', lambda found: found is None, "does nothing"),
        ("middleware", 'await around({"type": "http"}, None, None)', lambda found: found is None, "around that"),
        ("50-flags", 'await answered({"type": "http"})', lambda found: len(found) == 50 and is_split(found[0]),
         "one context, each flag by its key"),
    )  # fmt: skip
    return [Subject(f"request/{name}", call, check, names, note) for name, call, check, note in rows]


async def sizes(stack: AsyncExitStack) -> list[Subject]:
    """The same flag among 1, 50, 1,000 and 10,000, and all of them at once."""
    subjects = []
    for number in SIZES:
        flags: FlagEvaluator = await stack.enter_async_context(pyflagwasm.open(document(number)))
        key = last_target(number)
        names = {"value": flags.value, "value_nowait": flags.value_nowait, "bind": flags.bind, "w1": key,
                 "ready": user(), "number": number}  # fmt: skip
        subjects += [
            Subject(f"flags/{number}/W1", 'value_nowait(w1, ready, "")', is_split, names, "reused context"),
            Subject(f"flags/{number}/W1-fresh", f'await value(w1, {FRESH}, default="")', is_split, names,
                    "awaited, fresh context"),
            Subject(f"flags/{number}/all", f"len(bind({FRESH}).all())", partial(operator.eq, number), names,
                    "all of them, fresh context", samples=number <= 1000),
        ]  # fmt: skip
    return subjects


def swaps() -> list[Subject]:
    """A new configuration of 1,000 flags: what each stage of a swap costs."""
    configs = [compiled(1000, mark) for mark in "ab"]
    instance = Instance()
    turn = [0]

    def load_next() -> int:
        turn[0] ^= 1
        instance.load(configs[turn[0]].ir, configs[turn[0]].digest)
        return instance.memory_size

    note = f"reserve, copy {len(configs[0].ir) // 1024} KiB, verify, commit"
    return [
        Subject("swap/compile-1000", "len(compile(load(source)).flags)", lambda found: found == 1000,
                {"compile": compile_model, "load": load, "source": document(1000)}, "document to IR, off the loop",
                samples=False),
        Subject("swap/instance-1000", "load_next()", lambda size: size > 0, {"load_next": load_next}, note),
    ]  # fmt: skip


async def everything(stack: AsyncExitStack, host: str) -> list[Subject]:
    """All subjects of a host, the units first. What does not depend on the host is measured with "portable" only."""
    encoded = encoding() if host == "portable" else []
    return [
        *baselines(), *boundary(), *encoded, *await evaluations(stack), *await openfeature(stack),
        *await requests(stack), *await sizes(stack),
        *swaps(),
    ]  # fmt: skip
