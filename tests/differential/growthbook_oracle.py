"""The other side of growthbook.py: GrowthBook's own SDK, in an interpreter of its own, one JSON line in and one out.

    {"document": {...}, "options": {...}, "calls": [["feature" | "run", key, context], ...]}
    {"answers": [{"value", "source", "variant", "hashed", "ruleId", "leafId", "raised", "marks"}, ...]}

The context is the attributes; `id` is its targetingKey if it has none. `source` is the SDK's word, for `run` "in" or
"out". `raised` is the name of what came out of the SDK instead. `marks` name what happened on the way that pyflagwasm
documents to be different; growthbook.py looks at them only where answers do not agree.
Run with an interpreter that has growthbook 3.2.2, and -P: the folder has a growthbook.py of its own.
"""

import copy
import json
import logging
import sys
import warnings

from growthbook import Experiment, core
from growthbook.common_types import EvaluationContext, Feature, GlobalContext, Options, StackContext, UserContext

logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")

marks: set[str] = set()
saved: set[str] = set()


class Store:
    """Takes what the SDK saves, and remembers what it was."""

    def save_assignments(self, doc):
        saved.update(doc["assignments"])


original = core._get_sticky_bucket_variation


def watched(experiment_key, evalContext, bucket_version=None, **rest):
    if saved:
        marks.add("an assignment that the SDK has stored earlier in this evaluation")
    return original(experiment_key=experiment_key, evalContext=evalContext, bucket_version=bucket_version, **rest)


core._get_sticky_bucket_variation = watched


def big(value):
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return any(map(big, value.values()))
    return isinstance(value, list) and any(map(big, value))


def features(document):
    found = {}
    for key, body in (document.get("features") or {}).items():
        try:
            found[key] = Feature(rules=body.get("rules", []), defaultValue=body.get("defaultValue"))
        except Exception:
            found[key] = None
    return found


def answer(document, options, found, call):
    kind, key, context = copy.deepcopy(call)
    marks.clear()
    saved.clear()
    if big(context):
        marks.add("an integer beyond 64 bits")
    docs = context.get("stickyBucketAssignmentDocs")
    if "id" not in context and "targetingKey" in context:
        context["id"] = context["targetingKey"]
    evaluation = EvaluationContext(
        user=UserContext(
            url=options.get("url", ""),
            attributes=context,
            groups=options.get("groups", {}),
            forced_variations=options.get("forced_variations", {}),
            sticky_bucket_assignment_docs=copy.deepcopy(docs) if isinstance(docs, dict) else {},
        ),
        global_ctx=GlobalContext(
            options=Options(
                url=options.get("url", ""),
                enabled=options.get("enabled", True),
                qa_mode=options.get("qa_mode", False),
                sticky_bucket_service=Store() if options.get("sticky_buckets") else None,
            ),
            features=found,
            saved_groups=document.get("savedGroups"),
            contextual_bandits=document.get("contextualBandits") or {},
        ),
        stack=StackContext(evaluated_features=set()),
    )
    result = {"value": None, "source": None, "variant": None, "hashed": False, "ruleId": None, "leafId": None}
    result["raised"] = None
    try:
        if kind == "feature":
            given = core.eval_feature(key, evaluation)
            result.update(value=given.value, source=given.source, ruleId=given.ruleId)
            ran = given.experimentResult
        else:
            body = next(each for each in document["experiments"] if isinstance(each, dict) and each.get("key") == key)
            ran = core.run_experiment(Experiment(**copy.deepcopy(body)), None, evaluation)
            result.update(value=ran.value, source="in" if ran.inExperiment else "out")
        if ran is not None:
            result.update(variant=str(ran.key), hashed=ran.hashUsed, leafId=ran.leafId)
    except Exception as error:
        result["raised"] = type(error).__name__
    return {**result, "marks": sorted(marks)}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        found = features(request["document"])
        given = [answer(request["document"], request["options"], found, call) for call in request["calls"]]
        sys.stdout.write(json.dumps({"answers": given}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
