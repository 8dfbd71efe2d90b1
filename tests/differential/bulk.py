"""Compares whole tables with single evaluations: random configurations of every format, random tables of every type.

    python tests/differential/bulk.py --rows 1000000 --seed 1

A row is one row of a table with all flags of its configuration. What Unleash draws at random is left out by drawing the
same number each time. The first difference is shown and ends the run with exit code 1; --only repeats one table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent.parent), str(HERE.parent), str(HERE)]

from bulk_tables import compared, subjects  # noqa: E402

import pyflagwasm  # noqa: E402
from pyflagwasm.runtime.views import unleash as views_unleash  # noqa: E402


async def run(rows: int, seed: int, only: int | None) -> int:
    done, refused, outcomes, formats, started = 0, 0, Counter[str](), Counter[str](), time.monotonic()
    random = Random(seed)
    for number, subject in enumerate(subjects(random)):
        if done >= rows:
            break
        state = Random(f"{seed}/{number}")
        if only is not None and number < only:
            continue
        try:
            many = await compared(subject, state, state.choice([1, 9, 400, 2500]), 2, outcomes)
        except pyflagwasm.ConfigError:
            refused += 1
            continue
        except AssertionError as error:
            print(f"--seed {seed} --only {number}: {subject.format} {subject.options}\n{error}")
            print(json.dumps(subject.document, ensure_ascii=False)[:6000])
            return 1
        done += many
        formats[subject.format] += many
        if only is not None:
            break
    print(
        f"{done} rows agree, {refused} documents refused, in {time.monotonic() - started:.0f} s; {dict(formats)}; "
        f"{dict(outcomes.most_common())}"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    views_unleash.draw = lambda limit: 1 + limit // 3
    return asyncio.run(run(arguments.rows, arguments.seed, arguments.only))


if __name__ == "__main__":
    sys.exit(main())
