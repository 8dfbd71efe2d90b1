"""`pyflagwasm bulk`: flags for all rows of a file, in a file of the same rows, and how they were split."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from .arguments import Add, add_now
from .input import STDIN
from .output import FLAWED, SOUND, BadInput, counted, report, say, to_json, write
from .tables import (
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
    from ..bulk import BulkEvaluator, Summary
    from ..bulk.files import Input
    from ..bulk.progress import Progress

_OUTPUTS = ("value", "variant", "reason", "error_code")


def add_commands(add: Add) -> None:
    """Adds the command."""
    bulk = add(
        "bulk",
        "evaluate flags for all rows of a file",
        "IN [OUT] [--flag KEY]... [--keep COLUMN]... [--targeting-key COLUMN] [--threads N] [--plot FILE.svg]",
        notes=NOTES,
    )
    bulk.add_argument("input", metavar="IN", help="a file, or - for stdin")
    bulk.add_argument(
        "output", metavar="OUT", nargs="?", help="a file, which appears when it is complete, or - for stdout; none: "
        "only the summary"
    )  # fmt: skip
    bulk.add_argument("--bucket", action="store_true", help="also each row's bucket, its position of 0 to 99999")
    add_arguments(bulk)
    add_now(bulk)


def run(arguments: argparse.Namespace) -> int:
    """Runs it; the exit code."""
    checked_plot(arguments)
    outputs: tuple[str, ...] = (*_OUTPUTS, "bucket") if arguments.bucket else _OUTPUTS
    if arguments.output is None:
        outputs = ("variant",)
    with needed(), terminable(), ExitStack() as stack:
        from ..bulk.files import read
        from ..bulk.jobs import wants

        bulk = evaluator(stack, arguments, arguments.config, outputs=outputs)
        how = reading(arguments, wants([bulk]))
        found = stack.enter_context(read(arguments.input, arguments.in_format, how))
        progress = stack.enter_context(working(found, arguments.quiet))
        _write(arguments, bulk, found, progress)
        progress.end()
        summary = bulk.summary
        if arguments.plot is not None:
            save_picture(arguments.plot, _picture(arguments, summary))
        if arguments.json:
            text = to_json(_as_json(arguments, bulk, found, progress))
            say(text) if arguments.output != STDIN else report([text])
        elif not arguments.quiet:
            report(_as_text(arguments, summary, found, progress))
        return FLAWED if summary.errors or found.notes else SOUND


def _write(arguments: argparse.Namespace, bulk: BulkEvaluator, found: Input, progress: Progress) -> None:
    from ..bulk.files.writing import Output
    from ..bulk.jobs import answered, output, output_schema

    path = arguments.output
    if path is None:
        for batch, _ in answered([bulk], found, arguments.threads):
            progress.add(batch.num_rows)
        return
    if same_file(arguments.input, path):
        raise BadInput(f"{path}: is IN: name another file")
    schema = output_schema(bulk, found)
    with Output(path, arguments.out_format, schema, write) as out:
        for batch, (answers,) in answered([bulk], found, arguments.threads):
            out.write(output(schema, found, batch, answers))
            progress.add(batch.num_rows)
        out.commit()


# ---------------------------------------------------------------- the summary


def _as_json(arguments: argparse.Namespace, bulk: BulkEvaluator, found: Input, progress: Progress) -> dict[str, Any]:
    summary = bulk.summary
    return {
        "config": arguments.config,
        "input": arguments.input,
        "output": arguments.output,
        "rows": summary.rows,
        "seconds": round(progress.seconds, 3),
        "errors": summary.errors,
        "flags": {
            key: {
                "rows": flag.rows,
                "split": [
                    {"variant": variant, "reason": reason, "rows": count, "share": count / flag.rows}
                    for (variant, reason), count in flag.counts.items()
                ],
                "errors": dict(flag.errors),
            }
            for key, flag in summary.flags.items()
        },
        "columns": found.types,
        "notes": dict(found.notes),
        "metadata": {key.decode().removeprefix("pyflagwasm."): value.decode() for key, value in bulk.metadata.items()},
    }


def _as_text(arguments: argparse.Namespace, summary: Summary, found: Input, progress: Progress) -> list[str]:
    from ..bulk.picture import percent
    from ..bulk.progress import rate, took

    errors = f", {counted(summary.errors, 'error')}" if summary.errors else ""
    lines = [f"{summary.rows:,} rows in {took(progress.seconds)}, {rate(summary.rows, progress.seconds)}{errors}"]
    for key, flag in summary.flags.items():
        lines.append(key)
        table = []
        for (variant, reason), count in flag.counts.items():
            if variant is None and reason == "ERROR":
                continue
            table.append(("(default)" if variant is None else variant, reason, count))
        table += [("(default)", f"ERROR {code}", count) for code, count in flag.errors.items()]
        first = max((len(each[0]) for each in table), default=0)
        second = max((len(each[1]) for each in table), default=0)
        third = max((len(f"{each[2]:,}") for each in table), default=0)
        for name, reason, count in table:
            share = percent(count, flag.rows)
            lines.append(f"  {name:<{first}}  {reason:<{second}}  {count:>{third},}  {share:>6}")
    lines += input_notes(found)
    missing = sum(flag.errors.get("TARGETING_KEY_MISSING", 0) for flag in summary.flags.values())
    if missing and arguments.targeting_key is None:
        lines.append(f"rows without a targeting key: is it in another column than {KEY}? Say --targeting-key COLUMN")
    return lines


def _picture(arguments: argparse.Namespace, summary: Summary) -> str:
    from ..bulk import picture

    bars = []
    for key, flag in summary.flags.items():
        parts = [picture.Part(variant, count) for variant, count in flag.variants.items() if variant is not None]
        reasons: dict[str, int] = {}
        for (variant, reason), count in flag.counts.items():
            if variant is None and reason != "ERROR":
                reasons[reason] = reasons.get(reason, 0) + count
        parts += [picture.Part(f"(default) {reason}", count, "none") for reason, count in reasons.items()]
        parts += [picture.Part(code, count, "error") for code, count in flag.errors.items()]
        bars.append(picture.Bar(key, parts))
    return picture.split(arguments.config, [f"{arguments.input}: {summary.rows:,} rows"], bars)
