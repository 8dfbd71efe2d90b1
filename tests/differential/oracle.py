"""A vendor's own evaluator in an interpreter of its own: a line of JSON for each question, a line for each answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


class Child:
    """`script`, a file beside this one, run by `python`. `package`: what must be installed there, for people."""

    def __init__(self, python: str, script: str, package: str, *options: str, quiet: bool = False) -> None:
        self.package = package
        self.process = subprocess.Popen(
            [python, *options, str(HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else None,
            text=True,
        )

    def ask(self, **question: Any) -> Any:
        """What it answers: one for each call, or in words why it refuses the document."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the oracle ended: is {self.package} installed there?")
        reply = json.loads(line)
        return reply["refused"] if "refused" in reply else reply["answers"]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=10)
