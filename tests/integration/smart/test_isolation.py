"""A token for one patient, or for some categories, sees nothing else: at any face, in any way."""

from uuid import UUID

import httpx
import pytest

from support.dicom_files import bundled, dataset_of
from support.image_stock import image_stock
from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, MINUTE, SCALE, START, Ward
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import ClientRow, Grant, NewTokens

VITALS = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"


@pytest.fixture
async def measured(ward: Ward) -> Ward:
    """Anna's heart rate, Bert's oxygen saturation."""
    await ward.store_event(One("heart_rate", START, 71, device=CUFF))
    await ward.store_event(One("spo2", START + MINUTE, 97, device=CLIP))
    return ward


async def token_of(ward: Ward, *scopes: str, patient: UUID | None = ANNA) -> dict[str, str]:
    """Headers of an app that was granted these scopes."""
    await ward.store.put_registration(ClientRow("app", scopes, is_public=True))
    token = new_token()
    grant = Grant("app", scopes, "nurse", patient)
    await ward.store.grant(grant, NewTokens(token_hash(token), 60))
    return {"Authorization": f"Bearer {token}"}


def patients_in(answer: httpx.Response) -> set[str]:
    """Whose Observations a Bundle holds."""
    assert answer.status_code == 200, answer.text
    subjects = [entry["resource"]["subject"] for entry in answer.json().get("entry", ())]
    return {subject["reference"].removeprefix("Patient/") for subject in subjects}


def ids_in(answer: httpx.Response) -> set[str]:
    """Ids of the resources that a Bundle holds."""
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ())}


async def test_observations_of_one_patient(measured: Ward) -> None:
    async with measured.client() as everybody:
        found = await everybody.get("/fhir/Observation")
        assert patients_in(found) == {str(ANNA), str(BERT)}
        of_bert = next(
            entry["resource"]["id"]
            for entry in found.json()["entry"]
            if entry["resource"]["subject"]["reference"] == f"Patient/{BERT}"
        )
        own = await token_of(measured, "patient/*.rs")
        for query in (
            "", f"?patient={BERT}", f"?subject=Patient/{BERT}", f"?patient={ANNA},{BERT}",
            f"?_id={of_bert}", f"?device={measured.devices[CLIP]}", "?code=59408-5",
            "?category=vital-signs", "?_lastUpdated=gt2020-01-01", "?_sort=_lastUpdated",
            "?combo-code=59408-5", "?date=ge2020", "?_count=1",
        ):  # fmt: skip
            answer = await everybody.get(f"/fhir/Observation{query}", headers=own)
            assert patients_in(answer) <= {str(ANNA)}, query
            form = dict(pair.split("=", 1) for pair in query.removeprefix("?").split("&") if pair)
            posted = await everybody.post(
                "/fhir/Observation/_search", data={"_count": "50", **form}, headers=own
            )
            assert patients_in(posted) <= {str(ANNA)}, query
        assert patients_in(await everybody.get("/fhir/Observation", headers=own)) == {str(ANNA)}
        for query in (f"?patient={BERT}&_summary=count", f"?_id={of_bert}&_total=accurate"):
            counted = await everybody.get(f"/fhir/Observation{query}", headers=own)
            assert counted.json()["total"] == 0, query
        every = await everybody.get("/fhir/Observation?_summary=count", headers=own)
        assert every.json()["total"] == 1
        refused = await everybody.get(f"/fhir/Observation/{of_bert}", headers=own)
        nobody = await everybody.get(f"/fhir/Observation/{'0' * 32}", headers=own)
        assert refused.status_code == nobody.status_code == 404
        assert refused.json() == nobody.json(), "nothing tells that it exists"


async def test_a_cursor_leads_to_no_other_patient(measured: Ward) -> None:
    await measured.store_event(One("spo2", START + 2 * MINUTE, 96, device=CLIP))
    async with measured.client() as everybody:
        page = (await everybody.get("/fhir/Observation?_count=1")).json()
        following = next(link["url"] for link in page["link"] if link["relation"] == "next")
        own = await token_of(measured, "patient/*.rs")
        answer = await everybody.get(following, headers=own)
        assert answer.status_code == 400 or patients_in(answer) <= {str(ANNA)}


