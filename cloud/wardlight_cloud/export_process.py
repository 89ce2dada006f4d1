"""Composition root of the process that makes exports: ``python -m wardlight_cloud.export_process``.

Settings come pickled on standard input, from the API process that started this one. It ends when no
export waits any more, on SIGTERM, and when its input ends, which is when the API process does:
what it was at is left to the next one.
"""

import asyncio
import contextlib
import gc
import os
import pickle
import sys
import threading
from typing import Final

from wardlight_cloud.config import Settings
from wardlight_cloud.exporting import worker_of
from wardlight_cloud.logs import configure
from wardlight_cloud.process import stop_event
from wardlight_cloud.store.open import open_store
from wardlight_shared.errors import StorageError

_POOL: Final = 3
_NICER: Final = 5
_YOUNG_OBJECTS: Final = 50_000


def main() -> None:
    """Make exports until none waits."""
    settings, holder = pickle.load(sys.stdin.buffer)  # noqa: S301 - of who started this process
    configure(settings.log)
    os.nice(_NICER)
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    asyncio.run(_work(settings, holder))


async def _work(settings: Settings, holder: str) -> None:
    stop = stop_event()
    _end_with_input(asyncio.get_running_loop(), stop)
    own_pool = settings.database.model_copy(update={"pool_size": _POOL})
    store = await open_store(settings.model_copy(update={"database": own_pool}))
    try:
        work = asyncio.create_task(worker_of(settings, store, holder).work(), name="make exports")
        stopped = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not work.done():
            work.cancel()
        with contextlib.suppress(asyncio.CancelledError, StorageError):
            await work
    finally:
        await store.close()


def _end_with_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=watch, name="parent", daemon=True).start()


if __name__ == "__main__":
    main()
