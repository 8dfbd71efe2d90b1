"""The OpenFeature provider's life: readiness, events, domains, several providers, threads, event loops and forks."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from anyio import to_thread
from anyio.from_thread import start_blocking_portal
from evaluators import FLAGD, closed, opened
from fed import Fed, flags_of
from loops import every_loop, run_on

import pyflagwasm
from pyflagwasm import FlagEvaluator

api = pytest.importorskip("openfeature.api")

from openfeature.event import EventDetails, ProviderEvent  # noqa: E402
from openfeature.exception import ErrorCode, ProviderFatalError, ProviderNotReadyError  # noqa: E402
from openfeature.provider import ProviderStatus  # noqa: E402

from pyflagwasm.integrations.openfeature import FlagwasmProvider  # noqa: E402


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    api.shutdown()


class Events:
    """What handlers hear of a client's provider, or of all. They run in threads of OpenFeature's."""

    def __init__(self, of: Any, *events: ProviderEvent) -> None:
        self._heard: queue.Queue[tuple[ProviderEvent, EventDetails]] = queue.Queue()
        for event in events or ProviderEvent:
            of.add_handler(event, self._handler(event))

    def _handler(self, event: ProviderEvent) -> Callable[[EventDetails], None]:
        return lambda details: self._heard.put((event, details))

    async def next(self) -> tuple[str, EventDetails]:
        event, details = await to_thread.run_sync(lambda: self._heard.get(timeout=20))
        assert details.provider_name == "pyflagwasm"
        return event.value.removeprefix("PROVIDER_"), details

    async def names(self, count: int) -> set[str]:
        """The next ones, in no order: OpenFeature's threads do not keep it."""
        return {(await self.next())[0] for _ in range(count)}

    @property
    def silent(self) -> bool:
        return self._heard.empty()


# ---------------------------------------------------------------- readiness


@every_loop
def test_an_open_evaluator_is_ready_at_once(loop: str) -> None:
    async def main() -> None:
        async with pyflagwasm.open(FLAGD) as flags:
            api.set_provider_and_wait(FlagwasmProvider(flags))
            client = api.get_client()
            assert client.get_provider_status() is ProviderStatus.READY
            assert client.get_boolean_value("bool", False) is True

    run_on(loop, main)


