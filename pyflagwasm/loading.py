"""From what can be read at once - a path, bytes or a mapping - to a compiled configuration.

Here live reading files and the bundled examples, naming them in errors, and how much work a document will be. Formats
are in config/formats, threads and signatures in intake.py, what delivers documents again and again in sources/.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final, TypeAlias

from .config.compile import CompiledConfig, compile_model
from .config.fingerprint import fingerprints
from .config.formats import AUTO, load
from .config.model import Model
from .config.pace import let_go
from .errors import ConfigError
from .sources.base import Document

Readable: TypeAlias = str | os.PathLike[str] | bytes | bytearray | Document | Mapping[str, Any]
"""A path or the name of an example, a document, or a document that somebody has parsed already."""

EXAMPLE: Final = "example:"
"""What the name of a bundled example begins with. A file that is called so is `./example:...`, or an os.PathLike."""

SIDECAR: Final = ".sig"
"""What is added to a path for the file with its signatures."""

LARGE: Final = 4 << 10
"""Bytes of a document from which it is loaded in a thread: parsing and compiling it would stall an event loop."""

MOST: Final = 64 << 20
"""The bytes of the largest document that is read. No configuration that the core has room for comes near."""

_LONGEST_PATH: Final = 60  # characters of what is no path that are shown
_EVALUATORS: Final = "$evaluators"  # with them a little text can stand for much
_BYTES_OF_VALUE: Final = 16  # what a JSON value takes in a document, roughly, for mappings


def read(source: Readable, *, signed: bool = False) -> Document | Mapping[str, Any]:
    """The document. signed: whether to read the signatures beside a file, too.

    Raises ConfigError, which names the file or example, for what cannot be read, and TypeError for what is no source.
    """
    if isinstance(source, (Document, Mapping)):
        return source
    if isinstance(source, (bytes, bytearray)):
        return Document(bytes(source), "")
    path = os.fspath(source)
    if not isinstance(path, str):
        raise TypeError("a path must be a str or an os.PathLike[str]")
    example = isinstance(source, str) and path.startswith(EXAMPLE)
    try:
        data = (_read_example if example else _read)(path)
        signature = None
        if signed and not example and os.path.exists(path + SIDECAR):
            signature = _read(path + SIDECAR).decode(errors="replace")
    except ConfigError as error:
        error.source = _shown(path)
        raise
    return Document(data, path, signature)


def compile_source(
    source: Readable, format: str = AUTO, options: Mapping[str, Any] | None = None, *, explain: bool = True
) -> CompiledConfig:
    """Reads, imports and compiles a configuration. explain: whether with what explanations need.

    Raises ConfigError, which names the file or example if it is one, for what cannot be read or used, and TypeError
    for a source that is none.
    """
    found = read(source)
    if isinstance(found, Mapping):
        return _compiled(load(found, format, options), explain)
    try:
        if len(found.data) > MOST:
            raise ConfigError("$", f"the document has more than {MOST >> 20} MiB")
        return _compiled(load(found.data, format, options), explain)
    except ConfigError as error:
        error.source = found.origin or None
        raise


def _compiled(model: Model, explain: bool) -> CompiledConfig:
    compiled = compile_model(model)
    if not explain:
        compiled = compiled.for_serving(fingerprints(model))
        parts: list[object] = [*model.programs, *model.flags]
        del model
        let_go(parts)
    return compiled


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MOST + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError("", _mistaken(path) or f"cannot be read: {reason}") from error


def _shown(path: str) -> str:
    """The path for messages: of a URL without its secrets, of a document its beginning."""
    if "://" in path:
        from .sources.http_fetch import shown

        return shown(path)
    return path if len(path) <= _LONGEST_PATH or _mistaken(path) is None else f"{path[:40]}..."


def _mistaken(path: str) -> str | None:
    """What a text is that was taken for a path, if it can be told."""
    if path.lower().startswith(("http://", "https://")):
        return "a str is a path, and this is a URL: give pyflagwasm.HttpSource(url)"
    if path.lstrip().startswith(("{", "[")):
        return "a str is a path, and this is a document: give bytes, or a mapping"
    return None


def _read_example(source: str) -> bytes:
    name, folder = source.removeprefix(EXAMPLE), resources.files(__package__).joinpath("examples")
    names = sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))
    if name not in names:
        raise ConfigError("", f"there is no example {name!r}; there are {', '.join(names)}")
    return folder.joinpath(f"{name}.json").read_bytes()


def is_large(source: Readable) -> bool:
    """Whether loading the source takes long enough to belong in a thread. Never raises."""
    if isinstance(source, Document):
        source = source.data
    if isinstance(source, (bytes, bytearray)):
        return len(source) > LARGE or _multiplies(source)
    if isinstance(source, Mapping):
        return bool(source.get(_EVALUATORS)) or _is_large_mapping(source)
    try:
        path = os.fspath(source)  # a number would be a descriptor of somebody else's, and reading it closes it
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGE:  # a pipe may keep its reader waiting
            return True
        with open(path, "rb") as file:
            return _multiplies(file.read(LARGE))
    except (OSError, ValueError, TypeError):
        return False


def _multiplies(data: bytes | bytearray) -> bool:
    # escapes of ASCII can hide the name
    return f'"{_EVALUATORS}"'.encode() in data or b"\\u00" in data


def _is_large_mapping(source: Mapping[str, Any]) -> bool:
    most, seen = LARGE // _BYTES_OF_VALUE, 0
    left: list[Any] = [source]
    while left:
        value = left.pop()
        seen += 1
        if isinstance(value, str):
            seen += len(value) // _BYTES_OF_VALUE
        elif isinstance(value, (Mapping, list, tuple)):
            if seen + len(value) > most:
                return True
            left.extend(value.values() if isinstance(value, Mapping) else value)
        if seen > most:
            return True
    return False
