"""How many links a proxy may hold, when it says itself how many it has left.

A proxy has few (three, as a rule) and may lend some to another program. It tells after each connect
and disconnect how many are free. What has been promised to a visit and is not connected yet it
cannot know: that is taken off.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from wardlight_edge.transports.ble_errors import BleError, Trouble
from wardlight_edge.transports.held_links import HeldLinks


class LinkBudget:
    """The links of one proxy. Devices that stay connected leave one of them free.

    max_links  never more than this
    changed    told when ``links`` or ``free`` has changed
    """

    def __init__(self, max_links: int, changed: Callable[[], None]) -> None:
        self._max_links = max_links
        self._changed = changed
        self._limit = 0
        self._told_free = 0
        self._standing = 0
        self._stirred = asyncio.Event()
        self._held = HeldLinks(self._tell)

    @property
    def links(self) -> int:
        """Links held or being made."""
        return self._held.links

    @property
    def free(self) -> int:
        """Links that could be taken now."""
        promised = self._held.links - self._standing
        return max(min(self._told_free - promised, self._max_links - self._held.links), 0)

    def told(self, free: int, limit: int) -> None:
        """The proxy has said how many of its links are free; of none it is away."""
        self._limit, self._told_free = limit, free
        self._tell()

    @asynccontextmanager
    async def slot(self, *, is_stream: bool) -> AsyncIterator[None]:
        """The right to hold one link; waits for a free one. BleError GONE: the proxy has none."""
        while not self.is_free(is_stream=is_stream):
            if not self._limit:
                raise BleError(Trouble.GONE, "the proxy is away, or makes no links")
            self._stirred.clear()
            await self._stirred.wait()
        with self._held.one(is_stream=is_stream):
            yield

    @contextmanager
    def standing(self) -> Iterator[None]:
        """A link stands: the proxy counts it now."""
        self._standing += 1
        try:
            yield
        finally:
            self._standing -= 1

    def is_free(self, *, is_stream: bool) -> bool:
        """Whether a link of this kind could be taken now."""
        if is_stream and self._held.streams >= max(min(self._max_links, self._limit) - 1, 1):
            return False
        return self.free > 0

    def _tell(self) -> None:
        self._stirred.set()
        self._changed()
