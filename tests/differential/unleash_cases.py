"""Random client features and contexts for unleash.py: Unicode, odd numbers, dates, networks, quotes, wrong types."""

from __future__ import annotations

import copy
import math
import struct
from collections.abc import Callable
from random import Random
from typing import Any

from pyflagwasm.config.formats.unleash.values import number_text

TEXTS = [
    "", "a", "A", "abc", "ABC", "aBc def", "b", "x,y", " a ", "Straße", "STRASSE", "ẞ", "İstanbul", "i̇stanbul",
    "ΟΔΟΣ", "οδος", "οδοσ", "ΑΣ.", "e\u0301", "é", "\u0345Σ", "😀", "a😀b", "日本", "\t", "a\nb", "a\tb", '"',
    'say "hi"', "back\\", "\\", "\\\\", 'esc\\"q', '\\"', "true", "false", "True", "None", "null", "\u2028", "\x1f",
    "\x85a", "-",
    "!", "or true", ") or true", "ǅ", "ŉ",
]  # fmt: skip
NUMBERS = [
    "0", "-0", "1", "1.0", "01", "+1", "-1", "1.", ".5", "0.5", "1e3", "1E3", "1e-3", "1e+2", "1000", "1e", "e1",
    "inf", "-inf", "+Infinity", "NaN", "nan", "1_000", "1,5", "0x10", " 1", "1 ", "1e400", "-1e400", "1e-400",
    "9007199254740993", "0.1", "0.30000000000000004", "2.220446049250313e-16", "1.0000000000000002",
    "0.9999999999999999", "0.49999999999999994", "123456789012345678901234567890", "١",
]  # fmt: skip
VERSIONS = [
    "1.2.3", "1.2.4", "1.10.0", "2.0.0", "1.2", "1", "1.2.3.4", "v1.2.3", "V1.2.3", "01.2.3", "1.02.3", "1.2.3-beta",
    "1.2.3-beta.1", "1.2.3-beta.11", "1.2.3-beta.02", "1.2.3-alpha", "1.2.3-1", "1.2.3--", "1.2.3-a..b", "1.2.3-",
    "1.2.3+build", "1.2.3+b.02", "1.2.3-rc.1+5", "18446744073709551615.0.0", "18446744073709551616.0.0",
    "1.2.3-99999999999999999999", "1.2.3-x٢", " 1.2.3", "1.2.3 ",
]  # fmt: skip
DATES = [
    "2022-01-29T13:00:00Z", "2022-01-29T13:00:00.000Z", "2022-01-29T13:00:00.001Z", "2022-01-29T14:00:00+01:00",
    "2022-01-29T13:00:00.0001Z", "2022-01-29T13:00:00.0000000001Z", "2022-1-29T13:0:0Z", "2022-01-29 13:00:00Z",
    "2022-01-29t13:00:00z", "2022-01-29T13:00:00", "2022-01-29", "2022-01-29T13:00:00 UTC", "2022-01-29T13:00:00utc",
    "2022-01-29T12:30:00-0030", "2022 -01- 29T13 :00: 00 Z ", "2022-02-30T00:00:00Z", "2020-02-29T00:00:00Z",
    "2021-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T23:59:59Z", "2022-13-01T00:00:00Z",
    "2016-12-31T23:59:60Z", "2016-12-31T23:59:60.999Z", "2016-12-31T23:59:59.999Z", "2016-12-31T23:59:61Z",
    "2017-01-01T00:00:00Z", "2022-01-29T24:00:00Z", "2022-01-29T13:60:00Z", "+12022-01-29T13:00:00Z",
    "-0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
    "+262142-12-31T23:59:59Z", "+262143-01-01T00:00:00Z", "-262143-01-01T00:00:00Z", "2022-01-29T13:00:00+24:00",
    "2022-01-29T13:00:00+23:59", "2022-01-29T13:00:00\u221201:00", "2022-01-29T13:00:00+01 30",
    "2022-01-29T13:00:00.Z", "2022-01-29T13:00:00+01:60", "2022-01-29T13:00:00+1:00", "1969-12-31T23:59:59.500Z",
    "3022-01-29T13:00:00.000Z", "2022-01-29T13:00:00.000000Z", "20220129T130000Z", "2022-01-29T13:00:00Zx",
    "\u30002022-01-29T13:00:00Z", "-2022-01-29T13:00:00Z",
]  # fmt: skip
ADDRESSES = [
    "127.0.0.1", "127.0.0.2", "10.1.2.3", "10.0.0.0/8", "10.1.2.3/8", "10.1.2.0/24", "192.168.1.1/255.255.0.0",
    "10.0.0.0/255.0.255.0", "127.1", "127.000.0.1", "0127.0.0.1", "256.0.0.1", "::1", "::", "::/0", "0.0.0.0/0",
    "0.0.0.0/0.0.0.0", "10.0.0.0/+8", "10.0.0.0/008", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8", "10.0.0.0/8/8",
    "2001:db8::/48", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "::ffff:10.1.2.3", "::ffff:10.1.2.3/104", "::10.1.2.3",
    "2001:db8::1%eth0", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::", ":1", "1::2::3", "12345::", "::1/129", "::1/128",
    " 127.0.0.1", "127.0.0.1 ", "192.168.200.7", "1:2:3:4:5:6:1.2.3.4", "fe80::/10", "fe80::1", "10.0.0.0/256",
]  # fmt: skip
PATTERNS = [
    "a", "^a", "a$", "^abc$", "", ".*", "[", "(?i)ABC", "a|b", "^(a|b)c?", r"\d+", r"^\w+$", r"\bdef\b", "(?=a)",
    r"(a)\1", "[[:alpha:]]+", "日", "^.$", "\\", 'say "hi"', "(?s)a.b", "ß", "(?i)straße", r"1\.2", "a{2,3}",
]  # fmt: skip
FIELDS = ["userId", "sessionId", "environment", "appName", "currentTime", "remoteAddress"]
PROPERTIES = [
    "x",
    "plan",
    "región",
    "a b",
    'q"uote',
    "back\\",
    'esc\\"q',
    "random",
    "targetingKey",
    "properties",
    "default",
    "é",
]
OPERATORS = [
    "IN", "NOT_IN", "STR_STARTS_WITH", "STR_ENDS_WITH", "STR_CONTAINS", "NUM_EQ", "NUM_GT", "NUM_GTE", "NUM_LT",
    "NUM_LTE", "DATE_AFTER", "DATE_BEFORE", "SEMVER_EQ", "SEMVER_GT", "SEMVER_GTE", "SEMVER_LT", "SEMVER_LTE",
    "REGEX", "IN_CIDR",
]  # fmt: skip
STRATEGIES = [
    "default", "userWithId", "gradualRolloutUserId", "gradualRolloutSessionId", "gradualRolloutRandom",
    "flexibleRollout", "remoteAddress", "applicationHostname", "flexibleRollout", "flexibleRollout", "custom",
]  # fmt: skip
SHARES = ["0", "1", "50", "99", "100", "100", "+50", "007", "101", "", " 50", "50.0", "x", "18446744073709551616"]
GROUPS = ["g", "", "región", 'q"uote', 'esc\\"q', "back\\", "😀", "group", "a", "b"]
USERS = [str(i) for i in range(40)]


