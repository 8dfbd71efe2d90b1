"""How the rows of a job were answered: counts by flag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FlagSummary:
    """One flag's rows.

    rows: how many. counts: by variant (None where the caller's default would be served) and reason. errors: by code.
    """

    rows: int
    counts: Mapping[tuple[str | None, str], int]
    errors: Mapping[str, int]

    @property
    def variants(self) -> dict[str | None, int]:
        """Rows by variant, the most frequent first."""
        found = Counter[str | None]()
        for (variant, _), count in self.counts.items():
            found[variant] += count
        return dict(found.most_common())

    def __add__(self, other: FlagSummary) -> FlagSummary:
        counts = Counter(self.counts) + Counter(other.counts)
        errors = Counter(self.errors) + Counter(other.errors)
        return FlagSummary(self.rows + other.rows, dict(counts.most_common()), dict(errors.most_common()))


@dataclass(frozen=True, slots=True)
class Summary:
    """All rows of a job. rows: how many. flags: of each flag, by key, in the order of the output.

    Two of them add up, so the parts of a job that ran in several processes can be counted together.
    """

    rows: int
    flags: Mapping[str, FlagSummary]

    @property
    def errors(self) -> int:
        """How many answers are errors, of all flags and rows."""
        return sum(sum(flag.errors.values()) for flag in self.flags.values())

    def __add__(self, other: Summary) -> Summary:
        flags = dict(self.flags)
        for key, flag in other.flags.items():
            flags[key] = flags[key] + flag if key in flags else flag
        return Summary(self.rows + other.rows, flags)
