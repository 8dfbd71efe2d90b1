"""Hypothesis strategies over the generators of samples.py and generator.py, and JSON contexts for tests of the host.

Each strategy of programs is one `Random` that Hypothesis drives, so the fast loops of tests/differential and the
properties here draw from the same programs.
"""

from __future__ import annotations

from random import Random
from typing import Any

import samples
from generator import Case, some_case
from hypothesis import strategies as st

randoms: st.SearchStrategy[Random] = st.randoms(use_true_random=False)

cases: st.SearchStrategy[Case] = st.builds(some_case, randoms)
"""Sound configurations; `case.request(rng)` makes requests for them."""

integers = st.sampled_from(samples.INTS) | st.integers(samples.I64_MIN, samples.I64_MAX)
floats = st.sampled_from(samples.FLOATS) | st.floats(allow_nan=True, allow_infinity=True)
texts = st.sampled_from(samples.WORDS + samples.NUMERALS + samples.VERSIONS) | st.text(
    st.characters(exclude_categories=("Cs",)), max_size=8
)
version_texts = st.sampled_from(samples.VERSIONS) | st.from_regex(
    r"[vV]?[0-9.x+-]{0,6}(-[a-z0-9.-]{0,6})?", fullmatch=True
)
scalars = st.none() | st.booleans() | integers | floats | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)
"""JSON values inside the limits of the contract: 64-bit integers, text with UTF-8, shallow."""

contexts: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, values, max_size=6)
"""Evaluation contexts as hosts get them."""
