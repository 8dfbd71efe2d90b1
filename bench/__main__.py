"""`python -m bench`: time an evaluation and its parts, as ratios to an awaited no-op of the same run.

python -m bench                    all rows
python -m bench evaluate swap      rows whose name begins so
python -m bench --quick            fewer rounds
python -m bench --check            call each subject once and fail on a wrong answer; times nothing
python -m bench --json FILE        also write the rows, with machine and versions
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path

from . import measure, subjects


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="only rows whose name begins with one of these")
    parser.add_argument("--quick", action="store_true", help="3 rounds instead of 15")
    parser.add_argument("--check", action="store_true", help="verify the answers, time nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows to FILE")
    options = parser.parse_args()
    everything = [
        *subjects.baselines(), *subjects.boundary(), *subjects.encoding(), *asyncio.run(subjects.evaluations()),
        *subjects.swaps(),
    ]  # fmt: skip
    chosen = everything[:1] + [
        s for s in everything[1:] if not options.names or s.name.startswith(tuple(options.names))
    ]
    if options.check:
        measure.check(chosen)
        print(f"{len(chosen)} subjects give the right answers")
        return 0
    rows = measure.run(chosen, 3 if options.quick else 15)
    print(f"{'row':30} {'median us':>10} {'p99 us':>10} {'ratio':>8}  note")
    for row in rows:
        print(f"{row.name:30} {row.median_us:10.3f} {row.p99_us:10.2f} {row.ratio:8.1f}  {row.note}")
    print("ratio: to the awaited no-op, round by round; p99: single calls, with some 0.1 us of the clock in them")
    record = {"machine": measure.machine(), "rows": [asdict(row) for row in rows]}
    if not options.names or "startup" in options.names:
        record["startup_s"] = startup = subjects.startup(3 if options.quick else 7)
        for name, seconds in startup.items():
            print(f"startup/{name:27} {seconds * 1000:8.0f} ms")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
