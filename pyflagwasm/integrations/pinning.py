"""The pin of one request: it begins with the first evaluation, wherever in the request that is, and can be renewed."""

from __future__ import annotations

from ..evaluations import Evaluations
from ..generation import Generation
from ..holding import PinnedInstances
from ..pool.member import Member
from ..pool.swap import Swaps


class RequestInstances(PinnedInstances):
    """A pin that begins with the first evaluation, and after whose end the live configuration answers.

    pinning: False for what follows the live configuration, and after the end. place: the evaluations of the pin, once
    there are some.
    """

    __slots__ = ("_ended", "_held", "pinning", "place")

    def __init__(self, swaps: Swaps, pinning: bool) -> None:
        super().__init__(swaps)
        self.pinning, self._ended = pinning, False
        self.place: Evaluations | None = None
        self._held: list[Generation] = []  # the first counts; there are more if threads of the request begin at once

    @property
    def generation(self) -> Generation | None:
        pool = self._swaps.pool
        if pool.closed:
            return None
        while not self._ended:
            try:
                self._generation = self.live = found = self._held[0]
                return found
            except IndexError:
                pass
            pinned = self._swaps.pin(self)
            if pinned is None:
                return None
            self._held.append(pinned)
            if self._ended:
                self.let_go()
            elif pinned is not self._held[0]:
                self._swaps.unpin(pinned, self)
        return pool.generation

    def give_back(self, member: Member) -> None:
        if member.retired and member.generation is not None:  # another one may be pinned meanwhile
            self._swaps.give_back_retired(member.generation, member)
        else:
            super().give_back(member)

    def renew(self) -> None:
        """Have the next evaluation pin anew, unless the end has come."""
        self.pinning = not self._ended
        self.let_go()

    def let_go(self) -> None:
        self.live = None
        while True:
            try:
                generation = self._held.pop()
            except IndexError:
                return
            self._swaps.unpin(generation, self)

    def leave(self) -> None:
        self._ended, self.pinning = True, False
        self.let_go()
        self.place = None  # it refers to this: nothing is left to the collector of cycles
