"""Evaluations as callers see them: values, types of defaults, details, errors, bound contexts."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from evaluators import BROKEN, FLAGD, LENIENT, VARIANTS, closed, devcycle, document, flag, new_loop, opened
from support import HOSTS

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, FlagEvaluator, Reason, errors
from pyflagwasm.generation import Flag

PRO = {"targetingKey": "u-1", "plan": "pro"}


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    with asyncio.Runner(debug=True, loop_factory=new_loop(request.param)) as runner:
        yield runner.run


@pytest.fixture
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(FLAGD, clock=lambda: 1_000.0)
    yield evaluator
    closed(evaluator)


@pytest.fixture
def broken() -> Iterator[FlagEvaluator]:
    evaluator = opened(BROKEN, options=LENIENT)
    yield evaluator
    closed(evaluator)


# ---------------------------------------------------------------- awaiting


def test_the_four_ways_agree(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def ask() -> None:
        async with pyflagwasm.open(FLAGD) as flags:
            assert await flags.value("plan", PRO, default=False) is True
            assert flags.value_nowait("plan", PRO, False) is True
            details = await flags.details("plan", PRO, default=False)
            assert details == flags.details_nowait("plan", PRO, default=False)
            user = flags.bind(PRO)
            assert user.details("plan", False) == details
            assert user.value("plan", False) is True
            assert details == EvaluationDetails(
                "plan",
                True,
                "on",
                Reason.TARGETING_MATCH,
                rule_index=0,
                generation=1,
                metadata={"flagSetId": "shop", "owner": "billing"},
            )

    run(ask())


def test_awaiting_never_suspends(flags: FlagEvaluator) -> None:
    for awaitable, expected in (
        (flags.value("plan", PRO, default=False), True),
        (flags.value("bool", default=False), True),
        (flags.value("nope", default=4), 4),
    ):
        with pytest.raises(StopIteration) as end:
            awaitable.send(None)
        assert end.value.value is expected


def test_details_of_a_rule() -> None:
    flags = opened(devcycle("String", "plain", "special"))
    details = flags.details_nowait("v", {"user_id": "u", "country": "BE"}, default="")
    assert details == EvaluationDetails(
        "v",
        "special",
        "number-1",
        Reason.TARGETING_MATCH,
        rule_index=0,
        generation=1,
        metadata={"feature": "f", "feature_key": "feature", "variable": "v", "target": "staff"},
    )
    with pytest.raises(TypeError):
        details.metadata["target"] = "other"  # type: ignore[index]
    other = flags.details_nowait("v", {"user_id": "u"}, default="")
    assert (other.rule_index, other.metadata["target"]) == (1, "everyone")
    closed(flags)


# ---------------------------------------------------------------- what is no value


@pytest.mark.parametrize(("key", "reason"), [("none", Reason.DEFAULT), ("disabled", Reason.DISABLED)])
def test_the_callers_default_is_no_error(flags: FlagEvaluator, key: str, reason: Reason) -> None:
    default = object()
    details = flags.details_nowait(key, PRO, default=default, strict=True)
    assert details.value is default
    assert (details.variant, details.reason, details.error_code, details.error_message) == (None, reason, None, None)


def refused(details: EvaluationDetails) -> tuple[Any, ...]:
    assert details.reason is Reason.ERROR
    assert details.variant is None
    return details.value, details.error_code, details.error_message


@pytest.mark.parametrize("key", ["nope", "", "Bool", ["bool"], None])
def test_an_unknown_flag(flags: FlagEvaluator, key: Any) -> None:
    details = flags.details_nowait(key, default=7)
    assert refused(details) == (7, ErrorCode.FLAG_NOT_FOUND, "the configuration has no such flag")
    assert (details.flag_key, details.generation, details.metadata) == (key, 1, {"flagSetId": "shop"})
    with pytest.raises(errors.FlagNotFoundError):
        flags.value_nowait(key, default=7, strict=True)


def test_a_context_that_cannot_be_sent(flags: FlagEvaluator) -> None:
    context = {"plan": b"pro", "city": "Ghent"}
    details = flags.details_nowait("plan", context, default=False)
    message = "attribute plan: a value of type bytes cannot be used"
    assert refused(details) == (False, ErrorCode.INVALID_CONTEXT, message)
    assert details.metadata["owner"] == "billing"
    assert flags.value_nowait("city", context, default=False) is True
    with pytest.raises(errors.InvalidContextError, match=f"^plan: {message}$"):
        flags.value_nowait("plan", context, default=False, strict=True)


@pytest.mark.parametrize("context", [5, "text", [("plan", "pro")]])
def test_a_context_that_is_none(flags: FlagEvaluator, context: Any) -> None:
    for details in (flags.details_nowait("plan", context, default=False), flags.bind(context).details("plan", False)):
        assert details.error_code is ErrorCode.INVALID_CONTEXT
    # a flag that reads no attribute asks for none, whether it was asked before or not
    for key in ("bool", "bool", "later"):
        assert flags.details_nowait(key, context, default=False).error_code is None
        assert flags.bind(context).details(key, False).error_code is None


def test_a_missing_targeting_key() -> None:
    flags = opened(devcycle("Boolean", True))
    assert refused(flags.details_nowait("v", {}, default=False)) == (
        False,
        ErrorCode.TARGETING_KEY_MISSING,
        "the context has no targeting key",
    )
    with pytest.raises(errors.TargetingKeyMissingError):
        flags.value_nowait("v", {}, default=False, strict=True)
    closed(flags)


def test_flags_with_problems(broken: FlagEvaluator) -> None:
    expected = {
        "divides": (ErrorCode.GENERAL, "the rules failed for this context"),
        "astray": (ErrorCode.GENERAL, "flags.astray.defaultVariant: there is no variant 'nowhere'"),
        "shapeless": (ErrorCode.PARSE_ERROR, "flags.shapeless.variants: there must be at least one variant"),
    }
    for key, (code, message) in expected.items():
        assert refused(broken.details_nowait(key, {"n": 0}, default=False)) == (False, code, message)
        with pytest.raises(errors.FlagError):
            broken.value_nowait(key, {"n": 0}, default=False, strict=True)
    assert broken.value_nowait("sound", default=False) is True


def test_a_variant_that_is_an_error() -> None:
    flags = opened(devcycle("Boolean", True, False, variables=False))
    details = flags.details_nowait("v", {"user_id": "u", "country": "BE"}, default=False)
    message = "variation 'number-1' of feature 'feature' has no value for this variable"
    assert refused(details) == (False, ErrorCode.GENERAL, message)
    assert flags.value_nowait("v", {"user_id": "u"}, default=False) is True
    closed(flags)


def test_the_callers_own_code_may_fail_and_may_ask(flags: FlagEvaluator) -> None:
    class Failing(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            raise LookupError("database")

    class Asking(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            return "pro" if flags.value_nowait("city", {"city": "Ghent"}, default=False) else "free"

    details = flags.details_nowait("plan", Failing(), default=False)
    assert refused(details) == (False, ErrorCode.INVALID_CONTEXT, "attribute plan: reading it raised LookupError")
    assert flags.value_nowait("plan", Asking(), default=False) is True
    assert flags.bind(Asking()).value("plan", False) is True


# ---------------------------------------------------------------- clock, split


def test_the_clock() -> None:
    now = [1_999.9999]
    flags = opened(FLAGD, clock=lambda: now[0])
    user = flags.bind({})
    assert flags.value_nowait("later", default=True) is False
    assert user.value("later", True) is False
    now[0] = 2_000.0
    assert flags.value_nowait("later", default=False) is True
    assert user.value("later", False) is True  # a bound context does not stop the clock
    assert user.all()["later"] is True
    closed(flags)


CLOCKS: list[tuple[Any, str]] = [
    (lambda: math.nan, "cannot be used: ValueError"),
    (lambda: math.inf, "cannot be used: OverflowError"),
    (lambda: 1e300, "gives a time that is too far from 1970"),
    (lambda: -1e300, "gives a time that is too far from 1970"),
    (lambda: 10**30, "gives a time that is too far from 1970"),
    (lambda: "noon", "cannot be used: TypeError"),
    (lambda: 1 / 0, "cannot be used: ZeroDivisionError"),
]


@pytest.mark.parametrize(("clock", "problem"), CLOCKS)
def test_a_clock_that_cannot_be_used(clock: Any, problem: str) -> None:
    flags = opened(FLAGD, clock=clock)
    user = flags.bind({})
    for details in (flags.details_nowait("later", {}, default=True), user.details("later", True)):
        assert (details.value, details.reason, details.error_code) == (True, Reason.ERROR, ErrorCode.GENERAL)
        assert details.error_message == f"the clock {problem}"
    assert user.all() == {}
    closed(flags)


def test_a_split_is_one_to_one(flags: FlagEvaluator) -> None:
    keys = [f"user-{i}" for i in range(400)]
    values = [flags.value_nowait("split", {"targetingKey": key}, default=False) for key in keys]
    assert 150 < sum(values) < 250
    assert values == [flags.bind({"targeting_key": key}).value("split", False) for key in keys]


# ---------------------------------------------------------------- bound contexts


def test_a_bound_context_is_encoded_once(flags: FlagEvaluator, monkeypatch: pytest.MonkeyPatch) -> None:
    context = dict(PRO)
    user = flags.bind(context)
    context["plan"] = "free"
    monkeypatch.setattr("pyflagwasm.generation.Encoder.encode", None)
    assert user.value("plan", False) is True
    assert user.details("plan", False, strict=True).variant == "on"
    with pytest.raises(errors.FlagNotFoundError):
        user.value("nope", False, strict=True)
    assert user.value("nope") is None


def test_all_flags_of_a_context(flags: FlagEvaluator) -> None:
    values = flags.bind(PRO).all()
    assert values == {
        **{name: given[0][given[1]] for name, given in VARIANTS.items()},
        "plan": True,
        "city": False,
        "split": values["split"],
        "later": False,
    }
    assert list(values) == [key for key in flags.flag_keys if key not in ("none", "disabled")]
    assert flags.flag_keys == tuple(FLAGD["flags"])


def test_a_bad_attribute_spoils_only_the_flags_that_read_it(flags: FlagEvaluator) -> None:
    user = flags.bind({"city": "Ghent", "plan": b"pro"})
    assert user.details("plan", False).error_code is ErrorCode.INVALID_CONTEXT
    assert user.value("city", False) is True
    assert flags.bind({"city": "Ghent"}).all().keys() - user.all().keys() == {"plan"}


def test_a_bound_context_lives_through_a_reload(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def ask() -> None:
        async with pyflagwasm.open(FLAGD) as flags:
            user = flags.bind({"city": "Namur", "other": 1})
            assert user.value("city", True) is False
            targeting = {"if": [{"==": [{"var": "other"}, 1]}, "on"]}
            await flags.reload(document(city=flag({"on": True, "off": False}, "off", targeting)))
            assert user.details("city", False).generation == 2
            assert user.value("city", False) is True
            assert user.all() == {"city": True}
        assert user.all() == {}
        assert user.details("city", False).error_code is ErrorCode.PROVIDER_NOT_READY

    run(ask())


# ---------------------------------------------------------------- what is remembered


@pytest.mark.parametrize("host", HOSTS)
def test_what_reads_nothing_is_asked_once(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("PYFLAGWASM_HOST", host)
    asked: list[str] = []
    outcome = Flag.outcome

    def counted(self: Flag, packed: int) -> Any:
        asked.append(self.entry.key)
        return outcome(self, packed)

    monkeypatch.setattr(Flag, "outcome", counted)
    flags = opened(FLAGD)
    for _ in range(3):
        for key in (*VARIANTS, "none", "disabled", "plan"):
            flags.details_nowait(key, PRO)
            flags.bind(PRO).details(key)
    # The native host puts into words what it meets for the first time.
    assert sorted(asked) == sorted([*VARIANTS, "none", "disabled", *["plan"] * (1 if host == "native" else 6)])
    asyncio.run(flags.reload(FLAGD))
    assert flags.details_nowait("bool").generation == 2
    assert asked[-1] == "bool"
    closed(flags)


@pytest.mark.parametrize("name", ["flagd", "devcycle"])
def test_what_is_remembered_is_what_the_core_says(name: str) -> None:
    path = Path(pyflagwasm.__file__).parent / "examples" / f"{name}.json"
    flags = opened(path)
    user = {"user_id": "u-1", "targetingKey": "u-1"}
    for key in flags.flag_keys:
        first = flags.details_nowait(key, user)
        assert flags.details_nowait(key, user) == first
        assert flags.bind(user).all().get(key) == first.value
    closed(flags)


def test_values_are_plain_json(flags: FlagEvaluator) -> None:
    value = flags.value_nowait("object", default={})
    assert type(value) is dict
    assert json.loads(json.dumps(value)) == {"k": [1, 2]}
    assert isinstance(flags.value_nowait("object", default=MappingProxyType({})), Mapping)


# ---------------------------------------------------------------- examples


def test_an_example_can_be_opened(run: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
    async def ask() -> None:
        async with pyflagwasm.open("example:flagd") as flags:
            assert "pre-orders" in flags.flag_keys
            assert await flags.value("pre-orders", {"targetingKey": "u", "city": "Ghent"}, default=False) is True
            assert await flags.value("pre-orders", {"targetingKey": "u", "city": "Paris"}, default=True) is False
            await flags.reload("example:devcycle")
            assert (flags.generation, "one-page-checkout" in flags.flag_keys) == (2, True)
            with pytest.raises(errors.ConfigError):
                await flags.reload("example:nope")
            assert flags.generation == 2

    run(ask())


@pytest.mark.parametrize("name", ["nope", "", "flagd.json", "../flagd", "Flagd"])
def test_an_unknown_example(name: str) -> None:
    with pytest.raises(errors.ConfigError) as raised:
        opened(f"example:{name}")
    error = raised.value
    reason = f"there is no example {name!r}; there are devcycle, flagd"
    assert (error.path, error.detail, error.source) == ("", reason, f"example:{name}")


def test_an_example_that_cannot_be_used_is_named() -> None:
    with pytest.raises(errors.ConfigError) as raised:
        opened("example:flagd", format="devcycle")
    assert str(raised.value) == "example:flagd: project: the project is missing"


def test_a_file_may_be_called_like_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("example:flagd").write_bytes(document(mine=flag({"v": "own"}, "v")))
    for source, keys in (("./example:flagd", 1), (Path("example:flagd"), 1), ("example:flagd", 6)):
        evaluator = opened(source)
        assert len(evaluator.flag_keys) == keys
        closed(evaluator)
