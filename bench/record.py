"""A run as a dated record: what was measured, when, on which machine, with which versions. Written and read back."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from .hosts import merged
from .lifecycle import Fact
from .measure import Row
from .peers.run import Standing
from .servers.run import Served

FORMAT: Final = 2
DISTRIBUTIONS: Final = (
    "pyflagwasm", "wasmtime", "flatbuffers", "anyio", "mmh3", "uvloop", "uvicorn", "starlette", "aiohttp",
)  # fmt: skip


class BadRecord(Exception):
    """A file is no record of this format; the message is one line."""


@dataclass
class Record:
    """rows, facts: of the hosts. clock_ns: what was subtracted from single calls, by host. absent: why something is
    not there, a line each."""

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    clock_ns: dict[str, float] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    peers: list[Standing] = field(default_factory=list)
    servers: list[Served] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    def row(self, name: str, host: str) -> Row | None:
        return next((row for row in self.rows if (row.name, row.host) == (name, host)), None)

    def fact(self, name: str, host: str) -> Fact | None:
        return next((fact for fact in self.facts if (fact.name, fact.host) == (name, host)), None)

    def hosts(self) -> list[str]:
        return list(dict.fromkeys([*(row.host for row in self.rows), *(fact.host for fact in self.facts)]))

    def add(self, results: Sequence[dict[str, Any]]) -> None:
        """What the workers of hosts.py gave in the visits of one host."""
        visits = [[Row(**row) for row in result["rows"]] for result in results]
        self.rows += [merged(rows) for rows in zip(*visits, strict=True)]
        for result in results:
            self.clock_ns[result["host"]] = result["clock_ns"]
            self.facts += [Fact(**fact) for fact in result["facts"]]


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def machine() -> dict[str, str]:
    return {
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions(distributions: Iterable[str] = DISTRIBUTIONS) -> dict[str, str]:
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def new() -> Record:
    return Record(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), machine(), versions())


def file_name(record: Record) -> str:
    """By date and machine: 2030-01-31T10-20-30-some-processor.json."""
    words = re.sub(r"[^a-z0-9]+", "-", record.machine["processor"].lower()).strip("-")
    return f"{record.date.rstrip('Z').replace(':', '-')}-{words}.json"


def write(record: Record, path: Path) -> Path:
    """Write a record: into a folder under its own name, or to a file. Gives the file."""
    if path.is_dir():
        path = path / file_name(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": FORMAT, **asdict(record)}, indent=1) + "\n", "utf-8")
    return path


def read(path: Path) -> Record:
    """Raises BadRecord."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise BadRecord(f"{path}: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BadRecord(f"{path}: no record of format {FORMAT}")
    try:
        kinds: dict[str, Any] = {"rows": Row, "facts": Fact, "peers": Standing, "servers": Served}
        made: dict[str, Any] = {name: [kind(**one) for one in found[name]] for name, kind in kinds.items()}
        rest: dict[str, Any] = {one.name: found[one.name] for one in fields(Record) if one.name not in kinds}
        return Record(**rest, **made)
    except (KeyError, TypeError) as error:
        raise BadRecord(f"{path}: not a whole record: {error}") from None
