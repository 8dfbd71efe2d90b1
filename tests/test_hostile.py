"""A bounded run of attack.py, and what an instance is after it. Long runs: tests/differential/hostile.py."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import attack
import mutations
import pytest
from golden_models import GOLDEN, at_now
from models import Models
from support import HOSTS

from pyflagwasm import _abi
from pyflagwasm.config.compile import CompiledConfig, compile_model
from pyflagwasm.errors import ConfigError
from pyflagwasm.runtime.encode import Encoder
from pyflagwasm.runtime.instance import Instance


@pytest.mark.parametrize("host", HOSTS)
def test_nothing_hostile_gets_through(host: str) -> None:
    assailant = attack.Attack(1, host=host)
    wanted = 6000 if host == "portable" else 500
    number = 0
    while assailant.tally.total < wanted:
        assailant.round(number)
        number += 1
    assailant.close()
    assert not assailant.findings, "\n".join(map(str, assailant.findings[:3]))
    tally = assailant.tally
    assert tally.cases.keys() == {"configuration", "request", "bomb", "batch"}
    assert tally.statuses["OK"] > wanted / 10
    assert {"BAD_NODE", "BAD_VALUE", "BAD_SECTION", "BAD_FLAG", "BAD_ROOT", "batch OK", "batch BAD_BATCH"} <= set(
        tally.statuses
    )
    assert {"NONE", "BAD_REQUEST", "FLAG_NOT_FOUND", "LIMIT_EXCEEDED"} <= set(tally.errors)


@pytest.fixture(scope="module")
def config() -> CompiledConfig:
    return compile_model(GOLDEN["example-flagd"].model)


@pytest.fixture
def live(config: CompiledConfig) -> Iterator[Instance]:
    made = Instance()
    made.load(config.ir, config.digest)
    yield made
    made.close()


def test_every_truncation_of_a_compiled_configuration_is_refused(live: Instance, config: CompiledConfig) -> None:
    """Or the whole of it arrived: FlatBuffers has its padding in front, so no byte at the end is without meaning."""
    ((context, now_us),) = at_now({"targetingKey": "u1", "city": "Ghent"})
    Encoder(config).encode_all(context, live.scratch, now_us)
    expected = [live.evaluate(entry.index) for entry in config.flags.values()]
    for size in range(1, len(config.ir)):
        with pytest.raises(ConfigError, match=": BAD_"):
            live.stage(config.ir[:size])
        assert [live.evaluate(entry.index) for entry in config.flags.values()] == expected
    assert live.live == config.digest


def test_every_truncation_of_a_request_is_answered(live: Instance, config: CompiledConfig) -> None:
    """What lies behind the end of it is not the host's; here it is all ones."""
    context = {"targetingKey": "u1", "orders": [{"total": 26}], "member": True, "cart": {"total": 1.5}}
    request = Encoder(config).encode_all(context, live.scratch, 0)
    for size in range(len(request)):
        live.scratch[: _abi.SCRATCH_REQUEST_SIZE] = b"\xff" * _abi.SCRATCH_REQUEST_SIZE
        live.scratch[:size] = request[:size]
        for entry in config.flags.values():
            packed = live.evaluate(entry.index)
            error = packed >> _abi.DECISION_ERROR_SHIFT & 15
            assert error < len(_abi.ErrorCode)
            assert size >= _abi.REQUEST_SLOTS or error == _abi.ErrorCode.BAD_REQUEST


def test_mutations_are_of_every_kind() -> None:
    """The attack is worth what its damage is worth: most mutants differ, and they are not all of the same length."""
    rng = Random(5)
    ir = compile_model(Models(rng).model()).ir
    where = mutations.sections(ir)
    mutants = [mutations.mutated_config(rng, ir, where, ir[::-1]) for _ in range(300)]
    assert sum(mutant != ir for mutant in mutants) > 250
    assert len({len(mutant) for mutant in mutants}) > 10
