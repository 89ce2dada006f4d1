"""Create, read, update, patch, delete, history of stored resources, over the real app and store."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome

from support.readings import One
from support.served_ward import ANNA, BASE, BERT, CUFF, START, Ward
from support.stored_resources import created, found, observation, organization, task

PATCH = {"Content-Type": "application/json-patch+json"}


def outcome(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The first issue of an error."""
    assert answer.status_code == status, answer.text
    OperationOutcome.model_validate_json(answer.content)
    issue: dict[str, Any] = answer.json()["issue"][0]
    return issue


async def test_what_is_created_is_read_and_found(client: httpx.AsyncClient) -> None:
    answer = await client.post("/fhir/Organization", json=organization(active=True))
    assert answer.status_code == 201
    made = answer.json()
    place = f"{BASE}/fhir/Organization/{made['id']}/_history/{made['meta']['versionId']}"
    assert answer.headers["Location"] == answer.headers["Content-Location"] == place
    assert answer.headers["ETag"] == f'W/"{made["meta"]["versionId"]}"'
    assert "Last-Modified" in answer.headers
    read = await client.get(f"/fhir/Organization/{made['id']}")
    assert read.json() == made
    assert {**made, "id": None, "meta": None} == {
        **organization(active=True), "id": None, "meta": None,
    }  # fmt: skip
    assert (await client.get(place)).json() == made
    assert await found(client, "Organization?name=ward") == [made["id"]]
    assert await found(client, "Organization?name=north") == []


async def test_decimals_stay_as_they_were_written(client: httpx.AsyncClient) -> None:
    text = json.dumps(observation()).replace('"value": 72', '"value": 72.50')
    answer = await client.post("/fhir/Observation", content=text)
    assert answer.status_code == 201, answer.text
    assert b'"value":72.50' in answer.content
    read = await client.get(f"/fhir/Observation/{answer.json()['id']}")
    assert b'"value":72.50' in read.content


async def test_a_read_can_be_conditional(client: httpx.AsyncClient) -> None:
    made = await created(client, organization())
    url = f"/fhir/Organization/{made['id']}"
    etag = f'W/"{made["meta"]["versionId"]}"'
    assert (await client.get(url, headers={"If-None-Match": etag})).status_code == 304
    assert (await client.get(url, headers={"If-None-Match": 'W/"0"'})).status_code == 200
    old = {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}
    assert (await client.get(url, headers=old)).status_code == 200


async def test_updates_know_what_they_change(client: httpx.AsyncClient) -> None:
    made = await created(client, organization())
    url = f"/fhir/Organization/{made['id']}"
    etag = {"If-Match": f'W/"{made["meta"]["versionId"]}"'}
    new = {**made, "name": "South"}
    answer = await client.put(url, json=new, headers=etag)
    assert answer.status_code == 200 and answer.json()["name"] == "South"
    assert "Location" not in answer.headers
    outcome(await client.put(url, json=made, headers=etag), 412)
    outcome(await client.put(url, json={**new, "id": "other"}), 400)
    outcome(await client.put(url, json=new, headers={"If-Match": "nonsense"}), 400)
    assert (await client.put(url, json=new)).json()["meta"] == answer.json()["meta"]
    assert await found(client, "Organization?name=south") == [made["id"]]
    assert await found(client, "Organization?name=ward") == []


async def test_an_update_creates_what_is_not_there(client: httpx.AsyncClient) -> None:
    resource = organization(id="north-1")
    assert (await client.put("/fhir/Organization/north-1", json=resource)).status_code == 201
    missing = {"If-Match": 'W/"7"'}
    answer = await client.put(
        "/fhir/Organization/north-2", json={**resource, "id": "north-2"}, headers=missing
    )
    outcome(answer, 412)
    outcome(await client.put("/fhir/Organization/north_2", json={**resource, "id": "north_2"}), 400)


