"""Hostile configurations, requests and batches against the core.

    python tests/differential/hostile.py --cases 1000000 --seed 1

What is done and what may come of it is in tests/attack.py. Prints what came of it, the worst time of each export, and
every finding with the bytes that show it; exits with 1 if there was one. `--only I` repeats round I of a seed. One
process does some thousand cases a second: run several with seeds of their own.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from attack import Attack, Finding  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, help="stop after so many cases")
    parser.add_argument("--seconds", type=float, default=900.0, help="stop after so long in any case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this round and no other")
    parser.add_argument("--limit", type=float, default=0.5, help="seconds of processor time that a call may take")
    parser.add_argument("--show", type=int, default=5, help="print so many findings in full")
    parser.add_argument("--worst", action="store_true", help="print the worst calls in full")
    options = parser.parse_args()
    faulthandler.enable()
    attack, begun = Attack(options.seed, options.limit), time.monotonic()
    number, shown = options.only or 0, 0
    while attack.tally.total < options.cases and time.monotonic() - begun < options.seconds:
        attack.round(number)
        for finding in attack.findings[shown : options.show]:
            print(finding, flush=True)
        shown = len(attack.findings)
        number += 1
        if options.only is not None:
            break
    report(attack, number, time.monotonic() - begun, options.worst)
    return 1 if attack.findings else 0


def report(attack: Attack, rounds: int, seconds: float, in_full: bool) -> None:
    tally = attack.tally
    cases = ", ".join(f"{count} {name}" for name, count in tally.cases.most_common())
    print(f"seed {attack.seed}: {tally.total} cases ({cases}) in {rounds} rounds, {tally.total / seconds:.0f}/s")
    print("statuses:", ", ".join(f"{name} {count}" for name, count in tally.statuses.most_common()))
    print("errors:", ", ".join(f"{name} {count}" for name, count in tally.errors.most_common()))
    for name, worst in tally.worst.items():
        print(f"worst {name}: {worst.seconds * 1000:.1f} ms, round {worst.round}")
        if in_full:
            print(worst)
    print(f"{len(attack.findings)} findings", *(first_line(finding) for finding in attack.findings[:20]), sep="\n  ")


def first_line(finding: Finding) -> str:
    return str(finding).partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
