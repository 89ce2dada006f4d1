"""What each process of the cloud does: it ends on signals, and waits for its database.

Apart from the composition roots, so that one process does not load what only another one needs.
"""

import asyncio
import logging
import signal
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.open import open_store
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


async def opened_store(settings: Settings, stop: asyncio.Event) -> Store | None:
    """The store, once the database answers; None when told to stop before."""
    backoff = Backoff(0.2, 5.0)
    while not stop.is_set():
        try:
            return await open_store(settings)
        except StorageError as error:
            _log.warning("waiting for the database", extra={"error": str(error)})
        try:
            async with asyncio.timeout(backoff.failed()):
                await stop.wait()
        except TimeoutError:
            continue
    return None
