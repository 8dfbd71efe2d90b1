"""schema/golden: this host reproduces the files from the models and answers as they say, and so does wasm/host.mjs."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_golden
import pytest
from golden_models import GOLDEN

from pyflagwasm import _abi
from pyflagwasm.runtime.instance import Instance

ROOT = Path(__file__).parents[1]
HOST = ROOT / "wasm" / "host.mjs"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="the second host needs Node 18 or newer on PATH")


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    made = Instance()
    yield made
    made.close()


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((make_golden.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def unpacked(lines: list[str]) -> bytes:
    return b"".join(map(base64.b64decode, lines))


def test_there_is_a_file_for_each_case() -> None:
    assert {path.stem for path in make_golden.FOLDER.glob("*.json")} == GOLDEN.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_the_models_still_give_the_file(instance: Instance, name: str) -> None:
    """Configuration, requests, decisions, traces. On purpose? Run tests/make_golden.py."""
    made = make_golden.golden(GOLDEN[name], instance)
    golden = read(name)
    assert made["config"] == golden["config"]
    assert made == golden


@pytest.mark.parametrize("name", GOLDEN)
def test_the_core_answers_as_the_file_says(instance: Instance, name: str) -> None:
    golden = read(name)
    instance.load(unpacked(golden["config"]))
    for request in golden["requests"]:
        raw = unpacked(request["request"])
        instance.scratch[: len(raw)] = raw
        for answer in request["answers"]:
            packed, events = instance.explain(answer["flag"])
            assert packed == instance.evaluate(answer["flag"]) == int(answer["decision"], 16)
            assert [make_golden.event(*each) for each in events] == answer["trace"]


def test_every_operation_is_executed() -> None:
    executed = set()
    for name in GOLDEN:
        golden = read(name)
        nodes = _nodes(unpacked(golden["config"]))
        answers = [answer for request in golden["requests"] for answer in request["answers"]]
        executed |= {nodes[int(event.split()[0])] for answer in answers for event in answer["trace"]}
    assert executed == set(_abi.Op)


def _nodes(ir: bytes) -> list[int]:
    from fbs_generated.Config import Config

    config = Config.GetRootAs(ir, 0)
    return [config.Nodes(number).Op() for number in range(config.NodesLength())]


# ---------------------------------------------------------------- the second host


def node(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(NODE), str(HOST), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_node
def test_node_passes() -> None:
    ran = node(make_golden.FOLDER)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{len(GOLDEN)} passed, 0 failed\n", "")


@needs_node
@pytest.mark.parametrize("part", ["request", "decision", "trace"])
def test_node_notices_a_difference(tmp_path: Path, part: str) -> None:
    golden = read("buckets")
    request = golden["requests"][0]
    answer = request["answers"][3]
    if part == "request":
        request["now_us"] += 1
    elif part == "decision":
        answer["decision"] = f"{int(answer['decision'], 16) ^ 1:#018x}"
    else:
        answer["trace"].pop()
    (tmp_path / "buckets.json").write_text(json.dumps(golden), encoding="utf-8")
    ran = node(tmp_path)
    assert (ran.returncode, ran.stdout) == (1, "0 passed, 1 failed\n")
    assert part in ran.stderr or "flag 3" in ran.stderr


@needs_node
def test_node_refuses_another_core(tmp_path: Path) -> None:
    core = (ROOT / "pyflagwasm" / "core.wasm").read_bytes()
    other = tmp_path / "core.wasm"
    other.write_bytes(core.replace(b"\x07explain", b"\x07exp1ain"))
    ran = node("--core", other, make_golden.FOLDER)
    assert ran.returncode != 0
    assert "core.wasm exports" in ran.stderr


@needs_node
def test_node_repeats_a_case() -> None:
    ran = node("--repeat", "5000", make_golden.FOLDER / "loops.json")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("5000 evaluations, ")
