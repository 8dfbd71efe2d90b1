"""What a flag does, in a few bytes: equal in two configurations exactly if the flag answers alike in both.

Made of the model, before it is let go: the numbers of programs and labels, which shift when another flag is added, are
taken out of it. Compared within one process only.
"""

from __future__ import annotations

import graphlib
import hashlib
import os
import re
from collections.abc import Mapping
from typing import Final

from .model import Model
from .pace import breathe

_SIZE: Final = 12
_LABEL: Final = re.compile(r"Labelled\(label=\d+, ")
_SERVES: Final = re.compile(r"Serves\(program=(\d+), ")
_SHARED: Final = re.compile(r"""Shared\(name=('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\)""")


def fingerprints(model: Model) -> Mapping[str, bytes]:
    """By the key of each flag. The model must be one that compiles: then its trees are small, and have no circles.

    Takes an eighth as long as importing and compiling the model.
    """
    found: dict[str, bytes] = {}
    texts: dict[str, str] = {}
    referred: dict[str, set[str]] = {}
    shared = {repr(name): condition for name, condition in model.shared.items()}
    programs = ((str(number), program) for number, program in enumerate(model.programs))
    for name, tree in (*shared.items(), *programs):
        breathe()
        text = _told(tree)
        if "Labelled(" in text:
            text = _LABEL.sub("Labelled(", text)
        if "Serves(" in text or "Shared(" in text:
            texts[name], referred[name] = text, {*_SERVES.findall(text), *_SHARED.findall(text)}
        else:
            found[name] = _digest(text)
    try:
        order = [*graphlib.TopologicalSorter(referred).static_order()]
    except graphlib.CycleError:  # only texts that rules compare with can look like one
        order = [*texts]
    for name in order:
        breathe()
        if name in texts:
            text = _SERVES.sub(lambda match: _known(found, match), texts[name])
            found[name] = _digest(_SHARED.sub(lambda match: _known(found, match), text))
    flags = {}
    for flag in model.flags:
        breathe()
        variants = [(variant.key, variant.value, variant.error) for variant in flag.variants]
        metadata = [dict(each) for each in (flag.metadata, *flag.rule_metadata)]
        flags[flag.key] = _digest(_told((variants, flag.type, metadata, flag.problem)), found[str(flag.program)])
    return flags


def _told(tree: object) -> str:
    """What cannot be told is never the same: a caller's own objects, or a tree too deep for the caller's stack."""
    try:
        return repr(tree)
    except Exception:
        return os.urandom(_SIZE).hex()


def _known(found: Mapping[str, bytes], match: re.Match[str]) -> str:
    """What a reference refers to in place of its name, if it is one."""
    return found[match[1]].hex() if match[1] in found else match[0]


def _digest(text: str, more: bytes = b"") -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass") + more, digest_size=_SIZE).digest()
