"""Flags in FastAPI: as a dependency, and as a condition of a route. The lifespan and the middleware are starlette.py's.

    app = FastAPI(lifespan=lifespan(pyflagwasm.open("flags.json")))
    app.add_middleware(FlagsMiddleware, context=who)

    @app.get("/checkout", dependencies=[Depends(requires_flag("new-checkout"))])
    async def checkout(flags: Flags) -> str: ...

Tests replace the flags by `app.dependency_overrides[get_flags] = lambda: RequestFlags(evaluator, {...})`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeAlias

from ..extras import missing
from ..once import Once
from ..types import ErrorCode

try:
    from fastapi import Depends, HTTPException
    from fastapi.requests import HTTPConnection
except ImportError as error:
    raise missing("the FastAPI integration", "fastapi", "fastapi") from error
from .requests import RequestFlags, current
from .starlette import STATE, ContextOf, FlagsMiddleware, flags, lifespan

__all__ = [
    "STATE", "ContextOf", "Flags", "FlagsMiddleware", "RequestFlags", "current", "flags", "get_flags", "lifespan",
    "requires_flag",
]  # fmt: skip

_LOG: Final = logging.getLogger("pyflagwasm")


async def get_flags(connection: HTTPConnection) -> RequestFlags:
    """The dependency that gives the flags of the request or websocket; see `starlette.flags`."""
    return flags(connection)


Flags: TypeAlias = Annotated[RequestFlags, Depends(get_flags)]
"""The flags of the request, as a parameter: `async def handle(flags: Flags)`."""


def requires_flag(
    flag_key: str, default: bool = False, *, status: int = 404, detail: str | None = None
) -> Callable[..., Awaitable[None]]:
    """A dependency that lets a request pass if a boolean flag is true, and answers with `status` otherwise.

    For a route, a router or the whole application: `dependencies=[Depends(requires_flag("new-checkout"))]`. It is for
    switches, no substitute for authorization: an error of the flag gives the default, and one that is no boolean, or
    that there is not, is logged once. detail: of the HTTPException; by
    default the words of the status, which name no flag. Depends on `get_flags`, and so follows its override.
    """
    if not isinstance(default, bool):
        raise TypeError(f"requires_flag({flag_key!r}): the default is true or false, not {type(default).__name__}")

    once = Once()

    async def required(flags: Flags) -> None:
        details = flags.details(flag_key, default)
        if details.error_code is ErrorCode.TYPE_MISMATCH and once(flag_key):
            passes = "let through" if default else f"answered with {status}"
            _LOG.warning("requires_flag(%r): %s: requests are %s", flag_key, details.error_message, passes)
        if not details.value:
            raise HTTPException(status, detail)

    return required
