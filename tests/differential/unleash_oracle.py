"""The other side of unleash.py: Unleash's own engine, in an interpreter of its own, one JSON line in and one out.

    {"document": {...}, "words": "engine" | "client", "calls": [[feature, context], ...], "times": 1}
    {"answers": [{"enabled": ..., "variant": {...}}, ...]}   or   {"refused": "why"}

With `client` the context goes through the code that UnleashClient has for it. Answers are those of is_enabled and
get_variant, which turn every failure of the engine into a feature that is off; an unknown feature is null. With more
than one of `times` each answer is a count of the answers' JSON.
Run with an interpreter that has UnleashClient; imports nothing of this repository.
"""

import ctypes
import importlib
import json
import sys
import types
from collections import Counter

from yggdrasil_engine.engine import UnleashEngine

UPDATED = "Engine state was updated but warnings"
DISABLED = {"name": "disabled", "enabled": False, "feature_enabled": False}
ENRICHER = importlib.import_module("UnleashClient._context")._ContextEnricher(types.SimpleNamespace(static_context={}))


def called(engine, function, *args):
    pointer = function(engine.state, *args)
    try:
        return json.loads(ctypes.cast(pointer, ctypes.c_char_p).value.decode())
    finally:
        engine.lib.free_response(pointer)


def variant_of(value):
    return {{"featureEnabled": "feature_enabled"}.get(name, name): member for name, member in value.items()}


def answer(engine, name, context):
    texts = name.encode(), json.dumps(context).encode(), b"{}"
    enabled = called(engine, engine.lib.check_enabled, *texts)
    if enabled["status_code"] == "NotFound":
        return None
    chosen = called(engine, engine.lib.check_variant, *texts)
    return {
        "enabled": enabled["value"] if enabled["status_code"] == "Ok" else False,
        "variant": variant_of(chosen["value"]) if chosen["status_code"] == "Ok" else DISABLED,
    }


def answers(request):
    engine = UnleashEngine()
    taken = called(engine, engine.lib.take_state, json.dumps(request["document"]).encode())
    if taken["status_code"] != "Ok" and not taken["error_message"].startswith(UPDATED):
        return {"refused": taken["error_message"]}
    found = []
    for name, context in request["calls"]:
        if request["words"] == "client":
            context = ENRICHER.build(context)
        if request["times"] == 1:
            found.append(answer(engine, name, context))
        else:
            count = Counter(json.dumps(answer(engine, name, context)) for _ in range(request["times"]))
            found.append([[json.loads(text), number] for text, number in count.items()])
    return {"answers": found}


def main():
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answers(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
