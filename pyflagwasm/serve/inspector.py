"""The inspector: a page that evaluates all flags in the browser, by the very core that serves, and says why.

Here live the routes, and who may call them. What the page gets of a configuration is in inspector_tables.py, what it
asks while somebody types in inspector_answers.py; the page itself is in static/, and core.wasm is the package's.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ..config.document import STRICT
from ..evaluator import FlagEvaluator
from .inspector_answers import Question, Unusable, encoded, explained
from .inspector_tables import Tables
from .writing import matches

if TYPE_CHECKING:
    from ..generation import Generation

MOST_BYTES: Final = 512 << 10
"""The longest body that is read: a context, and the trace of an evaluation."""

_TYPES: Final = {"html": "text/html", "mjs": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def routes(evaluator: FlagEvaluator) -> list[BaseRoute]:
    """The inspector's routes for a Starlette application: the page is at `/inspector/`, wherever they are mounted.

    Make them before the evaluator is entered: what it loads from then on keeps what explanations need, twice the
    objects of a configuration. For what was loaded before, the page has values and no reasons.
    The page shows keys, values and rules to whoever can reach it: serve it to those who may know them. They do not look
    at `Host`, by which pages of others may reach one's own machine: there, use `application`, which does.
    """
    evaluator._intake.explaining = True
    inspector = _Inspector(evaluator)
    root = "/inspector"
    return [
        Route(root, _to_the_page),
        Route(f"{root}/", _file("inspector.html", "text/html; charset=utf-8")),
        *(
            Route(f"{root}/{name}", _file(name, f"{_TYPES[suffix]}; charset=utf-8"))
            for name, suffix in _static_files()
            if name != "inspector.html"
        ),
        Route(f"{root}/core.wasm", _file("core.wasm", "application/wasm")),
        Route(f"{root}/configuration", inspector.configuration),
        Route(f"{root}/encode", inspector.encode, methods=["POST"]),
        Route(f"{root}/explain", inspector.explain, methods=["POST"]),
    ]


# ---------------------------------------------------------------- files

_PACKAGE: Final = resources.files(__name__.partition(".")[0])
_STATIC: Final = _PACKAGE.joinpath("serve", "static")


def _static_files() -> list[tuple[str, str]]:
    names = sorted(file.name for file in _STATIC.iterdir())
    return [(name, suffix) for name in names if (suffix := name.rpartition(".")[2]) in _TYPES]


def _file(name: str, media_type: str) -> Callable[[Request], Response]:
    """The endpoint of a file of the package, read once."""
    data = (_PACKAGE if name == "core.wasm" else _STATIC).joinpath(name).read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'

    async def serve(request: Request) -> Response:
        return _tagged(request, data, media_type, tag, {})

    return serve  # type: ignore[return-value]


async def _to_the_page(request: Request) -> Response:
    """Relative, so that it is right behind any mount and proxy."""
    return RedirectResponse("inspector/", status_code=308, headers=_HEADERS)


def _tagged(request: Request, data: bytes, media_type: str, tag: str, more: dict[str, str]) -> Response:
    """The data, or 304 for who has it. To be asked for again each time: the server may be another version tomorrow."""
    headers = {**_HEADERS, "ETag": tag, "Cache-Control": "no-cache", **more}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type=media_type)


# ---------------------------------------------------------------- questions


class _Refused(Exception):
    """A request that is not answered: status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


class _Inspector:
    """The endpoints that look at the evaluator. The tables of the last generation are kept."""

    def __init__(self, evaluator: FlagEvaluator) -> None:
        self._evaluator = evaluator
        self._tables: Tables | None = None
        self._making = threading.Lock()

    async def configuration(self, request: Request) -> Response:
        """What the page needs to evaluate; 304 as long as that is what it has, 503 before there is any."""
        try:
            _same_origin(request)
            generation = self._evaluator._instances.generation
            if generation is None:
                raise _Refused(503, "no configuration is loaded yet")
            tables = await self._tables_of(generation)
        except _Refused as refused:
            return _json({"error": refused.why}, refused.status)
        more = {"Pyflagwasm-Generation": str(generation.number)}
        return _tagged(request, tables.body, "application/json", f'"{tables.tag}"', more)

    async def encode(self, request: Request) -> Response:
        """The requests of contexts that only this side can encode."""
        return await self._answer(request, encoded)

    async def explain(self, request: Request) -> Response:
        """The trace that the browser's core gave, in words, and whether the server's own gives the same."""
        return await self._answer(request, explained)

    async def _answer(self, request: Request, answer: Callable[[Question], Any]) -> Response:
        try:
            _same_origin(request)
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                raise _Refused(415, "the body must be application/json")
            data = await _body(request)
            with self._evaluator.pin() as pinned:
                generation = pinned._instances.generation
                if generation is None:
                    raise _Refused(503, "no configuration is loaded yet")
                tables = await self._tables_of(generation)

                def work() -> Any:
                    asked = _object(data)
                    if asked.get("tag") != tables.tag:
                        raise _Refused(409, "another configuration is live by now")
                    return answer(Question(asked, len(data), generation, pinned._instances))

                return _json(await run_in_threadpool(work))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Unusable as unusable:
            return _json({"error": str(unusable)}, 400)
        except _Refused as refused:
            return _json({"error": refused.why}, refused.status)

    async def _tables_of(self, generation: Generation) -> Tables:
        tables = self._tables
        if tables is None or tables.generation is not generation:
            tables = await run_in_threadpool(self._made, generation)
        return tables

    def _made(self, generation: Generation) -> Tables:
        with self._making:  # all pages ask at once after a swap
            tables = self._tables
            if tables is None or tables.generation is not generation:
                tables = self._tables = Tables(generation)
            return tables


def _same_origin(request: Request) -> None:
    """Refuses what a page of somebody else's makes a browser send. Who is no browser says nothing of either."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if site is None and origin is not None:
        foreign = urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    if foreign:
        raise _Refused(403, "the inspector answers its own page only")


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise _Refused(413, f"the body has more than {MOST_BYTES >> 10} KiB")
        parts.append(part)
    return b"".join(parts)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = STRICT.decode(data.decode())
    except (ValueError, RecursionError) as error:  # UnusableNumber is a ValueError
        why = "nested too deep" if isinstance(error, RecursionError) else str(error)
        raise Unusable(f"the body is not JSON: {why}") from None
    if not isinstance(found, dict):
        raise Unusable("the body must be an object")
    return found


def _json(content: Any, status: int = 200) -> Response:
    data = json.dumps(content, separators=(",", ":")).encode()  # ASCII: keys may have lone surrogates
    headers = {**_HEADERS, "Cache-Control": "no-store"}
    return Response(data, status_code=status, headers=headers, media_type="application/json")
