"""ImagingStudy, DocumentReference, Endpoint and ECG Observations over the real app and store."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.endpoint import Endpoint
from fhir.resources.R4B.imagingstudy import ImagingStudy
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.servicerequest import ServiceRequest
from pydicom.dataset import Dataset
from pydicom.uid import UID as DicomUid

from support.dicom_files import bundled, dataset_of, image, octets_of
from support.image_stock import ImageStock, image_stock
from support.served_ward import ANNA, BASE, BERT, Ward
from wardlight_cloud.fhir.imaging_resources import ECG_CLASSES
from wardlight_cloud.fhir.imaging_search import (
    DOCUMENT_PARAMETERS,
    ENDPOINT_PARAMETERS,
    IMAGING_STUDY_PARAMETERS,
)
from wardlight_cloud.fhir.order_search import ORDER_PARAMETERS
from wardlight_cloud.store.orders import NewEntry

MODELS: dict[str, Any] = {
    "ImagingStudy": ImagingStudy,
    "DocumentReference": DocumentReference,
    "Endpoint": Endpoint,
    "Observation": Observation,
    "ServiceRequest": ServiceRequest,
}
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


@pytest.fixture
async def stock(ward: Ward) -> AsyncIterator[ImageStock]:
    """Anna has a CT, an SR, an ECG and a PDF; Bert an MR; a US is nobody's."""
    async with image_stock(ward.store, ward.settings) as stock:
        await stock.add(bundled("CT_small.dcm"), patient=ANNA)
        await stock.add(bundled("test-SR.dcm"), patient=ANNA)
        await stock.add(bundled("waveform_ecg.dcm"), patient=ANNA)
        await stock.add(pdf(), patient=ANNA)
        await stock.add(bundled("MR_small.dcm"), patient=BERT)
        await stock.add(bundled("examples_ybr_color.dcm"))
        await ward.store.put_gateway("gw-imaging")
        await ward.store.put_entries([order("A-77", ANNA), order("A-78", ANNA, modality="MR")])
        await ward.store.put_entries([order("B-1", BERT), order("A-79", None)])
        await ward.store.remove_entries("B-1")
        yield stock


def order(accession: str, patient: UUID | None, *, modality: str = "CT") -> NewEntry:
    return NewEntry(
        accession=accession, step_id="1", study_uid=f"1.2.{sum(accession.encode())}",
        patient=patient, patient_id=accession, issuer="", modality=modality, station_ae="CT1",
        starts="20260203 080000", gateways=("gw-imaging",), data_set=b"x",
    )  # fmt: skip


def pdf() -> bytes:
    """An encapsulated PDF; its pixels are left out."""
    made = image(
        SOPClassUID=PDF, Modality="DOC", DocumentTitle="Letter", AccessionNumber="A-77",
        MIMETypeOfEncapsulatedDocument="application/pdf", EncapsulatedDocument=b"%PDF-1.4\n",
        StudyDate="20260203", TimezoneOffsetFromUTC="+0100",
    )  # fmt: skip
    del made.PixelData
    return octets_of(made)


