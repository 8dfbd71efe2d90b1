"""`python -m bench`: what an evaluation costs, where, and beside what else, as ratios to an awaited no-op.

python -m bench                      every scenario on both hosts, the servers, and the goals
python -m bench evaluate swap        rows whose name begins so; "server" is the servers
python -m bench bulk                 whole tables, in rows per second; alone, and not recorded
python -m bench --quick              fewer rounds
python -m bench --check              each scenario once; fails on a wrong answer, times nothing
python -m bench --peers-install DIR  make an environment for each peer; --peers DIR: also measure those in DIR
python -m bench --record PATH        also write the run to PATH, under its date if PATH is a folder
python -m bench --compare FILE       also hold it against a recorded run; the exit code is 1 if rows got slower
python -m bench --plot DIR           also draw it: latency.png and flags.png (extra [bench])
python -m bench --from FILE ...      show, compare or plot a recorded run; measures nothing
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import bulk, compare, goals, hosts, plot, tables
from . import record as records
from .children import ChildFailed, end_on_signal
from .measure import WrongAnswer
from .peers import install, reference
from .peers import run as peers
from .record import BadRecord, Record
from .servers import run as servers

GROUPS = ("baseline", "boundary", "encode", "evaluate", "request", "flags", "swap", "start", "memory", "server")
BULK = "bulk"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("names", nargs="*", help=f"only rows whose name begins so: {', '.join(GROUPS)}, or longer")
    made.add_argument("--hosts", default=",".join(hosts.DEFAULT), help="which hosts of the core: %(default)s")
    made.add_argument("--quick", action="store_true", help="4 rounds instead of 15")
    made.add_argument("--check", action="store_true", help="verify the answers, time nothing")
    made.add_argument("--peers", type=Path, metavar="DIR", help="measure the peers whose environments are in DIR")
    made.add_argument("--only-peers", metavar="NAMES", default="", help="of these only, by the beginning, with commas")
    made.add_argument("--peers-install", type=Path, metavar="DIR", help="make the peers' environments in DIR, and end")
    made.add_argument("--record", type=Path, metavar="PATH", help="write the run to a file, or into a folder")
    made.add_argument("--compare", type=Path, metavar="FILE", help="hold the run against a recorded one")
    made.add_argument("--plot", type=Path, metavar="DIR", help="draw the run into a folder")
    made.add_argument("--from", dest="recorded", type=Path, metavar="FILE", help="take this record; measure nothing")
    return made


def problem(options: argparse.Namespace) -> str | None:
    """What is wrong with the arguments, in a line."""
    if BULK in options.names and (options.names != [BULK] or options.record or options.compare or options.plot):
        return f"{BULK} is measured by itself, and not recorded"
    strange = [name for name in options.names if not any(_related(name, group) for group in (*GROUPS, BULK))]
    if strange:
        return f"no row begins with {strange[0]!r}; rows begin with {', '.join((*GROUPS, BULK))}"
    unknown = [host for host in options.hosts.split(",") if host not in hosts.KNOWN]
    if unknown:
        return f"no host {unknown[0]!r}; there are {', '.join(hosts.KNOWN)}"
    if options.check and (options.record or options.compare or options.plot or options.recorded):
        return "--check times nothing, so there is nothing to record, compare or plot"
    if options.recorded and (options.names or options.peers or options.quick):
        return "--from takes a whole record as it is; it goes with --compare and --plot"
    if options.only_peers and not (options.peers or options.peers_install):
        return "--only-peers goes with --peers or --peers-install"
    return None


def _related(name: str, group: str) -> bool:
    return name == group or name.startswith(group + "/") or group.startswith(name)


def tell(line: str) -> None:
    """Progress, for people."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)


def wants(names: Sequence[str], group: str) -> bool:
    return not names or any(_related(name, group) for name in names)


