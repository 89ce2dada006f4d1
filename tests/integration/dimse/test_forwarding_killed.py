"""What waits to be forwarded is on the disk: kill -9 in the middle of an instance loses nothing."""

import asyncio
import socket
from pathlib import Path

import pydicom

from support.dicom_files import bundled, dataset_of
from support.dicom_process import LOOPBACK, dicom_server, store_scp
from support.image_stock import image_stock
from support.postgres import FreshDatabase
from support.store import SCHEMA
from support.waiting import wait_until
from wardlight_cloud.config import Settings
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardStatus, ForwardTarget
from wardlight_cloud.store.open import open_store

_LIMIT_S = 60


async def test_kill_9_while_an_instance_is_sent(
    fresh_database: FreshDatabase, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "database": {"dsn": await fresh_database(SCHEMA)}}
    )
    received = tmp_path / "received"
    received.mkdir()
    store = await open_store(settings)
    async with image_stock(store, settings) as stock:
        await stock.add(bundled("CT_small.dcm"))

    async def status() -> ForwardStatus:
        (found,) = await store.forward_status()
        return found

    with socket.create_server((LOOPBACK, 0)) as silent:
        silent.settimeout(_LIMIT_S)
        node = DicomNode("PACS", LOOPBACK, silent.getsockname()[1], rights=())
        await store.put_node(node)
        rule = ForwardRule("every", "all", "", ForwardTarget("PACS"))
        await store.put_rule(rule, from_beginning=True)
        async with dicom_server(settings, ends=-9) as server:
            called, _ = await asyncio.to_thread(silent.accept)
            server.process.kill()
        called.close()
    before = await status()
    assert (before.waiting, before.sent, before.dead) == (1, 0, 0)
    async with store._connections.acquire() as connection:  # type: ignore[attr-defined]
        # As if the lease of the process that died were over.
        await connection.execute("UPDATE forward_item SET next_at = now()")

    async def has_arrived() -> bool:
        return (await status()).sent == 1

    async with store_scp(received, "+xa", "+B", ae_title="PACS") as port:
        await store.put_node(DicomNode("PACS", LOOPBACK, port, rights=()))
        async with dicom_server(settings):
            await wait_until(has_arrived, _LIMIT_S, "the instance has arrived")
    await store.close()
    (file,) = list(received.iterdir())
    assert pydicom.dcmread(file) == dataset_of(bundled("CT_small.dcm"))
