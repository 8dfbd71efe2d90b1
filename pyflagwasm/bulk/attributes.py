"""The evaluation context that a row stands for: which column is which attribute, and contexts as Python's dicts.

A column is the attribute of its name, unless `columns` says from which one an attribute comes. A null is an attribute
that is absent; a struct is an object, and its null fields are absent from it. A name with dots is an attribute of that
name and, into objects, the way to a nested one: `app.version` is also the member `version` of `app`. It is put there
after the column `app`, if there is one, whose object it adds to and whose other values it replaces by an object.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..config.model import MISSING
from ..config.pace import breathe
from . import layers


@dataclass(frozen=True)
class Source:
    """Where a value lies: in a column, and in that by fields of structs."""

    column: int
    fields: tuple[int, ...] = ()

    def array(self, batch: pa.RecordBatch) -> pa.Array:
        array = batch.column(self.column)
        return pc.struct_field(array, list(self.fields)) if self.fields else array


class Attributes:
    """The attributes that tables of one schema have.

    Raises ValueError for a name in `columns` that is not there, and for two columns of one name.
    """

    def __init__(self, schema: pa.Schema, columns: Mapping[str, str] | None = None) -> None:
        self.schema = schema
        names: list[str] = schema.names
        places = {name: number for number, name in enumerate(names)}
        if len(places) < len(names):
            twice = next(name for number, name in enumerate(names) if places[name] != number)
            raise ValueError(f"the input has two columns {twice!r}: rename one of them")
        for attribute, column in (columns or {}).items():
            if column not in places:
                raise ValueError(f"columns[{attribute!r}]: {no_column(column, names)}")
            places[attribute] = names.index(column)
        self.flat: dict[str, int] = places
        dotted = {name: tuple(name.split(".")) for name in places if "." in name}
        self.dotted: list[tuple[tuple[str, ...], int]] = sorted(
            ((parts, places[name]) for name, parts in dotted.items() if all(parts)), key=lambda each: len(each[0])
        )

    # ------------------------------------------------------------ where a value is

    def columns_of(self, tops: frozenset[str] | None) -> list[int]:
        """The columns of what is in attributes of these names, None for all."""
        if tops is None:
            return sorted({*self.flat.values()})
        found = {self.flat[name] for name in tops if name in self.flat}
        return sorted(found | {column for parts, column in self.dotted if parts[0] in tops})

    def has(self, name: str) -> bool:
        """Whether there may be an attribute of this name at the top."""
        return name in self.flat or any(parts[0] == name for parts, _ in self.dotted)

    def sources(self, keys: tuple[str, ...]) -> list[Source] | None:
        """Where the value behind the keys is: a later source over earlier ones. None if it must be looked for."""
        found: list[Source] = []
        starts = [(keys[:1], self.flat[keys[0]])] if keys[0] in self.flat else []
        for parts, column in self.dotted:
            if parts[: len(keys)] == keys and len(parts) > len(keys):
                return None  # it is an object, in part
            if keys[: len(parts)] == parts:
                starts.append((parts, column))
        for parts, column in starts:
            rest = keys[len(parts) :]
            if rest and found:
                return None  # a value that replaces another one in whole
            source = self._followed(column, rest)
            if source is None:
                return None
            found += source
        return found

    def _followed(self, column: int, keys: tuple[str, ...]) -> list[Source] | None:
        kind, fields = self.schema.field(column).type, list[int]()
        for key in keys:
            if isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind):
                return None
            if not pa.types.is_struct(kind):
                # texts and lists have a length and members; all other values have nothing inside
                return None if layers.is_nested(kind) or not layers.gives_number(kind) else []
            where = [number for number in range(kind.num_fields) if kind.field(number).name == key]
            if len(where) != 1:
                return None if where else []
            fields.append(where[0])
            kind = kind.field(where[0]).type
        return [Source(column, tuple(fields))]

    def alone(self, column: int, schema: pa.Schema) -> Attributes:
        """The attributes that one column is, for tables that have only this one."""
        found = Attributes(schema)
        found.flat = {name: 0 for name, place in self.flat.items() if place == column}
        found.dotted = [(parts, 0) for parts, place in self.dotted if place == column]
        return found

    def type_of(self, source: Source) -> pa.DataType:
        kind = self.schema.field(source.column).type
        for number in source.fields:
            kind = kind.field(number).type
        return kind

    # ------------------------------------------------------------ contexts

    def contexts(
        self, batch: pa.RecordBatch, columns: Sequence[int], rows: np.ndarray[Any, Any] | None = None
    ) -> list[dict[str, Any]]:
        """The contexts of some rows, or of all, with what is in these columns."""
        wanted = set(columns)
        values = {column: _values(batch.column(column), rows) for column in wanted}
        found: list[dict[str, Any]] = [{} for _ in range(batch.num_rows if rows is None else len(rows))]
        for name, column in self.flat.items():
            if column in wanted:
                for context, value in zip(found, values[column], strict=True):
                    breathe()
                    if value is not MISSING:
                        context[name] = value
        for parts, column in self.dotted:
            if column in wanted:
                for context, value in zip(found, values[column], strict=True):
                    breathe()
                    if value is not MISSING:
                        _put(context, parts, value)
        return found


def _values(array: pa.Array, rows: np.ndarray[Any, Any] | None) -> list[Any]:
    if rows is None:
        return layers.pythonic(array)
    try:
        return layers.pythonic(array.take(pa.array(rows)))
    except pa.ArrowNotImplementedError:  # there are types of which Arrow cannot pick values
        return [layers.pythonic(array.slice(int(row), 1))[0] for row in rows]


def _put(context: dict[str, Any], parts: tuple[str, ...], value: Any) -> None:
    node = context
    for part in parts[:-1]:
        inner = node.get(part)
        # a new one: an attribute may lie at two places, and only one of them is added to
        inner = dict(inner) if type(inner) is dict else {}
        node[part] = inner
        node = inner
    node[parts[-1]] = value


def no_column(name: str, names: Sequence[str]) -> str:
    """The words for a column that is not there."""
    near = difflib.get_close_matches(name, names, 3, 0.5) or list(names[:10])
    return f"the input has no column {name!r}; it has {', '.join(map(repr, near)) or 'none'}"
