"""A browser and a server for tests of the inspector's page."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette

import pyflagwasm
from pyflagwasm.evaluator import FlagEvaluator
from pyflagwasm.serve.inspector import routes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("PYFLAGWASM_CHROMIUM") or shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="the page needs a browser: chromium on PATH, or its path in PYFLAGWASM_CHROMIUM"
)
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run",
)  # fmt: skip
WAIT_MS = 20_000


@contextmanager
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        try:
            yield found
        finally:
            found.close()


class _Server(uvicorn.Server):
    """Says when it has begun, or has ended before."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.begun.set()


@contextmanager
def serving(source: Any, **options: Any) -> Iterator[tuple[FlagEvaluator, str]]:
    """The evaluator, open in a thread of its own, and the address of its page."""
    evaluator = pyflagwasm.open(source, **options)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        async with evaluator:
            yield

    app = Starlette(routes=routes(evaluator), lifespan=lifespan)
    server = _Server(uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert server.begun.wait(20)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield evaluator, f"http://127.0.0.1:{port}/inspector/"
    finally:
        server.should_exit = True
        thread.join(20)


@contextmanager
def visit(chromium: Browser, address: str, **options: Any) -> Iterator[Page]:
    """The page, once it has answered. Whatever it complains of, or asks of another host, fails the test."""
    page = chromium.new_page(**options)
    page.set_default_timeout(WAIT_MS)
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: request.url.startswith(address) or complaints.append(request.url))
    try:
        page.goto(address)
        page.wait_for_selector("#main[data-answered]")
        yield page
    finally:
        page.close()
    assert complaints == []


def type_context(page: Page, text: str) -> None:
    """What was typed was answered when this returns."""
    page.fill("#context", text)
    has(page, "#main", "data-answered", text)


def choose(page: Page, key: str) -> None:
    """The flag is explained when this returns."""
    rows = "[...document.querySelectorAll('#flags li')]"
    page.evaluate(f"key => {rows}.find((row) => row.dataset.key === key).click()", key)
    explained(page, key)


def explained(page: Page, key: str) -> None:
    text = page.input_value("#context")
    has(page, "#detail", "data-explained", page.evaluate("both => JSON.stringify(both)", [key, text]))


def has(page: Page, selector: str, attribute: str, value: str) -> None:
    """Waits for it. Not by wait_for_function: that evaluates text in the page, which its policy forbids."""
    from playwright.sync_api import expect

    expect(page.locator(selector)).to_have_attribute(attribute, value, timeout=WAIT_MS)


def answers(page: Page) -> dict[str, tuple[str, str, str]]:
    """By flag the value, the variant and the reason or error, as they stand in the list."""
    rows = page.evaluate(
        """[...document.querySelectorAll('#flags li')].map((row) => [row.dataset.key,
            ...['value', 'variant', 'reason'].map((name) => row.querySelector('.' + name).textContent)])"""
    )
    return {key: tuple(rest) for key, *rest in rows}


def counts(page: Page, people: int) -> dict[str, int]:
    """How the population splits, once all of it was evaluated."""
    has(page, "#split", "data-done", str(people))
    rows = page.evaluate(
        "[...document.querySelectorAll('#split tr')].map((row) => [row.dataset.answer, row.dataset.count])"
    )
    return {answer: int(count) for answer, count in rows}
