"""Keys that sign or are trusted, those that must not be, and the refusal of older versions."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from signatures import DOCUMENT, KEY, OTHER, private_pem, public_pem, raw

from pyflagwasm import signing
from pyflagwasm.errors import SignatureError
from pyflagwasm.signing import MOST_TEXT, Rollback, Trust, sign

ROOT = Path(__file__).parent.parent
TEXT = sign(DOCUMENT, KEY, 42)


# ---------------------------------------------------------------- keys


def point(y: int, odd: int = 0) -> bytes:
    return (y | odd << 255).to_bytes(32, "little")


P = 2**255 - 19
SMALL = [0, 1, P - 1, P, P + 1, signing._ORDER_8, P - signing._ORDER_8]


@pytest.mark.parametrize("y", SMALL, ids=hex)
@pytest.mark.parametrize("odd", [0, 1])
def test_keys_that_anyone_can_sign_for(y: int, odd: int) -> None:
    with pytest.raises(ValueError, match="anyone can sign for this public key"):
        Trust([point(y, odd)])


BEGIN = b"-----BEGIN "
WRONG_KEYS: list[tuple[bytes | str, str]] = [
    (private_pem(KEY), r"^this is a private key, and a public one is needed: openssl pkey -in PRIVATE.pem -pubout$"),
    (private_pem(KEY, b"secret"), "^this is a private key"),
    (private_pem(KEY).decode(), "^this is a private key"),
    (private_pem(KEY) + public_pem(KEY), "^this is a private key"),
    (public_pem(KEY) * 2, "^this is not the PEM of one public key but of PUBLIC KEY, PUBLIC KEY$"),
    (public_pem(KEY).replace(b"PUBLIC KEY", b"CERTIFICATE"), "^this is not the PEM of one public key but of CERT"),
    (public_pem(KEY).replace(b"MCow", b"MCox"), "^the PEM of the public key is damaged or of an unknown kind$"),
    (public_pem(KEY)[:60], "^the PEM of the public key is damaged"),
    (public_pem(ec.generate_private_key(ec.SECP256R1())), "^this public key is of another kind than Ed25519$"),
    (raw(KEY)[:31], "^this is not the PEM of one public key$"),
    (raw(KEY).hex().encode(), "^this is not the PEM of one public key$"),
    (b"", "^this is not the PEM of one public key$"),
    ("/nowhere/key", "^/nowhere/key: cannot be read: No such file or directory$"),
    (raw(KEY).hex(), ": cannot be read: No such file or directory$"),
    ("\0", "cannot be read: embedded null"),
]


@pytest.mark.parametrize(("key", "reason"), WRONG_KEYS)
def test_keys_that_cannot_be_trusted(key: bytes | str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        Trust([raw(OTHER), key])
    assert "BEGIN" not in str(caught.value)


def test_a_file_must_hold_pem(tmp_path: Path) -> None:
    path = tmp_path / "key"
    for content in (raw(KEY), b"", b"x" * (MOST_TEXT + 1)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{path}: this "):
            Trust([path])
    path.write_bytes(private_pem(KEY))
    with pytest.raises(ValueError, match=f"^{path}: this is a private key"):
        Trust([str(path)])


def test_arguments_that_are_no_list_of_keys() -> None:
    alone: Any
    for alone in (raw(KEY), "key.pem", Path("key.pem")):
        with pytest.raises(TypeError, match="keys must be a list of keys, also if it is only one"):
            Trust(alone)
    number: Any = 7
    with pytest.raises(TypeError, match="a key must be bytes, a text or a path, not int"):
        Trust([number])
    with pytest.raises(ValueError, match="there are no keys"):
        Trust([])


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (public_pem(KEY), "this is a public key, and signing needs the private one"),
        (private_pem(KEY, b"secret"), "this private key is encrypted: decrypt it with openssl pkey"),
        (private_pem(ec.generate_private_key(ec.SECP256R1())), "this private key is of another kind than Ed25519"),
        (private_pem(KEY).replace(b"MC4C", b"MC5C"), "the PEM of the private key is damaged"),
        (private_pem(KEY).replace(b"PRIVATE", b"OPENSSH PRIVATE"), "not the PEM of one private key but of OPENSSH PR"),
        (b"nothing", "this is not the PEM of one private key: make one with openssl genpkey -algorithm ed25519"),
    ],
)
def test_keys_that_cannot_sign(pem: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        sign(DOCUMENT, pem, 1)
    assert "BEGIN" not in str(caught.value)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    message = r"signing needs the package cryptography: pip install 'pyflagwasm\[signing\]'"
    with pytest.raises(ImportError, match=message):
        Trust([raw(KEY)])
    with pytest.raises(ImportError, match=message):
        sign(DOCUMENT, private_pem(KEY), 1)


def test_the_package_is_loaded_for_keys_only() -> None:
    program = (
        "import sys, pyflagwasm.signing as s\ns.parse(sys.argv[1])\ns.Rollback().check(1, b'')\n"
        "assert 'cryptography' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", program, TEXT], env=environment, timeout=60, check=True)


# ---------------------------------------------------------------- rollback


def test_older_versions_are_refused() -> None:
    rollback = Rollback()
    rollback.check(0, DOCUMENT)
    rollback.accept(42, DOCUMENT)
    rollback.check(42, DOCUMENT)
    rollback.check(43, b"newer")
    with pytest.raises(SignatureError) as caught:
        rollback.check(41, b"older")
    assert caught.value.path == "$"
    assert caught.value.detail == "version 41 is older than 42, which was accepted before: sign it again as a newer one"
    with pytest.raises(SignatureError, match="version 42 was accepted before with other bytes"):
        rollback.check(42, b"other")


def test_a_check_alone_remembers_nothing_and_accepting_never_goes_back() -> None:
    rollback = Rollback()
    rollback.check(7, DOCUMENT)
    rollback.check(6, DOCUMENT)
    rollback.accept(7, DOCUMENT)
    rollback.accept(6, b"older")
    rollback.accept(7, b"other")
    rollback.check(7, DOCUMENT)
    with pytest.raises(SignatureError, match="version 6 is older than 7"):
        rollback.check(6, b"older")


def test_two_threads_that_accept_at_once() -> None:
    """The one of version 9 comes while that of 5 has compared and not yet remembered."""
    rollback = Rollback()
    other = threading.Thread(target=rollback.accept, args=(9, b"9"))

    class Interrupted(int):
        def __gt__(self, version: int) -> bool:
            if other.ident is None:
                other.start()
                other.join(0.2)  # it must not get in here, so this ends by the time
            return int(self) > version

    rollback.accept(Interrupted(5), b"5")
    other.join()
    with pytest.raises(SignatureError, match="version 6 is older than 9"):
        rollback.check(6, b"6")


def test_the_newest_of_many_threads_is_remembered() -> None:
    rollback = Rollback()
    start = threading.Barrier(8)

    def accept(first: int) -> None:
        start.wait()
        for version in range(first, 8_000, 8):
            rollback.accept(version, b"%d" % version)

    threads = [threading.Thread(target=accept, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rollback.check(7_999, b"7999")
    with pytest.raises(SignatureError, match="version 7998 is older than 7999"):
        rollback.check(7_998, b"7998")
