"""`pyflagwasm explain`: why a flag has its value."""

from __future__ import annotations

import argparse
import time
from contextlib import closing

from .arguments import Add, add_now
from .input import json_object, loaded, now_us
from .output import FLAWED, SOUND, say, to_json


def add_commands(add: Add) -> None:
    """Adds the command."""
    explain = add("explain", "say why a flag has its value", "--flag KEY --context JSON [--now RFC3339] [--json]")
    explain.add_argument("--flag", metavar="KEY", required=True, help="the flag")
    explain.add_argument("--context", metavar="JSON", required=True, help="the evaluation context")
    explain.add_argument("--json", action="store_true", help="as JSON")
    add_now(explain)


def run(arguments: argparse.Namespace) -> int:
    """Runs it; the exit code."""
    from ..evaluations import explain
    from ..explain import explain_json, explain_text

    given_us = now_us(arguments.now)
    context = json_object(arguments.context, "--context")
    with closing(loaded(arguments)) as pool:
        now = time.time_ns() // 1000 if given_us is None else given_us
        explanation = explain(pool, arguments.flag, context, now)
    say(to_json(explain_json(explanation), indent=2) if arguments.json else explain_text(explanation))
    return SOUND if explanation.decision.error_code is None else FLAWED
