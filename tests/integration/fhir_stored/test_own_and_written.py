"""What others write beside readings: no double of one, no reference to somebody else's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest

from support.readings import One
from support.served_ward import ANNA, BASE, BERT, CLIP, CUFF, MINUTE, SCALE, START, Ward
from support.stored_resources import JSON, created, found, observation, task, writing_client
from wardlight_cloud.security.tokens import new_token, token_hash

OWN = "urn:wardlight:observation"
PATCH = {"Content-Type": "application/json-patch+json"}
WHOLE = {"Prefer": "return=representation"}


def entry(method: str, url: str, resource: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": method, "url": url, **more}}


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def focused(reading: str, patient: UUID = ANNA, kind: str = "Observation") -> dict[str, Any]:
    return task(patient, focus={"reference": f"{kind}/{reading}"})


@asynccontextmanager
async def narrow(ward: Ward, *scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with these scopes, of the app that another one keeps open."""
    token = new_token()
    await ward.store.put_client("narrow", token_hash(token), list(scopes))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    transport = httpx.ASGITransport(ward.app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
        yield client


@pytest.fixture
async def readings(ward: Ward, client: httpx.AsyncClient) -> dict[str, str]:
    """Ids of a pulse and a weight of Anna's, and a saturation of Bert's."""
    await ward.store_event(One("heart_rate", START, 61, device=CUFF))
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await ward.store_event(One("body_weight", START + MINUTE, 70, device=SCALE))
    ids = await found(client, "Observation?_sort=date&code=8867-4,59408-5,29463-7")
    pulse, *rest = [each for each in ids if await _of(client, each) == str(ANNA)]
    (saturation,) = set(ids) - {pulse, *rest}
    return {"pulse": pulse, "weight": rest[0], "saturation": saturation}


async def _of(client: httpx.AsyncClient, name: str) -> str:
    reference = (await client.get(f"/fhir/Observation/{name}")).json()["subject"]["reference"]
    return str(reference).removeprefix("Patient/")


async def test_a_reading_is_not_created_a_second_time(
    client: httpx.AsyncClient, readings: dict[str, str]
) -> None:
    pulse = readings["pulse"]
    there = (await client.get(f"/fhir/Observation/{pulse}")).json()
    for condition in (
        f"identifier={OWN}|{pulse}", f"identifier={pulse}", f"_id={pulse}",
        f"patient={ANNA}&code=http://loinc.org|8867-4&date=2026-03-10T12:00:00Z",
        "patient.identifier=urn:test:mrn|A-1&code=8867-4",
    ):  # fmt: skip
        wanted = {"If-None-Exist": condition}
        answer = await client.post("/fhir/Observation", json=observation(), headers=wanted)
        assert answer.status_code == 200, (condition, answer.text)
        assert answer.json() == there
        assert answer.headers["ETag"] == f'W/"{there["meta"]["versionId"]}"'
        assert f"Observation/{pulse}/_history/" in answer.headers["Content-Location"]
        bundle = transaction(entry("POST", "Observation", observation(), ifNoneExist=condition))
        made = (await client.post("/fhir", json=bundle, headers=WHOLE)).json()["entry"]
        assert made[0]["response"]["status"] == "200 OK" and made[0]["resource"] == there
    for condition, status in (
        (f"patient={ANNA}&category=vital-signs", 412), (f"identifier={OWN}|{'0' * 32}", 201),
        (f"patient={ANNA}&code=8867-4&_tag=none", 201),
    ):  # fmt: skip
        wanted = {"If-None-Exist": condition}
        answer = await client.post("/fhir/Observation", json=observation(), headers=wanted)
        assert answer.status_code == status, (condition, answer.text)
    both = {"If-None-Exist": f"patient={ANNA}&code=8867-4&date=2026-03-10T12:00:00Z"}
    answer = await client.post("/fhir/Observation", json=observation(), headers=both)
    assert answer.status_code == 412, "a reading, and what others wrote"


async def test_a_reading_that_a_condition_finds_is_not_changed(
    client: httpx.AsyncClient, readings: dict[str, str]
) -> None:
    url = f"/fhir/Observation?identifier={OWN}|{readings['pulse']}"
    patch = [{"op": "replace", "path": "/status", "value": "entered-in-error"}]
    for answer in (
        await client.put(url, json=observation()), await client.delete(url),
        await client.patch(url, json=patch, headers=PATCH),
        await client.put(
            "/fhir/Observation?identifier=urn:x|1", json=observation(id=readings["pulse"])
        ),
    ):  # fmt: skip
        assert answer.status_code == 405, answer.text
    assert len(await found(client, "Observation")) == 3


async def test_conditions_find_what_may_be_searched(
    ward: Ward, readings: dict[str, str], client: httpx.AsyncClient
) -> None:
    """Who may not read the reading is told that it is there, and not what it says."""
    wanted = {"If-None-Exist": f"identifier={OWN}|{readings['pulse']}", **WHOLE}
    scopes = ("system/Observation.c", "system/Observation.s?category=vital-signs")
    async with narrow(ward, *scopes) as blind:
        answer = await blind.post("/fhir/Observation", json=observation(), headers=wanted)
        assert (answer.status_code, answer.content) == (200, b"")
        assert readings["pulse"] in answer.headers["Content-Location"]
    scopes = ("system/Observation.cr", "system/Observation.s?category=laboratory")
    async with narrow(ward, *scopes) as other:
        answer = await other.post("/fhir/Observation", json=observation(), headers=wanted)
        assert answer.status_code == 201, answer.text
    assert len(await found(client, "Observation")) == 4


async def test_a_sensor_is_not_created_a_second_time(client: httpx.AsyncClient, ward: Ward) -> None:
    device = {"resourceType": "Device", "patient": {"reference": f"Patient/{ANNA}"}}
    for name in ("urn:wardlight:device-identity|" + CUFF, CUFF):
        wanted = {"If-None-Exist": f"identifier={name}"}
        answer = await client.post("/fhir/Device", json=device, headers=wanted)
        assert answer.status_code == 200, answer.text
        assert answer.json()["id"] == str(ward.devices[CUFF])
    wanted = {"If-None-Exist": f"identifier={CUFF},{CLIP}"}
    assert (await client.post("/fhir/Device", json=device, headers=wanted)).status_code == 412
    wanted = {"If-None-Exist": "identifier=urn:other|1"}
    assert (await client.post("/fhir/Device", json=device, headers=wanted)).status_code == 201


async def test_our_own_identifiers_are_nobody_elses(client: httpx.AsyncClient) -> None:
    for resource, place in (
        (observation(identifier=[{"system": "urn:x", "value": "1"}, {"system": OWN, "value": "1"}]),
         "Observation.identifier[1].system"),
        ({"resourceType": "Device",
          "identifier": [{"system": "urn:wardlight:device-identity", "value": CUFF}]},
         "Device.identifier[0].system"),
        ({"resourceType": "QuestionnaireResponse", "status": "completed",
          "identifier": {"system": "urn:wardlight:x", "value": "1"}},
         "QuestionnaireResponse.identifier.system"),
    ):  # fmt: skip
        answer = await client.post(f"/fhir/{resource['resourceType']}", json=resource)
        assert answer.status_code == 422, answer.text
        (issue,) = answer.json()["issue"]
        assert (issue["code"], issue["expression"]) == ("business-rule", [place])
    await created(client, task(identifier=[{"system": "urn:wardlight:demo:mrn", "value": "1"}]))


async def test_references_to_readings_lead_to_the_same_patient(
    client: httpx.AsyncClient, readings: dict[str, str]
) -> None:
    await created(client, focused(readings["pulse"]))
    await created(
        client, observation(derivedFrom=[{"reference": f"Observation/{readings['pulse']}"}])
    )
    of_nobody = {
        "resourceType": "Provenance", "recorded": "2026-03-10T12:00:00Z",
        "target": [{"reference": f"Observation/{readings['saturation']}"}],
        "agent": [{"who": {"display": "x"}}],
    }  # fmt: skip
    await created(client, of_nobody)
    berts = (await created(client, observation(BERT)))["id"]
    for resource, code, place in (
        (focused(readings["saturation"]), "business-rule", "Task.focus.reference"),
        (focused(berts), "business-rule", "Task.focus.reference"),
        (focused("0" * 32), "not-found", "Task.focus.reference"),
        (observation(BERT, hasMember=[{"reference": f"Observation/{readings['pulse']}"}]),
         "business-rule", "Observation.hasMember[0].reference"),
    ):  # fmt: skip
        answer = await client.post(f"/fhir/{resource['resourceType']}", json=resource)
        assert answer.status_code == 422, answer.text
        (issue,) = answer.json()["issue"]
        assert (issue["code"], issue["expression"]) == (code, [place])
    condition = f"Observation?identifier={OWN}|{readings['weight']}"
    named = await created(client, task(focus={"reference": condition}))
    assert named["focus"]["reference"] == f"Observation/{readings['weight']}"


async def test_references_within_a_transaction_are_no_way_around(
    client: httpx.AsyncClient, readings: dict[str, str]
) -> None:
    there = entry(
        "POST", "Observation", observation(BERT), ifNoneExist=f"_id={readings['saturation']}"
    )
    new = entry("POST", "Observation", observation(BERT))
    for measured in (there, new):
        measured["fullUrl"] = "urn:uuid:6b0e1f2a-0000-4000-8000-000000000001"
        for patient, status in ((ANNA, 422), (BERT, 200)):
            about = {**task(patient), "focus": {"reference": measured["fullUrl"]}}
            bundle = transaction(measured, entry("POST", "Task", about))
            answer = await client.post("/fhir", json=bundle)
            assert answer.status_code == status, answer.text
            if status == 422:
                (issue,) = answer.json()["issue"]
                assert issue["expression"] == ["Bundle.entry[1].resource.Task.focus.reference"]
    old = (await created(client, observation()))["id"]
    delete = {"request": {"method": "DELETE", "url": f"Observation/{old}"}}
    answer = await client.post(
        "/fhir", json=transaction(delete, entry("POST", "Task", focused(old)))
    )
    assert answer.status_code == 422 and answer.json()["issue"][0]["code"] == "not-found"


async def test_a_subject_is_called_by_her_name(client: httpx.AsyncClient) -> None:
    for display, status in (
        ("Almeida, Anna", 201), ("Frau ALMEIDA", 201), ("Bett 17", 201), ("Patient", 201),
        ("アンナ", 201), ("Bert Brandt", 422), ("Brandt", 422),
    ):  # fmt: skip
        subject = {"reference": f"Patient/{ANNA}", "display": display}
        answer = await client.post("/fhir/Observation", json=observation(subject=subject))
        assert answer.status_code == status, (display, answer.text)
        if status == 422:
            (issue,) = answer.json()["issue"]
            assert issue["expression"] == ["Observation.subject.reference"]
            assert "Almeida" not in answer.text
    daughter = {"reference": f"Patient/{ANNA}", "display": "her daughter"}
    await created(client, {**task(), "for": daughter})


async def test_names_are_not_told_to_who_may_not_read_them(ward: Ward) -> None:
    subject = {"reference": f"Patient/{ANNA}", "display": "Bert Brandt"}
    async with writing_client(ward, "system/Observation.cr", name="blind") as blind:
        answer = await blind.post("/fhir/Observation", json=observation(subject=subject))
        assert answer.status_code == 201, answer.text
