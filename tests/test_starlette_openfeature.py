"""OpenFeature's transaction context, which the middleware makes that of the current request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider import AbstractProvider, Metadata
from openfeature.transaction_context import ContextVarsTransactionContextPropagator
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pyflagwasm import FlagEvaluator
from pyflagwasm.integrations.requests import RequestFlags
from pyflagwasm.integrations.starlette import FlagsMiddleware, flags
from pyflagwasm.integrations.transactions import propagate


class Noting(AbstractProvider):
    """Gives every boolean flag as true, and notes for whom."""

    def __init__(self) -> None:
        super().__init__()
        self.contexts: list[tuple[str | None, Any]] = []

    def get_metadata(self) -> Metadata:
        return Metadata("noting")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        assert evaluation_context is not None
        self.contexts.append((evaluation_context.targeting_key, dict(evaluation_context.attributes)))
        return FlagResolutionDetails(True)

    def _others(self, flag_key: str, default_value: Any, evaluation_context: Any = None) -> Any:
        raise NotImplementedError

    resolve_string_details = resolve_integer_details = resolve_float_details = resolve_object_details = _others


@pytest.fixture
def noting() -> Iterator[Noting]:
    provider = Noting()
    api.set_provider_and_wait(provider)
    yield provider
    api.shutdown()


@pytest.fixture
def evaluator() -> Iterator[FlagEvaluator]:
    made = opened(FLAGD)
    yield made
    closed(made)


def asked(context: EvaluationContext | None = None) -> bool:
    return api.get_client().get_boolean_value("f", False, context)


def app_of(evaluator: FlagEvaluator) -> Starlette:
    async def handle(request: Request) -> Response:
        asked()
        if plan := request.query_params.get("plan"):
            flags(request).identify({"targeting_key": "user-7", "plan": plan})
            asked(EvaluationContext(attributes={"basket": 3}))
        return JSONResponse({})

    def in_thread(request: Request) -> Response:
        flags(request).identify({"plan": "pro"})
        asked()
        return JSONResponse({})

    def who(request: Request) -> dict[str, Any]:
        return {"targetingKey": "visitor", "city": request.headers["city"]}

    stack = [Middleware(FlagsMiddleware, context=who, evaluator=evaluator, openfeature=True)]
    return Starlette(routes=[Route("/", handle), Route("/thread", in_thread)], middleware=stack)


def test_clients_evaluate_for_the_request(noting: Noting, evaluator: FlagEvaluator) -> None:
    client = TestClient(app_of(evaluator))
    client.get("/", headers={"city": "Ghent"})
    client.get("/?plan=pro", headers={"city": "Namur"})
    client.get("/thread", headers={"city": "Mons"})
    asked()
    assert noting.contexts == [
        ("visitor", {"city": "Ghent"}),
        ("visitor", {"city": "Namur"}),
        ("user-7", {"city": "Namur", "plan": "pro", "basket": 3}),
        ("visitor", {"city": "Mons", "plan": "pro"}),
        (None, {}),
    ]


def test_a_context_function_that_raises_takes_no_request_down(noting: Noting, evaluator: FlagEvaluator) -> None:
    assert TestClient(app_of(evaluator)).get("/").status_code == 200  # the header is missing
    assert noting.contexts == [(None, {})]


def test_what_the_application_sets_counts_more(noting: Noting, evaluator: FlagEvaluator) -> None:
    propagate()
    propagate()

    async def main() -> None:
        with RequestFlags(evaluator, {"targetingKey": "visitor", "city": "Ghent", "plan": "free"}):
            api.set_transaction_context(EvaluationContext("user-8", {"plan": "pro"}))
            asked()
        asked()

    asyncio.run(main())
    assert noting.contexts == [("user-8", {"city": "Ghent", "plan": "pro"}), ("user-8", {"plan": "pro"})]


def test_a_propagator_that_was_chosen_before_goes_on(noting: Noting, evaluator: FlagEvaluator) -> None:
    class Chosen(ContextVarsTransactionContextPropagator):
        def get_transaction_context(self) -> EvaluationContext:
            return EvaluationContext(attributes={"chosen": True})

    api.set_transaction_context_propagator(Chosen())
    propagate()
    with RequestFlags(evaluator, {"targetingKey": 5}):
        asked()
    assert noting.contexts == [(None, {"targetingKey": 5, "chosen": True})]
