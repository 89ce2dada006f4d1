"""Reading what is refused, so that the refusal can be told and the association goes on.

Senders write a whole data set before they look for its response (DCMTK and pynetdicom do), so it
is read to its end, of whatever size, and nothing of it is kept. Time is the bound: when it is over,
the response is sent all the same, and then the association is aborted.
"""

import time

from wardlight_shared.errors import TransportError


class DrainOver(TransportError):
    """A refused data set has not come to its end in time. ``status``: what it is answered with."""

    def __init__(self, status: int) -> None:
        super().__init__("a refused data set does not come to its end")
        self.status = status


class Draining:
    """A data set that is refused with ``status``; its end must come within ``within_s``."""

    comment = ""

    def __init__(self, status: int, within_s: float) -> None:
        self._status = status
        self._end_s = time.monotonic() + within_s

    def write(self, octets: memoryview) -> None:
        """Pass a fragment over; DrainOver when the time is over."""
        del octets
        if time.monotonic() > self._end_s:
            raise DrainOver(self._status)

    def finish(self) -> int:
        """The refusal."""
        return self._status

    def abandon(self) -> None:
        """Nothing is kept."""
