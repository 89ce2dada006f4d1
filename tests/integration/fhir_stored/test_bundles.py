"""What entries of a batch or transaction are called, and what they may read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fhir.resources.R4B.operationoutcome import OperationOutcome

from support.stored_resources import created, found, organization, task
from support.waiting import wait_until

BOTH = pytest.mark.parametrize("kind", ["batch", "transaction"])


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, **more}
    return {"request": request} if resource is None else {"resource": resource, "request": request}


def named(name: str, made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "fullUrl": name}


@BOTH
async def test_an_identifier_that_is_the_name_of_its_entry_stays(
    client: httpx.AsyncClient, kind: str
) -> None:
    """So that the condition of the create finds it the next time."""
    urn = f"urn:uuid:{uuid4()}"
    identifier = {"system": "urn:ietf:rfc:3986", "value": urn}
    person = {"resourceType": "Patient", "identifier": [identifier], "name": [{"family": "Ort"}]}
    condition = f"identifier=urn:ietf:rfc:3986|{urn}"
    sent = bundle(named(urn, entry("POST", "Patient", person, ifNoneExist=condition)), kind=kind)
    statuses = []
    for _ in range(2):
        answer = await client.post("/fhir", json=sent)
        statuses.append(answer.json()["entry"][0]["response"]["status"][:3])
    assert statuses == ["201", "200"]
    (patient,) = await found(client, f"Patient?{condition}")
    read = (await client.get(f"/fhir/Patient/{patient}")).json()
    assert read["identifier"] == [identifier]


@BOTH
async def test_two_entries_of_one_name_are_refused(client: httpx.AsyncClient, kind: str) -> None:
    urn = f"urn:uuid:{uuid4()}"
    sent = bundle(
        named(urn, entry("POST", "Organization", organization("One"))),
        entry("POST", "Task", task(owner={"reference": urn})),
        named(urn, entry("POST", "Organization", organization("Two"))),
        kind=kind,
    )
    answer = await client.post("/fhir", json=sent)
    assert answer.status_code == 400, answer.text
    OperationOutcome.model_validate_json(answer.content)
    (issue,) = answer.json()["issue"]
    assert issue["expression"] == ["Bundle.entry[2].fullUrl"]
    assert "bdl-7" in issue["diagnostics"]
    sent["entry"][2]["fullUrl"] = 5
    answer = await client.post("/fhir", json=sent)
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[2].fullUrl"]
    assert await found(client, "Organization") == await found(client, "Task") == []


@BOTH
async def test_reads_know_the_versions_that_the_client_has(
    client: httpx.AsyncClient, kind: str
) -> None:
    made = await created(client, organization("Two words"))
    url, tag = f"Organization/{made['id']}", f'W/"{made["meta"]["versionId"]}"'
    later = datetime.fromisoformat(made["meta"]["lastUpdated"]) + timedelta(seconds=1)
    await wait_until(lambda: datetime.now(UTC) >= later)
    sent = bundle(
        entry("GET", url, ifNoneMatch=tag),
        entry("GET", url, ifNoneMatch='W/"0"'),
        entry("GET", url, ifModifiedSince=later.isoformat()),
        entry("GET", url, ifModifiedSince="2001-01-01T00:00:00Z"),
        entry("GET", f"Organization/%{ord(made['id'][0]):02x}{made['id'][1:]}"),
        kind=kind,
    )
    entries = (await client.post("/fhir", json=sent)).json()["entry"]
    statuses = [each["response"]["status"] for each in entries]
    assert statuses == ["304 Not Modified", "200 OK", "304 Not Modified", "200 OK", "200 OK"]
    assert ["resource" in each for each in entries] == [False, True, False, True, True]


@BOTH
async def test_urls_of_entries_are_escaped_as_urls_are(
    client: httpx.AsyncClient, kind: str
) -> None:
    sent = bundle(
        entry("PUT", "Organization/%6Fne%2D1", organization("Nord & Süd", id="one-1")), kind=kind
    )
    (told,) = (await client.post("/fhir", json=sent)).json()["entry"]
    assert told["response"]["status"] == "201 Created"
    url = "Organization?name=Nord%20%26%20S%C3%BCd"
    sent = bundle(entry("PUT", url, organization("Nord & Süd", alias=["N"])), kind=kind)
    (told,) = (await client.post("/fhir", json=sent)).json()["entry"]
    assert told["response"]["status"] == "200 OK"
    wrong = entry("PUT", "Organization/%ff", organization(id="one-1"))
    answer = (await client.post("/fhir", json=bundle(wrong, kind=kind))).json()
    outcome = answer["entry"][0]["response"]["outcome"] if kind == "batch" else answer
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[0].request.url"]
    assert await found(client, "Organization") == ["one-1"]


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ("ifNoneMatch", 5), ("ifNoneMatch", "x"), ("ifModifiedSince", "2026"),
        ("ifModifiedSince", 5), ("ifModifiedSince", "2026-03-10T12:00:00"),
        ("url", "Organization/%ff"), ("url", "Organization?name:not=%ff"),
    ],
)  # fmt: skip
async def test_reads_that_cannot_be_understood(
    client: httpx.AsyncClient, element: str, value: Any
) -> None:
    wrong = {"request": {"method": "GET", "url": "Organization", element: value}}
    answer = await client.post("/fhir", json=bundle(wrong, kind="batch"))
    (told,) = answer.json()["entry"]
    assert told["response"]["status"].startswith("400")
    change = entry("POST", "Organization", organization())
    assert (await client.post("/fhir", json=bundle(change, wrong))).status_code == 400
    assert await found(client, "Organization") == []


@BOTH
async def test_a_first_version_is_not_written_over(client: httpx.AsyncClient, kind: str) -> None:
    put = entry("PUT", "Organization/one", organization(id="one"), ifNoneMatch="*")
    answer = await client.post("/fhir", json=bundle(put, kind=kind))
    assert answer.json()["entry"][0]["response"]["status"] == "201 Created"
    answer = await client.post("/fhir", json=bundle(put, kind=kind))
    if kind == "transaction":
        assert answer.status_code == 412
    else:
        told = answer.json()["entry"][0]["response"]
        assert told["status"] == "412 Precondition Failed"


async def test_what_is_beside_it_is_of_the_bundle(client: httpx.AsyncClient) -> None:
    """Though this server has another one under the same id."""
    ehr, own = "http://ehr.example/fhir", await created(client, organization("Ours"))
    theirs = organization("Theirs", id=own["id"])
    sent = bundle(
        named(f"{ehr}/Task/1", entry("POST", "Task", task(owner={
            "reference": f"Organization/{own['id']}"}))),
        named(f"{ehr}/Organization/{own['id']}", entry("POST", "Organization", theirs)),
        named(f"urn:uuid:{uuid4()}", entry("POST", "Task", task(owner={
            "reference": f"Organization/{own['id']}"}))),
    )  # fmt: skip
    answer = await client.post("/fhir", json=sent)
    assert answer.status_code == 200, answer.text
    beside, made, apart = (each["resource"] for each in answer.json()["entry"])
    assert made["name"] == "Theirs"
    assert made["id"] != own["id"]
    assert beside["owner"]["reference"] == f"Organization/{made['id']}"
    assert apart["owner"]["reference"] == f"Organization/{own['id']}"
