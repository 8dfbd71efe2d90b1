"""What a slot of the configuration is for all rows of a batch: from its columns, or by its view from contexts.

Where a view (runtime/views/) gives an attribute as it is, the attribute's column is taken without looking at a row. For
everything else the view is called: once for each distinct value if it reads one column, else once for each row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from .._abi import Kind
from ..config.model import MISSING, Slot
from ..config.pace import breathe
from ..runtime import views
from ..runtime.views import unleash
from . import layers
from .attributes import Attributes, Source
from .layers import UNREADABLE, Layers

_TEXT: Final = 1 << Kind.TEXT
_MISSING: Final = 1 << Kind.MISSING
_KEYS: Final = (views.TARGETING_KEY, views.TARGETING_KEY_ALIAS)
_CUSTOM: Final = ("privateCustomData", "customData")


# ---------------------------------------------------------------- what views read


def reads(slot: Slot) -> frozenset[str] | None:
    """The names of the attributes at the top that the slot's view can look at; None for any."""
    view, args = slot.view, slot.args
    if view == "targeting_key":
        return frozenset(_KEYS)
    if view == "path":
        return None if not args else frozenset(_KEYS if args[0] == _KEYS[0] else args[:1])
    if view == "devcycle_user_id":
        return frozenset(("user_id", *_KEYS))
    if view in ("devcycle_field", "eppo_text"):
        return frozenset(args[:1])
    if view in ("devcycle_custom", "devcycle_bucket_vendor", "devcycle_bucket_corrected"):
        return frozenset((*_CUSTOM, args[0], "user_id"))
    if view == "devcycle_user_valid":
        return frozenset((*_CUSTOM, "appBuild"))
    if view.startswith("unleash_"):
        names = args[4:] if view == "unleash_sticky" else () if view == "unleash_random" else args[:1]
        return frozenset((*names, "properties", *_KEYS)) if names else frozenset()
    if view == "growthbook_condition":
        return _tops(_texts(json.loads(args[0])))
    if view == "growthbook_sticky":
        return _tops(iter(("stickyBucketAssignmentDocs", *args[4:])))
    if view == "growthbook_hash":
        return _tops(iter(args))
    return _tops(iter(args[:1])) if view.startswith("growthbook_") else None


def _tops(paths: Iterator[str]) -> frozenset[str]:
    names = {top for path in paths for top in (path, path.partition(".")[0])}
    return frozenset(names | set(_KEYS) if "id" in names else names)


def _texts(value: Any) -> Iterator[str]:
    """All keys of a document of JSON."""
    if isinstance(value, dict):
        yield from value
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for member in members:
        yield from _texts(member)


# ---------------------------------------------------------------- where values are taken as they are


@dataclass(frozen=True)
class _Taken:
    """The sources of a value, a later one over earlier ones, and the kinds (a bit each) that are the slot's value."""

    sources: list[Source]
    kinds: int


def _taken(slot: Slot, attributes: Attributes) -> _Taken | None:
    view, args = slot.view, slot.args
    if view == "devcycle_field" or view == "eppo_text":
        return _at(attributes, ((args[0],),), _TEXT | _MISSING)
    if view == "devcycle_user_id":
        return _at(attributes, ((_KEYS[1],), (_KEYS[0],), ("user_id",)), _TEXT | _MISSING)
    if view in ("devcycle_custom", "devcycle_bucket_vendor", "devcycle_bucket_corrected"):
        top = () if attributes.has("user_id") else ((args[0],),)  # where it is null is seen to in _called
        ways = (*top, (_CUSTOM[1], args[0]), (_CUSTOM[0], args[0]))
        return _at(attributes, ways, views.TAKES_ALL if view == "devcycle_custom" else _TEXT)
    found = views.lookup(slot)
    if found is None:
        return None
    key, also, rest, kinds = found
    ways = ((key, *rest),) if also is None else ((also, *rest), (key, *rest))
    if also is not None and rest and attributes.has(also):
        return None  # the other name counts as a whole, not by its members
    if view.startswith("unleash_"):
        ways = ways if also is None else ((_KEYS[1],), *ways)
        if attributes.has("properties") and key != unleash.CLOCK:  # UnleashClient has the clock at the top
            ways = (("properties", key), *ways)
    return _at(attributes, ways, kinds)


def _at(attributes: Attributes, ways: tuple[tuple[str, ...], ...], kinds: int) -> _Taken | None:
    sources: list[Source] = []
    for keys in ways:
        found = attributes.sources(keys)
        if found is None:
            return None
        sources += found
    if kinds == views.TAKES_ALL:
        return _Taken(sources, kinds)
    for source in sources:
        given = layers.kinds_of(attributes.type_of(source))
        if given is None or given & ~kinds:
            return None
    return _Taken(sources, kinds)


