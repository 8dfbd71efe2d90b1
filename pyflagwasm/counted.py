"""Counting the evaluations of an evaluator that was opened without `exposures`, from some moment on."""

from __future__ import annotations

from .evaluator import FlagEvaluator
from .exposures.counting import Counter


def counter_of(flags: FlagEvaluator) -> Counter:
    """The evaluator's counter. If it had none, evaluations are counted from now on, at what `exposures` cost.

    Such a counter has no sinks. What it has counted is taken by `drain`, and at every change of the evaluator, so that
    nothing of configurations that are gone is left behind. Pins, leases and bound contexts from before do not count.
    """
    if flags._counter is None:
        counter = Counter(())
        flags._count(counter)
        flags.add_listener(lambda change: counter.drain_unless_sent())
        return counter
    return flags._counter
