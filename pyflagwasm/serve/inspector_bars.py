"""Buckets to draw: for each that an evaluation computed, the parts of its range, and where it lies in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .._abi import DECISION_BUCKET_SCALE, Op
from ..config import wording
from ..config.compile import CompiledConfig, FlagEntry
from ..config.model import Fail, InRanges, InRollout, Serve, Serves, SplitBy, Variant
from ..explain import Event, Explanation, percentage

MOST_PARTS: Final = 100
MOST_BARS: Final = 24
Part = tuple[float, float, str, int | None]
"""From, to (1.0 is the whole range), what becomes of it, and the flag's variant if it is one."""


def bars(
    compiled: CompiledConfig, entry: FlagEntry, events: Sequence[Event], told: Explanation, now_us: int
) -> list[dict[str, Any]]:
    """The buckets in the order in which they were computed, as JSON data; at most MOST_BARS.

    told: what explain.explain made of the same events: it has one check for each bucket, in the same order.
    """
    checks = (check for section in told.sections for check in section.checks if _is_bucketed(check.note, check.hash))
    variants, own = entry.variants, True
    calls: list[tuple[tuple[Variant, ...], bool]] = []
    owners = {each.program: each.variants for each in compiled.flags.values()}
    found: list[dict[str, Any]] = []
    for node, *_ in events:
        op, source = compiled.origins.ops[node], compiled.origins.sources[node]
        if op == Op.RETURN and calls:
            variants, own = calls.pop()
        elif op == Op.CALL:
            calls.append((variants, own))
            if isinstance(source, Serves):
                variants, own = owners.get(source.program, ()), False
        if not isinstance(source, (SplitBy, InRollout, InRanges)):
            continue
        check = next(checks, None)
        if check is None or len(found) == MOST_BARS:
            break
        parts = _shortened(_joined(_parts(source, variants, own, now_us)))
        position = None if check.position is None else check.position / DECISION_BUCKET_SCALE
        found.append({"of": wording.bucket(source.bucket), "bucket": check.hash, "position": position, "parts": parts})
    return found


def _is_bucketed(note: str | None, bucket: int | None) -> bool:
    return bucket is not None or (note is not None and note.startswith("no bucket"))


def _parts(source: SplitBy | InRollout | InRanges, variants: Sequence[Variant], own: bool, now_us: int) -> list[Part]:
    size = source.bucket.size
    if isinstance(source, InRollout):
        inside = min(1.0, max(0.0, percentage(source.segments, now_us) or 0.0))
        return [(0.0, inside, "inside", None), (inside, 1.0, "outside", None)]
    if isinstance(source, InRanges):
        return _ranges(source, size)
    parts: list[Part] = []
    lower = 0
    for upper, action in source.cuts:
        label, variant = "goes on", None
        if isinstance(action, Serve) and action.variant is not None and action.variant < len(variants):
            label, variant = variants[action.variant].key, action.variant if own else None
        elif isinstance(action, Serve):
            label = "the caller's default"
        elif isinstance(action, Fail):
            label = "an error"
        parts.append((lower / size, min(upper, size) / size, label, variant))
        lower = max(lower, upper)
    parts.append((min(lower, size) / size, 1.0, "none of them", None))
    return parts


def _ranges(source: InRanges, size: int) -> list[Part]:
    """Ranges come in any order, and overlap."""
    parts: list[Part] = []
    reached = 0
    for first, end in sorted(source.ranges):
        if end <= reached:
            continue
        if first > reached:
            parts.append((reached / size, first / size, "outside", None))
        parts.append((max(first, reached) / size, end / size, "inside", None))
        reached = end
    parts.append((min(reached, size) / size, 1.0, "outside", None))
    return parts


def _joined(parts: Sequence[Part]) -> list[Part]:
    """Without empty parts, and neighbours that are one as one."""
    joined: list[Part] = []
    for part in parts:
        if part[1] <= part[0]:
            continue
        if joined and joined[-1][2:] == part[2:] and joined[-1][1] == part[0]:
            joined[-1] = (joined[-1][0], *part[1:])
        else:
            joined.append(part)
    return joined


def _shortened(parts: list[Part]) -> list[Part]:
    if len(parts) <= MOST_PARTS:
        return parts
    return [*parts[: MOST_PARTS - 1], (parts[MOST_PARTS - 1][0], 1.0, "more parts", None)]