async def test_if_match_takes_any_and_lists(client: httpx.AsyncClient) -> None:
    """RFC 9110 13.1.1: * is whichever version there is; of a list one is enough."""
    made = await created(client, organization())
    url, version = f"/fhir/Organization/{made['id']}", made["meta"]["versionId"]
    for name, text in (("A", "*"), ("B", " * ")):
        answer = await client.put(url, json={**made, "name": name}, headers={"If-Match": text})
        assert answer.status_code == 200, answer.text
    now = answer.json()["meta"]["versionId"]
    for text, status in (
        (f'W/"{version}", "{now}"', 200), (f'W/"{version}", "x"', 412), ('"x"', 412),
        (f'W/"{now}" W/"1"', 400), (f"{now}", 400), ('"1", *', 400), ("", 400), (", ", 400),
    ):  # fmt: skip
        answer = await client.patch(url, json=[], headers={**PATCH, "If-Match": text})
        assert answer.status_code == status, (text, answer.text)
    any_one = {"If-Match": "*"}
    new = organization(id="north-9")
    outcome(await client.put("/fhir/Organization/north-9", json=new, headers=any_one), 412)
    outcome(await client.delete("/fhir/Organization/north-9", headers=any_one), 412)
    bundle = _transaction(_entry("PUT", f"Organization/{made['id']}", made, ifMatch="*"))
    assert (await client.post("/fhir", json=bundle)).status_code == 200
    assert (await client.delete(url, headers=any_one)).status_code == 204
    outcome(await client.put(url, json=made, headers=any_one), 412)
    outcome(await client.delete(url, headers=any_one), 412)


async def test_any_version_is_that_of_the_write(client: httpx.AsyncClient) -> None:
    made = await created(client, organization())
    url = f"/fhir/Organization/{made['id']}"
    answers = await asyncio.gather(
        *(
            client.put(url, json={**made, "name": f"N{at}"}, headers={"If-Match": "*"})
            for at in range(6)
        )
    )
    assert {each.status_code for each in answers} == {200}


async def test_eight_conditional_creates_at_once_make_one(client: httpx.AsyncClient) -> None:
    system = "urn:test:org"
    resource = organization(identifier=[{"system": system, "value": "1"}])
    condition = {"If-None-Exist": f"identifier={system}|1"}
    answers = await asyncio.gather(
        *(client.post("/fhir/Organization", json=resource, headers=condition) for _ in range(8))
    )
    assert sorted(each.status_code for each in answers) == [200] * 7 + [201]
    assert len({each.json()["id"] for each in answers}) == 1
    await created(client, resource)
    again = await client.post("/fhir/Organization", json=resource, headers=condition)
    assert outcome(again, 412)["code"] == "multiple-matches"
    nonsense = {"If-None-Exist": "nonsense=1"}
    outcome(await client.post("/fhir/Organization", json=resource, headers=nonsense), 400)


async def test_updates_by_condition(client: httpx.AsyncClient) -> None:
    resource = organization(identifier=[{"system": "urn:o", "value": "1"}])
    url = "/fhir/Organization?identifier=urn:o|1"
    first = await client.put(url, json=resource)
    assert first.status_code == 201
    second = await client.put(url, json={**resource, "name": "Renamed"})
    assert (second.status_code, second.json()["id"]) == (200, first.json()["id"])
    outcome(await client.put(url, json={**resource, "id": "other"}), 400)
    assert (await client.delete(url)).status_code == 204
    assert await found(client, "Organization") == []
    assert (await client.delete(url)).status_code == 204
    outcome(await client.put("/fhir/Organization", json=resource), 412)


async def test_patches(client: httpx.AsyncClient) -> None:
    made = await created(client, task())
    url = f"/fhir/Task/{made['id']}"
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/status", "value": "requested"},
        {"op": "replace", "path": "/status", "value": "accepted"},
        {"op": "add", "path": "/note", "value": [{"text": "seen"}]},
    ]
    answer = await client.patch(url, content=json.dumps(patch), headers=PATCH)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["note"]) == ("accepted", [{"text": "seen"}])
    outcome(await client.patch(url, content=json.dumps(patch), headers=PATCH), 422)
    bad = [{"op": "replace", "path": "/status", "value": "done"}]
    issue = outcome(await client.patch(url, content=json.dumps(bad), headers=PATCH), 422)
    assert issue["expression"] == ["Task.status"]
    renamed = [{"op": "replace", "path": "/id", "value": "x"}]
    outcome(await client.patch(url, content=json.dumps(renamed), headers=PATCH), 422)
    outcome(await client.patch(url, content="{}", headers=PATCH), 400)
    outcome(await client.patch(url, content="[]"), 415)
    gone = await client.patch("/fhir/Task/none", content="[]", headers=PATCH)
    outcome(gone, 404)


