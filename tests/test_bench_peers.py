"""The peers' adapters as far as they need no peer, the answer checks that let none pass that is wrong, and the load."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from bench import children  # noqa: E402
from bench.measure import WrongAnswer  # noqa: E402
from bench.peers import install, reference, run  # noqa: E402
from bench.peers.offer import ATTRIBUTES, Offer, every_peer, peer_named  # noqa: E402
from bench.peers.worker import Asked, filled, timed  # noqa: E402
from bench.scenarios import EXPECTED, TARGET, by_hand, document  # noqa: E402
from bench.servers import load, work  # noqa: E402

CONTEXT = '{"targetingKey": key, ' + ATTRIBUTES + "}"


def offered(decide: Callable[[dict[str, Any]], Any], **changes: Any) -> Offer:
    names = {"decide": decide, "boolean": lambda context: True}
    return replace(Offer(CONTEXT, "decide({context})", "boolean({context})", names=names), **changes)


def verified(offer: Offer) -> None:
    asyncio.run(Asked(offer).verify())


right = by_hand()


def test_the_rule_by_hand_passes_the_checks_awaited_or_not() -> None:
    async def later(context: dict[str, Any]) -> str:
        return right(context)

    verified(offered(right))
    verified(replace(offered(right), value="await later({context})", names={"later": later, "boolean": bool}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda c: "", "rule 1: '' instead of A"),
        (lambda c: None, "rule 1: None"),
        (lambda c: "C" if c["plan"] == "enterprise" else right(c), "rule 2: 'C' instead of B"),
        (lambda c: "C" if c["appVersion"] < "2.5.0" else right(c), "smaller as a text"),
        (lambda c: "B" if c["plan"] == "enterprise" else right(c), "older version"),
        (lambda c: "A" if c["country"] == "NL" else right(c), "only contains the domain"),
        (lambda c: "A" if c["email"].endswith("e.org") else right(c), "another domain"),
        (lambda c: "A" if c["country"] == "ZZ" else right(c), "not listed"),
        (lambda c: "C" if right(c) in "CT" else right(c), "not 50/50"),
        (lambda c: "D" if c["targetingKey"] == "user-000003" else right(c), "not 50/50"),
    ],
)
def test_a_peer_that_is_wrong_is_not_timed(wrong: Callable[[dict[str, Any]], Any], message: str) -> None:
    with pytest.raises(WrongAnswer, match=message):
        verified(offered(wrong))


def test_a_peer_that_does_not_stick_is_not_timed() -> None:
    turn = [0]

    def fickle(context: dict[str, Any]) -> str:
        turn[0] += 1
        return "CT"[turn[0] % 2] if right(context) in "CT" else right(context)

    with pytest.raises(WrongAnswer, match="not the same for the same user"):
        verified(offered(fickle))


def test_a_peer_that_gives_too_few_flags_is_not_timed() -> None:
    verified(offered(right, every="[{context}] * 50"))
    with pytest.raises(WrongAnswer, match="49 of 50 flags"):
        verified(offered(right, every="[{context}] * 49"))
    with pytest.raises(WrongAnswer, match="on for everybody"):
        verified(offered(right, simple="1"))


def test_the_closures_decide_like_the_rule_by_hand() -> None:
    pytest.importorskip("mmh3", reason="the extra [bench] is not installed")
    table = reference.compiled(document(4))
    assert table["flag-0001"]({}) is True
    for context, letters in EXPECTED:
        assert table[TARGET](context) in letters
    shares = [table[TARGET]({**EXPECTED[-1][0], "targetingKey": str(number)}) for number in range(2000)]
    assert 900 < shares.count("C") < 1100
    assert [subject.name for subject in timed(offered(right), {})][2:] == [
        reference.NAME, "reference/fresh", "fresh", "reused",
    ]  # fmt: skip


def test_every_peer_is_described_and_pinned() -> None:
    peers = every_peer()
    assert len({peer.name for peer in peers}) == len(peers) >= 20
    pins = install.pins()
    assert {peer.environment for peer in peers if peer.environment} == set(pins)
    for peer in peers:
        assert peer.equality
        assert peer.engine
        required = {one.split("==")[0] for one in pins.get(peer.environment or "", [])}
        assert peer.environment is None or required & set(peer.distributions)
    assert all("==" in one for requirements in pins.values() for one in requirements)
    with pytest.raises(ValueError, match="no peer 'Epo'"):
        peer_named("Epo")


def test_peers_are_chosen_by_the_beginning_of_their_names() -> None:
    chosen = {peer.name for peer in run.chosen(["flag", "EPPO"])}
    assert {"Eppo", "flagd in-process", "Flagsmith", "pyflagwasm portable"} <= chosen
    assert "Unleash" not in chosen
    with pytest.raises(ValueError, match="no peer begins with 'x'"):
        run.chosen(["x"])


def test_what_is_not_installed_is_not_an_error(tmp_path: Path) -> None:
    assert run.command(peer_named("Eppo"), tmp_path, 1) == "not installed"
    assert run.command(peer_named("Eppo"), None, 1) == "no directory of environments"
    with pytest.raises(ValueError, match="no environment epo; there are configcat, "):
        list(install.install(tmp_path, ["epo"]))


def test_visits_are_merged() -> None:
    visits = [
        {"fresh": {"us": us, "p99": p99, "to_reference": [us, us + 1], "to_no_op": [us], "curve": []}}
        for us, p99 in ((1.0, None), (2.0, 7.0), (3.0, None))
    ]
    assert run.merged(visits) == {
        "fresh": {
            "us": 2.0, "p99": 7.0, "to_reference": [1.0, 2.0, 2.0, 3.0, 3.0, 4.0], "to_no_op": [1.0, 2.0, 3.0],
            "curve": [],
        }
    }  # fmt: skip


def test_a_context_is_put_into_its_place() -> None:
    assert filled("value(*{context}, {context})", "(key, {})") == "value(*(key, {}), (key, {}))"


# ---------------------------------------------------------------- children


def test_children_give_results_or_say_why_not() -> None:
    good = "from bench import children; children.give({'a': 1})"
    assert children.result([sys.executable, "-c", good], 30) == {"a": 1}
    with pytest.raises(children.ChildFailed, match="exit code 3: nothing was said"):
        children.result([sys.executable, "-c", "raise SystemExit(3)"], 30)
    with pytest.raises(children.ChildFailed, match="exit code 1: KeyError: 'a'"):
        children.result([sys.executable, "-c", "{}['a']"], 30)
    with pytest.raises(children.ChildFailed, match="without a result"):
        children.result([sys.executable, "-c", "print(1)"], 30)


def test_a_child_is_ended_with_its_block() -> None:
    wait = "import sys; print(1, flush=True); sys.stdin.read()"
    with (
        pytest.raises(KeyboardInterrupt),
        children.started([sys.executable, "-c", wait], stdin=children.subprocess.PIPE) as process,
    ):
        raise KeyboardInterrupt
    assert process.poll() is not None


# ---------------------------------------------------------------- servers


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nServer: x", 12),
        (b"HTTP/1.1 200\r\nserver: x\r\ncontent-length:0", 0),
    ],
)
def test_a_response_has_a_length(head: bytes, length: int) -> None:
    assert load.response_length(head) == length


@pytest.mark.parametrize("head", [b"HTTP/1.1 500 No\r\nContent-Length: 1", b"HTTP/1.1 200 OK\r\nA: b", b"", b"x 200 y"])
def test_what_is_no_good_response(head: bytes) -> None:
    with pytest.raises(load.BadResponse):
        load.response_length(head)


def test_the_body_of_a_request_shows_each_default() -> None:
    assert work.shown(["C", True, "", False]) == "C100"

    async def bodies() -> tuple[str, str, str]:
        async with work.evaluator() as flags:
            return await work.answer(flags, 1), work.expected(1, flags), work.expected(2, flags)

    answered, one, other = asyncio.run(bodies())
    assert answered == one != other
    assert len(one) == work.PER_REQUEST
    assert set(one[::2]) == {"C", "T"}
    assert set(one[1::2]) == {"1"}


async def answering(body: bytes, requests: int, **options: Any) -> tuple[dict[str, Any], int]:
    """What the load generator says of a server that always gives this body, and how many requests that server got."""
    served = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            served += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(serve, load.HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        given = load.Load(requests, 20.0, **options)
        return await load.loaded(port, [("/a", "good"), ("/b", "good")], given, 3), served


def test_the_load_is_bounded_and_compares_bodies() -> None:
    found, served = asyncio.run(answering(b"good", 50))
    assert (found["requests"], found["wrong"], served) == (50, 0, 50)
    found, _ = asyncio.run(answering(b"bad", 20))
    assert found["wrong"] == 20
    assert found["sample"] == "b'bad' instead of b'good'"


def test_a_load_with_a_rate_is_not_faster_than_that() -> None:
    found, served = asyncio.run(answering(b"good", 40, rate=200.0))
    assert (found["requests"], served, len(found["latencies"])) == (40, 40, 40)
    assert found["per_second"] <= 40 / (39 / 200.0)
