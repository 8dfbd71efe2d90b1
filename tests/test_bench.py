"""What the benchmark computes, refuses and verifies. No clock decides anything here."""

from __future__ import annotations

import asyncio
import json
import math
import random
import statistics
import sys
from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))

from bench import __main__ as command  # noqa: E402
from bench import compare, figures, goals, hosts, plot, record, tables  # noqa: E402
from bench.lifecycle import Fact  # noqa: E402
from bench.measure import EMPTY, NO_OP, Rounds, Row, Subject, WrongAnswer, cycled, units  # noqa: E402
from bench.peers import run as peers  # noqa: E402
from bench.peers.run import Standing  # noqa: E402
from bench.record import Record  # noqa: E402
from bench.servers import run as servers  # noqa: E402
from bench.servers.run import Served  # noqa: E402

PEOPLE = [(f"key-{number}", f"{number}@example.com") for number in range(10)]


def row(name: str, rounds: list[float], host: str = "portable", **changes: Any) -> Row:
    made = Row(
        name=name, host=host, us=1.0, ratio=statistics.median(rounds), rounds=rounds, p50=1.0, p99=2.0, p999=None,
        singles=100, curve=[(0.5, 1.0), (0.99, 2.0)], peak=0.0, kept=0.0, note="",
    )  # fmt: skip
    return replace(made, **changes)


def made(*rows: Row, **changes: Any) -> Record:
    known = Record(
        "2030-01-31T10:20:30Z", {"processor": "A (R) processor", "python": "CPython 3.13"}, {"wasmtime": "50"}
    )
    return replace(known, rows=list(rows), **changes)


def standing(name: str, ratio: float, *, ours: bool = False, awaited: bool = False, every: float = 0) -> Standing:
    case = {"us": 1.0, "p50": 1.0, "p99": None, "to_reference": [ratio], "to_no_op": [ratio * 16]}
    cases = {"fresh": case, "reused": case} | ({"all": case | {"to_reference": [every]}} if every else {})
    return Standing(name, "an engine", "full", ours, awaited, cases=cases)


# ---------------------------------------------------------------- figures


@pytest.mark.parametrize("count", [100, 999, 1000, 1001, 5000, 12345])
@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.99, 0.999])
def test_a_quantile_is_the_least_sample_that_enough_do_not_exceed(count: int, q: float) -> None:
    samples = sorted(random.Random(count).randrange(1000) for _ in range(count))
    found = figures.quantile(samples, q)
    enough = [value for value in samples if bisect_right(samples, value) >= q * count - 1e-6]
    beyond = count - math.ceil(q * count - 1e-9)
    assert found == (enough[0] if beyond >= figures.BEYOND else None)


def test_a_quantile_with_too_few_samples_beyond_it_is_not_told() -> None:
    assert figures.quantile(range(499), 0.99) is None
    assert figures.quantile(range(500), 0.99) == 494
    assert figures.quantile([], 0.5) is None


