"""Random payloads, options and contexts for growthbook.py: all that GrowthBook has, and much that nobody writes."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Any

TEXTS = [
    "", "a", "A", "b", "ab", "aB", "ß", "SS", "İ", "ı", "Σας", "😀", "é", "e\u0301", "x😀y", "٣", "1", "1.0", "8",
    " 8 ", "10", "9", "01", "-1", "1e3", "1_0", "0x1", "nan", " NaN", "inf", "-Infinity", "1e400", "5e-324",
    "v1.2.3", "1.2.3", "1.2.3-beta", "1.2.3-beta.2", "1.2.10", "1.2.3+build", "v", "1-2-3", "²", "true", "True",
    "null", "None", "a.b", "line\nbreak", "$eq", "id", "x" * 300, "\u0000", "100000.0.0", "1.2.3.4",
]  # fmt: skip
NUMBERS = [
    0, 1, -1, 2, 3, 8, 10, 30, 1000, 0.0, -0.0, 1.0, 0.5, 1.5, 2.0, 1e3, 0.1, 1 / 3, 5e-324, 1e308, 1e16, 2**31,
    2**53 - 1, 2**53, 2**53 + 1, float(2**53), -(2**53), 2**63 - 1, -(2**63), 9007199254740993, 1e22,
    1700000000000,
]  # fmt: skip
NAMES = ["a", "b", "tags", "n", "version", "country", "id", "deviceId", "o.k", "o.k.z", "o.0", "tags.0", "tags.length",
         "targetingKey", "$groups", "", "gone", "o", "a.b"]  # fmt: skip
ATTRIBUTES = ["id", "id", "id", "deviceId", "n", "a", "o", "tags", "gone", None, "o.k"]
PATTERNS = [
    "^a", "a$", "^ab$", "b", "", ".", "a|b", "(?i)AB", "[a-z]+", r"\d+", r"^\w+$", "(?=a)a", r"(a)\1", "(", "*",
    "[", "a{2,3}", "é", "😀", r"\bx", r"\.", "^$", "a.b", "(?s)e.b", "ß", "İ", "^(a|A)b?$", "[^a]", r"\s",
    "(?:ab)+", "^1\\.2", "x{300}", "(?m)^b",
]  # fmt: skip
OPERATORS = [
    "$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$veq", "$vne", "$vlt", "$vlte", "$vgt", "$vgte", "$in", "$nin", "$ini",
    "$nini", "$inGroup", "$notInGroup", "$regex", "$regexi", "$notRegex", "$notRegexi", "$elemMatch", "$size", "$all",
    "$alli", "$exists", "$type", "$not", "$unknown", "$or", "$",
]  # fmt: skip
TYPES = ["null", "boolean", "number", "string", "array", "object", "unknown", 1, None]
GROUPS = ["people", "numbers", "odd", "listed", "targeted", "self", "loop", "loop2", "broken", "gone"]
ERRORS = [None, 5, "", "x", [], [1], {}, {"a": 1}, True, [None], [[]]]


def fnv(text: str) -> int:
    value = 0x811C9DC5
    for letter in text:
        value = (value ^ ord(letter)) * 0x01000193 & 0xFFFFFFFF
    return value


class Cases:
    """Everything is drawn from `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.pick: Callable[[Any], Any] = random.choice
        self.focus: list[Any] = TEXTS

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # ------------------------------------------------------------ values

    def scalar(self) -> Any:
        if self.chance(0.6):
            return self.pick(self.focus)
        draw = self.random.random()
        if draw < 0.45:
            return self.pick(TEXTS)
        return self.pick(NUMBERS) if draw < 0.8 else self.pick([True, False, None])

    def value(self, depth: int = 2) -> Any:
        if depth == 0 or self.chance(0.7):
            return self.scalar()
        if self.chance(0.6):
            return [self.value(depth - 1) for _ in range(self.random.randrange(4))]
        return {
            self.pick(["k", "z", "a", "0", "length", "$eq"]): self.value(depth - 1)
            for _ in range(self.random.randrange(3))
        }

    def context(self) -> dict[str, Any]:
        context: dict[str, Any] = {}
        for name in ("a", "b", "n", "tags", "version", "country", "o", "$groups", "", "deviceId"):
            if self.chance(0.6):
                context[name] = self.value()
        if self.chance(0.6):
            context["tags"] = [self.scalar() for _ in range(self.random.randrange(5))]
        if self.chance(0.4):
            context["o"] = {"k": self.value(), "0": self.scalar()}
        if self.chance(0.03):
            context["n"] = self.pick([math.nan, math.inf, -math.inf, 2**64, -(2**70), 10**30])
        if self.chance(0.85):
            context["id"] = self.pick(TEXTS) if self.chance(0.2) else self.value() if self.chance(0.2) else self.user()
        if self.chance(0.15):
            context["targetingKey"] = self.user()
        if self.chance(0.5):
            context["deviceId"] = self.user()
        if self.chance(0.5):
            context["stickyBucketAssignmentDocs"] = self.docs(context)
        return context

    def user(self) -> str:
        return f"u{self.random.randrange(40)}{self.pick(['', '', 'é', '😀'])}"

    def docs(self, context: dict[str, Any]) -> Any:
        docs: dict[str, Any] = {}
        for name in ("id", "deviceId", "n"):
            if name in context and self.chance(0.7):
                value = context[name]
                docs[f"{name}||{'' if value is None else value}"] = {
                    "attributeName": name,
                    "attributeValue": str(value),
                    "assignments": {
                        f"{self.pick(['e0', 'e1', 'f0', 'f1', 'f2', 'x'])}__{self.random.randrange(3)}": self.pick(
                            ["0", "1", "2", "c", "t", "gone", ""]
                        )
                        for _ in range(self.random.randrange(5))
                    },
                }
        return docs

    # ------------------------------------------------------------ conditions

    def operand(self, name: str, depth: int) -> Any:
        if self.chance(0.06):
            return self.value()
        if name in ("$in", "$nin", "$ini", "$nini"):
            return [self.value(1) for _ in range(self.random.randrange(5))]
        if name in ("$all", "$alli"):
            return [
                self.scalar() if self.chance(0.8) else self.leaf(depth - 1) for _ in range(self.random.randrange(3))
            ]
        if name in ("$inGroup", "$notInGroup"):
            return self.pick(GROUPS)
        if "egex" in name:
            return self.pick(PATTERNS)
        if name == "$elemMatch":
            return self.leaf(depth - 1) if self.chance(0.6) else self.condition(depth - 1)
        if name == "$size":
            return self.random.randrange(4) if self.chance(0.5) else self.leaf(depth - 1)
        if name == "$exists":
            return self.pick([True, False, 1, 0, None, "", "no"])
        if name == "$type":
            return self.pick(TYPES)
        if name == "$not":
            return self.leaf(depth - 1)
        if name.startswith("$v"):
            return self.pick(["1.2.3", "1.2.3-beta", "v1.2", "10", "1.2.10", "0", "", 1, 1.5, "1.2.3-beta.10", "a.b.c"])
        return self.scalar() if self.chance(0.9) else self.value()

    def leaf(self, depth: int) -> Any:
        if depth <= 0 or self.chance(0.25):
            return self.value()
        leaf = {}
        for _ in range(self.pick([1, 1, 1, 2])):
            name = self.pick(OPERATORS)
            leaf[name] = self.operand(name, depth)
        return leaf

    def condition(self, depth: int = 3) -> Any:
        if self.chance(0.01):
            return self.pick(ERRORS)
        condition: dict[str, Any] = {}
        for _ in range(self.pick([1, 1, 1, 2, 2, 3])):
            draw = self.random.random()
            if depth > 0 and draw < 0.2:
                name = self.pick(["$or", "$and", "$nor"])
                inner: Any = [self.condition(depth - 1) for _ in range(self.random.randrange(3))]
                condition[name] = self.pick(ERRORS) if self.chance(0.03) else inner
            elif depth > 0 and draw < 0.28:
                condition["$not"] = self.condition(depth - 1)
            elif draw < 0.33:
                condition["$savedGroup"] = self.reference()
            elif draw < 0.335:
                condition["$savedGroups"] = []
            else:
                condition[self.pick(NAMES)] = self.leaf(depth)
        return condition

    def reference(self) -> Any:
        if self.chance(0.05):
            return self.pick(ERRORS)
        reference: dict[str, Any] = {"id": self.pick(GROUPS) if self.chance(0.97) else 5}
        if self.chance(0.3):
            reference["attributeKey"] = self.pick([*NAMES, 5])
        return reference

    def groups(self) -> Any:
        if self.chance(0.05):
            return None
        return {
            "people": [self.user() for _ in range(8)],
            "numbers": [self.pick(NUMBERS) for _ in range(5)],
            "odd": [self.value() for _ in range(5)],
            "listed": {"type": "list", "attributeKey": self.pick(NAMES), "values": [self.scalar() for _ in range(5)]},
            "targeted": {"type": "condition", "condition": self.condition(2)},
            "self": {"type": "condition", "condition": {"$not": {"$savedGroup": {"id": "self"}}}},
            "loop": {"type": "condition", "condition": {"$or": [{"$savedGroup": {"id": "loop2"}}, self.condition(1)]}},
            "loop2": {"type": "condition", "condition": {"$nor": [{"$savedGroup": {"id": "loop"}}, self.condition(1)]}},
            "broken": self.pick([5, None, {"type": "list"}, {"type": "condition", "condition": 5}, {"type": "x"}, {}]),
        }

    # ------------------------------------------------------------ buckets

    def threshold(self, seed: str) -> Any:
        """Now and then exactly where somebody's bucket is, or right beside it."""
        draw = self.random.random()
        if draw < 0.35:
            return round(self.random.random(), self.pick([1, 2, 4]))
        if draw < 0.45:
            return self.pick([0, 1, 0.5, 1.0, -0.1, 1.1, 1 / 3, True])
        user = self.user()
        exact = self.pick([fnv(user + seed) % 1000 / 1000, fnv(str(fnv(seed + user))) % 10_000 / 10_000])
        return self.pick([exact, math.nextafter(exact, 2), math.nextafter(exact, -1), exact + 0.001, exact + 0.0001])

    def range(self, seed: str) -> list[Any]:
        low, high = self.threshold(seed), self.threshold(seed)
        if self.chance(0.9):
            low, high = min(low, high), max(low, high)
        return [low, high] if self.chance(0.995) else [low]

    def weights(self, count: int) -> Any:
        if self.chance(0.3):
            return [1 / count] * count if count else []
        cuts = sorted(self.random.random() for _ in range(max(count - 1, 0)))
        weights: list[Any] = [b - a for a, b in zip([0.0, *cuts], [*cuts, 1.0], strict=True)]
        if self.chance(0.15):
            weights[0] = self.pick([0, 1, -0.2, 0.5, True, None, "x", 10**300])
        return weights

    def hashing(self, key: str) -> dict[str, Any]:
        body: dict[str, Any] = {}
        if self.chance(0.4):
            body["hashAttribute"] = self.pick(ATTRIBUTES)
        if self.chance(0.4):
            body["fallbackAttribute"] = self.pick(["deviceId", "n", "gone", "", None])
        if self.chance(0.5):
            body["hashVersion"] = self.pick([1, 2, 2, 2, 3, None, 0, 2.0, "2", True])
        if self.chance(0.3):
            body["seed"] = self.pick(["seed", "", "sée😀d", None, 5 if self.chance(0.1) else "s"])
        return body

    def filter(self, key: str) -> Any:
        body: dict[str, Any] = {"ranges": [self.range(key) for _ in range(self.pick([0, 1, 1, 2]))]}
        if self.chance(0.7):
            body["seed"] = self.pick([key, "seed", "", "fé"])
        if self.chance(0.4):
            body["attribute"] = self.pick(ATTRIBUTES)
        if self.chance(0.4):
            body["hashVersion"] = self.pick([1, 2, 3, None])
        return body

    def experiment(self, key: str) -> dict[str, Any]:
        count = self.pick([0, 1, 2, 2, 2, 3, 3, 4])
        body: dict[str, Any] = {"variations": [self.value(1) for _ in range(count)], **self.hashing(key)}
        if self.chance(0.5):
            body["weights"] = self.weights(self.pick([count, count, count, 2]))
        if self.chance(0.4):
            body["coverage"] = self.pick([None, 0, 1, 0.5, 1.5, -1, self.threshold(key)])
        if self.chance(0.3):
            body["ranges"] = [self.range(key) for _ in range(self.pick([0, count, count, count + 1]))]
        if self.chance(0.6):
            keys = ["0", "1", "2", "c", "t"]
            body["meta"] = [
                {"key": self.pick(keys)} | ({"passthrough": True} if self.chance(0.1) else {"name": "v"})
                for _ in range(self.pick([count, count, max(count - 1, 0), count + 1]))
            ]
        if self.chance(0.2):
            body["namespace"] = [self.pick(["ns", "é"]), *self.range("__ns")]
        if self.chance(0.15):
            body["filters"] = [self.filter(key) for _ in range(self.pick([0, 1, 2]))]
        if self.chance(0.1):
            body["disableStickyBucketing"] = True
        for name in ("bucketVersion", "minBucketVersion"):
            if self.chance(0.3):
                body[name] = self.pick([0, 1, 2, None])
        return body

    # ------------------------------------------------------------ documents

    def rule(self, key: str) -> dict[str, Any]:
        rule: dict[str, Any] = {}
        if self.chance(0.3):
            rule["id"] = self.pick(["r1", "r2", "", "fr_é"])
        if self.chance(0.5):
            rule["condition"] = self.condition()
        if self.chance(0.25):
            rule["parentConditions"] = [self.parent() for _ in range(self.pick([1, 1, 2]))]
        if self.chance(0.1):
            rule["filters"] = [self.filter(key)]
        if self.chance(0.4):
            rule["force"] = self.value(1)
            rule |= self.hashing(key) if self.chance(0.5) else {}
            if self.chance(0.4):
                rule["coverage"] = self.pick([0, 1, self.threshold(key), self.threshold(key), None, 0.0, "x"])
            if self.chance(0.2):
                rule["range"] = self.pick([self.range(key), [], None])
            return rule
        if self.chance(0.5):
            rule["key"] = self.pick(["e0", "e1", "exp", ""])
        rule |= self.experiment(rule.get("key") or key)
        if self.chance(0.3):
            rule["contextualBanditRef"] = self.pick(["bandit", "bandit", "empty", "odd", "gone", "", 5])
            if self.chance(0.7):
                rule["contextualVariations"] = rule.pop("variations")
        if self.chance(0.02):
            rule.pop("variations", None)
        return rule

    def parent(self) -> Any:
        if self.chance(0.01):
            return self.pick(ERRORS)
        parent: dict[str, Any] = {"id": self.pick(["f0", "f1", "f2", "f3", "f4", "gone", None])}
        if self.chance(0.95):
            parent["condition"] = self.pick(
                [{"value": True}, {"value": {"$exists": True}}, {"value": self.leaf(2)}, self.condition(1), {}, None, 5]
            )
        if self.chance(0.4):
            parent["gate"] = self.pick([True, True, False, 1])
        return parent

    def document(self) -> dict[str, Any]:
        """Together with the contexts that follow it, of a few values most of the time: equal ones are what matters."""
        self.focus = self.random.sample([*TEXTS, *NUMBERS, True, False, None, 0, 1, 1.0, "a", "A"], 6)
        features: dict[str, Any] = {}
        plain = self.chance(0.4)
        for i in range(5):
            if plain:
                rules = [{"condition": self.condition(), "force": True}]
                features[f"f{i}"] = {"defaultValue": False, "rules": rules}
                continue
            features[f"f{i}"] = {
                "defaultValue": self.value(1),
                "rules": [self.rule(f"f{i}") for _ in range(self.pick([0, 1, 1, 2, 3]))],
            }
        if self.chance(0.02):
            features["f4"] = self.pick([5, {"rules": [5]}, {"rules": 5}, {"rules": None}, {"defaultValue": 1}, {}])
        experiments = []
        for key in ("e0", "x"):
            body = {"key": key, **self.experiment(key)}
            if self.chance(0.3):
                body["condition"] = self.condition()
            if self.chance(0.2):
                body["parentConditions"] = [self.parent()]
            for name, values in (
                ("active", [True, False, None]),
                ("status", ["running", "draft", "stopped", None]),
                ("force", [0, 1, 5, -1, None]),
                ("url", ["^/x", "example", "(", "", "^https"]),
                ("groups", [["beta"], ["alpha", "beta"], [], ["gone"]]),
            ):
                if self.chance(0.1):
                    body[name] = self.pick(values)
            experiments.append(body)
        return {
            "features": features,
            "savedGroups": self.groups(),
            "experiments": experiments,
            "contextualBandits": {
                "bandit": self.bandit(),
                "empty": {},
                "odd": self.pick([5, None, [], {"contexts": 5}]),
            },
        }

    def bandit(self) -> Any:
        leaf = lambda: {  # noqa: E731
            "leafId": self.pick([1, 2, 3, None, "x", True]),
            "condition": self.condition(1),
            "weights": self.weights(self.pick([2, 2, 3])),
        }
        contexts = [leaf() if self.chance(0.95) else self.pick(ERRORS) for _ in range(self.random.randrange(4))]
        return {"banditVersion": self.pick([1, None, "x"]), "contexts": contexts}

    def options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.chance(0.5):
            options["sticky_buckets"] = True
        if self.chance(0.05):
            options["enabled"] = False
        if self.chance(0.1):
            options["qa_mode"] = True
        if self.chance(0.2):
            options["url"] = self.pick(
                [
                    "https://example.com/x?e0=1",
                    "http://example.com/x",
                    "/x?exp=0&x=1",
                    "?e0=9&e1=1",
                    "https://e.com/?f1=1",
                ]
            )
        if self.chance(0.2):
            options["forced_variations"] = {self.pick(["e0", "e1", "f1", "x", "exp"]): self.pick([0, 1, 1, 2, 5, -1])}
        if self.chance(0.3):
            options["groups"] = {"beta": self.pick([True, False]), "alpha": False}
        return options
