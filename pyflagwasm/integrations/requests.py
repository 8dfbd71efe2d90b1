"""The flags of one request, for any framework: one configuration, and a context that is made when it is needed.

Here live RequestFlags and `current`. How its configuration is pinned is in pinning.py, functions that make contexts
are in contexts.py. What a request is, and where its flags are kept, is the frameworks' (starlette.py, aiohttp.py).
Nothing here is bound to an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Self

from ..bound import BoundContext
from ..evaluations import Evaluations
from ..evaluator import FlagEvaluator
from ..types import EMPTY, TARGETING_KEYS, EvaluationDetails
from .contexts import Attributes, called, usable
from .pinning import RequestInstances

current: Final[ContextVar[RequestFlags]] = ContextVar("pyflagwasm_request")
"""The flags of the request that this task works for: `current.get()`, or `current.get(None)` outside of requests."""


class RequestFlags(BoundContext):
    """The flags of one request: `.value(key, default)`, `.details(key, default)`, `.all()`, `.many(keys)`.

    The first evaluation makes the evaluation context, encodes it, and pins the configuration that is live then: it
    answers until the request ends, over any number of swaps. Later - a task that the request has left behind - the
    live configuration answers. Safe from any task and thread of the request.

    evaluator: whose flags. context: the evaluation context, or a function that gives it or None. What that raises is
    logged, once for each function and type; then flags that read the context give the default with INVALID_CONTEXT,
    and those that do not are not affected: a request must not fail because of its flags.

    The middleware of a framework makes it and enters it, which makes it `current`. One that is made by hand, as a test
    may do, need not be entered, and then pins nothing. It costs a microsecond, the first evaluation some five more.
    """

    __slots__ = ("_bound_to", "_evaluator", "_instances", "_made", "_owns", "_source", "_token", "_transaction")

    def __init__(
        self,
        evaluator: FlagEvaluator,
        context: Attributes | Callable[[], Attributes] = None,
    ) -> None:
        self._evaluator = evaluator
        self._source: Attributes | Callable[[], Attributes] = context
        self._shortcut = self._encoded = self._context = None
        self._bound_to: Evaluations | None = None
        self._made: Mapping[str, Any] | None = None
        self._instances: RequestInstances | None = None
        self._owns = False
        self._token: Token[RequestFlags] | None = None
        self._transaction: Any = None  # what transactions.py makes of the context

    # ------------------------------------------------------------ the request's life

    def enter(self, *, pin: bool = True) -> Self:
        """Begin the request, and make this `current`. Never waits. pin: False to follow the live configuration."""
        evaluator = self._evaluator
        if evaluator._dormant:
            evaluator._wake()  # here, on the event loop; the evaluations may be in threads
        if self._instances is None:
            self._instances, self._owns = RequestInstances(evaluator._swaps, pin), True
        self._token = current.set(self)
        return self

    def leave(self) -> None:
        """End the request. Never waits; idempotent."""
        if self._owns and self._instances is not None:
            self._instances.leave()
        if self._made is not None:
            self._source = None
        if self._token is not None:
            token, self._token = self._token, None
            try:
                current.reset(token)
            except ValueError:  # a coroutine that was thrown away ends in somebody else's context
                pass

    def __enter__(self) -> Self:
        return self.enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def refresh(self) -> None:
        """Let the configuration that is live at the next evaluation answer from then on.

        For what lasts: before each event of a stream, after each message of a websocket. A websocket's flags follow
        the live configuration until this is called first, then one configuration answers until it is called again.
        """
        if self._instances is not None:
            self._instances.renew()
            self._shortcut = None

    # ------------------------------------------------------------ whose flags

    @property
    def evaluator(self) -> FlagEvaluator:
        """Whose flags they are."""
        return self._evaluator

    @property
    def generation(self) -> int:
        """The number of the configuration that answers, pinned if it is not yet; 0 if there is none."""
        generation = self._of._instances.generation
        return 0 if generation is None else generation.number

    @property
    def context(self) -> Mapping[str, Any]:
        """The evaluation context; makes it if that has not been done. Empty if its function failed."""
        made = self._resolved()
        return made if usable(made) else EMPTY

    def identify(self, attributes: Mapping[str, Any], *, replace: bool = False) -> None:
        """Add attributes to the context of this request, over those that it has: who it is, once that is known.

        replace: they are the whole context. Evaluations from now on take it, wherever in the request they are.
        Raises TypeError for what is no mapping.
        """
        self._made = self._with(attributes, replace)
        self._shortcut, self._bound_to = None, None

    def with_context(self, attributes: Mapping[str, Any], *, replace: bool = False) -> RequestFlags:
        """Flags of the same request and configuration for another context: as `identify`, which leaves this one be."""
        return self.beside(self._with(attributes, replace))

    def beside(self, context: Attributes | Callable[[], Attributes]) -> RequestFlags:
        """Flags of the same request and configuration for a context that has nothing of this one."""
        other = RequestFlags(self._evaluator, context)
        other._instances = self._instances
        return other

    @property
    def unmade(self) -> bool:
        """Whether the context is still to be made, by the function for it."""
        return self._made is None and self._source is not None

    def _with(self, attributes: Mapping[str, Any], replace: bool) -> Mapping[str, Any]:
        if not isinstance(attributes, Mapping):
            raise TypeError(f"the attributes of a context are a mapping, not {type(attributes).__name__}")
        made = EMPTY if replace else self._resolved()
        if not usable(made):
            return made  # flags that read the context go on to fail: of what there is only a part is known
        both = dict(made)
        if any(key in attributes for key in TARGETING_KEYS):
            for key in TARGETING_KEYS:
                both.pop(key, None)
        return both | dict(attributes)

    # ------------------------------------------------------------ how it is bound

    def _resolved(self) -> Mapping[str, Any]:
        made = self._made
        if made is None:
            source = self._source
            made = called(source) if callable(source) else source
            self._made = made = EMPTY if made is None else made
        return made

    @property
    def _of(self) -> Evaluations:  # type: ignore[override]
        """Where the evaluations of a bound context come from: what of it is not answered in C asks for this first."""
        evaluator, instances = self._evaluator, self._instances
        of: Evaluations = evaluator
        if instances is not None and instances.pinning:
            place = instances.place
            if place is None:
                # Of two threads at once either one serves: the pin is the instances'.
                instances.place = place = evaluator._over(instances)
            of = place
        if self._bound_to is not of:
            self._bind(of)
        return of

    def _details(self, flag_key: str, default: Any, strict: bool) -> EvaluationDetails:
        if self._shortcut is None and not strict:
            of = self._of
            if self._shortcut is not None and not of._hooks:
                return self.details(flag_key, default)  # bound by now: C has the answer, as a rule
        return super()._details(flag_key, default, strict)

    def _bind(self, of: Evaluations) -> None:
        heeds = not self._owns and self._instances is not None  # the flags beside a websocket's hear of its refresh
        made = None
        while made is not self._made or made is None:  # another thread of the request may identify
            made = self._resolved()
            bound = BoundContext(of, made)
            self._context, self._encoded = bound._context, bound._encoded
            self._bound_to = of
            if not heeds or of is not self._evaluator:
                self._shortcut = bound._shortcut  # last: what is answered in C looks at this first

    def __repr__(self) -> str:
        return f"<RequestFlags of {self._evaluator!r}>"