class Cases:
    """Documents and contexts. With `client` only contexts that UnleashClient can take."""

    def __init__(self, random: Random, client: bool, regex: bool) -> None:
        self.random, self.client, self.regex = random, client, regex
        self.numbers: list[float] = []

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some(self, make: Callable[[], Any], most: int) -> list[Any]:
        return [make() for _ in range(self.random.randint(0, most))]

    # ------------------------------------------------------------ values

    def double(self) -> float:
        while True:
            if self.chance(0.5):
                value: float = struct.unpack("<d", self.random.randbytes(8))[0]
            else:
                value = self.random.choice([1, -1]) * self.random.random() * 10 ** self.random.randint(-8, 25)
            if math.isfinite(value):
                return value

    def text(self) -> str:
        kind = self.random.randrange(9)
        if kind == 0 and self.numbers:
            return number_text(self.random.choice(self.numbers))
        if kind <= 2:
            return self.random.choice(USERS)
        return self.random.choice(self.random.choice([TEXTS, NUMBERS, VERSIONS, DATES, ADDRESSES, TEXTS]))

    def scalar(self) -> Any:
        return self.random.choice(
            [True, False, 0, 1, 42, -7, 1.0, 0.5, 1e16, 1e-5, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30]
            + (self.numbers or [2.5])
        )

    def value(self) -> Any:
        kind = self.random.randrange(10)
        if kind < 7:
            return self.text()
        if kind < 9:
            return self.scalar()
        return self.random.choice([None, [], ["a"], {}, {"a": 1}])

    def name(self) -> str:
        return self.random.choice(FIELDS + PROPERTIES)

    # ------------------------------------------------------------ features

    def constraint(self) -> Any:
        operator = self.random.choice(OPERATORS) if not self.chance(0.01) else "EQUALS"
        if operator == "REGEX" and not self.regex:
            operator = "IN"
        made: dict[str, Any] = {"contextName": self.name(), "operator": operator}
        own = {"D": DATES, "N": NUMBERS, "S": VERSIONS, "R": PATTERNS}.get(operator[0], TEXTS)
        if operator.startswith(("NOT_IN", "STR_")):
            own = TEXTS
        if self.chance(0.95):
            made["value"] = self.random.choice(own) if self.chance(0.9) else self.text()
        if self.chance(0.95):
            pool = ADDRESSES if operator == "IN_CIDR" else None
            made["values"] = self.some(lambda: self.random.choice(pool) if pool else self.sound_text(), 4)
        if operator.startswith("STR_") and made.get("values") == [] and self.chance(0.9):
            made["values"] = ["a"]
        if self.chance(0.3):
            made["caseInsensitive"] = self.chance(0.7)
        if self.chance(0.3):
            made["inverted"] = self.chance(0.7)
        if operator[:3] in ("NUM", "DAT", "SEM") and self.chance(0.7):
            made["value"] = self.random.choice([v for v in own if self._sound(v, own)])
        return made

    @staticmethod
    def _sound(value: str, own: list[str]) -> bool:
        if own is DATES:
            return len(value) in (20, 24) and value[10] == "T" and value.endswith("Z")
        return value[:1].isdigit() and value.isascii() and "_" not in value and "," not in value and "x" not in value

    def sound_text(self) -> str:
        text = self.text()
        return text if self.chance(0.05) else text.rstrip("\\")

    def strategy(self) -> Any:
        name = self.random.choice(STRATEGIES)
        made: dict[str, Any] = {"name": name}
        stickiness = [
            "default",
            "default",
            "userId",
            "sessionId",
            "random",
            "x",
            "plan",
            "región",
            "appName",
            "é",
            'q"uote',
        ]
        given = {
            "userIds": lambda: ", ".join(self.some(self.sound_text, 5)),
            "percentage": lambda: self.random.choice(SHARES),
            "rollout": lambda: self.random.choice(SHARES) if self.chance(0.5) else str(self.random.randint(0, 100)),
            "groupId": lambda: self.random.choice(GROUPS),
            "stickiness": lambda: self.random.choice(stickiness),
            "IPs": lambda: ",".join(self.some(lambda: self.random.choice(ADDRESSES), 5)),
            "hostNames": lambda: ",".join(self.some(lambda: self.random.choice(["host", 'q"', "back\\", ""]), 3)),
        }  # fmt: skip
        parameters = {key: make() for key, make in given.items() if self.chance(0.7)}
        if self.chance(0.9):
            made["parameters"] = parameters
        if self.chance(0.5):
            made["constraints"] = self.some(self.constraint, 2)
        if self.chance(0.15):
            made["segments"] = self.some(lambda: self.random.randint(1, 4), 2)
        if self.chance(0.35):
            made["variants"] = self.some(lambda: self.variant(strategy=True), 4)
        return made

    def variant(self, strategy: bool = False) -> Any:
        weights = [0, 1, 1, 2, 3, 100, 333, 334, 500, 1000, 2**31 - 1]
        made: dict[str, Any] = {"name": self.random.choice("abcdefg"), "weight": self.random.choice(weights)}
        if self.chance(0.02):
            made["weight"] = self.random.choice([-1, -2, -(2**31)])
        if self.chance(0.4):
            made["payload"] = {"type": self.random.choice(["string", "json", "number"]), "value": self.text()}
        if self.chance(0.5):
            made["stickiness"] = self.random.choice(
                ["default", "userId", "sessionId", "random", "x", "plan", "appName", "é"]
            )
        if not strategy and self.chance(0.2):
            made["overrides"] = self.some(lambda: {"contextName": self.name(), "values": self.some(self.text, 4)}, 2)
        return made

    def dependency(self, names: list[str]) -> Any:
        made: dict[str, Any] = {"feature": self.random.choice(names)}
        if self.chance(0.5):
            made["enabled"] = self.chance(0.5)
        if self.chance(0.5):
            made["variants"] = self.some(lambda: self.random.choice("abcdefg"), 4)
        return made

    def feature(self, name: str, names: list[str]) -> Any:
        made: dict[str, Any] = {"name": name, "enabled": self.chance(0.9)}
        if self.chance(0.95):
            made["strategies"] = self.some(self.strategy, 3)
        if self.chance(0.4):
            made["variants"] = self.some(self.variant, 4)
        if self.chance(0.25):
            made["dependencies"] = self.some(lambda: self.dependency([*names, "gone"]), 2)
        if self.chance(0.2):
            made |= {"project": "p", "type": "release", "stale": False, "impressionData": True}
        return made

    def document(self) -> Any:
        self.numbers = [self.double() for _ in range(3)]
        names = [f"f{i}" for i in range(8)] + ["日/本"]
        features = [self.feature(name, names) for name in names]
        if self.chance(0.05):
            features.append(self.feature(names[0], names))
        segments = [{"id": i, "constraints": self.some(self.constraint, 2)} for i in (1, 2, 2, 3)]
        document: Any = {"version": 2, "features": features}
        if self.chance(0.9):
            document["segments"] = segments
        if self.chance(0.1):
            document = self.events(features, segments)
        return self.damaged(document) if self.chance(0.05) else document

    def events(self, features: list[Any], segments: list[Any]) -> Any:
        events: list[dict[str, Any]] = []
        if self.chance(0.6):
            events.append({"type": "hydration", "features": features[:6], "segments": segments[:2]})
        events += [{"type": "feature-updated", "feature": each} for each in self.random.sample(features, 6)]
        events += [{"type": "segment-updated", "segment": each} for each in segments]
        if self.chance(0.5):
            events.append({"type": "feature-removed", "featureName": "f1", "project": "p"})
            events.append({"type": "segment-removed", "segmentId": 3})
        return {"events": [{"eventId": i, **each} for i, each in enumerate(events)]}

    def damaged(self, document: Any) -> Any:
        """With one value of another type, or without it."""
        document = copy.deepcopy(document)
        at: Any = document
        while True:
            inner = [key for key in (at if isinstance(at, dict) else range(len(at)))]
            key = self.random.choice(inner)
            if isinstance(at[key], (dict, list)) and at[key] and self.chance(0.9):
                at = at[key]
                continue
            if isinstance(at, dict) and self.chance(0.3):
                del at[key]
            else:
                at[key] = self.random.choice([None, True, 1, -1, 1.5, 2**31, 2**32, "text", [], {}, [1], ["a"]])
            return document

    # ------------------------------------------------------------ contexts

    def context(self) -> Any:
        made: dict[str, Any] = {}
        if self.chance(0.85):
            made["userId"] = self.random.choice(USERS) if self.chance(0.7) else self.value()
        elif self.chance(0.7):
            made["targetingKey"] = self.text()
        if self.chance(0.5):
            made["sessionId"] = self.value()
        if self.chance(0.5):
            made["remoteAddress"] = self.random.choice(ADDRESSES)
        if self.chance(0.4):
            made["currentTime"] = self.random.choice(DATES) if self.chance(0.9) else self.value()
        for name in ("environment", "appName"):
            if self.chance(0.4):
                made[name] = self.value()
        properties = {self.name(): self.value() for _ in range(self.random.randint(0, 6))}
        if self.chance(0.8):
            made["properties"] = properties
        elif not self.client and self.chance(0.1):
            made["properties"] = self.random.choice([None, "text", [], 1])
        for _ in range(self.random.randint(0, 3)):
            name = self.random.choice(PROPERTIES)
            if name != "properties":
                made[name] = self.value()
        return made
