"""The other side of flagd.py: flagd's own evaluator, in an interpreter of its own, one JSON line in and one out.

    {"document": {...}, "now": seconds, "calls": [[flag key, kind, context], ...]}
    {"answers": [{"value", "variant", "reason", "error", "marks"}, ...]}   or   {"refused": "why"}

kind is boolean, string, integer, float or object. An error that is none of OpenFeature's counts as GENERAL. `marks`
name what happened on the way that pyflagwasm documents to be different; flagd.py looks at them only where answers do
not agree.
Run with an interpreter that has openfeature-flagd-core; imports nothing of this repository.
"""

import functools
import importlib
import json
import logging
import math
import os
import sys
import types

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError

DEFAULTS = {"boolean": False, "string": "caller's", "integer": 7, "float": 7.5, "object": {"caller": 1}}
INT_MAX = 2**63 - 1
PAIR = "the pair of a reduce is one object, which it changes"

targeting = importlib.import_module("openfeature.contrib.tools.flagd.core.targeting.targeting")
builtins = importlib.import_module("json_logic.builtins")
marks: set[str] = set()


def number(value):
    return builtins.to_number(value)


def mark_arithmetic(name, data, args):
    # a sum or product runs over its operands one by one, and so does what it passes through
    numbers = [n for n in map(number, args) if isinstance(n, int)]
    widest = math.prod(max(abs(n), 1) for n in numbers) if name == "*" else sum(map(abs, numbers))
    if widest > (2**53 if name == "/" else INT_MAX):
        marks.add("an integer beyond 64 bits, or beyond 53 in a division")


def has_nan(value):
    if isinstance(value, list):
        return any(map(has_nan, value))
    if isinstance(value, dict):
        return any(map(has_nan, value.values()))
    return value != value


def mark_equal(name, data, args):
    a, b = [*args, None, None][:2]
    if name in ("==", "!=") and type(a) is type(b) and isinstance(a, (list, dict)):
        marks.add("identity of lists and objects")
    if name in ("===", "!==", "in") and has_nan([a, b]):
        marks.add("a NaN in a list is itself")


def mark_var(name, data, args):
    for key in args[:1] if name == "var" else [k for arg in args for k in (arg if isinstance(arg, list) else [arg])]:
        if isinstance(key, float) and math.isinf(key):
            marks.add("an infinite index")
        if key is None or key == "":
            if isinstance(data, dict) and data.keys() == {"accumulator", "current"}:
                marks.add(PAIR)
            if data is None:
                marks.add("a null that is there, with a default")
        if isinstance(key, (int, float)) and isinstance(data, list) and None in data:
            marks.add("a null that is there, with a default")


def mark_fractional(name, data, args):
    if not (isinstance(data, dict) and "$flagd" in data):
        marks.add("fractional inside a loop")
    elif not isinstance(data["targetingKey"], str | None):
        marks.add("a targeting key that is no text")


WATCHED = {
    **dict.fromkeys("+-*/%", mark_arithmetic),
    **dict.fromkeys(("==", "!=", "===", "!==", "in"), mark_equal),
    **dict.fromkeys(("var", "missing", "missing_some"), mark_var),
    "fractional": mark_fractional,
}


def watched(name, operation):
    watch = WATCHED[name]

    def call(data=None, *args):
        watch(name, data, args)
        return operation(data, *args)

    return call


def resolve(core, key, kind, context):
    context = dict(context)
    marks.clear()
    default = DEFAULTS[kind]
    answer = {"value": default, "variant": None, "reason": "ERROR", "error": None}
    try:
        given = EvaluationContext(context.pop("targetingKey", None), context)
        found = getattr(core, f"resolve_{kind}_value")(key, default, given)
        answer.update(value=found.value, variant=found.variant, reason=str(found.reason.value))
    except OpenFeatureError as error:
        answer["error"] = error.error_code.value
    except Exception as error:
        if isinstance(error, RecursionError):
            marks.add(PAIR)  # which then contains itself
        answer["error"] = "GENERAL"
    return answer | {"marks": sorted(marks)}


def answers(request):
    targeting.time = types.SimpleNamespace(time=lambda: request["now"])
    core = FlagdCore()
    try:
        core.set_flags(request["document"])
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"answers": [resolve(core, *call) for call in request["calls"]]}


def main():
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # the operation `log` prints
    # it replaces references in JSON as text, by a template in which the escapes of non-ASCII text are errors
    store = importlib.import_module("openfeature.contrib.tools.flagd.core.model.flag_store")
    store.json = types.SimpleNamespace(dumps=functools.partial(json.dumps, ensure_ascii=False), loads=json.loads)
    for name in WATCHED:
        targeting.OPERATORS[name] = watched(name, targeting.OPERATORS[name])
    for line in sys.stdin:
        out.write(json.dumps(answers(json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
