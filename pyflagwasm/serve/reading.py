"""The evaluation context of a request: its body, read with a cap and strictly.

Members that are given twice: the last one counts. A context that is missing or null is an empty one. Whether its
attributes can be used is the evaluation's matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.requests import Request

from ..config.document import STRICT, UnusableNumber, kind
from ..types import ErrorCode

MOST: Final = 1 << 20
"""The bytes of the largest body. What the rules read of a context is at most 128 KiB."""

_MOST_DRAINED: Final = 16 << 20  # so much is read and thrown away, for the client to come round to reading the answer
_TOO_MUCH: Final = f"the body has more than {MOST >> 10} KiB"
_JSON: Final = re.compile(r"application/(?:[\w.+-]+\+)?json", re.ASCII)


class Refused(Exception):
    """A request that is not evaluated: the status, and the protocol's code and words.

    abandoned: whether there is more of the body, which nobody is going to read.
    """

    def __init__(self, status: int, code: ErrorCode, message: str, abandoned: bool = False) -> None:
        self.status, self.code, self.message = status, code, message
        self.headers = {"Connection": "close"} if abandoned else {}
        super().__init__(message)


async def context_of(request: Request) -> Mapping[str, Any]:
    """The context. Raises Refused, or ClientDisconnect if the client is gone."""
    headers = request.headers
    media = headers.get("content-type", "")
    if not _JSON.fullmatch(media.partition(";")[0].strip().lower()):
        raise _refused(415, f"the body must be JSON: send Content-Type: application/json, not {media[:80] or 'none'!r}")
    if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise _refused(415, "the body must not be compressed")
    return _context(await _body(request))


async def _body(request: Request) -> bytes:
    size, chunks = 0, []
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > _MOST_DRAINED:
        raise Refused(413, ErrorCode.PARSE_ERROR, _TOO_MUCH, abandoned=True)
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MOST:
            chunks.append(chunk)
        elif size > _MOST_DRAINED:
            break
    if size > MOST:
        raise Refused(413, ErrorCode.PARSE_ERROR, _TOO_MUCH, abandoned=size > _MOST_DRAINED)
    return b"".join(chunks)


def _context(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        raise _refused(400, 'there is no body: send {"context": {"targetingKey": ...}}')
    try:
        document = STRICT.decode(body.decode())
    except UnicodeDecodeError as error:
        raise _refused(400, f"the body is not UTF-8: byte {error.start + 1}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _refused(400, f"the body is not valid JSON: {error.msg} at {where}") from None
    except UnusableNumber as error:
        raise _refused(400, f"the body: {str(error).rstrip(',')}") from None
    except RecursionError:
        raise _refused(400, "the body is nested too deep") from None
    if not isinstance(document, dict):
        raise _refused(400, f"the body must be an object, not {kind(document)}")
    context = document.get("context")
    if context is None:
        return {}
    if not isinstance(context, dict):
        raise Refused(400, ErrorCode.INVALID_CONTEXT, f"the context must be an object, not {kind(context)}")
    return context


def _refused(status: int, message: str) -> Refused:
    return Refused(status, ErrorCode.PARSE_ERROR, message)
