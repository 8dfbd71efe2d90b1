"""The sources that callers write: what is offered, what is told of errors, when they are called and how they end."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from loops import RecordingSink, every_loop, run_on

from pyflagwasm.sources.base import Document
from pyflagwasm.sources.given import CallableSource, Given, IteratorSource


class Awaited:
    """An object that is called, and async."""

    def __init__(self, function: Callable[[], Given]) -> None:
        self.function = function

    async def __call__(self) -> Given:
        return self.function()


async def awaited(function: Callable[[], Given]) -> Given:
    return function()


CALLED: dict[str, Callable[[Callable[[], Given]], Any]] = {
    "sync": lambda function: function,
    "async": lambda function: functools.partial(awaited, function),
    "object": Awaited,
    "sync that gives an awaitable": lambda function: lambda: awaited(function),
}


@every_loop
@pytest.mark.parametrize("kind", CALLED)
def test_a_function(loop: str, kind: str) -> None:
    signed = Document(b"5", "elsewhere", "signature")

    async def main() -> None:
        given: list[Any] = [b"1", b"1", None, "2", ValueError("no\nluck"), 3, b"bad", "2", bytearray(b"4"), signed]
        left = iter(given)
        threads = set()

        def function() -> Given:
            threads.add(threading.current_thread())
            item = next(left)
            if isinstance(item, Exception):
                raise item
            return item

        sink = RecordingSink(lambda document: document.data != b"bad")
        source = CallableSource(CALLED[kind](function), interval=0.001, name="mine")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(source.run, sink)
            await sink.until(lambda: len(sink.failures) > 4)
            tasks.cancel_scope.cancel()
        assert [document.data for document in sink.offered] == [b"1", b"2", b"bad", b"4", b"5"]
        assert sink.offered[0] == Document(b"1", "mine")
        assert sink.offered[-1] is signed
        assert sink.confirmed == 3
        assert sink.failures[0] == "ValueError: no luck"
        assert sink.failures[1] == "TypeError: bytes, str, Document or None was to be given, not int"
        assert len(sink.failures) > 4  # the exhausted iterator, again and again
        assert (threading.current_thread() in threads) == (kind != "sync")

    run_on(loop, main)


@every_loop
def test_the_interval(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        waited: list[float] = []
        enough = anyio.Event()

        async def sleep(seconds: float) -> None:
            waited.append(seconds)
            if len(waited) == 200:
                enough.set()
            await anyio.lowlevel.checkpoint()

        monkeypatch.setattr("pyflagwasm.sources.given.anyio.sleep", sleep)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(CallableSource(Awaited(lambda: None)).run, RecordingSink())
            await enough.wait()
            tasks.cancel_scope.cancel()
        monkeypatch.undo()
        assert 27 <= min(waited) < 28.5
        assert 31.5 < max(waited) <= 33

    run_on(loop, main)


@every_loop
def test_a_function_that_hangs_holds_nobody(loop: str) -> None:
    release = threading.Event()

    async def main() -> None:
        called = anyio.Event()

        def hang() -> Given:
            anyio.from_thread.run_sync(called.set)
            release.wait(30)
            return None

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(CallableSource(hang).run, RecordingSink())
                await called.wait()
                tasks.cancel_scope.cancel()
        release.set()

    run_on(loop, main)


def test_names_and_wrong_arguments() -> None:
    async def documents() -> AsyncIterator[Given]:
        yield b""

    assert CallableSource(test_names_and_wrong_arguments).name == "test_names_and_wrong_arguments"
    assert CallableSource(Awaited(lambda: b"")).name == "Awaited"
    assert IteratorSource(documents).name == "documents"
    assert IteratorSource(documents(), name="mine").name == "mine"
    with pytest.raises(ValueError, match="interval"):
        CallableSource(lambda: b"", interval=0)
    with pytest.raises(TypeError):
        IteratorSource([b""])  # type: ignore[arg-type]


@every_loop
def test_an_iterator(loop: str) -> None:
    closed = []

    async def documents() -> AsyncIterator[Given]:
        try:
            yield b"1"
            yield b"1"
            yield None
            yield "2"
        finally:
            closed.append(True)

    source, once = IteratorSource(documents), IteratorSource(documents())

    async def main() -> None:
        sink = RecordingSink()
        for again in (source, source, once, once):
            await again.run(sink)
        assert sink.accepted == [b"1", b"1", b"2"] * 3
        assert sink.confirmed == 3
        assert sink.failures == []
        assert len(closed) == 3

    run_on(loop, main)


@every_loop
def test_an_iterator_that_fails(loop: str) -> None:
    async def raises() -> AsyncIterator[Given]:
        yield b"1"
        raise OSError("gone")

    async def wrong() -> AsyncIterator[Any]:
        yield 1

    def none() -> Any:
        return [b"1"]

    async def main() -> None:
        sink = RecordingSink()
        for function in (raises, wrong, none):
            await IteratorSource(function).run(sink)
        assert sink.accepted == [b"1"]
        assert [failure.split(":")[0] for failure in sink.failures] == ["OSError", "TypeError", "TypeError"]

    run_on(loop, main)


@every_loop
@pytest.mark.parametrize("where", ["in the iterator", "in the sink"])
@pytest.mark.parametrize("raising", [False, True])
def test_a_cancelled_iterator_is_closed(loop: str, where: str, raising: bool) -> None:
    async def main() -> None:
        started, closed = anyio.Event(), anyio.Event()

        async def documents() -> AsyncIterator[Given]:
            try:
                if where == "in the sink":
                    yield b"1"
                started.set()
                await anyio.sleep_forever()
                yield b"2"
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                closed.set()
                if raising and where == "in the sink":
                    raise OSError("while it was closed")

        class Slow(RecordingSink):
            async def offer(self, document: Document) -> Any:
                started.set()
                await anyio.sleep_forever()

        sink = Slow()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(IteratorSource(documents).run, sink)
            await started.wait()
            tasks.cancel_scope.cancel()
        assert closed.is_set()
        assert sink.failures == (["OSError: while it was closed"] if raising and where == "in the sink" else [])

    run_on(loop, main)


@every_loop
def test_closing_is_bounded(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyflagwasm.sources.given.CLOSING", 0.05)

    async def main() -> None:
        offered = anyio.Event()

        async def documents() -> AsyncIterator[Given]:
            try:
                yield b"1"
            finally:
                await anyio.sleep_forever()

        class Slow(RecordingSink):
            async def offer(self, document: Document) -> Any:
                offered.set()
                await anyio.sleep_forever()

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(IteratorSource(documents).run, Slow())
                await offered.wait()
                tasks.cancel_scope.cancel()

    run_on(loop, main)
