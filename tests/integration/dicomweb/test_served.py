"""The face behind a real server: large answers, clients that go away, many at a time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from support.api_process import Api, serving
from support.dicom_files import STOW_TYPE, dataset_of, image, octets_of, parts_of, stow_body
from support.image_archive import WARD, address
from support.plain_http import PLAIN
from support.postgres import TestServer
from support.waiting import wait_until
from wardlight_cloud.security.tokens import READ_ALL, STORE_IMAGES, new_token, token_hash
from wardlight_cloud.store.postgres import open_postgres

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIDE = 2048  # 8 MiB, more than one piece
TOKEN = new_token()
LARGE = octets_of(image(side=SIDE, StudyInstanceUID="1.6.1"))
SMALL = [octets_of(image(side=64, StudyInstanceUID="1.6.2", SeriesInstanceUID="1.6.2.1"))
         for _ in range(12)]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """A server process with one large and some small images."""
    name = await postgres_server.clone(WARD)
    dsn = postgres_server.server.dsn_of(name)
    store = await open_postgres(dsn)
    await store.put_client("archive", token_hash(TOKEN), [READ_ALL, STORE_IMAGES])
    await store.close()
    async with serving(tmp_path_factory.mktemp("served"), dsn) as served:
        async with client_of(served) as client:
            for body in ([LARGE], SMALL):
                answer = await client.post("/studies", content=stow_body(body),
                                           headers={"Content-Type": STOW_TYPE})  # fmt: skip
                assert answer.status_code == 200, answer.text
        yield served
    await postgres_server.drop(name)


def client_of(api: Api) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.AsyncClient(
        base_url=f"{api.url}/dicom-web", headers=headers, timeout=180, verify=PLAIN
    )


def here(octets: bytes) -> str:
    return address(dataset_of(octets))


async def test_large_files_are_streamed_whole_and_in_ranges(api: Api) -> None:
    async with client_of(api) as client:
        headers = {"Accept": "application/dicom"}
        whole = await client.get(here(LARGE), headers=headers)
        assert hashlib.sha256(whole.content).digest() == hashlib.sha256(LARGE).digest()
        part = await client.get(here(LARGE), headers={**headers, "Range": "bytes=1000000-6999999"})
        assert part.content == LARGE[1_000_000:7_000_000]
        frame = await client.get(f"{here(LARGE)}/frames/1")
        ((_, content),) = parts_of(frame.headers["content-type"], frame.content)
        assert content == dataset_of(LARGE).PixelData
        zipped = await client.get("/studies/1.6.1", headers={"Accept": "application/zip"})
        assert LARGE in zipped.content


async def test_headers_are_compressed_for_who_takes_it(api: Api) -> None:
    async with client_of(api) as client:
        path = "/studies/1.6.2/metadata"
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        small = await client.get(path, headers={"Accept-Encoding": "gzip;q=0.5"})
        assert small.headers["content-encoding"] == "gzip"
        assert int(small.headers["content-length"]) < len(plain.content) // 4
        assert small.json() == plain.json()
        assert "Accept-Encoding" in small.headers["vary"]


async def test_many_ask_at_a_time(api: Api) -> None:
    async with client_of(api) as client:
        paths = [
            f"{here(octets)}{what}" for octets in SMALL for what in ("", "/rendered", "/frames/1")
        ]
        answers = await asyncio.gather(*(client.get(path) for path in paths * 2))
        assert {answer.status_code for answer in answers} == {200}
        assert [each.content for each in answers[: len(paths)]] == [
            each.content for each in answers[len(paths) :]
        ]


async def test_who_hangs_up_harms_nobody(api: Api) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    for _ in range(5):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /dicom-web{here(LARGE)} HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Accept: application/dicom\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
        )
        await reader.readexactly(100)
        writer.transport.abort()
    async with client_of(api) as client:
        assert (await client.get(here(SMALL[0]))).status_code == 200


async def test_a_sender_that_hangs_up_leaves_no_file(api: Api, tmp_path: Path) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = stow_body([octets_of(image(side=SIDE))])
    writer.write(
        f"POST /dicom-web/studies HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: {STOW_TYPE}\r\n"
        f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
        + body[: len(body) // 2]
    )
    await writer.drain()
    folder = api.log.parent / "data" / "dicomweb"
    await wait_until(lambda: any(folder.iterdir()), 20, "the file arrives")
    writer.transport.abort()
    await wait_until(lambda: not any(folder.iterdir()), 20, "the file is gone")


async def test_the_log_names_no_patient_and_no_uid(api: Api) -> None:
    async with client_of(api) as client:
        await client.get("/studies?PatientName=Testperson*&PatientID=T-1")
        await client.get(f"{here(SMALL[0])}/frames/99")
    log = api.output()
    for secret in ("Testperson", "T-1", "1.6.1", dataset_of(SMALL[0]).SOPInstanceUID, TOKEN):
        assert secret not in log


async def test_requests_are_counted_by_route(api: Api) -> None:
    async with httpx.AsyncClient(verify=PLAIN) as client:
        text = (await client.get(f"{api.url}/metrics")).text
    assert 'route="/dicom-web/studies"' in text
    assert "1.6.2" not in text
