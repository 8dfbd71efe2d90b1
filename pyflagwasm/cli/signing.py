"""`pyflagwasm sign` and `pyflagwasm verify`: their arguments, keys and signatures in files, and what is printed.

Signatures themselves are in signing.py. Exit codes and streams are as output.py has them.
"""

from __future__ import annotations

import argparse
import os
import stat
import time
from pathlib import Path
from typing import Final

from ..errors import SignatureError
from .arguments import Add
from .input import STDIN, json_object
from .output import SOUND, BadInput, say, to_json

_KEYS: Final = """\
make the keys with OpenSSL, and keep key.pem secret:
  openssl genpkey -algorithm ed25519 -out key.pem
  openssl pkey -in key.pem -pubout -out key.pub.pem

"""
_SIGN: Final = "--key PRIVATE.pem [--key ...] [--version N] [--output FILE|-]"


def add_commands(add: Add) -> None:
    """Adds both commands."""
    sign = add("sign", "sign a configuration that can be used: write CONFIG.sig", _SIGN, notes=_KEYS)
    sign.add_argument("--key", metavar="PRIVATE.pem", action="append", required=True, help="an Ed25519 private key")
    says = "must grow with each change; default: the milliseconds since 1970, or one above that of the present file"
    sign.add_argument("--version", metavar="N", type=int, help=says)
    sign.add_argument("--output", metavar="FILE", help="where to write; default: CONFIG.sig; - for stdout")

    usage = "--key PUBLIC.pem [--key ...] [--signature FILE]"
    says = "say whether a configuration is signed by a trusted key"
    verify = add("verify", says, usage, common=False, notes=_KEYS)
    verify.add_argument("--key", metavar="PUBLIC.pem", action="append", required=True, help="a key to trust")
    verify.add_argument("--signature", metavar="FILE", help="the signatures; default: CONFIG.sig")


def run(arguments: argparse.Namespace) -> int:
    """Runs one of the two; the exit code."""
    return _sign(arguments) if arguments.command == "sign" else _verify(arguments)


def _sign(arguments: argparse.Namespace) -> int:
    from ..loading import MOST, SIDECAR, compile_source
    from ..signing import LATEST, parse
    from ..sources.base import Document

    options = None if arguments.options is None else json_object(arguments.options, "--options")
    document = _read(arguments.config, MOST)
    compile_source(Document(document, arguments.config), arguments.format, options)
    output = arguments.output or arguments.config + SIDECAR

    present = -1 if output == STDIN else _present(output)
    # Above that of the present file, for the clock may have gone back; a version that is given is taken as it is.
    version = max(time.time_ns() // 1_000_000, present + 1) if arguments.version is None else arguments.version
    if not 0 <= version <= LATEST:
        raise BadInput(f"--version: must be from 0 to {LATEST}, not {version}")
    text = "\n".join(_signature(document, path, version) for path in arguments.key)
    keys = [each.key for each in parse(text)]
    if output == STDIN:
        say(text)
        return SOUND

    from ..last_good import replace_file

    try:
        # Whoever may read the configuration may read its signature.
        replace_file(output, f"{text}\n".encode(), stat.S_IMODE(os.stat(arguments.config).st_mode) & 0o666)
    except OSError as error:
        raise BadInput(f"{output}: cannot be written: {error.strerror or error}") from None
    say(to_json({"config": arguments.config, "signature": output, "keys": keys, "version": version}))
    return SOUND


def _signature(document: bytes, path: str, version: int) -> str:
    from ..signing import MOST_TEXT, sign

    pem = _read(path, MOST_TEXT)
    try:
        return sign(document, pem, version)
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None
    except ImportError as error:
        raise BadInput(str(error)) from None


def _verify(arguments: argparse.Namespace) -> int:
    from ..loading import MOST, SIDECAR
    from ..signing import Trust

    try:
        trust = Trust([Path(path) for path in arguments.key])
    except (ValueError, ImportError) as error:
        raise BadInput(str(error)) from None
    document = _read(arguments.config, MOST)
    path = arguments.signature or arguments.config + SIDECAR
    try:
        found = trust.verified(document, _text(path))
    except SignatureError as error:
        error.source = arguments.config
        raise
    say(to_json({"config": arguments.config, "key": found.key, "version": found.version}))
    return SOUND


def _present(output: str) -> int:
    """The highest version in a file of signatures, -1 if there is none. Refuses one that holds something else."""
    from ..signing import parse

    try:
        if not stat.S_ISREG(os.stat(output).st_mode):
            raise BadInput(f"{output}: is no regular file")
    except (OSError, ValueError):  # ValueError: a path with a null character
        return -1
    text = _text(output)
    if not text.strip():
        return -1
    try:
        return max(each.version for each in parse(text))
    except SignatureError:
        raise BadInput(f"{output}: is there already and holds no signatures: not written over") from None


def _text(path: str) -> str:
    from ..signing import MOST_TEXT

    return _read(path, MOST_TEXT).decode("ascii", "replace")


def _read(path: str, most: int) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise BadInput(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > most:
        raise BadInput(f"{path}: has more than {most >> 10} KiB")
    return data
