"""OFREP 0.3, the two endpoints: one flag, and all flags.

| status | when |
| --- | --- |
| 200 | evaluated; a flag without `value` leaves the client its default (no variant was chosen, or it is disabled) |
| 304 | all flags, and the answer is the one whose tag is in If-None-Match |
| 400 | the body, the context or the flag cannot be used: PARSE_ERROR, INVALID_CONTEXT, TARGETING_KEY_MISSING, GENERAL |
| 404 | FLAG_NOT_FOUND |
| 413, 414, 415 | PARSE_ERROR: too much, or no JSON |
| 500 | PROVIDER_NOT_READY: there is no configuration yet |

401 and 403 are the guards', 429 is for streams of events only. In the answer for all flags those that fail have an
error code each. A single evaluation is one as others are: with hooks, and counted; of all flags none is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..evaluator import FlagEvaluator
from ..types import ErrorCode, EvaluationDetails
from .events import Events
from .reading import Refused, context_of
from .writing import Writer, answer, failure, matches, primitive, tag

FLAGS: Final = "/ofrep/v1/evaluate/flags"
_MOST_KEY: Final = 8 << 10

_Found: TypeAlias = tuple[list[EvaluationDetails], Mapping[str, Any]]


class _Key(Convertor[str]):
    """The rest of the path, whatever it is: a key may have slashes, and some clients do not escape them."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("flag_key", _Key())


class Ofrep:
    """The endpoints of one evaluator. events: the stream that answers tell of."""

    def __init__(self, evaluator: FlagEvaluator, events: Events) -> None:
        self._evaluator, self._events = evaluator, events
        self._writer = Writer()

    def routes(self) -> list[BaseRoute]:
        return [
            Route(FLAGS, self.bulk, methods=["POST"]),
            Route(f"{FLAGS}/{{key:flag_key}}", self.single, methods=["POST"]),
        ]

    async def single(self, request: Request) -> Response:
        key: str = request.path_params["key"]
        try:
            if len(key) > _MOST_KEY:
                key = f"{key[:80]}..."
                raise Refused(414, ErrorCode.PARSE_ERROR, f"the key has more than {_MOST_KEY} characters")
            details = await self._evaluator.details(key, await context_of(request))
        except Refused as refused:
            return answer(refused.status, failure(refused.code, refused.message, key), refused.headers)
        except ClientDisconnect:
            return _GONE
        return answer(*self._writer.flag(details))

    async def bulk(self, request: Request) -> Response:
        try:
            context = await context_of(request)
        except Refused as refused:
            return answer(refused.status, failure(refused.code, refused.message), refused.headers)
        except ClientDisconnect:
            return _GONE
        found = self._all(context)
        if found is None:
            return answer(500, failure(ErrorCode.PROVIDER_NOT_READY, self._evaluator._instances.remarks.not_ready()))
        flags, metadata = found
        body = self._writer.bulk(flags, {"eventStreams": self._events.streams(request.scope), **metadata})
        # The tag is that of the answer, not of the configuration: clients keep it while their context changes.
        etag = tag(body)
        if matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers={"ETag": etag})
        return answer(200, body, {"ETag": etag})

    def _all(self, context: Mapping[str, Any]) -> _Found | None:
        """All flags and what the configuration says of itself, of one generation; None if there is none."""
        with self._evaluator.pin() as pinned:
            generation = pinned._instances.generation
            if generation is None:
                return None
            details = list(pinned.bind(context).all_details().values())
            metadata = primitive(generation.compiled.metadata)
        return details, {"metadata": metadata} if metadata else {}


_GONE: Final = Response(status_code=400)  # nobody reads it
