"""Who may change but not read or search; and what nobody may write though it is valid R4."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from support.served_ward import ANNA, BASE, Ward
from support.stored_resources import JSON, created, found, observation, task, writing_client
from wardlight_cloud.app import create_app
from wardlight_cloud.security.tokens import new_token, token_hash
from wardlight_cloud.store.authorization import Grant, NewTokens

PATCH = {"Content-Type": "application/json-patch+json"}
WHOLE = {"Prefer": "return=representation"}
TOLD = {"Prefer": "return=OperationOutcome"}
MARKED = [{"system": "urn:t", "value": "1"}]


@asynccontextmanager
async def _clients(
    ward: Ward, *scopes: str, name: str = "narrow"
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """A client that may do all, which keeps the app open, and one with these scopes."""
    token = new_token()
    await ward.store.put_client(name, token_hash(token), list(scopes))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON}
    async with (
        writing_client(ward) as client,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(ward.app), base_url=BASE, headers=headers
        ) as narrow,
    ):
        yield client, narrow


def _bundle(
    method: str, url: str, resource: dict[str, Any] | None = None, **more: str
) -> dict[str, Any]:
    entry: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        entry["resource"] = resource
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def _binary(patch: list[dict[str, Any]]) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(patch).encode()).decode()
    return {"resourceType": "Binary", "contentType": PATCH["Content-Type"], "data": data}


def _is_empty(answer: httpx.Response, status: int) -> bool:
    return (answer.status_code, answer.content) == (status, b"") and "ETag" in answer.headers


async def test_a_condition_needs_search(ward: Ward) -> None:
    condition = "identifier=urn:t|1"
    where = f"/fhir/Task?{condition}"
    scopes = ("system/Task.crud", "system/Observation.crud")
    filtered = "system/Observation.s?category=laboratory"
    async with _clients(ward, *scopes, filtered) as (client, blind):
        held = await created(client, task(identifier=MARKED))
        for answer in (
            await blind.post("/fhir/Task", json=task(), headers={"If-None-Exist": condition}),
            await blind.put(where, json=task()), await blind.delete(where),
            await blind.patch(where, json=[], headers=PATCH),
            await blind.post("/fhir", json=_bundle("POST", "Task", task(), ifNoneExist=condition)),
            await blind.post("/fhir", json=_bundle("PATCH", f"Task?{condition}", _binary([]))),
        ):  # fmt: skip
            assert answer.status_code == 403, answer.text
        assert "Task.s" in (await blind.delete(where)).headers["WWW-Authenticate"]
        assert (await client.get(f"/fhir/Task/{held['id']}")).json() == held
        assert await found(client, "Task") == [held["id"]]
        vital = await created(client, observation())
        await blind.delete(f"/fhir/Observation?_id={vital['id']}")
        assert await found(client, "Observation") == [vital["id"]], "what it cannot find stays"


async def test_who_may_not_read_is_shown_nothing(ward: Ward) -> None:
    condition = "identifier=urn:t|1"
    async with _clients(ward, "system/Task.cus", "system/Patient.u") as (client, blind):
        held = await created(client, task(identifier=MARKED))
        url, again = f"/fhir/Task/{held['id']}", {"If-None-Exist": condition}
        for prefer in ({}, WHOLE):
            headers = {**PATCH, **prefer}
            there = await blind.post("/fhir/Task", json=task(), headers={**again, **prefer})
            assert _is_empty(there, 200) and held["id"] in there.headers["Content-Location"]
            assert _is_empty(await blind.post("/fhir/Task", json=task(), headers=prefer), 201)
            assert _is_empty(await blind.put(url, json=held, headers=prefer), 200)
            assert _is_empty(await blind.patch(url, json=[], headers=headers), 200)
            patient = await blind.patch(f"/fhir/Patient/{ANNA}", json=[], headers=headers)
            assert _is_empty(patient, 200)
        told = await blind.patch(url, json=[], headers={**PATCH, **TOLD})
        assert told.json()["resourceType"] == "OperationOutcome" and "Patient" not in told.text
        for bundle in (
            _bundle("POST", "Task", task(), ifNoneExist=condition),
            _bundle("POST", "Task", task()), _bundle("PUT", f"Task/{held['id']}", held),
            _bundle("PATCH", f"Task/{held['id']}", _binary([])),
            _bundle("PATCH", f"Patient/{ANNA}", _binary([])),
        ):  # fmt: skip
            for kind in ("batch", "transaction"):
                answer = await blind.post("/fhir", json={**bundle, "type": kind}, headers=WHOLE)
                (entry,) = answer.json()["entry"]
                assert "resource" not in entry and entry["response"]["location"], answer.text
        shown = await client.post("/fhir", json=bundle, headers=WHOLE)
        assert shown.json()["entry"][0]["resource"]["id"] == str(ANNA), "who may read is shown it"


async def test_what_is_shown_is_of_the_categories_that_may_be_read(ward: Ward) -> None:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    laboratory = observation(category=[{"coding": [{"system": system, "code": "laboratory"}]}])
    scopes = ("system/Observation.cs", "system/Observation.r?category=laboratory")
    async with writing_client(ward, *scopes, name="laboratory") as narrow:
        for resource, is_shown in ((laboratory, True), (observation(), False)):
            code = resource["category"][0]["coding"][0]["code"]
            for status in (201, 200):
                headers = {"If-None-Exist": f"category={code}"}
                answer = await narrow.post("/fhir/Observation", json=resource, headers=headers)
                assert answer.status_code == status
                assert bool(answer.content) is is_shown, (code, status)


async def test_a_patch_tests_only_what_may_be_read(ward: Ward) -> None:
    test = [{"op": "test", "path": "/gender", "value": "female"}]
    change = [{"op": "replace", "path": "/gender", "value": "other"}]
    url = f"/fhir/Patient/{ANNA}"
    async with _clients(ward, "system/Patient.u", "system/Task.ru") as (client, blind):
        for patch in (test, [*change, *test], [{**test[0], "value": "male"}]):
            answer = await blind.patch(url, json=patch, headers=PATCH)
            assert answer.status_code == 403, answer.text
            bundle = _bundle("PATCH", f"Patient/{ANNA}", _binary(patch))
            assert (await blind.post("/fhir", json=bundle)).status_code == 403
        assert (await client.patch(url, json=test, headers=PATCH)).status_code == 200
        assert (await blind.patch(url, json=change, headers=PATCH)).status_code == 200
        held = await created(client, task())
        tested = [{"op": "test", "path": "/status", "value": "requested"}]
        answer = await blind.patch(f"/fhir/Task/{held['id']}", json=tested, headers=PATCH)
        assert answer.status_code == 200, answer.text


async def test_nothing_is_prescribed(client: httpx.AsyncClient) -> None:
    proposed: dict[str, Any] = {
        "resourceType": "MedicationRequest", "status": "draft", "intent": "proposal",
        "subject": {"reference": f"Patient/{ANNA}"}, "medicationCodeableConcept": {"text": "m"},
    }  # fmt: skip
    made = await created(client, proposed)
    name = f"MedicationRequest/{made['id']}"
    for intent in ("plan", "order", "original-order", "instance-order", "option"):
        other, patch = (
            {**proposed, "intent": intent},
            [{"op": "replace", "path": "/intent", "value": intent}],
        )
        for answer in (
            await client.post("/fhir/MedicationRequest", json=other),
            await client.put(f"/fhir/{name}", json={**made, "intent": intent}),
            await client.put("/fhir/MedicationRequest/new", json={**other, "id": "new"}),
            await client.patch(f"/fhir/{name}", json=patch, headers=PATCH),
            await client.post("/fhir", json=_bundle("POST", "MedicationRequest", other)),
            await client.post("/fhir", json=_bundle("PATCH", name, _binary(patch))),
        ):
            assert answer.status_code == 422, (intent, answer.text)
            (issue,) = answer.json()["issue"]
            assert issue["code"] == "business-rule" and "intent proposal" in issue["diagnostics"]
            assert issue["expression"][0].endswith("MedicationRequest.intent")
    assert await found(client, "MedicationRequest") == [made["id"]]
    assert (await client.get(f"/fhir/{name}")).json() == made
    stopped = await client.put(f"/fhir/{name}", json={**made, "status": "stopped"})
    assert stopped.status_code == 200 and (await client.delete(f"/fhir/{name}")).status_code == 204


def _order() -> dict[str, Any]:
    return {
        "resourceType": "MedicationRequest", "status": "active", "intent": "order",
        "subject": {"reference": f"Patient/{ANNA}"}, "medicationCodeableConcept": {"text": "m"},
    }  # fmt: skip


def _let_prescribe(ward: Ward, name: str) -> None:
    fhir = ward.settings.fhir.model_copy(update={"prescribing_clients": (name,)})
    ward.app = create_app(ward.settings.model_copy(update={"fhir": fhir}), ward.store)


async def test_orders_are_written_by_the_ehr_and_by_nobody_else(ward: Ward) -> None:
    """By its client; others read them, and neither change nor end them."""
    _let_prescribe(ward, "the-ehr")
    async with _clients(ward, "system/*.cruds", name="the-ehr") as (other, ehr):
        made = await created(ehr, _order())
        name = f"MedicationRequest/{made['id']}"
        url = f"/fhir/{name}"
        assert (await other.get(url)).json() == made
        assert await found(other, f"MedicationRequest?patient={ANNA}&intent=order") == [made["id"]]
        stop = [{"op": "replace", "path": "/status", "value": "stopped"}]
        for answer in (
            await other.post("/fhir/MedicationRequest", json=_order()),
            await other.put(url, json={**made, "intent": "proposal"}),
            await other.put(url, json={**made, "status": "stopped"}),
            await other.patch(url, json=stop, headers=PATCH),
            await other.delete(url),
            await other.delete(f"/fhir/MedicationRequest?_id={made['id']}"),
            await other.post("/fhir", json=_bundle("DELETE", name)),
        ):
            assert answer.status_code == 422, answer.text
            (issue,) = answer.json()["issue"]
            assert "fhir.prescribing_clients" in issue["diagnostics"]
        assert (await ehr.get(url)).json() == made
        assert (await ehr.patch(url, json=stop, headers=PATCH)).status_code == 200
        assert (await ehr.delete(url)).status_code == 204


async def test_a_token_for_one_patient_prescribes_nothing(ward: Ward) -> None:
    """Whatever its client is named."""
    _let_prescribe(ward, "app")
    token = new_token()
    await ward.store.put_client("app", token_hash(new_token()), [])
    grant = Grant("app", ("patient/*.cruds",), patient=ANNA)
    await ward.store.grant(grant, NewTokens(token_hash(token), 600))
    async with ward.client(token=token) as app:
        app.headers["Content-Type"] = JSON
        proposal = await app.post("/fhir/MedicationRequest", json=_order() | {"intent": "proposal"})
        assert proposal.status_code == 201, proposal.text
        order = await app.post("/fhir/MedicationRequest", json=_order())
        assert order.status_code == 422, order.text
