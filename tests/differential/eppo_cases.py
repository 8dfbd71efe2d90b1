"""Random universal flag configurations and subjects for eppo.py: what is usual, what is odd, and what is malformed."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

KINDS = {"BOOLEAN": "boolean", "STRING": "string", "INTEGER": "integer", "NUMERIC": "numeric", "JSON": "json"}
ATTRIBUTES = ["q", "age", "country", "id", "email", "version", "Force Empty", "a.b", "\u00e4\U0001f338", ""]
TEXTS = [
    "", "a", "US", "Canada", "us", "\u00e4", "a\u0308", "e\u0301x", "\U0001d4b3\U0001f917", "true", "false", "True",
    "null", "None", "NaN", "nan", "-nan", "inf", "-inf", "+inf", "INF", "iNf", "infinity", "-Infinity", "Infinit",
    "0", "-0", "+0", "1", "1.0", "01", "1e3", "1E+3", "10", "-5", "+5", "0.1", ".1", "1.5", "5.", ".", "e5", "1e",
    "-", "+", "--5", " 5", "5 ", "5\n", "\t5", "\u00a05", "5\u2003", "\x1c5", "1_0", "1__0", "\u0663", "0x10",
    "1e400", "-1e400", "1e-400", "1e21", "1000000000000000000000", "0.0000001", "1e-7", "9007199254740993",
    "9007199254740992", "18446744073709551616", "9223372036854775807", "9223372036854775808", "1.2.3", "1.2.4",
    "1.10.0", "1.2.3-rc.1", "1.2.3-rc.10", "1.2.3-rc.x", "1.2.3-rc", "1.2.3-RC", "1.2.3+b", "1.2.3+b.1", "1.2.3+b.10",
    "1.2.3+b.2", "1.2.3+01", "1.2.3+1", "1.2.3+001", "1.2.3-rc.1+b", "01.2.3", "1.2", "1", "1.2.3.4", "v1.2.3",
    "1.2.3-", "1.2.3+", "1.2.3-01", "1.2.3-0a", "1.2.3-a..b", "1.2.3-\u00e4", "18446744073709551615.0.0",
    "18446744073709551616.0.0", "1.0.0-18446744073709551616", " 1.2.3", "0.0.0", "alice@example.com", "bob@test.org",
    "alice@example.com\n", "x" * 300, "\u0130\u0131\u017f\u212a", "caf\u00e9", "CAF\u00c9",
]  # fmt: skip
NUMBERS: list[Any] = [
    0, -0.0, 0.0, 1, 1.0, -1, 5, -5, 10, 18, 0.1, 1.5, -2.5, 1000, 1e21, 1e22, 1e-7, 2**53, 2**53 + 1, 2**63 - 1,
    2**63, 2**64, -(2**63), 10**22, 10**30, 123456789, 123456789.5, 5e-324, 1.7976931348623157e308, 3.141592653589793,
]  # fmt: skip
UNUSUAL = [math.nan, math.inf, -math.inf]
PATTERNS = [
    "US", "^US$", "@example\\.com", ".*@example.com", "^alice", "com$", "\\.com$", "true", "^true$", "false|US",
    "^(US|Canada)$", "", "^$", ".", "^.$", "^..$", "\\d", "^\\d+$", "^[0-9.]+$", "^-?\\d+(\\.\\d+)?$", "1", "^1$",
    "0", "e", "inf", "N", "^-", "\\.", "(?i)us", "(?i)^caf\u00e9$", "(?i)\u017f", "\\w+@\\w+\\.\\w+", "^[^@]+@[^@]+$",
    "\\bUS\\b", "\\Ba", "[[:alpha:]]+", "[[:^digit:]]", "\\p{L}", "\\p{Greek}", "\\PL", "a{2,3}", "x{300}",
    "(a|b|c)*d?", "(?s)com.", "com.$", "(?m)com$", "com\\n", "\\Acom\\z", "com\\z", "^\\s", "\\s$", "\\S",
    "\U0001f917", "[\U0001f300-\U0001f9ff]", "[^a]", "^[^a]$", "\u00e4", "a\u0308", "(?x) U S # country", "(?-u)\\w",
    "(?U)a+", "(?P<name>US)", "(?<name>US)", "US|", "|", "()", "(?:)", "(?i:u)S", "[a-z&&[^b]]", "[a--b]",
    "\\x{1F338}", "\\u00e4", "(", ")", "[", "*", "a**", "(?=US)", "(?!US)", "(?<=a)b", "\\1", "(a)\\1", "[z-a]",
    "a{3,2}", "\\q", "(?z)", "\\p{Nope}", "a{1000000}", "\\d{1,3}(\\.\\d{1,3}){3}", "^1\\.(2|10)\\.", "^(?:[01])$",
    "^[tf]", "(?i)TRUE", "5e-324|0{5}", "\\bmy\\b|\\ba",
]  # fmt: skip
PAST = [
    "2002-10-31T09:00:00.594Z", "1969-12-31T23:59:59Z", "2016-12-31T23:59:60Z", "2024-01-01 00:00:00Z",
    "0001-01-01T00:00:00Z", "2024-01-01t00:00:00.123456789012z", "2024-1-1T0:0:0UTC", "2024-01-01T00:00:00 +0100",
    "-0001-01-01T00:00:00Z", "-262143-01-01T00:00:00Z", "2024 - 01 - 01T 00 : 00 : 00 Z ",
    "2024-02-29T23:59:59\u221223:59", "1T", "-1-1-1T1:1:1Z", "2024-01-01T00:00:00+01: 00",
    "\u20032024-01-01T00:00:00Z", "+02024-01-01T00:00:00Z",
]  # fmt: skip
FUTURE = [
    "2052-10-31T09:00:00.123456Z", "9999-12-31T23:59:59.999999999Z", "+12024-01-01T00:00:00Z",
    "+262142-12-31T23:59:59Z", "2100-01-01T00:00:00-23:59",
]  # fmt: skip
NEVER = [
    "2024-13-01T00:00:00Z", "2024-01-01", "2024-01-01T00:00:00", "2024-01-01T24:00:00Z", "2024-01-01T00:00:61Z",
    "tomorrow", "", "2023-02-29T00:00:00Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+01",
    "2024-01-01T00:00:00.Z", "02024-01-01T00:00:00Z", "+262143-01-01T00:00:00Z", "-262143-01-01T00:00:00+00:01",
    "2024-01-01T00:00:00Zz", "2024-01-01T00:00:00\x1cZ", 5, True, "2024-01-01T00:00:00+01:60",
    "\u0662\u0660\u0662\u0664-01-01T00:00:00Z", "2024-001-01T00:00:00Z",
]  # fmt: skip
JSONS = [
    "{}", '{"a":1,"b":[true,null,"\u00e4"]}', "5", "5.0", "-0", "-0.0", "1e21", "null", '"x"', "[1,2.5]",
    '{"a":1,"a":2}', "{bad", "", " {} ", "NaN", "1e400", "18446744073709551615", "18446744073709551616",
    "-9223372036854775808", "-9223372036854775809", '"\\ud800"', '"\\ud83e\\udd17"', "[1,]", "\ufeff{}", "01", "1.",
    "[" * 127 + "]" * 127, "[" * 128 + "]" * 128, '"\t"', '{"n":0.30000000000000004}', '{"n":40428.809385235596}',
    "123456789012345678901234567890",
]  # fmt: skip
JUNK: list[Any] = [
    None, True, False, 0, 1, -1, 1.5, 10000.0, 2**32, 2**70, "", "x", "STRING", [], {}, [1], ["x"], {"a": 1},
    {"STRING": None}, {"IS_NULL": None}, [[]], [{}], "10000", "2024-01-01T00:00:00Z",
]  # fmt: skip
SALTS = ["", "s", "split-flag", "traffic", "\u00e4\U0001f338", "-", "x" * 70]
TOTALS = [10000] * 8 + [1, 2, 3, 7, 100, 1000003, 65536, 2**31, 2**32 - 1]


class Cases:
    """Everything comes from `random`. patterns: whether there are regular expressions."""

    def __init__(self, random: Random, patterns: bool = True) -> None:
        self.random, self.patterns = random, patterns
        self.chance: Callable[[float], bool] = lambda share: random.random() < share
        self._seen: dict[str, list[Any]] = {}

    # ------------------------------------------------------------ subjects

    def subject(self) -> str:
        if self.chance(0.7):
            return f"user-{self.random.randrange(10**6)}"
        return self.random.choice(TEXTS)

    def attributes(self) -> dict[str, Any]:
        """With values that the conditions of the last document know, half of the time."""
        found: dict[str, Any] = {}
        for name in ATTRIBUTES:
            if self.chance(0.25):
                continue
            known = self._seen.get(name)
            found[name] = self.random.choice(known) if known and self.chance(0.6) else self.value()
        if self.chance(0.01):
            found[self.random.choice(ATTRIBUTES)] = self.random.choice([[1], {"a": 1}, 10**400])
        return found

    def value(self) -> Any:
        kind = self.random.random()
        if kind < 0.4:
            return self.random.choice(TEXTS)
        if kind < 0.7:
            return self.random.choice(NUMBERS + UNUSUAL)
        if kind < 0.8:
            return self.random.choice([True, False])
        if kind < 0.85:
            return None
        if kind < 0.9:
            return self.random.randrange(-20, 20)
        if kind < 0.95:
            return self.random.uniform(-10, 10) * 10 ** self.random.randrange(-30, 30)
        return "".join(self.random.choice("019.-+eE_ abU\u00e4") for _ in range(self.random.randrange(6)))

    # ------------------------------------------------------------ documents

    def document(self) -> dict[str, Any]:
        self._seen = {}
        flags = {f"flag-{i}": self.flag(f"flag-{i}") for i in range(5)}
        whole: dict[str, Any] = {
            "createdAt": self.random.choice(PAST[:3]),
            "format": "SERVER",
            "environment": {"name": "Test"},
            "flags": flags,
        }
        if self.chance(0.03):
            del whole[self.random.choice(["createdAt", "environment", "format"])]
        if self.chance(0.03):
            whole["createdAt"] = self.random.choice(PAST + FUTURE + NEVER)
        if self.chance(0.03):
            whole[self.random.choice(["environment", "bandits", "format"])] = self.junk()
        if self.chance(0.03):
            whole["bandits"] = {"b": [{"key": "b", "flagKey": "f", "variationKey": "v", "variationValue": "v"}]}
            if self.chance(0.5):
                self.damage(whole["bandits"])
        return whole

    def flag(self, key: str) -> Any:
        kind = self.random.choice(list(KINDS))
        names = self.random.sample(["on", "off", "a", "\u00e4", "", "x"], self.random.randrange(1, 5))
        keys = self.random.sample(["x", "rollout", "\u00e4", "", "y"], self.random.randrange(5))
        found: Any = {
            "key": key,
            "enabled": not self.chance(0.05),
            "variationType": kind,
            "variations": {name: {"key": name, "value": self.variation(kind)} for name in names},
            "allocations": [self.allocation(names, self.random.choice(TOTALS)) | {"key": each} for each in keys],
            "totalShards": 10000,
        }
        found["totalShards"] = self.random.choice(TOTALS) if self.chance(0.995) else 0
        for allocation in found["allocations"]:
            self.resize(allocation, found["totalShards"])
        if self.chance(0.08):
            for _ in range(self.random.randrange(1, 3)):
                self.damage(found)
        if self.chance(0.02):
            found = list(found.values())
        return found

    def variation(self, kind: str) -> Any:
        if self.chance(0.04):
            return self.junk()
        if kind == "BOOLEAN":
            return self.chance(0.5)
        if kind == "STRING":
            return self.random.choice(TEXTS)
        if kind == "JSON":
            return self.random.choice(JSONS[:9] if self.chance(0.8) else JSONS)
        if kind == "INTEGER" and self.chance(0.9):
            return self.random.choice([n for n in NUMBERS if n % 1 == 0 and abs(n) <= 2**63])
        return self.random.choice(NUMBERS) if self.chance(0.9) else self.random.uniform(-1e6, 1e6)

    def allocation(self, names: list[str], total: int) -> dict[str, Any]:
        found: dict[str, Any] = {"key": ""}
        if self.chance(0.6):
            found["rules"] = [self.rule() for _ in range(self.random.choice([0, 1, 1, 1, 2, 3]))]
        for name in ("startAt", "endAt"):
            if self.chance(0.15):
                usual = PAST if (name == "startAt") is self.chance(0.8) else FUTURE
                found[name] = self.random.choice(usual if self.chance(0.9) else NEVER)
        found["splits"] = self.splits(names, total)
        if self.chance(0.5):
            found["doLog"] = self.chance(0.5)
        return found

    def rule(self) -> dict[str, Any]:
        return {"conditions": [self.condition() for _ in range(self.random.choice([0, 1, 1, 1, 1, 2, 3]))]}

    def condition(self) -> Any:
        name = self.random.choice(ATTRIBUTES[:4] if self.chance(0.7) else ATTRIBUTES)
        operator = self.random.choice(
            ["GTE", "GT", "LTE", "LT", "ONE_OF", "NOT_ONE_OF", "IS_NULL", *["MATCHES", "NOT_MATCHES"] * self.patterns]
        )
        seen = self._seen.setdefault(name, [])
        value: Any
        if operator == "IS_NULL":
            value = self.chance(0.5)
        elif operator.endswith("ONE_OF"):
            value = [self.member(seen) for _ in range(self.random.choice([0, 1, 2, 3, 20]))]
        elif operator.endswith("MATCHES"):
            value = self.random.choice(PATTERNS)
        else:
            value = self.random.choice(TEXTS) if self.chance(0.5) else self.exact()
            seen.append(value)
        if self.chance(0.04):
            value = self.junk()
        if self.chance(0.02):
            operator = self.random.choice(["CONTAINS", "one_of", "", 5, None, {"IS_NULL": None}])
        found: Any = {"attribute": name, "operator": operator, "value": value}
        if self.chance(0.03):
            self.damage(found)
        return list(found.values()) if self.chance(0.02) else found

    def member(self, seen: list[Any]) -> str:
        if self.chance(0.5):
            number = self.random.choice(NUMBERS + UNUSUAL)
            seen.append(number)
            return format(number, "f").rstrip("0").rstrip(".") if self.chance(0.7) else repr(number)
        text = self.random.choice(TEXTS)
        seen.append(text)
        return text

    def exact(self) -> Any:
        """A number that every decoder reads exactly."""
        return self.random.choice([n for n in NUMBERS if n == 0 or 1e-9 < abs(n) < 2**64])

    # ------------------------------------------------------------ splits

    def splits(self, names: list[str], total: int) -> list[Any]:
        count = self.random.choice([0, 1, 1, 2, 2, 3, 4])
        ways = self.random.random()
        if ways < 0.3:
            return [self.split(names, []) for _ in range(count)]
        if ways < 0.65:  # a partition, maybe with traffic before it
            salt, traffic = self.random.choice(SALTS), self.random.choice(SALTS)
            ends = sorted(self.random.randrange(total + 1) for _ in range(count))
            ranges = [[{"start": a, "end": b}] for a, b in zip([0, *ends], [*ends, total], strict=True)]
            shards = [{"salt": traffic, "ranges": self.ranges(total)}] if self.chance(0.5) else []
            return [self.split(names, [*shards, {"salt": salt, "ranges": each}]) for each in ranges]
        salts = self.random.sample(SALTS, 2)
        return [
            self.split(
                names,
                [
                    {"salt": self.random.choice(salts), "ranges": self.ranges(total)}
                    for _ in range(self.random.choice([0, 1, 1, 1, 2, 3]))
                ],
            )
            for _ in range(count)
        ]

    def split(self, names: list[str], shards: list[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"variationKey": self.random.choice(names), "shards": shards}
        if self.chance(0.03):
            found["variationKey"] = "gone"
        if self.chance(0.2):
            found["extraLogging"] = {"holdout": self.random.choice(TEXTS)}
        return found

    def ranges(self, total: int) -> list[Any]:
        if self.chance(0.15):
            return [{"start": 0, "end": total}]
        ends = [
            min(self.random.choice([0, total, 2**32 - 1, self.random.randrange(total + 1)]), 2**32 - 1)
            for _ in "abcdef"
        ]
        pairs = list(zip(ends[::2], ends[1::2], strict=True))[: self.random.choice([0, 1, 1, 2, 3])]
        return [
            {"start": a, "end": b} if self.chance(0.05) else {"start": min(a, b), "end": max(a, b)} for a, b in pairs
        ]

    def resize(self, allocation: dict[str, Any], total: int) -> None:
        """Puts the ends of the ranges into the flag's own number of shards, mostly."""
        for split in allocation["splits"]:
            for shard in split["shards"]:
                if self.chance(0.02) or not total:
                    continue
                for bounds in shard["ranges"]:
                    for name in bounds:
                        bounds[name] = min(bounds[name], total) if bounds[name] <= 10000 else bounds[name] % (total + 1)

    # ------------------------------------------------------------ damage

    def junk(self) -> Any:
        return deepcopy(self.random.choice(JUNK))

    def damage(self, value: Any) -> None:
        """Changes one thing somewhere inside."""
        owners = [value]
        for owner in owners:
            owners += [
                each
                for each in (owner.values() if isinstance(owner, dict) else owner)
                if isinstance(each, (dict, list)) and each
            ]
        owner = self.random.choice(owners)
        if not owner:
            return
        key = self.random.choice(list(owner) if isinstance(owner, dict) else range(len(owner)))
        how = self.random.random()
        if how < 0.3:
            del owner[key]
        elif how < 0.4 and isinstance(owner[key], dict):
            owner[key] = list(owner[key].values())
        elif how < 0.5 and isinstance(owner, dict):
            owner["unknown"] = self.junk()
        else:
            owner[key] = self.junk()
