"""Signatures of configurations: what is accepted, and above all what is not.

Keys, what they may be, and rollback are in test_signing_keys.py, the commands in test_cli_signing.py.
"""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signatures import DOCUMENT, KEY, OTHER, private_pem, public_pem, raw

from pyflagwasm.errors import ConfigError, SignatureError
from pyflagwasm.signing import LATEST, MOST_SIGNATURES, MOST_TEXT, Signature, Trust, parse, sign

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493

TRUST = Trust([raw(KEY)])
TEXT = sign(DOCUMENT, KEY, 42)


def refusal(document: bytes, text: str | None, trust: Trust = TRUST) -> str:
    with pytest.raises(SignatureError) as caught:
        trust.verify(document, text)
    assert isinstance(caught.value, ConfigError)
    assert caught.value.path == "$"
    return caught.value.detail


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def with_value(value: bytes, text: str = TEXT) -> str:
    return f"{text.partition('sig=')[0]}sig={base64.b64encode(value).decode()}"


# ---------------------------------------------------------------- what is accepted


def test_the_text_and_the_message_are_those_of_the_contract() -> None:
    value = KEY.sign(b"pyflagwasm signature 1\n42\n" + DOCUMENT)
    assert TEXT == f"v=1; key=56475aa75463474c; version=42; sig={base64.b64encode(value).decode()}"
    assert parse(TEXT) == (Signature("56475aa75463474c", 42, value),)
    assert TRUST.verify(DOCUMENT, TEXT) == 42
    assert sign(DOCUMENT, private_pem(KEY), 42) == TEXT


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=3_000), st.integers(0, LATEST))
def test_what_is_signed_is_accepted(document: bytes, version: int) -> None:
    assert TRUST.verify(document, sign(document, KEY, version)) == version


@pytest.mark.parametrize("around", ["{}", "{}\n", "\r\n{}\r\n", " {} ", ",{},", "\t{} ,"])
def test_space_and_commas_around_a_signature(around: str) -> None:
    assert TRUST.verify(DOCUMENT, around.format(TEXT)) == 42


@pytest.mark.parametrize("between", ["\n", "\r\n", ", ", ",", "\n\n"])
def test_rotation(between: str) -> None:
    both = between.join([sign(DOCUMENT, OTHER, 42), TEXT])
    for trusted in ([raw(KEY)], [raw(OTHER)], [raw(OTHER), raw(KEY)]):
        assert Trust(trusted).verify(DOCUMENT, both) == 42


def test_one_good_signature_is_enough_and_the_highest_version_counts() -> None:
    trust = Trust([raw(KEY), raw(OTHER)])
    spoilt = with_value(bytes(64), sign(DOCUMENT, OTHER, 99))
    assert trust.verify(DOCUMENT, f"{spoilt}\n{TEXT}") == 42
    for texts in ((TEXT, sign(DOCUMENT, OTHER, 43)), (sign(DOCUMENT, KEY, 43), TEXT)):
        assert trust.verify(DOCUMENT, "\n".join(texts)) == 43
    assert TRUST.verified(DOCUMENT, f"{sign(DOCUMENT, OTHER, 43)}\n{TEXT}") == parse(TEXT)[0]


def test_keys_in_every_shape(tmp_path: Path) -> None:
    path = tmp_path / "key.pub.pem"
    path.write_bytes(public_pem(KEY))
    for key in (public_pem(KEY), public_pem(KEY).decode(), raw(KEY), path, str(path)):
        assert Trust([key]).verify(DOCUMENT, TEXT) == 42
    assert Trust(each for each in [raw(KEY)]).verify(DOCUMENT, TEXT) == 42


def test_trust_is_immutable() -> None:
    keys = [raw(KEY)]
    trust = Trust(keys)
    keys.append(raw(OTHER))
    for change in (
        lambda: setattr(trust, "_keys", {}),
        lambda: setattr(trust, "more", {}),
        lambda: trust._keys.update({}),  # type: ignore[attr-defined]
    ):
        with pytest.raises((AttributeError, TypeError)):
            change()
    assert "no signature is by a trusted key" in refusal(DOCUMENT, sign(DOCUMENT, OTHER, 1), trust)
    assert repr(trust) == "Trust(56475aa75463474c)"


