"""OpenFeature's client: with its in-memory provider, and with flagd's in-process provider that reads a file.

Equality: the in-memory provider has no rules of its own; a callback runs the reference's closures, so its rows are the
price of the OpenFeature layer. flagd reads W1's document as it is: it is the format that the workload is written in.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from functools import partial
from importlib import import_module
from typing import Any, Final

from ..scenarios import SIMPLE, TARGET, document
from . import reference
from .offer import ATTRIBUTES, Offer, Peer

POLL: Final = 0.01


def _offer(provider: Any, awaited: bool) -> Offer:
    api = import_module("openfeature.api")
    api.set_provider(provider)
    client = api.get_client()
    return Offer(
        context="Context(key, {" + ATTRIBUTES + "})",
        value=("await text_async" if awaited else "text") + '(target, "", {context})',
        simple="boolean(simple, False, {context})",
        names={
            "Context": import_module("openfeature.evaluation_context").EvaluationContext,
            "text": client.get_string_value, "text_async": client.get_string_value_async,
            "boolean": client.get_boolean_value, "target": TARGET, "simple": SIMPLE,
        },
        close=api.shutdown,
    )  # fmt: skip


async def _in_memory(flags: int, *, awaited: bool) -> Offer:
    memory = import_module("openfeature.provider.in_memory_provider")
    resolution = import_module("openfeature.flag_evaluation")
    source = document(flags)
    decided = reference.compiled(source)

    def flag(key: str) -> Any:
        if "targeting" not in source["flags"][key]:
            return memory.InMemoryFlag("on", {"on": True, "off": False})
        decide = decided[key]

        def resolve(flag: Any, context: Any) -> Any:
            value = decide({"targetingKey": context.targeting_key, **context.attributes})
            return resolution.FlagResolutionDetails(value, variant=value, reason=resolution.Reason.TARGETING_MATCH)

        return memory.InMemoryFlag("C", {letter: letter for letter in "ABCT"}, context_evaluator=resolve)

    return _offer(memory.InMemoryProvider({key: flag(key) for key in source["flags"]}), awaited)


async def _flagd(flags: int, *, awaited: bool) -> Offer:
    flagd = import_module("openfeature.contrib.provider.flagd")
    config = import_module("openfeature.contrib.provider.flagd.config")
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
        json.dump(document(flags), file)
    provider = flagd.FlagdProvider(
        resolver_type=config.ResolverType.FILE, offline_flag_source_path=file.name, deadline_ms=3_600_000
    )
    offer = _offer(provider, awaited)
    for _ in range(500):  # it reads the file in a thread
        if offer.names["boolean"](SIMPLE, False):
            break
        await asyncio.sleep(POLL)
    os.unlink(file.name)
    return offer


_LAYER = "only the layer: a callback runs the closures"
PEERS = [
    Peer("OpenFeature in-memory", "openfeature", ("openfeature-sdk",), "pure Python", _LAYER,
         partial(_in_memory, awaited=False)),
    Peer("OpenFeature in-memory awaited", "openfeature", ("openfeature-sdk",), "pure Python", _LAYER,
         partial(_in_memory, awaited=True)),
    Peer("flagd in-process", "flagd", ("openfeature-flagd-core", "openfeature-provider-flagd", "openfeature-sdk"),
         "pure Python", "full: its own format", partial(_flagd, awaited=False)),
    Peer("flagd in-process awaited", "flagd", ("openfeature-flagd-core", "openfeature-provider-flagd"),
         "pure Python", "full: its own format", partial(_flagd, awaited=True)),
]  # fmt: skip
