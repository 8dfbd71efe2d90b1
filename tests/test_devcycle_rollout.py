"""The DevCycle importer: dates, percentages over time, distributions and what is hashed; both semantics."""

from __future__ import annotations

from typing import Any

import pytest
from devcycle_answers import Answers
from devcycle_documents import JSON, document, feature, target, variation
from hypothesis import given
from hypothesis import strategies as st

from pyflagwasm.config.formats.devcycle.rollout import HASHES, cut_points, date_ms, segments, upper_bound
from pyflagwasm.config.formats.devcycle.semantics import CORRECTED, VENDOR, value

VENDOR_OPTIONS: JSON = {"semantics": "vendor"}
CORRECTED_OPTIONS: JSON = {"semantics": "corrected"}


# ---------------------------------------------------------------- dates and rollouts


@pytest.mark.parametrize(
    ("text", "vendor", "corrected"),
    [
        ("1970-01-01T00:00:00.000Z", 0, 0),
        ("2024-02-29T23:59:59.999Z", 1709251199999, 1709251199999),
        ("2024-02-29T12:00:00+02:00", 1709208000000, 1709200800000),
        ("2024-02-29T12:00:00.5Z", 1709208000005, 1709208000500),
        ("2024-02-29T12:00:00.123456Z", 1709208123456, 1709208000123),
        ("2024-02-29", 1709164800000, 1709164800000),
        ("2024-13-45T00:00Z", 1739491200000, None),
        ("abc", -62167219200000, None),
    ],
)
def test_dates(text: str, vendor: int, corrected: int | None) -> None:
    assert date_ms(text, "", VENDOR) == vendor
    if corrected is not None:
        assert date_ms(text, "", CORRECTED) == corrected


def percentage(rollout: JSON, now: int) -> float:
    """The rule as it is told, stage by stage; dates are milliseconds."""
    if rollout["type"] == "schedule":
        return 1.0 if now >= rollout["start"] else 0.0
    begun = [stage for stage in rollout["stages"] if stage[1] <= now]
    coming = [stage for stage in rollout["stages"] if stage[1] > now]
    if not begun and now <= rollout["start"]:
        return 0.0
    since, now_share = (begun[-1][1], begun[-1][2]) if begun else (rollout["start"], rollout["first"])
    if not coming or coming[0][0] == "discrete":
        return float(now_share)
    until, aim = coming[0][1], coming[0][2]
    return float(now_share + (aim - now_share) * ((now - since) / (until - since)))


MOMENTS = st.integers(0, 40)
SHARES = st.sampled_from([0, 0.1, 1 / 3, 0.5, 0.7, 1])


@given(
    kind=st.sampled_from(["schedule", "gradual", "stepped"]),
    start=MOMENTS,
    first=SHARES,
    stages=st.lists(st.tuples(st.sampled_from(["linear", "discrete"]), MOMENTS, SHARES), max_size=4),
)
def test_segments_are_exact_for_every_millisecond(kind: str, start: int, first: float, stages: list[Any]) -> None:
    def date(ms: int) -> str:
        return f"1970-01-01T00:00:00.{ms:03d}Z"

    json = {
        "type": kind,
        "startDate": date(start),
        "startPercentage": first,
        "stages": [{"type": word, "date": date(ms), "percentage": share} for word, ms, share in stages],
    }
    found = segments(json, "", VENDOR)
    assert list(found) == sorted(found, key=lambda segment: segment.from_ms)
    told = {"type": kind, "start": start, "first": first, "stages": stages}
    for now in range(-1, 42):
        shares = [s.p0 + (s.p1 - s.p0) * ((now - s.t0) / (s.t1 - s.t0)) for s in found if s.from_ms <= now]
        assert (shares[-1] if shares else 0.0) == percentage(told, now), now


@pytest.mark.parametrize("passthrough", [True, False])
def test_a_rollout_lets_others_pass_or_keeps_them(passthrough: bool) -> None:
    rollout = {"type": "schedule", "startDate": "2030-01-01T00:00:00.000Z"}
    off = [{"_variation": "off", "percentage": 1}]
    config = document(feature(target(rollout=rollout, _id="t1"), target(distribution=off, _id="t2")))
    config["project"]["settings"]["disablePassthroughRollouts"] = not passthrough
    answers = Answers(config)
    start = date_ms(rollout["startDate"], "", VENDOR)
    assert answers("flag-v", {"user_id": "u"}, start).target == "t1"
    before = answers("flag-v", {"user_id": "u"}, start - 1)
    assert before.target == "t2" if passthrough else before.defaulted


