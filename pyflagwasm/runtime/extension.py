"""The optional C extension `_native`: whether it is there, fits this package and is wanted. What it does is in native/.

It is an accelerator and nothing else: whatever it declines, and everything without it, is done by the Python code that
it accelerates, with the same answers and the same bytes in scratch.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Final

from .. import _abi

HOST_VARIABLE: Final = "PYFLAGWASM_HOST"


def _found() -> Any:
    """The extension, or why there is none."""
    try:
        from . import _native  # type: ignore[attr-defined,unused-ignore]
    except ImportError as error:
        return str(error)
    if _native.FINGERPRINT != _abi.FINGERPRINT or _native.SOURCES != _sources(_native.SOURCES):
        return "it was built from other sources than these: install the package again"
    return _native


def _sources(built: str) -> str:
    """The digest of the sources beside this file, as in native/hatch_build.py; `built` where there are none.

    Only a checkout has them, and there a build can be older than they are.
    """
    found = sorted(Path(__file__).with_name("native").glob("*.[ch]"))
    if not found:
        return built
    digest = hashlib.sha256()
    for path in found:
        digest.update(path.read_bytes())
    return digest.hexdigest()


_found_here: Final = _found()
FOUND: Final[Any] = None if isinstance(_found_here, str) else _found_here
MISSING_BECAUSE: Final[str | None] = _found_here if isinstance(_found_here, str) else None
"""The extension or None, and why it cannot be used."""


def chosen() -> Any:
    """The extension, or None if it is not there or PYFLAGWASM_HOST names another host."""
    return FOUND if os.environ.get(HOST_VARIABLE, "native") in ("", "native") else None
