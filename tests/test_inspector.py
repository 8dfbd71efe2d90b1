"""The inspector's endpoints without a browser: what they give, to whom, and what becomes of lies."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from evaluators import FLAGD, closed, document, flag, opened
from inspector_documents import SAMPLES, many
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import pyflagwasm
from pyflagwasm import _abi
from pyflagwasm.evaluations import explain
from pyflagwasm.evaluator import FlagEvaluator
from pyflagwasm.explain import explain_text
from pyflagwasm.pool import asking
from pyflagwasm.runtime import views
from pyflagwasm.runtime.encode import EncodeError, buffer
from pyflagwasm.runtime.views import unleash
from pyflagwasm.serve.inspector import MOST_BYTES, routes

NOW_US = 1_750_000_000_000_000


@contextmanager
def served(source: Any, **options: Any) -> Iterator[tuple[FlagEvaluator, TestClient, dict[str, Any]]]:
    """The evaluator, a client of its own origin, and the configuration as the page gets it."""
    evaluator = pyflagwasm.open(source, **options)
    app = Starlette(routes=routes(evaluator))
    asyncio.run(evaluator.__aenter__())
    try:
        with TestClient(app) as client:
            answer = client.get("/inspector/configuration")
            yield evaluator, client, {**answer.json(), "tag": answer.headers["etag"].strip('"')}
    finally:
        closed(evaluator)


def question(configuration: dict[str, Any], context: Any, /, **more: Any) -> bytes:
    asked = {"tag": configuration["tag"], "context": context, "now_us": NOW_US, "seed": 1, **more}
    return json.dumps(asked).encode()  # in ASCII, so with lone surrogates


def post(client: TestClient, path: str, asked: bytes, **headers: str) -> Any:
    return client.post(f"/inspector/{path}", content=asked, headers={"Content-Type": "application/json", **headers})


def trace(evaluator: FlagEvaluator, key: str, context: Any) -> dict[str, Any]:
    """What a browser's core would answer."""
    generation = evaluator._instances.generation
    assert generation is not None
    found = generation.flags[key]
    with buffer() as room:
        request = found.encode(context, room, NOW_US)
        packed, events, truncated = asking.explain(evaluator._instances, found, request, NOW_US)
    return {
        "flag": key,
        "packed": str(packed),
        "events": [[*event[:3], str(event[3])] for event in events],
        "truncated": truncated,
    }


USER = {"targetingKey": "user-7", "app": {"version": "4.3.0"}}


# ---------------------------------------------------------------- files and headers


