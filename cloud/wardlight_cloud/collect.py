"""Composition root of the collector process: store, collector, maintenance, signals."""

import asyncio

from prometheus_client import start_http_server

from wardlight_cloud.audit_upkeep import audit_job
from wardlight_cloud.config import Settings
from wardlight_cloud.hl7.destinations import destinations
from wardlight_cloud.hl7.sender import Hl7Sender
from wardlight_cloud.image_upkeep import image_jobs
from wardlight_cloud.imaging.receiving import receiving
from wardlight_cloud.ingest.collector import Collector
from wardlight_cloud.ingest.image_desk import Imaging
from wardlight_cloud.ingest.mqtt import tls_context
from wardlight_cloud.maintenance import Maintenance
from wardlight_cloud.process import opened_store, stop_event
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.objects import open_objects


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
