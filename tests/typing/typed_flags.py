"""What type checkers say of typed flags. Checked by tests/test_typing.py, never run.

Each ignored error is one that must be reported: where there is none, that fails the check.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict, assert_type

from pyflagwasm import BoundContext, EvaluationDetails, FlagEvaluator, Lease, Pin
from pyflagwasm.typed import Flag, FlagSet, check, declared


class Tone(Enum):
    PLAIN = "plain"
    WARM = "warm"


@dataclass(frozen=True)
class Stamps:
    needed: int

    @classmethod
    def of(cls, value: Any) -> Stamps:
        return cls(value["needed"])


class Loyalty(TypedDict):
    kind: str
    needed: NotRequired[int]


class Shop(FlagSet):
    pre_orders = Flag("pre-orders", default=False)
    most = Flag("most", default=3)
    fee = Flag("delivery-fee", default=3.5)
    button = Flag("checkout-button", default="Pay")
    whole_fee = Flag[float]("delivery-fee", default=3)
    tone = Flag[Literal["plain", "warm"]]("tone", default="plain")
    tone_as_enum = Flag("tone", default=Tone.PLAIN, parse=Tone)
    price = Flag("price", default=Decimal(1), parse=Decimal)
    hours = Flag[str | None]("opening-hours", default=None)
    loyalty = Flag[Loyalty]("loyalty", default={"kind": "none"})
    anything = Flag[Mapping[str, Any]]("loyalty", default={})
    names = Flag[Sequence[str]]("names", default=["a"])
    stamps = Flag("loyalty", default=Stamps(10), parse=Stamps.of)
    mixed = Flag[bool | str]("mixed", default=False)
    unknown = Flag[Any]("unknown", default=None)


class BiggerShop(Shop):
    terrace = Flag("terrace", default=False)


ALONE = Flag("pre-orders", default=False)


def bound(user: BoundContext) -> None:
    shop = BiggerShop(user)
    assert_type(shop.pre_orders, bool)
    assert_type(shop.most, int)
    assert_type(shop.fee, float)
    assert_type(shop.button, str)
    assert_type(shop.whole_fee, float)
    assert_type(shop.tone, Literal["plain", "warm"])
    assert_type(shop.tone_as_enum, Tone)
    assert_type(shop.price, Decimal)
    assert_type(shop.hours, str | None)
    assert_type(shop.loyalty, Loyalty)
    assert_type(shop.anything, Mapping[str, Any])
    assert_type(shop.names, Sequence[str])
    assert_type(shop.stamps, Stamps)
    assert_type(shop.mixed, bool | str)
    assert_type(shop.unknown, Any)
    assert_type(shop.terrace, bool)
    assert_type(ALONE.value(user), bool)
    assert_type(ALONE.value(user, strict=True), bool)
    assert_type(ALONE.details(user), EvaluationDetails)


async def of_evaluators(flags: FlagEvaluator, pinned: Pin, leased: Lease, user: Mapping[str, Any]) -> None:
    assert_type(Shop.fee, Flag[float])
    assert_type(await Shop.fee.value(flags, user), float)
    assert_type(await Shop.fee.value(flags), float)
    assert_type(await Shop.tone.value(pinned, user), Literal["plain", "warm"])
    assert_type(await ALONE.value(leased, user, strict=True), bool)
    assert_type(ALONE.value_nowait(flags, user), bool)
    assert_type(await ALONE.details(flags, user), EvaluationDetails)
    assert_type(ALONE.details_nowait(flags, user), EvaluationDetails)
    assert_type(ALONE.key, str)
    assert_type(Shop.stamps.default, Stamps)
    assert_type(check(flags, Shop, BiggerShop, ALONE), None)
    assert_type(declared(Shop), dict[str, Flag[Any]])


class Flags:
    """What stands for a bound context, such as the flags of a request."""

    def value(self, key: str, default: Any = None) -> Any:
        return default

    def details(self, key: str, default: Any = None) -> EvaluationDetails:
        return EvaluationDetails(key, default)


def of_a_request(flags: Flags) -> None:
    assert_type(Shop(flags).fee, float)
    assert_type(ALONE.value(flags), bool)


async def mistakes(flags: FlagEvaluator, user: BoundContext) -> None:
    Shop(flags)  # type: ignore[arg-type]
    Shop(user).pre_orders = True  # type: ignore[assignment]
    print(Shop(user).pre_order)  # type: ignore[attr-defined]
    fee: str = Shop(user).fee  # type: ignore[assignment]
    Flag[Literal["a", "b"]]("f", default="c")  # type: ignore[arg-type]
    Flag[bool]("f", default=None)  # type: ignore[arg-type]
    Flag[Loyalty]("f", default={"needed": 3})  # type: ignore[typeddict-item]
    Flag("f")  # type: ignore[call-arg]
    Flag("f", False)  # type: ignore[call-arg]
    ALONE.value_nowait(user)  # type: ignore[arg-type]
    ALONE.value(user, {})  # type: ignore[call-overload]
    if Shop.pre_orders:  # pyright: ignore[reportGeneralTypeIssues]
        print(fee)
