"""Images from a gateway's spool through a real broker and a collector to the object store."""

import asyncio
import contextlib
import hashlib
import io
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from support.collector_world import CollectorWorld
from support.dicom_files import image, octets_of
from support.imaging_gateway import KEY, delivering, items, noise_image, put, put_images, receiving
from support.modality import begun, ended
from support.waiting import wait_until
from wardlight_cloud.cli import main
from wardlight_cloud.config import load
from wardlight_cloud.private_file import write_private
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.objects import open_objects
from wardlight_cloud.store.orders import NewEntry, StepStatus
from wardlight_edge.config import UplinkSettings
from wardlight_edge.daemon import open_spool
from wardlight_edge.dicom.data_sets import written
from wardlight_edge.dicom.step_file import step_file
from wardlight_edge.spool.base import ItemState
from wardlight_edge.spool.sending import SqliteSendingSpool
from wardlight_edge.uplink.status import ImageState
from wardlight_lab.bench.process_memory import status_mb
from wardlight_lab.broker import Broker, NatsServer
from wardlight_lab.demo.settings_files import gateway_settings
from wardlight_lab.supervise.process import ChildProcess
from wardlight_lab.wan.link import NarrowLink
from wardlight_shared.blobs import BlobKind

GATEWAY = "gw-test-1"
COLLECTOR = "collector-1"


def settings_of(authority: CertificateAuthority, broker: Broker) -> UplinkSettings:
    own = authority.ensure_client(GATEWAY, Role.GATEWAY)
    return UplinkSettings(
        host="127.0.0.1", port=broker.port, ca_file=own.authority, cert_file=own.certificate,
        key_file=own.key, ack_timeout_s=1.0,
    )  # fmt: skip


async def objects_of(world: CollectorWorld) -> dict[bytes, bytes]:
    """Everything in the object store, by its hash."""
    objects = await open_objects(load(world.config(COLLECTOR)))
    try:
        return {sha256: await objects.read(sha256) async for sha256, _ in objects.hashes()}
    finally:
        await objects.close()


async def uploads(world: CollectorWorld) -> list[tuple[int, str]]:
    rows = await world.fetch("SELECT item, outcome FROM image_upload ORDER BY item")
    return [(row["item"], row["outcome"]) for row in rows]


