"""Metrics of an evaluator: what is observed, what is counted, bounds, several evaluators, forks, Prometheus."""

from __future__ import annotations

import asyncio
import gc
import os
import weakref
from typing import Any

import pytest
from evaluators import FLAGD, closed, opened
from fed import Fed, flags_of
from loops import run_on
from support import HOSTS

import pyflagwasm
from pyflagwasm.counted import counter_of
from pyflagwasm.exposures.counting import Batch
from pyflagwasm.runtime import extension

pytest.importorskip("opentelemetry.sdk.metrics")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pyflagwasm.integrations.opentelemetry import instrument

Points = dict[tuple[tuple[str, Any], ...], Any]


class Metrics:
    """A metrics SDK in memory."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def all(self) -> dict[str, Points]:
        data = self._reader.get_metrics_data()
        found: dict[str, Points] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                assert scope.scope.name == "pyflagwasm"
                for metric in scope.metrics:
                    assert metric.name not in found  # one instrument of each name
                    points = metric.data.data_points
                    found[metric.name] = {tuple(sorted(point.attributes.items())): point.value for point in points}
        return found

    def __getitem__(self, name: str) -> Points:
        return self.all().get(name, {})


def series(**attributes: Any) -> tuple[tuple[str, Any], ...]:
    names = {
        "key": "feature_flag.key", "variant": "feature_flag.result.variant", "reason": "feature_flag.result.reason",
        "error": "error.type", "overflow": "otel.metric.overflow",
    }  # fmt: skip
    return tuple(sorted((names.get(name, name), value) for name, value in attributes.items()))


ON = series(key="plan", variant="on", reason="targeting_match")
PRO = {"plan": "pro"}


@pytest.mark.parametrize("host", HOSTS)
def test_evaluations_are_counted_from_then_on(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host != "native":
        monkeypatch.setattr(extension, "chosen", lambda: None)
    metrics = Metrics()
    flags = opened(FLAGD)
    flags.value_nowait("plan", PRO, False)
    instrument(flags, metrics.provider)
    assert metrics["pyflagwasm.evaluations"] == {}
    for _ in range(3):
        assert flags.value_nowait("plan", PRO, False) is True
    flags.bind(PRO).value("plan", False)
    with flags.pin() as pinned:
        pinned.value_nowait("plan", PRO, False)
    flags.value_nowait("disabled", PRO, False)
    flags.value_nowait("plan", PRO, "x")
    flags.value_nowait("nowhere", PRO, False)
    flags.value_nowait("nor here", PRO, False)
    wanted = {
        ON: 5,
        series(key="disabled", reason="disabled"): 1,
        series(key="plan", reason="error", error="type_mismatch"): 1,
        series(reason="error", error="flag_not_found"): 2,
    }
    assert metrics["pyflagwasm.evaluations"] == wanted
    assert metrics["pyflagwasm.errors"] == {series(error="type_mismatch"): 1, series(error="flag_not_found"): 2}
    flags.value_nowait("plan", PRO, False)
    assert metrics["pyflagwasm.evaluations"] == {**wanted, ON: 6}
    closed(flags)
    flags.value_nowait("plan", PRO, False)
    assert metrics["pyflagwasm.evaluations"][series(reason="error", error="provider_not_ready")] == 1


def test_the_fast_path_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    if extension.chosen() is None:
        pytest.skip("no native host here")
    metrics = Metrics()
    flags = opened(FLAGD)
    flags.value_nowait("plan", PRO, False)
    instrument(flags, metrics.provider)
    flags.value_nowait("plan", PRO, False)
    monkeypatch.setattr(flags, "_answer", None)  # what is in Python
    for _ in range(10):
        assert flags.value_nowait("plan", PRO, False) is True
    assert metrics["pyflagwasm.evaluations"] == {ON: 11}
    closed(flags)


def test_beside_sinks_counting_goes_by_their_interval() -> None:
    async def main() -> None:
        metrics = Metrics()
        batches: list[Batch] = []

        class Sink:
            async def send(self, batch: Batch) -> None:
                batches.append(batch)

        async with pyflagwasm.open(FLAGD, exposures=[Sink()], exposure_interval=3600) as flags:
            instrument(flags, metrics.provider)
            flags.value_nowait("plan", PRO, False)
            assert metrics["pyflagwasm.evaluations"] == {}  # nothing is taken away from the sinks
        assert metrics["pyflagwasm.evaluations"] == {ON: 1}
        assert sum(batch.count for batch in batches) == 1

    run_on("asyncio", main)


def test_what_runs_in_the_background_goes_on() -> None:
    """The new shortcut knows on which loop: it starts the source again on another one, and only there."""

    async def first(flags: pyflagwasm.FlagEvaluator, fed: Fed) -> None:
        async with pyflagwasm.open(flags_of(a="on")):
            await flags.__aenter__()
            await fed.sink()
            instrument(flags, Metrics().provider)
            begun = flags._background._number
            for _ in range(3):
                await flags.value("a", default=False)
            assert flags._background._number == begun

    async def second(flags: pyflagwasm.FlagEvaluator) -> bool:
        assert not flags._background.alive()
        await flags.value("a", default=False)
        return flags._background.alive()

    fed = Fed()
    flags = pyflagwasm.open(fed, bundled=flags_of(a="on"))
    asyncio.run(first(flags, fed))
    assert asyncio.run(second(flags))
    closed(flags)


def test_how_it_is() -> None:
    async def main() -> None:
        metrics, fed = Metrics(), Fed()
        flags = pyflagwasm.open(fed, bundled=flags_of(a="on", b="on"), size=3)
        instrument(flags, metrics.provider)
        assert metrics["pyflagwasm.state"][series(state="not_ready")] == 1
        async with flags:
            await fed.give(flags_of(a="off"))
            await fed.give(b"{")
            await fed.fail("the line is down")
            found = metrics.all()
            assert found["pyflagwasm.state"] == {
                series(state="not_ready"): 0,
                series(state="ready"): 0,
                series(state="stale"): 1,
                series(state="closed"): 0,
            }
            assert 0 <= found["pyflagwasm.config.age"].pop(()) < 60
            del found["pyflagwasm.config.age"], found["pyflagwasm.state"]
            memory = found.pop("pyflagwasm.pool.memory")
            assert memory[()] == flags.statistics().pool.memory > 0
            assert found == {
                "pyflagwasm.config.generation": {(): 2},
                "pyflagwasm.config.flags": {(): 1},
                "pyflagwasm.config.swaps": {(): 2},
                "pyflagwasm.source.documents": {series(outcome="accepted"): 1, series(outcome="refused"): 1},
                "pyflagwasm.source.failures": {(): 1},
                "pyflagwasm.pool.instances": {
                    series(state="idle"): 3, series(state="in_use"): 0, series(state="missing"): 0,
                    series(state="retired"): 0,
                },
                "pyflagwasm.pool.waiting": {(): 0},
                "pyflagwasm.pool.built": {(): 3},
                "pyflagwasm.pool.discarded": {(): 0},
                "pyflagwasm.pool.lost_waits": {
                    series(outcome="timed_out"): 0, series(outcome="turned_away"): 0, series(outcome="aside"): 0,
                },
            }  # fmt: skip
            async with flags.lease():
                assert metrics["pyflagwasm.pool.instances"][series(state="in_use")] == 1
        assert metrics["pyflagwasm.state"][series(state="closed")] == 1

    run_on("asyncio", main)


def test_series_are_bounded() -> None:
    metrics = Metrics()
    flags = opened(flags_of(**{f"f{i}": "on" for i in range(10)}))
    instrument(flags, metrics.provider, max_series=4)
    for i in range(10):
        flags.value_nowait(f"f{i}", None, False)
    found = metrics["pyflagwasm.evaluations"]
    assert found.pop(series(overflow=True)) == 6
    assert len(found) == 4
    flags.value_nowait("f0", None, False)
    assert sum(metrics["pyflagwasm.evaluations"].values()) == 11
    closed(flags)


def test_keys_that_callers_make_up_are_not_kept() -> None:
    metrics = Metrics()
    flags = opened(FLAGD)
    instrument(flags, metrics.provider)
    for i in range(3000):  # more than the counter keeps apart
        flags.value_nowait(f"made-up-{i}", None, False)
    found = metrics["pyflagwasm.evaluations"]
    assert sum(found.values()) == 3000
    assert set(found) == {series(reason="error", error="flag_not_found"), series(overflow=True)}
    closed(flags)


def test_configurations_that_are_gone_leave_nothing_behind() -> None:
    async def main() -> None:
        async with pyflagwasm.open(flags_of(a="on")) as flags:
            instrument(flags, MeterProvider(shutdown_on_exit=False))  # nobody ever collects
            for _ in range(20):
                flags.value_nowait("a", None, False)
                await flags.reload(flags_of(a="on"))
            assert len(counter_of(flags).touched) <= 1

    run_on("asyncio", main)


def test_several_evaluators() -> None:
    metrics = Metrics()
    first, second = opened(flags_of(a="on")), opened(flags_of(a="on", b="on"))
    end = instrument(first, metrics.provider, attributes={"part": "first"})
    instrument(second, metrics.provider, attributes={"part": "second"})
    assert metrics["pyflagwasm.config.flags"] == {series(part="first"): 1, series(part="second"): 2}
    second.value_nowait("a", None, False)
    assert list(metrics["pyflagwasm.evaluations"]) == [series(key="a", variant="on", reason="static", part="second")]
    end()
    end()
    assert metrics["pyflagwasm.config.flags"] == {series(part="second"): 2}
    closed(first)
    closed(second)


def test_two_meter_providers() -> None:
    both = Metrics(), Metrics()
    flags = opened(FLAGD)
    for metrics in both:
        instrument(flags, metrics.provider)
    flags.value_nowait("plan", PRO, False)
    assert [metrics["pyflagwasm.evaluations"] for metrics in both] == [{ON: 1}] * 2
    closed(flags)


def test_twice_is_once() -> None:
    metrics = Metrics()
    flags = opened(FLAGD)
    ends = [instrument(flags, metrics.provider) for _ in range(2)]
    flags.value_nowait("plan", PRO, False)
    assert metrics["pyflagwasm.evaluations"] == {ON: 1}
    for end in ends[0], ends[0]:
        end()
        assert metrics["pyflagwasm.evaluations"] == {ON: 1}
    ends[1]()
    assert metrics.all() == {}
    closed(flags)


def test_what_has_ended_leaves_nothing_behind() -> None:
    metrics = Metrics()
    flags = opened(FLAGD)
    for _ in range(3):
        instrument(flags, metrics.provider)()
    gc.collect()
    assert counter_of(flags)._observers == []
    closed(flags)


def test_an_evaluator_is_not_kept_alive() -> None:
    metrics = Metrics()
    flags = opened(FLAGD)
    instrument(flags, metrics.provider)
    kept = weakref.ref(flags)
    closed(flags)
    del flags
    gc.collect()
    assert kept() is None
    assert metrics.all() == {}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_begins_at_zero() -> None:
    metrics = Metrics()
    flags = opened(FLAGD)
    instrument(flags, metrics.provider)
    flags.value_nowait("plan", PRO, False)
    assert metrics["pyflagwasm.evaluations"] == {ON: 1}
    child = os.fork()
    if child == 0:
        code = 1
        try:
            flags.value_nowait("none", None, False)
            wanted = {series(key="none", reason="default"): 1}
            code = 0 if counted_in(flags) == wanted else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert metrics["pyflagwasm.evaluations"] == {ON: 1}
    closed(flags)


def counted_in(flags: pyflagwasm.FlagEvaluator) -> Points:
    """What is observed of it now, read without the SDK, whose locks a fork may leave in any state."""
    from pyflagwasm.integrations.opentelemetry import _all

    (watched,) = [each for each in _all if each.flags() is flags]
    return {tuple(sorted(attributes.items())): count for attributes, count in watched.evaluations()}


def test_prometheus() -> None:
    exporter = pytest.importorskip("opentelemetry.exporter.prometheus")
    client = pytest.importorskip("prometheus_client")

    reader = exporter.PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    flags = opened(FLAGD)
    instrument(flags, provider)
    flags.value_nowait("plan", PRO, False)
    lines = client.generate_latest().decode().splitlines()
    provider.shutdown()
    (line,) = [line for line in lines if line.startswith("pyflagwasm_evaluations_total{")]
    assert line.endswith(" 1.0")
    assert 'feature_flag_key="plan"' in line
    assert [line for line in lines if line.startswith("pyflagwasm_pool_memory_bytes{")]
    closed(flags)