def resources(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    Bundle.model_validate_json(answer.content)
    return [entry["resource"] for entry in answer.json().get("entry", [])]


async def found(client: httpx.AsyncClient, kind: str, **pairs: str) -> list[dict[str, Any]]:
    return resources(await client.get(f"/fhir/{kind}", params=pairs))


def uid_of(resource: dict[str, Any]) -> str:
    identifier = resource.get("masterIdentifier") or resource["identifier"][0]
    assert identifier["system"] == "urn:dicom:uid"
    return str(identifier["value"]).removeprefix("urn:oid:")


async def test_every_resource_is_valid_and_reads_as_it_was_found(
    ward: Ward, stock: ImageStock
) -> None:
    async with ward.client() as client:
        counts = {}
        for kind, model in MODELS.items():
            code = {"code": "http://loinc.org|11524-6"} if kind == "Observation" else {}
            every = await found(client, kind, **code)
            counts[kind] = len(every)
            for resource in every:
                model.model_validate_json(json.dumps(resource))
                read = await client.get(f"/fhir/{kind}/{resource['id']}")
                assert read.json() == resource
                if "meta" in resource:
                    assert read.headers["etag"] == f'W/"{resource["meta"]["versionId"]}"'
                    again = {"If-None-Match": read.headers["etag"]}
                    url = f"/fhir/{kind}/{resource['id']}"
                    assert (await client.get(url, headers=again)).status_code == 304
    assert counts == {
        "ImagingStudy": 5, "DocumentReference": 2, "Endpoint": 2, "Observation": 1,
        "ServiceRequest": 3,
    }  # fmt: skip


async def test_only_our_own_studies_and_endpoints_are_referred_to(
    ward: Ward, stock: ImageStock
) -> None:
    async with ward.client() as client:
        documents = {each["id"] for each in await found(client, "DocumentReference")}
        studies = [each["id"] for each in await found(client, "ImagingStudy")]
        assert documents and studies
        for address, is_ours in (
            ("", True),
            (f"{BASE}/fhir/", True),
            ("https://o.example/", False),
        ):
            of_studies = [f"{address}ImagingStudy/{each}" for each in studies]
            related = await found(client, "DocumentReference", related=",".join(of_studies))
            assert {each["id"] for each in related} == (documents if is_ours else set()), address
            at = f"{address}Endpoint/dicom-wado-rs"
            assert bool(await found(client, "ImagingStudy", endpoint=at)) is is_ours, address


async def test_study_says_what_the_files_say(ward: Ward, stock: ImageStock) -> None:
    file = dataset_of(bundled("CT_small.dcm"))
    async with ward.client() as client:
        (study,) = await found(client, "ImagingStudy", modality="CT", patient=str(ANNA))
    assert uid_of(study) == file.StudyInstanceUID
    assert study["subject"] == {"reference": f"Patient/{ANNA}"}
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (1, 1)
    assert study["started"] == "2004-01-19T07:27:30-05:00"  # the file says its offset
    assert study["description"] == file.StudyDescription
    (series,) = study["series"]
    assert series["uid"] == file.SeriesInstanceUID
    assert series["modality"]["code"] == "CT"
    assert series["instance"] == [
        {
            "uid": file.SOPInstanceUID,
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{file.SOPClassUID}"},
            "number": 1,
        }
    ]


async def test_order_number_and_offset_are_told(ward: Ward, stock: ImageStock) -> None:
    async with ward.client() as client:
        (study,) = await found(client, "ImagingStudy", identifier="A-77")
        (ecg,) = await found(client, "ImagingStudy", modality="ECG")
    assert study["started"] == "2026-02-03T10:15:00+01:00"
    assert ecg["started"] == "2013-01-25"  # no offset in the file, so no time of day
    number = study["basedOn"][0]["identifier"]
    assert (number["value"], number["type"]["coding"][0]["code"]) == ("A-77", "ACSN")


async def test_a_damaged_file_is_told_and_is_a_new_version(ward: Ward, stock: ImageStock) -> None:
    """Whoever has the study with its version asks anew, and is told; and again when it is well."""
    async with ward.client() as client:
        (study,) = await found(client, "ImagingStudy", patient=str(BERT))
        (ref,) = await ward.store.instances(uid_of(study))
        url = f"/fhir/ImagingStudy/{study['id']}"
        for finding, is_told in (("differs", True), (None, False)):
            etag = (await client.get(url)).headers["etag"]
            await ward.store.note_check(ref.sha256, finding)  # type: ignore[arg-type]
            answer = await client.get(url, headers={"If-None-Match": etag})
            assert answer.status_code == 200
            ImagingStudy.model_validate_json(answer.content)
            assert ("damaged or missing" in str(answer.json().get("note"))) == is_told
            assert ("UNAVAILABLE" in answer.text) == is_told


async def test_an_order_is_a_service_request(ward: Ward, stock: ImageStock) -> None:
    """Its number is the accession number of its images, which lead to it."""
    async with ward.client() as client:
        (study,) = await found(client, "ImagingStudy", identifier="A-77")
        (based_on,) = study["basedOn"]
        asked = (await client.get(f"/fhir/{based_on['reference']}")).json()
        (revoked,) = await found(client, "ServiceRequest", patient=str(BERT))
        (mr,) = await found(client, "ServiceRequest", identifier="A-78")
        first = await client.get("/fhir/ServiceRequest?_count=2&_total=accurate")
        (link,) = [each for each in first.json()["link"] if each["relation"] == "next"]
        rest = resources(await client.get(link["url"]))
        none = await client.get("/fhir/ServiceRequest/" + "A" * 40)
    assert asked["identifier"] == [based_on["identifier"]]
    assert (asked["status"], asked["intent"]) == ("active", "order")
    assert asked["subject"] == study["subject"]
    assert asked["occurrenceDateTime"] == "2026-02-03"
    assert revoked["status"] == "revoked"
    assert mr["orderDetail"][0]["coding"][0]["code"] == "MR"
    assert first.json()["total"] == 3
    numbers = [each["identifier"][0]["value"] for each in (*resources(first), *rest)]
    assert numbers == ["A-77", "A-78", "B-1"]
    assert none.status_code == 404
    assert "A-77" not in asked["id"]


async def test_an_order_of_somebody_else_is_no_link(ward: Ward, stock: ImageStock) -> None:
    """Another hospital may have given the same number to another patient."""
    await stock.add(octets_of(image(AccessionNumber="A-78")), patient=BERT)
    async with ward.client() as client:
        (study,) = await found(client, "ImagingStudy", identifier="A-78")
    (based_on,) = study["basedOn"]
    assert "reference" not in based_on
    assert based_on["identifier"]["value"] == "A-78"


ORDER_CASES = {
    "_id": (None, 1, "nothing"),
    "_lastUpdated": ("ge2026-01-01", 3, "lt2026-01-01"),
    "identifier": ("A-77,A-78", 2, "urn:other|A-77"),
    "patient": (str(ANNA), 2, str(ANNA).replace("0", "1")),
    "subject": (f"Patient/{BERT}", 1, "00000000-0000-0000-0000-00000000000f"),
    "status": ("http://hl7.org/fhir/request-status|revoked", 1, "completed"),
    "category": ("http://snomed.info/sct|363679005", 3, "108252007"),
}


async def test_each_parameter_of_orders_filters(ward: Ward, stock: ImageStock) -> None:
    assert ORDER_CASES.keys() == ORDER_PARAMETERS.keys()
    async with ward.client() as client:
        (mr,) = await found(client, "ServiceRequest", identifier="A-78")
        for name, (some, number, none) in ORDER_CASES.items():
            text = some or mr["id"]
            assert len(await found(client, "ServiceRequest", **{name: text})) == number, name
            assert not await found(client, "ServiceRequest", **{name: none}), name
        changed = mr["meta"]["lastUpdated"]
        assert len(await found(client, "ServiceRequest", _lastUpdated=f"gt{changed}")) == 1
        assert len(await found(client, "ServiceRequest", _lastUpdated=f"le{changed}")) == 2


async def test_each_parameter_of_images_filters(ward: Ward, stock: ImageStock) -> None:
    """A value that finds some, and one for none; what is declared of each kind is no less."""
    tables = {
        "ImagingStudy": IMAGING_STUDY_PARAMETERS,
        "DocumentReference": DOCUMENT_PARAMETERS,
        "Endpoint": ENDPOINT_PARAMETERS,
    }
    async with ward.client() as client:
        statement = (await client.get("/fhir/metadata")).json()
        declared = {
            (entry["type"], parameter["name"])
            for entry in statement["rest"][0]["resource"]
            for parameter in entry["searchParam"]
        }
        of_images = {(kind, name) for kind, table in tables.items() for name in table}
        assert of_images <= declared
        (ct,) = await found(client, "ImagingStudy", modality="CT")
        documents = await found(client, "DocumentReference")
        letter = next(each for each in documents if each["type"]["text"] == "Letter")
        (letters_study,) = [each["reference"] for each in letter["context"]["related"]]
        cases: dict[tuple[str, str], tuple[str, int, str]] = {
            ("ImagingStudy", "_id"): (ct["id"], 1, letter["id"]),
            ("ImagingStudy", "_lastUpdated"): ("ge2026-01-01", 5, "lt2026-01-01"),
            ("ImagingStudy", "identifier"): (
                f"urn:dicom:uid|urn:oid:{uid_of(ct)}", 1, f"urn:other|urn:oid:{uid_of(ct)}"
            ),
            ("ImagingStudy", "patient"): (str(ANNA), 4, str(ANNA).replace("0", "1")),
            ("ImagingStudy", "subject"): (f"Patient/{BERT}", 1, f"Patient/{ct['id']}"),
            ("ImagingStudy", "started"): ("2004-01-19", 1, "lt1990"),
            ("ImagingStudy", "modality"): (
                "http://dicom.nema.org/resources/ontology/DCM|MR", 1, "urn:other|MR"
            ),
            ("ImagingStudy", "status"): ("available", 5, "cancelled"),
            ("ImagingStudy", "endpoint"): ("Endpoint/dicom-wado-rs", 5, "Endpoint/other"),
            ("DocumentReference", "_id"): (letter["id"], 1, ct["id"]),
            ("DocumentReference", "_lastUpdated"): ("ge2026-01-01", 2, "lt2026-01-01"),
            ("DocumentReference", "identifier"): (f"urn:oid:{uid_of(letter)}", 1, "urn:oid:1.2"),
            ("DocumentReference", "patient"): (str(ANNA), 2, str(BERT)),
            ("DocumentReference", "subject"): (str(ANNA), 2, str(BERT)),
            ("DocumentReference", "related"): (letters_study, 1, f"ImagingStudy/{ct['id']}"),
            ("DocumentReference", "status"): ("current", 2, "superseded"),
            ("Endpoint", "_id"): ("dicom-wado-rs", 1, "nothing"),
            ("Endpoint", "connection-type"): ("dicom-qido-rs", 1, "dicom-stow-rs"),
        }  # fmt: skip
        assert cases.keys() == of_images
        for (kind, name), (some, number, none) in cases.items():
            assert len(await found(client, kind, **{name: some})) == number, (kind, name)
            assert not await found(client, kind, **{name: none}), (kind, name)


async def test_pages_hold_each_study_once(ward: Ward, stock: ImageStock) -> None:
    async with ward.client() as client:
        following: str | None = "/fhir/ImagingStudy?_count=2&_total=accurate"
        seen: list[str] = []
        while following is not None:
            answer = await client.get(following)
            page = resources(answer)
            assert answer.json()["total"] == 5
            assert 1 <= len(page) <= 2
            seen += [resource["id"] for resource in page]
            links = {link["relation"]: link["url"] for link in answer.json()["link"]}
            following = links.get("next")
        assert len(seen) == len(set(seen)) == 5
        other = await client.get("/fhir/ImagingStudy?_count=2&modality=CT&_cursor=AAAAAAAAAAA")
        assert other.status_code == 400
        OperationOutcome.model_validate_json(other.content)


async def test_what_is_nobodys_or_unknown_is_not_there(ward: Ward, stock: ImageStock) -> None:
    uid = dataset_of(bundled("examples_ybr_color.dcm")).StudyInstanceUID
    async with ward.client() as client:
        assert not await found(client, "ImagingStudy", identifier=f"urn:oid:{uid}")
        (ct,) = await found(client, "ImagingStudy", modality="CT")
        for path in (
            f"ImagingStudy/{ct['id'][:-1]}",
            f"DocumentReference/{ct['id']}",
            "Endpoint/x",
        ):
            answer = await client.get(f"/fhir/{path}")
            assert answer.status_code == 404
            OperationOutcome.model_validate_json(answer.content)
    async with ward.client(token=None) as stranger:
        assert (await stranger.get(f"/fhir/ImagingStudy/{ct['id']}")).status_code == 401


async def test_ecgs_are_found_by_the_date_that_they_show(ward: Ward, stock: ImageStock) -> None:
    """When it was recorded, which the study's date need not be; that of the study without one."""
    ecg: dict[str, Any] = {
        "SOPClassUID": ECG_CLASSES[0],
        "Modality": "ECG",
        "StudyDate": "20260210",
    }
    for number, content in enumerate(("20260211", "", None)):
        made = image(**ecg, ContentDate=content, StudyInstanceUID=f"1.9.{number}")
        await stock.add(octets_of(made), patient=BERT)
    async with ward.client() as client:
        for day, shown in (("10", ["10", "10"]), ("11", ["11"]), ("12", [])):
            found_then = await found(
                client, "Observation", code="11524-6", patient=str(BERT), date=f"2026-02-{day}"
            )
            assert [each["effectiveDateTime"][-2:] for each in found_then] == shown


async def test_ecg_points_at_its_waveform(ward: Ward, stock: ImageStock) -> None:
    file = dataset_of(bundled("waveform_ecg.dcm"))
    async with ward.client() as client:
        (ecg,) = await found(client, "Observation", category="procedure", patient=str(ANNA))
        assert not await found(client, "Observation", code="11524-6", patient=str(BERT))
        study = await client.get(f"/fhir/{ecg['derivedFrom'][0]['reference']}")
        mixed = await client.get("/fhir/Observation?code=11524-6,8867-4")
        assert await found(client, "Observation", code="11524-6", status="final") == [ecg]
        assert not await found(client, "Observation", code="11524-6", status="entered-in-error")
        ignored = await client.get("/fhir/Observation?code=11524-6&performer=Practitioner/x")
        assert ignored.status_code == 400
    assert mixed.status_code == 400
    assert uid_of(study.json()) == file.StudyInstanceUID
    assert ecg["code"]["coding"][0]["code"] == "11524-6"
    assert ecg["effectiveDateTime"].startswith("2013-01-25")
    assert ecg["extension"][0]["valueUrl"] == (
        f"{BASE}/dicom-web/studies/{file.StudyInstanceUID}/series/{file.SeriesInstanceUID}"
        f"/instances/{file.SOPInstanceUID}"
    )


async def test_addresses_lead_to_the_files(ward: Ward, stock: ImageStock) -> None:
    """What is told of PDF, report, ECG and Endpoints is there, for the same token."""
    async with ward.client() as client:
        for document in await found(client, "DocumentReference"):
            for content in document["content"]:
                attachment = content["attachment"]
                accept = {"Accept": attachment["contentType"]}
                got = await client.get(attachment["url"], headers=accept)
                assert got.status_code == 200, got.text
                assert got.headers["content-type"].startswith(attachment["contentType"])
                is_pdf = attachment["contentType"] == "application/pdf"
                assert got.content.startswith(b"%PDF" if is_pdf else b"\0" * 128 + b"DICM")
        (ecg,) = await found(client, "Observation", code="11524-6")
        accept = {"Accept": "application/dicom"}
        got = await client.get(ecg["extension"][0]["valueUrl"], headers=accept)
        assert got.content == bundled("waveform_ecg.dcm")
        for endpoint in await found(client, "Endpoint"):
            assert (await client.get(f"{endpoint['address']}/studies?limit=1")).status_code == 200


async def test_ids_tell_no_uid_and_stay(ward: Ward, stock: ImageStock) -> None:
    async with ward.client() as client:
        first = {each["id"] for each in await found(client, "ImagingStudy")}
    async with ward.client() as client:
        studies = await found(client, "ImagingStudy")
    assert {each["id"] for each in studies} == first
    assert not any(uid_of(each) in each["id"] for each in studies)


async def test_a_changed_study_is_found_by_last_updated(ward: Ward, stock: ImageStock) -> None:
    async with ward.client() as client:
        (mr,) = await found(client, "ImagingStudy", modality="MR")
        more = dataset_of(bundled("MR_small.dcm"))
        more.SOPInstanceUID = more.file_meta.MediaStorageSOPInstanceUID = DicomUid("1.2.3.4.5")
        await stock.add(octets_of(more), patient=BERT)
        since = f"gt{mr['meta']['lastUpdated']}"
        (changed,) = await found(client, "ImagingStudy", _lastUpdated=since, patient=str(BERT))
    assert changed["id"] == mr["id"]
    assert changed["numberOfInstances"] == 2
    assert int(changed["meta"]["versionId"]) > int(mr["meta"]["versionId"])


async def test_an_object_that_names_somebody_else_says_so(ward: Ward) -> None:
    """Each by its own words: one of two objects of a study is of another name and sex."""
    study = "1.2.826.0.1.3680043.8.498.71"
    same = {"PatientID": "A-1", "StudyInstanceUID": study, "PatientBirthDate": ""}
    anna = dataset_of(pdf())
    smith = dataset_of(bundled("waveform_ecg.dcm"))
    for dataset, more in (
        (anna, {"PatientName": "Almeida^Anna", "PatientComments": "c" * 2000}),
        (smith, {"PatientName": "SMITH^JOHN", "PatientSex": "M"}),
    ):
        for keyword, value in (same | more).items():
            setattr(dataset, keyword, value)
    async with image_stock(ward.store, ward.settings) as stock, ward.client() as client:
        for dataset in (anna, smith):
            await stock.add(octets_of(dataset), patient=ANNA)
        (ecg,) = await found(client, "Observation", code="http://loinc.org|11524-6")
        Observation.model_validate(ecg)
        (note,) = ecg["note"]
        assert "the register has Almeida, Anna as this patient, the object says" in note["text"]
        assert "the register has female, the object says male" in note["text"]
        (document,) = await found(client, "DocumentReference")
        (told,) = await found(client, "ImagingStudy")
        assert "description" not in document
        assert "note" not in told
        alone = dataset_of(pdf())
        alone.PatientID, alone.PatientName = "A-1", "SMITH^JOHN"
        await stock.add(octets_of(alone), patient=ANNA)
        for kind, element in (("ImagingStudy", "note"), ("DocumentReference", "description")):
            every = await found(client, kind)
            assert ["SMITH" not in str(each) for each in every] == [True, True], "no second name"
            assert sorted("Another name" in str(each.get(element)) for each in every) == [0, 1]


async def test_an_ecg_is_of_when_it_was_taken(ward: Ward) -> None:
    """Not of when its object was made, which may be years later; searches go by the same day."""
    async with image_stock(ward.store, ward.settings) as stock, ward.client() as client:
        ecg = dataset_of(bundled("waveform_ecg.dcm"))
        ecg.ContentDate, ecg.AcquisitionDateTime = "20261123", "20200101030405.5+0100"
        await stock.add(octets_of(ecg), patient=ANNA)
        code = {"code": "http://loinc.org|11524-6"}
        (told,) = await found(client, "Observation", **code)
        Observation.model_validate(told)
        assert told["effectiveDateTime"] == "2020-01-01T03:04:05.5+01:00"
        assert await found(client, "Observation", **code, date="2020-01-01") == [told]
        assert await found(client, "Observation", **code, date="ge2026") == []


def report(sop_uid: str, text: str, *before: str, **more: Any) -> bytes:
    """A structured report of Anna's, in one study, that names others as its predecessors."""
    made = dataset_of(bundled("test-SR.dcm"))
    study = "1.2.826.0.1.3680043.8.498.72"
    made.StudyInstanceUID, made.SeriesInstanceUID = DicomUid(study), DicomUid(f"{study}.1")
    made.SOPInstanceUID = DicomUid(f"{study}.1.{sop_uid}")
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.SeriesDescription, made.CompletionFlag = text, "COMPLETE"
    documents = []
    for uid in before:
        instance, series, document = Dataset(), Dataset(), Dataset()
        instance.ReferencedSOPClassUID = made.SOPClassUID
        instance.ReferencedSOPInstanceUID = f"{study}.1.{uid}"
        series.SeriesInstanceUID, series.ReferencedSOPSequence = f"{study}.1", [instance]
        document.StudyInstanceUID, document.ReferencedSeriesSequence = study, [series]
        documents.append(document)
    made.PredecessorDocumentsSequence = documents
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return octets_of(made)


async def test_a_report_in_whose_place_another_one_stands_is_superseded(ward: Ward) -> None:
    """PS3.3, C.17.2: Predecessor Documents Sequence; a draft takes nothing's place."""
    async with image_stock(ward.store, ward.settings) as stock, ward.client() as client:
        await stock.add(report("1", "no fracture"), patient=ANNA)
        (first,) = await found(client, "DocumentReference")
        assert (first["status"], first.get("relatesTo")) == ("current", None)
        await stock.add(report("3", "draft", "1", CompletionFlag="PARTIAL"), patient=ANNA)
        assert {each["status"] for each in await found(client, "DocumentReference")} == {"current"}
        await stock.add(report("2", "fracture", "1", "9"), patient=ANNA)
        told = {uid_of(each)[-1]: each for each in await found(client, "DocumentReference")}
        for each in told.values():
            DocumentReference.model_validate(each)
        assert {uid: each["status"] for uid, each in told.items()} == {
            "1": "superseded", "2": "current", "3": "current",
        }  # fmt: skip
        assert int(told["1"]["meta"]["versionId"]) > int(first["meta"]["versionId"])
        replaced, elsewhere = told["2"]["relatesTo"]
        assert (replaced["code"], told["3"]["relatesTo"][0]["code"]) == ("replaces", "appends")
        assert replaced["target"]["reference"] == f"DocumentReference/{first['id']}"
        assert elsewhere["target"].keys() == {"type", "identifier"}, "not in this study"
        for status, uids in (
            ("current", "23"), ("superseded", "1"), ("current,superseded", "123"),
            ("entered-in-error", ""),
        ):  # fmt: skip
            few = await found(client, "DocumentReference", status=status, _count="1")
            every = await found(client, "DocumentReference", status=status)
            assert sorted(uid_of(each)[-1] for each in every) == list(uids), status
            assert len(few) >= bool(uids)
            answer = await client.get(
                "/fhir/DocumentReference", params={"status": status, "_summary": "count"}
            )
            assert answer.json()["total"] == len(uids)
        url = f"/fhir/DocumentReference/{first['id']}"
        assert (await client.get(url)).json() == told["1"]