async def test_patients_and_devices_of_one_patient(measured: Ward) -> None:
    async with measured.client() as everybody:
        own = await token_of(measured, "patient/*.rs")
        for query in ("", f"?_id={ANNA},{BERT}", "?family=", "?identifier=A-1"):
            if query != "?family=":
                found = await everybody.get(f"/fhir/Patient{query}", headers=own)
                assert ids_in(found) == {str(ANNA)}, query
        for query in (f"?_id={BERT}", "?family=Brandt", "?identifier=B-1"):
            assert ids_in(await everybody.get(f"/fhir/Patient{query}", headers=own)) == set()
        assert (await everybody.get(f"/fhir/Patient/{BERT}", headers=own)).status_code == 404
        hers = {str(measured.devices[name]) for name in measured.devices if name != CLIP}
        clip = measured.devices[CLIP]
        for query in ("", f"?patient={ANNA}"):
            assert ids_in(await everybody.get(f"/fhir/Device{query}", headers=own)) == hers
        for query in (f"?patient={BERT}", f"?_id={clip}", f"?identifier={CLIP}",
                      "?_id=gateway-gw-test", "?identifier=gw-test"):  # fmt: skip
            answer = await everybody.get(f"/fhir/Device{query}", headers=own)
            assert ids_in(answer) == set(), query
        for identity in (clip, "gateway-gw-test"):
            assert (await everybody.get(f"/fhir/Device/{identity}")).status_code == 200
            answer = await everybody.get(f"/fhir/Device/{identity}", headers=own)
            assert answer.status_code == 404
        cuff = measured.devices[CUFF]
        assert (await everybody.get(f"/fhir/Device/{cuff}", headers=own)).status_code == 200


async def test_a_permission_that_is_missing_is_told(measured: Ward) -> None:
    async with measured.client() as everybody:
        own = await token_of(measured, "patient/Observation.s", "patient/Patient.r")
        assert (await everybody.get("/fhir/Observation", headers=own)).status_code == 200
        assert (await everybody.get(f"/fhir/Patient/{ANNA}", headers=own)).status_code == 200
        for path in (
            "/fhir/Patient", "/fhir/Device", "/fhir/ImagingStudy", "/fhir/DocumentReference",
            "/fhir/Endpoint", f"/fhir/Observation/{'0' * 32}", "/fhir/Device/gateway-gw-test",
        ):  # fmt: skip
            answer = await everybody.get(path, headers=own)
            assert answer.status_code == 403, path
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
            assert answer.json()["issue"][0]["code"] == "forbidden"
        assert (await everybody.get("/fhir/metadata", headers=own)).status_code == 200
        for path in ("/dicom-web/studies", "/dicom-web/studies/1.2.3"):
            assert (await everybody.get(path, headers=own)).status_code == 403
        form = await everybody.post("/dicom-web/studies", content=b"x", headers=own)
        assert form.status_code == 403


async def test_categories_that_a_token_is_held_to(measured: Ward) -> None:
    """A heart rate is a vital sign, body fat is found by examination."""
    await measured.store_event(One("body_fat", START + 3 * MINUTE, 21, device=SCALE))
    async with measured.client() as everybody:
        whole = ids_in(await everybody.get(f"/fhir/Observation?patient={ANNA}"))
        vital = ids_in(
            await everybody.get(f"/fhir/Observation?patient={ANNA}&category=vital-signs")
        )
        assert vital < whole, "the test needs one of another category"
        own = await token_of(measured, f"patient/Observation.rs?category={VITALS}")
        assert ids_in(await everybody.get("/fhir/Observation", headers=own)) == vital
        for other in whole - vital:
            found = await everybody.get(f"/fhir/Observation?_id={other}", headers=own)
            assert ids_in(found) == set()
            read = await everybody.get(f"/fhir/Observation/{other}", headers=own)
            assert read.status_code == 404
        for one in vital:
            read = await everybody.get(f"/fhir/Observation/{one}", headers=own)
            assert read.status_code == 200
        ecgs = await everybody.get("/fhir/Observation?code=11524-6", headers=own)
        assert ids_in(ecgs) == set()
        nothing = await token_of(measured, "patient/Observation.rs?category=laboratory")
        assert ids_in(await everybody.get("/fhir/Observation", headers=nothing)) == set()


