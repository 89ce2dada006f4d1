"""How many links a radio holds, and how many of them are of devices that stay connected."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HeldLinks:
    """The count; ``changed`` is told after each change of it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._links = 0
        self._streams = 0

    @property
    def links(self) -> int:
        """Links held or being made."""
        return self._links

    @property
    def streams(self) -> int:
        """Those of them that stay."""
        return self._streams

    @contextmanager
    def one(self, *, is_stream: bool) -> Iterator[None]:
        """One more, for as long as the context lasts."""
        self._links += 1
        self._streams += is_stream
        self._changed()
        try:
            yield
        finally:
            self._links -= 1
            self._streams -= is_stream
            self._changed()