# ---------------------------------------------------------------- distributions and hashing


@pytest.mark.parametrize("share", [0.0, -1.0, 1e-12, 0.1, 0.1 + 0.2, 1 / 3, 0.5, 1 - 2**-33, 1 - 2**-53])
def test_bounds_are_the_first_hash_outside(share: float) -> None:
    bound = upper_bound(share)
    assert not bound / (HASHES - 1) < share
    assert bound == 0 or (bound - 1) / (HASHES - 1) < share


def test_the_highest_hash_is_inside_a_sum_of_one_only() -> None:
    assert upper_bound(1.0) == upper_bound(1.5) == upper_bound(float("inf")) == HASHES
    assert upper_bound(1 - 2**-53) == HASHES - 1


def test_variations_are_dealt_out_by_id_descending() -> None:
    entries = [("b", 0.25), ("\ue000", 0.25), ("😀", 0.25), ("ab", 0.125), ("a", 0.125)]
    assert [name for _, name in cut_points(entries, VENDOR)] == ["\ue000", "😀", "b", "ab", "a"]  # by UTF-16 unit
    assert cut_points([("a", 0.5), ("b", 0), ("c", 0.5)], VENDOR) == [(HASHES // 2, "c"), (HASHES, "a")]
    assert cut_points([("c", 0.5), ("b", -0.1), ("a", 0.05)], VENDOR) == [(HASHES // 2, "c")]


def test_entries_of_one_variation_are_turned_round_by_the_vendor() -> None:
    entries = [("a", -0.5), ("b", 0.25), ("a", 0.25)]
    assert cut_points(entries, VENDOR) == [(HASHES // 4, "b"), (HASHES // 2, "a")]
    assert cut_points(entries, CORRECTED) == [(HASHES // 4, "b")]


SPLIT = [{"_variation": "on", "percentage": 0.5}, {"_variation": "off", "percentage": 0.5}]


def dealt(semantics: JSON, users: list[JSON], **more: Any) -> list[bool]:
    answers = Answers(document(feature(target(distribution=SPLIT, **more))), semantics)
    return [answers("flag-v", user).value for user in users]


def test_the_vendor_hashes_accents_alike() -> None:
    users = [{"user_id": f"jos{letter}"} for letter in "éèêëàâäöüñøß"]
    assert len(set(dealt(VENDOR_OPTIONS, users))) == 1
    assert len(set(dealt(CORRECTED_OPTIONS, users))) == 2


def test_bucketing_keys() -> None:
    users = [{"user_id": f"user-{i}", "customData": {"team": i % 3, "": "same"}} for i in range(60)]
    by_team = dealt(VENDOR_OPTIONS, users, bucketingKey="team")
    assert by_team == by_team[:3] * 20
    assert by_team == dealt(VENDOR_OPTIONS, [{"user_id": str(i % 3)} for i in range(60)])
    assert len(set(dealt(VENDOR_OPTIONS, users, bucketingKey="nothing"))) == 1
    by_user = dealt(VENDOR_OPTIONS, users)
    assert len(set(by_user)) == 2
    for key in ("user_id", None, 5):
        assert dealt(VENDOR_OPTIONS, users, bucketingKey=key) == by_user
    assert len(set(dealt(VENDOR_OPTIONS, users, bucketingKey=""))) == 1
    assert dealt(CORRECTED_OPTIONS, users, bucketingKey="") == dealt(CORRECTED_OPTIONS, users)


def test_each_target_deals_anew() -> None:
    users = [{"user_id": f"user-{i}"} for i in range(60)]
    assert dealt(VENDOR_OPTIONS, users, _id="t1") != dealt(VENDOR_OPTIONS, users, _id="t2")


@pytest.mark.parametrize(
    ("literal", "vendor"),
    [
        (2**53, 2**53),
        (2**53 + 1, 2**53),
        (123456789012345678, 123456789012345696),
        (-(2**63), -(2**63)),
        (10**20, 2**63 - 1),
        (-(10**300), -(2**63)),
        (True, True),
        (0.1, 0.1),
    ],
)
def test_long_integers(literal: Any, vendor: Any) -> None:
    assert value({"a": [literal]}, VENDOR) == {"a": [vendor]}
    assert value({"a": [literal]}, CORRECTED) == {"a": [literal]}
    served = document(feature(target(), variations=[variation("on", v=literal)]), variables={"v": "Number"})
    assert Answers(served)("flag-v", {"user_id": "u"}).value == vendor
