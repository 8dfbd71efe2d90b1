"""What is served is what the evaluator says: for every flag of the examples, and of one generation under swaps."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from evaluators import uniform
from served import Served, serving

import pyflagwasm
from pyflagwasm import EvaluationDetails

EXAMPLES = ("example:flagd", "example:devcycle")
CITIES = ("Ghent", "Bruges", None)
CONTEXTS: list[dict[str, Any]] = [
    {},
    {"targetingKey": "u"},
    *(
        {
            "targetingKey": f"user-{number}",
            "city": CITIES[number % 3],
            "country": ("BE", "NL")[number % 2],
            "email": f"u{number}@{('bakery', 'shop')[number % 2]}.example",
            "app": {"version": ("4.3.0", "4.1.9", 7)[number % 3]},
            "appVersion": "2.0.0",
            "cart": {"total": number * 7.5},
            "member": number % 2 == 0,
            "orders": [{"total": number * 10}],
            "customData": {"beta": True},
        }
        for number in range(16)
    ),
]
NOW = 1_900_000_000.0


def in_words(details: EvaluationDetails) -> dict[str, Any]:
    """The protocol's fields of native details, written from its text alone."""
    words: dict[str, Any] = {"key": details.flag_key}
    if details.error_code is not None:
        words |= {"errorCode": details.error_code.value, "errorDetails": details.error_message}
    else:
        words |= {"reason": details.reason.value, "variant": details.variant if details.variant is not None else ""}
        if details.variant is not None:
            words["value"] = details.value
    if details.metadata:
        words["metadata"] = dict(details.metadata)
    return words


@pytest.mark.parametrize("example", EXAMPLES)
def test_as_the_evaluator_says(example: str) -> None:
    reasons = set()
    with serving(example, open_options={"clock": lambda: NOW}) as served:
        flags = served.evaluator
        for context in CONTEXTS:
            native = [flags.details_nowait(key, context) for key in flags.flag_keys]
            expected = [in_words(details) for details in native]
            assert served.all(context).json["flags"] == expected
            for key, one in zip(flags.flag_keys, expected, strict=True):
                assert served.flag(key, context).json == one
            reasons |= {details.reason for details in native}
    assert len(reasons) > 2


def test_all_details() -> None:
    with serving("example:flagd", open_options={"clock": lambda: NOW}) as served:
        flags = served.evaluator
        for context in CONTEXTS:
            found = flags.bind(context).all_details()
            assert found == {key: flags.details_nowait(key, context) for key in flags.flag_keys}


def test_all_details_without_a_configuration_or_a_clock() -> None:
    def broken() -> float:
        raise OSError

    flags = pyflagwasm.open("example:flagd")
    assert flags.bind({}).all_details() == {}
    with serving("example:flagd", open_options={"clock": broken}) as served:
        found = served.evaluator.bind({"targetingKey": "u"}).all_details()
        assert found == {key: served.evaluator.details_nowait(key, {"targetingKey": "u"}) for key in found}
        assert len(found) == len(served.evaluator.flag_keys)


class Swapping:
    """Delivers another configuration each time: a hundred flags that all give the same."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return uniform(100, "ab"[self.count % 2])


def test_each_answer_is_of_one_generation() -> None:
    source = Swapping()
    seen: list[set[Any]] = []
    tags: dict[str, bytes] = {}

    def asking(served: Served) -> None:
        for _ in range(60):
            answer = served.all({"who": "me"})
            flags = answer.json["flags"]
            assert len(flags) == 100
            seen.append({each["value"] for each in flags})
            assert tags.setdefault(answer.headers["etag"], answer.body) == answer.body

    with serving(pyflagwasm.CallableSource(source, interval=0.002)) as served:
        before = served.evaluator.generation
        threads = [threading.Thread(target=asking, args=(served,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served.evaluator.generation - before > 5
    assert len(seen) == 180
    assert {len(each) for each in seen} == {1}
    assert len(tags) == 2
