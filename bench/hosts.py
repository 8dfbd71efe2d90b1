"""The hosts of the core: which of them work here, and a run of each in a process of its own.

A process uses one host, chosen by PYFLAGWASM_HOST, so that every layer above it is measured as it is used. Each has
its own awaited no-op, and only ratios to that are compared between them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from pyflagwasm.runtime import guest
from pyflagwasm.runtime.instance import Instance

from . import children

KNOWN: Final = ("native", "portable", "public")
DEFAULT: Final = ("native", "portable")
SECONDS: Final = 900.0


def missing(host: str) -> str | None:
    """Why a host cannot be used here; None if it can."""
    if host not in guest.HOSTS:
        return f"this version has only {', '.join(guest.HOSTS)}"
    try:
        instance = Instance(host=host)
        instance.close()
        if instance.host != host:
            return f"{instance.host} is used instead"
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


def usable(wanted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of `wanted` that work, and a line for each that does not."""
    reasons = {host: missing(host) for host in wanted}
    good = [host for host, reason in reasons.items() if reason is None]
    return good, [f"{host} host: absent ({reason})" for host, reason in reasons.items() if reason is not None]


def measured(host: str, names: Sequence[str], rounds: int) -> dict[str, Any]:
    """A worker's result; see worker.py. Raises ChildFailed."""
    command = [sys.executable, "-m", "bench.worker", host, *names, "--rounds", str(rounds)]
    found: dict[str, Any] = children.result(command, SECONDS, {"PYFLAGWASM_HOST": host})
    return found
