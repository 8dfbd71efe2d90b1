"""JsonLogic, as flagd's targeting uses it, to values of the model.

Here live the operators: which operation of the core each one is, how many operands it uses, and where `var` looks.
Constant expressions are folded (jsonlogic_fold.py); what a value becomes where it decides something is
jsonlogic_lower.py's; whether a document is well-formed is jsonlogic_validate.py's. Nothing is refused here but what
the core has no room for: an operator that does not exist fails when it is evaluated, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ...._abi import LIMITS_VALUE_DEPTH, ErrorCode, LoopKind, Op, Order, TimeUnit
from ....errors import ConfigError
from ...document import at
from ...model import (
    JSON,
    Apply,
    BlankSlots,
    Choose,
    Constant,
    FirstFalsy,
    FirstTruthy,
    Fractional,
    Item,
    Loop,
    Now,
    Path,
    Raise,
    Slot,
    SlotValue,
    Value,
)
from ...pace import breathe
from .jsonlogic_fold import OPERATIONS, Raises, fit, look_up, to_text, truthy
from .jsonlogic_lower import NEGATED, STRICT, condition, may_fail

MAX_CHAIN: Final = 64
"""How many branches an `if` may have whose result is an operand. One that gives the targeting's result has no limit."""

NULL: Final = Constant(None)
_NUMERIC = (bool, int, float)


class Scope(Enum):
    """What `var` looks into: the evaluation context, a loop's item, or a reduce's accumulator and item."""

    CONTEXT = 0
    ITEM = 1
    REDUCE = 2


@dataclass(frozen=True, slots=True)
class _Operator:
    """An operation on evaluated operands. uses: how many it looks at (None: all); exact: null with any other number."""

    op: Op
    uses: int | None = None
    flags: int = 0
    exact: bool = False


_OPERATORS: Final[Mapping[str, _Operator]] = {
    "==": _Operator(Op.EQUAL, 2),
    "!=": _Operator(Op.EQUAL, 2, NEGATED),
    "===": _Operator(Op.EQUAL, 2, STRICT),
    "!==": _Operator(Op.EQUAL, 2, STRICT | NEGATED),
    "<": _Operator(Op.COMPARE, 3, Order.LESS),
    "<=": _Operator(Op.COMPARE, 3, Order.LESS | Order.EQUAL),
    ">": _Operator(Op.COMPARE, 3, Order.GREATER),
    ">=": _Operator(Op.COMPARE, 3, Order.GREATER | Order.EQUAL),
    "!": _Operator(Op.TRUTH, 1, 1),
    "!!": _Operator(Op.TRUTH, 1),
    "+": _Operator(Op.ADD),
    "*": _Operator(Op.MULTIPLY),
    "-": _Operator(Op.SUBTRACT, 2),
    "/": _Operator(Op.DIVIDE, 2),
    "%": _Operator(Op.MODULO, 2),
    "in": _Operator(Op.IN, 2),
    "min": _Operator(Op.MINIMUM),
    "max": _Operator(Op.MAXIMUM),
    "cat": _Operator(Op.CONCAT),
    "substr": _Operator(Op.SUBSTRING, 3),
    "merge": _Operator(Op.MERGE),
    "starts_with": _Operator(Op.TEXT_STARTS, 2, exact=True),
    "ends_with": _Operator(Op.TEXT_ENDS, 2, exact=True),
    "sem_ver": _Operator(Op.SEM_VER, 3, exact=True),
}
_LAST_OPTIONAL = frozenset({Op.COMPARE, Op.SUBTRACT})

_LOOPS: Final[Mapping[str, tuple[LoopKind, JSON]]] = {
    "map": (LoopKind.MAP, None),
    "filter": (LoopKind.FILTER, []),
    "all": (LoopKind.ALL, False),
    "some": (LoopKind.SOME, False),
    "none": (LoopKind.NONE, True),
}
"""Kind, and the result of a loop without a body."""

