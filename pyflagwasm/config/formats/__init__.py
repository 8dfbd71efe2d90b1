"""The configuration formats by name, and how a document's own shape tells which one it is.

Here lives the registry. An importer is a function from a parsed document and its options to a Model; each lives in a
folder of its vendor, imported when it is first used. YAML is not read: convert it to JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

from ...errors import ConfigError
from ..document import ROOT, kind, parse
from ..model import Model
from ..pace import let_go

AUTO: Final = "auto"

Loader: TypeAlias = Callable[[object, Mapping[str, Any]], Model]


def _lazily(vendor: str, name: str = "load") -> Loader:
    def load_document(document: object, options: Mapping[str, Any]) -> Model:
        loader: Loader = getattr(import_module(f".{vendor}.importer", __name__), name)
        return loader(document, options)

    return load_document


FORMATS: Final[dict[str, Loader]] = {
    "flagd": _lazily("flagd"),
    "devcycle": _lazily("devcycle"),
    "eppo": _lazily("eppo"),
    "datadog": _lazily("eppo", "load_datadog"),
    "growthbook": _lazily("growthbook"),
    "unleash": _lazily("unleash"),
}
"""What reads which format."""


def load(
    data: bytes | bytearray | str | Mapping[str, Any], format: str = AUTO, options: Mapping[str, Any] | None = None
) -> Model:
    """The model of a configuration: JSON as bytes or text, or a mapping that somebody has parsed already.

    `format` is a name of FORMATS, or "auto" to tell by the document. `options` are the importer's own; see its `load`.
    Raises ConfigError for an unknown format, or a document or options that the importer cannot use.
    """
    if format != AUTO and format not in FORMATS:
        raise ConfigError(ROOT, f"there is no format {format!r}; there are {', '.join((AUTO, *FORMATS))}")
    document = parse(data)
    name = detect(document) if format == AUTO else format
    model = FORMATS[name](document, {} if options is None else options)
    parts = _parts(document)
    del document
    let_go(parts)
    return model


def _parts(document: object) -> list[object]:
    """What the outer levels of a document hold: its flags, features, audiences."""
    parts: list[object] = []
    for member in document.values() if isinstance(document, dict) else ():
        parts += member.values() if isinstance(member, dict) else member if isinstance(member, list) else ()
    return parts


def detect(document: object) -> str:
    """The format of a parsed document. Raises ConfigError if it is none of them."""
    if not isinstance(document, dict):
        raise ConfigError(ROOT, f"a configuration must be an object, not {kind(document)}")
    if all(name in document for name in ("createdAt", "environment", "flags")):
        return "eppo"
    if isinstance(document.get("flags"), (dict, list)):
        return "flagd"
    if all(name in document for name in ("project", "features", "variables")):
        return "devcycle"
    if _is_growthbook(document):
        return "growthbook"
    if "version" in document and isinstance(document.get("features"), list):
        return "unleash"
    if isinstance(document.get("events"), list):
        return "unleash"
    raise ConfigError(
        ROOT,
        "cannot tell the format: flagd has `flags` (an object or an array), devcycle has `project`, `features` and "
        "`variables`, eppo and datadog have `createdAt`, `environment` and `flags`, growthbook has `features` (an "
        "object) or nothing but features, unleash has `version` and `features` (an array), or `events`; "
        f"name one of {', '.join(FORMATS)} as the format if the document is meant to be of it",
    )


def _is_growthbook(document: Mapping[str, Any]) -> bool:
    """A payload with its features by key, or encrypted, or a bare mapping of features."""
    if isinstance(document.get("features"), dict) or isinstance(document.get("encryptedFeatures"), str):
        return True
    return bool(document) and all(
        isinstance(each, dict) and ("defaultValue" in each or "rules" in each) for each in document.values()
    )
