"""`--peers DIR`: every peer whose environment is in DIR, in turn, several times round; one table of all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .. import children, figures
from . import reference
from .install import interpreter
from .offer import Peer, every_peer

SECONDS: Final = 180.0


@dataclass
class Standing:
    """A peer in the table: what was measured of it, or why nothing was.

    cases: "fresh", "reused" and "all", as in worker.py, with the ratios of all visits. trouble: one line.
    """

    peer: str
    engine: str
    equality: str
    ours: bool
    awaited: bool
    trouble: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_reference(self, case: str) -> float | None:
        """The median ratio to the closures with a ready context."""
        found = self.cases.get(case)
        return figures.median(found["to_reference"]) if found else None

    def to_no_op(self, case: str) -> float | None:
        found = self.cases.get(case)
        return figures.median(found["to_no_op"]) if found else None


def merged(visits: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The cases of several visits as one: rounds one after the other, medians of the rest."""
    found: dict[str, dict[str, Any]] = {}
    for visit in visits:
        for name, case in visit.items():
            if name not in found:
                found[name] = {key: [value] for key, value in case.items()}
            else:
                for key, value in case.items():
                    found[name][key].append(value)
    for case in found.values():
        for key, values in case.items():
            if key in ("to_reference", "to_no_op"):
                case[key] = [ratio for rounds in values for ratio in rounds]
            elif key == "curve":
                case[key] = values[len(values) // 2]
            else:
                known = [value for value in values if value is not None]
                case[key] = figures.median(known) if known else None
    return found


def command(peer: Peer, directory: Path | None, rounds: int) -> list[str] | str:
    """How a peer's worker is started, or why it cannot be."""
    if peer.environment is None:
        python = Path(sys.executable)
    elif directory is None:
        return "no directory of environments"
    else:
        python = interpreter(directory, peer.environment)
        if not python.exists():
            return "not installed"
    return [str(python), "-m", "bench.peers.worker", peer.name, "--rounds", str(rounds)]


def chosen(names: Sequence[str]) -> list[Peer]:
    """All peers, or our own and those whose name begins with one of `names`. Raises ValueError if one fits none."""
    peers = every_peer()
    for name in names:
        if not any(peer.name.lower().startswith(name.lower()) for peer in peers):
            raise ValueError(f"no peer begins with {name!r}; there are {', '.join(peer.name for peer in peers)}")
    wanted = tuple(name.lower() for name in names)
    return [peer for peer in peers if not names or peer.environment is None or peer.name.lower().startswith(wanted)]


def require_reference() -> None:
    """Raises ValueError without mmh3."""
    if not reference.available():
        raise ValueError("the comparison needs mmh3 beside pyflagwasm: install the extra [bench]")


def compared(
    directory: Path | None,
    hosts: Sequence[str],
    *,
    visits: int,
    rounds: int,
    names: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> list[Standing]:
    """Measure the peers: `visits` times round all of them, `rounds` in each visit; 0 rounds verify the answers only.

    Raises ValueError without mmh3 in this environment: the reference could not be timed beside our own rows.
    """
    require_reference()
    standings: dict[str, Standing] = {}
    results: dict[str, list[dict[str, Any]]] = {}
    peers = [peer for peer in chosen(names) if peer.host is None or peer.host in hosts]
    for visit in range(max(1, visits)):
        for peer in peers[visit % len(peers) :] + peers[: visit % len(peers)]:
            standing = standings.setdefault(
                peer.name,
                Standing(peer.name, peer.engine, peer.equality, peer.environment is None, "awaited" in peer.name),
            )
            if standing.trouble:
                continue
            tell(f"{peer.name}, {visit + 1} of {max(1, visits)}")
            found = _visit(peer, directory, rounds)
            standing.trouble = found.get("trouble", "")
            standing.versions = found.get("versions", standing.versions)
            if found.get("cases"):
                results.setdefault(peer.name, []).append(found["cases"])
    for name, visited in results.items():
        standings[name].cases = merged(visited)
    return [standings[peer.name] for peer in peers]


def _visit(peer: Peer, directory: Path | None, rounds: int) -> dict[str, Any]:
    start = command(peer, directory, rounds)
    if isinstance(start, str):
        return {"trouble": start}
    changes = {"PYFLAGWASM_HOST": peer.host} if peer.host else {}
    try:
        found: dict[str, Any] = children.result(start, SECONDS, changes)
    except children.ChildFailed as error:
        return {"trouble": f"failed: {error}"}
    if "wrong" in found:
        return {"trouble": f"WRONG, so not timed: {found['wrong']}", "versions": found.get("versions", {})}
    return found


def ours(standings: Iterable[Standing]) -> Standing | None:
    """Our awaited W1, of the fastest host that was measured."""
    found = [one for one in standings if one.ours and one.awaited and one.cases]
    return min(found, key=lambda one: one.to_reference("fresh") or 0, default=None)


def table(standings: Sequence[Standing]) -> list[str]:
    """The fastest first; what was not measured last, with the reason."""
    unit = ours(standings)
    base = unit.to_reference("fresh") if unit else None
    lines = [
        f"{'peer':30} {'fresh us':>9} {'p50':>8} {'p99':>8} {'x closures':>10} {'x no-op':>9} {'x our W1':>9} "
        f"{'reused x':>9} {'all 50 us':>9}  workload"
    ]
    good = [one for one in standings if one.cases]
    for one in sorted(good, key=lambda one: one.to_reference("fresh") or 0):
        fresh, every = one.cases["fresh"], one.cases.get("all")
        ratio = one.to_reference("fresh") or 0
        p50, p99 = (f"{fresh[key]:8.2f}" if fresh[key] is not None else f"{'-':>8}" for key in ("p50", "p99"))
        against = f"{ratio / base:9.2f}" if base else f"{'-':>9}"
        all_50 = f"{every['us']:9.1f}" if every else f"{'-':>9}"
        lines.append(
            f"{one.peer:30} {fresh['us']:9.2f} {p50} {p99} {ratio:10.2f} {one.to_no_op('fresh') or 0:9.1f} {against} "
            f"{one.to_reference('reused') or 0:9.2f} {all_50}  {one.equality}"
        )
    lines.append("")
    for one in standings:
        if one.versions and one.cases:
            known = ", ".join(f"{name} {number}" for name, number in one.versions.items())
            lines.append(f"{one.peer:30} {one.engine}; {known}")
    lines += [f"{one.peer:30} {one.trouble}" for one in standings if one.trouble]
    lines += [
        "",
        "fresh: the context is built anew for each call from another user. x closures: to the closures with a reused",
        "context, batch by batch in the same process. x no-op: to an awaited no-op there. x our W1: to "
        + (f"{unit.peer}, by way of the closures." if unit else "our awaited W1, which was not measured."),
        "Everything shown has passed the answer checks: both rules, near misses, versions, 50/50, sticky.",
    ]
    return lines
