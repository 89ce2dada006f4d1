"""News of subscriptions inside one process: one listener, many who wait."""

import asyncio
import contextlib
import logging
from typing import Final

from wardlight_cloud.fhir.subscriptions.ports import SubscribingStore
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_RETRY_S: Final = 1.0


class News:
    """Counts news; whoever waits is woken by the next one."""

    def __init__(self) -> None:
        self.count = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        """There is news."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Until there is news, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._next.wait()


async def listen(store: SubscribingStore, *news: News) -> None:
    """Tell what any process tells, for ever."""
    while True:
        try:
            async with store.subscription_signals() as signals:
                async for _ in signals:
                    for each in news:
                        each.tell()
        except StorageError as error:
            _log.warning("subscriptions are not heard of", extra={"error": str(error)})
            await asyncio.sleep(_RETRY_S)
