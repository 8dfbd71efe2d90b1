"""Counting the evaluations of an evaluator that was opened without `exposures`, from some moment on."""

from __future__ import annotations

from .evaluator import FlagEvaluator
from .exposures.counting import Counter
from .shortcuts import shortcut


def counter_of(flags: FlagEvaluator) -> Counter:
    """The evaluator's counter. If it had none, evaluations are counted from now on, at what `exposures` cost.

    Such a counter has no sinks. What it has counted is taken by `drain`, and at every change of the evaluator, so that
    nothing of configurations that are gone is left behind. Pins, leases and bound contexts from before do not count.
    """
    if flags._counter is None:
        flags._counter = counter = Counter(())
        if flags._shortcut is not None:
            flags._replaced = flags._shortcut
            flags._shortcut = shortcut(flags._instances, flags._hooks, flags._clock, counter.touched)
            if flags._background.jobs:
                flags._moved(flags._background.loop)
        flags.add_listener(lambda change: counter.drain_unless_sent())
    return flags._counter
