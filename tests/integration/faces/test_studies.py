"""Pages of images over the real app and store: list, search, study, patient, notes, OHIF."""

import html
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from support.dicom_files import image, octets_of
from support.image_stock import image_stock
from support.imaged_ward import CT_SERIES, CT_STUDY, ct_image
from support.postgres import TestServer
from support.served_ward import ANNA, BERT, LOGIN, PASSWORD, WARD, Ward, open_ward
from support.viewer_package import APP, installer, tarball
from wardlight_cloud.dashboard.ohif_install import VIEWERS

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOTE = {
    "sop": f"{CT_SERIES}.1", "frame": 1, "text": "<i>look</i>",
    "drawing": {"shapes": [{"kind": "arrow", "points": [[1, 2], [3, 4]]}]},
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def imaged(
    postgres_server: TestServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Ward]:
    """A ward with one CT of Anna's, for the tests of this file."""
    name = await postgres_server.clone(WARD)
    folder = tmp_path_factory.mktemp("studies")
    ward = await open_ward(postgres_server.server.dsn_of(name), folder)
    async with image_stock(ward.store, ward.settings) as stock:
        await stock.add(octets_of(ct_image(1)))
    yield ward
    await ward.store.close()
    await postgres_server.drop(name)


async def signed_in(client: httpx.AsyncClient) -> None:
    assert (
        await client.post("/login", data={"login": LOGIN, "password": PASSWORD})
    ).status_code == 303


async def test_strangers_see_no_study(imaged: Ward) -> None:
    async with imaged.client(token=None) as client:
        for path in ("/studies", f"/studies/{CT_STUDY}", "/ohif/viewer", "/ohif/start.js"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
        for answer in (
            await client.get(f"/studies/{CT_STUDY}/notes"),
            await client.post(f"/studies/{CT_STUDY}/notes", json=NOTE),
        ):
            assert answer.status_code == 401
            assert "session has ended" in answer.json()["error"]


async def test_studies_are_found_without_a_name_in_an_address(imaged: Ward) -> None:
    async with imaged.client(token=None) as client:
        await signed_in(client)
        page = await client.get("/studies")
        assert "Almeida, Anna" in page.text
        assert "CT of the chest" in page.text
        assert "1 image in 1 series" in page.text
        for form, is_found in (
            ({"name": "alm"}, True), ({"name": "anna alme"}, True), ({"name": "brandt"}, False),
            ({"number": "A-1"}, True), ({"number": "A-2"}, False), ({"modality": "ct"}, True),
            ({"modality": "US"}, False), ({"since": "2026-01-31", "until": "2026-01-31"}, True),
            ({"until": "2026-01-30"}, False), ({"accession": "ACC*"}, True),
        ):  # fmt: skip
            answer = await client.post("/studies", data=form)
            assert answer.status_code == 200
            assert ("CT of the chest" in answer.text) is is_found, form
            assert is_found or "No study fits this search" in answer.text
        answer = await client.post("/studies", data={"since": "soon"})
        assert answer.status_code == 400
        assert "A date is written as 2026-01-31." in answer.text
        assert (await client.post("/studies", data={"name": "x", "all": "1"})).headers[
            "location"
        ] == "/studies"
        foreign = await client.post("/studies", data={}, headers={"Origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert (
            "There are no more studies." in (await client.post("/studies", data={"page": "9"})).text
        )


async def test_a_study_s_page_says_whose_it_is(imaged: Ward) -> None:
    async with imaged.client(token=None) as client:
        await signed_in(client)
        page = await client.get(f"/studies/{CT_STUDY}")
        assert f'href="/patients/{ANNA}"' in page.text
        assert 'class="relation"' not in page.text
        assert "frame-src 'self' blob:" in page.headers["content-security-policy"]
        await imaged.store.assign_study(CT_STUDY, BERT, by=LOGIN)
        page = await client.get(f"/studies/{CT_STUDY}")
        assert "Assigned by an order or an operator" in page.text
        assert "Record of Brandt, Bert" in page.text
        assert "CT of the chest" not in (await client.get(f"/patients/{ANNA}")).text
        assert "CT of the chest" in (await client.get(f"/patients/{BERT}")).text
        await imaged.store.assign_study(CT_STUDY, ANNA, by=LOGIN)
        for unknown in ("1.2.3", "..%2Fx", "1'--"):
            assert (await client.get(f"/studies/{unknown}")).status_code == 404
            assert (await client.get(f"/studies/{unknown}/notes")).status_code == 404


async def test_operators_see_what_waits_for_them(imaged: Ward) -> None:
    async with imaged.client(token=None) as client:
        await signed_in(client)
        page = html.unescape((await client.get("/operations")).text)
        assert "every study belongs to a patient" in page
        async with image_stock(imaged.store, imaged.settings) as stock:
            for unknown in (image(PatientID="N-1"), ct_image(1, PatientName="Other^One")):
                await stock.add(octets_of(unknown))
        page = html.unescape((await client.get("/operations")).text)
        assert "the register has no patient of this number" in page
        assert "1 SOP Instance UID of which different files came" in page
        assert "perhaps of another patient" not in page
        assert "Testperson" not in page
        async with image_stock(imaged.store, imaged.settings) as stock:
            hidden = ct_image(1, study_uid="7.7.7", series_uid="7.7.8", PatientID="B-1")
            await stock.add(octets_of(hidden))
        page = html.unescape((await client.get("/operations")).text)
        assert "perhaps of another patient" in page and "<code>7.7.7</code>" in page


async def test_without_images_pages_say_how_they_come(browsed_ward: Ward) -> None:
    async with browsed_ward.client(token=None) as client:
        await signed_in(client)
        page = (await client.get("/studies")).text
        assert "No images yet." in page
        assert "wardlight-cloud import dicom" in page
        assert "No images of this patient yet." in (await client.get(f"/patients/{ANNA}")).text


async def test_notes_are_written_read_and_on_the_timeline(imaged: Ward) -> None:
    async with imaged.client(token=None) as client:
        await signed_in(client)
        address = f"/studies/{CT_STUDY}/notes"
        assert (await client.get(address)).json() == []
        answer = await client.post(address, json=NOTE)
        assert answer.status_code == 201
        (found,) = (await client.get(address)).json()
        assert found["author"] == LOGIN
        assert found["text"] == "<i>look</i>"
        assert found["drawing"]["shapes"] == NOTE["drawing"]["shapes"]  # type: ignore[index]
        patient = (await client.get(f"/patients/{ANNA}")).text
        assert html.escape("<i>look</i>") in patient
        assert f"/studies/{CT_STUDY}#image={CT_SERIES}.1" in patient
        assert "<i>look" not in patient
        for changed, words in (
            ({"sop": "1.2.3"}, "not in this study"), ({"text": ""}, "Write something"),
        ):  # fmt: skip
            refused = await client.post(address, json=NOTE | changed)
            assert refused.status_code == 422
            assert words in refused.json()["error"]
        evil = {"Origin": "https://evil.example"}
        assert (await client.post(address, json=NOTE, headers=evil)).status_code == 413
        assert (await client.post(address, content=b"x" * 70_000)).status_code == 413
        assert len((await client.get(address)).json()) == 1


async def test_a_note_in_error_is_withdrawn_or_corrected_and_says_so(imaged: Ward) -> None:
    """Nothing that was written disappears: the timeline strikes it and names who and when."""
    async with imaged.client(token=None) as client:
        await signed_in(client)
        address = f"/studies/{CT_STUDY}/notes"
        wrong, left = [
            (await client.post(address, json=NOTE | {"text": text})).json()["id"]
            for text in ("wrong patient", "left side")
        ]
        evil = {"Origin": "https://evil.example"}
        withdrawal = f"{address}/{wrong}/withdrawal"
        assert (await client.post(withdrawal, headers=evil)).status_code == 403
        assert (await client.post(f"{address}/{uuid4()}/withdrawal")).status_code == 404
        assert all(each["withdrawn"] is None for each in (await client.get(address)).json())
        assert (await client.post(withdrawal)).status_code == 204
        right = NOTE | {"text": "right side", "replaces": left}
        assert (await client.post(address, json=right)).status_code == 201
        refused = await client.post(address, json=NOTE | {"replaces": str(uuid4())})
        assert (refused.status_code, "corrects" in refused.json()["error"]) == (422, True)
        found = {each["text"]: each for each in (await client.get(address)).json()}
        assert found["right side"]["replaces"] == left
        assert found["right side"]["withdrawn"] is None
        assert [found[text]["withdrawn"]["by"] for text in ("wrong patient", "left side")] == [
            LOGIN, LOGIN,
        ]  # fmt: skip
        page = (await client.get(f"/patients/{ANNA}")).text
        assert "<s>wrong patient</s>" in page
        assert f"Entered in error: {LOGIN}, 20" in page
        assert f"Corrected by another note: {LOGIN}, 20" in page
        assert "<s>right side" not in page
    async with imaged.client(token=None) as stranger:
        assert (await stranger.post(withdrawal)).status_code == 401


async def test_who_looked_at_images_is_on_record(imaged: Ward) -> None:
    """A person by page and pictures, a client by DICOMweb; what is not there is nobody's."""
    instance = f"/dicom-web/studies/{CT_STUDY}/series/{CT_SERIES}/instances/{CT_SERIES}.1"
    before = await _requests(imaged)
    async with imaged.client(token=None) as client:
        await signed_in(client)
        for address in (f"/studies/{CT_STUDY}", f"{instance}/rendered", f"{instance}/metadata"):
            assert (await client.get(address)).status_code == 200
        assert (await client.get("/studies/9.9.9")).status_code == 404
    async with imaged.client() as client:
        study = f"/dicom-web/studies/{CT_STUDY}"
        for address in (f"{study}/series", instance, "/dicom-web/studies", f"{study}9/series"):
            assert (await client.get(address)).status_code in (200, 204)
        assert (await client.get(f"{study}9/metadata")).status_code == 404
    found = await _requests(imaged) - before
    assert found == {
        ("user", LOGIN, "viewer"): 1, ("user", LOGIN, "dicomweb"): 2,
        ("client", "ehr", "dicomweb"): 2,
    }  # fmt: skip
    assert {each.study_uid for each in await imaged.store.image_reads()} == {CT_STUDY}


async def _requests(ward: Ward) -> Counter[tuple[str, str, str]]:
    """Requests for images of Anna's, by who and which face."""
    reads = await ward.store.image_reads(patient=ANNA)
    return Counter({(e.reader.kind, e.reader.name, e.face): e.requests for e in reads})


async def test_ohif_is_served_once_it_is_installed(imaged: Ward, tmp_path: Path) -> None:
    async with imaged.client(token=None) as client:
        await signed_in(client)
        absent = await client.get("/ohif/viewer?StudyInstanceUIDs=1.2")
        assert absent.status_code == 404
        assert "Open in OHIF" not in (await client.get(f"/studies/{CT_STUDY}")).text
        assert "wardlight-cloud viewer install" in absent.text
        package = tarball(tmp_path / "ohif.tgz")
        installer(imaged.settings.data_dir / VIEWERS, package).install(package)
        link = f'href="/ohif/viewer?StudyInstanceUIDs={CT_STUDY}"'
        assert link in (await client.get(f"/studies/{CT_STUDY}")).text
        page = await client.get("/ohif/viewer?StudyInstanceUIDs=1.2")
        assert "/ohif/start.js" in page.text
        assert page.headers["cross-origin-opener-policy"] == "same-origin"
        assert page.headers["cross-origin-embedder-policy"] == "require-corp"
        policy = page.headers["content-security-policy"]
        assert "'wasm-unsafe-eval'" in policy
        assert "'unsafe-eval'" not in policy
        assert "script-src 'self' 'wasm" in policy
        assert "no-cache" in page.headers["cache-control"]
        script = await client.get(f"/ohif/{APP}")
        assert "immutable" in script.headers["cache-control"]
        assert script.headers["content-encoding"] == "gzip"
        plain = await client.get(f"/ohif/{APP}", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == script.content
        wasm = await client.get("/ohif/0123456789abcdef.wasm")
        assert wasm.headers["content-type"] == "application/wasm"
        (imaged.settings.data_dir / VIEWERS / "secret.txt").write_text("secret")
        for path in (
            "none.js",
            "..%2fsecret.txt",
            "assets/..%2f..%2fsecret.txt",
            f"{APP}.gz",
            "%00.js",
        ):
            assert (await client.get(f"/ohif/{path}")).status_code == 404, path
        assert (await client.get("/ohif")).headers["location"] == "/studies"


async def test_an_object_of_somebody_else_in_a_study_is_told(imaged: Ward) -> None:
    """The heading has the words of one instance only."""
    study, same = "1.2.826.0.1.3680043.8.498.70", {"PatientBirthDate": ""}
    full = ct_image(
        1, study_uid=study, SOPInstanceUID=f"{study}.1", PatientComments="c" * 90, **same
    )
    alike = ct_image(
        2, study_uid=study, SOPInstanceUID=f"{study}.2", PatientName="ALMEIDA^A", **same
    )
    other = ct_image(
        3, study_uid=study, SOPInstanceUID=f"{study}.3", PatientName="SMITH^JOHN", PatientSex="M",
        **same,
    )  # fmt: skip
    async with imaged.client(token=None) as client:
        await signed_in(client)
        async with image_stock(imaged.store, imaged.settings) as stock:
            for dataset in (full, alike):
                await stock.add(octets_of(dataset))
            assert "Not all objects" not in (await client.get(f"/studies/{study}")).text
            await stock.add(octets_of(other))
        page = html.unescape((await client.get(f"/studies/{study}")).text)
        assert "Almeida, Anna" in page
        assert "1 of 3 say SMITH JOHN, number A-1, male" in page
