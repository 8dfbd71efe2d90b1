"""What an evaluator counts, exactly, and how its sinks come by it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from evaluators import FLAGD, ON_OFF, devcycle, document, flag
from http_sources import SOON
from loops import every_loop, run_on
from misbehaving_server import Server, answer

import pyflagwasm
from pyflagwasm import ErrorCode, EvaluationDetails, Hook
from pyflagwasm.exposures.counting import Batch
from pyflagwasm.exposures.sinks import CallbackSink, HttpSink, JsonLinesSink
from pyflagwasm.hooks import HookContext

PRO = {"plan": "pro", "targetingKey": "u"}
Counts = Counter[tuple[str, str, str | None, str]]


class Collecting:
    def __init__(self) -> None:
        self.batches: list[Batch] = []

    async def send(self, batch: Batch) -> None:
        self.batches.append(batch)

    @property
    def counts(self) -> Counts:
        found: Counts = Counter()
        for batch in self.batches:
            for each in batch.exposures:
                found[each.kind, each.flag_key, each.variant, each.reason] += each.count
        return found


def test_every_evaluation_counts_once() -> None:
    sink = Collecting()

    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[sink]) as flags, flags.pin() as pinned, flags.lease() as leased:
            for asked in (flags, pinned, leased):
                await asked.value("plan", PRO, default=False)
                await asked.details("plan", PRO, False)
                asked.value_nowait("plan", PRO, default=False)
                asked.details_nowait("plan", PRO, False)
                bound = asked.bind(PRO)
                bound.value("plan", False)
                bound.details("plan", False)
                assert bound.all()["plan"] is True  # of which nobody knows what is looked at
            assert flags.statistics().exposures is not None
            assert flags.statistics().exposures.recorded == 0  # type: ignore[union-attr]
        statistics = flags.statistics().exposures
        assert statistics is not None
        assert (statistics.recorded, statistics.sent, statistics.pending, statistics.dropped) == (18, 18, 0, 0)

    run_on("asyncio", scenario)
    assert sink.counts == {("evaluated", "plan", "on", "TARGETING_MATCH"): 18}
    (batch,) = sink.batches
    assert {(each.generation, each.metadata["owner"]) for each in batch.exposures} == {(1, "billing")}
    assert batch.since <= batch.until


def test_defaults_count_by_their_reason() -> None:
    sink = Collecting()

    async def scenario() -> None:
        flags = pyflagwasm.open(FLAGD, exposures=[sink])
        flags.value_nowait("plan", PRO, default=False)
        async with flags:
            for strict in (False, True):
                for key, context, default in (
                    ("absent", PRO, False),
                    ("plan", PRO, "text"),
                    ("plan", {"plan": object()}, False),
                ):
                    try:
                        await flags.value(key, context, default=default, strict=strict)
                    except pyflagwasm.EvaluationError:
                        assert strict
            await flags.value("none", PRO, default=False)
            await flags.value("disabled", PRO, default=False)
            await flags.value("plan", {}, default=False)
            await flags.value("bool", {}, default=False)
            await flags.reload(devcycle("Boolean", True))
            await flags.value("v", {}, default=False)

    run_on("asyncio", scenario)
    assert sink.counts == {
        ("defaulted", "plan", None, "PROVIDER_NOT_READY"): 1,
        ("defaulted", "absent", None, "FLAG_NOT_FOUND"): 2,
        ("defaulted", "plan", None, "TYPE_MISMATCH"): 2,
        ("defaulted", "v", None, "TARGETING_KEY_MISSING"): 1,
        ("defaulted", "plan", None, "INVALID_CONTEXT"): 2,
        ("defaulted", "none", None, "DEFAULT"): 1,
        ("defaulted", "disabled", None, "DISABLED"): 1,
        ("evaluated", "plan", "off", "DEFAULT"): 1,
        ("evaluated", "bool", "on", "STATIC"): 1,
    }


def test_a_default_for_want_of_an_instance_counts() -> None:
    sink = Collecting()

    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[sink], size=1, timeout=0.01) as flags, flags.lease():
            assert await flags.value("plan", PRO, default=False) is False
            assert flags.value_nowait("plan", PRO, default=False) is False
            assert flags.bind(PRO).value("plan", False) is False

    run_on("asyncio", scenario)
    assert sink.counts == {("defaulted", "plan", None, "GENERAL"): 3}


@pytest.mark.parametrize("key", [None, 5, [1], {}, b"plan", "x" * 1_000, "\ud800"])
def test_what_is_no_flag_does_not_raise_because_it_is_counted(key: Any) -> None:
    sink = Collecting()

    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[sink]) as flags:
            assert flags.details_nowait(key, PRO, 1).error_code is ErrorCode.FLAG_NOT_FOUND
            assert flags.bind(PRO).value(key, 1) == 1
            assert await flags.value(key, PRO, default=1) == 1
        statistics = flags.statistics().exposures
        assert statistics is not None
        assert (statistics.recorded, statistics.sent + statistics.dropped) == (3, 3)

    run_on("asyncio", scenario)


def test_generations_are_told_apart() -> None:
    sink = Collecting()

    async def scenario() -> None:
        async with pyflagwasm.open(document(f=flag(ON_OFF, "on")), exposures=[sink]) as flags:
            for variant in ("off", "on"):
                flags.value_nowait("f", default=True)
                await flags.reload(document(f=flag(ON_OFF, variant)))
            flags.value_nowait("f", default=True)

    run_on("asyncio", scenario)
    assert [(each.variant, each.generation, each.count) for each in sink.batches[0].exposures] == [
        ("on", 1, 1),
        ("off", 2, 1),
        ("on", 3, 1),
    ]


@every_loop
def test_counts_are_exact_with_threads_and_tasks(loop: str) -> None:
    """While they are drained all the time."""
    sink, each = Collecting(), 5_000

    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[sink], exposure_interval=SOON, timeout=60) as flags:

            def in_thread() -> None:
                bound = flags.bind(PRO)
                for i in range(each):
                    flags.value_nowait("plan", PRO if i % 2 else {}, default=False)
                    bound.value("bool", False)
                    flags.value_nowait("absent", default=0)

            async def in_task() -> None:
                for i in range(each):
                    await flags.value("plan", PRO, default=False)
                    if i % 50 == 0:
                        await anyio.lowlevel.checkpoint()

            threads = [threading.Thread(target=in_thread) for _ in range(4)]
            for thread in threads:
                thread.start()
            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(in_task)
            for thread in threads:
                await anyio.to_thread.run_sync(thread.join)
        statistics = flags.statistics().exposures
        assert statistics is not None
        assert (statistics.recorded, statistics.sent, statistics.dropped) == (20 * each, 20 * each, 0)

    run_on(loop, scenario)
    assert sink.counts == {
        ("evaluated", "plan", "on", "TARGETING_MATCH"): 10 * each,
        ("evaluated", "plan", "off", "DEFAULT"): 2 * each,
        ("evaluated", "bool", "on", "STATIC"): 4 * each,
        ("defaulted", "absent", None, "FLAG_NOT_FOUND"): 4 * each,
    }
    assert len(sink.batches) > 1


def test_a_hook_that_fails_does_not_change_counts() -> None:
    class Failing(Hook):
        def after(self, hook_context: HookContext, details: EvaluationDetails, hints: Mapping[str, Any]) -> None:
            raise ZeroDivisionError

        def error(self, hook_context: HookContext, exception: Exception, hints: Mapping[str, Any]) -> None:
            raise ZeroDivisionError

        def finally_after(self, hook_context: HookContext, details: EvaluationDetails, hints: Any) -> None:
            raise ZeroDivisionError

    sink = Collecting()

    async def scenario() -> None:
        async with pyflagwasm.open(FLAGD, exposures=[sink], hooks=[Failing()]) as flags:
            await flags.value("plan", PRO, default=False)
            flags.value_nowait("absent", PRO, default=False)
            flags.bind(PRO).value("plan", "text")

    run_on("asyncio", scenario)
    assert sink.counts == {
        ("evaluated", "plan", "on", "TARGETING_MATCH"): 1,
        ("defaulted", "absent", None, "FLAG_NOT_FOUND"): 1,
        ("defaulted", "plan", None, "TYPE_MISMATCH"): 1,
    }


# ---------------------------------------------------------------- sinks


@every_loop
def test_they_are_sent_after_every_interval(loop: str) -> None:
    async def scenario() -> None:
        sent = anyio.Event()

        async def receive(batch: Batch) -> None:
            batches.append(batch)
            sent.set()

        batches: list[Batch] = []
        async with pyflagwasm.open(FLAGD, exposures=[CallbackSink(receive)], exposure_interval=SOON) as flags:
            for _ in range(2):
                sent = anyio.Event()
                flags.value_nowait("plan", PRO, default=False)
                await sent.wait()
        assert [batch.count for batch in batches] == [1, 1]

    run_on(loop, scenario)


@pytest.mark.parametrize("running", [False, True])
@every_loop
def test_a_sink_that_hangs_does_not_hold_up_closing(loop: str, running: bool) -> None:
    async def scenario() -> None:
        sending = anyio.Event()

        class Hanging:
            async def send(self, batch: Batch) -> None:
                sending.set()
                await anyio.sleep_forever()

        good = Collecting()
        interval = SOON if running else 3_600.0
        options: dict[str, Any] = {"exposures": [Hanging(), good], "exposure_interval": interval}
        flags = pyflagwasm.open(FLAGD, close_timeout=0.3, **options)
        async with flags:
            flags.value_nowait("plan", PRO, default=False)
            if running:
                await sending.wait()
            began = time.monotonic()
        assert time.monotonic() - began < 0.3 + 3
        assert good.counts == {("evaluated", "plan", "on", "TARGETING_MATCH"): 1}
        statistics = flags.statistics().exposures
        assert statistics is not None
        assert (statistics.recorded, statistics.sent, statistics.pending) == (1, 1, 1)

    run_on(loop, scenario)


def test_a_function_that_hangs_in_a_thread_does_not_hold_up_closing() -> None:
    let_go = threading.Event()

    async def scenario() -> None:
        hanging = CallbackSink(lambda batch: let_go.wait(30))
        async with pyflagwasm.open(FLAGD, exposures=[hanging], close_timeout=0.2) as flags:
            flags.value_nowait("plan", PRO, default=False)
            began = time.monotonic()
        assert time.monotonic() - began < 0.2 + 3
        let_go.set()

    run_on("asyncio", scenario)


def test_a_sink_that_fails_is_told_of_and_tried_again() -> None:
    class Failing(Collecting):
        async def send(self, batch: Batch) -> None:
            if not self.batches:
                self.batches.append(batch)
                raise OSError("the disk\nis full")
            failed.append(flags.statistics().exposures)
            again.set()
            await super().send(batch)

    failed: list[Any] = []
    again: anyio.Event
    sink = Failing()
    flags = pyflagwasm.open(FLAGD, exposures=[sink], exposure_interval=SOON)

    async def scenario() -> None:
        nonlocal again
        again = anyio.Event()
        async with flags:
            flags.value_nowait("plan", PRO, default=False)
            with anyio.fail_after(20):
                await again.wait()
        assert (failed[0].failures, failed[0].pending) == (1, 1)
        assert failed[0].last_error == "Failing: OSError: the disk is full"
        assert flags.statistics().exposures.sent == 1  # type: ignore[union-attr]

    run_on("asyncio", scenario)
    assert sink.batches[0].id == sink.batches[1].id


@every_loop
def test_files_and_servers(loop: str, tmp_path: Path) -> None:
    path = tmp_path / "exposures.jsonl"

    async def scenario(server: Server) -> None:
        sinks = [JsonLinesSink(path), HttpSink(f"{server.origin}/exposures")]
        async with pyflagwasm.open(FLAGD, exposures=sinks) as flags:
            for _ in range(3):
                await flags.value("plan", PRO, default=False)
        assert flags.statistics().exposures.sent == 6  # type: ignore[union-attr]
        assert len(server.targets("/exposures")) == 1

    with Server(otherwise=answer(status=204)) as server:
        run_on(loop, scenario, server)
        assert server.wait_until_closed(5)
    (line,) = [json.loads(text) for text in path.read_text().splitlines()]
    assert (line["flag_key"], line["variant"], line["count"]) == ("plan", "on", 3)
