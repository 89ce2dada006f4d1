"""Composition root of the collector process: store, collector, maintenance, signals."""

import asyncio
import logging
import signal
from typing import Final

from prometheus_client import start_http_server

from wardlight_cloud.audit_upkeep import audit_job
from wardlight_cloud.config import Settings
from wardlight_cloud.hl7.destinations import destinations
from wardlight_cloud.hl7.sender import Hl7Sender
from wardlight_cloud.image_upkeep import image_jobs
from wardlight_cloud.imaging.receiving import receiving
from wardlight_cloud.ingest.backoff import Backoff
from wardlight_cloud.ingest.collector import Collector
from wardlight_cloud.ingest.image_desk import Imaging
from wardlight_cloud.ingest.mqtt import tls_context
from wardlight_cloud.maintenance import Maintenance
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.objects import open_objects
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
    destinations(settings.hl7)
    if metrics_port is not None:
        start_http_server(metrics_port, addr="127.0.0.1")
    stop = stop_event()
    store = await opened_store(settings, stop)
    if store is None:
        return
    try:
        async with asyncio.TaskGroup() as group:
            await _collect(settings, store, stop, group)
    finally:
        await store.close()


async def _collect(
    settings: Settings, store: Store, stop: asyncio.Event, group: asyncio.TaskGroup
) -> None:
    objects = await open_objects(settings)
    try:
        upkeep = Maintenance(
            store,
            event_id_days=settings.collector.event_id_days,
            more=(
                *image_jobs(settings, store, objects),
                audit_job(settings.audit.keep_days, store),
            ),
        )
        beside = [group.create_task(upkeep.run(), name="maintenance")]
        for each in destinations(settings.hl7):
            sender = Hl7Sender(store, each)
            beside.append(group.create_task(sender.run(), name=f"hl7 {each.name}"))
        async with receiving(settings, store, objects) as intake:
            await Collector(settings, store, imaging=Imaging(intake, store)).run(stop)
        for task in beside:
            task.cancel()
    finally:
        await objects.close()


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
            await asyncio.wait_for(stop.wait(), backoff.failed())
        except TimeoutError:
            continue
    return None
