"""Whether a targeting is what flagd's published JSON Schema for targeting allows.

Here live the shapes of operations: number and kind of operands. What they mean is jsonlogic.py's. The schema looks into
operands, but not into arrays that stand as an operand themselves - those of `!` and `!!` among them - and neither does
this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeAlias

from ....errors import ConfigError
from ...document import at, kind
from ...model import JSON
from ...pace import breathe
from .jsonlogic_fold import ORDERS, SAME_PARTS, is_version

_Check: TypeAlias = Callable[[JSON, str], None]

_FLAGD = "$flagd."
_FLAGD_NAMES = ("$flagd.flagKey", "$flagd.timestamp")


def check_targeting(logic: JSON, path: str) -> None:
    """Raises ConfigError, naming the place, unless `logic` is an empty object or an operation."""
    if not isinstance(logic, dict):
        _fail(path, f"a targeting must be an object, not {kind(logic)}")
    if logic:
        _operation(logic, path)


def _fail(path: str, detail: str) -> NoReturn:
    raise ConfigError(path, detail)


# ---------------------------------------------------------------- operands


def _operation(logic: JSON, path: str) -> None:
    """An object whose members are operations of one family; the schema names families, of which one member is usual."""
    breathe()
    if not isinstance(logic, dict):
        _fail(path, f"an operation is needed here, not {kind(logic)}")
    families = set()
    for name, operands in logic.items():
        if name not in _OPERATIONS:
            hint = "; a reference cannot stand here" if name == "$ref" else ""
            _fail(path, f"there is no operator {name!r}{hint}")
        family, check = _OPERATIONS[name]
        families.add(family)
        if len(families) > 1:
            _fail(path, f"an operation has one operator, not {', '.join(map(repr, logic))}")
        check(operands, at(path, name))


def _operand(value: JSON, path: str) -> None:
    """A reference, an operation or a plain value."""
    if not isinstance(value, dict):
        return
    if not value:
        _fail(path, "an empty object is no operand")
    if set(value) == {"$ref"}:
        if not isinstance(value["$ref"], str):
            _fail(at(path, "$ref"), f"a reference must be the name of an evaluator, not {kind(value['$ref'])}")
        return
    _operation(value, path)


def _operands(least: int, most: int | None) -> _Check:
    def check(value: JSON, path: str) -> None:
        for i, item in enumerate(_array(value, path, least, most)):
            _operand(item, at(path, i))

    return check


def _array(value: JSON, path: str, least: int, most: int | None) -> list[JSON]:
    if not isinstance(value, list):
        _fail(path, f"the operands must be an array, not {kind(value)}")
    if len(value) < least or (most is not None and len(value) > most):
        wanted = f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
        _fail(path, f"needs {wanted} operands, not {len(value)}")
    return value


# ---------------------------------------------------------------- operations with rules of their own


def _var(value: JSON, path: str) -> None:
    if isinstance(value, str) and value.startswith(_FLAGD) and value not in _FLAGD_NAMES:
        _fail(path, f"flagd provides {' and '.join(_FLAGD_NAMES)}, but no {value!r}")


def _texts(value: JSON, path: str) -> None:
    for i, item in enumerate(_array(value, path, 0, None)):
        if not isinstance(item, str):
            _fail(at(path, i), f"a key must be a text, not {kind(item)}")


def _missing_some(value: JSON, path: str) -> None:
    need, keys = _array(value, path, 2, 2)
    if isinstance(need, bool) or not isinstance(need, (int, float)):
        _fail(at(path, 0), f"how many are needed must be a number, not {kind(need)}")
    _texts(keys, at(path, 1))


def _two_texts(value: JSON, path: str) -> None:
    for i, item in enumerate(_array(value, path, 2, 2)):
        if isinstance(item, dict):
            _operation(item, at(path, i))
        elif not isinstance(item, str):
            _fail(at(path, i), f"must be a text or an operation, not {kind(item)}")


def _sem_ver(value: JSON, path: str) -> None:
    left, op, right = _array(value, path, 3, 3)
    _version(left, at(path, 0))
    if not isinstance(op, str) or not (op in ORDERS or op in SAME_PARTS):
        _fail(at(path, 1), f"must be one of {' '.join((*ORDERS, *SAME_PARTS))}")
    _version(right, at(path, 2))


def _version(value: JSON, path: str) -> None:
    if isinstance(value, dict):
        if set(value) - {"var"}:
            _fail(path, "must be a version or a var")
        _operation(value, path)
    elif not isinstance(value, str):
        _fail(path, f"must be a version or a var, not {kind(value)}")
    elif not is_version(value):
        _fail(path, f"{value!r} is not a version of semver.org, such as 1.4.0")


def _fractional(value: JSON, path: str) -> None:
    for i, item in enumerate(_array(value, path, 1, None)):
        here = at(path, i)
        if i == 0 and isinstance(item, dict):
            _operation(item, here)
        elif isinstance(item, list):
            _share(item, here)
        else:
            _fail(
                here, f"must be an array of variant and weight{' or an operation' if i == 0 else ''}, not {kind(item)}"
            )


def _share(value: list[JSON], path: str) -> None:
    if len(value) not in (1, 2):
        _fail(path, f"needs a variant and perhaps a weight, not {len(value)} items")
    _operand(value[0], at(path, 0))
    for weight in value[1:]:
        here = at(path, 1)
        if isinstance(weight, dict):
            _operation(weight, here)
        elif isinstance(weight, bool) or not isinstance(weight, (int, float)) or weight != weight // 1:
            _fail(here, "a weight must be an integer or an operation")
        elif weight < 0:
            _fail(here, f"a weight must not be negative, but is {weight}")


def _family(family: str, check: _Check, *names: str) -> dict[str, tuple[str, _Check]]:
    return {name: (family, check) for name in names}


_TWO = ("if", "==", "===", "!=", "!==", ">", ">=", "%", "/", "map", "filter", "all", "none", "some", "in")

_OPERATIONS: Final[Mapping[str, tuple[str, _Check]]] = {
    **_family("var", _var, "var"),
    **_family("missing", _texts, "missing"),
    **_family("missing_some", _missing_some, "missing_some"),
    **_family("binary", _operands(2, 2), *_TWO),
    **_family("binary", _operands(1, None), "if"),
    **_family("ternary", _operands(2, 3), "substr", "<", "<="),
    **_family("associative", _operands(2, None), "*"),
    **_family("unary", _operand, "!", "!!"),
    **_family("variadic", _operands(1, None), "or", "and", "+", "-", "max", "min", "merge", "cat"),
    **_family("reduce", _operands(3, 3), "reduce"),
    **_family("text", _two_texts, "starts_with", "ends_with"),
    **_family("sem_ver", _sem_ver, "sem_ver"),
    **_family("fractional", _fractional, "fractional"),
}
