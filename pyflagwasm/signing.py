"""Signed configurations: detached Ed25519 signatures over the exact bytes of a document, and refusing older versions.

Here live signing, the text of signatures, trusted keys and the memory against rollback. How signatures travel is the
sources' matter; when documents are verified, the evaluator's.

A signature is one line, good for a header of HTTP and for the file `<config>.sig` beside a configuration:

    v=1; key=<16 hex digits>; version=<decimal>; sig=<base64 of 64 bytes>

`key` is the beginning of the SHA-256 of the raw public key. What is signed is `pyflagwasm signature 1`, a newline, the
version in decimal, a newline and the document. Several signatures, by the old and the new key of a rotation, are
several lines or stand between commas. The package `cryptography` is loaded when a key is.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from .errors import SignatureError
from .extras import missing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LATEST: Final = (1 << 63) - 1
"""The highest version. Whoever signs it by mistake can sign nothing newer: what remembers it must then forget."""

MOST_TEXT: Final = 64 << 10
"""Characters of the longest text of signatures, and bytes of the longest file with a key, that are read."""

MOST_SIGNATURES: Final = 16

_DOMAIN: Final = b"pyflagwasm signature 1\n"
_FIELDS: Final = (
    ("v", re.compile("1"), "1"),
    ("key", re.compile("[0-9a-f]{16}"), "16 hexadecimal digits in lower case"),
    ("version", re.compile("0|[1-9][0-9]{0,18}"), "a decimal number below 2^63"),
    ("sig", re.compile("[A-Za-z0-9+/]{86}=="), "64 bytes in base64"),
)
_SHOWN: Final = 40
_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")

# Public keys of a small order, by their y: anyone can sign for them. Zeros, somebody's placeholder, are one.
_P: Final = 2**255 - 19
_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER: Final = {0, 1, _P - 1, _ORDER_8, _P - _ORDER_8}


# ---------------------------------------------------------------- signatures


class Signature(NamedTuple):
    """One signature as text says it, not verified. key: the id of its key. version: what it says of the document."""

    key: str
    version: int
    value: bytes


def sign(document: bytes, private_key: Ed25519PrivateKey | bytes, version: int) -> str:
    """The signature of a document, one line of text without its end.

    private_key: an Ed25519 key, or its PEM (PKCS #8, not encrypted). version: 0 to LATEST, and higher than that of
    all documents that were signed before for the same readers.
    Raises ValueError for a key or version that cannot be used, ImportError without the package cryptography. Costs
    about 4 ms for each MB.
    """
    if not 0 <= version <= LATEST:
        raise ValueError(f"the version must be from 0 to {LATEST}, not {version}")
    key = _private_key(private_key) if isinstance(private_key, bytes) else private_key
    value = base64.b64encode(key.sign(_message(document, version))).decode()
    return f"v=1; key={_key_id(key.public_key())}; version={version:d}; sig={value}"


def parse(text: str) -> tuple[Signature, ...]:
    """Takes the text of signatures apart. Raises SignatureError that says what is wrong with it."""
    if len(text) > MOST_TEXT:
        raise _refused(f"the signatures are longer than {MOST_TEXT >> 10} KiB")
    lines = [line for each in re.split("[,\n]", text) if (line := each.strip(" \t\r"))]
    if not lines:
        raise _refused("the text of the signatures is empty: deliver what `pyflagwasm sign` writes")
    if len(lines) > MOST_SIGNATURES:
        raise _refused(f"there are {len(lines)} signatures, and at most {MOST_SIGNATURES} are read")
    return tuple(_parse_one(number, line) for number, line in enumerate(lines, 1))


def _parse_one(number: int, line: str) -> Signature:
    parts = line.split("; ")
    values = []
    for i, (name, pattern, what) in enumerate(_FIELDS):
        found, _, value = parts[i].partition("=") if i < len(parts) else ("", "", "")
        if found != name:
            raise _malformed(number, f"its part {i + 1} must be `{name}=` and {what}")
        if not pattern.fullmatch(value):
            shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
            raise _malformed(number, f"{name} must be {what}, not {shown!r}")
        values.append(value)
    if len(parts) > len(_FIELDS):
        raise _malformed(number, "there is something behind its end")
    version, signature = int(values[2]), base64.b64decode(values[3])
    if version > LATEST:
        raise _malformed(number, f"version must be a decimal number below 2^63, not {version}")
    if base64.b64encode(signature).decode() != values[3]:  # the last digit has bits that decoding drops
        raise _malformed(number, "the base64 of sig has a last digit that no encoder writes")
    return Signature(values[1], version, signature)


def _malformed(number: int, detail: str) -> SignatureError:
    return _refused(f"signature {number} is malformed: {detail}")


def _refused(detail: str) -> SignatureError:
    return SignatureError("$", detail)


def _message(document: bytes, version: int) -> bytes:
    return b"%b%d\n%b" % (_DOMAIN, version, document)


# ---------------------------------------------------------------- trust


@dataclass(frozen=True, slots=True, init=False, eq=False, repr=False)
class Trust:
    """The public keys whose signatures are believed. Immutable; for any number of threads.

    keys: each the PEM of a public key (bytes or text), its 32 raw bytes, or the path of a file with the PEM.
    Raises ValueError for what is no Ed25519 public key, a file that cannot be read, or no key at all, TypeError for
    one key that is not in a list, ImportError without the package cryptography. Files are read once, now.
    """

    _keys: Mapping[str, Ed25519PublicKey]

    def __init__(self, keys: Iterable[bytes | str | os.PathLike[str]]) -> None:
        if isinstance(keys, (bytes, str, os.PathLike)):
            raise TypeError("keys must be a list of keys, also if it is only one")
        found = {_key_id(key): key for key in map(_public_key, keys)}
        if not found:
            raise ValueError("there are no keys: no document could be verified")
        object.__setattr__(self, "_keys", MappingProxyType(found))

    def __repr__(self) -> str:
        return f"Trust({', '.join(self._keys)})"

    def verify(self, document: bytes, signature: str | None) -> int:
        """The version of a document, if one of its signatures is by a trusted key; the highest of those.

        Signatures by other keys are ignored. signature: the text; None if none came. Raises SignatureError.
        Costs 0.5 to 1 ms for 225 KB and 10 to 15 ms for 5 MB, for each of the signatures by trusted keys: call it in
        a worker thread.
        """
        return self.verified(document, signature).version

    def verified(self, document: bytes, signature: str | None) -> Signature:
        """As verify, for the whole of the signature that counts."""
        if signature is None:
            raise _refused(
                "the document is not signed: sign it with `pyflagwasm sign` and deliver the signature with it"
            )
        given = parse(signature)
        ours = [each for each in given if each.key in self._keys]
        if not ours:
            signed, trusted = (", ".join(dict.fromkeys(keys)) for keys in ((each.key for each in given), self._keys))
            raise _refused(f"no signature is by a trusted key (signed by {signed}, trusted: {trusted})")
        good = [each for each in ours if self._fits(each, document)]
        if not good:
            keys = ", ".join(dict.fromkeys(each.key for each in ours))
            raise _refused(
                f"the signature by {keys} does not fit the document: it was changed after signing, or the signature "
                "is another document's or another version's; sign the exact bytes that are delivered"
            )
        return max(good, key=lambda each: each.version)

    def _fits(self, signature: Signature, document: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._keys[signature.key].verify(signature.value, _message(document, signature.version))
        except InvalidSignature:
            return False
        return True


# ---------------------------------------------------------------- rollback


class Rollback:
    """Remembers the newest version that was accepted, so that no older document comes back. For any number of threads.

    It starts with nothing; `accept` what a last-known-good file holds, once its signature is verified, to go on from
    there. Between `check` and `accept` others may accept: who loads documents in parallel holds a lock over both.
    """

    __slots__ = ("_lock", "_newest")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = (-1, b"")

    def check(self, version: int, document: bytes) -> None:
        """Raises SignatureError for an older version than was accepted, or for the same one with other bytes."""
        newest, digest = self._newest
        if version < newest:
            raise _refused(
                f"version {version} is older than {newest}, which was accepted before: sign it again as a newer one"
            )
        if version == newest and hashlib.sha256(document).digest() != digest:
            raise _refused(
                f"version {version} was accepted before with other bytes: sign each change as a newer version"
            )

    def accept(self, version: int, document: bytes) -> None:
        """Remembers a document that serves. An older one than is remembered already changes nothing."""
        digest = hashlib.sha256(document).digest()
        with self._lock:
            if version > self._newest[0]:
                self._newest = (version, digest)

    def after_fork(self) -> None:
        """In a forked child, where whoever held the lock does not exist."""
        self._lock = threading.Lock()


# ---------------------------------------------------------------- keys


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise missing("signing", "cryptography", "signing") from error


def _public_key(given: bytes | str | os.PathLike[str]) -> Ed25519PublicKey:
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    where = ""
    if isinstance(given, bytes):
        data = given
    elif isinstance(given, str) and "-----BEGIN" in given:
        data = given.encode(errors="replace")
    elif isinstance(given, (str, os.PathLike)):
        where = f"{os.fspath(given)}: "
        data = _read_key(given, where)
    else:
        raise TypeError(f"a key must be bytes, a text or a path, not {type(given).__name__}")

    if len(data) == 32 and not where:
        key = Ed25519PublicKey.from_public_bytes(data)
    else:
        labels = _LABEL.findall(data)
        if any(b"PRIVATE" in label for label in labels):
            raise ValueError(
                f"{where}this is a private key, and a public one is needed: openssl pkey -in PRIVATE.pem -pubout"
            )
        if labels != [b"PUBLIC KEY"]:
            raise ValueError(f"{where}this is not the PEM of one public key{_names(labels)}")
        try:
            loaded = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise ValueError(f"{where}the PEM of the public key is damaged or of an unknown kind") from None
        if not isinstance(loaded, Ed25519PublicKey):
            raise ValueError(f"{where}this public key is of another kind than Ed25519")
        key = loaded
    if int.from_bytes(key.public_bytes_raw(), "little") % (1 << 255) % _P in _SMALL_ORDER:
        raise ValueError(f"{where}anyone can sign for this public key (it is a point of small order)")
    return key


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    labels = _LABEL.findall(pem)
    if labels == [b"PUBLIC KEY"]:
        raise ValueError("this is a public key, and signing needs the private one")
    if labels == [b"ENCRYPTED PRIVATE KEY"]:
        raise ValueError("this private key is encrypted: decrypt it with openssl pkey -in ENCRYPTED.pem -out KEY.pem")
    if labels != [b"PRIVATE KEY"]:
        raise ValueError(
            f"this is not the PEM of one private key{_names(labels)}: make one with openssl genpkey -algorithm ed25519"
        )
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the PEM of the private key is damaged or of an unknown kind") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("this private key is of another kind than Ed25519")
    return key


def _names(labels: list[bytes]) -> str:
    return f" but of {', '.join(label.decode() for label in labels[:3])}" if labels else ""


def _read_key(path: str | os.PathLike[str], where: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_TEXT + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise ValueError(f"{where}cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MOST_TEXT:
        raise ValueError(f"{where}this file is too large for a key")
    return data