@pytest.mark.parametrize("q", [0, 1, -0.1, 99])
def test_a_quantile_lies_between_0_and_1(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        figures.quantile([1.0], q)


def test_ratios_are_taken_round_by_round() -> None:
    assert figures.ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]
    with pytest.raises(ValueError, match="2 rounds cannot be divided by 1"):
        figures.ratios([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="no time"):
        figures.ratios([1.0], [0.0])


def test_a_change_has_to_exceed_the_noise_of_both_runs() -> None:
    steady, shaky = [10.0] * 9, [7.0, 8.0, 9.0, 10.0, 10.0, 10.0, 11.0, 12.0, 13.0]
    twice = [2 * one for one in shaky]
    assert figures.change(steady, steady) == (1.0, figures.LEAST)
    factor, limit = figures.change([12.0] * 9, shaky)
    assert (figures.verdict(factor, limit), figures.verdict(*figures.change([12.0] * 9, steady))) == ("same", "slower")
    assert figures.verdict(*figures.change(twice, shaky)) == "slower"
    assert figures.verdict(*figures.change(shaky, twice)) == "faster"
    assert figures.verdict(*figures.change([19.0], [10.0])) == "same", "a single round tells nothing"


def test_noise_is_that_of_a_median() -> None:
    draws = random.Random(1)
    rounds = [[draws.gauss(100, 5) for _ in range(25)] for _ in range(400)]
    actual = statistics.pstdev([statistics.median(one) for one in rounds]) / 100
    told = statistics.median([figures.noise(one) for one in rounds])
    assert told == pytest.approx(actual, rel=0.15)


# ---------------------------------------------------------------- measuring


def test_subjects_are_called_as_they_are_written() -> None:
    called: list[tuple[str, str]] = []

    async def seen(key: str, email: str) -> int:
        called.append((key, email))
        return len(called)

    subject = Subject("a", "await seen(key, email)", lambda answer: answer == 1, {"seen": seen})
    asyncio.run(subject.verify(PEOPLE[3]))
    assert called == [PEOPLE[3]]
    with pytest.raises(WrongAnswer, match="a gives the wrong answer: 2"):
        asyncio.run(subject.verify(PEOPLE[3]))


def test_people_are_repeated_and_cut() -> None:
    assert cycled(PEOPLE, 25) == PEOPLE + PEOPLE + PEOPLE[:5]
    assert cycled(PEOPLE, 3) == PEOPLE[:3]


def test_rounds_need_their_units() -> None:
    with pytest.raises(ValueError, match="the empty loop and the awaited no-op"):
        Rounds(units()[1:], PEOPLE)


def test_rows_are_net_of_the_loop_and_of_the_clock() -> None:
    subjects = [*units(), Subject("b", "key")]
    beside = [(1e-8, 9e-8), (2e-8, 1.2e-7)]  # the empty loop and the no-op, at twice the speed and then not
    for subject, batches, singles in zip(
        subjects,
        ([1e-8, 2e-8], [9e-8, 1.2e-7], [8.1e-7, 1.02e-6]),
        ([70] * 100, [150] * 100, [870] * 100),
        strict=True,
    ):
        subject.batches, subject.singles, subject.beside, subject.peak = batches, singles, beside, 32.0
    rows = {one.name: one for one in Rounds(subjects, PEOPLE).rows("portable")}
    assert set(rows) == {NO_OP, "b"}
    assert EMPTY not in rows
    assert rows[NO_OP].rounds == pytest.approx([1.0, 1.0])
    assert rows["b"].rounds == pytest.approx([10.0, 10.0])
    assert (rows["b"].us, rows["b"].p50, rows["b"].peak) == (pytest.approx(0.9), pytest.approx(0.8), 0.0)
    assert rows["b"].p99 is None, "100 samples do not tell it"


def test_a_run_measures_what_it_was_given_and_tells_what_is_kept() -> None:
    hoard: list[object] = []
    subjects = [
        *units(),
        Subject("keeps", "hoard.append([key])", names={"hoard": hoard}),
        Subject("keeps-not", "[key] * 100"),
    ]
    timed = Rounds(subjects, PEOPLE, seconds=0.0005)
    asyncio.run(timed.measure(2))
    rows = {one.name: one for one in timed.rows("portable")}
    assert all(len(one.rounds) == 2 and one.us > 0 for one in rows.values())
    assert rows["keeps"].kept > 1.5
    assert rows["keeps-not"].kept < 0.5
    assert 800 <= rows["keeps-not"].peak < 900


def test_visits_of_a_host_are_merged() -> None:
    visits = [row("a", [1.0, 9.0], us=1.0, p99=None, kept=1.0), row("a", [3.0, 2.0], us=5.0, p99=4.0, curve=[])]
    found = hosts.merged([*visits, row("a", [4.0], us=2.0, p99=8.0)])
    assert (found.rounds, found.ratio, found.us, found.p99, found.singles) == ([1, 9, 3, 2, 4], 3.0, 2.0, 6.0, 300)
    assert (found.kept, found.curve) == (0.0, [(0.5, 1.0), (0.99, 2.0)])


# ---------------------------------------------------------------- records


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    whole = made(
        row("a", [1.0, 2.0]),
        facts=[Fact("f", "portable", 1.5, "ms")],
        peers=[standing("Eppo", 2.0)],
        servers=[Served("aiohttp", "none", "portable", [1.0], [2.0])],
        clock_ns={"portable": 70.0},
        absent=["something: why"],
    )
    path = record.write(whole, tmp_path)
    assert path.name == "2030-01-31T10-20-30-a-r-processor.json"
    again = record.read(path)
    assert json.loads(json.dumps(again.peers[0].cases)) == whole.peers[0].cases
    assert [tuple(point) for point in again.rows[0].curve] == whole.rows[0].curve
    assert (again.facts, again.servers, again.machine, again.absent) == (
        whole.facts, whole.servers, whole.machine, whole.absent,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting"),
        ("[]", "no record of format"),
        ('{"format": 1, "rows": []}', "no record of format"),
        (f'{{"format": {record.FORMAT}, "rows": []}}', "not a whole record"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(record.BadRecord, match=message) as caught:
        record.read(path)
    assert str(path) in str(caught.value)


# ---------------------------------------------------------------- comparing


def test_comparing_counts_what_got_slower_and_tells_what_is_gone() -> None:
    then = made(row(NO_OP, [1.0] * 5), row("a", [10.0] * 5), row("b", [10.0] * 5), row("c", [10.0] * 5))
    now = made(row(NO_OP, [1.0] * 5), row("a", [20.0] * 5), row("b", [5.0] * 5), machine={"python": "CPython 3.14"})
    lines, slower = compare.table(now, then)
    verdicts = {line.split()[0]: line.split()[-1] for line in lines[2:4]}
    assert (verdicts, slower) == ({"a": "slower", "b": "faster"}, 1)
    assert lines[-2] == "only in the recorded run: 1 rows, c"
    assert lines[-1].startswith("1 of 2 rows are slower beyond the noise")
    assert "python CPython 3.13 -> CPython 3.14" in lines[0]


def test_comparing_takes_hosts_and_peers_apart() -> None:
    then = made(row("a", [10.0] * 5, "native"), peers=[standing("Eppo", 2.0)])
    now = made(row("a", [40.0] * 5, "portable"), peers=[standing("Eppo", 2.0)])
    names = {(one.name, one.host) for one in compare.changes(now, then)}
    assert names == {("peer/Eppo/fresh", "closures"), ("peer/Eppo/reused", "closures")}


# ---------------------------------------------------------------- goals


def test_every_goal_is_in_the_table_and_says_why_it_has_no_figure() -> None:
    empty = goals.goals(made())
    assert len(empty) >= 16
    assert all(goal.figure is None and goal.why and goal.met is None for goal in empty)
    assert len(goals.table(made())) == len(empty) + 1


def test_goals_are_those_of_the_native_host_if_it_was_measured() -> None:
    portable = [row("evaluate/W1-awaited", [60.0]), row("baseline/context", [2.0])]
    native = [
        row("evaluate/W1-awaited", [6.0], "native"),
        row("baseline/context", [2.5], "native"),
        row("evaluate/W1-awaited-reused", [3.0], "native", p50=0.4, p99=1.0),
    ]
    found = {goal.what: goal for goal in goals.goals(made(*portable, *native))}
    w1 = found["W1 awaited, fresh context, less making the context (native)"]
    assert (w1.figure, w1.met) == (3.5, True)
    assert found["W1 awaited, p99 to p50 (native)"].met is False
    slow = found["W1 awaited, 5 us, less making the context (portable)"]
    assert (slow.figure, slow.met) == (58, False)
    alone = goals.goals(made(*portable))
    assert alone[0].what == "W1 awaited, fresh context, less making the context (portable)"
    assert alone[1].what == "W1 awaited, p99 to p50 (portable, for want of native)"


def test_the_fastest_peer_is_held_against_our_awaited_w1() -> None:
    everything = [
        standing("pyflagwasm native awaited", 0.25, ours=True, awaited=True, every=2.0),
        standing("pyflagwasm native", 0.1, ours=True),
        standing("Eppo", 2.0),
        standing("Statsig core", 8.0, every=100.0),
        standing("DevCycle", 200.0, every=5000.0),
        replace(standing("Flipt", 0.01), cases={}, trouble="not installed"),
    ]
    found = {goal.what: goal.figure for goal in goals.goals(made(peers=everything))}
    assert found["fastest peer to pyflagwasm native awaited: Eppo"] == 8
    assert found["DevCycle's Python SDK to pyflagwasm native awaited: DevCycle"] == 800
    assert found["all 50 flags: fastest peer with such a call to ours: Statsig core"] == 50


# ---------------------------------------------------------------- tables and drawings


def test_tables_show_what_was_measured() -> None:
    whole = made(row("a", [1.0]), row("b", [2.0]), row("a", [3.0], "native"), facts=[Fact("f", "portable", 0, "bytes")])
    names = [line.split()[:2] for line in tables.rows(whole)[1:4]]
    assert names == [["a", "portable"], ["a", "native"], ["b", "portable"]]
    assert tables.facts(whole)[1].split() == ["f", "portable", "0", "bytes"]


def test_the_cost_of_flags_is_the_difference_to_the_load_without_them() -> None:
    loads = [
        Served("aiohttp", "none", "portable", [1000.0, 2000.0], [100.0, 200.0]),
        Served("aiohttp", "flags", "portable", [500.0, 1000.0], [600.0, 700.0]),
    ]
    assert servers.table(loads)[-1] == (
        "aiohttp, portable: 50 flags cost a request 500 us of CPU, 10.00 a flag with its context; "
        "750 us at 8 connections"
    )


def test_the_table_of_peers_has_the_fastest_first_and_the_troubled_last() -> None:
    unit = standing("pyflagwasm portable awaited", 4.0, ours=True, awaited=True)
    broken = Standing("Flipt", "an engine", "full", False, False, "WRONG, so not timed: rule 1")
    lines = peers.table([broken, standing("Unleash", 32.0), unit, standing("Eppo", 2.0)])
    assert [line[:30].strip() for line in lines[1:4]] == ["Eppo", "pyflagwasm portable awaited", "Unleash"]
    assert lines[1].split()[-5:-1] == ["32.0", "0.50", "2.00", "-"]
    assert "Flipt                          WRONG, so not timed: rule 1" in lines


@pytest.mark.parametrize("places", [[], [0.5], [0.5, 0.5, 0.5], [0.9, 0.1, 0.11, 0.12, 0.5], [0.0, 0.04, 0.08, 0.3]])
def test_names_are_moved_apart_in_their_order(places: list[float]) -> None:
    moved = plot.apart(places, 0.05)
    order = sorted(range(len(places)), key=lambda index: places[index])
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap >= 0.05 - 1e-9 for gap in gaps)
    assert sum(moved) == pytest.approx(sum(places)), "what is moved up and down balances"


def test_drawings(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra [bench] is not installed")
    with pytest.raises(ValueError, match="nothing to draw"):
        plot.draw(made(row("swap/a", [1.0])), tmp_path)
    sizes = [row(f"flags/{number}/W1", [1.0]) for number in (1, 50, 1000, 10_000)]
    drawn = plot.draw(made(row("evaluate/W1-awaited", [1.0]), *sizes), tmp_path)
    assert [path.name for path in drawn] == ["latency.png", "flags.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


# ---------------------------------------------------------------- the command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evalute"], "no row begins with 'evalute'"),
        (["--hosts", "portable,fast"], "no host 'fast'"),
        (["--check", "--record", "x.json"], "--check times nothing"),
        (["--from", "x.json", "--quick"], "--from takes a whole record as it is"),
        (["--only-peers", "eppo"], "--only-peers goes with --peers"),
    ],
)
def test_arguments_that_do_not_go_together(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_recorded_run_is_shown_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = made(row("a", [20.0] * 5)), made(row("a", [10.0] * 5))
    now, then = record.write(slow, tmp_path / "now.json"), record.write(fast, tmp_path / "then.json")
    assert command.main(["--from", str(now), "--compare", str(then)]) == 1
    assert "1 of 1 rows are slower beyond the noise" in capsys.readouterr().out
    assert command.main(["--from", str(then), "--compare", str(now)]) == 0
    assert command.main(["--from", str(tmp_path / "gone.json")]) == 1
    assert "gone.json" in capsys.readouterr().err


def test_hosts_that_are_not_there_say_so() -> None:
    usable, lines = hosts.usable(["portable", "of-tomorrow"])
    assert usable == ["portable"]
    assert len(lines) == 1
    assert lines[0].startswith("of-tomorrow host: absent (this version has only ")
