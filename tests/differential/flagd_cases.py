"""Random flag definitions and contexts for flagd.py: every operator, in every form that flagd's evaluator accepts.

What pyflagwasm documents to be different is kept rare by the choice of numbers and nesting, not excluded.
"""

from __future__ import annotations

from random import Random
from typing import Any

NAMES = [
    "on",
    "off",
    "true",
    "false",
    "1",
    "2",
    "1.5",
    "a",
    "null",
    "None",
    "True",
    "é",
    "[object Object]",
    "a,b",
    "-1",
]
KEYS = [
    "a",
    "b",
    "c",
    "email",
    "version",
    "list",
    "rows",
    "obj",
    "obj.a",
    "obj.list",
    "obj.b.a",
    "ü",
    "tags",
    "nothing",
]
PATHS = [
    *KEYS, "list.0", "list.1", "list.length", "a.length", "a.0", "rows.0.a", "rows.1.b", "obj.list.1", "", "a.b.c",
    ".", "a.",
    "targetingKey", "targetingKey.0", "$flagd.flagKey", "$flagd.timestamp", "$flagd", "$flagd.other",
    "$flagd.flagKey.0",
    "list.01", "list.-1", "email.length", "$flagd.flagKey.length", "$flagd.timestamp.x",
]  # fmt: skip
ITEM_PATHS = ["", "a", "b", "current", "accumulator", "current.a", "accumulator.0", "0", "1", "length", "list.0", "a.b"]
TEXTS = [
    "", "a", "b", "ab", "abc", "é", "日本", "🙂x", "1", "2", " 12 ", "1_000", "1e3", "0x10", "inf", "-INF",
    "infinity", "-infinity", "nan",
    "12.5", "-1", "+3", "1_", ".5", "5.", "true", "True", "null", "on", "off", "a@b.example", "x@corp.example",
    "Corp", "a,b",
    "[object Object]", "0", "00", "-0", " ", "1e400", "1,2",
]  # fmt: skip
VERSIONS = [
    "1.2.3", "v1.2", "V2", "1", "1.2.3-alpha.1", "1.2.3-alpha.10", "1.2.3-alpha", "1.2.3+b", "2.0.0-rc.1",
    "01.2.3", "1.2.3.4",
    "1.2.x", "", "1.2-beta", "1+build", "vv1", "1.10.0", "1.9.0", "1.2.3-", "1.2.3-01", "1.2.3-0a",
    "99999999999999999999.0.0",
]  # fmt: skip
VERSION_OPS = ["=", "!=", "<", "<=", ">", ">=", "^", "~"]
NUMBERS: list[Any] = [
    0, 1, 2, 3, -1, 7, 10, 100, 12, 255, 256, 65536, 2**31, -(2**31), 2**40, 0.0, -0.0, 0.5, 1.0, 1.5, -2.5, 0.1,
    100.0, 1e21,
    1e22, 1e-7, 123456.789, 5e-324, 1e300, 3.14159, 65504.0, 1e5, 2**53 - 1,
]  # fmt: skip
KINDS = ["boolean", "string", "integer", "float", "object"]

COMPARISONS = ["==", "!=", "===", "!==", "<", "<=", ">", ">="]
OPERATORS = [
    *COMPARISONS, *COMPARISONS, "!", "!!", "+", "*", "-", "/", "%", "in", "in", "min", "max", "cat", "substr",
    "merge", "missing",
    "missing_some", "starts_with", "ends_with", "sem_ver", "sem_ver", "fractional", "fractional", "log", "if",
    "if", "if", "?:",
    "and", "or", "and", "or", "filter", "map", "reduce", "all", "some", "none",
]  # fmt: skip
TRUTHS = [*COMPARISONS, "!", "!!", "in", "and", "or", "all", "some", "none", "starts_with", "ends_with", "sem_ver"]
ARITY = {
    "!": 1, "!!": 1, "log": 1, "substr": 3, "sem_ver": 3, "reduce": 3, "starts_with": 2, "ends_with": 2, "in": 2,
    "-": 2, "/": 2,
    "%": 2, "filter": 2, "map": 2, "all": 2, "some": 2, "none": 2, "missing_some": 2, **dict.fromkeys(COMPARISONS, 2),
}  # fmt: skip
LOOPS = ("filter", "map", "all", "some", "none")


