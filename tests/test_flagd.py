"""The flagd importer: documents, what strict and lenient refuse, and what flags answer.

References are tested in test_flagd_references.py, operators in test_jsonlogic*.py, against flagd's own
evaluator in differential/flagd.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flagd_answers import LENIENT, Answer, Answers, document, flag

import pyflagwasm
from pyflagwasm._abi import ErrorCode, Reason
from pyflagwasm.config.formats import load
from pyflagwasm.config.model import Fail, Serve
from pyflagwasm.errors import ConfigError

EXAMPLE = Path(pyflagwasm.__path__[0]) / "examples" / "flagd.json"


def answer(context: dict[str, Any] | None = None, kind: str = "string", **members: Any) -> Answer:
    return Answers(document(**members), LENIENT)("f", context, kind)


# ---------------------------------------------------------------- what flags answer


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, Answer("no", "off", "STATIC")),
        ({"targeting": {}}, Answer("no", "off", "STATIC")),
        ({"targeting": None}, Answer("no", "off", "STATIC")),
        ({"targeting": {"if": [True, "on"]}}, Answer("yes", "on", "TARGETING_MATCH")),
        ({"targeting": {"if": [False, "on"]}}, Answer("no", "off", "DEFAULT")),
        ({"targeting": {"if": [True, "gone"]}}, Answer("caller's", error="GENERAL")),
        ({"targeting": {"a": 1, "b": 2}}, Answer("caller's", error="GENERAL")),
        ({"targeting": ["on"]}, Answer("caller's", error="PARSE_ERROR")),
        ({"targeting": {"nope": 1}}, Answer("caller's", error="PARSE_ERROR")),
        ({"state": "DISABLED"}, Answer("caller's", reason="DISABLED")),
        ({"state": "DISABLED", "targeting": ["on"]}, Answer("caller's", reason="DISABLED")),
        ({"defaultVariant": None}, Answer("caller's", reason="DEFAULT")),
        ({"defaultVariant": ""}, Answer("caller's", reason="DEFAULT")),
        ({"defaultVariant": ...}, Answer("caller's", reason="DEFAULT")),
        ({"defaultVariant": ..., "targeting": {"if": [False, "on"]}}, Answer("caller's", reason="DEFAULT")),
        ({"defaultVariant": "gone"}, Answer("caller's", error="GENERAL")),
        ({"defaultVariant": "gone", "targeting": {"if": [False, "on"]}}, Answer("caller's", error="GENERAL")),
        ({"defaultVariant": True}, Answer("caller's", error="GENERAL")),
        ({"defaultVariant": True, "variants": {"true": "yes"}}, Answer("yes", "true", "STATIC")),
        ({"variants": {"off": None}}, Answer("caller's", error="TYPE_MISMATCH")),
        (
            {"variants": {"on": None, "off": "no"}, "targeting": {"if": [True, "on"]}},
            Answer("caller's", error="GENERAL"),
        ),
        ({"variants": {"": "x", "off": "no"}, "targeting": {"cat": []}}, Answer("caller's", error="GENERAL")),
        (
            {"variants": {"on": None, "true": "t"}, "targeting": {"!": {"var": "x"}}},
            Answer("t", "true", "TARGETING_MATCH"),
        ),
        ({"variants": {"1.5": "n", "a": "x"}, "targeting": {"+": [1, 0.5]}}, Answer("n", "1.5", "TARGETING_MATCH")),
        ({"variants": {"off": 1}}, Answer("caller's", error="TYPE_MISMATCH")),
    ],
)
def test_answers(members: dict[str, Any], expected: Answer) -> None:
    assert answer(**members) == expected


def test_a_flag_that_is_not_there() -> None:
    assert Answers(document())("other") == Answer("caller's", error="FLAG_NOT_FOUND")


def test_flags_have_no_type_and_values_keep_theirs() -> None:
    (found,) = load(document(variants={"off": 3, "b": 1.0}), options=LENIENT).flags
    assert found.type is None
    assert [repr(variant.value) for variant in found.variants] == ["3", "1.0"]


def test_the_variant_without_value_comes_last() -> None:
    (found,) = load(document(variants={"": 1, "x": None, "b": 2, "a": 3}), options=LENIENT).flags
    assert [variant.key for variant in found.variants] == ["b", "a", "", "x"]


def test_metadata_of_the_flag_lies_over_that_of_the_set() -> None:
    whole = document(metadata={"owner": "orders", "n": 2}) | {"metadata": {"owner": "all", "beta": True}}
    whole["flags"]["plain"] = flag()
    model = load(whole)
    assert dict(model.metadata) == {"owner": "all", "beta": True}
    assert [dict(f.metadata) for f in model.flags] == [{"owner": "orders", "beta": True, "n": 2}, dict(model.metadata)]


def test_flags_without_targeting_share_programs() -> None:
    flags = {f"f{i}": flag(defaultVariant=default) for i, default in enumerate(("on", "off", "on", "gone", "gone"))}
    model = load({"flags": flags})
    assert [f.program for f in model.flags] == [0, 1, 0, 2, 2]
    assert model.programs == (Serve(0, Reason.STATIC), Serve(1, Reason.STATIC), Fail(ErrorCode.GENERAL))


# ---------------------------------------------------------------- problems


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, None),
        ({"defaultVariant": "gone"}, "flags.f.defaultVariant: there is no variant 'gone'"),
        ({"targeting": {"if": [{"nope": 1}, "on"]}}, "flags.f.targeting.if[0].nope: there is no operator 'nope'"),
        ({"targeting": {"if": [{"$ref": "x"}]}}, "flags.f.targeting.if[0].$ref: there is no operator '$ref'"),
        ({"targeting": {"if": [False, {"nope": 1}, "on"]}}, None),
        ({"targeting": {"!": {"var": ["a", 1, 2]}}}, 'flags.f.targeting["!"].var: var takes a key and a default'),
        ({"targeting": 5}, "flags.f.targeting: the targeting must be an object, not an integer"),
        ({"state": "ON"}, "flags.f.state: must be one of ENABLED, DISABLED, not 'ON'"),
        ({"variants": {}}, "flags.f.variants: there must be at least one variant"),
        ({"variants": ...}, "flags.f.variants: the variants is missing"),
        ({"metadata": {"a": None}}, "flags.f.metadata.a: a value of metadata must be"),
        ({"defaultVariant": 5}, "flags.f.defaultVariant: the default variant must be the name of a variant"),
    ],
)
def test_lenient_keeps_the_problem_in_the_flag(members: dict[str, Any], problem: str | None) -> None:
    whole = document(**members)
    whole["flags"]["other"] = flag()
    model = load(whole, options=LENIENT)
    first, other = model.flags
    assert other.problem is None
    if problem is None:
        assert first.problem is None
    else:
        assert first.problem is not None
        assert first.problem.startswith(problem)
    answers = Answers(whole, LENIENT)
    assert answers("other").variant == "off"


@pytest.mark.parametrize("body", [None, 5, [], "on"])
def test_a_flag_that_is_no_object_is_a_parse_error_when_lenient(body: Any) -> None:
    answers = Answers({"flags": {"f": body, "other": flag()}}, LENIENT)
    assert answers("f").error == "PARSE_ERROR"
    assert answers("other").variant == "off"
    with pytest.raises(ConfigError, match=r"^flags\.f: a flag must be an object"):
        load({"flags": {"f": body}})


# ---------------------------------------------------------------- what strict refuses


@pytest.mark.parametrize(
    ("whole", "message"),
    [
        ({"flags": {"": flag()}}, 'flags[""]: a flag\'s key must not be empty'),
        (document(state=...), "flags.f.state: the flag's state is missing"),
        (document(variants={"on": True, "off": "x"}), "flags.f.variants.off: the variants begin with true or false"),
        (document(variants={"on": True, "off": 1}), "flags.f.variants.off: the variants begin with true or false"),
        (document(variants={"on": [1]}), "flags.f.variants.on: a variant must be true, false, a text"),
        (document(variants={"": 1}), 'flags.f.variants[""]: a variant\'s name must not be empty'),
        (document(defaultVariant=True), "flags.f.defaultVariant: the default variant must be a text or null"),
        (document(targeting=None), "flags.f.targeting: a targeting must be an object, not null"),
        (document(targeting=[1]), "flags.f.targeting: a targeting must be an object, not an array"),
        (document(state="DISABLED", targeting={"x": 1}), "flags.f.targeting: there is no operator 'x'"),
        (document(metadata=None), "flags.f.metadata: the flag's metadata must be an object, not null"),
        (document() | {"metadata": []}, "metadata: the flag set's metadata must be an object"),
        (document() | {"metadata": {"a": {}}}, "metadata.a: a value of metadata must be"),
        (document(evaluators=[]), "$evaluators: the evaluators must be an object"),
        (document(evaluators={"": {}}), '$evaluators[""]: an evaluator\'s name must not be empty'),
        (document(evaluators={"e": {"x": 1}}), "$evaluators.e: there is no operator 'x'"),
        ({"flags": [flag()]}, "flags[0].key: the flag's key is missing"),
        ({"flags": [flag(key="")]}, "flags[0].key: a flag's key must not be empty"),
        ({"flags": [flag(key="a"), flag(key="a")]}, "flags[1].key: there is another flag 'a'"),
        ({"flags": [1]}, "flags[0]: a flag must be an object"),
        ({"$schema": "https://flagd.dev/schema/v0/flags.json", "flags": []}, "flags: an array of flags is for the"),
    ],
)
def test_strict_refuses(whole: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(whole)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        ({"==": [1]}, '["=="]: needs 2 operands, not 1'),
        ({"==": 1}, '["=="]: the operands must be an array, not an integer'),
        ({"<": [1, 2, 3, 4]}, '["<"]: needs 2 to 3 operands, not 4'),
        ({"and": []}, ".and: needs 1 or more operands, not 0"),
        ({"reduce": [[], 1]}, ".reduce: needs 3 operands, not 2"),
        ({"cat": [{"if": [{"nope": 1}]}]}, ".cat[0].if[0]: there is no operator 'nope'"),
        ({"cat": [{}]}, ".cat[0]: an empty object is no operand"),
        ({"cat": [{"var": "a", "!": 1}]}, ".cat[0]: an operation has one operator, not 'var', '!'"),
        ({"cat": [{"$ref": 1}]}, ".cat[0].$ref: a reference must be the name of an evaluator"),
        (
            {"starts_with": [{"$ref": "e"}, "x"]},
            ".starts_with[0]: there is no operator '$ref'; a reference cannot stand",
        ),
        ({"ends_with": [{"var": "a"}, 0]}, ".ends_with[1]: must be a text or an operation, not an integer"),
        ({"var": "$flagd.other"}, ".var: flagd provides $flagd.flagKey and $flagd.timestamp"),
        ({"missing": ["a", 1]}, ".missing[1]: a key must be a text"),
        ({"missing_some": [True, []]}, ".missing_some[0]: how many are needed must be a number"),
        ({"missing_some": [1, [2]]}, ".missing_some[1][0]: a key must be a text"),
        ({"sem_ver": [{"var": "v"}, "=>", "1.0.0"]}, ".sem_ver[1]: must be one of = != < <= > >= ^ ~"),
        ({"sem_ver": [{"var": "v"}, "=", "1.0"]}, ".sem_ver[2]: '1.0' is not a version of semver.org"),
        ({"sem_ver": [{"cat": ["1"]}, "=", "1.0.0"]}, ".sem_ver[0]: must be a version or a var"),
        ({"sem_ver": [1, "=", "1.0.0"]}, ".sem_ver[0]: must be a version or a var, not an integer"),
        ({"fractional": []}, ".fractional: needs 1 or more operands"),
        ({"fractional": ["x", ["on", 1]]}, ".fractional[0]: must be an array of variant and weight or an operation"),
        ({"fractional": [["on", 1], {"var": "x"}]}, ".fractional[1]: must be an array of variant and weight, not"),
        ({"fractional": [["on", 1.5]]}, ".fractional[0][1]: a weight must be an integer"),
        ({"fractional": [["on", -1]]}, ".fractional[0][1]: a weight must not be negative"),
        ({"fractional": [["on", True]]}, ".fractional[0][1]: a weight must be an integer"),
        ({"fractional": [["on", 1, 2]]}, ".fractional[0]: needs a variant and perhaps a weight"),
        ({"log": ["x"]}, ": there is no operator 'log'"),
    ],
)
def test_strict_names_the_place_in_a_targeting(operation: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document(targeting={"if": [operation, "on"]}))
    assert str(caught.value).startswith(f"flags.f.targeting.if[0]{message}")


@pytest.mark.parametrize(
    "operation",
    [
        {"var": ["a", 1]},
        {"var": 1},
        {"!": []},
        {"!": [{"anything": 1}]},
        {"in": ["a", [{"anything": 1}]]},
        {"fractional": [{}, ["on", 25.0], [{"$ref": "e"}, {"+": [1, 2]}]]},
        {"sem_ver": [{}, "=", {"var": "v"}]},
        {"<": [1, 2], "<=": [1, 2]},
    ],
)
def test_strict_refuses_no_more_than_the_schema(operation: Any) -> None:
    assert len(load(document(targeting={"if": [operation, "on"]})).flags) == 1


def test_an_array_of_flags() -> None:
    model = load({"$schema": "https://flagd.dev/schema/v0/flagd.json", "flags": [flag(key="b"), flag(key="a")]})
    assert [f.key for f in model.flags] == ["b", "a"]


@pytest.mark.parametrize("options", [{}, LENIENT])
def test_flags_of_another_kind_are_refused(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^flags: the flags must be an object or an array, not a text$"):
        load({"flags": "x"}, "flagd", options)


def test_only_lenient_takes_a_document_without_flags() -> None:
    assert load({}, "flagd", LENIENT).flags == ()
    with pytest.raises(ConfigError, match=r"^flags: the flags is missing$"):
        load({}, "flagd")


# ---------------------------------------------------------------- the example


def test_the_example() -> None:
    answers = Answers(EXAMPLE.read_bytes())
    staff = {"email": "ann@bakery.example", "targetingKey": "ann", "app": {"version": "4.2.0"}}
    assert answers("pre-orders", staff, "boolean").value is True
    assert answers("pre-orders", {"city": "Ghent"}, "boolean").variant == "on"
    assert answers("pre-orders", {"city": "Paris"}, "boolean").variant == "off"
    assert {answers("checkout-button", staff | {"targetingKey": str(i)}).variant for i in range(50)} == {
        "plain", "warm", "short",
    }  # fmt: skip
    assert answers("checkout-button", {"app": {"version": "4.1.9"}, "targetingKey": "x"}).variant == "plain"
    assert [answers("delivery-fee", {"cart": {"total": t}}, "float").value for t in (10, 30, 59.5, 60)] == [
        3.5, 1.75, 1.75, 0.0,
    ]  # fmt: skip
    member = staff | {"member": True, "orders": [{"total": 12}, {"total": 30}]}
    assert answers("loyalty", member, "object").reason == "TARGETING_MATCH"
    assert answers("loyalty", staff, "object").reason == "DEFAULT"
    assert answers("opening-hours").reason == "STATIC"
    assert answers("voice-orders", {"locale": "nl-BE"}, "boolean") == Answer(False, reason="DISABLED")
    assert dict(answers.config.flags["loyalty"].metadata)["flagSetId"] == "bakery"
