"""The importer of universal flag configurations: documents, flags, allocations, splits, in both dialects.

Conditions are tested in test_eppo_conditions.py, the decoder's ways in test_eppo_wire.py, and everything against Eppo's
own SDK in differential/eppo.py.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import pytest
from eppo_answers import Answers, allocation, answers, document, flag, rules, shard, split

from pyflagwasm._abi import ErrorCode, Reason
from pyflagwasm.config.formats import load
from pyflagwasm.config.formats.eppo import splits as eppo_splits
from pyflagwasm.config.model import Fail, Serve
from pyflagwasm.errors import ConfigError

USER = {"targetingKey": "u"}
FULL = (0, 10000)
HALVES = split("a", shard("s", (0, 5000))), split("b", shard("s", (5000, 10000)))


def bucket(salt: str, subject: str, total: int) -> int:
    return int.from_bytes(hashlib.md5(f"{salt}-{subject}".encode()).digest()[:4], "big") % total


# ---------------------------------------------------------------- splits


@pytest.mark.parametrize("total", [10000, 7, 1, 2**32 - 1])
def test_halves(total: int) -> None:
    half = total // 2
    ask = answers(
        allocation(split("a", shard("s\u00e4", (0, half))), split("b", shard("s\u00e4", (half, total)))),
        totalShards=total,
    )
    users = [*(f"user-{i}" for i in range(200)), "", "\u00e4\U0001f338"]
    found = [ask("f", {"targetingKey": user}).variant for user in users]
    assert found == ["a" if bucket("s\u00e4", user, total) < half else "b" for user in users]


def taken(splits: list[dict[str, Any]], subject: str, total: int) -> str | None:
    """The obvious way."""
    for each in splits:
        buckets = [(bucket(s["salt"], subject, total), s["ranges"]) for s in each["shards"]]
        if all(any(r["start"] <= h < r["end"] for r in ranges) for h, ranges in buckets):
            return str(each["variationKey"])
    return None


@pytest.mark.parametrize("most_cuts", [4096, 0])
def test_any_splits_are_those_of_the_obvious_way(most_cuts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eppo_splits, "_MOST_CUTS", most_cuts)
    random = Random(5)
    for total in (10000, 3, 100):
        for _ in range(40):
            splits = [
                split(
                    random.choice("abc"),
                    *(
                        shard(
                            random.choice("st"),
                            *(random.choices(range(total + 2), k=2) for _ in range(random.randrange(3))),
                        )  # type: ignore[misc]
                        for _ in range(random.randrange(4))
                    ),
                )
                for _ in range(random.randrange(5))
            ]
            ask = answers(allocation(*splits) if splits else {"key": "x", "splits": []}, totalShards=total)
            for i in range(20):
                assert ask("f", {"targetingKey": f"u{i}"}).variant == taken(splits, f"u{i}", total)


def test_wild_ranges_do_not_multiply() -> None:
    random = Random(1)
    splits = [
        split("a", *(shard(salt, *[(b, b + 5000) for b in random.sample(range(5000), 20)]) for salt in "stuv"))
        for _ in range(30)
    ]
    ask = answers(allocation(*splits))
    for i in range(50):
        assert ask("f", {"targetingKey": f"u{i}"}).variant == taken(splits, f"u{i}", 10000)


def test_any_number_of_shards_and_ranges() -> None:
    every = [shard(str(i), (1, 10000)) for i in range(150)]
    many = shard("s", *((b, b + 1) for b in range(0, 10000, 2)))
    ask = answers(allocation(split("a", *every, shard("s", (0, 5000)))), allocation(split("b", many), split("c")))
    for i in range(20):
        user = f"u{i}"
        h = bucket("s", user, 10000)
        sound = all(bucket(str(j), user, 10000) for j in range(150))
        assert ask("f", {"targetingKey": user}).variant == ("a" if sound and h < 5000 else "c" if h % 2 else "b")


def test_who_is_missed_goes_on_to_the_next_allocation() -> None:
    ask = answers(
        allocation(split("a", shard("s"))), allocation(split("b", shard("s", (5, 5), (9, 2)))), allocation(split("c"))
    )
    assert (ask("f", USER).variant, ask("f", USER).rule_index) == ("c", 2)


@pytest.mark.parametrize("context", [None, {}, {"targetingKey": None}, {"targetingKey": 5}])
def test_only_a_shard_needs_a_subject(context: Any) -> None:
    ask = answers(allocation(split("a"), rules=rules(("q", "ONE_OF", ["x"]))), allocation(*HALVES))
    found = ask("f", context, "mine")
    assert (found.value, found.reason, found.error_code) == ("mine", "ERROR", "TARGETING_KEY_MISSING")
    assert ask("f", {**(context or {}), "q": "x"}).variant == "a"
    assert answers(allocation(split("a", shard("s", FULL))))("f", context).variant == "a"


def test_without_any_shards_there_is_no_remainder() -> None:
    ask = answers(allocation(split("a", shard("s", (0, 1)))), allocation(split("b")), totalShards=0)
    assert ask("f", USER).error_code == "GENERAL"
    assert answers(allocation(split("a", shard("s", (0, 0)))), totalShards=0)("f", USER).variant == "a"


# ---------------------------------------------------------------- reasons, metadata, types


@pytest.mark.parametrize("dialect", ["eppo", "datadog"])
@pytest.mark.parametrize(
    ("members", "splits", "reason"),
    [
        ({}, [split("a")], "STATIC"),
        ({"rules": []}, [split("a"), split("b")], "STATIC"),
        ({}, HALVES, "SPLIT"),
        ({}, [split("a", shard("s", FULL))], "SPLIT"),
        ({"startAt": "2020-01-01T00:00:00Z"}, [split("a")], "DEFAULT"),
        ({"endAt": "2050-01-01T00:00:00Z"}, [split("a")], "DEFAULT"),
        ({"endAt": "2050-01-01T00:00:00Z"}, [split("a"), split("b")], "STATIC"),
        ({"endAt": "2050-01-01T00:00:00Z"}, HALVES, "SPLIT"),
        ({"rules": rules(("q", "IS_NULL", True))}, HALVES, "TARGETING_MATCH"),
        ({"rules": [{"conditions": []}]}, [split("a")], "TARGETING_MATCH"),
        ({"rules": rules(("q", "IS_NULL", False))}, [split("a")], None),
    ],
)
def test_reasons(dialect: str, members: dict[str, Any], splits: Any, reason: str | None) -> None:
    own = [{**s, "shards": [{**each, "totalShards": 10000} for each in s["shards"]]} for s in splits]
    found = answers(allocation(*own, **members), dialect=dialect)("f", USER, "mine")
    assert found.reason == (reason or "DEFAULT")
    assert (found.variant, found.rule_index) == ((None, None) if reason is None else (found.variant, 0))
    assert (found.value == "mine") is (reason is None)
    assert found.error_code is None


def test_metadata_are_those_of_the_allocation() -> None:
    first = allocation(
        split("a", shard("s"), extraLogging={"team": "x", "holdout": "1"}),
        split("a", extraLogging={"team": "x", "holdout": "2"}),
        key="first",
        doLog=False,
        rules=rules(("q", "IS_NULL", False)),
    )
    ask = answers(first, allocation(key="second"))
    assert dict(ask("f", {**USER, "q": 1}).metadata) == {
        "variationType": "STRING",
        "allocationKey": "first",
        "doLog": False,
        "extraLogging.team": "x",
    }
    assert dict(ask("f").metadata) == {"variationType": "STRING", "allocationKey": "second", "doLog": True}
    assert dict(answers()("f").metadata) == {"variationType": "STRING"}


@pytest.mark.parametrize(
    ("kind", "value", "expected", "default"),
    [
        ("BOOLEAN", True, True, False),
        ("STRING", "", "", "mine"),
        ("INTEGER", 3.0, 3, 0),
        ("INTEGER", 2**53 + 1, 2**53, 0),
        ("INTEGER", 2**63, 2**63 - 1, 0),
        ("NUMERIC", 3, 3.0, 0.5),
        ("JSON", ' {"a": [1, null]} ', {"a": [1, None]}, {}),
        ("JSON", "5", 5, None),
    ],
)
def test_values(kind: str, value: Any, expected: Any, default: Any) -> None:
    ask = answers(allocation(), variationType=kind, variations={"a": {"key": "a", "value": value}})
    found = ask("f", None, default)
    assert (repr(found.value), found.variant) == (repr(expected), "a")
    wrong = 5 if kind in ("STRING", "BOOLEAN") else "wrong"
    assert ask("f", None, wrong).error_code == "TYPE_MISMATCH"


@pytest.mark.parametrize("kind", ["INTEGER", "NUMERIC"])
def test_no_value_is_no_mismatch_of_another_type_either(kind: str) -> None:
    ask = answers(variationType=kind)
    assert ask("f", None, 1).reason == "DEFAULT"
    assert ask("f", None, "x").error_code == "TYPE_MISMATCH"


def test_a_disabled_flag_has_no_type() -> None:
    found = answers(allocation(), enabled=False)("f", None, 5)
    assert (found.value, found.reason, found.error_code) == (5, "DISABLED", None)


# ---------------------------------------------------------------- what cannot be used

MALFORMED = [
    (5, "flags.f: a flag must be an object or an array"),
    (flag(enabled=...), "flags.f.enabled: a flag has no `enabled`"),
    (flag(enabled=1), "flags.f.enabled: whether the flag is enabled must be true or false"),
    (flag(key=None), "flags.f.key: the flag's key must be a text"),
    (flag(variationType="DATE"), "flags.f.variationType: the type of the variations must be one of BOOLEAN"),
    (flag(allocations="x"), "flags.f.allocations: the allocations must be an array, not a text"),
    (flag(variations=[]), "flags.f.variations: the variations must be an object"),
    (flag(allocation(startAt="soon")), "flags.f.allocations[0].startAt: the time must be a timestamp"),
    (flag(allocation(doLog=None)), "flags.f.allocations[0].doLog: doLog must be true or false"),
    (flag(allocation(splits=...)), "flags.f.allocations[0].splits: an allocation has no `splits`"),
    (flag(allocation({"variationKey": "a"})), "flags.f.allocations[0].splits[0].shards: a split has no `shards`"),
    (flag(allocation(split("a", extraLogging={"x": 1}))), "flags.f.allocations[0].splits[0].extraLogging.x: a value"),
    (flag(allocation(rules=[{}])), "flags.f.allocations[0].rules[0].conditions: a rule has no `conditions`"),
]


@pytest.mark.parametrize("dialect", ["eppo", "datadog"])
@pytest.mark.parametrize(("body", "problem"), MALFORMED, ids=[problem for _, problem in MALFORMED])
def test_a_malformed_flag_leaves_the_others_alone(dialect: str, body: Any, problem: str) -> None:
    ask = Answers(document({"f": body, "g": flag(allocation())}), dialect)
    found = ask("f", USER, "mine")
    assert ask.model.flags[0].problem is not None
    assert ask.model.flags[0].problem.startswith(problem)
    assert (found.value, found.variant) == ("mine", None)
    assert (found.reason, found.error_code) == (("ERROR", "PARSE_ERROR") if dialect == "eppo" else ("DEFAULT", None))
    assert ask("g").variant == "a"
    assert ask.model.flags[1].problem is None


@pytest.mark.parametrize(
    ("ranges", "total"),
    [([{"start": 0}], 1), ([{"start": -1, "end": 1}], 1), ([{"start": 0.0, "end": 1}], 1), ([], 2**32)],
)
def test_ranges_and_totals_are_of_32_bits(ranges: Any, total: int) -> None:
    body = flag(allocation({"variationKey": "a", "shards": [{"salt": "s", "ranges": ranges}]}), totalShards=total)
    assert Answers(document({"f": body}))("f", USER).error_code == "PARSE_ERROR"


def test_eppo_serves_what_can_be_served() -> None:
    ask = answers(
        allocation(split("a"), rules=rules(("q", "ONE_OF", ["a"]))),
        allocation(split("gone"), rules=rules(("q", "ONE_OF", ["gone"]))),
        allocation(split("b"), rules=rules(("q", "ONE_OF", ["b"]))),
        allocation(split("a"), rules=rules(("q", "ONE_OF", "c"))),
        variations={"a": {"key": "a", "value": "A"}, "b": {"key": "b", "value": 5}},
    )
    assert ask("f", {"q": "a"}).value == "A"
    for name, index in (("gone", 1), ("b", 2)):
        found = ask("f", {"q": name}, "mine")
        assert (found.value, found.error_code, found.rule_index) == ("mine", "GENERAL", index)
    assert ask("f", {"q": "c"}, "mine").reason == "DEFAULT"
    assert ask.model.flags[0].problem == "; ".join(
        (
            "flags.f.variations.b.value: the value of a STRING must be a text, not an integer",
            "flags.f.allocations[1].splits[0].variationKey: there is no variation 'gone'",
            "flags.f.allocations[3].rules[0].conditions[0].value: the value of ONE_OF must be an array, not a text "
            "(so that this condition never holds)",
        )
    )


@pytest.mark.parametrize(
    ("allocations", "more", "place"),
    [
        ([allocation(split("gone"))], {}, "allocations[0].splits[0].variationKey"),
        ([], {"variations": {"a": {"key": "a", "value": 5}}}, "variations.a.value"),
        ([], {"variations": {"a": {"key": "a", "value": None}}}, "variations.a.value"),
        ([], {"variations": {"a": {"key": "a", "value": 1.0}}, "variationType": "INTEGER"}, "variations.a.value"),
        ([], {"variations": {"a": {"key": "a", "value": 2**63}}, "variationType": "INTEGER"}, "variations.a.value"),
        ([allocation(rules=rules(("q", "UNKNOWN", 1)))], {}, "allocations[0].rules[0].conditions[0].operator"),
        ([allocation(rules=rules(("q", "GT", "1")))], {}, "allocations[0].rules[0].conditions[0].value"),
        ([allocation(rules=rules(("q", "GT", "1.2.3")))], {}, "allocations[0].rules[0].conditions[0].value"),
        ([allocation(split("a", shard("s", FULL)))], {}, "allocations[0].splits[0].shards[0].totalShards"),
        ([allocation(split("a", shard("s", totalShards=0)))], {}, "allocations[0].splits[0].shards[0].totalShards"),
    ],
)
def test_datadog_leaves_a_flag_out_if_anything_in_it_is_wrong(allocations: Any, more: Any, place: str) -> None:
    ask = answers(allocation(split("a"), rules=[]), *allocations, dialect="datadog", **more)
    shifted = place.replace("allocations[0]", "allocations[1]", 1)
    (found,) = ask.model.flags
    assert found.problem is not None
    assert found.problem.startswith(f"flags.f.{shifted}: ")
    assert ask.model.programs == (Serve(None, Reason.DEFAULT),)
    assert answers(allocation(), dialect="datadog", enabled=False, **more)("f").reason == "DISABLED"


def test_what_datadog_takes_and_eppo_does_not() -> None:
    body = flag(
        allocation(split("a", shard("s", (0, 2), totalShards=3), extraLogging=None), rules=None),
        allocation(split("b", shard("s", (1, 4), totalShards=7))),
        variationType="JSON",
        variations={"a": {"key": "a", "value": {"x": [1, 2**64]}}, "b": {"key": "b", "value": None}},
        totalShards=...,
    )
    ask = Answers(document({"f": body}), "datadog")
    assert ask.model.flags[0].problem is None
    for i in range(50):
        user = f"u{i}"
        expected = "a" if bucket("s", user, 3) < 2 else "b" if 1 <= bucket("s", user, 7) < 4 else None
        found = ask("f", {"targetingKey": user})
        assert (found.variant, repr(found.value)) == (expected, repr({"x": [1, 2.0**64]} if expected == "a" else None))
    assert Answers(document({"f": body})).model.programs == (Fail(ErrorCode.PARSE_ERROR),)


# ---------------------------------------------------------------- time


def test_a_window_has_its_ends_in_it() -> None:
    def at(now_us: int, **window: str) -> bool:
        return answers(allocation(**window), now_us=now_us)("f").variant == "a"

    noon, us = 1_704_110_400_000_000, "2024-01-01T12:00:00.000001Z"
    assert [at(noon + i, startAt=us) for i in range(3)] == [False, True, True]
    assert [at(noon + i, endAt=us) for i in range(3)] == [True, True, False]
    between = "2024-01-01T12:00:00.0000015Z"
    assert [at(noon + i, startAt=between) for i in range(4)] == [False, False, True, True]
    assert [at(noon + i, endAt=between) for i in range(4)] == [True, True, False, False]
    assert [at(noon + i, startAt=us, endAt=between) for i in range(4)] == [False, True, False, False]
    assert at(noon, startAt="-262143-01-01T00:00:00Z", endAt="+262142-12-31T23:59:59Z")


# ---------------------------------------------------------------- documents and options


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"createdAt": ...}, "createdAt: the document has no `createdAt`"),
        ({"createdAt": "2024"}, "createdAt: the time of creation must be a timestamp"),
        ({"environment": None}, "environment: the environment must be an object or an array"),
        ({"environment": {}}, "environment.name: the environment has no `name`"),
        ({"flags": []}, "flags: the flags must be an object"),
        ({"format": "NEW"}, "format: the format must be one of SERVER"),
        ({"format": "CLIENT"}, "format: must be SERVER"),
        ({"bandits": None}, "bandits: the bandits must be an object"),
        ({"bandits": {"b": [{"key": "x"}]}}, "bandits.b[0].flagKey: a bandit's variation has no `flagKey`"),
        ({"bandits": {"b": [["x", "x", "x", 5]]}}, "bandits.b[0].variationValue: the variationValue must be a text"),
    ],
)
def test_what_eppo_refuses_as_a_whole(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document({"f": flag()}) | more if ... not in more.values() else document({}, **more), "eppo")
    assert str(caught.value).startswith(message)


def test_what_datadog_does_not_look_at() -> None:
    whole = document({"f": flag()}, format="NEW", bandits=None)
    assert load(whole, "datadog").flags[0].problem is None


@pytest.mark.parametrize(
    ("flags", "dialect"),
    [
        ({}, "eppo"),
        ({"f": flag()}, "eppo"),
        ({"f": flag(totalShards=...)}, "datadog"),
        ({"f": flag(totalShards=...), "g": flag()}, "eppo"),
        ({"f": flag(allocation(split("a", shard("s", totalShards=1))))}, "datadog"),
        ({"f": 5, "g": {"allocations": [5, {"splits": [5, {"shards": [5]}]}]}}, "datadog"),
    ],
)
def test_the_dialect_is_told_by_the_document(flags: dict[str, Any], dialect: str) -> None:
    whole = document(flags)
    assert load(whole).format == dialect
    assert load(whole, "eppo").format == dialect
    assert load(whole, "datadog").format == "datadog"
    assert [load(whole, options={"dialect": each}).format for each in ("eppo", "datadog")] == ["eppo", "datadog"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialect": "x"}, "options.dialect: must be one of eppo, datadog, not 'x'"),
        ({"dialect": []}, r"options.dialect: must be one of eppo, datadog, not \[\]"),
        ({"other": 1}, "options.other: no such option; there is dialect"),
    ],
)
def test_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}$"):
        load(document({}), "eppo", options)