async def test_deletion_leaves_a_history(client: httpx.AsyncClient) -> None:
    made = await created(client, task())
    url = f"/fhir/Task/{made['id']}"
    await client.put(url, json={**made, "status": "accepted"})
    assert (await client.delete(url)).status_code == 204
    assert outcome(await client.get(url), 410)["code"] == "deleted"
    assert await found(client, "Task") == []
    history = await client.get(f"{url}/_history")
    Bundle.model_validate_json(history.content)
    entries = history.json()["entry"]
    assert [each["request"]["method"] for each in entries] == ["DELETE", "PUT", "POST"]
    assert [each.get("resource", {}).get("status") for each in entries] == [
        None, "accepted", "requested",
    ]  # fmt: skip
    assert history.json()["total"] == 3
    deleted = entries[0]["response"]["etag"][3:-1]
    outcome(await client.get(f"{url}/_history/{deleted}"), 410)
    outcome(await client.get(f"{url}/_history/1"), 404)
    outcome(await client.get(f"{url}/_history/nonsense"), 404)
    outcome(await client.get("/fhir/Task/none/_history"), 404)
    again = await client.put(url, json=made)
    assert again.status_code == 201


async def test_histories_of_a_kind_and_of_all(client: httpx.AsyncClient) -> None:
    first = await created(client, task())
    await created(client, organization())
    of_tasks = (await client.get("/fhir/Task/_history")).json()
    assert [each["resource"]["id"] for each in of_tasks["entry"]] == [first["id"]]
    of_all = (await client.get("/fhir/_history?_count=2")).json()
    kinds = [each["resource"]["resourceType"] for each in of_all["entry"]]
    assert kinds == ["Organization", "Task"]
    (following,) = [each["url"] for each in of_all["link"] if each["relation"] == "next"]
    rest = (await client.get(following)).json()
    assert {each["resource"]["resourceType"] for each in rest["entry"]} == {"Patient"}
    since = first["meta"]["lastUpdated"]
    newer = (await client.get("/fhir/_history", params={"_since": since})).json()
    assert len(newer["entry"]) == 2
    outcome(await client.get("/fhir/_history?_since=yesterday"), 400)


async def test_what_prefer_asks_for(client: httpx.AsyncClient) -> None:
    minimal = {"Prefer": "return=minimal"}
    answer = await client.post("/fhir/Organization", json=organization(), headers=minimal)
    assert (answer.status_code, answer.content) == (201, b"")
    told = {"Prefer": "return=OperationOutcome"}
    answer = await client.post("/fhir/Organization", json=organization(), headers=told)
    assert answer.json()["resourceType"] == "OperationOutcome"


async def test_a_patient_is_in_the_register(client: httpx.AsyncClient, ward: Ward) -> None:
    body = {
        "resourceType": "Patient", "gender": "female", "birthDate": "1961-02-03",
        "identifier": [{"system": "urn:mrn", "value": "77"}],
        "name": [{"family": "Nilsson", "given": ["Eva", "Maria"]}, {"text": "Evy"}],
        "telecom": [{"system": "phone", "value": "123"}],
    }  # fmt: skip
    made = await created(client, body)
    rows, _ = await ward.store.patients(identifier=("urn:mrn", "77"))
    assert [(str(row.patient_id), row.family, row.given) for row in rows] == [
        (made["id"], "Nilsson", "Eva Maria")
    ]
    assert await found(client, "Patient?phone=123") == [made["id"]]
    assert await found(client, "Patient?name=evy&birthdate=1961") == [made["id"]]
    url = f"/fhir/Patient/{made['id']}"
    assert (await client.get(url)).json()["telecom"] == body["telecom"]
    await client.put(url, json={**made, "gender": "other"})
    rows, _ = await ward.store.patients(identifier=("urn:mrn", "77"))
    assert rows[0].gender == "other"
    outcome(await client.delete(url), 405)
    outcome(await client.put("/fhir/Patient/seven", json={**body, "id": "seven"}), 400)
    name = str(uuid4())
    put = await client.put(f"/fhir/Patient/{name}", json={"resourceType": "Patient", "id": name})
    assert put.status_code == 201


async def test_a_patient_of_the_register_reads_as_ever(client: httpx.AsyncClient) -> None:
    anna = (await client.get(f"/fhir/Patient/{ANNA}")).json()
    assert anna["name"] == [{"use": "official", "family": "Almeida", "given": ["Anna"]}]
    assert anna["active"] is True and anna["birthDate"] == "1950-02-03"
    more = {**anna, "telecom": [{"system": "email", "value": "a@example.org"}]}
    assert (await client.put(f"/fhir/Patient/{ANNA}", json=more)).status_code == 200
    assert await found(client, "Patient?email=a@example.org") == [str(ANNA)]