def test_many_threads_verify() -> None:
    versions: list[int] = []
    threads = [threading.Thread(target=lambda: versions.append(TRUST.verify(DOCUMENT, TEXT))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert versions == [42] * 16


# ---------------------------------------------------------------- what is not


def test_every_bit_of_the_document() -> None:
    document = (DOCUMENT * 13)[:1024]
    text = sign(document, KEY, 42)
    assert TRUST.verify(document, text) == 42
    for bit in range(len(document) * 8):
        assert "does not fit the document" in refusal(flipped(document, bit), text)


def test_every_bit_of_the_signature() -> None:
    value = parse(TEXT)[0].value
    assert with_value(value) == TEXT
    for bit in range(512):
        assert "does not fit the document" in refusal(DOCUMENT, with_value(flipped(value, bit)))


def test_every_character_of_the_text_changed() -> None:
    for i, present in enumerate(TEXT):
        for other in {*map(chr, range(128)), "\x85", "\xa0", "\u2028", "\uff11", "\u0661", "\ud800"} - {present}:
            refusal(DOCUMENT, TEXT[:i] + other + TEXT[i + 1 :])


def test_every_character_removed_or_doubled_and_every_truncation() -> None:
    for i in range(len(TEXT)):
        refusal(DOCUMENT, TEXT[:i] + TEXT[i + 1 :])
        refusal(DOCUMENT, TEXT[:i] + TEXT[i] + TEXT[i:])
        refusal(DOCUMENT, TEXT[:i])


def test_values_that_are_no_signature() -> None:
    assert "does not fit" in refusal(DOCUMENT, with_value(bytes(64)))
    for size in (0, 63, 65, 128):
        assert "sig must be 64 bytes in base64, not" in refusal(DOCUMENT, with_value(bytes(size)))


def test_a_signature_has_one_form_only() -> None:
    value = parse(TEXT)[0].value
    again = value[:32] + (int.from_bytes(value[32:], "little") + GROUP_ORDER).to_bytes(32, "little")
    assert "does not fit" in refusal(DOCUMENT, with_value(again))
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = digits.index(TEXT[-3])
    assert last % 16 == 0
    for bits in range(1, 16):
        assert "a last digit that no encoder writes" in refusal(DOCUMENT, f"{TEXT[:-3]}{digits[last + bits]}==")


def test_signatures_of_something_else() -> None:
    assert "no signature is by a trusted key" in refusal(DOCUMENT, sign(DOCUMENT, OTHER, 42))
    assert "does not fit" in refusal(DOCUMENT, sign(b"another", KEY, 42))
    assert "does not fit" in refusal(DOCUMENT, TEXT.replace("version=42", "version=43"))
    ids = [parse(sign(DOCUMENT, key, 42))[0].key for key in (KEY, OTHER)]
    assert "does not fit" in refusal(DOCUMENT, sign(DOCUMENT, OTHER, 42).replace(ids[1], ids[0]))
    bare = with_value(KEY.sign(DOCUMENT))  # as another use of the key may sign it
    assert "does not fit" in refusal(DOCUMENT, bare)


def test_a_document_cannot_pretend_to_be_a_version() -> None:
    """The version ends at a newline, so no part of it can move into the document."""
    text = sign(b"3\nflags", KEY, 4)
    assert "does not fit" in refusal(b"flags", text.replace("version=4;", "version=43;"))
    assert "does not fit" in refusal(b"\n3\nflags", text)


MALFORMED = {
    "": "the text of the signatures is empty: deliver what `pyflagwasm sign` writes",
    " \r\n,, ": "the text of the signatures is empty: deliver what `pyflagwasm sign` writes",
    "<html>": "signature 1 is malformed: its part 1 must be `v=` and 1",
    f"{TEXT}\nv=2; x": "signature 2 is malformed: v must be 1, not '2'",
    "v=1": "signature 1 is malformed: its part 2 must be `key=` and 16 hexadecimal digits in lower case",
    TEXT.upper(): "signature 1 is malformed: its part 1 must be `v=` and 1",
    TEXT.replace("5647", "5G47"): "signature 1 is malformed: key must be 16 hexadecimal digits in lower case, not "
    "'5G475aa75463474c'",
    TEXT.replace("42", "042"): "signature 1 is malformed: version must be a decimal number below 2^63, not '042'",
    TEXT.replace("42", "-1"): "signature 1 is malformed: version must be a decimal number below 2^63, not '-1'",
    TEXT.replace("42", str(2**63)): "signature 1 is malformed: version must be a decimal number below 2^63, not "
    "9223372036854775808",
    TEXT.replace("42", "9" * 5_000): "signature 1 is malformed: version must be a decimal number below 2^63, not "
    f"'{'9' * 40}...'",
    f"\x0b{TEXT}": "signature 1 is malformed: its part 1 must be `v=` and 1",
    f"{TEXT}; x=1": "signature 1 is malformed: there is something behind its end",
    f"{TEXT} {TEXT}": f"signature 1 is malformed: sig must be 64 bytes in base64, not '{TEXT[-88:-48]}...'",
    "x" * (MOST_TEXT + 1): "the signatures are longer than 64 KiB",
    "x\n" * 17: "there are 17 signatures, and at most 16 are read",
}


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:30]))
def test_malformed_texts(text: str) -> None:
    assert refusal(DOCUMENT, text) == MALFORMED[text]


def test_the_bounds_are_where_they_are_said_to_be() -> None:
    assert TRUST.verify(DOCUMENT, "\n".join([TEXT] * MOST_SIGNATURES)) == 42
    assert TRUST.verify(DOCUMENT, TEXT.ljust(MOST_TEXT)) == 42
    assert TRUST.verify(DOCUMENT, sign(DOCUMENT, KEY, LATEST)) == LATEST
    assert TRUST.verify(b"", sign(b"", KEY, 0)) == 0
    for version in (-1, LATEST + 1):
        with pytest.raises(ValueError, match=f"the version must be from 0 to {LATEST}, not {version}"):
            sign(DOCUMENT, KEY, version)


@settings(max_examples=300, deadline=None)
@given(st.text() | st.lists(st.sampled_from([*TEXT.split("; "), "; ", ",", "\n", "=", "key", "1"])).map("".join))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        signatures = parse(text)
    except SignatureError:
        return
    assert all(len(each.value) == 64 and 0 <= each.version <= LATEST for each in signatures)


def test_refusals_say_what_to_do() -> None:
    assert refusal(DOCUMENT, None) == (
        "the document is not signed: sign it with `pyflagwasm sign` and deliver the signature with it"
    )
    other = parse(sign(DOCUMENT, OTHER, 1))[0].key
    assert refusal(DOCUMENT, sign(DOCUMENT, OTHER, 1)) == (
        f"no signature is by a trusted key (signed by {other}, trusted: 56475aa75463474c)"
    )
    assert refusal(b"changed", TEXT) == (
        "the signature by 56475aa75463474c does not fit the document: it was changed after signing, or the signature "
        "is another document's or another version's; sign the exact bytes that are delivered"
    )
