"""An identifier is one person's: refused when another Patient has it, told where two have it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from support.readings import One
from support.served_ward import ANNA, BERT, CLIP, CUFF, START, Ward
from support.stored_resources import created, found, observation, task

MRN = "urn:test:mrn"
OF_ANNA = {"system": MRN, "value": "A-1"}
PATCH = {"Content-Type": "application/json-patch+json"}


def person(*identifiers: dict[str, str], **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": list(identifiers), **more}


def entry(method: str, url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": method, "url": url}}


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


async def read(client: httpx.AsyncClient, patient: UUID) -> dict[str, Any]:
    resource: dict[str, Any] = (await client.get(f"/fhir/Patient/{patient}")).json()
    return resource


def refused(answer: httpx.Response, expression: str) -> None:
    assert answer.status_code == 422, answer.text
    (issue,) = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("duplicate", [expression])
    assert "A-1" not in answer.text


@pytest.fixture
async def shared(ward: Ward) -> AsyncIterator[None]:
    """Both patients have Anna's identifier, as in data of before it was refused."""
    dsn = ward.settings.database.dsn
    assert dsn is not None
    connection = await asyncpg.connect(dsn.get_secret_value())
    await connection.execute(
        "INSERT INTO patient_identifier VALUES ($1, 2, 'urn:test:mrn', 'A-1')", BERT
    )
    await connection.execute(
        "UPDATE patient SET commit_seq = (take_commit()).commit_seq WHERE patient_id = $1", BERT
    )
    await connection.fetchval("SELECT keep_patient($1)", BERT)
    await connection.close()
    yield


async def test_nobody_gets_the_identifier_of_another_patient(client: httpx.AsyncClient) -> None:
    other = {"system": MRN, "value": "C-1"}
    answer = await client.post("/fhir/Patient", json=person(other, OF_ANNA))
    refused(answer, "Patient.identifier[1]")
    bert = await read(client, BERT)
    taken = {**bert, "identifier": [OF_ANNA]}
    refused(await client.put(f"/fhir/Patient/{BERT}", json=taken), "Patient.identifier[0]")
    new = str(uuid4())
    put = await client.put(f"/fhir/Patient/{new}", json=person(OF_ANNA, id=new))
    refused(put, "Patient.identifier[0]")
    patch = [{"op": "add", "path": "/identifier/-", "value": OF_ANNA}]
    answer = await client.patch(f"/fhir/Patient/{BERT}", json=patch, headers=PATCH)
    refused(answer, "Patient.identifier[1]")
    both = transaction(
        entry("POST", "Task", task()), entry("POST", "Patient", person(other)),
        entry("POST", "Patient", person(other)),
    )  # fmt: skip
    answer = await client.post("/fhir", json=both)
    assert answer.status_code == 422, answer.text
    (issue,) = answer.json()["issue"]
    assert issue["code"] == "duplicate"
    assert issue["expression"][0].endswith(".resource.Patient.identifier[0]")
    batch = await client.post("/fhir", json={**both, "type": "batch"})
    statuses = [each["response"]["status"][:3] for each in batch.json()["entry"]]
    assert statuses == ["201", "201", "422"]
    assert await found(client, "Patient?identifier=urn:test:mrn|A-1") == [str(ANNA)]
    assert await read(client, BERT) == bert


async def test_the_same_number_is_another_one_elsewhere(client: httpx.AsyncClient) -> None:
    await created(client, person({"system": "urn:other", "value": "A-1"}))
    await created(client, person({"value": "A-1"}))
    await created(
        client, person({"value": "A-1"}, OF_ANNA | {"value": "D"}, OF_ANNA | {"value": "D"})
    )
    anna = await read(client, ANNA)
    more = {**anna, "telecom": [{"system": "phone", "value": "1"}]}
    assert (await client.put(f"/fhir/Patient/{ANNA}", json=more)).status_code == 200


async def test_an_identifier_moves_in_one_transaction(client: httpx.AsyncClient) -> None:
    anna, bert = await read(client, ANNA), await read(client, BERT)
    moved = transaction(
        entry("PUT", f"Patient/{BERT}", {**bert, "identifier": anna["identifier"]}),
        entry("PUT", f"Patient/{ANNA}", {**anna, "identifier": bert["identifier"]}),
    )
    answer = await client.post("/fhir", json=moved)
    assert answer.status_code == 200, answer.text
    assert await found(client, "Patient?identifier=urn:test:mrn|A-1") == [str(BERT)]


async def test_of_eight_who_want_one_at_once_one_gets_it(client: httpx.AsyncClient) -> None:
    wanted = {"system": MRN, "value": "E-1"}
    answers = await asyncio.gather(
        *(client.post("/fhir/Patient", json=person(wanted)) for _ in range(8))
    )
    assert sorted(each.status_code for each in answers) == [201, *[422] * 7]
    assert len(await found(client, "Patient?identifier=urn:test:mrn|E-1")) == 1


@pytest.mark.usefixtures("shared")
async def test_an_identifier_of_two_names_nobody(client: httpx.AsyncClient, ward: Ward) -> None:
    """No search takes two people for one, whichever way it looks for them."""
    await ward.store_event(One("systolic_bp", START, 140, device=CUFF))
    await ward.store_event(One("spo2", START, 97, device=CLIP))
    await created(client, observation(ANNA))
    for patient in (ANNA, BERT):
        await created(client, task(patient))
    both = {str(ANNA), str(BERT)}
    assert set(await found(client, "Patient?identifier=urn:test:mrn|A-1")) == both
    name = "identifier=urn:test:mrn|A-1"
    for search in (
        f"Observation?patient.{name}", f"Observation?subject:Patient.{name}",
        f"Observation?performer:Patient.{name}", f"Task?patient.{name}",
        f"Task?patient.{name}&_summary=count", "Task?patient.identifier=A-1",
        f"Organization?_has:Task:owner:patient.{name}", f"Observation/$lastn?patient.{name}",
        f"Task?patient.{name},urn:test:mrn|B-1",
    ):  # fmt: skip
        answer = await client.get(f"/fhir/{search}")
        assert answer.status_code == 400, search
        (issue,) = answer.json()["issue"]
        assert issue["code"] == "multiple-matches", search
        assert issue["expression"][0].endswith(".identifier")
    condition = {"If-None-Exist": f"patient.{name}"}
    answer = await client.post("/fhir/Task", json=task(), headers=condition)
    assert answer.status_code == 412, answer.text
    answer = await client.delete(f"/fhir/Task?patient.{name}")
    assert answer.status_code == 412, answer.text
    # Identifiers of one person each, and several of them, are found as ever.
    assert len(await found(client, "Observation?patient.identifier=urn:test:mrn|B-1")) == 1
    assert len(await found(client, "Task?patient.identifier=urn:test:mrn|B-1")) == 1
    assert len(await found(client, "Task?patient.identifier:not=urn:test:mrn|A-1")) == 0


@pytest.mark.usefixtures("shared")
async def test_who_shares_one_can_still_be_corrected(client: httpx.AsyncClient) -> None:
    bert = await read(client, BERT)
    assert bert["identifier"][1] == OF_ANNA
    named = {**bert, "gender": "male"}
    assert (await client.put(f"/fhir/Patient/{BERT}", json=named)).status_code == 200
    own = {**named, "identifier": bert["identifier"][:1]}
    assert (await client.put(f"/fhir/Patient/{BERT}", json=own)).status_code == 200
    assert await found(client, "Task?patient.identifier=urn:test:mrn|A-1") == []
    refused(await client.put(f"/fhir/Patient/{BERT}", json=named), "Patient.identifier[1]")
