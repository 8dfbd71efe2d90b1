"""The other side of devcycle.py: answers of DevCycle's own module, as JSON lines. Runs in an interpreter of its own.

Nothing of this package is imported here. The folder in PYFLAGWASM_DEVCYCLE_ORACLE has oracle.py, which drives the
vendor's module, and refmodel.py, the corrected rules.

    {"semantics", "config", "platform", "client"}  -> {"abort": message or null}
    {"now_ms", "user", "questions": [[key, type]]} -> {"answers": [null | {"abort"} | {"value", "reason", "details",
                                                       "feature", "target"}], "variations": {feature id: key} | null}
    {"date", "now_ms": [ms, ...]}                  -> {"passed": [has the schedule begun, ...] | null}
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

sys.path.insert(0, os.environ["PYFLAGWASM_DEVCYCLE_ORACLE"])

import oracle  # type: ignore[import-not-found]
import refmodel  # type: ignore[import-not-found]

# An audience that refers to itself runs over the module's own stack, and what it says then need not be text.
GAVE_UP = (oracle.Aborted, refmodel.Abort, oracle.wasmtime.WasmtimeError, oracle.wasmtime.Trap, UnicodeDecodeError)


class Vendor:
    def __init__(self) -> None:
        self.module = oracle.DevCycleOracle(now_ms=0)

    def load(self, request: dict[str, Any]) -> None:
        self.module.set_platform_data({"sdkType": "server", "sdkVersion": "1", **request["platform"]})
        self.module.set_client_custom_data(request["client"])
        self.module.set_config(request["config"])

    def at(self, now_ms: int, user: dict[str, Any]) -> Any:
        self.module.now_ms = float(now_ms)
        return self.module

    def begun(self, date: str, now_ms: int) -> bool:
        self.module.now_ms = float(now_ms)
        return bool(self.module.passes_rollout({"type": "schedule", "startDate": date}, 0.5))


class Corrected:
    def load(self, request: dict[str, Any]) -> None:
        self.request = request

    def at(self, now_ms: int, user: dict[str, Any]) -> Any:
        said = {key: user[key] for key in self.request["platform"] if isinstance(user.get(key), str)}
        platform = {**self.request["platform"], **said}
        return refmodel.Model(self.request["config"], platform, self.request["client"], now_ms, refmodel.RECOMMENDED)


def answers(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    user = request["user"]
    found: list[Any] = []
    for key, kind in request["questions"]:
        try:
            said = model.variable(user, key, kind)
        except GAVE_UP as e:
            found.append({"abort": str(e)[:200]})
            continue
        found.append(said and {
            "value": said["value"], "reason": said["eval"]["reason"], "details": said["eval"]["details"],
            "feature": said["_feature"], "target": said["eval"]["target_id"],
        })  # fmt: skip
    try:
        features = model.bucketed_config(user)["features"].values()
    except GAVE_UP:
        return {"answers": found, "variations": None}  # one feature that gives up spoils this for all
    return {"answers": found, "variations": {f["_id"]: f["variationKey"] for f in features}}


def main() -> None:
    sides = {"vendor": Vendor(), "corrected": Corrected()}
    side: Any = sides["vendor"]
    for line in sys.stdin:
        request = json.loads(line)
        if "date" in request:
            try:
                reply: dict[str, Any] = {"passed": [side.begun(request["date"], now) for now in request["now_ms"]]}
            except GAVE_UP:
                reply = {"passed": None}
        elif "config" in request:
            side = sides[request["semantics"]]
            try:
                side.load(request)
                reply = {"abort": None}
            except GAVE_UP as e:
                reply = {"abort": str(e)[:200]}
        else:
            reply = answers(side.at(request["now_ms"], request["user"]), request)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
