"""The vendors' published cases, run through the guest, and counted.

    PYFLAGWASM_SUITES=FOLDER python tests/suites.py [VENDOR]...

Prints a line for each vendor, what failed, and what is left out with the reason; exits with 1 if something failed.
Cases come from suite_VENDOR.py: `cases(root)` yields names and functions that raise AssertionError, `LEFT_OUT` maps
names, or what they begin with, to reasons. pytest runs the same cases in test_suites.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

FOLDER = "PYFLAGWASM_SUITES"
VENDORS = ("eppo", "datadog", "unleash", "growthbook", "openfeature")


def cases(vendor: str, root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Names and functions of a vendor's cases."""
    yield from import_module(f"suite_{vendor}").cases(root)


def reason(vendor: str, name: str) -> str | None:
    """Why a case is left out, or None."""
    left_out: dict[str, str] = import_module(f"suite_{vendor}").LEFT_OUT
    return next((why for start, why in left_out.items() if name.startswith(start)), None)


def main(vendors: list[str]) -> int:
    """Runs the cases of these vendors. 0 if all passed."""
    root = os.environ.get(FOLDER)
    if not root:
        raise SystemExit(f"suites.py: {FOLDER} does not name the folder with the vendors' suites")
    failures = 0
    for vendor in vendors or VENDORS:
        passed, failed, left = 0, [], []
        for name, run in cases(vendor, Path(root)):
            if why := reason(vendor, name):
                left.append(f"  left out: {name}: {why}")
                continue
            try:
                run()
                passed += 1
            except AssertionError as error:
                failed.append(f"  failed: {name}: {str(error).splitlines()[0] if str(error) else ''}")
        print(f"{vendor}: {passed} passed, {len(failed)} failed, {len(left)} left out", *failed, *left, sep="\n")
        failures += len(failed)
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
