"""What rules read, as importers say it: slots of the evaluation context, buckets of users, percentages over time.

How a slot finds its value is runtime/views/'s business. Import these from model.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from .._abi import Encoding, HashAlgorithm

JSON: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or dict with str keys."""


class Missing:
    """The type of `MISSING`: no value at all, which is not the same as null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING = Missing()

_VIEW_NAMES = {
    "targeting_key": "targetingKey",
    "devcycle_user_id": "user_id",
    "devcycle_user_valid": "valid user record",
    "devcycle_custom": "customData.",
    "devcycle_bucket_vendor": "customData.",
    "devcycle_bucket_corrected": "customData.",
    "growthbook_sticky": "stickyBucketAssignmentDocs.",
}
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing that rules read from the evaluation context, and how the host finds it.

    `view` names a function of runtime/views/, `args` are its arguments: ("path", ("user", "email")) is the
    attribute `email` of the attribute `user`. `default` is used when the context has no value there.
    Equal slots are one slot: the compiler numbers them in the order in which it meets them.
    """

    view: str
    args: tuple[str, ...] = ()
    default: JSON | Missing = MISSING

    @property
    def name(self) -> str:
        """How an explanation calls it: `user.email`, `customData.plan`."""
        if self.view == "flagd_context" or (self.view == "path" and not self.args):
            return "the context"
        if self.view.startswith("growthbook_"):
            said = self.args[: 2 if self.view in ("growthbook_judged", "growthbook_verdict") else 1]
            return _VIEW_NAMES.get(self.view, "") + " ".join(said)[:_LONGEST_NAME]
        if self.view.startswith("unleash_"):
            return self.args[0]
        return _VIEW_NAMES.get(self.view, "") + ".".join(self.args) or self.view


@dataclass(frozen=True, slots=True)
class Bucket:
    """A hash of constant text and slots (schema/README.md 5.4), all 32 bits, or the remainder by `modulus`.

    `parts` are str or bytes (bytes are taken raw, for Cbor) or Slot. With `require_text` an empty text is Unknown.
    `seed` is for murmur3 alone. The FNV hashes take CodePoints, and no other algorithm does.
    """

    parts: tuple[str | bytes | Slot, ...]
    seed: int = 0
    encoding: Encoding = Encoding.UTF8
    require_text: bool = False
    algorithm: HashAlgorithm = HashAlgorithm.MURMUR3X86
    modulus: int | None = None

    @property
    def size(self) -> int:
        """How many buckets there are: they are 0 .. size - 1."""
        return 2**32 if self.modulus is None else self.modulus


@dataclass(frozen=True, slots=True)
class Segment:
    """A percentage over time from `from_ms` on: p0 + (p1 - p0) * ((now - t0) / (t1 - t0)); 1.0 is everyone."""

    from_ms: int
    t0: float
    t1: float
    p0: float
    p1: float
