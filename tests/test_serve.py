"""OFREP's two endpoints and health: what is answered to a request that is well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from evaluators import BROKEN, FLAGD, LENIENT, ON_OFF, devcycle, document, flag
from loops import every_loop, run_on
from served import FLAGS, Served, serving

import pyflagwasm
from pyflagwasm.serve import application

SHOP = {"flagSetId": "shop"}
NOW = 1_000.0


@pytest.fixture(scope="module")
def shop() -> Iterator[Served]:
    with serving(FLAGD, open_options={"clock": lambda: NOW}) as served:
        yield served


@pytest.fixture(scope="module")
def broken() -> Iterator[Served]:
    with serving(BROKEN, open_options={"options": LENIENT}) as served:
        yield served


# ---------------------------------------------------------------- one flag


@pytest.mark.parametrize(
    ("key", "context", "expected"),
    [
        ("bool", {}, {"value": True, "reason": "STATIC", "variant": "on"}),
        ("text", {}, {"value": "A", "reason": "STATIC", "variant": "a"}),
        ("int", {}, {"value": 3, "reason": "STATIC", "variant": "few"}),
        ("huge", {}, {"value": 10**300, "reason": "STATIC", "variant": "many"}),
        ("float", {}, {"value": 0.5, "reason": "STATIC", "variant": "half"}),
        ("object", {}, {"value": {"k": [1, 2]}, "reason": "STATIC", "variant": "o"}),
        ("plan", {"plan": "pro"}, {"value": True, "reason": "TARGETING_MATCH", "variant": "on"}),
        ("city", {"city": "Ypres"}, {"value": False, "reason": "DEFAULT", "variant": "off"}),
        ("none", {}, {"reason": "DEFAULT", "variant": ""}),
        ("disabled", {}, {"reason": "DISABLED", "variant": ""}),
    ],
)
def test_one_flag(shop: Served, key: str, context: dict[str, Any], expected: dict[str, Any]) -> None:
    answer = shop.flag(key, context)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    metadata = SHOP | ({"owner": "billing"} if key == "plan" else {})
    assert answer.json == {"key": key, **expected, "metadata": metadata}


def test_floats_stay_floats() -> None:
    with serving({"flags": {"f": flag({"v": 2.0}, "v")}}) as served:
        assert b'"value":2.0,' in served.flag("f").body


def test_no_such_flag(shop: Served) -> None:
    answer = shop.flag("nope")
    assert answer.status == 404
    message = "the configuration has no such flag"
    assert answer.json == {"key": "nope", "errorCode": "FLAG_NOT_FOUND", "errorDetails": message, "metadata": SHOP}


@pytest.mark.parametrize(
    ("key", "context", "code"),
    [("divides", {"n": 0}, "GENERAL"), ("astray", {}, "GENERAL"), ("shapeless", {}, "PARSE_ERROR")],
)
def test_flags_that_fail(broken: Served, key: str, context: dict[str, Any], code: str) -> None:
    with broken.evaluator.pin() as pinned:
        expected = pinned.details_nowait(key, context)
    answer = broken.flag(key, context)
    assert answer.status == 400
    assert answer.json == {"key": key, "errorCode": str(expected.error_code), "errorDetails": expected.error_message}
    assert answer.json["errorCode"] == code or key == "divides"


def test_an_attribute_that_cannot_be_used(shop: Served) -> None:
    answer = shop.flag("plan", {"plan": "x" * 200_000})
    assert (answer.status, answer.json["errorCode"], answer.json["key"]) == (400, "INVALID_CONTEXT", "plan")
    assert shop.flag("bool", {"plan": "x" * 200_000}).status == 200


def test_the_targeting_key_is_missing() -> None:
    with serving(devcycle("Boolean", True, False)) as served:
        answer = served.flag("v", {"country": "BE"})
        assert (answer.status, answer.json["errorCode"]) == (400, "TARGETING_KEY_MISSING")
        assert served.flag("v", {"targetingKey": "u", "country": "BE"}).json["value"] is False
        (failed,) = served.all({"country": "BE"}).json["flags"]
        assert failed == answer.json


def test_a_number_that_json_cannot_write() -> None:
    with serving(b'{"flags": {"f": {"state": "ENABLED", "variants": {"v": 1e999}, "defaultVariant": "v"}}}') as served:
        answer = served.flag("f")
        assert (answer.status, answer.json["errorCode"]) == (400, "GENERAL")
        assert served.all().json["flags"] == [answer.json]


def test_metadata_is_of_primitives_only() -> None:
    given = {"text": "t", "number": 1, "half": 0.5, "yes": True}
    with serving({"flags": {"f": flag(ON_OFF, "on", metadata=given)}}) as served:
        assert served.flag("f").json["metadata"] == given


KEYS = {
    "NAME/variant": ["NAME/variant", "NAME%2Fvariant", "NAME%2fvariant"],
    "50%": ["50%25"],
    "a%2Fb": ["a%252Fb"],
    "clé d'été": ["cl%C3%A9%20d%27%C3%A9t%C3%A9"],
    "日本": ["%E6%97%A5%E6%9C%AC"],
    "a?b#c&d=e+f;g": ["a%3Fb%23c%26d%3De%2Bf%3Bg"],
    "..": ["..", "%2E%2E"],
    "a//b/": ["a//b/", "a%2F%2Fb%2F"],
    "line\nbreak": ["line%0Abreak"],
    "tab\tand\0": ["tab%09and%00"],
}


def test_keys_of_all_kinds() -> None:
    with serving({"flags": {key: flag({"v": key}, "v") for key in KEYS}}) as served:
        for key, written in KEYS.items():
            for each in written:
                answer = served.flag(each)
                assert (answer.status, answer.json.get("value"), answer.json["key"]) == (200, key, key), each
        assert [each["key"] for each in served.all().json["flags"]] == list(KEYS)


def test_the_empty_key_is_no_flag_and_not_all_of_them(shop: Served) -> None:
    answer = shop.flag("")
    assert (answer.status, answer.json["key"], answer.json["errorCode"]) == (404, "", "FLAG_NOT_FOUND")


def test_the_flag_of_a_variant() -> None:
    feature = {"name": "f", "enabled": True, "strategies": [{"name": "default", "parameters": {}}], "variants": []}
    variant = {"name": "blue", "weight": 1000, "weightType": "variable", "stickiness": "default", "overrides": []}
    with serving({"version": 2, "features": [{**feature, "variants": [variant]}]}) as served:
        assert served.flag("f", {"userId": "u"}).json["value"] is True
        assert served.flag("f/variant", {"userId": "u"}).json["variant"] == "blue"


# ---------------------------------------------------------------- all flags


def test_all_flags(shop: Served) -> None:
    context = {"plan": "pro", "targetingKey": "u"}
    answer = shop.all(context)
    assert answer.status == 200
    assert answer.json["flags"] == [shop.flag(key, context).json for key in FLAGD["flags"]]
    assert answer.json["metadata"] == SHOP
    assert answer.json["eventStreams"] == [{"type": "sse", "endpoint": {"requestUri": "/ofrep/v1/events"}}]


def test_those_that_fail_say_so_and_the_others_answer(broken: Served) -> None:
    answer = broken.all({"n": 0})
    assert answer.status == 200
    assert [each.get("errorCode") is None for each in answer.json["flags"]] == [False, False, False, True]
    assert "metadata" not in answer.json


def test_the_tag_is_that_of_the_answer(shop: Served) -> None:
    pro, free = {"plan": "pro", "targetingKey": "u"}, {"plan": "free", "targetingKey": "u"}
    answer = shop.all(pro)
    etag = answer.headers["etag"]
    assert etag.startswith('"')
    for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = shop.all(pro, header)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
    # Clients keep the tag when an attribute changes: what differs must come.
    other = shop.all(free, etag)
    assert (other.status, other.headers["etag"] != etag) == (200, True)
    assert shop.all({**pro, "unread": 1}, etag).status == 304
    assert shop.all(pro, '"other"').status == 200
    assert shop.all(pro, "").status == 200


def test_the_tag_follows_the_clock() -> None:
    now = [1_000.0]
    with serving(FLAGD, open_options={"clock": lambda: now[0]}) as served:
        etag = served.all().headers["etag"]
        now[0] = 1_999.0
        assert served.all(etag=etag).status == 304
        now[0] = 2_001.0
        later = served.all(etag=etag)
        assert later.status == 200
        assert {each["key"]: each.get("value") for each in later.json["flags"]}["later"] is True


def test_the_tag_follows_the_configuration_and_outlives_a_process(shop: Served) -> None:
    with serving({**FLAGD, "metadata": {"flagSetId": "shop", "version": "2"}}) as served:
        assert served.all({"targetingKey": "u"}).headers["etag"] != shop.all({"targetingKey": "u"}).headers["etag"]
    with serving(FLAGD, open_options={"clock": lambda: NOW}) as served:
        assert served.all({"targetingKey": "u"}).headers["etag"] == shop.all({"targetingKey": "u"}).headers["etag"]


# ---------------------------------------------------------------- whether there is anything


async def nothing() -> None:
    """Delivers no configuration."""


def test_before_there_is_a_configuration() -> None:
    options = {"start_timeout": 0.01}
    with serving(nothing, open_options=options) as served:
        answer = served.flag("f")
        assert (answer.status, answer.json["errorCode"], answer.json["key"]) == (500, "PROVIDER_NOT_READY", "f")
        answer = served.all()
        assert (answer.status, answer.json["errorCode"]) == (500, "PROVIDER_NOT_READY")
        health = served.ask("GET", "/healthz")
        assert (health.status, health.json) == (503, {"state": "NOT_READY", "generation": 0})


def test_health(shop: Served) -> None:
    health = shop.ask("GET", "/healthz")
    assert (health.status, health.json) == (200, {"state": "READY", "generation": 1})


def test_health_of_a_source_that_fails() -> None:
    documents = [json.dumps(FLAGD).encode(), b"{"]
    options = {"start_timeout": 5.0}

    def source() -> bytes:
        return documents.pop(0) if len(documents) > 1 else documents[0]

    with serving(pyflagwasm.CallableSource(source, interval=1 / 50), open_options=options) as served:
        stale = None
        for _ in range(500):
            stale = served.ask("GET", "/healthz")
            if stale.json["state"] == "STALE":
                break
        assert stale is not None
        assert (stale.status, stale.json) == (200, {"state": "STALE", "generation": 1})
        assert served.flag("bool").json["value"] is True


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", f"{FLAGS}/bool", 405), ("PUT", FLAGS, 405), ("GET", "/nope", 404), ("POST", "/ofrep/v1/nope", 404)],
)
def test_what_is_not_there(shop: Served, method: str, path: str, status: int) -> None:
    answer = shop.ask(method, path)
    assert (answer.status, answer.json["errorCode"]) == (status, "GENERAL")
    assert FLAGS in answer.json["errorDetails"]


def test_no_server_is_named(shop: Served) -> None:
    assert "server" not in shop.flag("bool").headers


def test_hooks_are_called_and_evaluations_counted() -> None:
    seen: list[str] = []

    class Seeing(pyflagwasm.Hook):
        def before(self, hook_context: pyflagwasm.HookContext, hints: Any) -> dict[str, Any]:
            seen.append(hook_context.flag_key)
            return {"plan": "pro"}

    with serving(FLAGD, open_options={"hooks": [Seeing()]}) as served:
        assert served.flag("plan").json["value"] is True
        served.all()
    assert seen == ["plan"]


def test_an_evaluator_that_is_open_stays_so() -> None:
    import asyncio

    async def main() -> None:
        async with pyflagwasm.open(document(f=flag(ON_OFF, "on"))) as flags:
            app = application(flags)
            async with app.router.lifespan_context(app):
                pass
            assert flags.statistics().state == "READY"

    asyncio.run(main())


def test_what_cannot_be_used() -> None:
    flags = pyflagwasm.open({"flags": {}})
    with pytest.raises(ValueError, match="an empty token"):
        application(flags, token=" ")
    with pytest.raises(TypeError, match="lists of texts"):
        application(flags, cors="https://shop.example")
    with pytest.raises(TypeError, match="lists of texts"):
        application(flags, hosts="localhost")


@every_loop
def test_an_application_does_not_start_with_an_evaluator_that_is_closed(loop: str) -> None:
    async def main() -> None:
        app = application(pyflagwasm.open(FLAGD))
        async with app.router.lifespan_context(app):
            pass
        with pytest.raises(RuntimeError, match="the evaluator is closed, by an earlier run of the application"):
            async with app.router.lifespan_context(app):
                pass

    run_on(loop, main)
