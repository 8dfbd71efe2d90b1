"""`pyflagwasm simulate`: who would be given something else by a new configuration, before it is shipped."""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from ..config.formats import AUTO, FORMATS
from .arguments import Add, add_now
from .input import STDIN, json_object
from .output import FLAWED, SOUND, BadInput, counted, report, say, to_json, write
from .tables import (
    ALL,
    KEY,
    NOTES,
    add_arguments,
    checked_plot,
    evaluator,
    input_notes,
    needed,
    reading,
    same_file,
    save_picture,
    terminable,
    working,
)

if TYPE_CHECKING:
    from ..bulk import BulkEvaluator
    from ..bulk.files import Input
    from ..bulk.progress import Progress
    from ..bulk.transitions import Answer, FlagMoves, Transitions

_PREFIX: Final = "user-"


def add_commands(add: Add) -> None:
    """Adds the command."""
    simulate = add(
        "simulate",
        "tell who would be given something else by a new configuration",
        "NEW [IN | --population N] [--flag KEY]... [--out FILE] [--all] [--plot FILE.svg]",
        notes=NOTES,
    )
    simulate.add_argument("new", metavar="NEW", help="the new configuration")
    simulate.add_argument("input", metavar="IN", nargs="?", help="a file of evaluation contexts, or - for stdin")
    simulate.add_argument(
        "--population", metavar="N", type=int, help=f"so many targeting keys: {_PREFIX}0, {_PREFIX}1..."
    )
    simulate.add_argument("--key-prefix", metavar="TEXT", default=_PREFIX, help=f"what they begin with: {_PREFIX}")
    simulate.add_argument("--context", metavar="JSON", help="the other attributes, of all of them")
    simulate.add_argument(
        "--out",
        metavar="FILE",
        help="a table of those who move: a line for each row and flag that both configurations have",
    )
    simulate.add_argument("--all", action="store_true", help="flags that do not change, too")
    simulate.add_argument("--new-format", choices=(AUTO, *FORMATS), help="of NEW; default: as --format")
    simulate.add_argument("--new-options", metavar="JSON", help="for NEW; default: as --options")
    add_arguments(simulate)
    add_now(simulate)


def run(arguments: argparse.Namespace) -> int:
    """Runs it; the exit code."""
    checked_plot(arguments)
    _checked(arguments)
    with needed(), terminable(), ExitStack() as stack:
        from ..bulk.transitions import OUTPUTS, Transitions

        both = _evaluators(stack, arguments, OUTPUTS)
        found = stack.enter_context(_population(arguments, both))
        progress = stack.enter_context(working(found, arguments.quiet))
        transitions = Transitions(*both)
        _count(arguments, both, found, transitions, progress)
        progress.end()
        flags = transitions.flags.values()
        shown = [flag for flag in flags if arguments.all or flag.moved or not flag.stays]
        if arguments.plot is not None:
            save_picture(arguments.plot, _picture(arguments, transitions, shown, found))
        if arguments.json:
            text = to_json(_as_json(arguments, transitions, shown, found))
            say(text) if arguments.out != STDIN else report([text])
        elif not arguments.quiet:
            report(_as_text(arguments, transitions, shown, found))
        return FLAWED if any(flag.errors[1] for flag in flags) or found.notes else SOUND


def _checked(arguments: argparse.Namespace) -> None:
    if (arguments.input is None) == (arguments.population is None):
        raise BadInput("a population is needed: IN, a file of evaluation contexts, or --population N; see --help")
    if arguments.population is None and (arguments.context is not None or arguments.key_prefix != _PREFIX):
        raise BadInput("--context and --key-prefix go with --population")
    if arguments.population is not None and arguments.population < 1:
        raise BadInput(f"--population: must be at least 1, not {arguments.population}")


def _evaluators(
    stack: ExitStack, arguments: argparse.Namespace, outputs: tuple[str, ...]
) -> tuple[BulkEvaluator, BulkEvaluator]:
    """Of the flags that each has. The time is the same for both."""
    options = arguments.new_options or arguments.options
    new = {**vars(arguments), "options": options, "format": arguments.new_format or arguments.format}
    sides = ((arguments.config, arguments), (arguments.new, argparse.Namespace(**new)))
    moment = time.time()
    all_flags = [evaluator(stack, own, config, flags=None, outputs=outputs, now=moment) for config, own in sides]
    if not arguments.flag:
        return all_flags[0], all_flags[1]
    for key in arguments.flag:
        if not any(key in each.flag_keys for each in all_flags):
            raise BadInput(f"--flag: neither configuration has the flag {key!r}")
    keys = [[key for key in dict.fromkeys(arguments.flag) if key in each.flag_keys] for each in all_flags]
    chosen = [
        evaluator(stack, own, config, flags=some, outputs=outputs, now=moment)
        for (config, own), some in zip(sides, keys, strict=True)
    ]
    return chosen[0], chosen[1]


