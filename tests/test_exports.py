"""The public names, written out: who changes them changes this file. And that importing them costs nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pyflagwasm
from pyflagwasm import errors

ROOT = Path(__file__).parent.parent

NAMES = [
    "AbiMismatchError",
    "Batch",
    "BoundContext",
    "CallableSource",
    "CallbackSink",
    "ChainSource",
    "Change",
    "ConfigError",
    "Document",
    "ErrorCode",
    "EvaluationDetails",
    "EvaluationError",
    "Exposure",
    "ExposureSink",
    "FileSource",
    "FlagError",
    "FlagEvaluator",
    "FlagNotFoundError",
    "FlagWasmError",
    "GuestError",
    "GuestTrapError",
    "Hook",
    "HookContext",
    "HttpSink",
    "HttpSource",
    "InvalidContextError",
    "IteratorSource",
    "JsonLinesSink",
    "Lease",
    "LeaseError",
    "Pin",
    "PoolClosedError",
    "PoolError",
    "PoolTimeoutError",
    "Reason",
    "Receipt",
    "Rejected",
    "SignatureError",
    "Sink",
    "Source",
    "State",
    "Statistics",
    "TargetingKeyMissingError",
    "TooManyWaitingError",
    "TypeMismatchError",
    "__version__",
    "open",
]
METHODS = {
    "aclose", "add_hook", "add_listener", "bind", "details", "details_nowait", "flag_keys", "generation", "lease",
    "pin", "ready", "reload", "statistics", "value", "value_nowait",
}  # fmt: skip
HEAVY = {"anyio", "asyncio", "ctypes", "dataclasses", "flatbuffers", "json", "wasmtime"}


def test_names() -> None:
    assert pyflagwasm.__all__ == NAMES
    assert sorted(NAMES) == NAMES
    for name in NAMES:
        assert name in dir(pyflagwasm)
        value = getattr(pyflagwasm, name)
        assert name == "__version__" or value.__name__ == name
        assert getattr(pyflagwasm, name) is value


def test_all_is_a_literal() -> None:
    tree = ast.parse(Path(pyflagwasm.__file__).read_text())
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    ]
    assert [ast.literal_eval(node) for node in lists] == [NAMES]


def test_methods() -> None:
    assert {name for name in dir(pyflagwasm.FlagEvaluator) if not name.startswith("_")} == METHODS


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="module 'pyflagwasm' has no attribute 'opne'"):
        pyflagwasm.opne  # noqa: B018


def test_version() -> None:
    assert pyflagwasm.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def loaded(program: str) -> set[str]:
    """Which of the heavy modules a program has loaded at its end, in a process of its own."""
    tail = f"\nimport json as _json, sys as _sys\nprint(_json.dumps(sorted({HEAVY} & before)), file=_sys.stderr)"
    code = program + "\nimport sys\nbefore = set(sys.modules)" + tail
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, timeout=60, check=True)
    names: list[str] = json.loads(done.stderr.splitlines()[-1])
    return set(names)


def test_importing_loads_nothing() -> None:
    assert loaded("import pyflagwasm") == set()


def test_errors_and_types_load_no_runtime() -> None:
    program = "from pyflagwasm import ConfigError, Reason, EvaluationDetails"
    assert loaded(program) <= {"dataclasses"}


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--version"], {"json", "dataclasses"}),
        (["check", "example:flagd"], {"json", "dataclasses", "flatbuffers"}),
        (["evaluate", "example:flagd"], {"json", "dataclasses", "flatbuffers", "wasmtime", "ctypes"}),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_commands_load_what_they_need(arguments: list[str], allowed: set[str]) -> None:
    assert loaded(f"from pyflagwasm.cli import main\nassert main({arguments}) == 0") <= allowed | indirect()


def indirect() -> set[str]:
    """What flatbuffers and wasmtime load on their own."""
    return loaded("import flatbuffers") - {"flatbuffers"} | (loaded("import wasmtime") - {"wasmtime"}) - {"anyio"}


def test_a_small_configuration_loads_no_anyio() -> None:
    program = (
        "import asyncio, pyflagwasm\n"
        "async def main():\n"
        "    async with pyflagwasm.open({'flags': {}}) as flags:\n"
        "        assert await flags.value('f', default=3) == 3\n"
        "asyncio.run(main())"
    )
    assert "anyio" not in loaded(program)


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in str(errors.__doc__).splitlines()[2:]:
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        path[depth:] = [name]
        drawn[name] = path[depth - 1] if depth else "Exception"
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    assert drawn == {each.__name__: each.__base__.__name__ for each in classes if each.__base__ is not None}
