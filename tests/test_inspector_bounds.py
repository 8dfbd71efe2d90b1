"""What the inspector costs at most: large contexts, many pages at once, clients that leave."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from evaluators import FLAGD, closed, document, flag, opened
from httpx2 import ASGITransport, AsyncClient
from inspector_documents import many
from starlette.applications import Starlette
from test_inspector import post, question, served

from pyflagwasm.generation import Generation
from pyflagwasm.serve import inspector
from pyflagwasm.serve.inspector import routes
from pyflagwasm.serve.inspector_answers import MOST_REQUESTS
from pyflagwasm.serve.inspector_tables import Tables


def test_of_large_requests_fewer_are_sent() -> None:
    targeting = {"if": [{"in": [{"var": "who"}, ["u-1"]]}, "on", {"in": ["x", {"var": "large"}]}, "off"]}
    with served(document(f=flag({"on": True, "off": False}, "off", targeting))) as (_, client, configuration):
        vary = {"name": "who", "prefix": "u-", "from": 0, "count": 1000}
        for size, least, most in ((10, 1000, 1000), (100_000, 2, 100)):
            asked = question(configuration, {"large": "y" * size}, flag="f", vary=vary)
            answer = post(client, "encode", asked)
            assert least <= len(answer.json()["requests"]) <= most
            assert len(answer.content) < MOST_REQUESTS + 300_000


def test_what_is_too_large_for_one_request_is_not_sent_once_for_each_flag() -> None:
    names = [f"a{number}" for number in range(9)]
    flags = {
        f"{one}{other}{third}": flag(
            {"on": True, "off": False},
            "off",
            {"if": [{"in": ["x", {"cat": [{"var": one}, {"var": other}, {"var": third}]}]}, "on"]},
        )
        for one in names
        for other in names
        for third in names
        if one < other < third
    }
    with served(document(**flags)) as (_, client, configuration):
        few = post(client, "encode", question(configuration, {"a0": "y" * 200_000})).json()
        assert (few["whole"], {type(request) for _, request in few["apart"]}) == (None, {dict, str})
        many = post(client, "encode", question(configuration, {name: "y" * 40_000 for name in names}))
        assert (many.status_code, "too large" in many.json()["error"]) == (400, True)


def test_who_leaves_before_the_end_of_the_body_is_no_error_of_ours() -> None:
    evaluator = opened(FLAGD)
    app = Starlette(routes=routes(evaluator))
    sent: list[Any] = []

    async def main() -> None:
        messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/inspector/explain",
            "headers": headers,
            "query_string": b"",
        }
        await app(scope, receive, send)

    asyncio.run(main())
    assert sent[0]["status"] == 400
    closed(evaluator)


def test_many_pages_that_ask_at_once_cost_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    class Counted(Tables):
        def __init__(self, generation: Generation) -> None:
            made.append(generation.number)
            super().__init__(generation)

    monkeypatch.setattr(inspector, "Tables", Counted)
    evaluator = opened(many(1000))

    async def main() -> None:
        transport = ASGITransport(Starlette(routes=routes(evaluator)))
        async with AsyncClient(transport=transport, base_url="http://localhost") as client:
            answers = await asyncio.gather(*(client.get("/inspector/configuration") for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}

    asyncio.run(main())
    assert made == [1]
    closed(evaluator)