def test_the_page_may_load_nothing_from_elsewhere_and_nothing_inline() -> None:
    with served(FLAGD) as (_, client, _):
        assert client.get("/inspector", follow_redirects=False).headers["location"] == "inspector/"
        for name, kind in (
            ("", "text/html"), ("inspector.mjs", "text/javascript"), ("abi.mjs", "text/javascript"),
            ("inspector.css", "text/css"), ("icon.svg", "image/svg+xml"), ("core.wasm", "application/wasm"),
            ("configuration", "application/json"),
        ):  # fmt: skip
            answer = client.get(f"/inspector/{name}")
            assert answer.status_code == 200, name
            assert answer.headers["content-type"].startswith(kind)
            policy = dict(
                each.strip().partition(" ")[::2] for each in answer.headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
            assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
            assert policy["style-src"] == policy["connect-src"] == "'self'"
            assert answer.headers["x-content-type-options"] == "nosniff"
            again = client.get(f"/inspector/{name}", headers={"If-None-Match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        page = client.get("/inspector/").text
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count('<script type="module" src="inspector.mjs"></script>') == 1
        assert "//" not in page.replace("http://www.w3.org/2000/svg", "")
        assert client.get("/inspector/../inspector.py").status_code == 404
        assert client.get("/inspector/host.mjs/x").status_code == 404


def test_it_works_below_a_mount() -> None:
    evaluator = pyflagwasm.open(FLAGD)
    app = Starlette(routes=[Mount("/flags", routes=routes(evaluator))])
    with TestClient(app) as client:
        assert client.get("/flags/inspector").url.path == "/flags/inspector/"
        assert client.get("/flags/inspector/configuration").status_code == 503


# ---------------------------------------------------------------- the configuration


def test_the_configuration_has_tables_and_no_document() -> None:
    with served(FLAGD) as (_, _, configuration):
        flags = {each["key"]: each for each in configuration["flags"]}
        assert list(flags) == list(FLAGD["flags"])
        plan = flags["plan"]
        assert (plan["type"], plan["rules"], plan["reads"]) == ("boolean", 1, [[["plan"]]])
        assert plan["variants"] == [["on", "true", None], ["off", "false", None]]
        assert json.loads(plan["metadata"]) == {"flagSetId": "shop", "owner": "billing"}
        assert flags["split"]["varies"] == [["targetingKey"]]
        assert flags["huge"]["variants"][1] == ["many", str(10**300), None]
        assert flags["disabled"]["constant"] is True
        assert configuration["explains"] is True


def test_what_a_vendors_view_is_given_stays_here() -> None:
    """Saved groups are lists of users."""
    sample = SAMPLES["growthbook"]
    with served(sample.source, **sample.options) as (_, client, configuration):
        assert "secret-member" in sample.source.decode()
        everything = client.get("/inspector/configuration").text
        assert base64.b64decode(configuration["ir"])
        assert "secret-member" not in everything


def test_an_evaluator_that_was_open_before_answers_without_reasons_until_it_reloads() -> None:
    evaluator = opened(FLAGD)
    try:
        with TestClient(Starlette(routes=routes(evaluator))) as client:
            answer = client.get("/inspector/configuration")
            assert answer.json()["explains"] is False
            asked = question({"tag": answer.headers["etag"].strip('"')}, {}, **trace(evaluator, "plan", {}))
            refused = post(client, "explain", asked)
            assert (refused.status_code, "reload it" in refused.json()["error"]) == (400, True)
            asyncio.run(evaluator.reload(FLAGD))
            assert client.get("/inspector/configuration").json()["explains"] is True
    finally:
        closed(evaluator)


def test_an_equal_configuration_is_not_sent_again_but_its_number_is() -> None:
    with served(FLAGD) as (evaluator, client, configuration):
        asyncio.run(evaluator.reload(json.dumps(FLAGD).encode()))
        known = {"If-None-Match": f'"{configuration["tag"]}"'}
        answer = client.get("/inspector/configuration", headers=known)
        assert (answer.status_code, answer.headers["pyflagwasm-generation"]) == (304, "2")
        asyncio.run(evaluator.reload(document(other=flag({"a": 1}, "a"))))
        answer = client.get("/inspector/configuration", headers=known)
        assert (answer.status_code, answer.headers["pyflagwasm-generation"]) == (200, "3")
        stale = post(client, "explain", question(configuration, {}, **trace(evaluator, "other", {})))
        assert stale.status_code == 409


# ---------------------------------------------------------------- who is answered


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://elsewhere.example"}, 200),  # a proxy may change the host
        ({"Origin": "http://testserver"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_its_own_page_is_answered(headers: dict[str, str], status: int) -> None:
    with served(FLAGD) as (_, client, configuration):
        asked = question(configuration, {})
        assert post(client, "encode", asked, **headers).status_code == status
        assert client.get("/inspector/configuration", headers=headers).status_code == status


def test_a_body_is_json_and_of_bounded_size() -> None:
    with served(FLAGD) as (_, client, configuration):
        asked = question(configuration, {"a": "x"})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            answer = client.post("/inspector/encode", content=asked, headers={"Content-Type": kind})
            assert answer.status_code == 415
        kind = {"Content-Type": "application/json; charset=utf-8"}
        assert client.post("/inspector/encode", content=asked, headers=kind).status_code == 200
        for size, status in ((MOST_BYTES, 200), (MOST_BYTES + 1, 413)):
            padded = asked + b" " * (size - len(asked))
            assert client.post("/inspector/encode", content=padded, headers=kind).status_code == status
        assert client.get("/inspector/encode").status_code == 405


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1' + b"0" * 5000 + b"}"]
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with served(FLAGD) as (_, client, _):
        answer = client.post("/inspector/explain", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert answer.json()["error"]


# ---------------------------------------------------------------- explain


@pytest.mark.parametrize("name", SAMPLES)
def test_a_true_trace_is_told_as_the_command_line_tells_it(name: str) -> None:
    sample = SAMPLES[name]
    with served(sample.source, **sample.options) as (evaluator, client, configuration):
        drawn = {number for number, slot in enumerate(configuration["slots"]) if slot["view"] in unleash.DRAWING}
        bars = 0
        for context in map(json.loads, sample.contexts):
            for entry in configuration["flags"]:
                if drawn & set(entry["slots"]):
                    continue  # each encoding draws anew; test_inspector_page.py has those
                try:
                    asked = trace(evaluator, entry["key"], context)
                except EncodeError as error:
                    asked = {"flag": entry["key"], "refused": str(error), "code": error.code.value}
                answer = post(client, "explain", question(configuration, context, **asked))
                assert answer.status_code == 200, answer.text
                told = answer.json()
                assert told["agrees"], entry["key"]
                assert told["text"] == explain_text(explain(evaluator._instances, entry["key"], context, NOW_US))
                bars += len(told["bars"])
                for bar in told["bars"]:
                    assert bar["parts"][0][0] == 0.0
                    assert bar["parts"][-1][1] == 1.0
                    assert all(one[1] == other[0] for one, other in zip(bar["parts"], bar["parts"][1:], strict=False))
        assert bars or name == "unleash"


def test_a_bucket_lies_in_the_part_that_decides() -> None:
    with served("example:flagd") as (evaluator, client, configuration):
        asked = question(configuration, USER, **trace(evaluator, "checkout-button", USER))
        told = post(client, "explain", asked).json()
        (bar,) = told["bars"]
        assert (bar["bucket"], bar["position"], bar["of"]) == (3052855660, 0.71079, '"checkout-button" + targetingKey')
        assert [part[2:] for part in bar["parts"]] == [["plain", 0], ["warm", 1], ["short", 2]]
        assert [round(part[1], 6) for part in bar["parts"]] == [0.5, 0.8, 1.0]


def test_a_difference_is_told_with_both_sides() -> None:
    with served("example:flagd") as (evaluator, client, configuration):
        other = {**USER, "targetingKey": "user-1"}
        ours, theirs = (trace(evaluator, "checkout-button", each) for each in (USER, other))
        assert ours["packed"] != theirs["packed"]
        told = post(client, "explain", question(configuration, USER, **theirs)).json()
        assert told["agrees"] is False
        assert told["server"] == explain_text(explain(evaluator._instances, "checkout-button", USER, NOW_US))
        assert told["text"] != told["server"]


def test_what_is_told_of_lies_is_not_remembered() -> None:
    """Decisions are kept by flag, and there are only as many true ones as it has ways to end."""
    with served("example:flagd") as (evaluator, client, configuration):
        asked = trace(evaluator, "checkout-button", USER)
        generation = evaluator._instances.generation
        assert generation is not None
        kept = generation.flags["checkout-button"]._outcomes
        before = len(kept)
        for rule in range(50):
            asked["packed"] = str(rule << _abi.DECISION_RULE_SHIFT | _abi.Reason.SPLIT << _abi.DECISION_REASON_SHIFT)
            answer = post(client, "explain", question(configuration, USER, **asked))
            assert answer.json()["agrees"] is False
        assert len(kept) == before


GOOD = {"flag": "checkout-button", "packed": "4294967295", "events": [[0, 4, 0, "0"]], "truncated": False}
LIES: list[dict[str, Any]] = [
    {"flag": "no such"}, {"flag": None}, {"flag": ["checkout-button"]},
    {"packed": 7}, {"packed": "-1"}, {"packed": "1" * 30}, {"packed": str(1 << 64)}, {"packed": "\u0663"},
    {"packed": None},
    {"packed": "9"},  # variant 9
    {"events": None}, {"events": {}}, {"events": [1]}, {"events": [[0, 4, 0]]}, {"events": [[0, 4, 0, 0]]},
    {"events": [[-1, 4, 0, "0"]]}, {"events": [[10**9, 4, 0, "0"]]}, {"events": [[0, 5, 0, "0"]]},
    {"events": [[0, 4, 8, "0"]]}, {"events": [[0.0, 4, 0, "0"]]}, {"events": [[True, 4, 0, "0"]]},
    {"events": [[10**400, 4, 0, "0"]]}, {"events": [[0, 4, 0, str(1 << 64)]]},
    {"events": [[0, 4, 0, "0"]] * 2047}, {"truncated": 1},
    {"context": []}, {"context": None}, {"now_us": None}, {"now_us": 1 << 63}, {"now_us": 1.5}, {"now_us": True},
    {"seed": -1}, {"seed": "x"}, {"refused": 7}, {"refused": "x", "code": "NO SUCH"}, {"refused": "x", "code": []},
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=repr)
def test_what_no_core_answers_is_refused(lie: dict[str, Any]) -> None:
    with served("example:flagd") as (_, client, configuration):
        answer = post(client, "explain", question(configuration, {}, **{**GOOD, **lie}))
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]


@pytest.mark.parametrize("name", SAMPLES)
def test_any_walk_through_the_nodes_is_told(name: str) -> None:
    """Each node with each outcome, in an order that no evaluation takes: refused or told, and never an exception."""
    sample = SAMPLES[name]
    with served(sample.source, **sample.options) as (evaluator, client, configuration):
        generation = evaluator._instances.generation
        assert generation is not None
        nodes = len(generation.compiled.origins.ops)
        entry = configuration["flags"][-1]["key"]
        for outcome in range(len(_abi.Outcome)):
            for backwards in (1, -1):
                events = [[node, outcome, node % 8, str(2**32 - 1)] for node in range(nodes)][::backwards][:2046]
                asked = {"flag": entry, "packed": "4294967295", "events": events, "truncated": True}
                answer = post(client, "explain", question(configuration, {"a": 1}, **asked))
                assert answer.status_code == 200, answer.text
                assert answer.json()["agrees"] is False


def test_a_trace_that_would_take_long_to_tell_is_refused() -> None:
    cuts = [[f"v{number}", 1] for number in range(4000)]
    variants = {name: name for name, _ in cuts}
    with served(document(wide=flag(variants, "v0", {"fractional": cuts}))) as (evaluator, client, configuration):
        context = {"targetingKey": "u"}
        true = trace(evaluator, "wide", context)
        answer = post(client, "explain", question(configuration, context, **true))
        assert answer.json()["agrees"] is True
        assert len(answer.json()["bars"][0]["parts"]) == 100
        lie = {**true, "events": (true["events"] * 2046)[:2046]}
        refused = post(client, "explain", question(configuration, context, **lie))
        assert (refused.status_code, "too long" in refused.json()["error"]) == (400, True)


def test_a_trace_of_what_cannot_be_sent_is_a_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(context: Any, args: Any, now_us: int) -> Any:
        raise LookupError("broken view")

    with served("example:flagd") as (evaluator, client, configuration):
        true = trace(evaluator, "checkout-button", USER)
        monkeypatch.setitem(views.VIEWS, "path", breaks)
        monkeypatch.setattr(views, "bind", lambda slot: lambda context, now_us: breaks(context, (), now_us))
        answer = post(client, "explain", question(configuration, USER, **true))
        assert (answer.status_code, "no such trace" in answer.json()["error"]) == (400, True)


def test_a_closed_evaluator_answers_nothing() -> None:
    evaluator = opened(FLAGD)
    with TestClient(Starlette(routes=routes(evaluator))) as client:
        closed(evaluator)
        assert client.get("/inspector/configuration").status_code == 503
        assert post(client, "explain", question({"tag": ""}, {})).status_code == 503


# ---------------------------------------------------------------- encode


@pytest.mark.parametrize(
    "more",
    [
        {"flag": 7}, {"flag": "plan", "vary": []},
        {"flag": "plan", "vary": {"name": 1, "prefix": "", "from": 0, "count": 1}},
        {"flag": "plan", "vary": {"name": "a", "prefix": "", "from": 0, "count": 1001}},
        {"flag": "plan", "vary": {"name": "a", "prefix": "", "from": -1, "count": 1}},
        {"flag": "plan", "vary": {"name": "a", "prefix": None, "from": 0, "count": 0}},
    ],
)  # fmt: skip
def test_what_cannot_be_encoded_is_refused(more: dict[str, Any]) -> None:
    with served(FLAGD) as (_, client, configuration):
        assert post(client, "encode", question(configuration, {}, **more)).status_code == 400


def test_a_thousand_flags_are_told_soon() -> None:
    with served(many(1000)) as (_, _, configuration):
        assert len(configuration["flags"]) == 1000
        assert {each["type"] for each in configuration["flags"]} == {"boolean", "string", "number", "object"}