def measured(options: argparse.Namespace, rounds: int) -> Record:
    """The run. With no rounds everything is asked once, for its answers."""
    made = records.new()
    usable, made.absent = hosts.usable(options.hosts.split(","))
    if not usable:
        raise WrongAnswer("none of the hosts can be used here")
    if not reference.available():
        made.absent.append(f"{reference.NAME}: skipped (mmh3 is not installed)")
    subjects = [name for name in options.names if not _related(name, "server")]
    if subjects or not options.names:
        _visit(made, usable, subjects, rounds)
    if wants(options.names, "server"):
        _serve(made, usable[0], rounds)
    directory = options.peers or (Path(os.environ["PYFLAGWASM_PEERS"]) if os.environ.get("PYFLAGWASM_PEERS") else None)
    if directory is None:
        made.absent.append("peers: skipped (no --peers DIR, no PYFLAGWASM_PEERS)")
    elif options.peers or not options.names:
        names = [name for name in options.only_peers.split(",") if name]
        each = {"visits": 3 if rounds > 4 else 1, "rounds": min(rounds, 9)}
        made.peers = peers.compared(directory, usable, **each, names=names, tell=tell)
        if not rounds:
            _peers_answers(made)
    tell("")
    return made


def _visit(made: Record, usable: Sequence[str], subjects: Sequence[str], rounds: int) -> None:
    """All hosts in turn, several times if there are rounds enough."""
    visits = 3 if rounds >= 12 else 1
    results: dict[str, list[dict[str, Any]]] = {host: [] for host in usable}
    for visit in range(visits):
        for host in usable:
            tell(f"{host} host, {visit + 1} of {visits}")
            started = time.perf_counter()
            result = hosts.measured(host, subjects, rounds // visits, observe=visit == visits - 1)
            results[host].append(result)
            if not rounds:
                spent = f"{time.perf_counter() - started:.0f} s"
                print(f"{host} host: {result['subjects']} subjects give the right answers ({spent})", flush=True)
    for found in results.values():
        made.add(found)


def _serve(made: Record, host: str, rounds: int) -> None:
    for app, (_, title) in servers.APPS.items():
        missing = servers.missing(app)
        if missing:
            made.absent.append(f"{title}: skipped ({', '.join(missing)} is not installed)")
            continue
        requests, seconds = (100_000, 3.0) if rounds > 4 else (2000, 2.0) if rounds else (40, 0.5)
        visits = 3 if rounds > 4 else 1
        made.servers += servers.served(app, host, rounds=visits, requests=requests, seconds=seconds, tell=tell)
        if not rounds:
            print(f"{title}: right answers without flags, with 50, and with swaps", flush=True)


def _peers_answers(made: Record) -> None:
    for one in made.peers:
        print(f"{one.peer}: {one.trouble or 'right answers'}")
    wrong = [one for one in made.peers if one.trouble and one.trouble != "not installed"]
    if wrong:
        raise WrongAnswer(f"{wrong[0].peer}: {wrong[0].trouble}")


def show(made: Record) -> None:
    parts = [tables.heading(made)]
    if made.rows:
        parts.append(tables.rows(made))
    if made.facts:
        parts.append(tables.facts(made))
    if made.servers:
        parts.append(servers.table(made.servers))
    if made.peers:
        parts.append(peers.table(made.peers))
    parts.append(goals.table(made))
    print("\n\n".join("\n".join(part) for part in parts))


def run(options: argparse.Namespace) -> int:
    if options.peers_install:
        names = [name for name in options.only_peers.split(",") if name]
        for line in install.install(options.peers_install, names):
            print(line, flush=True)
        return 0
    if options.names == [BULK]:
        bulk.run(options.quick, options.check)
        return 0
    if options.check:
        made = measured(options, 0)
        print("\n".join([*made.absent, "all answers are right"]))
        return 0
    if options.plot:
        plot.pyplot()  # what is missing is better known before than after
    if options.peers:
        peers.require_reference()
    earlier = records.read(options.compare) if options.compare else None
    made = records.read(options.recorded) if options.recorded else measured(options, 4 if options.quick else 15)
    show(made)
    if options.record:
        print(f"\nrecorded in {records.write(made, options.record)}")
    if options.plot:
        print("\n" + "\n".join(f"drawn in {path}" for path in plot.draw(made, options.plot)))
    if earlier is None:
        return 0
    lines, slower = compare.table(made, earlier)
    print("\n" + "\n".join(lines))
    return 1 if slower else 0


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    trouble = problem(options)
    if trouble:
        made.error(trouble)
    try:
        return run(options)
    except (WrongAnswer, BadRecord, ChildFailed, servers.ServerFailed, ValueError, ImportError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; what it had started is ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    end_on_signal()
    sys.exit(main())
