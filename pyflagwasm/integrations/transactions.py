"""The context of the current request as OpenFeature's transaction context: for evaluations through its client.

OpenFeature would have it set at the beginning of each request. Here it is asked for by each evaluation, so that it
costs nothing until then, and knows of who was identified meanwhile, in whichever thread.
"""

from __future__ import annotations

from ..extras import missing
from ..types import TARGETING_KEYS
from .requests import RequestFlags, current

try:
    from openfeature import transaction_context as transactions
    from openfeature.evaluation_context import EvaluationContext
except ImportError as error:
    raise missing("the transaction context", "openfeature-sdk", "openfeature") from error


class RequestPropagator:
    """OpenFeature's propagator of transaction contexts: that of the current request, under what the application sets.

    inner: the propagator that keeps what is set.
    """

    def __init__(self, inner: transactions.TransactionContextPropagator) -> None:
        self._inner = inner

    def get_transaction_context(self) -> EvaluationContext:
        request, given = current.get(None), self._inner.get_transaction_context()
        return given if request is None else _of(request).merge(given)

    def set_transaction_context(self, transaction_context: EvaluationContext) -> None:
        self._inner.set_transaction_context(transaction_context)


def propagate() -> None:
    """Have OpenFeature's clients evaluate for the current request. For the whole process; idempotent.

    A propagator that the application has chosen goes on beneath; else it is OpenFeature's own, of context variables.
    """
    found = transactions._evaluation_transaction_context_propagator
    if isinstance(found, RequestPropagator):
        return
    if type(found).__name__ == "NoOpTransactionContextPropagator":
        found = transactions.ContextVarsTransactionContextPropagator()
    transactions.set_transaction_context_propagator(RequestPropagator(found))


def _of(request: RequestFlags) -> EvaluationContext:
    context = request.context
    known = request._transaction
    if known is None or known[0] is not context:
        named = next((context[key] for key in TARGETING_KEYS if isinstance(context.get(key), str)), None)
        rest = {key: value for key, value in context.items() if named is None or key not in TARGETING_KEYS}
        request._transaction = known = context, EvaluationContext(named, rest)
    made: EvaluationContext = known[1]
    return made
