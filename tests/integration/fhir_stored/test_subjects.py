"""A measurement is found by its patient, and by nobody else: subjects that are not understood."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from support.served_ward import ANNA, BASE, BERT, CUFF, Ward
from support.stored_resources import created, found, observation, task, writing_client

MRN = "urn:test:mrn"
OF_ANNA = {"system": MRN, "value": "A-1"}
OF_BERT = {"system": MRN, "value": "B-1"}
NO_VITAL_SIGN: dict[str, Any] = {"category": [{"text": "laboratory"}]}
NOT_MEASURED_HERE: dict[str, Any] = {
    **NO_VITAL_SIGN, "code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]},
}  # fmt: skip


def place_of(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    expression: str = answer.json()["issue"][0]["expression"][0]
    return expression


@pytest.mark.parametrize(
    "subject",
    [
        {"identifier": OF_ANNA}, {"display": "Anna Almeida"}, {"type": "Patient"},
        *({"reference": each} for each in (
            f"Patient/{ANNA}/", f"patient/{ANNA}", f"/Patient/{ANNA}", f"{ANNA}", "Patient",
            f"urn:uuid:{ANNA}", f"urn:oid:{ANNA.int}", f"https://other.example/fhir/Patient/{ANNA}",
            f"{BASE}/fhir/Patient/{ANNA}/", f"{BASE}/fhir/patient/{ANNA}", "#p", "#",
        )),
    ],
)  # fmt: skip
async def test_a_vital_sign_is_somebodys(
    client: httpx.AsyncClient, subject: dict[str, Any]
) -> None:
    vital = observation(subject=subject)
    if subject.get("reference") == "#p":
        vital["contained"] = [{"resourceType": "Patient", "id": "p"}]
    assert place_of(await client.post("/fhir/Observation", json=vital)).startswith(
        "Observation.subject"
    )
    # What is measured here, under another category, is not lost either.
    answer = await client.post("/fhir/Observation", json={**vital, **NO_VITAL_SIGN})
    assert answer.status_code == 422, answer.text
    assert await found(client, "Observation") == []
    # What was withdrawn can go.
    await created(client, {**vital, "status": "entered-in-error"})


async def test_a_vital_sign_is_a_patients(client: httpx.AsyncClient, ward: Ward) -> None:
    cuff = {"reference": f"Device/{ward.devices[CUFF]}"}
    answer = await client.post("/fhir/Observation", json=observation(subject=cuff))
    assert place_of(answer) == "Observation.subject"
    assert "Patient/ID" in answer.json()["issue"][0]["diagnostics"]
    group = {"resourceType": "Group", "type": "person", "actual": True}
    ward_a = {"reference": f"Group/{(await created(client, group))['id']}"}
    answer = await client.post("/fhir/Observation", json=observation(subject=ward_a))
    assert place_of(answer) == "Observation.subject"
    await created(client, observation(subject=cuff, **NO_VITAL_SIGN))


async def test_an_identifier_is_looked_up_where_it_is_asked_for(client: httpx.AsyncClient) -> None:
    """What the refusal says to do works, outside a transaction, too."""
    by = {"reference": f"Patient?identifier={MRN}|B-1"}
    made = await created(client, observation(subject=by))
    assert made["subject"]["reference"] == f"Patient/{BERT}"
    for patient, ids in ((BERT, [made["id"]]), (ANNA, [])):
        assert await found(client, f"Observation?patient={patient}") == ids
        assert await found(client, f"Observation?subject=Patient/{patient}") == ids


async def test_what_is_no_reference_is_refused_everywhere(client: httpx.AsyncClient) -> None:
    for text in (f"Patient/{BERT}/", f"/Patient/{BERT}", str(BERT), f"urn:uuid:{uuid4()}"):
        for resource, place in (
            ({**task(), "for": {"reference": text}}, "Task.for.reference"),
            (task(input=[{"type": {"text": "x"}, "valueReference": {"reference": text}}]),
             "Task.input[0].valueReference.reference"),
            (observation(performer=[{"reference": text}]), "Observation.performer[0].reference"),
        ):  # fmt: skip
            kind = resource["resourceType"]
            answer = await client.post(f"/fhir/{kind}", json=resource)
            assert place_of(answer) == place, text
    # Others' measurements of others' patients are kept as written, where we measure nothing so.
    theirs = {"reference": "https://other.example/fhir/Patient/1"}
    await created(client, observation(subject=theirs, **NOT_MEASURED_HERE))
    await created(client, observation(subject={"identifier": OF_ANNA}, **NOT_MEASURED_HERE))
    await created(client, {**task(), "for": theirs})


async def test_a_subject_is_one_person(client: httpx.AsyncClient) -> None:
    anna = f"Patient/{ANNA}"
    for beside, status in (
        ({"identifier": OF_ANNA}, 201), ({"identifier": {"value": "A-1"}}, 201),
        ({"identifier": {"system": "urn:elsewhere", "value": "7"}}, 201),
        ({"identifier": {"type": {"text": "unknown"}}}, 201), ({"type": "Patient"}, 201),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Patient"}, 201),
        ({"identifier": OF_BERT}, 422), ({"identifier": {"value": "B-1"}}, 422),
        ({"identifier": {"system": MRN, "value": "Z-9"}}, 422), ({"type": "Device"}, 422),
    ):  # fmt: skip
        for resource, place in (
            (observation(subject={"reference": anna, **beside}), "Observation.subject.reference"),
            ({**task(), "for": {"reference": anna, **beside}}, "Task.for.reference"),
        ):
            kind = resource["resourceType"]
            answer = await client.post(f"/fhir/{kind}", json=resource)
            assert answer.status_code == status, (beside, answer.text)
            if status == 422:
                assert place_of(answer) == place
                assert "B-1" not in answer.text and "A-1" not in answer.text
    assert await found(client, f"Observation?patient:identifier={MRN}|B-1") == []


async def test_an_identifier_of_another_system_may_be_another_persons(
    client: httpx.AsyncClient,
) -> None:
    ward = {"system": "urn:test:ward", "value": "W-1"}
    carl = await created(client, {"resourceType": "Patient", "identifier": [ward]})
    subject = {"reference": f"Patient/{ANNA}", "identifier": ward}
    answer = await client.post("/fhir/Observation", json=observation(subject=subject))
    assert place_of(answer) == "Observation.subject.reference"
    await created(client, observation(subject={**subject, "reference": f"Patient/{carl['id']}"}))


async def test_who_is_created_in_the_same_transaction_is_looked_at(
    client: httpx.AsyncClient,
) -> None:
    urn = f"urn:uuid:{uuid4()}"
    of_dora = {"system": MRN, "value": "D-1"}
    dora = {"resourceType": "Patient", "identifier": [of_dora]}

    async def sent(beside: dict[str, Any]) -> httpx.Response:
        vital = observation(subject={"reference": urn, **beside})
        entries = [
            {"fullUrl": urn, "resource": dora, "request": {"method": "POST", "url": "Patient"}},
            {"resource": vital, "request": {"method": "POST", "url": "Observation"}},
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        return await client.post("/fhir", json=bundle)

    for beside in ({"identifier": OF_ANNA}, {"type": "Device"}):
        place = "Bundle.entry[1].resource.Observation.subject.reference"
        assert place_of(await sent(beside)) == place
    answer = await sent({"identifier": of_dora})
    assert answer.status_code == 200, answer.text


async def test_what_is_unknown_is_not_told(ward: Ward) -> None:
    """Who may not read Patients learns from no answer which identifier is whose."""
    async with writing_client(ward, "system/Observation.cr", name="blind") as blind:
        told = set()
        for identifier in (OF_ANNA, OF_BERT, {"system": MRN, "value": "Z-9"}):
            subject = {"reference": f"Patient/{ANNA}", "identifier": identifier}
            answer = await blind.post("/fhir/Observation", json=observation(subject=subject))
            assert place_of(answer) == "Observation.subject.reference"
            told.add(answer.text)
        assert len(told) == 1
        await created(blind, observation())
