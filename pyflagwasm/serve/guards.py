"""Who may ask: the names by which the server may be called, and the token. What is asked is not looked at here.

`/healthz` is for everybody: those who look after a process have neither.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from hmac import compare_digest
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..types import ErrorCode
from .events import PATH, key_in, key_of
from .writing import answer, failure

HEALTH: Final = "/healthz"
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
ANY: Final = "*"
_HOST: Final = re.compile(r"(?:\[([^]]*)\]|([^:\[]*))(?::\d*)?", re.ASCII)


class Hosts:
    """Refuses requests for other hosts: a page of somebody else's, whose name leads here, has its own in `Host`."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str]) -> None:
        self._app = app
        self._hosts = frozenset(each.lower().strip("[]") for each in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan" and ANY not in self._hosts and _path(scope) != HEALTH:
            named = [value for name, value in scope["headers"] if name == b"host"]
            if len(named) != 1 or _host(named[0]) not in self._hosts:
                said = named[0].decode("latin-1")[:80] if named else ""
                message = f"not served for the host {said!r}: add it to `hosts` (on the command line: --public)"
                await _refuse(answer(403, failure(ErrorCode.GENERAL, message)), scope, receive, send)
                return
        await self._app(scope, receive, send)


class Token:
    """Refuses requests without the token: as a bearer's, in X-API-Key, or as the password that a browser asks for."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token, self._key = app, token.encode(), key_of(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = _path(scope)
        if scope["type"] == "lifespan" or path == HEALTH or self._knows(scope, path):
            await self._app(scope, receive, send)
            return
        challenge = "Bearer" if path.startswith("/ofrep/") else 'Basic realm="pyflagwasm", charset="UTF-8"'
        refused = failure(ErrorCode.GENERAL, "the token is missing or wrong: send Authorization: Bearer TOKEN")
        await _refuse(answer(401, refused, {"WWW-Authenticate": challenge}), scope, receive, send)

    def _knows(self, scope: Scope, path: str) -> bool:
        if path == PATH and compare_digest(key_in(scope).encode(), self._key.encode()):
            return True
        return any(compare_digest(given, self._token) for given in _given(scope))


def _given(scope: Scope) -> Iterable[bytes]:
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            yield value.strip()
        elif name == b"authorization":
            scheme, _, rest = value.strip().partition(b" ")
            if scheme.lower() == b"bearer":
                yield rest.strip()
            elif scheme.lower() == b"basic":
                try:
                    yield base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
                except binascii.Error:
                    pass


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await refusal(scope, receive, send)


def _path(scope: Scope) -> str:
    """The path within this application, wherever it is mounted."""
    path: str = scope.get("path", "")
    return path.removeprefix(scope.get("root_path", ""))


def _host(header: bytes) -> str:
    """The name in a Host header, without the port; empty if it is malformed."""
    found = _HOST.fullmatch(header.decode("latin-1").lower())
    return "" if found is None else found[1] or found[2]
