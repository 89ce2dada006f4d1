"""Blobs over HTTPS: no octet of a body is read before all is checked that needs none."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from support.blob_desk import Desk
from support.waiting import wait_until
from wardlight_cloud.blobs import routes
from wardlight_cloud.blobs.proofs import Proofs
from wardlight_cloud.blobs.routes import PATH, BlobRoutes
from wardlight_cloud.security.ca import CertificateAuthority
from wardlight_cloud.security.roles import Role
from wardlight_edge.config import UplinkSettings
from wardlight_edge.uplink.signing import Signer
from wardlight_shared import blobs
from wardlight_shared.blobs import BlobKind, BlobStatus, Chunk, Offer

GATEWAY = "gw-test-1"
BODY = blobs.together(
    [blobs.encode(Offer(blobs.VERSION, 5, 1, b"h" * 32, 9, BlobKind.INSTANCE, 0, {}))]
)


def now_ms() -> int:
    """A proof is good for minutes, and a run of all tests takes longer."""
    return time.time_ns() // 1_000_000


class Face:
    """The route on a desk, and what its clients send; ``reads`` counts looks at a body."""

    def __init__(self, folder: Path) -> None:
        self.authority = CertificateAuthority.open(folder)
        self.enabled = True
        self.reads = 0
        proofs = Proofs.of(self.authority.certificate_file)
        self.ahead = timedelta()
        self.desk = Desk()
        own = BlobRoutes(
            self.desk.intake, self, proofs, lambda: datetime.now(UTC) + self.ahead
        )  # fmt: skip
        self._app = Starlette(routes=list(own.routes()))
        self._settings = _settings(self.authority)

    async def is_enabled(self, gateway: str) -> bool:
        return self.enabled

    def proof(self, body: bytes = BODY, at_ms: int | None = None) -> str:
        return Signer.load(self._settings).header(at_ms or now_ms(), PATH, body)

    async def post(
        self,
        proof: str,
        body: bytes = BODY,
        *,
        told: str | None = None,
        come: Callable[[], Awaitable[Any]] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of the answer; ``come`` is waited for before the body is there."""
        headers = [(b"authorization", proof.encode())]
        headers += [] if told is None else [(b"content-length", told.encode())]
        scope = {
            "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(),
            "headers": headers, "query_string": b"", "http_version": "1.1", "scheme": "https",
        }  # fmt: skip
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            self.reads += 1
            if come is not None:
                await come()
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        return said[0]["status"], said[1]["body"]


def _settings(
    authority: CertificateAuthority, role: Role = Role.GATEWAY, name: str = GATEWAY
) -> UplinkSettings:
    own = authority.ensure_client(name, role)
    return UplinkSettings(
        host="", ca_file=own.authority, cert_file=own.certificate, key_file=own.key
    )


@pytest.fixture
def face(tmp_path: Path) -> Face:
    return Face(tmp_path / "authority")


async def test_a_proven_request_is_answered(face: Face) -> None:
    status, body = await face.post(face.proof(), told=str(len(BODY)))
    assert status == 200
    assert blobs.decode_state(body).status is BlobStatus.WANTED


async def test_no_body_is_read_of_who_cannot_be_a_gateway(face: Face, tmp_path: Path) -> None:
    stranger = CertificateAuthority.open(tmp_path / "stranger")
    proofs = [
        "",
        "Bearer x",
        Signer.load(_settings(stranger)).header(now_ms(), PATH, BODY),
        Signer.load(_settings(face.authority, Role.COLLECTOR, "collector-1")).header(
            now_ms(), PATH, BODY
        ),
        face.proof(at_ms=now_ms() - int(timedelta(hours=1) / timedelta(milliseconds=1))),
    ]
    assert [(await face.post(each))[0] for each in proofs] == [401] * len(proofs)
    face.ahead = timedelta(days=36_500)
    ahead_ms = int(face.ahead / timedelta(milliseconds=1))
    status, why = await face.post(face.proof(at_ms=now_ms() + ahead_ms))
    assert (status, why) == (401, b"the certificate is not valid now\n")
    face.ahead, face.enabled = timedelta(), False
    assert (await face.post(face.proof()))[0] == 403
    assert face.reads == 0


async def test_what_says_that_it_is_too_large_is_not_read(face: Face) -> None:
    for told in (str(blobs.MAX_BYTES + 1), "-1", "x"):
        assert (await face.post(face.proof(), told=told))[0] == 413
    assert face.reads == 0
    large = bytes(blobs.MAX_BYTES + 1)
    assert (await face.post(face.proof(large), large))[0] == 413


async def test_a_signature_of_another_body_is_no_proof(face: Face) -> None:
    assert (await face.post(face.proof(BODY + b"x")))[0] == 401


async def test_a_chunk_that_comes_again_leaves_no_part_and_one_that_mends_does(face: Face) -> None:
    """Beside an object that is there nobody would ever put the part together."""
    octets = b"octets of a file"
    digest = hashlib.sha256(octets).digest()
    offer = Offer(blobs.VERSION, 5, 1, digest, len(octets), BlobKind.INSTANCE, 0, {})
    chunk = Chunk(blobs.VERSION, digest, 0, octets)
    body = blobs.together([blobs.encode(offer), blobs.encode(chunk)])
    for damaged in (b"octets of a fi!e", None):
        desk = face.desk
        desk.objects.objects[digest] = damaged or octets
        states = []
        for _ in range(2):
            status, answer = await face.post(face.proof(body), body)
            assert status == 200
            states.append(blobs.decode_state(answer).status)
        # What is damaged is found by the first, and replaced by the second.
        first = BlobStatus.STORED if damaged is None else BlobStatus.WANTED
        assert states == [first, BlobStatus.STORED]
        assert desk.objects.objects[digest] == octets
        assert desk.objects.arriving == {}
        assert desk.findings == {}


async def test_a_gateway_holds_only_so_many_requests_open(
    face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_AT_ONCE_OF_A_GATEWAY", 2)
    come = asyncio.Event()
    slow = [asyncio.create_task(face.post(face.proof(), come=come.wait)) for _ in range(2)]
    await wait_until(lambda: face.reads == 2)
    assert (await face.post(face.proof()))[0] == 503
    assert face.reads == 2
    come.set()
    assert [status for status, _ in await asyncio.gather(*slow)] == [200, 200]
    assert (await face.post(face.proof()))[0] == 200
