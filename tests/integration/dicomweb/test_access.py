"""Images are PHI: nothing is answered to nobody, and nothing goes into a shared cache."""

import httpx
import pytest
import pytest_asyncio

from support.dicom_files import STOW_TYPE, bundled, dataset_of, stow_body
from support.image_archive import Archive, address
from support.served_ward import BASE, LOGIN, PASSWORD, TOKEN

pytestmark = pytest.mark.asyncio(loop_scope="module")
CT = bundled("CT_small.dcm")
HERE = address(dataset_of(CT))
STUDY = HERE.partition("/series")[0]
PATHS = [
    "/studies", "/series", "/instances", STUDY, f"{STUDY}/series", f"{STUDY}/metadata", HERE,
    f"{HERE}/metadata", f"{HERE}/frames/1", f"{HERE}/rendered", f"{HERE}/thumbnail",
    f"{HERE}/bulkdata/7FE00010", f"{HERE}/frames/1/rendered", "/wado?requestType=WADO",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def stored(archive: Archive) -> None:
    """One image is there."""
    await archive.store(CT)


@pytest.mark.parametrize("path", PATHS)
async def test_nobody_gets_nothing(archive: Archive, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wl_wrong"}, {"Cookie": "wardlight_session=x"}):
        stranger = httpx.AsyncClient(
            transport=httpx.ASGITransport(archive.ward.app), base_url=f"{BASE}/dicom-web"
        )
        answer = await stranger.get(path, headers=headers)
        assert answer.status_code == 401
        assert "Bearer" in answer.headers["www-authenticate"]
        assert answer.headers["cache-control"] == "no-store"


async def test_the_session_of_a_dashboard_sees_and_stores(archive: Archive) -> None:
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(archive.ward.app), base_url=BASE)
    form = {"login": LOGIN, "password": PASSWORD}
    await browser.post("/login", data=form, headers={"Origin": BASE})
    assert (await browser.get("/dicom-web/studies")).status_code == 200
    assert (await browser.get(f"/dicom-web{HERE}/rendered")).status_code == 200
    body = stow_body([bundled("MR_small.dcm")])
    kept = await browser.post(
        "/dicom-web/studies", content=body, headers={"Content-Type": STOW_TYPE}
    )
    assert kept.status_code == 200


async def test_a_token_that_may_only_read_cannot_store(archive: Archive) -> None:
    reader = {"Authorization": f"Bearer {TOKEN}", "Content-Type": STOW_TYPE}
    answer = await archive.client.post("/studies", content=stow_body([CT]), headers=reader)
    assert answer.status_code == 403
    assert "/ImagingStudy.c" in answer.text
    assert (await archive.client.get("/studies", headers=reader)).status_code == 200


async def test_answers_stay_out_of_shared_caches(archive: Archive) -> None:
    for path in PATHS[:-1]:
        answer = await archive.get(path)
        assert answer.status_code == 200, path
        assert "private" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_nothing_is_deleted(archive: Archive) -> None:
    for path in (STUDY, HERE, "/studies"):
        answer = await archive.client.delete(path)
        assert answer.status_code == 405
        assert "GET" in answer.headers["allow"]
    assert (await archive.get(HERE)).status_code == 200