_Operands: TypeAlias = Sequence[tuple[JSON, str]]
"""Expressions with their places."""

_Reader: TypeAlias = Callable[["Targeting", _Operands, str, Scope], Value]


class Targeting:
    """Reads the targeting of one flag. `problems` names, place by place, what will fail when it is evaluated."""

    def __init__(self, flag_key: str, generation: int) -> None:
        self.flag_key, self.generation = flag_key, generation
        self.problems: list[str] = []
        self._context = SlotValue(Slot("flagd_context", (flag_key,)))

    def value(self, logic: JSON, path: str, scope: Scope = Scope.CONTEXT, *, result: bool = False) -> Value:
        """The value of an expression; `path` is its place in the document, `result` says that it is the targeting's.

        Raises ConfigError for what the core has no room for.
        """
        breathe()
        if isinstance(logic, list):
            return _list([self.value(item, at(path, i), scope) for i, item in enumerate(logic)], path)
        if not isinstance(logic, dict) or len(logic) != 1:
            return _constant(logic, path)
        ((name, given),) = logic.items()
        here = at(path, name)
        args = [(arg, at(here, i)) for i, arg in enumerate(given)] if isinstance(given, list) else [(given, here)]
        if name in ("if", "?:"):
            return self._if(args, here, scope, result)
        reader = _READERS.get(name)
        if reader is not None:
            return reader(self, args, here, scope)
        values = self._values(args, scope)
        if name == "log":
            return _use(values, 1)[0]
        operator = _OPERATORS.get(name)
        return self._unknown(name, values, here) if operator is None else _apply(name, operator, values)

    def _values(self, args: _Operands, scope: Scope) -> list[Value]:
        return [self.value(arg, place, scope) for arg, place in args]

    def _unknown(self, name: str, values: Sequence[Value], path: str) -> Value:
        # `cat.x` would be a member of the operation cat, which has none: an error of another kind
        family = name.partition(".")[0]
        known = "." in name and (
            family in _OPERATORS or family in ("var", "missing", "missing_some", "log", "fractional")
        )
        self.problems.append(f"{path}: there is no operator {name!r}")
        return Raise(ErrorCode.GENERAL if known else ErrorCode.PARSE_ERROR, tuple(values))

    # ------------------------------------------------------------ branches

    def _if(self, args: _Operands, path: str, scope: Scope, result: bool) -> Value:
        branches: list[tuple[Value, Value]] = []
        last: Value = NULL
        for i in range(0, len(args), 2):
            test = self.value(*args[i], scope, result=result and i + 1 == len(args))
            if i + 1 == len(args):
                last = test
            elif not isinstance(test, Constant):
                branches.append((test, self.value(*args[i + 1], scope, result=result)))
            elif truthy(test.value):
                last = self.value(*args[i + 1], scope, result=result)
                break
        if not result and len(branches) > MAX_CHAIN:
            raise ConfigError(path, f"an operand with more than {MAX_CHAIN} branches; use several flags or $evaluators")
        for test, then in reversed(branches):
            last = Choose(condition(test), then, last)
        return last

    def _and(self, args: _Operands, path: str, scope: Scope) -> Value:
        kept = self._until(args, scope, stop=False)
        return kept[0] if len(kept) == 1 else FirstFalsy(tuple(kept)) if kept else NULL

    def _or(self, args: _Operands, path: str, scope: Scope) -> Value:
        kept = self._until(args, scope, stop=True)
        return kept[0] if len(kept) == 1 else FirstTruthy(tuple(kept)) if kept else NULL

    def _until(self, args: _Operands, scope: Scope, *, stop: bool) -> list[Value]:
        """The operands that can matter: no constants that go on, and nothing after one that stops."""
        kept: list[Value] = []
        for i, (arg, place) in enumerate(args):
            value = self.value(arg, place, scope)
            if isinstance(value, Constant) and truthy(value.value) is not stop and i + 1 < len(args):
                continue
            kept.append(value)
            if isinstance(value, Constant) and truthy(value.value) is stop:
                break
        return kept

    # ------------------------------------------------------------ loops

    def _loop(self, name: str, args: _Operands, path: str, scope: Scope) -> Value:
        kind, without_body = _LOOPS[name]
        if not args or (len(args) < 2 and kind is not LoopKind.MAP):
            return Constant([] if kind is LoopKind.MAP else fit(without_body))
        items = self.value(*args[0], scope)
        body = self.value(*args[1], Scope.ITEM) if len(args) > 1 else NULL
        return Loop(kind, items, body)

    def _reduce(self, args: _Operands, path: str, scope: Scope) -> Value:
        if not args:
            return NULL
        items = self.value(*args[0], scope)
        body = self.value(*args[1], Scope.REDUCE) if len(args) > 1 else NULL
        # the initial accumulator is taken as it stands: it is never evaluated
        return Loop(LoopKind.REDUCE, items, body, _constant(*args[2]) if len(args) > 2 else NULL)

    # ------------------------------------------------------------ the evaluation context

    def _base(self, scope: Scope) -> Value:
        return self._context if scope is Scope.CONTEXT else Item(0 if scope is Scope.ITEM else 2)

    def _var(self, args: _Operands, path: str, scope: Scope) -> Value:
        values = self._values(args, scope)
        if len(values) > 2:
            self.problems.append(f"{path}: var takes a key and a default, not {len(values)} operands")
            return Raise(ErrorCode.GENERAL, tuple(values))
        key = values[0] if values else NULL
        default = values[1] if len(values) > 1 else NULL
        if isinstance(key, Constant) and key.value in (None, ""):
            return _then_forget(self._base(scope), [default])  # the whole, which has no default
        found = self._variable(key.value, scope) if isinstance(key, Constant) else None
        if found is None:
            found = Apply(Op.LOOKUP, (self._base(scope), key))
        if isinstance(found, Constant) and isinstance(default, Constant):
            return default if found.value is None else found
        return found if default == NULL else Apply(Op.COALESCE, (found, default))

    def _variable(self, key: JSON, scope: Scope) -> Value | None:
        """Where a constant key leads that is neither null nor empty; None if the look-up has to find out."""
        if isinstance(key, _NUMERIC):
            # the context and a reduce's pair are objects, whose keys are texts
            return None if scope is Scope.ITEM else NULL
        keys = tuple(to_text(key).split("."))
        if scope is Scope.ITEM:
            return Path(Item(), keys)
        if scope is Scope.REDUCE:
            if keys[0] not in ("accumulator", "current"):
                return NULL
            item = Item(1 if keys[0] == "accumulator" else 0)
            return Path(item, keys[1:]) if len(keys) > 1 else item
        if keys[0] != "$flagd":
            return SlotValue(Slot("path", keys))
        if keys == ("$flagd",):
            return Path(self._context, keys)
        if keys == ("$flagd", "timestamp"):
            return Now(TimeUnit.SECOND)
        return Constant(look_up(self.flag_key, keys[2:])) if keys[1] == "flagKey" else NULL

    def _missing(self, args: _Operands, path: str, scope: Scope) -> Value:
        values = self._values(args, scope)
        if values and isinstance(values[0], Constant) and isinstance(values[0].value, list):
            return _then_forget(self._blank(values[0], scope), values[1:])
        keys = _list(values, path)
        return self._blank(keys, scope) if isinstance(keys, Constant) else Apply(Op.MISSING, (self._base(scope), keys))

    def _missing_some(self, args: _Operands, path: str, scope: Scope) -> Value:
        values = self._values(args, scope)
        need, keys = _use(values, 2)
        if len(values) < 1:
            need = Constant(0)
        if isinstance(keys, Constant) and isinstance(keys.value, list):
            total: Value = Constant(len(keys.value))
        elif isinstance(keys, Constant):
            return _then_forget(Constant([]), [need])
        else:
            if may_fail(need):  # comes first, so its failure does, too
                keys = FirstFalsy((Apply(Op.MAKE_LIST, (need,)), keys))
            keys = Loop(LoopKind.FILTER, keys, Constant(True))  # what is not a list has no keys
            total = Path(keys, ("length",))
        return Apply(Op.MISSING_SOME, (self._blank(keys, scope), total, need))

    def _blank(self, keys: Value, scope: Scope) -> Value:
        """The members of the list `keys` that lead to null or the empty text."""
        if scope is Scope.CONTEXT and isinstance(keys, Constant):
            slots: list[tuple[str, Slot]] = []
            for key in keys.value:
                if key is None or key == "":
                    continue  # the whole context is never blank
                found = self._variable(key, scope)
                if isinstance(found, SlotValue) and isinstance(key, str):
                    slots.append((key, found.slot))
                elif not isinstance(key, str) or (isinstance(found, Constant) and found.value in (None, "")):
                    break  # no slot says this
            else:
                return BlankSlots(tuple(slots)) if slots else Constant([])
        wrapped = Constant([keys.value]) if isinstance(keys, Constant) else Apply(Op.MAKE_LIST, (keys,))
        return Apply(Op.MISSING, (self._base(scope), wrapped))

    def _fractional(self, args: _Operands, path: str, scope: Scope) -> Value:
        values = self._values(args, scope)
        if not values:
            return NULL
        return Fractional(tuple(values), self.flag_key, Slot("targeting_key"), self.generation)


