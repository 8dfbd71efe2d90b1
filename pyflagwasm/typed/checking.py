"""Comparing declared flags with the live configuration: at start-up, and in the tests of an application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..errors import DeclarationError
from .fitting import shown
from .flag import Flag, FlagSet, declared

if TYPE_CHECKING:
    from ..evaluations import Evaluations
    from ..generation import Flag as LiveFlag


def check(flags: Evaluations, *declarations: type[FlagSet] | Flag[Any]) -> None:
    """Raises DeclarationError, which lists all of it, if declared flags do not go with the live configuration.

    A flag does not if the configuration has none of that key, or has one that cannot be evaluated, or a variant that is
    of another type. flags: an evaluator, a pin or a lease. Costs some microseconds for each variant, and runs `parse`.
    """
    wanted: dict[int, tuple[str, Flag[Any]]] = {}
    for each in declarations:
        if isinstance(each, Flag):
            wanted.setdefault(id(each), (each.name, each))
        else:
            for name, flag in declared(each).items():
                wanted.setdefault(id(flag), (f"{each.__name__}.{name}", flag))
    generation = flags._instances.generation
    if generation is None:
        raise DeclarationError(("no configuration is loaded: enter the evaluator, or await flags.ready(), before",), 0)
    problems: list[str] = []
    for name, flag in wanted.values():
        live = generation.flag(flag.key)
        found = [_unknown(flag.key, tuple(generation.flags))] if live is None else list(_problems(flag, live))
        if found:
            more = f" (and {len(found) - 1} more of its variants)" if len(found) > 1 else ""
            problems.append(f"{name}: {found[0]}{more}")
    if problems:
        raise DeclarationError(tuple(problems), generation.number)


def _unknown(key: str, keys: tuple[str, ...]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, keys, 1)
    hint = f"; did you mean {shown(close[0])}?" if close else ""
    return f"the configuration has no flag {shown(key)}{hint}"


def _problems(flag: Flag[Any], live: LiveFlag) -> Iterator[str]:
    from ..generation import Outcome
    from ..types import EvaluationDetails

    entry = live.entry
    if entry.problem is not None:
        yield f"the flag {shown(flag.key)} cannot be evaluated: {entry.problem}"
        return
    for variant in entry.variants:
        if variant.error is not None:
            wrong: str | None = variant.error
        elif flag._plain:  # then the comparison is the evaluator's own
            details = Outcome(EvaluationDetails(flag.key, variant.value, variant.key), True)
            wrong = details.for_default(flag.default, entry.type).error_message
        else:
            wrong = flag.wrong(variant.value)
        if wrong is not None:
            yield f"variant {shown(variant.key)} of {shown(flag.key)}: {wrong}"
