"""What tests of the evaluator and of the command line share: loops, documents for every kind of answer, runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyflagwasm
from pyflagwasm.cli import main
from pyflagwasm.evaluator import FlagEvaluator

VARIANTS: dict[str, tuple[dict[str, Any], str]] = {
    "bool": ({"on": True, "off": False}, "on"),
    "text": ({"a": "A", "b": ""}, "a"),
    "int": ({"few": 3, "many": 10**300}, "few"),
    "huge": ({"few": 3, "many": 10**300}, "many"),
    "float": ({"half": 0.5}, "half"),
    "object": ({"o": {"k": [1, 2]}}, "o"),
}
"""Flags without targeting: variants and the default one."""


def flag(variants: dict[str, Any], default: str | None, targeting: Any = None, **more: Any) -> dict[str, Any]:
    body = {"state": "ENABLED", "variants": variants, "defaultVariant": default, **more}
    return body if targeting is None else {**body, "targeting": targeting}


ON_OFF = {"on": True, "off": False}
FLAGD: dict[str, Any] = {
    "metadata": {"flagSetId": "shop"},
    "flags": {
        **{name: flag(*given) for name, given in VARIANTS.items()},
        "plan": flag(ON_OFF, "off", {"if": [{"==": [{"var": "plan"}, "pro"]}, "on"]}, metadata={"owner": "billing"}),
        "city": flag(ON_OFF, "off", {"if": [{"in": [{"var": "city"}, ["Ghent"]]}, "on", None]}),
        "split": flag(ON_OFF, "off", {"fractional": [["on", 50], ["off", 50]]}),
        "later": flag(ON_OFF, "off", {"if": [{">=": [{"var": "$flagd.timestamp"}, 2_000]}, "on"]}),
        "none": flag(ON_OFF, None),
        "disabled": {**flag(ON_OFF, "on"), "state": "DISABLED"},
    },
}
BROKEN: dict[str, Any] = {
    "flags": {
        "divides": flag(ON_OFF, "off", {"==": [{"/": [1, {"var": "n"}]}, 1]}),
        "astray": flag(ON_OFF, "nowhere"),
        "shapeless": {"state": "ENABLED", "variants": {}},
        "sound": flag(ON_OFF, "on"),
    }
}
LENIENT = {"validation": "lenient"}


def devcycle(kind: str, *values: Any, variables: bool = True) -> dict[str, Any]:
    """A document with one variable `v` of this declared type, and two targets: staff get the second value."""
    everyone = {"operator": "and", "filters": [{"type": "all"}]}
    staff = {
        "operator": "and",
        "filters": [{"type": "user", "subType": "country", "comparator": "=", "values": ["BE"]}],
    }
    last = len(values) - 1
    return {
        "project": {"key": "p", "settings": {}},
        "environment": {"key": "e"},
        "features": [
            {
                "_id": "f",
                "key": "feature",
                "variations": [
                    {
                        "_id": f"n{i}",
                        "key": f"number-{i}",
                        "variables": [{"_var": "v", "value": value}] if variables or i == 0 else [],
                    }
                    for i, value in enumerate(values)
                ],
                "configuration": {
                    "targets": [
                        {
                            "_id": name,
                            "_audience": {"filters": audience},
                            "distribution": [{"_variation": f"n{number}", "percentage": 1}],
                        }
                        for name, audience, number in (("staff", staff, last), ("everyone", everyone, 0))
                    ]
                },
            }
        ],
        "variables": [{"_id": "v", "key": "v", "type": kind}],
    }


def document(**flags: Any) -> bytes:
    return json.dumps({"flags": flags}).encode()


def uniform(count: int, variant: str) -> bytes:
    """Flags that all give the same; half of them read the context."""
    targeting = {"if": [{"==": [{"var": "who"}, "me"]}, variant]}
    return document(
        **{f"flag-{i}": flag({"a": "a", "b": "b"}, variant, targeting if i % 2 else None) for i in range(count)}
    )


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        return pytest.importorskip("uvloop").new_event_loop  # type: ignore[no-any-return]
    return asyncio.new_event_loop


def opened(source: Any, **options: Any) -> FlagEvaluator:
    """An open evaluator for tests that need no loop of their own. Close it with `closed`."""
    evaluator = pyflagwasm.open(source, **options)
    asyncio.run(evaluator.__aenter__())
    return evaluator


def closed(evaluator: FlagEvaluator) -> None:
    asyncio.run(evaluator.aclose())


Capture = pytest.CaptureFixture[str]


def written(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


def run(capsys: Capture, *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err
