"""The public types, and those of generated modules, checked by mypy and pyright as a user's own check would."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from codegen_documents import hostile

from pyflagwasm.cli import main

ROOT = Path(__file__).parent.parent
CASES = ["tests/typing/public_api.py", "tests/typing/typed_flags.py"]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Generated modules: of both examples, of hostile keys and values, and of no flags."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "hostile.json").write_bytes(hostile())
    (folder / "empty.json").write_bytes(b'{"flags": {}}')
    made = []
    for name, source, *more in (
        ("flags_flagd", "example:flagd"),
        ("flags_devcycle", "example:devcycle", "--literals"),
        ("flags_hostile", str(folder / "hostile.json")),
        ("flags_literal", str(folder / "hostile.json"), "--literals"),
        ("flags_empty", str(folder / "empty.json")),
    ):
        path = folder / f"{name}.py"
        assert main(["codegen", source, *more, "--output", str(path)]) == 0
        path.write_text("# pyright: strict\n" + path.read_text("utf-8"), "utf-8")
        made.append(str(path))
    return made


def ran(*command: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, timeout=110, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed: pip install mypy")
def test_mypy(tmp_path: Path, modules: list[str]) -> None:
    code, out = ran("mypy", "--strict", "--cache-dir", str(tmp_path), *CASES, *modules)
    assert (code, out) == (0, f"Success: no issues found in {len(CASES) + len(modules)} source files\n")


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed: pip install pyright")
def test_pyright(modules: list[str]) -> None:
    code, out = ran("pyright", "--version")
    if code or not out.splitlines()[-1].startswith("pyright "):
        pytest.skip(f"pyright cannot start here (it needs node, and fetches itself once): {out.strip()[-200:]}")
    code, out = ran("pyright", "--pythonpath", sys.executable, *CASES, *modules)
    assert (code, out.splitlines()[-1]) == (0, "0 errors, 0 warnings, 0 informations"), out


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "pyflagwasm" / "py.typed").exists()
