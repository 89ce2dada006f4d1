"""Images, orders, and answers of operations, histories and Bundles, against the definitions of HL7.

What R4 and the claimed profiles say (support/fhir_definitions), and the models of fhir.resources.
"""

import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from support.dicom_files import bundled, dataset_of, image, octets_of
from support.fhir_definitions.package import require_definitions
from support.fhir_definitions.validator import Validator
from support.image_stock import image_stock
from support.imaged_ward import pdf_report
from support.readings import One, cuff
from support.served_ward import ANNA, BERT, CLIP, CUFF, SCALE, START, Ward
from support.stored_resources import created, observation, task, writing_client
from wardlight_cloud.fhir import imaging_resources, observation_texts
from wardlight_cloud.fhir.operations.statistics import STATISTICS
from wardlight_cloud.fhir.own.provenance import OTHERS_EXTENSION
from wardlight_cloud.fhir.resources import CALIBRATION_EXTENSION, LAST_SEEN_EXTENSION
from wardlight_cloud.fhir.stored import issue, validating
from wardlight_cloud.fhir.stored.validation import Validation
from wardlight_cloud.store.batch import Detail
from wardlight_cloud.store.orders import NewEntry
from wardlight_shared.model import CODE_BY_ABSENT, Absent, Flag

Json = Any
SECOND = timedelta(seconds=1)
OWN_EXTENSIONS = frozenset(
    [
        getattr(module, name)
        for module in (imaging_resources, observation_texts)
        for name in vars(module)
        if name.endswith("_EXTENSION")
    ]
    + [OTHERS_EXTENSION, LAST_SEEN_EXTENSION, CALIBRATION_EXTENSION]
)
# Modalities of DICOM (PS3.16, CID 29) that the package's list of DCM codes does not hold.
NOT_LISTED = {f"http://dicom.nema.org/resources/ontology/DCM has no {code}" for code in ("DOC",)}


@pytest.fixture
def validator() -> Validator:
    return Validator(require_definitions(), own_extensions=OWN_EXTENSIONS)