def _reader(loop: str) -> _Reader:
    return lambda self, args, path, scope: self._loop(loop, args, path, scope)


_READERS: Final[dict[str, _Reader]] = {
    "and": Targeting._and,
    "or": Targeting._or,
    "reduce": Targeting._reduce,
    "var": Targeting._var,
    "missing": Targeting._missing,
    "missing_some": Targeting._missing_some,
    "fractional": Targeting._fractional,
    **{name: _reader(name) for name in _LOOPS},
}


# ---------------------------------------------------------------- evaluated operands


def _constant(value: JSON, path: str) -> Constant:
    if isinstance(value, (list, dict)) and _depth(value) > LIMITS_VALUE_DEPTH:
        raise ConfigError(path, f"a value that nests deeper than {LIMITS_VALUE_DEPTH} lists and objects")
    return Constant(fit(value))


def _depth(value: JSON) -> int:
    depth, level = 0, [value]
    while level := [x for x in level if isinstance(x, (list, dict))]:
        depth += 1
        level = [item for x in level for item in (x if isinstance(x, list) else x.values())]
    return depth


def _list(values: Sequence[Value], path: str) -> Value:
    constants = [value.value for value in values if isinstance(value, Constant)]
    return _constant(constants, path) if len(constants) == len(values) else Apply(Op.MAKE_LIST, tuple(values))


def _then_forget(value: Value, others: Sequence[Value]) -> Value:
    """The value; the others are evaluated after it, only for the errors in them."""
    for other in others:
        if may_fail(other):
            value = Path(Apply(Op.MAKE_LIST, (value, other)), ("0",))
    return value


def _use(values: Sequence[Value], count: int) -> list[Value]:
    """The first operands, null for those that are not there; operands beyond them are evaluated, but not looked at."""
    used = [*values[:count], *[NULL] * (count - len(values))]
    used[-1] = _then_forget(used[-1], values[count:])
    return used


def _apply(name: str, operator: _Operator, values: Sequence[Value]) -> Value:
    if operator.exact and len(values) != operator.uses:
        return _then_forget(NULL, values)
    used = list(values) if operator.uses is None else _use(values, operator.uses)
    constants = [value.value for value in used if isinstance(value, Constant)]
    if len(constants) == len(used):
        try:
            return Constant(fit(OPERATIONS[name](*constants)))
        except Raises:
            return Raise(ErrorCode.GENERAL)
    if operator.op in _LAST_OPTIONAL and used[-1] == NULL:
        used.pop()
    return Apply(operator.op, tuple(used), operator.flags)
