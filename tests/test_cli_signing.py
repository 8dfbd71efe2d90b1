"""The commands `sign` and `verify`: files, streams and exit codes. Signatures themselves are in test_signing.py."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from evaluators import ON_OFF, Capture, document, flag, run, written
from signatures import KEY, OTHER, private_pem, public_pem

from pyflagwasm.signing import LATEST, Trust, parse

DATA = document(f=flag(ON_OFF, "on"))
KEYS = {"key": KEY, "other": OTHER}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with f.json and two pairs of keys, key.pem, key.pub.pem, other.pem and other.pub.pem; we are in it."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "f.json", DATA)
    for name, key in KEYS.items():
        written(tmp_path, f"{name}.pem", private_pem(key))
        written(tmp_path, f"{name}.pub.pem", public_pem(key))
    return tmp_path


def key_id(shop: Path, name: str) -> str:
    return repr(Trust([shop / f"{name}.pub.pem"]))[len("Trust(") : -1]


def signed(capsys: Capture, *arguments: str) -> int:
    """Signs f.json with key.pem; the version."""
    code, out, err = run(capsys, "sign", "f.json", "--key", "key.pem", *arguments)
    assert (code, err) == (0, "")
    return int(json.loads(out)["version"])


def refused(capsys: Capture, *arguments: str) -> str:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("pyflagwasm: ")
    assert err.count("\n") == 1
    return err.removeprefix("pyflagwasm: ").removesuffix("\n")


# ---------------------------------------------------------------- sign, verify


def test_sign_and_verify(capsys: Capture, shop: Path) -> None:
    before = time.time_ns() // 1_000_000
    code, out, err = run(capsys, "sign", "f.json", "--key", "key.pem")
    after = time.time_ns() // 1_000_000
    (signature,) = parse((shop / "f.json.sig").read_text())
    assert (code, err) == (0, "")
    assert before <= signature.version <= after
    assert out == (
        f'{{"config":"f.json","signature":"f.json.sig","keys":["{signature.key}"],"version":{signature.version}}}\n'
    )
    assert (shop / "f.json").read_bytes() == DATA
    expected = f'{{"config":"f.json","key":"{signature.key}","version":{signature.version}}}\n'
    assert run(capsys, "verify", "f.json", "--key", "key.pub.pem") == (0, expected, "")
    assert run(capsys, "verify", "f.json", "--key", "other.pub.pem", "--key", "key.pub.pem") == (0, expected, "")


def test_signature_to_stdout(capsys: Capture, shop: Path) -> None:
    code, out, err = run(capsys, "sign", "f.json", "--key", "key.pem", "--version", "7", "--output", "-")
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert Trust([shop / "key.pub.pem"]).verify(DATA, out) == 7
    assert not (shop / "f.json.sig").exists()


def test_files_of_other_names(capsys: Capture, shop: Path) -> None:
    signed(capsys, "--version", "7", "--output", "s")
    assert sorted(each.name for each in shop.iterdir() if "sig" in each.name or each.name == "s") == ["s"]
    code, out, _ = run(capsys, "verify", "f.json", "--key", "key.pub.pem", "--signature", "s")
    assert (code, json.loads(out)["version"]) == (0, 7)


def test_two_keys_for_a_rotation(capsys: Capture, shop: Path) -> None:
    code, out, _ = run(capsys, "sign", "f.json", "--key", "key.pem", "--key", "other.pem", "--version", "7")
    ids = [key_id(shop, name) for name in KEYS]
    assert (code, json.loads(out)["keys"]) == (0, ids)
    for name, found in zip(KEYS, ids, strict=True):
        code, out, _ = run(capsys, "verify", "f.json", "--key", f"{name}.pub.pem")
        assert (code, json.loads(out)) == (0, {"config": "f.json", "key": found, "version": 7})
    many = [each for _ in range(17) for each in ("--key", "key.pem")]
    before = (shop / "f.json.sig").read_bytes()
    assert "there are 17 signatures" in refused(capsys, "sign", "f.json", *many)
    assert (shop / "f.json.sig").read_bytes() == before


def test_versions_grow_by_themselves_and_a_given_one_is_taken_as_it_is(
    capsys: Capture, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_999_999)
    assert signed(capsys) == 5_000
    assert signed(capsys) == 5_001
    assert signed(capsys, "--version", "9000") == 9_000
    assert signed(capsys) == 9_001
    assert signed(capsys, "--version", "1") == 1
    assert signed(capsys, "--version", str(LATEST)) == LATEST
    expected = f"--version: must be from 0 to {LATEST}, not {LATEST + 1}"
    assert refused(capsys, "sign", "f.json", "--key", "key.pem") == expected


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_who_may_read_the_configuration_may_read_its_signature(capsys: Capture, shop: Path) -> None:
    for mode in (0o600, 0o644, 0o755):
        (shop / "f.json").chmod(mode)
        signed(capsys)
        assert (shop / "f.json.sig").stat().st_mode & 0o777 == mode & 0o666


def test_sign_takes_the_importers_options(capsys: Capture, shop: Path) -> None:
    written(shop, "f.json", document(f=flag({}, None)))
    assert "f.json: flags.f.variants" in refused(capsys, "sign", "f.json", "--key", "key.pem")
    lenient = ("--format", "flagd", "--options", '{"validation": "lenient"}')
    assert signed(capsys, "--version", "1", *lenient) == 1


# ---------------------------------------------------------------- refusals


def test_what_does_not_verify(capsys: Capture, shop: Path) -> None:
    verify = ("verify", "f.json", "--key", "key.pub.pem")
    assert refused(capsys, *verify) == "f.json.sig: cannot be read: No such file or directory"
    signed(capsys)
    ours, other = (key_id(shop, name) for name in KEYS)
    assert refused(capsys, "verify", "f.json", "--key", "other.pub.pem") == (
        f"f.json: $: no signature is by a trusted key (signed by {ours}, trusted: {other})"
    )
    written(shop, "f.json", DATA + b"\n")
    assert f"f.json: $: the signature by {ours} does not fit the document" in refused(capsys, *verify)
    for content, reason in (
        (b"", "the text of the signatures is empty"),
        (b"\xff\n", "signature 1 is malformed"),
        (bytes(65 << 10), "f.json.sig: has more than 64 KiB"),
    ):
        written(shop, "f.json.sig", content)
        assert reason in refused(capsys, *verify)
    assert refused(capsys, "verify", "none", *verify[2:]) == "none: cannot be read: No such file or directory"


def test_keys_that_are_mixed_up(capsys: Capture, shop: Path) -> None:
    signed(capsys)
    before = (shop / "f.json.sig").read_bytes()
    assert refused(capsys, "sign", "f.json", "--key", "key.pub.pem") == (
        "key.pub.pem: this is a public key, and signing needs the private one"
    )
    assert (shop / "f.json.sig").read_bytes() == before
    assert refused(capsys, "verify", "f.json", "--key", "key.pem") == (
        "key.pem: this is a private key, and a public one is needed: openssl pkey -in PRIVATE.pem -pubout"
    )
    assert refused(capsys, "sign", "f.json", "--key", "none") == "none: cannot be read: No such file or directory"
    assert refused(capsys, "verify", "f.json", "--key", "none") == "none: cannot be read: No such file or directory"


def test_what_cannot_be_signed(capsys: Capture, shop: Path) -> None:
    key = ("--key", "key.pem")
    written(shop, "bad.json", b"{}")
    assert refused(capsys, "sign", "bad.json", *key).startswith("bad.json: $: ")
    assert not (shop / "bad.json.sig").exists()
    assert refused(capsys, "sign", "example:flagd", *key) == "example:flagd: cannot be read: No such file or directory"
    assert refused(capsys, "sign", "f.json", *key, "--version", "-1") == (
        f"--version: must be from 0 to {LATEST}, not -1"
    )
    assert "invalid int value: 'x'" in refused(capsys, "sign", "f.json", *key, "--version", "x")
    assert "required: --key" in refused(capsys, "sign", "f.json")
    assert refused(capsys, "sign", "f.json", *key, "--options", "[]") == "--options: must be an object, not an array"


def test_what_is_no_file_of_signatures_is_not_written_over(capsys: Capture, shop: Path) -> None:
    for output in ("f.json", "key.pem"):
        before = (shop / output).read_bytes()
        assert refused(capsys, "sign", "f.json", "--key", "key.pem", "--output", output) == (
            f"{output}: is there already and holds no signatures: not written over"
        )
        assert (shop / output).read_bytes() == before
    for output in (str(shop), os.devnull):
        reason = refused(capsys, "sign", "f.json", "--key", "key.pem", "--output", output)
        assert reason == f"{output}: is no regular file"
    assert refused(capsys, "sign", "f.json", "--key", "key.pem", "--output", "no/where") == (
        "no/where: cannot be written: No such file or directory"
    )
    written(shop, "empty", b"\n")
    assert signed(capsys, "--output", "empty", "--version", "3") == 3


def test_without_the_package(capsys: Capture, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    message = "signing needs the package cryptography: pip install 'pyflagwasm[signing]'"
    assert refused(capsys, "sign", "f.json", "--key", "key.pem") == message
    assert refused(capsys, "verify", "f.json", "--key", "key.pub.pem") == message


# ---------------------------------------------------------------- help, processes


@pytest.mark.parametrize("command", ["sign", "verify"])
def test_help(capsys: Capture, command: str) -> None:
    code, out, err = run(capsys, command, "--help")
    assert (code, err) == (0, "")
    assert f"usage: pyflagwasm {command} CONFIG --key P" in out
    assert "exit codes: 0; 1 if there are errors in the answers; 2 if the input cannot be used" in out


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
def test_the_commands_in_the_help_make_keys_that_work(capsys: Capture, tmp_path: Path) -> None:
    help_text = run(capsys, "sign", "--help")[1]
    commands = [line.split() for line in help_text.splitlines() if line.startswith("  openssl ")]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=True)
    config = written(tmp_path, "f.json", DATA)
    assert run(capsys, "sign", config, "--key", str(tmp_path / "key.pem"), "--version", "5")[0] == 0
    code, out, _ = run(capsys, "verify", config, "--key", str(tmp_path / "key.pub.pem"))
    assert (code, json.loads(out)["version"]) == (0, 5)


def test_as_a_process(shop: Path) -> None:
    for arguments, code in (
        (("sign", "f.json", "--key", "key.pem"), 0),
        (("verify", "f.json", "--key", "key.pub.pem"), 0),
        (("verify", "f.json", "--key", "other.pub.pem"), 2),
    ):
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        done = subprocess.run(
            [sys.executable, "-m", "pyflagwasm", *arguments],
            env=environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout == b"", done.stderr == b"") == (code, code == 2, code == 0)
        assert b"Traceback" not in done.stderr
