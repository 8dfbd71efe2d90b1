"""The server answers clients that others have written: OpenFeature's OFREP providers for Python and JavaScript."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from evaluators import BROKEN, FLAGD, LENIENT, ON_OFF, devcycle, flag
from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagEvaluationDetails
from served import Served, serving

import pyflagwasm

PRO = EvaluationContext("user-7", {"plan": "pro", "city": "Ghent"})
TOKEN = "letmein"


@pytest.fixture(scope="module")
def shop() -> Iterator[Served]:
    with serving(FLAGD, open_options={"clock": lambda: 1_000.0}, token=TOKEN) as served:
        yield served


def client(served: Served, token: str = TOKEN) -> OpenFeatureClient:
    provider = OFREPProvider(served.url, headers_factory=lambda: {"Authorization": f"Bearer {token}"})
    api.set_provider_and_wait(provider, "ofrep")
    return api.get_client("ofrep")


@pytest.fixture(autouse=True)
def _cleared() -> Iterator[None]:
    yield
    api.clear_providers()


CASES: list[tuple[str, str, Any, Any, str, str]] = [
    ("boolean", "bool", False, True, "on", "STATIC"),
    ("string", "text", "?", "A", "a", "STATIC"),
    ("integer", "int", 0, 3, "few", "STATIC"),
    ("float", "float", 0.0, 0.5, "half", "STATIC"),
    ("object", "object", {}, {"k": [1, 2]}, "o", "STATIC"),
    ("boolean", "plan", False, True, "on", "TARGETING_MATCH"),
    ("boolean", "city", False, True, "on", "TARGETING_MATCH"),
    ("boolean", "later", True, False, "off", "DEFAULT"),
    ("boolean", "none", True, True, "", "DEFAULT"),
    ("string", "none", "mine", "mine", "", "DEFAULT"),
    ("boolean", "disabled", True, True, "", "DISABLED"),
    ("object", "disabled", {"my": "own"}, {"my": "own"}, "", "DISABLED"),
]


def details(of: OpenFeatureClient, kind: str, key: str, default: Any, context: Any = PRO) -> FlagEvaluationDetails[Any]:
    found: FlagEvaluationDetails[Any] = getattr(of, f"get_{kind}_details")(key, default, context)
    return found


@pytest.mark.parametrize(("kind", "key", "default", "value", "variant", "reason"), CASES)
def test_python(shop: Served, kind: str, key: str, default: Any, value: Any, variant: str, reason: str) -> None:
    found = details(client(shop), kind, key, default)
    assert (found.error_code, found.error_message) == (None, None)
    assert (found.value, type(found.value)) == (value, type(value))
    assert (found.variant, str(found.reason)) == (variant, reason)
    assert found.flag_metadata["flagSetId"] == "shop"


def test_python_is_told_of_errors(shop: Served) -> None:
    of = client(shop)
    for key, code in (("nope", ErrorCode.FLAG_NOT_FOUND), ("text", ErrorCode.TYPE_MISMATCH)):
        found = details(of, "boolean", key, True)
        assert (found.value, found.error_code) == (True, code)
    found = details(of, "boolean", "plan", False, EvaluationContext("u", {"plan": "x" * 200_000}))
    assert (found.value, found.error_code) == (False, ErrorCode.INVALID_CONTEXT)
    assert found.error_message
    found = details(client(shop, "wrong"), "boolean", "bool", False)
    assert (found.value, found.error_code, found.error_message) == (False, ErrorCode.GENERAL, "unauthorized")


def test_python_and_flags_that_fail() -> None:
    with serving(BROKEN, open_options={"options": LENIENT}) as served:
        for key in ("astray", "shapeless"):
            expected = served.evaluator.details_nowait(key, {}, False)
            found = details(client(served), "boolean", key, False)
            assert str(found.error_code and found.error_code.value) == str(expected.error_code)
            assert found.error_message == expected.error_message
    with serving(devcycle("Boolean", True, False)) as served:
        found = details(client(served), "boolean", "v", True, EvaluationContext(None, {"country": "BE"}))
        assert (found.value, found.error_code) == (True, ErrorCode.TARGETING_KEY_MISSING)
        assert details(client(served), "boolean", "v", True, EvaluationContext("u", {"country": "BE"})).value is False


def test_python_and_odd_keys() -> None:
    keys = ["NAME/variant", "clé d'été", "日本", "50%"]
    with serving({"flags": {key: flag({"v": key}, "v") for key in keys}}) as served:
        of = client(served)
        assert [of.get_string_value(key, "?") for key in keys] == keys


def test_python_while_there_is_nothing() -> None:
    async def nothing() -> None:
        """Delivers no configuration."""

    with serving(nothing, open_options={"start_timeout": 0.01}) as served:
        found = details(client(served), "boolean", "f", True)
        assert (found.value, found.error_code) == (True, ErrorCode.GENERAL)
        assert "PROVIDER_NOT_READY" in str(found.error_message)


# ---------------------------------------------------------------- JavaScript

VARIABLE = "PYFLAGWASM_OFREP_NODE"
FOLDER = os.environ.get(VARIABLE)
PACKAGES = ("ofrep-provider", "ofrep-web-provider", "server-sdk", "web-sdk")
needs_node = pytest.mark.skipif(
    FOLDER is None or shutil.which("node") is None,
    reason=f"needs node and {VARIABLE}, a folder whose node_modules has @openfeature/{{{','.join(PACKAGES)}}}",
)


WORDS = {"boolean": "Boolean", "string": "String", "integer": "Number", "float": "Number", "object": "Object"}
MORE = [("boolean", "nope", True), ("integer", "text", 7), ("string", "NAME/variant", "?")]


class Changing:
    """A source whose document changes when the client says so, by evaluating the flag `change`."""

    def __init__(self) -> None:
        self.changed = False

    def __call__(self) -> bytes:
        flags = {**FLAGD["flags"], "change": flag(ON_OFF, "on"), "NAME/variant": flag({"blue": "b"}, "blue")}
        if self.changed:
            flags["text"] = flag({"a": "B"}, "a")
        return json.dumps({**FLAGD, "flags": flags}).encode()


def node(served: Served, script: str) -> dict[str, Any]:
    """What a script prints as JSON."""
    assert FOLDER is not None
    asked = [(WORDS[kind], *rest) for kind, *rest in [*(case[:3] for case in CASES), *MORE]]
    path = Path(FOLDER) / f"pyflagwasm-{os.getpid()}-{script}"  # imports are looked up from where a module lies
    shutil.copy(Path(__file__).parent / script, path)
    try:
        done = subprocess.run(
            ["node", path, served.url, TOKEN, json.dumps(asked)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        path.unlink()
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def changing(**options: Any) -> Any:
    source = Changing()

    class Seeing(pyflagwasm.Hook):
        def before(self, hook_context: pyflagwasm.HookContext, hints: Any) -> None:
            source.changed = source.changed or hook_context.flag_key == "change"

    source_options = {"clock": lambda: 1_000.0, "hooks": [Seeing()]}
    return serving(
        pyflagwasm.CallableSource(source, interval=1 / 20), open_options=source_options, token=TOKEN, **options
    )


@needs_node
def test_javascript_server() -> None:
    with changing() as served:
        found = node(served, "ofrep_server.mjs")["answers"]
    for about, (_, _, _, value, variant, reason) in zip(found, CASES, strict=False):
        assert about["value"] == value
        if not variant:
            # This client is of a version that has no word for it yet: an error, and the default all the same.
            assert about["errorCode"] == "GENERAL"
        else:
            assert (about.get("errorCode"), about["variant"], about["reason"]) == (None, variant, reason)
            assert about["flagMetadata"]["flagSetId"] == "shop"
    check_more(found)


@needs_node
def test_javascript_web() -> None:
    with changing(cors=["*"]) as served:
        found = node(served, "ofrep_web.mjs")
    for about, (_, _, _, value, variant, reason) in zip(found["answers"], CASES, strict=False):
        assert (about["value"], about.get("errorCode")) == (value, None)
        assert (about["variant"], about["reason"]) == (variant, reason)
        assert about["flagMetadata"]["flagSetId"] == "shop"
    check_more(found["answers"])
    assert found["statuses"][:2] == [200, 304]
    assert found["plan of another context"] == {**found["plan of another context"], "value": False, "reason": "DEFAULT"}
    assert found["after the change"] == "B"
    assert found["changed"] == ["text"]
    assert found["by an event"] == "B"


def check_more(found: list[dict[str, Any]]) -> None:
    missing, mistyped, variant = found[len(CASES) :]
    assert (missing["errorCode"], missing["value"]) == ("FLAG_NOT_FOUND", True)
    assert (mistyped["errorCode"], mistyped["value"]) == ("TYPE_MISMATCH", 7)
    assert (variant["value"], variant["variant"]) == ("b", "blue")