def _always(slot: Slot, attributes: Attributes) -> bool:
    """Whether the view gives for every row what it gives for an empty context."""
    tops = reads(slot)
    if views.draws(slot):
        return False
    if slot.view != "devcycle_user_valid":
        return tops is not None and not attributes.columns_of(tops)
    sources = attributes.sources(("appBuild",))
    if sources is None or not all(layers.gives_number(attributes.type_of(source)) for source in sources):
        return False
    for name in _CUSTOM:
        for source in (inner := attributes.sources((name,))) or ():
            kind = attributes.type_of(source)
            if not pa.types.is_struct(kind) or not all(layers.is_scalar(each.type) for each in kind):
                return False
        if inner is None:
            return False
    return True


# ---------------------------------------------------------------- the plan of one slot


class SlotPlan:
    """How one slot is found in batches of one schema.

    constant: whether no column says anything of it, so that it is what an empty context has.
    columns: those that its view could look at.
    """

    __slots__ = ("_memo", "_now_us", "_read", "_taken", "_unless", "attributes", "columns", "constant", "slot")

    def __init__(self, slot: Slot, attributes: Attributes, now_us: int) -> None:
        self.slot, self.attributes, self._now_us = slot, attributes, now_us
        self.columns = attributes.columns_of(reads(slot))
        self.constant = _always(slot, attributes)
        self._read = views.bind(slot)
        self._taken = _taken(slot, attributes)
        # DevCycle's users with a user_id have their custom data in one place, those without anywhere at the top.
        custom = slot.view.startswith(("devcycle_custom", "devcycle_bucket_")) and attributes.has("user_id")
        self._unless = attributes.sources(("user_id",)) if custom else []
        single = len(self.columns) == 1 and not views.draws(slot)
        self._memo = single and layers.is_scalar(attributes.schema.field(self.columns[0]).type)

    def layers(self, batch: pa.RecordBatch) -> Layers:
        """What the slot is in each row of the batch."""
        found = self._layers(batch)
        if self.slot.default is MISSING:
            return found
        absent = ~found.covered(batch.num_rows)
        if not absent.any():
            return found
        default = layers.by_kind([self.slot.default])
        return found.over(_repeated(default, absent)) if default.arrays else _single(found, absent)

    def _layers(self, batch: pa.RecordBatch) -> Layers:
        if self._taken is None or self._unless is None or any(each.array(batch).null_count for each in self._unless):
            return self._called(batch)
        found = Layers()
        for source in self._taken.sources:
            found = layers.layers_of(source.array(batch)).over(found)
        if self._taken.kinds & _MISSING or self._taken.kinds == views.TAKES_ALL:
            return found
        absent = ~found.covered(batch.num_rows)
        if not absent.any():
            return found
        if not views.draws(self.slot) and self._alone():
            return _repeated(layers.by_kind([self._value({})]), absent).over(found)  # there is nothing else to look at
        rows = np.flatnonzero(absent)
        return layers.scattered(self._by_row(batch, rows), absent).over(found)

    def _alone(self) -> bool:
        """Whether the view looks at nothing but what is taken."""
        sources = [] if self._taken is None else self._taken.sources
        return {each.column for each in (*sources, *(self._unless or ()))} >= set(self.columns)

    def _called(self, batch: pa.RecordBatch) -> Layers:
        """By calling the view."""
        if not self._memo:
            return self._by_row(batch)
        array = batch.column(self.columns[0])
        if not pa.types.is_dictionary(array.type):
            try:
                array = layers.in_python(array).dictionary_encode()
            except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError, AttributeError):
                return self._by_row(batch)
        schema = pa.schema([batch.schema.field(self.columns[0]).with_type(array.dictionary.type)])
        words = pa.RecordBatch.from_arrays([array.dictionary], schema=schema)
        alone = self.attributes.alone(self.columns[0], schema)
        values = [self._value(context) for context in alone.contexts(words, [0])]
        values.append(self._value({}))
        indices = array.indices.fill_null(len(array.dictionary)) if array.null_count else array.indices
        found = layers.by_kind(values)
        return _picked(found, indices)

    def _by_row(self, batch: pa.RecordBatch, rows: np.ndarray[Any, Any] | None = None) -> Layers:
        contexts = self.attributes.contexts(batch, self.columns, rows)
        return layers.by_kind([self._value(context) for context in contexts])

    def _value(self, context: dict[str, Any]) -> Any:
        breathe()
        try:
            return self._read(context, self._now_us)
        except Exception:  # EncodeError, or what the value's own code raises: it cannot be sent
            return UNREADABLE


def _picked(found: Layers, indices: pa.Array) -> Layers:
    """Layers of distinct values for the rows that `indices` names them for."""
    places = np.asarray(indices.to_numpy(zero_copy_only=False))
    refused = None if found.refused is None else found.refused[places]
    single = None if found.single is None else found.single[places]
    null = None if found.null is None else found.null.take(indices)
    return Layers(tuple(each.take(indices) for each in found.arrays), null, refused, single)


def _repeated(one: Layers, rows: layers.Rows) -> Layers:
    """The layers of one value, in the marked rows."""
    count = int(rows.sum())
    return layers.scattered(_picked(one, pa.array(np.zeros(count, np.int64))), rows)


def _single(found: Layers, rows: layers.Rows) -> Layers:
    return Layers(found.arrays, found.null, found.refused, layers.joined(found.single, rows))
