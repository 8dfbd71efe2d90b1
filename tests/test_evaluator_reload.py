"""Configurations of an evaluator: opening, replacing, closing; many threads; a core that traps; fork."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import support
from evaluators import FLAGD, closed, document, flag, new_loop, opened, uniform

import pyflagwasm
from pyflagwasm import ConfigError, ErrorCode, FlagEvaluator, Reason, errors
from pyflagwasm.loading import compile_source, is_large
from pyflagwasm.pool import member, pool
from pyflagwasm.pool.member import Member
from pyflagwasm.pool.remarks import CLOSED, NOT_OPEN
from pyflagwasm.runtime.instance import Instance

ME = {"who": "me", "targetingKey": "me"}


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    with asyncio.Runner(debug=True, loop_factory=new_loop(request.param)) as runner:
        yield runner.run


Runner = Callable[[Coroutine[Any, Any, Any]], Any]


# ---------------------------------------------------------------- sources


@pytest.mark.parametrize("form", ["text path", "path", "bytes", "bytearray", "mapping"])
def test_sources(tmp_path: Path, form: str) -> None:
    data = json.dumps(FLAGD).encode()
    path = tmp_path / "flags.json"
    path.write_bytes(data)
    source = {"text path": str(path), "path": path, "bytes": data, "bytearray": bytearray(data), "mapping": FLAGD}[form]
    flags = opened(source)
    assert flags.value_nowait("bool", default=False) is True
    closed(flags)


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    reasons = {"cannot be read: No such file or directory": path, "cannot be read: Is a directory": tmp_path}
    reasons["cannot be read: embedded null byte"] = Path("\0")
    for reason, place in reasons.items():
        with pytest.raises(ConfigError) as raised:
            opened(place)
        assert str(raised.value) == f"{place}: {reason}"
    path.write_text('{"flags": {"f": {"state": "ON"}}}')
    with pytest.raises(ConfigError) as raised:
        opened(path)
    assert str(raised.value) == f"{path}: flags.f.state: must be one of ENABLED, DISABLED, not 'ON'"


def test_a_number_is_no_source_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "flags.json"
    path.write_bytes(b"{}")
    with path.open("rb") as file:
        with pytest.raises(TypeError):
            opened(file.fileno())
        assert is_large(file.fileno()) is False  # type: ignore[arg-type]
        assert os.fstat(file.fileno()).st_size == 2


@pytest.mark.parametrize("source", [5, None, [1]])
def test_what_is_no_source(source: Any) -> None:
    with pytest.raises(TypeError):
        opened(source)
    with pytest.raises(TypeError, match=r"a path must be a str or an os.PathLike\[str\]"):
        compile_source(_BytesPath())  # type: ignore[arg-type]


class _BytesPath:
    def __fspath__(self) -> bytes:
        return b"flags.json"


def test_formats_and_options() -> None:
    with pytest.raises(ConfigError) as raised:
        opened(FLAGD, format="yaml")
    assert str(raised.value).startswith("$: there is no format 'yaml'; there are auto, flagd, devcycle, ")
    with pytest.raises(ConfigError) as raised:
        opened(FLAGD, options={"speed": 1})
    assert str(raised.value) == "options.speed: no such option; there are fractional, validation"


def test_large_documents_are_loaded_in_a_thread(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def compiling(*arguments: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return compile_source(*arguments, **options)

    monkeypatch.setattr("pyflagwasm.intake.compile_source", compiling)

    async def load() -> None:
        large = uniform(1_000, "a")
        assert is_large(large)
        async with pyflagwasm.open(large) as flags:
            assert len(flags.flag_keys) == 1_000
            await flags.reload(uniform(4, "b"))
            assert len(flags.flag_keys) == 4

    run(load())
    here = threading.get_ident()
    assert [ident == here for ident in threads] == [False, True]


# ---------------------------------------------------------------- open, reload, close


def test_life(run: Runner) -> None:
    flags = pyflagwasm.open(FLAGD)

    def not_ready(why: str, how: str) -> None:
        details = flags.details_nowait("bool", default=False)
        assert (details.value, details.reason, details.generation) == (False, Reason.ERROR, 0)
        assert details.error_code is ErrorCode.PROVIDER_NOT_READY
        assert details.error_message == why
        assert (flags.flag_keys, flags.generation, repr(flags)) == ((), 0, f"<FlagEvaluator: {how}>")
        assert flags.bind({}).all() == {}
        with pytest.raises(errors.FlagError):
            flags.value_nowait("bool", default=False, strict=True)

    async def live() -> None:
        async with flags as same:
            assert same is flags
            assert flags.generation == 1
            assert repr(flags) == f"<FlagEvaluator: generation 1, {len(FLAGD['flags'])} flags>"
            with pytest.raises(RuntimeError, match="opened only once"):
                await flags.__aenter__()
        await flags.aclose()
        with pytest.raises(errors.PoolClosedError, match="the evaluator is closed"):
            await flags.reload(FLAGD)

    not_ready(NOT_OPEN, "not open")
    with pytest.raises(RuntimeError, match="the evaluator is not open"):
        run(flags.reload(FLAGD))
    not_ready(NOT_OPEN, "not open")
    run(live())
    not_ready(CLOSED, "closed")


def test_it_can_be_opened_again_after_a_failure(tmp_path: Path, run: Runner) -> None:
    flags = pyflagwasm.open(tmp_path / "flags.json")
    with pytest.raises(ConfigError):
        run(flags.__aenter__())
    (tmp_path / "flags.json").write_text(json.dumps(FLAGD))
    run(flags.__aenter__())
    assert flags.generation == 1
    run(flags.aclose())


def test_a_bad_configuration_changes_nothing(run: Runner) -> None:
    async def reload() -> None:
        async with pyflagwasm.open(uniform(2, "a")) as flags:
            sources: list[Any] = [b"{", b'{"flags": 5}', {}, "/nowhere/flags.json"]
            for bad in sources:
                with pytest.raises(ConfigError):
                    await flags.reload(bad)
                assert flags.bind(ME).all() == {"flag-0": "a", "flag-1": "a"}
                assert flags.generation == 1
            await flags.reload(uniform(1, "b"))
            assert (flags.generation, flags.bind(ME).all()) == (2, {"flag-0": "b"})

    run(reload())


def test_a_configuration_that_the_core_refuses_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = opened(uniform(2, "a"))

    def damaged(*arguments: Any, **options: Any) -> Any:
        compiled = compile_source(*arguments, **options)
        object.__setattr__(compiled, "ir", bytes(len(compiled.ir)))
        return compiled

    monkeypatch.setattr("pyflagwasm.intake.compile_source", damaged)
    with pytest.raises(ConfigError, match="the core refuses the compiled configuration"):
        asyncio.run(flags.reload(uniform(2, "b")))
    assert flags.bind(ME).all() == {"flag-0": "a", "flag-1": "a"}
    assert flags.generation == 1
    with pytest.raises(ConfigError):
        opened(uniform(2, "b"))
    closed(flags)


def test_of_two_reloads_the_later_call_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = opened(uniform(1, "a"))
    reached, go_on = threading.Event(), threading.Event()
    large = uniform(1_000, "a")

    def held(source: Any, *arguments: Any, **options: Any) -> Any:
        if source.data is large:
            reached.set()
            assert go_on.wait(30)
        return compile_source(source, *arguments, **options)

    monkeypatch.setattr("pyflagwasm.intake.compile_source", held)

    async def both() -> None:
        first = asyncio.create_task(flags.reload(large))
        assert await asyncio.to_thread(reached.wait, 30)
        await flags.reload(uniform(3, "b"))
        go_on.set()
        await first

    asyncio.run(both())
    assert (flags.generation, len(flags.flag_keys)) == (2, 3)
    closed(flags)


# ---------------------------------------------------------------- threads


def test_threads_never_see_a_mixture() -> None:
    """Odd generations say a, even ones b."""
    flags = opened(uniform(20, "a"))
    documents = [uniform(20, "b"), uniform(20, "a")]
    stop, wrong = threading.Event(), list[Any]()
    seen, progress = set[int](), threading.Condition()

    def evaluate() -> None:
        try:
            while not stop.is_set():
                user = flags.bind(ME)
                values = set(user.all().values())
                answers = (flags.details_nowait("flag-1", ME, default=""), user.details("flag-1", ""))
                if len(values) != 1 or any(each.value != "ba"[each.generation % 2] for each in answers):
                    wrong.append((values, answers))
                with progress:
                    seen.update(each.generation for each in answers)
                    progress.notify()
        except BaseException as error:
            wrong.append(error)

    def was_seen(generation: int) -> bool:
        with progress:
            return progress.wait_for(lambda: generation in seen, 30)

    async def reload() -> None:
        for i in range(60):
            await flags.reload(documents[i % 2])
            if i % 5 == 0:  # in between they come as fast as they can
                assert await asyncio.to_thread(was_seen, flags.generation)

    threads = [threading.Thread(target=evaluate) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        asyncio.run(reload())
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert flags.generation == 61
    closed(flags)


def test_after_a_fork_nobody_waits_for_a_thread_that_is_gone() -> None:
    flags = opened(uniform(2, "a"))
    members = flags._pool
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        live = members.generation
        assert live is not None
        mine = [members.take(live) for _ in range(members.size)]
        held.set()
        assert free.wait(30)
        for each in mine:
            members.give_back(each)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    pool._after_fork()
    try:
        assert flags.statistics().pool.missing == 2
        assert flags.value_nowait("flag-1", ME, default="") == "a"
        assert flags.statistics().pool.built == 3
    finally:
        free.set()
        thread.join()
    closed(flags)


# ---------------------------------------------------------------- traps

ACCEPTS = '(func (export "config_stage") (param i32) (result i64) (global.set $staged (i32.const 1)) (i64.const 0))'
TRAPS = "(func $decide (param $flag i32) (result i64) unreachable)"  # of evaluate, evaluate_many and explain


class Cores:
    """Makes instances: of the trapping stand-in while `trapping`, else of the core; keeps them all."""

    def __init__(self) -> None:
        self.trapping, self.broken = True, False
        self.made: list[Member] = []
        self._trap = support.core(support.wat(config_stage=ACCEPTS, decide=TRAPS))

    def __call__(self) -> Member:
        if self.broken:
            raise errors.AbiMismatchError("core.wasm cannot be instantiated: no memory")
        self.made.append(Member(self._trap if self.trapping else None))
        return self.made[-1]


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> Cores:
    made = Cores()
    monkeypatch.setattr(member, "Member", made)
    return made


@pytest.mark.parametrize("key", ["flag-0", "flag-1"])
def test_a_trapped_instance_is_replaced(cores: Cores, key: str) -> None:
    flags = opened(uniform(2, "a"), size=1)
    cores.trapping = False
    details = flags.details_nowait(key, ME, default="mine")
    assert (details.value, details.error_code, details.reason) == ("mine", ErrorCode.GENERAL, Reason.ERROR)
    message = "evaluate trapped: UNREACHABLE; the instance must not be called again"
    assert details.error_message == message
    assert [each.dead for each in cores.made] == [True, False]
    assert flags.value_nowait(key, ME, default="mine") == "a"
    assert (flags.generation, len(cores.made)) == (1, 2)
    closed(flags)
    assert [each.dead for each in cores.made] == [True, True]


def test_a_trap_in_strict_mode(cores: Cores) -> None:
    flags = opened(uniform(2, "a"), size=1)
    with pytest.raises(errors.FlagError, match="evaluate trapped"):
        flags.value_nowait("flag-1", ME, default="", strict=True)
    closed(flags)


def test_a_trap_among_all_flags(cores: Cores) -> None:
    flags = opened(uniform(4, "a"), size=1)
    user = flags.bind(ME)
    assert user.all() == {}
    assert len(cores.made) == 6  # the first, one after asking for all, one after each flag
    cores.trapping = False
    assert user.all() == dict.fromkeys(flags.flag_keys, "a")
    closed(flags)


def test_a_replacement_that_fails_is_tried_again(cores: Cores) -> None:
    flags = opened(uniform(2, "a"), size=1)
    cores.broken = True
    assert flags.details_nowait("flag-1", ME, default="").error_message is not None
    details = flags.details_nowait("flag-1", ME, default="")
    assert details.error_message == "core.wasm cannot be instantiated: no memory"
    assert details.error_code is ErrorCode.GENERAL
    cores.broken = cores.trapping = False
    assert flags.value_nowait("flag-1", ME, default="") == "a"
    closed(flags)


def test_a_trap_while_loading(cores: Cores) -> None:
    cores._trap = support.core(
        support.wat(config_stage='(func (export "config_stage") (param i32) (result i64) unreachable)')
    )
    with pytest.raises(errors.GuestTrapError):
        opened(uniform(2, "a"), size=1)
    assert [each.dead for each in cores.made] == [True]
    cores.trapping = False
    flags = opened(uniform(2, "a"), size=1)
    (instance,) = flags._pool.members()
    instance._calls["config_stage"] = instance._released["config_stage"] = _trap(instance)
    with pytest.raises(errors.GuestTrapError):
        asyncio.run(flags.reload(uniform(2, "b")))
    assert flags.bind(ME).all() == {"flag-0": "a", "flag-1": "a"}
    assert flags.generation == 1
    closed(flags)


def _trap(instance: Instance) -> Callable[..., int]:
    def trap(*arguments: int, **more: int) -> int:
        instance._guest.frame.kill("config_stage trapped")
        raise errors.GuestTrapError("config_stage trapped")

    return trap


def test_an_unused_flag_key_does_not_reach_the_core(cores: Cores) -> None:
    flags: FlagEvaluator = opened(document(f=flag({"a": 1}, "a")), size=1)
    assert flags.details_nowait("g", default=0).error_code is ErrorCode.FLAG_NOT_FOUND
    assert [each.dead for each in cores.made] == [False]
    closed(flags)
