"""The last-known-good file: the last configuration that served, for a start when its source cannot be reached.

Here live its format, writing it whole and reading it with suspicion. When that is done, and whether the record is
verified and used, is the evaluator's matter: the hash in the file finds damage, it is no signature.

    pyflagwasm-last-known-good 1 <SHA-256 of everything behind this line, in lower-case hex>
    {"origin": ..., "format": ..., "signature": ..., "version": ..., "saved_at": ..., "length": ...}
    <the document, `length` bytes>
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from typing import Any, Final

from .errors import ConfigError
from .loading import MOST
from .signing import LATEST

_MAGIC: Final = b"pyflagwasm-last-known-good 1 "
_HEADER: Final = len(_MAGIC) + hashlib.sha256().digest_size * 2 + 1
_MOST: Final = MOST + (1 << 20)
_LEFT: Final = 600.0  # seconds after which a temporary file has no writer any more
_OTHERS_WRITE: Final = 0o022


@dataclass(frozen=True, slots=True)
class Record:
    """A configuration that served, and what is needed to use it again.

    data: the exact bytes. origin: the path or URL for messages. format: the importer's name as configured, or "auto".
    signature, version: as it was verified with; None without signatures. saved_at: seconds since 1970.
    """

    data: bytes
    origin: str
    format: str
    signature: str | None
    version: int | None
    saved_at: float


class LastGood:
    """The last-known-good file at a path. Several processes may use one file. Holds nothing open.

    Raises ValueError for a path that cannot be one. All methods read or write a disk: call them in a worker thread.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: Final[str] = os.path.abspath(os.fspath(path))
        if "\0" in self.path:
            raise ValueError("a path cannot have a null character")

    def load(self) -> Record | None:
        """The record, None if there is no file. Costs 2 to 5 ms for each MB.

        Raises ConfigError for a file that is damaged, is no regular file, is a symbolic link, or was or could have
        been written by others: one that belongs to neither this user nor root, or that group or others may write to.
        """
        try:
            return _parsed(_read(self.path))
        except FileNotFoundError:
            return None
        except _Unusable as error:
            reason = str(error)
        except OSError as error:
            linked = error.errno in (errno.ELOOP, errno.EMLINK)
            reason = "is a symbolic link" if linked else f"cannot be read: {error.strerror or error}"
        raise ConfigError("$", f"the last-known-good file {reason}", source=self.path)

    def save(self, record: Record) -> bool:
        """Puts a record in the place of the one that is there, whole or not at all. Whether it did.

        It does not if the present record is of a higher version. Two processes that save at the same moment can still
        leave the older of their records; a caller that cannot use the present one calls `discard`, or it stays.
        Raises OSError. Waits for the disk: some ms, more on a busy one.
        """
        content = _content(record)
        if len(content) > _MOST:
            raise OSError(errno.EFBIG, "the record is too large for a last-known-good file", self.path)
        if record.version is not None:
            with contextlib.suppress(ConfigError):
                present = self.load()
                if present is not None and present.version is not None and present.version > record.version:
                    return False
        replace_file(self.path, content)
        return True

    def discard(self) -> None:
        """Removes the file, if there is one. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


# ---------------------------------------------------------------- format


class _Unusable(Exception):
    """What is wrong with the file, as the end of a sentence about it."""


def _content(record: Record) -> bytes:
    metadata = {
        "origin": record.origin,
        "format": record.format,
        "signature": record.signature,
        "version": record.version,
        "saved_at": float(record.saved_at),
        "length": len(record.data),
    }
    body = b"%b\n%b" % (json.dumps(metadata, allow_nan=False).encode(), record.data)
    return b"%b%b\n%b" % (_MAGIC, hashlib.sha256(body).hexdigest().encode(), body)


def _parsed(content: bytes) -> Record:
    if not content.startswith(_MAGIC):
        raise _Unusable("does not begin like one of this version")
    head, body = content[:_HEADER], content[_HEADER:]
    if head != b"%b%b\n" % (_MAGIC, hashlib.sha256(body).hexdigest().encode()):
        raise _Unusable("is damaged: its hash does not fit")
    text, _, data = body.partition(b"\n")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise _Unusable("has metadata that is no JSON") from None
    if not isinstance(given, dict) or not _sound(given) or given["length"] != len(data):
        raise _Unusable("has metadata that cannot be right")
    del given["length"]
    return Record(data, **given)


def _sound(given: dict[str, Any]) -> bool:
    kinds: dict[str, tuple[type, ...]] = {
        "origin": (str,),
        "format": (str,),
        "signature": (str, type(None)),
        "version": (int, type(None)),
        "saved_at": (float,),
        "length": (int,),
    }
    if given.keys() != kinds.keys() or not all(type(given[name]) in kind for name, kind in kinds.items()):
        return False
    return (given["version"] is None or 0 <= given["version"] <= LATEST) and math.isfinite(given["saved_at"])


# ---------------------------------------------------------------- files


def _read(path: str) -> bytes:
    # Nothing that a name can lead to makes this follow a link or wait, as opening a pipe does.
    flags = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
    descriptor = os.open(path, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Unusable("is no regular file")
        if hasattr(os, "geteuid"):
            if status.st_uid not in (os.geteuid(), 0):
                raise _Unusable(f"belongs to the user {status.st_uid}, neither to this one nor to root")
            if status.st_mode & _OTHERS_WRITE:
                raise _Unusable("can be written by its group or by others: chmod go-w")
        if status.st_size > _MOST:
            raise _Unusable(f"is larger than {_MOST >> 20} MiB")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(status.st_size + 1)  # one that grows meanwhile has another hash
    finally:
        os.close(descriptor)


def replace_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Gives the file at a path this content, at once: whoever reads it sees the old or the new one, whole.

    Survives being killed and a loss of power at any moment. mode: the new file's permissions. A link at the path is
    replaced, not followed. Raises OSError.
    """
    folder, name = os.path.split(os.path.abspath(path))
    descriptor, temporary = tempfile.mkstemp(".tmp", f".{name}.", folder)  # 0600, exclusive, nobody can guess it
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if mode != 0o600:
                os.chmod(temporary, mode)
            os.fsync(descriptor)
            now = os.fstat(descriptor).st_mtime  # by the clock of the folder's disk
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    with contextlib.suppress(OSError):  # what is not possible everywhere, and what does not matter to the new file
        sync_folder(folder)
    with contextlib.suppress(OSError):
        remove_leftovers(folder, name, now)


def sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: str, name: str, now: float) -> None:
    """Removes the temporary files of writers that were killed: of this user, and too old to be still in work."""
    own = re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}\.tmp")  # as tempfile names them
    with os.scandir(folder) as entries:
        for entry in entries:
            if not own.fullmatch(entry.name):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                mine = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
                if mine and stat.S_ISREG(status.st_mode) and status.st_mtime < now - _LEFT:
                    os.unlink(entry.path)