def _population(arguments: argparse.Namespace, both: tuple[BulkEvaluator, BulkEvaluator]) -> Input:
    from ..bulk.files import read
    from ..bulk.jobs import wants
    from ..bulk.synthetic import population

    if arguments.population is None:
        return read(arguments.input, arguments.in_format, reading(arguments, wants(both)))
    context = {} if arguments.context is None else json_object(arguments.context, "--context")
    count = arguments.population if arguments.limit is None else min(arguments.population, arguments.limit)
    keep = None if ALL in arguments.keep else tuple(arguments.keep)
    return population(count, arguments.key_prefix, arguments.targeting_key or KEY, context, keep)


def _count(
    arguments: argparse.Namespace,
    both: tuple[BulkEvaluator, BulkEvaluator],
    found: Input,
    transitions: Transitions,
    progress: Progress,
) -> None:
    from ..bulk.files.writing import Output
    from ..bulk.jobs import answered
    from ..bulk.transitions import movers, movers_schema

    with ExitStack() as stack:
        out = None
        if arguments.out is not None:
            if same_file(arguments.input, arguments.out):
                raise BadInput(f"{arguments.out}: is IN: name another file")
            schema = movers_schema(found, both)
            out = stack.enter_context(Output(arguments.out, arguments.out_format, schema, write))
        first = 0
        for batch, (before, after) in answered(both, found, arguments.threads):
            moved = transitions.add(before, after, batch.num_rows)
            if out is not None and moved:
                out.write(movers(schema, found, batch, moved, first))
            first += batch.num_rows
            progress.add(batch.num_rows)
        if out is not None:
            out.commit()


# ---------------------------------------------------------------- what is told


def _as_json(
    arguments: argparse.Namespace, transitions: Transitions, shown: list[FlagMoves], found: Input
) -> dict[str, Any]:
    return {
        "old": arguments.config,
        "new": arguments.new,
        "input": found.name,
        "rows": transitions.rows,
        "rows_moved": transitions.rows_moved,
        "flags_added": [key for key, flag in transitions.flags.items() if flag.present == (False, True)],
        "flags_removed": [key for key, flag in transitions.flags.items() if flag.present == (True, False)],
        "flags": {
            flag.key: {
                "moved": flag.moved,
                "value_changed": flag.changed,
                "errors": {"old": flag.errors[0], "new": flag.errors[1], "appeared": flag.new_errors},
                "transitions": [
                    {"from": _side(old), "to": _side(new), "rows": count, "moves": moves}
                    for old, new, count, moves in flag.transitions
                    if moves or arguments.all
                ],
            }
            for flag in shown
        },
        "notes": dict(found.notes),
    }


def _side(answer: Answer) -> dict[str, Any]:
    variant, value, error, _ = answer
    return {"variant": variant, "value": None if value is None else json.loads(value), "error_code": error}


def _as_text(
    arguments: argparse.Namespace, transitions: Transitions, shown: list[FlagMoves], found: Input
) -> list[str]:
    from ..bulk.picture import percent

    total = transitions.rows
    share = percent(transitions.rows_moved, total)
    lines = [f"{total:,} rows; {transitions.rows_moved:,} of them ({share}) are given something else"]
    differ = sum(not flag.stays for flag in transitions.flags.values())
    if differ:
        lines[0] += f", {counted(differ, 'flag')} that only one has aside"
    for flag in shown:
        lines.append(f"{flag.key}: {headline(flag, total)}")
        table = [(f"{old} -> {new}", count) for old, new, count, moves in flag.labelled() if moves or arguments.all]
        wide = max((len(text) for text, _ in table), default=0)
        most = max((len(f"{count:,}") for _, count in table), default=0)
        lines += [f"  {text:<{wide}}  {count:>{most},}  {percent(count, total):>6}" for text, count in table]
    same = len(transitions.flags) - len(shown)
    if same:
        lines.append(f"{counted(same, 'flag')} without a change")
    return lines + input_notes(found)


def headline(flag: FlagMoves, total: int) -> str:
    """What becomes of a flag, in a few words."""
    from ..bulk.picture import percent

    if not flag.stays:
        return "added" if flag.present[1] else "removed"
    said = [f"{flag.moved:,} ({percent(flag.moved, total)}) move"]
    if flag.changed != flag.moved:
        said.append(f"{flag.changed:,} to another value")
    if flag.new_errors:
        said.append(f"{flag.new_errors:,} to an error that was none")
    return ", ".join(said)


def _picture(arguments: argparse.Namespace, transitions: Transitions, shown: list[FlagMoves], found: Input) -> str:
    from ..bulk import picture

    share = picture.percent(transitions.rows_moved, transitions.rows)
    note = f"{found.name}: {transitions.rows:,} rows, {share} are given something else"
    return picture.flows(f"{arguments.config} \u2192 {arguments.new}", [note], [flag.flow() for flag in shown])
