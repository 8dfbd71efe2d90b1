"""One instance of the core as the pool keeps it: which generation answers in it, and which one is staged beside that.

The pool's queues and numbers are in pool.py. Nothing here is for two threads at once: whoever took the member owns it.
"""

from __future__ import annotations

import weakref

from ..errors import ConfigError, GuestTrapError
from ..generation import Generation
from ..runtime.guest import Core
from ..runtime.instance import Instance


class Member(Instance):
    """An instance and what is in it.

    generation: the one that answers; None before the first, and while it is unknown, because a commit or a load was
    interrupted. staged: the one that `serve` commits at the cost of a microsecond.
    user: the thread that has it, 0 for nobody. leased: whether for a block of the caller's. retired: whether it serves
    pins of a generation that the pool has left behind.
    """

    __slots__ = ("__weakref__", "generation", "leased", "retired", "staged", "user")

    def __init__(self, core: Core | None = None) -> None:
        super().__init__(core)
        self.generation: Generation | None = None
        self.staged: Generation | None = None
        self.user = 0
        self.leased = self.retired = False

    def prepare(self, generation: Generation) -> None:
        """Write a generation beside the one that answers, and have the core verify it.

        Raises ConfigError if the core refuses it; then the old one goes on.
        """
        if self.staged is not generation:
            self.staged = None
            self.stage(generation.compiled.ir, generation.compiled.digest)
            self.staged = generation

    def serve(self, generation: Generation) -> None:
        """Make a generation the one that answers. Raises GuestError."""
        try:
            self.prepare(generation)
            self.generation = self.staged = None  # unknown, if what follows is interrupted
            self.commit()
        except ConfigError as error:  # another instance has accepted it
            raise GuestTrapError(f"an instance of the core fails: {error}") from None
        self.generation = generation


def loaded(generation: Generation) -> Member:
    """A new member in which the generation answers. Raises ConfigError if the core refuses it, or GuestError."""
    member = Member()
    try:
        member.prepare(generation)
        member.serve(generation)
    except BaseException:
        member.close()
        raise
    return member


Reference = weakref.ref[Member]
