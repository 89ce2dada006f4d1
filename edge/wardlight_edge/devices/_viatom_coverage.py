"""Which seconds of a ring's clock were measured live, so that its file does not tell them again.

A ring that is worn within reach is asked every two seconds, and writes a record of the same seconds
into its file. The live values are kept; of the file, what lies between them. The last minute before
a kill is not counted as measured: its block may be lost, and a minute that is there twice (the
second time FROM_STORAGE) is better than one that is nowhere.

In/Out  a Bookmark's ``known``: "first-last" in seconds since 2000 on the ring's clock
"""

from collections.abc import Iterable
from typing import Final

_MOST_GAP_S: Final = 10
_RUNNING_S: Final = 60
_MOST: Final = 64


class Coverage:
    """Intervals, oldest first; the last one may still grow."""

    def __init__(self, kept: Iterable[str] = ()) -> None:
        self._ended = [found for text in kept if (found := _interval(text)) is not None]
        self._running: tuple[int, int] | None = None

    def measured(self, second: int) -> None:
        """A live value was given at this second."""
        if self._running is not None and 0 <= second - self._running[1] <= _MOST_GAP_S:
            self._running = self._running[0], second
            return
        self.interrupted()
        self._running = second, second

    def interrupted(self) -> None:
        """The stream has ended: its blocks are complete."""
        if self._running is not None:
            self._ended = [*self._ended, self._running][-_MOST:]
        self._running = None

    def holds(self, second: int) -> bool:
        """Whether this second was measured live."""
        running = () if self._running is None else (self._running,)
        return any(first <= second <= last for first, last in (*self._ended, *running))

    def kept(self) -> tuple[str, ...]:
        """What is safe to keep; it changes once a minute, for each time is a write to the disk."""
        found = list(self._ended)
        if self._running is not None:
            first, last = self._running
            minutes = (last - first) // _RUNNING_S - 1
            found += [(first, first + minutes * _RUNNING_S)] if minutes > 0 else []
        return tuple(f"{first}-{last}" for first, last in found[-_MOST:])


def _interval(text: str) -> tuple[int, int] | None:
    first, _, last = text.partition("-")
    return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else None
