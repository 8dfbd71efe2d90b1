"""The page's encoder in Node: byte for byte what Python sends of the same JSON text, and the same refusals."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import samples
from support import Compiled, scratch

from pyflagwasm import _abi
from pyflagwasm.config.document import UnusableNumber, read_int, refuse_constant
from pyflagwasm.config.model import Slot
from pyflagwasm.runtime import views
from pyflagwasm.runtime.encode import EncodeError, Encoder

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="the page's modules need Node 18 or newer on PATH")
SCRIPT = Path(__file__).with_name("inspector_encode.mjs")
DECODER = json.JSONDecoder(parse_constant=refuse_constant, parse_int=read_int)
SLOTS = (
    Slot("path", ("a",)),
    Slot("path", ("a", "b")),
    Slot("path", ("a", "length")),
    Slot("path", ("a", "1")),
    Slot("path", ("a", "key", "0")),
    Slot("path", ("b",)),
    Slot("path", ("",)),
    Slot("path", ("targetingKey",)),
    Slot("path", ("targetingKey", "1")),
    Slot("targeting_key"),
    Slot("flagd_context", ("f\ud7ff\U0001f600",)),
    Slot("path"),
)
DEEP = "[" * 15 + '{"k": 1}' + "]" * 15
TEXTS = [
    "{}",
    '{"a": 1}',
    '{"a": 1.0}',
    '{"a": -0}',
    '{"a": -0.0}',
    '{"a": 1e2}',
    '{"a": 1E-400, "b": 1e400}',
    '{"a": 9007199254740993, "b": 9007199254740993.0}',
    '{"a": 9223372036854775807, "b": -9223372036854775808}',
    '{"a": 9223372036854775808, "b": -9223372036854775809}',
    f'{{"a": {"9" * 308}, "b": 0.1}}',
    f'{{"a": 1{"0" * 308}}}',
    '{"a": 1, "b": 2, "a": "last one, first place"}',
    '{"b": {"x": 1, "y": 2, "x": 3}}',
    '{"a": "\\ud83d\\ude00 \U0001f600 \u00e9 \\u0000 \\/\\b\\f\\n\\r\\t\\\\\\""}',
    '{"a": "a\U0001f600b"}',
    '{"a": ["x", "y", ["z"]]}',
    '{"a": {"b": [], "key": [{}, null, true, false]}}',
    '{"a": {"": {"": ""}}, "": 1}',
    '{"targeting_key": "alias"}',
    '{"targeting_key": "alias", "targetingKey": null}',
    '{"targetingKey": "own", "$flagd": 1, "z": 2}',
    ' \t\r\n{"a"\n:\t[ 1 ,2 ]\r} ',
    f'{{"a": {DEEP}}}',
    f'{{"b": {{"deep": [{DEEP}]}}}}',
    '{"b": "\\ud800"}',
    '{"b": [["x", "\\udfff"]]}',
    '{"b": {"\\ud800": 1}}',
    '{"b": {"a\\n": {"it\'s": {"\\u202e \\"": "\\ud800"}}}}',
    '{"b": {"' + "k" * 60 + '": ["\\ud800"]}}',
    f'{{"a": "{"x" * 20_000}"}}',
    f'{{"a": "{"x" * 200_000}"}}',
    f'{{"b": [{", ".join("1" for _ in range(9000))}]}}',
    f'{{"b": [{", ".join(chr(34) + "x" * 40 + chr(34) for _ in range(4000))}]}}',
    f'{{"b": {{{", ".join(f"{chr(34)}k{n}{chr(34)}: {n}" for n in range(5000))}}}}}',
]
BROKEN = [
    "", "{", '{"a"}', '{"a": }', '{"a": 1,}', "{'a': 1}", '{"a": 01}', '{"a": +1}', '{"a": .5}', '{"a": 1.}',
    '{"a": 1e}',
    '{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": "\n"}', '{"a": "\\x"}', '{"a": "\\u12"}', '{"a": "',
    '{"a": tru}', '{"a": [1, 2}', "{} {}", '{"a": 1} x', f'{{"a": 1{"0" * 400}}}', '{"a": -}', "[1",
]  # fmt: skip


def asked(text: str, slots: Sequence[Slot], template: bytes, now_us: int) -> dict[str, Any]:
    return {
        "text": text,
        "slots": [{"view": slot.view, "args": slot.args} for slot in slots],
        "template": base64.b64encode(template).decode(),
        "labels": [views.label(slot) for slot in slots],
        "now_us": str(now_us),
    }


def by_node(questions: Sequence[dict[str, Any]]) -> list[Any]:
    lines = "".join(json.dumps(each) + "\n" for each in questions)
    ran = subprocess.run([str(NODE), str(SCRIPT)], input=lines, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def by_python(text: str, slots: tuple[Slot, ...], template: bytes, now_us: int) -> Any:
    encoder, area = Encoder(Compiled(slots, template)), scratch()
    try:
        size = encoder.encode(DECODER.decode(text), tuple(range(len(slots))), area, now_us)
    except EncodeError as error:
        return {"refused": str(error)}
    return base64.b64encode(bytes(area[:size])).decode()


def compare(cases: Sequence[tuple[str, tuple[Slot, ...], bytes, int]]) -> list[Any]:
    answers = by_node([asked(*case) for case in cases])
    for case, answer in zip(cases, answers, strict=True):
        assert answer == by_python(*case), case[0][:300]
    return answers


def test_each_text_gives_the_same_bytes() -> None:
    """Each slot by itself and all of them; what is refused is refused for the same reason, at the same place."""
    sets = [*((slot,) for slot in SLOTS), SLOTS]
    some = [
        (text, slots, bytes(_abi.VALUE_SIZE * len(slots)), 1_750_000_000_123_456)
        for text in TEXTS
        if len(text) < 1_000
        for slots in sets
    ]
    long = [(text, (SLOTS[0], SLOTS[5]), bytes(32), -1) for text in TEXTS if len(text) >= 1_000]
    answers = compare(some + long)
    refusals = {answer["refused"].partition(":")[2].split()[0] for answer in answers if isinstance(answer, dict)}
    assert refusals >= {"text", "too", "lists"}


def test_random_contexts_give_the_same_bytes() -> None:
    rng = random.Random(7)
    cases = []
    for _ in range(3000):
        names = ("a", "b", "", "targetingKey", "targeting_key", "z")
        context = {name: samples.some_value(rng, depth=3) for name in names if rng.random() < 0.6}
        slots = tuple(rng.sample(SLOTS, rng.randrange(1, len(SLOTS))))
        text = json.dumps(context, ensure_ascii=rng.random() < 0.5, default=dict)
        if "NaN" in text or "Infinity" in text:
            continue
        cases.append((text, slots, rng.randbytes(_abi.VALUE_SIZE * len(slots)), rng.randrange(-(2**63), 2**63)))
    assert len(cases) > 1000
    compare(cases)


def test_what_is_no_json_here_is_none_there() -> None:
    answers = by_node([asked(text, SLOTS[:1], bytes(16), 0) for text in BROKEN])
    for text, answer in zip(BROKEN, answers, strict=True):
        with pytest.raises((json.JSONDecodeError, UnusableNumber)):
            DECODER.decode(text)
        assert isinstance(answer, dict), text
        assert "at line 1, column " in answer["unreadable"] or "\n" in text


def test_the_place_of_an_error_is_told() -> None:
    (answer,) = by_node([asked('{\n  "a": [1, 2],\n  "b" 3\n}', SLOTS[:1], bytes(16), 0)])
    assert answer == {"unreadable": '":" is expected at line 3, column 7'}
