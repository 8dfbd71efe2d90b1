"""The last-known-good file: its layout; damage is found, strangers are refused. Writers: test_last_good_writing.py."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyflagwasm import last_good
from pyflagwasm.errors import ConfigError
from pyflagwasm.last_good import LastGood, Record, replace_file

RECORD = Record(b'{"flags":{}}\n\xff\0', "https://flags.example/é", "auto", "v=1; ...", 42, 1_700_000_000.25)
STRANGER = 4711

posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="files have owners and modes on POSIX")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flags.good"


def version(number: int | None, data: bytes = b"d") -> Record:
    return Record(data, "o", "flagd", None, number, 1.0)


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        LastGood(path).load()
    assert (caught.value.path, caught.value.source) == ("$", str(path))
    assert caught.value.detail.startswith("the last-known-good file ")
    return caught.value.detail.removeprefix("the last-known-good file ")


# ---------------------------------------------------------------- what is saved is loaded


def test_the_layout_is_that_of_the_contract(path: Path) -> None:
    assert LastGood(path).load() is None
    assert LastGood(path).save(RECORD)
    head, metadata, data = path.read_bytes().split(b"\n", 2)
    assert head == b"pyflagwasm-last-known-good 1 " + hashlib.sha256(metadata + b"\n" + data).hexdigest().encode()
    assert json.loads(metadata) == {
        "origin": RECORD.origin,
        "format": "auto",
        "signature": "v=1; ...",
        "version": 42,
        "saved_at": 1_700_000_000.25,
        "length": 15,
    }
    assert data == RECORD.data
    assert LastGood(path).load() == RECORD
    assert os.listdir(path.parent) == [path.name]


@settings(max_examples=50, deadline=None)
@given(
    data=st.binary(max_size=2_000),
    origin=st.text(st.characters()),
    signature=st.none() | st.text(),
    number=st.none() | st.integers(0, 2**63 - 1),
    saved_at=st.floats(allow_nan=False, allow_infinity=False),
)
def test_any_record(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    origin: str,
    signature: str | None,
    number: int | None,
    saved_at: float,
) -> None:
    file = LastGood(tmp_path_factory.mktemp("any") / "f")
    record = Record(data, origin, "flagd", signature, number, saved_at)
    assert file.save(record)
    assert file.load() == record


def test_a_path_means_the_same_wherever_the_process_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = LastGood("f")
    monkeypatch.chdir("/")
    file.save(RECORD)
    assert (tmp_path / "f").exists()
    with pytest.raises(ValueError, match="null character"):
        LastGood("a\0b")


def test_discard(path: Path) -> None:
    file = LastGood(path)
    file.discard()
    file.save(RECORD)
    file.discard()
    assert file.load() is None


# ---------------------------------------------------------------- damage


def test_every_bit(path: Path) -> None:
    LastGood(path).save(RECORD)
    whole = path.read_bytes()
    for bit in range(len(whole) * 8):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        refusal(path)
    path.write_bytes(whole)
    assert LastGood(path).load() == RECORD


def test_every_truncation_and_extension(path: Path) -> None:
    LastGood(path).save(RECORD)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refusal(path)
        path.write_bytes(whole[length + 1 :])
        refusal(path)
    for more in (b"\0", b"\n", b" ", whole):
        path.write_bytes(whole + more)
        refusal(path)
        path.write_bytes(more + whole)
        refusal(path)


def test_a_hash_in_capitals_is_another(path: Path) -> None:
    LastGood(path).save(RECORD)
    head, _, rest = path.read_bytes().partition(b"\n")
    magic, _, digest = head.rpartition(b" ")
    path.write_bytes(magic + b" " + digest.upper() + b"\n" + rest)
    assert refusal(path) == "is damaged: its hash does not fit"
    path.write_bytes(b"pyflagwasm-last-known-good 2 " + digest + b"\n" + rest)
    assert refusal(path) == "does not begin like one of this version"


GOOD = {"origin": "o", "format": "auto", "signature": None, "version": None, "saved_at": 1.0, "length": 1}
NOT_RIGHT = "has metadata that cannot be right"
NO_JSON = "has metadata that is no JSON"
METADATA: list[tuple[Any, str]] = [
    ({**GOOD, "length": 2}, NOT_RIGHT),
    ({**GOOD, "length": True}, NOT_RIGHT),
    ({**GOOD, "length": 1.0}, NOT_RIGHT),
    ({**GOOD, "origin": None}, NOT_RIGHT),
    ({**GOOD, "format": 5}, NOT_RIGHT),
    ({**GOOD, "signature": []}, NOT_RIGHT),
    ({**GOOD, "version": -1}, NOT_RIGHT),
    ({**GOOD, "version": 2**63}, NOT_RIGHT),
    ({**GOOD, "version": True}, NOT_RIGHT),
    ({**GOOD, "version": 1.0}, NOT_RIGHT),
    ({**GOOD, "saved_at": float("nan")}, NOT_RIGHT),
    ({**GOOD, "saved_at": float("inf")}, NOT_RIGHT),
    ({**GOOD, "saved_at": 10**400}, NOT_RIGHT),
    ({**GOOD, "more": 1}, NOT_RIGHT),
    ({"length": 1}, NOT_RIGHT),
    ([], NOT_RIGHT),
    (b"", NO_JSON),
    (b"\xff", NO_JSON),
    (b"[" * 100_000, NO_JSON),
    (b"9" * 5_000, NO_JSON),
]


@pytest.mark.parametrize(("metadata", "reason"), METADATA, ids=lambda each: str(each)[:40])
def test_metadata_of_another_writer(path: Path, metadata: Any, reason: str) -> None:
    text = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    body = text + b"\nd"
    digest = hashlib.sha256(body).hexdigest().encode()
    replace_file(str(path), b"pyflagwasm-last-known-good 1 " + digest + b"\n" + body)
    assert refusal(path) == reason


# ---------------------------------------------------------------- strangers


@posix
def test_what_is_no_file_of_ours(path: Path, tmp_path: Path) -> None:
    LastGood(path).save(RECORD)
    link, pipe, folder = tmp_path / "link", tmp_path / "pipe", tmp_path / "folder"
    link.symlink_to(path)
    assert refusal(link) == "is a symbolic link"
    os.mkfifo(pipe)
    assert refusal(pipe) == "is no regular file"
    folder.mkdir()
    assert refusal(folder) == "is no regular file"
    assert refusal(Path("/dev/null")) == "is no regular file"
    assert refusal(path / "below") == "cannot be read: Not a directory"


@posix
@pytest.mark.parametrize(("mode", "refused"), [(0o600, False), (0o644, False), (0o620, True), (0o602, True)])
def test_modes(path: Path, mode: int, refused: bool) -> None:
    LastGood(path).save(RECORD)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(mode)
    if refused:
        assert refusal(path) == "can be written by its group or by others: chmod go-w"
    else:
        assert LastGood(path).load() == RECORD


@posix
@pytest.mark.parametrize(
    ("owner", "user", "refused"), [(7, 7, False), (0, 7, False), (STRANGER, 7, True), (7, 0, True)]
)
def test_owners(path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, user: int, refused: bool) -> None:
    LastGood(path).save(RECORD)
    status = os.stat(path)

    def fstat(descriptor: int) -> os.stat_result:
        return os.stat_result([owner if i == 4 else each for i, each in enumerate(status[:10])])

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", fstat)
        patched.setattr(os, "geteuid", lambda: user)
        if refused:
            assert refusal(path) == f"belongs to the user {owner}, neither to this one nor to root"
        else:
            assert LastGood(path).load() == RECORD


def test_the_size_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LastGood(path)
    file.save(RECORD)
    with path.open("r+b") as opened:
        opened.truncate(last_good._MOST + 1)  # a sparse file: it costs no disk
    assert refusal(path) == "is larger than 65 MiB"
    monkeypatch.setattr(last_good, "_MOST", 1_000)
    with pytest.raises(OSError, match="too large for a last-known-good file"):
        file.save(version(1, bytes(1_000)))
    assert path.stat().st_size > 1_000


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_refusals_leave_nothing_open(path: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    LastGood(path).save(RECORD)
    LastGood(path).load()
    path.write_bytes(b"x")
    refusal(path)
    refusal(tmp_path)
    with pytest.raises(OSError, match="directory"):
        LastGood(tmp_path).save(version(None))
    assert len(os.listdir("/proc/self/fd")) == before
