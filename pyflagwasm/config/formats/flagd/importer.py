"""flagd's flag definitions to the model.

Here live the document's shape, its flags and its `$evaluators`. Targeting is read by jsonlogic.py, checked against the
published schema by jsonlogic_validate.py and becomes conditions and actions in jsonlogic_lower.py.

A flag has the reason STATIC without targeting, TARGETING_MATCH if the targeting named a variant, DEFAULT if it gave
null, DISABLED if it is off. References are replaced as flagd's own stores do it, evaluator by evaluator in the
document's order, so an evaluator can refer to a later one; but they are replaced in targetings only, never inside a
variant's value. One that stays is an operator that does not exist.

Answers are those of flagd's Python evaluator but for the limits of the core (schema/README.md 5 and 9) and these: `log`
writes nothing; an infinite index of a look-up finds nothing; a NaN is not equal to itself inside a list either; in a
loop, `fractional` still reads the targeting key of the evaluation context, and `var` with a computed or numeric key
takes the default for a null that is there; the pair of a reduce is a new one each time; a targeting key that is no
text is none; a list or object as a computed result never names a variant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from ...._abi import ErrorCode, Reason
from ....errors import ConfigError
from ...document import MAX_DEPTH, ROOT, at, expect, kind, member
from ...model import JSON, NO_METADATA, Action, Fail, Flag, Model, Serve, Variant
from .jsonlogic import Targeting
from .jsonlogic_lower import Outcomes
from .jsonlogic_validate import check_targeting

FORMAT: Final = "flagd"

MAX_EXPANDED: Final = 500_000
"""How many JSON values the targetings of a document that refer to `$evaluators` may have, once that is replaced."""

_VALUE_CHARACTERS: Final = 64  # so many characters of a text count as one value more
_STATES = ("ENABLED", "DISABLED")
_GENERATIONS = {"cbor": 0, "text": 1}
_VALIDATIONS = {"strict": True, "lenient": False}
_PROVIDER_SCHEMA = "/flags.json"
_VALUE_TYPES = (bool, str, (int, float), dict)


def load(document: object, options: Mapping[str, Any]) -> Model:
    """The model of a parsed document.

    options, all of them optional:
      fractional: "cbor" (default) buckets as flagd does now, "text" as it did before it hashed CBOR.
      validation: "strict" (default) refuses what flagd's JSON Schemas refuse. "lenient" takes what flagd's evaluator
        takes; a flag that even that cannot use answers with PARSE_ERROR, says why in `Flag.problem`, and leaves the
        others alone.
    Raises ConfigError, naming the place, for options or a document that cannot be used.
    """
    for key in options:
        if key not in ("fractional", "validation"):
            raise ConfigError(at("options", str(key)), "no such option; there are fractional, validation")
    generation = _option(options, "fractional", "cbor", _GENERATIONS)
    strict = _option(options, "validation", "strict", _VALIDATIONS)
    return _Importer(document, generation, bool(strict)).model()


def _option(options: Mapping[str, Any], name: str, default: str, words: Mapping[str, int]) -> int:
    word = options.get(name, default)
    if not isinstance(word, str) or word not in words:
        raise ConfigError(at("options", name), f"must be one of {', '.join(words)}, not {word!r}")
    return words[word]


@dataclass(frozen=True, slots=True)
class _Given:
    """One flag as it stands in the document."""

    key: str
    path: str
    body: JSON


class _Importer:
    def __init__(self, document: object, generation: int, strict: bool) -> None:
        self.document: dict[str, JSON] = expect(document, dict, ROOT, "the document")
        self.generation, self.strict = generation, strict
        self.programs: list[Action] = []
        self._simple: dict[Action, int] = {}
        self.metadata = self._metadata(self.document, ROOT, "the flag set's metadata")
        try:
            self.references = _References(self._evaluators())
        except RecursionError:  # as below
            raise ConfigError("$evaluators", "the evaluators nest too deep") from None

    def model(self) -> Model:
        flags = {given.key: self._flag(given) for given in self._given()}
        return Model(FORMAT, tuple(flags.values()), tuple(self.programs), metadata=self.metadata)

    # ------------------------------------------------------------ the document

    def _given(self) -> Iterator[_Given]:
        flags = self.document.get("flags", {})
        if self.strict:
            member(self.document, "flags", (dict, list), ROOT, "the flags")
        expect(flags, (dict, list), "flags", "the flags")
        if isinstance(flags, dict):
            for key, body in flags.items():
                path = at("flags", key)
                if not key and self.strict:
                    raise ConfigError(path, "a flag's key must not be empty")
                yield _Given(key, path, body)
            return
        if str(self.document.get("$schema", "")).endswith(_PROVIDER_SCHEMA):
            raise ConfigError(
                "flags", "an array of flags is for the flagd daemon; $schema says that this is for providers"
            )
        seen: set[str] = set()
        for i, body in enumerate(flags):
            path = at("flags", i)
            key = member(expect(body, dict, path, "a flag"), "key", str, path, "the flag's key")
            if not key:
                raise ConfigError(at(path, "key"), "a flag's key must not be empty")
            if key in seen:
                raise ConfigError(at(path, "key"), f"there is another flag {key!r}")
            seen.add(key)
            yield _Given(key, path, body)

    def _evaluators(self) -> Mapping[str, JSON]:
        evaluators = self.document.get("$evaluators")
        if evaluators is None and (not self.strict or "$evaluators" not in self.document):
            return {}
        found: dict[str, JSON] = expect(evaluators, dict, "$evaluators", "the evaluators")
        if self.strict:
            for name, rule in found.items():
                path = at("$evaluators", name)
                if not name:
                    raise ConfigError(path, "an evaluator's name must not be empty")
                check_targeting(rule, path)
        return found

    def _metadata(self, parent: Mapping[str, JSON], path: str, what: str) -> Mapping[str, JSON]:
        metadata = parent.get("metadata", {})
        here = at(path, "metadata")
        if not self.strict and not metadata and path != ROOT:
            return NO_METADATA
        expect(metadata, dict, here, what)
        for key, value in metadata.items():
            if not key and not self.strict:
                raise ConfigError(at(here, key), "a key of metadata must not be empty")
            expect(value, (str, bool, int, float), at(here, key), "a value of metadata")
        return MappingProxyType(metadata) if metadata else NO_METADATA

    # ------------------------------------------------------------ flags

    def _flag(self, given: _Given) -> Flag:
        try:
            try:
                return self._sound_flag(given)
            except RecursionError:  # within the depth that is allowed, but the caller's own stack was deep already
                raise ConfigError(given.path, "the flag nests too deep") from None
        except ConfigError as error:
            if self.strict:
                raise
            # the variants are not needed: nothing is ever served
            return Flag(given.key, (), self._program(Fail(ErrorCode.PARSE_ERROR)), problem=str(error))

    def _sound_flag(self, given: _Given) -> Flag:
        body: dict[str, JSON] = expect(given.body, dict, given.path, "a flag")
        state = member(body, "state", str, given.path, "the flag's state")
        if state not in _STATES:
            raise ConfigError(at(given.path, "state"), f"must be one of {', '.join(_STATES)}, not {state!r}")
        variants = self._variants(body, given.path)
        own = self._metadata(body, given.path, "the flag's metadata")
        default, problem = self._default(body, given.path, variants)
        targeting, place = body.get("targeting"), at(given.path, "targeting")
        if self.strict and "targeting" in body:
            check_targeting(targeting, place)
        action: Action
        if state == "DISABLED":
            action, problem = Serve(None, Reason.DISABLED), None
        elif not targeting:
            action = _serve(default, Reason.STATIC)
        else:
            targeting = self.references.expand(expect(targeting, dict, place, "the targeting"), place)
            reader = Targeting(given.key, self.generation)
            # served are variants with a name and a value; _variants() has put those first
            names = {v.key: i for i, v in enumerate(variants) if v.key and v.value is not None}
            outcomes = Outcomes(names, _serve(default, Reason.DEFAULT))
            action = outcomes.action(reader.value(targeting, place, result=True), rules=True)
            problem = "; ".join(filter(None, (problem, *reader.problems))) or None
        metadata = MappingProxyType({**self.metadata, **own}) if own else self.metadata
        return Flag(given.key, variants, self._program(action), metadata=metadata, problem=problem)

    def _variants(self, body: Mapping[str, JSON], path: str) -> tuple[Variant, ...]:
        found: dict[str, JSON] = member(body, "variants", dict, path, "the variants")
        here = at(path, "variants")
        if not found:
            raise ConfigError(here, "there must be at least one variant")
        if self.strict:
            _check_variants(found, here)
        first = [Variant(key, value) for key, value in found.items() if key and value is not None]
        return (*first, *(Variant(key, value) for key, value in found.items() if not key or value is None))

    def _default(
        self, body: Mapping[str, JSON], path: str, variants: tuple[Variant, ...]
    ) -> tuple[int | Fail | None, str | None]:
        """The default variant's number, None for the caller's default; and what is wrong with it."""
        given, here = body.get("defaultVariant"), at(path, "defaultVariant")
        if given and not isinstance(given, (str, bool)):
            raise ConfigError(here, f"the default variant must be the name of a variant, not {kind(given)}")
        if self.strict:
            expect(given, (str, type(None)), here, "the default variant")
        if isinstance(given, bool):
            given = str(given).lower()
        if not given:
            return None, None
        for i, variant in enumerate(variants):
            if variant.key == given:
                return i, None
        return Fail(ErrorCode.GENERAL), f"{here}: there is no variant {given!r}"

    def _program(self, action: Action) -> int:
        if isinstance(action, (Serve, Fail)):  # all flags without targeting share a few programs
            number = self._simple.setdefault(action, len(self.programs))
            if number < len(self.programs):
                return number
        self.programs.append(action)
        return len(self.programs) - 1


def _serve(variant: int | Fail | None, reason: Reason) -> Action:
    if isinstance(variant, Fail):
        return variant
    return Serve(variant, Reason.DEFAULT if variant is None else reason)


def _check_variants(found: Mapping[str, JSON], path: str) -> None:
    wanted: Any = None
    for key, value in found.items():
        here = at(path, key)
        if not key:
            raise ConfigError(here, "a variant's name must not be empty")
        if wanted is None:
            types = [t for t in _VALUE_TYPES if isinstance(value, t)]
            if not types:
                raise ConfigError(
                    here, f"a variant must be true, false, a text, a number or an object, not {kind(value)}"
                )
            wanted, what = types[0], f"the variants begin with {kind(value)}: this one"
        expect(value, wanted, here, what)


# ---------------------------------------------------------------- evaluators


@dataclass(frozen=True, slots=True)
class _Expanded:
    """A value whose references are replaced by what they stand for, which all of them share.

    values: how many there would be if nothing was shared. depth: levels of arrays and objects.
    """

    value: JSON
    values: int
    depth: int
    refers: bool


class _References:
    """What the references of a document stand for. One targeting costs no more than its own text, whatever it becomes.

    The budget is of the whole document: a few evaluators that double make a little text into more than anybody waits
    for, and so does one that is large and used by many flags.
    """

    def __init__(self, evaluators: Mapping[str, JSON]) -> None:
        self._rules: dict[str, _Expanded] = {}
        self._left = MAX_EXPANDED
        for name, rule in reversed(list(evaluators.items())):  # a rule's references to itself and to earlier ones stay
            self._rules[name] = self._replaced(rule)

    def expand(self, targeting: JSON, path: str) -> JSON:
        """The targeting with its references replaced. Raises ConfigError with `path` for what becomes too much."""
        if not self._rules:
            return targeting
        whole = self._replaced(targeting)
        if not whole.refers:
            return targeting
        if whole.depth > MAX_DEPTH:
            raise ConfigError(path, f"with its references to $evaluators replaced it nests more than {MAX_DEPTH} deep")
        if whole.values > self._left:
            raise ConfigError(
                path,
                "with their references to $evaluators replaced, the targetings up to this one have more than "
                f"{MAX_EXPANDED} values",
            )
        self._left -= whole.values
        return whole.value

    def _replaced(self, value: JSON) -> _Expanded:
        if isinstance(value, dict):
            name = value.get("$ref") if len(value) == 1 else None
            if isinstance(name, str) and name in self._rules:
                rule = self._rules[name]
                return _Expanded(rule.value, rule.values, rule.depth, refers=True)
            inner = {key: self._replaced(item) for key, item in value.items()}
            keys = sum(map(_more, inner))
            return _joined({key: each.value for key, each in inner.items()}, inner.values(), keys)
        if isinstance(value, list):
            items = [self._replaced(item) for item in value]
            return _joined([each.value for each in items], items)
        return _Expanded(value, 1 + _more(value) if isinstance(value, str) else 1, 0, refers=False)


def _more(text: str) -> int:
    """What a long text counts beyond one value: constant texts are joined, over and over."""
    return len(text) // _VALUE_CHARACTERS


def _joined(value: JSON, inner: Collection[_Expanded], more: int = 0) -> _Expanded:
    values = min(1 + more + sum(each.values for each in inner), MAX_EXPANDED + 1)  # or it would double and double
    depth = min(1 + max((each.depth for each in inner), default=0), MAX_DEPTH + 1)
    return _Expanded(value, values, depth, refers=any(each.refers for each in inner))
