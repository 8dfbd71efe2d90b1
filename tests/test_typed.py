"""Flags that are declared: what they give, from whatever is asked, and what they are as objects."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, TypedDict

import pytest
from evaluators import LENIENT, ON_OFF, closed, flag, opened
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, FlagError, FlagEvaluator, FlagNotFoundError, Reason
from pyflagwasm.errors import TypeMismatchError
from pyflagwasm.typed import Flag, FlagSet, declared

PRO = {"if": [{"==": [{"var": "plan"}, "pro"]}, "second", "first"]}
DOCUMENT: dict[str, Any] = {
    "flags": {
        "pre-orders": flag(ON_OFF, "off", {"if": [{"==": [{"var": "plan"}, "pro"]}, "on", "off"]}),
        "fee": flag({"first": 3, "second": 1.75}, "first", PRO),
        "tone": flag({"first": "plain", "second": "loud"}, "first", PRO),
        "loyalty": flag({"first": {"kind": "stamps", "needed": 10}, "second": {"kind": 3}}, "first", PRO),
        "names": flag({"first": ["a", "b"], "second": ["a", 1]}, "first", PRO),
        "hours": flag({"first": "9:00", "second": "7:30"}, "first", PRO),
        "price": flag({"first": "1.50", "second": "dear"}, "first", PRO),
        "disabled": {**flag(ON_OFF, "on"), "state": "DISABLED"},
    }
}
FREE, PAYING = {"plan": "free"}, {"plan": "pro"}


class Tone(Enum):
    PLAIN = "plain"
    WARM = "warm"


class Loyalty(TypedDict):
    kind: str
    needed: int


@dataclass(frozen=True)
class Stamps:
    needed: int

    @classmethod
    def of(cls, value: Any) -> Stamps:
        return cls(value["needed"])


class Shop(FlagSet):
    """One flag of each way to declare one."""

    pre_orders = Flag("pre-orders", default=False)
    fee = Flag("fee", default=9.5)
    whole_fee = Flag[float]("fee", default=9)
    tone = Flag[Literal["plain", "warm"]]("tone", default="warm")
    tone_as_enum = Flag("tone", default=Tone.WARM, parse=Tone)
    loyalty = Flag[Loyalty]("loyalty", default={"kind": "none", "needed": 0})
    anything = Flag[Mapping[str, Any]]("loyalty", default={})
    names = Flag[list[str]]("names", default=["nobody"])
    hours = Flag[str | None]("hours", default="never")
    price = Flag("price", default=Decimal(9), parse=Decimal)
    stamps = Flag("loyalty", default=Stamps(0), parse=Stamps.of)
    disabled = Flag("disabled", default=False)
    missing = Flag("missing", default="none")
    mismatched = Flag("tone", default=True)


STAMPS = {"kind": "stamps", "needed": 10}
NOTHING = {"kind": "none", "needed": 0}
# Attribute: what the free plan is given and what the paying one, and the error codes of both.
EXPECTED: dict[str, tuple[Any, Any, ErrorCode | None, ErrorCode | None]] = {
    "pre_orders": (False, True, None, None),
    "fee": (3.0, 1.75, None, None),
    "whole_fee": (3.0, 1.75, None, None),
    "tone": ("plain", "warm", None, ErrorCode.TYPE_MISMATCH),
    "tone_as_enum": (Tone.PLAIN, Tone.WARM, None, ErrorCode.PARSE_ERROR),
    "loyalty": (STAMPS, NOTHING, None, ErrorCode.TYPE_MISMATCH),
    "anything": (STAMPS, {"kind": 3}, None, None),
    "names": (["a", "b"], ["nobody"], None, ErrorCode.TYPE_MISMATCH),
    "hours": ("9:00", "7:30", None, None),
    "price": (Decimal("1.50"), Decimal(9), None, ErrorCode.PARSE_ERROR),
    "stamps": (Stamps(10), Stamps(0), None, ErrorCode.PARSE_ERROR),
    "disabled": (False, False, None, None),
    "missing": ("none", "none", ErrorCode.FLAG_NOT_FOUND, ErrorCode.FLAG_NOT_FOUND),
    "mismatched": (True, True, ErrorCode.TYPE_MISMATCH, ErrorCode.TYPE_MISMATCH),
}
CASES = [
    (name, context, expected[number], expected[number + 2])
    for name, expected in EXPECTED.items()
    for number, context in enumerate((FREE, PAYING))
]
each_case = pytest.mark.parametrize(("name", "context", "value", "code"), CASES)


@pytest.fixture(scope="module")
def flags() -> Iterator[FlagEvaluator]:
    evaluator = opened(DOCUMENT, options=LENIENT)
    yield evaluator
    closed(evaluator)


def same(found: Any, wanted: Any) -> bool:
    return type(found) is type(wanted) and found == wanted


def test_all_cases_are_there() -> None:
    assert list(EXPECTED) == list(declared(Shop))


# ---------------------------------------------------------------- values


@each_case
def test_of_a_bound_context(
    flags: FlagEvaluator, name: str, context: Mapping[str, str], value: Any, code: ErrorCode | None
) -> None:
    bound = flags.bind(context)
    for _ in range(2):  # the second time from what was learned
        assert same(getattr(Shop(bound), name), value)
    details = declared(Shop)[name].details(bound)
    assert same(declared(Shop)[name].value(bound), value)
    assert same(details.value, value)
    assert details.error_code is code
    assert (details.variant is None) == (code is not None or name == "disabled")
    assert (details.reason is Reason.ERROR) == (code is not None)


@each_case
def test_without_await(
    flags: FlagEvaluator, name: str, context: Mapping[str, str], value: Any, code: ErrorCode | None
) -> None:
    flag_of = declared(Shop)[name]
    assert same(flag_of.value_nowait(flags, context), value)
    assert same(flag_of.details_nowait(flags, context).value, value)
    assert flag_of.details_nowait(flags, context).error_code is code
    if code is None:
        assert same(flag_of.value_nowait(flags, context, strict=True), value)
    else:
        kinds = {ErrorCode.TYPE_MISMATCH: TypeMismatchError, ErrorCode.FLAG_NOT_FOUND: FlagNotFoundError}
        with pytest.raises(kinds.get(code, FlagError)):
            flag_of.value_nowait(flags, context, strict=True)
        with pytest.raises(kinds.get(code, FlagError)):
            flag_of.details(flags.bind(context), strict=True)


@every_loop
def test_awaited(loop: str) -> None:
    async def main() -> None:
        async with (
            pyflagwasm.open(DOCUMENT, options=LENIENT) as flags,
            flags.pin() as pinned,
            flags.lease() as leased,
        ):
            for name, context, value, code in CASES:
                flag_of = declared(Shop)[name]
                for asked in (flags, pinned, leased):
                    assert same(await flag_of.value(asked, context), value)
                    details = await flag_of.details(asked, context)
                    assert same(details.value, value)
                    assert details.error_code is code
            assert await Shop.fee.value(flags) == 3.0
            with pytest.raises(TypeMismatchError, match="tone: the value is 'loud', none of \\['plain', 'warm'\\]"):
                await Shop.tone.value(flags, PAYING, strict=True)

    run_on(loop, main)


def test_with_hooks() -> None:
    seen: list[str] = []

    class Recorder(pyflagwasm.Hook):
        def finally_after(self, hook_context: Any, details: Any, hints: Any) -> None:
            seen.append(hook_context.flag_key)

    evaluator = opened(DOCUMENT, options=LENIENT, hooks=[Recorder()])
    try:
        shop = Shop(evaluator.bind(PAYING))
        assert (shop.pre_orders, shop.tone_as_enum, shop.hours) == (True, Tone.WARM, "7:30")
        assert seen == ["pre-orders", "tone", "hours"]
    finally:
        closed(evaluator)


def test_without_a_configuration() -> None:
    flags = pyflagwasm.open(DOCUMENT, options=LENIENT)
    shop = Shop(flags.bind(PAYING))
    for name, each in declared(Shop).items():
        assert same(getattr(shop, name), each.default)
        assert each.details_nowait(flags, PAYING).error_code is ErrorCode.PROVIDER_NOT_READY


def test_a_message_says_what_and_where(flags: FlagEvaluator) -> None:
    messages = {
        name: declared(Shop)[name].details_nowait(flags, PAYING).error_message
        for name, (*_, code) in EXPECTED.items()
        if code is not None
    }
    assert messages == {
        "tone": "the value is 'loud', none of ['plain', 'warm']",
        "tone_as_enum": "the value 'loud' cannot be parsed: ValueError: 'loud' is not a valid Tone",
        "loyalty": "the value's kind is an integer, not a text",
        "names": "the value's [1] is an integer, not a text",
        "price": "the value 'dear' cannot be parsed: InvalidOperation: [<class 'decimal.ConversionSyntax'>]",
        "stamps": "the value {'kind': 3} cannot be parsed: KeyError: 'needed'",
        "missing": "the configuration has no such flag",
        "mismatched": "the value is a text, the default is true or false",
    }


def test_parse_is_called_once_for_each_value(flags: FlagEvaluator) -> None:
    calls: list[Any] = []

    def parse(value: Any) -> str:
        calls.append(value)
        if value == "loud":
            raise ValueError(value)
        return f"<{value}>"

    tone = Flag("tone", default="none", parse=parse)
    for context in (FREE, PAYING) * 20:
        assert tone.value_nowait(flags, context) == ("<plain>" if context is FREE else "none")
    assert calls == ["plain", "loud"]


def test_values_of_many_configurations_are_told_apart() -> None:
    number = Flag("number", default=-1, parse=lambda value: value["n"] * 2)

    async def main() -> None:
        async with pyflagwasm.open({"flags": {}}) as flags:
            for n in range(600):  # more than a flag remembers
                await flags.reload({"flags": {"number": flag({"only": {"n": n}}, "only")}})
                assert await number.value(flags) == 2 * n
        assert len(number._known) <= 256

    run_on("asyncio", main)


def test_what_stands_for_a_bound_context() -> None:
    class Request:
        def value(self, key: str, default: Any = None) -> Any:
            return "plain" if key == "tone" else default

        def details(self, key: str, default: Any = None) -> EvaluationDetails:
            return EvaluationDetails(key, self.value(key, default))

    shop = Shop(Request())
    assert (shop.fee, shop.tone, shop.tone_as_enum, shop.hours) == (9.5, "plain", Tone.PLAIN, "never")
    assert Shop.tone.details(Request()).value == "plain"


def test_null_is_a_value_where_the_type_has_it() -> None:
    class Request:
        """Its one flag has a variant that is null."""

        def value(self, key: str, default: Any = None) -> Any:
            return None

        def details(self, key: str, default: Any = None) -> EvaluationDetails:
            return EvaluationDetails(key, None, "closed", Reason.STATIC)

    assert Shop(Request()).hours is None
    assert Shop.hours.details(Request()).variant == "closed"
    assert Flag[Literal["a", None]]("hours", default="a").value(Request()) is None
    assert Shop(Request()).tone == "warm"
    assert Shop(Request()).tone_as_enum is Tone.WARM
    for each, value in ((Shop.tone, "warm"), (Shop.tone_as_enum, Tone.WARM)):
        details = each.details(Request())
        assert (details.value, details.variant, details.error_message) == (value, None, "the value is null")
        assert details.error_code is ErrorCode.TYPE_MISMATCH


# ---------------------------------------------------------------- declaring


def test_names_and_inheritance() -> None:
    class Bigger(Shop):
        terrace = Flag("terrace", default=False)
        fee = Flag("fee", default=1.0)
        names = None  # type: ignore[assignment]

    found = declared(Bigger)
    assert set(found) == set(declared(Shop)) - {"names"} | {"terrace"}
    assert (found["fee"].default, found["fee"].name, found["tone"].name) == (1.0, "Bigger.fee", "Shop.tone")
    assert Flag("alone", default=1).name == "'alone'"


def test_the_class_has_the_flags_and_an_instance_has_values(flags: FlagEvaluator) -> None:
    assert isinstance(Shop.fee, Flag)
    shop = Shop(flags.bind(FREE))
    with pytest.raises(AttributeError, match=r"Shop\.fee is what the configuration gives: it cannot be assigned"):
        shop.fee = 3.0  # type: ignore[assignment]

    class Handler:
        FEE = Flag("fee", default=1.0)

    assert Handler().FEE is Handler.FEE  # type: ignore[comparison-overlap, call-overload]


def test_an_evaluator_is_no_bound_context(flags: FlagEvaluator) -> None:
    with pytest.raises(TypeError, match=r"^Shop is for one context: Shop\(flags\.bind\(context\)\)$"):
        Shop(flags)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Shop.fee.value(flags.bind(), {})  # type: ignore[call-overload]


def test_a_flag_has_no_truth_value() -> None:
    message = r"^the flag Shop\.fee has no truth value, its value has: await Shop\.fee\.value\(flags, context\)$"
    with pytest.raises(TypeError, match=message):
        bool(Shop.fee)


def test_a_set_without_its_context() -> None:
    class Forgetful(FlagSet):
        fee = Flag("fee", default=1.0)

        def __init__(self) -> None:
            pass

    with pytest.raises(TypeError, match=r"^Forgetful does not call FlagSet\.__init__ with its context$"):
        Forgetful().fee  # noqa: B018


def test_reprs(flags: FlagEvaluator) -> None:
    assert repr(Shop.fee) == "Flag[float]('fee', default=9.5)"
    assert repr(Shop.tone) == "Flag[Literal['plain', 'warm']]('tone', default='warm')"
    assert repr(Shop.stamps) == "Flag[Stamps]('loyalty', default=Stamps(needed=0))"
    assert repr(Shop.hours) == "Flag[str | None]('hours', default='never')"
    assert repr(Shop(flags.bind())).startswith("<Shop: pre_orders, fee, whole_fee, ")

    class Nothing(FlagSet):
        pass

    assert repr(Nothing(flags.bind())) == "<Nothing: no flags>"


@pytest.mark.parametrize("name", EXPECTED)
def test_pickled_and_copied(flags: FlagEvaluator, name: str) -> None:
    original = declared(Shop)[name]
    for other in (pickle.loads(pickle.dumps(original)), copy.deepcopy(original)):
        assert (other.key, other.default, other.name) == (original.key, original.default, original.name)
        assert repr(other) == repr(original)
        for context in (FREE, PAYING):
            assert same(other.value_nowait(flags, context), original.value_nowait(flags, context))


REFUSED: list[tuple[Any, str]] = [
    (lambda: Flag("f", default=None), "the default None does not say the type: write Flag[str | None](...), or"),
    (lambda: Flag("f", default={}), "the default {} does not say the type: write Flag[Mapping[str, Any]](...), or"),
    (lambda: Flag("f", default=[1]), "the default [1] does not say the type: write"),
    (lambda: Flag("f", default=Tone.WARM), "the default <Tone.WARM: 'warm'> does not say the type: write"),
    (lambda: Flag[Literal["a"]]("f", default="b"), "the default is 'b', none of ['a']"),  # type: ignore[arg-type]
    (lambda: Flag[int]("f", default=True), "the default is true or false, not an integer"),
    (lambda: Flag[str]("f", default=None), "the default is null, not a text"),  # type: ignore[arg-type]
    (lambda: Flag[Loyalty]("f", default={"kind": ""}), "the default has no member 'needed'"),  # type: ignore[typeddict-item]
    (
        lambda: Flag[Decimal]("f", default=Decimal(1)),
        "no value of a configuration is of the type Decimal: say by parse=",
    ),
    (lambda: Flag[set[int]]("f", default={1}), "no value of a configuration is of the type set[int]: say by parse="),
    (lambda: Flag[dict[int, str]]("f", default={}), "dict[int, str]: the keys of an object are texts"),
    (lambda: Flag("f", default=1, parse=3), "parse must be callable, not 3"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=lambda each: each if isinstance(each, str) else "")
def test_what_cannot_be_declared(make: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value).startswith(f"Flag('f'): {message}")


def test_a_key_is_a_text() -> None:
    with pytest.raises(TypeError, match="the key of a flag is a text, not 3"):
        Flag(3, default=False)  # type: ignore[arg-type]


def test_documented() -> None:
    for each in (FlagSet, Flag, Flag.value, Flag.value_nowait, Flag.details, Flag.details_nowait, Flag.key, declared):
        assert inspect.getdoc(each)


def test_importing_loads_no_runtime() -> None:
    code = "import sys, pyflagwasm.typed; print(sorted({'wasmtime', 'asyncio', 'anyio', 'json'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