async def test_a_study_arrives_once_and_a_second_time_costs_no_octets(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    study = [noise_image(size, size) for size in (3_000, 40_000, 700_000, 1_500_000)]
    files = put_images(tmp_path / "gw", study)
    world.start(COLLECTOR)
    settings = settings_of(authority, broker)
    async with delivering(tmp_path / "gw", settings, GATEWAY) as (uplink, _):
        images = uplink.status().images
        await wait_until(lambda: images.delivered == len(files), 60, "all are delivered")
    assert await objects_of(world) == {hashlib.sha256(f).digest(): f for f in files.values()}
    assert await uploads(world) == [(item, "stored") for item in sorted(files)]
    assert (images.octets, images.octets_again) == (sum(map(len, files.values())), 0)
    for each in study:
        (item,) = items(tmp_path / "gw", str(each.SOPInstanceUID))
        assert item.state is ItemState.DELIVERED
    # Another gateway folder: the same files are new items of another spool.
    put_images(tmp_path / "again", study)
    async with delivering(tmp_path / "again", settings, GATEWAY) as (uplink, _):
        again = uplink.status().images
        await wait_until(lambda: again.delivered == len(files), 60, "all are known")
    assert (again.octets, again.offers) == (0, len(files))
    assert len(await uploads(world)) == 2 * len(files)


def ask_again(data_dir: Path, *uids: str) -> None:
    with receiving(data_dir) as spool:
        spool.ask_again(uids)


@pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
async def test_what_the_cloud_has_lost_since_its_receipt_is_told_when_it_is_asked_for(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    """And nothing that it has becomes another row, or goes up once more; the lost one can."""
    study = [noise_image(40_000), noise_image(50_000, 2)]
    lost, kept = (str(each.SOPInstanceUID) for each in study)
    files = put_images(tmp_path / "gw", study)
    world.start(COLLECTOR)
    settings = settings_of(authority, broker)
    async with delivering(tmp_path / "gw", settings, GATEWAY) as (uplink, _):
        images = uplink.status().images
        await wait_until(lambda: images.delivered == 2, 60, "all are delivered")
    rows = await uploads(world)
    digest = hashlib.sha256(octets_of(study[0])).digest()
    objects = await open_objects(load(world.config(COLLECTOR)))
    await objects.delete(digest)
    await objects.close()
    ask_again(tmp_path / "gw", lost, kept)

    def state_of(uid: str) -> ItemState:
        (item,) = items(tmp_path / "gw", uid)
        return item.state

    async with delivering(tmp_path / "gw", settings, GATEWAY) as (uplink, _):
        images = uplink.status().images
        await wait_until(lambda: state_of(lost) is ItemState.DAMAGED, 60, "the loss is told")
        await wait_until(lambda: state_of(kept) is ItemState.DELIVERED, 60, "it is there still")
        assert images.octets == 0
    assert await uploads(world) == rows
    put_images(tmp_path / "gw", study[:1])
    async with delivering(tmp_path / "gw", settings, GATEWAY):
        await wait_until(lambda: state_of(lost) is ItemState.DELIVERED, 60, "it came again")
    assert await objects_of(world) == {hashlib.sha256(f).digest(): f for f in files.values()}


async def asked(world: CollectorWorld, *words: str) -> str:
    """What a command on blobs prints; in this process, as its imports cost more than its work."""
    command = ["blobs", *words, "--config", str(world.config(COLLECTOR))]
    with contextlib.redirect_stdout(io.StringIO()) as answer:
        assert await asyncio.to_thread(main, command) == 0
    return answer.getvalue()


@pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
async def test_what_is_no_dicom_file_is_kept_and_shown(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    junk = b"\0" * 128 + b"DICM" + b"no data set" * 100
    with receiving(tmp_path / "gw") as spool:
        put(spool, junk, "1.2.3")
        put(spool, octets_of(image(SOPInstanceUID="1.2.4")), "1.2.4")
        put(spool, octets_of(image(SOPInstanceUID="1.2.5")), "1.2.6")
    world.start(COLLECTOR)
    async with delivering(tmp_path / "gw", settings_of(authority, broker), GATEWAY) as (uplink, _):
        images = uplink.status().images
        await wait_until(
            lambda: (images.delivered, images.set_aside) == (1, 2), 60, "all have a receipt"
        )
    digest = hashlib.sha256(junk).digest()
    assert (await objects_of(world))[digest] == junk
    store = await world.open_store()
    found = {each.sha256: each for each in await store.blobs_aside()}
    aside = found.pop(digest)
    ((other, lie),) = found.items()
    assert lie.reason == "other-instance", "announced as 1.2.6"
    assert await store.remove_blob_aside(other)
    assert list(await store.receipts(["1.2.4", "1.2.5", "1.2.6"])) == ["1.2.4"]
    await store.close()
    assert digest.hex() in await asked(world, "aside")
    assert "taken off" in await asked(world, "settle", digest.hex())
    assert await asked(world, "aside") == "none\n"
    assert (aside.sha256, aside.size, aside.source.gateway) == (digest, len(junk), GATEWAY)
    (item,) = items(tmp_path / "gw", "1.2.3")
    assert item.state is ItemState.DELIVERED
    assert (item.reason or "").startswith("set aside: ")


def _has_sent(images: ImageState, octets: int) -> bool:
    return images.octets > octets


@pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
async def test_a_transfer_goes_on_after_the_collector_was_killed(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    files = put_images(tmp_path / "gw", [noise_image(16_000_000), noise_image(1_000_000, 2)])
    world.start(COLLECTOR)
    async with delivering(tmp_path / "gw", settings_of(authority, broker), GATEWAY) as (uplink, _):
        images = uplink.status().images
        for octets in (3_000_000, 9_000_000):
            await wait_until(partial(_has_sent, images, octets), 60, "some has gone")
            assert images.delivered == 0
            await world.kill(COLLECTOR)
            world.start(COLLECTOR)
        await wait_until(lambda: images.delivered == len(files), 90, "all are delivered")
    assert await objects_of(world) == {hashlib.sha256(f).digest(): f for f in files.values()}
    assert await uploads(world) == [(item, "stored") for item in sorted(files)]
    # Twice a window and what was not a part yet; not the files anew.
    assert images.octets_again < 8_000_000


def put_steps(data_dir: Path, *uids: str) -> None:
    """Begin and end a procedure step for each of these UIDs, an image between."""
    with receiving(data_dir) as spool:
        for name, number, event in (("create", 1, begun()), ("set", 2, ended())):
            for uid in uids:
                kind: Literal["create", "set"] = "create" if name == "create" else "set"
                file = step_file(uid, ExplicitVRLittleEndian, kind, number, written(event))
                incoming = spool.begin(BlobKind.STEP, uid, len(file))
                incoming.write(file)
                incoming.accept({"sop_instance": uid, "event": name, "calling_ae": "CT1"})
            uid = f"1.2.3.{number}"
            put(spool, octets_of(image(SOPInstanceUID=uid)), uid)


@pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
async def test_steps_go_up_in_order_and_the_worklist_comes_down(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    put_steps(tmp_path / "gw", "1.2.1", "1.2.2")
    store = await world.open_store()
    entry = NewEntry(
        accession="ACC-1", step_id="SPS-1", study_uid="1.2.840.1", patient=None, patient_id="T-1",
        issuer="", modality="CT", station_ae="CT1", starts="20260131 101500", gateways=(GATEWAY,),
        data_set=b"a data set",
    )  # fmt: skip
    await store.put_entries([entry])
    world.start(COLLECTOR)
    async with delivering(tmp_path / "gw", settings_of(authority, broker), GATEWAY) as (uplink, _):
        images = uplink.status().images
        await wait_until(lambda: images.delivered == 6, 60, "steps and images are delivered")
        await wait_until(partial(_revision, tmp_path / "gw"), 60, "the worklist is here")
    steps = {step.sop_uid: step for step in await store.steps()}
    assert {(uid, step.status, step.events) for uid, step in steps.items()} == {
        ("1.2.1", StepStatus.COMPLETED, 2),
        ("1.2.2", StepStatus.COMPLETED, 2),
    }
    assert len(await objects_of(world)) == 2, "steps are rows, and leave no object"
    await store.close()


def _revision(data_dir: Path) -> int:
    spool = open_spool(data_dir, KEY)
    assert isinstance(spool, SqliteSendingSpool)
    try:
        return spool.revision()
    finally:
        spool.close()


@pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
async def test_a_killed_gateway_goes_on_inside_an_image(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    folder = tmp_path / "gw"
    folder.mkdir()
    own = authority.ensure_client(GATEWAY, Role.GATEWAY)
    files = put_images(folder / "data", [noise_image(3_000_000)])
    write_private(folder / "data" / "outbox.key", KEY.hex() + "\n")
    world.start(COLLECTOR)
    async with NarrowLink("127.0.0.1", broker.port, bytes_a_second=700_000, delay_s=0.02) as line:
        text = gateway_settings(GATEWAY, line.port, own, [], [])
        write_private(folder / "edge.toml", text + "[outbox]\nmin_free_bytes = 0\n")
        command = [sys.executable, "-m", "wardlight_edge", "run"]
        command += ["--config", str(folder / "edge.toml")]
        for part in (0.25, 0.6, None):
            daemon = ChildProcess.spawn(
                command, env={}, log_file=folder / "log", death_signal=signal.SIGKILL
            )
            if part is None:
                await wait_until(partial(uploads, world), 90, "it is delivered")
                assert status_mb(daemon.pid, "VmHWM") < 80
                await daemon.stop(signal.SIGTERM, 60)
            else:
                await wait_until(partial(_has_carried, line, int(part * 3_000_000)), 90)
                os.kill(daemon.pid, signal.SIGKILL)
                await daemon.wait(30)
        # Two windows and twice what was no part yet, TLS and chunks' heads; not the image anew.
        assert line.up.octets < 1.4 * 3_000_000
    assert await objects_of(world) == {hashlib.sha256(f).digest(): f for f in files.values()}
    assert await uploads(world) == [(1, "stored")]


def _has_carried(line: NarrowLink, octets: int) -> bool:
    return line.up.octets > octets


@pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
async def test_a_gateway_that_is_switched_off_delivers_nothing(
    world: CollectorWorld, authority: CertificateAuthority, broker: Broker, tmp_path: Path
) -> None:
    put_images(tmp_path / "gw", [image()])
    store = await world.open_store()
    await store.put_gateway(GATEWAY, enabled=False)
    world.start(COLLECTOR)
    async with delivering(tmp_path / "gw", settings_of(authority, broker), GATEWAY) as (uplink, _):
        images = uplink.status().images
        # The hello of a gateway that is off is not answered either: the broker is up, that is all.
        await wait_until(lambda: images.offers >= 3, 60, "it has asked in vain")
        assert images.delivered == 0
        await store.put_gateway(GATEWAY)
        await wait_until(lambda: images.delivered == 1, 60, "it is let in again")
    await store.close()