async def test_the_live_feed_keeps_to_the_patient(measured: Ward) -> None:
    async with measured.client() as everybody:
        own = await token_of(measured, "patient/Observation.rs")
        other = await everybody.get(f"/api/v1/live?patient={BERT}", headers=own)
        assert other.status_code == 404
        [row] = await measured.store.latest([BERT])
        trend = f"/api/v1/trend?patient={BERT}&series={row.series_id}"
        assert (await everybody.get(trend)).status_code == 200
        assert (await everybody.get(trend, headers=own)).status_code == 404
        for scope in ("patient/Patient.rs", f"patient/Observation.rs?category={VITALS}"):
            narrow = await token_of(measured, scope)
            for path in ("/api/v1/live", trend):
                assert (await everybody.get(path, headers=narrow)).status_code == 403, scope


async def test_user_scopes_reach_all_patients_while_the_user_is_there(measured: Ward) -> None:
    async with measured.client() as everybody:
        own = await token_of(measured, "user/*.rs", patient=None)
        found = await everybody.get("/fhir/Observation", headers=own)
        assert patients_in(found) == {str(ANNA), str(BERT)}
        alone = await token_of(measured, "patient/*.rs", patient=None)
        assert (await everybody.get("/fhir/Observation", headers=alone)).status_code == 403


async def test_images_of_one_patient(ward: Ward) -> None:
    """In FHIR and in DICOMweb; a token for one patient stores nothing."""
    async with image_stock(ward.store, ward.settings) as stock:
        for name, patient in (("CT_small", ANNA), ("waveform_ecg", ANNA), ("MR_small", BERT)):
            await stock.add(bundled(f"{name}.dcm"), patient=patient)
    ours, theirs = (
        dataset_of(bundled(f"{name}.dcm")).StudyInstanceUID for name in ("CT_small", "MR_small")
    )
    async with ward.client() as everybody:
        whole = ids_in(await everybody.get("/fhir/ImagingStudy"))
        of_bert = ids_in(await everybody.get(f"/fhir/ImagingStudy?patient={BERT}"))
        [ecg] = ids_in(await everybody.get("/fhir/Observation?code=11524-6"))
        own = await token_of(ward, "patient/*.cruds")
        assert ids_in(await everybody.get("/fhir/ImagingStudy", headers=own)) == whole - of_bert
        for query in (f"?patient={BERT}", f"?_id={','.join(of_bert)}", "?modality=MR"):
            found = await everybody.get(f"/fhir/ImagingStudy{query}", headers=own)
            assert ids_in(found) == set(), query
        for one in of_bert:
            answer = await everybody.get(f"/fhir/ImagingStudy/{one}", headers=own)
            assert answer.status_code == 404
        studies = (await everybody.get("/dicom-web/studies", headers=own)).json()
        assert {study["0020000D"]["Value"][0] for study in studies} == {
            ours, dataset_of(bundled("waveform_ecg.dcm")).StudyInstanceUID
        }  # fmt: skip
        for place in ("", "/metadata", "/series", "/instances", "/rendered"):
            answer = await everybody.get(f"/dicom-web/studies/{theirs}{place}", headers=own)
            assert answer.status_code == 404, place
        taken = await everybody.get(f"/dicom-web/studies/{ours}/metadata", headers=own)
        assert taken.status_code == 200
        head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
        body = head + bundled("CT_small.dcm") + b"\r\n--x--"
        kind = 'multipart/related; type="application/dicom"; boundary=x'
        for headers, status in ((own, 403), ({}, 403), (await writer_of(ward), 200)):
            answer = await everybody.post(
                "/dicom-web/studies", content=body, headers={"Content-Type": kind, **headers}
            )
            assert answer.status_code == status, answer.text
        assert ids_in(await everybody.get("/fhir/Observation?code=11524-6", headers=own)) == {ecg}
        for category, seen in (("vital-signs", set()), ("procedure", {ecg})):
            only = await token_of(ward, f"patient/Observation.rs?category={category}")
            found = await everybody.get("/fhir/Observation?code=11524-6", headers=only)
            assert ids_in(found) == seen, category
            read = await everybody.get(f"/fhir/Observation/{ecg}", headers=only)
            assert read.status_code == (200 if seen else 404), category
        bert = await token_of(ward, "patient/*.rs", patient=BERT)
        assert ids_in(await everybody.get("/fhir/Observation?code=11524-6", headers=bert)) == set()
        read = await everybody.get(f"/fhir/Observation/{ecg}", headers=bert)
        assert read.status_code == 404


async def writer_of(ward: Ward) -> dict[str, str]:
    """Headers of a client that may store images and nothing else."""
    token = new_token()
    await ward.store.put_client("modality", token_hash(token), ["system/ImagingStudy.c"])
    return {"Authorization": f"Bearer {token}"}