@pytest.fixture(autouse=True)
def validated_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written is checked by the same rules without a process."""

    async def checked(_: Validation, resources: list[bytes]) -> list[list[issue.Issue]]:
        return [validating.issues(text) for text in resources]

    monkeypatch.setattr(Validation, "_issues", checked)


def conforming(answer: httpx.Response, validator: Validator) -> Json:
    """The body, when nothing is wrong with it."""
    assert answer.status_code == 200, answer.text
    body = json.loads(answer.text, parse_float=Decimal)
    wrong = [each for each in validator.issues(whole(body)) if each.text not in NOT_LISTED]
    assert not wrong, (str(answer.url), wrong[:5])
    get_fhir_model_class(body["resourceType"]).model_validate_json(answer.content)
    return body


def whole(body: Json) -> Json:
    """Without the profiles of resources that say that they are not whole: R4 is what is asked."""
    checked = copy.deepcopy(body)
    for entry in checked.get("entry", []):
        meta = entry.get("resource", {}).get("meta", {})
        if any(tag["code"] == "SUBSETTED" for tag in meta.get("tag", [])):
            meta.pop("profile", None)
    return checked


async def conforming_pages(
    client: httpx.AsyncClient, path: str, validator: Validator
) -> list[Json]:
    """Entries of all pages, each page sound."""
    entries: list[Json] = []
    url: str | None = f"/fhir/{path}"
    while url is not None:
        page = conforming(await client.get(url), validator)
        entries += page.get("entry", [])
        links = {each["relation"]: each["url"] for each in page.get("link", [])}
        url = links.get("next")
    return entries


# ---------------------------------------------------------------- images and orders


def order(accession: str, patient: UUID, **more: Any) -> NewEntry:
    entry = NewEntry(
        accession=accession, step_id="1", study_uid=f"1.2.{sum(accession.encode())}",
        patient=patient, patient_id=accession, issuer="", modality="CT", station_ae="CT1",
        starts="20260203 080000", gateways=("gw-imaging",), data_set=b"x",
    )  # fmt: skip
    return replace(entry, **more)


@asynccontextmanager
async def images(ward: Ward) -> AsyncIterator[None]:
    """Of each kind that has a template of its own, well and damaged, with and without an order."""
    async with image_stock(ward.store, ward.settings) as stock:
        await ward.store.put_gateway("gw-imaging")
        orders = [
            order("A-77", ANNA), order("A-77", ANNA, step_id="2", modality="US"),
            order("A-78", ANNA, starts=""), order("B-1", BERT),
        ]  # fmt: skip
        for each in orders:
            await ward.store.put_entries([each])
        await ward.store.remove_entries("B-1")
        for name in ("CT_small.dcm", "test-SR.dcm", "waveform_ecg.dcm", "JPEG2000.dcm"):
            await stock.add(bundled(name), patient=ANNA)
        await stock.add(octets_of(pdf_report()), patient=ANNA)
        ordered = image(AccessionNumber="A-77", TimezoneOffsetFromUTC="+0100", StudyTime="101500")
        await stock.add(octets_of(ordered), patient=ANNA)
        await stock.add(bundled("MR_small.dcm"), patient=BERT)
        (ref,) = await ward.store.instances(dataset_of(bundled("MR_small.dcm")).StudyInstanceUID)
        await ward.store.note_check(ref.sha256, "differs")
        yield


async def test_images_and_orders_conform(ward: Ward, validator: Validator) -> None:
    searches = {
        "ImagingStudy": 7, "DocumentReference": 2, "Endpoint": 2, "Observation?code=11524-6": 1,
        "ServiceRequest": 3,
    }  # fmt: skip
    async with images(ward), ward.client() as client:
        for search, number in searches.items():
            joint = "&" if "?" in search else "?"
            entries = await conforming_pages(client, f"{search}{joint}_count=2", validator)
            assert len(entries) == number, search
            for each in entries:
                resource = each["resource"]
                one = f"/fhir/{resource['resourceType']}/{resource['id']}"
                assert conforming(await client.get(one), validator) == resource
                assert not validator.unknown_profiles(resource)
        for kind in ("ImagingStudy", "DocumentReference", "ServiceRequest"):
            assert await conforming_pages(client, f"{kind}?_sort=_lastUpdated", validator)
        studies = await conforming_pages(client, "ImagingStudy", validator)
        orders = await conforming_pages(client, "ServiceRequest", validator)
    texts = json.dumps(studies, default=float)
    assert imaging_resources.AVAILABILITY_EXTENSION in texts, "one of them is damaged"
    assert "basedOn" in texts
    assert {each["resource"]["status"] for each in orders} == {"active", "revoked"}


async def test_the_definitions_see_what_is_wrong_with_an_image(
    ward: Ward, validator: Validator
) -> None:
    """What is not listed is one code: a fault beside it is a fault."""
    async with images(ward), ward.client() as client:
        found = await conforming_pages(client, "ImagingStudy?modality=DOC", validator)
        (document, *_) = await conforming_pages(client, "DocumentReference", validator)
    study = found[0]["resource"]
    assert {each.text for each in validator.issues(study)} == NOT_LISTED
    series = {name: each for name, each in study["series"][0].items() if name != "uid"}
    wrong = validator.issues(study | {"status": "here", "series": [series]})
    assert {each.rule for each in wrong} == {"coding", "binding", "minimum"}
    assert validator.issues(document["resource"] | {"content": []})


# ---------------------------------------------------------------- operations and histories


def told(one: One, status: str | None = None) -> One:
    """A reading with its sender's time, and what it says of one sent before."""
    context = () if status is None else (("status", status),)
    flag = {None: 0, "corrected": int(Flag.CORRECTED)}.get(status, int(Flag.WITHDRAWN))
    detail = Detail(0, None, None, "2026-03-10T13:00:00", None, context)
    return replace(one, flags=one.flags | flag, detail=detail)


async def fill(client: httpx.AsyncClient, ward: Ward) -> dict[str, str]:
    """Readings of both, one corrected and withdrawn; written ones; ids by name."""
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await ward.store_event(One("spo2", START + SECOND, 20, device=CLIP, flags=int(Flag.INVALID)))
    for place, systolic in enumerate((120, 124, 118, 131, 125)):
        await ward.store_event(*cuff(START + place * SECOND, systolic, 80, device=CUFF))
    await ward.store_event(One("body_temperature", START, 375, -1, device=SCALE))
    weight = One("body_weight", START, 72_500, -3, device=SCALE, ord=256)
    await ward.store_event(told(weight))
    await ward.store_event(told(replace(weight, mantissa=75_200, ord=512), "corrected"))
    written = await created(client, observation())
    done = await created(client, task())
    gone = await created(client, task(BERT))
    changed = await client.put(f"/fhir/Task/{done['id']}", json={**done, "status": "completed"})
    ended = await client.delete(f"/fhir/Task/{gone['id']}")
    assert (changed.status_code, ended.is_success) == (200, True)
    answer = await client.get("/fhir/Observation?code=29463-7")
    return {
        "weight": answer.json()["entry"][0]["resource"]["id"],
        "written": written["id"], "done": done["id"], "gone": gone["id"],
    }  # fmt: skip


