"""What a type checker says of the public names. Checked by tests/test_typing.py, never run.

Each ignored error is one that must be reported: where there is none, that fails the check.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_type

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, FlagEvaluator, Reason


async def values(flags: FlagEvaluator, context: Mapping[str, Any]) -> None:
    assert_type(await flags.value("f", context, default=False), bool)
    assert_type(await flags.value("f", context, default="x"), str)
    assert_type(await flags.value("f", context, default=1), int)
    assert_type(await flags.value("f", context, default=1.0), float)
    assert_type(await flags.value("f", default={"a": 1}), Mapping[str, Any])
    assert_type(await flags.value("f", default=[1]), Sequence[Any])
    assert_type(await flags.value("f", default=(1, "x")), Sequence[Any])
    assert_type(await flags.value("f", None, default=None), Any)
    assert_type(await flags.value("f"), Any)
    assert_type(await flags.value("f", default=1, strict=True), int)
    assert_type(flags.value_nowait("f", context, default=False), bool)
    assert_type(flags.value_nowait("f", context, default="x"), str)
    assert_type(flags.value_nowait("f"), Any)
    assert_type(await flags.value("f", context, False), bool)
    assert_type(flags.value_nowait("f", context, "x", strict=True), str)

    user = flags.bind(context)
    assert_type(user.value("f", False), bool)
    assert_type(user.value("f", 1.5, strict=True), float)
    assert_type(user.value("f"), Any)
    assert_type(user.all(), dict[str, Any])
    assert_type(user.details("f", 1), EvaluationDetails)

    details = await flags.details("f", context, default=False)
    assert_type(details, EvaluationDetails)
    assert_type(details.reason, Reason)
    assert_type(details.error_code, ErrorCode | None)
    assert_type(details.metadata, Mapping[str, Any])
    assert_type(flags.details_nowait("f", context, default=False), EvaluationDetails)


async def life() -> None:
    async with pyflagwasm.open("flags.json") as flags:
        assert_type(flags, FlagEvaluator)
        assert_type(flags.flag_keys, tuple[str, ...])
        assert_type(flags.generation, int)
        await flags.reload(Path("flags.json"))
        await flags.reload(b"{}")
        await flags.reload({"flags": {}})
    pyflagwasm.open(b"{}", format="flagd", options={"validation": "lenient"}, clock=lambda: 1.5)
    version: str = pyflagwasm.__version__
    print(version)
    asyncio.run(flags.aclose())


async def mistakes(flags: FlagEvaluator) -> None:
    wrong: str = await flags.value("f", default=False)  # type: ignore[arg-type]
    await flags.value("f", default=object())  # type: ignore[call-overload]
    await flags.value("f", False)  # type: ignore[call-overload]
    await flags.value(3, default=False)  # type: ignore[call-overload]
    flags.bind({"a": 1}).value("f", {1, 2})  # type: ignore[call-overload]
    pyflagwasm.open(5)  # type: ignore[arg-type]
    pyflagwasm.open("flags.json", "flagd")  # type: ignore[call-arg]
    with pyflagwasm.open("flags.json"):  # type: ignore[attr-defined]
        print(wrong)
    if await flags.details("f", default=False):  # pyright: ignore[reportGeneralTypeIssues]
        print("a value, not its details, has a truth value; mypy leaves that to be found when it runs")
