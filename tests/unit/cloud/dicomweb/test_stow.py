"""Storing without a database: limits, groups, clients that go away."""

import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from support.dicom_files import STOW_TYPE, stow_body
from wardlight_cloud.dicomweb.access import Reach
from wardlight_cloud.dicomweb.addresses import Addresses
from wardlight_cloud.dicomweb.arriving import ArrivingFile, sweep
from wardlight_cloud.dicomweb.errors import DicomWebError
from wardlight_cloud.dicomweb.storing import Arrived, Taken, Verdict
from wardlight_cloud.dicomweb.stow import Stow
from wardlight_cloud.store.image_reads import Reader

LARGEST = 4096
_WHO = Reader("client", "modality")


class Keeping:
    """An intake that keeps what it is given, with a verdict of the test's choice."""

    def __init__(self, verdict: Verdict = Verdict.STORED) -> None:
        self.verdict = verdict
        self.groups: list[list[bytes]] = []

    async def take(
        self, files: Sequence[Arrived], *, study_uid: str | None, peer: str
    ) -> Sequence[Taken]:
        self.groups.append([file.file.read_bytes() for file in files])
        return [Taken(self.verdict, "1.2", "1.2.1", "1.2.2", "1.2.3") for _ in files]


def app_of(intake: Keeping, folder: Path) -> Starlette:
    stow = Stow(intake, Addresses("http://x"), folder=folder, largest_bytes=LARGEST)

    async def store(request: Request) -> Response:
        try:
            return await stow.store(request, Reach(_WHO, None, may_store=True))
        except DicomWebError as error:
            return error.response()

    return Starlette(routes=[Route("/studies", store, methods=["POST"])])


async def post(intake: Keeping, folder: Path, body: bytes | AsyncIterator[bytes]) -> httpx.Response:
    transport = httpx.ASGITransport(app_of(intake, folder))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.post("/studies", content=body, headers={"Content-Type": STOW_TYPE})


def left_over(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_a_file_over_the_limit_is_refused_and_the_next_one_stored(tmp_path: Path) -> None:
    intake = Keeping()
    answer = await post(intake, tmp_path, stow_body([b"a" * (LARGEST + 1), b"b" * LARGEST]))
    assert answer.status_code == 202
    assert answer.json()["0008119A"]["Value"][0]["00081197"]["Value"] == [0xA700]
    assert intake.groups == [[b"b" * LARGEST]]
    assert left_over(tmp_path) == []


async def test_many_files_are_taken_in_their_order(tmp_path: Path) -> None:
    intake = Keeping()
    files = [b"%d" % number for number in range(150)]
    assert (await post(intake, tmp_path, stow_body(files))).status_code == 200
    assert [file for group in intake.groups for file in group] == files
    assert 1 < max(map(len, intake.groups)) <= 16
    assert left_over(tmp_path) == []


async def test_a_body_that_trickles_in_is_the_same(tmp_path: Path) -> None:
    body = stow_body([b"\r\n--" * 40, b""])

    async def trickle() -> AsyncIterator[bytes]:
        for place in range(len(body)):
            yield body[place : place + 1]

    intake = Keeping()
    assert (await post(intake, tmp_path, trickle())).status_code == 200
    assert intake.groups == [[b"\r\n--" * 40, b""]]


@pytest.mark.parametrize(
    ("verdict", "status", "reason"),
    [(Verdict.CONFLICT, 409, 0x0111), (Verdict.OTHER_STUDY, 409, 0xA900),
     (Verdict.NO_ROOM, 503, 0xA700), (Verdict.FAILED, 503, 0x0110)],
)  # fmt: skip
async def test_a_verdict_becomes_a_reason(
    tmp_path: Path, verdict: Verdict, status: int, reason: int
) -> None:
    answer = await post(Keeping(verdict), tmp_path, stow_body([b"x"]))
    assert answer.status_code == status
    assert answer.json()["00081198"]["Value"][0]["00081197"]["Value"] == [reason]


async def test_a_disk_that_takes_nothing_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_bytes(b"")  # no folder can be made here
    answer = await post(Keeping(), folder, stow_body([b"x"]))
    assert answer.status_code == 503
    assert answer.json()["0008119A"]["Value"][0]["00081197"]["Value"] == [0xA700]


async def test_a_large_file_is_written_in_pieces(tmp_path: Path) -> None:
    octets = bytes(range(256)) * 20_000
    file = ArrivingFile(tmp_path, largest_bytes=len(octets))
    for start in range(0, len(octets), 70_000):
        await file.write(octets[start : start + 70_000])
    (on_the_way,) = left_over(tmp_path)
    assert on_the_way.stat().st_size >= 4 << 20
    arrived = await file.finish()
    assert arrived.file.read_bytes() == octets
    assert arrived.sha256 == hashlib.sha256(octets).digest()
    file.drop()
    assert left_over(tmp_path) == []


def test_what_ended_processes_left_is_swept(tmp_path: Path) -> None:
    old, young = tmp_path / "stow-old", tmp_path / "decode-young"
    for file in (old, young):
        file.write_bytes(b"x")
    os.utime(old, (1, 1))
    assert sweep(tmp_path, older_than=1000.0) == 1
    assert left_over(tmp_path) == [young]
    assert sweep(tmp_path / "nowhere", older_than=1000.0) == 0
