"""For how long the HTTP source waits: between polls, during an outage, and because a server asks for it."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import anyio
import anyio.lowlevel
import misbehaving_server as bad
import pytest
from http_sources import ONE, TWO, TimedSink, deliver, source
from loops import run_on
from misbehaving_server import Server, answer

from pyflagwasm.sources.http import _Polling


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """For how long a source would wait, at most and at least. It does not."""
    recorded: list[tuple[float, float]] = []

    async def pause(_: object, delay: float, quiet: float) -> None:
        recorded.append((delay, quiet))
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(_Polling, "_pause", pause)
    return recorded


@pytest.mark.parametrize("fault", [bad.reset, 500, 408, 404, 401])
@pytest.mark.parametrize("interval", [3.0, 600.0])
def test_waits_during_an_outage(pauses: list[tuple[float, float]], fault: Any, interval: float) -> None:
    faults = [answer(status=fault) if isinstance(fault, int) else fault] * 8
    with Server(answer(ONE), *faults, answer(ONE), *faults, otherwise=answer(ONE)) as server:
        deliver(server, lambda sink: len(sink.offered) >= 3, interval=interval)
    least, most = 0.9 * interval, 1.1 * interval
    for first in (1, 10):
        for step, (delay, quiet) in enumerate(pauses[first : first + 8]):
            usual = min(2**step, 30)
            if fault not in (404, 401):
                assert min(usual / 2, least) <= delay <= min(usual * 1.5, 30, most)
            else:
                assert least <= delay <= most
            assert quiet == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999999999999999", 3600),
        ("9" * 5000, 3600),
        ("Tue, 01 Sep 2026 10:02:00 GMT", 120),
        ("Tue, 01 Sep 2026 09:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("\xb2", 0),
    ],
)
def test_retry_after(pauses: list[tuple[float, float]], status: int, retry_after: str, seconds: float) -> None:
    busy = answer(status=status, retry_after=retry_after, date="Tue, 01 Sep 2026 10:00:00 GMT")
    with Server(answer(ONE), busy, otherwise=answer(TWO)) as server:
        deliver(server, lambda sink: len(sink.offered) >= 2, interval=30.0)
    delay, quiet = pauses[1]
    usual = (27, 33) if status == 429 else (0.5, 1.5)
    assert max(seconds, usual[0]) <= delay <= max(seconds, usual[1])
    assert quiet == max(seconds, 1)  # not even a hint shortens it


def test_retry_after_by_the_clock_of_this_machine(pauses: list[tuple[float, float]]) -> None:
    until = email.utils.formatdate(time.time() + 300, usegmt=True)
    with Server(answer(status=503, retry_after=until), otherwise=answer(TWO)) as server:
        deliver(server, lambda sink: bool(sink.offered))
    assert 290 < pauses[0][0] <= 300


def test_other_answers_cannot_ask_for_quiet(pauses: list[tuple[float, float]]) -> None:
    with Server(answer(status=404, retry_after=3000), otherwise=answer(TWO)) as server:
        deliver(server, lambda sink: bool(sink.offered), interval=30.0)
    assert pauses[0][0] <= 33


def test_clients_that_start_together_spread(pauses: list[tuple[float, float]]) -> None:
    """Over four fifths of the interval and more, after the first poll."""

    async def scenario() -> None:
        for _ in range(200):
            sink = TimedSink()
            async with anyio.create_task_group() as group:
                group.start_soon(_Polling(source("http://h/", interval=30.0), sink, Unchanging()).run)  # type: ignore[arg-type]
                await sink.until(lambda sink=sink: sink.confirmed >= 1)
                group.cancel_scope.cancel()

    class Unchanging:
        async def fetch(self, known: object) -> None:
            await anyio.lowlevel.checkpoint()

    run_on("asyncio", scenario)
    first = sorted(delay for delay, _ in pauses)
    assert first[-1] - first[0] > 0.8 * 30
