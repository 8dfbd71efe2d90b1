"""The optional C extension `_native`: whether it is there, fits this package and is wanted. What it does is in native/.

It is an accelerator and nothing else: whatever it declines, and everything without it, is done by the Python code that
it accelerates, with the same answers and the same bytes in scratch.
"""

from __future__ import annotations

import os
from typing import Any, Final

from .. import _abi

HOST_VARIABLE: Final = "PYFLAGWASM_HOST"


def _found() -> Any:
    """The extension, or why there is none."""
    try:
        from . import _native  # type: ignore[attr-defined,unused-ignore]
    except ImportError as error:
        return str(error)
    if _native.FINGERPRINT != _abi.FINGERPRINT:  # an old build in a checkout that went on
        return "it was built for another version of this package: install the package again"
    return _native


_found_here: Final = _found()
FOUND: Final[Any] = None if isinstance(_found_here, str) else _found_here
MISSING_BECAUSE: Final[str | None] = _found_here if isinstance(_found_here, str) else None
"""The extension or None, and why it cannot be used."""


def chosen() -> Any:
    """The extension, or None if it is not there or PYFLAGWASM_HOST names another host."""
    return FOUND if os.environ.get(HOST_VARIABLE, "native") in ("", "native") else None
