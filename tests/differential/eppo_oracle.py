"""The other side of eppo.py: Eppo's own SDK, in an interpreter of its own, one JSON line in and one out.

    {"document": {...}, "calls": [[flag key, kind, subject, attributes], ...]}
    {"answers": [{"value", "code", "variant", "allocation", "ruled", "raised"}, ...]}   or   {"refused": "why"}

kind is boolean, string, integer, numeric or json. `raised` is the name of an exception that the getter raised.
Run with an interpreter that has eppo-server-sdk; imports nothing of this repository.
"""

import json
import logging
import os
import sys

import eppo_client
from eppo_client import AssignmentLogger, ClientConfig, Configuration

DEFAULTS = {"boolean": False, "string": "caller's", "integer": -77, "numeric": -7.25, "json": {"caller": 1}}


def configuration(document):
    return Configuration(flags_configuration=json.dumps(document).encode())


def resolve(client, key, kind, subject, attributes):
    try:
        found = getattr(client, f"get_{kind}_assignment_details")(key, subject, attributes, DEFAULTS[kind])
    except BaseException as error:  # a panic of Rust is none of Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return {"raised": type(error).__name__}
    details = found.evaluation_details
    matched = next((each for each in details["allocations"] if each["allocationEvaluationCode"] == "MATCH"), None)
    return {
        "value": found.variation,
        "code": details["flagEvaluationCode"],
        "variant": details["variationKey"],
        "allocation": matched and matched["key"],
        "ruled": matched is not None and any(rule["matched"] for rule in matched["evaluatedRules"]),
        "raised": None,
    }


def main():
    logging.disable(logging.CRITICAL)
    out = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)  # where Rust says that it panics
    empty = {"createdAt": "2024-01-01T00:00:00Z", "environment": {"name": "x"}, "flags": {}}
    client = eppo_client.init(
        ClientConfig(
            api_key="none",
            assignment_logger=AssignmentLogger(),
            initial_configuration=configuration(empty),
            poll_interval_seconds=None,
        )
    )
    for line in sys.stdin:
        request = json.loads(line)
        try:
            client.set_configuration(configuration(request["document"]))
        except ValueError as error:
            reply = {"refused": str(error)}
        else:
            reply = {"answers": [resolve(client, *call) for call in request["calls"]]}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
