"""Keys of flags as identifiers: any text becomes one, and the same one whatever other flags come and go.

`new-checkout` and `newCheckout` are new_checkout. Where several keys would have one name, the key that is the name has
it, and the others a part of their hash behind it: not a number, which another order of the flags would move to another
flag.
"""

from __future__ import annotations

import hashlib
import keyword
import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BEYOND_BMP: Final = 0x10000  # Python takes such letters, not every checker does
_MOST: Final = 60
_DIGITS: Final = 6
_TAKEN: Final = frozenset({*keyword.kwlist, "bool", "float", "int", "str"})
"""Names that would hide, within the class, what its own lines are written with, or are none."""


def identifiers(keys: Iterable[str]) -> dict[str, str]:
    """An identifier for each key, all of them different."""
    plain = {key: identifier(key) for key in keys}
    sharing: dict[str, list[str]] = {}
    for key, name in plain.items():
        sharing.setdefault(name, []).append(key)
    taken = set(sharing)
    names = {}
    for key, name in plain.items():
        if len(sharing[name]) > 1 and key != name:
            digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
            size = _DIGITS
            while f"{name}_{digest[:size]}" in taken:
                size += 1
            name = f"{name}_{digest[:size]}"
            taken.add(name)
        names[key] = name
    return names


def identifier(key: str) -> str:
    """The identifier of one key: lower case, words parted by underscores, no keyword, not private."""
    text = "".join(_letter(each) for each in unicodedata.normalize("NFKC", key[: 4 * _MOST]))
    text = unicodedata.normalize("NFKC", _HUMP.sub("_", text).lower())
    name = re.sub(r"_+", "_", "".join(map(_letter, text))).strip("_")[:_MOST].rstrip("_")
    if not name.isidentifier():
        name = f"flag_{name}".rstrip("_")
    return f"{name}_" if name in _TAKEN else name


def camel(text: str) -> str:
    """As the name of a class: NewCheckout."""
    return "".join(part[:1].upper() + part[1:] for part in identifier(text).split("_"))


def is_plain(text: str) -> bool:
    """Whether a text can be written as an attribute of a class as it is."""
    return text.isascii() and text.isidentifier() and not text.startswith("__") and text not in _TAKEN


def _letter(character: str) -> str:
    return character if ord(character) < _BEYOND_BMP and f"a{character}".isidentifier() else "_"
