"""Reading JsonLogic in tests: as a value, as a condition, and as an action among these variants."""

from __future__ import annotations

from typing import Any

from pyflagwasm._abi import ErrorCode, Reason
from pyflagwasm.config.formats.flagd.jsonlogic import Targeting
from pyflagwasm.config.formats.flagd.jsonlogic_lower import Outcomes, condition
from pyflagwasm.config.model import Action, Condition, Constant, Fail, Serve, ServeNamed, Slot, SlotValue, Value

A, B = Slot("path", ("a",)), Slot("path", ("b",))
WHOLE = SlotValue(Slot("flagd_context", ("f",)))
NULL = Constant(None)
VAR: dict[str, Any] = {"var": "a"}
GENERAL, PARSE_ERROR = Fail(ErrorCode.GENERAL), Fail(ErrorCode.PARSE_ERROR)
DEFAULT = Serve(0, Reason.DEFAULT)
NAMES = ("default", "on", "off", "true", "false", "1", "1.5")


def serve(name: str) -> Serve:
    return Serve(NAMES.index(name), Reason.TARGETING_MATCH)


def computed(value: Value) -> ServeNamed:
    return ServeNamed(value, NAMES, Reason.TARGETING_MATCH, DEFAULT, GENERAL)


def read(logic: Any, generation: int = 0) -> Value:
    """The targeting of the flag `f` as a value; its place is `here`."""
    return Targeting("f", generation).value(logic, "here", result=True)


def truth_of(logic: Any) -> Condition:
    return condition(read(logic))


def act(logic: Any, generation: int = 0, *, rules: bool = False) -> Action:
    outcomes = Outcomes({name: i for i, name in enumerate(NAMES)}, DEFAULT)
    return outcomes.action(read(logic, generation), rules=rules)