class Cases:
    """An endless stream of documents, drawn from `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.evaluators: list[str] = []

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # ------------------------------------------------------------ documents

    def document(self) -> dict[str, Any]:
        self.evaluators = self.random.sample(["e1", "e2", "shared rule", "e.3"], self.random.choice([0, 0, 1, 3]))
        flags = {
            key: self.flag() for key in self.random.sample(["f", "flag-2", "ß", "a.b"], self.random.choice([1, 2, 3]))
        }
        document: dict[str, Any] = {"flags": flags}
        if self.evaluators:
            document["$evaluators"] = {name: self.rule(2) for name in self.evaluators}
        if self.chance(0.2):
            document["metadata"] = {"team": "shop", "n": 1}
        return document

    def flag(self) -> dict[str, Any]:
        kind = self.random.choice(KINDS)
        names = self.random.sample(NAMES, self.random.choice([1, 2, 4, 8]))
        if self.chance(0.85):
            names = list(dict.fromkeys(["on", "off", "true", "false", *names]))
        flag: dict[str, Any] = {
            "state": "DISABLED" if self.chance(0.04) else "ENABLED",
            "variants": {name: self.variant(kind) for name in names},
        }
        if not self.chance(0.15):
            good = self.random.choice(names)
            flag["defaultVariant"] = (
                good if self.chance(0.8) else self.random.choice([None, "", True, False, "gone", 0])
            )
        if not self.chance(0.05):
            flag["targeting"] = self.targeting()
        if self.chance(0.1):
            flag["metadata"] = {"owner": "x", "beta": True}
        return flag

    def variant(self, kind: str) -> Any:
        if self.chance(0.03):
            return None
        if self.chance(0.04):
            kind = self.random.choice(KINDS)
        choices = {
            "boolean": [True, False],
            "string": TEXTS,
            "integer": [0, 1, -5, 2**40],
            "float": [0.5, 1, 2.0, -1.25],
            "object": [{"a": 1}, {}, [1, "x"], {"b": {"c": None}}],
        }
        return self.random.choice(choices[kind])

    def targeting(self) -> Any:
        if self.chance(0.03):
            return self.random.choice([{}, None, [], [1], "x", {"a": 1, "b": 2}, 0, False])
        return self.rule(self.random.choice([1, 2, 3, 3, 4]))

    def rule(self, depth: int) -> Any:
        """Something that likely results in the name of a variant."""
        pick = self.random.random()
        if pick < 0.55:
            branches: list[Any] = []
            for _ in range(self.random.choice([1, 1, 2, 3])):
                branches += [self.truth(depth - 1, "top"), self.result(depth - 1)]
            return {"if": [*branches, self.result(depth - 1)] if self.chance(0.7) else branches}
        if pick < 0.75:
            return {"fractional": self.shares(depth, "top")}
        return self.operation(self.random.choice(TRUTHS if self.chance(0.5) else OPERATORS), depth, "top")

    def result(self, depth: int) -> Any:
        if depth > 0 and self.chance(0.35):
            return self.rule(depth)
        if self.chance(0.1):
            return self.expression(depth, "top")
        return self.random.choice([*NAMES[:4], True, False, None] if self.chance(0.8) else [*NAMES, 1, 1.5])

    # ------------------------------------------------------------ expressions

    def truth(self, depth: int, scope: str) -> Any:
        if depth > 0 and self.chance(0.9):
            return self.operation(self.random.choice(TRUTHS), depth, scope)
        return self.simple_test(scope)

    def simple_test(self, scope: str) -> Any:
        var = self.var(scope)
        pick = self.random.randrange(8)
        if pick == 0:
            return {"in": [var, [self.scalar() for _ in range(self.random.choice([0, 1, 3, 12]))]]}
        if pick == 1:
            return {"in": [self.random.choice(TEXTS), var]}
        if pick == 2:
            return {"sem_ver": [{"var": "version"}, self.random.choice(VERSION_OPS), self.random.choice(VERSIONS)]}
        if pick == 3:
            return {self.random.choice(["starts_with", "ends_with"]): [var, self.random.choice(TEXTS)]}
        if pick == 4:
            return {self.random.choice(["<", "<="]): [self.scalar(), var, self.scalar()]}
        sides = [var, self.constant()]
        self.random.shuffle(sides)
        return {self.random.choice(COMPARISONS): sides}

    def expression(self, depth: int, scope: str) -> Any:
        if depth <= 0 or self.chance(0.35):
            return self.leaf(scope)
        if self.chance(0.03):
            return [self.expression(depth - 1, scope) for _ in range(self.random.randrange(4))]
        return self.operation(self.random.choice(OPERATORS), depth, scope)

    def leaf(self, scope: str) -> Any:
        if self.evaluators and self.chance(0.08):
            return {"$ref": self.random.choice([*self.evaluators, *self.evaluators, "gone"])}
        return self.var(scope) if self.chance(0.55) else self.constant()

    def scalar(self) -> Any:
        return self.random.choice([*TEXTS, *TEXTS, *NUMBERS, True, False, None, *VERSIONS[:4]])

    def constant(self) -> Any:
        pick = self.random.random()
        if pick < 0.85:
            return self.scalar()
        if pick < 0.95:
            return [self.scalar() for _ in range(self.random.randrange(4))]
        return self.random.choice([{}, {"a": 1, "b": [2]}, [[1], "a"], {"x": {"var": "a"}, "y": 2}])

    def var(self, scope: str) -> Any:
        paths = PATHS if scope == "top" else ITEM_PATHS
        key: Any = self.random.choice(paths)
        if self.chance(0.03):
            key = self.random.choice([None, 0, 1, 1.0, True, -1, ["a"], 0.5, {"a": 1, "b": 2}])
        elif self.chance(0.03):
            key = {"cat": ["a", ""]} if self.chance(0.5) else {"var": self.random.choice(paths)}
        if self.chance(0.15):
            return {"var": [key, self.scalar()]}
        return {"var": [key]} if self.chance(0.1) or isinstance(key, list) else {"var": key}

    def operation(self, name: str, depth: int, scope: str) -> Any:
        if self.chance(0.012):
            name = self.random.choice(["nope", "cat.x", "nope.x", "", ".", "if.x", "reverse"])
        if name == "fractional":
            return {name: self.shares(depth, scope)}
        if name in ("if", "?:"):
            return {
                name: [self.expression(depth - 1, scope) for _ in range(self.random.choice([0, 1, 2, 3, 3, 3, 4, 5]))]
            }
        if name in LOOPS or name == "reduce":
            return {name: self.loop(name, depth, scope)}
        if name == "missing":
            return {name: self.keys(depth, scope)}
        if name == "missing_some":
            return {name: [self.random.choice([1, 2, "1", None, 0.5]), self.keys(depth, scope)]}
        if name == "sem_ver" and self.chance(0.8):
            sides = [self.random.choice([{"var": "version"}, self.random.choice(VERSIONS), 1, 1.5]) for _ in range(2)]
            return {name: [sides[0], self.random.choice([*VERSION_OPS, *VERSION_OPS, "=>", None]), sides[1]]}
        count = ARITY.get(name, self.random.choice([0, 1, 2, 2, 3, 4]))
        if self.chance(0.1):
            count = self.random.randrange(5)
        elif name in ("<", "<=", ">", ">=") and self.chance(0.25):
            count = 3
        args = [self.expression(depth - 1, scope) for _ in range(count)]
        if count == 1 and not isinstance(args[0], list) and self.chance(0.4):
            return {name: args[0]}
        return {name: args}

    def loop(self, name: str, depth: int, scope: str) -> list[Any]:
        items = self.random.choice(
            [{"var": "list"}, {"var": "rows"}, {"var": "tags"}, {"var": "obj.list"}, self.constant()]
        )
        if scope != "top":
            items = self.var(scope)
        elif self.chance(0.2):
            items = self.expression(depth - 1, scope)
        body = self.expression(max(depth - 1, 1), "reduce" if name == "reduce" else "item")
        args = [items, body, self.constant()] if name == "reduce" else [items, body]
        return args if self.chance(0.93) else args[: self.random.randrange(3)]

    def keys(self, depth: int, scope: str) -> Any:
        paths = PATHS if scope == "top" else ITEM_PATHS
        if self.chance(0.15):
            return self.expression(depth - 1, scope)
        keys = [self.random.choice(paths) for _ in range(self.random.randrange(4))]
        return [*keys, self.random.choice([None, 0, True, ["a"], {"var": "a"}])] if self.chance(0.15) else keys

    def shares(self, depth: int, scope: str) -> Any:
        shares: list[Any] = [self.share(depth, scope) for _ in range(self.random.choice([1, 2, 2, 3, 4, 8]))]
        pick = self.random.random()
        if pick < 0.35:
            return shares
        if pick < 0.6:
            return [self.var(scope), *shares]
        if pick < 0.75:
            return [
                {"cat": [self.random.choice([{"var": "$flagd.flagKey"}, "x", self.var(scope)]), self.var(scope)]},
                *shares,
            ]
        if pick < 0.9:
            return [self.expression(depth - 1, scope), *shares]
        return self.random.choice(
            [[self.scalar(), *shares], [*shares, self.scalar()], [], self.var(scope), [[], *shares]]
        )

    def share(self, depth: int, scope: str) -> Any:
        variant = self.result(depth - 2) if self.chance(0.5) else self.random.choice(NAMES)
        if self.chance(0.85):
            return [variant, self.random.choice([1, 1, 2, 10, 25, 50, 33, 0])]
        odd = [
            -5,
            25.0,
            2.5,
            True,
            "10",
            None,
            2**31 - 1,
            2**31,
            {"-": [self.var(scope), 3]},
            {"var": "a"},
            {"+": [1, 2]},
        ]
        return self.random.choice([[variant], [variant, self.random.choice(odd)], [variant, 1, 2], [], variant])

    # ------------------------------------------------------------ contexts

    def context(self) -> dict[str, Any]:
        context: dict[str, Any] = {}
        if self.chance(0.85):
            context["targetingKey"] = self.random.choice(
                ["user-1", f"u{self.random.randrange(10**6)}", "é", "ß🙂", "", *([7] if self.chance(0.1) else [])]
            )
        for key in ("a", "b", "c", "ü", "obj", "tags", ""):
            if self.chance(0.5):
                context[key] = self.attribute(2)
        if self.chance(0.7):
            context["email"] = self.random.choice(["a@b.example", "x@corp.example", "", "é@x", 5, None])
        if self.chance(0.8):
            context["version"] = self.random.choice([*VERSIONS, 1, 2.0, 1.5, None, True])
        if self.chance(0.8):
            context["list"] = [self.attribute(1) for _ in range(self.random.randrange(5))]
        if self.chance(0.8):
            context["rows"] = [
                {"a": self.attribute(0), "b": self.attribute(1)} for _ in range(self.random.randrange(4))
            ]
        if self.chance(0.7):
            context["obj"] = {
                "a": self.attribute(1),
                "list": [self.scalar() for _ in range(3)],
                "b": {"a": self.scalar()},
            }
        return context

    def attribute(self, depth: int) -> Any:
        if depth > 0 and self.chance(0.2):
            return [self.attribute(depth - 1) for _ in range(self.random.randrange(4))]
        if depth > 0 and self.chance(0.12):
            return {key: self.attribute(depth - 1) for key in self.random.sample(["a", "b", "0", "length"], 2)}
        return self.scalar()
