"""`--peers-install DIR`: a virtual environment for each line of pins.toml. Measures nothing."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from .. import children

PINS: Final = Path(__file__).with_name("pins.toml")
SECONDS: Final = 300.0


def pins() -> dict[str, list[str]]:
    """What each environment holds."""
    table = tomllib.loads(PINS.read_text("utf-8"))
    return {name: [*table["common"]["requirements"], *own] for name, own in table["environments"].items()}


def interpreter(directory: Path, environment: str) -> Path:
    folder = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    return directory.absolute() / environment / folder


def install(directory: Path, names: Sequence[str] = ()) -> Iterator[str]:
    """Make the environments, or only those named, and tell of each in a line. Those that are complete are kept.

    Raises ValueError for a name that pins.toml does not have.
    """
    everything = pins()
    unknown = sorted(set(names) - set(everything))
    if unknown:
        raise ValueError(f"no environment {', '.join(unknown)}; there are {', '.join(everything)}")
    for name in names or everything:
        mark = directory / name / "installed.txt"
        wanted = "\n".join(everything[name])
        if mark.is_file() and mark.read_text("utf-8") == wanted:
            yield f"{name}: already there"
            continue
        try:
            children.output([sys.executable, "-m", "venv", str(directory.absolute() / name)], SECONDS)
            python = str(interpreter(directory, name))
            pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
            children.output([python, *pip, *everything[name]], SECONDS)
        except (children.ChildFailed, OSError) as error:
            yield f"{name}: cannot be installed: {error}"
            continue
        mark.write_text(wanted, "utf-8")
        yield f"{name}: installed {' '.join(everything[name])}"
