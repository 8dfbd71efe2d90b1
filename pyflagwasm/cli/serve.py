"""`pyflagwasm serve`: a configuration behind HTTP, followed as it changes, until the process is told to end.

Here live the arguments, the socket and the life of the server; what it answers is the package serve's.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from ..extras import missing
from .arguments import Add
from .input import json_object
from .output import SOUND, BadInput, tell

if TYPE_CHECKING:
    from ..evaluator import FlagEvaluator

TOKEN: Final = "PYFLAGWASM_TOKEN"
_PORT: Final = 8016
_SIGNALS: Final = [signal.SIGINT, signal.SIGTERM]
_PATIENCE: Final = 2.0  # seconds for a first answer of a URL, before requests are answered without one
_GRACE: Final = 5  # seconds for requests that are being answered when the process is told to end
_USAGE: Final = "[--host HOST] [--port PORT] [--public] [--cors ORIGIN]... [--[no-]inspector] [--[no-]watch]"
_NOTES: Final = f"""\
Without --public only this machine can ask. With {TOKEN} in the environment, every request must bring that token,
as Authorization: Bearer TOKEN, but /healthz. GET /healthz tells how it is.

"""


def add_commands(add: Add) -> None:
    """Adds the command."""
    serve = add(
        "serve",
        "answer OFREP, OpenFeature's remote evaluation protocol, and show the flags",
        _USAGE,
        notes=_NOTES,
        config="a file, a URL, or a bundled one: example:flagd, example:devcycle",
    )
    serve.add_argument(
        "--host", metavar="HOST", help="what to listen on; default: 127.0.0.1, with --public all addresses"
    )
    serve.add_argument("--port", metavar="PORT", type=int, default=_PORT, help=f"default: {_PORT}; 0 for a free one")
    serve.add_argument("--public", action="store_true", help="let other machines ask; without the inspector by default")
    serve.add_argument(
        "--cors", metavar="ORIGIN", action="append", default=[], help="an origin whose pages may ask; or *, for all"
    )
    optional = argparse.BooleanOptionalAction
    serve.add_argument(
        "--inspector", action=optional, help="a page about the flags at /inspector/; default: unless --public"
    )
    serve.add_argument("--watch", action=optional, default=True, help="follow the file as it changes (default)")


def run(arguments: argparse.Namespace) -> int:
    """Runs it until a signal comes; the exit code."""
    try:
        import uvicorn

        from ..serve import application
        from ..serve.guards import ANY, LOOPBACK
    except ModuleNotFoundError as error:
        if error.name != "uvicorn":
            raise
        raise BadInput(str(missing("the command serve", "uvicorn", "serve"))) from None
    except ImportError as error:
        raise BadInput(str(error)) from None
    import anyio

    token, origins = _token(), [_origin(each) for each in arguments.cors]
    host = arguments.host or ("" if arguments.public else "127.0.0.1")
    evaluator = _opened(arguments)
    with _logging(), _listening(host, arguments.port, arguments.public) as listener:
        inspector = not arguments.public if arguments.inspector is None else arguments.inspector
        hosts = [ANY] if arguments.public else [*LOOPBACK, host]
        app = application(evaluator, inspector=inspector, token=token, cors=origins, hosts=hosts)

        class Server(uvicorn.Server):
            """Ends with the exit code of the program, not with the signal once more."""

            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                if threading.current_thread() is not threading.main_thread():
                    yield
                    return
                before = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
                try:
                    yield
                finally:
                    for each, handler in before.items():
                        signal.signal(each, handler)

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                tell(_serving(arguments, listener, inspector, token is not None))
                _tell_waiting(evaluator)

        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=_GRACE,
        )

        async def serving() -> None:
            async with AsyncExitStack() as stack:
                try:
                    await stack.enter_async_context(evaluator)
                except (ValueError, ImportError) as error:  # PYFLAGWASM_HOST; what HttpSource needs
                    raise BadInput(str(error)) from None
                await Server(config).serve([listener])

        anyio.run(serving, backend_options={"loop_factory": config.get_loop_factory()})
    return SOUND


def _token() -> str | None:
    token = os.environ.get(TOKEN)
    if token is not None and not token.strip():
        raise BadInput(f"{TOKEN} is empty: give a token, or unset it")
    try:
        (token or "").encode()
    except UnicodeEncodeError:
        raise BadInput(f"{TOKEN} is not UTF-8: give another token") from None
    return token


def _origin(text: str) -> str:
    origin = text.lower()  # as browsers send it
    try:
        parts = urlsplit(origin)
        named = bool(parts.hostname) and parts.port != 0
        good = named and parts.scheme in ("http", "https") and origin == f"{parts.scheme}://{parts.netloc}"
    except ValueError:  # of a bracket or a port
        good = False
    if origin.endswith("/") and urlsplit(origin.rstrip("/")).netloc and origin.count("/") == 3:
        raise BadInput(f"--cors: {text!r} is an origin but for the slash at its end: write {text[:-1]!r}")
    if origin != "*" and not good:
        raise BadInput(f"--cors: {text!r} is not an origin such as https://shop.example, without a path; or *")
    return origin


# ---------------------------------------------------------------- the configuration


def _opened(arguments: argparse.Namespace) -> FlagEvaluator:
    """The evaluator, not entered yet."""
    from ..evaluator import open
    from ..loading import EXAMPLE
    from ..sources.file import FileSource
    from ..sources.http import HttpSource

    options = None if arguments.options is None else json_object(arguments.options, "--options")
    new = partial(open, format=arguments.format, options=options)
    config: str = arguments.config
    if config.startswith(("http://", "https://")):
        try:
            return new(HttpSource(config), start_timeout=_PATIENCE)
        except ValueError as error:
            raise BadInput(f"CONFIG: {error}") from None
    if config.startswith(EXAMPLE) or not arguments.watch:
        return new(config)
    return new(FileSource(config), bundled=config)


# ---------------------------------------------------------------- the socket


@contextmanager
def _listening(host: str, port: int, public: bool) -> Iterator[socket.socket]:
    """A bound socket. host: empty for all addresses."""
    if not 0 <= port <= 65535:
        raise BadInput(f"--port: must be from 0 to 65535, not {port}")
    where = f"{host or 'all addresses'}, port {port}"
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise BadInput(f"--host: {host!r} cannot be found: {getattr(error, 'strerror', None) or error}") from None
    # Of all addresses, those of IPv6 take IPv4 as well; of a name, IPv4 first.
    both = not host and socket.has_dualstack_ipv6()
    family, _, _, _, address = next((each for each in found if both == (each[0] == socket.AF_INET6)), found[0])
    if not public and not ipaddress.ip_address(address[0]).is_loopback:
        raise BadInput(f"--host: other machines reach {host}: say --public if they are to ask")
    try:
        listener = socket.create_server(address, family=family, dualstack_ipv6=both and family == socket.AF_INET6)
    except OSError as error:
        raise BadInput(f"cannot listen on {where}: {os.strerror(error.errno) if error.errno else error}") from None
    with listener:
        yield listener


def _serving(arguments: argparse.Namespace, listener: socket.socket, inspector: bool, token: bool) -> str:
    """The one line that is printed."""
    from ..sources.http_fetch import shown

    host, port = listener.getsockname()[:2]
    if arguments.public and not arguments.host:
        host = socket.gethostname()
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    config = shown(arguments.config) if "://" in arguments.config else arguments.config
    page = f", the inspector at {url}/inspector/" if inspector else ""
    warning = "; everybody who reaches it may ask" if arguments.public and not token else ""
    return f"{config}: OFREP at {url}{page}{warning}"


def _tell_waiting(evaluator: FlagEvaluator) -> None:
    """Says so if there is nothing to answer from and the source has not said why."""
    statistics = evaluator.statistics()
    if not statistics.generation and statistics.source and statistics.source.cause is None:
        tell(f"nothing has come from {statistics.source.name} yet: no flag is ready until something does")


@contextmanager
def _logging() -> Iterator[None]:
    """What the library logs, for people: sources that fail, and are well again."""
    log, handler = logging.getLogger("pyflagwasm"), logging.StreamHandler()
    handler.setFormatter(logging.Formatter("pyflagwasm: %(message)s"))
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)
