"""Looks for disagreements between the core and the reference, for as long as one likes.

`python tests/differential/agreement.py --cases N --seed S` prints each disagreement with the number of its
configuration, which `--seed S --only I` shows again, and exits with 1 if there was one. tests/comparison.py says what
is compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> int:
    from comparison import Tally, disagreements

    from pyflagwasm.runtime.instance import Instance

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20000, help="stop after so many cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this configuration and no other")
    parser.add_argument("--show", type=int, default=5, help="print so many disagreements in full")
    options = parser.parse_args()
    tally, found, begun = Tally(), Counter[str](), time.monotonic()
    index = 0 if options.only is None else options.only
    instance = Instance()
    while tally.cases < options.cases:
        for difference in disagreements(instance, 1, options.seed, tally, index):
            found[difference.what] += 1
            if found.total() <= options.show:
                print(difference, flush=True)
        index += 1
        if options.only is not None:
            break
    rate = tally.cases / (time.monotonic() - begun)
    print(f"{tally.cases} cases of {index} configurations, seed {options.seed}, {rate:.0f}/s, {tally.skipped} skipped")
    print("least executed:", ", ".join(f"{name} {count}" for name, count in tally.operations.most_common()[:-8:-1]))
    print(f"{found.total()} disagreements", *found.items())
    return 1 if found else 0


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    sys.exit(main())
