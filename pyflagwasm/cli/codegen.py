"""`pyflagwasm codegen`: a Python module of typed flags, or a manifest, from a configuration or a manifest."""

from __future__ import annotations

import argparse
import keyword
import os
import stat
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Final

from ..config.formats import AUTO
from ..errors import ConfigError
from .arguments import Add
from .input import STDIN, loaded
from .output import FLAWED, SOUND, BadInput, say, tell, to_json, write

if TYPE_CHECKING:
    from ..codegen.shapes import Described

_OFF: Final = "off"
_NOTES: Final = """\
The default of a boolean is false; that of any other flag is what the configuration gives an empty context, or the
first variant where it gives none. A manifest has its own defaults: write one with --emit manifest, and edit it.

"""


def add_commands(add: Add) -> None:
    """Adds the command."""
    usage = (
        "[--output FILE] [--force] [--check] [--class NAME] [--literals] [--defaults off|served] "
        "[--emit python|manifest]"
    )
    says = "write a Python module of typed flags"
    codegen = add("codegen", says, f"{usage} [--manifest]", notes=_NOTES)
    codegen.add_argument("--output", metavar="FILE", help="where to write; default: stdout")
    codegen.add_argument("--force", action="store_true", help="replace a FILE that codegen has not written")
    codegen.add_argument("--check", action="store_true", help="write nothing; exit with 1 if FILE would change")
    codegen.add_argument("--class", metavar="NAME", default="Flags", dest="class_name", help="default: Flags")
    codegen.add_argument("--literals", action="store_true", help="texts can only be one of their variants")
    says = "what booleans are by default: false, or what an empty context is given"
    codegen.add_argument("--defaults", choices=(_OFF, "served"), default=_OFF, help=says)
    codegen.add_argument("--emit", choices=("python", "manifest"), default="python", help="default: python")
    says = "CONFIG is a manifest of OpenFeature's command line, which is told by itself unless it is empty"
    codegen.add_argument("--manifest", action="store_true", help=says)


def run(arguments: argparse.Namespace) -> int:
    """Runs it; the exit code."""
    name, output = arguments.class_name, arguments.output
    if arguments.check and output in (None, STDIN):
        raise BadInput("--check: there is no --output FILE to compare with")
    from ..codegen.module import RESERVED, module

    if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED or not name.isascii():
        raise BadInput(f"--class: {name!r} cannot be the name of the class")
    flags = _described(arguments)
    if arguments.emit == "manifest":
        from ..codegen import manifest

        try:
            text = to_json(manifest.write(flags), indent=2) + "\n"
        except ConfigError as error:
            error.source = arguments.config
            raise
    else:
        text = module(flags, name)
    data = text.encode(errors="backslashreplace")
    if output in (None, STDIN):
        write(data)
        return SOUND
    present = _present(output)
    if arguments.check:
        if present == data:
            return SOUND
        differs = "is not what would be written" if present is not None else "is not there"
        tell(f"{output}: {differs}: run the same command without --check")
        return FLAWED
    if present != data:
        if present is not None and not arguments.force and not _ours(present, arguments.emit):
            raise BadInput(
                f"{output}: codegen has not written this file: give another --output, or --force to replace it"
            )
        _replace(output, data)
    say(to_json({"config": arguments.config, "output": output, "flags": len(flags), "changed": present != data}))
    return SOUND


def _described(arguments: argparse.Namespace) -> list[Described]:
    from ..codegen import manifest

    document = _manifest(arguments)
    if document is not None:
        if arguments.literals:
            raise BadInput("--literals: a manifest has no variants")
        try:
            return manifest.read(document)
        except ConfigError as error:
            error.source = arguments.config
            raise

    from ..codegen.configuration import described

    with closing(loaded(arguments)) as pool:
        return described(pool, literals=arguments.literals, served_booleans=arguments.defaults != _OFF)


def _manifest(arguments: argparse.Namespace) -> bytes | None:
    """The manifest's text; None if CONFIG is a configuration."""
    from ..codegen.manifest import is_manifest
    from ..config.document import parse
    from ..loading import read

    if not arguments.manifest and (arguments.format != AUTO or arguments.options is not None):
        return None
    document = read(arguments.config)
    assert not isinstance(document, Mapping)
    if arguments.manifest:
        if arguments.format != AUTO or arguments.options is not None:
            raise BadInput("--manifest: a manifest has neither --format nor --options")
        return document.data
    try:
        return document.data if is_manifest(parse(document.data)) else None
    except ConfigError:  # the importers say what is wrong
        return None


def _present(output: str) -> bytes | None:
    try:
        if not stat.S_ISREG(os.stat(output).st_mode) and not os.path.isdir(output):
            raise BadInput(f"{output}: is no regular file, which would be replaced: write to stdout instead")
        with open(output, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise BadInput(f"{output}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _ours(present: bytes, emit: str) -> bool:
    """Whether a file is one of those that are written here, or empty."""
    if emit == "manifest":
        from ..codegen.manifest import is_manifest
        from ..config.document import parse

        try:
            return not present.strip() or is_manifest(parse(present))
        except ConfigError:
            return False
    from ..codegen.module import MARK

    return not present.strip() or present.startswith(MARK.encode())


def _replace(output: str, data: bytes) -> None:
    from ..last_good import replace_file

    try:
        mode = stat.S_IMODE(os.stat(output).st_mode)
    except OSError:
        mode = 0o644
    try:
        replace_file(os.path.realpath(output), data, mode)
    except OSError as error:
        raise BadInput(f"{output}: cannot be written: {error.strerror or error}") from None
