"""What the server answers, as the protocol has it: evaluations, failures, and the tag of a bulk answer.

JSON is written in ASCII: a lone surrogate of a request or a configuration cannot break it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

from starlette.responses import Response

from ..types import ErrorCode, EvaluationDetails

_MOST_KNOWN: Final = 100_000
_STATUSES: Final = {ErrorCode.FLAG_NOT_FOUND: 404, ErrorCode.PROVIDER_NOT_READY: 500}
_UNWRITABLE: Final = "the value has a number that JSON cannot write"


class Writer:
    """Writes evaluations. What a flag answers is written once for each way in which it can end, and then known."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[EvaluationDetails, tuple[int, bytes]]] = {}
        self._generation = 0

    def flag(self, details: EvaluationDetails) -> tuple[int, bytes]:
        """The status of one evaluation, and its JSON: `evaluationSuccess` or `evaluationFailure` of the protocol."""
        known = self._known.get(id(details))  # the details are kept with it, so nothing else can have their id
        if known is not None and known[0] is details:
            return known[1]
        code = details.error_code
        try:
            written = 200 if code is None else _STATUSES.get(code, 400), to_json(fields(details))
        except ValueError:
            written = 400, to_json(failure(ErrorCode.GENERAL, _UNWRITABLE, details.flag_key))
        if code is None:
            if details.generation != self._generation or len(self._known) >= _MOST_KNOWN:
                self._known, self._generation = {}, details.generation
            self._known[id(details)] = details, written
        return written

    def bulk(self, all_details: Iterable[EvaluationDetails], more: Mapping[str, Any]) -> bytes:
        """All evaluations. more: further members of the answer."""
        flags = b",".join([self.flag(each)[1] for each in all_details])
        rest = to_json(more)[1:] if more else b"}"
        return b'{"flags":[%b]%b%b' % (flags, b"," if more else b"", rest)


def fields(details: EvaluationDetails) -> dict[str, Any]:
    """An evaluation in the protocol's words.

    Without a value the client takes its own default. The variant is then an empty text and not left out, for there are
    clients that need one.
    """
    more = {"metadata": metadata} if (metadata := primitive(details.metadata)) else {}
    if details.error_code is not None:
        return failure(details.error_code, details.error_message or "no message", details.flag_key) | more
    value = {} if details.value is None else {"value": details.value}
    about = {"reason": str(details.reason), "variant": details.variant or ""}
    return {"key": details.flag_key, **value, **about, **more}


def failure(code: ErrorCode, message: str, flag_key: str | None = None) -> dict[str, Any]:
    """A failure in the protocol's words, of a flag or of the request."""
    key = {} if flag_key is None else {"key": flag_key}
    return {**key, "errorCode": str(code), "errorDetails": message}


def primitive(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The members of metadata that the protocol has room for: texts, numbers, true and false."""
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value))
    }


def to_json(value: Any) -> bytes:
    """Raises ValueError for a number that JSON cannot write."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def answer(status: int, body: bytes | Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON."""
    text = body if isinstance(body, bytes) else to_json(body)
    return Response(text, status, headers, media_type="application/json")


def tag(body: bytes) -> str:
    """The strong ETag of a body. The same whichever process or run has written it."""
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def matches(if_none_match: str, etag: str) -> bool:
    """Whether the header names the tag, weakly or not."""
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in if_none_match.split(","))
