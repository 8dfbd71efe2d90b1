"""The hosts of the core: which of them work here, and a run of each in a process of its own.

A process uses one host, chosen by PYFLAGWASM_HOST, so that every layer above it is measured as it is used. Each has
its own awaited no-op, and only ratios to that are compared between them. A host is visited several times, in turn with
the others, each time in a new process: what one process has by chance - where its memory lies, say - is then within the
spread of the rounds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from pyflagwasm.runtime import guest
from pyflagwasm.runtime.instance import Instance

from . import children, figures
from .measure import Row

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


def merged(visits: Sequence[Row]) -> Row:
    """The same row of several visits as one: all rounds, and medians of the rest."""
    first = visits[0]
    rounds = [ratio for visit in visits for ratio in visit.rounds]

    def middle(name: str) -> float | None:
        known = [value for visit in visits if (value := getattr(visit, name)) is not None]
        return figures.median(known) if known else None

    return Row(
        name=first.name,
        host=first.host,
        us=figures.median(visit.us for visit in visits),
        ratio=figures.median(rounds),
        rounds=rounds,
        p50=middle("p50"),
        p99=middle("p99"),
        p999=middle("p999"),
        singles=sum(visit.singles for visit in visits),
        curve=sorted(visits, key=lambda visit: visit.us)[len(visits) // 2].curve,
        peak=figures.median(visit.peak for visit in visits),
        kept=min(visit.kept for visit in visits),
        note=first.note,
    )


def measured(host: str, names: Sequence[str], rounds: int, *, observe: bool = True) -> dict[str, Any]:
    """A worker's result; see worker.py. observe: whether what is not timed call by call is wanted, too.

    Raises ChildFailed.
    """
    command = [sys.executable, "-m", "bench.worker", host, *names, "--rounds", str(rounds)]
    command += [] if observe else ["--timed-only"]
    found: dict[str, Any] = children.result(command, SECONDS, {"PYFLAGWASM_HOST": host})
    return found
