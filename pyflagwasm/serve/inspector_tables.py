"""A configuration as the inspector's page gets it: the IR, and the tables to ask it and to read its answers.

The document itself, its origin and the vendor's text are not in it. Values are JSON text, which the page shows as it
is; the arguments of a vendor's views, which may hold whole lists of users, stay here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .._abi import (
    BOUND,
    BOUND_SIZE,
    CONFIG_FIELDS,
    DECISION_BUCKET_SCALE,
    FLAG,
    FLAG_SIZE,
    NODE,
    NODE_SIZE,
    Op,
)
from ..config.compile import CompiledConfig, FlagEntry
from ..config.model import Bucket, InRanges, InRollout, Slot, SplitBy
from ..config.pace import breathe
from ..generation import Generation
from ..runtime import views
from ..runtime.decode import ERRORS, REASONS
from .json_text import json_text

LOCAL_VIEWS: Final = ("path", "targeting_key", "flagd_context")
"""The views that the page has itself (static/slots.mjs)."""

_TYPES: Final[Mapping[type, str]] = {
    bool: "boolean", str: "string", int: "number", float: "number", dict: "object", list: "object"
}  # fmt: skip


class Tables:
    """What the page gets for one generation. tag: equal for what is equal but for its number.

    Cost: 40 us a flag; not for an event loop.
    """

    def __init__(self, generation: Generation) -> None:
        compiled = generation.compiled
        self.generation = generation
        told = _told(compiled)
        slots = compiled.slots
        content = {
            "format": compiled.format,
            "explains": bool(compiled.origins.ops),
            "flags": [_flag(entry, told.get(entry.program), slots) for entry in compiled.flags.values()],
            "slots": [_slot(slot) for slot in slots],
            "template": base64.b64encode(compiled.template).decode(),
            "ir": base64.b64encode(compiled.ir).decode(),
            "reads_now": compiled.reads_now or any(map(views.reads_now, slots)),
            "reasons": [str(reason) for reason in REASONS],
            "errors": {int(code): [error.value, message] for code, (error, message) in ERRORS.items()},
            "bucket_scale": DECISION_BUCKET_SCALE,
        }
        self.body = json.dumps(content, separators=(",", ":")).encode()
        self.tag = hashlib.sha256(self.body).hexdigest()[:32]


def _flag(entry: FlagEntry, told: tuple[int, list[list[str]]] | None, slots: tuple[Slot, ...]) -> dict[str, Any]:
    breathe()
    types = dict.fromkeys(_TYPES.get(type(each.value), "null") for each in entry.variants if each.error is None)
    rules, varies = told or (None, [])
    return {
        "key": entry.key,
        "index": entry.index,
        "type": entry.type or " or ".join(types) or "none",
        "rules": rules,
        "constant": entry.constant,
        "problem": entry.problem,
        "slots": entry.slots,
        "reads": sorted({paths for number in entry.slots if (paths := _paths(slots[number]))}),
        "varies": varies,
        "variants": [[each.key, json_text(each.value), each.error] for each in entry.variants],
        "metadata": json_text(dict(entry.metadata)) if entry.metadata else None,
    }


def _paths(slot: Slot) -> tuple[tuple[str, ...], ...]:
    """Where in a context the slot looks, the way to it key by key, and where else; none for what looks at all of it."""
    view, args, key = slot.view, slot.args, (views.TARGETING_KEY,)
    if view in ("flagd_context", "devcycle_user_valid", "growthbook_condition", "growthbook_sticky", "unleash_random"):
        return ()
    if view == "targeting_key" or (view == "path" and args == key):
        return key, (views.TARGETING_KEY_ALIAS,)
    if view == "devcycle_user_id":
        return key, ("user_id",)
    if view.startswith("devcycle_") and view != "devcycle_field":
        return ("customData", args[0]), (args[0],)
    if view.startswith("growthbook_"):
        return (("id",), key) if args[0] == "id" else (tuple(args[0].split(".")),)
    if view.startswith("unleash_"):
        names = args[4:] if view == "unleash_sticky" else args[:1]
        found = tuple((name,) for name in names)
        return (*found, key) if "userId" in names else found
    return (args,) if args else ()


def _slot(slot: Slot) -> dict[str, Any]:
    args = slot.args if slot.view in LOCAL_VIEWS else ()
    return {"view": slot.view, "args": args, "label": views.label(slot)}


# ---------------------------------------------------------------- what a program has


def _told(compiled: CompiledConfig) -> dict[int, tuple[int, list[list[str]]]]:
    """By program: the number of its rules, and the names of what its buckets are computed from."""
    origins = compiled.origins
    if not origins.ops:
        return {}
    nodes = section(compiled.ir, "nodes", NODE_SIZE)
    bounds = section(compiled.ir, "bounds", BOUND_SIZE)
    flags = section(compiled.ir, "flags", FLAG_SIZE)
    found: dict[int, tuple[int, list[list[str]]]] = {}
    for entry in compiled.flags.values():
        if entry.program in found:
            continue
        rules: set[int] = set()
        names: dict[tuple[str, ...], None] = {}
        for node in _reached(nodes, bounds, FLAG.unpack_from(flags, FLAG_SIZE * entry.index)[0]):
            breathe()
            rules.add(origins.rules[node])
            source = origins.sources[node]
            if isinstance(source, (SplitBy, InRollout, InRanges)):
                names |= dict.fromkeys(_names(source.bucket))
        found[entry.program] = len(rules - {0}), [list(each) for each in names]
    return found


def _reached(nodes: memoryview, bounds: memoryview, entry: int) -> Iterator[int]:
    """The nodes that an evaluation can come upon, without those of subroutines."""
    seen, rest = {entry}, [entry]
    while rest:
        node = rest.pop()
        yield node
        op, _, slot, _, first, *targets = NODE.unpack_from(nodes, NODE_SIZE * node)
        if op == Op.SPLIT:
            targets += (BOUND.unpack_from(bounds, BOUND_SIZE * (first + n))[1] for n in range(slot))
        new = {target for target in targets if target} - seen
        seen |= new
        rest += new


def _names(bucket: Bucket) -> Iterator[tuple[str, ...]]:
    """Names of attributes at the top, of which the first that a context has is what is bucketed."""
    for part in bucket.parts:
        if not isinstance(part, Slot):
            continue
        args, key = part.args, views.TARGETING_KEY
        if part.view == "targeting_key" or args == (key,):
            yield (key,)
        elif part.view == "devcycle_user_id":
            yield "user_id", key
        elif part.view == "unleash_sticky":
            yield from ((name, key) if name == "userId" else (name,) for name in args[4:])
        elif part.view == "growthbook_hash":
            yield from ((name, key) if name == "id" else (name,) for name in args)
        elif len(args) == 1 or part.view == "unleash_text":
            yield (args[0], key) if args[0] == "userId" else (args[0],)


def section(ir: bytes, name: str, size: int) -> memoryview:
    """The elements of a vector of a `Config`, of this size each. The IR is the compiler's own, so it is not checked."""
    (table,) = struct.unpack_from("<I", ir)
    (vtable,) = struct.unpack_from("<i", ir, table)
    (field,) = struct.unpack_from("<H", ir, table - vtable + 4 + 2 * CONFIG_FIELDS.index(name))
    (vector,) = struct.unpack_from("<I", ir, table + field)
    start = table + field + vector
    (count,) = struct.unpack_from("<I", ir, start)
    return memoryview(ir)[start + 4 : start + 4 + size * count]
