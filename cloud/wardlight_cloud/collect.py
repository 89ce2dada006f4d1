"""Composition root of the collector process: store, collector, maintenance, signals."""

import asyncio
import logging
import signal
from typing import Final

from prometheus_client import start_http_server

from wardlight_cloud.config import Settings
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.collector import Collector
from wardlight_cloud.ingest.mqtt import tls_context
from wardlight_cloud.maintenance import Maintenance
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.open import open_store
from wardlight_shared.errors import StorageError

_log = logging.getLogger(__name__)
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


async def run(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Collect until SIGTERM or Ctrl-C.

    ``metrics_port`` serves Prometheus metrics on 127.0.0.1. Raises ConfigError before anything is
    started, and an ExceptionGroup for a defect: start the process again.
    """
    tls_context(settings.broker)
    if metrics_port is not None:
        start_http_server(metrics_port, addr="127.0.0.1")
    stop = stop_event()
    store = await _opened(settings, stop)
    if store is None:
        return
    try:
        async with asyncio.TaskGroup() as group:
            upkeep = Maintenance(store, event_id_days=settings.collector.event_id_days)
            beside = group.create_task(upkeep.run(), name="maintenance")
            await Collector(settings, store).run(stop)
            beside.cancel()
    finally:
        await store.close()


def stop_event() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


async def _opened(settings: Settings, stop: asyncio.Event) -> Store | None:
    """The store, once the database answers; None when told to stop before."""
    backoff = Backoff(0.2, 5.0)
    while not stop.is_set():
        try:
            return await open_store(settings)
        except StorageError as error:
            _log.warning("waiting for the database", extra={"error": str(error)})
        try:
            await asyncio.wait_for(stop.wait(), backoff.failed())
        except TimeoutError:
            continue
    return None
