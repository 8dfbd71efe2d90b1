"""Steps of evaluation.feature, the first and now deprecated one of OpenFeature's files of scenarios."""

from __future__ import annotations

from typing import Any

from suite_openfeature import World, step, typed

KIND = "(boolean|string|integer|float)"


@step(f"an? {KIND} flag with key {{}} is evaluated with (details and )?default value {{}}")
def _(world: World, kind: str, key: str, details: str | None, default: str) -> None:
    _evaluated(world, kind, key, typed(kind, default), details is not None)


@step(rf"an? {KIND} flag with key {{}} is evaluated with (details and )?default value ([\d.]+)")
def _(world: World, kind: str, key: str, details: str | None, default: str) -> None:
    _evaluated(world, kind, key, typed(kind, default), details is not None)


@step("an object flag with key {} is evaluated with (details and )?a null default value")
def _(world: World, key: str, details: str | None) -> None:
    _evaluated(world, "object", key, None, details is not None)


def _evaluated(world: World, kind: str, key: str, default: Any, details: bool) -> None:
    """details: whether by the getter of details, or by that of values alone."""
    world.flag = kind, key, default
    world.details = world.evaluate()
    if not details:
        value = getattr(world.client, f"get_{kind}_value")(key, default, world.new_context(attributes=world.attributes))
        assert value == world.details.value


@step(f"the resolved {KIND} (?:value|response) should be (?:{{}}|([\\d.]+))")
def _(world: World, kind: str, text: str | None, number: str | None) -> None:
    assert world.details.value == typed(kind, text or number or "")


@step(
    f"the resolved {KIND} details value should be (?:{{}}|([\\d.]+)), "
    "the variant should be {}, and the reason should be {}"
)
def _(world: World, kind: str, text: str | None, number: str | None, variant: str, reason: str) -> None:
    assert world.details.value == typed(kind, text or number or "")
    assert (world.details.variant, world.details.reason) == (variant, reason)


@step(
    "the resolved object (?:details )?value should be contain fields {}, {}, and {}, "
    r"with values {}, {} and (\d+), respectively"
)
def _(world: World, first: str, second: str, third: str, truth: str, text: str, number: str) -> None:
    assert world.details.value == {first: typed("boolean", truth), second: text, third: int(number)}


@step("the variant should be {}, and the reason should be {}")
def _(world: World, variant: str, reason: str) -> None:
    assert (world.details.variant, world.details.reason) == (variant, reason)


@step(r"context contains keys {}, {}, {}, {} with values {}, {}, (\d+), {}")
def _(world: World, *given: str) -> None:
    first, second, third, fourth = given[:4]
    world.attributes = {
        first: given[4], second: given[5], third: int(given[6]), fourth: typed("boolean", given[7]),
    }  # fmt: skip


@step("a flag with key {} is evaluated with default value {}")
def _(world: World, key: str, default: str) -> None:
    _evaluated(world, "string", key, default, False)


@step("the resolved flag value is {} when the context is empty")
def _(world: World, value: str) -> None:
    _, key, default = world.flag
    assert world.client.get_string_value(key, default) == value


@step("a non-existent string flag with key {} is evaluated with details and a fallback value {}")
def _(world: World, key: str, default: str) -> None:
    _evaluated(world, "string", key, default, True)


@step(r"a string flag with key {} is evaluated as an integer, with details and a fallback value (\d+)")
def _(world: World, key: str, default: str) -> None:
    _evaluated(world, "integer", key, int(default), True)


@step("the default (?:string|integer) value should be returned")
def _(world: World) -> None:
    assert world.details.value == world.flag[2]


@step("the reason should indicate an error and the error code should indicate a (?:missing flag|type mismatch) with {}")
def _(world: World, code: str) -> None:
    assert (world.details.reason, world.details.error_code) == ("ERROR", code)