async def test_what_this_server_makes_is_not_written(client: httpx.AsyncClient, ward: Ward) -> None:
    await ward.store_event(One("body_weight", START, 7250, -2, device="ble:00000000000C"))
    own = (await client.get("/fhir/Observation")).json()["entry"][0]["resource"]
    url = f"/fhir/Observation/{own['id']}"
    outcome(await client.put(url, json=own), 405)
    outcome(await client.delete(url), 405)
    device = {"resourceType": "Device", "id": str(ward.devices[CUFF])}
    outcome(await client.put(f"/fhir/Device/{device['id']}", json=device), 405)
    gateway = {"resourceType": "Device", "id": "gateway-gw-test"}
    outcome(await client.put("/fhir/Device/gateway-gw-test", json=gateway), 405)
    outcome(await client.put("/fhir/Endpoint/dicom-wado-rs", json={}), 405)
    outcome(await client.post("/fhir/Endpoint", json={}), 405)


async def test_references_lead_somewhere(client: httpx.AsyncClient) -> None:
    dead = task(owner={"reference": "Practitioner/none"})
    issue = outcome(await client.post("/fhir/Task", json=dead), 422)
    assert issue["expression"] == ["Task.owner.reference"]
    elsewhere = task(owner={"reference": "https://other.example/fhir/Practitioner/1"})
    await created(client, elsewhere)
    await created(client, task(encounter={"reference": "Encounter/1"}))


def _transaction(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, **more}
    return {"request": request} if resource is None else {"resource": resource, "request": request}


async def test_a_transaction_is_done_as_a_whole(client: httpx.AsyncClient) -> None:
    old = await created(client, organization("Old"))
    urn = f"urn:uuid:{uuid4()}"
    person = {"resourceType": "Practitioner", "identifier": [{"system": "urn:p", "value": "1"}]}
    await created(client, person)
    bundle = _transaction(
        _entry("POST", "Task", task(
            owner={"reference": urn}, requester={"reference": "Practitioner?identifier=urn:p|1"},
        )),
        {**_entry("POST", "Organization", organization("New")), "fullUrl": urn},
        _entry("PUT", "Organization/o-2", organization("Put", id="o-2")),
        _entry("DELETE", f"Organization/{old['id']}"),
        _entry("GET", "Organization?name=new"),
        _entry("GET", "Organization/none"), _entry("GET", "Organization?nothing=1&name:none=x"),
    )  # fmt: skip
    answer = await client.post("/fhir", json=bundle)
    assert answer.status_code == 200, answer.text
    Bundle.model_validate_json(answer.content)
    entries = answer.json()["entry"]
    assert [each["response"]["status"][:3] for each in entries] == [
        "201", "201", "201", "204", "200", "404", "400",
    ]  # fmt: skip
    for each in entries[5:]:
        assert each["response"]["outcome"]["issue"][0]["severity"] == "error"
    assert entries[4]["resource"]["entry"][0]["resource"]["name"] == "New"
    new = entries[1]["response"]["location"].split("/")[1]
    (made,) = (await client.get("/fhir/Task")).json()["entry"]
    assert made["resource"]["owner"] == {"reference": f"Organization/{new}"}
    assert made["resource"]["requester"]["reference"].startswith("Practitioner/")
    versions = {each["response"]["etag"] for each in entries[:4]}
    assert len(versions) == 1, "one commit"


async def test_a_transaction_that_fails_changes_nothing(client: httpx.AsyncClient) -> None:
    bundle = _transaction(
        _entry("POST", "Organization", organization()),
        _entry("POST", "Task", {**task(), "status": "done"}),
    )
    issue = outcome(await client.post("/fhir", json=bundle), 422)
    assert issue["expression"] == ["Bundle.entry[1].resource.Task.status"]
    assert await found(client, "Organization") == []
    twice = organization(id="same")
    bundle = _transaction(*[_entry("PUT", "Organization/same", twice)] * 2)
    outcome(await client.post("/fhir", json=bundle), 400)
    stale = _transaction(
        _entry("POST", "Organization", organization()),
        _entry("PUT", "Organization/same", twice, ifMatch='W/"3"'),
    )
    outcome(await client.post("/fhir", json=stale), 412)
    missing = _transaction(
        _entry("POST", "Task", task(owner={"reference": "Practitioner?identifier=urn:p|none"}))
    )
    outcome(await client.post("/fhir", json=missing), 412)
    assert await found(client, "Organization") == []