@every_loop
def test_on_a_loop_nothing_is_waited_for(loop: str) -> None:
    async def main() -> None:
        flags = pyflagwasm.open(FLAGD)
        provider = FlagwasmProvider(flags, ready_timeout=1000)
        with pytest.raises(ProviderNotReadyError) as caught:
            api.set_provider_and_wait(provider)
        message = str(caught.value.error_message)
        assert message.startswith("there is no configuration yet, and waiting for one would block this event loop")
        client = api.get_client()
        assert client.get_provider_status() is ProviderStatus.ERROR
        assert client.get_boolean_details("bool", False).error_code is ErrorCode.PROVIDER_NOT_READY
        events = Events(client, ProviderEvent.PROVIDER_READY, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
        async with flags:
            assert (await events.next())[0] == "READY"
            assert client.get_provider_status() is ProviderStatus.READY
            assert client.get_boolean_value("bool", False) is True
        assert events.silent  # a first configuration is no change of one

    run_on(loop, main)


def test_a_thread_waits_until_there_is_a_configuration() -> None:
    async def main() -> None:
        fed = Fed()
        async with pyflagwasm.open(fed, start_timeout=0) as flags:
            await fed.sink()
            api.set_provider(FlagwasmProvider(flags, ready_timeout=20))  # initializes in a thread
            client = api.get_client()
            assert client.get_provider_status() is ProviderStatus.NOT_READY
            events = Events(client)
            await fed.give(flags_of(a="on"))
            assert (await events.next())[0] == "READY"
            assert client.get_boolean_value("a", False) is True
            assert events.silent  # once

    run_on("asyncio", main)


def test_a_thread_waits_so_long_and_no_longer() -> None:
    async def main() -> None:
        fed = Fed()
        async with pyflagwasm.open(fed, start_timeout=0) as flags:
            provider = FlagwasmProvider(flags, ready_timeout=0.01)
            with pytest.raises(ProviderNotReadyError) as caught:
                await to_thread.run_sync(api.set_provider_and_wait, provider)
            assert "is the evaluator open" in str(caught.value.error_message)
            await fed.fail("the line is down")
            with pytest.raises(ProviderNotReadyError) as caught:
                await to_thread.run_sync(provider.initialize, None)
            assert caught.value.error_message == "there is no configuration yet: the line is down"

    run_on("asyncio", main)


def test_a_closed_evaluator_is_fatal() -> None:
    flags = opened(FLAGD)
    closed(flags)
    with pytest.raises(ProviderFatalError):
        api.set_provider_and_wait(FlagwasmProvider(flags))
    client = api.get_client()
    assert client.get_provider_status() is ProviderStatus.FATAL
    assert client.get_boolean_details("bool", False).error_code is ErrorCode.PROVIDER_FATAL


def test_closing_ends_a_wait() -> None:
    async def main() -> None:
        flags = pyflagwasm.open(Fed(), start_timeout=0)
        provider = FlagwasmProvider(flags, ready_timeout=1000)
        async with flags:
            api.set_provider(provider)
            events = Events(api.get_client(), ProviderEvent.PROVIDER_ERROR)
        assert (await events.next())[1].error_code is ErrorCode.PROVIDER_FATAL

    run_on("asyncio", main)


# ---------------------------------------------------------------- events


@every_loop
def test_events(loop: str) -> None:
    async def main() -> None:
        fed = Fed()
        async with pyflagwasm.open(fed, bundled=flags_of(a="on", b="on")) as flags:
            api.set_provider_and_wait(FlagwasmProvider(flags))
            client = api.get_client()
            events = Events(client)
            assert (await events.next())[0] == "READY"  # of adding the handler

            await fed.give(flags_of(b="on", a="off", c="on"))
            name, details = await events.next()
            assert (name, details.flags_changed) == ("CONFIGURATION_CHANGED", ["a", "c"])
            assert details.metadata == {"generation": 2}

            await fed.fail("the line is down")
            name, details = await events.next()
            assert (name, details.message) == ("STALE", "the line is down")
            assert client.get_provider_status() is ProviderStatus.STALE
            assert client.get_boolean_details("a", True).value is False

            await fed.fail("the line is down")
            await fed.confirm()
            assert (await events.next())[0] == "READY"
            assert client.get_provider_status() is ProviderStatus.READY

            await fed.give(b"[]")
            assert (await events.next())[0] == "STALE"
            await fed.give(flags_of())
            assert await events.names(2) == {"READY", "CONFIGURATION_CHANGED"}
            await flags.reload(flags_of())
            name, details = await events.next()
            assert (name, details.flags_changed) == ("CONFIGURATION_CHANGED", [])
        name, details = await events.next()
        assert (name, details.error_code) == ("ERROR", ErrorCode.PROVIDER_FATAL)
        assert client.get_provider_status() is ProviderStatus.FATAL
        assert events.silent

    run_on(loop, main)


def test_one_that_begins_stale_says_so_at_the_next_attempt() -> None:
    async def main() -> None:
        fed = Fed()
        async with pyflagwasm.open(fed, bundled=flags_of(a="on")) as flags:
            await fed.fail("the line is down")
            api.set_provider_and_wait(FlagwasmProvider(flags))
            client = api.get_client()
            assert client.get_provider_status() is ProviderStatus.READY  # OpenFeature says so itself
            await fed.fail("the line is down")
            assert client.get_provider_status() is ProviderStatus.STALE

    run_on("asyncio", main)


def test_shut_down_first_nothing_is_heard_of_the_end() -> None:
    async def main() -> None:
        async with pyflagwasm.open(flags_of(a="on")) as flags:
            api.set_provider_and_wait(FlagwasmProvider(flags))
            api.shutdown()
            events = Events(api, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED, ProviderEvent.PROVIDER_ERROR)
            await flags.reload(flags_of(a="off"))
            assert flags.value_nowait("a", default=True) is False  # it is still open
        async with pyflagwasm.open(flags_of(b="on")) as flags:
            api.set_provider_and_wait(FlagwasmProvider(flags))
            await flags.reload(flags_of(b="off"))
            assert (await events.next())[1].flags_changed == ["b"]
            assert events.silent

    run_on("asyncio", main)


def test_registered_again() -> None:
    async def main() -> None:
        async with pyflagwasm.open(flags_of(a="on")) as flags:
            provider = FlagwasmProvider(flags)
            api.set_provider_and_wait(provider)
            api.clear_providers()
            api.set_provider_and_wait(provider)
            client = api.get_client()
            events = Events(client, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
            await flags.reload(flags_of(a="off"))
            assert (await events.next())[1].flags_changed == ["a"]

    run_on("asyncio", main)


# ---------------------------------------------------------------- several


def test_domains_and_several_providers() -> None:
    async def main() -> None:
        first, second = pyflagwasm.open(flags_of(a="on")), pyflagwasm.open(flags_of(a="off"))
        async with first, second:
            api.set_provider_and_wait(FlagwasmProvider(first))
            shared = FlagwasmProvider(second)
            api.set_provider_and_wait(shared, "east")
            api.set_provider_and_wait(shared, "west")
            api.set_provider_and_wait(FlagwasmProvider(second), "north")
            clients = [api.get_client(domain) for domain in (None, "east", "west", "north")]
            assert [client.get_boolean_value("a", False) for client in clients] == [True, False, False, False]
            events = [Events(client, ProviderEvent.PROVIDER_CONFIGURATION_CHANGED) for client in clients]
            await second.reload(flags_of(a="on"))
            assert {(await each.next())[0] for each in events[1:]} == {"CONFIGURATION_CHANGED"}
            assert events[0].silent
            assert [client.get_boolean_value("a", False) for client in clients] == [True, True, True, True]

    run_on("asyncio", main)


def test_an_evaluator_does_not_keep_providers_alive() -> None:
    flags = opened(FLAGD)
    kept = weakref.ref(FlagwasmProvider(flags))
    gc.collect()
    assert kept() is None
    assert flags._listeners._listeners == ()
    closed(flags)


def test_threads_and_several_loops() -> None:
    flags = opened(FLAGD)
    api.set_provider_and_wait(FlagwasmProvider(flags))
    client = api.get_client()
    found: list[bool] = []

    def sync() -> None:
        found.extend(client.get_boolean_value("bool", False) for _ in range(100))

    def awaited() -> None:
        async def main() -> None:
            found.extend([await client.get_boolean_value_async("bool", False) for _ in range(100)])

        asyncio.run(main())

    threads = [threading.Thread(target=target) for target in (sync, sync, awaited, awaited)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [True] * 400
    closed(flags)


def test_a_program_without_an_event_loop() -> None:
    """The evaluator lives in a thread of its own, with its loop; the program never sees it."""
    fed = Fed()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(pyflagwasm.open(fed, bundled=flags_of(a="on"))) as flags,
    ):
        api.set_provider_and_wait(FlagwasmProvider(flags))
        client = api.get_client()
        assert client.get_boolean_value("a", False) is True
        portal.call(fed.give, flags_of(a="off"))
        assert client.get_boolean_value("a", True) is False


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child() -> None:
    delivered: list[int] = []

    def deliver() -> bytes:
        delivered.append(os.getpid())
        return flags_of(a="on" if len(delivered) == 1 else "off")

    async def begin() -> FlagEvaluator:
        return await pyflagwasm.open(pyflagwasm.CallableSource(deliver, interval=3600)).__aenter__()

    flags = asyncio.run(begin())
    api.set_provider_and_wait(FlagwasmProvider(flags))
    client = api.get_client()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if _in_the_child(client, flags) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.get_boolean_value("a", False) is True
    closed(flags)


def _in_the_child(client: Any, flags: FlagEvaluator) -> bool:
    """Answers at once; the first awaited evaluation starts the source again, whose news are heard of."""
    at_once: bool = client.get_boolean_value("a", False)

    async def main() -> bool:
        changed = anyio.Event()
        flags.add_listener(lambda change: changed.set() if change.flags_changed else None)
        await client.get_boolean_value_async("a", False)
        with anyio.fail_after(20):
            await changed.wait()
        return client.get_boolean_value("a", True) is False

    return at_once and asyncio.run(main())
