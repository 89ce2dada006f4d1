"""Composition root of the DICOM process: Query/Retrieve for hospitals, and forwarding."""

import asyncio
import logging
from contextlib import ExitStack
from typing import Final

from prometheus_client import start_http_server

from wardlight_cloud.config import Settings
from wardlight_cloud.dimse.entity import Entity, server_tls
from wardlight_cloud.dimse.find import Finder
from wardlight_cloud.dimse.forwarder import Forwarder
from wardlight_cloud.dimse.loop_thread import LoopCalls
from wardlight_cloud.dimse.nodes import Nodes
from wardlight_cloud.dimse.peer_library import quieten
from wardlight_cloud.dimse.retrieve import Retriever
from wardlight_cloud.dimse.sending import Sender
from wardlight_cloud.dimse.server import RetrievalServer
from wardlight_cloud.dimse.transcoding import Transcoder
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.private_file import write_private
from wardlight_cloud.process import opened_store, stop_event
from wardlight_cloud.store.base import Store
from wardlight_cloud.store.object_base import ObjectStore
from wardlight_cloud.store.objects import open_objects
from wardlight_shared.errors import ConfigError

_log = logging.getLogger(__name__)
_CALL_S: Final = 60.0
PORT_FILE: Final = "dicom.port"


async def run(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Serve and forward until SIGTERM or Ctrl-C.

    ``metrics_port`` serves Prometheus metrics on 127.0.0.1. Raises ConfigError before anything is
    started.
    """
    quieten()
    server_tls(settings.dicom)
    if metrics_port is not None:
        start_http_server(metrics_port, addr="127.0.0.1")
    stop = stop_event()
    store = await opened_store(settings, stop)
    if store is None:
        return
    objects = await open_objects(settings)
    try:
        async with ReadLog(store) as reads:
            await _run(settings, store, objects, reads, stop)
    finally:
        await objects.close()
        await store.close()


async def _run(
    settings: Settings, store: Store, objects: ObjectStore, reads: ReadLog, stop: asyncio.Event
) -> None:
    calls = LoopCalls(asyncio.get_running_loop(), timeout_s=_CALL_S)
    entity = Entity(settings.dicom)
    nodes = Nodes(store, calls)
    with ExitStack() as opened:
        sender = Sender(objects, calls, opened.enter_context(Transcoder()))
        server = RetrievalServer(
            settings.dicom,
            entity,
            nodes,
            Finder(store, calls, reads, settings.dicom.ae_title),
            Retriever(store, calls, reads, nodes, entity, sender),
        )
        try:
            port = opened.enter_context(server.serving())
        except OSError as error:
            raise ConfigError(
                f"dicom.host, dicom.port: cannot listen there ({error.strerror})"
            ) from error
        write_private(settings.data_dir / PORT_FILE, f"{port}\n")
        _log.info("serving DICOM", extra={"ae_title": settings.dicom.ae_title, "port": port})
        async with asyncio.TaskGroup() as group:
            forwarder = Forwarder(store, store, entity, nodes, sender, reads)
            task = group.create_task(forwarder.run(), name="forwarder")
            await stop.wait()
            task.cancel()
