"""Images over HTTPS by setting: the same files, hashes, receipts; who has no proof stays out."""

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from support.api_process import Api, serving
from support.collector_world import CollectorWorld
from support.imaging_gateway import delivering, items, noise_image, put_images
from support.plain_http import PLAIN
from support.waiting import wait_until
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_cloud.store.object_folder import FolderObjects
from wardlight_edge.config import UplinkSettings
from wardlight_edge.spool.base import ItemState
from wardlight_edge.uplink.signing import Signer
from wardlight_lab.broker import Broker, NatsServer
from wardlight_lab.wan.front import TlsFront
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobKind, BlobStatus, Chunk, Offer

pytestmark = pytest.mark.parametrize("broker", [NatsServer], indirect=True, ids=["nats"])
GATEWAY = "gw-test-2"
PATH = "/api/v1/blobs"


@pytest.fixture
async def api(
    world: CollectorWorld, authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Api]:
    monkeypatch.setenv("WARDLIGHT_BROKER__CA_FILE", str(authority.certificate_file))
    async with serving(world.folder / "api", world.dsn, workers=2) as api:
        yield api


def settings_of(
    authority: CertificateAuthority, name: str = GATEWAY, role: Role = Role.GATEWAY
) -> UplinkSettings:
    own = authority.ensure_client(name, role)
    return UplinkSettings(
        host="127.0.0.1", ca_file=own.authority, cert_file=own.certificate, key_file=own.key,
        ack_timeout_s=2.0, images="https",
    )  # fmt: skip


async def objects_of(api: Api) -> dict[bytes, bytes]:
    async with FolderObjects(api.log.parent / "data" / "objects") as objects:
        return {sha256: await objects.read(sha256) async for sha256, _ in objects.hashes()}


async def test_a_study_goes_up_beside_the_broker_and_over_cuts(
    api: Api, world: CollectorWorld, broker: Broker, authority: CertificateAuthority,
    tmp_path: Path,
) -> None:  # fmt: skip
    study = [noise_image(size, size) for size in (3_000, 300_000, 6_000_000)]
    files = put_images(tmp_path / "gw", study)
    async with TlsFront(authority, int(api.url.rsplit(":", 1)[1])) as front:
        settings = msgspec.structs.replace(
            settings_of(authority), port=broker.port,
            images_url=f"https://127.0.0.1:{front.port}",
        )  # fmt: skip
        async with delivering(tmp_path / "gw", settings, GATEWAY) as (uplink, _):
            images = uplink.status().images
            await wait_until(lambda: images.octets > 1_000_000, 60, "some has gone")
            front.cut()
            await wait_until(lambda: images.delivered == len(files), 60, "all are delivered")
        assert front.connections >= 4
    assert await objects_of(api) == {hashlib.sha256(f).digest(): f for f in files.values()}
    rows = await world.fetch("SELECT item, outcome FROM image_upload ORDER BY item")
    assert [tuple(row) for row in rows] == [(item, "stored") for item in sorted(files)]
    assert images.octets <= sum(map(len, files.values())) + 2 * blobs.LARGEST_CHUNK_BYTES
    for each in study:
        (item,) = items(tmp_path / "gw", str(each.SOPInstanceUID))
        assert item.state is ItemState.DELIVERED


def offer(octets: bytes, item: int = 1) -> Offer:
    digest = hashlib.sha256(octets).digest()
    return Offer(blobs.VERSION, 5, item, digest, len(octets), BlobKind.INSTANCE, 0, {})


async def post(
    api: Api, settings: UplinkSettings, body: bytes, *, at_ms: int | None = None, **headers: str
) -> httpx.Response:
    proof = Signer.load(settings).header(at_ms or time.time_ns() // 1_000_000, PATH, body)
    async with httpx.AsyncClient(timeout=180, verify=PLAIN) as client:
        sent = {"Authorization": proof, **headers}
        return await client.post(f"{api.url}{PATH}", content=body, headers=sent)


async def test_who_has_no_proof_stays_out_and_octets_need_their_hash(
    api: Api, authority: CertificateAuthority, tmp_path: Path
) -> None:
    body = blobs.together([blobs.encode(offer(b"x"))])
    good = settings_of(authority)
    assert (await post(api, good, body)).status_code == 200
    assert (await post(api, good, body, Authorization="Bearer wl_x")).status_code == 401
    stranger = CertificateAuthority.open(tmp_path / "other")
    assert (await post(api, settings_of(stranger), body)).status_code == 401
    collector = settings_of(authority, "collector-1", Role.COLLECTOR)
    assert (await post(api, collector, body)).status_code == 401
    unknown = settings_of(authority, "gw-unknown")
    assert (await post(api, unknown, body)).status_code == 403
    late = await post(api, good, body, at_ms=time.time_ns() // 1_000_000 - 400_000)
    assert late.status_code == 401
    assert abs(int(late.headers["Wardlight-Time"]) - time.time_ns() // 1_000_000) < 60_000
    large = b"\x91" * blobs.MAX_BYTES
    late = await post(api, good, large, at_ms=time.time_ns() // 1_000_000 - 400_000)
    assert late.status_code == 401, "told while the body is still on its way"
    proof = Signer.load(good).header(time.time_ns() // 1_000_000, PATH, body)
    other = blobs.together([blobs.encode(offer(b"y"))])
    assert (await post(api, good, other, Authorization=proof)).status_code == 401
    assert (await post(api, good, b"\x91\x01")).status_code == 400
    assert (await post(api, good, b"\x91" * (blobs.MAX_BYTES + 1))).status_code == 413
    await _wrong_octets_are_sent_anew_and_refused_at_last(api, good)


async def _wrong_octets_are_sent_anew_and_refused_at_last(api: Api, good: UplinkSettings) -> None:
    said = offer(b"what was promised")
    chunk = Chunk(blobs.VERSION, said.sha256, 0, b"what was tampered")
    body = blobs.together([blobs.encode(said), blobs.encode(chunk)])
    answers = [blobs.decode_state((await post(api, good, body)).content) for _ in range(7)]
    statuses = [answer.status for answer in answers]
    assert statuses[:2] == [BlobStatus.WANTED, BlobStatus.WANTED]
    assert answers[0].ranges == []
    # Two workers count apart: one of them has seen three by now.
    refused = answers[statuses.index(BlobStatus.REFUSED)]
    assert refused.items == [1]
    assert await objects_of(api) == {}
