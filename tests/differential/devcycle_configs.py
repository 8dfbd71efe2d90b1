"""Random DevCycle configurations and users for devcycle.py: every operator, comparator, kind of data and known quirk.

Values are drawn from small pools on purpose, so that comparisons are often met, and the pools hold what is awkward:
empty texts, accents, surrogate pairs, prefixes of each other, versions with letters, numbers on the edge of 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

T = TypeVar("T")
JSON = dict[str, Any]

NOW_MS = 1_741_000_000_123
HOUR_MS = 3_600_000

TEXTS = ["", "a", "ab", "b", "abba", "Ab", "ä", "äb", "ö", "😀", "a😀", "null", "true", "0", "7", " a", "@shop.example"]
NUMBERS = [0, 1, -1, 7, 7.0, 7.5, 0.1, 1e-7, 1e21, -2.5, 2**53, -(2**53), 100]
LITERALS = [*NUMBERS, 2**53 + 1, 123456789012345678, 2**63, 10**20, -(10**20)]
VERSIONS = [
    *("", "1", "1.0", "1.0.0", "01.0", "1.0.1", "1.2", "1.10", "v1.0.0", "vv1.0", "1.0.0-rc1", "1-2-3", "-", "a.b"),
    *("1..2", ".1", "1.", "1.0.0.0.1", "(1)", "1 0", "é1.2", "😀1.2", "99999999999999999999", "1.x.2", "2.0-b-b"),
]
PLATFORMS = ["Python", "iOS", "ab", ""]
KEYS = ["plan", "age", "vip", "größe"]
COMPARATORS = ["=", "!=", ">", ">=", "<", "<=", "exist", "!exist", "contain", "!contain", "startWith", "!startWith",
               "endWith", "!endWith"]  # fmt: skip
SUBJECTS = [
    *("user_id", "email", "country", "deviceModel", "appVersion", "appVersion", "platformVersion", "platformVersion"),
    *("platform", "language"),
]
KINDS = ["Boolean", "Number", "String", "JSON"]


class Configs:
    """One stream of random configurations. `sloppy`: dates in all the ways that only the vendor's own module reads."""

    def __init__(self, rng: Random, *, sloppy: bool) -> None:
        self.rng, self.sloppy = rng, sloppy
        self.count = 0

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def some(self, pool: Sequence[T], most: int = 3) -> list[T]:
        return [self.rng.choice(pool) for _ in range(self.rng.choice([0, 1, 1, 1, 2, most]))]

    def id(self, prefix: str) -> str:
        self.count += 1
        accent = self.rng.choice(["", "", "", "", "é", "😀"])
        return f"{prefix}{self.rng.randrange(16**4):04x}{accent}{self.count}"

    # ------------------------------------------------------------ dates

    def date(self) -> str:
        hours = self.rng.choice([-900, -40, -3, -1, 0, 0, 1, 2, 30, 900])
        ms = NOW_MS + hours * HOUR_MS + self.rng.choice([-1, 0, 0, 1])
        moment = datetime.fromtimestamp(ms // 1000, UTC)
        text = moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"
        return self.sloppy_date(moment, readable=True) if self.sloppy and self.chance(0.15) else text

    def sloppy_date(self, moment: datetime | None = None, readable: bool = False) -> str:
        moment = moment or datetime.fromtimestamp(self.rng.randrange(-(10**10), 10**11), UTC)
        field = ["", "0", "1", "7", "12", "13", "14", "31", "45", "99", "-3", "+2", " 8", "x", "0x1f", "7z", "1e3"]
        day = [str(moment.year), f"{moment.month:02d}", f"{moment.day:02d}"][: self.rng.choice([1, 2, 3, 3, 3, 3])]
        clock = moment.strftime("%H:%M:%S").split(":")[: self.rng.choice([2, 3, 3] if readable else [1, 2, 3, 3, 3])]
        for fields in (day, clock):
            if self.chance(0.3):
                fields[self.rng.randrange(len(fields))] = self.rng.choice(field)
        end = self.rng.choice(["Z", "", "+02:00", "-05:00", ".5Z", ".123456Z", ".25+01:00", ".x"])
        text = "-".join(day) + (self.rng.choice("TTTT t") + ":".join(clock) + end if self.chance(0.8) else "")
        return text or "0" * readable

    # ------------------------------------------------------------ audiences

    def values(self, pool: Sequence[Any]) -> list[Any]:
        found: list[Any] = self.some(pool)
        if found and self.chance(0.08):
            found.append(self.rng.choice([1, True, "a", 7.5, None, {}]))  # of another kind than the first: ignored
        return found

    def filter(self, audiences: list[str]) -> JSON:
        match self.rng.choices(["all", "odd", "audience", "custom", "profile"], [8, 4, 14, 40, 44])[0]:
            case "all":
                return {"type": "all"}
            case "odd":
                return self.rng.choice([{"type": "optIn"}, {"type": "weather", "values": None}])
            case "audience":
                names: list[Any] = self.some(audiences, 2) if audiences else []
                if self.chance(0.1):
                    names.insert(self.rng.randrange(len(names) + 1), self.rng.choice(["nobody", 5]))
                comparator = self.rng.choice(["=", "!=", "=", "!=", "=", "contain"])
                return {"type": "audienceMatch", "comparator": comparator, "_audiences": names}
        comparator = self.rng.choice(COMPARATORS) if self.chance(0.97) else "like"
        if self.chance(0.5):
            kind = self.rng.choice(["String", "Number", "Boolean"])
            pool: Sequence[Any] = {"String": TEXTS, "Number": LITERALS, "Boolean": [True, False]}[kind]
            if self.chance(0.08):
                pool = self.rng.choice([TEXTS, NUMBERS, [True, False]])
            return {"type": "user", "subType": "customData", "comparator": comparator, "dataKey": self.rng.choice(KEYS),
                    "dataKeyType": kind, "values": self.values(pool)}  # fmt: skip
        subject = self.rng.choice(SUBJECTS)
        pool = VERSIONS if "Version" in subject else PLATFORMS if subject == "platform" else TEXTS
        if subject == "user_id":
            pool = ["u1", "u2", "u", "1", "ü3", ""]
        return {"type": "user", "subType": subject, "comparator": comparator, "values": self.values(pool)}

    def operator(self, audiences: list[str], depth: int = 0) -> JSON:
        items = [
            self.operator(audiences, depth + 1) if depth < 3 and self.chance(0.2) else self.filter(audiences)
            for _ in range(self.rng.choice([0, 1, 1, 1, 1, 2, 2, 3, 4]))
        ]
        word = self.rng.choice(["and", "or"]) if self.chance(0.97) else "nor"
        if items and "operator" not in items[0] and self.chance(0.02):
            items[0]["operator"] = 5  # no text: still a filter
        return {"operator": word, "filters": items}

    # ------------------------------------------------------------ features

    def rollout(self) -> JSON:
        found: JSON = {"type": self.rng.choice(["schedule", "gradual", "gradual", "stepped"]), "startDate": self.date()}
        if self.chance(0.8):
            found["startPercentage"] = self.rng.choice([0, 0.1, 0.3, 0.5, 1, 1.0, 2, -1])
        if self.chance(0.8):
            found["stages"] = [
                {"type": self.rng.choice(["linear", "linear", "discrete"]), "date": self.date(),
                 "percentage": self.rng.choice([0, 0.1, 0.25, 1 / 3, 0.7, 1])}
                for _ in range(self.rng.choice([0, 1, 2, 3]))
            ]  # fmt: skip
            if self.chance(0.7):
                found["stages"].sort(key=lambda stage: stage["date"])
        elif self.chance(0.2):
            found["stages"] = None
        return found

    def distribution(self, variations: list[JSON]) -> list[JSON]:
        picked = self.rng.sample(variations, self.rng.randrange(1, len(variations) + 1))
        if self.chance(0.05):
            picked.append(self.rng.choice(picked))
        weights = [self.rng.choice([0, 1, 1, 1, 2, 3, 7]) for _ in picked]
        total = sum(weights) or 1
        shares: list[int | float] = [weight / total for weight in weights]
        if len(picked) == 1 or self.chance(0.1):
            shares = [self.rng.choice([1, 1.0, 1.0, 0.1]) if len(picked) == 1 else 1 / len(picked)] * len(picked)
        if self.chance(0.02):
            shares[0] = self.rng.choice([0.5, 2, 10**20, -0.5])
        found = [{"_variation": v["_id"], "percentage": share} for v, share in zip(picked, shares, strict=True)]
        if self.chance(0.005):
            found[0]["_variation"] = "nowhere"
        return [] if self.chance(0.002) else found

    def target(self, audiences: list[str], variations: list[JSON]) -> JSON:
        found: JSON = {
            "_id": self.id("t"),
            "_audience": {"_id": "", "filters": self.operator(audiences)},
            "distribution": self.distribution(variations),
        }
        if self.chance(0.25):
            found["_audience"]["filters"] = {"operator": "and", "filters": [{"type": "all"}]}
        if self.chance(0.4):
            found["rollout"] = self.rollout() if self.chance(0.95) else None
        if self.chance(0.3):
            found["bucketingKey"] = self.rng.choice([*KEYS, *KEYS, "user_id", "email", "", None, 5])
        return found

    def value(self, kind: str) -> Any:
        if self.chance(0.03):
            return None
        match kind:
            case "Boolean":
                return self.chance(0.5)
            case "Number":
                return self.rng.choice(LITERALS)
            case "String":
                return self.rng.choice(TEXTS)
        return self.rng.choice([{"a": {"é": self.rng.choice(LITERALS)}, "b": [None, True]}, {}, [1, [2.5]], "text", 3])

    def feature(self, index: int, audiences: list[str], variables: list[JSON]) -> JSON:
        mine = self.rng.sample(variables, self.rng.randrange(1, len(variables) + 1))
        variations = [
            {"_id": self.id("v"), "key": f"variation-{index}-{i}", "name": "n",
             "variables": [{"_var": v["_id"], "value": self.value(v["type"])} for v in mine if self.chance(0.99)]}
            for i in range(self.rng.choice([1, 2, 2, 3, 4]))
        ]  # fmt: skip
        if len(variations) > 1 and self.chance(0.03):
            variations[0]["_id"] = variations[1]["_id"]
        if self.chance(0.02) and variations[0]["variables"]:
            variations[0]["variables"].append({**variations[0]["variables"][0], "value": "again"})
        targets = [self.target(audiences, variations) for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3]))]
        kind = self.rng.choice(["release", "experiment", "permission", "ops"])
        return {"_id": self.id("f"), "key": f"feature-{index}", "type": kind, "variations": variations,
                "configuration": {"_id": "c", "targets": targets}}  # fmt: skip

    def config(self) -> JSON:
        names = [self.id("aud") for _ in range(self.rng.choice([0, 1, 2, 3]))]
        variables = [
            {"_id": self.id("var"), "key": f"flag-{i}", "type": self.rng.choice(KINDS)}
            for i in range(self.rng.randrange(2, 7))
        ]
        if self.chance(0.05):
            variables.append({**variables[0], "_id": self.id("var")})  # the same key again
        settings: JSON = {} if self.chance(0.6) else {"disablePassthroughRollouts": self.chance(0.7)}
        found: JSON = {
            "project": {"_id": "p", "key": "shop", "a0_organization": "o", "settings": settings},
            "environment": {"_id": "e", "key": "test"},
            "audiences": {name: {"filters": self.operator(names[:i])} for i, name in enumerate(names)},
            "features": [self.feature(i, names, variables) for i in range(self.rng.randrange(1, 5))],
            "variables": variables,
        }
        if not names and self.chance(0.3):
            found["audiences"] = self.rng.choice([None, []])
        return found

    # ------------------------------------------------------------ damage

    def circle(self, config: JSON) -> None:
        """Makes an audience refer to itself over another one, and a target refer to it."""
        refer = [{"type": "audienceMatch", "comparator": "=", "_audiences": [name]} for name in ("ring-a", "ring-b")]
        config["audiences"] = {**(config["audiences"] or {})}
        for name, item in zip(("ring-b", "ring-a"), refer, strict=True):
            config["audiences"][name] = {"filters": {"operator": "or", "filters": [item]}}
        config["features"][0]["configuration"]["targets"].insert(
            0, {**self.target([], config["features"][0]["variations"]), "_audience": {"filters": {
                "operator": "and", "filters": [refer[0]]}}}
        )  # fmt: skip

    def break_feature(self, feature: JSON) -> None:
        """Something in a target that makes the vendor's module refuse the whole configuration."""
        target = self.target([], feature["variations"])
        user: JSON = {"type": "user", "subType": "email", "comparator": "=", "values": ["a"]}
        custom = {**user, "subType": "customData", "dataKey": "plan", "dataKeyType": "String"}
        filters: list[Any] = [
            {**custom, "dataKeyType": "Semver"}, {**user, "values": [None]}, {**user, "values": [{}]}, {"type": 5},
            {**user, "values": "a"}, {"type": "user"}, {**custom, "dataKey": None}, {"operator": "and"},
            {**user, "subType": 1},
            {"type": "audienceMatch", "comparator": "="}, {"operator": "or", "filters": [None]}, "all",
        ]  # fmt: skip
        stage = {"type": "linear", "date": "2025-01-01T00:00:00.000Z", "percentage": 1}
        rollouts: list[Any] = [
            {"type": "often", "startDate": stage["date"]}, {"type": "gradual"}, {"type": "gradual", "startDate": ""},
            {"type": "schedule", "startDate": stage["date"], "startPercentage": None},
            {"type": "stepped", "startDate": stage["date"], "stages": [{**stage, "type": "curved"}]},
            {"type": "stepped", "startDate": stage["date"], "stages": [{**stage, "percentage": "1"}]},
        ]  # fmt: skip
        match self.rng.randrange(3):
            case 0:
                target["_audience"] = {"filters": {"operator": "and", "filters": [self.rng.choice(filters)]}}
            case 1:
                target["rollout"] = self.rng.choice(rollouts)
            case 2:
                target["distribution"] = self.rng.choice([None, [{"_variation": "v"}], [{"percentage": 1}], [3]])
        feature["configuration"]["targets"].append(target)

    # ------------------------------------------------------------ users

    def platform(self) -> dict[str, str]:
        return {"platform": self.rng.choice(PLATFORMS), "platformVersion": self.rng.choice(VERSIONS)}

    def client_data(self) -> JSON:
        pool = [*TEXTS, *LITERALS, True, False, None]
        return {key: self.rng.choice(pool) for key in self.rng.sample(KEYS, self.rng.choice([0, 0, 1, 2]))}

    def user(self) -> JSON:
        ids = ["u1", "u2", "u", "ü3", "", f"user-{self.rng.randrange(10**6)}", f"jürgen{self.rng.randrange(9)}"]
        found: JSON = {"user_id": self.rng.choice([*ids, ids[-2], ids[-2]])}
        for name in ("email", "country", "deviceModel", "appVersion", "platform", "platformVersion", "language"):
            if self.chance(0.6):
                found[name] = self.rng.choice(VERSIONS if "Version" in name else [*PLATFORMS, *TEXTS])
            elif self.chance(0.03):
                found[name] = self.rng.choice([5, None, True, ["a"]])
        for name in ("customData", "privateCustomData"):
            if self.chance(0.6):
                pool = [*TEXTS, *NUMBERS, True, False, None]
                found[name] = {key: self.rng.choice(pool) for key in self.rng.sample(KEYS, self.rng.randrange(4))}
            elif self.chance(0.02):
                found[name] = self.rng.choice([None, 5, ["a"], "text"])
        if self.chance(0.05):
            found["appBuild"] = self.rng.choice([1, 2.5])
        if self.chance(0.006):
            odd: JSON = {
                "appBuild": "7",
                "user_id": 5,
                "customData": {"plan": []},
                "privateCustomData": {"x": {"y": 1}},
            }
            name = self.rng.choice(list(odd))
            found[name] = odd[name]
        return found
