"""The README's code and commands do what it says they do."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


PRINTED = [
    "pre-orders are on\nBring me my bread warm TARGETING_MATCH\n",
    "",
    "(True, {'pre-orders': True, 'checkout-button': 'Pay', 'delivery-fee': 3.5, 'loyalty': {'kind': 'stamps', "
    "'needed': 10}, 'opening-hours': '7:30-18:30'})\nREADY\n",
]


def ran(*command: str, folder: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, cwd=folder)
    return done.stdout


def commands() -> list[list[str]]:
    """Each `pyflagwasm ...` in a line of commands that gives all of its arguments."""
    found = []
    for line in re.findall(r"^    (?:\$ )?(.*pyflagwasm .*)$", README, re.MULTILINE):
        for part in line.split("&&"):
            words = shlex.split(part)
            if words[0] == "pyflagwasm" and words[2] not in ("CONFIG", "OLD") and "install" not in words:
                found.append(words[1:])
    return found


def test_there_is_something_to_run() -> None:
    assert len(BLOCKS) == len(PRINTED)
    assert [words[0] for words in commands()] == ["evaluate", "explain"]


@pytest.mark.parametrize(("code", "printed"), list(zip(BLOCKS, PRINTED, strict=True)), ids=["first", "web", "server"])
def test_code_runs(code: str, printed: str, tmp_path: Path) -> None:
    example = ROOT / "pyflagwasm" / "examples" / "flagd.json"
    (tmp_path / "flags.json").write_bytes(example.read_bytes())
    assert ran(sys.executable, "-c", code, folder=tmp_path) == printed


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[0])
def test_commands_run(words: list[str]) -> None:
    assert ran(sys.executable, "-m", "pyflagwasm", *words)


def test_the_printed_explanation_is_what_is_printed() -> None:
    words = next(words for words in commands() if words[0] == "explain")
    printed = ran(sys.executable, "-m", "pyflagwasm", *words)
    assert "".join(f"    {line}\n" if line else "\n" for line in printed.splitlines()) in README


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()