async def test_answers_of_operations_conform(ward: Ward, validator: Validator) -> None:
    stats = (
        f"Observation/$stats?subject=Patient/{ANNA}&code=8480-6,8867-4&system=http://loinc.org"
        "&period=2026-03-01/2026-03-30"
        + "".join(f"&statistic={name}" for name in sorted(STATISTICS))
    )
    async with writing_client(ward) as client:
        await fill(client, ward)
        for patient in (ANNA, BERT):
            everything = await conforming_pages(client, f"Patient/{patient}/$everything", validator)
            paged = await conforming_pages(
                client, f"Patient/{patient}/$everything?_count=3", validator
            )
            assert len(everything) == len(paged) > 3
            last = await conforming_pages(
                client, f"Observation/$lastn?patient={patient}&max=2", validator
            )
            assert last
        told_numbers = conforming(await client.get(f"/fhir/{stats}"), validator)
        assert len(told_numbers["parameter"]) == 2
        parts = told_numbers["parameter"][0]["resource"]["component"]
        assert sum("valueQuantity" in part for part in parts) == len(STATISTICS)
        empty = stats.replace("8480-6,8867-4", "2339-0")
        conforming(await client.get(f"/fhir/{empty}"), validator)
        conforming(await client.get(f"/fhir/Observation/$lastn?patient={ANNA}&code=1-1"), validator)


async def test_histories_conform(ward: Ward, validator: Validator) -> None:
    """What was corrected, withdrawn, changed and deleted; of one, of a type and of all."""
    async with writing_client(ward) as client:
        ids = await fill(client, ward)
        weight = One("body_weight", START, 0, -3, device=SCALE, ord=768)
        absent = CODE_BY_ABSENT[Absent.INVALID]
        await ward.store_event(told(replace(weight, absent=absent), "deleted"))
        versions = {
            f"Observation/{ids['weight']}": 3, f"Observation/{ids['written']}": 1,
            f"Task/{ids['done']}": 2, f"Task/{ids['gone']}": 2,
        }  # fmt: skip
        for one, number in versions.items():
            entries = await conforming_pages(client, f"{one}/_history", validator)
            assert len(entries) == number, one
            assert await conforming_pages(client, f"{one}/_history?_count=1", validator) == entries
        for path in ("Task/_history", "Patient/_history", "_history"):
            assert await conforming_pages(client, path, validator), path
        for kind in ("Device", "DeviceMetric", "Provenance"):
            (entry, *_) = await conforming_pages(client, kind, validator)
            one = entry["resource"]["id"]
            assert len(await conforming_pages(client, f"{kind}/{one}/_history", validator)) == 1


async def test_parts_and_neighbours_of_searches_conform(ward: Ward, validator: Validator) -> None:
    """Inclusions, summaries, chosen elements, counts."""
    async with writing_client(ward) as client:
        await fill(client, ward)
        for search in (
            "Observation?_include=Observation:device&_include=Observation:patient",
            "Observation?_revinclude=Provenance:target", "Patient?_revinclude=Observation:patient",
            "Observation?_summary=true", "Observation?_summary=data",
            "Observation?_elements=valueQuantity", "Patient?_elements=name", "Task?_summary=true",
            "Observation?_summary=count", "Task?_total=accurate&_sort=-_lastUpdated",
            "Device?_summary=true",
        ):  # fmt: skip
            conforming(await client.get(f"/fhir/{search}"), validator)


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_answers_to_bundles_conform(ward: Ward, validator: Validator, kind: str) -> None:
    async with writing_client(ward) as client:
        await fill(client, ward)
        requests = [
            {"fullUrl": "urn:uuid:0b8f4f5e-6f0a-4a3b-9d3e-7f1f6f0c2a99", "resource": task(),
             "request": {"method": "POST", "url": "Task"}},
            {"request": {"method": "GET", "url": f"Observation?patient={ANNA}"}},
            {"request": {"method": "GET", "url": f"Patient/{BERT}"}},
        ]  # fmt: skip
        if kind == "batch":
            requests.append({"request": {"method": "GET", "url": "Patient/nobody"}})
        bundle = {"resourceType": "Bundle", "type": kind, "entry": requests}
        answer = conforming(await client.post("/fhir", json=bundle), validator)
    assert answer["type"] == f"{kind}-response"
    assert len(answer["entry"]) == len(requests)
