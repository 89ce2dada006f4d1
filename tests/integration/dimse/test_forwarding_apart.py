"""Targets of forwarding are independent; what is under way stays leased; what is final."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.dicom_files import bundled, dataset_of, image, octets_of
from support.dicom_process import LOOPBACK, store_scp
from support.image_stock import ImageStock, image_stock
from support.postgres import FreshDatabase
from support.store import SCHEMA
from support.waiting import wait_until
from wardlight_cloud.config import Settings
from wardlight_cloud.dimse.entity import Entity
from wardlight_cloud.dimse.forwarder import Forwarder
from wardlight_cloud.dimse.loop_thread import LoopCalls
from wardlight_cloud.dimse.nodes import Nodes
from wardlight_cloud.dimse.sending import Sender
from wardlight_cloud.dimse.transcoding import (
    Transcoder,
    TranscodingError,
    TranscodingFailedError,
)
from wardlight_cloud.imaging.reads import ReadLog
from wardlight_cloud.store.forwarding import DicomNode, ForwardRule, ForwardStatus, ForwardTarget
from wardlight_cloud.store.open import open_store

_LIMIT_S = 12
FOR_EVER_S = 3600  # what a test would wait for a silent target if it waited


@pytest.fixture
async def stock(fresh_database: FreshDatabase, tmp_path: Path) -> AsyncIterator[ImageStock]:
    settings = Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "database": {"dsn": await fresh_database(SCHEMA), "pool_size": 4},
            "dicom": {"idle_timeout_s": FOR_EVER_S},
        }
    )
    settings.data_dir.mkdir()
    store = await open_store(settings)
    async with image_stock(store, settings) as made:
        yield made
    await store.close()


class Hasty(BaseHTTPRequestHandler):
    """Hangs up when it sees a file of more than one frame; takes all else."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        file = dataset_of(body.split(b"\r\n\r\n", 1)[1])
        self.server.asked.append(str(file.SOPInstanceUID))  # type: ignore[attr-defined]
        if "NumberOfFrames" in file:
            return
        stored = {"00081155": {"Value": [file.SOPInstanceUID]}}
        said = json.dumps({"00081199": {"vr": "SQ", "Value": [stored]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: Any) -> None:
        """No log."""


@contextlib.contextmanager
def hasty() -> Iterator[Any]:
    """The server; ``asked`` are the instances in the order in which they came."""
    server: Any = ThreadingHTTPServer((LOOPBACK, 0), Hasty)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(_LIMIT_S)
    server.server_close()


@contextlib.contextmanager
def silent() -> Iterator[socket.socket]:
    """Takes connections, and says nothing; whoever called is hung up on at the end."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        yield listening
        listening.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                listening.accept()[0].close()


@asynccontextmanager
async def forwarding(
    stock: ImageStock, transcoder: Any = None, **more: float
) -> AsyncIterator[None]:
    """A Forwarder at work."""
    calls = LoopCalls(asyncio.get_running_loop(), timeout_s=60)
    settings = Settings.model_validate({"dicom": {"idle_timeout_s": FOR_EVER_S}}).dicom
    entity = Entity(settings)
    entity.acse_timeout = FOR_EVER_S
    store = stock.store
    async with ReadLog(store) as reads:
        sender = Sender(stock.objects, calls, transcoder)
        forwarder = Forwarder(store, store, entity, Nodes(store, calls), sender, reads, **more)
        task = asyncio.create_task(forwarder.run(look_s=0.1))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(entity.shutdown)


async def statuses(stock: ImageStock) -> dict[str, ForwardStatus]:
    return {each.rule.name: each for each in await stock.store.forward_status()}


async def test_a_target_that_is_silent_holds_up_nobody(stock: ImageStock, tmp_path: Path) -> None:
    """Silent for ever, by STOW-RS and by C-STORE; the other one gets what was there, and comes."""
    store = stock.store
    received = tmp_path / "received"
    received.mkdir()
    for _ in range(3):
        await stock.add(octets_of(image()))

    async def is_sent(number: int) -> bool:
        return (await statuses(stock))["healthy"].sent == number

    with silent() as service, silent() as node:
        async with store_scp(received, ae_title="HEALTHY") as port:
            await store.put_node(DicomNode("HEALTHY", LOOPBACK, port, rights=()))
            await store.put_node(DicomNode("SILENT", LOOPBACK, node.getsockname()[1], rights=()))
            url = f"http://{LOOPBACK}:{service.getsockname()[1]}/dicom-web"
            for name, target in (
                ("by-stow", ForwardTarget(url=url)),
                ("by-store", ForwardTarget("SILENT")),
                ("healthy", ForwardTarget("HEALTHY")),
            ):
                await store.put_rule(ForwardRule(name, "all", "", target), from_beginning=True)
            async with forwarding(stock):
                called, _ = await asyncio.to_thread(service.accept)
                also_called, _ = await asyncio.to_thread(node.accept)
                with called, also_called:
                    await wait_until(lambda: is_sent(3), _LIMIT_S, "it has what was there")
                    await stock.add(octets_of(image()))
                    await wait_until(lambda: is_sent(4), _LIMIT_S, "it has what came")
                    found = await statuses(stock)
                    waiting = {name: each.waiting for name, each in found.items()}
                    assert waiting == {"by-stow": 4, "by-store": 4, "healthy": 0}
    assert len(list(received.iterdir())) == 4


async def test_a_group_ends_with_the_connection_and_goes_on_behind_it(stock: ImageStock) -> None:
    """One that no service lives through is no attempt of those behind it, and they come first."""
    store = stock.store
    deadly, *others = [image(NumberOfFrames=1), image(), image()]
    for each in (deadly, *others):
        await stock.add(octets_of(each))

    async def are_sent() -> bool:
        return (await statuses(stock))["r"].sent == len(others)

    with hasty() as service:
        url = f"http://{LOOPBACK}:{service.server_address[1]}/dicom-web"
        rule = ForwardRule("r", "all", "", ForwardTarget(url=url))
        await store.put_rule(rule, from_beginning=True)
        async with forwarding(stock):
            await wait_until(are_sent, _LIMIT_S, "the others are sent")
        asked = list(service.asked)
    first_three = [str(each.SOPInstanceUID) for each in (deadly, *others)]
    assert asked[:3] == first_three
    status = (await statuses(stock))["r"]
    assert (status.waiting, status.reason) == (1, "RemoteDisconnected")


async def test_what_is_under_way_stays_leased(stock: ImageStock) -> None:
    """For longer than a lease lasts: no other process takes it."""
    store: Any = stock.store
    await stock.add(octets_of(image()))

    async def leased_until() -> Any:
        async with store._connections.acquire() as connection:
            return await connection.fetchval("SELECT next_at FROM forward_item")

    with silent() as service:
        url = f"http://{LOOPBACK}:{service.getsockname()[1]}/dicom-web"
        rule = ForwardRule("silent", "all", "", ForwardTarget(url=url))
        await store.put_rule(rule, from_beginning=True)
        async with forwarding(stock, lease_s=3.0):
            called, _ = await asyncio.to_thread(service.accept)
            with called:
                first = await leased_until()

                async def is_renewed() -> bool:
                    goes_on: bool = await leased_until() > first + timedelta(seconds=3)
                    return goes_on

                await wait_until(is_renewed, _LIMIT_S, "the lease goes on beyond its first end")


class Broken(Transcoder):
    """A decoder that ends in the same way each time."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def transcode(self, *_: Any, **__: Any) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "is_dead"),
    [
        (TranscodingFailedError("the decoder crashed or hung"), False),
        (TranscodingError("it cannot be decoded"), True),
    ],
)
async def test_only_what_cannot_be_decoded_is_given_up(
    stock: ImageStock, tmp_path: Path, error: Exception, is_dead: bool
) -> None:
    """A decoder that crashed says nothing of the next attempt; what is behind is sent at once."""
    store = stock.store
    received = tmp_path / "received"
    received.mkdir()
    compressed = bundled("JPEG2000.dcm")
    await stock.add(compressed)
    await stock.add(octets_of(image()))

    async def is_done() -> bool:
        status = (await statuses(stock))["r"]
        return status.sent == 1 and bool(status.reason or status.dead)

    async with store_scp(received, ae_title="PLAIN") as port:
        await store.put_node(DicomNode("PLAIN", LOOPBACK, port, rights=()))
        rule = ForwardRule("r", "all", "", ForwardTarget("PLAIN"))
        await store.put_rule(rule, from_beginning=True)
        async with forwarding(stock, Broken(error)):
            await wait_until(is_done, _LIMIT_S, "each has a result")
    status = (await statuses(stock))["r"]
    assert (status.waiting, status.dead) == ((0, 1) if is_dead else (1, 0))
    if is_dead:
        (dead,) = await store.dead_items()
        assert dead.sop_uid == dataset_of(compressed).SOPInstanceUID
    else:
        assert status.reason == str(error)