async def test_a_transaction_sent_again_makes_nothing_twice(client: httpx.AsyncClient) -> None:
    urn = f"urn:uuid:{uuid4()}"
    org = organization(identifier=[{"system": "urn:o", "value": "1"}])
    own = task(identifier=[{"system": "urn:t", "value": "1"}], owner={"reference": urn})
    bundle = _transaction(
        {**_entry("POST", "Organization", org, ifNoneExist="identifier=urn:o|1"), "fullUrl": urn},
        _entry("POST", "Task", own, ifNoneExist="identifier=urn:t|1"),
    )
    answers = await asyncio.gather(*(client.post("/fhir", json=bundle) for _ in range(4)))
    assert {each.status_code for each in answers} == {200}
    assert len(await found(client, "Organization")) == len(await found(client, "Task")) == 1
    ids = {each.json()["entry"][1]["response"]["location"] for each in answers}
    assert len(ids) == 1


async def test_a_batch_does_each_alone(client: httpx.AsyncClient) -> None:
    made = await created(client, organization())
    patch = base64.b64encode(b'[{"op":"replace","path":"/name","value":"Patched"}]').decode()
    bundle = _transaction(
        _entry("POST", "Task", {**task(), "status": "done"}),
        _entry("POST", "Organization", organization("Two")),
        _entry("GET", f"Organization/{made['id']}"),
        _entry("GET", "Organization/none"),
        _entry("PATCH", f"Organization/{made['id']}", {"resourceType": "Binary", "data": patch}),
        {"request": {"method": "TRACE", "url": "Task"}},
        {},
        kind="batch",
    )
    answer = await client.post("/fhir", json=bundle, headers={"Prefer": "return=representation"})
    assert answer.status_code == 200
    entries = answer.json()["entry"]
    statuses = [each["response"]["status"][:3] for each in entries]
    assert statuses == ["422", "201", "200", "404", "200", "400", "400"]
    assert entries[4]["resource"]["name"] == "Patched"
    outcome(await client.post("/fhir", json=organization()), 400)
    outcome(await client.post("/fhir", json={**bundle, "type": "document"}), 400)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_reads_with_letters_of_any_script(
    client: httpx.AsyncClient, kind: str
) -> None:
    made = await created(client, organization("Dvořákův ústav 病院"))
    await created(client, organization("Novak"))
    searches = [
        "Organization?name:exact=Dvořákův ústav 病院", "/Organization?name=dvořákův",
        f"Organization?name:contains={quote('病院')}", "Organization?name:contains=%C5%99ák",
    ]  # fmt: skip
    bundle = _transaction(*(_entry("GET", each) for each in searches), kind=kind)
    answer = await client.post("/fhir", json=bundle)
    for each in answer.json()["entry"]:
        assert each["response"]["status"] == "200 OK"
        assert [one["resource"]["id"] for one in each["resource"]["entry"]] == [made["id"]]


async def test_a_history_of_a_moment_is_refused(client: httpx.AsyncClient, ward: Ward) -> None:
    made = (await created(client, organization()))["id"]
    await ward.store_event(One("spo2", START, 95, device=CUFF))
    (reading,) = await found(client, "Observation")
    for place in ("", "Organization/", f"Organization/{made}/", f"Observation/{reading}/"):
        answer = await client.get(f"/fhir/{place}_history?_at=2020")
        assert "_since" in outcome(answer, 400)["diagnostics"]


@pytest.mark.parametrize("accept", ["application/fhir+xml", "text/html"])
async def test_xml_is_refused(client: httpx.AsyncClient, accept: str) -> None:
    outcome(await client.get("/fhir/Organization", headers={"Accept": accept}), 406)
    body = {"Content-Type": "application/fhir+xml"}
    outcome(await client.post("/fhir/Organization", content="<Organization/>", headers=body), 415)


async def test_nothing_of_berts_is_hers(client: httpx.AsyncClient) -> None:
    """Both patients in one Task: each is found by the other's name, too, for who may see both."""
    made = await created(client, task(requester={"reference": f"Patient/{BERT}"}))
    assert await found(client, f"Task?patient={ANNA}") == [made["id"]]
    assert await found(client, f"Task?patient={BERT}") == []
