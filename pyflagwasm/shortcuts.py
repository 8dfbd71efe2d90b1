"""Evaluations without Python code in them, by the C extension, where it is there; how it is told about our classes.

A shortcut answers what was answered before in the plain case, and gives `declined` for everything else, which
evaluations.py then does from the beginning. The classes below keep in `__slots__` what it reads (native/module.c).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from .config.model import MISSING
from .exposures.tally import Tally
from .generation import Encoded, Flag, Generation, Outcome
from .pool.asking import Clock, Instances
from .pool.member import Member
from .pool.waiting import Queue
from .runtime import extension

declined: Final[Any] = object() if extension.FOUND is None else extension.FOUND.declined
"""What a shortcut gives in place of an answer."""

Shortcut = Any
"""`native/shortcut.c`: value, details, bound_value, bound_details, many, heed."""


def shortcut(instances: Instances, hooks: list[Any], clock: Clock, touched: Any) -> Shortcut | None:
    """A shortcut to these instances; None without the extension. touched: the counter's, or None if nothing counts."""
    native = extension.chosen()
    if native is None:
        return None
    return native.Shortcut(
        instances,
        instances.LIVE,
        instances.idle,
        instances.queue,
        instances.give_back,
        instances.discard,
        hooks,
        clock,
        touched,
        asyncio._get_running_loop,
    )


if extension.FOUND is not None:
    extension.FOUND.setup(
        generation=Generation,
        flag=Flag,
        member=Member,
        encoded=Encoded,
        outcome=Outcome,
        tally=Tally,
        queue=Queue,
        missing=MISSING,
    )
