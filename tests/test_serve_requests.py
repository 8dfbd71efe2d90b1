"""Requests that are not well: each has a clear answer in the protocol's words, no 500 and no traceback."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Iterator

import pytest
from evaluators import FLAGD
from hypothesis import given, settings
from hypothesis import strategies as st
from served import FLAGS, JSON, Answer, Served, serving

PLAN = f"{FLAGS}/plan"
MOST = 1 << 20


@pytest.fixture(scope="module")
def shop() -> Iterator[Served]:
    with serving(FLAGD) as served:
        yield served


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def both(shop: Served, body: bytes | None, headers: dict[str, str] = JSON) -> list[Answer]:
    return [shop.ask("POST", path, body, headers) for path in (PLAN, FLAGS)]


BODIES: dict[str, tuple[bytes, str, str]] = {
    "none": (b"", "PARSE_ERROR", "there is no body"),
    "blank": (b" \r\n", "PARSE_ERROR", "there is no body"),
    "cut": (b'{"context": {', "PARSE_ERROR", "not valid JSON: Expecting property name"),
    "two documents": (b"{}{}", "PARSE_ERROR", "not valid JSON: Extra data at line 1, column 3"),
    "BOM": (b"\xef\xbb\xbf{}", "PARSE_ERROR", "not valid JSON"),
    "not UTF-8": (b'{"context": {"plan": "\xff"}}', "PARSE_ERROR", "not UTF-8: byte 23"),
    "UTF-16": ('{"context": {}}'.encode("utf-16"), "PARSE_ERROR", "not UTF-8"),
    "NaN": (b'{"context": {"plan": NaN}}', "PARSE_ERROR", "NaN is not a number of JSON"),
    "Infinity": (b'{"context": {"plan": -Infinity}}', "PARSE_ERROR", "Infinity is not a number of JSON"),
    "many digits": (b'{"context": {"plan": ' + b"9" * 5_000 + b"}}", "PARSE_ERROR", "an integer of 5000 digits"),
    "deep lists": (b'{"context": {"plan": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}", "PARSE_ERROR", "too deep"),
    "deep objects": (b'{"a":' * 150_000 + b"1" + b"}" * 150_000, "PARSE_ERROR", "too deep"),
    "a list": (b"[]", "PARSE_ERROR", "must be an object, not an array"),
    "a text": (b'"context"', "PARSE_ERROR", "must be an object, not a text"),
    "null": (b"null", "PARSE_ERROR", "must be an object, not null"),
    "a context that is a list": (b'{"context": []}', "INVALID_CONTEXT", "must be an object, not an array"),
    "a context that is a text": (b'{"context": "u-1"}', "INVALID_CONTEXT", "must be an object, not a text"),
    "a context that is a number": (b'{"context": 1}', "INVALID_CONTEXT", "must be an object, not an integer"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies(shop: Served, name: str) -> None:
    body, code, words = BODIES[name]
    one, every = both(shop, body)
    for answer in (one, every):
        assert (answer.status, answer.json["errorCode"]) == (400, code)
        assert words in answer.json["errorDetails"]
    assert (one.json["key"], "key" in every.json) == ("plan", False)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"{}", False),
        (b'{"context": null}', False),
        (b'{"other": 1, "context": {}}', False),
        (b'{"context": {"plan": "free", "plan": "pro"}}', True),
        (b'{"context": {"plan": "pro"}, "context": {"plan": "free"}}', False),
        (b'{"context": {"plan": "pro", "targetingKey": 5}}', True),
        (b'{"context": {"plan": "pro", "targetingKey": null, "unread": "\\ud800"}}', True),
        (b' {"context": {"pl\\u0061n": "pro", "": {"": [[], {}]}}}\n', True),
    ],
)
def test_bodies_that_are_taken(shop: Served, body: bytes, value: bool) -> None:
    for answer in both(shop, body):
        assert answer.status == 200
    assert shop.ask("POST", PLAN, body).json["value"] is value


def test_lone_surrogates(shop: Served) -> None:
    one, every = both(shop, b'{"context": {"plan": "\\ud800", "targetingKey": "\\udfff"}}')
    assert (one.status, one.json["errorCode"]) == (400, "INVALID_CONTEXT")
    failed = {each["key"]: each.get("errorCode") for each in every.json["flags"]}
    assert (every.status, failed["plan"], failed["bool"]) == (200, "INVALID_CONTEXT", None)


@pytest.mark.parametrize(
    "media",
    ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json", "", "application/xml+jsonp"],
)
def test_other_media_types(shop: Served, media: str) -> None:
    for answer in both(shop, b"{}", {"Content-Type": media}):
        assert (answer.status, answer.json["errorCode"]) == (415, "PARSE_ERROR")
        assert "send Content-Type: application/json" in answer.json["errorDetails"]


def test_no_media_type(shop: Served) -> None:
    assert [each.status for each in both(shop, b"{}", {})] == [415, 415]


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"])
def test_media_types_of_json(shop: Served, media: str) -> None:
    assert [each.status for each in both(shop, b"{}", {"Content-Type": media})] == [200, 200]


def test_a_compressed_body(shop: Served) -> None:
    for answer in both(shop, gzip.compress(b"{}"), {**JSON, "Content-Encoding": "gzip"}):
        assert (answer.status, answer.json["errorDetails"]) == (415, "the body must not be compressed")
    assert [each.status for each in both(shop, b"{}", {**JSON, "Content-Encoding": "identity"})] == [200, 200]


def padded(size: int) -> bytes:
    return b'{"context": {"plan": "pro"}' + b" " * (size - 28) + b"}"


def test_the_largest_body(shop: Served) -> None:
    assert [each.status for each in both(shop, padded(MOST))] == [200, 200]
    for size in (MOST + 1, 10 * MOST):
        for answer in both(shop, padded(size)):
            assert (answer.status, answer.json["errorCode"]) == (413, "PARSE_ERROR")
            assert answer.json["errorDetails"] == "the body has more than 1024 KiB"


def test_a_body_without_end(shop: Served) -> None:
    head = f"POST {FLAGS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunks = b"%x\r\n%b\r\n" % (MOST, b" " * MOST) * 20
    for body in (b"Transfer-Encoding: chunked\r\n\r\n" + chunks, b"Content-Length: 99999999999999\r\n\r\n"):
        try:
            received = shop.raw(head.encode() + body)
        except ConnectionError:  # it is not read to its end
            received = b"HTTP/1.1 413"
        assert received.startswith(b"HTTP/1.1 413")
    assert shop.flag("plan").status == 200


def test_a_client_that_goes_away(shop: Served) -> None:
    import socket

    head = f"POST {FLAGS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", shop.port)) as connection:
            connection.sendall(head.encode() + b"{")
    assert shop.flag("plan").status == 200


def test_long_keys(shop: Served) -> None:
    answer = shop.flag("k" * 8_192)
    assert (answer.status, answer.json["key"]) == (404, "k" * 8_192)
    answer = shop.flag("k" * 8_193)
    assert (answer.status, answer.json["errorCode"], answer.json["key"]) == (414, "PARSE_ERROR", "k" * 80 + "...")
    try:  # so much is not even read
        assert b" 200 " not in shop.raw(b"POST %b/%b HTTP/1.1\r\n\r\n" % (FLAGS.encode(), b"k" * 10_000_000))
    except ConnectionError:
        pass
    assert shop.flag("plan").status == 200


@pytest.mark.parametrize("written", ["%FF", "%", "%zz", "%ED%A0%80", "%C0%AF"])
def test_keys_that_are_no_text(shop: Served, written: str) -> None:
    answer = shop.flag(written)
    assert (answer.status, answer.json["errorCode"]) == (404, "FLAG_NOT_FOUND")


def test_keys_of_megabytes_in_the_context(shop: Served) -> None:
    assert shop.all({"k" * (MOST - 100): 1}).status == 200


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["plan", "city", "targetingKey", "context"]) | st.text(max_size=4)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, JSON_VALUES, max_size=4) | JSON_VALUES)
def test_any_context(shop: Served, context: object) -> None:
    body = json.dumps({"context": context}).encode()
    one, every = both(shop, body)
    assert one.status in (200, 400)
    assert every.status == (200 if context is None or isinstance(context, dict) else 400)
    if every.status == 200:
        assert [each for each in every.json["flags"] if each["key"] == "plan"] == [one.json]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace")))
def test_any_body(shop: Served, body: bytes) -> None:
    assert {each.status for each in both(shop, body)} <= {200, 400}
