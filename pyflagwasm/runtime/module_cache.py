"""The compiled core as a file, so that only the first process on a machine compiles it: that takes 0.2 s.

A file of machine code is as trusted as a `.pyc`: whoever can write it runs code in this process. So it is believed only
if it and its folder belong to this user and nobody else can write to them, and if it is whole. Whatever is wrong, the
core is compiled, and nothing is said. What a module is does not matter here (guest.py).

PYFLAGWASM_CACHE names the folder, "off" does without; else it is `pyflagwasm` in XDG_CACHE_HOME or ~/.cache.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

VARIABLE: Final = "PYFLAGWASM_CACHE"
_DIGEST: Final = hashlib.sha256
_DIGEST_SIZE: Final = 32
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_MOST: Final = 16 << 20


def cached(
    wasm: bytes, built_for: str, make: Callable[[], T], load: Callable[[bytes], T], dump: Callable[[T], bytes]
) -> T:
    """What `load` makes of the file for these bytes, else what `make` gives, for which `dump` makes the file.

    built_for: what else the machine code depends on. Raises what `make` raises; an Exception of the others counts as no
    file.
    """
    folder = _folder()
    if folder is None:
        return make()
    path = folder / f"core-{_DIGEST(built_for.encode() + wasm).hexdigest()[:32]}.cwasm"
    with suppress(Exception):
        code = _read(path)
        if code is not None:
            return load(code)
    made = make()
    with suppress(Exception):
        _write(path, dump(made))
    return made


def _folder() -> Path | None:
    """Where the files are; None if there is to be none, or who may write to one cannot be told."""
    named = os.environ.get(VARIABLE)
    if named == "off" or not hasattr(os, "geteuid"):
        return None
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "pyflagwasm" if os.path.isabs(base) else None


def _ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE


def _read(path: Path) -> bytes | None:
    """What `_write` has written; None if it is not there, not whole, or somebody else's."""
    if not _ours(os.stat(path.parent)):
        return None
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not (stat.S_ISREG(found.st_mode) and _ours(found) and found.st_size <= _MOST):
            return None
        raw = file.read()
    digest, code = raw[:_DIGEST_SIZE], raw[_DIGEST_SIZE:]
    return code if _DIGEST(code).digest() == digest else None


def _write(path: Path, code: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _ours(os.stat(path.parent)):
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.stem)  # readable for this user only
    try:
        with open(handle, "wb") as file:
            file.write(_DIGEST(code).digest() + code)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
